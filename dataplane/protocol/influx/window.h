/* influx_window: the structure of a piece of text; for dataplane/protocol/influx/fast.c
 * only, and compiled with its instruction set.
 *
 * The rule about bits that is checked here is explained in dataplane/protocol/influx/fast.h.
 *
 * Threads: any; no state
 */
#ifndef WEIR_DATAPLANE_PROTOCOL_INFLUX_WINDOW_H
#define WEIR_DATAPLANE_PROTOCOL_INFLUX_WINDOW_H

#include "base/assert.h"
#include "dataplane/protocol/influx/fast.h"

#include <immintrin.h>
#include <string.h>

#define WEIR_INLINE static inline __attribute__((always_inline))
#define BLOCK 64
#define BLOCKS (WEIR_FAST_WINDOW / BLOCK)
/* Entries written for a block whatever it holds: a line of 100 bytes has three white bytes. */
#define FLATTEN 3

/* The structure of a piece of text that begins with a line; positions count from base. */
struct window {
    const uint8_t *base;
    bool whole; /* no byte was found that does not fit */
    size_t white_count;
    uint64_t marks[BLOCKS + 1]; /* bits of commas and equals signs */
    uint16_t white[BLOCKS * BLOCK + FLATTEN]; /* places of spaces and newlines that fit */
};

/* A block's bits by class. */
struct classes {
    uint64_t separators; /* comma, space, equals sign, newline */
    uint64_t even;       /* of these, equals sign and newline; of other bytes any bit */
    uint64_t marks;      /* of these, comma and equals sign; of other bytes any bit */
    bool bad;            /* one is control, quote, backslash, DEL, no ASCII */
};

#if defined(__AVX512VBMI__)

enum { SEPARATOR = 1, EVEN = 2, MARK = 4, BAD = 128 };

static const uint8_t class_of[128] __attribute__((aligned(64))) = {
    [0 ... 9] = BAD,
    ['\n'] = SEPARATOR | EVEN,
    [11 ... 31] = BAD,
    [' '] = SEPARATOR,
    ['"'] = BAD,
    [','] = SEPARATOR | MARK,
    ['='] = SEPARATOR | EVEN | MARK,
    ['\\'] = BAD,
    [127] = BAD,
};

WEIR_INLINE __m512i
classes_of(const uint8_t *data)
{
    __m512i bytes = _mm512_loadu_si512(data);
    __m512i found = _mm512_permutex2var_epi8(_mm512_load_si512(class_of), bytes,
        _mm512_load_si512(class_of + 64));
    return _mm512_or_si512(found, _mm512_and_si512(bytes, _mm512_set1_epi8((char)BAD)));
}

WEIR_INLINE uint64_t
bad_bits(const uint8_t *data)
{
    return _mm512_movepi8_mask(classes_of(data));
}

WEIR_INLINE struct classes
classify(const uint8_t *data)
{
    __m512i found = classes_of(data);
    return (struct classes){
        .separators = _mm512_test_epi8_mask(found, _mm512_set1_epi8(SEPARATOR)),
        .even = _mm512_test_epi8_mask(found, _mm512_set1_epi8(EVEN)),
        .marks = _mm512_test_epi8_mask(found, _mm512_set1_epi8(MARK)),
        .bad = _mm512_movepi8_mask(found) != 0,
    };
}

#else

/* By a byte's low four bits. If a class has no such byte, the entry is zero, which is found by a
 * zero byte alone, and that is bad whatever else. A shuffle takes no ASCII for zero. */
static const uint8_t separator_bytes[16] = {
    [0x0] = ' ', [0xa] = '\n', [0xc] = ',', [0xd] = '='};
static const uint8_t bad_bytes[16] = {[0x2] = '"', [0xc] = '\\', [0xf] = 0x7f};
/* The top bit sets equals sign and newline apart from comma and space. */
static const uint8_t even_bits[16] = {[0xa] = 0x80, [0xd] = 0x80};
/* Comma and equals sign have this bit, space and newline lack it. */
#define MARK_BIT 2

/* 32 bytes; bits as in struct classes. */
struct half {
    uint32_t separators, even, marks;
    __m256i bad; /* bytes */
};

WEIR_INLINE __m256i
look_up(const uint8_t table[16], __m256i bytes)
{
    return _mm256_shuffle_epi8(
        _mm256_broadcastsi128_si256(_mm_loadu_si128((const __m128i *)table)), bytes);
}

WEIR_INLINE struct half
classify32(const uint8_t *data)
{
    __m256i bytes = _mm256_loadu_si256((const __m256i *)data);
    __m256i separators = _mm256_cmpeq_epi8(look_up(separator_bytes, bytes), bytes);
    /* as signed bytes, controls and bytes that are no ASCII are below the space */
    __m256i low = _mm256_andnot_si256(separators,
        _mm256_cmpgt_epi8(_mm256_set1_epi8(' '), bytes));
    __m256i other = _mm256_cmpeq_epi8(look_up(bad_bytes, bytes), bytes);
    return (struct half){
        .separators = (uint32_t)_mm256_movemask_epi8(separators),
        .even = (uint32_t)_mm256_movemask_epi8(look_up(even_bits, bytes)),
        .marks = (uint32_t)_mm256_movemask_epi8(_mm256_slli_epi16(bytes, 7 - MARK_BIT)),
        .bad = _mm256_or_si256(low, other),
    };
}

WEIR_INLINE struct classes
classify(const uint8_t *data)
{
    struct half low = classify32(data), high = classify32(data + 32);
    return (struct classes){
        .separators = low.separators | (uint64_t)high.separators << 32,
        .even = low.even | (uint64_t)high.even << 32,
        .marks = low.marks | (uint64_t)high.marks << 32,
        .bad = _mm256_movemask_epi8(_mm256_or_si256(low.bad, high.bad)) != 0,
    };
}

WEIR_INLINE uint64_t
bad_bits(const uint8_t *data)
{
    struct half low = classify32(data), high = classify32(data + 32);
    return (uint32_t)_mm256_movemask_epi8(low.bad)
        | (uint64_t)(uint32_t)_mm256_movemask_epi8(high.bad) << 32;
}

#endif

/* Bit i is the sum modulo 2 of bits 0 to i. */
WEIR_INLINE uint64_t
prefix_sum(uint64_t bits)
{
    __m128i product = _mm_clmulepi64_si128(_mm_cvtsi64_si128((int64_t)bits),
        _mm_set1_epi8((char)0xff), 0);
    return (uint64_t)_mm_cvtsi128_si64(product);
}

WEIR_INLINE uint16_t *
flatten(uint16_t *to, uint64_t bits, size_t from)
{
    size_t count = (size_t)__builtin_popcountll(bits);
    for (size_t i = 0; i < FLATTEN; i++) {
        to[i] = (uint16_t)(from + _tzcnt_u64(bits));
        bits = _blsr_u64(bits);
    }
    for (size_t i = FLATTEN; WEIR_UNLIKELY(i < count); i++) {
        to[i] = (uint16_t)(from + _tzcnt_u64(bits));
        bits = _blsr_u64(bits);
    }
    return to + count;
}

/* State of a scan between two blocks. */
struct scan {
    const uint8_t *base;
    uint16_t *white;
    uint64_t carry;  /* all bits: an odd number of separators so far */
    uint64_t before; /* 1: the last byte is a separator; so is a newline in front of base */
};

/* Scans block number `block`, of which `valid` has the bits of the bytes to be looked at. False
 * where one does not fit: of the block, only the bytes before it count then. */
WEIR_INLINE bool
scan_block(struct window *window, struct scan *scan, size_t block, uint64_t valid)
{
    const uint8_t *data = scan->base + block * BLOCK;
    struct classes found = classify(data);
    uint64_t separators = found.separators & valid;
    uint64_t sums = prefix_sum(separators) ^ scan->carry;
    uint64_t misplaced = (separators & ~(found.even ^ sums))
        | (separators & (separators << 1 | scan->before));
    uint64_t marks = separators & found.marks, white = separators & ~found.marks;
    scan->carry = (uint64_t)((int64_t)sums >> 63);
    scan->before = separators >> 63;
    window->marks[block] = marks;
    if (WEIR_UNLIKELY(misplaced != 0 || found.bad)) {
        misplaced |= bad_bits(data) & valid;
        if (misplaced != 0) {
            scan->white = flatten(scan->white, white & (_blsi_u64(misplaced) - 1),
                block * BLOCK);
            return false;
        }
    }
    scan->white = flatten(scan->white, white, block * BLOCK);
    return true;
}

/* Scans from base on, where a line begins, up to `size` bytes, the window's end, or the first byte
 * that does not fit. */
WEIR_INLINE void
scan(struct window *window, const uint8_t *base, size_t size)
{
    struct scan scan = {.base = base, .white = window->white, .before = 1};
    bool whole = true;
    size = size < WEIR_FAST_WINDOW ? size : WEIR_FAST_WINDOW;
    size_t blocks = size / BLOCK, block = 0;
    unsigned rest = size % BLOCK;
    for (; whole && block < blocks; block++)
        whole = scan_block(window, &scan, block, UINT64_MAX);
    if (whole && rest > 0)
        whole = scan_block(window, &scan, block++, _bzhi_u64(UINT64_MAX, rest));
    window->base = base;
    window->whole = whole;
    window->marks[block] = 0;
    window->white_count = (size_t)(scan.white - window->white);
}

/* The 57 bits of marks from position `at` on, and up to seven more. */
WEIR_INLINE uint64_t
marks_from(const struct window *window, size_t at)
{
    uint64_t word;
    memcpy(&word, (const uint8_t *)window->marks + at / 8, sizeof word);
    return word >> (at % 8);
}
#define MARKS_BITS 57

/* Position of the first mark from `at` on, or `end`, which is inside the window. */
WEIR_INLINE size_t
next_mark(const struct window *window, size_t at, size_t end)
{
    while (at < end) {
        uint64_t bits = marks_from(window, at);
        if (bits != 0) {
            at += _tzcnt_u64(bits);
            break;
        }
        at += MARKS_BITS;
    }
    return at < end ? at : end;
}

#endif
