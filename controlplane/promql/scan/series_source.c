#include "controlplane/promql/scan/series_source.h"
#include "controlplane/promql/plan/eval.h"

struct weir_promql_series_range
weir_promql_series_range(const struct weir_promql_node *node, const struct weir_promql_grid *grid)
{
    struct weir_promql_series_range out = {.node = node};
    if (node->kind == WEIR_PROMQL_NODE_SUBQUERY) {
        out.ends = weir_promql_shifted(&node->subquery.shift, grid);
        out.range_ms = weir_promql_length_ms(&node->subquery.range);
        return out;
    }
    const struct weir_promql_node *vector = node->matrix.vector;
    out.ends = weir_promql_shifted(&vector->vector.shift, grid);
    out.range_ms = weir_promql_length_ms(&node->matrix.range);
    out.anchored = vector->vector.anchored;
    out.smoothed = vector->vector.smoothed;
    return out;
}

/* Turns rows into runs: a step with a value is a sample. */
struct rows_as_runs {
    struct weir_promql_sink sink; /* first */
    struct weir_promql_grid grid;
    int64_t *times_ms;
    double *values;
    bool *drop_name;
    struct weir_promql_run_sink *next;
};

static enum weir_err
push_run(struct weir_promql_sink *sink, struct weir_promql_row *row)
{
    struct rows_as_runs *self = (struct rows_as_runs *)sink;
    struct weir_promql_run run = {.times_ms = self->times_ms, .values = self->values};
    for (uint32_t i = 0; i < self->grid.count; i++) {
        if (!weir_promql_bit(row->present, i))
            continue;
        self->times_ms[run.count] = weir_promql_grid_time(&self->grid, i);
        self->values[run.count++] = row->values[i];
    }
    *self->drop_name = row->drop_name;
    return run.count == 0 ? WEIR_OK : self->next->push(self->next, row->labels, &run);
}

/* Steps of a subquery are multiples of its step: the first after the first window's begin, up to
 * the last window's end. */
static enum weir_err
inner_grid(struct weir_promql_query *query, const struct weir_promql_series_range *range,
    struct weir_promql_grid *out)
{
    const struct weir_promql_node *node = range->node;
    int64_t step_ms = weir_promql_length_ms(&node->subquery.step);
    if (node->subquery.step.ns == 0)
        step_ms = query->request->subquery_step_ms;
    if (step_ms <= 0)
        step_ms = 1;
    int64_t begin_ms = range->ends.start_ms - range->range_ms;
    int64_t last_ms = weir_promql_grid_time(&range->ends, range->ends.count - 1);
    int64_t start_ms = begin_ms / step_ms * step_ms;
    if (start_ms <= begin_ms)
        start_ms += step_ms;
    int64_t count = last_ms < start_ms ? 0 : (last_ms - start_ms) / step_ms + 1;
    if (count > WEIR_PROMQL_STEPS_MAX)
        return weir_promql_fail(query, WEIR_LIMIT,
            weir_promql_format(&query->arena, "subquery of %lld steps, at most %d",
                (long long)count, WEIR_PROMQL_STEPS_MAX));
    *out = (struct weir_promql_grid){start_ms, step_ms, (uint32_t)count};
    return WEIR_OK;
}

static enum weir_err
eval_subquery(struct weir_promql_query *query, const struct weir_promql_series_range *range,
    bool *drop_name, struct weir_promql_run_sink *sink)
{
    struct rows_as_runs rows = {.sink = {push_run}, .drop_name = drop_name, .next = sink};
    enum weir_err err = inner_grid(query, range, &rows.grid);
    if (err != WEIR_OK || rows.grid.count == 0)
        return err;
    rows.times_ms = weir_promql_query_alloc(query, rows.grid.count * sizeof *rows.times_ms);
    rows.values = weir_promql_doubles_new(query, rows.grid.count);
    if (rows.times_ms == NULL || rows.values == NULL)
        return WEIR_NOMEM;
    return weir_promql_eval(query, range->node->subquery.inner, &rows.grid, &rows.sink);
}

enum weir_err
weir_promql_series_eval(struct weir_promql_query *query,
    const struct weir_promql_series_range *range, bool *drop_name,
    struct weir_promql_run_sink *sink)
{
    *drop_name = false;
    if (range->ends.count == 0)
        return WEIR_OK;
    if (range->node->kind == WEIR_PROMQL_NODE_SUBQUERY)
        return eval_subquery(query, range, drop_name, sink);
    const struct weir_promql_node *vector = range->node->matrix.vector;
    int64_t lookback_ms = query->request->lookback_ms;
    int64_t from_ms = range->ends.start_ms - range->range_ms;
    int64_t to_ms = weir_promql_grid_time(&range->ends, range->ends.count - 1);
    if (range->anchored || range->smoothed)
        from_ms -= lookback_ms;
    if (range->smoothed)
        to_ms += lookback_ms;
    return weir_promql_read_matching(
        query, vector->vector.matchers, vector->vector.count, from_ms, to_ms, sink);
}
