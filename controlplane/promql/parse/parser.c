#include "controlplane/promql/parse/parser.h"

#include <stdio.h>
#include <string.h>

/* Tokens and errors. */

enum weir_promql_token
weir_promql_look(struct weir_promql_parser *parser)
{
    if (parser->held)
        return parser->item.kind;
    parser->item = weir_promql_lexer_next(&parser->lexer);
    parser->held = true;
    switch (parser->item.kind) {
    case WEIR_PROMQL_ERROR:
        weir_promql_error(parser, parser->item.at,
            parser->lexer.starved ? NULL : parser->item.text.data);
        break;
    case WEIR_PROMQL_RIGHT_BRACE:
    case WEIR_PROMQL_RIGHT_PAREN:
    case WEIR_PROMQL_RIGHT_BRACKET:
    case WEIR_PROMQL_DURATION:
    case WEIR_PROMQL_NUMBER:
        parser->last_closing = parser->item.at.end;
        break;
    default:
        break;
    }
    return parser->item.kind;
}

struct weir_promql_item
weir_promql_next(struct weir_promql_parser *parser)
{
    (void)weir_promql_look(parser);
    parser->held = false;
    if (parser->recovering > 0)
        parser->recovering--;
    return parser->item;
}

bool
weir_promql_misfit(struct weir_promql_parser *parser)
{
    enum weir_promql_token kind = weir_promql_look(parser);
    if (parser->stopped != WEIR_OK)
        return false;
    if (parser->recovering < 3) {
        parser->recovering = 3;
        return false;
    }
    if (kind == WEIR_PROMQL_EOF || kind == WEIR_PROMQL_ERROR) {
        parser->stopped = WEIR_END;
        return false;
    }
    parser->held = false;
    return true;
}

bool
weir_promql_expect(struct weir_promql_parser *parser, enum weir_promql_token kind,
    struct weir_promql_item *out)
{
    return weir_promql_expect_either(parser, kind, kind, out);
}

bool
weir_promql_expect_either(struct weir_promql_parser *parser, enum weir_promql_token a,
    enum weir_promql_token b, struct weir_promql_item *out)
{
    while (weir_promql_look(parser) != a && weir_promql_look(parser) != b)
        if (!weir_promql_misfit(parser))
            return false;
    *out = weir_promql_next(parser);
    return true;
}

void
weir_promql_error(struct weir_promql_parser *parser, struct weir_promql_range at,
    const char *message)
{
    if (parser->error_count >= WEIR_PROMQL_ERRORS_MAX)
        return;
    struct weir_promql_error *error = weir_promql_alloc(parser, sizeof *error);
    if (error == NULL || message == NULL) {
        parser->stopped = WEIR_NOMEM;
        return;
    }
    *error = (struct weir_promql_error){at, message, NULL};
    if (parser->last_error == NULL)
        parser->errors = error;
    else
        parser->last_error->next = error;
    parser->last_error = error;
    parser->error_count++;
}

void
weir_promql_unexpected(struct weir_promql_parser *parser, const char *context,
    const char *expected)
{
    (void)weir_promql_look(parser);
    if (parser->item.kind == WEIR_PROMQL_ERROR)
        return; /* it was reported when it was read */
    const char *what = weir_promql_describe(parser->arena, &parser->item);
    weir_promql_error(parser, parser->item.at, what == NULL ? NULL
        : weir_promql_format(parser->arena, "unexpected %s%s%s%s%s", what,
              *context == '\0' ? "" : " in ", context, *expected == '\0' ? "" : ", expected ",
              expected));
}

static void
limit(struct weir_promql_parser *parser, struct weir_promql_range at, const char *message)
{
    weir_promql_error(parser, at, message);
    if (parser->stopped != WEIR_NOMEM)
        parser->stopped = WEIR_LIMIT;
}

/* Nodes. */

void *
weir_promql_alloc(struct weir_promql_parser *parser, size_t size)
{
    void *memory = weir_promql_arena_alloc(parser->arena, size);
    if (memory == NULL)
        parser->stopped = WEIR_NOMEM;
    return memory;
}

struct weir_promql_node *
weir_promql_node_new(struct weir_promql_parser *parser, enum weir_promql_node_kind kind,
    enum weir_promql_type type, struct weir_promql_range at)
{
    struct weir_promql_node *node = weir_promql_alloc(parser, sizeof *node);
    if (node != NULL) {
        node->kind = kind;
        node->type = type;
        node->at = at;
        node->height = 1;
    }
    return node;
}

bool
weir_promql_adopt(struct weir_promql_parser *parser, struct weir_promql_node *node,
    const struct weir_promql_node *child)
{
    if (child->height >= node->height)
        node->height = child->height + 1;
    if (node->height <= WEIR_PROMQL_HEIGHT_MAX)
        return true;
    limit(parser, node->at, "expression is nested more than 1000 deep");
    return false;
}

bool
weir_promql_enter(struct weir_promql_parser *parser)
{
    if (++parser->depth <= WEIR_PROMQL_HEIGHT_MAX)
        return true;
    limit(parser, parser->item.at, "expression is nested more than 1000 deep");
    return false;
}

void
weir_promql_leave(struct weir_promql_parser *parser)
{
    parser->depth--;
}

/* Literals. */

bool
weir_promql_string_value(struct weir_promql_parser *parser, const struct weir_promql_item *item,
    struct weir_promql_text *out)
{
    if (weir_promql_unquote(parser->arena, item->text, out) == WEIR_OK)
        return true;
    parser->stopped = WEIR_NOMEM;
    return false;
}

double
weir_promql_literal_value(struct weir_promql_parser *parser, bool *duration)
{
    struct weir_promql_item item = weir_promql_next(parser);
    double value = 0;
    const char *problem;
    *duration = item.kind == WEIR_PROMQL_DURATION;
    if (*duration) {
        int64_t ns;
        if (weir_promql_duration(parser->arena, item.text, &ns, &problem) != WEIR_OK) {
            parser->stopped = WEIR_NOMEM;
            return 0;
        }
        if (problem != NULL)
            weir_promql_error(parser, item.at, problem);
        return (double)(ns / 1000000000) + (double)(ns % 1000000000) / 1e9;
    }
    if (weir_promql_number(parser->arena, item.text, &value, &problem) != WEIR_OK) {
        parser->stopped = WEIR_NOMEM;
        return 0;
    }
    if (problem != NULL) {
        const char *shown = weir_promql_quoted(parser->arena, item.text);
        weir_promql_error(parser, item.at, shown == NULL ? NULL
            : weir_promql_format(parser->arena,
                  "error parsing number: strconv.ParseFloat: parsing %s: %s", shown, problem));
    }
    return value;
}

struct weir_promql_node *
weir_promql_literal(struct weir_promql_parser *parser)
{
    (void)weir_promql_look(parser);
    struct weir_promql_node *node = weir_promql_node_new(parser, WEIR_PROMQL_NODE_NUMBER,
        WEIR_PROMQL_TYPE_SCALAR, parser->item.at);
    if (node != NULL)
        node->number.value = weir_promql_literal_value(parser, &node->number.duration);
    return node;
}

/* Calls and aggregations. */

static bool
begins_expression(enum weir_promql_token kind)
{
    switch (kind) {
    case WEIR_PROMQL_ADD:
    case WEIR_PROMQL_SUB:
    case WEIR_PROMQL_LEFT_PAREN:
    case WEIR_PROMQL_LEFT_BRACE:
    case WEIR_PROMQL_STRING:
    case WEIR_PROMQL_NUMBER:
    case WEIR_PROMQL_DURATION:
        return true;
    default:
        return weir_promql_names_metric(kind);
    }
}

static struct weir_promql_node *operators(struct weir_promql_parser *parser,
    struct weir_promql_node *left, unsigned precedence);
static struct weir_promql_node *modifiers(struct weir_promql_parser *parser,
    struct weir_promql_node *inner);

static bool
append(struct weir_promql_parser *parser, struct weir_promql_list *list, uint32_t *room,
    struct weir_promql_node *node)
{
    if (list->count == *room) {
        uint32_t more = *room == 0 ? 4 : 2 * *room;
        struct weir_promql_node **nodes = weir_promql_alloc(parser, more * sizeof *nodes);
        if (nodes == NULL)
            return false;
        if (list->count > 0)
            memcpy(nodes, list->nodes, list->count * sizeof *nodes);
        list->nodes = nodes;
        *room = more;
    }
    list->nodes[list->count++] = node;
    return true;
}

/* The arguments after the opening parenthesis, and the closing one. */
static bool
argument_list(struct weir_promql_parser *parser, struct weir_promql_list *out)
{
    uint32_t room = 0;
    struct weir_promql_item comma;
    while (weir_promql_look(parser) == WEIR_PROMQL_RIGHT_PAREN
        || !begins_expression(weir_promql_look(parser))) {
        if (weir_promql_look(parser) == WEIR_PROMQL_RIGHT_PAREN) {
            (void)weir_promql_next(parser);
            return true;
        }
        if (!weir_promql_misfit(parser))
            return false;
    }
    for (;;) {
        struct weir_promql_node *node = weir_promql_expression(parser, 1);
        if (node == NULL || !append(parser, out, &room, node))
            return false;
        for (;;) {
            if (weir_promql_look(parser) == WEIR_PROMQL_RIGHT_PAREN) {
                (void)weir_promql_next(parser);
                return true;
            }
            if (weir_promql_look(parser) == WEIR_PROMQL_COMMA) {
                comma = weir_promql_next(parser);
                if (begins_expression(weir_promql_look(parser)))
                    break;
                weir_promql_error(parser, comma.at,
                    "trailing commas not allowed in function call args");
                continue;
            }
            if (!weir_promql_misfit(parser))
                return false;
            node = operators(parser, modifiers(parser, out->nodes[out->count - 1]), 1);
            if (node == NULL)
                return false;
            out->nodes[out->count - 1] = node;
        }
    }
}

static struct weir_promql_node *
call(struct weir_promql_parser *parser, const struct weir_promql_item *name)
{
    struct weir_promql_node *node = weir_promql_node_new(parser, WEIR_PROMQL_NODE_CALL,
        WEIR_PROMQL_TYPE_VECTOR, name->at);
    (void)weir_promql_next(parser);
    if (node == NULL || !argument_list(parser, &node->call.arguments))
        return NULL;
    node->call.function = weir_promql_function(name->text);
    if (node->call.function == NULL) {
        const char *shown = weir_promql_quoted(parser->arena, name->text);
        weir_promql_error(parser, name->at, shown == NULL ? NULL
            : weir_promql_format(parser->arena, "unknown function with name %s", shown));
    } else {
        node->type = node->call.function->result;
    }
    node->at.end = parser->last_closing;
    for (uint32_t i = 0; i < node->call.arguments.count; i++)
        if (!weir_promql_adopt(parser, node, node->call.arguments.nodes[i]))
            return NULL;
    return node;
}

/* End of an aggregation without by: the token after it has been read, and may be a parenthesis of
 * somebody else's. */
static int32_t
end_before_next(const struct weir_promql_parser *parser)
{
    const char *text = parser->lexer.text;
    int32_t last = parser->item.at.start, size = (int32_t)parser->lexer.size;
    if (parser->last_closing <= 0 || last <= 0 || last >= size || text[last] != ')')
        return parser->last_closing;
    for (int32_t i = last - 1; i > 0; i--) {
        if (text[i] == ')')
            return i + 1;
        if (strchr(" \t\r\n", text[i]) == NULL || text[i] == '\0')
            break;
    }
    return parser->last_closing;
}

static bool
arrange(struct weir_promql_parser *parser, struct weir_promql_node *node,
    const struct weir_promql_list *arguments)
{
    bool takes = weir_promql_parameter_type(node->aggregate.operator) != WEIR_PROMQL_TYPE_NONE;
    uint32_t wanted = takes ? 2 : 1;
    if (arguments->count == 0) {
        weir_promql_error(parser, node->at, "no arguments for aggregate expression provided");
        return true;
    }
    if (arguments->count != wanted) {
        weir_promql_error(parser, node->at,
            weir_promql_format(parser->arena,
                "wrong number of arguments for aggregate expression provided, expected %u, got %u",
                wanted, arguments->count));
        return true;
    }
    node->aggregate.parameter = takes ? arguments->nodes[0] : NULL;
    node->aggregate.inner = arguments->nodes[wanted - 1];
    return weir_promql_adopt(parser, node, node->aggregate.inner)
        && (!takes || weir_promql_adopt(parser, node, node->aggregate.parameter));
}

static bool
aggregate_modifier(struct weir_promql_parser *parser, struct weir_promql_node *node)
{
    enum weir_promql_token kind = weir_promql_look(parser);
    if (kind != WEIR_PROMQL_BY && kind != WEIR_PROMQL_WITHOUT)
        return true;
    (void)weir_promql_next(parser);
    node->aggregate.without = kind == WEIR_PROMQL_WITHOUT;
    return weir_promql_grouping(parser, &node->aggregate.grouping);
}

static bool
aggregate_body(struct weir_promql_parser *parser, struct weir_promql_node *node,
    struct weir_promql_list *arguments)
{
    struct weir_promql_item paren;
    bool first = weir_promql_look(parser) != WEIR_PROMQL_LEFT_PAREN;
    if (!aggregate_modifier(parser, node)
        || !weir_promql_expect(parser, WEIR_PROMQL_LEFT_PAREN, &paren)
        || !argument_list(parser, arguments))
        return false;
    bool last = false;
    if (!first) {
        enum weir_promql_token after = weir_promql_look(parser);
        last = after == WEIR_PROMQL_BY || after == WEIR_PROMQL_WITHOUT;
        node->at.end = end_before_next(parser);
        if (!aggregate_modifier(parser, node))
            return false;
    }
    if (first || last)
        node->at.end = parser->last_closing;
    return true;
}

static struct weir_promql_node *
aggregate(struct weir_promql_parser *parser, const struct weir_promql_item *name)
{
    struct weir_promql_list arguments = {NULL, 0};
    struct weir_promql_node *node = weir_promql_node_new(parser, WEIR_PROMQL_NODE_AGGREGATE,
        WEIR_PROMQL_TYPE_VECTOR, name->at);
    if (node == NULL)
        return NULL;
    node->aggregate.operator = name->kind;
    if (!aggregate_body(parser, node, &arguments)) {
        if (parser->stopped != WEIR_OK)
            return NULL;
        weir_promql_unexpected(parser, "aggregation", "");
        arguments.count = 0;
        node->at.end = parser->last_closing;
    }
    return arrange(parser, node, &arguments) && parser->stopped == WEIR_OK ? node : NULL;
}

/* Expressions. */

static struct weir_promql_node *
paren(struct weir_promql_parser *parser)
{
    struct weir_promql_item open = weir_promql_next(parser), close;
    struct weir_promql_node *inner = weir_promql_expression(parser, 1);
    while (inner != NULL && weir_promql_look(parser) != WEIR_PROMQL_RIGHT_PAREN) {
        if (!weir_promql_misfit(parser))
            return NULL;
        inner = operators(parser, modifiers(parser, inner), 1);
    }
    if (inner == NULL)
        return NULL;
    close = weir_promql_next(parser);
    struct weir_promql_node *node = weir_promql_node_new(parser, WEIR_PROMQL_NODE_PAREN,
        inner->type, (struct weir_promql_range){open.at.start, close.at.end});
    if (node == NULL || !weir_promql_adopt(parser, node, inner))
        return NULL;
    node->paren = inner;
    return node;
}

static struct weir_promql_node *
unary(struct weir_promql_parser *parser)
{
    struct weir_promql_item sign = weir_promql_next(parser);
    struct weir_promql_node *inner = weir_promql_expression(parser,
        weir_promql_precedence(WEIR_PROMQL_POW));
    if (inner == NULL)
        return NULL;
    if (inner->kind == WEIR_PROMQL_NODE_NUMBER) {
        if (sign.kind == WEIR_PROMQL_SUB)
            inner->number.value *= -1;
        inner->at.start = sign.at.start;
        return inner;
    }
    struct weir_promql_node *node = weir_promql_node_new(parser, WEIR_PROMQL_NODE_UNARY,
        inner->type, (struct weir_promql_range){sign.at.start, inner->at.end});
    if (node == NULL || !weir_promql_adopt(parser, node, inner))
        return NULL;
    node->unary.operator = sign.kind;
    node->unary.inner = inner;
    return node;
}

static struct weir_promql_node *
named(struct weir_promql_parser *parser)
{
    struct weir_promql_item name = weir_promql_next(parser);
    enum weir_promql_class class = weir_promql_class(name.kind);
    enum weir_promql_token after = weir_promql_look(parser);
    if (class == WEIR_PROMQL_CLASS_AGGREGATOR
        && (after == WEIR_PROMQL_LEFT_PAREN || after == WEIR_PROMQL_BY
            || after == WEIR_PROMQL_WITHOUT))
        return aggregate(parser, &name);
    if (after == WEIR_PROMQL_LEFT_PAREN
        && (name.kind == WEIR_PROMQL_IDENTIFIER || class == WEIR_PROMQL_CLASS_TIME_WORD))
        return call(parser, &name);
    return weir_promql_selector(parser, &name);
}

static struct weir_promql_node *
primary(struct weir_promql_parser *parser)
{
    while (!begins_expression(weir_promql_look(parser)))
        if (!weir_promql_misfit(parser))
            return NULL;
    switch (weir_promql_look(parser)) {
    case WEIR_PROMQL_ADD:
    case WEIR_PROMQL_SUB:
        return unary(parser);
    case WEIR_PROMQL_LEFT_PAREN:
        return paren(parser);
    case WEIR_PROMQL_LEFT_BRACE:
        return weir_promql_selector(parser, NULL);
    case WEIR_PROMQL_NUMBER:
    case WEIR_PROMQL_DURATION:
        return weir_promql_literal(parser);
    case WEIR_PROMQL_STRING: {
        struct weir_promql_item item = weir_promql_next(parser);
        struct weir_promql_node *node = weir_promql_node_new(parser, WEIR_PROMQL_NODE_STRING,
            WEIR_PROMQL_TYPE_STRING, item.at);
        return node != NULL && weir_promql_string_value(parser, &item, &node->string) ? node : NULL;
    }
    default:
        return named(parser);
    }
}

static struct weir_promql_node *
modifiers(struct weir_promql_parser *parser, struct weir_promql_node *inner)
{
    while (inner != NULL && parser->stopped == WEIR_OK) {
        switch (weir_promql_look(parser)) {
        case WEIR_PROMQL_LEFT_BRACKET:
            inner = weir_promql_brackets(parser, inner);
            break;
        case WEIR_PROMQL_OFFSET:
        case WEIR_PROMQL_AT:
        case WEIR_PROMQL_ANCHORED:
        case WEIR_PROMQL_SMOOTHED:
            inner = weir_promql_modifier(parser, inner);
            break;
        default:
            return inner;
        }
    }
    return parser->stopped == WEIR_OK ? inner : NULL;
}

static bool
fill_value(struct weir_promql_parser *parser, double *out)
{
    struct weir_promql_item item;
    bool negative = false, duration;
    (void)weir_promql_next(parser);
    if (!weir_promql_expect(parser, WEIR_PROMQL_LEFT_PAREN, &item))
        return false;
    if (weir_promql_look(parser) == WEIR_PROMQL_ADD || weir_promql_look(parser) == WEIR_PROMQL_SUB)
        negative = weir_promql_next(parser).kind == WEIR_PROMQL_SUB;
    while (weir_promql_look(parser) != WEIR_PROMQL_NUMBER
        && weir_promql_look(parser) != WEIR_PROMQL_DURATION)
        if (!weir_promql_misfit(parser))
            return false;
    double value = weir_promql_literal_value(parser, &duration);
    *out = negative ? -value : value;
    return weir_promql_expect(parser, WEIR_PROMQL_RIGHT_PAREN, &item);
}

static bool
fill_modifiers(struct weir_promql_parser *parser, struct weir_promql_matching *matching)
{
    if (weir_promql_look(parser) == WEIR_PROMQL_FILL) {
        matching->fills_left = matching->fills_right = true;
        bool good = fill_value(parser, &matching->fill_left);
        matching->fill_right = matching->fill_left;
        return good;
    }
    for (int i = 0; i < 2; i++) {
        enum weir_promql_token kind = weir_promql_look(parser);
        if (kind == WEIR_PROMQL_FILL_LEFT && !matching->fills_left) {
            matching->fills_left = true;
            if (!fill_value(parser, &matching->fill_left))
                return false;
        } else if (kind == WEIR_PROMQL_FILL_RIGHT && !matching->fills_right) {
            matching->fills_right = true;
            if (!fill_value(parser, &matching->fill_right))
                return false;
        }
    }
    return true;
}

/* bool, on, ignoring, group_left, group_right, fill: between an operator and its right side. */
static bool
binary_modifiers(struct weir_promql_parser *parser, struct weir_promql_node *node)
{
    struct weir_promql_matching *matching = weir_promql_alloc(parser, sizeof *matching);
    if (matching == NULL)
        return false;
    node->binary.matching = matching;
    if (weir_promql_look(parser) == WEIR_PROMQL_BOOL) {
        (void)weir_promql_next(parser);
        node->binary.returns_bool = true;
    }
    enum weir_promql_token kind = weir_promql_look(parser);
    if (kind == WEIR_PROMQL_ON || kind == WEIR_PROMQL_IGNORING) {
        (void)weir_promql_next(parser);
        matching->on = kind == WEIR_PROMQL_ON;
        if (!weir_promql_grouping(parser, &matching->labels))
            return false;
        kind = weir_promql_look(parser);
        if (kind == WEIR_PROMQL_GROUP_LEFT || kind == WEIR_PROMQL_GROUP_RIGHT) {
            (void)weir_promql_next(parser);
            matching->cardinality = kind == WEIR_PROMQL_GROUP_LEFT ? WEIR_PROMQL_MANY_TO_ONE
                                                                   : WEIR_PROMQL_ONE_TO_MANY;
            if (weir_promql_look(parser) == WEIR_PROMQL_LEFT_PAREN
                && !weir_promql_grouping(parser, &matching->include))
                return false;
        }
    }
    return fill_modifiers(parser, matching);
}

static struct weir_promql_node *
binary(struct weir_promql_parser *parser, struct weir_promql_node *left)
{
    struct weir_promql_item item = weir_promql_next(parser);
    unsigned precedence = weir_promql_precedence(item.kind);
    struct weir_promql_node *node = weir_promql_node_new(parser, WEIR_PROMQL_NODE_BINARY,
        WEIR_PROMQL_TYPE_VECTOR, left->at);
    if (node == NULL || !binary_modifiers(parser, node))
        return NULL;
    struct weir_promql_node *right = weir_promql_expression(parser,
        weir_promql_right_associative(item.kind) ? precedence : precedence + 1);
    if (right == NULL)
        return NULL;
    node->at.end = right->at.end;
    node->binary.operator = item.kind;
    node->binary.left = left;
    node->binary.right = right;
    if (left->type == WEIR_PROMQL_TYPE_SCALAR && right->type == WEIR_PROMQL_TYPE_SCALAR)
        node->type = WEIR_PROMQL_TYPE_SCALAR;
    return weir_promql_adopt(parser, node, left) && weir_promql_adopt(parser, node, right) ? node
                                                                                            : NULL;
}

static struct weir_promql_node *
operators(struct weir_promql_parser *parser, struct weir_promql_node *left, unsigned precedence)
{
    while (left != NULL && parser->stopped == WEIR_OK) {
        unsigned binds = weir_promql_precedence(weir_promql_look(parser));
        if (binds == 0 || binds < precedence)
            break;
        left = binary(parser, left);
    }
    return parser->stopped == WEIR_OK ? left : NULL;
}

/* Precedence climbing: an expression whose operators all bind at least as close as precedence. */
struct weir_promql_node *
weir_promql_expression(struct weir_promql_parser *parser, unsigned precedence)
{
    if (!weir_promql_enter(parser))
        return NULL;
    struct weir_promql_node *node = operators(parser, modifiers(parser, primary(parser)),
        precedence);
    weir_promql_leave(parser);
    return node;
}

static struct weir_promql_node *
whole(struct weir_promql_parser *parser)
{
    if (weir_promql_look(parser) == WEIR_PROMQL_EOF) {
        weir_promql_error(parser, (struct weir_promql_range){0, 0}, "no expression found in input");
        return NULL;
    }
    struct weir_promql_node *root = weir_promql_expression(parser, 1);
    if (parser->stopped != WEIR_OK)
        return NULL;
    if (root == NULL)
        weir_promql_unexpected(parser, "", "");
    while (parser->stopped == WEIR_OK && weir_promql_look(parser) != WEIR_PROMQL_EOF
        && weir_promql_look(parser) != WEIR_PROMQL_ERROR)
        if (!weir_promql_misfit(parser))
            weir_promql_unexpected(parser, "", "");
    return root;
}

enum weir_err
weir_promql_parse(struct weir_promql_arena *arena, const char *text, size_t size,
    struct weir_promql_parsed *out)
{
    struct weir_promql_parser parser = {.arena = arena};
    *out = (struct weir_promql_parsed){NULL, NULL, 0};
    if (size > WEIR_PROMQL_TEXT_MAX) {
        limit(&parser, (struct weir_promql_range){0, 0},
            "query is longer than 131072 bytes");
    } else {
        weir_promql_lexer_init(&parser.lexer, arena, text, size);
        out->root = whole(&parser);
        if (parser.error_count == 0 && parser.stopped == WEIR_OK && out->root != NULL)
            weir_promql_check(&parser, out->root);
    }
    out->errors = parser.errors;
    out->error_count = parser.error_count;
    if (parser.stopped == WEIR_NOMEM || parser.error_count > 0)
        out->root = NULL;
    if (parser.stopped == WEIR_NOMEM || parser.stopped == WEIR_LIMIT)
        return parser.stopped;
    return parser.error_count > 0 ? WEIR_INVALID : WEIR_OK;
}

size_t
weir_promql_error_text(const struct weir_promql_error *error, const char *text, size_t size,
    char *out, size_t room)
{
    int line = 1, column = error->at.start + 1, written;
    if (size == 0)
        written = snprintf(out, room, "unknown position: parse error: %s", error->message);
    else if (error->at.start < 0 || (size_t)error->at.start > size)
        written = snprintf(out, room, "invalid position: parse error: %s", error->message);
    else {
        for (int32_t i = 0; i < error->at.start; i++)
            if (text[i] == '\n') {
                line++;
                column = error->at.start - i;
            }
        written = snprintf(out, room, "%d:%d: parse error: %s", line, column, error->message);
    }
    return written < 0 ? 0 : (size_t)written;
}
