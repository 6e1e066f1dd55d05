#include "controlplane/promql/parse/function.h"

#include <string.h>

static const struct weir_promql_function functions[] = {
#define NONE 0
#define KEEPS WEIR_PROMQL_KEEPS_NAME
#define VARIES WEIR_PROMQL_VARIES
#define ANCHORED WEIR_PROMQL_ANCHORED_TOO
#define SMOOTHED WEIR_PROMQL_SMOOTHED_TOO
#define COUNTER WEIR_PROMQL_COUNTER
#define WEIR_FUNCTION(name, result, arguments, optional, experimental, flags, form, kernel) \
    {WEIR_PROMQL_FUNCTION_##name, #name, WEIR_PROMQL_TYPE_##result, arguments, optional, \
        experimental, flags},
#include "controlplane/promql/parse/functions.def"
#undef WEIR_FUNCTION
};

const struct weir_promql_function *
weir_promql_function(struct weir_promql_text name)
{
    for (size_t i = 0; i < sizeof functions / sizeof functions[0]; i++)
        if (weir_promql_text_is(name, functions[i].name))
            return &functions[i];
    return NULL;
}

enum weir_promql_type
weir_promql_argument_type(const struct weir_promql_function *function, uint32_t index)
{
    size_t count = strlen(function->arguments);
    switch (function->arguments[index < count ? index : count - 1]) {
    case 'V':
        return WEIR_PROMQL_TYPE_VECTOR;
    case 'M':
        return WEIR_PROMQL_TYPE_MATRIX;
    case 'S':
        return WEIR_PROMQL_TYPE_SCALAR;
    default:
        return WEIR_PROMQL_TYPE_STRING;
    }
}

enum weir_promql_type
weir_promql_parameter_type(enum weir_promql_token aggregator)
{
    switch (aggregator) {
#define WEIR_AGGREGATOR(name, text, parameter, experimental, form, kernel) \
    case WEIR_PROMQL_##name: \
        return WEIR_PROMQL_TYPE_##parameter;
#include "controlplane/promql/parse/aggregators.def"
#undef WEIR_AGGREGATOR
    default:
        return WEIR_PROMQL_TYPE_NONE;
    }
}

const char *
weir_promql_type_text(enum weir_promql_type type)
{
    switch (type) {
    case WEIR_PROMQL_TYPE_VECTOR:
        return "instant vector";
    case WEIR_PROMQL_TYPE_MATRIX:
        return "range vector";
    default:
        return weir_promql_type_name(type);
    }
}

const char *
weir_promql_type_name(enum weir_promql_type type)
{
    static const char *const names[] = {"none", "scalar", "string", "vector", "matrix"};
    return names[type];
}
