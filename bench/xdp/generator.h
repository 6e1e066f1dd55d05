/* generator: sends frames into one end of a veth pair from memory shared with the kernel, without
 * a socket: at the other end they arrive as from a wire. For the benchmark.
 *
 *   caller: reserve, lay a frame into the slot, commit --ring of slots--> thread in the kernel:
 *           one BPF_PROG_TEST_RUN on live frames (bench/xdp/weir_gen.bpf.c) until stop
 *
 * Both run on the caller's CPU in turn. The caller has real-time priority: the kernel's thread gets
 * the rest of the time, so the caller must sleep now and then. The kernel's work on both ends of
 * the pair is done on that CPU too, with the XDP program and the copy into the receiver's memory.
 *
 * Threads: one caller, pinned; one of its own
 * Memory:  WEIR_GEN_SLOTS slots, mapped
 * Errors:  WEIR_UNSUPPORTED no such program, or BPF is not allowed; WEIR_IO the kernel refuses
 */
#ifndef WEIR_BENCH_XDP_GENERATOR_H
#define WEIR_BENCH_XDP_GENERATOR_H

#include "base/err.h"
#include "bench/xdp/weir_gen.h"

#include <stdint.h>

#define WEIR_GEN_OBJECT "weir_gen.bpf.o" /* beside the programs */

struct weir_generator;

/* Loads the program from object. */
enum weir_err weir_generator_new(const char *object, struct weir_generator **out) WEIR_MUST_USE;
/* Begins to send to the interfaces of those indexes, 1, 2 or 4 of them, WEIR_GEN_TURN frames to
 * each in turn, on the CPU the caller is pinned to; the caller gets real-time priority. */
enum weir_err weir_generator_start(struct weir_generator *generator,
    const uint32_t *interface_indexes, uint32_t count) WEIR_MUST_USE;

/* Puts a program on an interface that lets all frames pass to the kernel's stack, until the
 * interface is gone. A veth wants one to take frames as they are sent here. */
enum weir_err weir_generator_pass(const struct weir_generator *generator,
    uint32_t interface_index) WEIR_MUST_USE;

/* A slot to lay a frame into, or NULL: all are full, sleep. Its frame goes with commit. */
struct weir_gen_slot *weir_generator_reserve(struct weir_generator *generator);
void weir_generator_commit(struct weir_generator *generator, uint32_t size);

/* Frames sent; all that were committed are once it says so many. */
uint64_t weir_generator_sent(const struct weir_generator *generator);
uint64_t weir_generator_refused(const struct weir_generator *generator);
/* Why the kernel sends no more (errno); 0 while it does. */
int weir_generator_failed(const struct weir_generator *generator);
/* CPU time of the kernel's thread. */
double weir_generator_cpu_seconds(const struct weir_generator *generator);

/* Gives the CPU back, and the caller its priority; the counts stay. */
void weir_generator_stop(struct weir_generator *generator);
void weir_generator_free(struct weir_generator *generator);

#endif
