/* math: functions of one value. */
#include "controlplane/promql/functions/call.h"
#include "controlplane/promql/functions/go_math.h"

/* A kernel that replaces each value v; steps without one are computed too. */
#define EACH(name, result)                                                                         \
    enum weir_err weir_promql_row_##name(                                                          \
        struct weir_promql_call *call, struct weir_promql_row *row)                                \
    {                                                                                              \
        for (uint32_t i = 0; i < call->grid.count; i++) {                                          \
            double v = row->values[i];                                                             \
            row->values[i] = (result);                                                             \
        }                                                                                          \
        return WEIR_OK;                                                                            \
    }

EACH(abs, fabs(v))
EACH(acos, acos(v))
EACH(acosh, acosh(v))
EACH(asin, asin(v))
EACH(asinh, asinh(v))
EACH(atan, atan(v))
EACH(atanh, atanh(v))
EACH(ceil, ceil(v))
EACH(cos, cos(v))
EACH(cosh, cosh(v))
EACH(deg, v * 180 / M_PI)
EACH(exp, exp(v))
EACH(floor, floor(v))
EACH(ln, log(v))
EACH(log10, log10(v))
EACH(log2, log2(v))
EACH(rad, v * M_PI / 180)
EACH(sgn, v < 0 ? -1 : v > 0 ? 1 : v)
EACH(sin, sin(v))
EACH(sinh, sinh(v))
EACH(sqrt, sqrt(v))
EACH(tan, tan(v))
EACH(tanh, tanh(v))

/* To the nearest multiple, a tie upwards. The inverse is the reference's, to the last bit. */
enum weir_err
weir_promql_row_round(struct weir_promql_call *call, struct weir_promql_row *row)
{
    const double *nearest = call->scalars[1]; /* NULL where it is not given */
    for (uint32_t i = 0; i < call->grid.count; i++) {
        double inverse = nearest == NULL ? 1 : 1 / nearest[i];
        row->values[i] = floor(row->values[i] * inverse + 0.5) / inverse;
    }
    return WEIR_OK;
}

/* One step; a least that is above the most leaves nothing. */
static void
clamp(struct weir_promql_row *row, uint32_t step, double least, double most)
{
    if (most < least)
        weir_promql_bit_clear(row->present, step);
    else
        row->values[step] = weir_promql_max(least, weir_promql_min(most, row->values[step]));
}

enum weir_err
weir_promql_row_clamp(struct weir_promql_call *call, struct weir_promql_row *row)
{
    for (uint32_t i = 0; i < call->grid.count; i++)
        clamp(row, i, call->scalars[1][i], call->scalars[2][i]);
    return WEIR_OK;
}

enum weir_err
weir_promql_row_clamp_max(struct weir_promql_call *call, struct weir_promql_row *row)
{
    for (uint32_t i = 0; i < call->grid.count; i++)
        clamp(row, i, -INFINITY, call->scalars[1][i]);
    return WEIR_OK;
}

enum weir_err
weir_promql_row_clamp_min(struct weir_promql_call *call, struct weir_promql_row *row)
{
    for (uint32_t i = 0; i < call->grid.count; i++)
        clamp(row, i, call->scalars[1][i], INFINITY);
    return WEIR_OK;
}
