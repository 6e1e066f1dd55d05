/* buckets: samples of many series aggregated into buckets [k*step, (k+1)*step).
 *
 * Owns:    a cell of 48 bytes for each series and bucket, and 8 bytes a series
 * Threads: none of its own
 * Errors:  the call carries the error, see weir_call_fail
 * Limits:  query.points_max cells
 *
 * Of two samples of one series and time the later in the log counts. A sample that is newer than
 * all before it in its series cannot be superseded by those, so it is added at once. One that is
 * not marks its bucket as mixed; when the scan is over, the samples of mixed buckets are read
 * again, in rounds of at most points_max samples, sorted, and added without the superseded ones.
 *
 * Sums are Neumaier's compensated sums (ZAMM 54, 1974) in long double, whose range also keeps an
 * average of huge values finite. min and max pass over NaN unless there is nothing else.
 */
#ifndef WEIR_CONTROLPLANE_QUERY_BUCKETS_H
#define WEIR_CONTROLPLANE_QUERY_BUCKETS_H

#include "controlplane/query/call.h"

enum weir_aggregation {
    WEIR_AGG_AVG,
    WEIR_AGG_MIN,
    WEIR_AGG_MAX,
    WEIR_AGG_SUM,
    WEIR_AGG_COUNT,
    WEIR_AGG_LAST,
    WEIR_AGG_RAW, /* no buckets */
};

struct weir_cell;

struct weir_buckets {
    int64_t from_ms; /* inclusive */
    int64_t to_ms;   /* exclusive, > from_ms */
    int64_t step_ms;
    enum weir_aggregation aggregation;
    int64_t first; /* k of the first bucket */
    uint64_t count; /* buckets */
    uint64_t series_count;
    struct weir_cell *cells; /* series by series */
    int64_t *newest_ms;      /* by series: time of the newest sample seen */
};

/* Floor of time / step, also for negative times. */
int64_t weir_bucket_number(int64_t time_ms, int64_t step_ms);

/* Reads from_ms, to_ms, step_ms and aggregation, which the caller has set. Any result but WEIR_OK:
 * the call carries the error. */
enum weir_err weir_buckets_init(struct weir_buckets *buckets, struct weir_call *call,
    uint64_t series_count) WEIR_MUST_USE;
void weir_buckets_fini(struct weir_buckets *buckets);

/* Reads the samples of numbers[0 .. series_count-1] of the call's reader. */
enum weir_err weir_buckets_fill(struct weir_buckets *buckets, struct weir_call *call,
    const uint64_t *numbers) WEIR_MUST_USE;

/* False for an empty bucket. bucket counts from 0 at `first`. */
bool weir_buckets_value(const struct weir_buckets *buckets, uint64_t series, uint64_t bucket,
    double *value);

#endif
