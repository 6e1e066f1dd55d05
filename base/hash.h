/* hash: keyed 128-bit fingerprint from carry-less multiplies over GF(2^64).
 *
 * Two independent 64-bit lanes. For a message of 64-bit little-endian words m0 m1 ... (zero
 * padded) of `size` bytes, a lane is
 *
 *   L = sum over i of (m[2i] + k[2i]) * (m[2i+1] + k[2i+1])  +  size * kl      in GF(2^64)
 *
 * with + as xor and * modulo x^64 + x^4 + x^3 + x + 1: the NH construction (Black et al.,
 * UMAC, CRYPTO 1999) over a binary field, as in CLHASH (Lemire, Kaser, 2016), reduced in the
 * field: for two different messages and any difference d, Pr[L(a) + L(b) = d] <= 2^-64
 * a lane and 2^-128 for both. Messages past WEIR_HASH_BLOCK bytes are hashed block by block and
 * the blocks' values joined by Horner's rule with a key of their own (bound times block count).
 *
 * Neither key nor outputs leave the machine.
 * Threads: any; the key is read only after weir_hash_key_init
 */
#ifndef WEIR_BASE_HASH_H
#define WEIR_BASE_HASH_H

#include <stdalign.h>
#include <stddef.h>
#include <stdint.h>

#define WEIR_HASH_SEED_BYTES 32
#define WEIR_HASH_BLOCK 1024

struct weir_hash128 {
    uint64_t lo;
    uint64_t hi;
};

enum { WEIR_HASH_PARTS = 2 };

/* Expanded key: for each part of a message, words and length keys of both lanes. */
struct weir_hash_key {
    alignas(64) uint64_t words[WEIR_HASH_PARTS][2][WEIR_HASH_BLOCK / 8];
    uint64_t length[WEIR_HASH_PARTS][2];
    uint64_t chain[WEIR_HASH_PARTS][2];
};

/* Expands the installation's random seed (kept in DIR/key). */
void weir_hash_key_init(struct weir_hash_key *key, const uint8_t seed[WEIR_HASH_SEED_BYTES]);

/* Hash of one part (0 or 1) of a message. The parts have keys of their own, so the hash of the
 * pair (a, b) is weir_hash_join(part 0 of a, part 1 of b). Reads no byte outside data..data+size.
 * Picks VPCLMULQDQ, PCLMULQDQ or the portable twin at the first call. */
struct weir_hash128 weir_hash_part(const struct weir_hash_key *key, int part, const void *data,
    size_t size);
/* The portable twin; agrees on every input. */
struct weir_hash128 weir_hash_part_portable(const struct weir_hash_key *key, int part,
    const void *data, size_t size);

static inline struct weir_hash128
weir_hash_join(struct weir_hash128 a, struct weir_hash128 b)
{
    return (struct weir_hash128){a.lo ^ b.lo, a.hi ^ b.hi};
}

/* "vpclmul", "pclmul" or "portable". */
const char *weir_hash_variant(void);

#endif
