/* machine: the memory and descriptors that an instance may use here, by whatever limit.
 *
 * Threads: any; no state
 * Errors:  a limit that cannot be read is none
 */
#ifndef WEIR_APP_SUPERVISOR_MACHINE_H
#define WEIR_APP_SUPERVISOR_MACHINE_H

#include <stddef.h>
#include <stdint.h>

/* The first bytes of a file, as text; "" if it cannot be read. Allocates nothing: a shortage of
 * memory must not look like a missing limit, nor like a small machine. */
void weir_machine_read(const char *path, char *out, size_t size);

struct weir_machine_memory {
    uint64_t bytes;    /* the least of the three limits below */
    const char *whose; /* "this machine has", ...; names which one it is, followed by a size */
};

/* Physical memory, the control groups above this process, and RLIMIT_AS. root is a prefix of /proc
 * and /sys: "" except in tests. */
struct weir_machine_memory weir_machine_memory(const char *root);

/* Bytes that the tightest control group allows; UINT64_MAX where none limits. */
uint64_t weir_machine_cgroup_bytes(const char *root);

#endif
