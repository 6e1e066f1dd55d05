#include "dataplane/protocol/influx/frame.h"

#include "dataplane/protocol/influx/influx.h"

#include "model/metrics.h"
#include "model/packet.h"

#include <string.h>

struct weir_influx_decoder
weir_influx_window(const uint8_t *data, size_t size, size_t at, bool final)
{
    bool whole = size - at <= WEIR_LINE_MAX;
    return (struct weir_influx_decoder){.data = data,
        .size = whole ? size : at + WEIR_LINE_MAX + 1,
        .at = at,
        .final = whole && final};
}

/* Position after the first newline of from..size, or 0. */
static size_t
behind_newline(const uint8_t *data, size_t from, size_t size)
{
    const uint8_t *newline = memchr(data + from, '\n', size - from);
    return newline == NULL ? 0 : (size_t)(newline + 1 - data);
}

/* Behind the first newline that a string hides which nothing has closed; 0 where there is none. */
static size_t
behind_hidden_newline(const struct weir_influx_decoder *decoder)
{
    if (decoder->string_at == 0)
        return 0;
    return behind_newline(decoder->data, decoder->string_at, decoder->at);
}

bool
weir_influx_end(const struct weir_influx_decoder *decoder, enum weir_influx_result result,
    size_t size, size_t start, size_t *end, uint8_t *reason)
{
    bool whole = size - start <= WEIR_LINE_MAX;
    *end = decoder->at;
    *reason = WEIR_REASON_NONE;
    if (result != WEIR_INFLUX_BAD && result != WEIR_INFLUX_MORE)
        return true;
    if (result == WEIR_INFLUX_MORE && whole)
        return false;
    size_t hidden = behind_hidden_newline(decoder);
    *reason = WEIR_REASON_unclosed_string;
    if (hidden != 0) {
        *end = hidden;
        return true;
    }
    if (result == WEIR_INFLUX_BAD) {
        /* an open string that reached the end of all was never closed */
        if (decoder->string_at == 0 || decoder->at < decoder->size)
            *reason = WEIR_REASON_bad_line;
        if (decoder->section == WEIR_INFLUX_AT_END)
            return true;
        *end = behind_newline(decoder->data, decoder->at, decoder->size);
        if (*end != 0)
            return true;
        if (whole) {
            *end = size;
            return decoder->final;
        }
    }
    *reason = WEIR_REASON_line_too_long;
    *end = behind_newline(decoder->data, start + WEIR_LINE_MAX, size);
    if (*end == 0)
        *end = size;
    return true;
}

/* Walks over a record's parts. OK or what stopped it, and where. */
static enum weir_influx_result
walk(struct weir_influx_decoder *decoder, size_t *stopped_at)
{
    struct weir_slice name, value;
    struct weir_influx_field field;
    union weir_influx_value number;
    int64_t time;
    enum weir_influx_result result = weir_influx_measurement(decoder, &name);
    if (result == WEIR_INFLUX_OK) {
        while ((result = weir_influx_tag(decoder, &name, &value)) == WEIR_INFLUX_OK)
            ;
        result = result == WEIR_INFLUX_END ? WEIR_INFLUX_OK : result;
    }
    while (result == WEIR_INFLUX_OK) {
        result = weir_influx_field(decoder, &field);
        if (result == WEIR_INFLUX_OK && weir_influx_value(&field, &number) != WEIR_INFLUX_OK) {
            *stopped_at = (size_t)(field.value.data - decoder->data);
            return WEIR_INFLUX_BAD;
        }
    }
    *stopped_at = decoder->at;
    if (result != WEIR_INFLUX_END)
        return result;
    result = weir_influx_time(decoder, &time);
    if (result == WEIR_INFLUX_BAD && decoder->section != WEIR_INFLUX_AT_END)
        *stopped_at = decoder->at;
    return result;
}

/* Also the value that is none, or the quote of a string that is never closed. */
size_t
weir_influx_refused_at(const uint8_t *data, size_t size, size_t at)
{
    struct weir_influx_decoder decoder = weir_influx_window(data, size, at, true);
    size_t stopped_at = at;
    if (weir_influx_begin(&decoder) == WEIR_INFLUX_OK)
        (void)walk(&decoder, &stopped_at);
    return decoder.string_at != 0 ? decoder.string_at - 1 : stopped_at;
}
