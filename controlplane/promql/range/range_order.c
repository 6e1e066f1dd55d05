/* range_order: quantiles of a window. */
#include "controlplane/promql/aggregate/keep.h"
#include "controlplane/promql/functions/call.h"

#include <math.h>

/* A buffer for the largest window of the series. */
static double *
buffer(struct weir_promql_call *call, const struct weir_promql_windows *in)
{
    uint32_t most = 0;
    for (uint32_t i = 0; i < call->grid.count; i++)
        if (in->end[i] - in->first[i] > most)
            most = in->end[i] - in->first[i];
    if (most > call->scratch_room) {
        call->scratch = weir_promql_doubles_new(call->query, most * 2);
        call->scratch_room = call->scratch == NULL ? 0 : most * 2;
    }
    return call->scratch;
}

enum weir_err
weir_promql_range_quantile_over_time(struct weir_promql_call *call,
    const struct weir_promql_windows *in, struct weir_promql_row *out)
{
    double *values = buffer(call, in);
    enum weir_err err = WEIR_OK;
    for (uint32_t step = 0; step < call->grid.count && err == WEIR_OK; step++) {
        uint32_t count = in->end[step] - in->first[step];
        double q = call->scalars[0][step];
        if (count == 0)
            continue;
        if (values == NULL)
            return WEIR_NOMEM;
        err = weir_promql_work(call->query, count);
        if (err == WEIR_OK && !(q >= 0 && q <= 1))
            err = weir_promql_quantile_check(
                call->query, weir_promql_argument(call, 0), &call->scalars[0][step], 1);
        memcpy(values, in->values + in->first[step], count * sizeof *values);
        out->values[step] = weir_promql_quantile(q, values, count);
        weir_promql_bit_set(out->present, step);
    }
    return err;
}

static bool
has_nan(const double *values, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        if (isnan(values[i]))
            return true;
    return false;
}

/* The median of the distances from the median; NaN where a value is. */
enum weir_err
weir_promql_range_mad_over_time(struct weir_promql_call *call, const struct weir_promql_windows *in,
    struct weir_promql_row *out)
{
    double *values = buffer(call, in);
    enum weir_err err = WEIR_OK;
    for (uint32_t step = 0; step < call->grid.count && err == WEIR_OK; step++) {
        uint32_t count = in->end[step] - in->first[step];
        if (count == 0)
            continue;
        if (values == NULL)
            return WEIR_NOMEM;
        err = weir_promql_work(call->query, count);
        memcpy(values, in->values + in->first[step], count * sizeof *values);
        if (has_nan(values, count)) {
            out->values[step] = NAN;
        } else {
            double median = weir_promql_quantile(0.5, values, count);
            for (uint32_t i = 0; i < count; i++)
                values[i] = fabs(values[i] - median);
            out->values[step] = weir_promql_quantile(0.5, values, count);
        }
        weir_promql_bit_set(out->present, step);
    }
    return err;
}
