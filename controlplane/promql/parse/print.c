#include "controlplane/promql/parse/parse.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Text is made twice: first it is only measured (out NULL), which also leaves the width of every
 * node in it, then it is written into memory of exactly that size. */
struct printer {
    struct weir_promql_arena *arena;
    char *out;
    size_t used;
    uint32_t columns; /* of pretty; 0: one line */
    bool starved;
};

static void print(struct printer *printer, struct weir_promql_node *node);

static void
put(struct printer *printer, const char *data, size_t size)
{
    if (printer->out != NULL && size > 0)
        memcpy(printer->out + printer->used, data, size);
    printer->used += size;
}

static void
put_word(struct printer *printer, const char *word)
{
    put(printer, word, strlen(word));
}

static void
put_quoted(struct printer *printer, struct weir_promql_text text)
{
    printer->used += weir_promql_quote(text,
        printer->out == NULL ? NULL : printer->out + printer->used);
}

static void
put_double(struct printer *printer, double value, bool plain)
{
    char text[WEIR_PROMQL_DOUBLE_MAX];
    put(printer, text, weir_promql_double(value, plain, text));
}

static void
put_duration(struct printer *printer, int64_t ns)
{
    char text[WEIR_PROMQL_DURATION_MAX];
    if (ns < 0)
        put_word(printer, "-");
    put(printer, text, weir_promql_duration_text(ns < 0 ? -ns : ns, text));
}

/* A label in a list. Words that the lexer takes for a number or a keyword there are quoted too. */
static void
put_label(struct printer *printer, struct weir_promql_text label)
{
    enum weir_promql_token word = weir_promql_word(label.data, label.size);
    if (weir_promql_label_is_plain(label) && word != WEIR_PROMQL_NUMBER
        && word != WEIR_PROMQL_WITHOUT)
        put(printer, label.data, label.size);
    else
        put_quoted(printer, label);
}

static void
put_labels(struct printer *printer, const char *before, const struct weir_promql_labels *labels)
{
    put_word(printer, before);
    put_word(printer, " (");
    for (uint32_t i = 0; i < labels->count; i++) {
        if (i > 0)
            put_word(printer, ", ");
        put_label(printer, labels->names[i]);
    }
    put_word(printer, ")");
}

static void
print_length(struct printer *printer, const struct weir_promql_length *length)
{
    if (length->expression != NULL)
        print(printer, length->expression);
    else
        put_duration(printer, length->ns);
}

static void
print_number(struct printer *printer, const struct weir_promql_node *node)
{
    if (!node->number.duration) {
        put_double(printer, node->number.value, true);
        return;
    }
    if (signbit(node->number.value))
        put_word(printer, "-");
    /* as an integer: a double holds no nanosecond of more than 104 days */
    double ms = round(fabs(node->number.value) * 1e9 / 1e6);
    put_duration(printer, (ms < 9223372036854 ? (int64_t)ms : 9223372036854) * 1000000);
}

/* Whether offset takes all of a duration without parentheses around it. */
static bool
stands_after_offset(const struct weir_promql_node *node)
{
    while (node->kind == WEIR_PROMQL_NODE_DURATION && !node->duration.wrapped) {
        enum weir_promql_token kind = node->duration.operator;
        if (weir_promql_class(kind) == WEIR_PROMQL_CLASS_TIME_WORD)
            return true;
        if (node->duration.left != NULL) {
            const struct weir_promql_node *first = node->duration.left;
            while (first->kind == WEIR_PROMQL_NODE_DURATION && !first->duration.wrapped
                && first->duration.left != NULL
                && weir_promql_class(first->duration.operator) == WEIR_PROMQL_CLASS_OPERATOR)
                first = first->duration.left;
            return first->kind == WEIR_PROMQL_NODE_DURATION && first->duration.wrapped;
        }
        node = node->duration.right;
        if (node->kind == WEIR_PROMQL_NODE_DURATION && !node->duration.wrapped
            && node->duration.left != NULL
            && weir_promql_class(node->duration.operator) == WEIR_PROMQL_CLASS_OPERATOR)
            return false; /* -2 ^ x: the offset would end at the 2 */
    }
    return true;
}

/* Called twice, before @ and after it: prints where first is what the shift says. */
static void
print_offset(struct printer *printer, const struct weir_promql_shift *shift, bool first)
{
    const struct weir_promql_length *offset = &shift->offset;
    if (shift->offset_first != first || (offset->expression == NULL && offset->ns == 0))
        return;
    put_word(printer, " offset ");
    bool bare = offset->expression == NULL || stands_after_offset(offset->expression);
    put_word(printer, bare ? "" : "(");
    print_length(printer, offset);
    put_word(printer, bare ? "" : ")");
}

static void
print_at(struct printer *printer, const struct weir_promql_shift *shift)
{
    if (shift->edge != WEIR_PROMQL_EOF) {
        put_word(printer, shift->edge == WEIR_PROMQL_START ? " @ start()" : " @ end()");
    } else if (shift->at_set) {
        const char *text = weir_promql_format(printer->arena, " @ %.3f",
            (double)shift->at_ms / 1000.0);
        printer->starved |= text == NULL;
        put_word(printer, text == NULL ? "" : text);
    }
}

static void
print_extended(struct printer *printer, const struct weir_promql_node *vector)
{
    if (vector->vector.anchored)
        put_word(printer, " anchored");
    else if (vector->vector.smoothed)
        put_word(printer, " smoothed");
}

static int
by_text(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* A matcher as text of its own: matchers are sorted by it. */
static const char *
matcher_text(struct printer *printer, const struct weir_promql_matcher *matcher)
{
    bool plain = weir_promql_label_is_plain(matcher->label);
    const char *label = plain ? weir_promql_format(printer->arena, "%.*s",
                                    (int)matcher->label.size, matcher->label.data)
                              : weir_promql_quoted(printer->arena, matcher->label);
    const char *value = weir_promql_quoted(printer->arena, matcher->value);
    if (label == NULL || value == NULL)
        return NULL;
    return weir_promql_format(printer->arena, "%s%s%s", label,
        weir_promql_spelling(matcher->operator), value);
}

/* Name and matchers. */
static void
print_series(struct printer *printer, const struct weir_promql_node *node)
{
    put(printer, node->vector.name.data, node->vector.name.size);
    const char **texts = weir_promql_arena_alloc(printer->arena,
        (node->vector.count + 1) * sizeof *texts);
    uint32_t count = 0;
    for (uint32_t i = 0; texts != NULL && i < node->vector.count; i++) {
        const struct weir_promql_matcher *matcher = &node->vector.matchers[i];
        if (weir_promql_text_is(matcher->label, "__name__") && matcher->value.size > 0
            && matcher->operator == WEIR_PROMQL_IS
            && weir_promql_text_equal(matcher->value, node->vector.name))
            continue;
        texts[count] = matcher_text(printer, matcher);
        printer->starved |= texts[count] == NULL;
        count += texts[count] != NULL;
    }
    printer->starved |= texts == NULL;
    if (count == 0 && node->vector.name.size > 0)
        return;
    if (count > 0)
        qsort(texts, count, sizeof *texts, by_text);
    put_word(printer, "{");
    for (uint32_t i = 0; i < count; i++) {
        put_word(printer, i > 0 ? "," : "");
        put_word(printer, texts[i]);
    }
    put_word(printer, "}");
}

static void
print_matrix(struct printer *printer, const struct weir_promql_node *node)
{
    const struct weir_promql_node *vector = node->matrix.vector;
    print_series(printer, vector);
    put_word(printer, "[");
    print_length(printer, &node->matrix.range);
    put_word(printer, "]");
    print_offset(printer, &vector->vector.shift, true);
    print_extended(printer, vector);
    print_at(printer, &vector->vector.shift);
    print_offset(printer, &vector->vector.shift, false);
}

static void
print_subquery_end(struct printer *printer, const struct weir_promql_node *node)
{
    put_word(printer, "[");
    print_length(printer, &node->subquery.range);
    put_word(printer, ":");
    if (node->subquery.step.ns != 0 || node->subquery.step.expression != NULL)
        print_length(printer, &node->subquery.step);
    put_word(printer, "]");
    print_offset(printer, &node->subquery.shift, true);
    print_at(printer, &node->subquery.shift);
    print_offset(printer, &node->subquery.shift, false);
}

static void
print_aggregate_head(struct printer *printer, const struct weir_promql_node *node)
{
    put_word(printer, weir_promql_spelling(node->aggregate.operator));
    if (node->aggregate.without || node->aggregate.grouping.count > 0) {
        put_labels(printer, node->aggregate.without ? " without" : " by",
            &node->aggregate.grouping);
        put_word(printer, " ");
    }
}

static bool
same_fill(const struct weir_promql_matching *matching)
{
    return matching->fills_left && matching->fills_right
        && memcmp(&matching->fill_left, &matching->fill_right, sizeof(double)) == 0;
}

static void
print_fill(struct printer *printer, const char *word, double value)
{
    put_word(printer, word);
    put_double(printer, value, false);
    put_word(printer, ")");
}

/* The operator and everything between it and the right side, no blanks around. */
static void
print_operator(struct printer *printer, const struct weir_promql_node *node)
{
    const struct weir_promql_matching *matching = node->binary.matching;
    put_word(printer, weir_promql_spelling(node->binary.operator));
    put_word(printer, node->binary.returns_bool ? " bool" : "");
    if (matching == NULL)
        return;
    bool many = matching->cardinality == WEIR_PROMQL_MANY_TO_ONE
        || matching->cardinality == WEIR_PROMQL_ONE_TO_MANY;
    if (matching->labels.count > 0 || matching->on || many)
        put_labels(printer, matching->on ? " on" : " ignoring", &matching->labels);
    if (many)
        put_labels(printer, matching->cardinality == WEIR_PROMQL_MANY_TO_ONE ? " group_left"
                                                                             : " group_right",
            &matching->include);
    if (same_fill(matching)) {
        print_fill(printer, " fill (", matching->fill_left);
        return;
    }
    if (matching->fills_left)
        print_fill(printer, " fill_left (", matching->fill_left);
    if (matching->fills_right)
        print_fill(printer, " fill_right (", matching->fill_right);
}

static void
print_duration(struct printer *printer, const struct weir_promql_node *node)
{
    enum weir_promql_token operator = node->duration.operator;
    put_word(printer, node->duration.wrapped ? "(" : "");
    if (weir_promql_class(operator) == WEIR_PROMQL_CLASS_TIME_WORD) {
        put_word(printer, weir_promql_spelling(operator));
        put_word(printer, "(");
        if (node->duration.left != NULL) {
            print(printer, node->duration.left);
            put_word(printer, ", ");
            print(printer, node->duration.right);
        }
        put_word(printer, ")");
    } else if (node->duration.left == NULL) {
        put_word(printer, operator == WEIR_PROMQL_SUB ? "-" : "");
        print(printer, node->duration.right);
    } else {
        print(printer, node->duration.left);
        put_word(printer, " ");
        put_word(printer, weir_promql_spelling(operator));
        put_word(printer, " ");
        print(printer, node->duration.right);
    }
    put_word(printer, node->duration.wrapped ? ")" : "");
}

static void
print_call(struct printer *printer, const struct weir_promql_node *node)
{
    put_word(printer, node->call.function->name);
    put_word(printer, "(");
    for (uint32_t i = 0; i < node->call.arguments.count; i++) {
        put_word(printer, i > 0 ? ", " : "");
        print(printer, node->call.arguments.nodes[i]);
    }
    put_word(printer, ")");
}

static void
print_aggregate(struct printer *printer, const struct weir_promql_node *node)
{
    print_aggregate_head(printer, node);
    put_word(printer, "(");
    if (node->aggregate.parameter != NULL) {
        print(printer, node->aggregate.parameter);
        put_word(printer, ", ");
    }
    print(printer, node->aggregate.inner);
    put_word(printer, ")");
}

/* The shift that ends the text of node, or NULL. */
static struct weir_promql_shift *
last_shift(struct weir_promql_node *node)
{
    for (;;) {
        switch (node->kind) {
        case WEIR_PROMQL_NODE_UNARY:
            node = node->unary.inner;
            break;
        case WEIR_PROMQL_NODE_BINARY:
            node = node->binary.right;
            break;
        case WEIR_PROMQL_NODE_MATRIX:
            return &node->matrix.vector->vector.shift;
        case WEIR_PROMQL_NODE_VECTOR:
            return &node->vector.shift;
        case WEIR_PROMQL_NODE_SUBQUERY:
            return &node->subquery.shift;
        default:
            return NULL;
        }
    }
}

/* An offset in parentheses goes on with an arithmetic operator after it. Before one it is printed
 * first, and @, anchored or smoothed end it. Without these there were parentheses in the query. */
static void
order_offset(struct weir_promql_node *left, enum weir_promql_token operator)
{
    struct weir_promql_shift *shift = last_shift(left);
    if (shift != NULL && shift->offset.expression != NULL)
        shift->offset_first = weir_promql_operator_kind(operator) == WEIR_PROMQL_ARITHMETIC;
}

/* Infinity prints as +Inf; before ^ that sign would be read as one of the whole power. */
static void
print_left(struct printer *printer, const struct weir_promql_node *node)
{
    struct weir_promql_node *left = node->binary.left;
    if (node->binary.operator == WEIR_PROMQL_POW && left->kind == WEIR_PROMQL_NODE_NUMBER
        && isinf(left->number.value) && left->number.value > 0) {
        left->width = 3;
        put_word(printer, "Inf");
        return;
    }
    order_offset(left, node->binary.operator);
    print(printer, left);
}

static void
print_binary(struct printer *printer, const struct weir_promql_node *node)
{
    print_left(printer, node);
    put_word(printer, " ");
    print_operator(printer, node);
    put_word(printer, " ");
    print(printer, node->binary.right);
}

static void
print_kind(struct printer *printer, const struct weir_promql_node *node)
{
    switch (node->kind) {
    case WEIR_PROMQL_NODE_NUMBER:
        print_number(printer, node);
        break;
    case WEIR_PROMQL_NODE_STRING:
        put_quoted(printer, node->string);
        break;
    case WEIR_PROMQL_NODE_VECTOR:
        print_series(printer, node);
        print_offset(printer, &node->vector.shift, true);
        print_at(printer, &node->vector.shift);
        print_extended(printer, node);
        print_offset(printer, &node->vector.shift, false);
        break;
    case WEIR_PROMQL_NODE_MATRIX:
        print_matrix(printer, node);
        break;
    case WEIR_PROMQL_NODE_SUBQUERY:
        print(printer, node->subquery.inner);
        print_subquery_end(printer, node);
        break;
    case WEIR_PROMQL_NODE_CALL:
        print_call(printer, node);
        break;
    case WEIR_PROMQL_NODE_AGGREGATE:
        print_aggregate(printer, node);
        break;
    case WEIR_PROMQL_NODE_BINARY:
        print_binary(printer, node);
        break;
    case WEIR_PROMQL_NODE_UNARY:
        put_word(printer, weir_promql_spelling(node->unary.operator));
        print(printer, node->unary.inner);
        break;
    case WEIR_PROMQL_NODE_PAREN:
        put_word(printer, "(");
        print(printer, node->paren);
        put_word(printer, ")");
        break;
    case WEIR_PROMQL_NODE_DURATION:
        print_duration(printer, node);
        break;
    }
}

static void
print(struct printer *printer, struct weir_promql_node *node)
{
    size_t begin = printer->used;
    print_kind(printer, node);
    if (printer->out == NULL)
        node->width = (uint32_t)(printer->used - begin);
}

/* Pretty. A node begins with its own indentation; level 0 has none. */

static void pretty(struct printer *printer, struct weir_promql_node *node, unsigned level,
    bool indented);

static void
indent(struct printer *printer, unsigned level)
{
    for (unsigned i = 0; i < level; i++)
        put_word(printer, "  ");
}

static void
pretty_line(struct printer *printer, struct weir_promql_node *node, unsigned level,
    const char *end)
{
    pretty(printer, node, level, true);
    put_word(printer, end);
}

static void
close_line(struct printer *printer, unsigned level)
{
    put_word(printer, "\n");
    indent(printer, level);
    put_word(printer, ")");
}

static void
pretty_split(struct printer *printer, struct weir_promql_node *node, unsigned level)
{
    switch (node->kind) {
    case WEIR_PROMQL_NODE_AGGREGATE:
        print_aggregate_head(printer, node);
        put_word(printer, "(\n");
        if (node->aggregate.parameter != NULL)
            pretty_line(printer, node->aggregate.parameter, level + 1, ",\n");
        pretty(printer, node->aggregate.inner, level + 1, true);
        close_line(printer, level);
        break;
    case WEIR_PROMQL_NODE_CALL:
        put_word(printer, node->call.function->name);
        put_word(printer, "(\n");
        for (uint32_t i = 0; i < node->call.arguments.count; i++)
            pretty_line(printer, node->call.arguments.nodes[i], level + 1,
                i + 1 < node->call.arguments.count ? ",\n" : "");
        close_line(printer, level);
        break;
    case WEIR_PROMQL_NODE_PAREN:
        put_word(printer, "(\n");
        pretty(printer, node->paren, level + 1, true);
        close_line(printer, level);
        break;
    default:
        print(printer, node);
    }
}

static void
pretty(struct printer *printer, struct weir_promql_node *node, unsigned level, bool indented)
{
    bool wide = node->width > printer->columns;
    if (node->kind == WEIR_PROMQL_NODE_BINARY && wide) {
        /* both sides are a level deeper than the operator between them */
        if (node->binary.left->kind == WEIR_PROMQL_NODE_NUMBER) {
            indent(printer, indented ? level + 1 : 0);
            print_left(printer, node);
        } else {
            pretty(printer, node->binary.left, level + 1, indented);
        }
        put_word(printer, "\n");
        indent(printer, level);
        print_operator(printer, node);
        put_word(printer, "\n");
        pretty(printer, node->binary.right, level + 1, true);
        return;
    }
    if (node->kind == WEIR_PROMQL_NODE_SUBQUERY && wide) {
        pretty(printer, node->subquery.inner, level, indented);
        print_subquery_end(printer, node);
        return;
    }
    /* the reference leaves the blanks out before a subquery that fits */
    if (indented && node->kind != WEIR_PROMQL_NODE_SUBQUERY)
        indent(printer, level);
    if (node->kind == WEIR_PROMQL_NODE_UNARY) {
        put_word(printer, weir_promql_spelling(node->unary.operator));
        pretty(printer, node->unary.inner, level, false);
    } else if (wide) {
        pretty_split(printer, node, level);
    } else {
        print(printer, node);
    }
}

static enum weir_err
render(struct weir_promql_arena *arena, struct weir_promql_node *node, uint32_t columns,
    struct weir_promql_text *out)
{
    struct printer printer = {.arena = arena};
    print(&printer, node); /* widths */
    printer.columns = columns;
    if (columns > 0) {
        printer.used = 0;
        pretty(&printer, node, 0, true);
    }
    if (printer.starved || printer.used >= UINT32_MAX)
        return WEIR_NOMEM;
    size_t size = printer.used;
    char *text = weir_promql_arena_alloc(arena, size + 1);
    if (text == NULL)
        return WEIR_NOMEM;
    printer = (struct printer){.arena = arena, .out = text, .columns = columns};
    if (columns > 0)
        pretty(&printer, node, 0, true);
    else
        print(&printer, node);
    *out = (struct weir_promql_text){text, (uint32_t)size};
    return printer.starved ? WEIR_NOMEM : WEIR_OK;
}

enum weir_err
weir_promql_print(struct weir_promql_arena *arena, struct weir_promql_node *node,
    struct weir_promql_text *out)
{
    return render(arena, node, 0, out);
}

enum weir_err
weir_promql_pretty(struct weir_promql_arena *arena, struct weir_promql_node *node,
    uint32_t columns, struct weir_promql_text *out)
{
    return render(arena, node, columns, out);
}
