/* writer: the log writer stage. Takes batches from its producers, in an order that puts every
 * definition ahead of its use, and gives them to the log.
 *
 * Threads: run from one thread; progress is read by all
 * Memory:  its struct, made at start
 *
 *   producer --batches ring--> writer --append--> log --poll--> durable: progress, ledger
 *   producer <--free ring----- writer
 */
#ifndef WEIR_STORAGE_LOG_WRITER_WRITER_H
#define WEIR_STORAGE_LOG_WRITER_WRITER_H

#include "base/ring.h"
#include "model/ledger.h"
#include "model/progress.h"
#include "model/sample.h"
#include "model/shared.h"
#include "storage/log/writer/log.h"

struct weir_writer_producer {
    struct weir_ring *batches; /* producer -> writer */
    struct weir_ring *empties; /* writer -> producer */
    uint32_t edge;             /* of the ledger */
};

struct weir_writer_options {
    struct weir_log *log;
    struct weir_shared *shared;
    struct weir_counts *counts; /* published by the writer as block WEIR_BLOCK_WRITER */
    struct weir_progress *progress;
    struct weir_writer_producer producers[WEIR_PRODUCERS_MAX]; /* [0] is the registrar */
    uint32_t producer_count;
};

struct weir_writer;

/* Bytes of its struct. */
size_t weir_writer_footprint(void);

enum weir_err weir_writer_new(const struct weir_writer_options *options,
    struct weir_writer **out) WEIR_MUST_USE;
/* One round: appends what can be appended, polls the log, publishes. Returns the work done (batches
 * and frames), 0 when idle. */
size_t weir_writer_run_once(struct weir_writer *writer);
/* True when nothing is queued or in flight. */
bool weir_writer_idle(const struct weir_writer *writer);
/* OPEN, DISK_FULL or IO_ERROR; each change is reported to producers and readers. */
enum weir_ingest_state weir_writer_state(const struct weir_writer *writer);
/* Counts what is still queued as dropped{shutdown} and publishes; then frees. */
void weir_writer_free(struct weir_writer *writer);

#endif
