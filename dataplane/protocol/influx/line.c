#include "dataplane/protocol/influx/line.h"

#include "base/utf8.h"
#include "model/sample.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Sets of bytes, as bits of byte_class. */
enum {
    ENDS_MEASUREMENT = 1,
    ENDS_KEY = 2,
    ENDS_STRING = 4,
    ENDS_VALUE = 8,
    ENDS_TIME = 16,
    ENDS_COMMENT = 32,
    WHITESPACE = 64,
};

#define CONTROL (ENDS_MEASUREMENT | ENDS_KEY | ENDS_TIME | ENDS_COMMENT)
#define LINE_END (CONTROL | ENDS_VALUE | WHITESPACE)

static const uint8_t byte_class[256] = {
    [0 ... 9] = CONTROL,
    ['\n'] = LINE_END,
    [11 ... 12] = CONTROL,
    ['\r'] = LINE_END,
    [14 ... 31] = CONTROL,
    [' '] = ENDS_MEASUREMENT | ENDS_KEY | ENDS_VALUE | ENDS_TIME | WHITESPACE,
    ['!'] = ENDS_TIME,
    ['"'] = ENDS_STRING | ENDS_TIME,
    ['#' ... '+'] = ENDS_TIME,
    [','] = ENDS_MEASUREMENT | ENDS_KEY | ENDS_VALUE | ENDS_TIME,
    ['.' ... '/'] = ENDS_TIME,
    [':' ... '<'] = ENDS_TIME,
    ['='] = ENDS_KEY | ENDS_TIME,
    ['>' ... '~'] = ENDS_TIME,
    [127] = CONTROL,
    [128 ... 255] = ENDS_TIME,
};

static inline bool
ends(uint8_t byte, uint8_t set)
{
    return (byte_class[byte] & set) != 0;
}

static inline bool
escapes(uint8_t byte, enum weir_influx_place place)
{
    switch (place) {
    case WEIR_INFLUX_MEASUREMENT:
        return byte == ',' || byte == ' ';
    case WEIR_INFLUX_KEY:
        return byte == ',' || byte == '=' || byte == ' ';
    case WEIR_INFLUX_TEXT:
        return byte == '"' || byte == '\\' || byte == 'n' || byte == 'r' || byte == 't';
    }
    return false;
}

/* The byte that an escaped one means. */
static inline uint8_t
escaped(uint8_t byte, enum weir_influx_place place)
{
    if (place != WEIR_INFLUX_TEXT)
        return byte;
    return byte == 'n' ? '\n' : byte == 'r' ? '\r' : byte == 't' ? '\t' : byte;
}

/* The meaning of the text's end where something must follow. */
static inline enum weir_influx_result
cut_short(const struct weir_influx_decoder *decoder)
{
    return decoder->final ? WEIR_INFLUX_BAD : WEIR_INFLUX_MORE;
}

static inline bool
at_byte(const struct weir_influx_decoder *decoder, uint8_t byte)
{
    return decoder->at < decoder->size && decoder->data[decoder->at] == byte;
}

static void
skip_spaces(struct weir_influx_decoder *decoder)
{
    while (at_byte(decoder, ' '))
        decoder->at++;
}

/* Reads bytes up to one of set; OK or MORE. */
static enum weir_influx_result
read_until(struct weir_influx_decoder *decoder, uint8_t set, struct weir_slice *out)
{
    size_t at = decoder->at;
    while (at < decoder->size && !ends(decoder->data[at], set))
        at++;
    *out = (struct weir_slice){decoder->data + decoder->at, at - decoder->at};
    decoder->at = at;
    return at == decoder->size && !decoder->final ? WEIR_INFLUX_MORE : WEIR_INFLUX_OK;
}

/* As take, where a backslash hides the byte it escapes; any other backslash is itself.
 * Returns all bytes of the token or'ed together. */
static uint8_t
skip_escaped(struct weir_influx_decoder *decoder, uint8_t set, enum weir_influx_place place,
    struct weir_slice *out)
{
    const uint8_t *data = decoder->data;
    size_t at = decoder->at, size = decoder->size;
    uint8_t all = 0;
    for (; at < size && (data[at] == '\\' || !ends(data[at], set)); at++) {
        all |= data[at];
        if (data[at] == '\\' && at + 1 < size && escapes(data[at + 1], place))
            at++;
    }
    *out = (struct weir_slice){data + decoder->at, at - decoder->at};
    decoder->at = at;
    return all;
}

/* `all` is what skip_escaped returned. Escapes are ASCII: the raw bytes show it. */
static inline bool
is_text(uint8_t all, struct weir_slice token)
{
    return (all & 0x80) == 0 || weir_utf8_valid(token.data, token.size);
}

/* OK, MORE, or BAD where the token is no UTF-8. */
static enum weir_influx_result
read_escaped(struct weir_influx_decoder *decoder, uint8_t set, enum weir_influx_place place,
    struct weir_slice *out)
{
    uint8_t all = skip_escaped(decoder, set, place, out);
    if (decoder->at == decoder->size && !decoder->final)
        return WEIR_INFLUX_MORE;
    return is_text(all, *out) ? WEIR_INFLUX_OK : WEIR_INFLUX_BAD;
}

/* Reads \n, \r\n, or the end of a final text, a \r before it too. OK, END (not there), MORE. */
static enum weir_influx_result
read_line_end(struct weir_influx_decoder *decoder)
{
    size_t left = decoder->size - decoder->at;
    if (left == 0)
        return decoder->final ? WEIR_INFLUX_OK : WEIR_INFLUX_MORE;
    const uint8_t *at = decoder->data + decoder->at;
    if (at[0] == '\n') {
        decoder->at++;
        return WEIR_INFLUX_OK;
    }
    if (at[0] != '\r')
        return WEIR_INFLUX_END;
    if (left == 1) {
        if (!decoder->final)
            return WEIR_INFLUX_MORE;
        decoder->at++;
        return WEIR_INFLUX_OK;
    }
    if (at[1] != '\n')
        return WEIR_INFLUX_END;
    decoder->at += 2;
    return WEIR_INFLUX_OK;
}

enum weir_influx_result
weir_influx_begin(struct weir_influx_decoder *decoder)
{
    size_t start = decoder->at;
    struct weir_slice comment;
    decoder->section = WEIR_INFLUX_IN_TAGS;
    decoder->string_at = 0;
    skip_spaces(decoder);
    if (decoder->at == decoder->size)
        return decoder->final ? WEIR_INFLUX_END : WEIR_INFLUX_MORE;
    uint8_t first = decoder->data[decoder->at];
    if (first != '#' && first != '\n' && first != '\r')
        return WEIR_INFLUX_OK;
    if (first == '#' && read_until(decoder, ENDS_COMMENT, &comment) == WEIR_INFLUX_MORE)
        return WEIR_INFLUX_MORE;
    enum weir_influx_result result = read_line_end(decoder);
    if (result == WEIR_INFLUX_OK)
        return WEIR_INFLUX_BLANK;
    if (result == WEIR_INFLUX_MORE)
        return result;
    /* A comment with a control character, or a lone \r: a record that measurement() refuses. */
    decoder->at = first == '#' ? start : decoder->at;
    return WEIR_INFLUX_OK;
}

/* Reads the comma after a measurement or a tag, if it is there; a tag must follow it. */
static enum weir_influx_result
read_tag_comma(struct weir_influx_decoder *decoder)
{
    if (!at_byte(decoder, ','))
        return WEIR_INFLUX_OK;
    decoder->at++;
    if (decoder->at == decoder->size)
        return cut_short(decoder);
    return ends(decoder->data[decoder->at], WHITESPACE) ? WEIR_INFLUX_BAD : WEIR_INFLUX_OK;
}

enum weir_influx_result
weir_influx_measurement(struct weir_influx_decoder *decoder, struct weir_slice *name)
{
    enum weir_influx_result result =
        read_escaped(decoder, ENDS_MEASUREMENT, WEIR_INFLUX_MEASUREMENT, name);
    if (result != WEIR_INFLUX_OK)
        return result;
    if (name->size == 0 || name->data[0] == '#')
        return WEIR_INFLUX_BAD;
    return read_tag_comma(decoder);
}

enum weir_influx_result
weir_influx_tag(struct weir_influx_decoder *decoder, struct weir_slice *key,
    struct weir_slice *value)
{
    if (decoder->section != WEIR_INFLUX_IN_TAGS)
        return WEIR_INFLUX_END;
    if (at_byte(decoder, ' ')) {
        skip_spaces(decoder);
        decoder->section = WEIR_INFLUX_IN_FIELDS;
        return WEIR_INFLUX_END;
    }
    enum weir_influx_result result = read_escaped(decoder, ENDS_KEY, WEIR_INFLUX_KEY, key);
    if (result != WEIR_INFLUX_OK)
        return result;
    if (key->size == 0 || !at_byte(decoder, '='))
        return WEIR_INFLUX_BAD;
    decoder->at++;
    result = read_escaped(decoder, ENDS_KEY, WEIR_INFLUX_KEY, value);
    if (result != WEIR_INFLUX_OK)
        return result;
    return value->size == 0 ? WEIR_INFLUX_BAD : read_tag_comma(decoder);
}

/* Reads the value at `at`, which is no string, and finds its kind by first and last byte. */
static enum weir_influx_result
read_plain_value(struct weir_influx_decoder *decoder, struct weir_influx_field *field)
{
    uint8_t first = decoder->data[decoder->at];
    bool word = first == 't' || first == 'T' || first == 'f' || first == 'F';
    if (!word && first != '-' && first != '.' && (first < '0' || first > '9'))
        return WEIR_INFLUX_BAD;
    enum weir_influx_result result = read_until(decoder, ENDS_VALUE, &field->value);
    if (result != WEIR_INFLUX_OK)
        return result;
    uint8_t last = field->value.data[field->value.size - 1];
    if (word) {
        field->kind = WEIR_INFLUX_BOOL;
    } else if (last == 'i' || last == 'u') {
        field->kind = last == 'i' ? WEIR_INFLUX_INT : WEIR_INFLUX_UINT;
        field->value.size--;
    } else {
        field->kind = WEIR_INFLUX_FLOAT;
    }
    return WEIR_INFLUX_OK;
}

/* A quote closes a string only where the field ends after it: what any other quote seems to close
 * was never closed, and string_at stays. */
static enum weir_influx_result
read_string(struct weir_influx_decoder *decoder, struct weir_influx_field *field)
{
    decoder->string_at = ++decoder->at;
    field->kind = WEIR_INFLUX_STRING;
    uint8_t all = skip_escaped(decoder, ENDS_STRING, WEIR_INFLUX_TEXT, &field->value);
    if (decoder->at == decoder->size)
        return cut_short(decoder);
    decoder->at++;
    if (decoder->at == decoder->size && !decoder->final)
        return WEIR_INFLUX_MORE;
    if (decoder->at < decoder->size && decoder->data[decoder->at] != ',' &&
        !ends(decoder->data[decoder->at], WHITESPACE))
        return WEIR_INFLUX_BAD;
    decoder->string_at = 0;
    return is_text(all, field->value) ? WEIR_INFLUX_OK : WEIR_INFLUX_BAD;
}

/* Reads the end of a field: a comma and the next one, the line's end, or spaces and a time. */
static enum weir_influx_result
read_field_end(struct weir_influx_decoder *decoder)
{
    if (at_byte(decoder, ',')) {
        decoder->at++;
        return WEIR_INFLUX_OK;
    }
    if (decoder->at < decoder->size && !ends(decoder->data[decoder->at], WHITESPACE))
        return WEIR_INFLUX_BAD;
    skip_spaces(decoder);
    enum weir_influx_result result = read_line_end(decoder);
    if (result == WEIR_INFLUX_MORE)
        return result;
    decoder->section = result == WEIR_INFLUX_OK ? WEIR_INFLUX_AT_END : WEIR_INFLUX_IN_TIME;
    return WEIR_INFLUX_OK;
}

enum weir_influx_result
weir_influx_field(struct weir_influx_decoder *decoder, struct weir_influx_field *field)
{
    if (decoder->section != WEIR_INFLUX_IN_FIELDS)
        return WEIR_INFLUX_END;
    enum weir_influx_result result =
        read_escaped(decoder, ENDS_KEY, WEIR_INFLUX_KEY, &field->key);
    if (result != WEIR_INFLUX_OK)
        return result;
    if (field->key.size == 0 || !at_byte(decoder, '='))
        return WEIR_INFLUX_BAD;
    decoder->at++;
    if (decoder->at == decoder->size)
        return cut_short(decoder);
    result = at_byte(decoder, '"') ? read_string(decoder, field)
                                   : read_plain_value(decoder, field);
    return result == WEIR_INFLUX_OK ? read_field_end(decoder) : result;
}

enum weir_influx_result
weir_influx_time(struct weir_influx_decoder *decoder, int64_t *time)
{
    if (decoder->section != WEIR_INFLUX_IN_TIME)
        return WEIR_INFLUX_END;
    struct weir_slice digits;
    enum weir_influx_result result = read_until(decoder, ENDS_TIME, &digits);
    if (result != WEIR_INFLUX_OK)
        return result;
    if (digits.size == 0
        || (decoder->at < decoder->size && !ends(decoder->data[decoder->at], WHITESPACE)))
        return WEIR_INFLUX_BAD;
    skip_spaces(decoder);
    result = read_line_end(decoder);
    if (result != WEIR_INFLUX_OK)
        return result == WEIR_INFLUX_MORE ? result : WEIR_INFLUX_BAD;
    decoder->section = WEIR_INFLUX_AT_END;
    return weir_int_read(digits.data, digits.size, time) == WEIR_DECIMAL_OK ? WEIR_INFLUX_OK
                                                                            : WEIR_INFLUX_BAD;
}

size_t
weir_influx_unescape(struct weir_slice raw, enum weir_influx_place place, uint8_t *out)
{
    size_t used = 0;
    for (size_t i = 0; i < raw.size; i++) {
        if (raw.data[i] == '\\' && i + 1 < raw.size && escapes(raw.data[i + 1], place))
            out[used++] = escaped(raw.data[++i], place);
        else
            out[used++] = raw.data[i];
    }
    return used;
}

static bool
read_bool(struct weir_slice text, bool *out)
{
    static const char *const words[] = {"t", "T", "true", "True", "TRUE", "f", "F", "false",
        "False", "FALSE"};
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        if (strlen(words[i]) == text.size && memcmp(words[i], text.data, text.size) == 0) {
            *out = i < 5;
            return true;
        }
    }
    return false;
}

static inline bool
is_hex_digit(uint8_t byte)
{
    uint8_t letter = byte | 0x20;
    return (byte >= '0' && byte <= '9') || (letter >= 'a' && letter <= 'f');
}

static inline bool
is_digit_of(uint8_t byte, bool hex)
{
    return hex ? is_hex_digit(byte) : byte >= '0' && byte <= '9';
}

/* Each underscore is between two digits; 0x counts as a digit. */
static bool
underscores_between_digits(const uint8_t *text, size_t size, bool hex, size_t digits_at)
{
    for (size_t i = digits_at; i < size; i++) {
        if (text[i] != '_')
            continue;
        bool before = i > digits_at ? is_digit_of(text[i - 1], hex) : hex;
        if (!before || i + 1 == size || !is_digit_of(text[i + 1], hex))
            return false;
    }
    return true;
}

#define SPELL_DIGITS 800 /* more cannot matter: see decimal.c */

/* A number respelled as integer digits and an exponent. */
struct spelling {
    char text[SPELL_DIGITS + 64];
    size_t used;
    int64_t exponent;
};

/* Takes the mantissa from *at on, its underscores and point away. False without a digit. */
static bool
spell_mantissa(const uint8_t *text, size_t size, size_t *at, bool hex, struct spelling *out)
{
    size_t first = out->used;
    int64_t unit = hex ? 4 : 1; /* of the exponent, for one digit */
    bool point = false, seen = false, cut = false;
    for (; *at < size; (*at)++) {
        uint8_t byte = text[*at];
        if (byte == '.' && !point) {
            point = true;
        } else if (is_digit_of(byte, hex)) {
            seen = true;
            if (out->used - first < SPELL_DIGITS) {
                if (out->used > first || byte != '0')
                    out->text[out->used++] = (char)byte;
                out->exponent -= point ? unit : 0;
            } else {
                cut |= byte != '0';
                out->exponent += point ? 0 : unit;
            }
        } else if (byte != '_') {
            break;
        }
    }
    if (cut || out->used == first) {
        out->text[out->used++] = cut ? '1' : '0';
        out->exponent -= cut ? unit : 0;
    }
    return seen;
}

/* Adds the exponent's digits from `at` to the end; false where it is malformed. */
static bool
spell_exponent(const uint8_t *text, size_t size, size_t at, struct spelling *out)
{
    bool negative = at < size && text[at] == '-';
    if (at < size && (text[at] == '-' || text[at] == '+'))
        at++;
    if (at == size || !is_digit_of(text[at], false))
        return false;
    int64_t value = 0;
    for (; at < size; at++) {
        if (text[at] == '_')
            continue;
        if (!is_digit_of(text[at], false))
            return false;
        if (value < 1000000)
            value = value * 10 + (text[at] - '0');
    }
    out->exponent += negative ? -value : value;
    return true;
}

/* The floats of Go that the decimal grammar lacks: hexadecimal ones, which need an exponent of
 * two, and underscores between digits. */
static enum weir_decimal_result
read_go_float(struct weir_slice slice, struct weir_decimal *out)
{
    const uint8_t *text = slice.data;
    size_t size = slice.size, at = size > 0 && text[0] == '-';
    bool hex = at + 2 < size && text[at] == '0' && (text[at + 1] | 0x20) == 'x';
    struct spelling spelling = {.used = 0};
    if (at > 0)
        spelling.text[spelling.used++] = '-';
    if (hex) {
        spelling.text[spelling.used++] = '0';
        spelling.text[spelling.used++] = 'x';
        at += 2;
    }
    if (!underscores_between_digits(text, size, hex, at)
        || !spell_mantissa(text, size, &at, hex, &spelling))
        return WEIR_DECIMAL_SYNTAX;
    if (at < size && (text[at] | 0x20) == (hex ? 'p' : 'e')) {
        if (!spell_exponent(text, size, at + 1, &spelling))
            return WEIR_DECIMAL_SYNTAX;
    } else if (hex || at < size) {
        return WEIR_DECIMAL_SYNTAX;
    }
    spelling.used += (size_t)snprintf(spelling.text + spelling.used, 32, "%c%lld",
        hex ? 'p' : 'e', (long long)spelling.exponent);
    if (!hex)
        return weir_decimal_read((const uint8_t *)spelling.text, spelling.used, out);
    double value = strtod(spelling.text, NULL);
    weir_decimal_from_double(value, out);
    return isinf(value) ? WEIR_DECIMAL_RANGE : WEIR_DECIMAL_OK;
}

static enum weir_decimal_result
read_float(struct weir_slice text, struct weir_decimal *out)
{
    enum weir_decimal_result result = weir_decimal_read(text.data, text.size, out);
    return result == WEIR_DECIMAL_SYNTAX ? read_go_float(text, out) : result;
}

enum weir_influx_result
weir_influx_value(const struct weir_influx_field *field, union weir_influx_value *value)
{
    struct weir_slice text = field->value;
    enum weir_decimal_result result = WEIR_DECIMAL_OK;
    switch ((enum weir_influx_kind)field->kind) {
    case WEIR_INFLUX_FLOAT:
        result = read_float(text, &value->number);
        break;
    case WEIR_INFLUX_INT:
        result = weir_int_read(text.data, text.size, &value->integer);
        break;
    case WEIR_INFLUX_UINT:
        result = weir_uint_read(text.data, text.size, &value->natural);
        break;
    case WEIR_INFLUX_BOOL:
        return read_bool(text, &value->truth) ? WEIR_INFLUX_OK : WEIR_INFLUX_BAD;
    case WEIR_INFLUX_STRING:
        break;
    }
    return result == WEIR_DECIMAL_OK ? WEIR_INFLUX_OK : WEIR_INFLUX_BAD;
}
