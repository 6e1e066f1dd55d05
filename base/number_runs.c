#include "base/number_runs.h"

#include "base/assert.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

enum weir_err
weir_number_runs_init(struct weir_number_runs *list, uint16_t total)
{
    WEIR_ASSERT(total > 0 && total <= INT16_MAX);
    *list = (struct weir_number_runs){.count = 1, .capacity = 1, .total = total};
    list->runs = calloc(1, sizeof *list->runs);
    return list->runs == NULL ? weir_fail(WEIR_NOMEM, 0, "runs of series numbers") : WEIR_OK;
}

void
weir_number_runs_fini(struct weir_number_runs *list)
{
    free(list->runs);
}

uint16_t
weir_number_runs_end(const struct weir_number_runs *list, uint16_t run)
{
    return run + 1 < list->count ? list->runs[run + 1].first : list->total;
}

/* The run that holds an index. */
static uint16_t
run_of(const struct weir_number_runs *list, uint16_t index)
{
    uint16_t low = 0, high = list->count;
    while (high - low > 1) {
        uint16_t middle = (uint16_t)((low + high) / 2);
        if (list->runs[middle].first <= index)
            low = middle;
        else
            high = middle;
    }
    return low;
}

/* Whether the run, made long enough, has this number at index. */
static bool
leads_to(const struct weir_number_run *run, uint16_t index, uint64_t number)
{
    return run->known && (uint64_t)run->number + index - run->first == number;
}

/* Puts `count` runs in place of those from `from` up to and without `to`. */
static enum weir_err
splice(struct weir_number_runs *list, uint16_t from, uint16_t to,
    const struct weir_number_run *runs, uint16_t count)
{
    uint16_t after = (uint16_t)(list->count - (to - from) + count);
    if (after > list->capacity) {
        uint16_t capacity = after > list->total / 2 ? list->total : (uint16_t)(after * 2);
        struct weir_number_run *more = realloc(list->runs, capacity * sizeof *more);
        if (more == NULL)
            return weir_fail(WEIR_NOMEM, 0, "runs of series numbers");
        list->runs = more;
        list->capacity = capacity;
    }
    memmove(list->runs + from + count, list->runs + to,
        (size_t)(list->count - to) * sizeof *list->runs);
    memcpy(list->runs + from, runs, count * sizeof *runs);
    list->count = after;
    return WEIR_OK;
}

enum weir_err
weir_number_runs_set(struct weir_number_runs *list, uint16_t first, uint16_t count,
    uint64_t number)
{
    uint16_t end = (uint16_t)(first + count);
    WEIR_ASSERT(count > 0 && end <= list->total && number + count - 1 <= WEIR_NUMBER_MAX);
    uint16_t from = run_of(list, first);
    if (leads_to(&list->runs[from], first, number) && weir_number_runs_end(list, from) >= end)
        return WEIR_OK;
    uint16_t last = run_of(list, (uint16_t)(end - 1));
    struct weir_number_run put[3];
    uint16_t used = 0;
    struct weir_number_run set = {.number = number, .first = first, .known = true};
    if (list->runs[from].first == first && from > 0)
        from--; /* the neighbour, which the new run may continue */
    if (leads_to(&list->runs[from], first, number))
        set = list->runs[from];
    else if (list->runs[from].first < first)
        put[used++] = list->runs[from];
    put[used++] = set;
    uint16_t to = (uint16_t)(last + 1);
    if (weir_number_runs_end(list, last) == end)
        last = to < list->count ? to++ : last; /* the neighbour behind */
    struct weir_number_run rest = list->runs[last];
    if (weir_number_runs_end(list, last) > end && !leads_to(&rest, first, number)) {
        if (rest.known)
            rest.number += end - rest.first;
        rest.first = end;
        put[used++] = rest;
    }
    return splice(list, from, to, put, used);
}
