/* OpenTSDB's telnet-style lines; docs/format/opentsdb.md is the rule book. */
#include "dataplane/protocol/common/record.h"
#include "dataplane/protocol/common/time.h"
#include "dataplane/protocol/opentsdb/line.h"
#include "dataplane/protocol/opentsdb/opentsdb.h"

/* A raw key has two parts: the line up to the end of the metric, and its tags. The first one holds
 * a space that no backslash hides, and no part of an Influx or Graphite key does: keys of different
 * protocols never meet. */
static void
accept_put(const struct weir_parse_context *context, const uint8_t *text, size_t size,
    const struct opentsdb_put *put, struct weir_parsed *out)
{
    uint8_t reason = weir_time_reason(context, put->time_ms);
    if (WEIR_UNLIKELY(reason != WEIR_REASON_NONE)) {
        weir_parsed_reject(out, reason, 1);
        weir_record_add(out, text, size, 0, reason);
        return;
    }
    size_t front = (size_t)(put->metric.data + put->metric.size - text);
    out->points[out->point_count] = (struct weir_point){
        .raw = weir_hash_join(weir_hash_part(context->key, 0, text, front),
            weir_hash_part(context->key, 1, put->tags.data, put->tags.size)),
        .time_ms = put->time_ms,
        .value = put->value.value,
        .exponent = put->value.exponent,
        .kind = put->value.kind,
        .record = out->record_count,
    };
    weir_record_add(out, text, size, 1, WEIR_REASON_NONE);
}

static void
read_line(const struct weir_parse_context *context, struct weir_packet *packet,
    const uint8_t *text, size_t size, struct weir_parsed *out)
{
    struct opentsdb_put put;
    enum opentsdb_command command = weir_opentsdb_command(text, size);
    if (command != OPENTSDB_NONE) {
        weir_command_add(out, text, size, (uint8_t)command);
        packet->ends = command == OPENTSDB_EXIT && packet->stream;
    } else if (weir_opentsdb_is_put(text, size) &&
               weir_opentsdb_put(text, size, packet->time_unit, &put)) {
        accept_put(context, text, size, &put, out);
    } else {
        weir_record_add(out, text, size, 0, WEIR_REASON_bad_line);
    }
}

size_t
weir_opentsdb_parse(const struct weir_parse_context *context, struct weir_packet *packet,
    size_t at, struct weir_parsed *out)
{
    if (WEIR_UNLIKELY(packet->skip_line))
        at = weir_line_skip(packet, at);
    while (at < packet->size && weir_parsed_has_room(out) && !packet->ends) {
        struct weir_text_line line;
        if (!weir_line_next(packet, &at, out, &line))
            return at;
        if (line.text == NULL)
            continue;
        size_t blank = 0;
        while (blank < line.size && line.text[blank] == ' ')
            blank++;
        if (blank == line.size)
            continue;
        /* the last tag of a stream's last line may be part of a longer one */
        if (!line.newline && packet->stream)
            weir_record_add(out, line.text + blank, line.size - blank, 0, WEIR_REASON_cut_line);
        else
            read_line(context, packet, line.text + blank, line.size - blank, out);
    }
    return packet->ends ? packet->size : at;
}

size_t
weir_opentsdb_refused_at(const uint8_t *data, size_t size, size_t at)
{
    struct opentsdb_put put;
    const uint8_t *newline = memchr(data + at, '\n', size - at);
    size_t end = newline == NULL ? size : (size_t)(newline - data);
    end -= end > at && data[end - 1] == '\r';
    if (!weir_opentsdb_is_put(data + at, end - at) ||
        weir_opentsdb_put(data + at, end - at, WEIR_TIME_AUTO, &put))
        return at;
    return at + put.refused_at;
}
