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

struct weir_promql_function {
    const char *name;
    enum weir_promql_type result;
    const char *arguments; /* V, M, S, T: a letter each */
    int optional;          /* so many more than all but the last; -1 any number; 0: exactly those */
    bool experimental;
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
