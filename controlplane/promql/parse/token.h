/* token: what the lexer makes of a query's text.
 *
 * Threads: any; the tables are constant
 */
#ifndef WEIR_CONTROLPLANE_PROMQL_PARSE_TOKEN_H
#define WEIR_CONTROLPLANE_PROMQL_PARSE_TOKEN_H

#include "controlplane/promql/parse/go_text.h"

#include <stdbool.h>
#include <stdint.h>

/* WEIR_MARK(NAME, text): punctuation */
#define WEIR_PROMQL_MARKS(X) \
    X(LEFT_PAREN, "(") \
    X(RIGHT_PAREN, ")") \
    X(LEFT_BRACE, "{") \
    X(RIGHT_BRACE, "}") \
    X(LEFT_BRACKET, "[") \
    X(RIGHT_BRACKET, "]") \
    X(COMMA, ",") \
    X(COLON, ":") \
    X(IS, "=")

/* Words that have a meaning in some places and are names in others. */
#define WEIR_PROMQL_KEYWORDS(X) \
    X(ANCHORED, "anchored") \
    X(BOOL, "bool") \
    X(BY, "by") \
    X(FILL, "fill") \
    X(FILL_LEFT, "fill_left") \
    X(FILL_RIGHT, "fill_right") \
    X(GROUP_LEFT, "group_left") \
    X(GROUP_RIGHT, "group_right") \
    X(IGNORING, "ignoring") \
    X(OFFSET, "offset") \
    X(ON, "on") \
    X(SMOOTHED, "smoothed") \
    X(WITHOUT, "without")

/* Words of times and durations. */
#define WEIR_PROMQL_TIME_WORDS(X) \
    X(START, "start") \
    X(END, "end") \
    X(STEP, "step") \
    X(RANGE, "range") \
    X(MAX_OF, "max_of") \
    X(MIN_OF, "min_of")

enum weir_promql_token {
    WEIR_PROMQL_EOF,
    WEIR_PROMQL_ERROR, /* the text is the message; nothing comes after it */
    WEIR_PROMQL_IDENTIFIER,
    WEIR_PROMQL_METRIC_IDENTIFIER, /* with a colon in it */
    WEIR_PROMQL_STRING,
    WEIR_PROMQL_NUMBER,
    WEIR_PROMQL_DURATION,
#define X(name, text) WEIR_PROMQL_##name,
    WEIR_PROMQL_MARKS(X) WEIR_PROMQL_KEYWORDS(X) WEIR_PROMQL_TIME_WORDS(X)
#undef X
#define WEIR_OPERATOR(name, text, precedence, right, kind) WEIR_PROMQL_##name,
#include "controlplane/promql/parse/operators.def"
#undef WEIR_OPERATOR
#define WEIR_AGGREGATOR(name, text, parameter, experimental, form, kernel) WEIR_PROMQL_##name,
#include "controlplane/promql/parse/aggregators.def"
#undef WEIR_AGGREGATOR
    WEIR_PROMQL_TOKENS
};

enum weir_promql_class {
    WEIR_PROMQL_CLASS_OTHER,
    WEIR_PROMQL_CLASS_MARK,
    WEIR_PROMQL_CLASS_KEYWORD,
    WEIR_PROMQL_CLASS_TIME_WORD,
    WEIR_PROMQL_CLASS_OPERATOR,
    WEIR_PROMQL_CLASS_AGGREGATOR,
};

enum weir_promql_operator_kind {
    WEIR_PROMQL_NONE,
    WEIR_PROMQL_ARITHMETIC,
    WEIR_PROMQL_COMPARISON,
    WEIR_PROMQL_SET,
    WEIR_PROMQL_TRIM,
};

/* Byte positions in the query, end exclusive. */
struct weir_promql_range {
    int32_t start, end;
};

struct weir_promql_item {
    enum weir_promql_token kind;
    struct weir_promql_range at;
    struct weir_promql_text text;
};

enum weir_promql_class weir_promql_class(enum weir_promql_token kind);
enum weir_promql_operator_kind weir_promql_operator_kind(enum weir_promql_token kind);
/* 1 binds loosest; 0 is no binary operator. */
unsigned weir_promql_precedence(enum weir_promql_token kind);
bool weir_promql_right_associative(enum weir_promql_token kind);
/* How it is spelled; "" for those without one spelling. */
const char *weir_promql_spelling(enum weir_promql_token kind);
/* The keyword, operator, aggregator or NUMBER (inf, nan) that a word is in any case; else
 * WEIR_PROMQL_IDENTIFIER. */
enum weir_promql_token weir_promql_word(const char *word, size_t size);
/* Whether it can be the name of a metric, or a label in by (...). */
bool weir_promql_names_metric(enum weir_promql_token kind);
bool weir_promql_names_label(enum weir_promql_token kind);
/* For messages: identifier "x", <op:+>, end of input. NULL without memory. */
const char *weir_promql_describe(struct weir_promql_arena *arena,
    const struct weir_promql_item *item);

#endif
