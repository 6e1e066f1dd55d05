/* go_math: functions whose corners are those of Go's library, not of C's.
 *
 * Threads: any
 */
#ifndef WEIR_CONTROLPLANE_PROMQL_FUNCTIONS_GO_MATH_H
#define WEIR_CONTROLPLANE_PROMQL_FUNCTIONS_GO_MATH_H

#include <math.h>

/* An infinity of that end wins, then NaN; 0 is above -0. */
static inline double
weir_promql_max(double a, double b)
{
    if (isinf(a) && a > 0)
        return a;
    if (isinf(b) && b > 0)
        return b;
    if (isnan(a) || isnan(b))
        return NAN;
    if (a == 0 && b == 0)
        return signbit(a) ? b : a;
    return a > b ? a : b;
}

static inline double
weir_promql_min(double a, double b)
{
    if (isinf(a) && a < 0)
        return a;
    if (isinf(b) && b < 0)
        return b;
    if (isnan(a) || isnan(b))
        return NAN;
    if (a == 0 && b == 0)
        return signbit(a) ? a : b;
    return a < b ? a : b;
}

#endif
