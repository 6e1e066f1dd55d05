/* chunk: the values of one series in a part as bytes, and back. Lossless to the bit.
 *
 * Format:  docs/format/part.md
 * Threads: any; an encoder belongs to one at a time
 * Memory:  the encoder's, from the caller; nothing is allocated
 * Errors:  decoding takes any bytes; false where they are no chunk
 * Limits:  WEIR_CHUNK_SAMPLES_MAX samples: a series that has more has several chunks
 *
 * Of a chunk's bytes the front (one byte a sample, or none) is worth handing to an entropy coder,
 * the rest is packed already. A block keeps the two apart (block.h).
 */
#ifndef WEIR_STORAGE_PART_CHUNK_H
#define WEIR_STORAGE_PART_CHUNK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define WEIR_CHUNK_SAMPLES_MAX 4096
/* A column that a decoder fills has room for so many. */
#define WEIR_CHUNK_ROOM(count) (((size_t)(count) + 7) & ~(size_t)7)
/* Bytes after front and rest that a decoder may read; what they hold is of no matter. */
#define WEIR_CHUNK_SLACK 64
/* The rest of the largest chunk, and room that an encoder may write after it. */
#define WEIR_CHUNK_REST_MAX (WEIR_CHUNK_SAMPLES_MAX * 10 + 512)

/* What a series' samples have; values, exponents and kinds as in model/sample.h. */
struct weir_chunk_values {
    const uint64_t *values;  /* mantissa or bits of a double, by kind */
    const int8_t *exponents; /* 0 where it is a double */
    const uint8_t *kinds;    /* enum weir_value_kind */
    uint32_t count;          /* 1 to WEIR_CHUNK_SAMPLES_MAX */
};

enum weir_codec {
    WEIR_CODEC_CONSTANT = 0, /* all values have the same bits */
    WEIR_CODEC_PACKED = 1,   /* decimals of one exponent as packed integers */
    WEIR_CODEC_SPLIT = 2,    /* the same, the highest eight bits of each in the front */
    WEIR_CODEC_XOR = 3,      /* doubles, each the exclusive or with the one before */
    WEIR_CODEC_COUNT,
};

struct weir_chunk {
    const uint8_t *front; /* `count` bytes if codec is WEIR_CODEC_SPLIT, else none */
    const uint8_t *rest;
    uint32_t rest_size;
    uint32_t count;
    uint8_t codec;   /* enum weir_codec */
    int8_t exponent; /* of decimals, -22 to 22; else 0 */
};

static inline uint32_t
weir_chunk_front_size(unsigned codec, uint32_t count)
{
    return codec == WEIR_CODEC_SPLIT ? count : 0;
}

enum weir_effort {
    WEIR_EFFORT_FAST, /* integers as they are or as differences: for levels 1 and 2, merged soon */
    WEIR_EFFORT_BEST, /* all are tried on a sample of the chunk, the best two in full: final parts
                       */
};

/* The double of each sample: WEIR_CHUNK_ROOM(values->count) places. */
void weir_chunk_doubles(const struct weir_chunk_values *values, double *doubles);

struct weir_chunk_encoder;
size_t weir_chunk_encoder_footprint(void);
/* memory: weir_chunk_encoder_footprint() bytes, aligned to 64. */
struct weir_chunk_encoder *weir_chunk_encoder_init(void *memory);
/* room: for the rest, WEIR_CHUNK_REST_MAX bytes; NULL: the encoder's own. *out borrows from both,
 * from the encoder until its next call. */
void weir_chunk_encode(struct weir_chunk_encoder *encoder, const struct weir_chunk_values *values,
    enum weir_effort effort, uint8_t *room, struct weir_chunk *out);

/* Decodes to doubles: WEIR_CHUNK_ROOM(chunk->count) places. */
bool weir_chunk_decode(const struct weir_chunk *chunk, double *values);
/* Decodes to what an encoder takes: decimals stay decimals. The three columns have
 * WEIR_CHUNK_ROOM(chunk->count) places. */
bool weir_chunk_decode_decimals(
    const struct weir_chunk *chunk, uint64_t *values, int8_t *exponents, uint8_t *kinds);

#endif
