/* operate: one operator on columns of values.
 *
 * Threads: any; no state
 */
#ifndef WEIR_CONTROLPLANE_PROMQL_AGGREGATE_OPERATE_H
#define WEIR_CONTROLPLANE_PROMQL_AGGREGATE_OPERATE_H

#include "controlplane/promql/parse/token.h"

/* Arithmetic: out[i] = a[i] op b[i]. out may be a or b. */
void weir_promql_operate(enum weir_promql_token operator, const double * a, const double *b,
    double *out, uint32_t count);
/* Comparison: bit i of out says whether a[i] op b[i]; bits beyond count are clear. */
void weir_promql_compare(enum weir_promql_token operator, const double * a, const double *b,
    uint64_t *out, uint32_t count);

#endif
