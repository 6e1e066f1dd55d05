#include "model/rejected.h"

#include "base/clock.h"
#include "base/event.h"
#include "base/seqlock.h"

#include <stdlib.h>
#include <string.h>

#define SECOND_NS INT64_C(1000000000)
#define TOKEN_NS (SECOND_NS / WEIR_REJECTED_PER_S)
#define EVENT_NS (60 * SECOND_NS)

void
weir_rejecter_init(struct weir_rejecter *rejecter, struct weir_rejected_table *table,
    uint32_t producer, bool keep)
{
    memset(rejecter, 0, sizeof *rejecter);
    rejecter->table = table;
    rejecter->producer = producer;
    rejecter->keep = keep;
    for (int reason = 0; reason < WEIR_REASON_COUNT; reason++)
        rejecter->reasons[reason].tokens = WEIR_REJECTED_PER_S;
}

bool
weir_rejecter_token(struct weir_rejecter *rejecter, uint8_t reason, int64_t now_ns)
{
    struct weir_rejecter_reason *own = &rejecter->reasons[reason];
    if (rejecter->table == NULL)
        return false;
    if (own->tokens < WEIR_REJECTED_PER_S && now_ns - own->filled_ns >= TOKEN_NS) {
        int64_t fresh = (now_ns - own->filled_ns) / TOKEN_NS;
        own->tokens = own->tokens + fresh < WEIR_REJECTED_PER_S ? own->tokens + (uint32_t)fresh
                                                                : WEIR_REJECTED_PER_S;
        own->filled_ns += fresh * TOKEN_NS;
    }
    if (own->tokens == 0)
        return false;
    if (own->tokens-- == WEIR_REJECTED_PER_S)
        own->filled_ns = now_ns;
    return true;
}

static void
report(struct weir_rejecter *rejecter, const struct weir_refusal *refusal, int64_t now_ns)
{
    struct weir_rejecter_reason *own = &rejecter->reasons[refusal->reason];
    char peer[WEIR_PEER_TEXT_MAX];
    if (own->reported_ns != 0 && now_ns - own->reported_ns < EVENT_NS)
        return;
    own->reported_ns = now_ns;
    weir_peer_text(refusal->peer, peer);
    weir_event(WEIR_LEVEL_WARN, "rejected",
        "reason=%s count=%llu listener=%s peer=%s see=\"weir rejected\"",
        weir_reason_names[refusal->reason], (unsigned long long)own->untold,
        weir_rejected_listener(rejecter->table, refusal->listener), peer);
    own->untold = 0;
}

/* False where nothing was ever written, or the writer was here meanwhile: out is then a mixture. */
static bool
slot_read(const struct weir_rejected_slot *slot, struct weir_rejected *out)
{
    uint64_t seen = 0;
    return weir_seqlock_has_moved(&slot->sequence, 0) &&
        weir_seqlock_read(&slot->sequence, slot->words, (uint64_t *)out, WEIR_REJECTED_WORDS,
            &seen) &&
        seen != 0;
}

void
weir_rejecter_keep(struct weir_rejecter *rejecter, const struct weir_refusal *refusal,
    int64_t now_ns)
{
    struct weir_rejecter_reason *own = &rejecter->reasons[refusal->reason];
    report(rejecter, refusal, now_ns);
    if (!rejecter->keep)
        return;
    struct weir_rejected what = {.time_ms = weir_wall_ms(),
        .position = refusal->position,
        .order = rejecter->order++,
        .size = (uint32_t)refusal->size,
        .reason = refusal->reason,
        .listener = refusal->listener,
        .peer = *refusal->peer};
    if (refusal->text != NULL) {
        what.text_size = (uint16_t)(refusal->size < WEIR_REJECTED_TEXT_MAX
                ? refusal->size
                : WEIR_REJECTED_TEXT_MAX);
        memcpy(what.text, refusal->text, what.text_size);
    }
    if (refusal->detail != NULL)
        strncpy(what.detail, refusal->detail, sizeof what.detail - 1);
    struct weir_rejected_slot *slots =
        rejecter->table->slots[rejecter->producer][refusal->reason];
    struct weir_rejected_slot *slot = &slots[own->next++ % WEIR_REJECTED_SLOTS];
    weir_seqlock_write(&slot->sequence, slot->words, (const uint64_t *)&what,
        WEIR_REJECTED_WORDS);
}

static int
newest_first(const void *a, const void *b)
{
    const struct weir_rejected *x = a, *y = b;
    if (x->time_ms != y->time_ms)
        return x->time_ms > y->time_ms ? -1 : 1;
    /* many are refused within a millisecond */
    return x->order > y->order ? -1 : x->order < y->order;
}

/* The bytes come from another process: what they say is bounded before it is used. */
static bool
is_sound(const struct weir_rejected *what)
{
    return what->reason < WEIR_REASON_COUNT && what->listener < WEIR_REJECTED_LISTENERS &&
        what->text_size <= WEIR_REJECTED_TEXT_MAX;
}

size_t
weir_rejected_read(const struct weir_rejected_table *table, struct weir_rejected *out, size_t max)
{
    const struct weir_rejected_slot *slots = &table->slots[0][0][0];
    size_t count = 0;
    for (size_t i = 0; i < WEIR_REJECTED_MAX && count < max; i++) {
        if (!slot_read(&slots[i], &out[count]) || !is_sound(&out[count]))
            continue;
        out[count].detail[WEIR_REJECTED_DETAIL_MAX - 1] = '\0';
        count++;
    }
    qsort(out, count, sizeof *out, newest_first);
    return count;
}

uint64_t
weir_rejected_count(const struct weir_rejected_table *table, uint32_t listener, uint32_t reason)
{
    uint64_t sum = 0;
    for (uint32_t producer = 0; producer < WEIR_REJECTED_PRODUCERS; producer++)
        sum += atomic_load_explicit(&table->counts[producer][listener][reason],
            memory_order_relaxed);
    return sum;
}

const char *
weir_rejected_listener(const struct weir_rejected_table *table, uint32_t listener)
{
    const char *name = table->listeners[listener];
    bool whole = memchr(name, '\0', WEIR_REJECTED_LISTENER_NAME_MAX) != NULL;
    return whole && name[0] != '\0' ? name : "-";
}
