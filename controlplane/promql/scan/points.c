#include "controlplane/promql/scan/points.h"
#include "controlplane/promql/scan/extend.h"
#include "controlplane/promql/scan/series_source.h"

struct scan {
    struct weir_promql_run_sink sink; /* first */
    struct weir_promql_query *query;
    struct weir_promql_series_range range;
    bool drop_name;
    struct weir_promql_result *results;
    uint32_t count, room;
};

static struct weir_promql_result *
add(struct scan *scan)
{
    if (scan->count == scan->room) {
        uint32_t room = scan->room == 0 ? 16 : scan->room * 2;
        struct weir_promql_result *results =
            weir_promql_query_alloc(scan->query, room * sizeof *results);
        if (results == NULL)
            return NULL;
        if (scan->count > 0)
            memcpy(results, scan->results, scan->count * sizeof *results);
        scan->results = results;
        scan->room = room;
    }
    return &scan->results[scan->count++];
}

/* Samples of run that are no stale markers, at most two more than the run has. */
static enum weir_err
copy_samples(struct scan *scan, const struct weir_promql_run *run, int64_t *times_ms,
    double *values, uint32_t *count)
{
    int64_t end_ms = scan->range.ends.start_ms, begin_ms = end_ms - scan->range.range_ms;
    *count = 0;
    for (uint32_t i = 0; i < run->count; i++) {
        if (weir_promql_is_stale(run->values[i]))
            continue;
        if (run->histograms != NULL && run->histograms[i] != 0)
            return weir_promql_met_histogram(scan->query);
        times_ms[*count] = run->times_ms[i];
        values[(*count)++] = run->values[i];
    }
    if (scan->range.anchored || scan->range.smoothed)
        *count =
            weir_promql_extend(times_ms, values, *count, begin_ms, end_ms, scan->range.smoothed);
    return WEIR_OK;
}

static enum weir_err
push(struct weir_promql_run_sink *sink, const struct weir_promql_labelset *labels,
    const struct weir_promql_run *run)
{
    struct scan *self = (struct scan *)sink;
    int64_t *times_ms =
        weir_promql_query_alloc(self->query, (run->count + (size_t)2) * sizeof *times_ms);
    double *values = weir_promql_doubles_new(self->query, run->count + 2);
    if (times_ms == NULL || values == NULL)
        return WEIR_NOMEM;
    uint32_t count;
    enum weir_err err = copy_samples(self, run, times_ms, values, &count);
    if (err == WEIR_OK && self->drop_name)
        err = weir_promql_labelset_nameless(&self->query->sets, labels, &labels);
    if (err != WEIR_OK || count == 0)
        return err;
    struct weir_promql_result *result = add(self);
    if (result == NULL)
        return WEIR_NOMEM;
    *result = (struct weir_promql_result){labels, values, NULL, times_ms, count};
    return WEIR_OK;
}

enum weir_err
weir_promql_points_eval(struct weir_promql_query *query, const struct weir_promql_node *node,
    int64_t at_ms, struct weir_promql_result **out, uint32_t *count)
{
    struct weir_promql_grid grid = {at_ms, 1, 1};
    struct scan scan = {
        .sink = {push}, .query = query, .range = weir_promql_series_range(node, &grid)};
    enum weir_err err = weir_promql_series_eval(query, &scan.range, &scan.drop_name, &scan.sink);
    *out = scan.results;
    *count = scan.count;
    return err;
}
