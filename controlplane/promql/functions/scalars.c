/* scalars: functions whose value is a scalar. */
#include "controlplane/promql/functions/call.h"
#include "controlplane/promql/functions/go_math.h"

static enum weir_err
fill(const struct weir_promql_call *call, double *out, double value)
{
    for (uint32_t i = 0; i < call->grid.count; i++)
        out[i] = value;
    return WEIR_OK;
}

enum weir_err
weir_promql_scalar_time(struct weir_promql_call *call, double *out)
{
    for (uint32_t i = 0; i < call->grid.count; i++)
        out[i] = (double)weir_promql_grid_time(&call->grid, i) / 1000;
    return WEIR_OK;
}

enum weir_err
weir_promql_scalar_pi(struct weir_promql_call *call, double *out)
{
    return fill(call, out, M_PI);
}

enum weir_err
weir_promql_scalar_start(struct weir_promql_call *call, double *out)
{
    return fill(call, out, (double)call->query->request->start_ms / 1000);
}

/* An instant query ends where it starts. */
static int64_t
end_ms(const struct weir_promql_request *request)
{
    return request->step_ms == 0 ? request->start_ms : request->end_ms;
}

enum weir_err
weir_promql_scalar_end(struct weir_promql_call *call, double *out)
{
    return fill(call, out, (double)end_ms(call->query->request) / 1000);
}

enum weir_err
weir_promql_scalar_step(struct weir_promql_call *call, double *out)
{
    return fill(call, out, (double)call->query->request->step_ms / 1000);
}

enum weir_err
weir_promql_scalar_range(struct weir_promql_call *call, double *out)
{
    const struct weir_promql_request *request = call->query->request;
    return fill(call, out, (double)(end_ms(request) - request->start_ms) / 1000);
}

/* As Go's Max and Min: an infinity of that end wins over NaN, NaN over all else. */
enum weir_err
weir_promql_scalar_max_of(struct weir_promql_call *call, double *out)
{
    for (uint32_t i = 0; i < call->grid.count; i++)
        out[i] = weir_promql_max(call->scalars[0][i], call->scalars[1][i]);
    return WEIR_OK;
}

enum weir_err
weir_promql_scalar_min_of(struct weir_promql_call *call, double *out)
{
    for (uint32_t i = 0; i < call->grid.count; i++)
        out[i] = weir_promql_min(call->scalars[0][i], call->scalars[1][i]);
    return WEIR_OK;
}

/* The value of the only series at a step; NaN where there are more or none. */
struct only_sink {
    struct weir_promql_sink sink; /* first */
    double *out;
    uint64_t *seen;
    uint32_t steps;
};

static enum weir_err
push_only(struct weir_promql_sink *sink, struct weir_promql_row *row)
{
    struct only_sink *self = (struct only_sink *)sink;
    for (uint32_t i = 0; i < self->steps; i++)
        if (weir_promql_bit(row->present, i))
            self->out[i] = weir_promql_bit(self->seen, i) ? NAN : row->values[i];
    for (uint32_t i = 0; i < weir_promql_words(self->steps); i++)
        self->seen[i] |= row->present[i];
    return WEIR_OK;
}

enum weir_err
weir_promql_scalar_scalar(struct weir_promql_call *call, double *out)
{
    struct only_sink sink = {.sink = {push_only},
        .out = out,
        .seen = weir_promql_bits_new(call->query, call->grid.count),
        .steps = call->grid.count};
    if (sink.seen == NULL)
        return WEIR_NOMEM;
    (void)fill(call, out, NAN);
    return weir_promql_eval(call->query, weir_promql_argument(call, 0), &call->grid, &sink.sink);
}
