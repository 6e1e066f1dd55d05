#include "controlplane/promql/aggregate/operate.h"

#include <math.h>

#define EACH(expression)                                                                           \
    for (uint32_t i = 0; i < count; i++)                                                           \
        out[i] = (expression);                                                                     \
    break

void
weir_promql_operate(
    enum weir_promql_token operator, const double * a, const double *b, double *out, uint32_t count)
{
    switch (operator) {
    case WEIR_PROMQL_ADD:
        EACH(a[i] + b[i]);
    case WEIR_PROMQL_SUB:
        EACH(a[i] - b[i]);
    case WEIR_PROMQL_MUL:
        EACH(a[i] * b[i]);
    case WEIR_PROMQL_DIV:
        EACH(a[i] / b[i]);
    case WEIR_PROMQL_MOD:
        EACH(fmod(a[i], b[i]));
    case WEIR_PROMQL_POW:
        EACH(pow(a[i], b[i]));
    default:
        EACH(atan2(a[i], b[i]));
    }
}

#define EACH_BIT(expression)                                                                       \
    for (uint32_t i = 0; i < count; i++)                                                           \
        out[i / 64] |= (uint64_t)(expression) << (i % 64);                                         \
    break

void
weir_promql_compare(enum weir_promql_token operator, const double * a, const double *b,
    uint64_t *out, uint32_t count)
{
    for (uint32_t i = 0; i < (count + 63) / 64; i++)
        out[i] = 0;
    switch (operator) {
    case WEIR_PROMQL_EQUALS:
        EACH_BIT(a[i] == b[i]);
    case WEIR_PROMQL_DIFFERS:
        EACH_BIT(a[i] != b[i]);
    case WEIR_PROMQL_LESS:
        EACH_BIT(a[i] < b[i]);
    case WEIR_PROMQL_AT_MOST:
        EACH_BIT(a[i] <= b[i]);
    case WEIR_PROMQL_GREATER:
        EACH_BIT(a[i] > b[i]);
    default:
        EACH_BIT(a[i] >= b[i]);
    }
}
