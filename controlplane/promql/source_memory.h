/* source_memory: a source of series in memory, for tests and benchmarks.
 *
 * Threads: one writes while no view is open; views from any
 * Memory:  the heap
 * Errors:  WEIR_NOMEM; WEIR_INVALID for a label that occurs twice
 */
#ifndef WEIR_CONTROLPLANE_PROMQL_SOURCE_MEMORY_H
#define WEIR_CONTROLPLANE_PROMQL_SOURCE_MEMORY_H

#include "controlplane/promql/source.h"

struct weir_promql_memory;

struct weir_promql_sample {
    int64_t time_ms;
    double value;
    int64_t start_ms; /* 0: unknown */
    bool histogram;   /* a native one: its value is not looked at */
};

enum weir_err weir_promql_memory_new(struct weir_promql_memory **out) WEIR_MUST_USE;
/* NULL is allowed. */
void weir_promql_memory_free(struct weir_promql_memory *memory);

/* Number of the series with these labels, which are in any order and are copied; an empty value is
 * no label. */
enum weir_err weir_promql_memory_series(struct weir_promql_memory *memory,
    const struct weir_promql_label *labels, uint32_t count, uint32_t *out) WEIR_MUST_USE;
/* Adds a sample; one at the same time takes its place. */
enum weir_err weir_promql_memory_add(struct weir_promql_memory *memory, uint32_t series,
    const struct weir_promql_sample *sample) WEIR_MUST_USE;

/* The source; it lives as long as memory. Series are selected in the order of their labels. */
const struct weir_promql_source *weir_promql_memory_source(const struct weir_promql_memory *memory);

#endif
