/* overload_internal: the inside of `weir bench --overload`, for overload.c (its phases) and
 * overload_report.c (their results).
 */
#ifndef WEIR_BENCH_OVERLOAD_INTERNAL_H
#define WEIR_BENCH_OVERLOAD_INTERNAL_H

#include "bench/load/load.h"
#include "bench/overload.h"
#include "bench/target.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#define PACKET_LINES 12 /* of every packet: the number of series is a multiple of it */

struct weir_bench_overload_options {
    enum weir_bench_source source;
    const char *data;
    uint64_t series;
    double seconds;
    bool json;
};

struct weir_bench_overload {
    struct weir_bench_overload_options options;
    struct weir_bench_target *target;
    struct weir_bench_load *load;
    struct weir_ledger_sum *sum; /* last read */
    uint64_t offered;            /* packets since the dataplane started */
    uint64_t ring_full;          /* of them lost before the dataplane */
    uint64_t churn_offered;      /* packets of new series */
    uint64_t churn_full;
    uint64_t churn_host; /* number in the next new series' label */
    uint64_t churn_run;  /* this run's number in their label: no other run has it */
    int64_t churn_time_ms;
    double peak;        /* samples a second */
    double define_rate; /* series a second while warming up */
    json_t *phases;
};

/* One moment's figures. */
struct weir_bench_moment {
    int64_t ns;
    uint64_t offered, ring_full, churn_offered, churn_full, sent;
    struct weir_counts total;
    struct weir_bench_memory memory;
};

/* Adds a phase to the report: the difference of two moments. extra: further members, taken over;
 * may be NULL. */
void weir_bench_overload_phase(struct weir_bench_overload *bench, const char *name,
    const struct weir_bench_moment *before, const struct weir_bench_moment *after, json_t *extra);
/* Whether the offered samples are the received ones and named losses, and each received one has
 * ended by name; reports the difference. */
bool weir_bench_overload_sums(const struct weir_bench_overload *bench, json_t *out);
/* A line a phase, and the sums: rates are samples a second, and new ones series; x-peak is the
 * offered rate over the peak. */
void weir_bench_overload_print(const json_t *out);
/* A member of a report as a number; 0 if it is missing. */
double weir_bench_number_of(const json_t *object, const char *name);

#endif
