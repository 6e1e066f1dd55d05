#include "controlplane/promql/source_memory.h"
#include "controlplane/promql/scan/labelset.h"
#include "controlplane/promql/scan/matcher.h"

#include <stdlib.h>
#include <string.h>

struct series {
    const struct weir_promql_labelset *labels;
    int64_t *times_ms, *starts_ms;
    double *values;
    uint8_t *histograms;
    uint32_t count, room;
    bool has_starts, has_histograms;
};

struct weir_promql_memory {
    struct weir_promql_source source;
    struct weir_promql_arena arena; /* of the labels */
    struct weir_promql_labelsets sets;
    struct series *series; /* by number of their label set */
    uint32_t count, room;
};

/* A view is the memory itself: nobody writes while it is open. */
static enum weir_err
view_open(const struct weir_promql_source *source, struct weir_promql_view **out)
{
    *out = source->state;
    return WEIR_OK;
}

static void
view_close(struct weir_promql_view *view)
{
    (void)view;
}

static const struct weir_promql_memory *
memory_of(struct weir_promql_view *view)
{
    return (const struct weir_promql_memory *)view;
}

/* Samples of a series at or before at_ms. */
static uint32_t
place_after(const struct series *series, int64_t at_ms)
{
    uint32_t low = 0, high = series->count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (series->times_ms[middle] <= at_ms)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static int
by_labels(const void *a, const void *b)
{
    const struct series *const *left = a, *const *right = b;
    return weir_promql_labelset_compare((*left)->labels, (*right)->labels);
}

static enum weir_err
collect(const struct weir_promql_memory *memory, const struct weir_promql_matchers *matchers,
    int64_t from_ms, int64_t to_ms, const struct series **out, uint32_t *count)
{
    for (uint32_t i = 0; i < memory->count; i++) {
        const struct series *series = &memory->series[i];
        if (place_after(series, from_ms) == place_after(series, to_ms))
            continue;
        bool matches;
        enum weir_err err = weir_promql_matchers_match(
            matchers, series->labels->labels, series->labels->count, &matches);
        if (err != WEIR_OK)
            return err;
        if (matches)
            out[(*count)++] = series;
    }
    return WEIR_OK;
}

static enum weir_err
select_series(struct weir_promql_view *view, struct weir_promql_arena *arena,
    const struct weir_promql_matcher *matchers, uint32_t count, int64_t from_ms, int64_t to_ms,
    struct weir_promql_selection *out)
{
    const struct weir_promql_memory *memory = memory_of(view);
    const struct series **found =
        weir_promql_arena_alloc(arena, (memory->count + (size_t)1) * sizeof *found);
    if (found == NULL)
        return WEIR_NOMEM;
    struct weir_promql_matchers *ready;
    enum weir_err err = weir_promql_matchers_new(arena, matchers, count, &ready);
    if (err != WEIR_OK)
        return err;
    *out = (struct weir_promql_selection){found, 0};
    err = collect(memory, ready, from_ms, to_ms, found, &out->count);
    weir_promql_matchers_free(ready);
    if (err == WEIR_OK && out->count > 1)
        qsort(found, out->count, sizeof *found, by_labels);
    return err;
}

static enum weir_err
labels_of(struct weir_promql_view *view, struct weir_promql_arena *arena,
    const struct weir_promql_selection *selection, uint32_t place,
    const struct weir_promql_label **out, uint32_t *count)
{
    (void)view, (void)arena;
    const struct series *const *found = selection->state;
    *out = found[place]->labels->labels;
    *count = found[place]->labels->count;
    return WEIR_OK;
}

static enum weir_err
read_series(struct weir_promql_view *view, struct weir_promql_arena *arena,
    const struct weir_promql_selection *selection, uint32_t first, uint32_t count, int64_t from_ms,
    int64_t to_ms, struct weir_promql_columns *out)
{
    (void)view;
    const struct series *const *found = selection->state;
    struct weir_promql_run *runs = weir_promql_arena_alloc(arena, count * sizeof *runs);
    if (runs == NULL)
        return WEIR_NOMEM;
    for (uint32_t i = 0; i < count; i++) {
        const struct series *series = found[first + i];
        uint32_t begin = place_after(series, from_ms), end = place_after(series, to_ms);
        runs[i] = (struct weir_promql_run){series->times_ms + begin, series->values + begin,
            series->has_starts ? series->starts_ms + begin : NULL,
            series->has_histograms ? series->histograms + begin : NULL, end - begin, first + i};
    }
    *out = (struct weir_promql_columns){runs, count};
    return WEIR_OK;
}

static const struct weir_promql_source_functions functions = {
    view_open, view_close, select_series, labels_of, read_series};

enum weir_err
weir_promql_memory_new(struct weir_promql_memory **out)
{
    struct weir_promql_memory *memory = calloc(1, sizeof *memory);
    if (memory == NULL)
        return WEIR_NOMEM;
    memory->source = (struct weir_promql_source){&functions, memory};
    weir_promql_arena_init(&memory->arena, SIZE_MAX);
    enum weir_err err = weir_promql_labelsets_init(&memory->sets, &memory->arena);
    if (err != WEIR_OK) {
        weir_promql_memory_free(memory);
        return err;
    }
    *out = memory;
    return WEIR_OK;
}

void
weir_promql_memory_free(struct weir_promql_memory *memory)
{
    if (memory == NULL)
        return;
    for (uint32_t i = 0; i < memory->count; i++) {
        free(memory->series[i].times_ms);
        free(memory->series[i].starts_ms);
        free(memory->series[i].values);
        free(memory->series[i].histograms);
    }
    free(memory->series);
    weir_promql_arena_fini(&memory->arena);
    free(memory);
}

const struct weir_promql_source *
weir_promql_memory_source(const struct weir_promql_memory *memory)
{
    return &memory->source;
}

static int
by_name(const void *a, const void *b)
{
    const struct weir_promql_label *left = a, *right = b;
    return weir_promql_text_compare(left->name, right->name);
}

/* Labels with values, by name; each name once. */
static enum weir_err
sort_labels(struct weir_promql_label *labels, uint32_t *count)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < *count; i++)
        if (labels[i].value.size > 0)
            labels[kept++] = labels[i];
    if (kept > 1)
        qsort(labels, kept, sizeof *labels, by_name);
    for (uint32_t i = 1; i < kept; i++)
        if (weir_promql_text_equal(labels[i - 1].name, labels[i].name))
            return weir_fail(WEIR_INVALID, 0, "label %.*s is there twice", (int)labels[i].name.size,
                labels[i].name.data);
    *count = kept;
    return WEIR_OK;
}

/* Room for one series more. */
static enum weir_err
make_room(struct weir_promql_memory *memory)
{
    if (memory->count < memory->room)
        return WEIR_OK;
    uint32_t room = memory->room == 0 ? 64 : memory->room * 2;
    struct series *series = realloc(memory->series, room * sizeof *series);
    if (series == NULL)
        return WEIR_NOMEM;
    memory->series = series;
    memory->room = room;
    return WEIR_OK;
}

enum weir_err
weir_promql_memory_series(struct weir_promql_memory *memory, const struct weir_promql_label *labels,
    uint32_t count, uint32_t *out)
{
    struct weir_promql_label *sorted = malloc((count + (size_t)1) * sizeof *sorted);
    const struct weir_promql_labelset *set = NULL;
    if (sorted == NULL)
        return WEIR_NOMEM;
    if (count > 0)
        memcpy(sorted, labels, count * sizeof *sorted);
    enum weir_err err = sort_labels(sorted, &count);
    if (err == WEIR_OK)
        err = make_room(memory);
    if (err == WEIR_OK)
        err = weir_promql_labelset_of(&memory->sets, sorted, count, &set);
    free(sorted);
    if (err != WEIR_OK)
        return err;
    *out = set->number;
    if (set->number == memory->count)
        memory->series[memory->count++] = (struct series){.labels = set};
    return WEIR_OK;
}

/* One column with room for `room` entries of size bytes. */
static bool
widen(void **column, uint32_t room, size_t size)
{
    void *wider = realloc(*column, room * size);
    if (wider == NULL)
        return false;
    *column = wider;
    return true;
}

static enum weir_err
make_sample_room(struct series *series)
{
    if (series->count < series->room)
        return WEIR_OK;
    uint32_t room = series->room == 0 ? 16 : series->room * 2;
    if (!widen((void **)&series->times_ms, room, sizeof *series->times_ms) ||
        !widen((void **)&series->starts_ms, room, sizeof *series->starts_ms) ||
        !widen((void **)&series->values, room, sizeof *series->values) ||
        !widen((void **)&series->histograms, room, sizeof *series->histograms))
        return WEIR_NOMEM;
    series->room = room;
    return WEIR_OK;
}

/* Moves the samples from `at` on one up. */
static void
open_gap(struct series *series, uint32_t at)
{
    size_t moved = series->count - at;
    memmove(series->times_ms + at + 1, series->times_ms + at, moved * sizeof *series->times_ms);
    memmove(series->starts_ms + at + 1, series->starts_ms + at, moved * sizeof *series->starts_ms);
    memmove(series->values + at + 1, series->values + at, moved * sizeof *series->values);
    memmove(series->histograms + at + 1, series->histograms + at, moved);
    series->count++;
}

enum weir_err
weir_promql_memory_add(
    struct weir_promql_memory *memory, uint32_t number, const struct weir_promql_sample *sample)
{
    struct series *series = &memory->series[number];
    enum weir_err err = make_sample_room(series);
    if (err != WEIR_OK)
        return err;
    uint32_t at = place_after(series, sample->time_ms);
    if (at > 0 && series->times_ms[at - 1] == sample->time_ms)
        at--;
    else
        open_gap(series, at);
    series->times_ms[at] = sample->time_ms;
    series->starts_ms[at] = sample->start_ms;
    series->values[at] = sample->histogram ? __builtin_nan("") : sample->value;
    series->histograms[at] = sample->histogram;
    series->has_starts |= sample->start_ms != 0;
    series->has_histograms |= sample->histogram;
    return WEIR_OK;
}
