/* index_interner: a number for each distinct string, from 1 in the order they come.
 *
 * Threads: its owner's
 * Memory:  on the heap: the strings, 24 bytes and up to 16 of a table for each
 * Errors:  WEIR_NOMEM leaves it as it was; WEIR_LIMIT past 2^31 strings
 */
#ifndef WEIR_STORAGE_INDEX_INTERNER_H
#define WEIR_STORAGE_INDEX_INTERNER_H

#include "base/err.h"
#include "base/hash.h"

struct weir_interner {
    const struct weir_hash_key *key;
    struct weir_interned *entries; /* number n is entries[n - 1] */
    uint32_t count;
    uint32_t capacity;
    uint32_t *slots;
    uint32_t slot_count;
    uint8_t *bytes;
    size_t bytes_used;
    size_t bytes_capacity;
};

void weir_interner_init(struct weir_interner *interner, const struct weir_hash_key *key);
void weir_interner_fini(struct weir_interner *interner);
enum weir_err weir_interner_add(struct weir_interner *interner, const void *text, size_t size,
    uint32_t *number) WEIR_MUST_USE;

#endif
