#include "tests/promql/load.h"

#include <string.h>

enum weir_err
load_init(struct load *load)
{
    load->memory = NULL;
    return weir_promql_memory_new(&load->memory);
}

void
load_fini(struct load *load)
{
    weir_promql_memory_free(load->memory);
    load->memory = NULL;
}

enum weir_err
load_clear(struct load *load)
{
    load_fini(load);
    return load_init(load);
}

const struct weir_promql_source *
load_source(const struct load *load)
{
    return weir_promql_memory_source(load->memory);
}

static double
value_of(const struct script_point *point)
{
    const uint64_t stale = WEIR_PROMQL_STALE_BITS;
    double value = point->value;
    if (point->kind == WEIR_PROMQL_POINT_STALE)
        memcpy(&value, &stale, sizeof value);
    return value;
}

/* as_histogram: each float sample stands for a native histogram. */
static enum weir_err
add_points(struct load *load, uint32_t number, int64_t step_ms, const struct script_series *series,
    bool as_histogram)
{
    enum weir_err err = WEIR_OK;
    for (uint32_t i = 0; err == WEIR_OK && i < series->count; i++) {
        const struct script_point *point = &series->points[i];
        int64_t at_ms = (int64_t)i * step_ms;
        struct weir_promql_sample sample = {.time_ms = at_ms,
            .value = value_of(point),
            .start_ms = point->has_start ? at_ms + point->start_offset_ms : 0,
            .histogram = as_histogram || point->kind == WEIR_PROMQL_POINT_HISTOGRAM};
        if (point->kind != WEIR_PROMQL_POINT_OMITTED)
            err = weir_promql_memory_add(load->memory, number, &sample);
    }
    return err;
}

/* Bytes of a classic histogram's suffix; 0 where name has none. */
static uint32_t
suffix_size(struct weir_promql_text name)
{
    static const char *const suffixes[] = {"_bucket", "_count", "_sum"};
    for (size_t i = 0; i < sizeof suffixes / sizeof suffixes[0]; i++) {
        uint32_t size = (uint32_t)strlen(suffixes[i]);
        if (name.size > size && memcmp(name.data + name.size - size, suffixes[i], size) == 0)
            return size;
    }
    return 0;
}

/* The native histogram that a series is a part of. */
static enum weir_err
add_histogram(struct load *load, struct weir_promql_arena *arena, int64_t step_ms,
    const struct script_series *series)
{
    struct weir_promql_label *labels =
        weir_promql_arena_alloc(arena, (series->label_count + (size_t)1) * sizeof *labels);
    uint32_t count = 0, suffix = 0, number;
    if (labels == NULL)
        return WEIR_NOMEM;
    for (uint32_t i = 0; i < series->label_count; i++) {
        labels[count] = series->labels[i];
        if (weir_promql_text_is(labels[count].name, "le"))
            continue;
        if (weir_promql_text_is(labels[count].name, "__name__")) {
            suffix = suffix_size(labels[count].value);
            labels[count].value.size -= suffix;
        }
        count++;
    }
    if (suffix == 0)
        return WEIR_OK;
    enum weir_err err = weir_promql_memory_series(load->memory, labels, count, &number);
    return err == WEIR_OK ? add_points(load, number, step_ms, series, true) : err;
}

enum weir_err
load_series(
    struct load *load, struct weir_promql_arena *arena, const struct script_command *command)
{
    enum weir_err err = WEIR_OK;
    for (const struct script_series *s = command->series; err == WEIR_OK && s != NULL;
         s = s->next) {
        uint32_t number;
        err = weir_promql_memory_series(load->memory, s->labels, s->label_count, &number);
        if (err == WEIR_OK)
            err = add_points(load, number, command->step_ms, s, false);
        if (err == WEIR_OK && command->with_histograms)
            err = add_histogram(load, arena, command->step_ms, s);
    }
    return err;
}
