/* function: types of values, and the tables of functions and aggregators.
 *
 * Threads: any; constant
 */
#ifndef WEIR_CONTROLPLANE_PROMQL_PARSE_FUNCTION_H
#define WEIR_CONTROLPLANE_PROMQL_PARSE_FUNCTION_H

#include "controlplane/promql/parse/token.h"

enum weir_promql_type {
    WEIR_PROMQL_TYPE_NONE,
    WEIR_PROMQL_TYPE_SCALAR,
    WEIR_PROMQL_TYPE_STRING,
    WEIR_PROMQL_TYPE_VECTOR,
    WEIR_PROMQL_TYPE_MATRIX,
};

enum weir_promql_function_id {
#define WEIR_FUNCTION(name, result, arguments, optional, experimental, flags, form, kernel) \
    WEIR_PROMQL_FUNCTION_##name,
#include "controlplane/promql/parse/functions.def"
#undef WEIR_FUNCTION
};

/* Flags of functions. */
enum {
    WEIR_PROMQL_KEEPS_NAME = 1, /* else the name goes from what it answers */
    WEIR_PROMQL_VARIES = 2,     /* with the time of evaluation, though its arguments do not */
    WEIR_PROMQL_ANCHORED_TOO = 4, /* takes anchored ranges */
    WEIR_PROMQL_SMOOTHED_TOO = 8, /* takes smoothed ranges */
    WEIR_PROMQL_COUNTER = 16,     /* is for counters: others are reported */
};

struct weir_promql_function {
    enum weir_promql_function_id id;
    const char *name;
    enum weir_promql_type result;
    const char *arguments; /* V, M, S, T: a letter each */
    int optional;          /* so many more than all but the last; -1 any number; 0: exactly those */
    bool experimental;
    unsigned flags;
};

/* NULL where there is none of that name. */
const struct weir_promql_function *weir_promql_function(struct weir_promql_text name);
/* Type of its argument number index; the last repeats where more are allowed. */
enum weir_promql_type weir_promql_argument_type(const struct weir_promql_function *function,
    uint32_t index);
/* Type of an aggregator's parameter; NONE where it has none. */
enum weir_promql_type weir_promql_parameter_type(enum weir_promql_token aggregator);
/* "instant vector"; for people. */
const char *weir_promql_type_text(enum weir_promql_type type);
/* "vector"; in answers. */
const char *weir_promql_type_name(enum weir_promql_type type);

#endif
