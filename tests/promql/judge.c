#include "tests/promql/judge.h"

#include <float.h>
#include <math.h>

#define TOLERANCE 1e-6

bool
judge_expects(const struct script_eval *eval, enum script_check_kind kind)
{
    for (const struct script_check *check = eval->checks; check != NULL; check = check->next)
        if (check->kind == kind)
            return true;
    return false;
}

static bool
is_stale(double value)
{
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits == WEIR_PROMQL_STALE_BITS;
}

bool
judge_almost_equal(double a, double b)
{
    if (is_stale(a) || is_stale(b))
        return is_stale(a) && is_stale(b);
    if ((isnan(a) && isnan(b)) || a == b)
        return true;
    double sum = fabs(a) + fabs(b), difference = fabs(a - b);
    if (a == 0 || b == 0 || sum < DBL_MIN)
        return difference < TOLERANCE * DBL_MIN;
    return difference / fmin(sum, DBL_MAX) < TOLERANCE;
}

/* WEIR_INVALID with the message, which is NULL without memory. */
static enum weir_err
refuse(struct judge *judge, const char *why)
{
    judge->why = why;
    return why == NULL ? WEIR_NOMEM : WEIR_INVALID;
}

static bool
has_labels(const struct script_series *series, const struct weir_promql_labelset *labels)
{
    if (series->label_count != labels->count)
        return false;
    for (uint32_t i = 0; i < labels->count; i++)
        if (!weir_promql_text_equal(series->labels[i].name, labels->labels[i].name) ||
            !weir_promql_text_equal(series->labels[i].value, labels->labels[i].value))
            return false;
    return true;
}

/* The expected series of these labels and its place, from 0; NULL where there is none. The last of
 * equal ones counts. */
static const struct script_series *
find_expected(
    const struct judge *judge, const struct weir_promql_labelset *labels, uint32_t *out_place)
{
    const struct script_series *found = NULL;
    uint32_t place = 0;
    for (const struct script_series *s = judge->eval->series; s != NULL; s = s->next, place++) {
        if (!has_labels(s, labels))
            continue;
        found = s;
        *out_place = place;
    }
    return found;
}

static const char *
text_of(struct judge *judge, const struct weir_promql_labelset *labels)
{
    const char *text = weir_promql_labelset_text(judge->arena, labels);
    return text == NULL ? "(no memory)" : text;
}

static enum weir_err
refuse_series(struct judge *judge, const struct weir_promql_labelset *labels, const char *problem)
{
    return refuse(
        judge, weir_promql_format(judge->arena, "%s: %s", text_of(judge, labels), problem));
}

static enum weir_err
check_value(struct judge *judge, const struct weir_promql_labelset *labels,
    const struct script_point *expected, double got)
{
    if (expected->kind == WEIR_PROMQL_POINT_HISTOGRAM)
        return refuse_series(judge, labels, "a histogram was expected");
    if (judge_almost_equal(expected->value, got))
        return WEIR_OK;
    return refuse(judge,
        weir_promql_format(judge->arena, "%s: expected %.17g, got %.17g", text_of(judge, labels),
            expected->value, got));
}

/* Points that an expected series has: those not omitted. */
static uint32_t
expected_count(const struct script_series *series)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < series->count; i++)
        count += series->points[i].kind != WEIR_PROMQL_POINT_OMITTED;
    return count;
}

/* Place in result of its value at a time; false where it has none. */
static bool
find_point(const struct weir_promql_result *result, const struct weir_promql_grid *grid,
    int64_t at_ms, uint32_t *out)
{
    for (uint32_t i = 0; i < result->count; i++) {
        bool here = result->present == NULL || weir_promql_bit(result->present, i);
        int64_t time_ms =
            result->times_ms == NULL ? weir_promql_grid_time(grid, i) : result->times_ms[i];
        *out = i;
        if (here && time_ms == at_ms)
            return true;
    }
    return false;
}

static uint32_t
point_count(const struct weir_promql_result *result)
{
    uint32_t count = result->present == NULL ? result->count : 0;
    for (uint32_t i = 0; result->present != NULL && i < result->count; i++)
        count += weir_promql_bit(result->present, i);
    return count;
}

static enum weir_err
check_points(struct judge *judge, const struct weir_promql_answer *answer,
    const struct weir_promql_result *result)
{
    const struct script_eval *eval = judge->eval;
    uint32_t place, at;
    const struct script_series *expected = find_expected(judge, result->labels, &place);
    if (expected == NULL)
        return refuse_series(judge, result->labels, "not expected");
    if (expected_count(expected) != point_count(result))
        return refuse(judge,
            weir_promql_format(judge->arena, "%s: expected %u points, got %u",
                text_of(judge, result->labels), expected_count(expected), point_count(result)));
    for (uint32_t i = 0; i < expected->count; i++) {
        int64_t at_ms = eval->points_start_ms + (int64_t)i * eval->points_step_ms;
        if (at_ms > eval->points_end_ms)
            return refuse_series(judge, result->labels, "more points are expected than steps");
        if (expected->points[i].kind == WEIR_PROMQL_POINT_OMITTED)
            continue;
        if (!find_point(result, &answer->grid, at_ms, &at))
            return refuse(judge,
                weir_promql_format(judge->arena, "%s: no point at %lld ms",
                    text_of(judge, result->labels), (long long)at_ms));
        enum weir_err err =
            check_value(judge, result->labels, &expected->points[i], result->values[at]);
        if (err != WEIR_OK)
            return err;
    }
    return WEIR_OK;
}

static bool
in_answer(const struct script_series *series, const struct weir_promql_answer *answer, int64_t step)
{
    for (uint32_t i = 0; i < answer->result_count; i++) {
        const struct weir_promql_result *result = &answer->results[i];
        if (step >= 0 && !weir_promql_bit(result->present, (uint32_t)step))
            continue;
        if (has_labels(series, result->labels))
            return true;
    }
    return false;
}

/* Each expected series is there; at one step unless step is -1. */
static enum weir_err
check_all_there(struct judge *judge, const struct weir_promql_answer *answer, int64_t step)
{
    uint32_t place = 0;
    for (const struct script_series *s = judge->eval->series; s != NULL; s = s->next, place++)
        if (!in_answer(s, answer, step))
            return refuse(judge,
                weir_promql_format(judge->arena, "expected series %u is missing", place + 1));
    return WEIR_OK;
}

static enum weir_err
check_matrix(struct judge *judge, const struct weir_promql_answer *answer)
{
    if (judge_expects(judge->eval, SCRIPT_ORDERED))
        return refuse(judge, "an order was expected of a matrix");
    for (uint32_t i = 0; i < answer->result_count; i++) {
        const struct weir_promql_result *result = &answer->results[i];
        if (i > 0 &&
            weir_promql_labelset_compare(answer->results[i - 1].labels, result->labels) >= 0)
            return refuse_series(judge, result->labels, "out of the order of labels");
        enum weir_err err = check_points(judge, answer, result);
        if (err != WEIR_OK)
            return err;
    }
    return check_all_there(judge, answer, -1);
}

static enum weir_err
check_vector(struct judge *judge, const struct weir_promql_answer *answer, uint32_t step)
{
    uint32_t position = 0, place;
    for (uint32_t i = 0; i < answer->result_count; i++) {
        const struct weir_promql_result *result = &answer->results[i];
        if (!weir_promql_bit(result->present, step))
            continue;
        const struct script_series *expected = find_expected(judge, result->labels, &place);
        if (expected == NULL)
            return refuse_series(judge, result->labels, "not expected");
        if (judge_expects(judge->eval, SCRIPT_ORDERED) && place != position)
            return refuse(judge,
                weir_promql_format(judge->arena, "%s: expected at place %u, is at %u",
                    text_of(judge, result->labels), place + 1, position + 1));
        position++;
        enum weir_err err =
            check_value(judge, result->labels, &expected->points[0], result->values[step]);
        if (err != WEIR_OK)
            return err;
    }
    return check_all_there(judge, answer, step);
}

static enum weir_err
check_scalar(struct judge *judge, double got)
{
    const struct script_eval *eval = judge->eval;
    if (!eval->expects_scalar)
        return refuse(judge, "a vector was expected, got a scalar");
    return judge_almost_equal(eval->scalar, got)
        ? WEIR_OK
        : refuse(judge,
              weir_promql_format(judge->arena, "expected %.17g, got %.17g", eval->scalar, got));
}

static enum weir_err
check_string(struct judge *judge, struct weir_promql_text got)
{
    return weir_promql_text_equal(judge->eval->string, got)
        ? WEIR_OK
        : refuse(judge,
              weir_promql_format(judge->arena, "expected the string \"%.*s\", got \"%.*s\"",
                  (int)judge->eval->string.size, judge->eval->string.data, (int)got.size,
                  got.data));
}

static enum weir_err
check_values(struct judge *judge, const struct weir_promql_answer *answer)
{
    if (answer->type == WEIR_PROMQL_TYPE_SCALAR)
        return check_scalar(judge, answer->scalar);
    if (answer->type == WEIR_PROMQL_TYPE_STRING)
        return check_string(judge, answer->string);
    if (judge->eval->expects_scalar || judge->eval->expects_string)
        return refuse(judge, "a scalar or a string was expected, got series");
    return answer->type == WEIR_PROMQL_TYPE_MATRIX ? check_matrix(judge, answer)
                                                   : check_vector(judge, answer, 0);
}

enum weir_err
judge_step(struct judge *judge, const struct weir_promql_answer *answer, enum weir_promql_type type,
    uint32_t step)
{
    if (type != WEIR_PROMQL_TYPE_SCALAR)
        return check_vector(judge, answer, step);
    if (answer->result_count != 1)
        return refuse(judge, "a scalar over steps is not one series");
    return check_scalar(judge, answer->results[0].values[step]);
}

enum weir_err
judge_answer(struct judge *judge, const struct weir_promql_answer *answer)
{
    enum weir_err err = judge_annotations(judge, answer);
    return err == WEIR_OK ? check_values(judge, answer) : err;
}
