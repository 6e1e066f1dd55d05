#include "controlplane/promql/aggregate/binary.h"
#include "controlplane/promql/aggregate/match.h"
#include "controlplane/promql/aggregate/operate.h"
#include "controlplane/promql/plan/annotations.h"

static bool
compares(const struct weir_promql_node *node)
{
    return weir_promql_operator_kind(node->binary.operator) == WEIR_PROMQL_COMPARISON;
}

enum weir_err
weir_promql_binary_scalar(struct weir_promql_query *query, const struct weir_promql_node *node,
    const struct weir_promql_grid *grid, double *out)
{
    const double *left, *right;
    enum weir_err err = weir_promql_eval_scalar(query, node->binary.left, grid, &left);
    if (err == WEIR_OK)
        err = weir_promql_eval_scalar(query, node->binary.right, grid, &right);
    if (err != WEIR_OK)
        return err;
    if (!compares(node)) {
        weir_promql_operate(node->binary.operator, left, right, out, grid->count);
        return WEIR_OK;
    }
    uint64_t *holds = weir_promql_bits_new(query, grid->count);
    if (holds == NULL)
        return WEIR_NOMEM;
    weir_promql_compare(node->binary.operator, left, right, holds, grid->count);
    for (uint32_t i = 0; i < grid->count; i++)
        out[i] = weir_promql_bit(holds, i);
    return WEIR_OK;
}

/* An operator between each row and a scalar. */
struct scalar_sink {
    struct weir_promql_sink sink; /* first */
    struct weir_promql_query *query;
    const struct weir_promql_node *node;
    const double *scalar;
    bool scalar_first;
    uint64_t *holds;
    uint32_t steps;
    struct weir_promql_sink *next;
};

static void
filter(struct scalar_sink *self, struct weir_promql_row *row)
{
    const double *left = self->scalar_first ? self->scalar : row->values;
    const double *right = self->scalar_first ? row->values : self->scalar;
    weir_promql_compare(self->node->binary.operator, left, right, self->holds, self->steps);
    if (self->node->binary.returns_bool) {
        for (uint32_t i = 0; i < self->steps; i++)
            row->values[i] = weir_promql_bit(self->holds, i);
        row->drop_name = true;
        return;
    }
    for (uint32_t i = 0; i < weir_promql_words(self->steps); i++)
        row->present[i] &= self->holds[i];
}

static enum weir_err
push_operated(struct weir_promql_sink *sink, struct weir_promql_row *row)
{
    struct scalar_sink *self = (struct scalar_sink *)sink;
    if (compares(self->node)) {
        filter(self, row);
    } else {
        const double *left = self->scalar_first ? self->scalar : row->values;
        const double *right = self->scalar_first ? row->values : self->scalar;
        weir_promql_operate(self->node->binary.operator, left, right, row->values, self->steps);
        row->drop_name = true;
    }
    return weir_promql_bits_any(row->present, self->steps) ? weir_promql_push(self->next, row)
                                                           : WEIR_OK;
}

static enum weir_err
eval_with_scalar(struct weir_promql_query *query, const struct weir_promql_node *node,
    const struct weir_promql_grid *grid, struct weir_promql_sink *next)
{
    bool scalar_first = node->binary.left->type == WEIR_PROMQL_TYPE_SCALAR;
    struct scalar_sink sink = {{push_operated}, query, node, NULL, scalar_first,
        weir_promql_bits_new(query, grid->count), grid->count, next};
    if (sink.holds == NULL)
        return WEIR_NOMEM;
    enum weir_err err = weir_promql_eval_scalar(
        query, scalar_first ? node->binary.left : node->binary.right, grid, &sink.scalar);
    return err == WEIR_OK
        ? weir_promql_eval(
              query, scalar_first ? node->binary.right : node->binary.left, grid, &sink.sink)
        : err;
}

/* Trims cut native histograms: of two floats there is nothing left, and an info says so. */
struct trim_sink {
    struct weir_promql_sink sink; /* first */
    bool any;
};

static enum weir_err
note_row(struct weir_promql_sink *sink, struct weir_promql_row *row)
{
    (void)row;
    ((struct trim_sink *)sink)->any = true;
    return WEIR_OK;
}

static enum weir_err
eval_trim(struct weir_promql_query *query, const struct weir_promql_node *node,
    const struct weir_promql_grid *grid)
{
    struct trim_sink left = {{note_row}, false}, right = left;
    enum weir_err err = WEIR_OK;
    left.any = node->binary.left->type == WEIR_PROMQL_TYPE_SCALAR;
    right.any = node->binary.right->type == WEIR_PROMQL_TYPE_SCALAR;
    if (!left.any)
        err = weir_promql_eval(query, node->binary.left, grid, &left.sink);
    if (err == WEIR_OK && !right.any)
        err = weir_promql_eval(query, node->binary.right, grid, &right.sink);
    if (err != WEIR_OK || !left.any || !right.any)
        return err;
    const char *spelling = weir_promql_spelling(node->binary.operator);
    const char *quoted = weir_promql_format(&query->arena, "\"%s\"", spelling);
    if (quoted == NULL)
        return WEIR_NOMEM;
    return weir_promql_annotate(query, WEIR_PROMQL_ANNOTATION_TYPES_IN_BINARY, node->at, quoted,
        "float", spelling, "float");
}

enum weir_err
weir_promql_binary_eval(struct weir_promql_query *query, const struct weir_promql_node *node,
    const struct weir_promql_grid *grid, struct weir_promql_sink *sink)
{
    switch (weir_promql_operator_kind(node->binary.operator)) {
    case WEIR_PROMQL_SET:
        return weir_promql_setop_eval(query, node, grid, sink);
    case WEIR_PROMQL_TRIM:
        return eval_trim(query, node, grid);
    default:
        break;
    }
    if (node->binary.left->type == WEIR_PROMQL_TYPE_VECTOR &&
        node->binary.right->type == WEIR_PROMQL_TYPE_VECTOR)
        return weir_promql_join_eval(query, node, grid, sink);
    return eval_with_scalar(query, node, grid, sink);
}
