/* lists: what a frame says beside samples, cut into pieces that check out alone: definitions, and
 * state entries; docs/format/frame.md.
 *
 *   | piece header 40 | whole entries | zeros | piece header 40 | ...   one every 64 KiB
 *
 * A flipped bit costs the entries of its piece. Pieces describe themselves: those of a list of more
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
    WEIR_PIECE_DEFINITIONS = 1, /* model/labels.h */
    WEIR_PIECE_STATE = 2,       /* model/sender_state/state.h */
};

struct weir_piece_header {
    uint32_t magic;
    uint32_t kind;  /* enum weir_piece_kind */
    uint64_t first; /* number of its first entry; the others follow without gap */
    uint64_t dataplane_epoch; /* of its frame */
    uint32_t count;
    uint32_t bytes;      /* of the entries after this header */
    uint32_t crc;        /* of those, seeded with stream and offset */
    uint32_t header_crc; /* of everything before it, seeded with the header's offset */
};
_Static_assert(sizeof(struct weir_piece_header) == 40, "piece header size is part of the format");

/* A list to be cut. State bytes that are no entry are taken as they are, after those before. */
struct weir_list {
    enum weir_piece_kind kind;
    const uint8_t *bytes;
    size_t size;
    uint64_t first; /* number of its first entry */
};
struct weir_list weir_list_of_definitions(const struct weir_batch *batch);
/* Numbers of state entries begin at 0 in each frame. */
struct weir_list weir_list_of_state(const struct weir_batch *batch);

/* Place of the first piece, from the frame's first byte, where what is before it ends at `end`, for
 * pieces that take so many bytes, more than 0. */
uint64_t weir_lists_place(uint64_t end, uint64_t pieces_bytes);
/* Upper bound of the bytes that a list's pieces take, the padding before them included. */
size_t weir_lists_bound(const struct weir_list *list);
/* Writes the pieces of a list that is not empty, behind padding, at *at of the frame, and moves *at
 * past them. Returns their bytes. The header says which frame it is. */
size_t weir_lists_encode(const struct weir_list *list, const struct weir_frame_header *header,
    uint8_t *frame, size_t *at);
/* Checks the piece at `piece`, of which `room` bytes are there, against its place in the stream.
 * WEIR_CORRUPT without a text. */
enum weir_err weir_piece_check(const uint8_t *piece, size_t room, uint32_t stream, uint64_t offset,
    struct weir_piece_header *header) WEIR_MUST_USE;

#endif
