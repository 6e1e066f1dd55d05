#include "tests/fuzz/twin_lists.h"

#include "storage/frame/frame.h"

static uint64_t
number_at(const uint8_t *bytes, size_t at, size_t size)
{
    uint64_t value = 0;
    for (size_t i = size; i-- > 0;)
        value = value << 8 | bytes[at + i];
    return value;
}

static uint32_t
crc_more(uint32_t crc, uint8_t byte)
{
    crc ^= byte;
    for (int bit = 0; bit < 8; bit++)
        crc = crc >> 1 ^ (crc & 1 ? UINT32_C(0x82f63b78) : 0);
    return crc;
}

uint32_t
twin_placed_crc(uint64_t stream, uint64_t offset, const uint8_t *bytes, size_t size)
{
    uint32_t crc = UINT32_MAX;
    for (int i = 0; i < 8; i++)
        crc = crc_more(crc, (uint8_t)(stream >> 8 * i));
    for (int i = 0; i < 8; i++)
        crc = crc_more(crc, (uint8_t)(offset >> 8 * i));
    for (size_t i = 0; i < size; i++)
        crc = crc_more(crc, bytes[i]);
    return ~crc;
}

/* The header's fields, by their places in docs/format/frame.md. */
struct fields {
    uint64_t version, stream, blocks, offset, epoch, count, list_bytes, first, crc, state_bytes;
};

static bool
piece_is_right(const uint8_t *frame, const struct fields *f, uint64_t at, uint64_t room)
{
    const uint8_t *piece = frame + at;
    if (room < 40 || number_at(piece, 0, 4) != 0x50464557 || number_at(piece, 4, 4) != 1 ||
        number_at(piece, 36, 4) != twin_placed_crc(f->stream, f->offset + at, piece, 36))
        return false;
    uint64_t first = number_at(piece, 8, 8), count = number_at(piece, 24, 4);
    uint64_t bytes = number_at(piece, 28, 4);
    return bytes <= room - 40 && number_at(piece, 16, 8) == f->epoch && first >= f->first &&
        first - f->first <= f->count && count <= f->count - (first - f->first) &&
        number_at(piece, 32, 4) ==
            twin_placed_crc(f->stream, f->offset + at + 40, piece + 40, bytes);
}

static bool
same(const struct weir_frame_definitions *seen, uint64_t first, uint64_t count, const uint8_t *list,
    uint64_t size)
{
    return seen->first == first && seen->count == count && seen->list == list &&
        seen->size == size;
}

static bool
version_one_agrees(const uint8_t *frame, size_t bytes, const struct fields *f, uint64_t lists)
{
    struct weir_frame_definitions seen;
    uint64_t at = 0, size = f->state_bytes + f->list_bytes;
    enum weir_err err = weir_frame_definitions_next(frame, bytes, &at, &seen);
    if (f->list_bytes == 0)
        return err == WEIR_END;
    bool right = f->state_bytes % 8 == 0 && lists <= bytes && size <= bytes - lists &&
        f->crc == twin_placed_crc(f->stream, f->offset + lists, frame + lists, size);
    bool agrees = right
        ? err == WEIR_OK &&
            same(&seen, f->first, f->count, frame + lists + f->state_bytes, f->list_bytes)
        : err == WEIR_CORRUPT;
    return agrees && weir_frame_definitions_next(frame, bytes, &at, &seen) == WEIR_END;
}

bool
twin_lists_agree(const uint8_t *frame, size_t bytes)
{
    struct fields f = {.version = number_at(frame, 4, 2),
        .stream = number_at(frame, 8, 4),
        .blocks = number_at(frame, 12, 4),
        .offset = number_at(frame, 16, 8),
        .epoch = number_at(frame, 40, 8),
        .count = number_at(frame, 88, 4),
        .list_bytes = number_at(frame, 92, 4),
        .first = number_at(frame, 96, 8),
        .crc = number_at(frame, 104, 4),
        .state_bytes = number_at(frame, 120, 4)};
    uint64_t lists = 128 + 48 * f.blocks;
    if (f.version == 1)
        return version_one_agrees(frame, bytes, &f, lists);
    uint64_t begin = lists + f.state_bytes;
    uint64_t unit = f.list_bytes > 65536 ? 4096 : 8;
    while (begin % unit != 0)
        begin++;
    struct weir_frame_definitions seen;
    uint64_t at = 0;
    for (uint64_t piece = 0; piece < f.list_bytes; piece += 65536) {
        uint64_t room = f.list_bytes - piece < 65536 ? f.list_bytes - piece : 65536;
        enum weir_err err = weir_frame_definitions_next(frame, bytes, &at, &seen);
        if (begin + piece + room > bytes) /* cut: nothing after it either */
            return err == WEIR_CORRUPT &&
                weir_frame_definitions_next(frame, bytes, &at, &seen) == WEIR_END;
        const uint8_t *header = frame + begin + piece;
        if (!piece_is_right(frame, &f, begin + piece, room)) {
            if (err != WEIR_CORRUPT)
                return false;
        } else if (err != WEIR_OK || !same(&seen, number_at(header, 8, 8),
                                         number_at(header, 24, 4), header + 40,
                                         number_at(header, 28, 4))) {
            return false;
        }
    }
    return weir_frame_definitions_next(frame, bytes, &at, &seen) == WEIR_END;
}
