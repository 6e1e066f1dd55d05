/* worker: the RX stage. Packets of its ports in, batches for the log writer out, run to
 * completion: receive, parse, look up, append.
 *
 * Threads: run from one pinned thread
 * Memory:  its struct and what the options point at; nothing on the packet path
 * Limits:  WEIR_PORTS_MAX ports
 *
 * A burst may be larger than the room in batches. The worker then stops inside it and goes on in
 * the next round; while it waits it receives nothing from its ports. A weir packet that waits
 * for a definition holds up nobody but its channel: see aside.h.
 *
 *   empty --receive--> in burst --parse--> in records --last record--> in burst
 *     ^                   |                    |  no empty batch: stays, round ends
 *     +---- release ------+ last packet
 */
#ifndef WEIR_DATAPLANE_WORKER_WORKER_H
#define WEIR_DATAPLANE_WORKER_WORKER_H

#include "base/ring.h"
#include "dataplane/port/port.h"
#include "dataplane/protocol/deferral.h"
#include "dataplane/protocol/parse.h"
#include "dataplane/protocol/weir/channels/channels.h"
#include "dataplane/series/series.h"
#include "dataplane/worker/series_cache.h"
#include "model/degraded.h"
#include "model/ledger.h"
#include "model/progress.h"
#include "model/rejected.h"
#include "model/sample.h"

struct weir_worker_options {
    uint32_t index;
    struct weir_port *ports[WEIR_PORTS_MAX];
    uint32_t port_count;
    const struct weir_series *series;
    struct weir_series_cache *series_cache;
    struct weir_channels *channels; /* NULL where no weir packet comes */
    struct weir_prefixes trusted; /* sources that no share of templates bounds */
    const struct weir_hash_key *key;
    struct weir_progress *progress;
    struct weir_ledger *ledger;
    struct weir_counts *counts; /* the ports count here too */
    struct weir_degraded *degraded; /* may be NULL */
    struct weir_rejected_table *rejected; /* may be NULL */
    bool keep_rejected;             /* texts of refused records, not counts alone */
    struct weir_ring *batches;  /* worker -> writer */
    struct weir_ring *empties;  /* writer -> worker */
    struct weir_ring *deferrals;   /* worker -> registrar */
    struct weir_ring *completed;  /* registrar -> worker; at first filled with all deferrals */
    struct weir_parsed *parsed; /* scratch of its own */
    int64_t retention_ms;       /* older samples are refused */
    int64_t flush_interval_ns;
    int64_t ack_interval_ns;    /* where a sender waits for an answer */
};

struct weir_worker;

/* Bytes of its struct. */
size_t weir_worker_footprint(void);

enum weir_err weir_worker_new(const struct weir_worker_options *options,
    struct weir_worker **out) WEIR_MUST_USE;

/* One round over all ports. Returns packets, completions and flushes done, 0 when idle. */
size_t weir_worker_run_once(struct weir_worker *worker);
/* Between rounds: what the configuration says from now on. */
void weir_worker_follow(struct weir_worker *worker, int64_t retention_ms,
    int64_t flush_interval_ns, int64_t ack_interval_ns);

/* How busy a worker has been with samples of known series: for the stages that share its thread. */
enum weir_load {
    WEIR_LOAD_NONE, /* none for 10 ms */
    WEIR_LOAD_SOME,
    WEIR_LOAD_FULL, /* and the last round met a full burst: more is waiting */
};
enum weir_load weir_worker_load(const struct weir_worker *worker);

/* Whether datagrams or streams wait for the registrar, which is to be asked soon then. */
bool weir_worker_waits(const struct weir_worker *worker);

/* Monotonic time at which the open batch or deferral is due, or INT64_MAX. */
int64_t weir_worker_deadline_ns(const struct weir_worker *worker);

/* Shutdown: takes what the ports still hold, within bounds, then nothing; pushes what is open.
 * False while the ports hold more, while the queues have no room, or while a
 * burst is unfinished. Call with the other stages running until it returns true. */
bool weir_worker_drain(struct weir_worker *worker);

/* Counts what is still open as dropped{shutdown} and publishes; closes the ports; frees. */
void weir_worker_free(struct weir_worker *worker);

#endif
