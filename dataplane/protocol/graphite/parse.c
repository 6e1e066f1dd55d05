/* Graphite plaintext, plain and tagged; docs/format/graphite.md is the rule book.
 *
 * As for Influx, the simple line is taken in one pass over its structural bytes; a line with
 * anything else in it is split and judged byte by byte below.
 */
#include "base/utf8.h"
#include "dataplane/protocol/common/decimal.h"
#include "dataplane/protocol/common/record.h"
#include "dataplane/protocol/common/scan.h"
#include "dataplane/protocol/common/time.h"
#include "dataplane/protocol/graphite/graphite.h"
#include "model/sample.h"

#include <math.h>
#include <string.h>
#include <strings.h>

/* Only what ends a word: a path's tags are read where its series is not known. */
static const struct weir_scan_set structural = {{' ', ' ', ' ', ' '}};

/* Part 1 of the raw key. No field of an Influx line can be a newline: the two protocols' keys
 * never meet. */
static const uint8_t key_suffix[] = {'\n'};

struct parsing {
    const struct weir_parse_context *context;
    struct weir_packet *packet;
    struct weir_parsed *out;
    const uint8_t *data;
    size_t size;
    uint8_t end_byte; /* what the packet's end reads as: a newline where it ends a line */
    struct weir_hash128 suffix;
    struct weir_scan scan;
};

struct token {
    const uint8_t *data;
    size_t size;
};

static inline uint8_t
byte_at(const struct parsing *parsing, size_t at)
{
    return at < parsing->size ? parsing->data[at] : parsing->end_byte;
}

static inline bool
is_separator(uint8_t byte)
{
    return byte == ' ' || byte == '\t';
}

/* Adds the record and its one sample, unless the rules for values and times refuse it. */
static inline void
accept_line(struct parsing *parsing, struct token path, size_t size,
    const struct weir_decimal *number, int64_t time_ms)
{
    struct weir_parsed *out = parsing->out;
    uint8_t reason = weir_time_reason(parsing->context, time_ms);
    if (WEIR_UNLIKELY(
            number->kind == WEIR_VALUE_DOUBLE && isnan(weir_bits_double(number->value)))) {
        weir_parsed_reject(out, WEIR_REASON_not_a_number, 1);
        weir_record_add(out, path.data, size, 0, WEIR_REASON_no_sample_accepted);
        return;
    }
    if (WEIR_UNLIKELY(reason != WEIR_REASON_NONE)) {
        weir_parsed_reject(out, reason, 1);
        weir_record_add(out, path.data, size, 0, reason);
        return;
    }
    struct weir_hash128 key = weir_hash_part(parsing->context->key, 0, path.data, path.size);
    out->points[out->point_count] = (struct weir_point){
        .raw = weir_hash_join(key, parsing->suffix),
        .time_ms = time_ms,
        .value = number->value,
        .exponent = number->exponent,
        .kind = number->kind,
        .record = out->record_count,
    };
    weir_record_add(out, path.data, size, 1, WEIR_REASON_NONE);
}

/* Takes one line from start on if it is a simple one: ASCII, one separator between the parts, a
 * decimal value, a whole number as time. Returns the position after it, 0 if it is none. */
static inline size_t
parse_fast_line(struct parsing *parsing, size_t start)
{
    size_t path_end = weir_scan_next(&parsing->scan);
    if (path_end == start || !is_separator(byte_at(parsing, path_end)))
        return 0;
    size_t value = path_end + 1;
    size_t value_end = weir_scan_next(&parsing->scan);
    size_t time = value_end + 1;
    if (!is_separator(byte_at(parsing, value_end)))
        return 0;
    size_t end = weir_scan_next(&parsing->scan);
    size_t newline = end;
    if (byte_at(parsing, end) == '\r')
        newline = weir_scan_next(&parsing->scan);
    if (byte_at(parsing, newline) != '\n' || newline - end > 1 || newline - start > WEIR_LINE_MAX)
        return 0;
    struct weir_decimal number;
    int64_t stamp, time_ms;
    if (weir_decimal_read(parsing->data + value, value_end - value, &number) != WEIR_DECIMAL_OK
        || weir_int_read(parsing->data + time, end - time, &stamp) != WEIR_DECIMAL_OK)
        return 0;
    if (stamp == -1)
        time_ms = parsing->packet->receive_ms;
    else if (!weir_time_ms(stamp, parsing->packet->time_unit, &time_ms))
        return 0;
    accept_line(parsing, (struct token){parsing->data + start, path_end - start}, end - start,
        &number, time_ms);
    return newline + (newline < parsing->size);
}

/* Splits a line at spaces and tabs. False where it has not exactly three parts. */
static bool
split(const uint8_t *text, size_t size, struct token parts[3])
{
    size_t count = 0, at = 0;
    for (;;) {
        while (at < size && is_separator(text[at]))
            at++;
        if (at == size)
            return count == 3;
        if (count == 3)
            return false;
        size_t start = at;
        while (at < size && !is_separator(text[at]))
            at++;
        parts[count++] = (struct token){text + start, at - start};
    }
}

static bool
path_valid(struct token path)
{
    for (size_t i = 0; i < path.size; i++)
        if (path.data[i] < 0x20 || path.data[i] == 0x7f)
            return false;
    return weir_utf8_valid(path.data, path.size);
}

static bool
is_word(const uint8_t *text, size_t size, const char *word)
{
    return strlen(word) == size && strncasecmp((const char *)text, word, size) == 0;
}

/* A decimal number, too large a one being infinite as for Python's float(), or inf, infinity or
 * nan in any case. */
static bool
read_value(struct token text, struct weir_decimal *out)
{
    if (weir_decimal_read(text.data, text.size, out) != WEIR_DECIMAL_SYNTAX)
        return true;
    bool negative = text.data[0] == '-';
    size_t sign = negative || text.data[0] == '+';
    const uint8_t *word = text.data + sign;
    size_t size = text.size - sign;
    if (is_word(word, size, "inf") || is_word(word, size, "infinity"))
        weir_decimal_from_double(negative ? -HUGE_VAL : HUGE_VAL, out);
    else if (is_word(word, size, "nan"))
        weir_decimal_from_double(NAN, out);
    else
        return false;
    return true;
}

/* mantissa x 10^exponent, cut to a whole number; past 64 bits UINT64_MAX. *rest says whether
 * anything was cut off. */
static uint64_t
whole_number(const struct weir_digits *digits, int32_t exponent, bool *rest)
{
    uint64_t value = digits->mantissa;
    *rest = digits->cut;
    if (value == 0)
        return 0;
    for (; exponent > 0; exponent--)
        if (__builtin_mul_overflow(value, 10, &value))
            return UINT64_MAX;
    for (; exponent < 0 && value != 0; exponent++) {
        *rest |= value % 10 != 0;
        value /= 10;
    }
    return value;
}

/* A time with sign, fraction or exponent, to whole milliseconds below it, exactly. */
static bool
read_time(struct token text, const struct weir_packet *packet, int64_t *time_ms)
{
    static const int8_t scale[] = {
        [WEIR_TIME_S] = 3, [WEIR_TIME_MS] = 0, [WEIR_TIME_US] = -3, [WEIR_TIME_NS] = -6};
    struct weir_digits digits;
    bool rest;
    if (!weir_digits_read(text.data, text.size, &digits))
        return false;
    uint64_t whole = whole_number(&digits, digits.exponent, &rest);
    if (digits.negative && whole == 1 && !rest) {
        *time_ms = packet->receive_ms;
        return true;
    }
    uint8_t unit = packet->time_unit;
    if (unit == WEIR_TIME_AUTO)
        unit = weir_time_unit_of(whole > INT64_MAX ? INT64_MAX : (int64_t)whole);
    whole = whole_number(&digits, digits.exponent + scale[unit], &rest);
    uint64_t limit = (uint64_t)INT64_MAX + digits.negative;
    bool step = digits.negative && rest; /* towards the past */
    if (whole > limit - step)
        return false;
    whole += step;
    *time_ms = (int64_t)(digits.negative ? -whole : whole);
    return true;
}

/* The first of the three parts that is wrong; where one is missing, the line's end. */
size_t
weir_graphite_refused_at(const uint8_t *data, size_t size, size_t at)
{
    const struct weir_packet packet = {.time_unit = WEIR_TIME_AUTO};
    const uint8_t *newline = memchr(data + at, '\n', size - at);
    size_t end = newline == NULL ? size : (size_t)(newline - data);
    end -= end > at && data[end - 1] == '\r';
    for (int part = 0; part < 4; part++) {
        struct weir_decimal number;
        int64_t time_ms;
        while (at < end && is_separator(data[at]))
            at++;
        struct token word = {data + at, 0};
        while (at + word.size < end && !is_separator(word.data[word.size]))
            word.size++;
        if (word.size == 0 || part == 3 || (part == 0 && !path_valid(word)) ||
            (part == 1 && !read_value(word, &number)) ||
            (part == 2 && !read_time(word, &packet, &time_ms)))
            break;
        at += word.size;
    }
    return at;
}

/* A last line of a connection without newline may be part of a longer one; a timestamp is the last
 * of its three parts. */
static bool
cut_off(const struct parsing *parsing, bool newline)
{
    return !newline && parsing->packet->stream;
}

/* Takes the line at *at, whatever it holds. False where its end is not there yet. */
static bool
parse_any_line(struct parsing *parsing, size_t *at)
{
    struct weir_text_line line;
    if (!weir_line_next(parsing->packet, at, parsing->out, &line))
        return false;
    if (line.text == NULL)
        return true;
    struct token parts[3] = {0};
    struct weir_decimal number;
    int64_t time_ms;
    bool good = split(line.text, line.size, parts);
    if (parts[0].size == 0) /* a blank line */
        return true;
    good = good && path_valid(parts[0]) && read_value(parts[1], &number)
        && read_time(parts[2], parsing->packet, &time_ms);
    size_t size = line.size - (size_t)(parts[0].data - line.text);
    if (good)
        accept_line(parsing, parts[0], size, &number, time_ms);
    else
        weir_record_add(parsing->out, parts[0].data, size, 0,
            cut_off(parsing, line.newline) ? WEIR_REASON_cut_line : WEIR_REASON_bad_line);
    return true;
}

size_t
weir_graphite_parse(const struct weir_parse_context *context, struct weir_packet *packet,
    size_t at, struct weir_parsed *out)
{
    struct parsing parsing = {
        .context = context,
        .packet = packet,
        .out = out,
        .data = packet->data,
        .size = packet->size,
        .end_byte = packet->final && !packet->stream ? '\n' : 0,
        .suffix = weir_hash_part(context->key, 1, key_suffix, sizeof key_suffix),
    };
    if (WEIR_UNLIKELY(packet->skip_line))
        at = weir_line_skip(packet, at);
    weir_scan_init(&parsing.scan, &structural, parsing.data, parsing.size);
    weir_scan_seek(&parsing.scan, at);
    while (at < parsing.size && weir_parsed_has_room(out)) {
        size_t behind = parse_fast_line(&parsing, at);
        if (WEIR_LIKELY(behind != 0)) {
            at = behind;
            continue;
        }
        if (!parse_any_line(&parsing, &at))
            break;
        weir_scan_seek(&parsing.scan, at);
    }
    return at;
}
