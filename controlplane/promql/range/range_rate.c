/* range_rate: rate, increase and delta: the difference over a window, extrapolated to its ends.
 *
 * A series is taken in two passes: one finds ends and difference of each window, one extrapolates,
 * several steps at a time. Places of resets are found once a series; a window adds its own in their
 * order, which gives the bits of a plain loop over the window. */
#include "controlplane/promql/range/counter.h"
#include "controlplane/promql/scan/extend.h"
#include "controlplane/promql/simd.h"

struct kind {
    bool counter, per_second;
};

/* A column each, a number a step. FLOOR: the first value of a counter, -1 of a gauge. */
enum { CHANGE, FLOOR, BACK, AHEAD, SAMPLED, GAPS, COLUMNS };

/* Columns of the steps, and places of the samples that follow a reset. */
struct work {
    double *columns[COLUMNS];
    uint32_t *resets;
    uint32_t reset_count;
};

/* Lays the work out in the call's scratch memory, which grows to the longest series. */
static bool
make_work(struct weir_promql_call *call, uint32_t samples, struct work *work)
{
    uint32_t steps = call->grid.count, need = COLUMNS * steps + samples / 2 + 1;
    if (need > call->scratch_room) {
        call->scratch = weir_promql_doubles_new(call->query, need + samples / 2);
        call->scratch_room = call->scratch == NULL ? 0 : need + samples / 2;
    }
    if (call->scratch == NULL)
        return false;
    for (int i = 0; i < COLUMNS; i++)
        work->columns[i] = call->scratch + (size_t)i * steps;
    work->resets = (uint32_t *)(call->scratch + (size_t)COLUMNS * steps);
    work->reset_count = 0;
    return true;
}

/* Blocks without a fall are compared several values at a time. */
static void
find_resets(const struct weir_promql_windows *in, struct work *work)
{
    enum { BLOCK = 128 };
    for (uint32_t begin = 1; begin < in->count; begin += BLOCK) {
        uint32_t end = in->count - begin < BLOCK ? in->count : begin + BLOCK;
        unsigned any = in->starts_ms != NULL;
        for (uint32_t i = begin; i < end; i++)
            any |= in->values[i] < in->values[i - 1];
        for (uint32_t i = begin; any != 0 && i < end; i++)
            if (weir_promql_is_reset(in, i))
                work->resets[work->reset_count++] = i;
    }
}

/* The counter began within the window, before its first sample: it was 0 then. */
static bool
begins_inside(const struct weir_promql_windows *in, uint32_t first, int64_t begin_ms)
{
    if (in->starts_ms == NULL)
        return false;
    int64_t start_ms = in->starts_ms[first];
    return start_ms != 0 && start_ms > begin_ms && start_ms < in->times_ms[first];
}

/* Ends and difference of each window, and by how much its samples miss its ends. Of an empty window
 * the numbers mean nothing. There is at least one sample. */
static WEIR_PROMQL_BODY void
gather_body(const struct weir_promql_windows *in, const struct work *work, bool counter)
{
    const uint32_t *restrict firsts = in->first, *restrict ends = in->end;
    const int64_t *restrict times_ms = in->times_ms;
    const double *restrict values = in->values;
    double *restrict change = work->columns[CHANGE], *restrict floor = work->columns[FLOOR];
    double *restrict back = work->columns[BACK], *restrict ahead = work->columns[AHEAD];
    double *restrict sampled = work->columns[SAMPLED], *restrict gaps = work->columns[GAPS];
    int64_t end_ms = in->ends.start_ms, step_ms = in->ends.step_ms, range_ms = in->range_ms;
    int32_t most = (int32_t)in->count - 1;
    for (uint32_t i = 0; i < in->ends.count; i++) {
        int32_t first = (int32_t)firsts[i], last = (int32_t)ends[i] - 1;
        int64_t until_ms = end_ms + (int64_t)i * step_ms;
        gaps[i] = last - first;
        first = first > most ? most : first;
        last = last < 0 ? 0 : last;
        change[i] = values[last] - values[first];
        floor[i] = counter ? values[first] : -1;
        back[i] = weir_promql_whole(times_ms[first] - (until_ms - range_ms));
        ahead[i] = weir_promql_whole(until_ms - times_ms[last]);
        sampled[i] = weir_promql_whole(times_ms[last] - times_ms[first]);
    }
}

WEIR_PROMQL_VARIANTS(gather,
    (const struct weir_promql_windows *in, const struct work *work, bool counter),
    (in, work, counter))

/* Adds the increase that resets hid to the windows that contain them. First and last samples of
 * windows rise with the steps. */
static void
add_resets(const struct weir_promql_windows *in, const struct work *work)
{
    uint32_t begin = 0, end = 0, steps = in->ends.count;
    for (uint32_t k = 0; k < work->reset_count; k++) {
        uint32_t at = work->resets[k];
        while (begin < steps && in->end[begin] <= at)
            begin++;
        while (end < steps && in->first[end] < at)
            end++;
        for (uint32_t step = begin; step < end; step++)
            work->columns[CHANGE][step] += in->values[at - 1];
    }
}

/* The difference is stretched to the ends of the window; where a sample more would not fit in
 * between, by half a spacing; and that of a counter no further back than to 0. */
static WEIR_PROMQL_BODY void
extrapolate_body(const struct work *work, uint32_t steps, double range_s, double *restrict out)
{
    const double *restrict change = work->columns[CHANGE], *restrict floor = work->columns[FLOOR];
    const double *restrict back_ms = work->columns[BACK];
    const double *restrict ahead_ms = work->columns[AHEAD];
    const double *restrict sampled_ms = work->columns[SAMPLED];
    const double *restrict gaps = work->columns[GAPS];
    for (uint32_t i = 0; i < steps; i++) {
        double sampled = sampled_ms[i] / 1000, spacing = sampled / gaps[i];
        double back = back_ms[i] / 1000, ahead = ahead_ms[i] / 1000;
        back = back >= spacing * 1.1 ? spacing / 2 : back;
        ahead = ahead >= spacing * 1.1 ? spacing / 2 : ahead;
        double to_zero = sampled * (floor[i] / change[i]);
        to_zero = change[i] > 0 ? to_zero : back;
        to_zero = floor[i] >= 0 ? to_zero : back;
        back = to_zero < back ? to_zero : back;
        out[i] = change[i] * ((sampled + back + ahead) / sampled / range_s);
    }
}

WEIR_PROMQL_VARIANTS(extrapolate,
    (const struct work *work, uint32_t steps, double range_s, double *restrict out),
    (work, steps, range_s, out))

/* Bits of windows with two samples, or one and the start of its counter. */
static void
mark(const struct weir_promql_windows *in, const struct work *work, bool counter,
    uint64_t *present)
{
    const double *gaps = work->columns[GAPS];
    for (uint32_t i = 0; i < in->ends.count; i++)
        present[i / 64] |= (uint64_t)(gaps[i] > 0) << (i % 64);
    for (uint32_t i = 0; counter && in->starts_ms != NULL && i < in->ends.count; i++)
        if (gaps[i] == 0 && begins_inside(in, in->first[i],
                                weir_promql_grid_time(&in->ends, i) - in->range_ms))
            weir_promql_bit_set(present, i);
}

static double
divisor(const struct weir_promql_windows *in, struct kind kind)
{
    return kind.per_second ? (double)in->range_ms / 1000 : 1;
}

/* Windows that begin with their counter: nothing is stretched back, the count goes from 0. */
static void
count_from_starts(const struct weir_promql_windows *in, const struct work *work, struct kind kind,
    struct weir_promql_row *out)
{
    for (uint32_t step = 0; step < in->ends.count; step++) {
        uint32_t first = in->first[step], last = in->end[step] - 1;
        int64_t end_ms = weir_promql_grid_time(&in->ends, step);
        if (in->end[step] == first || !begins_inside(in, first, end_ms - in->range_ms))
            continue;
        double spacing = last == first ? 0 : work->columns[SAMPLED][step] / 1000 / (last - first);
        double sampled = (double)(in->times_ms[last] - in->starts_ms[first]) / 1000;
        double ahead = (double)(end_ms - in->times_ms[last]) / 1000;
        ahead = ahead >= spacing * 1.1 ? spacing / 2 : ahead;
        double change = work->columns[CHANGE][step] + in->values[first];
        out->values[step] = change * ((sampled + ahead) / sampled / divisor(in, kind));
    }
}

/* A sample that began before the one ahead of it was taken: warned of once a series. */
static enum weir_err
report_overlap(struct weir_promql_call *call, const struct weir_promql_windows *in)
{
    struct weir_promql_query *query = call->query;
    uint32_t end = in->end[in->ends.count - 1];
    for (uint32_t i = in->first[0] + 1; i < end; i++) {
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

/* The difference between the values at both ends of window `step`. */
static bool
extended(const struct weir_promql_windows *in, struct kind kind, uint32_t step, double *out)
{
    uint32_t count = in->end[step] - in->first[step];
    const int64_t *times_ms = in->times_ms + in->first[step];
    const double *values = in->values + in->first[step];
    int64_t end_ms = weir_promql_grid_time(&in->ends, step), begin_ms = end_ms - in->range_ms;
    struct weir_promql_extended ends;
    if (count == 0 ||
        !weir_promql_ends(
            times_ms, values, count, begin_ms, end_ms, in->smoothed, kind.counter, &ends))
        return false;
    *out = ends.right - ends.left;
    double before = ends.left, hidden = 0;
    uint32_t first = ends.first + (times_ms[ends.first] <= begin_ms);
    uint32_t after = ends.last + (times_ms[ends.last] < end_ms);
    for (uint32_t i = first; kind.counter && i < after; i++) {
        hidden += values[i] < before ? before : 0;
        before = values[i];
    }
    if (kind.counter)
        *out += hidden + (ends.right < before ? before : 0);
    *out /= divisor(in, kind);
    return true;
}

static enum weir_err
evaluate(struct weir_promql_call *call, const struct weir_promql_windows *in, struct kind kind,
    struct weir_promql_row *out)
{
    struct work work;
    if (in->anchored || in->smoothed) {
        for (uint32_t step = 0; step < call->grid.count; step++)
            if (extended(in, kind, step, &out->values[step]))
                weir_promql_bit_set(out->present, step);
        return WEIR_OK;
    }
    if (in->count == 0)
        return WEIR_OK;
    if (!make_work(call, in->count, &work))
        return WEIR_NOMEM;
    gather(in, &work, kind.counter);
    if (kind.counter) {
        find_resets(in, &work);
        add_resets(in, &work);
    }
    extrapolate(&work, call->grid.count, divisor(in, kind), out->values);
    mark(in, &work, kind.counter, out->present);
    if (!kind.counter || in->starts_ms == NULL)
        return WEIR_OK;
    count_from_starts(in, &work, kind, out);
    return report_overlap(call, in);
}

enum weir_err
weir_promql_range_rate(struct weir_promql_call *call, const struct weir_promql_windows *in,
    struct weir_promql_row *out)
{
    return evaluate(call, in, (struct kind){true, true}, out);
}

enum weir_err
weir_promql_range_increase(struct weir_promql_call *call, const struct weir_promql_windows *in,
    struct weir_promql_row *out)
{
    return evaluate(call, in, (struct kind){true, false}, out);
}

enum weir_err
weir_promql_range_delta(struct weir_promql_call *call, const struct weir_promql_windows *in,
    struct weir_promql_row *out)
{
    return evaluate(call, in, (struct kind){false, false}, out);
}
