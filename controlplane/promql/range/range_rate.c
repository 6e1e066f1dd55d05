/* range_rate: rate, increase and delta: the difference over a window, extrapolated to its ends. */
#include "controlplane/promql/range/counter.h"
#include "controlplane/promql/scan/extend.h"

struct kind {
    bool counter, per_second;
};

/* One window of at least one sample. */
struct window {
    const struct weir_promql_windows *in;
    uint32_t first, last;
    int64_t begin_ms, end_ms;
};

/* The difference, with what each reset hid. */
static double
difference(const struct window *window, bool counter)
{
    const double *values = window->in->values;
    double out = values[window->last] - values[window->first];
    for (uint32_t i = window->first + 1; counter && i <= window->last; i++)
        if (weir_promql_is_reset(window->in, i))
            out += values[i - 1];
    return out;
}

/* Whether the counter began within the window, before its first sample: it was 0 then. */
static bool
begins_inside(const struct window *window)
{
    if (window->in->starts_ms == NULL)
        return false;
    int64_t start_ms = window->in->starts_ms[window->first];
    return start_ms != 0 && start_ms > window->begin_ms &&
        start_ms < window->in->times_ms[window->first];
}

/* Seconds before the first sample that the difference is stretched by: to the window's begin where
 * a sample more would not fit in, else half a spacing; a counter not below 0. */
static double
reach_back(const struct window *window, bool counter, double change, double sampled, double spacing)
{
    double first = window->in->values[window->first];
    double out = (double)(window->in->times_ms[window->first] - window->begin_ms) / 1000;
    if (out >= spacing * 1.1)
        out = spacing / 2;
    if (counter && change > 0 && first >= 0) {
        double to_zero = sampled * (first / change);
        if (to_zero < out)
            out = to_zero;
    }
    return out;
}

/* False where the window does not say. */
static bool
extrapolated(const struct window *window, struct kind kind, double *out)
{
    const int64_t *times_ms = window->in->times_ms;
    uint32_t gaps = window->last - window->first;
    bool from_start = kind.counter && begins_inside(window);
    if (gaps == 0 && !from_start)
        return false;
    double change = difference(window, kind.counter), back = 0;
    double sampled = (double)(times_ms[window->last] - times_ms[window->first]) / 1000;
    double ahead = (double)(window->end_ms - times_ms[window->last]) / 1000;
    double spacing = gaps == 0 ? 0 : sampled / gaps;
    if (from_start) {
        int64_t start_ms = window->in->starts_ms[window->first];
        sampled = (double)(times_ms[window->last] - start_ms) / 1000;
        change += window->in->values[window->first];
    } else {
        back = reach_back(window, kind.counter, change, sampled, spacing);
    }
    if (ahead >= spacing * 1.1)
        ahead = spacing / 2;
    double factor = sampled == 0 ? 1 : (sampled + back + ahead) / sampled;
    if (kind.per_second)
        factor /= (double)window->in->range_ms / 1000;
    *out = change * factor;
    return true;
}

/* The difference between the values at both ends, which anchored and smoothed ranges have. */
static bool
extended(const struct window *window, struct kind kind, double *out)
{
    const int64_t *times_ms = window->in->times_ms + window->first;
    const double *values = window->in->values + window->first;
    struct weir_promql_extended ends;
    if (!weir_promql_ends(times_ms, values, window->last - window->first + 1, window->begin_ms,
            window->end_ms, window->in->smoothed, kind.counter, &ends))
        return false;
    *out = ends.right - ends.left;
    double before = ends.left, hidden = 0;
    uint32_t first = ends.first + (times_ms[ends.first] <= window->begin_ms);
    uint32_t after = ends.last + (times_ms[ends.last] < window->end_ms);
    for (uint32_t i = first; kind.counter && i < after; i++) {
        hidden += values[i] < before ? before : 0;
        before = values[i];
    }
    if (kind.counter)
        *out += hidden + (ends.right < before ? before : 0);
    if (kind.per_second)
        *out /= (double)window->in->range_ms / 1000;
    return true;
}

/* A sample that began before the one ahead of it was taken: warned of once a series. */
static enum weir_err
report_overlap(struct weir_promql_call *call, const struct weir_promql_windows *in, uint32_t first,
    uint32_t end)
{
    struct weir_promql_query *query = call->query;
    for (uint32_t i = first + 1; i < end; i++) {
        int64_t start_ms = in->starts_ms[i];
        if (start_ms == 0 || start_ms >= in->times_ms[i - 1] || start_ms == in->starts_ms[i - 1])
            continue;
        const char *name = weir_promql_quoted(
            &query->arena, weir_promql_labelset_get(in->labels, WEIR_PROMQL_NAME));
        return name == NULL ? WEIR_NOMEM
                            : weir_promql_annotate(query, WEIR_PROMQL_ANNOTATION_START_OVERLAP,
                                  weir_promql_argument(call, 0)->at, name);
    }
    return WEIR_OK;
}

static enum weir_err
each_window(struct weir_promql_call *call, const struct weir_promql_windows *in, struct kind kind,
    struct weir_promql_row *out)
{
    bool extends = in->anchored || in->smoothed;
    for (uint32_t step = 0; step < call->grid.count; step++) {
        if (in->first[step] == in->end[step])
            continue;
        int64_t end_ms = weir_promql_grid_time(&in->ends, step);
        struct window window = {
            in, in->first[step], in->end[step] - 1, end_ms - in->range_ms, end_ms};
        if (extends ? extended(&window, kind, &out->values[step])
                    : extrapolated(&window, kind, &out->values[step]))
            weir_promql_bit_set(out->present, step);
    }
    if (!kind.counter || extends || in->starts_ms == NULL || in->count == 0)
        return WEIR_OK;
    return report_overlap(call, in, in->first[0], in->end[call->grid.count - 1]);
}

enum weir_err
weir_promql_range_rate(struct weir_promql_call *call, const struct weir_promql_windows *in,
    struct weir_promql_row *out)
{
    return each_window(call, in, (struct kind){true, true}, out);
}

enum weir_err
weir_promql_range_increase(struct weir_promql_call *call, const struct weir_promql_windows *in,
    struct weir_promql_row *out)
{
    return each_window(call, in, (struct kind){true, false}, out);
}

enum weir_err
weir_promql_range_delta(struct weir_promql_call *call, const struct weir_promql_windows *in,
    struct weir_promql_row *out)
{
    return each_window(call, in, (struct kind){false, false}, out);
}
