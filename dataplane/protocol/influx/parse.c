/* Influx line protocol; docs/format/influx.md is the rule book.
 *
 * Lines of the simplest form are taken many at a time where the CPU has the vectors for it
 * (fast.h). Of the others, a line that has no escape, quote or control character is taken
 * in one pass over its structural bytes (common/scan.h): each step looks only at the byte that ends
 * a token. Anything that pass does not expect is left to the complete decoder (line.h),
 * which alone decides what a bad line is and where it ends.
 */
#include "dataplane/protocol/common/record.h"
#include "dataplane/protocol/common/scan.h"
#include "dataplane/protocol/common/time.h"
#include "dataplane/protocol/influx/frame.h"
#include "dataplane/protocol/influx/influx.h"
#include "dataplane/protocol/influx/fast.h"

#include "model/sample.h"

#include <string.h>

static const struct weir_scan_set structural = {{',', '=', '"', '\\'}};

struct parsing {
    const struct weir_parse_context *context;
    struct weir_packet *packet;
    struct weir_parsed *out;
    const uint8_t *data;
    size_t size;
    uint8_t end_byte; /* what the packet's end reads as: a newline where it ends a line */
    struct weir_scan scan;
};

/* A line before it is known to be good. Its points follow those that are counted. */
struct line {
    size_t start;   /* of the record's text */
    size_t key_end; /* of measurement and tags */
    struct weir_hash128 key;
    uint32_t fields;
    uint32_t points;
    uint32_t strings;
    uint32_t rounded;
    bool timed; /* has a timestamp; not kept by simple lines */
};

static inline uint8_t
byte_at(const struct parsing *parsing, size_t at)
{
    return at < parsing->size ? parsing->data[at] : parsing->end_byte;
}

static inline void
add_point(struct parsing *parsing, struct line *line, struct weir_slice name,
    const struct weir_decimal *number)
{
    struct weir_hash128 field =
        weir_hash_part(parsing->context->key, 1, name.data, name.size);
    WEIR_DCHECK(parsing->out->point_count + line->points < WEIR_POINTS_MAX);
    parsing->out->points[parsing->out->point_count + line->points++] = (struct weir_point){
        .raw = weir_hash_join(line->key, field),
        .value = number->value,
        .exponent = number->exponent,
        .kind = number->kind,
        .field = (uint16_t)line->fields,
        .record = parsing->out->record_count,
    };
}

/* Counts a line that the grammar accepts, and judges its time. */
static inline void
accept_line(struct parsing *parsing, const struct line *line, size_t size, int64_t time_ms)
{
    struct weir_parsed *out = parsing->out;
    uint8_t reason = weir_time_reason(parsing->context, time_ms);
    uint32_t points = line->points;
    if (line->strings > 0)
        weir_parsed_reject(out, WEIR_REASON_unsupported_type, line->strings);
    if (WEIR_UNLIKELY(points == 0)) {
        reason = WEIR_REASON_no_sample_accepted;
    } else if (WEIR_UNLIKELY(reason != WEIR_REASON_NONE)) {
        weir_parsed_reject(out, reason, points);
        points = 0;
    } else {
        out->integers_rounded += line->rounded;
        for (uint32_t i = 0; i < points; i++)
            out->points[out->point_count + i].time_ms = time_ms;
    }
    weir_record_add(parsing->out, parsing->data + line->start, size, points, reason);
}

/* Walks `measurement,key=value,...` from line->start to the space after it. False at a byte
 * that no simple line has there. */
static inline bool
walk_key(struct parsing *parsing, struct line *line)
{
    size_t at = weir_scan_next(&parsing->scan);
    while (byte_at(parsing, at) == '=')
        at = weir_scan_next(&parsing->scan);
    if (at == line->start || parsing->data[line->start] == '#')
        return false;
    while (byte_at(parsing, at) == ',') {
        size_t equals = weir_scan_next(&parsing->scan);
        if (byte_at(parsing, equals) != '=' || equals == at + 1)
            return false;
        at = weir_scan_next(&parsing->scan);
        if (at == equals + 1)
            return false;
    }
    line->key_end = at;
    return byte_at(parsing, at) == ' ';
}

/* Walks `name=value,...` from `at` on; *end is the byte after the last one, a space or the
 * line's end. */
static inline bool
walk_fields(struct parsing *parsing, struct line *line, size_t at, size_t *end)
{
    for (;; at = *end + 1) {
        size_t equals = weir_scan_next(&parsing->scan);
        if (byte_at(parsing, equals) != '=' || equals == at)
            return false;
        *end = weir_scan_next(&parsing->scan);
        size_t value = equals + 1;
        if (*end == value || *end - line->start > WEIR_LINE_MAX)
            return false;
        struct weir_decimal number;
        if (!weir_influx_fast_value(parsing->data + value, *end - value, &line->rounded, &number))
            return false;
        add_point(parsing, line, (struct weir_slice){parsing->data + at, equals - at}, &number);
        line->fields++;
        if (byte_at(parsing, *end) != ',')
            return true;
    }
}

/* Takes one line from start on if it is a simple one, and returns the position after it; 0 if it
 * is not. */
static inline size_t
parse_fast_line(struct parsing *parsing, size_t start)
{
    struct line line = {.start = start};
    if (!walk_key(parsing, &line))
        return 0;
    line.key =
        weir_hash_part(parsing->context->key, 0, parsing->data + start, line.key_end - start);
    size_t end;
    if (!walk_fields(parsing, &line, line.key_end + 1, &end))
        return 0;
    int64_t time_ms = parsing->packet->receive_ms;
    if (WEIR_LIKELY(byte_at(parsing, end) == ' ')) {
        size_t digits = end + 1;
        int64_t time;
        end = weir_scan_next(&parsing->scan);
        if (weir_int_read(parsing->data + digits, end - digits, &time) != WEIR_DECIMAL_OK
            || !weir_time_ms(time, parsing->packet->time_unit, &time_ms))
            return 0;
    }
    if (byte_at(parsing, end) != '\n' || end - start > WEIR_LINE_MAX)
        return 0;
    accept_line(parsing, &line, end - start, time_ms);
    return end + (end < parsing->size);
}

/* Reads the fields of a line into points. OK or what stopped it. */
static enum weir_influx_result
read_fields(struct parsing *parsing, struct weir_influx_decoder *decoder, struct line *line)
{
    struct weir_influx_field field;
    enum weir_influx_result result;
    for (; (result = weir_influx_field(decoder, &field)) == WEIR_INFLUX_OK; line->fields++) {
        union weir_influx_value value;
        struct weir_decimal number;
        if (weir_influx_value(&field, &value) != WEIR_INFLUX_OK)
            return WEIR_INFLUX_BAD;
        switch ((enum weir_influx_kind)field.kind) {
        case WEIR_INFLUX_FLOAT:
            number = value.number;
            break;
        case WEIR_INFLUX_INT:
            line->rounded += weir_decimal_from_int(value.integer, &number);
            break;
        case WEIR_INFLUX_UINT:
            line->rounded += weir_decimal_from_uint(value.natural, &number);
            break;
        case WEIR_INFLUX_BOOL:
            weir_decimal_from_int(value.truth, &number);
            break;
        case WEIR_INFLUX_STRING:
            line->strings++;
            continue;
        }
        add_point(parsing, line, field.key, &number);
    }
    return result == WEIR_INFLUX_END ? WEIR_INFLUX_OK : result;
}

/* Reads a record's parts in turn. OK or what stopped it. */
static enum weir_influx_result
read_record(struct parsing *parsing, struct weir_influx_decoder *decoder, struct line *line,
    int64_t *time_ms)
{
    struct weir_slice name, value;
    int64_t time;
    enum weir_influx_result result = weir_influx_measurement(decoder, &name);
    if (result != WEIR_INFLUX_OK)
        return result;
    line->key_end = decoder->at;
    while ((result = weir_influx_tag(decoder, &name, &value)) == WEIR_INFLUX_OK)
        line->key_end = decoder->at;
    if (result != WEIR_INFLUX_END)
        return result;
    line->key = weir_hash_part(parsing->context->key, 0, parsing->data + line->start,
        line->key_end - line->start);
    result = read_fields(parsing, decoder, line);
    if (result != WEIR_INFLUX_OK)
        return result;
    result = weir_influx_time(decoder, &time);
    line->timed = result == WEIR_INFLUX_OK;
    if (result == WEIR_INFLUX_OK && !weir_time_ms(time, parsing->packet->time_unit, time_ms))
        return WEIR_INFLUX_BAD;
    return result == WEIR_INFLUX_END ? WEIR_INFLUX_OK : result;
}

/* Size of start..end without the newline at its end. */
static size_t
text_size(const struct parsing *parsing, size_t start, size_t end)
{
    return end - start - (end > start && parsing->data[end - 1] == '\n');
}

/* The last line of a connection, without a newline, may be part of a longer one: it counts only
 * with a timestamp, and whatever else is wrong with it is not what its sender wrote. */
static bool
cut_off(const struct parsing *parsing, const struct line *line, size_t end, uint8_t reason)
{
    return parsing->packet->final && parsing->packet->stream && end == parsing->size &&
        parsing->data[end - 1] != '\n' && (reason != WEIR_REASON_NONE || !line->timed);
}

/* Takes the line at *at with the complete decoder. False where its end is not there yet. */
static bool
parse_any_line(struct parsing *parsing, size_t *at)
{
    size_t start = *at, end;
    struct weir_influx_decoder decoder =
        weir_influx_window(parsing->data, parsing->size, start, parsing->packet->final);
    struct line line = {.start = start};
    int64_t time_ms = parsing->packet->receive_ms;
    uint8_t reason;
    enum weir_influx_result begun = weir_influx_begin(&decoder), result = begun;
    if (begun == WEIR_INFLUX_OK) {
        line.start = decoder.at;
        result = read_record(parsing, &decoder, &line, &time_ms);
    }
    if (!weir_influx_end(&decoder, result, parsing->size, start, &end, &reason))
        return false;
    *at = end;
    if (reason == WEIR_REASON_line_too_long) {
        weir_record_add(parsing->out, parsing->data + start, WEIR_LINE_MAX, 0, reason);
        parsing->packet->skip_line = parsing->data[end - 1] != '\n' && !parsing->packet->final;
        return true;
    }
    if (begun != WEIR_INFLUX_OK)
        return true;
    if (cut_off(parsing, &line, end, reason))
        reason = WEIR_REASON_cut_line;
    size_t size = text_size(parsing, line.start, end);
    size -= size > 0 && parsing->data[line.start + size - 1] == '\r';
    if (reason != WEIR_REASON_NONE)
        weir_record_add(parsing->out, parsing->data + line.start, size, 0, reason);
    else
        accept_line(parsing, &line, size, time_ms);
    return true;
}

/* Takes lines one by one. */
static size_t
parse_lines(const struct weir_parse_context *context, struct weir_packet *packet, size_t at,
    struct weir_parsed *out)
{
    struct parsing parsing = {
        .context = context,
        .packet = packet,
        .out = out,
        .data = packet->data,
        .size = packet->size,
        .end_byte = packet->final && !packet->stream ? '\n' : 0,
    };
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

size_t
weir_influx_parse(const struct weir_parse_context *context, struct weir_packet *packet, size_t at,
    struct weir_parsed *out)
{
    weir_influx_fast_fn *fast = weir_influx_variants[weir_influx_variant()].fast;
    if (WEIR_UNLIKELY(packet->skip_line))
        at = weir_line_skip(packet, at);
    if (fast != NULL)
        at = fast(context, packet, at, out);
    if (WEIR_LIKELY(at == packet->size) || !weir_parsed_has_room(out))
        return at;
    return parse_lines(context, packet, at, out);
}
