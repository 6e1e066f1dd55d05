/* times: a part's dictionary of time columns. Series that are sampled together share a column.
 *
 * The writer's half knows the columns that it wrote by a keyed hash of 128 bits. It holds a fixed
 * number of them: when it is full all are forgotten, and columns that come again are written again,
 * which costs their bytes and nothing else.
 *
 * Format:  docs/format/part.md
 * Threads: any; a dictionary belongs to one
 * Memory:  of the caller's
 * Errors:  decoding takes any bytes; false where they are no column
 */
#ifndef WEIR_STORAGE_PART_TIMES_H
#define WEIR_STORAGE_PART_TIMES_H

#include "base/hash.h"
#include "storage/part/codec.h"

struct weir_times_slot {
    uint64_t lo;
    uint64_t hi;
    uint32_t column;
    uint32_t generation; /* of what is known; another one: empty */
};

struct weir_times_dictionary {
    struct weir_hash_key key;
    struct weir_times_slot *slots;
    uint32_t mask;
    uint32_t used;
    uint32_t generation;
    /* the column that was asked for last: in order of number a host's series follow each other */
    uint32_t last_column;
    uint32_t last_count; /* 0: none */
    int64_t last[WEIR_CHUNK_SAMPLES_MAX];
};

/* Slots for so many columns: a power of two, at most half of them in use. */
static inline uint32_t
weir_times_slots(uint32_t columns_max)
{
    uint32_t slots = 16;
    while (slots / 2 < columns_max && slots < UINT32_C(1) << 30)
        slots *= 2;
    return slots;
}

/* slots: zeroed at first. secret: random, and not known to senders. */
void weir_times_dictionary_init(struct weir_times_dictionary *dictionary,
    struct weir_times_slot *slots, uint32_t slot_count, uint64_t secret);
/* Finds the column of these times; true where it is known. Else it is known as `next` from now. */
bool weir_times_dictionary_find(struct weir_times_dictionary *dictionary, const int64_t *times_ms,
    uint32_t count, uint32_t next, uint32_t *column);

/* Encodes a column. *split: scratch->front holds a byte a sample of it. Returns the end. */
uint8_t *weir_times_encode(struct weir_packed_scratch *scratch, const int64_t *times_ms,
    uint32_t count, enum weir_effort effort, bool *split, uint8_t *out);
/* front_max: bytes of front from the column's on. times_ms: WEIR_CHUNK_ROOM(expected) places.
 * False also where the column has not as many samples as expected. */
bool weir_times_decode(struct weir_bytes *bytes, const uint8_t *front, size_t front_max,
    uint32_t expected, int64_t *times_ms);

#endif
