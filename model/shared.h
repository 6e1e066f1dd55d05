/* shared: the one memory region of an instance that its processes share.
 *
 * Owns:    a memfd the supervisor makes and its children inherit as WEIR_SHARED_FD
 * Threads: the dataplane writes, everyone reads; fields say who
 * Memory:  struct weir_shared, then the frame ring (storage/frame/ring.h), page aligned
 *
 * Life: the dataplane, at start, sets epoch to 0, punches the pages out (they read as zero, a
 * reader's mapping stays valid), rebuilds, and sets epoch to a number greater than any before. A
 * reader that sees epoch change during its work starts over. Fields before epoch live on.
 */
#ifndef WEIR_MODEL_SHARED_H
#define WEIR_MODEL_SHARED_H

#include "base/err.h"
#include "model/degraded.h"
#include "model/heartbeat.h"
#include "model/keeper_view.h"
#include "model/ledger.h"
#include "model/live.h"
#include "model/processes.h"
#include "model/rejected.h"
#include "model/channel_mail.h"
#include "model/channel_view.h"

#define WEIR_SHARED_FD 3
#define WEIR_SHARED_MAGIC UINT64_C(0x3144524148535257) /* "WRSHARD1" */
#define WEIR_LATENCY_BUCKETS 24

enum weir_ingest_state {
    WEIR_INGEST_STARTING,  /* recovering the log */
    WEIR_INGEST_OPEN,
    WEIR_INGEST_DISK_FULL, /* refuses records, resumes by itself */
    WEIR_INGEST_IO_ERROR,  /* refuses records until a person decides */
    WEIR_INGEST_STOPPING,
};

struct weir_shared {
    uint64_t magic;          /* set by the supervisor, as are the next two */
    uint64_t bytes;          /* of the whole region */
    uint64_t frame_ring_at;  /* offset of the frame ring in the region */
    uint64_t frame_ring_bytes;
    /* Process of the control plane whose port is open and which answers queries; 0: none. It sets
     * this itself; the supervisor clears it when the process has died. The field comes before
     * epoch because the start of a dataplane must not clear it. */
    _Atomic uint32_t http_pid;
    /* The log begins at this offset; everything below was trimmed. It is stored before any file
     * below is recycled. It comes before epoch too: trimmed stays trimmed while a dataplane
     * starts. */
    _Atomic uint64_t log_first_offset;
    /* Written by the keeper. Before epoch: a dataplane's start leaves it alone. */
    struct weir_keeper_view keeper;
    /* Values of the configuration that have changed since the start. Before epoch too. */
    struct weir_live live;
    /* Written by the supervisor. Before epoch: a dataplane's start leaves it alone. */
    struct weir_processes processes;
    _Atomic uint64_t epoch;  /* dataplane epoch; 0 while it starts or after it died */
    _Atomic uint32_t state;  /* enum weir_ingest_state */
    uint32_t worker_count;
    _Atomic uint64_t started_ms;     /* wall time of the epoch's start */
    _Atomic uint64_t series_count;   /* defined */
    _Atomic uint64_t series_max;
    _Atomic uint64_t durable_offset; /* of the log */
    _Atomic uint64_t appended_offset; /* of the log: submitted, maybe not durable */
    _Atomic int64_t durable_time_ms; /* newest durable sample time */
    _Atomic uint64_t log_bytes;      /* size of the segment files */
    /* packet to queryable: bucket i counts samples whose time was below 2^i * 64 us; the last is
     * everything above. Single writer: the log writer. */
    _Atomic uint64_t latency_buckets[WEIR_LATENCY_BUCKETS];
    _Atomic uint64_t latency_sum_us;
    struct weir_heartbeats heartbeats; /* written by the dataplane's threads */
    struct weir_degraded degraded;     /* as these */
    struct weir_rejected_table rejected; /* written by registrar and workers */
    char simd[16];      /* path the parsers chose, for /metrics and bench */
    char io_backend[16]; /* "io_uring" or "sync" */
    struct weir_ledger ledger;
    struct weir_channel_view channel_view; /* written by the worker that takes the weir protocol */
    struct weir_channel_mail channel_mail; /* questions of the control plane to that worker */
};

/* Bytes of a region with a frame ring of ring_bytes. */
uint64_t weir_shared_bytes(uint64_t ring_bytes);

/* Supervisor, bench and tests: makes the memfd and sets its fields. Pages come when touched. */
enum weir_err weir_shared_new(uint64_t ring_bytes, int *fd) WEIR_MUST_USE;

/* Maps a region of weir_shared_new. Errors: WEIR_INVALID where fd is not one. */
enum weir_err weir_shared_map(int fd, struct weir_shared **out) WEIR_MUST_USE;
void weir_shared_unmap(struct weir_shared *shared);

/* Dataplane at start: sets epoch and every field after it to zero. */
enum weir_err weir_shared_reset(int fd, struct weir_shared *shared) WEIR_MUST_USE;

static inline void *
weir_shared_frame_ring(struct weir_shared *shared)
{
    return (char *)shared + shared->frame_ring_at;
}

#endif
