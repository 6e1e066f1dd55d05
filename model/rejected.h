/* rejected: which lines and packets are refused, from whom, and why.
 *
 * Counts of refused records by listener and reason, and the last refused ones themselves, by
 * reason, in the shared region. A reason keeps WEIR_REJECTED_SLOTS records of each producer, at
 * most WEIR_REJECTED_PER_S new ones a second: a flood of bad lines costs a counter each.
 *
 *   producer --count--> counts[producer][listener][reason]
 *            --a token--> slots[producer][reason][next] --seqlock--> control plane
 *
 * Owns:    nothing; the table is zero bytes of the shared region at first
 * Threads: each producer writes its own part; anyone reads
 * Memory:  the table; a reader copies what it reads
 * Limits:  WEIR_REJECTED_TEXT_MAX bytes of a record's text
 */
#ifndef WEIR_MODEL_REJECTED_H
#define WEIR_MODEL_REJECTED_H

#include "base/assert.h"
#include "model/ledger.h"
#include "model/peer.h"

#include <stdatomic.h>
#include <stdbool.h>

/* The registrar, then the workers: as in model/progress.h. */
#define WEIR_REJECTED_PRODUCERS (1 + WEIR_WORKERS_MAX)
#define WEIR_REJECTED_SLOTS 8
#define WEIR_REJECTED_PER_S 8
#define WEIR_REJECTED_TEXT_MAX 256
#define WEIR_REJECTED_DETAIL_MAX 78
/* Listeners of the configuration count from 1; 0 is for what came by none of them. */
#define WEIR_REJECTED_LISTENERS 33
#define WEIR_REJECTED_LISTENER_NAME_MAX 96
#define WEIR_POSITION_UNKNOWN UINT64_MAX

/* A refused record, as it is kept. */
struct weir_rejected {
    int64_t time_ms;
    uint64_t position; /* of its first byte in its datagram or connection */
    uint64_t order;    /* of those of its producer: the later, the higher */
    uint32_t size;     /* of the record; 0 where its text is not known */
    uint16_t text_size;
    uint8_t reason;    /* enum weir_reason */
    uint8_t listener;
    struct weir_peer peer;
    char detail[WEIR_REJECTED_DETAIL_MAX]; /* what the reason alone does not say; zero terminated */
    uint8_t text[WEIR_REJECTED_TEXT_MAX];
};
_Static_assert(sizeof(struct weir_rejected) % 8 == 0, "copied as words");
#define WEIR_REJECTED_WORDS (sizeof(struct weir_rejected) / 8)

struct weir_rejected_slot {
    _Atomic uint64_t sequence; /* odd while being written; 0: never */
    _Atomic uint64_t words[WEIR_REJECTED_WORDS];
};

struct weir_rejected_table {
    char listeners[WEIR_REJECTED_LISTENERS][WEIR_REJECTED_LISTENER_NAME_MAX]; /* set at start */
    _Atomic uint64_t counts[WEIR_REJECTED_PRODUCERS][WEIR_REJECTED_LISTENERS][WEIR_REASON_COUNT];
    struct weir_rejected_slot slots[WEIR_REJECTED_PRODUCERS][WEIR_REASON_COUNT]
                                   [WEIR_REJECTED_SLOTS];
};

/* A producer's report of a record it refuses. */
struct weir_refusal {
    uint8_t reason;
    uint8_t listener;
    const struct weir_peer *peer;
    uint64_t position;
    const uint8_t *text; /* NULL: not known */
    size_t size;
    const char *detail;  /* NULL: none */
};

/* A producer's own part: what it may keep still. */
struct weir_rejecter {
    struct weir_rejected_table *table; /* NULL: nothing is noted */
    uint32_t producer;
    bool keep;                         /* texts too, not counts alone */
    uint64_t order;                    /* of the next one kept */
    struct weir_rejecter_reason {
        int64_t filled_ns; /* when tokens were last added */
        int64_t reported_ns;   /* when the event was; 0 never */
        uint64_t untold;   /* refused since */
        uint32_t tokens;
        uint32_t next;     /* slot */
    } reasons[WEIR_REASON_COUNT];
};

void weir_rejecter_init(struct weir_rejecter *rejecter, struct weir_rejected_table *table,
    uint32_t producer, bool keep);

/* May one more record of this reason be kept now? Uses up a token. */
bool weir_rejecter_token(struct weir_rejecter *rejecter, uint8_t reason, int64_t now_ns);
/* Keeps the record and reports it in an event, once a minute for each reason. */
void weir_rejecter_keep(struct weir_rejecter *rejecter, const struct weir_refusal *refusal,
    int64_t now_ns);

/* Counts a refused record. */
static inline void
weir_rejecter_count(struct weir_rejecter *rejecter, uint8_t listener, uint8_t reason)
{
    if (rejecter->table == NULL)
        return;
    WEIR_DCHECK(listener < WEIR_REJECTED_LISTENERS);
    /* relaxed: a counter with one writer */
    _Atomic uint64_t *count = &rejecter->table->counts[rejecter->producer][listener][reason];
    atomic_store_explicit(count, atomic_load_explicit(count, memory_order_relaxed) + 1,
        memory_order_relaxed);
    rejecter->reasons[reason].untold++;
}

/* This producer keeps a record that another one counts. Events of this one report it. */
static inline void
weir_rejecter_meet(struct weir_rejecter *rejecter, uint8_t reason)
{
    rejecter->reasons[reason].untold++;
}

/* Another producer keeps the record just counted, and its events report it. */
static inline void
weir_rejecter_unmeet(struct weir_rejecter *rejecter, uint8_t reason)
{
    if (rejecter->table != NULL)
        rejecter->reasons[reason].untold--;
}

/* Copies what is kept into out, the newest first; returns how many. Room for max. */
size_t weir_rejected_read(const struct weir_rejected_table *table, struct weir_rejected *out,
    size_t max);
/* Most that there can be. */
#define WEIR_REJECTED_MAX (WEIR_REJECTED_PRODUCERS * WEIR_REASON_COUNT * WEIR_REJECTED_SLOTS)

/* Sum over producers. */
uint64_t weir_rejected_count(const struct weir_rejected_table *table, uint32_t listener,
    uint32_t reason);

/* The listener's name, "-" for none. */
const char *weir_rejected_listener(const struct weir_rejected_table *table, uint32_t listener);

#endif
