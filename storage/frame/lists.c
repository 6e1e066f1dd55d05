#include "storage/frame/lists.h"

#include "base/assert.h"
#include "model/labels.h"
#include "storage/frame/crc.h"

#include <string.h>

#define HEADER sizeof(struct weir_piece_header)
#define PAYLOAD_MAX (WEIR_PIECE_BYTES - HEADER)
#define DEFINITION_MAX (sizeof(uint32_t) + WEIR_LABELS_BYTES_MAX)
/* A piece that is not the last had no room for one definition more. */
#define PAYLOAD_MIN (PAYLOAD_MAX - DEFINITION_MAX + 1)
_Static_assert(PAYLOAD_MAX >= DEFINITION_MAX, "any definition fits a piece");

static uint64_t
round_up(uint64_t bytes, uint64_t to)
{
    return (bytes + to - 1) & ~(to - 1);
}

uint64_t
weir_lists_place(uint64_t state_end, uint64_t list_bytes)
{
    return round_up(state_end, list_bytes > WEIR_PIECE_BYTES ? WEIR_FRAME_ALIGN : 8);
}

size_t
weir_lists_bound(const struct weir_batch *batch)
{
    if (batch->definition_bytes == 0)
        return 0;
    if (batch->definition_bytes <= PAYLOAD_MAX)
        return 8 + HEADER + batch->definition_bytes;
    return WEIR_FRAME_ALIGN + (batch->definition_bytes / PAYLOAD_MIN + 1) * WEIR_PIECE_BYTES;
}

/* Bytes of the definitions from `at` on that go into one piece; *count of them. */
static size_t
payload_of(const struct weir_batch *batch, size_t at, uint32_t *count)
{
    size_t from = at;
    for (*count = 0; at < batch->definition_bytes; ++*count) {
        uint32_t size;
        memcpy(&size, batch->definitions + at, sizeof size);
        if (at - from + sizeof size + size > PAYLOAD_MAX)
            break;
        at += sizeof size + size;
    }
    WEIR_ASSERT(at > from && at <= batch->definition_bytes);
    return at - from;
}

size_t
weir_lists_size(const struct weir_batch *batch)
{
    size_t bytes = 0;
    for (size_t at = 0, payload; at < batch->definition_bytes; at += payload) {
        uint32_t count;
        payload = payload_of(batch, at, &count);
        bytes = round_up(bytes, WEIR_PIECE_BYTES) + HEADER + payload;
    }
    return bytes;
}

static uint32_t
piece_header_crc(const struct weir_piece_header *header, uint32_t stream, uint64_t offset)
{
    return weir_crc32c(weir_place_crc(stream, offset), header,
        offsetof(struct weir_piece_header, header_crc));
}

size_t
weir_lists_encode(const struct weir_batch *batch, const struct weir_frame_header *header,
    uint64_t place, uint8_t *out)
{
    uint64_t number = batch->definition_first;
    size_t bytes = 0;
    for (size_t at = 0; at < batch->definition_bytes;) {
        size_t begin = round_up(bytes, WEIR_PIECE_BYTES);
        memset(out + bytes, 0, begin - bytes);
        uint64_t offset = header->offset + place + begin;
        struct weir_piece_header piece = {.magic = WEIR_PIECE_MAGIC,
            .kind = WEIR_PIECE_DEFINITIONS,
            .first = number,
            .dataplane_epoch = header->dataplane_epoch};
        piece.bytes = (uint32_t)payload_of(batch, at, &piece.count);
        memcpy(out + begin + HEADER, batch->definitions + at, piece.bytes);
        piece.crc = weir_crc32c(weir_place_crc(header->stream, offset + HEADER),
            out + begin + HEADER, piece.bytes);
        piece.header_crc = piece_header_crc(&piece, header->stream, offset);
        memcpy(out + begin, &piece, HEADER);
        bytes = begin + HEADER + piece.bytes;
        at += piece.bytes;
        number += piece.count;
    }
    return bytes;
}

enum weir_err
weir_piece_check(const uint8_t *piece, size_t room, uint32_t stream, uint64_t offset,
    struct weir_piece_header *header)
{
    if (room < HEADER)
        return WEIR_CORRUPT;
    memcpy(header, piece, HEADER);
    bool fits = header->magic == WEIR_PIECE_MAGIC && header->kind == WEIR_PIECE_DEFINITIONS &&
        header->header_crc == piece_header_crc(header, stream, offset) &&
        header->bytes <= PAYLOAD_MAX && header->bytes <= room - HEADER &&
        weir_crc32c(weir_place_crc(stream, offset + HEADER), piece + HEADER, header->bytes) ==
            header->crc;
    return fits ? WEIR_OK : WEIR_CORRUPT;
}
