#include "storage/frame/lists.h"

#include "base/assert.h"
#include "base/mutant.h"
#include "model/labels.h"
#include "model/sender_state/state.h"
#include "storage/frame/crc.h"

#include <string.h>

#define HEADER sizeof(struct weir_piece_header)
#define PAYLOAD_MAX (WEIR_PIECE_BYTES - HEADER)
#define DEFINITION_MAX (sizeof(uint32_t) + WEIR_LABELS_BYTES_MAX)
/* A piece that is not the last had no room for one entry more. */
#define PAYLOAD_MIN (PAYLOAD_MAX - DEFINITION_MAX + 1)
_Static_assert(PAYLOAD_MAX >= DEFINITION_MAX, "any definition fits a piece");
_Static_assert(DEFINITION_MAX >= WEIR_STATE_TEMPLATE_BYTES_MAX, "as does any state entry");

static uint64_t
round_up(uint64_t bytes, uint64_t to)
{
    return (bytes + to - 1) & ~(to - 1);
}

struct weir_list
weir_list_of_definitions(const struct weir_batch *batch)
{
    return (struct weir_list){WEIR_PIECE_DEFINITIONS, batch->definitions, batch->definition_bytes,
        batch->definition_first};
}

struct weir_list
weir_list_of_state(const struct weir_batch *batch)
{
    return (struct weir_list){WEIR_PIECE_STATE, batch->sender_state, batch->state_bytes, 0};
}

uint64_t
weir_lists_place(uint64_t end, uint64_t pieces_bytes)
{
    return round_up(end, pieces_bytes > WEIR_PIECE_BYTES ? WEIR_FRAME_ALIGN : 8);
}

size_t
weir_lists_bound(const struct weir_list *list)
{
    if (list->size == 0)
        return 0;
    if (list->size <= PAYLOAD_MAX)
        return 8 + HEADER + list->size;
    return WEIR_FRAME_ALIGN + (list->size / PAYLOAD_MIN + 1) * WEIR_PIECE_BYTES;
}

/* Bytes of the definition or state entry at `at`. */
static size_t
entry_bytes(const struct weir_list *list, size_t at)
{
    size_t left = list->size - at;
    if (list->kind == WEIR_PIECE_DEFINITIONS) {
        uint32_t size;
        memcpy(&size, list->bytes + at, sizeof size);
        return sizeof size + size;
    }
    struct weir_state_entry entry = {0};
    if (left >= sizeof entry)
        memcpy(&entry, list->bytes + at, sizeof entry);
    if (entry.bytes < sizeof entry || entry.bytes > left) /* no entry */
        return left < WEIR_STATE_TEMPLATE_BYTES_MAX ? left : WEIR_STATE_TEMPLATE_BYTES_MAX;
    WEIR_ASSERT(entry.bytes <= WEIR_STATE_TEMPLATE_BYTES_MAX);
    return entry.bytes;
}

/* Bytes of the entries from `at` on that go into one piece; *count of them. */
static size_t
payload_of(const struct weir_list *list, size_t at, uint32_t *count)
{
    size_t from = at;
    for (*count = 0; at < list->size; ++*count) {
        size_t bytes = entry_bytes(list, at);
        if (at - from + bytes > PAYLOAD_MAX)
            break;
        at += bytes;
    }
    WEIR_ASSERT(at > from && at <= list->size);
    return at - from;
}

static uint32_t
piece_header_crc(const struct weir_piece_header *header, uint32_t stream, uint64_t offset)
{
    return weir_crc32c(weir_place_crc(stream, offset), header,
        offsetof(struct weir_piece_header, header_crc));
}

size_t
weir_lists_encode(const struct weir_list *list, const struct weir_frame_header *header,
    uint8_t *frame, size_t *at)
{
    /* one piece or more: that alone decides where they begin */
    size_t place = weir_lists_place(*at, HEADER + list->size);
    size_t begin = place, end = *at;
    uint64_t number = list->first;
    for (size_t done = 0; done < list->size; begin += WEIR_PIECE_BYTES) {
        memset(frame + end, 0, begin - end);
        uint64_t offset = header->offset + begin;
        struct weir_piece_header piece = {.magic = WEIR_PIECE_MAGIC,
            .kind = list->kind,
            .first = number,
            .dataplane_epoch = header->dataplane_epoch};
        piece.bytes = (uint32_t)payload_of(list, done, &piece.count);
        uint8_t *payload = frame + begin + HEADER;
        memcpy(payload, list->bytes + done, piece.bytes);
        piece.crc =
            weir_crc32c(weir_place_crc(header->stream, offset + HEADER), payload, piece.bytes);
        piece.header_crc = piece_header_crc(&piece, header->stream, offset);
        memcpy(frame + begin, &piece, HEADER);
        end = begin + HEADER + piece.bytes;
        done += piece.bytes;
        number += piece.count;
    }
    *at = end;
    return end - place;
}

enum weir_err
weir_piece_check(const uint8_t *piece, size_t room, uint32_t stream, uint64_t offset,
    struct weir_piece_header *header)
{
    if (room < HEADER)
        return WEIR_CORRUPT;
    memcpy(header, piece, HEADER);
    bool fits = header->magic == WEIR_PIECE_MAGIC &&
        header->header_crc == piece_header_crc(header, stream, offset) &&
        header->bytes <= PAYLOAD_MAX && header->bytes <= room - HEADER &&
        (weir_crc32c(weir_place_crc(stream, offset + HEADER), piece + HEADER, header->bytes) ==
                header->crc || weir_mutant(piece_unchecked));
    return fits ? WEIR_OK : WEIR_CORRUPT;
}
