#include "tests/unit/controlplane/promql/answer.h"
#include "controlplane/promql/parse/series.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static double
stale(void)
{
    uint64_t bits = WEIR_PROMQL_STALE_BITS;
    double value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static void
add_points(struct weir_promql_memory *memory, uint32_t number, int64_t step_ms,
    const struct weir_promql_series *series)
{
    int64_t at_ms = 0;
    for (uint32_t i = 0; i < series->count; i++) {
        const struct weir_promql_points *points = &series->points[i];
        for (uint64_t k = 0; k < points->count; k++, at_ms += step_ms) {
            if (points->kind == WEIR_PROMQL_POINT_OMITTED)
                continue;
            struct weir_promql_sample sample = {.time_ms = at_ms,
                .value = points->kind == WEIR_PROMQL_POINT_STALE
                    ? stale()
                    : points->value + (double)k * points->step,
                .histogram = points->kind == WEIR_PROMQL_POINT_HISTOGRAM};
            assert_int_equal(weir_promql_memory_add(memory, number, &sample), WEIR_OK);
        }
    }
}

static void
load_line(struct weir_promql_memory *memory, int64_t step_ms, const char *line, size_t size)
{
    struct weir_promql_arena arena;
    struct weir_promql_series series;
    struct weir_promql_label labels[16];
    uint32_t number;
    weir_promql_arena_init(&arena, WEIR_PROMQL_ARENA_MAX);
    assert_int_equal(weir_promql_parse_series(&arena, line, size, &series), WEIR_OK);
    assert_in_range(series.label_count, 0, 16);
    for (uint32_t i = 0; i < series.label_count; i++)
        labels[i] = (struct weir_promql_label){series.labels[i].label, series.labels[i].value};
    assert_int_equal(
        weir_promql_memory_series(memory, labels, series.label_count, &number), WEIR_OK);
    add_points(memory, number, step_ms, &series);
    weir_promql_arena_fini(&arena);
}

void
promql_load(struct weir_promql_memory *memory, int64_t step_ms, const char *lines)
{
    while (*lines != '\0') {
        size_t size = strcspn(lines, "\n");
        load_line(memory, step_ms, lines, size);
        lines += size + (lines[size] == '\n');
    }
}

struct text {
    char *at, *end;
};

static void
print(struct text *text, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    int size = vsnprintf(text->at, (size_t)(text->end - text->at), format, arguments);
    va_end(arguments);
    assert_in_range(size, 0, text->end - text->at - 1);
    text->at += size;
}

static void
print_labels(struct text *text, const struct weir_promql_labelset *labels)
{
    print(text, "{");
    for (uint32_t i = 0; i < labels->count; i++)
        print(text, "%s%.*s=%.*s", i > 0 ? "," : "", (int)labels->labels[i].name.size,
            labels->labels[i].name.data, (int)labels->labels[i].value.size,
            labels->labels[i].value.data);
    print(text, "}");
}

static void
print_result(struct text *text, const struct weir_promql_result *result)
{
    print_labels(text, result->labels);
    for (uint32_t i = 0; i < result->count; i++) {
        if (result->times_ms != NULL)
            print(text, " %.12g@%lld", result->values[i], (long long)result->times_ms[i]);
        else if (weir_promql_bit(result->present, i))
            print(text, " %.12g", result->values[i]);
        else
            print(text, " _");
    }
    print(text, "\n");
}

void
promql_answer_text(
    enum weir_err err, const struct weir_promql_answer *answer, char *out, size_t room)
{
    struct text text = {out, out + room};
    out[0] = '\0';
    if (err != WEIR_OK) {
        print(&text, "error: %s", answer->error == NULL ? weir_err_text(err) : answer->error);
        return;
    }
    if (answer->type == WEIR_PROMQL_TYPE_SCALAR)
        print(&text, "%.12g\n", answer->scalar);
    else if (answer->type == WEIR_PROMQL_TYPE_STRING)
        print(&text, "%.*s\n", (int)answer->string.size, answer->string.data);
    for (uint32_t i = 0; answer->type != WEIR_PROMQL_TYPE_SCALAR && i < answer->result_count; i++)
        print_result(&text, &answer->results[i]);
    for (const struct weir_promql_annotation *annotation = answer->annotations; annotation != NULL;
         annotation = annotation->next)
        print(&text, "%s\n", annotation->text);
}

struct weir_promql_request
promql_request(const struct weir_promql_memory *memory, const char *text, int64_t at_ms)
{
    return (struct weir_promql_request){.text = text,
        .size = strlen(text),
        .start_ms = at_ms,
        .end_ms = at_ms,
        .lookback_ms = 300000,
        .subquery_step_ms = 60000,
        .memory_max = (size_t)64 << 20,
        .source = weir_promql_memory_source(memory)};
}
