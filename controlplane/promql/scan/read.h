/* read: the samples that a selector selects, a group of series at a time.
 *
 * Threads: one
 * Memory:  samples and labels of a group in an arena of its own, which takes memory_max at most
 */
#ifndef WEIR_CONTROLPLANE_PROMQL_SCAN_READ_H
#define WEIR_CONTROLPLANE_PROMQL_SCAN_READ_H

#include "controlplane/promql/plan/query.h"

/* Takes one series; its run is of the call alone. */
struct weir_promql_run_sink {
    enum weir_err (*push)(struct weir_promql_run_sink *sink,
        const struct weir_promql_labelset *labels, const struct weir_promql_run *run);
};

/* Series with samples in (from, to] that matchers select. */
enum weir_err weir_promql_read_matching(struct weir_promql_query *query,
    const struct weir_promql_matcher *matchers, uint32_t count, int64_t from_ms, int64_t to_ms,
    struct weir_promql_run_sink *sink) WEIR_MUST_USE;

/* The times at which a selector looks, for the steps of grid: its @ and offset applied. */
struct weir_promql_grid weir_promql_shifted(
    const struct weir_promql_shift *shift, const struct weir_promql_grid *grid);
/* A duration in whole milliseconds. */
int64_t weir_promql_length_ms(const struct weir_promql_length *length);

static inline bool
weir_promql_is_stale(double value)
{
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits == WEIR_PROMQL_STALE_BITS;
}

/* WEIR_UNSUPPORTED: the query met a native histogram. */
enum weir_err weir_promql_met_histogram(struct weir_promql_query *query) WEIR_MUST_USE;

#endif
