/* check: reads a benchmark's samples back, in a process of its own. Counts every sample of the run
 * and compares randomly drawn ones bit for bit with those the generator sent. */
#ifndef WEIR_BENCH_CHECK_H
#define WEIR_BENCH_CHECK_H

#include "base/err.h"
#include "bench/load/load.h"

#include <stdbool.h>
#include <stdint.h>

struct weir_bench_run {
    const char *data;   /* directory of the instance */
    int shared_fd;      /* of its shared region */
    enum weir_bench_proto proto;
    uint64_t series;
    int64_t start_ms;   /* time of pass 0 */
    int64_t step_ms;
    uint64_t passes;    /* whole ones sent */
    uint64_t pass_first; /* drawn are those from this one on; fewer than passes */
    bool all_times;      /* log_samples is wanted */
    uint64_t seed;      /* of the draw */
};

struct weir_bench_found {
    uint64_t samples;    /* of its series in the run's time range */
    uint64_t log_samples; /* all that the log holds, where all_times asks for them */
    uint64_t compared;   /* drawn samples looked for: 10,000, or all where there are fewer */
    uint64_t wrong;      /* of them, there with another value */
    uint64_t missing;    /* of them, not there */
    uint64_t mismatched; /* both together: must be 0 if nothing may be lost on the way */
    double seconds;
};

/* Forks, reads, and returns the child's findings. */
enum weir_err weir_bench_check(const struct weir_bench_run *run, struct weir_bench_found *out)
    WEIR_MUST_USE;

#endif
