#include "controlplane/query/points.h"

#include "base/assert.h"

#include <stdbool.h>
#include <stdlib.h>

#define CAPACITY_FIRST 256

void
weir_query_points_init(struct weir_query_points *points, size_t count_max)
{
    WEIR_ASSERT(count_max <= UINT32_MAX);
    *points = (struct weir_query_points){.count_max = count_max};
}

void
weir_query_points_fini(struct weir_query_points *points)
{
    free(points->items);
    points->items = NULL;
}

static enum weir_err
grow(struct weir_query_points *points)
{
    if (points->count == points->count_max)
        return WEIR_FULL;
    size_t capacity = points->capacity == 0 ? CAPACITY_FIRST : points->capacity * 2;
    if (capacity > points->count_max)
        capacity = points->count_max;
    struct weir_query_point *items = realloc(points->items, capacity * sizeof *items);
    if (items == NULL)
        return weir_fail(WEIR_NOMEM, 0, "%zu points", capacity);
    points->items = items;
    points->capacity = capacity;
    return WEIR_OK;
}

enum weir_err
weir_query_points_append(
    struct weir_query_points *points, uint32_t group, int64_t time_ms, double value)
{
    if (points->count == points->capacity) {
        enum weir_err err = grow(points);
        if (err != WEIR_OK)
            return err;
    }
    points->items[points->count++] =
        (struct weir_query_point){.time_ms = time_ms, .value = value, .group = group};
    return WEIR_OK;
}

static int
compare(const void *left, const void *right)
{
    const struct weir_query_point *a = left;
    const struct weir_query_point *b = right;
    if (a->group != b->group)
        return a->group < b->group ? -1 : 1;
    if (a->time_ms != b->time_ms)
        return a->time_ms < b->time_ms ? -1 : 1;
    return a->order < b->order ? -1 : a->order > b->order;
}

void
weir_query_points_keep_last(struct weir_query_points *points)
{
    struct weir_query_point *items = points->items;
    if (points->count == 0)
        return;
    for (size_t i = 0; i < points->count; i++)
        items[i].order = (uint32_t)i;
    qsort(items, points->count, sizeof *items, compare);
    size_t kept = 0;
    for (size_t i = 1; i < points->count; i++) {
        bool same = items[i].group == items[kept].group && items[i].time_ms == items[kept].time_ms;
        kept += !same;
        items[kept] = items[i];
    }
    points->count = kept + 1;
}
