#include "dataplane/protocol/weir/channels/channels.h"

#include "dataplane/protocol/weir/channels/internal.h"
#include "model/metrics.h"

#define WINDOW WEIR_WIRE_WINDOW

static size_t
slots_bytes(uint32_t slots)
{
    return (size_t)slots * sizeof(struct weir_channel);
}

static size_t
sides_bytes(uint32_t slots)
{
    _Static_assert(64 * sizeof(struct weir_channel_side) % WEIR_CACHE_LINE == 0, "whole lines");
    return (size_t)slots * sizeof(struct weir_channel_side);
}

/* A power of two with at least a quarter of the slots free at channels_max. */
static uint32_t
slots_for(uint32_t channels_max)
{
    uint32_t slots = 64;
    while (slots / 4 * 3 < channels_max)
        slots *= 2;
    return slots;
}

size_t
weir_channels_footprint(uint32_t channels_max, uint64_t template_bytes)
{
    uint32_t slots = slots_for(channels_max);
    return WEIR_CHANNELS_HEAD + slots_bytes(slots) + sides_bytes(slots) +
        4 * weir_shares_footprint(channels_max) + weir_blocks_footprint(template_bytes);
}

struct weir_channels *
weir_channels_init(void *memory, uint32_t channels_max, uint64_t template_bytes,
    const struct weir_hash_key *key)
{
    struct weir_channels *channels = memory;
    channels->slots = slots_for(channels_max);
    channels->channels_max = channels_max;
    channels->key = key;
    channels->table = (struct weir_channel *)((uint8_t *)memory + WEIR_CHANNELS_HEAD);
    uint8_t *rest = (uint8_t *)channels->table + slots_bytes(channels->slots);
    size_t shares = weir_shares_footprint(channels_max);
    channels->sides = (struct weir_channel_side *)(void *)rest;
    rest += sides_bytes(channels->slots);
    channels->channel_sources = weir_shares_init(rest, channels_max, channels_max, key);
    channels->channel_senders = weir_shares_init(rest + shares, channels_max, channels_max, key);
    rest += 2 * shares;
    uint64_t units = template_bytes / WEIR_BLOCK_UNIT;
    channels->template_sources = weir_shares_init(rest, units, channels_max, key);
    channels->template_senders = weir_shares_init(rest + shares, units, channels_max, key);
    weir_blocks_init(&channels->blocks, rest + 2 * shares, template_bytes);
    return channels;
}

/* Keyed: nobody can choose ids that meet in one place. */
uint32_t
weir_channel_home(const struct weir_channels *channels, uint64_t sender, uint16_t channel)
{
    const struct {
        uint64_t sender;
        uint64_t channel;
    } name = {sender, channel};
    return (uint32_t)weir_hash_part(channels->key, 0, &name, sizeof name).lo &
        (channels->slots - 1);
}

/* The slot of the channel, or the free one where it would be entered. */
static struct weir_channel *
slot_of(struct weir_channels *channels, uint64_t sender, uint16_t channel)
{
    for (uint32_t at = weir_channel_home(channels, sender, channel);; at++) {
        struct weir_channel *slot = &channels->table[at & (channels->slots - 1)];
        if (slot->epoch == 0 || (slot->sender == sender && slot->channel == channel))
            return slot;
    }
}

struct weir_channel *
weir_channels_find(struct weir_channels *channels, uint64_t sender, uint16_t channel)
{
    struct weir_channel *slot = slot_of(channels, sender, channel);
    return slot->epoch == 0 ? NULL : slot;
}

/* Weir is younger than the sender, or had forgotten it: its numbers begin after `before`, and none
 * is missing. */
static void
begin_at(struct weir_channel *channel, uint64_t before)
{
    channel->highest = before;
    channel->given_up = before;
    memset(channel->seen, 0, sizeof channel->seen);
}

struct weir_channel *
weir_channels_find_or_add(struct weir_channels *channels, uint64_t sender, uint16_t channel,
    uint32_t epoch, uint64_t *gaps)
{
    WEIR_ASSERT(epoch != 0);
    struct weir_forgotten before;
    struct weir_channel *slot = slot_of(channels, sender, channel);
    if (slot->epoch != 0)
        return slot;
    /* before room is made: who goes then may take the place of what is remembered longest */
    bool known = channels->forgotten_count > 0 &&
        weir_channels_remembered(channels, sender, channel, &before);
    if (channels->channel_count == channels->channels_max) {
        if (!weir_channels_make_room(channels, gaps))
            return NULL;
        slot = slot_of(channels, sender, channel);
    }
    if (known)
        weir_channels_known_again(channels, sender, channel);
    bool remembered = known;
    known = known && before.epoch >= epoch;
    channels->channel_count++;
    slot->sender = sender;
    slot->channel = channel;
    slot->last_seen_s = channels->now_s;
    slot->delivered = remembered; /* nobody else is */
    slot->logged = remembered;
    channels->sides[slot - channels->table] = (struct weir_channel_side){.met_s = channels->now_s,
        .source_share = weir_shares_add(channels->channel_sources, NULL, 1),
        .sender_share = weir_shares_add(channels->channel_senders, NULL, 1)};
    weir_channel_restart(channels, slot, known ? before.epoch : epoch);
    if (known)
        begin_at(slot, before.highest);
    return slot;
}

struct weir_channel *
weir_channels_admit(struct weir_channels *channels, const struct weir_wire_header *header,
    const struct weir_owner *source, uint64_t *gaps, uint8_t *reason)
{
    struct weir_owner id = weir_owner_sender(header->sender);
    const struct weir_owner *sender = source != NULL ? &id : NULL;
    if (!weir_shares_allow(channels->channel_sources, source, 1) ||
        !weir_shares_allow(channels->channel_senders, sender, 1)) {
        *reason = WEIR_REASON_over_share;
        return NULL;
    }
    struct weir_channel *channel =
        weir_channels_find_or_add(channels, header->sender, header->channel, header->epoch, gaps);
    if (channel == NULL) {
        *reason = WEIR_REASON_senders_full;
        return NULL;
    }
    struct weir_channel_side *side = &channels->sides[channel - channels->table];
    weir_shares_remove(channels->channel_sources, side->source_share, 1);
    weir_shares_remove(channels->channel_senders, side->sender_share, 1);
    side->source_share = weir_shares_add(channels->channel_sources, source, 1);
    side->sender_share = weir_shares_add(channels->channel_senders, sender, 1);
    return channel;
}

bool
weir_channel_heal(struct weir_channels *channels, struct weir_channel *channel, uint32_t epoch)
{
    if (channel->pending > 0 || !weir_channels_may_forget(channels))
        return false;
    weir_channels_erase(channels, channel->sender, channel->channel, channel->epoch);
    weir_channel_restart(channels, channel, epoch);
    return true;
}

void
weir_channel_restart(struct weir_channels *channels, struct weir_channel *channel, uint32_t epoch)
{
    weir_templates_drop(channels, channel);
    channel->epoch = epoch;
    channel->highest = 0;
    channel->given_up = 0;
    memset(channel->seen, 0xff, sizeof channel->seen); /* nothing below 1 is missing */
}

static bool
seen(const struct weir_channel *channel, uint64_t number)
{
    return channel->seen[number % WINDOW / 64] >> number % 64 & 1;
}

static void
set_seen(struct weir_channel *channel, uint64_t number, bool value)
{
    uint64_t bit = UINT64_C(1) << number % 64;
    uint64_t *word = &channel->seen[number % WINDOW / 64];
    *word = value ? *word | bit : *word & ~bit;
}

/* The number before the first one that may still come. */
static uint64_t
completed_through(const struct weir_channel *channel)
{
    uint64_t left = channel->highest > WINDOW ? channel->highest - WINDOW : 0;
    return left > channel->given_up ? left : channel->given_up;
}

static void
count_gaps(struct weir_channel *channel, uint64_t lost, uint64_t *gaps)
{
    uint64_t room = WEIR_CHANNEL_COUNT_MAX - channel->gaps;
    channel->gaps += lost < room ? lost : room;
    *gaps += lost;
}

/* Moves the window up to `to`; the numbers on the way have not come yet. */
static void
advance(struct weir_channel *channel, uint64_t to, uint64_t *gaps)
{
    uint64_t step = to - channel->highest;
    uint64_t lost = 0;
    if (step > WINDOW) {
        lost = step - WINDOW; /* through the window at once */
        step = WINDOW;
    }
    for (uint64_t i = 0; i < step; i++) {
        channel->highest++;
        /* the number that leaves this place; one that was given up is a gap already */
        lost += !seen(channel, channel->highest) &&
            channel->highest - channel->given_up > WINDOW;
        set_seen(channel, channel->highest, false);
    }
    channel->highest = to;
    count_gaps(channel, lost, gaps);
}

void
weir_channel_give_up(struct weir_channel *channel, uint64_t *gaps)
{
    uint64_t lost = 0;
    for (uint64_t number = completed_through(channel); number < channel->highest; number++)
        lost += !seen(channel, number + 1);
    channel->given_up = channel->highest;
    count_gaps(channel, lost, gaps);
}

/* A number that far away is of a sender that went on from another place, or of nobody: neither a
 * long outage nor a spoofed packet keeps the next number out. */
static bool
is_far(const struct weir_channel *channel, uint64_t number)
{
    uint64_t away = number > channel->highest ? number - channel->highest
                                              : channel->highest - number;
    return away > WEIR_SEQUENCE_FAR;
}

/* The numbers begin after `before`, where they do not go on from the highest one. True where they
 * had begun elsewhere. */
static bool
begin_anew(struct weir_channel *channel, uint64_t number, uint64_t before, uint64_t *gaps)
{
    bool first = channel->highest == 0;
    if (WEIR_LIKELY(first ? number <= WINDOW : !is_far(channel, number)))
        return false;
    if (!first)
        weir_channel_give_up(channel, gaps);
    begin_at(channel, before);
    return !first;
}

enum weir_sequence
weir_channel_meet(struct weir_channel *channel, uint64_t sequence, uint64_t *gaps)
{
    bool jumped = begin_anew(channel, sequence, sequence - 1, gaps);
    if (WEIR_LIKELY(sequence > channel->highest)) {
        advance(channel, sequence, gaps);
        set_seen(channel, sequence, true);
        return WEIR_UNLIKELY(jumped) ? WEIR_SEQUENCE_JUMP : WEIR_SEQUENCE_NEW;
    }
    if (channel->highest - sequence >= WINDOW)
        return WEIR_SEQUENCE_OLD;
    if (seen(channel, sequence)) {
        channel->duplicates += channel->duplicates < UINT32_MAX;
        return WEIR_SEQUENCE_DUPLICATE;
    }
    if (sequence <= channel->given_up)
        return WEIR_SEQUENCE_OLD;
    channel->reorderings += channel->reorderings < UINT32_MAX;
    set_seen(channel, sequence, true);
    return WEIR_SEQUENCE_LATE;
}

bool
weir_channel_heartbeat(struct weir_channel *channel, uint64_t last, bool bye, uint64_t *gaps)
{
    bool jumped = begin_anew(channel, last, last, gaps);
    if (last > channel->highest)
        advance(channel, last, gaps);
    if (bye)
        weir_channel_give_up(channel, gaps);
    return jumped;
}

uint64_t
weir_channel_complete(const struct weir_channel *channel)
{
    uint64_t all = UINT64_MAX;
    for (int i = 0; i < WINDOW / 64; i++)
        all &= channel->seen[i];
    if (WEIR_LIKELY(all == UINT64_MAX))
        return channel->highest;
    uint64_t number = completed_through(channel);
    while (number < channel->highest && seen(channel, number + 1))
        number++;
    return number;
}

void
weir_channels_jumped(struct weir_channels *channels, const struct weir_channel *channel)
{
    channels->sides[channel - channels->table].jumps++;
}

void
weir_channels_seen(struct weir_channels *channels, struct weir_channel *channel)
{
    channel->last_seen_s = channels->now_s;
}

void
weir_channels_dirty(struct weir_channels *channels, struct weir_channel *channel)
{
    uint32_t slot = (uint32_t)(channel - channels->table);
    channel->last_seen_s = channels->now_s;
    if (channel->dirty)
        return;
    WEIR_ASSERT(channels->dirty_count < WEIR_CHANNELS_DIRTY_MAX);
    channel->dirty = true;
    channels->sides[slot].dirty_at = channels->dirty_count;
    channels->dirty[channels->dirty_count++] = slot;
}

/* ---- channels whose templates found no room in a batch, in a list through their sides ---- */

static struct weir_channel_side *
side_at(struct weir_channels *channels, uint32_t place)
{
    return &channels->sides[place - 1];
}

/* The neighbours of a place of the list name another one. */
static void
owing_link(struct weir_channels *channels, const struct weir_channel_side *side, uint32_t next,
    uint32_t previous)
{
    if (side->owing_previous != 0)
        side_at(channels, side->owing_previous)->owing_next = next;
    else
        channels->owing_first = next;
    if (side->owing_next != 0)
        side_at(channels, side->owing_next)->owing_previous = previous;
    else
        channels->owing_last = previous;
}

static void
owing_add(struct weir_channels *channels, uint32_t slot)
{
    struct weir_channel_side *side = &channels->sides[slot];
    if (side->owes)
        return;
    side->owes = true;
    side->owing_next = 0;
    side->owing_previous = channels->owing_last;
    owing_link(channels, side, slot + 1, slot + 1);
    channels->owing_count++;
}

static void
owing_remove(struct weir_channels *channels, uint32_t slot)
{
    struct weir_channel_side *side = &channels->sides[slot];
    if (!side->owes)
        return;
    side->owes = false;
    owing_link(channels, side, side->owing_next, side->owing_previous);
    channels->owing_count--;
}

void
weir_channel_owing_moved(struct weir_channels *channels, uint32_t slot)
{
    if (channels->sides[slot].owes)
        owing_link(channels, &channels->sides[slot], slot + 1, slot + 1);
}

void
weir_channel_clean(struct weir_channels *channels, struct weir_channel *channel)
{
    uint32_t slot = (uint32_t)(channel - channels->table);
    owing_remove(channels, slot);
    if (!channel->dirty)
        return;
    uint32_t at = channels->sides[slot].dirty_at;
    uint32_t last = channels->dirty[--channels->dirty_count];
    channels->dirty[at] = last;
    channels->sides[last].dirty_at = at;
    channel->dirty = false;
}

uint32_t
weir_channels_dirty_count(const struct weir_channels *channels)
{
    return channels->dirty_count;
}

bool
weir_channels_owe_state(const struct weir_channels *channels)
{
    return channels->dirty_count + channels->erased_count + channels->owing_count > 0;
}

static void
write_sequence(const struct weir_channel *channel, struct weir_batch *batch)
{
    struct weir_state_entry entry = {.type = WEIR_STATE_SEQUENCE,
        .channel = channel->channel,
        .bytes = sizeof entry,
        .sender = channel->sender,
        .epoch = channel->epoch,
        .template_hash = channel->delivered ? 0 : WEIR_STATE_UNDELIVERED,
        .sequence = channel->highest};
    if (weir_channel_complete(channel) != channel->highest)
        entry.bytes += WEIR_STATE_WINDOW_BYTES;
    WEIR_ASSERT(batch->state_bytes + entry.bytes <= WEIR_BATCH_STATE_BYTES_MAX);
    memcpy(batch->sender_state + batch->state_bytes, &entry, sizeof entry);
    if (entry.bytes > sizeof entry) {
        struct weir_channel copy = *channel; /* what was given up is missing no more */
        uint64_t first = channel->highest > WINDOW ? channel->highest - WINDOW : 0;
        for (uint64_t number = first; number < channel->given_up; number++)
            set_seen(&copy, number + 1, true);
        memcpy(batch->sender_state + batch->state_bytes + sizeof entry, copy.seen,
            WEIR_STATE_WINDOW_BYTES);
    }
    batch->state_bytes += entry.bytes;
}

/* Templates that are owed, each channel in its turn: who has more of them than there is room for
 * goes to the end. */
static void
write_owed(struct weir_channels *channels, struct weir_batch *batch)
{
    bool room = true;
    for (uint32_t left = channels->owing_count; left > 0 && room; left--) {
        uint32_t slot = channels->owing_first - 1;
        owing_remove(channels, slot);
        room = weir_templates_write_state(channels, &channels->table[slot], batch);
        if (!room)
            owing_add(channels, slot);
    }
}

void
weir_channels_write_state(struct weir_channels *channels, struct weir_batch *batch)
{
    WEIR_ASSERT(batch->state_bytes == 0);
    weir_forgotten_write(channels, batch);
    for (uint32_t i = 0; i < channels->dirty_count; i++) {
        write_sequence(&channels->table[channels->dirty[i]], batch);
        weir_worst_note(channels, &channels->table[channels->dirty[i]]);
    }
    write_owed(channels, batch);
    for (uint32_t i = 0; i < channels->dirty_count; i++) {
        struct weir_channel *channel = &channels->table[channels->dirty[i]];
        channel->logged = true;
        channel->dirty = false;
        if (!weir_templates_write_state(channels, channel, batch))
            owing_add(channels, channels->dirty[i]);
    }
    channels->dirty_count = 0;
}

/* The channel an entry speaks of, in the entry's epoch; NULL where a later one has begun. */
static struct weir_channel *
restore_channel(struct weir_channels *channels, const struct weir_state_entry *entry)
{
    uint64_t gaps; /* nothing makes room before the first tick */
    if (entry->epoch == 0)
        return NULL;
    struct weir_channel *channel =
        weir_channels_find_or_add(channels, entry->sender, entry->channel, entry->epoch, &gaps);
    if (channel == NULL || entry->epoch < channel->epoch)
        return NULL;
    if (entry->epoch > channel->epoch)
        weir_channel_restart(channels, channel, entry->epoch);
    channel->logged = true;
    return channel;
}

void
weir_channels_restore(struct weir_channels *channels, const uint8_t *sender_state, size_t size,
    uint64_t series_count)
{
    const struct weir_state_entry *entry;
    size_t at = 0;
    while (weir_state_next(sender_state, size, &at, &entry) == WEIR_OK) {
        if (entry->type == WEIR_STATE_FORGOTTEN) {
            weir_forgotten_restore(channels, entry);
            continue;
        }
        struct weir_channel *channel = restore_channel(channels, entry);
        if (channel == NULL)
            continue;
        if (entry->type == WEIR_STATE_TEMPLATE) {
            weir_template_restore(channels, channel, entry, series_count);
            continue;
        }
        channel->delivered |= (entry->template_hash & WEIR_STATE_UNDELIVERED) == 0;
        channel->highest = entry->sequence;
        channel->given_up = 0;
        memset(channel->seen, 0xff, sizeof channel->seen);
        if (entry->bytes > sizeof *entry)
            memcpy(channel->seen, entry + 1, sizeof channel->seen);
    }
}
