/* series_lines: lines of series: labels in order, values expanded, offsets of start times. */
#include "tests/promql/lines.h"

#include <stdlib.h>
#include <string.h>

static int
by_name(const void *a, const void *b)
{
    const struct weir_promql_label *left = a, *right = b;
    uint32_t size = left->name.size < right->name.size ? left->name.size : right->name.size;
    int order = memcmp(left->name.data, right->name.data, size);
    return order != 0 ? order : (int)left->name.size - (int)right->name.size;
}

static enum weir_err
copy_labels(
    struct lines *lines, const struct weir_promql_series *parsed, struct script_series *series)
{
    series->labels = weir_promql_arena_alloc(
        lines->arena, (parsed->label_count + (size_t)1) * sizeof *series->labels);
    if (series->labels == NULL)
        return WEIR_NOMEM;
    for (uint32_t i = 0; i < parsed->label_count; i++)
        if (parsed->labels[i].value.size > 0)
            series->labels[series->label_count++] =
                (struct weir_promql_label){parsed->labels[i].label, parsed->labels[i].value};
    qsort(series->labels, series->label_count, sizeof *series->labels, by_name);
    return WEIR_OK;
}

/* A step is added each time, as the reference does: 0+0.1x3 ends at 0.30000000000000004. */
static struct script_point *
expand(struct script_point *at, const struct weir_promql_points *points)
{
    double value = points->value;
    for (uint64_t i = 0; i < points->count; i++, value += points->step)
        *at++ = (struct script_point){.kind = points->kind, .value = value};
    return at;
}

static enum weir_err
copy_points(
    struct lines *lines, const struct weir_promql_series *parsed, struct script_series *series)
{
    uint64_t count = 0;
    for (uint32_t i = 0; i < parsed->count; i++) {
        if (parsed->points[i].count > SCRIPT_POINTS_MAX - count)
            return lines_refuse(lines, "a series of more than %d points", SCRIPT_POINTS_MAX);
        count += parsed->points[i].count;
    }
    series->points =
        weir_promql_arena_alloc(lines->arena, (size_t)(count + 1) * sizeof *series->points);
    if (series->points == NULL)
        return WEIR_NOMEM;
    struct script_point *at = series->points;
    for (uint32_t i = 0; i < parsed->count; i++)
        at = expand(at, &parsed->points[i]);
    series->count = (uint32_t)count;
    return WEIR_OK;
}

enum weir_err
lines_series(struct lines *lines, struct weir_promql_text text, struct script_series **out)
{
    struct weir_promql_series parsed;
    struct script_series *series = weir_promql_arena_alloc(lines->arena, sizeof *series);
    if (series == NULL)
        return WEIR_NOMEM;
    *out = series;
    enum weir_err err = weir_promql_parse_series(lines->arena, text.data, text.size, &parsed);
    if (err == WEIR_INVALID)
        return lines_refuse(lines, "%s", parsed.error->message);
    if (err == WEIR_OK)
        err = copy_labels(lines, &parsed, series);
    return err == WEIR_OK ? copy_points(lines, &parsed, series) : err;
}

/* Takes a duration with a sign off the front of item. */
static enum weir_err
signed_duration(struct lines *lines, struct weir_promql_text *item, int64_t *out_ms)
{
    bool minus = lines_starts_with(*item, "-");
    if (minus || lines_starts_with(*item, "+"))
        *item = lines_after(*item, 1);
    struct weir_promql_text word = {item->data, 0};
    while (word.size < item->size && strchr("0123456789", word.data[word.size]) != NULL)
        word.size++;
    while (word.size < item->size && strchr("ywdhms", word.data[word.size]) != NULL)
        word.size++;
    *item = lines_after(*item, word.size);
    enum weir_err err = lines_duration(lines, word, out_ms);
    if (minus)
        *out_ms = -*out_ms;
    return err;
}

/* The N of xN; 0 where item is empty. */
static enum weir_err
repeats(struct lines *lines, struct weir_promql_text item, uint32_t *out)
{
    *out = 0;
    if (item.size == 0)
        return WEIR_OK;
    uint64_t count = 0;
    bool good = item.size > 1 && item.size < 9 && item.data[0] == 'x';
    for (uint32_t i = 1; good && i < item.size; i++) {
        good = item.data[i] >= '0' && item.data[i] <= '9';
        count = count * 10 + (uint64_t)(item.data[i] - '0');
    }
    *out = (uint32_t)count;
    return good ? WEIR_OK
                : lines_refuse(lines, "bad repetition \"%.*s\"", (int)item.size, item.data);
}

struct starts {
    const struct script_series *series;
    uint32_t used;
};

/* Gives count points the offsets first, first + step, ...; omitted: none. */
static enum weir_err
give(struct lines *lines, struct starts *starts, uint32_t count, bool omitted, int64_t first_ms,
    int64_t step_ms)
{
    if (count > starts->series->count - starts->used)
        return lines_refuse(lines, "more start times than points");
    for (uint32_t i = 0; i < count; i++) {
        struct script_point *point = &starts->series->points[starts->used++];
        point->has_start = !omitted;
        point->start_offset_ms = first_ms + (int64_t)i * step_ms;
    }
    return WEIR_OK;
}

/* One of: _ _xN 1m 1mxN 1m+10sxN -1m-10sxN */
static enum weir_err
start_item(struct lines *lines, struct starts *starts, struct weir_promql_text item)
{
    uint32_t count;
    int64_t first_ms, step_ms = 0;
    if (lines_starts_with(item, "_")) {
        enum weir_err err = repeats(lines, lines_after(item, 1), &count);
        count = item.size == 1 ? 1 : count;
        return err == WEIR_OK ? give(lines, starts, count, true, 0, 0) : err;
    }
    enum weir_err err = signed_duration(lines, &item, &first_ms);
    if (err == WEIR_OK && item.size > 0 && item.data[0] != 'x')
        err = signed_duration(lines, &item, &step_ms);
    if (err == WEIR_OK)
        err = repeats(lines, item, &count);
    return err == WEIR_OK ? give(lines, starts, count + 1, false, first_ms, step_ms) : err;
}

enum weir_err
lines_starts(struct lines *lines, struct weir_promql_text text, const struct script_series *series)
{
    struct starts starts = {series, 0};
    while (text.size > 0) {
        enum weir_err err = start_item(lines, &starts, lines_word(&text));
        if (err != WEIR_OK)
            return err;
    }
    if (starts.used != series->count)
        return lines_refuse(lines, "%u start times for %u points", starts.used, series->count);
    return WEIR_OK;
}
