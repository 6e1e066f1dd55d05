/* Ranges, subqueries, offset and @: and the arithmetic of durations in them. */
#include "controlplane/promql/parse/parser.h"

#include <math.h>
#include <string.h>

#define EXPECTED "number, duration, step(), or range()"

static struct weir_promql_node *arithmetic(struct weir_promql_parser *parser, unsigned precedence);
static struct weir_promql_node *more_arithmetic(struct weir_promql_parser *parser,
    struct weir_promql_node *left, unsigned precedence);

/* The node in the tree after an error; the reference gives it no position either. */
static struct weir_promql_node *
nothing(struct weir_promql_parser *parser)
{
    return weir_promql_node_new(parser, WEIR_PROMQL_NODE_NUMBER, WEIR_PROMQL_TYPE_SCALAR,
        (struct weir_promql_range){0, 0});
}

/* Nanoseconds must fit 64 bits. */
static struct weir_promql_node *
bounded(struct weir_promql_parser *parser, struct weir_promql_node *node,
    struct weir_promql_range at)
{
    double most = 9223372036854775808.0 / 1e9;
    if (node == NULL || (node->number.value <= most && node->number.value >= -most))
        return node;
    weir_promql_error(parser, at, "duration out of range");
    return nothing(parser);
}

static struct weir_promql_node *
literal(struct weir_promql_parser *parser)
{
    struct weir_promql_node *node = weir_promql_literal(parser);
    return node == NULL ? NULL : bounded(parser, node, node->at);
}

static struct weir_promql_node *
duration_new(struct weir_promql_parser *parser, enum weir_promql_token operator,
    struct weir_promql_node *left, struct weir_promql_node *right, struct weir_promql_range at)
{
    struct weir_promql_node *node = weir_promql_node_new(parser, WEIR_PROMQL_NODE_DURATION,
        WEIR_PROMQL_TYPE_SCALAR, at);
    if (node == NULL || (left != NULL && !weir_promql_adopt(parser, node, left))
        || (right != NULL && !weir_promql_adopt(parser, node, right)))
        return NULL;
    node->duration.operator = operator;
    node->duration.left = left;
    node->duration.right = right;
    return node;
}

static struct weir_promql_node *
wrap(struct weir_promql_parser *parser, struct weir_promql_node *inner, struct weir_promql_range at)
{
    if (inner->kind != WEIR_PROMQL_NODE_DURATION)
        inner = duration_new(parser, WEIR_PROMQL_ADD, NULL, inner, at);
    if (inner != NULL)
        inner->duration.wrapped = true;
    return inner;
}

/* A sign before a duration. */
static struct weir_promql_node *
signed_duration(struct weir_promql_parser *parser, const struct weir_promql_item *sign,
    struct weir_promql_node *inner)
{
    if (inner == NULL)
        return NULL;
    if (inner->kind == WEIR_PROMQL_NODE_NUMBER) {
        if (sign->kind == WEIR_PROMQL_SUB)
            inner->number.value *= -1;
        struct weir_promql_node *node = bounded(parser, inner, sign->at);
        if (node == inner)
            inner->at.start = sign->at.start;
        return node;
    }
    if (sign->kind == WEIR_PROMQL_ADD)
        return inner;
    return duration_new(parser, WEIR_PROMQL_SUB, NULL, inner,
        (struct weir_promql_range){sign->at.start, inner->at.end});
}

/* step(), range(), min_of(a, b), max_of(a, b) */
static struct weir_promql_node *
time_call(struct weir_promql_parser *parser)
{
    struct weir_promql_item name = weir_promql_next(parser), item;
    struct weir_promql_node *left = NULL, *right = NULL;
    if (!weir_promql_expect(parser, WEIR_PROMQL_LEFT_PAREN, &item))
        return NULL;
    if (name.kind == WEIR_PROMQL_MIN_OF || name.kind == WEIR_PROMQL_MAX_OF) {
        if ((left = arithmetic(parser, 1)) == NULL
            || !weir_promql_expect(parser, WEIR_PROMQL_COMMA, &item)
            || (right = arithmetic(parser, 1)) == NULL)
            return NULL;
    }
    if (!weir_promql_expect(parser, WEIR_PROMQL_RIGHT_PAREN, &item))
        return NULL;
    return duration_new(parser, name.kind, left, right,
        (struct weir_promql_range){name.at.start, item.at.end});
}

static struct weir_promql_node *
wrapped(struct weir_promql_parser *parser)
{
    struct weir_promql_item open = weir_promql_next(parser), close;
    struct weir_promql_node *inner = arithmetic(parser, 1);
    if (inner == NULL || !weir_promql_expect(parser, WEIR_PROMQL_RIGHT_PAREN, &close))
        return NULL;
    return wrap(parser, inner, (struct weir_promql_range){open.at.start, close.at.end});
}

static struct weir_promql_node *
duration_primary(struct weir_promql_parser *parser)
{
    for (;;) {
        switch (weir_promql_look(parser)) {
        case WEIR_PROMQL_NUMBER:
        case WEIR_PROMQL_DURATION:
            return literal(parser);
        case WEIR_PROMQL_STEP:
        case WEIR_PROMQL_RANGE:
        case WEIR_PROMQL_MIN_OF:
        case WEIR_PROMQL_MAX_OF:
            return time_call(parser);
        case WEIR_PROMQL_LEFT_PAREN:
            return wrapped(parser);
        case WEIR_PROMQL_ADD:
        case WEIR_PROMQL_SUB: {
            struct weir_promql_item sign = weir_promql_next(parser);
            struct weir_promql_node *inner = arithmetic(parser,
                weir_promql_precedence(WEIR_PROMQL_POW));
            return signed_duration(parser, &sign, inner);
        }
        default:
            if (!weir_promql_misfit(parser))
                return NULL;
        }
    }
}

static bool
is_zero(const struct weir_promql_node *node)
{
    return node->kind == WEIR_PROMQL_NODE_NUMBER && node->number.value == 0;
}

static struct weir_promql_node *
more_arithmetic(struct weir_promql_parser *parser, struct weir_promql_node *left,
    unsigned precedence)
{
    while (left != NULL && parser->stopped == WEIR_OK) {
        enum weir_promql_token kind = weir_promql_look(parser);
        unsigned binds = weir_promql_precedence(kind);
        if (weir_promql_operator_kind(kind) != WEIR_PROMQL_ARITHMETIC || kind == WEIR_PROMQL_ATAN2
            || binds < precedence)
            break;
        struct weir_promql_item item = weir_promql_next(parser);
        struct weir_promql_node *right = arithmetic(parser,
            weir_promql_right_associative(kind) ? binds : binds + 1);
        if (right == NULL)
            return NULL;
        if ((kind == WEIR_PROMQL_DIV || kind == WEIR_PROMQL_MOD) && is_zero(right)) {
            weir_promql_error(parser, item.at,
                kind == WEIR_PROMQL_DIV ? "division by zero" : "modulo by zero");
            left = nothing(parser);
            continue;
        }
        left = duration_new(parser, kind, left, right,
            (struct weir_promql_range){left->at.start, right->at.end});
    }
    return parser->stopped == WEIR_OK ? left : NULL;
}

static struct weir_promql_node *
arithmetic(struct weir_promql_parser *parser, unsigned precedence)
{
    if (!weir_promql_enter(parser))
        return NULL;
    struct weir_promql_node *node = more_arithmetic(parser, duration_primary(parser), precedence);
    weir_promql_leave(parser);
    return node;
}

struct weir_promql_node *
weir_promql_duration_positive(struct weir_promql_parser *parser)
{
    struct weir_promql_node *node = arithmetic(parser, 1);
    if (node == NULL || node->kind != WEIR_PROMQL_NODE_NUMBER || node->number.value > 0)
        return node;
    weir_promql_error(parser, node->at, "duration must be greater than 0");
    return nothing(parser);
}

/* After offset a number ends the duration: foo offset 5m + 1 adds 1 to foo. So do step(), min_of()
 * and their like, with a sign or without, and -(...). Only (...) and two signs go on. */
struct weir_promql_node *
weir_promql_duration_offset(struct weir_promql_parser *parser)
{
    struct weir_promql_item sign;
    bool has_sign = weir_promql_look(parser) == WEIR_PROMQL_ADD
        || weir_promql_look(parser) == WEIR_PROMQL_SUB;
    if (has_sign)
        sign = weir_promql_next(parser);
    struct weir_promql_node *node;
    switch (weir_promql_look(parser)) {
    case WEIR_PROMQL_NUMBER:
    case WEIR_PROMQL_DURATION:
        /* with a sign, the bound is looked at once the sign is known */
        node = has_sign ? weir_promql_literal(parser) : literal(parser);
        break;
    case WEIR_PROMQL_STEP:
    case WEIR_PROMQL_RANGE:
    case WEIR_PROMQL_MIN_OF:
    case WEIR_PROMQL_MAX_OF:
        node = time_call(parser);
        break;
    case WEIR_PROMQL_LEFT_PAREN:
        node = wrapped(parser);
        if (!has_sign)
            return more_arithmetic(parser, node, 1);
        break;
    default:
        node = arithmetic(parser, has_sign ? weir_promql_precedence(WEIR_PROMQL_POW) : 1);
        if (has_sign)
            node = signed_duration(parser, &sign, node);
        return more_arithmetic(parser, node, 1);
    }
    return has_sign ? signed_duration(parser, &sign, node) : node;
}

/* Beyond 104 days a double holds no single nanoseconds: whole milliseconds are taken there. */
static struct weir_promql_length
length(struct weir_promql_node *node)
{
    if (node->kind == WEIR_PROMQL_NODE_DURATION)
        return (struct weir_promql_length){0, node};
    double ns = round(node->number.value * 1e9);
    if (ns >= 9223372036854775807.0)
        return (struct weir_promql_length){INT64_MAX / 1000000 * 1000000, NULL};
    if (ns <= -9223372036854775807.0)
        return (struct weir_promql_length){-(INT64_MAX / 1000000 * 1000000), NULL};
    if (fabs(ns) >= 9007199254740992.0)
        return (struct weir_promql_length){(int64_t)round(ns / 1e6) * 1000000, NULL};
    return (struct weir_promql_length){(int64_t)ns, NULL};
}

/* A range or a step: above 0 it stays above 0. */
static struct weir_promql_length
positive_span(struct weir_promql_node *node)
{
    struct weir_promql_length out = length(node);
    if (out.expression == NULL && out.ns == 0 && node->number.value > 0)
        out.ns = 1;
    return out;
}

static struct weir_promql_node *
matrix(struct weir_promql_parser *parser, struct weir_promql_node *inner,
    const struct weir_promql_item *open, struct weir_promql_node *range)
{
    struct weir_promql_item close = weir_promql_next(parser);
    struct weir_promql_range at = {open->at.start, close.at.end};
    const struct weir_promql_shift *shift = &inner->vector.shift;
    if (inner->kind != WEIR_PROMQL_NODE_VECTOR)
        weir_promql_error(parser, at, "ranges only allowed for vector selectors");
    else if (shift->offset.ns != 0 || shift->offset.expression != NULL)
        weir_promql_error(parser, at, "no offset modifiers allowed before range");
    else if (shift->at_set || shift->edge != WEIR_PROMQL_EOF)
        weir_promql_error(parser, at, "no @ modifiers allowed before range");
    struct weir_promql_node *node = weir_promql_node_new(parser, WEIR_PROMQL_NODE_MATRIX,
        WEIR_PROMQL_TYPE_MATRIX,
        (struct weir_promql_range){inner->at.start, parser->last_closing});
    if (node == NULL || !weir_promql_adopt(parser, node, inner)
        || !weir_promql_adopt(parser, node, range))
        return NULL;
    node->matrix.vector = inner;
    node->matrix.range = positive_span(range);
    return node;
}

static bool
begins_duration(enum weir_promql_token kind)
{
    switch (kind) {
    case WEIR_PROMQL_NUMBER:
    case WEIR_PROMQL_DURATION:
    case WEIR_PROMQL_STEP:
    case WEIR_PROMQL_RANGE:
    case WEIR_PROMQL_MIN_OF:
    case WEIR_PROMQL_MAX_OF:
    case WEIR_PROMQL_LEFT_PAREN:
    case WEIR_PROMQL_ADD:
    case WEIR_PROMQL_SUB:
        return true;
    default:
        return false;
    }
}

/* After the colon. Returns inner where an error was reported. */
static struct weir_promql_node *
subquery(struct weir_promql_parser *parser, struct weir_promql_node *inner,
    struct weir_promql_node *range)
{
    struct weir_promql_item close;
    struct weir_promql_node *step = NULL;
    (void)weir_promql_next(parser);
    enum weir_promql_token kind;
    while ((kind = weir_promql_look(parser)) != WEIR_PROMQL_RIGHT_BRACKET && !begins_duration(kind))
        if (!weir_promql_misfit(parser))
            break;
    if (begins_duration(kind))
        step = weir_promql_duration_positive(parser);
    if (step == NULL && kind != WEIR_PROMQL_RIGHT_BRACKET) {
        if (parser->stopped == WEIR_OK)
            weir_promql_unexpected(parser, "subquery selector",
                "number, duration, step(), range(), or \"]\"");
        return inner;
    }
    if (!weir_promql_expect(parser, WEIR_PROMQL_RIGHT_BRACKET, &close)) {
        if (parser->stopped == WEIR_OK)
            weir_promql_unexpected(parser, "subquery selector", "\"]\"");
        return inner;
    }
    struct weir_promql_node *node = weir_promql_node_new(parser, WEIR_PROMQL_NODE_SUBQUERY,
        WEIR_PROMQL_TYPE_MATRIX, (struct weir_promql_range){inner->at.start, close.at.end});
    if (node == NULL || !weir_promql_adopt(parser, node, inner)
        || !weir_promql_adopt(parser, node, range)
        || (step != NULL && !weir_promql_adopt(parser, node, step)))
        return NULL;
    node->subquery.inner = inner;
    node->subquery.range = positive_span(range);
    if (step != NULL)
        node->subquery.step = positive_span(step);
    return node;
}

struct weir_promql_node *
weir_promql_brackets(struct weir_promql_parser *parser, struct weir_promql_node *inner)
{
    struct weir_promql_item open = weir_promql_next(parser);
    struct weir_promql_node *range = weir_promql_duration_positive(parser);
    if (range == NULL) {
        if (parser->stopped == WEIR_OK)
            weir_promql_unexpected(parser, "subquery or range selector", EXPECTED);
        return inner;
    }
    for (;;) {
        enum weir_promql_token kind = weir_promql_look(parser);
        if (kind == WEIR_PROMQL_RIGHT_BRACKET)
            return matrix(parser, inner, &open, range);
        if (kind == WEIR_PROMQL_COLON)
            return subquery(parser, inner, range);
        if (weir_promql_misfit(parser))
            continue;
        if (parser->stopped == WEIR_OK)
            weir_promql_unexpected(parser, "subquery or range", "\":\" or \"]\"");
        return inner;
    }
}

/* The selector whose shift a modifier sets; NULL where there is none, and then an error. */
static struct weir_promql_shift *
shift_of(struct weir_promql_parser *parser, struct weir_promql_node *node, const char *otherwise)
{
    switch (node->kind) {
    case WEIR_PROMQL_NODE_VECTOR:
        return &node->vector.shift;
    case WEIR_PROMQL_NODE_SUBQUERY:
        return &node->subquery.shift;
    case WEIR_PROMQL_NODE_MATRIX:
        if (node->matrix.vector->kind == WEIR_PROMQL_NODE_VECTOR)
            return &node->matrix.vector->vector.shift;
        weir_promql_error(parser, node->at, "ranges only allowed for vector selectors");
        return NULL;
    default:
        weir_promql_error(parser, node->at, otherwise);
        return NULL;
    }
}

static void
offset(struct weir_promql_parser *parser, struct weir_promql_node *node)
{
    struct weir_promql_node *value = weir_promql_duration_offset(parser);
    if (value == NULL) {
        if (parser->stopped == WEIR_OK)
            weir_promql_unexpected(parser, "offset", EXPECTED);
        return;
    }
    struct weir_promql_shift *shift = shift_of(parser, node,
        "offset modifier must be preceded by an instant vector selector or range vector selector "
        "or a subquery");
    if (shift == NULL)
        return;
    if (shift->offset.ns != 0 || shift->offset.expression != NULL)
        weir_promql_error(parser, node->at, "offset may not be set multiple times");
    else
        shift->offset = length(value);
    if (!weir_promql_adopt(parser, node, value))
        return;
    node->at.end = parser->last_closing;
}

/* The selector that @ belongs to; NULL after an error. */
static struct weir_promql_shift *
at_shift(struct weir_promql_parser *parser, struct weir_promql_node *node)
{
    struct weir_promql_shift *shift = shift_of(parser, node,
        "@ modifier must be preceded by an instant vector selector or range vector selector or a "
        "subquery");
    if (shift != NULL && (shift->at_set || shift->edge != WEIR_PROMQL_EOF)) {
        weir_promql_error(parser, node->at, "@ <timestamp> may not be set multiple times");
        return NULL;
    }
    return shift;
}

static void
at_number(struct weir_promql_parser *parser, struct weir_promql_node *node, double seconds)
{
    if (!(fabs(seconds) < 9223372036854775808.0) || !(fabs(seconds * 1000) < 9223372036854775808.0))
        weir_promql_error(parser, node->at,
            isfinite(seconds) ? weir_promql_format(parser->arena,
                                    "timestamp out of bounds for @ modifier: %f", seconds)
            : isnan(seconds)  ? "timestamp out of bounds for @ modifier: NaN"
            : seconds < 0     ? "timestamp out of bounds for @ modifier: -Inf"
                              : "timestamp out of bounds for @ modifier: +Inf");
    struct weir_promql_shift *shift = at_shift(parser, node);
    if (shift == NULL)
        return;
    shift->at_set = true;
    if (fabs(seconds * 1000) < 9223372036854775808.0)
        shift->at_ms = (int64_t)round(seconds * 1000);
    node->at.end = parser->last_closing;
}

/* After @: a number with or without a sign, start() or end(). False after an error of syntax. */
static bool
at_value(struct weir_promql_parser *parser, struct weir_promql_node *node)
{
    struct weir_promql_item item;
    bool negative = false, duration;
    enum weir_promql_token kind;
    while ((kind = weir_promql_look(parser)) != WEIR_PROMQL_ADD && kind != WEIR_PROMQL_SUB
        && kind != WEIR_PROMQL_NUMBER && kind != WEIR_PROMQL_DURATION && kind != WEIR_PROMQL_START
        && kind != WEIR_PROMQL_END)
        if (!weir_promql_misfit(parser))
            return false;
    if (kind == WEIR_PROMQL_START || kind == WEIR_PROMQL_END) {
        (void)weir_promql_next(parser);
        if (!weir_promql_expect(parser, WEIR_PROMQL_LEFT_PAREN, &item)
            || !weir_promql_expect(parser, WEIR_PROMQL_RIGHT_PAREN, &item))
            return false;
        struct weir_promql_shift *shift = at_shift(parser, node);
        if (shift != NULL) {
            shift->edge = kind;
            node->at.end = parser->last_closing;
        }
        return true;
    }
    if (kind == WEIR_PROMQL_ADD || kind == WEIR_PROMQL_SUB) {
        (void)weir_promql_next(parser);
        negative = kind == WEIR_PROMQL_SUB;
        while (weir_promql_look(parser) != WEIR_PROMQL_NUMBER
            && weir_promql_look(parser) != WEIR_PROMQL_DURATION)
            if (!weir_promql_misfit(parser))
                return false;
    }
    double value = weir_promql_literal_value(parser, &duration);
    at_number(parser, node, negative ? -value : value);
    return true;
}

static void
extend(struct weir_promql_parser *parser, struct weir_promql_node *node, bool anchored)
{
    const char *word = anchored ? "anchored" : "smoothed";
    struct weir_promql_node *vector = node->kind == WEIR_PROMQL_NODE_MATRIX ? node->matrix.vector
                                                                            : node;
    if (node->kind == WEIR_PROMQL_NODE_SUBQUERY) {
        weir_promql_error(parser, node->at, weir_promql_format(parser->arena,
            "%s modifier is not supported for subqueries", word));
    } else if (vector->kind != WEIR_PROMQL_NODE_VECTOR) {
        if (node->kind != WEIR_PROMQL_NODE_MATRIX) /* that one was reported with its range */
            weir_promql_error(parser, node->at, weir_promql_format(parser->arena,
                "%s modifier not implemented", word));
    } else {
        if (anchored ? vector->vector.smoothed : vector->vector.anchored)
            weir_promql_error(parser, node->at,
                "anchored and smoothed modifiers cannot be used together");
        vector->vector.anchored |= anchored;
        vector->vector.smoothed |= !anchored;
    }
}

struct weir_promql_node *
weir_promql_modifier(struct weir_promql_parser *parser, struct weir_promql_node *inner)
{
    switch (weir_promql_next(parser).kind) {
    case WEIR_PROMQL_OFFSET:
        offset(parser, inner);
        break;
    case WEIR_PROMQL_AT:
        if (!at_value(parser, inner) && parser->stopped == WEIR_OK)
            weir_promql_unexpected(parser, "@", "timestamp");
        break;
    case WEIR_PROMQL_ANCHORED:
        extend(parser, inner, true);
        break;
    default:
        extend(parser, inner, false);
    }
    return inner;
}
