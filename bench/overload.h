/* overload: `weir bench --overload`: a dataplane that is offered more than it can store.
 *
 * Owns:    a dataplane of its own, gone at its end
 * Threads: the main thread
 * Errors:  the exit code: 1 where the sums miss a sample; the reason is on standard error
 */
#ifndef WEIR_BENCH_OVERLOAD_H
#define WEIR_BENCH_OVERLOAD_H

#include <stdio.h>

/* argv[0] is the first option of weir bench. */
int weir_bench_overload(int argc, char **argv);
void weir_usage_bench_overload(FILE *out);

#endif
