/* query: the state of one query that runs; what the folders of promql/ share. Private to them.
 *
 * Threads: one
 * Memory:  `arena`, which the answer keeps; `scratch` is emptied before each group of series
 */
#ifndef WEIR_CONTROLPLANE_PROMQL_PLAN_QUERY_H
#define WEIR_CONTROLPLANE_PROMQL_PLAN_QUERY_H

#include "controlplane/promql/engine.h"

struct weir_promql_query {
    const struct weir_promql_request *request;
    struct weir_promql_answer *answer;
    struct weir_promql_arena arena;
    struct weir_promql_view *view;
    struct weir_promql_labelsets sets;
    struct weir_promql_grid grid;        /* the request's: an instant query has one step */
    struct weir_promql_noted_fix *fixes; /* of classic histograms; see annotations.h */
    uint64_t work; /* values handled since the request was asked for its verdict */
};

/* Values handled between two looks at the verdict: under a millisecond. */
#define WEIR_PROMQL_WORK_MAX 65536

/* Asks for the verdict. WEIR_LIMIT with a text where the query is to end. */
enum weir_err weir_promql_ask(struct weir_promql_query *query) WEIR_MUST_USE;

/* Says that some values are about to be handled; whoever loops over series or steps does. */
static inline WEIR_MUST_USE enum weir_err
weir_promql_work(struct weir_promql_query *query, uint64_t values)
{
    query->work += values;
    return query->work < WEIR_PROMQL_WORK_MAX ? WEIR_OK : weir_promql_ask(query);
}

/* Ends the query: err, with a text for the answer. message NULL: WEIR_NOMEM. */
enum weir_err weir_promql_fail(
    struct weir_promql_query *query, enum weir_err err, const char *message) WEIR_MUST_USE;

/* Memory of the query. NULL beyond memory_max: return WEIR_NOMEM. */
static inline void *
weir_promql_query_alloc(struct weir_promql_query *query, size_t size)
{
    return weir_promql_arena_alloc(&query->arena, size);
}

/* count doubles, and bits for as many; NULL without memory. */
double *weir_promql_doubles_new(struct weir_promql_query *query, uint32_t count);
uint64_t *weir_promql_bits_new(struct weir_promql_query *query, uint32_t count);

/* Line and column, from 1, of a byte of the query. */
void weir_promql_line_column(
    const struct weir_promql_query *query, int32_t at, uint32_t *line, uint32_t *column);
/* The node inside of parentheses. */
const struct weir_promql_node *weir_promql_unwrapped(const struct weir_promql_node *node);

#endif
