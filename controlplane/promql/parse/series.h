/* series: a series with its values, as test files for PromQL have them, native histograms among
 * them:
 *
 *   http_requests_total{job="a"} 0+10x5 _ stale {{schema:0 count:3 buckets:[1 2]}}x2
 *
 * Nothing is expanded: 0+10x5 is one item. Messages are our own.
 *
 * Threads: any, an arena each
 * Memory:  all in the caller's arena
 * Errors:  WEIR_INVALID with one error in the result; WEIR_NOMEM
 */
#ifndef WEIR_CONTROLPLANE_PROMQL_PARSE_SERIES_H
#define WEIR_CONTROLPLANE_PROMQL_PARSE_SERIES_H

#include "controlplane/promql/parse/parse.h"

struct weir_promql_doubles {
    double *values;
    uint32_t count;
};

enum weir_promql_reset_hint {
    WEIR_PROMQL_HINT_NONE, /* not given */
    WEIR_PROMQL_HINT_UNKNOWN,
    WEIR_PROMQL_HINT_RESET,
    WEIR_PROMQL_HINT_NOT_RESET,
    WEIR_PROMQL_HINT_GAUGE,
};

/* {{schema:0 sum:5 count:4 z_bucket:1 z_bucket_w:0.1 buckets:[1 2] offset:0 n_buckets:[..]
 * n_offset:0 custom_values:[..] counter_reset_hint:gauge}} */
struct weir_promql_histogram {
    int32_t schema, offset, negative_offset;
    double sum, count, zero_count, zero_width;
    struct weir_promql_doubles buckets, negative_buckets, custom_values;
    enum weir_promql_reset_hint hint;
};

enum weir_promql_point_kind {
    WEIR_PROMQL_POINT_OMITTED,
    WEIR_PROMQL_POINT_STALE,
    WEIR_PROMQL_POINT_VALUE,
    WEIR_PROMQL_POINT_HISTOGRAM,
};

struct weir_promql_points {
    enum weir_promql_point_kind kind;
    uint64_t count;     /* points: N for _xN, N + 1 for axN */
    double value, step; /* VALUE: the first, and what each adds */
    const struct weir_promql_histogram *histogram, *change; /* change: NULL, or added, or ... */
    bool subtracts;                                         /* ... subtracted each time */
};

struct weir_promql_series {
    struct weir_promql_text name;          /* before the braces; may be empty */
    struct weir_promql_matcher *labels;    /* all of operator IS; the name once more as the last */
    uint32_t label_count;
    struct weir_promql_points *points;
    uint32_t count;
    const struct weir_promql_error *error; /* NULL where it is good */
};

enum weir_err weir_promql_parse_series(struct weir_promql_arena *arena, const char *text,
    size_t size, struct weir_promql_series *out) WEIR_MUST_USE;

#endif
