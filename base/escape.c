#include "base/escape.h"

#include "base/assert.h"
#include "base/utf8.h"

#include <stdarg.h>
#include <string.h>

#define LINE_SIZE 4096
#define REPLACEMENT 0xfffd /* U+FFFD */

/* Bits of byte_class: the kinds for which an ASCII byte is not printed as it is. */
#define IN(kind) (1u << WEIR_ESCAPE_##kind)
#define ALL 0x7fu
#define CONTROL ALL /* looked at closer by every kind */

static const uint8_t byte_class[256] = {
    [0 ... 31] = CONTROL,
    ['"'] = IN(QUOTED) | IN(JSON) | IN(LOGFMT) | IN(LABEL) | IN(HTML),
    ['\\'] = ALL & ~IN(HTML),
    ['&'] = IN(HTML),
    ['<'] = IN(HTML),
    ['>'] = IN(HTML),
    ['\''] = IN(HTML),
    [127] = CONTROL,
    [128 ... 255] = ALL,
};

/* C1 control characters, and those that turn or break a line of text. */
static bool
is_hidden(uint32_t code)
{
    return (code >= 0x80 && code <= 0x9f) || code == 0x61c || code == 0x200e || code == 0x200f ||
        (code >= 0x2028 && code <= 0x202e) || (code >= 0x2066 && code <= 0x2069);
}

static size_t
put(char out[WEIR_ESCAPED_MAX], const char *text)
{
    size_t size = strlen(text);
    WEIR_ASSERT(size < WEIR_ESCAPED_MAX);
    memcpy(out, text, size + 1);
    return size;
}

/* \x1b, or \u001b with four digits. */
static size_t
put_hex(char out[WEIR_ESCAPED_MAX], char letter, int digits, uint32_t code)
{
    return (size_t)snprintf(out, WEIR_ESCAPED_MAX, "\\%c%0*x", letter, digits, code & 0xffff);
}

static size_t
put_replacement(char out[WEIR_ESCAPED_MAX])
{
    return put(out, "\xef\xbf\xbd"); /* U+FFFD */
}

/* A byte that belongs to no UTF-8 sequence. */
static size_t
put_invalid(enum weir_escape kind, char out[WEIR_ESCAPED_MAX], uint8_t byte)
{
    if (kind == WEIR_ESCAPE_TERMINAL || kind == WEIR_ESCAPE_QUOTED)
        return put_hex(out, 'x', 2, byte);
    return kind == WEIR_ESCAPE_LOGFMT ? put(out, "\\ufffd") : put_replacement(out);
}

static size_t
put_html(char out[WEIR_ESCAPED_MAX], uint32_t code)
{
    switch (code) {
    case '"':
        return put(out, "&quot;");
    case '\'':
        return put(out, "&#39;");
    case '&':
        return put(out, "&amp;");
    case '<':
        return put(out, "&lt;");
    case '>':
        return put(out, "&gt;");
    case '\n':
    case '\r':
    case '\t':
        return 0;
    default:
        return put_replacement(out);
    }
}

/* A character that byte_class or is_hidden marks. Returns the length of its replacement in out; 0:
 * it is printed as it is. */
static size_t
put_special(enum weir_escape kind, char out[WEIR_ESCAPED_MAX], uint32_t code)
{
    if (kind == WEIR_ESCAPE_HTML)
        return put_html(out, code);
    switch (code) {
    case '"':
        return put(out, "\\\"");
    case '\\':
        return put(out, "\\\\");
    case '\n':
        return put(out, "\\n");
    default:
        break;
    }
    if (kind == WEIR_ESCAPE_LABEL || kind == WEIR_ESCAPE_HELP)
        return 0;
    if (code == '\t')
        return put(out, "\\t");
    if (code == '\r')
        return put(out, "\\r");
    bool short_form = code < 0x80 && (kind == WEIR_ESCAPE_TERMINAL || kind == WEIR_ESCAPE_QUOTED);
    return short_form ? put_hex(out, 'x', 2, code) : put_hex(out, 'u', 4, code);
}

size_t
weir_escape_next(enum weir_escape kind, const uint8_t *bytes, size_t size,
    char out[WEIR_ESCAPED_MAX], size_t *used)
{
    WEIR_ASSERT(size > 0 && kind <= WEIR_ESCAPE_HTML);
    size_t at = 0;
    while (at < size) {
        if ((byte_class[bytes[at]] & 1u << kind) == 0) {
            at++;
            continue;
        }
        uint32_t code;
        size_t length = weir_utf8_next(bytes + at, size - at, &code);
        size_t written = 0;
        if (length == 0)
            written = put_invalid(kind, out, bytes[at]);
        else if (code < 0x80 || is_hidden(code))
            written = put_special(kind, out, code);
        else if (code == REPLACEMENT && kind == WEIR_ESCAPE_QUOTED)
            written = put_hex(out, 'u', 4, code);
        if (written != 0 && at == 0) {
            *used = written;
            return length == 0 ? 1 : length;
        }
        if (written != 0)
            break;
        at += length;
    }
    *used = 0;
    return at;
}

/* Bytes of unescaped text that fit into room, cut between two characters. */
static size_t
cut(const uint8_t *bytes, size_t size, size_t room)
{
    if (size <= room)
        return size;
    while (room > 0 && (bytes[room] & 0xc0) == 0x80)
        room--;
    return room;
}

size_t
weir_escape_into(enum weir_escape kind, const void *bytes, size_t size, char *out, size_t room)
{
    const uint8_t *at = bytes;
    const uint8_t *end = at + size;
    size_t filled = 0;
    WEIR_ASSERT(room > 0);
    while (at < end) {
        char escaped[WEIR_ESCAPED_MAX];
        size_t used;
        size_t consumed = weir_escape_next(kind, at, (size_t)(end - at), escaped, &used);
        size_t wanted = used != 0 ? used : consumed;
        size_t left = room - 1 - filled;
        size_t fits = used != 0 ? (used <= left ? used : 0) : cut(at, consumed, left);
        memcpy(out + filled, used != 0 ? escaped : (const char *)at, fits);
        filled += fits;
        if (fits < wanted)
            break;
        at += consumed;
    }
    out[filled] = '\0';
    return filled;
}

void
weir_escape_print(enum weir_escape kind, const void *bytes, size_t size, FILE *out)
{
    const uint8_t *at = bytes;
    const uint8_t *end = at + size;
    while (at < end) {
        char escaped[WEIR_ESCAPED_MAX];
        size_t used;
        size_t consumed = weir_escape_next(kind, at, (size_t)(end - at), escaped, &used);
        (void)fwrite(used != 0 ? (const void *)escaped : at, 1, used != 0 ? used : consumed, out);
        at += consumed;
    }
}

void
weir_line_print(FILE *out, const char *format, ...)
{
    char line[LINE_SIZE];
    va_list args;
    va_start(args, format);
    int size = vsnprintf(line, sizeof line, format, args);
    va_end(args);
    if (size < 0)
        size = 0;
    if ((size_t)size >= sizeof line)
        size = sizeof line - 1;
    weir_escape_print(WEIR_ESCAPE_TERMINAL, line, (size_t)size, out);
    fputc('\n', out);
}
