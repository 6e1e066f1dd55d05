/* wire_fixture: packets of the weir protocol, as docs/format/wire.md has them. */
#ifndef WEIR_TESTS_UNIT_DATAPLANE_WORKER_WIRE_FIXTURE_H
#define WEIR_TESTS_UNIT_DATAPLANE_WORKER_WIRE_FIXTURE_H

#include "base/crc.h"
#include "client/wire.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#include <stddef.h>
#include <stdio.h>
#include <string.h>

struct wire_packet {
    uint64_t sender;
    uint32_t epoch;
    uint16_t channel;
    uint64_t sequence;
    int64_t base_ms;
    uint16_t template_id;
    uint32_t hash;
    uint16_t first, count, total;
};

/* Writes the header in front of `size` bytes of records. Returns the packet's size. */
static inline size_t
wire_finish(uint8_t *out, const struct wire_packet *packet, size_t size, uint8_t flags)
{
    struct weir_wire_header header = {.magic = WEIR_WIRE_MAGIC,
        .version = WEIR_WIRE_VERSION,
        .flags = flags,
        .record_count = 1,
        .length = (uint32_t)(sizeof header + size),
        .epoch = packet->epoch,
        .sender = packet->sender,
        .sequence = packet->sequence,
        .base_time_ms = packet->base_ms,
        .channel = packet->channel};
    memcpy(out, &header, sizeof header);
    header.crc = weir_crc32c(weir_crc32c(0, out, offsetof(struct weir_wire_header, crc)),
        out + sizeof header, size);
    memcpy(out, &header, sizeof header);
    return header.length;
}

static inline size_t
wire_put_label(uint8_t *out, const char *name, const char *value)
{
    const uint16_t sizes[2] = {(uint16_t)strlen(name), (uint16_t)strlen(value)};
    memcpy(out, sizes, sizeof sizes);
    memcpy(out + sizeof sizes, name, sizes[0]);
    memcpy(out + sizeof sizes + sizes[0], value, sizes[1]);
    return sizeof sizes + sizes[0] + sizes[1];
}

static inline void
wire_record(uint8_t *out, const struct wire_packet *packet, enum weir_wire_type type, size_t size)
{
    const struct weir_wire_record record = {.type = (uint8_t)type,
        .length = (uint16_t)size,
        .template_id = packet->template_id,
        .first = packet->first,
        .template_hash = packet->hash,
        .count = packet->count,
        .total = packet->total};
    assert_true(size <= UINT16_MAX);
    memcpy(out, &record, sizeof record);
}

/* Series `name` with label i = index and, where it is not NULL, the label common. */
static inline size_t
wire_definition(uint8_t *out, const struct wire_packet *packet, const char *name,
    const char *common)
{
    uint8_t *record = out + sizeof(struct weir_wire_header);
    size_t at = sizeof(struct weir_wire_record) + sizeof(uint16_t);
    at += wire_put_label(record + at, "__name__", name);
    if (common != NULL)
        at += wire_put_label(record + at, "common", common);
    uint16_t bytes = (uint16_t)(at - sizeof(struct weir_wire_record) - sizeof bytes);
    memcpy(record + sizeof(struct weir_wire_record), &bytes, sizeof bytes);
    for (uint32_t i = packet->first; i < (uint32_t)packet->first + packet->count; i++) {
        char index[16];
        snprintf(index, sizeof index, "%u", i);
        bytes = (uint16_t)wire_put_label(record + at + sizeof bytes, "i", index);
        memcpy(record + at, &bytes, sizeof bytes);
        at += sizeof bytes + bytes;
    }
    wire_record(record, packet, WEIR_WIRE_DEFINITION, at);
    return wire_finish(out, packet, at, WEIR_WIRE_UNNUMBERED);
}

/* The value of a series is its index, and a thousandth of the packet's sequence. */
static inline size_t
wire_group(uint8_t *out, const struct wire_packet *packet)
{
    uint8_t *record = out + sizeof(struct weir_wire_header);
    size_t at = WEIR_WIRE_GROUP_HEAD;
    memset(record + sizeof(struct weir_wire_record), 0, sizeof(int64_t));
    for (uint32_t i = 0; i < packet->count; i++, at += sizeof(double)) {
        double value = packet->first + i + (double)packet->sequence / 1000;
        memcpy(record + at, &value, sizeof value);
    }
    wire_record(record, packet, WEIR_WIRE_GROUP, at);
    return wire_finish(out, packet, at, 0);
}

#endif
