#include "controlplane/api/ast_json.h"

#include "base/double_text.h"

#include <inttypes.h>
#include <string.h>

#define NS_PER_MS 1000000

static void
put_text(struct weir_text *text, const char *field, struct weir_promql_text value)
{
    weir_text_format(text, ",\"%s\":", field);
    weir_json_string(text, value.data, value.size);
}

static void
put_word(struct weir_text *text, const char *field, const char *word)
{
    put_text(text, field, (struct weir_promql_text){word, (uint32_t)strlen(word)});
}

static void
put_bool(struct weir_text *text, const char *field, bool value)
{
    weir_text_format(text, ",\"%s\":%s", field, value ? "true" : "false");
}

static void
put_node(struct weir_text *text, const char *field, const struct weir_promql_node *node)
{
    weir_text_format(text, ",\"%s\":", field);
    if (node != NULL)
        weir_ast_json(text, node);
    else
        weir_text_puts(text, "null");
}

static void
put_labels(struct weir_text *text, const char *field, const struct weir_promql_labels *labels)
{
    weir_text_format(text, ",\"%s\":[", field);
    for (uint32_t i = 0; i < labels->count; i++) {
        weir_text_puts(text, i > 0 ? "," : "");
        weir_json_string(text, labels->names[i].data, labels->names[i].size);
    }
    weir_text_puts(text, "]");
}

static void
put_length(struct weir_text *text, const char *field, const struct weir_promql_length *length)
{
    weir_text_format(text, ",\"%s\":%" PRId64, field, length->ns / NS_PER_MS);
}

static void
put_shift(struct weir_text *text, const struct weir_promql_shift *shift)
{
    bool edge = shift->edge == WEIR_PROMQL_START || shift->edge == WEIR_PROMQL_END;
    put_length(text, "offset", &shift->offset);
    if (shift->at_set)
        weir_text_format(text, ",\"timestamp\":%" PRId64, shift->at_ms);
    else
        weir_text_puts(text, ",\"timestamp\":null");
    if (edge)
        put_word(text, "startOrEnd", weir_promql_spelling(shift->edge));
    else
        weir_text_puts(text, ",\"startOrEnd\":null");
}

static void
put_selector(struct weir_text *text, const struct weir_promql_node *node)
{
    put_text(text, "name", node->vector.name);
    weir_text_puts(text, ",\"matchers\":[");
    for (uint32_t i = 0; i < node->vector.count; i++) {
        const struct weir_promql_matcher *matcher = &node->vector.matchers[i];
        weir_text_puts(text, i > 0 ? ",{\"name\":" : "{\"name\":");
        weir_json_string(text, matcher->label.data, matcher->label.size);
        put_text(text, "value", matcher->value);
        put_word(text, "type", weir_promql_spelling(matcher->operator));
        weir_text_puts(text, "}");
    }
    weir_text_puts(text, "]");
    put_shift(text, &node->vector.shift);
    put_bool(text, "anchored", node->vector.anchored);
    put_bool(text, "smoothed", node->vector.smoothed);
}

static void
put_call(struct weir_text *text, const struct weir_promql_node *node)
{
    const struct weir_promql_function *function = node->call.function;
    weir_text_format(text, ",\"func\":{\"name\":\"%s\",\"argTypes\":[", function->name);
    for (uint32_t i = 0; function->arguments[i] != '\0'; i++)
        weir_text_format(text, "%s\"%s\"", i > 0 ? "," : "",
            weir_promql_type_name(weir_promql_argument_type(function, i)));
    weir_text_format(text, "],\"variadic\":%d,\"returnType\":\"%s\"},\"args\":[",
        function->optional, weir_promql_type_name(function->result));
    for (uint32_t i = 0; i < node->call.arguments.count; i++) {
        weir_text_puts(text, i > 0 ? "," : "");
        weir_ast_json(text, node->call.arguments.nodes[i]);
    }
    weir_text_puts(text, "]");
}

static void
put_fill(struct weir_text *text, const char *field, bool fills, double value)
{
    weir_text_puts(text, field);
    if (fills)
        weir_json_double(text, value);
    else
        weir_text_puts(text, "null");
}

static void
put_matching(struct weir_text *text, const struct weir_promql_matching *matching)
{
    static const char *const cardinalities[] = {[WEIR_PROMQL_ONE_TO_ONE] = "one-to-one",
        [WEIR_PROMQL_MANY_TO_ONE] = "many-to-one", [WEIR_PROMQL_ONE_TO_MANY] = "one-to-many",
        [WEIR_PROMQL_MANY_TO_MANY] = "many-to-many"};
    if (matching == NULL) {
        weir_text_puts(text, ",\"matching\":null");
        return;
    }
    weir_text_format(
        text, ",\"matching\":{\"card\":\"%s\"", cardinalities[matching->cardinality]);
    put_labels(text, "labels", &matching->labels);
    put_bool(text, "on", matching->on);
    put_labels(text, "include", &matching->include);
    put_fill(text, ",\"fillValues\":{\"lhs\":", matching->fills_left, matching->fill_left);
    put_fill(text, ",\"rhs\":", matching->fills_right, matching->fill_right);
    weir_text_puts(text, "}}");
}

static void
put_binary(struct weir_text *text, const struct weir_promql_node *node)
{
    put_word(text, "op", weir_promql_spelling(node->binary.operator));
    put_node(text, "lhs", node->binary.left);
    put_node(text, "rhs", node->binary.right);
    put_matching(text, node->binary.matching);
    put_bool(text, "bool", node->binary.returns_bool);
}

static void
put_aggregate(struct weir_text *text, const struct weir_promql_node *node)
{
    put_word(text, "op", weir_promql_spelling(node->aggregate.operator));
    put_node(text, "expr", node->aggregate.inner);
    put_node(text, "param", node->aggregate.parameter);
    put_labels(text, "grouping", &node->aggregate.grouping);
    put_bool(text, "without", node->aggregate.without);
}

static void
put_subquery(struct weir_text *text, const struct weir_promql_node *node)
{
    put_node(text, "expr", node->subquery.inner);
    put_length(text, "range", &node->subquery.range);
    put_length(text, "step", &node->subquery.step);
    put_shift(text, &node->subquery.shift);
}

static void
put_number(struct weir_text *text, double value)
{
    char number[WEIR_DOUBLE_PLAIN_MAX];
    size_t size = weir_double_text(value, WEIR_DOUBLE_PLAIN, number);
    put_text(text, "val", (struct weir_promql_text){number, (uint32_t)size});
}

static void
put_fields(struct weir_text *text, const struct weir_promql_node *node)
{
    switch (node->kind) {
    case WEIR_PROMQL_NODE_NUMBER:
        put_number(text, node->number.value);
        break;
    case WEIR_PROMQL_NODE_STRING:
        put_text(text, "val", node->string);
        break;
    case WEIR_PROMQL_NODE_VECTOR:
        put_selector(text, node);
        break;
    case WEIR_PROMQL_NODE_MATRIX:
        put_length(text, "range", &node->matrix.range);
        put_selector(text, node->matrix.vector);
        break;
    case WEIR_PROMQL_NODE_SUBQUERY:
        put_subquery(text, node);
        break;
    case WEIR_PROMQL_NODE_CALL:
        put_call(text, node);
        break;
    case WEIR_PROMQL_NODE_AGGREGATE:
        put_aggregate(text, node);
        break;
    case WEIR_PROMQL_NODE_BINARY:
        put_binary(text, node);
        break;
    case WEIR_PROMQL_NODE_UNARY:
        put_word(text, "op", weir_promql_spelling(node->unary.operator));
        put_node(text, "expr", node->unary.inner);
        break;
    case WEIR_PROMQL_NODE_PAREN:
        put_node(text, "expr", node->paren);
        break;
    case WEIR_PROMQL_NODE_DURATION: /* inside a length alone, printed by put_length */
        break;
    }
}

void
weir_ast_json(struct weir_text *text, const struct weir_promql_node *node)
{
    static const char *const types[] = {[WEIR_PROMQL_NODE_NUMBER] = "numberLiteral",
        [WEIR_PROMQL_NODE_STRING] = "stringLiteral", [WEIR_PROMQL_NODE_VECTOR] = "vectorSelector",
        [WEIR_PROMQL_NODE_MATRIX] = "matrixSelector", [WEIR_PROMQL_NODE_SUBQUERY] = "subquery",
        [WEIR_PROMQL_NODE_CALL] = "call", [WEIR_PROMQL_NODE_AGGREGATE] = "aggregation",
        [WEIR_PROMQL_NODE_BINARY] = "binaryExpr", [WEIR_PROMQL_NODE_UNARY] = "unaryExpr",
        [WEIR_PROMQL_NODE_PAREN] = "parenExpr", [WEIR_PROMQL_NODE_DURATION] = "durationExpr"};
    weir_text_format(text, "{\"type\":\"%s\"", types[node->kind]);
    put_fields(text, node);
    weir_text_puts(text, "}");
}
