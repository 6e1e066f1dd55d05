/* frame: a batch of samples in the log: sorted, columnar, checksummed.
 *
 * Format:  docs/format/frame.md; golden bytes in tests/golden/
 * Threads: none of its own
 * Memory:  encoder scratch from the caller; nothing allocated
 * Errors:  WEIR_CORRUPT for bytes that do not check out, contained to the block
 */
#ifndef WEIR_STORAGE_FRAME_FRAME_H
#define WEIR_STORAGE_FRAME_FRAME_H

#include "base/err.h"
#include "model/sample.h"

#include <stdbool.h>

#define WEIR_FRAME_MAGIC UINT32_C(0x46524557) /* "WERF" */
#define WEIR_FRAME_VERSION 2 /* version 1 is read too */
#define WEIR_FRAME_ALIGN 4096
#define WEIR_BLOCK_SAMPLES 2048   /* at most 23 bytes each: stays below WEIR_BLOCK_BYTES_MAX */
#define WEIR_BLOCK_BYTES_MAX 65536
#define WEIR_FRAME_BYTES_MAX (UINT64_C(8) << 20) /* a full batch with all definitions: 7.5 MiB */

/* Bits of sample_types. */
#define WEIR_SAMPLE_TYPE_FLOAT 1
/* Bits of flags. */
#define WEIR_FRAME_SENDER_STATE 2

enum weir_frame_type {
    WEIR_FRAME_SAMPLES = 1, /* definitions and samples */
    WEIR_FRAME_SEAL = 2,    /* the rest of this segment is empty; go on in the next */
};

/* First bytes of every frame; little-endian; the frame is padded to WEIR_FRAME_ALIGN. */
struct weir_frame_header {
    uint32_t magic;
    uint16_t version;
    uint16_t type;               /* enum weir_frame_type */
    uint32_t stream;
    uint32_t block_count;        /* sample blocks; their index follows the header */
    uint64_t offset;             /* of this frame in the stream */
    uint64_t bytes;              /* with padding: the next frame begins at offset + bytes */
    uint64_t segment_epoch;      /* grows when a segment is recycled */
    uint64_t dataplane_epoch;
    uint64_t durable_watermark;  /* durable offset of the stream when this was written */
    uint64_t definitions_through;/* series numbers below it are defined up to this frame */
    int64_t time_min_ms;
    int64_t time_max_ms;
    uint32_t sample_count;
    uint32_t record_count;
    uint32_t definition_count;
    uint32_t definition_bytes; /* of their pieces (storage/frame/lists.h); version 1: of the list */
    uint64_t definition_first;
    uint32_t lists_crc;          /* 0; version 1: of state entries and definitions */
    uint32_t previous_crc;       /* header_crc of the frame before; 0 for the first ever */
    uint32_t index_crc;          /* of the block index */
    uint16_t sample_types;       /* bit 0 floats, bit 1 native histograms (a place) */
    /* bit 0 start timestamps, bit 2 metadata entries (places); bit 1 state entries present */
    uint16_t flags;
    uint32_t state_bytes; /* of the pieces of state entries; version 1: of the list */
    uint32_t header_crc;         /* of everything before it, seeded with stream and offset */
};
_Static_assert(sizeof(struct weir_frame_header) == 128, "header size is part of the format");

/* One entry of the sparse index, in series order. */
struct weir_frame_block {
    uint64_t series_first;
    uint64_t series_last;
    uint32_t at;      /* from the frame's first byte */
    uint32_t bytes;
    uint16_t samples;
    uint16_t kind;    /* 0 floats; 1 native histograms: a place */
    uint32_t crc;     /* of the block's bytes, seeded with stream and offset + at */
    int64_t time_min_ms;
    int64_t time_max_ms;
};
_Static_assert(sizeof(struct weir_frame_block) == 48, "index entry size is part of the format");

/* State of the log when a frame is made. */
struct weir_frame_place {
    uint32_t stream;
    uint64_t offset;
    uint64_t segment_epoch;
    uint64_t dataplane_epoch;
    uint64_t durable_watermark;
    uint64_t definitions_through;
    uint32_t previous_crc;
};

/* Upper bound of the encoded size of a batch, a multiple of WEIR_FRAME_ALIGN. */
size_t weir_frame_bound(const struct weir_batch *batch);

struct weir_frame_encoder; /* sort and gather scratch */
size_t weir_frame_encoder_footprint(void);
struct weir_frame_encoder *weir_frame_encoder_init(void *memory);

/* Sorts the batch by series (stable: arrival order within a series stays) and writes the frame to
 * out (weir_frame_bound bytes, aligned to WEIR_FRAME_ALIGN). *bytes is its padded size. cycles
 * (2 values: sort, encode) grows by TSC ticks; may be NULL. */
void weir_frame_encode(struct weir_frame_encoder *encoder, const struct weir_batch *batch,
    const struct weir_frame_place *place, uint8_t *out, size_t *bytes, uint64_t *cycles);

/* Writes a seal of WEIR_FRAME_ALIGN bytes whose header says it fills `bytes`. */
void weir_frame_seal(const struct weir_frame_place *place, uint64_t bytes, uint8_t *out);

/* Checks magic, place, header_crc and version of a header from disk or ring. WEIR_UNSUPPORTED where
 * all is right but a later program wrote it: a version, type, sample type or flag that this one
 * does not know. Every version keeps what the log uses of a header where it is (frame.md). */
enum weir_err weir_frame_check_header(const struct weir_frame_header *header, uint32_t stream,
    uint64_t offset) WEIR_MUST_USE;
/* Is it a version, type, sample type or flag of a later program? For a header that checks out. */
bool weir_frame_is_later(const struct weir_frame_header *header);
/* Checks everything: header, index, definitions, each block. */
enum weir_err weir_frame_check(const uint8_t *frame, size_t bytes, uint32_t stream,
    uint64_t offset) WEIR_MUST_USE;

/* Bytes of everything before the blocks, of a header that checks out. */
uint64_t weir_frame_front(const struct weir_frame_header *header);

/* The next five take the first `bytes` bytes of a frame whose header has been checked: what they
 * look at must be among them, the rest need not. WEIR_UNSUPPORTED for sample types of a later
 * version. frame is aligned to 8 bytes. */

/* Definitions that follow each other, checked. */
struct weir_frame_definitions {
    uint64_t first; /* number of the first */
    uint32_t count;
    const uint8_t *list; /* model/labels.h */
    size_t size;
};
/* The next piece of the frame's definitions. *at is 0 before the first and moves past each, past a
 * damaged one too (WEIR_CORRUPT: its numbers are lost, and the next may check out). WEIR_END after
 * the last. Any other error ends the walk. Of version 1 the whole list is one piece. */
enum weir_err weir_frame_definitions_next(const uint8_t *frame, size_t bytes, uint64_t *at,
    struct weir_frame_definitions *out) WEIR_MUST_USE;
/* State entries that follow each other, checked, aligned to 8 bytes. */
struct weir_frame_state {
    const uint8_t *list; /* model/sender_state/state.h */
    size_t size;
};
/* The next piece of the frame's state entries, as above; nothing says of whom a damaged one was. */
enum weir_err weir_frame_state_next(const uint8_t *frame, size_t bytes, uint64_t *at,
    struct weir_frame_state *out) WEIR_MUST_USE;
/* The block index, checked, its blocks inside the frame; *blocks borrowed from frame. */
enum weir_err weir_frame_index(const uint8_t *frame, size_t bytes,
    const struct weir_frame_block **blocks, size_t *count) WEIR_MUST_USE;
/* Decodes one block, checked, into samples (WEIR_BLOCK_SAMPLES); *count filled. */
enum weir_err weir_frame_decode_block(const uint8_t *frame, size_t bytes,
    const struct weir_frame_block *block, struct weir_sample *samples, size_t *count)
    WEIR_MUST_USE;
/* The same of a block read alone: bytes are its block->bytes bytes, offset its frame's. */
enum weir_err weir_frame_decode_bytes(uint32_t stream, uint64_t offset,
    const struct weir_frame_block *block, const uint8_t *bytes, struct weir_sample *samples,
    size_t *count) WEIR_MUST_USE;

#endif
