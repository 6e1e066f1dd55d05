/* each: the plain loop of range functions whose value depends on one window alone.
 *
 * Threads: any
 */
#ifndef WEIR_CONTROLPLANE_PROMQL_RANGE_EACH_H
#define WEIR_CONTROLPLANE_PROMQL_RANGE_EACH_H

#include "controlplane/promql/functions/call.h"

/* Defines weir_promql_range_NAME: out = function(times, values, count) for each window of at least
 * `least` samples. */
#define WEIR_PROMQL_RANGE_EACH(name, least, function)                                              \
    enum weir_err weir_promql_range_##name(struct weir_promql_call *call,                          \
        const struct weir_promql_windows *in, struct weir_promql_row *out)                         \
    {                                                                                              \
        enum weir_err err = WEIR_OK;                                                               \
        for (uint32_t step = 0; step < call->grid.count && err == WEIR_OK; step++) {               \
            uint32_t first = in->first[step], count = in->end[step] - first;                       \
            if (count < (least))                                                                   \
                continue;                                                                          \
            err = weir_promql_work(call->query, count);                                            \
            out->values[step] = function(in->times_ms + first, in->values + first, count);         \
            weir_promql_bit_set(out->present, step);                                               \
        }                                                                                          \
        return err;                                                                                \
    }

#endif
