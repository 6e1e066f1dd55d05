/* points: samples a query holds until it knows which of them are superseded.
 *
 * Owns:    one heap block that grows up to count_max points
 * Threads: none of its own
 * Errors:  WEIR_FULL at count_max, WEIR_NOMEM
 */
#ifndef WEIR_CONTROLPLANE_QUERY_POINTS_H
#define WEIR_CONTROLPLANE_QUERY_POINTS_H

#include "base/err.h"

#include <stddef.h>
#include <stdint.h>

#define WEIR_QUERY_POINTS_LIMIT (UINT32_MAX / 2) /* order is 32 bits, and raw answers hold twice */

struct weir_query_point {
    int64_t time_ms;
    double value;
    uint32_t group; /* the caller's: a series or a bucket */
    uint32_t order; /* place in log order */
};

struct weir_query_points {
    struct weir_query_point *items;
    size_t count;
    size_t capacity;
    size_t count_max;
};

void weir_query_points_init(struct weir_query_points *points, size_t count_max);
void weir_query_points_fini(struct weir_query_points *points);
/* Appends in log order. */
enum weir_err weir_query_points_append(
    struct weir_query_points *points, uint32_t group, int64_t time_ms, double value) WEIR_MUST_USE;
/* Sorts by group and time; of points of one group and time only the last appended stays. More may
 * be appended afterwards, and count as later. */
void weir_query_points_keep_last(struct weir_query_points *points);

#endif
