/* range_trend: lines and curves through a window. */
#include "controlplane/promql/kahan.h"
#include "controlplane/promql/range/each.h"

struct line {
    double slope, intercept;
};

/* Least squares; x is seconds since at_ms. */
static struct line
regression(const int64_t *times_ms, const double *values, uint32_t count, int64_t at_ms)
{
    double n = count, sum_x = 0, lost_x = 0, sum_y = 0, lost_y = 0;
    double sum_xy = 0, lost_xy = 0, sum_xx = 0, lost_xx = 0;
    bool constant = true;
    for (uint32_t i = 0; i < count; i++) {
        constant &= i == 0 || values[i] == values[0];
        double x = (double)(times_ms[i] - at_ms) / 1e3;
        weir_promql_kahan_add(x, &sum_x, &lost_x);
        weir_promql_kahan_add(values[i], &sum_y, &lost_y);
        weir_promql_kahan_add(x * values[i], &sum_xy, &lost_xy);
        weir_promql_kahan_add(x * x, &sum_xx, &lost_xx);
    }
    if (constant)
        return isinf(values[0]) ? (struct line){NAN, NAN} : (struct line){0, values[0]};
    sum_x += lost_x;
    sum_y += lost_y;
    double covariance = sum_xy + lost_xy - sum_x * sum_y / n;
    double variance = sum_xx + lost_xx - sum_x * sum_x / n;
    double slope = covariance / variance;
    return (struct line){slope, sum_y / n - slope * sum_x / n};
}

static double
slope_of(const int64_t *times_ms, const double *values, uint32_t count)
{
    return regression(times_ms, values, count, times_ms[0]).slope;
}

WEIR_PROMQL_RANGE_EACH(deriv, 2, slope_of)

/* The line is followed from the time of evaluation on, whatever @ and offset say. */
enum weir_err
weir_promql_range_predict_linear(struct weir_promql_call *call,
    const struct weir_promql_windows *in, struct weir_promql_row *out)
{
    enum weir_err err = WEIR_OK;
    for (uint32_t step = 0; step < call->grid.count && err == WEIR_OK; step++) {
        uint32_t first = in->first[step], count = in->end[step] - first;
        if (count < 2)
            continue;
        err = weir_promql_work(call->query, count);
        struct line line = regression(in->times_ms + first, in->values + first, count,
            weir_promql_grid_time(&call->grid, step));
        out->values[step] = line.slope * call->scalars[1][step] + line.intercept;
        weir_promql_bit_set(out->present, step);
    }
    return err;
}

/* Holt's linear method: a level and a trend, each smoothed. */
static double
smoothed(const double *values, uint32_t count, double smoothing, double trending)
{
    double before = 0, level = values[0], trend = values[1] - values[0];
    for (uint32_t i = 1; i < count; i++) {
        double x = smoothing * values[i];
        if (i > 1)
            trend = trending * (level - before) + (1 - trending) * trend;
        double y = (1 - smoothing) * (level + trend);
        before = level;
        level = x + y;
    }
    return level;
}

static enum weir_err
check_factor(struct weir_promql_call *call, const char *name, const char *letter, double factor)
{
    if (!(factor <= 0 || factor >= 1))
        return WEIR_OK;
    return weir_promql_fail(call->query, WEIR_INVALID,
        weir_promql_format(&call->query->arena, "invalid %s factor. Expected: 0 < %s < 1, got: %f",
            name, letter, factor));
}

enum weir_err
weir_promql_range_double_exponential_smoothing(struct weir_promql_call *call,
    const struct weir_promql_windows *in, struct weir_promql_row *out)
{
    for (uint32_t step = 0; step < call->grid.count; step++) {
        uint32_t first = in->first[step], count = in->end[step] - first;
        double smoothing = call->scalars[1][step], trending = call->scalars[2][step];
        if (count == 0)
            continue;
        enum weir_err err = weir_promql_work(call->query, count);
        if (err == WEIR_OK)
            err = check_factor(call, "smoothing", "sf", smoothing);
        if (err == WEIR_OK)
            err = check_factor(call, "trend", "tf", trending);
        if (err != WEIR_OK)
            return err;
        if (count < 2)
            continue;
        out->values[step] = smoothed(in->values + first, count, smoothing, trending);
        weir_promql_bit_set(out->present, step);
    }
    return WEIR_OK;
}
