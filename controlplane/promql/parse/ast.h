/* ast: the tree of a query. Nodes and their texts live in the arena of the parse.
 *
 * Threads: read-only after the parse, but for `width` and `offset_first`, which print writes
 */
#ifndef WEIR_CONTROLPLANE_PROMQL_PARSE_AST_H
#define WEIR_CONTROLPLANE_PROMQL_PARSE_AST_H

#include "controlplane/promql/parse/function.h"
#include "controlplane/promql/parse/token.h"

enum weir_promql_node_kind {
    WEIR_PROMQL_NODE_NUMBER,
    WEIR_PROMQL_NODE_STRING,
    WEIR_PROMQL_NODE_VECTOR,
    WEIR_PROMQL_NODE_MATRIX,
    WEIR_PROMQL_NODE_SUBQUERY,
    WEIR_PROMQL_NODE_CALL,
    WEIR_PROMQL_NODE_AGGREGATE,
    WEIR_PROMQL_NODE_BINARY,
    WEIR_PROMQL_NODE_UNARY,
    WEIR_PROMQL_NODE_PAREN,
    WEIR_PROMQL_NODE_DURATION, /* arithmetic in [...] and after offset */
};

struct weir_promql_node;

struct weir_promql_labels {
    struct weir_promql_text *names;
    uint32_t count;
};

/* Children in the order of the text. */
struct weir_promql_list {
    struct weir_promql_node **nodes;
    uint32_t count;
};

struct weir_promql_matcher {
    struct weir_promql_text label, value;
    enum weir_promql_token operator; /* IS, DIFFERS, MATCHES, MATCHES_NOT */
    bool matches_empty;              /* whether a series without the label passes */
};

/* A duration that is known while parsing, in ns, or the expression it comes from. */
struct weir_promql_length {
    int64_t ns;
    struct weir_promql_node *expression;
};

/* Modifiers of a selector: offset and @. */
struct weir_promql_shift {
    struct weir_promql_length offset;
    int64_t at_ms;
    bool at_set;                  /* at_ms holds */
    enum weir_promql_token edge;  /* START or END for @ start() and @ end(), else EOF */
    bool offset_first;            /* printed before @; of print */
};

enum weir_promql_cardinality {
    WEIR_PROMQL_ONE_TO_ONE,
    WEIR_PROMQL_MANY_TO_ONE, /* group_left */
    WEIR_PROMQL_ONE_TO_MANY, /* group_right */
    WEIR_PROMQL_MANY_TO_MANY,
};

/* How the series of two vectors find each other. */
struct weir_promql_matching {
    enum weir_promql_cardinality cardinality;
    bool on; /* by `labels`, else by all but them */
    struct weir_promql_labels labels, include;
    bool fills_left, fills_right;
    double fill_left, fill_right;
};

struct weir_promql_node {
    enum weir_promql_node_kind kind;
    enum weir_promql_type type; /* of its value */
    struct weir_promql_range at;
    uint32_t height; /* 1 for a leaf */
    uint32_t width;  /* bytes of its printed form, once printed */
    bool steady;     /* the same at every step, once prepared (plan/prepare.h) */
    union {
        struct {
            double value;
            bool duration; /* was written as one, prints as one */
        } number;
        struct weir_promql_text string;
        struct {
            struct weir_promql_text name; /* outside of the braces; it is also the last matcher */
            struct weir_promql_matcher *matchers;
            uint32_t count;
            struct weir_promql_shift shift;
            bool anchored, smoothed;
            bool may_match_all; /* second argument of info */
        } vector;
        struct {
            struct weir_promql_node *vector; /* a VECTOR, which carries the shift */
            struct weir_promql_length range;
        } matrix;
        struct {
            struct weir_promql_node *inner;
            struct weir_promql_length range, step; /* step: ns 0 and no expression by default */
            struct weir_promql_shift shift;
        } subquery;
        struct {
            const struct weir_promql_function *function;
            struct weir_promql_list arguments;
        } call;
        struct {
            enum weir_promql_token operator;
            bool without;
            struct weir_promql_labels grouping;
            struct weir_promql_node *inner, *parameter; /* parameter: NULL where it takes none */
        } aggregate;
        struct {
            enum weir_promql_token operator;
            struct weir_promql_node *left, *right;
            bool returns_bool;
            struct weir_promql_matching *matching; /* NULL unless both sides are vectors */
        } binary;
        struct {
            enum weir_promql_token operator;
            struct weir_promql_node *inner;
        } unary;
        struct weir_promql_node *paren;
        struct {
            enum weir_promql_token operator; /* arithmetic, STEP, RANGE, MIN_OF, MAX_OF */
            struct weir_promql_node *left, *right; /* left NULL: unary; both NULL: step, range */
            bool wrapped; /* in parentheses */
        } duration;
    };
};

#endif
