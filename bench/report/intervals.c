#include "bench/report/intervals.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <time.h>

struct weir_bench_intervals {
    struct weir_ledger *ledger;
    pthread_t thread;
    bool stopping; /* atomic */
    struct weir_ledger_sum sums[2];
    double *costs;
    size_t count;
    size_t capacity;
};

static double
per_sample(const struct weir_ledger_sum *before, const struct weir_ledger_sum *after, int first,
    int last, uint64_t samples)
{
    uint64_t cycles = 0;
    for (int stage = first; stage <= last; stage++)
        cycles += after->total.cycles[stage] - before->total.cycles[stage];
    return samples == 0 ? 0 : (double)cycles / (double)samples;
}

/* Workers and writer are each divided by their own samples: whole batches are between them. */
double
weir_bench_intervals_cost(const struct weir_ledger_sum *before,
    const struct weir_ledger_sum *after)
{
    uint64_t received = after->total.unit[WEIR_UNIT_SAMPLES].received -
        before->total.unit[WEIR_UNIT_SAMPLES].received;
    uint64_t encoded =
        after->total.samples[WEIR_STAGE_encode] - before->total.samples[WEIR_STAGE_encode];
    if (received == 0 || encoded == 0)
        return 0;
    return per_sample(before, after, WEIR_STAGE_receive, WEIR_STAGE_define, received) +
        per_sample(before, after, WEIR_STAGE_sort, WEIR_STAGE_write, encoded);
}

/* False where memory has run out. */
static bool
add(struct weir_bench_intervals *intervals, double cost)
{
    if (intervals->count == intervals->capacity) {
        size_t more = intervals->capacity == 0 ? 1024 : intervals->capacity * 2;
        double *grown = realloc(intervals->costs, more * sizeof *grown);
        if (grown == NULL)
            return false;
        intervals->costs = grown;
        intervals->capacity = more;
    }
    intervals->costs[intervals->count++] = cost;
    return true;
}

static bool
read_sum(struct weir_bench_intervals *intervals, struct weir_ledger_sum *sum)
{
    enum weir_err err = weir_ledger_read(intervals->ledger, sum);
    return err == WEIR_OK || err == WEIR_AGAIN;
}

static void *
sample(void *argument)
{
    struct weir_bench_intervals *intervals = argument;
    const struct timespec pause = {.tv_nsec = WEIR_BENCH_INTERVAL_MS * 1000000};
    unsigned at = 0;
    bool ok = read_sum(intervals, &intervals->sums[at]);
    while (ok) {
        nanosleep(&pause, NULL);
        /* acquire pairs with the release in weir_bench_intervals_stop */
        if (__atomic_load_n(&intervals->stopping, __ATOMIC_ACQUIRE))
            break;
        struct weir_ledger_sum *before = &intervals->sums[at], *after = &intervals->sums[!at];
        ok = read_sum(intervals, after);
        double cost = ok ? weir_bench_intervals_cost(before, after) : 0;
        if (cost > 0)
            ok = add(intervals, cost);
        at = !at;
    }
    return NULL;
}

enum weir_err
weir_bench_intervals_start(struct weir_ledger *ledger, struct weir_bench_intervals **out)
{
    struct weir_bench_intervals *intervals = calloc(1, sizeof *intervals);
    if (intervals == NULL)
        return weir_fail(WEIR_NOMEM, 0, "intervals");
    intervals->ledger = ledger;
    int failed = pthread_create(&intervals->thread, NULL, sample, intervals);
    if (failed != 0) {
        free(intervals);
        return weir_fail(WEIR_IO, failed, "thread of the intervals");
    }
    *out = intervals;
    return WEIR_OK;
}

static int
ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static json_t *
percentile(const struct weir_bench_intervals *intervals, unsigned percent)
{
    if (intervals->count == 0)
        return json_null();
    return json_real(intervals->costs[(intervals->count - 1) * percent / 100]);
}

json_t *
weir_bench_intervals_stop(struct weir_bench_intervals *intervals)
{
    /* release pairs with the acquire in sample */
    __atomic_store_n(&intervals->stopping, true, __ATOMIC_RELEASE);
    (void)pthread_join(intervals->thread, NULL); /* a thread of ours, joined once: cannot fail */
    if (intervals->count > 0)
        qsort(intervals->costs, intervals->count, sizeof *intervals->costs, ascending);
    json_t *out = json_object();
    json_object_set_new(out, "intervals", json_integer((json_int_t)intervals->count));
    json_object_set_new(out, "p10", percentile(intervals, 10));
    json_object_set_new(out, "p50", percentile(intervals, 50));
    json_object_set_new(out, "p90", percentile(intervals, 90));
    free(intervals->costs);
    free(intervals);
    return out;
}
