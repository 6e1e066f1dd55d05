#include "tests/promql/mutate.h"
#include "controlplane/promql/scan/labelset.h"

#include <math.h>
#include <string.h>

/* Far beyond the tolerance of the judge, whatever the value is. */
static double
other_value(double value)
{
    return value == 0 || !isfinite(value) ? 1.5 : value * 1.001;
}

static enum weir_err
append_mark(struct weir_promql_arena *arena, struct weir_promql_text *text)
{
    const char *longer = weir_promql_format(arena, "%.*s~", (int)text->size, text->data);
    if (longer == NULL)
        return WEIR_NOMEM;
    *text = (struct weir_promql_text){longer, text->size + 1};
    return WEIR_OK;
}

static void *
copy_of(struct weir_promql_arena *arena, const void *from, size_t size)
{
    void *copy = weir_promql_arena_alloc(arena, size + 1);
    if (copy != NULL && size > 0)
        memcpy(copy, from, size);
    return copy;
}

/* A copy of the series at place of the list, with the list before it; NULL without memory. */
static struct script_series *
copy_series(struct weir_promql_arena *arena, struct script_eval *eval, uint32_t place)
{
    struct script_series **link = &eval->series;
    for (uint32_t i = 0;; i++, link = &(*link)->next) {
        struct script_series *copy = copy_of(arena, *link, sizeof **link);
        if (copy == NULL)
            return NULL;
        *link = copy;
        if (i == place)
            return copy;
    }
}

/* The place of the first series with a plain value, and that of the value; false: none has one. */
static bool
find_value(const struct script_eval *eval, uint32_t *out_series, uint32_t *out_point)
{
    *out_series = 0;
    for (const struct script_series *s = eval->series; s != NULL; s = s->next, (*out_series)++)
        for (*out_point = 0; *out_point < s->count; (*out_point)++)
            if (s->points[*out_point].kind == WEIR_PROMQL_POINT_VALUE)
                return true;
    return false;
}

static enum weir_err
alter_value(struct weir_promql_arena *arena, struct script_eval *eval, bool *out_done)
{
    uint32_t place, point;
    *out_done = true;
    if (eval->expects_scalar) {
        eval->scalar = other_value(eval->scalar);
        return WEIR_OK;
    }
    *out_done = find_value(eval, &place, &point);
    if (!*out_done)
        return WEIR_OK;
    struct script_series *series = copy_series(arena, eval, place);
    if (series == NULL)
        return WEIR_NOMEM;
    series->points = copy_of(arena, series->points, series->count * sizeof *series->points);
    if (series->points == NULL)
        return WEIR_NOMEM;
    series->points[point].value = other_value(series->points[point].value);
    return WEIR_OK;
}

static enum weir_err
alter_label(struct weir_promql_arena *arena, struct script_eval *eval, bool *out_done)
{
    *out_done = eval->series != NULL;
    if (!*out_done)
        return WEIR_OK;
    struct script_series *series = copy_series(arena, eval, 0);
    if (series == NULL)
        return WEIR_NOMEM;
    series->labels =
        copy_of(arena, series->labels, (series->label_count + (size_t)1) * sizeof *series->labels);
    if (series->labels == NULL)
        return WEIR_NOMEM;
    if (series->label_count > 0)
        return append_mark(arena, &series->labels[0].value);
    series->labels[series->label_count++] =
        (struct weir_promql_label){WEIR_PROMQL_TEXT("altered"), WEIR_PROMQL_TEXT("yes")};
    return WEIR_OK;
}

/* A text becomes another one; where any text is expected, one that none has; where none is
 * expected, any is. A bare "expect fail" becomes nothing: the failure surprises. */
static enum weir_err
alter_check(struct weir_promql_arena *arena, struct script_eval *eval, bool *out_done)
{
    const struct script_check *first = eval->checks;
    *out_done = first != NULL && first->kind != SCRIPT_ORDERED;
    if (!*out_done)
        return WEIR_OK;
    struct script_check *check = copy_of(arena, first, sizeof *first);
    if (check == NULL)
        return WEIR_NOMEM;
    eval->checks = check;
    if (check->kind == SCRIPT_FAIL && !check->has_text) {
        eval->checks = check->next;
        return WEIR_OK;
    }
    if (check->kind == SCRIPT_NO_WARN || check->kind == SCRIPT_NO_INFO) {
        check->kind = check->kind == SCRIPT_NO_WARN ? SCRIPT_WARN : SCRIPT_INFO;
        return WEIR_OK;
    }
    check->is_regex = false;
    if (!check->has_text)
        check->text = WEIR_PROMQL_TEXT("");
    check->has_text = true;
    return append_mark(arena, &check->text);
}

static enum weir_err
alter_text(struct weir_promql_arena *arena, struct script_eval *eval, bool *out_done)
{
    if (!eval->expects_string)
        return alter_check(arena, eval, out_done);
    *out_done = true;
    return append_mark(arena, &eval->string);
}

/* Nothing is expected: one series is. */
static enum weir_err
add_series(struct weir_promql_arena *arena, struct script_eval *eval)
{
    struct script_series *series = weir_promql_arena_alloc(arena, sizeof *series);
    struct script_point *point = weir_promql_arena_alloc(arena, sizeof *point);
    if (series == NULL || point == NULL)
        return WEIR_NOMEM;
    *point = (struct script_point){.kind = WEIR_PROMQL_POINT_VALUE, .value = 1};
    *series = (struct script_series){.points = point, .count = 1, .next = eval->series};
    eval->series = series;
    return WEIR_OK;
}

enum weir_err
mutate_eval(struct weir_promql_arena *arena, const struct script_eval *eval, uint64_t number,
    struct script_eval *out)
{
    static enum weir_err (*const alter[])(struct weir_promql_arena *, struct script_eval *,
        bool *) = {alter_value, alter_label, alter_text};
    *out = *eval;
    for (uint64_t i = 0; i < 3; i++) {
        bool done;
        enum weir_err err = alter[(number + i) % 3](arena, out, &done);
        if (err != WEIR_OK || done)
            return err;
    }
    return add_series(arena, out);
}
