/* annotations: warnings and infos of a query, a set by text.
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

/* Adds one at a place of the query; the arguments are those of its format. */
enum weir_err weir_promql_annotate(struct weir_promql_query *query,
    enum weir_promql_annotation_id id, struct weir_promql_range at, ...) WEIR_MUST_USE;

#endif
