#include "controlplane/query/buckets.h"

#include "controlplane/query/points.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>

enum cell_state {
    CELL_ADDED = 0,  /* its samples came in order and are added */
    CELL_MIXED,      /* waits for a round that sorts its samples */
    CELL_COLLECTING, /* in the round now */
};

struct weir_cell {
    union {
        struct {
            long double sum;
            long double compensation;
        };
        struct {
            double value;
            int64_t time_ms; /* of `last` */
        };
    };
    uint64_t count;
    enum cell_state state;
};
_Static_assert(sizeof(struct weir_cell) <= 48, "buckets.h states the size");

int64_t
weir_bucket_number(int64_t time_ms, int64_t step_ms)
{
    int64_t quotient = time_ms / step_ms;
    return quotient - (time_ms % step_ms < 0);
}

enum weir_err
weir_buckets_init(struct weir_buckets *buckets, struct weir_call *call, uint64_t series_count)
{
    uint64_t points_max = call->limits->points_max;
    points_max = points_max < WEIR_QUERY_POINTS_LIMIT ? points_max : WEIR_QUERY_POINTS_LIMIT;
    buckets->first = weir_bucket_number(buckets->from_ms, buckets->step_ms);
    int64_t last = weir_bucket_number(buckets->to_ms - 1, buckets->step_ms);
    buckets->count = (uint64_t)(last - buckets->first) + 1;
    buckets->series_count = series_count;
    buckets->cells = NULL;
    buckets->newest_ms = NULL;
    if (buckets->count > points_max || buckets->count * series_count > points_max) {
        weir_call_limit(call, "query.points_max", points_max,
            "%" PRIu64 " series of %" PRIu64 " points: take a longer step or a shorter range",
            series_count, buckets->count);
        return WEIR_LIMIT;
    }
    if (series_count == 0)
        return WEIR_OK;
    buckets->cells = calloc(buckets->count * series_count, sizeof *buckets->cells);
    buckets->newest_ms = malloc(series_count * sizeof *buckets->newest_ms);
    if (buckets->cells == NULL || buckets->newest_ms == NULL) {
        weir_call_fail_err(call, weir_fail(WEIR_NOMEM, 0, "%" PRIu64 " buckets",
            buckets->count * series_count));
        weir_buckets_fini(buckets);
        return WEIR_NOMEM;
    }
    for (uint64_t i = 0; i < series_count; i++)
        buckets->newest_ms[i] = INT64_MIN;
    return WEIR_OK;
}

void
weir_buckets_fini(struct weir_buckets *buckets)
{
    free(buckets->cells);
    free(buckets->newest_ms);
    buckets->cells = NULL;
    buckets->newest_ms = NULL;
}

static void
add_compensated(struct weir_cell *cell, double value)
{
    long double sum = cell->sum + value;
    if (fabsl(cell->sum) >= fabsl((long double)value))
        cell->compensation += (cell->sum - sum) + value;
    else
        cell->compensation += (value - sum) + cell->sum;
    cell->sum = sum;
}

/* Adds a sample that is newer than all added before; count already includes it. */
static void
add(enum weir_aggregation aggregation, struct weir_cell *cell, double value)
{
    bool first = cell->count == 1;
    switch (aggregation) {
    case WEIR_AGG_AVG:
    case WEIR_AGG_SUM:
        add_compensated(cell, value);
        break;
    case WEIR_AGG_MIN:
        if (first || isnan(cell->value) || value < cell->value)
            cell->value = value;
        break;
    case WEIR_AGG_MAX:
        if (first || isnan(cell->value) || value > cell->value)
            cell->value = value;
        break;
    case WEIR_AGG_COUNT:
    case WEIR_AGG_LAST:
    case WEIR_AGG_RAW:
        break;
    }
}

struct pass {
    struct weir_buckets *buckets;
    struct weir_call *call;
    struct weir_query_points points; /* of the mixed cells of a round */
    uint64_t series_first;     /* of a round: the bucket of index 0 of its scan */
};

static struct weir_cell *
cell_of(const struct weir_buckets *buckets, uint64_t series, int64_t time_ms)
{
    int64_t bucket = weir_bucket_number(time_ms, buckets->step_ms) - buckets->first;
    return &buckets->cells[series * buckets->count + (uint64_t)bucket];
}

static enum weir_err
first_pass(void *context, size_t index, int64_t time_ms, double value)
{
    struct pass *pass = context;
    struct weir_buckets *buckets = pass->buckets;
    enum weir_err err = weir_call_count_sample(pass->call);
    if (err != WEIR_OK)
        return err;
    struct weir_cell *cell = cell_of(buckets, index, time_ms);
    cell->count++;
    if (buckets->aggregation == WEIR_AGG_LAST) {
        if (cell->count == 1 || time_ms >= cell->time_ms) {
            cell->value = value;
            cell->time_ms = time_ms;
        }
        return WEIR_OK;
    }
    if (time_ms <= buckets->newest_ms[index]) {
        cell->state = CELL_MIXED;
        return WEIR_OK;
    }
    buckets->newest_ms[index] = time_ms;
    if (cell->state == CELL_ADDED)
        add(buckets->aggregation, cell, value);
    return WEIR_OK;
}

static enum weir_err
collect(void *context, size_t index, int64_t time_ms, double value)
{
    struct pass *pass = context;
    const struct weir_buckets *buckets = pass->buckets;
    enum weir_err err = weir_call_count_sample(pass->call);
    if (err != WEIR_OK)
        return err;
    const struct weir_cell *cell = cell_of(buckets, pass->series_first + index, time_ms);
    if (cell->state != CELL_COLLECTING)
        return WEIR_OK;
    return weir_query_points_append(
        &pass->points, (uint32_t)(cell - buckets->cells), time_ms, value);
}

/* Aggregates the collected cells anew from their samples, each time once. */
static void
add_collected(struct pass *pass)
{
    struct weir_buckets *buckets = pass->buckets;
    weir_query_points_keep_last(&pass->points);
    for (size_t i = 0; i < pass->points.count; i++) {
        const struct weir_query_point *point = &pass->points.items[i];
        struct weir_cell *cell = &buckets->cells[point->group];
        if (cell->state == CELL_COLLECTING)
            *cell = (struct weir_cell){.state = CELL_ADDED};
        cell->count++;
        add(buckets->aggregation, cell, point->value);
    }
    pass->points.count = 0;
}

/* Marks mixed cells from *next on for one round; moves *next past them. False if none is left or
 * the next alone is too large. *from and *to: the series that the round needs. */
static bool
choose_round(struct pass *pass, uint64_t *next, uint64_t *from, uint64_t *to)
{
    const struct weir_buckets *buckets = pass->buckets;
    uint64_t cells = buckets->count * buckets->series_count;
    uint64_t samples = 0;
    bool any = false;
    for (; *next < cells; (*next)++) {
        struct weir_cell *cell = &buckets->cells[*next];
        if (cell->state != CELL_MIXED)
            continue;
        if (cell->count > pass->points.count_max - samples)
            break;
        samples += cell->count;
        cell->state = CELL_COLLECTING;
        if (!any)
            *from = *next / buckets->count;
        *to = *next / buckets->count + 1;
        any = true;
    }
    return any;
}

static enum weir_err
sort_out_mixed(struct pass *pass, const uint64_t *numbers)
{
    struct weir_buckets *buckets = pass->buckets;
    uint64_t next = 0;
    uint64_t series_from, series_to;
    while (choose_round(pass, &next, &series_from, &series_to)) {
        pass->series_first = series_from;
        enum weir_err err = weir_reader_scan(pass->call->reader, numbers + series_from,
            series_to - series_from, buckets->from_ms, buckets->to_ms, collect, pass);
        if (err != WEIR_OK)
            return err;
        add_collected(pass);
    }
    if (next == buckets->count * buckets->series_count)
        return WEIR_OK;
    weir_call_limit(pass->call, "query.points_max", pass->points.count_max,
        "more samples out of order in one bucket than a query may hold: take a shorter step");
    return WEIR_LIMIT;
}

enum weir_err
weir_buckets_fill(struct weir_buckets *buckets, struct weir_call *call, const uint64_t *numbers)
{
    struct pass pass = {.buckets = buckets, .call = call};
    uint64_t points_max = call->limits->points_max;
    if (buckets->series_count == 0)
        return WEIR_OK;
    weir_query_points_init(
        &pass.points, points_max < WEIR_QUERY_POINTS_LIMIT ? points_max : WEIR_QUERY_POINTS_LIMIT);
    call->status = 0;
    enum weir_err err = weir_reader_scan(call->reader, numbers, buckets->series_count,
        buckets->from_ms, buckets->to_ms, first_pass, &pass);
    if (err == WEIR_OK)
        err = sort_out_mixed(&pass, numbers);
    if (err == WEIR_OK)
        call->status = WEIR_STATUS_OK;
    else if (call->status == 0)
        weir_call_fail_err(call, err);
    weir_query_points_fini(&pass.points);
    return err;
}

/* An infinite sum leaves the compensation without meaning. */
static long double
sum_of(const struct weir_cell *cell)
{
    return isfinite(cell->sum) ? cell->sum + cell->compensation : cell->sum;
}

bool
weir_buckets_value(const struct weir_buckets *buckets, uint64_t series, uint64_t bucket,
    double *value)
{
    const struct weir_cell *cell = &buckets->cells[series * buckets->count + bucket];
    if (cell->count == 0)
        return false;
    switch (buckets->aggregation) {
    case WEIR_AGG_AVG:
        *value = (double)(sum_of(cell) / (long double)cell->count);
        break;
    case WEIR_AGG_SUM:
        *value = (double)sum_of(cell);
        break;
    case WEIR_AGG_COUNT:
        *value = (double)cell->count;
        break;
    case WEIR_AGG_MIN:
    case WEIR_AGG_MAX:
    case WEIR_AGG_LAST:
    case WEIR_AGG_RAW:
        *value = cell->value;
        break;
    }
    return true;
}
