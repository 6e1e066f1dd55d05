/* record: what the parsers of text share: adding records, lines that end at each newline.
 *
 * Threads: any; no state
 */
#ifndef WEIR_DATAPLANE_PROTOCOL_COMMON_RECORD_H
#define WEIR_DATAPLANE_PROTOCOL_COMMON_RECORD_H

#include "dataplane/protocol/parse.h"

/* Adds a record; its points are written already, after those that are counted. */
static inline void
weir_record_add(struct weir_parsed *out, const uint8_t *text, size_t size, uint32_t points,
    uint8_t reason)
{
    out->records[out->record_count++] = (struct weir_record){
        .text = text,
        .size = (uint32_t)size,
        .point_first = out->point_count,
        .point_count = points,
        .reason = reason,
    };
    out->point_count += points;
    out->odd_count += reason != WEIR_REASON_NONE;
}

/* Adds a command: a line that is no data and has an answer (parse.h). */
static inline void
weir_command_add(struct weir_parsed *out, const uint8_t *text, size_t size, uint8_t command)
{
    weir_record_add(out, text, size, 0, WEIR_REASON_NONE);
    out->records[out->record_count - 1].command = command;
    out->odd_count++;
}

/* Room for another record that any line may be. */
static inline bool
weir_parsed_has_room(const struct weir_parsed *out)
{
    return out->record_count < WEIR_RECORDS_MAX && out->point_count < WEIR_POINTS_TARGET;
}

/* Moves past the rest of a line that was refused before. */
static inline size_t
weir_line_skip(struct weir_packet *packet, size_t at)
{
    const uint8_t *newline = memchr(packet->data + at, '\n', packet->size - at);
    packet->skip_line = newline == NULL && !packet->final;
    return newline == NULL ? packet->size : (size_t)(newline + 1 - packet->data);
}

struct weir_text_line {
    const uint8_t *text; /* NULL: it was too long, and has been refused */
    size_t size;         /* without "\n" or "\r\n" */
    bool newline;        /* ends with one, not with the packet */
};

/* Takes the line at *at of a protocol whose lines end at each newline, and moves *at past it. False
 * where its end has not come yet. */
static inline bool
weir_line_next(struct weir_packet *packet, size_t *at, struct weir_parsed *out,
    struct weir_text_line *line)
{
    const uint8_t *text = packet->data + *at;
    size_t left = packet->size - *at;
    const uint8_t *newline = memchr(text, '\n', left);
    size_t size = newline == NULL ? left : (size_t)(newline - text);
    *line = (struct weir_text_line){.newline = newline != NULL};
    if (size > WEIR_LINE_MAX) {
        weir_record_add(out, text, WEIR_LINE_MAX, 0, WEIR_REASON_line_too_long);
        packet->skip_line = newline == NULL && !packet->final;
        *at += size + (newline != NULL);
        return true;
    }
    if (newline == NULL && !packet->final)
        return false;
    *at += size + (newline != NULL);
    line->text = text;
    line->size = size - (size > 0 && text[size - 1] == '\r');
    return true;
}

#endif
