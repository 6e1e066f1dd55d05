/* parse_fixture: one text through one parser, for tests. */
#ifndef WEIR_TESTS_UNIT_DATAPLANE_PROTOCOL_PARSE_FIXTURE_H
#define WEIR_TESTS_UNIT_DATAPLANE_PROTOCOL_PARSE_FIXTURE_H

#include "dataplane/protocol/protocol.h"
#include "model/sample.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#define NOW_MS INT64_C(1700000000500)

static struct weir_parsed parsed;
static struct weir_hash_key key;
static uint8_t memory[1 << 20];

static bool stream; /* the text is a connection's */

static struct weir_parse_context context = {
    .key = &key, .time_min_ms = INT64_MIN, .time_max_ms = INT64_MAX};

/* Parses text, which may hold zeros, and returns the position behind what was taken. */
static inline size_t
parse_bytes(enum weir_proto proto, const void *text, size_t size, enum weir_time_unit unit,
    bool final, bool *skip_line)
{
    assert_true(size + WEIR_PACKET_SLACK <= sizeof memory);
    memcpy(memory, text, size);
    memset(memory + size, '1', WEIR_PACKET_SLACK);
    struct weir_packet packet = {.data = memory, .size = (uint32_t)size, .final = final,
        .stream = stream, .time_unit = (uint8_t)unit, .receive_ms = NOW_MS,
        .skip_line = skip_line && *skip_line};
    weir_parsed_reset(&parsed);
    size_t at = weir_protocols[proto].parse(&context, &packet, 0, &parsed);
    if (skip_line != NULL)
        *skip_line = packet.skip_line;
    return at;
}

static inline void
parse_text(enum weir_proto proto, const char *text)
{
    assert_int_equal(parse_bytes(proto, text, strlen(text), WEIR_TIME_AUTO, true, NULL),
        strlen(text));
}

static inline double
point_value(uint32_t point)
{
    struct weir_sample sample = {
        weir_sample_key(0, parsed.points[point].kind, parsed.points[point].exponent), 0,
        parsed.points[point].value};
    return weir_sample_double(&sample);
}

/* Labels of a point's field as name=value,name=value in canonical order. */
static inline enum weir_err
labels_text(enum weir_proto proto, uint32_t point, char *out, size_t room)
{
    uint8_t labels[WEIR_LABELS_BYTES_MAX];
    const struct weir_record *record = &parsed.records[parsed.points[point].record];
    size_t size, at = 0, used = 0;
    static struct weir_line_labels line;
    enum weir_err err = weir_protocols[proto].labels_begin(&line, record->text, record->size);
    if (err == WEIR_OK)
        err = weir_protocol_labels(&weir_protocols[proto], &line, parsed.points[point].field,
            labels, &size);
    struct weir_label label;
    out[0] = '\0';
    while (err == WEIR_OK && weir_labels_next(labels, size, &at, &label) == WEIR_OK) {
        assert_true(used + label.name_size + label.value_size + 3u < room);
        if (used > 0)
            out[used++] = ',';
        memcpy(out + used, label.name, label.name_size);
        used += label.name_size;
        out[used++] = '=';
        memcpy(out + used, label.value, label.value_size);
        used += label.value_size;
        out[used] = '\0';
    }
    return err;
}

#endif
