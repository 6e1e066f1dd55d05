/* cpu: the CPU time that each process has spent for an instance.
 *
 * Threads: any
 * Memory:  none
 */
#ifndef WEIR_BENCH_CPU_H
#define WEIR_BENCH_CPU_H

#include <sys/types.h>

struct weir_bench_cpu {
    double dataplane; /* seconds, all threads and its io workers */
    double others;    /* supervisor, keeper, control plane */
    double kernel;    /* the kernel's own threads, for whatever process they worked */
};

/* instance: the supervisor's process. */
struct weir_bench_cpu weir_bench_cpu_read(pid_t instance);
struct weir_bench_cpu weir_bench_cpu_between(const struct weir_bench_cpu *before,
    const struct weir_bench_cpu *after);

/* The thread of this name, 0 for none; the CPU seconds of a thread, 0 where it is gone. */
pid_t weir_bench_cpu_thread_find(pid_t process, const char *name);
double weir_bench_cpu_thread(pid_t process, pid_t thread);

#endif
