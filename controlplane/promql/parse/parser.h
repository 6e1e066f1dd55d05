/* parser: what the files of the parser share. Private to them.
 *
 * Errors of syntax: the reference is a generated LALR parser, whose way of going on after an error
 * decides which messages come. This parser goes the same way. If a token does not fit,
 * weir_promql_misfit() is asked: it passes over the token while no good token has been taken since
 * the last error (true: look again), else it returns false, and the functions return NULL up to
 * one that has a message for its place. That one calls weir_promql_unexpected() and goes on.
 * Tokens are read only when they are looked at: positions depend on that.
 */
#ifndef WEIR_CONTROLPLANE_PROMQL_PARSE_PARSER_H
#define WEIR_CONTROLPLANE_PROMQL_PARSE_PARSER_H

#include "controlplane/promql/parse/ast.h"
#include "controlplane/promql/parse/lexer.h"
#include "controlplane/promql/parse/parse.h"

struct weir_promql_parser {
    struct weir_promql_lexer lexer;
    struct weir_promql_arena *arena;
    struct weir_promql_item item; /* the last one read; looked at while `held` */
    bool held;
    unsigned recovering; /* 3 after an error, one less with each token taken */
    enum weir_err stopped; /* OK, or why nothing more is parsed; END: the text ended in an error */
    int32_t last_closing; /* end of the last ) ] }, number or duration read */
    uint32_t depth;
    struct weir_promql_error *errors, *last_error;
    uint32_t error_count;
};

/* Kind of the next token. */
enum weir_promql_token weir_promql_look(struct weir_promql_parser *parser);
/* The next token, and goes on to the one after it. */
struct weir_promql_item weir_promql_next(struct weir_promql_parser *parser);
bool weir_promql_misfit(struct weir_promql_parser *parser);
/* Takes a token of that kind, passing over what may be passed over. */
bool weir_promql_expect(struct weir_promql_parser *parser, enum weir_promql_token kind,
    struct weir_promql_item *out);
/* One of two kinds. */
bool weir_promql_expect_either(struct weir_promql_parser *parser, enum weir_promql_token a,
    enum weir_promql_token b, struct weir_promql_item *out);
void weir_promql_unexpected(struct weir_promql_parser *parser, const char *context,
    const char *expected);
/* Records an error; message NULL: out of memory. */
void weir_promql_error(struct weir_promql_parser *parser, struct weir_promql_range at,
    const char *message);
/* Memory that the parse stops without. */
void *weir_promql_alloc(struct weir_promql_parser *parser, size_t size);
struct weir_promql_node *weir_promql_node_new(struct weir_promql_parser *parser,
    enum weir_promql_node_kind kind, enum weir_promql_type type, struct weir_promql_range at);
/* Makes node at least one higher than child. False beyond the limit. */
bool weir_promql_adopt(struct weir_promql_parser *parser, struct weir_promql_node *node,
    const struct weir_promql_node *child);
bool weir_promql_enter(struct weir_promql_parser *parser);
void weir_promql_leave(struct weir_promql_parser *parser);

/* The number or duration that is looked at. */
struct weir_promql_node *weir_promql_literal(struct weir_promql_parser *parser);
/* The same as a bare value; *end is its end. */
double weir_promql_literal_value(struct weir_promql_parser *parser, bool *duration);
bool weir_promql_string_value(struct weir_promql_parser *parser,
    const struct weir_promql_item *item, struct weir_promql_text *out);

struct weir_promql_node *weir_promql_expression(struct weir_promql_parser *parser,
    unsigned precedence);
bool weir_promql_grouping(struct weir_promql_parser *parser, struct weir_promql_labels *out);
struct weir_promql_node *weir_promql_selector(struct weir_promql_parser *parser,
    const struct weir_promql_item *name);
/* [...] after an expression: a range, a subquery, or the expression itself after an error. */
struct weir_promql_node *weir_promql_brackets(struct weir_promql_parser *parser,
    struct weir_promql_node *inner);
/* offset, @, anchored, smoothed after an expression. */
struct weir_promql_node *weir_promql_modifier(struct weir_promql_parser *parser,
    struct weir_promql_node *inner);
/* Duration expressions: in brackets, and after offset. */
struct weir_promql_node *weir_promql_duration_positive(struct weir_promql_parser *parser);
struct weir_promql_node *weir_promql_duration_offset(struct weir_promql_parser *parser);

void weir_promql_check(struct weir_promql_parser *parser, struct weir_promql_node *root);

#endif
