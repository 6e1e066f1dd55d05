/* parts: the parts of `weir bench` over ring, udp and tcp, for these files only.
 *
 *   options.c   reads the options
 *   report.c    prints the results, and the units that the ledger misses
 *   bench.c     the run itself
 */
#ifndef WEIR_BENCH_PARTS_H
#define WEIR_BENCH_PARTS_H

#include "base/err.h"
#include "bench/check.h"
#include "bench/load/feed.h"
#include "bench/load/load.h"
#include "bench/target.h"
#include "model/ledger.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

struct weir_bench_options {
    enum weir_bench_source source;
    enum weir_bench_proto proto;
    const char *data;
    uint64_t series;
    double seconds;
    uint32_t cores; /* RX workers with a ring each; 0: one ring, workers as by default */
    bool filled;    /* rings are filled while the workers wait */
    uint32_t payload_max; /* of a datagram; 0: a packet each */
    bool json;
    uint64_t emit; /* lines to print instead of measuring */
    uint64_t log_bytes; /* that the log may grow by; 0: the need of the fastest machine */
    uint64_t recycle; /* bytes of the log, whose oldest segments are then recycled; 0: it grows */
};

/* The results of a measurement. */
struct weir_bench_report {
    uint64_t offered;
    struct weir_ledger_sum before;
    struct weir_ledger_sum after;
    double seconds;
    double cpu_seconds;
    double worker_seconds[WEIR_WORKERS_MAX]; /* CPU time of each worker's thread */
    double generator_ns;   /* a sample: making the packets alone */
    double generator_cpu_seconds; /* making, sending, and waiting where the dataplane lags */
    uint64_t datagrams_before; /* sent until the measurement; both 0 for other sources */
    uint64_t datagrams_sent;   /* until its end */
    double warm_seconds;
    uint64_t warm_series;  /* newly defined */
    struct weir_ledger_sum warm; /* when they were: of this dataplane's life, which began empty */
    uint64_t log_bytes;    /* appended during the measurement */
    struct weir_bench_found found;
    struct weir_ledger_sum readback; /* with --recycle: the samples of found that were found */
    json_t *intervals;     /* weir_bench_intervals_stop's; owned */
    bool ended_early;      /* the log was nearly full before the time was over */
    char failed[512];      /* why there is no measurement; "" where there is */
};

/* Segments of a log whose room was given. */
#define WEIR_BENCH_SEGMENT_BYTES (UINT64_C(16) << 20)

/* argv[0] is the first option. WEIR_INVALID: not understood, or they do not go together. */
enum weir_err weir_bench_options_parse(int argc, char **argv, struct weir_bench_options *out)
    WEIR_MUST_USE;

/* The caller releases it. */
json_t *weir_bench_report_json(const struct weir_bench_options *options,
    const struct weir_bench_report *report, const struct weir_bench_target *target);
/* The same of a run that failed: its options, and the reason. */
json_t *weir_bench_report_failed_json(const struct weir_bench_options *options, const char *why);
/* Units that the ledger misses at the end, over all units. */
uint64_t weir_bench_residual(const struct weir_bench_report *report);
/* Datagrams that were sent in this dataplane's life, and neither received nor counted as lost by
 * the kernel. */
int64_t weir_bench_datagrams_unaccounted(const struct weir_bench_report *report);
/* Samples that the log has to hold: those stored and not trimmed, since it began empty. */
uint64_t weir_bench_log_samples_wanted(const struct weir_bench_report *report);

#endif
