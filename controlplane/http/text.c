#include "controlplane/http/text.h"

#include "base/assert.h"
#include "base/double_text.h"

#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CAPACITY_FIRST 1024
#define INTEGERS_EXACT 9007199254740992.0 /* 2^53: integers below print as such */

void
weir_text_init(struct weir_text *text, size_t size_max)
{
    *text = (struct weir_text){.size_max = size_max};
}

void
weir_text_fini(struct weir_text *text)
{
    free(text->data);
    *text = (struct weir_text){0};
}

void
weir_text_clear(struct weir_text *text)
{
    text->size = 0;
    text->full = text->no_memory = false;
}

/* True if `more` bytes fit after size. */
static bool
reserve(struct weir_text *text, size_t more)
{
    if (text->full || more > text->size_max - text->size) {
        text->full = true;
        return false;
    }
    size_t needed = text->size + more;
    if (needed <= text->capacity)
        return true;
    size_t capacity = text->capacity == 0 ? CAPACITY_FIRST : text->capacity;
    while (capacity < needed)
        capacity *= 2;
    char *data = realloc(text->data, capacity);
    if (data == NULL) {
        text->full = text->no_memory = true;
        return false;
    }
    text->data = data;
    text->capacity = capacity;
    return true;
}

void
weir_text_trim(struct weir_text *text)
{
    char *data = text->size > 0 ? realloc(text->data, text->size) : NULL;
    if (data == NULL) /* empty, or it stays as it is */
        return;
    text->data = data;
    text->capacity = text->size;
}

char *
weir_text_room(struct weir_text *text, size_t size)
{
    return reserve(text, size) ? text->data + text->size : NULL;
}

void
weir_text_append(struct weir_text *text, const void *bytes, size_t size)
{
    if (size == 0 || !reserve(text, size))
        return;
    memcpy(text->data + text->size, bytes, size);
    text->size += size;
}

void
weir_text_puts(struct weir_text *text, const char *string)
{
    weir_text_append(text, string, strlen(string));
}

void
weir_text_format(struct weir_text *text, const char *format, ...)
{
    va_list args;
    va_list again;
    va_start(args, format);
    va_copy(again, args);
    int size = vsnprintf(NULL, 0, format, args);
    va_end(args);
    /* vsnprintf writes a zero after the text; its byte is reserved and not counted */
    if (size > 0 && reserve(text, (size_t)size + 1)) {
        vsnprintf(text->data + text->size, (size_t)size + 1, format, again);
        text->size += (size_t)size;
    }
    va_end(again);
}

void
weir_text_escape(struct weir_text *text, enum weir_escape kind, const void *bytes, size_t size)
{
    const uint8_t *at = bytes;
    const uint8_t *end = at + size;
    while (at < end) {
        char escaped[WEIR_ESCAPED_MAX];
        size_t used;
        size_t consumed = weir_escape_next(kind, at, (size_t)(end - at), escaped, &used);
        weir_text_append(text, used != 0 ? (const void *)escaped : at, used != 0 ? used : consumed);
        at += consumed;
    }
}

void
weir_json_string(struct weir_text *text, const void *bytes, size_t size)
{
    weir_text_append(text, "\"", 1);
    weir_text_escape(text, WEIR_ESCAPE_JSON, bytes, size);
    weir_text_append(text, "\"", 1);
}

size_t
weir_double_print(double value, char out[WEIR_DOUBLE_TEXT_MAX])
{
    WEIR_ASSERT(isfinite(value) && out != NULL);
    bool whole = value == trunc(value) && fabs(value) < INTEGERS_EXACT;
    size_t size = weir_double_text(value, whole ? WEIR_DOUBLE_PLAIN : WEIR_DOUBLE_C, out);
    out[size] = '\0';
    return size;
}

void
weir_json_double(struct weir_text *text, double value)
{
    if (isnan(value)) {
        weir_text_puts(text, "\"NaN\"");
    } else if (isinf(value)) {
        weir_text_puts(text, value > 0 ? "\"+Inf\"" : "\"-Inf\"");
    } else if (value == 0 && signbit(value)) {
        weir_text_puts(text, "-0.0"); /* many readers take -0 for an integer, which has no sign */
    } else {
        char number[WEIR_DOUBLE_TEXT_MAX];
        weir_text_append(text, number, weir_double_print(value, number));
    }
}

void
weir_json_seconds(struct weir_text *text, int64_t time_ms, bool three_decimals)
{
    uint64_t size = time_ms < 0 ? -(uint64_t)time_ms : (uint64_t)time_ms;
    char number[40];
    int used = snprintf(number, sizeof number, "%s%" PRIu64 ".%03u", time_ms < 0 ? "-" : "",
        size / 1000, (unsigned)(size % 1000));
    if (!three_decimals) {
        while (number[used - 1] == '0')
            used--;
        if (number[used - 1] == '.')
            used--;
    }
    weir_text_append(text, number, (size_t)used);
}
