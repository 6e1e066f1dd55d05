/* target: the dataplane a benchmark runs against: a process of its own, fed as
 * bench/load/feed.h says, with its shared region mapped here.
 *
 * Threads: one
 */
#ifndef WEIR_BENCH_TARGET_H
#define WEIR_BENCH_TARGET_H

#include "base/err.h"
#include "bench/load/feed.h"
#include "model/ledger.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

struct weir_bench_target;

/* Makes the data directory if it is missing. WEIR_INVALID for memory in place of a disk, which
 * would falsify every figure, or for less than need bytes: then nothing is left there. */
enum weir_err weir_bench_target_prepare(const char *data, uint64_t need) WEIR_MUST_USE;
/* Room beyond that of the directory's files. */
struct weir_bench_room {
    uint64_t series;
    uint64_t log_bytes;
    uint64_t segment_bytes; /* 0: as by default */
    bool recycles; /* log_bytes are all there is: beyond them the oldest segments are recycled */
};
/* Starts weir-dataplane on data, fed by source, with this room, and waits until ingest is open.
 * ring_slots: see weir_bench_feed_new. workers: RX workers, each with a ring of its own where the
 * source is that; 0 for the configuration's default and one ring. WEIR_BUSY where an instance runs
 * there. */
enum weir_err weir_bench_target_open(const char *data, enum weir_bench_source source,
    enum weir_bench_proto proto, uint32_t ring_slots, uint32_t workers,
    const struct weir_bench_room *room, struct weir_bench_target **out) WEIR_MUST_USE;
/* Stops it; false where it did not end by itself with code 0. */
bool weir_bench_target_close(struct weir_bench_target *target);

/* Packets go to this worker's ring from now on. */
void weir_bench_target_select(struct weir_bench_target *target, uint32_t worker);
/* Has the log nearly all that it may have? There is still room for the frames under way. */
bool weir_bench_target_nearly_full(const struct weir_bench_target *target);
/* Why ingest refuses samples, and will go on to; NULL while it does not. */
const char *weir_bench_target_refuses(const struct weir_bench_target *target);
/* Room for one packet of WEIR_BENCH_PACKET_MAX bytes; waits for it. NULL when the dataplane has
 * died, or refuses. */
uint8_t *weir_bench_target_reserve(struct weir_bench_target *target);
/* The same, and NULL where there is none now. */
uint8_t *weir_bench_target_try_reserve(struct weir_bench_target *target);
void weir_bench_target_commit(struct weir_bench_target *target, size_t size);

/* Sends the packets that are held back. */
void weir_bench_target_flush(struct weir_bench_target *target);
/* See weir_bench_feed_filled. */
void weir_bench_target_filled(struct weir_bench_target *target, bool filled);
/* See weir_bench_feed_payload. */
void weir_bench_target_payload(struct weir_bench_target *target, uint32_t payload_max);
/* Datagrams are sent whether the dataplane keeps up or not. */
void weir_bench_target_unpaced(struct weir_bench_target *target, bool unpaced);

bool weir_bench_target_alive(struct weir_bench_target *target);
/* Datagrams sent; 0 where the source has none. */
uint64_t weir_bench_target_datagrams(const struct weir_bench_target *target);
/* Of them, those that may be on their way. */
uint64_t weir_bench_target_ahead(const struct weir_bench_target *target);
bool weir_bench_target_ledger(struct weir_bench_target *target, struct weir_ledger_sum *sum);
/* The same at once: neither sends held packets nor lets the dataplane run first. */
bool weir_bench_target_ledger_now(struct weir_bench_target *target, struct weir_ledger_sum *sum);
/* The ledger itself, for as long as the target is open. */
struct weir_ledger *weir_bench_target_shared_ledger(struct weir_bench_target *target);
uint64_t weir_bench_target_series(const struct weir_bench_target *target);
/* Log offset appended so far. */
uint64_t weir_bench_target_end(const struct weir_bench_target *target);
/* The log's first offset. */
uint64_t weir_bench_target_first(const struct weir_bench_target *target);
/* Newest sample time of all that was trimmed, INT64_MIN for none. */
enum weir_err weir_bench_target_trimmed_ms(const struct weir_bench_target *target, int64_t *out)
    WEIR_MUST_USE;
/* Newest durable sample time, INT64_MIN + 1 for an empty log. */
int64_t weir_bench_target_newest_ms(const struct weir_bench_target *target);
/* CPU time of the dataplane with all its threads and io workers. */
double weir_bench_target_cpu_seconds(const struct weir_bench_target *target);
/* CPU time of the thread that runs a worker; where one thread runs all stages, that of all. 0 where
 * there is none such. */
double weir_bench_target_worker_seconds(const struct weir_bench_target *target, uint32_t worker);
struct weir_bench_memory {
    uint64_t private_bytes; /* resident, its own */
    uint64_t shared_bytes;  /* resident, of the shared region and the ring source */
};
void weir_bench_target_memory(const struct weir_bench_target *target,
    struct weir_bench_memory *out);
int weir_bench_target_shared_fd(const struct weir_bench_target *target);
/* Adds the labels of a figure: CPU, SIMD variant, I/O, memory, file system. */
void weir_bench_target_describe(const struct weir_bench_target *target, json_t *report);

#endif
