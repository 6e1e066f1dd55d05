/* kahan: compensated sums after Neumaier (Z. Angew. Math. Mech. 54, 1974).
 *
 * The sum of the parts is sum + compensation; a sum that became infinite has no compensation.
 * Threads: any
 */
#ifndef WEIR_CONTROLPLANE_PROMQL_KAHAN_H
#define WEIR_CONTROLPLANE_PROMQL_KAHAN_H

#include <math.h>

static inline void
weir_promql_kahan_add(double value, double *sum, double *compensation)
{
    double total = *sum + value;
    double lost = fabs(*sum) >= fabs(value) ? (*sum - total) + value : (value - total) + *sum;
    *compensation = isinf(total) ? 0 : *compensation + lost;
    *sum = total;
}

#endif
