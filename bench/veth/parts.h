/* parts: the parts of `weir bench --source veth`, for bench/veth/ only.
 *
 *   options.c   reads the options
 *   rights.c    checks the rights that this process needs
 *   instance.c  the instance under test: `weir run`, and the disk it needs
 *   snapshot.c  counts up to a moment, and between two of them
 *   report.c    prints the results, and checks them
 *   veth.c      the run itself
 */
#ifndef WEIR_BENCH_VETH_PARTS_H
#define WEIR_BENCH_VETH_PARTS_H

#include "bench/check.h"
#include "bench/cpu.h"
#include "bench/load/load.h"
#include "bench/search.h"
#include "bench/veth/frames.h"
#include "bench/veth/veth.h"
#include "config/config.h"
#include "model/ledger.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define WEIR_VETH_RATE_SEARCH 0 /* of options: to be found */
#define WEIR_VETH_TRIAL_NS (INT64_C(3) * 1000000000)
#define WEIR_VETH_WARM_PASSES_MAX 30
/* Times left out after samples that were sent at one go: a pass that was begun and not ended, and
 * one. */
#define WEIR_VETH_PASSES_APART 2
#define WEIR_VETH_OPEN_WAIT_NS (INT64_C(60) * 1000000000)
/* A datagram takes 4.4 KiB of it and the kernel doubles it: 65 ms at 460,000 a second, more than
 * others keep a shared machine's core, and less than hides a rate that is too high from a trial. */
#define WEIR_VETH_UDP_BUFFER_MIB 64

struct weir_veth_options {
    enum weir_bench_proto proto;
    const char *data;
    uint64_t series;
    double seconds;
    uint64_t rate; /* frames a second; WEIR_VETH_RATE_SEARCH: --rate max */
    bool socket; /* no AF_XDP */
    uint32_t pairs; /* of veth, each with an AF_XDP port at its end */
    uint32_t payload_max; /* bytes of a filled datagram; 0: a host's lines each */
    bool json;
};

/* The counts up to a moment. */
struct weir_veth_snapshot {
    struct weir_ledger_sum ledger;
    struct weir_bench_frames_counts sent;
    struct weir_bench_cpu cpu;
    uint64_t log_end;
    int64_t time_ns;
};

struct weir_veth {
    const struct weir_veth_options *options;
    uint16_t port; /* of the listener: another for each process */
    char program[WEIR_CONFIG_PATH_MAX];  /* weir */
    char programs[WEIR_CONFIG_PATH_MAX]; /* folder of the objects it loads */
    pid_t pid; /* weir run */
    int shared_fd;
    struct weir_shared *shared;
    struct weir_bench_frames *frames;
    struct weir_bench_load *load;
    uint64_t rate;
    struct weir_bench_search search; /* for it, where it is searched for */
    unsigned runs;                   /* measurements; the last one counts */
    double first_loss;               /* of the first one, where there are two */
    int64_t time_ms; /* of the load's next pass 0 */
    int64_t step_ms;
    uint64_t passes; /* whole ones of the measurement */
    struct weir_veth_snapshot before;
    struct weir_veth_snapshot after;
    json_t *intervals; /* of the last measurement: bench/report/intervals.h */
    struct weir_bench_found found;
};

/* argv[0] is the first option. WEIR_INVALID: not understood, or they do not go together. */
enum weir_err weir_veth_options_parse(int argc, char **argv, struct weir_veth_options *out)
    WEIR_MUST_USE;
/* Frames a second that no trial goes beyond. */
uint64_t weir_veth_rate_bound(const struct weir_veth_options *options);
/* Samples that a run could send after its warm-up. */
uint64_t weir_veth_samples_bound(const struct weir_veth_options *options);

/* WEIR_UNSUPPORTED where the rights to make a veth pair, to send on it or to receive from it are
 * missing; the detail names them. */
enum weir_err weir_veth_rights_check(const struct weir_veth_options *options) WEIR_MUST_USE;

/* WEIR_INVALID where there is no disk or not enough of it. Makes the data directory. */
enum weir_err weir_veth_disk_check(const struct weir_veth_options *options) WEIR_MUST_USE;
/* The directory of this program and the others. */
enum weir_err weir_veth_find_programs(struct weir_veth *run) WEIR_MUST_USE;
enum weir_err weir_veth_instance_start(struct weir_veth *run) WEIR_MUST_USE;
/* Maps the instance's shared region, which its supervisor holds as a memfd, and waits until
 * ingest is open. */
enum weir_err weir_veth_instance_wait_open(struct weir_veth *run) WEIR_MUST_USE;
bool weir_veth_instance_lives(const struct weir_veth *run);
/* The pid that the instance names, 0 for none. */
pid_t weir_veth_dataplane_pid(const struct weir_veth *run);
/* Waits for its end, a while. */
void weir_veth_instance_stop(struct weir_veth *run);

/* Counters of frames that were sent and not received, each with its name. */
#define WEIR_VETH_LOSSES 9
extern const enum weir_counter weir_veth_losses[WEIR_VETH_LOSSES];

/* Waits until all that was sent has ended: at once where nothing was lost, else when the counters
 * of losses are up to date. now->time_ns: when a sample last became durable. */
enum weir_err weir_veth_wait_idle(struct weir_veth *run, struct weir_veth_snapshot *now)
    WEIR_MUST_USE;
/* Frames that were lost by name, and that were received; samples that became durable. */
uint64_t weir_veth_lost(const struct weir_veth_snapshot *before,
    const struct weir_veth_snapshot *after);
uint64_t weir_veth_received(const struct weir_veth_snapshot *before,
    const struct weir_veth_snapshot *after);
uint64_t weir_veth_stored(const struct weir_veth_snapshot *before,
    const struct weir_veth_snapshot *after);
/* The share of the frames sent that was lost. */
double weir_veth_loss(const struct weir_veth_snapshot *before,
    const struct weir_veth_snapshot *after);

/* The caller releases it. */
json_t *weir_veth_report(const struct weir_veth *run);
/* Frames add up, samples can be read back, and none differs; one may be missing where a frame was
 * lost. */
bool weir_veth_is_right(const struct weir_veth *run);

#endif
