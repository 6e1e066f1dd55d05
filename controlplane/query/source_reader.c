#include "controlplane/query/source_reader.h"

#include "controlplane/promql/scan/matcher.h"
#include "model/labels.h"

#include <stdlib.h>
#include <string.h>

#define CHUNK_SAMPLES 4096

struct selected {
    uint64_t *numbers; /* ascending */
};

static struct weir_reader *
reader_of(struct weir_promql_view *view)
{
    return (struct weir_reader *)view;
}

/* The reader itself: it stands still between refreshes, and its thread asks for those. */
static enum weir_err
view_open(const struct weir_promql_source *source, struct weir_promql_view **out)
{
    const struct weir_source_reader *from = source->state;
    *out = (struct weir_promql_view *)from->reader;
    return WEIR_OK;
}

static void
view_close(struct weir_promql_view *view)
{
    (void)view;
}

/* A match of the reader that passes no series which the matcher refuses; false where it has none
 * such. *exact: the two say the same. */
static bool
match_of(const struct weir_promql_matcher *matcher, char *name, struct weir_match *out, bool *exact)
{
    struct weir_promql_text value = matcher->value;
    memcpy(name, matcher->label.data, matcher->label.size); /* zeroed behind it */
    *exact = matcher->operator == WEIR_PROMQL_IS || matcher->operator == WEIR_PROMQL_DIFFERS;
    *out = (struct weir_match){.name = name, .value = value.data, .value_size = value.size,
        .kind = matcher->operator == WEIR_PROMQL_IS ? WEIR_MATCH_EQUAL : WEIR_MATCH_NOT_EQUAL};
    if (strlen(name) != matcher->label.size) { /* the reader's names end at a zero byte */
        *exact = false;
        return false;
    }
    if (*exact)
        return true;
    out->value = "";
    out->value_size = 0;
    return !matcher->matches_empty;
}

/* Splits matchers into those of the reader and those that are left. */
static enum weir_err
split(struct weir_promql_arena *arena, const struct weir_promql_matcher *matchers, uint32_t count,
    struct weir_match *matches, uint32_t *match_count, struct weir_promql_matcher *left,
    uint32_t *left_count)
{
    *match_count = *left_count = 0;
    for (uint32_t i = 0; i < count; i++) {
        char *name = weir_promql_arena_alloc(arena, matchers[i].label.size + (size_t)1);
        bool exact;
        if (name == NULL)
            return WEIR_NOMEM;
        *match_count += match_of(&matchers[i], name, &matches[*match_count], &exact);
        if (!exact)
            left[(*left_count)++] = matchers[i];
    }
    return WEIR_OK;
}

/* The labels of a series, in an array with room for all of them. */
static uint32_t
read_labels(struct weir_reader *reader, uint64_t number,
    struct weir_promql_label out[WEIR_LABELS_COUNT_MAX])
{
    const uint8_t *labels;
    size_t size, at = 0;
    struct weir_label label;
    uint32_t count = 0;
    weir_reader_labels(reader, number, &labels, &size);
    while (count < WEIR_LABELS_COUNT_MAX && weir_labels_next(labels, size, &at, &label) == WEIR_OK)
        out[count++] =
            (struct weir_promql_label){{(const char *)label.name, label.name_size},
                {(const char *)label.value, label.value_size}};
    return count;
}

/* Keeps the numbers whose labels pass. */
static enum weir_err
filter(struct weir_reader *reader, struct weir_promql_arena *arena,
    const struct weir_promql_matcher *left, uint32_t left_count, uint64_t *numbers, size_t *count)
{
    struct weir_promql_label labels[WEIR_LABELS_COUNT_MAX];
    struct weir_promql_matchers *ready;
    size_t kept = 0;
    enum weir_err err = weir_promql_matchers_new(arena, left, left_count, &ready);
    for (size_t i = 0; err == WEIR_OK && i < *count; i++) {
        bool passes;
        uint32_t label_count = read_labels(reader, numbers[i], labels);
        err = weir_promql_matchers_match(ready, labels, label_count, &passes);
        numbers[kept] = numbers[i];
        kept += err == WEIR_OK && passes;
    }
    weir_promql_matchers_free(ready);
    *count = kept;
    return err;
}

static enum weir_err
keep(struct weir_promql_arena *arena, const uint64_t *numbers, size_t count,
    struct weir_promql_selection *out)
{
    struct selected *selected = weir_promql_arena_alloc(arena, sizeof *selected);
    if (selected == NULL)
        return WEIR_NOMEM;
    selected->numbers = weir_promql_arena_alloc(arena, (count + 1) * sizeof *numbers);
    if (selected->numbers == NULL)
        return WEIR_NOMEM;
    if (count > 0)
        memcpy(selected->numbers, numbers, count * sizeof *numbers);
    *out = (struct weir_promql_selection){selected, (uint32_t)count};
    return WEIR_OK;
}

enum weir_err
weir_source_reader_select(struct weir_reader *reader, struct weir_promql_arena *arena,
    const struct weir_promql_matcher *matchers, uint32_t count, uint64_t **numbers,
    size_t *number_count)
{
    struct weir_match *matches = weir_promql_arena_alloc(arena, (count + 1) * sizeof *matches);
    struct weir_promql_matcher *left = weir_promql_arena_alloc(arena, (count + 1) * sizeof *left);
    uint32_t match_count, left_count;
    *numbers = NULL;
    *number_count = 0;
    if (matches == NULL || left == NULL)
        return WEIR_NOMEM;
    enum weir_err err = split(arena, matchers, count, matches, &match_count, left, &left_count);
    if (err == WEIR_OK)
        err = weir_reader_select(reader, matches, match_count, numbers, number_count);
    if (err == WEIR_OK && left_count > 0)
        err = filter(reader, arena, left, left_count, *numbers, number_count);
    if (err == WEIR_OK)
        return WEIR_OK;
    free(*numbers);
    *numbers = NULL;
    return err;
}

static enum weir_err
select_series(struct weir_promql_view *view, struct weir_promql_arena *arena,
    const struct weir_promql_matcher *matchers, uint32_t count, int64_t from_ms, int64_t to_ms,
    struct weir_promql_selection *out)
{
    uint64_t *numbers;
    size_t number_count;
    (void)from_ms, (void)to_ms;
    enum weir_err err = weir_source_reader_select(
        reader_of(view), arena, matchers, count, &numbers, &number_count);
    if (err == WEIR_OK && number_count > UINT32_MAX)
        err = weir_fail(WEIR_LIMIT, 0, "%zu series in one selector", number_count);
    if (err == WEIR_OK)
        err = keep(arena, numbers, number_count, out);
    free(numbers);
    return err;
}

static enum weir_err
labels_of(struct weir_promql_view *view, struct weir_promql_arena *arena,
    const struct weir_promql_selection *selection, uint32_t place,
    const struct weir_promql_label **out, uint32_t *count)
{
    const struct selected *selected = selection->state;
    struct weir_promql_label labels[WEIR_LABELS_COUNT_MAX];
    *count = read_labels(reader_of(view), selected->numbers[place], labels);
    struct weir_promql_label *copy =
        weir_promql_arena_alloc(arena, (*count + (size_t)1) * sizeof *copy);
    if (copy == NULL)
        return WEIR_NOMEM;
    memcpy(copy, labels, *count * sizeof *copy);
    *out = copy;
    return WEIR_OK;
}

/* Samples as they come, in log order. */
struct chunk {
    struct chunk *next;
    uint32_t count;
    uint16_t places[CHUNK_SAMPLES]; /* of their series in the read */
    int64_t times_ms[CHUNK_SAMPLES];
    double values[CHUNK_SAMPLES];
};
_Static_assert(WEIR_PROMQL_READ_MAX <= UINT16_MAX, "a place fits");

struct collection {
    struct weir_promql_arena arena; /* of the chunks */
    struct chunk *first, *last;
    uint32_t counts[WEIR_PROMQL_READ_MAX];
};

static enum weir_err
collect(void *context, size_t index, int64_t time_ms, double value)
{
    struct collection *all = context;
    struct chunk *chunk = all->last;
    if (chunk == NULL || chunk->count == CHUNK_SAMPLES) {
        chunk = weir_promql_arena_alloc(&all->arena, sizeof *chunk);
        if (chunk == NULL)
            return WEIR_NOMEM;
        *(all->last == NULL ? &all->first : &all->last->next) = chunk;
        all->last = chunk;
    }
    chunk->places[chunk->count] = (uint16_t)index;
    chunk->times_ms[chunk->count] = time_ms;
    chunk->values[chunk->count++] = value;
    all->counts[index]++;
    return WEIR_OK;
}

/* A run that is being filled. */
struct column {
    int64_t *times_ms;
    double *values;
    uint32_t count;
    bool disordered; /* a time is not after the one before it */
};

static enum weir_err
make_columns(struct weir_promql_arena *arena, const uint32_t *counts, uint32_t count,
    struct column *columns)
{
    size_t total = 0;
    for (uint32_t i = 0; i < count; i++)
        total += counts[i];
    int64_t *times_ms = weir_promql_arena_alloc(arena, total * sizeof *times_ms);
    double *values = weir_promql_arena_alloc(arena, total * sizeof *values);
    if (times_ms == NULL || values == NULL)
        return WEIR_NOMEM;
    for (uint32_t i = 0; i < count; i++) {
        columns[i] = (struct column){times_ms, values, 0, false};
        times_ms += counts[i];
        values += counts[i];
    }
    return WEIR_OK;
}

static void
scatter(const struct chunk *chunk, struct column *columns)
{
    for (uint32_t i = 0; i < chunk->count; i++) {
        struct column *column = &columns[chunk->places[i]];
        uint32_t at = column->count++;
        column->times_ms[at] = chunk->times_ms[i];
        column->values[at] = chunk->values[i];
        column->disordered |= at > 0 && column->times_ms[at - 1] >= chunk->times_ms[i];
    }
}

struct late {
    int64_t time_ms;
    double value;
    uint32_t order; /* in the log */
};

static int
by_time(const void *a, const void *b)
{
    const struct late *left = a, *right = b;
    if (left->time_ms != right->time_ms)
        return left->time_ms < right->time_ms ? -1 : 1;
    return left->order < right->order ? -1 : 1;
}

/* Sorts a run by time; of samples at one time the last in the log stays. */
static enum weir_err
sort_column(struct weir_promql_arena *arena, struct column *column)
{
    struct late *samples = weir_promql_arena_alloc(arena, column->count * sizeof *samples);
    if (samples == NULL)
        return WEIR_NOMEM;
    for (uint32_t i = 0; i < column->count; i++)
        samples[i] = (struct late){column->times_ms[i], column->values[i], i};
    qsort(samples, column->count, sizeof *samples, by_time);
    uint32_t kept = 0;
    for (uint32_t i = 0; i < column->count; i++) {
        kept -= i > 0 && samples[i].time_ms == samples[i - 1].time_ms;
        column->times_ms[kept] = samples[i].time_ms;
        column->values[kept++] = samples[i].value;
    }
    column->count = kept;
    return WEIR_OK;
}

/* Puts collected samples into runs. */
static enum weir_err
make_runs(struct collection *all, struct weir_promql_arena *arena, uint32_t count,
    struct weir_promql_columns *out)
{
    struct column *columns = weir_promql_arena_alloc(arena, count * sizeof *columns);
    struct weir_promql_run *runs = weir_promql_arena_alloc(arena, count * sizeof *runs);
    if (columns == NULL || runs == NULL)
        return WEIR_NOMEM;
    enum weir_err err = make_columns(arena, all->counts, count, columns);
    for (const struct chunk *chunk = all->first; err == WEIR_OK && chunk != NULL;
         chunk = chunk->next)
        scatter(chunk, columns);
    for (uint32_t i = 0; i < count && err == WEIR_OK; i++) {
        if (columns[i].disordered)
            err = sort_column(&all->arena, &columns[i]);
        runs[i] = (struct weir_promql_run){.times_ms = columns[i].times_ms,
            .values = columns[i].values, .count = columns[i].count, .clock = i};
    }
    *out = (struct weir_promql_columns){runs, count};
    return err;
}

static enum weir_err
read_series(struct weir_promql_view *view, struct weir_promql_arena *arena,
    const struct weir_promql_selection *selection, uint32_t first, uint32_t count, int64_t from_ms,
    int64_t to_ms, struct weir_promql_columns *out)
{
    const struct selected *selected = selection->state;
    struct collection *all = weir_promql_arena_alloc(arena, sizeof *all);
    if (all == NULL)
        return WEIR_NOMEM;
    weir_promql_arena_init(&all->arena, arena->limit - arena->taken);
    enum weir_err err = WEIR_OK;
    if (from_ms < to_ms) /* so there is a millisecond after from */
        err = weir_reader_scan(reader_of(view), selected->numbers + first, count, from_ms + 1,
            to_ms < INT64_MAX ? to_ms + 1 : INT64_MAX, collect, all);
    if (err == WEIR_OK)
        err = make_runs(all, arena, count, out);
    arena->over |= all->arena.over;
    weir_promql_arena_fini(&all->arena);
    return err;
}

static const struct weir_promql_source_functions functions = {
    view_open, view_close, select_series, labels_of, read_series};

void
weir_source_reader_init(struct weir_source_reader *source, struct weir_reader *reader)
{
    *source = (struct weir_source_reader){.source = {&functions, source}, .reader = reader};
}
