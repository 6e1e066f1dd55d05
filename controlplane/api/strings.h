/* strings: a set of byte strings, for the distinct names and values of labels.
 *
 * Owns:    a hash table of places and one block with the bytes, both on the heap
 * Threads: none of its own
 * Errors:  WEIR_LIMIT past bytes_max, WEIR_NOMEM, WEIR_IO without random bytes
 *
 * Senders choose the strings. The hash has a random key of its own in each set: nobody can
 * send strings that meet in one place.
 */
#ifndef WEIR_CONTROLPLANE_API_STRINGS_H
#define WEIR_CONTROLPLANE_API_STRINGS_H

#include "base/err.h"
#include "base/hash.h"

#include <stddef.h>
#include <stdint.h>

struct weir_string {
    const uint8_t *bytes;
    size_t size;
    uint32_t count; /* how often it was added */
};

struct weir_strings {
    uint8_t *bytes;   /* u16 size, u32 count and string, one after the other */
    size_t used;
    size_t capacity;
    size_t bytes_max;
    uint64_t *slots;  /* 1 + place in bytes, 0 is free */
    size_t slot_count; /* a power of two */
    size_t count;
    struct weir_hash_key key;
};

enum weir_err weir_strings_init(struct weir_strings *strings, size_t bytes_max) WEIR_MUST_USE;
/* After a failed init as well. */
void weir_strings_fini(struct weir_strings *strings);
enum weir_err weir_strings_add(struct weir_strings *strings, const uint8_t *bytes, uint16_t size)
    WEIR_MUST_USE;
/* The strings in bytewise order: `count` of them, borrowed; free *sorted. */
enum weir_err weir_strings_sort(const struct weir_strings *strings, struct weir_string **sorted)
    WEIR_MUST_USE;

#endif
