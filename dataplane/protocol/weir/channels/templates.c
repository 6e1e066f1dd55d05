/* Templates of the weir protocol: series numbers by index, in extents, and their state entries.
 *
 *   template, 64 bytes -> | numbers by index, capacity | bits: learnt since the last state entry |
 *          (or its directory of extents)
 *
 * An extent holds neighbouring indexes, in one block. It grows as definitions go on after it,
 * by blocks of twice the size, and becomes one with an extent that it meets. So a template whose
 * series are all defined is one piece, in whatever order they came. One of which a single index is
 * defined needs two units, whatever total it claims. If no block is large enough,
 * extents stay apart, and a group across them is gathered. */
#include "dataplane/protocol/weir/channels/internal.h"
#include "model/metrics.h"

_Static_assert(sizeof(struct weir_template) == WEIR_BLOCK_UNIT, "a template's head is a unit");
_Static_assert(WEIR_WIRE_TEMPLATE_SERIES_MAX < UINT16_MAX, "indexes and their end fit");

/* A request for memory, and for whom it counts. */
struct claim {
    struct weir_channels *channels;
    struct weir_template *template;
    struct weir_owner sender;
    const struct weir_owner *source; /* NULL: nobody */
    bool over_share; /* it was refused because one of the two holds its share */
};

static struct weir_template *
at(const struct weir_channels *channels, uint32_t block)
{
    return weir_block_at(&channels->blocks, block);
}

/* ---- memory ---- */

static uint32_t
units_of(unsigned order)
{
    return UINT32_C(1) << order;
}

/* Numbers that a block of this order has room for; a bit for each follows them. */
static uint32_t
capacity_of(unsigned order)
{
    uint32_t words = units_of(order) * WEIR_BLOCK_UNIT / sizeof(uint64_t);
    return words - (words + 64) / 65;
}

static unsigned
order_for(uint32_t count)
{
    unsigned order = 0;
    while (capacity_of(order) < count)
        order++;
    return order;
}

/* The template's memory counts for whoever made it grow last. */
static void
count_units(const struct claim *claim, uint32_t units)
{
    struct weir_template *template = claim->template;
    const struct weir_channels *channels = claim->channels;
    weir_shares_remove(channels->template_sources, template->source_share, template->units);
    weir_shares_remove(channels->template_senders, template->sender_share, template->units);
    template->units = units;
    template->source_share = weir_shares_add(channels->template_sources, claim->source, units);
    template->sender_share = weir_shares_add(channels->template_senders, &claim->sender, units);
}

static bool
allowed(struct claim *claim, uint32_t units)
{
    bool allow = weir_shares_allow(claim->channels->template_sources, claim->source, units) &&
        weir_shares_allow(claim->channels->template_senders, &claim->sender, units);
    claim->over_share |= !allow;
    return allow;
}

/* A block for the template, or 0 where there is none for it. */
static uint32_t
allocate_block(struct claim *claim, unsigned order)
{
    uint32_t block = allowed(claim, units_of(order))
        ? weir_block_allocate(&claim->channels->blocks, order)
        : 0;
    if (block != 0)
        count_units(claim, claim->template->units + units_of(order));
    return block;
}

static void
give_block(const struct claim *claim, uint32_t block)
{
    uint32_t units = units_of(weir_block_order(&claim->channels->blocks, block));
    weir_block_free(&claim->channels->blocks, block);
    count_units(claim, claim->template->units - units);
}

/* ---- extents ---- */

static struct weir_extent *
extents_of(const struct weir_channels *channels, const struct weir_template *template)
{
    if (WEIR_LIKELY(template->directory == 0))
        return (struct weir_extent *)template->extents;
    return weir_block_at(&channels->blocks, template->directory);
}

static uint32_t
end_of(const struct weir_extent *extent)
{
    return (uint32_t)extent->first + extent->count;
}

static uint64_t *
numbers_of(const struct weir_channels *channels, const struct weir_extent *extent)
{
    return weir_block_at(&channels->blocks, extent->block);
}

static uint64_t *
bits_of(const struct weir_channels *channels, const struct weir_extent *extent)
{
    return numbers_of(channels, extent) +
        capacity_of(weir_block_order(&channels->blocks, extent->block));
}

/* Place of the first extent that ends after index: it holds it, or follows it. */
static uint32_t
place_of(const struct weir_extent *extents, uint32_t count, uint32_t index)
{
    uint32_t low = 0;
    while (low < count) {
        uint32_t middle = low + (count - low) / 2;
        if (end_of(&extents[middle]) > index)
            count = middle;
        else
            low = middle + 1;
    }
    return low;
}

/* The extent that holds the index, or NULL. */
static const struct weir_extent *
extent_of(
    const struct weir_channels *channels, const struct weir_template *template, uint32_t index)
{
    const struct weir_extent *extents = extents_of(channels, template);
    uint32_t place = place_of(extents, template->extent_count, index);
    bool holds = place < template->extent_count && extents[place].first <= index;
    return holds ? &extents[place] : NULL;
}

const uint64_t *
weir_template_numbers(const struct weir_channels *channels, const struct weir_template *template,
    uint32_t first, uint32_t count)
{
    const struct weir_extent *extent = extents_of(channels, template);
    if (WEIR_UNLIKELY(template->extent_count != 1))
        extent = extent_of(channels, template, first);
    if (extent == NULL || first < extent->first || first + count > end_of(extent))
        return NULL;
    return numbers_of(channels, extent) + (first - extent->first);
}

uint64_t
weir_template_number(const struct weir_channels *channels, const struct weir_template *template,
    uint32_t index)
{
    const uint64_t *number = weir_template_numbers(channels, template, index, 1);
    return number == NULL ? WEIR_SERIES_UNKNOWN : *number;
}

/* Room for one extent more in the list of them. */
static bool
list_grow(struct claim *claim)
{
    struct weir_template *template = claim->template;
    const struct weir_channels *channels = claim->channels;
    uint32_t room = WEIR_TEMPLATE_EXTENTS_INLINE;
    unsigned order = 0;
    if (template->directory != 0) {
        order = weir_block_order(&channels->blocks, template->directory);
        room = units_of(order) * WEIR_BLOCK_UNIT / sizeof(struct weir_extent);
        order++;
    }
    if (template->extent_count < room)
        return true;
    uint32_t before = template->directory;
    uint32_t block = allocate_block(claim, order);
    if (block == 0)
        return false;
    memcpy(weir_block_at(&channels->blocks, block), extents_of(channels, template),
        template->extent_count * sizeof(struct weir_extent));
    template->directory = block;
    if (before != 0)
        give_block(claim, before);
    return true;
}

/* Puts an extent in the place of so many others. There is room in the list. */
static void
list_replace(const struct claim *claim, uint32_t place, uint32_t others, struct weir_extent extent)
{
    struct weir_template *template = claim->template;
    struct weir_extent *extents = extents_of(claim->channels, template);
    memmove(&extents[place + 1], &extents[place + others],
        (template->extent_count - place - others) * sizeof *extents);
    extents[place] = extent;
    template->extent_count = (uint16_t)(template->extent_count + 1 - others);
}

/* Makes an extent longer inside its block. */
static void
extend(const struct weir_channels *channels, struct weir_extent *extent, uint32_t end)
{
    uint64_t *numbers = numbers_of(channels, extent);
    for (uint32_t i = extent->count; i < end - extent->first; i++)
        numbers[i] = WEIR_SERIES_UNKNOWN;
    extent->count = (uint16_t)(end - extent->first);
}

/* Copies numbers and bits of an extent into one that covers it. */
static void
copy_extent(const struct weir_channels *channels, const struct weir_extent *from,
    const struct weir_extent *to)
{
    const uint64_t *bits = bits_of(channels, from);
    uint64_t *out = bits_of(channels, to);
    uint32_t shift = (uint32_t)from->first - to->first;
    memcpy(numbers_of(channels, to) + shift, numbers_of(channels, from),
        from->count * sizeof(uint64_t));
    for (uint32_t i = 0; i < from->count; i++)
        out[(shift + i) / 64] |= (bits[i / 64] >> i % 64 & 1) << (shift + i) % 64;
}

/* An extent without numbers in a block of its own; 0 as block where there is none. */
static struct weir_extent
extent_new(struct claim *claim, uint32_t first, uint32_t end)
{
    struct weir_extent extent = {.first = (uint16_t)first};
    unsigned order = order_for(end - first);
    extent.block = allocate_block(claim, order);
    if (extent.block == 0)
        return extent;
    uint32_t words = units_of(order) * WEIR_BLOCK_UNIT / sizeof(uint64_t);
    memset(bits_of(claim->channels, &extent), 0,
        (words - capacity_of(order)) * sizeof(uint64_t));
    extend(claim->channels, &extent, end);
    return extent;
}

/* Puts one extent from first to end in the place of so many, which it covers. */
static bool
merge(struct claim *claim, uint32_t place, uint32_t others, uint32_t first, uint32_t end)
{
    const struct weir_channels *channels = claim->channels;
    if (end - first > capacity_of(WEIR_BLOCK_ORDER_MAX) || (others == 0 && !list_grow(claim)))
        return false;
    struct weir_extent one = extent_new(claim, first, end);
    if (one.block == 0)
        return false;
    const struct weir_extent *extents = extents_of(channels, claim->template) + place;
    for (uint32_t i = 0; i < others; i++) {
        copy_extent(channels, &extents[i], &one);
        give_block(claim, extents[i].block);
    }
    list_replace(claim, place, others, one);
    return true;
}

/* Extents for what no extent holds between first and end, each on its own. */
static bool
fill_holes(struct claim *claim, uint32_t first, uint32_t end)
{
    const struct weir_channels *channels = claim->channels;
    struct weir_template *template = claim->template;
    while (first < end) {
        const struct weir_extent *extents = extents_of(channels, template);
        uint32_t place = place_of(extents, template->extent_count, first);
        uint32_t hole_end = end;
        if (place < template->extent_count && extents[place].first <= first) {
            first = end_of(&extents[place]);
            continue;
        }
        if (place < template->extent_count && extents[place].first < end)
            hole_end = extents[place].first;
        if (hole_end - first > capacity_of(WEIR_BLOCK_ORDER_MAX))
            hole_end = first + capacity_of(WEIR_BLOCK_ORDER_MAX);
        if (!merge(claim, place, 0, first, hole_end))
            return false;
        first = hole_end;
    }
    return true;
}

/* Makes room for the numbers from first to end. */
static bool
cover(struct claim *claim, uint32_t first, uint32_t end)
{
    const struct weir_channels *channels = claim->channels;
    struct weir_template *template = claim->template;
    struct weir_extent *extents = extents_of(channels, template);
    uint32_t count = template->extent_count;
    uint32_t place = place_of(extents, count, first);
    if (first >= end ||
        (place < count && extents[place].first <= first && end <= end_of(&extents[place])))
        return true;
    if (place > 0 && end_of(&extents[place - 1]) == first)
        place--;
    uint32_t stop = place;
    while (stop < count && extents[stop].first <= end)
        stop++;
    uint32_t low = first, high = end;
    if (stop > place) {
        low = extents[place].first < first ? extents[place].first : first;
        high = end_of(&extents[stop - 1]) > end ? end_of(&extents[stop - 1]) : end;
        if (stop - place == 1 && low == extents[place].first && high - low <=
                capacity_of(weir_block_order(&channels->blocks, extents[place].block))) {
            extend(channels, &extents[place], high);
            return true;
        }
    }
    return merge(claim, place, stop - place, low, high) || fill_holes(claim, first, end);
}

/* The number of an index that an extent holds; learnt: the log does not know it yet. An index that
 * none holds was defined in a template that has been replaced, and defined again in part, since. */
static void
set_number(const struct weir_channels *channels, struct weir_template *template, uint32_t index,
    uint64_t number, bool learnt)
{
    const struct weir_extent *extent = extent_of(channels, template, index);
    if (extent == NULL)
        return;
    index -= extent->first;
    uint64_t *place = numbers_of(channels, extent) + index;
    template->unknown -= *place == WEIR_SERIES_UNKNOWN;
    *place = number;
    if (learnt) {
        bits_of(channels, extent)[index / 64] |= UINT64_C(1) << index % 64;
        template->unlogged = true;
    }
}

void
weir_template_enter(struct weir_channels *channels, struct weir_template *template, uint32_t index,
    uint64_t number)
{
    if (weir_template_number(channels, template, index) == WEIR_SERIES_UNKNOWN)
        set_number(channels, template, index, number, true);
}

/* ---- templates of a channel ---- */

static void
free_template(struct weir_channels *channels, uint32_t block)
{
    struct weir_template *template = at(channels, block);
    const struct weir_extent *extents = extents_of(channels, template);
    for (uint32_t i = 0; i < template->extent_count; i++)
        weir_block_free(&channels->blocks, extents[i].block);
    if (template->directory != 0)
        weir_block_free(&channels->blocks, template->directory);
    weir_shares_remove(channels->template_sources, template->source_share, template->units);
    weir_shares_remove(channels->template_senders, template->sender_share, template->units);
    weir_block_free(&channels->blocks, block);
}

void
weir_templates_drop(struct weir_channels *channels, struct weir_channel *channel)
{
    while (channel->templates != 0) {
        uint32_t block = channel->templates;
        channel->templates = at(channels, block)->next;
        free_template(channels, block);
    }
    channel->template_count = 0;
}

uint64_t
weir_templates_used(const struct weir_channels *channels)
{
    return (uint64_t)channels->blocks.used * WEIR_BLOCK_UNIT;
}

void
weir_channel_prefetch(const struct weir_channels *channels, const struct weir_channel *channel)
{
    if (channel->templates != 0)
        __builtin_prefetch(at(channels, channel->templates));
}

struct weir_template *
weir_channel_template(const struct weir_channels *channels, const struct weir_channel *channel,
    uint16_t id)
{
    for (uint32_t block = channel->templates; block != 0; block = at(channels, block)->next)
        if (at(channels, block)->id == id)
            return at(channels, block);
    return NULL;
}

static void
remove_template(struct weir_channels *channels, struct weir_channel *channel, uint16_t id)
{
    uint32_t *link = &channel->templates;
    while (at(channels, *link)->id != id)
        link = &at(channels, *link)->next;
    uint32_t block = *link;
    *link = at(channels, block)->next;
    free_template(channels, block);
    channel->template_count--;
}

/* A template without numbers, or NULL. */
static struct weir_template *
template_new(struct claim *claim, struct weir_channel *channel,
    const struct weir_wire_record *record, uint64_t sequence)
{
    struct weir_channels *channels = claim->channels;
    if (channel->template_count == WEIR_WIRE_TEMPLATES_MAX || !allowed(claim, 1))
        return NULL;
    uint32_t block = weir_block_allocate(&channels->blocks, 0);
    if (block == 0)
        return NULL;
    claim->template = at(channels, block);
    *claim->template = (struct weir_template){.next = channel->templates,
        .id = record->template_id,
        .total = record->total,
        .hash = record->template_hash,
        .unknown = record->total,
        .sequence = sequence};
    count_units(claim, 1);
    channel->templates = block;
    channel->template_count++;
    return claim->template;
}

struct weir_template *
weir_channel_define(struct weir_channels *channels, struct weir_channel *channel,
    const struct weir_wire_record *record, uint64_t sequence, const struct weir_owner *source,
    uint8_t *reason)
{
    struct weir_template *known = weir_channel_template(channels, channel, record->template_id);
    struct claim claim = {.channels = channels,
        .template = known,
        .sender = weir_owner_sender(channel->sender),
        .source = source};
    bool same = known != NULL && known->hash == record->template_hash &&
        known->total == record->total;
    if (known != NULL && !same && sequence < known->sequence)
        return NULL;
    if (known != NULL && !same)
        remove_template(channels, channel, record->template_id);
    bool begun = same || template_new(&claim, channel, record, sequence) != NULL;
    if (begun && cover(&claim, record->first, (uint32_t)record->first + record->count))
        return claim.template;
    if (begun && !same)
        remove_template(channels, channel, record->template_id);
    *reason = claim.over_share ? WEIR_REASON_over_share : WEIR_REASON_templates_full;
    return NULL;
}

/* ---- state entries ---- */

/* Runs of numbers, as many as `room` bytes hold. Returns how many numbers they are. */
static uint32_t
put_ranges(const uint64_t *numbers, uint32_t count, uint8_t *out, size_t room, size_t *used)
{
    uint32_t done = 0;
    *used = 0;
    while (done < count && room - *used >= sizeof(struct weir_state_range)) {
        uint32_t length = 1;
        while (done + length < count && numbers[done + length] == numbers[done] + length)
            length++;
        struct weir_state_range run = {.number = numbers[done], .count = length};
        memcpy(out + *used, &run, sizeof run);
        *used += sizeof run;
        done += length;
    }
    return done;
}

/* An entry for neighbouring numbers, from the template's index `first` on. Returns how many
 * of them found room in it; 0 where the batch has none for an entry. */
static uint32_t
write_numbers(const struct weir_channel *channel, const struct weir_template *template,
    uint32_t first, const uint64_t *numbers, uint32_t count, struct weir_batch *batch)
{
    const size_t head = sizeof(struct weir_state_entry) + sizeof(struct weir_state_template);
    size_t room = WEIR_BATCH_STATE_BYTES_MAX - batch->state_bytes, ranges;
    if (room < head + sizeof(struct weir_state_range))
        return 0;
    if (room > WEIR_STATE_TEMPLATE_BYTES_MAX)
        room = WEIR_STATE_TEMPLATE_BYTES_MAX;
    uint8_t *out = batch->sender_state + batch->state_bytes;
    count = put_ranges(numbers, count, out + head, room - head, &ranges);
    struct weir_state_entry entry = {.type = WEIR_STATE_TEMPLATE,
        .channel = channel->channel,
        .bytes = (uint32_t)(head + ranges),
        .sender = channel->sender,
        .epoch = channel->epoch,
        .template_hash = template->hash,
        .sequence = template->sequence};
    struct weir_state_template body = {template->id, template->total, (uint16_t)first,
        (uint16_t)count};
    memcpy(out, &entry, sizeof entry);
    memcpy(out + sizeof entry, &body, sizeof body);
    batch->state_bytes += entry.bytes;
    for (uint32_t i = 0; i < count; i++)
        if (numbers[i] + 1 > batch->series_through)
            batch->series_through = numbers[i] + 1;
    return count;
}

/* Indexes from *at on whose bits are set; moves *at to the first of them. 0 where there is none. */
static uint32_t
next_stretch(const uint64_t *bits, uint32_t count, uint32_t *at)
{
    while (*at < count && (bits[*at / 64] >> *at % 64 & 1) == 0)
        *at += bits[*at / 64] >> *at % 64 == 0 ? 64 - *at % 64 : 1;
    uint32_t end = *at;
    while (end < count && (bits[end / 64] >> end % 64 & 1) != 0)
        end++;
    return end > *at ? end - *at : 0;
}

/* Entries for each part of an extent that was learnt. False where the batch has no room for
 * all. */
static bool
write_extent(const struct weir_channels *channels, const struct weir_channel *channel,
    const struct weir_template *template, const struct weir_extent *extent,
    struct weir_batch *batch)
{
    const uint64_t *numbers = numbers_of(channels, extent);
    uint64_t *bits = bits_of(channels, extent);
    uint32_t at = 0, count;
    while ((count = next_stretch(bits, extent->count, &at)) > 0) {
        uint32_t done =
            write_numbers(channel, template, extent->first + at, numbers + at, count, batch);
        for (uint32_t end = at + done; at < end; at++)
            bits[at / 64] &= ~(UINT64_C(1) << at % 64);
        if (done == 0)
            return false;
    }
    return true;
}

bool
weir_templates_write_state(struct weir_channels *channels, struct weir_channel *channel,
    struct weir_batch *batch)
{
    bool all = true;
    for (uint32_t block = channel->templates; block != 0; block = at(channels, block)->next) {
        struct weir_template *template = at(channels, block);
        const struct weir_extent *extents = extents_of(channels, template);
        bool whole = true;
        for (uint32_t i = 0; template->unlogged && whole && i < template->extent_count; i++)
            whole = write_extent(channels, channel, template, &extents[i], batch);
        template->unlogged = template->unlogged && !whole;
        all &= whole;
    }
    return all;
}

void
weir_template_restore(struct weir_channels *channels, struct weir_channel *channel,
    const struct weir_state_entry *entry, uint64_t series_count)
{
    const struct weir_state_template *body = (const struct weir_state_template *)(entry + 1);
    const struct weir_state_range *run = (const struct weir_state_range *)(body + 1);
    const struct weir_state_range *end =
        (const struct weir_state_range *)((const uint8_t *)entry + entry->bytes);
    if (body->total == 0 || body->total > WEIR_WIRE_TEMPLATE_SERIES_MAX ||
        (uint32_t)body->first + body->count > body->total)
        return;
    struct weir_wire_record record = {.template_id = body->id,
        .template_hash = entry->template_hash,
        .first = body->first,
        .count = body->count,
        .total = body->total};
    uint8_t reason = WEIR_REASON_COUNT;
    struct weir_template *template =
        weir_channel_define(channels, channel, &record, entry->sequence, NULL, &reason);
    if (template == NULL)
        return;
    uint32_t index = body->first;
    uint32_t stop = (uint32_t)body->first + body->count;
    for (; run != end; run++)
        for (uint64_t i = 0; i < run->count && index < stop; i++, index++)
            if (run->number + i < series_count)
                set_number(channels, template, index, run->number + i, false);
}
