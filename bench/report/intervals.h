/* intervals: the cost of a sample over short intervals of a run, beside that over all of it.
 *
 * On a shared machine, as most virtual ones are, a core is slower by half while a neighbour keeps
 * its other thread busy, and a run is a mixture of both states. The cheapest tenth of its intervals
 * shows the cost of the code, the dearest that of the neighbour.
 *
 * Threads: one of its own, which sleeps nearly always; start and stop are one caller's
 * Memory:  8 bytes an interval
 * Errors:  WEIR_NOMEM, WEIR_IO no thread
 */
#ifndef WEIR_BENCH_REPORT_INTERVALS_H
#define WEIR_BENCH_REPORT_INTERVALS_H

#include "base/err.h"
#include "model/ledger.h"

#include <jansson.h>

#define WEIR_BENCH_INTERVAL_MS 100

struct weir_bench_intervals;

/* Reads the ledger every WEIR_BENCH_INTERVAL_MS until stop. */
enum weir_err weir_bench_intervals_start(struct weir_ledger *ledger,
    struct weir_bench_intervals **out) WEIR_MUST_USE;
/* Ends it. An object of the number of intervals with samples, and the 10th, 50th and 90th
 * percentile of their cycles a sample, of all stages together; null if none had any. */
json_t *weir_bench_intervals_stop(struct weir_bench_intervals *intervals);

/* Cycles a sample of all stages between two readings; 0 where none was received or none encoded. */
double weir_bench_intervals_cost(const struct weir_ledger_sum *before,
    const struct weir_ledger_sum *after);

#endif
