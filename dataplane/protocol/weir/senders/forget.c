/* Channels that make room: idle ones, when the table is full and a new one comes.
 *
 * Nothing that was counted is lost by it: what is missing of the channel becomes gaps, as at a bye.
 * Its number stays in a ring of the last WEIR_FORGOTTEN_MAX that went; a channel that comes back
 * while it is there goes on behind that number, without templates.
 *
 * Channels that never delivered a sample go first, whatever else they say: their number is no one's
 * loss. The log has nothing of those that only sent heartbeats; what it has of others is erased. */
#include "dataplane/protocol/weir/senders/internal.h"

/* Nothing is on its way any more: a bye said so, or a sender's heartbeats have been missing for
 * hundreds of intervals. */
#define IDLE_BYE_S 60
#define IDLE_S 3600
/* A sender's definition and its first samples lie less apart than a whole second. */
#define UNDELIVERED_S 2
/* Slots looked at for one packet, and in a second: 65,536 cache misses are a few milliseconds. */
#define LOOKS_PACKET 256
#define LOOKS_SECOND 65536

static bool
undelivered_may_go(const struct weir_senders *senders, const struct weir_channel *channel)
{
    uint32_t met_s = senders->sides[channel - senders->channels].met_s;
    return channel->epoch != 0 && !channel->delivered && channel->pending == 0 &&
        (met_s == 0 || senders->now_s - met_s >= UNDELIVERED_S);
}

static bool
idle_may_go(const struct weir_senders *senders, const struct weir_channel *channel)
{
    if (channel->epoch == 0 || channel->dirty || channel->pending > 0 || senders->now_s == 0)
        return false;
    /* those that recovery brought back count from the first tick on */
    uint32_t seen_s = channel->last_seen_s > senders->started_s ? channel->last_seen_s
                                                                : senders->started_s;
    bool bye = channel->highest > 0 && channel->given_up == channel->highest;
    return senders->now_s - seen_s >= (bye ? IDLE_BYE_S : IDLE_S);
}

/* Closes the hole that a slot leaves in the open addressing: moves those behind it that belong
 * before it. */
static void
remove_slot(struct weir_senders *senders, uint32_t hole)
{
    uint32_t mask = senders->slots - 1;
    struct weir_channel *channels = senders->channels;
    for (uint32_t at = (hole + 1) & mask; channels[at].epoch != 0; at = (at + 1) & mask) {
        uint32_t home = weir_channel_home(senders, channels[at].sender, channels[at].channel);
        if (((at - home) & mask) < ((at - hole) & mask))
            continue;
        channels[hole] = channels[at];
        senders->sides[hole] = senders->sides[at];
        if (channels[at].dirty)
            senders->dirty[senders->sides[at].dirty_at] = hole;
        weir_channel_owing_moved(senders, hole);
        for (uint32_t i = 0; channels[at].listed && i < senders->worst_count; i++)
            if (senders->worst[i] == at)
                senders->worst[i] = hole;
        hole = at;
    }
    channels[hole] = (struct weir_channel){.epoch = 0};
}

static void
remember(struct weir_senders *senders, uint64_t sender, uint16_t channel, uint32_t epoch,
    uint64_t highest)
{
    senders->forgotten[senders->forgotten_count++ % WEIR_FORGOTTEN_MAX] =
        (struct weir_forgotten){sender, highest, epoch, channel};
}

void
weir_channel_leave(struct weir_senders *senders, struct weir_channel *channel)
{
    const struct weir_channel_side *side = &senders->sides[channel - senders->channels];
    weir_shares_remove(senders->channel_sources, side->source_share, 1);
    weir_shares_remove(senders->channel_senders, side->sender_share, 1);
    weir_templates_drop(senders, channel);
    weir_worst_drop(senders, channel);
    weir_channel_clean(senders, channel);
    remove_slot(senders, (uint32_t)(channel - senders->channels));
    senders->channel_count--;
}

bool
weir_senders_may_forget(const struct weir_senders *senders)
{
    return senders->forgotten_count - senders->forgotten_written + senders->erased_count <
        WEIR_FORGOTTEN_BATCH;
}

void
weir_senders_erase(struct weir_senders *senders, uint64_t sender, uint16_t channel,
    uint32_t epoch)
{
    WEIR_ASSERT(weir_senders_may_forget(senders));
    senders->erased[senders->erased_count++] =
        (struct weir_forgotten){.sender = sender, .epoch = epoch, .channel = channel};
}

/* Its missing numbers become gaps. In recovery (now_s is 0) the log need not be told. */
static void
forget(struct weir_senders *senders, struct weir_channel *channel, uint64_t *gaps)
{
    weir_channel_give_up(channel, gaps);
    if (channel->delivered)
        remember(senders, channel->sender, channel->channel, channel->epoch, channel->highest);
    else if (channel->logged && senders->now_s > 0)
        weir_senders_erase(senders, channel->sender, channel->channel, channel->epoch);
    weir_channel_leave(senders, channel);
}

bool
weir_senders_make_room(struct weir_senders *senders, uint64_t *gaps)
{
    struct weir_channel *goes = NULL;
    bool may_forget = weir_senders_may_forget(senders);
    uint32_t looks_max = senders->now_s > 0 ? LOOKS_SECOND : UINT32_MAX; /* recovery has time */
    for (int i = 0; i < LOOKS_PACKET && senders->looks < looks_max; i++, senders->looks++) {
        struct weir_channel *channel = &senders->channels[senders->hand++ & (senders->slots - 1)];
        if (undelivered_may_go(senders, channel) && (may_forget || !channel->logged)) {
            goes = channel;
            break;
        }
        if (goes == NULL && may_forget && idle_may_go(senders, channel))
            goes = channel;
    }
    if (goes != NULL)
        forget(senders, goes, gaps);
    return goes != NULL;
}

static struct weir_forgotten *
entry_of(struct weir_senders *senders, uint64_t sender, uint16_t channel)
{
    uint64_t count = senders->forgotten_count < WEIR_FORGOTTEN_MAX ? senders->forgotten_count
                                                                   : WEIR_FORGOTTEN_MAX;
    for (uint64_t i = 0; i < count; i++) {
        struct weir_forgotten *entry = &senders->forgotten[i];
        if (entry->epoch != 0 && entry->sender == sender && entry->channel == channel)
            return entry;
    }
    return NULL;
}

bool
weir_senders_remembered(struct weir_senders *senders, uint64_t sender, uint16_t channel,
    struct weir_forgotten *out)
{
    const struct weir_forgotten *entry = entry_of(senders, sender, channel);
    if (entry != NULL)
        *out = *entry;
    return entry != NULL;
}

void
weir_senders_known_again(struct weir_senders *senders, uint64_t sender, uint16_t channel)
{
    struct weir_forgotten *entry = entry_of(senders, sender, channel);
    if (entry != NULL)
        entry->epoch = 0;
}

static void
write_forgotten(const struct weir_forgotten *entry, uint32_t bits, struct weir_batch *batch)
{
    const struct weir_state_entry state_entry = {.type = WEIR_STATE_FORGOTTEN,
        .channel = entry->channel,
        .bytes = sizeof state_entry,
        .sender = entry->sender,
        .epoch = entry->epoch,
        .template_hash = bits,
        .sequence = entry->highest};
    WEIR_ASSERT(batch->state_bytes + state_entry.bytes <= WEIR_BATCH_STATE_BYTES_MAX);
    memcpy(batch->sender_state + batch->state_bytes, &state_entry, sizeof state_entry);
    batch->state_bytes += state_entry.bytes;
}

void
weir_forgotten_write(struct weir_senders *senders, struct weir_batch *batch)
{
    for (; senders->forgotten_written < senders->forgotten_count; senders->forgotten_written++) {
        const struct weir_forgotten *entry =
            &senders->forgotten[senders->forgotten_written % WEIR_FORGOTTEN_MAX];
        if (entry->epoch != 0)
            write_forgotten(entry, 0, batch);
    }
    for (uint32_t i = 0; i < senders->erased_count; i++)
        write_forgotten(&senders->erased[i], WEIR_STATE_ERASED, batch);
    senders->erased_count = 0;
}

/* All entries of the channel so far count no more. */
static void
erased_restore(struct weir_senders *senders, struct weir_channel *channel,
    struct weir_forgotten *before)
{
    if (channel != NULL)
        weir_channel_leave(senders, channel);
    if (before != NULL)
        before->epoch = 0;
}

void
weir_forgotten_restore(struct weir_senders *senders, const struct weir_state_entry *state_entry)
{
    struct weir_channel *channel =
        weir_senders_find(senders, state_entry->sender, state_entry->channel);
    struct weir_forgotten *before = entry_of(senders, state_entry->sender, state_entry->channel);
    if ((state_entry->template_hash & WEIR_STATE_ERASED) != 0) {
        erased_restore(senders, channel, before);
        return;
    }
    if (channel != NULL && channel->epoch > state_entry->epoch)
        return;
    if (before != NULL && state_entry->epoch != 0 && before->epoch > state_entry->epoch)
        return;
    if (channel != NULL)
        weir_channel_leave(senders, channel);
    if (before != NULL && state_entry->epoch != 0)
        before->epoch = 0; /* this one tells more */
    remember(senders, state_entry->sender, state_entry->channel, state_entry->epoch,
        state_entry->sequence);
    senders->forgotten_written = senders->forgotten_count;
}
