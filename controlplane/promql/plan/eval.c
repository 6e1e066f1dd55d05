#include "controlplane/promql/plan/eval.h"
#include "controlplane/promql/aggregate/aggregate.h"
#include "controlplane/promql/aggregate/binary.h"
#include "controlplane/promql/functions/call.h"
#include "controlplane/promql/scan/instant.h"

/* Repeats a row of one step over all steps of a grid. */
struct repeat_sink {
    struct weir_promql_sink sink; /* first */
    uint32_t steps;
    double *values;
    uint64_t *present;
    struct weir_promql_sink *next;
};

static enum weir_err
push_repeated(struct weir_promql_sink *sink, struct weir_promql_row *row)
{
    struct repeat_sink *self = (struct repeat_sink *)sink;
    if (!weir_promql_bit(row->present, 0))
        return WEIR_OK;
    struct weir_promql_row repeated = {row->labels, row->drop_name, self->values, self->present};
    for (uint32_t i = 0; i < self->steps; i++)
        self->values[i] = row->values[0];
    weir_promql_bits_fill(self->present, self->steps);
    return weir_promql_push(self->next, &repeated);
}

/* A negated row. */
struct negate_sink {
    struct weir_promql_sink sink; /* first */
    uint32_t steps;
    struct weir_promql_sink *next;
};

static enum weir_err
push_negated(struct weir_promql_sink *sink, struct weir_promql_row *row)
{
    struct negate_sink *self = (struct negate_sink *)sink;
    for (uint32_t i = 0; i < self->steps; i++)
        row->values[i] = -row->values[i];
    row->drop_name = true;
    return weir_promql_push(self->next, row);
}

static enum weir_err
eval_unary(struct weir_promql_query *query, const struct weir_promql_node *node,
    const struct weir_promql_grid *grid, struct weir_promql_sink *sink)
{
    struct negate_sink negate = {{push_negated}, grid->count, sink};
    return weir_promql_eval(query, node->unary.inner, grid,
        node->unary.operator == WEIR_PROMQL_SUB ? &negate.sink : sink);
}

static enum weir_err
eval_each_step(struct weir_promql_query *query, const struct weir_promql_node *node,
    const struct weir_promql_grid *grid, struct weir_promql_sink *sink)
{
    switch (node->kind) {
    case WEIR_PROMQL_NODE_VECTOR:
        return weir_promql_instant_eval(query, node, grid, WEIR_PROMQL_INSTANT_VALUE, sink);
    case WEIR_PROMQL_NODE_CALL:
        return weir_promql_call_eval(query, node, grid, sink);
    case WEIR_PROMQL_NODE_AGGREGATE:
        return weir_promql_aggregate_eval(query, node, grid, sink);
    case WEIR_PROMQL_NODE_BINARY:
        return weir_promql_binary_eval(query, node, grid, sink);
    default:
        return eval_unary(query, node, grid, sink);
    }
}

enum weir_err
weir_promql_eval(struct weir_promql_query *query, const struct weir_promql_node *node,
    const struct weir_promql_grid *grid, struct weir_promql_sink *sink)
{
    node = weir_promql_unwrapped(node);
    if (!node->steady || grid->count < 2)
        return grid->count == 0 ? WEIR_OK : eval_each_step(query, node, grid, sink);
    struct weir_promql_grid once = {grid->start_ms, grid->step_ms, 1};
    struct repeat_sink repeat = {{push_repeated}, grid->count,
        weir_promql_doubles_new(query, grid->count), weir_promql_bits_new(query, grid->count),
        sink};
    if (repeat.values == NULL || repeat.present == NULL)
        return WEIR_NOMEM;
    return eval_each_step(query, node, &once, &repeat.sink);
}

static enum weir_err
scalar(struct weir_promql_query *query, const struct weir_promql_node *node,
    const struct weir_promql_grid *grid, double *out)
{
    enum weir_err err;
    const double *inner;
    switch (node->kind) {
    case WEIR_PROMQL_NODE_NUMBER:
        for (uint32_t i = 0; i < grid->count; i++)
            out[i] = node->number.value;
        return WEIR_OK;
    case WEIR_PROMQL_NODE_UNARY:
        err = weir_promql_eval_scalar(query, node->unary.inner, grid, &inner);
        for (uint32_t i = 0; i < grid->count && err == WEIR_OK; i++)
            out[i] = node->unary.operator == WEIR_PROMQL_SUB ? -inner[i] : inner[i];
        return err;
    case WEIR_PROMQL_NODE_BINARY:
        return weir_promql_binary_scalar(query, node, grid, out);
    default:
        return weir_promql_call_scalar(query, node, grid, out);
    }
}

enum weir_err
weir_promql_eval_scalar(struct weir_promql_query *query, const struct weir_promql_node *node,
    const struct weir_promql_grid *grid, const double **out)
{
    node = weir_promql_unwrapped(node);
    double *values = weir_promql_doubles_new(query, grid->count);
    if (values == NULL)
        return WEIR_NOMEM;
    *out = values;
    if (!node->steady || grid->count < 2)
        return scalar(query, node, grid, values);
    struct weir_promql_grid once = {grid->start_ms, grid->step_ms, 1};
    enum weir_err err = scalar(query, node, &once, values);
    for (uint32_t i = 1; i < grid->count; i++)
        values[i] = values[0];
    return err;
}
