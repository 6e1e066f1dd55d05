/* worker_parts: the inside of struct weir_worker, for dataplane/worker/ only.
 *
 *   worker.c     the stage: ports, bursts, batches, what is published
 *   records.c    packets of text: parsed, looked up, appended
 *   resolve.c    series of points that the series cache does not know
 *   wire.c       packets of protocols with a session; those that wait are set aside
 *   deferrals.c  records on their way to the registrar and back
 *   full.c       reports of tables that have no room
 *   rejects.c    refused records, kept for weir rejected
 *   answers.c    answers to single records, by protocols that give them
 *
 * Threads: the worker's
 */
#ifndef WEIR_DATAPLANE_WORKER_PARTS_H
#define WEIR_DATAPLANE_WORKER_PARTS_H

#include "base/clock.h"
#include "dataplane/port/refusals.h"
#include "dataplane/protocol/protocol.h"
#include "dataplane/protocol/weir/aside.h"
#include "dataplane/protocol/weir/definition.h"
#include "dataplane/worker/worker.h"
#include "model/handover.h"
#include "model/shared.h"

#include <string.h>

/* Deferrals that must be free before a sender that can be held back is listened to: they take a
 * burst of 16 full stretches (2 MiB) as text, all of unknown series, with the header of each line,
 * where lines have 64 bytes and more. Nothing goes as a list while no more than these are free. */
#define WEIR_WORKER_DEFERRALS_IN_HAND 12
_Static_assert(
    WEIR_WORKER_DEFERRALS_IN_HAND < WEIR_DEFERRALS, "and some beyond, for resolved lines");
/* Labels kept of the series that the series cache lacks: a burst's are about 50 KiB. */
#define WEIR_WORKER_LABELS_BYTES (128u << 10)
#define WEIR_WORKER_RESOLVES_MAX 1024
/* A batch ends at this many changed channels: half of what a batch has state entries for. A
 * deferral of completions then finds room too, and templates after the state entries. */
#define WEIR_WORKER_DIRTY_PUSH (WEIR_CHANNELS_DIRTY_MAX / 2)

/* One packet's share of what is parsed, by its end: it begins where the one before ends. */
struct weir_worker_portion {
    uint32_t packet;     /* index in the burst */
    uint32_t record_end; /* its records in parsed end here */
    uint32_t consumed;   /* bytes of the packet parsed so far */
    bool last;           /* the packet has no more */
};

/* Labels of a point whose series the series cache lacks. */
struct weir_worker_resolve {
    struct weir_hash128 fingerprint;
    uint32_t labels_at;   /* in the worker's labels */
    uint32_t labels_size : 31; /* 0: none kept */
    uint32_t refused : 1;      /* they are bad, and the line has been kept as refused */
};

struct weir_worker {
    struct weir_worker_options options;
    struct weir_parse_context context;
    uint32_t sessions;        /* bits by enum weir_proto: protocols with a session, served here */
    struct weir_batch *batch; /* open, or NULL */
    struct weir_deferral *deferral; /* open, or NULL */
    struct weir_deferral *deferrals_free[WEIR_DEFERRALS];
    uint32_t deferral_free_count;
    uint64_t batch_number;    /* of the last batch opened */
    uint64_t deferral_number;
    int64_t batch_opened_ns;  /* when its first content came */
    int64_t deferral_opened_ns;
    int64_t now_ns;
    int64_t statistics_ns;
    uint64_t listener_drops;  /* the counters' sum at the last statistics */
    uint64_t records_appended;   /* into batches since the last publication, not yet in counts */
    uint64_t samples_appended;
    uint64_t packets_owed;    /* accepted packets that found no open batch to end in */
    struct weir_aside *aside; /* NULL where no weir packet comes */
    uint64_t packets_aside;   /* counted as received, not yet as anything else */
    bool streams_held;        /* a stream waits for the registrar since the last resume */
    bool resume_due;          /* what streams wait for may have come */
    bool ack_waiting;
    bool draining;
    uint32_t drain_rounds;    /* left in which a stopping worker still receives */
    bool changed;             /* counts differ from what was published */
    bool burst_full;          /* in the last round */
    int64_t known_ns;         /* time of the last round with samples of known series */
    uint32_t resolve_tries;   /* left, see resolve.c */
    struct weir_rejecter rejecter;

    uint32_t burst_max[WEIR_PORTS_MAX + 1]; /* packets that a burst takes, by index of the port */

    /* the burst being worked on */
    struct weir_port *port;
    uint64_t burst_tsc;       /* when work on it began, or went on after it had to wait */
    uint64_t burst_ticks;     /* of work before that */
    uint32_t packet_count;
    uint32_t parse_at;        /* packet that is parsed next, from byte_at on */
    uint32_t byte_at;
    uint32_t packet_at;       /* packet whose records are being taken */
    uint32_t record_at;       /* the next one of them */
    uint32_t records_seen;    /* of the packet */
    uint32_t portion_count;   /* of what is parsed */
    uint32_t portion_at;
    struct weir_worker_portion portions[WEIR_BURST_MAX];
    struct weir_packet packets[WEIR_BURST_MAX];
    uint64_t numbers[WEIR_POINTS_MAX]; /* series of parsed->points */
    struct weir_raw_burst raw_burst;
    bool all_known;           /* of all of them */
    struct weir_line_labels line_labels; /* of a record whose series the series cache lacks */
    uint32_t labels_used;
    uint32_t resolving_count;
    uint32_t resolving[WEIR_WORKER_RESOLVES_MAX]; /* points that have labels kept */
    /* by point; valid where the series cache missed */
    struct weir_worker_resolve resolves[WEIR_POINTS_MAX];
    uint8_t labels[WEIR_WORKER_LABELS_BYTES];
    struct weir_definitions definitions; /* of the packet being worked on */
    struct weir_refusals templates_full, templates_over_share;
    struct weir_refusals senders_full, senders_over_share;
};

static inline struct weir_ledger_unit *
weir_worker_unit(struct weir_worker *worker, enum weir_unit unit)
{
    return &worker->options.counts->unit[unit];
}

static inline void
weir_worker_cycles(struct weir_worker *worker, enum weir_stage stage, uint64_t since,
    uint64_t samples)
{
    worker->options.counts->cycles[stage] += weir_tsc() - since;
    worker->options.counts->samples[stage] += samples;
}

/* The burst being worked on was set aside before. */
static inline bool
weir_worker_is_aside(const struct weir_worker *worker)
{
    return worker->aside != NULL && worker->port == weir_aside_port(worker->aside);
}

/* Whether the packet is taken by wire.c. A worker without senders refuses such packets: their
 * parser does, by name. */
static inline bool
weir_worker_is_wire(const struct weir_worker *worker, const struct weir_packet *packet)
{
    return (worker->sessions >> packet->proto & 1) != 0;
}

/* worker.c */
void weir_worker_publish(struct weir_worker *worker);
/* Gives a batch or deferral, which is open no more, to the next stage (model/handover.h). */
void weir_worker_hand_over(struct weir_worker *worker, uint32_t edge, struct weir_ring *ring,
    void *item, uint64_t number, const uint64_t count[WEIR_UNIT_COUNT]);
bool weir_worker_batch_open(struct weir_worker *worker);
void weir_worker_batch_push(struct weir_worker *worker);
/* Refuses a record: the one way to do so. */
void weir_worker_record_reject(struct weir_worker *worker, const struct weir_record *record,
    uint32_t samples, enum weir_reason reason);
void weir_worker_packet_end(struct weir_worker *worker, uint32_t consumed);
void weir_worker_parsed_reset(struct weir_worker *worker);
void weir_worker_count_parsed(struct weir_worker *worker);

/* rejects.c */
/* Notes a record that was refused, or will be by the registrar, which does not see its text. */
void weir_worker_rejected(struct weir_worker *worker, const struct weir_packet *packet,
    const struct weir_record *record, uint8_t reason, const char *detail);

/* answers.c */
/* Answers the sender of a record at once, where its protocol does: one that was refused, or a
 * command (WEIR_REASON_NONE). */
void weir_worker_answer(struct weir_worker *worker, uint8_t proto, uint32_t source,
    const struct weir_record *record, uint8_t reason);

/* records.c */
void weir_worker_parse_more(struct weir_worker *worker);
bool weir_worker_append_parsed(struct weir_worker *worker);

/* resolve.c */
void weir_worker_resolve_all(struct weir_worker *worker);

/* wire.c */
bool weir_worker_wire_work(struct weir_worker *worker);

/* full.c */
void weir_worker_full_begin(struct weir_worker *worker);
void weir_worker_wire_refused(struct weir_worker *worker, const struct weir_wire_item *item,
    uint8_t reason);
void weir_worker_full_look(struct weir_worker *worker);

/* deferrals.c */
void weir_worker_deferral_push(struct weir_worker *worker);
void weir_worker_record_defer(struct weir_worker *worker, const struct weir_record *record);
void weir_worker_definition_defer(struct weir_worker *worker, const struct weir_record *record,
    const struct weir_wire_item *item);
size_t weir_worker_pop_completed(struct weir_worker *worker);

#endif
