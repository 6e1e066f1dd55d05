/* influx_line: the complete decoder of Influx line protocol, one token a call.
 *
 * The grammar is that of the reference decoder as the conformance corpus fixes it; see
 * docs/format/influx.md. Calls go in the order of a line's parts:
 *
 *   begin --> measurement --> tag ... tag (END) --> field ... field (END) --> time --> begin
 *     |             \_____________|______________________|_________________|
 *     +- BLANK          BAD, or MORE at the limit --> weir_influx_end --> begin
 *
 * Threads: any; a decoder belongs to its thread
 * Memory:  none; slices are in the caller's text, escaped as they are there
 * Errors:  enum weir_influx_result
 * Limits:  reads up to 8 bytes after the text; their content means nothing
 */
#ifndef WEIR_DATAPLANE_PROTOCOL_INFLUX_LINE_H
#define WEIR_DATAPLANE_PROTOCOL_INFLUX_LINE_H

#include "dataplane/protocol/common/decimal.h"

enum weir_influx_result {
    WEIR_INFLUX_OK,
    WEIR_INFLUX_END,   /* no more of what was asked for */
    WEIR_INFLUX_BLANK, /* begin: an empty line or a comment was taken */
    WEIR_INFLUX_BAD,   /* the grammar refuses the line */
    WEIR_INFLUX_MORE,  /* the text ends too early to decide; only where it is not final */
};

enum weir_influx_section {
    WEIR_INFLUX_IN_TAGS,
    WEIR_INFLUX_IN_FIELDS,
    WEIR_INFLUX_IN_TIME,
    WEIR_INFLUX_AT_END, /* the line's end has been taken */
};

struct weir_influx_decoder {
    const uint8_t *data;
    size_t size;
    size_t at;       /* next byte to be read */
    bool final;      /* nothing follows data: its end ends the line */
    uint8_t section; /* enum weir_influx_section */
    size_t string_at; /* after the quote of a string that nothing has closed so far; 0: none */
};

struct weir_slice {
    const uint8_t *data;
    size_t size;
};

enum weir_influx_kind {
    WEIR_INFLUX_FLOAT,
    WEIR_INFLUX_INT,
    WEIR_INFLUX_UINT,
    WEIR_INFLUX_BOOL,
    WEIR_INFLUX_STRING,
};

struct weir_influx_field {
    struct weir_slice key;
    struct weir_slice value; /* without quotes or type suffix; not checked, see value() */
    uint8_t kind;            /* enum weir_influx_kind */
};

union weir_influx_value {
    struct weir_decimal number; /* float */
    int64_t integer;
    uint64_t natural;           /* unsigned */
    bool truth;
};

/* The place of a token decides what a backslash in it escapes. */
enum weir_influx_place {
    WEIR_INFLUX_MEASUREMENT, /* comma, space */
    WEIR_INFLUX_KEY,         /* comma, equals sign, space; tag values too */
    WEIR_INFLUX_TEXT,        /* string values: quote, backslash, n, r, t */
};

/* Stands at a line's start. OK: a record begins at decoder->at. BLANK: took one line that is no
 * record. END: no text is left. MORE. */
enum weir_influx_result weir_influx_begin(struct weir_influx_decoder *decoder);

/* OK, BAD, MORE. */
enum weir_influx_result weir_influx_measurement(struct weir_influx_decoder *decoder,
    struct weir_slice *name);

/* OK, END, BAD, MORE. */
enum weir_influx_result weir_influx_tag(struct weir_influx_decoder *decoder,
    struct weir_slice *key, struct weir_slice *value);
enum weir_influx_result weir_influx_field(struct weir_influx_decoder *decoder,
    struct weir_influx_field *field);

/* Converts a field's value. OK or BAD; a string is always OK and has no value. */
enum weir_influx_result weir_influx_value(const struct weir_influx_field *field,
    union weir_influx_value *value);

/* OK and *time; END where the line has none; BAD, MORE. */
enum weir_influx_result weir_influx_time(struct weir_influx_decoder *decoder, int64_t *time);

/* Writes raw without its escapes to out, which has room for raw.size bytes. Returns the size. */
size_t weir_influx_unescape(struct weir_slice raw, enum weir_influx_place place, uint8_t *out);

#endif
