/* veth: `weir bench --source veth`: real frames, AF_XDP, a whole instance.
 *
 * Owns:    a veth pair and a running instance, both gone at its end
 * Threads: the main thread
 * Errors:  the exit code; the reason is on standard error
 */
#ifndef WEIR_BENCH_VETH_VETH_H
#define WEIR_BENCH_VETH_VETH_H

#include <stdio.h>

/* argv[0] is the first option of weir bench. */
int weir_bench_veth(int argc, char **argv);
void weir_usage_bench_veth(FILE *out);

#endif
