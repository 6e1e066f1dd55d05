/* log: append-only stream of sample frames, durable in groups.
 *
 * Owns:    segment files DATA/log/<stream>/<index>.seg (docs/format/log.md)
 * Threads: one writer thread
 * Memory:  taken at open; frames are encoded straight into the frame ring
 * Errors:  WEIR_AGAIN come back after poll; WEIR_FULL size_max, or no space, descriptor or memory
 *          for the next file, resumes by itself; WEIR_IO closed until reopened
 * Limits:  WEIR_LOG_INFLIGHT_MAX frames in flight
 *
 * Appends refuse with WEIR_LIMIT a batch that no segment would hold. At size_max the oldest
 * trimmed segment's file becomes the next one. If none is trimmed, the states of
 * storage/log/writer/trim.h apply.
 *
 *   append: encode into the ring -> write submitted
 *   poll:   writes done -> one fdatasync for all of them -> durable in prefix order
 */
#ifndef WEIR_STORAGE_LOG_WRITER_LOG_H
#define WEIR_STORAGE_LOG_WRITER_LOG_H

#include "base/clock.h"
#include "base/err.h"
#include "model/ledger.h"
#include "storage/frame/frame.h"
#include "storage/frame/ring.h"
#include "storage/io/io.h"
#include "storage/log/recovery.h"
#include "storage/log/writer/trim.h"

#define WEIR_LOG_INFLIGHT_MAX 32

struct weir_log;

struct weir_log_options {
    const char *directory; /* DATA/log/0, made where missing */
    uint64_t segment_bytes;
    uint64_t size_max;
    struct weir_io *io;
    const struct weir_clock *clock; /* NULL: the machine's */
    struct weir_frame_ring *ring;
    struct weir_counts *counts; /* counters and cycles of the writer's block */
    weir_log_define_fn *define;
    void *define_context;
    weir_log_state_fn *sender_state; /* may be NULL */
    void *sender_state_context;
};

/* Opens, recovers (headers; bodies only above the highest durable watermark), and is ready to
 * append. The directory must be locked by the caller. */
enum weir_err weir_log_open(const struct weir_log_options *options, struct weir_log **out,
    struct weir_log_recovery *recovery) WEIR_MUST_USE;

/* Want of room, descriptors or memory for the epoch file is no reason to refuse reads: the log
 * opens all the same. Appends are refused with WEIR_FULL, and polls try the file again, until it is
 * written. */
bool weir_log_waits_for_room(const struct weir_log *log);

/* A frame that has become durable, in log order. */
struct weir_log_done {
    uint64_t offset; /* of the frame */
    uint64_t end;    /* durable offset with it */
    uint32_t producer;
    uint64_t batch;  /* number */
    uint32_t packets, records, samples;
    uint64_t opened_tsc;
    int64_t time_max_ms;
};

/* Encodes and submits one batch; on WEIR_OK the batch may be reused at once. */
enum weir_err weir_log_append(struct weir_log *log, const struct weir_batch *batch) WEIR_MUST_USE;
/* Reaps and submits I/O; publishes; returns up to max durable frames. wait_ns bounds a sleep
 * while frames are in flight. WEIR_IO once a write or sync has failed; *count holds then too. */
enum weir_err weir_log_poll(struct weir_log *log, int64_t wait_ns, struct weir_log_done *done,
    size_t max, size_t *count) WEIR_MUST_USE;
/* Frames appended and not durable. */
size_t weir_log_inflight(const struct weir_log *log);
uint64_t weir_log_end(const struct weir_log *log);
/* Series numbers below it are defined, by what recovery found and by what was appended. */
uint64_t weir_log_definitions(const struct weir_log *log);
uint64_t weir_log_durable(const struct weir_log *log);
uint64_t weir_log_bytes(const struct weir_log *log); /* of the segment files */
/* The log begins here: what is below was trimmed, and its files are recycled. */
uint64_t weir_log_first(const struct weir_log *log);
/* Samples of what was trimmed since the log was opened. */
uint64_t weir_log_samples_recycled(const struct weir_log *log);
/* Takes over what the checkpointer has trimmed; true where weir_log_first has moved. No file of it
 * is touched before the next append or poll: the caller informs readers until then. */
bool weir_log_follow_trim(struct weir_log *log);
/* State shared by the log and its checkpointer; lives as long as the log. */
struct weir_trim *weir_log_trim(struct weir_log *log);
/* Closes; what is in flight must have been polled out or is lost to its senders by name. */
void weir_log_close(struct weir_log *log);

#endif
