/* The weir protocol; docs/format/wire.md is the rule book. */
#include "dataplane/protocol/weir/parse.h"

#include "base/crc.h"
#include "dataplane/protocol/common/time.h"
#include "dataplane/protocol/weir/definition.h"
#include "dataplane/protocol/weir/group_append.h"
#include "dataplane/protocol/weir/record.h"
#include "dataplane/protocol/weir/weir.h"

#include <limits.h>

#define CRC_FIRST_PART offsetof(struct weir_wire_header, crc)

/* Of a group: 13 lines are those of 100 series, more would push each other out. */
#define PREFETCH_NUMBERS 128

struct parsing {
    const struct weir_parse_context *context;
    struct weir_packet *packet;
    struct weir_parsed *out;
    const uint8_t *data; /* of the wire packet */
    struct weir_wire_header header;
    struct weir_channel *known; /* of the header; NULL where it is none yet */
    /* Series numbers of the next group, where they were looked up ahead of it; NULL: they were not,
     * or not all are there. */
    const uint64_t *fetched;
    bool has_definitions;
    bool has_groups;
    bool has_heartbeat;
};

static inline int64_t
load64(const uint8_t *at)
{
    int64_t value;
    memcpy(&value, at, sizeof value);
    return value;
}

static size_t
align_up(size_t bytes)
{
    return (bytes + WEIR_WIRE_ALIGN - 1) & ~(size_t)(WEIR_WIRE_ALIGN - 1);
}

static bool
is_group(const struct weir_wire_record *record)
{
    return record->type == WEIR_WIRE_GROUP || record->type == WEIR_WIRE_GROUP_OFFSETS;
}

static uint32_t
samples_of(const struct weir_wire_record *record)
{
    return is_group(record) ? record->count : 0;
}

/* The checks of the header alone. */
static bool
header_valid(const struct weir_wire_header *header)
{
    return header->magic == WEIR_WIRE_MAGIC && header->version == WEIR_WIRE_VERSION &&
        (header->flags & ~WEIR_WIRE_UNNUMBERED) == 0 && header->length >= sizeof *header &&
        header->length <= WEIR_WIRE_PACKET_MAX && header->record_count >= 1 &&
        header->record_count <= WEIR_WIRE_RECORDS_MAX && header->epoch != 0 &&
        header->key_id == 0 && (header->sequence != 0 || header->flags != 0);
}

size_t
weir_wire_packet_bytes(const uint8_t *data, size_t size)
{
    struct weir_wire_header header;
    if (size < sizeof header)
        return 0;
    memcpy(&header, data, sizeof header);
    return header_valid(&header) ? header.length : 0;
}

static bool
checksum_right(const uint8_t *data, const struct weir_wire_header *header)
{
    uint32_t crc = weir_crc32c(0, data, CRC_FIRST_PART);
    return weir_crc32c(crc, data + sizeof *header, header->length - sizeof *header) ==
        header->crc;
}

/* A list of labels that ends where it says. */
static bool
labels_whole(const uint8_t *list, size_t size)
{
    size_t at = 0;
    while (size - at >= 2 * sizeof(uint16_t)) {
        uint16_t sizes[2];
        memcpy(sizes, list + at, sizeof sizes);
        size_t bytes = sizeof sizes + sizes[0] + sizes[1];
        if (bytes > size - at)
            return false;
        at += bytes;
    }
    return at == size;
}

static bool
definition_valid(const uint8_t *data, const struct weir_wire_record *record)
{
    if (record->count == 0 || record->total > WEIR_WIRE_TEMPLATE_SERIES_MAX ||
        (uint32_t)record->first + record->count > record->total)
        return false;
    size_t at = sizeof *record;
    for (uint32_t i = 0; i <= record->count; i++) {
        const uint8_t *list;
        size_t size;
        if (!weir_wire_next_list(data, record->length, &at, &list, &size) ||
            !labels_whole(list, size))
            return false;
    }
    return at == record->length;
}

static bool
record_valid(struct parsing *parsing, const uint8_t *data, const struct weir_wire_record *record)
{
    switch (record->type) {
    case WEIR_WIRE_GROUP:
        parsing->has_groups = true;
        return record->count > 0 && record->flags == 0 &&
            record->length == WEIR_WIRE_GROUP_HEAD + record->count * 8u;
    case WEIR_WIRE_GROUP_OFFSETS:
        parsing->has_groups = true;
        return record->count > 0 && record->flags == 0 &&
            record->length == WEIR_WIRE_GROUP_HEAD + record->count * 12u;
    case WEIR_WIRE_DEFINITION:
        parsing->has_definitions = true;
        return record->flags == 0 && parsing->header.flags == WEIR_WIRE_UNNUMBERED &&
            definition_valid(data, record);
    case WEIR_WIRE_HEARTBEAT:
        parsing->has_heartbeat = true;
        return (record->flags & ~WEIR_WIRE_BYE) == 0 &&
            record->length == WEIR_WIRE_HEARTBEAT_BYTES &&
            parsing->header.flags == WEIR_WIRE_UNNUMBERED;
    default:
        return false;
    }
}

/* All records are inside the packet, are whole, and are of one kind. Groups have a number, and they
 * alone: an acknowledgement speaks of samples, which are in the frame that records their number.
 * The registrar logs the series of a definition, later. */
static bool
layout_valid(struct parsing *parsing)
{
    size_t at = sizeof parsing->header;
    size_t length = parsing->header.length;
    for (uint32_t i = 0; i < parsing->header.record_count; i++) {
        at = align_up(at);
        if (at > length || length - at < sizeof(struct weir_wire_record))
            return false;
        struct weir_wire_record record = weir_wire_load_record(parsing->data + at);
        if (record.length < sizeof record || record.length > length - at ||
            !record_valid(parsing, parsing->data + at, &record))
            return false;
        at += record.length;
    }
    return at == length &&
        parsing->has_groups + parsing->has_definitions + parsing->has_heartbeat == 1 &&
        !(parsing->has_groups && parsing->header.flags == WEIR_WIRE_UNNUMBERED);
}

static void
add_record(
    struct parsing *parsing, const uint8_t *text, uint32_t size, uint32_t samples, uint8_t reason)
{
    struct weir_parsed *out = parsing->out;
    if (reason != WEIR_REASON_NONE)
        weir_parsed_reject(out, reason, samples);
    out->records[out->record_count++] = (struct weir_record){.text = text,
        .size = size,
        .point_count = samples,
        .reason = reason};
}

/* Each record of the packet, by one reason. */
static void
refuse_all(struct parsing *parsing, uint8_t reason)
{
    size_t at = sizeof parsing->header;
    for (uint32_t i = 0; i < parsing->header.record_count; i++) {
        at = align_up(at);
        struct weir_wire_record record = weir_wire_load_record(parsing->data + at);
        parsing->out->items[parsing->out->record_count].channel = NULL;
        parsing->out->items[parsing->out->record_count].sender = parsing->header.sender;
        add_record(parsing, parsing->data + at, record.length, samples_of(&record), reason);
        at += record.length;
    }
}

/* The group's time, and the rule for the times of all its samples. */
static uint8_t
group_time(const struct parsing *parsing, struct weir_wire_item *group, int64_t offset)
{
    int64_t time_ms, first, last;
    if (__builtin_add_overflow(parsing->header.base_time_ms, offset, &time_ms))
        return offset < 0 ? WEIR_REASON_time_past : WEIR_REASON_time_future;
    group->time_ms = first = last = time_ms;
    bool beyond = false;
    if (group->offsets != NULL) {
        int32_t least, most;
        weir_offsets_extent(group->offsets, group->count, &least, &most);
        if (__builtin_add_overflow(time_ms, least, &first))
            return least < 0 ? WEIR_REASON_time_past : WEIR_REASON_time_future;
        beyond = __builtin_add_overflow(time_ms, most, &last);
    }
    uint8_t reason = weir_time_reason(parsing->context, first);
    if (reason != WEIR_REASON_NONE)
        return reason;
    return beyond ? WEIR_REASON_time_future : weir_time_reason(parsing->context, last);
}

/* Copies numbers that are not neighbours to the scratch of definitions, which a packet of groups
 * has none of. */
static const uint64_t *
gather(const struct parsing *parsing, const struct weir_template *template, uint32_t first,
    uint32_t count)
{
    struct weir_definitions *scratch = parsing->context->definitions;
    uint64_t *numbers = (uint64_t *)(void *)(scratch->list + scratch->used);
    for (uint32_t i = 0; i < count; i++)
        numbers[i] = weir_template_number(parsing->context->channels, template, first + i);
    scratch->used += count * (uint32_t)sizeof *numbers;
    return numbers;
}
_Static_assert(WEIR_WIRE_PACKET_MAX < WEIR_DEFINITION_LIST_BYTES,
    "a number takes no more than its value");

/* The group's template, or NULL where it is not known with this content. */
static const struct weir_template *
template_of(const struct parsing *parsing, const struct weir_channel *channel,
    const struct weir_wire_record *record)
{
    const struct weir_template *template =
        weir_channel_template(parsing->context->channels, channel, record->template_id);
    bool same = template != NULL && template->hash == record->template_hash &&
        (uint32_t)record->first + record->count <= template->total;
    return same ? template : NULL;
}

/* The numbers of a group's series, or NULL where one is not known. */
static const uint64_t *
numbers_of(const struct parsing *parsing, const struct weir_channel *channel,
    const struct weir_wire_record *record)
{
    const struct weir_template *template = template_of(parsing, channel, record);
    if (template == NULL)
        return NULL;
    const uint64_t *numbers =
        weir_template_numbers(parsing->context->channels, template, record->first, record->count);
    if (WEIR_UNLIKELY(numbers == NULL))
        numbers = gather(parsing, template, record->first, record->count);
    if (WEIR_LIKELY(template->unknown == 0))
        return numbers;
    bool known = true;
    for (uint32_t i = 0; i < record->count; i++)
        known &= numbers[i] != WEIR_SERIES_UNKNOWN;
    return known ? numbers : NULL;
}

static void
apply_group(struct parsing *parsing, struct weir_channel *channel, const uint8_t *data,
    const struct weir_wire_record *record)
{
    struct weir_wire_item *group = &parsing->out->items[parsing->out->record_count];
    const uint64_t *numbers = parsing->fetched;
    parsing->fetched = NULL;
    if (numbers == NULL)
        numbers = numbers_of(parsing, channel, record);
    uint8_t reason = WEIR_REASON_no_template;
    if (numbers != NULL) {
        *group = (struct weir_wire_item){.kind = WEIR_WIRE_ITEM_GROUP,
            .numbers = numbers,
            .values = data + WEIR_WIRE_GROUP_HEAD,
            .count = record->count};
        if (record->type == WEIR_WIRE_GROUP_OFFSETS)
            group->offsets = group->values + record->count * sizeof(double);
        reason = group_time(parsing, group, load64(data + sizeof *record));
        channel->delivered |= reason == WEIR_REASON_NONE;
    }
    add_record(parsing, data, record->length, record->count, reason);
}

static void
apply_definition(struct parsing *parsing, struct weir_channel *channel, const uint8_t *data,
    const struct weir_wire_record *record)
{
    struct weir_wire_item *definition = &parsing->out->items[parsing->out->record_count];
    uint8_t reason = WEIR_REASON_NONE;
    *definition = (struct weir_wire_item){.count = record->count,
        .channel = channel,
        .sequence = parsing->header.sequence};
    const struct weir_peer *peer = &parsing->packet->peer;
    bool counted = weir_peer_exists(peer) && !weir_prefixes_hold(&parsing->context->trusted, peer);
    struct weir_owner source = weir_owner_source(peer);
    weir_definition_apply(parsing->context, channel, data, counted ? &source : NULL, definition,
        &reason);
    add_record(parsing, data, record->length, 0, reason);
}

static void
apply_records(struct parsing *parsing, struct weir_channel *channel)
{
    size_t at = sizeof parsing->header;
    for (uint32_t i = 0; i < parsing->header.record_count; i++) {
        at = align_up(at);
        const uint8_t *data = parsing->data + at;
        struct weir_wire_record record = weir_wire_load_record(data);
        if (is_group(&record)) {
            apply_group(parsing, channel, data, &record);
        } else if (record.type == WEIR_WIRE_DEFINITION) {
            apply_definition(parsing, channel, data, &record);
        } else {
            uint64_t last = (uint64_t)load64(data + sizeof record);
            if (weir_channel_heartbeat(channel, last, record.flags == WEIR_WIRE_BYE,
                    &parsing->out->sequence_gaps)) {
                weir_channels_jumped(parsing->context->channels, channel);
                parsing->out->sequence_jumps++;
            }
            parsing->out->items[parsing->out->record_count] =
                (struct weir_wire_item){.kind = WEIR_WIRE_ITEM_EMPTY};
            add_record(parsing, data, record.length, 0, WEIR_REASON_NONE);
        }
        at += record.length;
    }
}

/* Notes the packet's sequence number in its channel. Returns WEIR_REASON_NONE if its records are to
 * be accepted, else why not. */
static uint8_t
number_packet(struct parsing *parsing, struct weir_channel *channel)
{
    struct weir_parsed *out = parsing->out;
    if (parsing->header.flags == WEIR_WIRE_UNNUMBERED)
        return WEIR_REASON_NONE;
    switch (weir_channel_meet(channel, parsing->header.sequence, &out->sequence_gaps)) {
    case WEIR_SEQUENCE_NEW:
        return WEIR_REASON_NONE;
    case WEIR_SEQUENCE_JUMP:
        weir_channels_jumped(parsing->context->channels, channel);
        out->sequence_jumps++;
        return WEIR_REASON_NONE;
    case WEIR_SEQUENCE_LATE:
        out->sequence_reorderings++;
        return WEIR_REASON_NONE;
    case WEIR_SEQUENCE_DUPLICATE:
        out->sequence_duplicates++;
        return WEIR_REASON_duplicate;
    case WEIR_SEQUENCE_OLD:
        break;
    }
    return WEIR_REASON_number_passed;
}

/* An epoch is a time, for most senders that of their start: it may be ahead of the clock as far as
 * a sample may. */
static bool
epoch_ahead(const struct parsing *parsing, uint32_t epoch)
{
    return (int64_t)epoch * 1000 > parsing->context->time_max_ms;
}

/* A channel for a packet of one that is not known; NULL with *reason where it gets no place. */
static struct weir_channel *
admit(struct parsing *parsing, uint8_t *reason)
{
    const struct weir_parse_context *context = parsing->context;
    const struct weir_peer *peer = &parsing->packet->peer;
    bool counted = weir_peer_exists(peer) && !weir_prefixes_hold(&context->trusted, peer);
    struct weir_owner source = weir_owner_source(peer);
    return weir_channels_admit(context->channels, &parsing->header, counted ? &source : NULL,
        &parsing->out->sequence_gaps, reason);
}

/* The packet's channel, in the packet's epoch; NULL with *reason where it is refused. */
static struct weir_channel *
enter_channel(struct parsing *parsing, struct weir_channel *channel, uint8_t *reason)
{
    const struct weir_parse_context *context = parsing->context;
    const struct weir_wire_header *header = &parsing->header;
    if (WEIR_UNLIKELY(epoch_ahead(parsing, header->epoch))) {
        *reason = WEIR_REASON_epoch_ahead;
        parsing->packet->refused_status = WEIR_WIRE_EPOCH_AHEAD;
        parsing->packet->refused_epoch = header->epoch;
        parsing->packet->refused_channel = header->channel;
        return NULL;
    }
    if (WEIR_UNLIKELY(channel == NULL))
        channel = admit(parsing, reason);
    if (WEIR_UNLIKELY(channel == NULL))
        return NULL;
    /* one of a clock that was wrong, or that an earlier program took, counts no more */
    if (header->epoch < channel->epoch &&
        !(epoch_ahead(parsing, channel->epoch) &&
            weir_channel_heal(context->channels, channel, header->epoch))) {
        *reason = WEIR_REASON_old_epoch;
        parsing->packet->refused_status = WEIR_WIRE_OLD_EPOCH;
        parsing->packet->refused_epoch = channel->epoch;
        parsing->packet->refused_channel = header->channel;
        return NULL;
    }
    if (header->epoch > channel->epoch)
        weir_channel_restart(context->channels, channel, header->epoch);
    return channel;
}

/* A channel that sends nothing but heartbeats leaves no trace in the log. */
static bool
is_worth_an_entry(const struct parsing *parsing, const struct weir_channel *channel)
{
    return channel->delivered || channel->template_count > 0 || parsing->has_groups;
}

/* Looks up the numbers of the first group's series, which are apart from their template, and
 * fetches them while the packet is entered by its number. */
static void
fetch_numbers(struct parsing *parsing, const struct weir_channel *channel)
{
    struct weir_wire_record record = weir_wire_load_record(parsing->data + sizeof parsing->header);
    const struct weir_template *template = template_of(parsing, channel, &record);
    if (template == NULL)
        return;
    const uint64_t *numbers =
        weir_template_numbers(parsing->context->channels, template, record.first, record.count);
    if (numbers == NULL)
        return;
    const uint64_t *end =
        numbers + (record.count < PREFETCH_NUMBERS ? record.count : PREFETCH_NUMBERS);
    for (const uint64_t *at = numbers; at < end; at += WEIR_CACHE_LINE / sizeof *at)
        __builtin_prefetch(at);
    if (WEIR_LIKELY(template->unknown == 0))
        parsing->fetched = numbers;
}

/* False where the packet has to wait for the registrar; nothing has changed then. */
static bool
apply_packet(struct parsing *parsing)
{
    const struct weir_parse_context *context = parsing->context;
    const struct weir_wire_header *header = &parsing->header;
    struct weir_channel *channel = parsing->known;
    /* what the channel has of another epoch does not concern this packet */
    if (channel != NULL && parsing->has_groups && header->epoch == channel->epoch) {
        if (channel->pending > 0 && context->refusal == WEIR_REASON_NONE) {
            parsing->out->waits = true;
            return false;
        }
        fetch_numbers(parsing, channel);
    }
    uint8_t reason = context->refusal;
    if (reason == WEIR_REASON_NONE)
        channel = enter_channel(parsing, channel, &reason);
    if (reason != WEIR_REASON_NONE) {
        refuse_all(parsing, reason);
        return true;
    }
    reason = number_packet(parsing, channel);
    if (reason != WEIR_REASON_NONE)
        refuse_all(parsing, reason);
    else
        apply_records(parsing, channel);
    if (WEIR_LIKELY(is_worth_an_entry(parsing, channel)))
        weir_channels_dirty(context->channels, channel);
    else
        weir_channels_seen(context->channels, channel);
    parsing->packet->ack_epoch = channel->epoch;
    parsing->packet->ack_channel = channel->channel;
    parsing->packet->ack_sequence = weir_channel_complete(channel);
    return true;
}

/* Refuses the rest of a packet that cannot be followed: nothing after it can be read. */
static size_t
refuse_rest(struct parsing *parsing, size_t at)
{
    /* without channels: a queue of a device that is another worker's than the weir listeners */
    bool here = parsing->context->channels != NULL;
    parsing->packet->broken = true;
    add_record(parsing, parsing->packet->data + at, (uint32_t)(parsing->packet->size - at), 0,
        here ? WEIR_REASON_bad_packet : WEIR_REASON_no_listener);
    return parsing->packet->size;
}

size_t
weir_wire_parse(const struct weir_parse_context *context, struct weir_packet *packet, size_t at,
    struct weir_parsed *out)
{
    struct parsing parsing = {
        .context = context, .packet = packet, .out = out, .data = packet->data + at};
    size_t left = packet->size - at;
    if (left == 0)
        return at;
    if (context->channels == NULL)
        return refuse_rest(&parsing, at);
    context->definitions->used = 0;
    if (left < sizeof parsing.header)
        return packet->final ? refuse_rest(&parsing, at) : at;
    memcpy(&parsing.header, parsing.data, sizeof parsing.header);
    if (!header_valid(&parsing.header))
        return refuse_rest(&parsing, at);
    if (parsing.header.length > left)
        return packet->final ? refuse_rest(&parsing, at) : at;
    parsing.known =
        weir_channels_find(context->channels, parsing.header.sender, parsing.header.channel);
    if (parsing.known != NULL)
        weir_channel_prefetch(context->channels, parsing.known);
    if (!checksum_right(parsing.data, &parsing.header) || !layout_valid(&parsing))
        return refuse_rest(&parsing, at);
    return apply_packet(&parsing) ? at + parsing.header.length : at;
}
