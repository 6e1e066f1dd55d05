/* deferral: lines with unknown series on their way from a worker to the registrar and back.
 *
 *   | line header | text                     | pad | line header | ...
 *   | line header | point | labels | pad | point | labels | pad | ...
 *
 * Threads: whoever holds it; it goes round in rings (base/ring.h)
 * Limits:  WEIR_DEFERRAL_BYTES of lines, WEIR_DEFERRALS a worker
 */
#ifndef WEIR_DATAPLANE_PROTOCOL_DEFERRAL_H
#define WEIR_DATAPLANE_PROTOCOL_DEFERRAL_H

#include "base/hash.h"
#include "dataplane/port/port.h"
#include "model/metrics.h"

#include <stdalign.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define WEIR_DEFERRAL_BYTES (256u << 10)
#define WEIR_DEFERRALS 32
/* A line takes its header and 8 bytes at least. */
#define WEIR_DEFERRAL_LINES_MAX (WEIR_DEFERRAL_BYTES / 32)

/* One line in a deferral: this header, then the text or a list of points, padded to 8 bytes. */
struct weir_deferred_line {
    uint32_t size;
    uint32_t source;
    uint16_t proto : 5;
    uint16_t kept : 1; /* its labels are bad, and the worker has kept it as refused */
    uint16_t time_unit : 3;
    uint16_t resolved : 1; /* a list of points, not text; of a definition: see below */
    uint16_t refused : 6;  /* 1 + the reason by which the registrar refused it; 0: it did not */
    uint16_t samples; /* points of the line, as the ledger counts them */
    uint16_t defines; /* series of a definition, which has no samples; 0 for a line */
    uint16_t peer;    /* of its sender, in the deferral's list */
    int64_t receive_ms : 46;
    uint64_t text_size : 18; /* bytes that came, which bound what they may define */
};
_Static_assert(sizeof(struct weir_deferred_line) == 24, "");
_Static_assert(WEIR_DEFERRAL_LINES_MAX <= UINT16_MAX, "a line's peer fits");
_Static_assert(WEIR_PROTO_COUNT <= 32 && WEIR_REASON_COUNT < 64, "a line's bits hold them");

/* A point of a resolved line, or a series of a definition: this, then its canonical labels, padded
 * to 8 bytes. */
struct weir_deferred_point {
    struct weir_hash128 raw;         /* as in struct weir_point */
    struct weir_hash128 fingerprint; /* of the labels */
    uint64_t number;      /* of its series; WEIR_SERIES_UNKNOWN until the registrar knows it */
    int64_t time_ms;
    uint64_t value;
    int8_t exponent;
    uint8_t kind;
    uint16_t labels_size; /* 0 where the worker knew the number, or the labels were refused */
    uint32_t index;       /* of a definition's series in its template */
};
_Static_assert(sizeof(struct weir_deferred_point) == 64, "");

/* A definition on its way through the registrar: this, then the record as it came. If list_count
 * says so, of the record only its head, then the list of its unknown series, each a struct
 * weir_deferred_point. */
struct weir_definition_text {
    uint64_t sender;
    uint64_t sequence;
    uint32_t epoch;
    uint16_t channel;
    uint16_t list_count; /* 0: the record is here as it came */
};
_Static_assert(sizeof(struct weir_definition_text) == 24, "a whole number of words");
#define WEIR_DEFINITION_HEAD 16 /* bytes of a record's head */
#define WEIR_DEFINITION_LIST_AT (sizeof(struct weir_definition_text) + WEIR_DEFINITION_HEAD)

/* Bytes a point takes in a deferral. */
static inline size_t
weir_deferred_point_bytes(size_t labels_size)
{
    return sizeof(struct weir_deferred_point) + ((labels_size + 7) & ~(size_t)7);
}

/* Filled by a worker, given back with completions by the registrar. The bytes stay as they were
 * but for the numbers: the worker takes those of lines into its series cache and those of
 * definitions into their templates. Of what went as text there are none: the series of such a
 * definition are looked up again, those of such a line when they are met next. */
struct weir_deferral {
    uint64_t number; /* of its worker, counts from 1 */
    uint32_t used;   /* bytes of lines */
    uint32_t packets, records, samples;
    uint64_t opened_tsc;
    bool ack_waiting;
    uint32_t completion_count; /* one for each run of lines with one source */
    struct weir_completion completions[WEIR_DEFERRAL_LINES_MAX];
    uint32_t peer_count; /* one for each run of lines with one sender */
    struct weir_peer peers[WEIR_DEFERRAL_LINES_MAX];
    uint8_t listeners[WEIR_DEFERRAL_LINES_MAX]; /* beside each of them */
    /* lines, then slack that the scanners may read */
    alignas(8) uint8_t lines[WEIR_DEFERRAL_BYTES + WEIR_PACKET_SLACK];
};

/* Bytes a line of size bytes takes in a deferral. */
static inline size_t
weir_deferred_line_bytes(size_t size)
{
    return (sizeof(struct weir_deferred_line) + size + 7) & ~(size_t)7;
}

#endif
