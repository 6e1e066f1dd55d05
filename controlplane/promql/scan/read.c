#include "controlplane/promql/scan/read.h"

int64_t
weir_promql_length_ms(const struct weir_promql_length *length)
{
    return length->ns / 1000000;
}

struct weir_promql_grid
weir_promql_shifted(const struct weir_promql_shift *shift, const struct weir_promql_grid *grid)
{
    struct weir_promql_grid out = *grid;
    if (shift->at_set) {
        out.start_ms = shift->at_ms;
        out.step_ms = 0;
    }
    out.start_ms -= weir_promql_length_ms(&shift->offset);
    return out;
}

enum weir_err
weir_promql_met_histogram(struct weir_promql_query *query)
{
    return weir_promql_fail(query, WEIR_UNSUPPORTED, WEIR_PROMQL_HISTOGRAM_TEXT);
}

/* Counts what was read against the request's limit. */
static enum weir_err
count_samples(struct weir_promql_query *query, const struct weir_promql_columns *columns)
{
    uint64_t limit = query->request->samples_max;
    for (uint32_t i = 0; i < columns->count; i++)
        query->answer->samples_read += columns->runs[i].count;
    if (limit > 0 && query->answer->samples_read > limit)
        return weir_promql_fail(query, WEIR_LIMIT,
            "query processing would load too many samples into memory in query execution");
    return WEIR_OK;
}

struct reading {
    struct weir_promql_query *query;
    const struct weir_promql_selection *selection;
    struct weir_promql_arena *group;
    struct weir_promql_run_sink *sink;
};

static enum weir_err
push_series(struct reading *reading, uint32_t place, const struct weir_promql_run *run)
{
    struct weir_promql_query *query = reading->query;
    const struct weir_promql_label *labels;
    const struct weir_promql_labelset *set;
    uint32_t count;
    if (run->count == 0)
        return WEIR_OK;
    enum weir_err err = weir_promql_work(query, run->count);
    if (err == WEIR_OK)
        err = query->request->source->functions->labels(
            query->view, reading->group, reading->selection, place, &labels, &count);
    if (err == WEIR_OK)
        err = weir_promql_labelset_of(&query->sets, labels, count, &set);
    return err == WEIR_OK ? reading->sink->push(reading->sink, set, run) : err;
}

static enum weir_err
read_group(struct reading *reading, uint32_t first, uint32_t count, int64_t from_ms, int64_t to_ms)
{
    struct weir_promql_query *query = reading->query;
    struct weir_promql_columns columns;
    enum weir_err err = query->request->source->functions->read(
        query->view, reading->group, reading->selection, first, count, from_ms, to_ms, &columns);
    if (err == WEIR_OK)
        err = count_samples(query, &columns);
    for (uint32_t i = 0; i < columns.count && err == WEIR_OK; i++)
        err = push_series(reading, first + i, &columns.runs[i]);
    return err;
}

enum weir_err
weir_promql_read_matching(struct weir_promql_query *query,
    const struct weir_promql_matcher *matchers, uint32_t count, int64_t from_ms, int64_t to_ms,
    struct weir_promql_run_sink *sink)
{
    struct weir_promql_selection selection;
    struct weir_promql_arena group;
    enum weir_err err = query->request->source->functions->select(
        query->view, &query->arena, matchers, count, from_ms, to_ms, &selection);
    for (uint32_t first = 0; err == WEIR_OK && first < selection.count;
         first += WEIR_PROMQL_READ_MAX) {
        uint32_t left = selection.count - first;
        weir_promql_arena_init(&group, query->request->memory_max);
        struct reading reading = {query, &selection, &group, sink};
        err = read_group(&reading, first, left < WEIR_PROMQL_READ_MAX ? left : WEIR_PROMQL_READ_MAX,
            from_ms, to_ms);
        query->arena.over |= group.over;
        weir_promql_arena_fini(&group);
    }
    return err;
}
