#include "controlplane/promql/scan/window.h"
#include "controlplane/promql/scan/place.h"
#include "controlplane/promql/scan/series_source.h"

/* Arrays for a run without its stale markers; they grow to the largest run of the query. */
struct clean {
    int64_t *times_ms, *starts_ms;
    double *values;
    uint32_t room;
};

struct scan {
    struct weir_promql_run_sink sink; /* first */
    struct weir_promql_call *call;
    weir_promql_range_kernel *kernel;
    struct weir_promql_series_range range;
    uint32_t *first, *end; /* places of the windows */
    uint32_t shared;       /* end is first from here on; 0: they are apart */
    struct clean clean;
    bool drop_name;
    struct weir_promql_row row;
    struct weir_promql_sink *next;
};

static enum weir_err
make_room(struct weir_promql_query *query, struct clean *clean, uint32_t count)
{
    if (count <= clean->room)
        return WEIR_OK;
    uint32_t room = count < UINT32_MAX / 2 ? count * 2 : count;
    clean->times_ms = weir_promql_query_alloc(query, room * sizeof *clean->times_ms);
    clean->starts_ms = weir_promql_query_alloc(query, room * sizeof *clean->starts_ms);
    clean->values = weir_promql_doubles_new(query, room);
    if (clean->times_ms == NULL || clean->starts_ms == NULL || clean->values == NULL)
        return WEIR_NOMEM;
    clean->room = room;
    return WEIR_OK;
}

/* Blocks without a way out are compared several at a time. */
static bool
has_stale(const struct weir_promql_run *run)
{
    enum { BLOCK = 256 };
    for (uint32_t begin = 0; begin < run->count; begin += BLOCK) {
        uint32_t end = run->count - begin < BLOCK ? run->count : begin + BLOCK;
        unsigned any = 0;
        for (uint32_t i = begin; i < end; i++)
            any |= weir_promql_is_stale(run->values[i]);
        if (any != 0)
            return true;
    }
    return false;
}

/* Takes the stale markers out of run: no function of ranges sees them. */
static enum weir_err
without_stale(struct weir_promql_query *query, struct clean *clean, struct weir_promql_run *run)
{
    if (!has_stale(run))
        return WEIR_OK;
    enum weir_err err = make_room(query, clean, run->count);
    if (err != WEIR_OK)
        return err;
    uint32_t kept = 0;
    for (uint32_t i = 0; i < run->count; i++) {
        if (weir_promql_is_stale(run->values[i]))
            continue;
        clean->times_ms[kept] = run->times_ms[i];
        clean->starts_ms[kept] = run->starts_ms == NULL ? 0 : run->starts_ms[i];
        clean->values[kept++] = run->values[i];
    }
    run->times_ms = clean->times_ms;
    run->values = clean->values;
    run->starts_ms = run->starts_ms == NULL ? NULL : clean->starts_ms;
    run->count = kept;
    return WEIR_OK;
}

/* How far a window reaches before its end, and beyond it. */
static void
reach(const struct scan *scan, int64_t *back_ms, int64_t *ahead_ms)
{
    int64_t lookback_ms = scan->call->query->request->lookback_ms;
    bool extended = scan->range.anchored || scan->range.smoothed;
    *back_ms = scan->range.range_ms + (extended ? lookback_ms : 0);
    *ahead_ms = scan->range.smoothed ? lookback_ms : 0;
}

/* Whether sample i counts in the window that ends at end_ms: it is in it, or is the
 * neighbour before it of an extended range, or the one after it of a smoothed one. */
static bool
counts_in(const struct scan *scan, const struct weir_promql_run *run, uint32_t i, int64_t end_ms)
{
    int64_t time_ms = run->times_ms[i], begin_ms = end_ms - scan->range.range_ms;
    int64_t back_ms, ahead_ms;
    reach(scan, &back_ms, &ahead_ms);
    if (time_ms <= end_ms - back_ms || time_ms > end_ms + ahead_ms)
        return false;
    if (time_ms > begin_ms && time_ms <= end_ms)
        return true;
    if (time_ms <= begin_ms)
        return i + 1 == run->count || run->times_ms[i + 1] > begin_ms;
    return i == 0 || run->times_ms[i - 1] < end_ms;
}

/* A histogram that counts in a window of the scan ends the query. */
static enum weir_err
refuse_histograms(const struct scan *scan, const struct weir_promql_run *run)
{
    const struct weir_promql_grid *ends = &scan->range.ends;
    for (uint32_t i = 0; run->histograms != NULL && i < run->count; i++)
        for (uint32_t step = 0; run->histograms[i] != 0 && step < ends->count; step++)
            if (counts_in(scan, run, i, weir_promql_grid_time(ends, step)))
                return weir_promql_met_histogram(scan->call->query);
    return WEIR_OK;
}

/* Places of each step's window in the run. If windows begin at the ends of earlier ones, one
 * column serves both. */
static void
place(struct scan *scan, const struct weir_promql_run *run)
{
    struct weir_promql_grid ends = scan->range.ends;
    int64_t back_ms, ahead_ms;
    reach(scan, &back_ms, &ahead_ms);
    ends.start_ms += ahead_ms;
    struct weir_promql_grid begins = ends;
    begins.start_ms -= back_ms + ahead_ms;
    if (scan->shared > 0) {
        begins.count += scan->shared;
        weir_promql_places(run->times_ms, run->count, &begins, scan->first);
        return;
    }
    weir_promql_places(run->times_ms, run->count, &begins, scan->first);
    weir_promql_places(run->times_ms, run->count, &ends, scan->end);
}

/* Steps that a window is long, where that is a whole number of them and not too many; else 0. */
static uint32_t
shared_steps(const struct scan *scan)
{
    const struct weir_promql_grid *ends = &scan->range.ends;
    int64_t back_ms, ahead_ms;
    reach(scan, &back_ms, &ahead_ms);
    int64_t length_ms = back_ms + ahead_ms;
    if (ends->step_ms <= 0 || length_ms % ends->step_ms != 0
        || length_ms / ends->step_ms > ends->count)
        return 0;
    return (uint32_t)(length_ms / ends->step_ms);
}

static bool
ends_with(struct weir_promql_text text, const char *tail)
{
    size_t size = strlen(tail);
    return text.size >= size && memcmp(text.data + text.size - size, tail, size) == 0;
}

/* rate and increase of a metric whose name, or type, is not that of a counter are reported. */
static enum weir_err
report_gauge(struct weir_promql_call *call, const struct weir_promql_labelset *labels,
    struct weir_promql_range at)
{
    struct weir_promql_query *query = call->query;
    struct weir_promql_text name = weir_promql_labelset_get(labels, WEIR_PROMQL_NAME);
    if (name.size == 0 || ends_with(name, "_total") || ends_with(name, "_sum") ||
        ends_with(name, "_count") || ends_with(name, "_bucket"))
        return WEIR_OK;
    const char *quoted = weir_promql_quoted(&query->arena, name);
    return quoted == NULL
        ? WEIR_NOMEM
        : weir_promql_annotate(query, WEIR_PROMQL_ANNOTATION_NOT_A_COUNTER, at, quoted);
}

static enum weir_err
push(struct weir_promql_run_sink *sink, const struct weir_promql_labelset *labels,
    const struct weir_promql_run *given)
{
    struct scan *self = (struct scan *)sink;
    struct weir_promql_call *call = self->call;
    uint32_t steps = call->grid.count;
    struct weir_promql_run run = *given;
    enum weir_err err = weir_promql_work(call->query, steps + (uint64_t)run.count);
    if (err == WEIR_OK)
        err = without_stale(call->query, &self->clean, &run);
    if (err == WEIR_OK)
        err = refuse_histograms(self, given);
    if (err != WEIR_OK)
        return err;
    place(self, &run);
    struct weir_promql_windows windows = {run.times_ms, run.values, run.starts_ms, run.count,
        self->first, self->end, self->range.ends, self->range.range_ms, self->range.anchored,
        self->range.smoothed, labels};
    struct weir_promql_row row = self->row;
    row.labels = labels;
    row.drop_name = self->drop_name || (call->function->flags & WEIR_PROMQL_KEEPS_NAME) == 0;
    memset(row.present, 0, weir_promql_words(steps) * sizeof *row.present);
    err = self->kernel(call, &windows, &row);
    if (err != WEIR_OK || !weir_promql_bits_any(row.present, steps))
        return err;
    if ((call->function->flags & WEIR_PROMQL_COUNTER) != 0)
        err = report_gauge(call, labels, self->range.node->at);
    return err == WEIR_OK ? weir_promql_push(self->next, &row) : err;
}

/* anchored and smoothed are for few functions. */
static enum weir_err
check_extension(const struct scan *scan)
{
    struct weir_promql_query *query = scan->call->query;
    const struct weir_promql_function *function = scan->call->function;
    if (scan->range.anchored && (function->flags & WEIR_PROMQL_ANCHORED_TOO) == 0)
        return weir_promql_fail(query, WEIR_INVALID,
            weir_promql_format(&query->arena,
                "anchored modifier can only be used with: changes, delta, increase, rate, resets - "
                "not "
                "with %s",
                function->name));
    if (scan->range.smoothed && (function->flags & WEIR_PROMQL_SMOOTHED_TOO) == 0)
        return weir_promql_fail(query, WEIR_INVALID,
            weir_promql_format(&query->arena,
                "smoothed modifier can only be used with: delta, increase, rate - not with %s",
                function->name));
    return WEIR_OK;
}

/* The argument that is a range. */
static const struct weir_promql_node *
range_argument(const struct weir_promql_call *call)
{
    uint32_t i = 0;
    while (weir_promql_argument(call, i)->type != WEIR_PROMQL_TYPE_MATRIX)
        i++;
    return weir_promql_argument(call, i);
}

enum weir_err
weir_promql_windows_eval(
    struct weir_promql_call *call, weir_promql_range_kernel *kernel, struct weir_promql_sink *sink)
{
    struct weir_promql_query *query = call->query;
    uint32_t steps = call->grid.count;
    struct scan scan = {.sink = {push},
        .call = call,
        .kernel = kernel,
        .range = weir_promql_series_range(range_argument(call), &call->grid),
        .row = {.values = weir_promql_doubles_new(query, steps),
            .present = weir_promql_bits_new(query, steps)},
        .next = sink};
    scan.shared = shared_steps(&scan);
    scan.first = weir_promql_query_alloc(query, (size_t)steps * 2 * sizeof *scan.first);
    if (scan.first == NULL || scan.row.values == NULL || scan.row.present == NULL)
        return WEIR_NOMEM;
    scan.end = scan.first + (scan.shared > 0 ? scan.shared : steps);
    enum weir_err err = check_extension(&scan);
    return err == WEIR_OK ? weir_promql_series_eval(query, &scan.range, &scan.drop_name, &scan.sink)
                          : err;
}
