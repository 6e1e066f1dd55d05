#include "base/number_ranges.h"

#include "base/assert.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

enum weir_err
weir_number_ranges_init(struct weir_number_ranges *list, uint16_t total)
{
    WEIR_ASSERT(total > 0 && total <= INT16_MAX);
    *list = (struct weir_number_ranges){.count = 1, .capacity = 1, .total = total};
    list->ranges = calloc(1, sizeof *list->ranges);
    return list->ranges == NULL ? weir_fail(WEIR_NOMEM, 0, "ranges of series numbers") : WEIR_OK;
}

void
weir_number_ranges_fini(struct weir_number_ranges *list)
{
    free(list->ranges);
}

uint16_t
weir_number_ranges_end(const struct weir_number_ranges *list, uint16_t range)
{
    return range + 1 < list->count ? list->ranges[range + 1].first : list->total;
}

/* The range that holds an index. */
static uint16_t
range_of(const struct weir_number_ranges *list, uint16_t index)
{
    uint16_t low = 0, high = list->count;
    while (high - low > 1) {
        uint16_t middle = (uint16_t)((low + high) / 2);
        if (list->ranges[middle].first <= index)
            low = middle;
        else
            high = middle;
    }
    return low;
}

/* Whether the range, made long enough, has this number at index. */
static bool
leads_to(const struct weir_number_range *range, uint16_t index, uint64_t number)
{
    return range->known && (uint64_t)range->number + index - range->first == number;
}

/* Puts `count` ranges in place of those from `from` up to and without `to`. */
static enum weir_err
splice(struct weir_number_ranges *list, uint16_t from, uint16_t to,
    const struct weir_number_range *ranges, uint16_t count)
{
    uint16_t after = (uint16_t)(list->count - (to - from) + count);
    if (after > list->capacity) {
        uint16_t capacity = after > list->total / 2 ? list->total : (uint16_t)(after * 2);
        struct weir_number_range *more = realloc(list->ranges, capacity * sizeof *more);
        if (more == NULL)
            return weir_fail(WEIR_NOMEM, 0, "ranges of series numbers");
        list->ranges = more;
        list->capacity = capacity;
    }
    memmove(list->ranges + from + count, list->ranges + to,
        (size_t)(list->count - to) * sizeof *list->ranges);
    memcpy(list->ranges + from, ranges, count * sizeof *ranges);
    list->count = after;
    return WEIR_OK;
}

enum weir_err
weir_number_ranges_set(struct weir_number_ranges *list, uint16_t first, uint16_t count,
    uint64_t number)
{
    uint16_t end = (uint16_t)(first + count);
    WEIR_ASSERT(count > 0 && end <= list->total && number + count - 1 <= WEIR_NUMBER_MAX);
    uint16_t from = range_of(list, first);
    if (leads_to(&list->ranges[from], first, number) && weir_number_ranges_end(list, from) >= end)
        return WEIR_OK;
    uint16_t last = range_of(list, (uint16_t)(end - 1));
    struct weir_number_range put[3];
    uint16_t used = 0;
    struct weir_number_range set = {.number = number, .first = first, .known = true};
    if (list->ranges[from].first == first && from > 0)
        from--; /* the neighbour, which the new range may continue */
    if (leads_to(&list->ranges[from], first, number))
        set = list->ranges[from];
    else if (list->ranges[from].first < first)
        put[used++] = list->ranges[from];
    put[used++] = set;
    uint16_t to = (uint16_t)(last + 1);
    if (weir_number_ranges_end(list, last) == end)
        last = to < list->count ? to++ : last; /* the next neighbour */
    struct weir_number_range rest = list->ranges[last];
    if (weir_number_ranges_end(list, last) > end && !leads_to(&rest, first, number)) {
        if (rest.known)
            rest.number += end - rest.first;
        rest.first = end;
        put[used++] = rest;
    }
    return splice(list, from, to, put, used);
}
