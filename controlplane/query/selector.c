#include "controlplane/query/selector.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

struct cursor {
    const char *text;
    size_t size;
    size_t at;
    char *out; /* end of the decoded bytes; decoding never grows them */
};

static bool
is_name_byte(char c, bool metric)
{
    if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9'))
        return true;
    if (c == '_' || (unsigned char)c >= 0x80)
        return true;
    return c == '.' || c == '-' || c == '/' || (metric && c == ':');
}

static int
peek(const struct cursor *cursor)
{
    return cursor->at < cursor->size ? (unsigned char)cursor->text[cursor->at] : -1;
}

static void
skip_space(struct cursor *cursor)
{
    int c = peek(cursor);
    while (c == ' ' || c == '\t' || c == '\n' || c == '\r') {
        cursor->at++;
        c = peek(cursor);
    }
}

static bool
skip_char(struct cursor *cursor, char wanted)
{
    if (peek(cursor) != (unsigned char)wanted)
        return false;
    cursor->at++;
    return true;
}

static enum weir_err
fail(const struct cursor *cursor, const char *expected)
{
    return weir_fail(WEIR_INVALID, 0, "selector: expected %s at byte %zu", expected, cursor->at);
}

static int
digit_value(int c, int base)
{
    int value = 99;
    if (c >= '0' && c <= '9')
        value = c - '0';
    else if (c >= 'a' && c <= 'f')
        value = c - 'a' + 10;
    else if (c >= 'A' && c <= 'F')
        value = c - 'A' + 10;
    return value < base ? value : -1;
}

static bool
read_number(struct cursor *cursor, int digits, int base, uint32_t *out)
{
    uint32_t value = 0;
    for (int i = 0; i < digits; i++) {
        int digit = digit_value(peek(cursor), base);
        if (digit < 0)
            return false;
        value = value * (uint32_t)base + (uint32_t)digit;
        cursor->at++;
    }
    *out = value;
    return true;
}

static bool
put_utf8(struct cursor *cursor, uint32_t code)
{
    char *out = cursor->out;
    if (code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff))
        return false;
    if (code < 0x80) {
        *out++ = (char)code;
    } else if (code < 0x800) {
        *out++ = (char)(0xc0 | code >> 6);
        *out++ = (char)(0x80 | (code & 0x3f));
    } else if (code < 0x10000) {
        *out++ = (char)(0xe0 | code >> 12);
        *out++ = (char)(0x80 | (code >> 6 & 0x3f));
        *out++ = (char)(0x80 | (code & 0x3f));
    } else {
        *out++ = (char)(0xf0 | code >> 18);
        *out++ = (char)(0x80 | (code >> 12 & 0x3f));
        *out++ = (char)(0x80 | (code >> 6 & 0x3f));
        *out++ = (char)(0x80 | (code & 0x3f));
    }
    cursor->out = out;
    return true;
}

/* The rest of an escape after the backslash, by the rules of Go's string literals. */
static bool
read_escape(struct cursor *cursor, char quote)
{
    static const char from[] = "abfnrtv\\";
    static const char to[] = "\a\b\f\n\r\t\v\\";
    uint32_t value;
    int c = peek(cursor);
    const char *simple = c > 0 ? strchr(from, c) : NULL;
    if (simple != NULL || c == quote) {
        *cursor->out++ = simple != NULL ? to[simple - from] : quote;
        cursor->at++;
        return true;
    }
    if (c >= '0' && c <= '7') {
        if (!read_number(cursor, 3, 8, &value) || value > 0xff)
            return false;
        *cursor->out++ = (char)value;
        return true;
    }
    cursor->at++;
    if (c == 'x') {
        if (!read_number(cursor, 2, 16, &value))
            return false;
        *cursor->out++ = (char)value;
        return true;
    }
    if (c != 'u' && c != 'U')
        return false;
    return read_number(cursor, c == 'u' ? 4 : 8, 16, &value) && put_utf8(cursor, value);
}

static enum weir_err
read_quoted(struct cursor *cursor, const char **string, size_t *size)
{
    int quote = peek(cursor);
    if (quote != '"' && quote != '\'' && quote != '`')
        return fail(cursor, "a quoted string");
    cursor->at++;
    *string = cursor->out;
    for (;;) {
        int c = peek(cursor);
        if (c < 0 || (c == '\n' && quote != '`'))
            return fail(cursor, "the end of the quoted string");
        cursor->at++;
        if (c == quote)
            break;
        if (c == '\\' && quote != '`') {
            if (!read_escape(cursor, (char)quote))
                return fail(cursor, "an escape that Go's strings know");
        } else {
            *cursor->out++ = (char)c;
        }
    }
    *size = (size_t)(cursor->out - *string);
    *cursor->out++ = '\0';
    return WEIR_OK;
}

/* A bare or quoted name. *quoted: which of both. */
static enum weir_err
read_name(struct cursor *cursor, bool metric, const char **name, size_t *size, bool *quoted)
{
    int c = peek(cursor);
    *quoted = c == '"' || c == '\'' || c == '`';
    if (*quoted)
        return read_quoted(cursor, name, size);
    *name = cursor->out;
    for (; c >= 0 && is_name_byte((char)c, metric); c = peek(cursor)) {
        *cursor->out++ = (char)c;
        cursor->at++;
    }
    *size = (size_t)(cursor->out - *name);
    *cursor->out++ = '\0';
    return *size != 0 ? WEIR_OK : fail(cursor, metric ? "a metric name or {" : "a label name");
}

static enum weir_err
add_match(struct weir_selector *selector, const struct weir_match *match)
{
    if (selector->count == WEIR_SELECTOR_MATCHES_MAX)
        return weir_fail(WEIR_INVALID, 0, "selector: more than %d matchers",
            WEIR_SELECTOR_MATCHES_MAX);
    selector->matches[selector->count++] = *match;
    return WEIR_OK;
}

static enum weir_err
read_operator(struct cursor *cursor, enum weir_match_kind *kind)
{
    bool negated = skip_char(cursor, '!');
    *kind = negated ? WEIR_MATCH_NOT_EQUAL : WEIR_MATCH_EQUAL;
    bool equals = skip_char(cursor, '=');
    if (peek(cursor) == '~')
        return weir_fail(WEIR_UNSUPPORTED, 0, "selector: regular expressions (=~ and !~) are not "
            "supported here yet; use = or !=");
    return equals ? WEIR_OK : fail(cursor, "= or !=");
}

/* One matcher, or a quoted metric name alone. */
static enum weir_err
read_matcher(struct weir_selector *selector, struct cursor *cursor)
{
    struct weir_match match;
    size_t name_size;
    bool quoted;
    enum weir_err err = read_name(cursor, false, &match.name, &name_size, &quoted);
    if (err != WEIR_OK)
        return err;
    skip_space(cursor);
    if (quoted && (peek(cursor) == ',' || peek(cursor) == '}')) {
        match = (struct weir_match){WEIR_NAME_LABEL, match.name, name_size, WEIR_MATCH_EQUAL};
        return add_match(selector, &match);
    }
    if (name_size == 0 || strlen(match.name) != name_size)
        return fail(cursor, "a label name that is not empty and holds no zero byte");
    err = read_operator(cursor, &match.kind);
    skip_space(cursor);
    if (err == WEIR_OK)
        err = read_quoted(cursor, &match.value, &match.value_size);
    return err == WEIR_OK ? add_match(selector, &match) : err;
}

static enum weir_err
read_braces(struct weir_selector *selector, struct cursor *cursor)
{
    skip_space(cursor);
    while (!skip_char(cursor, '}')) {
        enum weir_err err = read_matcher(selector, cursor);
        if (err != WEIR_OK)
            return err;
        skip_space(cursor);
        if (!skip_char(cursor, ',') && peek(cursor) != '}')
            return fail(cursor, ", or }");
        skip_space(cursor);
    }
    return WEIR_OK;
}

static enum weir_err
read_selector(struct weir_selector *selector, struct cursor *cursor)
{
    enum weir_err err = WEIR_OK;
    skip_space(cursor);
    if (peek(cursor) != '{') {
        struct weir_match name = {.name = WEIR_NAME_LABEL, .kind = WEIR_MATCH_EQUAL};
        bool quoted;
        err = read_name(cursor, true, &name.value, &name.value_size, &quoted);
        if (err == WEIR_OK && quoted)
            return fail(cursor, "a quoted metric name to be inside braces");
        if (err == WEIR_OK)
            err = add_match(selector, &name);
    }
    skip_space(cursor);
    if (err == WEIR_OK && skip_char(cursor, '{'))
        err = read_braces(selector, cursor);
    skip_space(cursor);
    if (err == WEIR_OK && cursor->at != cursor->size)
        err = fail(cursor, peek(cursor) == '=' ? "{ before labels, as in metric{label=\"value\"}"
            : "the end of the selector (what PromQL has besides is not supported yet)");
    return err;
}

/* True where some matcher refuses a series without that label. */
static bool
selects_something(const struct weir_selector *selector)
{
    for (size_t i = 0; i < selector->count; i++) {
        bool empty = selector->matches[i].value_size == 0;
        if (empty == (selector->matches[i].kind == WEIR_MATCH_NOT_EQUAL))
            return true;
    }
    return false;
}

enum weir_err
weir_selector_init(struct weir_selector *selector, const char *text, size_t size)
{
    selector->count = 0;
    /* a decoded string is no longer than its text; a bare name's terminator takes the place of an
     * operator, brace or the end */
    selector->bytes = malloc(size + 2);
    if (selector->bytes == NULL)
        return weir_fail(WEIR_NOMEM, 0, "selector of %zu bytes", size);
    struct cursor cursor = {.text = text, .size = size, .out = selector->bytes};
    enum weir_err err = read_selector(selector, &cursor);
    if (err == WEIR_OK && !selects_something(selector))
        err = weir_fail(WEIR_INVALID, 0, "selector: at least one matcher must refuse the empty "
            "value, because it must not select every series");
    if (err != WEIR_OK)
        weir_selector_fini(selector);
    return err;
}

void
weir_selector_fini(struct weir_selector *selector)
{
    free(selector->bytes);
    selector->bytes = NULL;
    selector->count = 0;
}
