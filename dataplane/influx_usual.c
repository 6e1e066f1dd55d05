/* Compiled once for each instruction set, with WEIR_USUAL_FN as the name of its one function. */
#include "dataplane/influx_usual.h"

#include "base/sample.h"
#include "dataplane/parse_time.h"

#include <immintrin.h>
#include <string.h>

#define BLOCK 64
#define BLOCKS (WEIR_USUAL_WINDOW / BLOCK)
/* Entries written for a block whatever it holds: a line of 100 bytes has three white bytes. */
#define FLATTEN 4
#define INLINE static inline __attribute__((always_inline))

/* What stands where in a stretch of text that begins with a line; positions count from base. */
struct window {
    const uint8_t *base;
    size_t bad; /* of the first byte that does not fit; SIZE_MAX for none */
    size_t white_count;
    uint64_t marks[BLOCKS + 1]; /* bits of commas and equals signs */
    uint16_t white[BLOCKS * BLOCK + FLATTEN]; /* places of spaces and newlines */
};

/* The last time read, by its text: the lines of a packet mostly share it. */
struct last_time {
    uint64_t first, middle, last; /* bytes of the text, overlapping */
    size_t size;                  /* 0: none */
    int64_t time_ms;
};

/* A block's bits by class. */
struct classes {
    uint64_t odd;   /* comma, space */
    uint64_t even;  /* equals sign, newline */
    uint64_t white; /* space, newline */
    uint64_t bad;   /* control, quote, backslash, DEL, no ASCII */
};

INLINE uint64_t
load8(const uint8_t *at)
{
    uint64_t word;
    memcpy(&word, at, sizeof word);
    return word;
}

/* Both sums modulo the hash's polynomial, as base/hash.c does it. */
INLINE struct weir_hash128
reduce(__m128i a, __m128i b)
{
    __m128i lo = _mm_unpacklo_epi64(a, b), hi = _mm_unpackhi_epi64(a, b);
    __m128i over = _mm_xor_si128(_mm_srli_epi64(hi, 63),
        _mm_xor_si128(_mm_srli_epi64(hi, 61), _mm_srli_epi64(hi, 60)));
    hi = _mm_xor_si128(hi, over);
    lo = _mm_xor_si128(lo, _mm_xor_si128(hi, _mm_slli_epi64(hi, 1)));
    lo = _mm_xor_si128(lo, _mm_xor_si128(_mm_slli_epi64(hi, 3), _mm_slli_epi64(hi, 4)));
    struct weir_hash128 raw;
    _Static_assert(sizeof raw == sizeof lo, "a hash is a vector");
    _mm_storeu_si128((__m128i *)&raw, lo);
    return raw;
}

#if defined(__AVX512VBMI__)

enum { ODD = 1, EVEN = 2, WHITE = 4, BAD = 128 };

static const uint8_t class_of[128] __attribute__((aligned(64))) = {
    [0 ... 9] = BAD,
    ['\n'] = EVEN | WHITE,
    [11 ... 31] = BAD,
    [' '] = ODD | WHITE,
    ['"'] = BAD,
    [','] = ODD,
    ['='] = EVEN,
    ['\\'] = BAD,
    [127] = BAD,
};

INLINE struct classes
classify(const uint8_t *data)
{
    __m512i bytes = _mm512_loadu_si512(data);
    __m512i found = _mm512_permutex2var_epi8(_mm512_load_si512(class_of), bytes,
        _mm512_load_si512(class_of + 64));
    return (struct classes){
        .odd = _mm512_test_epi8_mask(found, _mm512_set1_epi8(ODD)),
        .even = _mm512_test_epi8_mask(found, _mm512_set1_epi8(EVEN)),
        .white = _mm512_test_epi8_mask(found, _mm512_set1_epi8(WHITE)),
        .bad = _mm512_movepi8_mask(_mm512_or_si512(found, bytes)),
    };
}

/* Sums of products of a message's pairs (base/hash.h), not yet folded or reduced. */
struct sums {
    __m512i a, b;        /* lanes; four products side by side */
    __m128i length_a, length_b;
};

/* Adds the products of up to 64 bytes whose place in the message is `word` words from its start.
 * Bytes past size are not read and count as no pairs. */
INLINE void
add_products(struct sums *sums, const struct weir_hash_key *key, int part, size_t word,
    const uint8_t *data, size_t size)
{
    __mmask64 bytes = _bzhi_u64(UINT64_MAX, (unsigned)size);
    __mmask8 pairs = (__mmask8)_bzhi_u32(0xff, (unsigned)((size + 15) / 16 * 2));
    __m512i words = _mm512_maskz_loadu_epi8(bytes, data);
    __m512i a = _mm512_xor_si512(words,
        _mm512_maskz_load_epi64(pairs, key->words[part][0] + word));
    __m512i b = _mm512_xor_si512(words,
        _mm512_maskz_load_epi64(pairs, key->words[part][1] + word));
    sums->a = _mm512_xor_si512(sums->a, _mm512_clmulepi64_epi128(a, a, 0x10));
    sums->b = _mm512_xor_si512(sums->b, _mm512_clmulepi64_epi128(b, b, 0x10));
}

INLINE void
add_length(struct sums *sums, const struct weir_hash_key *key, int part, size_t size)
{
    __m128i length = _mm_cvtsi64_si128((int64_t)size);
    __m128i keys = _mm_loadu_si128((const __m128i *)key->length[part]);
    sums->length_a = _mm_xor_si128(sums->length_a, _mm_clmulepi64_si128(length, keys, 0x00));
    sums->length_b = _mm_xor_si128(sums->length_b, _mm_clmulepi64_si128(length, keys, 0x10));
}

/* Part 0 of the raw key. Keys of up to 128 bytes take no branch on their size. */
INLINE struct sums
key_begin(const struct weir_hash_key *key, const uint8_t *data, size_t size)
{
    struct sums sums = {_mm512_setzero_si512(), _mm512_setzero_si512(), _mm_setzero_si128(),
        _mm_setzero_si128()};
    size_t first = size < BLOCK ? size : BLOCK;
    size_t rest = size - first;
    add_products(&sums, key, 0, 0, data, first);
    add_products(&sums, key, 0, 8, data + BLOCK, rest < BLOCK ? rest : BLOCK);
    for (size_t at = 2 * BLOCK; WEIR_UNLIKELY(at < size); at += BLOCK)
        add_products(&sums, key, 0, at / 8, data + at, size - at < BLOCK ? size - at : BLOCK);
    add_length(&sums, key, 0, size);
    return sums;
}

INLINE __m128i
fold(__m512i sum, __m128i length)
{
    __m256i half = _mm256_xor_si256(_mm512_castsi512_si256(sum),
        _mm512_extracti64x4_epi64(sum, 1));
    return _mm_xor_si128(length,
        _mm_xor_si128(_mm256_castsi256_si128(half), _mm256_extracti128_si256(half, 1)));
}

/* The raw key of line and field: the parts are joined by a sum, which reduction lets us do
 * before it. */
INLINE struct weir_hash128
key_join(const struct weir_hash_key *key, const struct sums *line, const uint8_t *name,
    size_t size)
{
    struct sums sums = *line;
    for (size_t at = 0; at < size; at += BLOCK)
        add_products(&sums, key, 1, at / 8, name + at, size - at < BLOCK ? size - at : BLOCK);
    add_length(&sums, key, 1, size);
    return reduce(fold(sums.a, sums.length_a), fold(sums.b, sums.length_b));
}

#else

/* By a byte's low four bits, the byte of a class that has them: a class holds no two such. Zero,
 * where there is none, is found in a class by a zero byte alone, which is bad whatever else. */
static const uint8_t odd_bytes[16] = {[0x0] = ' ', [0xc] = ','};
static const uint8_t even_bytes[16] = {[0xa] = '\n', [0xd] = '='};
static const uint8_t white_bytes[16] = {[0x0] = ' ', [0xa] = '\n'};
static const uint8_t bad_bytes[16] = {[0x2] = '"', [0xc] = '\\', [0xf] = 0x7f};

/* The bytes that are of a class; a shuffle takes no ASCII for zero, which is none. */
INLINE __m256i
of_class(__m256i bytes, const uint8_t class[16])
{
    __m256i table = _mm256_broadcastsi128_si256(_mm_loadu_si128((const __m128i *)class));
    return _mm256_cmpeq_epi8(_mm256_shuffle_epi8(table, bytes), bytes);
}

INLINE uint64_t
bits_of(__m256i bytes)
{
    return (uint32_t)_mm256_movemask_epi8(bytes);
}

INLINE struct classes
classify32(const uint8_t *data)
{
    __m256i bytes = _mm256_loadu_si256((const __m256i *)data);
    /* as signed bytes, controls and what is no ASCII lie below the space */
    __m256i low = _mm256_cmpgt_epi8(_mm256_set1_epi8(' '), bytes);
    return (struct classes){
        .odd = bits_of(of_class(bytes, odd_bytes)),
        .even = bits_of(of_class(bytes, even_bytes)),
        .white = bits_of(of_class(bytes, white_bytes)),
        .bad = bits_of(_mm256_or_si256(low, of_class(bytes, bad_bytes))),
    };
}

INLINE struct classes
classify(const uint8_t *data)
{
    struct classes low = classify32(data), high = classify32(data + 32);
    struct classes both = {low.odd | high.odd << 32, low.even | high.even << 32,
        low.white | high.white << 32, low.bad | high.bad << 32};
    both.bad &= ~(both.even & both.white); /* a newline is a control */
    return both;
}

/* Sums of products of a message's pairs (base/hash.h), not yet reduced. */
struct sums {
    __m128i a, b;
};

INLINE void
add_pair(struct sums *sums, const struct weir_hash_key *key, int part, size_t word, __m128i words)
{
    __m128i a = _mm_xor_si128(words,
        _mm_load_si128((const __m128i *)(key->words[part][0] + word)));
    __m128i b = _mm_xor_si128(words,
        _mm_load_si128((const __m128i *)(key->words[part][1] + word)));
    sums->a = _mm_xor_si128(sums->a, _mm_clmulepi64_si128(a, a, 0x10));
    sums->b = _mm_xor_si128(sums->b, _mm_clmulepi64_si128(b, b, 0x10));
}

/* Adds the products of a part's bytes, at least one, and that of its size. Reads up to 15 bytes
 * behind them: the rest of their line, or the packet's slack. */
INLINE void
add_part(struct sums *sums, const struct weir_hash_key *key, int part, const uint8_t *data,
    size_t size)
{
    static const uint8_t keep[32] = {[0 ... 15] = 0xff};
    __m128i length = _mm_cvtsi64_si128((int64_t)size);
    __m128i keys = _mm_loadu_si128((const __m128i *)key->length[part]);
    sums->a = _mm_xor_si128(sums->a, _mm_clmulepi64_si128(length, keys, 0x00));
    sums->b = _mm_xor_si128(sums->b, _mm_clmulepi64_si128(length, keys, 0x10));
    size_t at = 0;
    for (; at + 16 < size; at += 16)
        add_pair(sums, key, part, at / 8, _mm_loadu_si128((const __m128i *)(data + at)));
    __m128i last = _mm_loadu_si128((const __m128i *)(data + at));
    __m128i mask = _mm_loadu_si128((const __m128i *)(keep + 16 - (size - at)));
    add_pair(sums, key, part, at / 8, _mm_and_si128(last, mask));
}

INLINE struct sums
key_begin(const struct weir_hash_key *key, const uint8_t *data, size_t size)
{
    struct sums sums = {_mm_setzero_si128(), _mm_setzero_si128()};
    add_part(&sums, key, 0, data, size);
    return sums;
}

/* The raw key of line and field: the parts are joined by a sum, which reduction lets us do
 * before it. */
INLINE struct weir_hash128
key_join(const struct weir_hash_key *key, const struct sums *line, const uint8_t *name,
    size_t size)
{
    struct sums sums = *line;
    add_part(&sums, key, 1, name, size);
    return reduce(sums.a, sums.b);
}

#endif

/* Bit i is the sum modulo 2 of bits 0 to i. */
INLINE uint64_t
prefix_sum(uint64_t bits)
{
    __m128i product = _mm_clmulepi64_si128(_mm_cvtsi64_si128((int64_t)bits),
        _mm_set1_epi8((char)0xff), 0);
    return (uint64_t)_mm_cvtsi128_si64(product);
}

INLINE void
flatten(struct window *window, uint64_t bits, size_t from)
{
    size_t count = (size_t)__builtin_popcountll(bits);
    uint16_t *to = window->white + window->white_count;
    window->white_count += count;
    for (int i = 0; i < FLATTEN; i++) {
        to[i] = (uint16_t)(from + _tzcnt_u64(bits));
        bits = _blsr_u64(bits);
    }
    for (size_t i = FLATTEN; WEIR_UNLIKELY(i < count); i++) {
        to[i] = (uint16_t)(from + _tzcnt_u64(bits));
        bits = _blsr_u64(bits);
    }
}

/* Scans from base on, where a line begins, up to `size` bytes, the window's end, or the first
 * block with a bad byte. */
INLINE void
scan(struct window *window, const uint8_t *base, size_t size)
{
    uint64_t carry = 0, before = 1; /* as if a newline stood in front */
    size_t block = 0;
    window->base = base;
    window->bad = SIZE_MAX;
    window->white_count = 0;
    for (; block < BLOCKS && block * BLOCK < size; block++) {
        struct classes found = classify(base + block * BLOCK);
        size_t left = size - block * BLOCK;
        uint64_t valid = left < BLOCK ? _bzhi_u64(UINT64_MAX, (unsigned)left) : UINT64_MAX;
        uint64_t odd = found.odd & valid, even = found.even & valid;
        uint64_t separators = odd | even;
        uint64_t sums = prefix_sum(separators) ^ carry;
        uint64_t bad = (found.bad & valid) | (odd & ~sums) | (even & sums)
            | (separators & (separators << 1 | before));
        carry = (uint64_t)((int64_t)sums >> 63);
        before = separators >> 63;
        window->marks[block] = separators & ~found.white;
        flatten(window, found.white & valid, block * BLOCK);
        if (WEIR_UNLIKELY(bad != 0)) {
            window->bad = block * BLOCK + _tzcnt_u64(bad);
            block++;
            break;
        }
    }
    window->marks[block] = 0;
}

/* The 64 bits of marks from position `at` on. */
INLINE uint64_t
marks_from(const struct window *window, size_t at)
{
    const uint64_t *word = &window->marks[at / BLOCK];
    unsigned shift = at % BLOCK;
    return word[0] >> shift | word[1] << 1 << (63 - shift);
}

/* Position of the first mark from `at` on, or `end`, which lies inside the window. */
INLINE size_t
next_mark(const struct window *window, size_t at, size_t end)
{
    while (at < end) {
        uint64_t bits = marks_from(window, at);
        if (bits != 0) {
            at += _tzcnt_u64(bits);
            break;
        }
        at += BLOCK;
    }
    return at < end ? at : end;
}

/* Row d takes the byte at d out and moves those in front of it up by one; row 16 moves none. */
#define NONE 0x80
static const uint8_t without_dot[17][16] = {
    {NONE, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15},
    {NONE, 0, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15},
    {NONE, 0, 1, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15},
    {NONE, 0, 1, 2, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15},
    {NONE, 0, 1, 2, 3, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15},
    {NONE, 0, 1, 2, 3, 4, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15},
    {NONE, 0, 1, 2, 3, 4, 5, 7, 8, 9, 10, 11, 12, 13, 14, 15},
    {NONE, 0, 1, 2, 3, 4, 5, 6, 8, 9, 10, 11, 12, 13, 14, 15},
    {NONE, 0, 1, 2, 3, 4, 5, 6, 7, 9, 10, 11, 12, 13, 14, 15},
    {NONE, 0, 1, 2, 3, 4, 5, 6, 7, 8, 10, 11, 12, 13, 14, 15},
    {NONE, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 11, 12, 13, 14, 15},
    {NONE, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 12, 13, 14, 15},
    {NONE, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 13, 14, 15},
    {NONE, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 14, 15},
    {NONE, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 15},
    {NONE, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14},
    {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15},
};

/* The number that 16 digits (0 to 9, not ASCII) spell, the first in the lowest byte. */
INLINE uint64_t
sixteen_digits(__m128i digits)
{
    const __m128i tens = _mm_set1_epi16(0x010a);
    const __m128i hundreds = _mm_set1_epi32(0x00010064);
    const __m128i myriads = _mm_set1_epi32(0x00012710);
    __m128i pairs = _mm_maddubs_epi16(digits, tens);
    __m128i fours = _mm_madd_epi16(pairs, hundreds);
    __m128i eights = _mm_madd_epi16(_mm_packus_epi32(fours, fours), myriads);
    uint64_t both = (uint64_t)_mm_cvtsi128_si64(eights);
    return (both & UINT32_MAX) * 100000000 + (both >> 32);
}

/* A value of up to 16 digits and point, with 16 readable bytes in front of its end. False where
 * it is any other; the steps depend on no length. */
INLINE bool
short_value(const uint8_t *text, size_t size, struct weir_decimal *out)
{
    static const uint8_t keep[32] = {[16 ... 31] = 0xff};
    bool negative = text[0] == '-', integer = text[size - 1] == 'i';
    const uint8_t *end = text + size - integer;
    size_t count = size - integer - negative;
    if (WEIR_UNLIKELY(count - 1 > 15))
        return false;
    __m128i bytes = _mm_loadu_si128((const __m128i *)(end - 16));
    __m128i digits = _mm_sub_epi8(bytes, _mm_set1_epi8('0'));
    __m128i in_range = _mm_cmpeq_epi8(_mm_min_epu8(digits, _mm_set1_epi8(9)), digits);
    __m128i points = _mm_cmpeq_epi8(bytes, _mm_set1_epi8('.'));
    unsigned wanted = 0xffffu << (16 - count) & 0xffff;
    unsigned digit_bits = (unsigned)_mm_movemask_epi8(in_range) & wanted;
    unsigned point_bits = (unsigned)_mm_movemask_epi8(points) & wanted;
    if (WEIR_UNLIKELY((digit_bits | point_bits) != wanted || digit_bits == 0
            || (point_bits & (point_bits - 1 + integer)) != 0))
        return false;
    unsigned point_at = (unsigned)__builtin_ctz(point_bits | 0x10000);
    digits = _mm_and_si128(digits, _mm_loadu_si128((const __m128i *)(keep + count)));
    digits = _mm_shuffle_epi8(digits, _mm_loadu_si128((const __m128i *)without_dot[point_at]));
    uint64_t mantissa = sixteen_digits(digits);
    if (WEIR_UNLIKELY(mantissa > (uint64_t)WEIR_MANTISSA_MAX
            || (mantissa == 0 && negative && !integer)))
        return false;
    int exponent = point_at < 16 && mantissa != 0 ? (int)point_at - 15 : 0;
    *out = (struct weir_decimal){negative ? -mantissa : mantissa, (int8_t)exponent,
        WEIR_VALUE_DECIMAL};
    return true;
}

/* What the lines of one call share. */
struct state {
    const struct weir_parse_context *context;
    const struct weir_packet *packet;
    struct weir_parsed *out;
    struct last_time last;
};

/* Time of text..text + size in ms; false where it is none, or one that a rule refuses. */
INLINE bool
read_time(struct state *state, const uint8_t *text, size_t size, int64_t *time_ms)
{
    struct last_time *last = &state->last;
    bool comparable = size >= 8 && size <= 24;
    uint64_t first = load8(text), middle = load8(text + 8), end = load8(text + size - 8);
    middle = size > 16 ? middle : 0;
    if (WEIR_LIKELY(comparable && size == last->size
            && ((first ^ last->first) | (middle ^ last->middle) | (end ^ last->last)) == 0)) {
        *time_ms = last->time_ms;
        return true;
    }
    int64_t time;
    if (weir_int_read(text, size, &time) != WEIR_DECIMAL_OK
        || !weir_time_ms(time, state->packet->time_unit, time_ms)
        || weir_time_reason(state->context, *time_ms) != WEIR_REASON_NONE)
        return false;
    *last = (struct last_time){first, middle, end, comparable ? size : 0, *time_ms};
    return true;
}

struct line {
    size_t start; /* all places in the window */
    size_t key_end;
    size_t fields_end;
    size_t end;
    int64_t time_ms;
    uint32_t points;
    uint32_t rounded;
};

INLINE bool
read_field(struct state *state, const struct window *window, struct line *line,
    const struct sums *sums, size_t at, size_t equals, size_t end)
{
    struct weir_parsed *out = state->out;
    const uint8_t *value = window->base + equals + 1;
    size_t size = end - equals - 1;
    struct weir_decimal number;
    /* 16 bytes in front of the value's end may lie in front of the packet */
    if (WEIR_UNLIKELY(value + size < state->packet->data + 17
            || !short_value(value, size, &number))
        && !weir_influx_usual_value(value, size, &line->rounded, &number))
        return false;
    WEIR_DCHECK(out->point_count + line->points < WEIR_POINTS_MAX);
    struct weir_point *point = &out->points[out->point_count + line->points];
    point->raw = key_join(state->context->key, sums, window->base + at, equals - at);
    point->time_ms = line->time_ms;
    point->value = number.value;
    point->exponent = number.exponent;
    point->kind = number.kind;
    point->field = (uint16_t)line->points;
    point->record = out->record_count;
    line->points++;
    return true;
}

INLINE bool
read_fields(struct state *state, const struct window *window, struct line *line)
{
    struct sums sums = key_begin(state->context->key, window->base + line->start,
        line->key_end - line->start);
    size_t at = line->key_end + 1, left = line->fields_end - at;
    uint64_t marks = marks_from(window, at) & _bzhi_u64(UINT64_MAX, (unsigned)left & 127);
    /* one field, as in most text of agents that send one metric a line */
    if (WEIR_LIKELY(left < BLOCK && (marks & (marks - 1)) == 0))
        return marks != 0
            && read_field(state, window, line, &sums, at, at + _tzcnt_u64(marks),
                line->fields_end);
    for (;;) {
        size_t equals = next_mark(window, at, line->fields_end);
        if (equals == line->fields_end)
            return false;
        size_t end = next_mark(window, equals + 1, line->fields_end);
        if (!read_field(state, window, line, &sums, at, equals, end))
            return false;
        if (end == line->fields_end)
            return true;
        at = end + 1;
    }
}

/* Takes the line; false where it is not usual. */
INLINE bool
take_line(struct state *state, const struct window *window, struct line *line)
{
    const uint8_t *base = window->base;
    size_t digits = line->fields_end + 1;
    if (WEIR_UNLIKELY(line->end >= window->bad || base[line->key_end] != ' '
            || base[line->fields_end] != ' ' || base[line->end] != '\n'
            || base[line->start] == '#' || line->key_end - line->start > WEIR_HASH_BLOCK
            || line->fields_end - line->key_end > WEIR_HASH_BLOCK))
        return false;
    if (WEIR_UNLIKELY(base + line->end < state->packet->data + 8
            || !read_time(state, base + digits, line->end - digits, &line->time_ms)))
        return false;
    if (!read_fields(state, window, line))
        return false;
    struct weir_parsed *out = state->out;
    out->records[out->record_count++] = (struct weir_record){
        .text = base + line->start,
        .size = (uint32_t)(line->end - line->start),
        .point_first = out->point_count,
        .point_count = line->points,
        .reason = WEIR_REASON_NONE,
    };
    out->point_count += line->points;
    out->integers_rounded += line->rounded;
    return true;
}

/* Takes the window's lines. Returns the place behind the last one; *usual is false where the
 * next one is known not to be usual. */
INLINE size_t
take_lines(struct state *state, const struct window *window, bool *usual)
{
    struct weir_parsed *out = state->out;
    const uint16_t *white = window->white, *end = white + window->white_count;
    size_t at = 0;
    for (; end - white >= 3 && out->record_count < WEIR_RECORDS_MAX
         && out->point_count < WEIR_POINTS_TARGET;
         white += 3) {
        struct line line = {
            .start = at, .key_end = white[0], .fields_end = white[1], .end = white[2]};
        *usual = take_line(state, window, &line);
        if (WEIR_UNLIKELY(!*usual))
            return at;
        at = line.end + 1;
    }
    *usual = window->bad == SIZE_MAX;
    return at;
}

size_t
WEIR_USUAL_FN(const struct weir_parse_context *context, const struct weir_packet *packet,
    size_t at, struct weir_parsed *out)
{
    /* uninitialised: zeros would cost as much as the lines of a packet */
    __attribute__((uninitialized)) struct window window;
    struct state state = {.context = context, .packet = packet, .out = out};
    bool usual = true;
    size_t taken = 1;
    while (usual && taken > 0 && at < packet->size && out->record_count < WEIR_RECORDS_MAX
        && out->point_count < WEIR_POINTS_TARGET) {
        scan(&window, packet->data + at, packet->size - at);
        taken = take_lines(&state, &window, &usual);
        at += taken;
    }
    return at;
}
