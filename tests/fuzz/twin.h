/* twin: what a parser should make of a whole text, worked out slowly, a byte at a time.
 *
 * The twins share no code with the parsers; both follow docs/format/influx.md, graphite.md and
 * opentsdb.md. Values come from strtod.
 *
 * Memory: twin_new allocates for a text of the given size; twin_free gives it back
 */
#ifndef WEIR_TESTS_FUZZ_TWIN_H
#define WEIR_TESTS_FUZZ_TWIN_H

#include "dataplane/protocol/protocol.h"

struct twin_point {
    size_t name, name_size; /* position and size of the field's name */
    unsigned field;
    uint64_t bits; /* of the value as a double */
    int64_t time_ms;
};

struct twin_record {
    size_t start, size;
    size_t key_size; /* from start on */
    size_t point_first, point_count;
    uint8_t reason;
    uint8_t command;
};

struct twin {
    const uint8_t *text;
    size_t size;
    size_t at;
    size_t limit; /* where the line at hand becomes too long; SIZE_MAX where it ends before */
    bool over;    /* it has */
    size_t open;  /* first byte of a string of the line at hand that nothing has closed; 0: none */
    bool stream;  /* the text is a connection's: a last line without newline may have been cut */
    uint8_t time_unit;
    int64_t receive_ms, time_min_ms, time_max_ms;
    struct twin_record *records;
    struct twin_point *points;
    size_t record_count, point_count;
    uint64_t rejected[WEIR_REASON_COUNT];
    uint64_t rounded;
};

void twin_new(struct twin *twin, const uint8_t *text, size_t size);
void twin_free(struct twin *twin);

void twin_influx(struct twin *twin);
void twin_graphite(struct twin *twin);
void twin_opentsdb(struct twin *twin);

bool twin_is_utf8(const uint8_t *text, size_t size);
/* [+-] digits [. digits] [e [+-] digits] */
bool twin_is_decimal(const uint8_t *text, size_t size);

/* strtod on a copy of text without its underscores. */
double twin_double(const uint8_t *text, size_t size);

/* Parses text with the production parser of proto, whole and as a stream cut at three places
 * (modulo its size), and compares both with the twin. Says on standard error where they differ. */
bool twin_agrees(enum weir_proto proto, enum weir_time_unit unit, const uint8_t *text,
    size_t size, const uint32_t cuts[3]);

/* The same with unit and places drawn from the text itself, so that fuzzer inputs and seeds are
 * plain text. */
bool twin_agrees_somewhere(enum weir_proto proto, const uint8_t *text, size_t size);

#endif
