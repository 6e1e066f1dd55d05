#include "controlplane/promql/plan/prepare.h"
#include "controlplane/promql/functions/go_math.h"

static enum weir_err
fail_at(struct weir_promql_query *query, const struct weir_promql_node *node, const char *message)
{
    return weir_promql_fail(query, WEIR_INVALID,
        weir_promql_format(&query->arena, "%d:%d: %s", node->at.start, node->at.end, message));
}

static enum weir_err
apply(struct weir_promql_query *query, const struct weir_promql_node *node, double left,
    double right, double *out)
{
    switch (node->duration.operator) {
    case WEIR_PROMQL_ADD:
        *out = left + right;
        return WEIR_OK;
    case WEIR_PROMQL_SUB:
        *out = left - right;
        return WEIR_OK;
    case WEIR_PROMQL_MUL:
        *out = left * right;
        return WEIR_OK;
    case WEIR_PROMQL_DIV:
        *out = left / right;
        return right == 0 ? fail_at(query, node, "division by zero") : WEIR_OK;
    case WEIR_PROMQL_MOD:
        *out = fmod(left, right);
        return right == 0 ? fail_at(query, node, "modulo by zero") : WEIR_OK;
    case WEIR_PROMQL_POW:
        *out = pow(left, right);
        return WEIR_OK;
    case WEIR_PROMQL_MAX_OF:
        *out = weir_promql_max(left, right);
        return WEIR_OK;
    default:
        *out = weir_promql_min(left, right);
        return WEIR_OK;
    }
}

/* A duration expression in seconds. */
static enum weir_err
seconds(struct weir_promql_query *query, const struct weir_promql_node *node, double *out)
{
    node = weir_promql_unwrapped(node);
    if (node->kind == WEIR_PROMQL_NODE_NUMBER) {
        *out = node->number.value;
        return WEIR_OK;
    }
    if (node->duration.operator == WEIR_PROMQL_STEP) {
        *out = (double)query->request->step_ms / 1000;
        return WEIR_OK;
    }
    if (node->duration.operator == WEIR_PROMQL_RANGE) {
        *out = query->request->step_ms == 0
            ? 0
            : (double)(query->request->end_ms - query->request->start_ms) / 1000;
        return WEIR_OK;
    }
    double left = 0, right;
    enum weir_err err = WEIR_OK;
    if (node->duration.left != NULL)
        err = seconds(query, node->duration.left, &left);
    if (err == WEIR_OK)
        err = seconds(query, node->duration.right, &right);
    return err == WEIR_OK ? apply(query, node, left, right, out) : err;
}

static enum weir_err
resolve(struct weir_promql_query *query, struct weir_promql_length *length, bool positive)
{
    if (length->expression == NULL)
        return WEIR_OK;
    double value;
    enum weir_err err = seconds(query, length->expression, &value);
    if (err != WEIR_OK)
        return err;
    if (positive && value <= 0)
        return fail_at(query, length->expression, "duration must be greater than 0");
    if (!(fabs(value) < 9223372036.0))
        return fail_at(query, length->expression, "duration is out of range");
    length->ns = (int64_t)(value * 1000) * 1000000;
    length->expression = NULL;
    return WEIR_OK;
}

static enum weir_err
resolve_shift(struct weir_promql_query *query, struct weir_promql_shift *shift)
{
    if (shift->edge != WEIR_PROMQL_EOF) {
        shift->at_ms = shift->edge == WEIR_PROMQL_START || query->request->step_ms == 0
            ? query->request->start_ms
            : query->request->end_ms;
        shift->at_set = true;
        shift->edge = WEIR_PROMQL_EOF;
    }
    return resolve(query, &shift->offset, false);
}

static enum weir_err
prepare_call(struct weir_promql_query *query, struct weir_promql_node *node)
{
    node->steady = (node->call.function->flags & WEIR_PROMQL_VARIES) == 0;
    for (uint32_t i = 0; i < node->call.arguments.count; i++) {
        struct weir_promql_node *argument = node->call.arguments.nodes[i];
        enum weir_err err = weir_promql_prepare(query, argument);
        if (err != WEIR_OK)
            return err;
        node->steady &= argument->steady;
    }
    return WEIR_OK;
}

static enum weir_err
prepare_pair(struct weir_promql_query *query, struct weir_promql_node *node,
    struct weir_promql_node *a, struct weir_promql_node *b)
{
    enum weir_err err = weir_promql_prepare(query, a);
    node->steady = a->steady;
    if (err == WEIR_OK && b != NULL) {
        err = weir_promql_prepare(query, b);
        node->steady &= b->steady;
    }
    return err;
}

static enum weir_err
prepare_range(struct weir_promql_query *query, struct weir_promql_node *node)
{
    enum weir_err err;
    if (node->kind == WEIR_PROMQL_NODE_MATRIX) {
        err = weir_promql_prepare(query, node->matrix.vector);
        node->steady = node->matrix.vector->steady;
        return err == WEIR_OK ? resolve(query, &node->matrix.range, true) : err;
    }
    err = weir_promql_prepare(query, node->subquery.inner);
    if (err == WEIR_OK)
        err = resolve_shift(query, &node->subquery.shift);
    if (err == WEIR_OK)
        err = resolve(query, &node->subquery.range, true);
    if (err == WEIR_OK)
        err = resolve(query, &node->subquery.step, true);
    node->steady = node->subquery.shift.at_set;
    return err;
}

enum weir_err
weir_promql_prepare(struct weir_promql_query *query, struct weir_promql_node *node)
{
    enum weir_err err;
    switch (node->kind) {
    case WEIR_PROMQL_NODE_VECTOR:
        err = resolve_shift(query, &node->vector.shift);
        node->steady = node->vector.shift.at_set;
        return err;
    case WEIR_PROMQL_NODE_MATRIX:
    case WEIR_PROMQL_NODE_SUBQUERY:
        return prepare_range(query, node);
    case WEIR_PROMQL_NODE_CALL:
        return prepare_call(query, node);
    case WEIR_PROMQL_NODE_AGGREGATE:
        return prepare_pair(query, node, node->aggregate.inner, node->aggregate.parameter);
    case WEIR_PROMQL_NODE_BINARY:
        return prepare_pair(query, node, node->binary.left, node->binary.right);
    case WEIR_PROMQL_NODE_UNARY:
        return prepare_pair(query, node, node->unary.inner, NULL);
    case WEIR_PROMQL_NODE_PAREN:
        return prepare_pair(query, node, node->paren, NULL);
    default:
        node->steady = true;
        return WEIR_OK;
    }
}
