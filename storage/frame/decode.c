#include "storage/frame/frame.h"

#include "base/mutant.h"
#include "storage/frame/block.h"
#include "storage/frame/crc.h"
#include "storage/frame/lists.h"

#include <inttypes.h>
#include <string.h>

static enum weir_err
damaged(const char *what, uint64_t offset)
{
    return weir_fail(WEIR_CORRUPT, 0, "frame at %" PRIu64 ": %s", offset, what);
}

static size_t
index_bytes(const struct weir_frame_header *header)
{
    return (size_t)header->block_count * sizeof(struct weir_frame_block);
}

/* Where `bytes` bytes of pieces begin after `end`; in version 1 there is no alignment. */
static uint64_t
list_place(const struct weir_frame_header *header, uint64_t end, uint32_t bytes)
{
    return header->version == 1 || bytes == 0 ? end : weir_lists_place(end, bytes);
}

/* Where the state entries begin, from the frame's first byte. */
static uint64_t
state_place(const struct weir_frame_header *header)
{
    return list_place(header, sizeof *header + (uint64_t)index_bytes(header), header->state_bytes);
}

static uint64_t
definitions_place(const struct weir_frame_header *header)
{
    uint64_t end = state_place(header) + header->state_bytes;
    return list_place(header, end, header->definition_bytes);
}

uint64_t
weir_frame_front(const struct weir_frame_header *header)
{
    return definitions_place(header) + header->definition_bytes;
}

/* Flags and sample types are those of frames with samples; of a seal nothing else counts. */
bool
weir_frame_is_later(const struct weir_frame_header *header)
{
    if (header->version == 0 || header->version > WEIR_FRAME_VERSION)
        return true;
    if (header->type == WEIR_FRAME_SEAL)
        return false;
    return header->type != WEIR_FRAME_SAMPLES || header->sample_types != WEIR_SAMPLE_TYPE_FLOAT ||
        (header->flags & ~WEIR_FRAME_SENDER_STATE) != 0;
}

static enum weir_err
later(const struct weir_frame_header *header)
{
    return weir_fail(WEIR_UNSUPPORTED, 0,
        "frame at %" PRIu64 " is a later program's: version %u, type %u, sample types %u, flags "
        "%u; start that program", header->offset, header->version, header->type,
        header->sample_types, header->flags);
}

enum weir_err
weir_frame_check_header(const struct weir_frame_header *header, uint32_t stream, uint64_t offset)
{
    if (header->magic != WEIR_FRAME_MAGIC)
        return damaged("no frame begins here", offset);
    if (header->header_crc != weir_header_crc(header) && !weir_mutant(frame_header_unchecked))
        return damaged("header checksum", offset);
    if ((header->stream != stream || header->offset != offset) &&
        !weir_mutant(frame_place_unchecked))
        return damaged("belongs elsewhere", offset);
    if (weir_frame_is_later(header))
        return later(header);
    if (header->bytes == 0 || header->bytes % WEIR_FRAME_ALIGN != 0)
        return damaged("size", offset);
    if (header->type == WEIR_FRAME_SAMPLES &&
        (weir_frame_front(header) > header->bytes || header->bytes > WEIR_FRAME_BYTES_MAX))
        return damaged("parts larger than the whole, or the whole too large", offset);
    return WEIR_OK;
}

/* The header of a frame of which the first `bytes` bytes are there; its own checksum is the
 * caller's to check. */
static enum weir_err
read_header(const uint8_t *frame, size_t bytes, struct weir_frame_header *header)
{
    if (bytes < sizeof *header)
        return damaged("cut in its header", 0);
    memcpy(header, frame, sizeof *header);
    if (header->type == WEIR_FRAME_SEAL)
        return damaged("holds no samples", header->offset);
    if (weir_frame_is_later(header))
        return later(header);
    return WEIR_OK;
}

static bool
crc_matches(const struct weir_frame_header *header, uint64_t at, const uint8_t *data, size_t size,
    uint32_t crc)
{
    return weir_crc32c(weir_place_crc(header->stream, header->offset + at), data, size) == crc;
}

/* Checks state entries and definitions of a frame of version 1. */
static enum weir_err
check_lists(const uint8_t *frame, size_t bytes, const struct weir_frame_header *header)
{
    uint64_t at = state_place(header);
    uint64_t size = (uint64_t)header->state_bytes + header->definition_bytes;
    if (at > bytes || size > bytes - at)
        return damaged("cut in its definitions", header->offset);
    if (header->state_bytes % 8 != 0)
        return damaged("state entries of an uneven size", header->offset);
    if (!crc_matches(header, at, frame + at, size, header->lists_crc))
        return damaged("definitions checksum", header->offset);
    return WEIR_OK;
}

/* The pieces of a list in a frame of version 2. */
struct pieces {
    enum weir_piece_kind kind;
    uint64_t place; /* of the first, from the frame's first byte */
    uint64_t bytes;
};

/* Checks the piece at *at, which is not the end, and moves *at past it. */
static enum weir_err
next_piece(const uint8_t *frame, size_t bytes, const struct pieces *pieces, uint64_t *at,
    struct weir_piece_header *piece, const uint8_t **list)
{
    const struct weir_frame_header *header = (const struct weir_frame_header *)frame;
    uint64_t place = pieces->place + *at;
    uint64_t left = pieces->bytes - *at;
    size_t room = left < WEIR_PIECE_BYTES ? (size_t)left : WEIR_PIECE_BYTES;
    if (place > bytes || room > bytes - place) {
        *at = pieces->bytes;
        return damaged("cut in its lists", header->offset);
    }
    *at += room;
    if (weir_piece_check(frame + place, room, header->stream, header->offset + place, piece) !=
            WEIR_OK ||
        piece->kind != pieces->kind || piece->dataplane_epoch != header->dataplane_epoch)
        return damaged("checksum of a piece", header->offset);
    *list = frame + place + sizeof *piece;
    return WEIR_OK;
}

static enum weir_err
next_definitions(const uint8_t *frame, size_t bytes, const struct weir_frame_header *header,
    uint64_t *at, struct weir_frame_definitions *out)
{
    struct pieces pieces = {
        WEIR_PIECE_DEFINITIONS, definitions_place(header), header->definition_bytes};
    struct weir_piece_header piece;
    const uint8_t *list;
    enum weir_err err = next_piece(frame, bytes, &pieces, at, &piece, &list);
    if (err != WEIR_OK)
        return err;
    if (piece.first < header->definition_first ||
        piece.first - header->definition_first > header->definition_count ||
        piece.count > header->definition_count - (piece.first - header->definition_first))
        return damaged("numbers of definitions", header->offset);
    *out = (struct weir_frame_definitions){piece.first, piece.count, list, piece.bytes};
    return WEIR_OK;
}

enum weir_err
weir_frame_definitions_next(const uint8_t *frame, size_t bytes, uint64_t *at,
    struct weir_frame_definitions *out)
{
    struct weir_frame_header header = {0};
    enum weir_err err = read_header(frame, bytes, &header);
    if (err != WEIR_OK)
        return err;
    if (*at >= header.definition_bytes)
        return WEIR_END;
    if (header.version != 1)
        return next_definitions(frame, bytes, &header, at, out);
    *at = header.definition_bytes;
    err = check_lists(frame, bytes, &header);
    if (err != WEIR_OK)
        return err;
    *out = (struct weir_frame_definitions){.first = header.definition_first,
        .count = header.definition_count,
        .list = frame + definitions_place(&header),
        .size = header.definition_bytes};
    return WEIR_OK;
}

enum weir_err
weir_frame_state_next(const uint8_t *frame, size_t bytes, uint64_t *at,
    struct weir_frame_state *out)
{
    struct weir_frame_header header = {0};
    enum weir_err err = read_header(frame, bytes, &header);
    if (err != WEIR_OK)
        return err;
    if (*at >= header.state_bytes)
        return WEIR_END;
    struct weir_piece_header piece = {.bytes = header.state_bytes};
    const uint8_t *list = frame + state_place(&header);
    if (header.version == 1) {
        *at = header.state_bytes;
        err = check_lists(frame, bytes, &header);
    } else {
        struct pieces pieces = {WEIR_PIECE_STATE, state_place(&header), header.state_bytes};
        err = next_piece(frame, bytes, &pieces, at, &piece, &list);
    }
    if (err == WEIR_OK)
        *out = (struct weir_frame_state){list, piece.bytes};
    return err;
}

/* Blocks are after the definitions and inside the frame. */
static bool
entries_valid(const struct weir_frame_header *header, const struct weir_frame_block *blocks)
{
    uint64_t body = weir_frame_front(header);
    for (uint32_t i = 0; i < header->block_count; i++)
        if (blocks[i].at < body || blocks[i].at > header->bytes ||
            blocks[i].bytes > header->bytes - blocks[i].at ||
            blocks[i].bytes > WEIR_BLOCK_BYTES_MAX || blocks[i].samples > WEIR_BLOCK_SAMPLES ||
            blocks[i].kind != 0)
            return false;
    return true;
}

enum weir_err
weir_frame_index(const uint8_t *frame, size_t bytes, const struct weir_frame_block **blocks,
    size_t *count)
{
    struct weir_frame_header header = {0};
    enum weir_err err = read_header(frame, bytes, &header);
    if (err != WEIR_OK)
        return err;
    const uint8_t *index = frame + sizeof header;
    if (index_bytes(&header) > bytes - sizeof header)
        return damaged("cut in its index", header.offset);
    if (!crc_matches(&header, sizeof header, index, index_bytes(&header), header.index_crc) &&
        !weir_mutant(frame_index_unchecked))
        return damaged("index checksum", header.offset);
    if (!entries_valid(&header, (const struct weir_frame_block *)index))
        return damaged("index names no blocks", header.offset);
    *blocks = (const struct weir_frame_block *)index;
    *count = header.block_count;
    return WEIR_OK;
}

enum weir_err
weir_frame_decode_bytes(uint32_t stream, uint64_t offset, const struct weir_frame_block *block,
    const uint8_t *bytes, struct weir_sample *samples, size_t *count)
{
    uint32_t seed = weir_place_crc(stream, offset + block->at);
    if (weir_crc32c(seed, bytes, block->bytes) != block->crc && !weir_mutant(block_unchecked))
        return damaged("block checksum", offset);
    if (!weir_block_decode(bytes, block->bytes, block, samples))
        return damaged("block layout", offset);
    *count = block->samples;
    return WEIR_OK;
}

enum weir_err
weir_frame_decode_block(const uint8_t *frame, size_t bytes, const struct weir_frame_block *block,
    struct weir_sample *samples, size_t *count)
{
    struct weir_frame_header header = {0};
    enum weir_err err = read_header(frame, bytes, &header);
    if (err != WEIR_OK)
        return err;
    if (block->at > bytes || block->bytes > bytes - block->at)
        return damaged("cut in a block", header.offset);
    return weir_frame_decode_bytes(header.stream, header.offset, block, frame + block->at, samples,
        count);
}

/* Every piece of state entries and of definitions. */
static enum weir_err
check_front(const uint8_t *frame, size_t bytes, const struct weir_frame_header *header)
{
    struct weir_frame_state state;
    struct weir_frame_definitions definitions;
    uint64_t at = 0, count = 0;
    enum weir_err err;
    while ((err = weir_frame_state_next(frame, bytes, &at, &state)) == WEIR_OK)
        continue;
    at = 0;
    err = err == WEIR_END ? WEIR_OK : err;
    while (err == WEIR_OK) {
        err = weir_frame_definitions_next(frame, bytes, &at, &definitions);
        count += err == WEIR_OK ? definitions.count : 0;
    }
    if (err == WEIR_END && count != header->definition_count)
        return damaged("definition count", header->offset);
    return err == WEIR_END ? WEIR_OK : err;
}

enum weir_err
weir_frame_check(const uint8_t *frame, size_t bytes, uint32_t stream, uint64_t offset)
{
    struct weir_frame_header header;
    if (bytes < sizeof header)
        return damaged("cut in its header", offset);
    memcpy(&header, frame, sizeof header);
    enum weir_err err = weir_frame_check_header(&header, stream, offset);
    if (err != WEIR_OK || header.type == WEIR_FRAME_SEAL)
        return err;
    if (header.bytes > bytes)
        return damaged("cut", offset);
    const struct weir_frame_block *blocks;
    size_t count = 0;
    err = check_front(frame, bytes, &header);
    if (err == WEIR_OK)
        err = weir_frame_index(frame, bytes, &blocks, &count);
    uint64_t samples = 0;
    for (size_t i = 0; err == WEIR_OK && i < count; i++) {
        struct weir_sample decoded[WEIR_BLOCK_SAMPLES];
        size_t in_block = 0;
        err = weir_frame_decode_block(frame, bytes, &blocks[i], decoded, &in_block);
        samples += in_block;
    }
    if (err == WEIR_OK && samples != header.sample_count)
        return damaged("sample count", offset);
    return err;
}
