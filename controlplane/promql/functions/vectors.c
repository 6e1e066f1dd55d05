/* vectors: functions that make a vector of something else: a scalar, or the times of samples. */
#include "controlplane/promql/functions/call.h"
#include "controlplane/promql/scan/instant.h"

enum weir_err
weir_promql_whole_vector(struct weir_promql_call *call, struct weir_promql_sink *sink)
{
    uint32_t steps = call->grid.count;
    struct weir_promql_row row = {.values = weir_promql_doubles_new(call->query, steps),
        .present = weir_promql_bits_new(call->query, steps)};
    if (row.values == NULL || row.present == NULL)
        return WEIR_NOMEM;
    enum weir_err err = weir_promql_labelset_empty(&call->query->sets, &row.labels);
    if (err != WEIR_OK)
        return err;
    memcpy(row.values, call->scalars[0], steps * sizeof *row.values);
    weir_promql_bits_fill(row.present, steps);
    return weir_promql_push(sink, &row);
}

/* Takes the name from rows that pass; stamped: with the time of each step as the value. */
struct name_sink {
    struct weir_promql_sink sink; /* first */
    const struct weir_promql_grid *grid;
    bool stamped;
    struct weir_promql_sink *next;
};

static enum weir_err
push_nameless(struct weir_promql_sink *sink, struct weir_promql_row *row)
{
    struct name_sink *self = (struct name_sink *)sink;
    row->drop_name = true;
    for (uint32_t i = 0; self->stamped && i < self->grid->count; i++)
        row->values[i] = (double)weir_promql_grid_time(self->grid, i) / 1000;
    return weir_promql_push(self->next, row);
}

/* Of a selector: when each sample was taken. Of all else: the time of evaluation. */
enum weir_err
weir_promql_whole_timestamp(struct weir_promql_call *call, struct weir_promql_sink *sink)
{
    const struct weir_promql_node *argument = weir_promql_argument(call, 0);
    struct name_sink names = {
        {push_nameless}, &call->grid, argument->kind != WEIR_PROMQL_NODE_VECTOR, sink};
    if (names.stamped)
        return weir_promql_eval(call->query, argument, &call->grid, &names.sink);
    return weir_promql_instant_eval(
        call->query, argument, &call->grid, WEIR_PROMQL_INSTANT_TIME, &names.sink);
}

/* Only a selector knows since when its counters count. */
enum weir_err
weir_promql_whole_start_timestamp(struct weir_promql_call *call, struct weir_promql_sink *sink)
{
    const struct weir_promql_node *argument = weir_promql_argument(call, 0);
    struct name_sink names = {{push_nameless}, &call->grid, false, sink};
    if (argument->kind != WEIR_PROMQL_NODE_VECTOR)
        return WEIR_OK;
    return weir_promql_instant_eval(
        call->query, argument, &call->grid, WEIR_PROMQL_INSTANT_START, &names.sink);
}
