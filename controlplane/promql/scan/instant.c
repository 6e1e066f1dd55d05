#include "controlplane/promql/scan/instant.h"
#include "controlplane/promql/scan/place.h"
#include "controlplane/promql/scan/read.h"

struct scan {
    struct weir_promql_run_sink sink; /* first */
    struct weir_promql_query *query;
    struct weir_promql_grid looks; /* times looked at */
    enum weir_promql_instant what;
    bool smoothed;
    struct weir_promql_row row;
    struct weir_promql_sink *next;
    uint32_t *places; /* by step: samples at or before it */
};

static double
value_of(const struct weir_promql_run *run, uint32_t at, enum weir_promql_instant what)
{
    switch (what) {
    case WEIR_PROMQL_INSTANT_TIME:
        return (double)run->times_ms[at] / 1000;
    case WEIR_PROMQL_INSTANT_START:
        return run->starts_ms == NULL ? 0 : (double)run->starts_ms[at] / 1000;
    default:
        return run->values[at];
    }
}

static enum weir_err
look_back(struct scan *scan, const struct weir_promql_run *run)
{
    int64_t lookback_ms = scan->query->request->lookback_ms;
    weir_promql_places(run->times_ms, run->count, &scan->looks, scan->places);
    for (uint32_t i = 0; i < scan->looks.count; i++) {
        int64_t look_ms = weir_promql_grid_time(&scan->looks, i);
        uint32_t passed = scan->places[i];
        if (passed == 0 || run->times_ms[passed - 1] <= look_ms - lookback_ms)
            continue;
        uint32_t at = passed - 1;
        if (weir_promql_is_stale(run->values[at]))
            continue;
        if (run->histograms != NULL && run->histograms[at] != 0)
            return weir_promql_met_histogram(scan->query);
        scan->row.values[i] = value_of(run, at, scan->what);
        weir_promql_bit_set(scan->row.present, i);
    }
    return WEIR_OK;
}

/* The sample before `at` that is no stale marker; -1: none. */
static int64_t
before(const struct weir_promql_run *run, uint32_t at)
{
    int64_t i = (int64_t)at - 1;
    while (i >= 0 && weir_promql_is_stale(run->values[i]))
        i--;
    return i;
}

static uint32_t
from(const struct weir_promql_run *run, uint32_t at)
{
    while (at < run->count && weir_promql_is_stale(run->values[at]))
        at++;
    return at;
}

/* Value at a time between two samples, on the line between them. */
static double
between(const struct weir_promql_run *run, uint32_t a, uint32_t b, int64_t look_ms)
{
    double y1 = run->values[a], y2 = run->values[b];
    return y1 +
        (y2 - y1) * (double)(look_ms - run->times_ms[a]) /
        (double)(run->times_ms[b] - run->times_ms[a]);
}

/* smoothed: a step without a sample of its own is on the line between its neighbours, each not
 * further than the lookback; after the last sample that one's value goes on. */
static enum weir_err
smooth(struct scan *scan, const struct weir_promql_run *run)
{
    int64_t lookback_ms = scan->query->request->lookback_ms;
    uint32_t reached = 0; /* samples before the time looked at */
    for (uint32_t i = 0; i < scan->looks.count; i++) {
        int64_t look_ms = weir_promql_grid_time(&scan->looks, i);
        while (reached < run->count && run->times_ms[reached] < look_ms)
            reached++;
        uint32_t after = from(run, reached);
        int64_t old = before(run, reached);
        bool has_old = old >= 0 && run->times_ms[old] > look_ms - lookback_ms;
        bool has_new = after < run->count && run->times_ms[after] <= look_ms + lookback_ms;
        if (run->histograms != NULL &&
            ((has_old && run->histograms[old] != 0) || (has_new && run->histograms[after] != 0)))
            return weir_promql_met_histogram(scan->query);
        if (has_new && run->times_ms[after] == look_ms)
            scan->row.values[i] = run->values[after];
        else if (has_old && has_new)
            scan->row.values[i] = between(run, (uint32_t)old, after, look_ms);
        else if (has_old)
            scan->row.values[i] = run->values[old];
        else
            continue;
        weir_promql_bit_set(scan->row.present, i);
    }
    return WEIR_OK;
}

static enum weir_err
push(struct weir_promql_run_sink *sink, const struct weir_promql_labelset *labels,
    const struct weir_promql_run *run)
{
    struct scan *self = (struct scan *)sink;
    uint32_t steps = self->looks.count;
    struct weir_promql_row row = self->row;
    memset(row.present, 0, weir_promql_words(steps) * sizeof *row.present);
    enum weir_err err = weir_promql_work(self->query, steps);
    if (err == WEIR_OK)
        err = self->smoothed ? smooth(self, run) : look_back(self, run);
    if (err != WEIR_OK || !weir_promql_bits_any(row.present, steps))
        return err;
    row.labels = labels;
    return weir_promql_push(self->next, &row);
}

enum weir_err
weir_promql_instant_eval(struct weir_promql_query *query, const struct weir_promql_node *node,
    const struct weir_promql_grid *grid, enum weir_promql_instant what,
    struct weir_promql_sink *sink)
{
    int64_t lookback_ms = query->request->lookback_ms;
    struct scan scan = {{push}, query, weir_promql_shifted(&node->vector.shift, grid), what,
        node->vector.smoothed && what == WEIR_PROMQL_INSTANT_VALUE,
        {.values = weir_promql_doubles_new(query, grid->count),
            .present = weir_promql_bits_new(query, grid->count)},
        sink, weir_promql_query_alloc(query, grid->count * sizeof *scan.places)};
    if (scan.row.values == NULL || scan.row.present == NULL || scan.places == NULL)
        return WEIR_NOMEM;
    if (grid->count == 0)
        return WEIR_OK;
    int64_t last_ms = weir_promql_grid_time(&scan.looks, grid->count - 1);
    return weir_promql_read_matching(query, node->vector.matchers, node->vector.count,
        scan.looks.start_ms - lookback_ms, scan.smoothed ? last_ms + lookback_ms : last_ms,
        &scan.sink);
}
