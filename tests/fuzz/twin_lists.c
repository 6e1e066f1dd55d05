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

/* A piece of this kind, its numbers apart. */
static bool
piece_is_right(const uint8_t *frame, const struct fields *f, uint64_t kind, uint64_t at,
    uint64_t room)
{
    const uint8_t *piece = frame + at;
    if (room < 40 || number_at(piece, 0, 4) != 0x50464557 || number_at(piece, 4, 4) != kind ||
        number_at(piece, 36, 4) != twin_placed_crc(f->stream, f->offset + at, piece, 36))
        return false;
    uint64_t bytes = number_at(piece, 28, 4);
    return bytes <= room - 40 && number_at(piece, 16, 8) == f->epoch &&
        number_at(piece, 32, 4) ==
            twin_placed_crc(f->stream, f->offset + at + 40, piece + 40, bytes);
}

static bool
numbers_are_right(const uint8_t *piece, const struct fields *f)
{
    uint64_t first = number_at(piece, 8, 8), count = number_at(piece, 24, 4);
    return first >= f->first && first - f->first <= f->count &&
        count <= f->count - (first - f->first);
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
    struct weir_frame_state state;
    uint64_t at = 0, size = f->state_bytes + f->list_bytes;
    bool right = f->state_bytes % 8 == 0 && lists <= bytes && size <= bytes - lists &&
        f->crc == twin_placed_crc(f->stream, f->offset + lists, frame + lists, size);
    enum weir_err err = weir_frame_definitions_next(frame, bytes, &at, &seen);
    bool agrees = f->list_bytes == 0 ? err == WEIR_END
        : right                      ? err == WEIR_OK &&
            same(&seen, f->first, f->count, frame + lists + f->state_bytes, f->list_bytes)
                                     : err == WEIR_CORRUPT;
    agrees = agrees && weir_frame_definitions_next(frame, bytes, &at, &seen) == WEIR_END;
    at = 0;
    err = weir_frame_state_next(frame, bytes, &at, &state);
    agrees = agrees &&
        (f->state_bytes == 0 ? err == WEIR_END
            : right          ? err == WEIR_OK && state.list == frame + lists &&
                    state.size == f->state_bytes
                             : err == WEIR_CORRUPT);
    return agrees && weir_frame_state_next(frame, bytes, &at, &state) == WEIR_END;
}

static uint64_t
place_of(uint64_t end, uint64_t bytes)
{
    while (bytes != 0 && end % (bytes > 65536 ? 4096 : 8) != 0)
        end++;
    return end;
}

/* The next piece as storage/frame/decode.c sees it; a piece of state entries has no numbers. */
static enum weir_err
next_seen(const uint8_t *frame, size_t bytes, uint64_t kind, uint64_t *at,
    struct weir_frame_definitions *seen)
{
    if (kind == 1)
        return weir_frame_definitions_next(frame, bytes, at, seen);
    struct weir_frame_state state = {0};
    enum weir_err err = weir_frame_state_next(frame, bytes, at, &state);
    *seen = (struct weir_frame_definitions){.list = state.list, .size = state.size};
    return err;
}

/* Pieces of a kind, from `begin` on. */
static bool
pieces_agree(const uint8_t *frame, size_t bytes, const struct fields *f, uint64_t kind,
    uint64_t begin)
{
    struct weir_frame_definitions seen;
    uint64_t at = 0, size = kind == 1 ? f->list_bytes : f->state_bytes;
    for (uint64_t piece = 0; piece < size; piece += 65536) {
        uint64_t room = size - piece < 65536 ? size - piece : 65536;
        enum weir_err err = next_seen(frame, bytes, kind, &at, &seen);
        if (begin + piece + room > bytes) /* cut: nothing after it either */
            return err == WEIR_CORRUPT &&
                next_seen(frame, bytes, kind, &at, &seen) == WEIR_END;
        const uint8_t *header = frame + begin + piece;
        bool right = piece_is_right(frame, f, kind, begin + piece, room) &&
            (kind != 1 || numbers_are_right(header, f));
        if (err != (right ? WEIR_OK : WEIR_CORRUPT))
            return false;
        if (right && !same(&seen, kind == 1 ? number_at(header, 8, 8) : 0,
                         kind == 1 ? number_at(header, 24, 4) : 0, header + 40,
                         number_at(header, 28, 4)))
            return false;
    }
    return next_seen(frame, bytes, kind, &at, &seen) == WEIR_END;
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
    uint64_t state = place_of(lists, f.state_bytes);
    uint64_t definitions = place_of(state + f.state_bytes, f.list_bytes);
    return pieces_agree(frame, bytes, &f, 2, state) &&
        pieces_agree(frame, bytes, &f, 1, definitions);
}
