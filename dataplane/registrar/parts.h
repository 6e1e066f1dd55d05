/* registrar_parts: the inside of struct weir_registrar, for dataplane/registrar/ only.
 *
 *   registrar.c  the stage: rounds, deferrals, batches, what is published
 *   line.c       one line of a deferral: its points' series defined, its samples appended
 *   shares.c     whose series are defined where room is short
 *   rejects.c    refused lines, kept for weir rejected
 *
 * Threads: the registrar's
 */
#ifndef WEIR_DATAPLANE_REGISTRAR_PARTS_H
#define WEIR_DATAPLANE_REGISTRAR_PARTS_H

#include "base/condition.h"
#include "dataplane/port/refusals.h"
#include "dataplane/registrar/registrar.h"
#include "model/shared.h"

/* A deferral under way. It stays here over rounds where a batch is full and no other is empty:
 *
 *   none --deferral_pop--> between lines <--line_begin, line_finish--> in a line
 *     ^                       |                                      | ^
 *     +-----deferral_finish------+          awaits an empty batch: defined, not yet appended
 */
struct weir_registrar_work {
    struct weir_deferral *deferral; /* NULL: none */
    uint32_t worker;
    uint32_t at;       /* of the next line in deferral->lines */
    uint32_t accepted; /* records of the deferral */

    bool in_line;
    struct weir_deferred_line line;
    uint8_t *text;             /* or the list of points */
    struct weir_deferred_point *resolved; /* the one at point_at, in a list */
    uint32_t point_at;         /* next of parsed->points, or of the list */
    uint32_t point_end;
    uint32_t samples_accepted; /* of the line */
    uint32_t samples_rejected;
    uint32_t defines_refused;  /* series of a definition */
    uint64_t define_bytes;     /* that the log may still take for new series of the line */
    uint8_t reason; /* of the rejected ones; WEIR_REASON_no_sample_accepted where they differ */

    struct weir_peer peer;   /* the line's sender */
    uint8_t listener;        /* that it came by */
    bool owned;              /* its series count for */
    struct weir_owner owner;

    bool labels_begun; /* labels_err is how the line's labels began */
    enum weir_err labels_err;

    bool pending;    /* point_at has its number and awaits room */
    bool is_new;     /* and its definition too: these labels, the deferral's or the registrar's */
    const uint8_t *labels;
    size_t labels_size;
    uint64_t number;
};

struct weir_registrar {
    struct weir_registrar_options options;
    struct weir_batch *batch;    /* open, or NULL */
    uint64_t batch_number;       /* of the last batch opened */
    int64_t batch_content_ns;    /* when its first sample came */
    uint64_t definitions_pushed; /* definitions below it are in pushed batches */
    int64_t now_ns;
    uint64_t more_ticks;         /* of a round in which second deferrals are begun */
    uint64_t round_tsc;          /* when this round began */
    uint64_t limit_ticks;        /* of a round; 0 for none */
    bool changed;                /* counts differ from what was published */
    struct weir_condition table_full;
    struct weir_rejecter rejecter;
    struct weir_refusals over_share;
    struct weir_registrar_work work;
    struct weir_line_labels line_labels; /* of work.line */
    uint8_t labels[WEIR_LABELS_BYTES_MAX]; /* of the point being defined */
};

static inline void
weir_registrar_release(struct weir_registrar *registrar, enum weir_unit unit, uint64_t count)
{
    struct weir_ledger_unit *counts = &registrar->options.counts->unit[unit];
    WEIR_ASSERT(counts->held >= count);
    counts->held -= count;
    registrar->changed = true;
}

static inline void
weir_registrar_reject(struct weir_registrar *registrar, enum weir_unit unit, uint64_t count,
    uint8_t reason)
{
    weir_registrar_release(registrar, unit, count);
    registrar->options.counts->unit[unit].rejected[reason] += count;
}

/* Opens the next batch; false where none is empty. */
bool weir_registrar_batch_open(struct weir_registrar *registrar);

/* Whether there is an open batch. */
static inline bool
weir_registrar_batch_ready(struct weir_registrar *registrar)
{
    return registrar->batch != NULL || weir_registrar_batch_open(registrar);
}

/* Hands the open batch on to the log writer. */
void weir_registrar_batch_push(struct weir_registrar *registrar);

/* Records without samples are definitions, whose series may all have been known. */
static inline bool
weir_registrar_batch_has_content(const struct weir_registrar *registrar)
{
    const struct weir_batch *batch = registrar->batch;
    return batch != NULL &&
        (batch->count > 0 || batch->definition_count > 0 || batch->records > 0);
}

/* Begins with the next line of the deferral under way. */
void weir_registrar_line_begin(struct weir_registrar *registrar);
/* Goes on with the line that was taken. False where it has to wait for an empty batch. */
bool weir_registrar_line_work(struct weir_registrar *registrar);
/* Reports refusals for want of room. The detail is that of the last one, and says what there was no
 * room for. Samples are counted in the ledger, by reason;
 * series of definitions in the counter definitions_refused. */
void weir_registrar_report_table_full(
    const struct weir_condition *condition, enum weir_condition_news news);

/* rejects.c: notes the line at hand, of which nothing was accepted. */
void weir_registrar_line_rejected(struct weir_registrar *registrar);

/* shares.c: */
/* The series that there are already. */
void weir_registrar_shares_begin(struct weir_registrar *registrar);
/* For whom the series of the line count. */
void weir_registrar_owner_find(struct weir_registrar *registrar);
/* Whether the line's sender may define a series. */
bool weir_registrar_may_define(const struct weir_registrar *registrar);
/* It has. */
void weir_registrar_count_defined(struct weir_registrar *registrar);
/* It was refused. */
void weir_registrar_report_over_share(struct weir_registrar *registrar);

#endif
