/* registrar: the one thread that defines series.
 *
 * Lines whose series a worker did not know arrive as deferrals; the registrar resolves or defines
 * every series, puts definitions and samples into its own batch, and reports to the worker what
 * became of each sender's records. A line comes as its points with their labels, whose numbers go
 * back to the worker; where these take too much room it comes as its text, which is parsed again.
 * The worker has judged its times: they are not judged again, however long a line has waited.
 *
 *   worker --deferrals--> registrar --batches--> log writer
 *   worker <-completed-- registrar <-empties--- log writer
 *
 * Definitions of the weir protocol come the same way, as records without samples: as the list of
 * their unknown series, or as they came.
 *
 * A new series is in the table before its definition is pushed. A worker that uses it at once may
 * be ahead of the definition: the log writer then holds that worker's batch back and asks with
 * definitions_wanted.
 *
 * If the table is more than half full, a source defines no more than its share of it
 * (model/shares.h); series that are known stay so for everybody.
 *
 * Threads: run from one thread
 * Memory:  its struct, made at start
 * Errors:  what it refuses is counted by reason and reported in completions; without an empty batch
 *          of the log writer it takes no deferrals
 * Limits:  WEIR_DEFERRAL_BYTES a deferral, WEIR_DEFERRALS a worker; with few of them free the
 *          worker leaves TCP senders unread, with none it refuses lines as define_backlog
 */
#ifndef WEIR_DATAPLANE_REGISTRAR_REGISTRAR_H
#define WEIR_DATAPLANE_REGISTRAR_REGISTRAR_H

#include "base/ring.h"
#include "dataplane/protocol/deferral.h"
#include "dataplane/protocol/parse.h"
#include "dataplane/series/series.h"
#include "model/degraded.h"
#include "model/ledger.h"
#include "model/progress.h"
#include "model/rejected.h"
#include "model/sample.h"
#include "model/shares.h"

/* Usual value of more_deferrals_ns: a worker of the same thread receives nothing meanwhile. Four
 * deferrals of resolved lines take that, one of text takes three. */
#define WEIR_REGISTRAR_MORE_DEFERRALS_NS INT64_C(500000)

struct weir_registrar_worker {
    struct weir_ring *deferrals;  /* worker -> registrar */
    struct weir_ring *completed; /* registrar -> worker */
    uint32_t edge;             /* of the ledger */
};

struct weir_registrar_options {
    struct weir_series *series;
    const struct weir_hash_key *key;
    struct weir_progress *progress;
    struct weir_ledger *ledger;
    struct weir_counts *counts; /* published as block WEIR_BLOCK_REGISTRAR */
    struct weir_degraded *degraded; /* may be NULL */
    struct weir_rejected_table *rejected; /* may be NULL */
    bool keep_rejected;             /* texts of refused records, not counts alone */
    struct weir_ring *batches;  /* registrar -> writer */
    struct weir_ring *empties;  /* writer -> registrar */
    struct weir_registrar_worker workers[WEIR_WORKERS_MAX];
    uint32_t worker_count;
    int64_t flush_interval_ns;
    int64_t ack_interval_ns;
    int64_t more_deferrals_ns; /* of a round that begins more than one of each worker */
    struct weir_parsed *parsed; /* scratch of its own */
    struct weir_shares *series_shares; /* NULL where no share bounds a sender */
    struct weir_prefixes trusted; /* sources that none bounds */
};

struct weir_registrar;

/* Bytes of its struct. */
size_t weir_registrar_footprint(void);

enum weir_err weir_registrar_new(const struct weir_registrar_options *options,
    struct weir_registrar **out) WEIR_MUST_USE;
/* One round: takes a deferral of each worker, and up to three more while that is quick; flushes its
 * batch when due. Returns the work done (lines finished, batches pushed), 0 when idle. */
size_t weir_registrar_run_once(struct weir_registrar *registrar);
/* Between rounds: what the configuration says from now on. */
void weir_registrar_follow(struct weir_registrar *registrar, int64_t flush_interval_ns,
    int64_t ack_interval_ns);
/* Longest time that a round from now on takes lines for, in TSC ticks: for a registrar that shares
 * a thread. 0, as at the start: until the deferrals are done. A line begun is finished. */
void weir_registrar_limit(struct weir_registrar *registrar, uint64_t ticks);
/* Pushes what is open, whatever its age; false while the writer has no room. */
bool weir_registrar_flush(struct weir_registrar *registrar);
/* True when no deferral is queued or under way and no batch is open. */
bool weir_registrar_idle(const struct weir_registrar *registrar);
/* Counts what is open or still queued here as dropped{shutdown} and publishes; then frees. */
void weir_registrar_free(struct weir_registrar *registrar);

#endif
