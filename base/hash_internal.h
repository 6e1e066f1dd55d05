/* hash_internal: each variant of the hash by its index, for tests and benchmarks. */
#ifndef WEIR_BASE_HASH_INTERNAL_H
#define WEIR_BASE_HASH_INTERNAL_H

#include "base/hash.h"

#include <stdbool.h>

/* Paths compiled in; 0 is the best one, the last is the portable twin. */
size_t weir_hash_variant_count(void);

/* As weir_hash_part on one variant. False where this CPU cannot run it. */
bool weir_hash_part_variant(size_t variant, const struct weir_hash_key *key, int part,
    const void *data, size_t size, struct weir_hash128 *out);

#endif
