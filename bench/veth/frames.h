/* frames: the benchmark's packets as frames over veth pairs of its own, at a steady rate.
 *
 * Each frame is Ethernet, IPv4, UDP, from one of a thousand source ports; they are made on the core
 * this process is pinned to and sent by the kernel's generator (bench/xdp/generator.h). Those to an
 * AF_XDP port have a UDP checksum.
 *
 * Owns:    the veth pairs
 * Threads: one, and the generator's
 * Errors:  WEIR_IO and WEIR_UNSUPPORTED with the reason
 */
#ifndef WEIR_BENCH_VETH_FRAMES_H
#define WEIR_BENCH_VETH_FRAMES_H

#include "base/err.h"
#include "bench/load/load.h"

#include <stdbool.h>
#include <stdint.h>

#define WEIR_BENCH_FRAMES_PAIRS_MAX 4
#define WEIR_BENCH_FRAMES_PAYLOAD_MIN 256  /* longer than any line */
#define WEIR_BENCH_FRAMES_PAYLOAD_MAX 1472 /* an MTU of 1,500 bytes */

struct weir_bench_frames;

#define WEIR_BENCH_FRAMES_SOURCE "198.51.100.1"  /* where frames come from */
#define WEIR_BENCH_FRAMES_ADDRESS "198.51.100.2" /* where frames go (TEST-NET-2) */

/* Makes that many pairs (1, 2 or 4) and loads the generator, whose object is in `programs`. Frames
 * go to UDP port `port`, over each pair in turn. addressed: the near end, of one pair, has their
 * address and passes them to the kernel's own stack; else an XDP program has to be on each at the
 * start. From here on SIGINT and SIGTERM make sending fail, because the pairs must be taken away; a
 * program that is started then gets these signals as ever. */
enum weir_err weir_bench_frames_new(const char *programs, uint16_t port, bool addressed,
    uint32_t pairs, struct weir_bench_frames **out) WEIR_MUST_USE;
/* The interface at which those of a pair arrive. */
const char *weir_bench_frames_interface(const struct weir_bench_frames *frames, uint32_t pair);
/* Pins this process to its first core, gives it real-time priority and starts the generator. */
enum weir_err weir_bench_frames_start(struct weir_bench_frames *frames) WEIR_MUST_USE;

/* The frames to send: all definitions, or packets until `passes` are whole and `until_ns` has
 * come. */
struct weir_bench_sending {
    struct weir_bench_load *load;
    bool definitions;
    uint32_t payload_max; /* frames are filled with lines up to so many bytes; 0: a host's each */
    uint64_t passes;
    int64_t until_ns; /* CLOCK_MONOTONIC */
    uint64_t rate;    /* frames a second; late ones are made up for */
};

/* Returns when the last frame has been sent. */
enum weir_err weir_bench_frames_send(struct weir_bench_frames *frames,
    const struct weir_bench_sending *sending) WEIR_MUST_USE;

/* Since the start. */
struct weir_bench_frames_counts {
    uint64_t frames;
    uint64_t samples;
    uint64_t bytes;           /* of frames */
    uint64_t interface_drops; /* frames that the pairs could not hand over */
    double load_seconds;      /* CPU time spent on making frames */
    double kernel_seconds;    /* on sending them, and on the kernel's work at the other end */
};

void weir_bench_frames_counts(const struct weir_bench_frames *frames,
    struct weir_bench_frames_counts *out);

/* Gives the core back; the counts stay. */
void weir_bench_frames_stop(struct weir_bench_frames *frames);
void weir_bench_frames_free(struct weir_bench_frames *frames);

#endif
