/* Frames from a hostile disk. The first byte chooses: a block alone, compared with its twin, or a
 * whole frame of version 1 or 2 whose checksums are made right first, so that what lies behind them
 * is reached. Its definitions and state entries are compared with their twin. */
#include "model/labels.h"
#include "model/sender_state/state.h"
#include "storage/frame/crc.h"
#include "storage/frame/frame.h"
#include "storage/frame/lists.h"
#include "tests/fuzz/twin_block.h"
#include "tests/fuzz/twin_lists.h"

#include <stdlib.h>

#define STREAM 0
#define OFFSET 8192

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint32_t
crc_at(uint64_t at, const uint8_t *bytes, size_t size)
{
    return weir_crc32c(weir_place_crc(STREAM, OFFSET + at), bytes, size);
}

/* The checksums of every piece whose last one is even. */
static void
fix_pieces(uint8_t *frame, size_t size, uint64_t at, uint64_t end)
{
    for (; at < end && at + sizeof(struct weir_piece_header) <= size; at += WEIR_PIECE_BYTES) {
        struct weir_piece_header piece;
        memcpy(&piece, frame + at, sizeof piece);
        if (piece.header_crc % 2 != 0)
            continue; /* stays damaged */
        piece.magic = WEIR_PIECE_MAGIC;
        if (piece.bytes <= size - at - sizeof piece)
            piece.crc = crc_at(at + sizeof piece, frame + at + sizeof piece, piece.bytes);
        piece.header_crc = crc_at(at, (uint8_t *)&piece,
            offsetof(struct weir_piece_header, header_crc));
        memcpy(frame + at, &piece, sizeof piece);
    }
}

/* Makes every checksum right that has bytes to be right about. */
static void
fix(uint8_t *frame, size_t size, uint16_t version)
{
    struct weir_frame_header header;
    if (size < sizeof header)
        return;
    memcpy(&header, frame, sizeof header);
    header.magic = WEIR_FRAME_MAGIC;
    header.version = version;
    header.stream = STREAM;
    header.offset = OFFSET;
    uint64_t index = (uint64_t)header.block_count * sizeof(struct weir_frame_block);
    for (uint64_t i = 0; sizeof header + index <= size && i < header.block_count; i++) {
        struct weir_frame_block block;
        uint8_t *entry = frame + sizeof header + i * sizeof block;
        memcpy(&block, entry, sizeof block);
        if (block.at <= size && block.bytes <= size - block.at)
            block.crc = crc_at(block.at, frame + block.at, block.bytes);
        memcpy(entry, &block, sizeof block);
    }
    if (sizeof header + index <= size) {
        uint64_t at = sizeof header + index;
        header.index_crc = crc_at(sizeof header, frame + sizeof header, index);
        uint64_t lists = (uint64_t)header.state_bytes + header.definition_bytes;
        if (version == 1 && lists <= size - at)
            header.lists_crc = crc_at(at, frame + at, lists);
        uint64_t end = weir_frame_front(&header);
        if (version != 1 && header.state_bytes != 0) {
            uint64_t state = weir_lists_place(at, header.state_bytes);
            fix_pieces(frame, size, state, state + header.state_bytes);
        }
        if (version != 1)
            fix_pieces(frame, size, end - header.definition_bytes, end);
    }
    header.header_crc = weir_header_crc(&header);
    memcpy(frame, &header, sizeof header);
}

/* No read past the end of a piece, whatever it holds. */
static void
read_state(const uint8_t *frame, size_t size)
{
    struct weir_frame_state piece;
    uint64_t at = 0;
    enum weir_err err;
    while ((err = weir_frame_state_next(frame, size, &at, &piece)) == WEIR_OK ||
        err == WEIR_CORRUPT)
        if (err == WEIR_OK && weir_state_check(piece.list, piece.size) == WEIR_CORRUPT)
            abort(); /* it has another answer to damage */
}

static void
read_frame(const uint8_t *frame, size_t size)
{
    struct weir_frame_header header;
    enum weir_err checked = weir_frame_check(frame, size, STREAM, OFFSET);
    if (size < sizeof header)
        return;
    memcpy(&header, frame, sizeof header);
    enum weir_err err = weir_frame_check_header(&header, STREAM, OFFSET);
    if (checked == WEIR_OK && err != WEIR_OK)
        abort();
    if (err != WEIR_OK)
        return;
    if (header.type == WEIR_FRAME_SAMPLES && !twin_lists_agree(frame, size))
        abort();
    struct weir_frame_definitions piece;
    uint64_t at = 0;
    while ((err = weir_frame_definitions_next(frame, size, &at, &piece)) == WEIR_OK) {
        const uint8_t *labels;
        size_t labels_size, in_list = 0;
        while (weir_definition_next(piece.list, piece.size, &in_list, &labels, &labels_size) ==
            WEIR_OK)
            continue;
    }
    if (checked == WEIR_OK && header.type == WEIR_FRAME_SAMPLES && err != WEIR_END)
        abort();
    if (header.type == WEIR_FRAME_SAMPLES)
        read_state(frame, size);
    const struct weir_frame_block *blocks;
    size_t count;
    if (weir_frame_index(frame, size, &blocks, &count) != WEIR_OK)
        return;
    for (size_t i = 0; i < count; i++) {
        struct weir_sample samples[WEIR_BLOCK_SAMPLES];
        size_t decoded;
        err = weir_frame_decode_block(frame, size, &blocks[i], samples, &decoded);
        if (checked == WEIR_OK && err != WEIR_OK)
            abort();
    }
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    /* of their own size, so that the sanitizer sees a read behind the end */
    uint8_t *copy = malloc(size);
    memcpy(copy, data + 1, size - 1);
    if (data[0] & 1) {
        uint8_t *exact = realloc(copy, size - 1 > 0 ? size - 1 : 1);
        if (!twin_block_agrees(exact, size - 1))
            abort();
        copy = exact;
    } else {
        fix(copy, size - 1, data[0] & 2 ? 1 : 2);
        read_frame(copy, size - 1);
    }
    free(copy);
    return 0;
}
