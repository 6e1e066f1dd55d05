#include "controlplane/promql/parse/go_text.h"

#include "base/double_text.h"

#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

int32_t
weir_promql_rune(const char *data, size_t size, unsigned *width)
{
    static const int32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    const uint8_t *bytes = (const uint8_t *)data;
    *width = 1;
    if (size == 0) {
        *width = 0;
        return WEIR_PROMQL_RUNE_EOF;
    }
    if (bytes[0] < 0x80)
        return bytes[0];
    unsigned count = bytes[0] >= 0xf0 ? 4 : bytes[0] >= 0xe0 ? 3 : 2;
    if (bytes[0] < 0xc2 || bytes[0] > 0xf4 || count > size)
        return WEIR_PROMQL_RUNE_ERROR;
    int32_t rune = bytes[0] & (0xff >> (count + 1));
    for (unsigned i = 1; i < count; i++) {
        if ((bytes[i] & 0xc0) != 0x80)
            return WEIR_PROMQL_RUNE_ERROR;
        rune = rune << 6 | (bytes[i] & 0x3f);
    }
    if (rune < least[count] || rune > 0x10ffff || (rune >= 0xd800 && rune < 0xe000))
        return WEIR_PROMQL_RUNE_ERROR;
    *width = count;
    return rune;
}

size_t
weir_promql_runes(struct weir_promql_text text, size_t count)
{
    size_t used = 0;
    for (unsigned width; count > 0 && used < text.size; count--, used += width)
        (void)weir_promql_rune(text.data + used, text.size - used, &width);
    return used;
}

bool
weir_promql_text_is(struct weir_promql_text text, const char *word)
{
    return text.size == strlen(word) && memcmp(text.data, word, text.size) == 0;
}

bool
weir_promql_text_equal(struct weir_promql_text a, struct weir_promql_text b)
{
    return a.size == b.size && (a.size == 0 || memcmp(a.data, b.data, a.size) == 0);
}

bool
weir_promql_label_is_plain(struct weir_promql_text name)
{
    for (uint32_t i = 0; i < name.size; i++) {
        char c = name.data[i];
        bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
        if (!letter && (i == 0 || c < '0' || c > '9'))
            return false;
    }
    return name.size > 0;
}

const char *
weir_promql_format(struct weir_promql_arena *arena, const char *format, ...)
{
    va_list args, again;
    va_start(args, format);
    va_copy(again, args);
    int size = vsnprintf(NULL, 0, format, args);
    va_end(args);
    char *out = size < 0 ? NULL : weir_promql_arena_alloc(arena, (size_t)size + 1);
    if (out != NULL)
        vsnprintf(out, (size_t)size + 1, format, again);
    va_end(again);
    return out;
}

static bool
printable(int32_t rune)
{
    static const int32_t ranges[][2] = {
#define WEIR_PRINTABLE(first, last) {first, last},
#include "controlplane/promql/parse/printable.def"
#undef WEIR_PRINTABLE
    };
    if (rune < 0x80)
        return rune >= ' ' && rune < 0x7f;
    size_t low = 0, high = sizeof ranges / sizeof ranges[0];
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (rune > ranges[middle][1])
            low = middle + 1;
        else
            high = middle;
    }
    return low < sizeof ranges / sizeof ranges[0] && rune >= ranges[low][0];
}

/* One character of a quoted string; bytes are those it was read from. */
static size_t
escape(int32_t rune, const char *bytes, unsigned width, char quote, char out[12])
{
    static const char controls[] = "\a\b\f\n\r\t\v", letters[] = "abfnrtv";
    const char *found;
    if (rune == quote || rune == '\\')
        return (size_t)sprintf(out, "\\%c", (char)rune);
    if (rune == WEIR_PROMQL_RUNE_ERROR && width == 1)
        return (size_t)sprintf(out, "\\x%02x", (unsigned)(uint8_t)bytes[0]);
    if (printable(rune)) {
        memcpy(out, bytes, width);
        return width;
    }
    if (rune != 0 && rune < 0x80 && (found = strchr(controls, rune)) != NULL)
        return (size_t)sprintf(out, "\\%c", letters[found - controls]);
    if (rune < ' ' || rune == 0x7f)
        return (size_t)sprintf(out, "\\x%02x", (unsigned)rune);
    return (size_t)sprintf(out, rune < 0x10000 ? "\\u%04x" : "\\U%08x", (unsigned)rune);
}

size_t
weir_promql_quote(struct weir_promql_text text, char *out)
{
    char piece[16];
    size_t used = 0;
    if (out != NULL)
        out[used] = '"';
    used++;
    unsigned width;
    for (uint32_t i = 0; i < text.size; i += width) {
        int32_t rune = weir_promql_rune(text.data + i, text.size - i, &width);
        size_t size = escape(rune, text.data + i, width, '"', piece);
        if (out != NULL)
            memcpy(out + used, piece, size);
        used += size;
    }
    if (out != NULL)
        out[used] = '"';
    return used + 1;
}

const char *
weir_promql_quoted(struct weir_promql_arena *arena, struct weir_promql_text text)
{
    char *out = weir_promql_arena_alloc(arena, weir_promql_quote(text, NULL) + 1);
    if (out != NULL)
        (void)weir_promql_quote(text, out);
    return out;
}

static size_t
encode_rune(int32_t rune, char out[4])
{
    if (rune < 0x80) {
        out[0] = (char)rune;
        return 1;
    }
    unsigned count = rune < 0x800 ? 2 : rune < 0x10000 ? 3 : 4;
    for (unsigned i = count; i > 1; i--, rune >>= 6)
        out[i - 1] = (char)(0x80 | (rune & 0x3f));
    out[0] = (char)((0xf00 >> count) | rune);
    return count;
}

const char *
weir_promql_quoted_rune(struct weir_promql_arena *arena, int32_t rune)
{
    char bytes[4], piece[16];
    if (rune == WEIR_PROMQL_RUNE_EOF)
        rune = WEIR_PROMQL_RUNE_ERROR;
    unsigned width = (unsigned)encode_rune(rune, bytes);
    size_t size = escape(rune, bytes, width, '\'', piece);
    return weir_promql_format(arena, "'%.*s'", (int)size, piece);
}

const char *
weir_promql_rune_name(struct weir_promql_arena *arena, int32_t rune)
{
    char bytes[4];
    size_t size = encode_rune(rune, bytes);
    if (!printable(rune))
        return weir_promql_format(arena, "U+%04X", (unsigned)rune);
    return weir_promql_format(arena, "U+%04X '%.*s'", (unsigned)rune, (int)size, bytes);
}

static int32_t
digits(const char *data, unsigned count, unsigned base)
{
    char text[9];
    memcpy(text, data, count);
    text[count] = '\0';
    return (int32_t)strtoul(text, NULL, (int)base);
}

/* Reads one escape, the backslash already passed. Returns the bytes it took. */
static unsigned
unescape(const char *data, char *out, size_t *written)
{
    static const char letters[] = "abfnrtv", controls[] = "\a\b\f\n\r\t\v";
    const char *found = strchr(letters, data[0]);
    *written = 1;
    switch (data[0]) {
    case 'x':
        out[0] = (char)digits(data + 1, 2, 16);
        return 3;
    case 'u':
        *written = encode_rune(digits(data + 1, 4, 16), out);
        return 5;
    case 'U':
        *written = encode_rune(digits(data + 1, 8, 16), out);
        return 9;
    default:
        break;
    }
    if (data[0] >= '0' && data[0] <= '7') {
        out[0] = (char)digits(data, 3, 8);
        return 3;
    }
    out[0] = found != NULL ? controls[found - letters] : data[0];
    return 1;
}

enum weir_err
weir_promql_unquote(struct weir_promql_arena *arena, struct weir_promql_text token,
    struct weir_promql_text *out)
{
    struct weir_promql_text inner = {token.data + 1, token.size - 2};
    if (token.data[0] == '`' || memchr(inner.data, '\\', inner.size) == NULL) {
        *out = inner;
        return WEIR_OK;
    }
    char *copy = weir_promql_arena_alloc(arena, inner.size);
    if (copy == NULL)
        return WEIR_NOMEM;
    uint32_t used = 0;
    for (uint32_t i = 0; i < inner.size;) {
        if (inner.data[i] != '\\') {
            copy[used++] = inner.data[i++];
            continue;
        }
        size_t written;
        char piece[4];
        i += 1 + unescape(inner.data + i + 1, piece, &written);
        memcpy(copy + used, piece, written);
        used += (uint32_t)written;
    }
    *out = (struct weir_promql_text){copy, used};
    return WEIR_OK;
}

/* Underscores are allowed between digits, or between a prefix and a digit. */
static bool
underscores_fit(const char *text, size_t size)
{
    bool hex = size > 1 && text[0] == '0' && (text[1] == 'x' || text[1] == 'X');
    bool digit = hex;
    for (size_t i = hex ? 2 : 0; i < size; i++) {
        char c = text[i];
        bool is_digit = (c >= '0' && c <= '9') || (hex && strchr("abcdefABCDEF", c) != NULL);
        if (c == '_' && (!digit || i + 1 == size || text[i + 1] == '_'))
            return false;
        if (!is_digit && c != '_' && i > 0 && text[i - 1] == '_')
            return false;
        digit = is_digit;
    }
    return true;
}

static bool
all_digits(const char *text, unsigned base)
{
    char *end;
    (void)strtoull(text, &end, (int)base);
    return *text != '\0' && *end == '\0' && *text != '-' && *text != '+';
}

static const char *
read_hexadecimal(const char *text, double *out)
{
    errno = 0;
    unsigned long long value = strtoull(text, NULL, 16);
    *out = (double)value;
    return all_digits(text, 16) && errno == 0 && value <= INT64_MAX ? NULL : "invalid syntax";
}

/* A leading zero means octal where all digits allow it. */
static const char *
read_decimal(const char *text, double *out)
{
    errno = 0;
    if (text[0] == '0' && all_digits(text, 8)) {
        unsigned long long value = strtoull(text, NULL, 8);
        if (errno == 0 && value <= INT64_MAX) {
            *out = (double)value;
            return NULL;
        }
    }
    *out = strtod(text, NULL);
    return isinf(*out) && strncasecmp(text, "inf", 3) != 0 ? "value out of range" : NULL;
}

enum weir_err
weir_promql_number(struct weir_promql_arena *arena, struct weir_promql_text token, double *out,
    const char **problem)
{
    *out = 0;
    *problem = NULL;
    if (memchr(token.data, '_', token.size) != NULL && !underscores_fit(token.data, token.size)) {
        *problem = "invalid syntax";
        return WEIR_OK;
    }
    char *text = weir_promql_arena_alloc(arena, token.size + 1);
    if (text == NULL)
        return WEIR_NOMEM;
    size_t used = 0;
    for (uint32_t i = 0; i < token.size; i++)
        if (token.data[i] != '_')
            text[used++] = token.data[i];
    bool hex = text[0] == '0' && (text[1] == 'x' || text[1] == 'X');
    *problem = hex ? read_hexadecimal(text + 2, out) : read_decimal(text, out);
    return WEIR_OK;
}

/* Units from the longest on; each may occur once, in this order. */
static const struct {
    const char *name;
    uint64_t ns;
} units[] = {{"y", 31536000000000000}, {"w", 604800000000000}, {"d", 86400000000000},
    {"h", 3600000000000}, {"m", 60000000000}, {"s", 1000000000}, {"ms", 1000000}};
#define UNITS (sizeof units / sizeof units[0])

static enum weir_err
refuse(struct weir_promql_arena *arena, struct weir_promql_text token, const char **problem)
{
    const char *quoted = weir_promql_quoted(arena, token);
    *problem = quoted == NULL
        ? NULL
        : weir_promql_format(arena, "not a valid duration string: %s", quoted);
    return *problem == NULL ? WEIR_NOMEM : WEIR_OK;
}

static enum weir_err
refuse_unit(struct weir_promql_arena *arena, struct weir_promql_text token,
    struct weir_promql_text unit, const char **problem)
{
    const char *name = weir_promql_quoted(arena, unit), *whole = weir_promql_quoted(arena, token);
    *problem = name == NULL || whole == NULL
        ? NULL
        : weir_promql_format(arena, "unknown unit %s in duration %s", name, whole);
    return *problem == NULL ? WEIR_NOMEM : WEIR_OK;
}

enum weir_err
weir_promql_duration(struct weir_promql_arena *arena, struct weir_promql_text token,
    int64_t *out_ns, const char **problem)
{
    uint64_t sum = 0;
    size_t last = 0; /* units[last] and longer ones are no longer allowed; counted from 1 */
    *out_ns = 0;
    *problem = NULL;
    for (uint32_t i = 0; i < token.size;) {
        uint64_t value = 0;
        bool overflow = false;
        for (; i < token.size && token.data[i] >= '0' && token.data[i] <= '9'; i++)
            overflow |= __builtin_mul_overflow(value, 10, &value)
                || __builtin_add_overflow(value, (uint64_t)(token.data[i] - '0'), &value);
        if (overflow)
            return refuse(arena, token, problem);
        struct weir_promql_text unit = {token.data + i, 0};
        for (; i < token.size && (token.data[i] < '0' || token.data[i] > '9'); i++)
            unit.size++;
        size_t found = 0;
        while (found < UNITS && !weir_promql_text_is(unit, units[found].name))
            found++;
        if (found == UNITS)
            return refuse_unit(arena, token, unit, problem);
        if (found + 1 <= last)
            return refuse(arena, token, problem);
        last = found + 1;
        if (value > ((uint64_t)1 << 63) / units[found].ns
            || (sum += value * units[found].ns) > INT64_MAX) {
            *problem = "duration out of range";
            return WEIR_OK;
        }
    }
    *out_ns = (int64_t)sum;
    return WEIR_OK;
}

size_t
weir_promql_double(double value, bool plain, char out[WEIR_PROMQL_DOUBLE_MAX])
{
    return weir_double_text(value, plain ? WEIR_DOUBLE_PLAIN : WEIR_DOUBLE_GENERAL, out);
}

size_t
weir_promql_duration_text(int64_t ns, char out[WEIR_PROMQL_DURATION_MAX])
{
    char *at = out;
    if (ns % 1000000 != 0) {
        at += sprintf(at, "%lld.%09lld", (long long)(ns / 1000000000),
            (long long)(ns % 1000000000));
        while (at[-1] == '0')
            at--;
        return (size_t)(at - out);
    }
    if (ns == 0)
        return (size_t)sprintf(out, "0s");
    for (size_t i = 0; i < UNITS; i++) {
        /* years and weeks only where nothing remains: 90d reads better than 12w6d */
        if (i < 2 && ns % (int64_t)units[i].ns != 0)
            continue;
        int64_t count = ns / (int64_t)units[i].ns;
        if (count > 0)
            at += sprintf(at, "%lld%s", (long long)count, units[i].name);
        ns %= (int64_t)units[i].ns;
    }
    return (size_t)(at - out);
}
