/* Channels that make room: idle ones, when the table is full and a new one comes.
 *
 * Nothing that was counted is lost by it: what is missing of the channel becomes gaps, as at a bye.
 * Its number stays in a ring of the last WEIR_FORGOTTEN_MAX that went; a channel that comes back
 * while it is there goes on after that number, without templates.
 *
 * Channels that never delivered a sample go first, whatever else they say: their number is no one's
 * loss. The log has nothing of those that only sent heartbeats; what it has of others is erased. */
#include "dataplane/protocol/weir/channels/internal.h"

/* Nothing is on its way any more: a bye said so, or a sender's heartbeats have been missing for
 * hundreds of intervals. */
#define IDLE_BYE_S 60
#define IDLE_S 3600
/* A sender's definition and its first samples are less than a whole second apart. */
#define UNDELIVERED_S 2
/* Slots looked at for one packet, and in a second: 65,536 cache misses are a few milliseconds. */
#define LOOKS_PACKET 256
#define LOOKS_SECOND 65536

static bool
undelivered_may_go(const struct weir_channels *channels, const struct weir_channel *channel)
{
    uint32_t met_s = channels->sides[channel - channels->table].met_s;
    return channel->epoch != 0 && !channel->delivered && channel->pending == 0 &&
        (met_s == 0 || channels->now_s - met_s >= UNDELIVERED_S);
}

static bool
idle_may_go(const struct weir_channels *channels, const struct weir_channel *channel)
{
    if (channel->epoch == 0 || channel->dirty || channel->pending > 0 || channels->now_s == 0)
        return false;
    /* those that recovery brought back count from the first tick on */
    uint32_t seen_s = channel->last_seen_s > channels->started_s ? channel->last_seen_s
                                                                : channels->started_s;
    bool bye = channel->highest > 0 && channel->given_up == channel->highest;
    return channels->now_s - seen_s >= (bye ? IDLE_BYE_S : IDLE_S);
}

/* Closes the hole that a slot leaves in the open addressing: moves those after it that belong
 * before it. */
static void
remove_slot(struct weir_channels *channels, uint32_t hole)
{
    uint32_t mask = channels->slots - 1;
    struct weir_channel *table = channels->table;
    for (uint32_t at = (hole + 1) & mask; table[at].epoch != 0; at = (at + 1) & mask) {
        uint32_t home = weir_channel_home(channels, table[at].sender, table[at].channel);
        if (((at - home) & mask) < ((at - hole) & mask))
            continue;
        table[hole] = table[at];
        channels->sides[hole] = channels->sides[at];
        if (table[at].dirty)
            channels->dirty[channels->sides[at].dirty_at] = hole;
        weir_channel_owing_moved(channels, hole);
        for (uint32_t i = 0; table[at].listed && i < channels->worst_count; i++)
            if (channels->worst[i] == at)
                channels->worst[i] = hole;
        hole = at;
    }
    table[hole] = (struct weir_channel){.epoch = 0};
}

static void
remember(struct weir_channels *channels, uint64_t sender, uint16_t channel, uint32_t epoch,
    uint64_t highest)
{
    channels->forgotten[channels->forgotten_count++ % WEIR_FORGOTTEN_MAX] =
        (struct weir_forgotten){sender, highest, epoch, channel};
}

void
weir_channel_leave(struct weir_channels *channels, struct weir_channel *channel)
{
    const struct weir_channel_side *side = &channels->sides[channel - channels->table];
    weir_shares_remove(channels->channel_sources, side->source_share, 1);
    weir_shares_remove(channels->channel_senders, side->sender_share, 1);
    weir_templates_drop(channels, channel);
    weir_worst_drop(channels, channel);
    weir_channel_clean(channels, channel);
    remove_slot(channels, (uint32_t)(channel - channels->table));
    channels->channel_count--;
}

bool
weir_channels_may_forget(const struct weir_channels *channels)
{
    return channels->forgotten_count - channels->forgotten_written + channels->erased_count <
        WEIR_FORGOTTEN_BATCH;
}

void
weir_channels_erase(struct weir_channels *channels, uint64_t sender, uint16_t channel,
    uint32_t epoch)
{
    WEIR_ASSERT(weir_channels_may_forget(channels));
    channels->erased[channels->erased_count++] =
        (struct weir_forgotten){.sender = sender, .epoch = epoch, .channel = channel};
}

/* Its missing numbers become gaps. In recovery (now_s is 0) the log need not know. */
static void
forget(struct weir_channels *channels, struct weir_channel *channel, uint64_t *gaps)
{
    weir_channel_give_up(channel, gaps);
    if (channel->delivered)
        remember(channels, channel->sender, channel->channel, channel->epoch, channel->highest);
    else if (channel->logged && channels->now_s > 0)
        weir_channels_erase(channels, channel->sender, channel->channel, channel->epoch);
    weir_channel_leave(channels, channel);
}

bool
weir_channels_make_room(struct weir_channels *channels, uint64_t *gaps)
{
    struct weir_channel *goes = NULL;
    bool may_forget = weir_channels_may_forget(channels);
    uint32_t looks_max = channels->now_s > 0 ? LOOKS_SECOND : UINT32_MAX; /* recovery has time */
    for (int i = 0; i < LOOKS_PACKET && channels->looks < looks_max; i++, channels->looks++) {
        struct weir_channel *channel = &channels->table[channels->hand++ & (channels->slots - 1)];
        if (undelivered_may_go(channels, channel) && (may_forget || !channel->logged)) {
            goes = channel;
            break;
        }
        if (goes == NULL && may_forget && idle_may_go(channels, channel))
            goes = channel;
    }
    if (goes != NULL)
        forget(channels, goes, gaps);
    return goes != NULL;
}

static struct weir_forgotten *
entry_of(struct weir_channels *channels, uint64_t sender, uint16_t channel)
{
    uint64_t count = channels->forgotten_count < WEIR_FORGOTTEN_MAX ? channels->forgotten_count
                                                                   : WEIR_FORGOTTEN_MAX;
    for (uint64_t i = 0; i < count; i++) {
        struct weir_forgotten *entry = &channels->forgotten[i];
        if (entry->epoch != 0 && entry->sender == sender && entry->channel == channel)
            return entry;
    }
    return NULL;
}

bool
weir_channels_remembered(struct weir_channels *channels, uint64_t sender, uint16_t channel,
    struct weir_forgotten *out)
{
    const struct weir_forgotten *entry = entry_of(channels, sender, channel);
    if (entry != NULL)
        *out = *entry;
    return entry != NULL;
}

void
weir_channels_known_again(struct weir_channels *channels, uint64_t sender, uint16_t channel)
{
    struct weir_forgotten *entry = entry_of(channels, sender, channel);
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
weir_forgotten_write(struct weir_channels *channels, struct weir_batch *batch)
{
    for (; channels->forgotten_written < channels->forgotten_count; channels->forgotten_written++) {
        const struct weir_forgotten *entry =
            &channels->forgotten[channels->forgotten_written % WEIR_FORGOTTEN_MAX];
        if (entry->epoch != 0)
            write_forgotten(entry, 0, batch);
    }
    for (uint32_t i = 0; i < channels->erased_count; i++)
        write_forgotten(&channels->erased[i], WEIR_STATE_ERASED, batch);
    channels->erased_count = 0;
}

/* All entries of the channel so far count no more. */
static void
erased_restore(struct weir_channels *channels, struct weir_channel *channel,
    struct weir_forgotten *before)
{
    if (channel != NULL)
        weir_channel_leave(channels, channel);
    if (before != NULL)
        before->epoch = 0;
}

void
weir_forgotten_restore(struct weir_channels *channels, const struct weir_state_entry *state_entry)
{
    struct weir_channel *channel =
        weir_channels_find(channels, state_entry->sender, state_entry->channel);
    struct weir_forgotten *before = entry_of(channels, state_entry->sender, state_entry->channel);
    if ((state_entry->template_hash & WEIR_STATE_ERASED) != 0) {
        erased_restore(channels, channel, before);
        return;
    }
    if (channel != NULL && channel->epoch > state_entry->epoch)
        return;
    if (before != NULL && state_entry->epoch != 0 && before->epoch > state_entry->epoch)
        return;
    if (channel != NULL)
        weir_channel_leave(channels, channel);
    if (before != NULL && state_entry->epoch != 0)
        before->epoch = 0; /* this one says more */
    remember(channels, state_entry->sender, state_entry->channel, state_entry->epoch,
        state_entry->sequence);
    channels->forgotten_written = channels->forgotten_count;
}
