#include "tests/fuzz/twin.h"

#include <ctype.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* The next word of line from *at on; its size, 0 at the end. */
static size_t
word(const uint8_t *line, size_t size, size_t *at, size_t *start)
{
    while (*at < size && (line[*at] == ' ' || line[*at] == '\t'))
        (*at)++;
    *start = *at;
    while (*at < size && line[*at] != ' ' && line[*at] != '\t')
        (*at)++;
    return *at - *start;
}

bool
twin_is_utf8(const uint8_t *text, size_t size)
{
    for (size_t i = 0; i < size;) {
        uint8_t c = text[i++];
        if (c < 0x80)
            continue;
        int more = c >= 0xf0 && c <= 0xf4 ? 3 : c >= 0xe0 && c < 0xf0 ? 2 : c >= 0xc2 && c < 0xe0;
        if (more == 0 || size - i < (size_t)more)
            return false;
        uint32_t rune = c & (0x3fu >> more);
        for (int k = 0; k < more; k++) {
            if (text[i] < 0x80 || text[i] > 0xbf)
                return false;
            rune = rune << 6 | (text[i++] & 0x3f);
        }
        if ((more == 2 && rune < 0x800) || (rune >= 0xd800 && rune <= 0xdfff)
            || (more == 3 && (rune < 0x10000 || rune > 0x10ffff)))
            return false;
    }
    return true;
}

static bool
good_path(const uint8_t *text, size_t size)
{
    for (size_t i = 0; i < size; i++)
        if (text[i] < ' ' || text[i] == 127)
            return false;
    return twin_is_utf8(text, size);
}

bool
twin_is_decimal(const uint8_t *text, size_t size)
{
    size_t i = 0, digits = 0;
    if (i < size && (text[i] == '+' || text[i] == '-'))
        i++;
    for (; i < size && isdigit(text[i]); i++)
        digits++;
    if (i < size && text[i] == '.')
        for (i++; i < size && isdigit(text[i]); i++)
            digits++;
    if (digits == 0)
        return false;
    if (i < size && (text[i] == 'e' || text[i] == 'E')) {
        i++;
        if (i < size && (text[i] == '+' || text[i] == '-'))
            i++;
        if (i == size)
            return false;
        for (; i < size && isdigit(text[i]); i++)
            ;
    }
    return i == size;
}

static bool
spells(const uint8_t *text, size_t size, const char *wanted)
{
    if (strlen(wanted) != size)
        return false;
    for (size_t i = 0; i < size; i++)
        if (tolower(text[i]) != wanted[i])
            return false;
    return true;
}

static bool
value_of(const uint8_t *text, size_t size, double *out)
{
    if (twin_is_decimal(text, size)) {
        *out = twin_double(text, size);
        return true;
    }
    bool sign = size > 0 && (text[0] == '-' || text[0] == '+');
    if (spells(text + sign, size - sign, "nan"))
        *out = NAN;
    else if (spells(text + sign, size - sign, "inf")
        || spells(text + sign, size - sign, "infinity"))
        *out = text[0] == '-' ? -INFINITY : INFINITY;
    else
        return false;
    return true;
}

/* A time as digits around a point that moves: the milliseconds are the digits before it. */
struct shifted {
    uint8_t *digits;
    size_t count;
    int64_t point; /* digits in front of the point; may lie outside */
    bool negative;
};

/* Digit i places in front of the point (0: the last one in front), 0 where there is none. */
static int
digit_at(const struct shifted *number, int64_t index)
{
    return index >= 0 && index < (int64_t)number->count ? number->digits[index] : 0;
}

/* The whole part, cut, capped at 2^64; *rest where anything is behind the point. */
static unsigned __int128
whole_part(const struct shifted *number, int64_t point, bool *rest)
{
    unsigned __int128 value = 0, cap = (unsigned __int128)1 << 64;
    for (int64_t i = 0; i < point && value < cap; i++) {
        if (i >= (int64_t)number->count && value == 0)
            break;
        value = value * 10 + (unsigned)digit_at(number, i);
    }
    *rest = false;
    for (int64_t i = point < 0 ? 0 : point; i < (int64_t)number->count; i++)
        *rest |= number->digits[i] != 0;
    return value < cap ? value : cap;
}

static bool
time_of(const struct twin *twin, const uint8_t *text, size_t size, int64_t *ms)
{
    if (!twin_is_decimal(text, size))
        return false;
    struct shifted number = {.digits = calloc(1, size + 1), .negative = text[0] == '-'};
    if (number.digits == NULL)
        abort();
    bool behind = false, rest;
    int64_t exponent = 0;
    for (size_t i = 0; i < size; i++) {
        if (text[i] == '.')
            behind = true;
        if (isdigit(text[i])) {
            number.digits[number.count++] = text[i] - '0';
            number.point += !behind;
        }
        if (text[i] == 'e' || text[i] == 'E') {
            bool down = text[i + 1] == '-';
            for (size_t k = i + 1; k < size; k++)
                if (isdigit(text[k]) && exponent < 1000000)
                    exponent = exponent * 10 + (text[k] - '0');
            exponent = down ? -exponent : exponent;
            break;
        }
    }
    number.point += exponent;
    unsigned __int128 value = whole_part(&number, number.point, &rest), e = 100000000000u;
    bool now = number.negative && value == 1 && !rest;
    int unit = twin->time_unit;
    if (unit == WEIR_TIME_AUTO)
        unit = value < e              ? WEIR_TIME_S
            : value < e * 1000        ? WEIR_TIME_MS
            : value < e * 1000 * 1000 ? WEIR_TIME_US
                                      : WEIR_TIME_NS;
    int move = unit == WEIR_TIME_S ? 3 : unit == WEIR_TIME_MS ? 0 : unit == WEIR_TIME_US ? -3 : -6;
    value = whole_part(&number, number.point + move, &rest);
    if (number.negative && rest)
        value++;
    free(number.digits);
    *ms = (int64_t)(number.negative ? -(uint64_t)value : (uint64_t)value);
    if (now)
        *ms = twin->receive_ms;
    return now || value <= (uint64_t)INT64_MAX + number.negative;
}

static void
one_line(struct twin *twin, const uint8_t *line, size_t size, bool newline)
{
    struct twin_record record = {
        .start = (size_t)(line - twin->text), .reason = WEIR_REASON_NONE};
    record.point_first = twin->point_count;
    if (size > WEIR_LINE_MAX) {
        record.size = WEIR_LINE_MAX;
        record.reason = WEIR_REASON_line_too_long;
        twin->records[twin->record_count++] = record;
        return;
    }
    if (size > 0 && line[size - 1] == '\r')
        size--;
    size_t at = 0, starts[4], sizes[4];
    for (int i = 0; i < 4; i++)
        sizes[i] = word(line, size, &at, &starts[i]);
    if (sizes[0] == 0)
        return;
    record.start += starts[0];
    record.size = size - starts[0];
    record.key_size = sizes[0];
    double value = 0;
    int64_t time_ms = 0;
    if (sizes[2] == 0 || sizes[3] != 0 || !good_path(line + starts[0], sizes[0])
        || !value_of(line + starts[1], sizes[1], &value)
        || !time_of(twin, line + starts[2], sizes[2], &time_ms)) {
        record.reason = WEIR_REASON_bad_line;
        if (twin->stream && !newline)
            record.reason = WEIR_REASON_cut_line;
    } else if (isnan(value)) {
        record.reason = WEIR_REASON_no_sample_accepted;
        twin->rejected[WEIR_REASON_not_a_number]++;
    } else if (time_ms < twin->time_min_ms || time_ms > twin->time_max_ms) {
        record.reason = time_ms < twin->time_min_ms ? WEIR_REASON_time_past
                                                    : WEIR_REASON_time_future;
        twin->rejected[record.reason]++;
    } else {
        struct twin_point *point = &twin->points[twin->point_count++];
        *point = (struct twin_point){.time_ms = time_ms};
        memcpy(&point->bits, &value, 8);
        record.point_count = 1;
    }
    twin->records[twin->record_count++] = record;
}

void
twin_graphite(struct twin *twin)
{
    size_t start = 0;
    for (size_t i = 0; i < twin->size; i++) {
        if (twin->text[i] == '\n') {
            one_line(twin, twin->text + start, i - start, true);
            start = i + 1;
        }
    }
    if (start < twin->size)
        one_line(twin, twin->text + start, twin->size - start, false);
}
