/* Names of metrics, matchers in braces, lists of labels in parentheses. */
#include "controlplane/promql/parse/parser.h"
#include "controlplane/promql/parse/regex_syntax.h"

#include <string.h>

#define NAME_LABEL "__name__"

static bool
is_match_operator(enum weir_promql_token kind)
{
    return kind == WEIR_PROMQL_IS || kind == WEIR_PROMQL_DIFFERS || kind == WEIR_PROMQL_MATCHES
        || kind == WEIR_PROMQL_MATCHES_NOT;
}

/* Says whether it matches a series that has no such label; checks a regular expression. */
static void
judge(struct weir_promql_parser *parser, struct weir_promql_matcher *matcher,
    struct weir_promql_range at)
{
    const char *problem;
    bool empty = matcher->value.size == 0;
    if (matcher->operator == WEIR_PROMQL_MATCHES || matcher->operator == WEIR_PROMQL_MATCHES_NOT) {
        if (weir_promql_regex_check(parser->arena, matcher->value, &empty, &problem) != WEIR_OK)
            parser->stopped = WEIR_NOMEM;
        else if (problem != NULL)
            weir_promql_error(parser, at, problem);
    }
    bool negative = matcher->operator == WEIR_PROMQL_DIFFERS
        || matcher->operator == WEIR_PROMQL_MATCHES_NOT;
    matcher->matches_empty = empty != negative;
}

/* One matcher. False with parser->stopped unset: a syntax error that the caller reports. */
static bool
matcher(struct weir_promql_parser *parser, struct weir_promql_matcher *out)
{
    struct weir_promql_item item, operator, value;
    if (!weir_promql_expect_either(parser, WEIR_PROMQL_IDENTIFIER, WEIR_PROMQL_STRING, &item)) {
        if (parser->stopped == WEIR_OK)
            weir_promql_unexpected(parser, "label matching", "identifier or \"}\"");
        return parser->stopped == WEIR_OK;
    }
    out->label = item.text;
    if (item.kind == WEIR_PROMQL_STRING && !weir_promql_string_value(parser, &item, &out->label))
        return false;
    while (!is_match_operator(weir_promql_look(parser))) {
        if (item.kind == WEIR_PROMQL_STRING) { /* the name of a metric */
            out->operator = WEIR_PROMQL_IS;
            out->value = out->label;
            out->label = (struct weir_promql_text){NAME_LABEL, sizeof NAME_LABEL - 1};
            judge(parser, out, item.at);
            return parser->stopped == WEIR_OK;
        }
        if (weir_promql_misfit(parser))
            continue;
        if (parser->stopped == WEIR_OK)
            weir_promql_unexpected(parser, "label matching", "label matching operator");
        return parser->stopped == WEIR_OK;
    }
    operator = weir_promql_next(parser);
    if (!weir_promql_expect(parser, WEIR_PROMQL_STRING, &value)) {
        if (parser->stopped == WEIR_OK)
            weir_promql_unexpected(parser, "label matching", "string");
        return parser->stopped == WEIR_OK;
    }
    out->operator = operator.kind;
    if (!weir_promql_string_value(parser, &value, &out->value))
        return false;
    judge(parser, out, (struct weir_promql_range){item.at.start, value.at.end});
    return parser->stopped == WEIR_OK;
}

/* Room for one more matcher; one is kept free for the name outside of the braces. */
static struct weir_promql_matcher *
next_matcher(struct weir_promql_parser *parser, struct weir_promql_node *node, uint32_t *room)
{
    if (node->vector.count + 2 > *room) {
        uint32_t more = *room == 0 ? 4 : 2 * *room;
        struct weir_promql_matcher *matchers = weir_promql_alloc(parser, more * sizeof *matchers);
        if (matchers == NULL)
            return NULL;
        if (node->vector.count > 0)
            memcpy(matchers, node->vector.matchers, node->vector.count * sizeof *matchers);
        node->vector.matchers = matchers;
        *room = more;
    }
    return &node->vector.matchers[node->vector.count++];
}

static bool
matchers(struct weir_promql_parser *parser, struct weir_promql_node *node, uint32_t *room)
{
    struct weir_promql_item brace = weir_promql_next(parser);
    if (node->vector.name.data == NULL)
        node->at.start = brace.at.start;
    bool more = weir_promql_look(parser) != WEIR_PROMQL_RIGHT_BRACE;
    while (more) {
        struct weir_promql_matcher *one = next_matcher(parser, node, room);
        if (one == NULL || !matcher(parser, one))
            return false;
        for (;;) {
            enum weir_promql_token kind = weir_promql_look(parser);
            if (kind == WEIR_PROMQL_RIGHT_BRACE || kind == WEIR_PROMQL_COMMA)
                break;
            if (weir_promql_misfit(parser))
                continue;
            if (parser->stopped != WEIR_OK)
                return false;
            weir_promql_unexpected(parser, "label matching", "\",\" or \"}\"");
        }
        if (weir_promql_look(parser) == WEIR_PROMQL_RIGHT_BRACE)
            break;
        (void)weir_promql_next(parser);
        more = weir_promql_look(parser) != WEIR_PROMQL_RIGHT_BRACE;
    }
    node->at.end = weir_promql_next(parser).at.end;
    return true;
}

struct weir_promql_node *
weir_promql_selector(struct weir_promql_parser *parser, const struct weir_promql_item *name)
{
    struct weir_promql_node *node = weir_promql_node_new(parser, WEIR_PROMQL_NODE_VECTOR,
        WEIR_PROMQL_TYPE_VECTOR, (struct weir_promql_range){0, 0});
    uint32_t room = 0;
    if (node == NULL)
        return NULL;
    if (name != NULL) {
        node->vector.name = name->text;
        node->at = name->at;
    }
    if (weir_promql_look(parser) == WEIR_PROMQL_LEFT_BRACE && !matchers(parser, node, &room))
        return NULL;
    if (name == NULL)
        return node;
    struct weir_promql_matcher *last = next_matcher(parser, node, &room);
    if (last == NULL)
        return NULL;
    last->label = (struct weir_promql_text){NAME_LABEL, sizeof NAME_LABEL - 1};
    last->operator = WEIR_PROMQL_IS;
    last->value = name->text;
    return node;
}

static bool
add_label(struct weir_promql_parser *parser, struct weir_promql_labels *out, uint32_t *room,
    struct weir_promql_text label, struct weir_promql_range at)
{
    if (out->count == WEIR_PROMQL_LABELS_MAX) {
        weir_promql_error(parser, at, "more than 1000 labels in one list");
        if (parser->stopped == WEIR_OK)
            parser->stopped = WEIR_LIMIT;
        return false;
    }
    if (out->count == *room) {
        uint32_t more = *room == 0 ? 4 : 2 * *room;
        struct weir_promql_text *names = weir_promql_alloc(parser, more * sizeof *names);
        if (names == NULL)
            return false;
        if (out->count > 0)
            memcpy(names, out->names, out->count * sizeof *names);
        out->names = names;
        *room = more;
    }
    out->names[out->count++] = label;
    return true;
}

static bool
label(struct weir_promql_parser *parser, struct weir_promql_labels *out, uint32_t *room)
{
    for (;;) {
        enum weir_promql_token kind = weir_promql_look(parser);
        if (kind == WEIR_PROMQL_STRING || weir_promql_names_label(kind))
            break;
        if (weir_promql_misfit(parser))
            continue;
        if (parser->stopped == WEIR_OK)
            weir_promql_unexpected(parser, "grouping opts", "label");
        return parser->stopped == WEIR_OK;
    }
    struct weir_promql_item item = weir_promql_next(parser);
    struct weir_promql_text name = item.text;
    if (item.kind == WEIR_PROMQL_STRING && !weir_promql_string_value(parser, &item, &name))
        return false;
    bool good = name.size > 0;
    for (uint32_t i = 0, width = 0; i < name.size; i += width) {
        unsigned taken;
        int32_t rune = weir_promql_rune(name.data + i, name.size - i, &taken);
        good &= rune != WEIR_PROMQL_RUNE_ERROR || taken > 1;
        width = taken;
    }
    if (!good) {
        const char *shown = weir_promql_quoted(parser->arena, name);
        weir_promql_error(parser, item.at, shown == NULL ? NULL
            : weir_promql_format(parser->arena, "invalid label name for grouping: %s", shown));
    }
    return add_label(parser, out, room, name, item.at);
}

/* The list after its parenthesis, and the closing one. */
static bool
label_list(struct weir_promql_parser *parser, struct weir_promql_labels *out)
{
    uint32_t room = 0;
    while (weir_promql_look(parser) != WEIR_PROMQL_RIGHT_PAREN) {
        if (!label(parser, out, &room))
            return false;
        for (;;) {
            enum weir_promql_token kind = weir_promql_look(parser);
            if (kind == WEIR_PROMQL_RIGHT_PAREN || kind == WEIR_PROMQL_COMMA)
                break;
            if (weir_promql_misfit(parser))
                continue;
            if (parser->stopped != WEIR_OK)
                return false;
            weir_promql_unexpected(parser, "grouping opts", "\",\" or \")\"");
        }
        if (weir_promql_look(parser) == WEIR_PROMQL_COMMA)
            (void)weir_promql_next(parser);
    }
    (void)weir_promql_next(parser);
    return true;
}

bool
weir_promql_grouping(struct weir_promql_parser *parser, struct weir_promql_labels *out)
{
    struct weir_promql_item item;
    if (!weir_promql_expect(parser, WEIR_PROMQL_LEFT_PAREN, &item)) {
        if (parser->stopped == WEIR_OK)
            weir_promql_unexpected(parser, "grouping opts", "\"(\"");
        return parser->stopped == WEIR_OK;
    }
    return label_list(parser, out);
}
