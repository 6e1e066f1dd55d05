/* Types and the rules that the grammar does not hold; only for a text without syntax errors. */
#include "controlplane/promql/parse/parser.h"

#include <string.h>

static enum weir_promql_type check(struct weir_promql_parser *parser,
    struct weir_promql_node *node);

/* printf-like errors at a node; NULL pieces mean that memory ran out. */
#define REPORT(parser, at, ...) \
    weir_promql_error(parser, at, weir_promql_format((parser)->arena, __VA_ARGS__))

static void
expect_type(struct weir_promql_parser *parser, struct weir_promql_node *node,
    enum weir_promql_type wanted, const char *context)
{
    enum weir_promql_type type = check(parser, node);
    if (type != wanted)
        REPORT(parser, node->at, "expected type %s in %s, got %s", weir_promql_type_text(wanted),
            context, weir_promql_type_text(type));
}

static void
check_aggregate(struct weir_promql_parser *parser, struct weir_promql_node *node)
{
    enum weir_promql_type type = weir_promql_parameter_type(node->aggregate.operator);
    expect_type(parser, node->aggregate.inner, WEIR_PROMQL_TYPE_VECTOR, "aggregation expression");
    if (type != WEIR_PROMQL_TYPE_NONE)
        expect_type(parser, node->aggregate.parameter, type, "aggregation parameter");
}

/* Place of the operator and its modifiers; the end is the last byte, as the reference has it. */
static struct weir_promql_range
operator_range(const struct weir_promql_parser *parser, const struct weir_promql_node *node)
{
    struct weir_promql_range at = {node->binary.left->at.end, node->binary.right->at.start - 1};
    const char *text = parser->lexer.text;
    int32_t size = (int32_t)parser->lexer.size;
    while (at.start >= 0 && at.start < size && text[at.start] != '\0'
        && strchr(" \t\r\n", text[at.start]) != NULL)
        at.start++;
    while (at.end > 0 && at.end < size && text[at.end] != '\0'
        && strchr(" \t\r\n", text[at.end]) != NULL)
        at.end--;
    return at;
}

static void
check_labels(struct weir_promql_parser *parser, const struct weir_promql_node *node)
{
    const struct weir_promql_matching *matching = node->binary.matching;
    for (uint32_t i = 0; matching->on && i < matching->labels.count; i++)
        for (uint32_t k = 0; k < matching->include.count; k++)
            if (weir_promql_text_equal(matching->labels.names[i], matching->include.names[k])) {
                const char *name = weir_promql_quoted(parser->arena, matching->labels.names[i]);
                weir_promql_error(parser, operator_range(parser, node), name == NULL ? NULL
                    : weir_promql_format(parser->arena,
                          "label %s must not occur in ON and GROUP clause at once", name));
            }
}

static void
check_operand(struct weir_promql_parser *parser, const struct weir_promql_node *node,
    enum weir_promql_type type)
{
    if (type != WEIR_PROMQL_TYPE_SCALAR && type != WEIR_PROMQL_TYPE_VECTOR)
        weir_promql_error(parser, node->at,
            "binary expression must contain only scalar and instant vector types");
}

static void
check_matching(struct weir_promql_parser *parser, struct weir_promql_node *node, bool vectors,
    bool set)
{
    const struct weir_promql_matching *matching = node->binary.matching;
    bool fills = matching->fills_left || matching->fills_right;
    if (!vectors) {
        if (matching->labels.count > 0)
            weir_promql_error(parser, node->at,
                "vector matching only allowed between instant vectors");
        if (fills)
            weir_promql_error(parser, node->at,
                "filling in missing series only allowed between instant vectors");
        node->binary.matching = NULL;
        return;
    }
    if (!set)
        return;
    if (matching->cardinality != WEIR_PROMQL_MANY_TO_MANY) {
        REPORT(parser, node->at, "no grouping allowed for \"%s\" operation",
            weir_promql_spelling(node->binary.operator));
        weir_promql_error(parser, node->at, "set operations must always be many-to-many");
    }
    if (fills)
        weir_promql_error(parser, node->at,
            "filling in missing series not allowed for set operators");
}

static void
check_binary(struct weir_promql_parser *parser, struct weir_promql_node *node)
{
    enum weir_promql_type left = check(parser, node->binary.left);
    enum weir_promql_type right = check(parser, node->binary.right);
    enum weir_promql_operator_kind kind = weir_promql_operator_kind(node->binary.operator);
    bool vectors = left == WEIR_PROMQL_TYPE_VECTOR && right == WEIR_PROMQL_TYPE_VECTOR;
    bool set = kind == WEIR_PROMQL_SET;
    if (node->binary.returns_bool && kind != WEIR_PROMQL_COMPARISON)
        weir_promql_error(parser, operator_range(parser, node),
            "bool modifier can only be used on comparison operators");
    if (kind == WEIR_PROMQL_COMPARISON && !node->binary.returns_bool
        && left == WEIR_PROMQL_TYPE_SCALAR && right == WEIR_PROMQL_TYPE_SCALAR)
        weir_promql_error(parser, operator_range(parser, node),
            "comparisons between scalars must use BOOL modifier");
    if (set && node->binary.matching->cardinality == WEIR_PROMQL_ONE_TO_ONE)
        node->binary.matching->cardinality = WEIR_PROMQL_MANY_TO_MANY;
    check_labels(parser, node);
    check_operand(parser, node->binary.left, left);
    check_operand(parser, node->binary.right, right);
    check_matching(parser, node, vectors, set);
    if ((left == WEIR_PROMQL_TYPE_SCALAR || right == WEIR_PROMQL_TYPE_SCALAR) && set)
        REPORT(parser, node->at, "set operator \"%s\" not allowed in binary scalar expression",
            weir_promql_spelling(node->binary.operator));
}

static void
check_count(struct weir_promql_parser *parser, const struct weir_promql_node *node)
{
    const struct weir_promql_function *function = node->call.function;
    int given = (int)node->call.arguments.count, listed = (int)strlen(function->arguments);
    if (function->optional == 0) {
        if (given != listed)
            REPORT(parser, node->at, "expected %d argument(s) in call to \"%s\", got %d", listed,
                function->name, given);
    } else if (given < listed - 1) {
        REPORT(parser, node->at, "expected at least %d argument(s) in call to \"%s\", got %d",
            listed - 1, function->name, given);
    } else if (function->optional > 0 && given > listed - 1 + function->optional) {
        REPORT(parser, node->at, "expected at most %d argument(s) in call to \"%s\", got %d",
            listed - 1 + function->optional, function->name, given);
    }
}

/* The second argument of info is matchers alone, which may match everything. */
static void
check_info(struct weir_promql_parser *parser, struct weir_promql_node *node)
{
    if (node->call.arguments.count < 2)
        return;
    struct weir_promql_node *second = node->call.arguments.nodes[1];
    if (second->type != WEIR_PROMQL_TYPE_VECTOR)
        REPORT(parser, node->at,
            "expected type instant vector in call to function \"info\", got %s",
            weir_promql_type_text(second->type));
    if (second->kind != WEIR_PROMQL_NODE_VECTOR)
        weir_promql_error(parser, second->at, "expected label selectors only");
    else if (second->vector.name.size > 0)
        weir_promql_error(parser, second->at,
            "expected label selectors only, got vector selector instead");
    else
        second->vector.may_match_all = true;
}

static void
check_call(struct weir_promql_parser *parser, struct weir_promql_node *node)
{
    const struct weir_promql_function *function = node->call.function;
    uint32_t listed = (uint32_t)strlen(function->arguments);
    check_count(parser, node);
    if (strcmp(function->name, "info") == 0)
        check_info(parser, node);
    for (uint32_t i = 0; i < node->call.arguments.count; i++) {
        if (i >= listed && (function->optional == 0 || listed == 0))
            break;
        struct weir_promql_node *argument = node->call.arguments.nodes[i];
        enum weir_promql_type wanted = weir_promql_argument_type(function, i);
        enum weir_promql_type type = check(parser, argument);
        if (type != wanted)
            REPORT(parser, argument->at, "expected type %s in call to function \"%s\", got %s",
                weir_promql_type_text(wanted), function->name, weir_promql_type_text(type));
    }
}

static void
check_vector(struct weir_promql_parser *parser, const struct weir_promql_node *node)
{
    if (node->vector.name.size > 0) {
        for (uint32_t i = 0; i + 1 < node->vector.count; i++) {
            const struct weir_promql_matcher *matcher = &node->vector.matchers[i];
            if (!weir_promql_text_is(matcher->label, "__name__"))
                continue;
            const char *name = weir_promql_quoted(parser->arena, node->vector.name);
            const char *again = weir_promql_quoted(parser->arena, matcher->value);
            weir_promql_error(parser, node->at, name == NULL || again == NULL ? NULL
                : weir_promql_format(parser->arena, "metric name must not be set twice: %s or %s",
                      name, again));
        }
        return;
    }
    bool narrows = node->vector.may_match_all;
    for (uint32_t i = 0; i < node->vector.count; i++)
        narrows |= !node->vector.matchers[i].matches_empty;
    if (!narrows)
        weir_promql_error(parser, node->at,
            "vector selector must contain at least one non-empty matcher");
}

static enum weir_promql_type
check(struct weir_promql_parser *parser, struct weir_promql_node *node)
{
    enum weir_promql_type type;
    switch (node->kind) {
    case WEIR_PROMQL_NODE_AGGREGATE:
        check_aggregate(parser, node);
        break;
    case WEIR_PROMQL_NODE_BINARY:
        check_binary(parser, node);
        break;
    case WEIR_PROMQL_NODE_CALL:
        check_call(parser, node);
        break;
    case WEIR_PROMQL_NODE_PAREN:
        (void)check(parser, node->paren);
        break;
    case WEIR_PROMQL_NODE_UNARY:
        type = check(parser, node->unary.inner);
        if (type != WEIR_PROMQL_TYPE_SCALAR && type != WEIR_PROMQL_TYPE_VECTOR)
            REPORT(parser, node->at, "unary expression only allowed on expressions of type scalar "
                                     "or instant vector, got \"%s\"",
                weir_promql_type_text(type));
        break;
    case WEIR_PROMQL_NODE_SUBQUERY:
        type = check(parser, node->subquery.inner);
        if (type != WEIR_PROMQL_TYPE_VECTOR)
            REPORT(parser, node->at, "subquery is only allowed on instant vector, got %s instead",
                weir_promql_type_name(type));
        break;
    case WEIR_PROMQL_NODE_MATRIX:
        (void)check(parser, node->matrix.vector);
        break;
    case WEIR_PROMQL_NODE_VECTOR:
        check_vector(parser, node);
        break;
    case WEIR_PROMQL_NODE_NUMBER:
    case WEIR_PROMQL_NODE_STRING:
    case WEIR_PROMQL_NODE_DURATION:
        break;
    }
    return node->type;
}

void
weir_promql_check(struct weir_promql_parser *parser, struct weir_promql_node *root)
{
    (void)check(parser, root);
}
