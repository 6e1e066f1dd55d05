/* by_number: a value for each label set, found by the set's number.
 *
 * Threads: one
 * Memory:  the query's arena; it doubles as numbers grow
 */
#ifndef WEIR_CONTROLPLANE_PROMQL_SCAN_BY_NUMBER_H
#define WEIR_CONTROLPLANE_PROMQL_SCAN_BY_NUMBER_H

#include "controlplane/promql/plan/query.h"

struct weir_promql_by_number {
    uint32_t *values; /* 0 where none was set */
    uint32_t room;
};

/* Place of a set's value; NULL without memory. It moves when another is asked for. */
static inline uint32_t *
weir_promql_by_number(struct weir_promql_query *query, struct weir_promql_by_number *map,
    const struct weir_promql_labelset *set)
{
    if (set->number >= map->room) {
        uint32_t room = query->sets.count * 2;
        uint32_t *values = weir_promql_query_alloc(query, room * sizeof *values);
        if (values == NULL)
            return NULL;
        if (map->room > 0)
            memcpy(values, map->values, map->room * sizeof *values);
        map->values = values;
        map->room = room;
    }
    return &map->values[set->number];
}

#endif
