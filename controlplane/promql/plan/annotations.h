/* annotations: warnings and infos of a query, a set by text without the place.
 *
 * Threads: one a query
 * Memory:  the query's arena; WEIR_PROMQL_ANNOTATIONS_MAX texts, those that come after are dropped
 * Errors:  WEIR_NOMEM
 */
#ifndef WEIR_CONTROLPLANE_PROMQL_PLAN_ANNOTATIONS_H
#define WEIR_CONTROLPLANE_PROMQL_PLAN_ANNOTATIONS_H

#include "controlplane/promql/engine.h"

/* An answer shows ten of each kind. */
#define WEIR_PROMQL_ANNOTATIONS_MAX 1000

enum weir_promql_annotation_id {
#define WEIR_ANNOTATION(name, kind, format) WEIR_PROMQL_ANNOTATION_##name,
#include "controlplane/promql/plan/annotations.def"
#undef WEIR_ANNOTATION
    WEIR_PROMQL_ANNOTATION_COUNT
};

struct weir_promql_query;

/* Counts of a classic histogram that fell where they may only rise: between which bounds, by how
 * much, over which steps. */
struct weir_promql_fix {
    double bound_min, bound_max, difference_max;
    int64_t first_ms, last_ms;
    uint64_t samples;
};

/* Adds one at a place of the query; the arguments are those of its format. */
enum weir_err weir_promql_annotate(struct weir_promql_query *query,
    enum weir_promql_annotation_id id, struct weir_promql_range at, ...) WEIR_MUST_USE;
/* Notes a fix of the metric at a place of the query. All those of one metric and place become one
 * FORCED_MONOTONICITY, which weir_promql_annotate_fixes adds at the end of the query. */
enum weir_err weir_promql_note_fix(struct weir_promql_query *query, struct weir_promql_text metric,
    struct weir_promql_range at, const struct weir_promql_fix *fix) WEIR_MUST_USE;
enum weir_err weir_promql_annotate_fixes(struct weir_promql_query *query) WEIR_MUST_USE;

#endif
