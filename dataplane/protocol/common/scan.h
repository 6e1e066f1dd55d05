/* parse_scan: where the structural bytes of a text are, 64 bytes a word.
 *
 * Bit i of a word is set where byte i is one of the set's four bytes, a control character, a
 * space, DEL, or no ASCII. A parser that walks the bits therefore meets everything that could
 * end a token or make a line unusual, and nothing else.
 *
 * Threads: any; no state
 * Limits:  reads whole blocks of 64 bytes
 */
#ifndef WEIR_DATAPLANE_PROTOCOL_COMMON_SCAN_H
#define WEIR_DATAPLANE_PROTOCOL_COMMON_SCAN_H

#include <stddef.h>
#include <stdint.h>

#define WEIR_SCAN_BLOCK 64
/* Blocks a cursor scans ahead: 2 KiB, a datagram. The words of that stay in the L1 cache. */
#define WEIR_SCAN_AHEAD 32

struct weir_scan_set {
    uint8_t bytes[4];
};

/* words[i] for block i of data, blocks x 64 readable bytes. */
typedef void weir_scan_fn(const struct weir_scan_set *set, const uint8_t *data, size_t blocks,
    uint64_t *words);

weir_scan_fn weir_scan_scalar; /* the slow, obvious one */
weir_scan_fn weir_scan_avx2;   /* only where the CPU has AVX2 */
weir_scan_fn weir_scan_avx512; /* only where the CPU has AVX-512BW */

struct weir_scan_variant {
    const char *name;
    uint32_t needs; /* base/cpu.h */
    weir_scan_fn *scan;
};
/* The fastest one this CPU has. */
const struct weir_scan_variant *weir_scan_best(void);

/* A cursor over the structural bytes of data..data + size, in order. */
struct weir_scan {
    weir_scan_fn *scan;
    const struct weir_scan_set *set;
    const uint8_t *data;
    size_t size;
    size_t base;   /* position of words[0]; a multiple of 64 */
    size_t index;  /* of the word being taken */
    size_t count;  /* words scanned */
    uint64_t left; /* bits of words[index] not taken yet */
    uint64_t words[WEIR_SCAN_AHEAD];
};

/* data has 64 readable bytes after size. */
void weir_scan_init(struct weir_scan *scan, const struct weir_scan_set *set, const uint8_t *data,
    size_t size);
/* The next structural byte is looked for from `at` on. */
void weir_scan_seek(struct weir_scan *scan, size_t at);
/* Scans ahead; false at the end of data. */
int weir_scan_refill(struct weir_scan *scan);

/* Position of the next structural byte, or size. */
static inline size_t
weir_scan_next(struct weir_scan *scan)
{
    while (scan->left == 0) {
        if (++scan->index < scan->count)
            scan->left = scan->words[scan->index];
        else if (!weir_scan_refill(scan))
            return scan->size;
    }
    size_t at = scan->base + scan->index * WEIR_SCAN_BLOCK + (size_t)__builtin_ctzll(scan->left);
    scan->left &= scan->left - 1;
    return at;
}

#endif
