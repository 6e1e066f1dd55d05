/* range_extreme: the largest and smallest of a window. NaN gives way to any number; of equal values
 * the first counts, and their time is that of the last. */
#include "controlplane/promql/range/each.h"

#include <math.h>

/* Of an earlier and a later value the one that counts. Taking the better of two is associative. */
static inline double
larger(double earlier, double later)
{
    return later > earlier || isnan(earlier) ? later : earlier;
}

static inline double
smaller(double earlier, double later)
{
    return later < earlier || isnan(earlier) ? later : earlier;
}

/* A buffer for the samples of the series. */
static double *
buffer(struct weir_promql_call *call, uint32_t count)
{
    if (count > call->scratch_room) {
        call->scratch = weir_promql_doubles_new(call->query, count + count / 2);
        call->scratch_room = call->scratch == NULL ? 0 : count + count / 2;
    }
    return call->scratch;
}

/* A window in two parts: best[i] of the left one is the best from sample i to its end; that of the
 * right one grows at its end. When a window begins beyond the left part, both are joined to a new
 * left part. So each sample is looked at twice, however many windows contain it.
 *
 *   samples   .  .  first ........ middle .......... end
 *                   best[first]  | rightmost
 */
#define EXTREMES(name, better)                                                                     \
    enum weir_err weir_promql_range_##name(struct weir_promql_call *call,                          \
        const struct weir_promql_windows *in, struct weir_promql_row *out)                         \
    {                                                                                              \
        const double *values = in->values;                                                         \
        uint32_t middle = 0, reached = 0;                                                          \
        double right = 0, *best = buffer(call, in->count);                                         \
        if (in->count > 0 && best == NULL)                                                         \
            return WEIR_NOMEM;                                                                     \
        for (uint32_t step = 0; step < call->grid.count; step++) {                                 \
            uint32_t first = in->first[step], end = in->end[step];                                 \
            if (first == end)                                                                      \
                continue;                                                                          \
            if (first >= middle) {                                                                 \
                middle = reached = end;                                                            \
                best[end - 1] = values[end - 1];                                                   \
                for (uint32_t i = end - 1; i > first; i--)                                         \
                    best[i - 1] = better(values[i - 1], best[i]);                                  \
            }                                                                                      \
            if (reached < end && reached == middle)                                                \
                right = values[reached++];                                                         \
            for (; reached < end; reached++)                                                       \
                right = better(right, values[reached]);                                            \
            out->values[step] = reached == middle ? best[first] : better(best[first], right);      \
            weir_promql_bit_set(out->present, step);                                               \
        }                                                                                          \
        return WEIR_OK;                                                                            \
    }

EXTREMES(max_over_time, larger)
EXTREMES(min_over_time, smaller)

static double
time_of_most(const int64_t *times_ms, const double *values, uint32_t count)
{
    uint32_t at = 0;
    for (uint32_t i = 1; i < count; i++)
        if (values[i] >= values[at] || isnan(values[at]))
            at = i;
    return (double)times_ms[at] / 1000;
}

static double
time_of_least(const int64_t *times_ms, const double *values, uint32_t count)
{
    uint32_t at = 0;
    for (uint32_t i = 1; i < count; i++)
        if (values[i] <= values[at] || isnan(values[at]))
            at = i;
    return (double)times_ms[at] / 1000;
}

WEIR_PROMQL_RANGE_EACH(ts_of_max_over_time, 1, time_of_most)
WEIR_PROMQL_RANGE_EACH(ts_of_min_over_time, 1, time_of_least)
