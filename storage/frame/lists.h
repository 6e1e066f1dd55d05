/* lists: the definitions in a frame, cut into pieces that check out alone; docs/format/frame.md.
 *
 *   | piece header 40 | whole definitions | zeros | piece header 40 | ...   one every 64 KiB
 *
 * A flipped bit costs the names of its piece. Pieces describe themselves: those of a list of more
 * than one begin at multiples of 4,096 and can be found without the frame's header.
 *
 * Threads: none of its own
 * Memory:  none of its own
 * Errors:  reading takes any bytes
 */
#ifndef WEIR_STORAGE_FRAME_LISTS_H
#define WEIR_STORAGE_FRAME_LISTS_H

#include "storage/frame/frame.h"

#define WEIR_PIECE_MAGIC UINT32_C(0x50464557) /* "WEFP" */
#define WEIR_PIECE_BYTES 65536u               /* with its header; the last one is shorter */

enum weir_piece_kind {
    WEIR_PIECE_DEFINITIONS = 1,
};

struct weir_piece_header {
    uint32_t magic;
    uint32_t kind; /* enum weir_piece_kind */
    uint64_t first; /* number of the first definition; the others follow without gap */
    uint64_t dataplane_epoch; /* of its frame */
    uint32_t count;
    uint32_t bytes;      /* of the definitions after this header */
    uint32_t crc;        /* of those, seeded with stream and offset */
    uint32_t header_crc; /* of everything before it, seeded with the header's offset */
};
_Static_assert(sizeof(struct weir_piece_header) == 40, "piece header size is part of the format");

/* Place of the first piece, from the frame's first byte, for a list of that many bytes. */
uint64_t weir_lists_place(uint64_t state_end, uint64_t list_bytes);
/* Upper bound of the bytes that the pieces of a batch's definitions take, the padding before them
 * included. */
size_t weir_lists_bound(const struct weir_batch *batch);
/* Writes the pieces of a batch's definitions at out, which is at `place` of the frame, and returns
 * their bytes. */
size_t weir_lists_encode(const struct weir_batch *batch, const struct weir_frame_header *header,
    uint64_t place, uint8_t *out);
/* Bytes that weir_lists_encode is going to return. */
size_t weir_lists_size(const struct weir_batch *batch);
/* Checks the piece at `piece`, of which `room` bytes are there, against its place in the stream.
 * WEIR_CORRUPT without a text. */
enum weir_err weir_piece_check(const uint8_t *piece, size_t room, uint32_t stream, uint64_t offset,
    struct weir_piece_header *header) WEIR_MUST_USE;

#endif
