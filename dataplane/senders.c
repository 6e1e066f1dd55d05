#include "dataplane/senders.h"

#include "dataplane/senders_internal.h"

#define WINDOW WEIR_WIRE_WINDOW

static size_t
slots_bytes(uint32_t slots)
{
    return (size_t)slots * sizeof(struct weir_channel);
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
weir_senders_footprint(uint32_t channels_max, uint64_t template_bytes)
{
    return WEIR_SENDERS_HEAD + slots_bytes(slots_for(channels_max)) +
        2 * weir_shares_footprint(channels_max) + weir_blocks_footprint(template_bytes);
}

struct weir_senders *
weir_senders_init(void *memory, uint32_t channels_max, uint64_t template_bytes,
    const struct weir_hash_key *key)
{
    struct weir_senders *senders = memory;
    senders->slots = slots_for(channels_max);
    senders->channels_max = channels_max;
    senders->key = key;
    senders->channels = (struct weir_channel *)((uint8_t *)memory + WEIR_SENDERS_HEAD);
    uint8_t *rest = (uint8_t *)senders->channels + slots_bytes(senders->slots);
    size_t shares = weir_shares_footprint(channels_max);
    uint64_t units = template_bytes / WEIR_BLOCK_UNIT;
    senders->template_sources = weir_shares_init(rest, units, channels_max, key);
    senders->template_senders = weir_shares_init(rest + shares, units, channels_max, key);
    weir_blocks_init(&senders->blocks, rest + 2 * shares, template_bytes);
    return senders;
}

/* Keyed, so that nobody can choose ids that meet in one place. */
uint32_t
weir_channel_home(const struct weir_senders *senders, uint64_t sender, uint16_t channel)
{
    const struct {
        uint64_t sender;
        uint64_t channel;
    } name = {sender, channel};
    return (uint32_t)weir_hash_part(senders->key, 0, &name, sizeof name).lo & (senders->slots - 1);
}

/* The slot of the channel, or the free one where it would be entered. */
static struct weir_channel *
slot_of(struct weir_senders *senders, uint64_t sender, uint16_t channel)
{
    for (uint32_t at = weir_channel_home(senders, sender, channel);; at++) {
        struct weir_channel *slot = &senders->channels[at & (senders->slots - 1)];
        if (slot->epoch == 0 || (slot->sender == sender && slot->channel == channel))
            return slot;
    }
}

struct weir_channel *
weir_senders_find(struct weir_senders *senders, uint64_t sender, uint16_t channel)
{
    struct weir_channel *slot = slot_of(senders, sender, channel);
    return slot->epoch == 0 ? NULL : slot;
}

/* Weir is younger than the sender, or had forgotten it: its numbers begin behind `before`, and none
 * is missing. */
static void
begin_at(struct weir_channel *channel, uint64_t before)
{
    channel->highest = before;
    channel->given_up = before;
    memset(channel->seen, 0, sizeof channel->seen);
}

struct weir_channel *
weir_senders_take(struct weir_senders *senders, uint64_t sender, uint16_t channel, uint32_t epoch,
    uint64_t *gaps)
{
    WEIR_ASSERT(epoch != 0);
    struct weir_forgotten before;
    struct weir_channel *slot = slot_of(senders, sender, channel);
    if (slot->epoch != 0)
        return slot;
    /* before room is made: who goes then may take the place of what is remembered longest */
    bool known = senders->forgotten_count > 0 &&
        weir_senders_remembered(senders, sender, channel, &before);
    if (senders->channel_count == senders->channels_max) {
        if (!weir_senders_make_room(senders, gaps))
            return NULL;
        slot = slot_of(senders, sender, channel);
    }
    if (known)
        weir_senders_known_again(senders, sender, channel);
    known = known && before.epoch >= epoch;
    senders->channel_count++;
    slot->sender = sender;
    slot->channel = channel;
    slot->last_seen_s = senders->now_s;
    weir_channel_restart(senders, slot, known ? before.epoch : epoch);
    if (known)
        begin_at(slot, before.highest);
    return slot;
}

void
weir_channel_restart(struct weir_senders *senders, struct weir_channel *channel, uint32_t epoch)
{
    weir_templates_drop(senders, channel);
    channel->epoch = epoch;
    channel->highest = 0;
    channel->given_up = 0;
    channel->pending = 0;
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
    channel->gaps += lost;
    *gaps += lost;
}

enum weir_sequence
weir_channel_meet(struct weir_channel *channel, uint64_t sequence, uint64_t *gaps)
{
    if (channel->highest == 0 && sequence > WINDOW)
        begin_at(channel, sequence - 1);
    if (WEIR_LIKELY(sequence > channel->highest)) {
        advance(channel, sequence, gaps);
        set_seen(channel, sequence, true);
        return WEIR_SEQUENCE_NEW;
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

/* The number before the first one that may still come. */
static uint64_t
settled_through(const struct weir_channel *channel)
{
    uint64_t left = channel->highest > WINDOW ? channel->highest - WINDOW : 0;
    return left > channel->given_up ? left : channel->given_up;
}

void
weir_channel_told(struct weir_channel *channel, uint64_t last, bool bye, uint64_t *gaps)
{
    if (channel->highest == 0 && last > WINDOW)
        begin_at(channel, last);
    if (last > channel->highest)
        advance(channel, last, gaps);
    if (!bye)
        return;
    uint64_t lost = 0;
    for (uint64_t number = settled_through(channel); number < channel->highest; number++)
        lost += !seen(channel, number + 1);
    channel->given_up = channel->highest;
    channel->gaps += lost;
    *gaps += lost;
}

uint64_t
weir_channel_complete(const struct weir_channel *channel)
{
    uint64_t all = UINT64_MAX;
    for (int i = 0; i < WINDOW / 64; i++)
        all &= channel->seen[i];
    if (WEIR_LIKELY(all == UINT64_MAX))
        return channel->highest;
    uint64_t number = settled_through(channel);
    while (number < channel->highest && seen(channel, number + 1))
        number++;
    return number;
}

void
weir_senders_dirty(struct weir_senders *senders, struct weir_channel *channel)
{
    channel->last_seen_s = senders->now_s;
    if (channel->dirty)
        return;
    WEIR_ASSERT(senders->dirty_count < WEIR_SENDERS_DIRTY_MAX);
    channel->dirty = true;
    senders->dirty[senders->dirty_count++] = (uint32_t)(channel - senders->channels);
}

uint32_t
weir_senders_dirty_count(const struct weir_senders *senders)
{
    return senders->dirty_count;
}

static void
mark_sequence(const struct weir_channel *channel, struct weir_batch *batch)
{
    struct weir_mark mark = {.type = WEIR_MARK_SEQUENCE,
        .channel = channel->channel,
        .bytes = sizeof mark,
        .sender = channel->sender,
        .epoch = channel->epoch,
        .sequence = channel->highest};
    if (weir_channel_complete(channel) != channel->highest)
        mark.bytes += WEIR_MARK_WINDOW_BYTES;
    WEIR_ASSERT(batch->mark_bytes + mark.bytes <= WEIR_BATCH_MARKS_MAX);
    memcpy(batch->marks + batch->mark_bytes, &mark, sizeof mark);
    if (mark.bytes > sizeof mark) {
        struct weir_channel copy = *channel; /* what was given up is missing no more */
        uint64_t first = channel->highest > WINDOW ? channel->highest - WINDOW : 0;
        for (uint64_t number = first; number < channel->given_up; number++)
            set_seen(&copy, number + 1, true);
        memcpy(batch->marks + batch->mark_bytes + sizeof mark, copy.seen,
            WEIR_MARK_WINDOW_BYTES);
    }
    batch->mark_bytes += mark.bytes;
}

void
weir_senders_mark(struct weir_senders *senders, struct weir_batch *batch)
{
    WEIR_ASSERT(batch->mark_bytes == 0);
    uint32_t left = 0;
    weir_forgotten_mark(senders, batch);
    for (uint32_t i = 0; i < senders->dirty_count; i++) {
        mark_sequence(&senders->channels[senders->dirty[i]], batch);
        weir_worst_note(senders, &senders->channels[senders->dirty[i]]);
    }
    for (uint32_t i = 0; i < senders->dirty_count; i++) {
        struct weir_channel *channel = &senders->channels[senders->dirty[i]];
        channel->dirty = !weir_templates_mark(senders, channel, batch);
        if (channel->dirty)
            senders->dirty[left++] = senders->dirty[i];
    }
    senders->dirty_count = left;
}

/* The channel an entry speaks of, in the entry's epoch; NULL where a later one has begun. */
static struct weir_channel *
restore_channel(struct weir_senders *senders, const struct weir_mark *mark)
{
    uint64_t gaps; /* nothing makes room before the first tick */
    if (mark->epoch == 0)
        return NULL;
    struct weir_channel *channel =
        weir_senders_take(senders, mark->sender, mark->channel, mark->epoch, &gaps);
    if (channel == NULL || mark->epoch < channel->epoch)
        return NULL;
    if (mark->epoch > channel->epoch)
        weir_channel_restart(senders, channel, mark->epoch);
    return channel;
}

void
weir_senders_restore(struct weir_senders *senders, const uint8_t *marks, size_t size,
    uint64_t series_count)
{
    const struct weir_mark *mark;
    size_t at = 0;
    while (weir_mark_next(marks, size, &at, &mark) == WEIR_OK) {
        if (mark->type == WEIR_MARK_FORGOTTEN) {
            weir_forgotten_restore(senders, mark);
            continue;
        }
        struct weir_channel *channel = restore_channel(senders, mark);
        if (channel == NULL)
            continue;
        if (mark->type == WEIR_MARK_TEMPLATE) {
            weir_template_restore(senders, channel, mark, series_count);
            continue;
        }
        channel->highest = mark->sequence;
        channel->given_up = 0;
        memset(channel->seen, 0xff, sizeof channel->seen);
        if (mark->bytes > sizeof *mark)
            memcpy(channel->seen, mark + 1, sizeof channel->seen);
    }
}
