/* Compiled once for each instruction set, with WEIR_FAST_FN as the name of its one function. */
#include "dataplane/protocol/influx/fast.h"

#include "dataplane/protocol/common/time.h"
#include "dataplane/protocol/influx/key.h"
#include "dataplane/protocol/influx/window.h"
#include "model/sample.h"

#include <immintrin.h>
#include <string.h>

/* A value is read by the 16 bytes that end with it, and the byte in front of it. */
#define VALUE_BYTES 17
#define TIME_BYTES 32

/* Row d takes the byte at d out and moves those in front of it up by one; row 16 moves none. */
#define NONE 0x80
static const uint8_t without_byte[17][16] = {
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

/* Of a number whose point was the byte at d of 16; row 16: it had none. */
static const int8_t exponents[17] = {
    -15, -14, -13, -12, -11, -10, -9, -8, -7, -6, -5, -4, -3, -2, -1, 0, 0};

/* The number that 16 digits (0 to 9, not ASCII) spell, the first in the lowest byte. */
WEIR_INLINE uint64_t
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

/* A value of up to 16 bytes but for its sign: digits, a point, an i; 16 bytes in front of its end
 * are readable. False where it is any other. The steps depend on no length. */
WEIR_INLINE bool
short_value(const uint8_t *text, const uint8_t *end, struct weir_decimal *out)
{
    static const uint8_t keep[32] = {[16 ... 31] = 0xff};
    bool negative = text[0] == '-';
    size_t count = (size_t)(end - text) - negative;
    if (WEIR_UNLIKELY(count - 1 > 15))
        return false;
    __m128i bytes = _mm_loadu_si128((const __m128i *)(end - 16));
    __m128i digits = _mm_and_si128(_mm_sub_epi8(bytes, _mm_set1_epi8('0')),
        _mm_loadu_si128((const __m128i *)(keep + count)));
    __m128i points = _mm_cmpeq_epi8(digits, _mm_set1_epi8('.' - '0'));
    /* an integer ends with i: the i is skipped, as is a point at the end of a number */
    unsigned place_bits = (unsigned)_mm_movemask_epi8(points) | (end[-1] == 'i') << 15;
    unsigned place = (unsigned)__builtin_ctz(place_bits | 0x10000);
    digits = _mm_shuffle_epi8(digits, _mm_loadu_si128((const __m128i *)without_byte[place]));
    __m128i over = _mm_subs_epu8(digits, _mm_set1_epi8(9));
    if (WEIR_UNLIKELY(!_mm_testz_si128(over, over) || (count == 1 && place_bits != 0)))
        return false;
    uint64_t mantissa = sixteen_digits(digits);
    if (WEIR_UNLIKELY(mantissa > (uint64_t)WEIR_MANTISSA_MAX || (mantissa == 0 && negative)))
        return false;
    int exponent = mantissa != 0 ? exponents[place] : 0;
    *out = (struct weir_decimal){negative ? -mantissa : mantissa, (int8_t)exponent,
        WEIR_VALUE_DECIMAL};
    return true;
}

/* The last time read, by its text and the newline after it: the lines of a packet mostly share
 * it. */
struct last_time {
    __m256i text;
    uint32_t bytes; /* bits of those that are the text's; all of them at first, which no text is */
    int64_t time_ms;
};

/* State that the lines of one call share. */
struct state {
    const struct weir_parse_context *context;
    const struct weir_packet *packet;
    struct weir_parsed *out;
    const uint8_t *value_end_min; /* values that end before it are read another way */
    struct weir_record *record;   /* the next one */
    struct weir_point *point;     /* the next one */
    uint32_t record_at;
    uint32_t rounded;
    struct last_time last;
};

/* Places in the window. */
struct line {
    size_t start;
    size_t key_end;
    size_t fields_end;
    size_t end;
};

/* Time of text..text + size in ms, with a newline after it; false where it is none, or one that
 * a rule refuses. */
WEIR_INLINE bool
read_time(struct state *state, const uint8_t *text, size_t size, int64_t *time_ms)
{
    struct last_time *last = &state->last;
    __m256i bytes = _mm256_loadu_si256((const __m256i *)text);
    uint32_t same = (uint32_t)_mm256_movemask_epi8(_mm256_cmpeq_epi8(bytes, last->text));
    if (WEIR_LIKELY((~same & last->bytes) == 0)) {
        *time_ms = last->time_ms;
        return true;
    }
    int64_t time;
    if (weir_int_read(text, size, &time) != WEIR_DECIMAL_OK
        || !weir_time_ms(time, state->packet->time_unit, time_ms)
        || weir_time_reason(state->context, *time_ms) != WEIR_REASON_NONE)
        return false;
    if (size < TIME_BYTES)
        *last = (struct last_time){bytes, _bzhi_u32(UINT32_MAX, (unsigned)size + 1), *time_ms};
    return true;
}

/* Fields of a line that has been found simple so far. */
struct fields {
    struct sums sums; /* of the line's key */
    int64_t time_ms;
    uint32_t points;
    uint32_t rounded;
};

WEIR_INLINE bool
read_field(struct state *state, struct fields *fields, const uint8_t *name,
    const uint8_t *equals, const uint8_t *end)
{
    struct weir_decimal number;
    /* 16 bytes in front of the value's end may begin before the packet */
    if (WEIR_UNLIKELY(end < state->value_end_min || !short_value(equals + 1, end, &number))) {
        uint32_t rounded = 0;
        if (!weir_influx_fast_value(equals + 1, (size_t)(end - equals - 1), &rounded, &number))
            return false;
        fields->rounded += rounded;
    }
    WEIR_DCHECK(state->point + fields->points < state->out->points + WEIR_POINTS_MAX);
    struct weir_point *point = &state->point[fields->points];
    point->raw = key_join(state->context->key, &fields->sums, name, (size_t)(equals - name));
    point->time_ms = fields->time_ms;
    point->value = number.value;
    point->exponent = number.exponent;
    point->kind = number.kind;
    point->field = (uint16_t)fields->points;
    point->record = state->record_at;
    fields->points++;
    return true;
}

WEIR_INLINE bool
read_fields(struct state *state, const struct window *window, const struct line *line,
    struct fields *fields)
{
    const uint8_t *base = window->base;
    size_t at = line->key_end + 1, left = line->fields_end - at;
    uint64_t marks = _bzhi_u64(marks_from(window, at), (unsigned)left & 127);
    /* one field, as in most text of agents that send one metric a line */
    if (WEIR_LIKELY(left <= MARKS_BITS && _blsr_u64(marks) == 0))
        return marks != 0
            && read_field(state, fields, base + at, base + at + _tzcnt_u64(marks),
                base + line->fields_end);
    if (left > WEIR_HASH_BLOCK)
        return false;
    for (;;) {
        size_t equals = next_mark(window, at, line->fields_end);
        if (equals == line->fields_end)
            return false;
        size_t end = next_mark(window, equals + 1, line->fields_end);
        if (!read_field(state, fields, base + at, base + equals, base + end))
            return false;
        if (end == line->fields_end)
            return true;
        at = end + 1;
    }
}

/* Parses the line; false where it is not simple. */
WEIR_INLINE bool
parse_line(struct state *state, const struct window *window, const struct line *line)
{
    const uint8_t *base = window->base;
    const uint8_t *text = base + line->start;
    size_t key_size = line->key_end - line->start, digits = line->fields_end + 1;
    if (WEIR_UNLIKELY(base[line->key_end] != ' ' || base[line->fields_end] != ' '
            || base[line->end] != '\n' || text[0] == '#' || key_size > WEIR_HASH_BLOCK))
        return false;
    struct fields fields;
    fields.points = 0;
    fields.rounded = 0;
    if (WEIR_UNLIKELY(!read_time(state, base + digits, line->end - digits, &fields.time_ms)))
        return false;
    fields.sums = key_begin(state->context->key, text, key_size);
    if (WEIR_UNLIKELY(!read_fields(state, window, line, &fields)))
        return false;
    *state->record++ = (struct weir_record){
        .text = text,
        .size = (uint32_t)(line->end - line->start),
        .point_first = (uint32_t)(state->point - state->out->points),
        .point_count = fields.points,
        .reason = WEIR_REASON_NONE,
    };
    state->record_at++;
    state->point += fields.points;
    state->rounded += fields.rounded;
    return true;
}

/* Parses the window's lines. Returns the place after the last one; *fast is false where the
 * next one is known not to be simple. */
WEIR_INLINE size_t
parse_lines(struct state *state, const struct window *window, bool *fast)
{
    const struct weir_point *points_end = state->out->points + WEIR_POINTS_TARGET;
    size_t lines = window->white_count / 3, room = WEIR_RECORDS_MAX - state->record_at;
    const uint16_t *white = window->white, *end = white + 3 * (lines < room ? lines : room);
    size_t at = 0;
    for (; white < end && state->point < points_end; white += 3) {
        struct line line = {
            .start = at, .key_end = white[0], .fields_end = white[1], .end = white[2]};
        if (WEIR_UNLIKELY(!parse_line(state, window, &line))) {
            *fast = false;
            return at;
        }
        at = line.end + 1;
    }
    *fast = window->whole;
    return at;
}

size_t
WEIR_FAST_FN(const struct weir_parse_context *context, const struct weir_packet *packet,
    size_t at, struct weir_parsed *out)
{
    /* uninitialised: zeros would cost as much as the lines of a packet */
    __attribute__((uninitialized)) struct window window;
    struct state state = {
        .context = context,
        .packet = packet,
        .out = out,
        .value_end_min = packet->data + VALUE_BYTES,
        .record = out->records + out->record_count,
        .point = out->points + out->point_count,
        .record_at = out->record_count,
        .last = {.bytes = UINT32_MAX},
    };
    bool fast = true;
    size_t parsed = 1;
    while (fast && parsed > 0 && at < packet->size && state.record_at < WEIR_RECORDS_MAX
        && state.point < out->points + WEIR_POINTS_TARGET) {
        scan(&window, packet->data + at, packet->size - at);
        parsed = parse_lines(&state, &window, &fast);
        at += parsed;
    }
    out->record_count = state.record_at;
    out->point_count = (uint32_t)(state.point - out->points);
    out->integers_rounded += state.rounded;
    return at;
}
