#include "tests/promql/lines.h"

#include "base/assert.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static bool
is_blank(char byte)
{
    return byte == ' ' || byte == '\t' || byte == '\r';
}

struct weir_promql_text
lines_after(struct weir_promql_text text, size_t size)
{
    return (struct weir_promql_text){text.data + size, (uint32_t)(text.size - size)};
}

struct weir_promql_text
lines_trim(struct weir_promql_text text)
{
    while (text.size > 0 && is_blank(text.data[0]))
        text = lines_after(text, 1);
    while (text.size > 0 && is_blank(text.data[text.size - 1]))
        text.size--;
    return text;
}

bool
lines_starts_with(struct weir_promql_text text, const char *word)
{
    size_t size = strlen(word);
    return text.size >= size && memcmp(text.data, word, size) == 0;
}

bool
lines_next(struct lines *lines)
{
    if (lines->at == lines->end)
        return false;
    const char *newline = memchr(lines->at, '\n', (size_t)(lines->end - lines->at));
    const char *stop = newline == NULL ? lines->end : newline;
    lines->line = lines_trim((struct weir_promql_text){lines->at, (uint32_t)(stop - lines->at)});
    if (lines_starts_with(lines->line, "#"))
        lines->line.size = 0;
    lines->at = newline == NULL ? stop : stop + 1;
    lines->number++;
    return true;
}

struct weir_promql_text
lines_word(struct weir_promql_text *text)
{
    struct weir_promql_text word = {text->data, 0};
    while (word.size < text->size && !is_blank(word.data[word.size]))
        word.size++;
    *text = lines_trim(lines_after(*text, word.size));
    return word;
}

enum weir_err
lines_refuse(struct lines *lines, const char *format, ...)
{
    va_list arguments, again;
    WEIR_ASSERT(format != NULL);
    va_start(arguments, format);
    va_copy(again, arguments);
    int size = vsnprintf(NULL, 0, format, arguments);
    va_end(arguments);
    char *message = weir_promql_arena_alloc(lines->arena, (size_t)size + 1);
    if (message != NULL)
        (void)vsnprintf(message, (size_t)size + 1, format, again);
    va_end(again);
    if (message == NULL)
        return WEIR_NOMEM;
    lines->script->error_line = lines->number;
    lines->script->error = message;
    return WEIR_INVALID;
}

enum weir_err
lines_duration(struct lines *lines, struct weir_promql_text word, int64_t *out_ms)
{
    const char *problem = NULL;
    int64_t ns = 0;
    if (!weir_promql_text_is(word, "0")) {
        enum weir_err err = word.size == 0
            ? lines_refuse(lines, "a duration is missing")
            : weir_promql_duration(lines->arena, word, &ns, &problem);
        if (err != WEIR_OK)
            return err;
    }
    *out_ms = ns / 1000000;
    return problem == NULL ? WEIR_OK : lines_refuse(lines, "%s", problem);
}

enum weir_err
lines_number(struct lines *lines, struct weir_promql_text text, double *out, bool *is_number)
{
    const char *problem = "";
    bool minus = lines_starts_with(text, "-");
    if (minus || lines_starts_with(text, "+"))
        text = lines_after(text, 1);
    bool begins = text.size > 0 &&
        (strchr("0123456789.", text.data[0]) != NULL || weir_promql_text_is(text, "Inf") ||
            weir_promql_text_is(text, "NaN"));
    enum weir_err err = WEIR_OK;
    if (begins)
        err = weir_promql_number(lines->arena, text, out, &problem);
    if (minus)
        *out = -*out;
    *is_number = problem == NULL;
    return err;
}
