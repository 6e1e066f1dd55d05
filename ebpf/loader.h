/* loader: our XDP program on an interface: taking over what the port has loaded, its maps by
 * name, and detaching the programs of a killed process.
 *
 * The AF_XDP port of DPDK opens the object, loads and attaches it itself, and offers no way to
 * say where maps are pinned. So nothing is pinned by libbpf: after the port has attached it, the
 * program is found by its interface, its maps by the program, and both are pinned here:
 *
 *   /sys/fs/bpf/weir/<instance>/if<index>/  weir_xdp and each map, under its own name
 *
 * The pinned program is how it is known as ours: only a program with its id is ever detached.
 * Until weir_xdp_ports_set() is called the program passes every packet to the kernel.
 *
 * Owns:    descriptors of the program and its maps; the pins of its interface
 * Threads: a struct belongs to its caller; maps may be changed from several processes
 * Memory:  one struct of the heap
 * Errors:  WEIR_UNSUPPORTED generic mode, or a program without our maps; WEIR_BUSY a program of
 *          somebody else's is on the interface; WEIR_IO the kernel refused
 * Limits:  WEIR_XDP_QUEUES_MAX queues, WEIR_XDP_RULES_MAX rules a family
 */
#ifndef WEIR_EBPF_LOADER_H
#define WEIR_EBPF_LOADER_H

#include "ebpf/rules.h"

#define WEIR_XDP_OBJECT "weir_xdp.bpf.o"
#define WEIR_XDP_PINS_MAX 128 /* bytes of an instance's pin directory */

struct weir_xdp;

extern const char *const weir_xdp_verdict_names[WEIR_XDP_VERDICTS];

/* The pin directory of the instance that keeps its data in this directory, which exists. */
enum weir_err weir_xdp_pins(const char *data, char out[WEIR_XDP_PINS_MAX]) WEIR_MUST_USE;
/* Makes it, and mounts the BPF file system where it is missing. */
enum weir_err weir_xdp_pins_make(const char *pins) WEIR_MUST_USE;

/* WEIR_BUSY where any XDP program is on the interface, WEIR_NOT_FOUND where there is none such. */
enum weir_err weir_xdp_interface_free(const char *interface) WEIR_MUST_USE;

/* Takes over the program that has just been attached to the interface, in native mode, and pins
 * it and its maps. */
enum weir_err weir_xdp_adopt(uint32_t interface_index, const char *pins, struct weir_xdp **out)
    WEIR_MUST_USE;
/* Opens the pinned maps of an interface, from another process. */
enum weir_err weir_xdp_open(uint32_t interface_index, const char *pins, struct weir_xdp **out)
    WEIR_MUST_USE;
/* Tests: takes over a loaded program that is on no interface. */
enum weir_err weir_xdp_wrap(int program_fd, struct weir_xdp **out) WEIR_MUST_USE;
/* Gives the descriptors back; pins and program stay. */
void weir_xdp_close(struct weir_xdp *xdp);

/* Whether the interface still carries the program. */
bool weir_xdp_attached(const struct weir_xdp *xdp);
uint32_t weir_xdp_program_id(const struct weir_xdp *xdp);
int weir_xdp_program_fd(const struct weir_xdp *xdp);
/* Removes the pins. */
void weir_xdp_unpin(const struct weir_xdp *xdp, const char *pins);

/* UDP destination ports, host order, that are ours from now on. */
enum weir_err weir_xdp_ports_set(struct weir_xdp *xdp, const uint16_t *ports, size_t count)
    WEIR_MUST_USE;
/* Makes the maps equal to the set: stale rules go first, then new ones come. */
enum weir_err weir_xdp_rules_set(struct weir_xdp *xdp, const struct weir_rules *rules)
    WEIR_MUST_USE;
/* Frames by verdict since the program was loaded, over all CPUs. */
enum weir_err weir_xdp_verdicts(const struct weir_xdp *xdp, uint64_t out[WEIR_XDP_VERDICTS])
    WEIR_MUST_USE;

/* Interfaces pinned below pins; returns their count, at most max. */
size_t weir_xdp_interfaces(const char *pins, uint32_t *indexes, size_t max);
/* Detaches each program pinned below pins that is still on its interface, and removes the pins.
 * Returns how many were detached; an event names each failure. */
size_t weir_xdp_detach_leftovers(const char *pins);

#endif
