/* parse: from a packet's bytes to records and points: the signature of all parsers.
 *
 * A record is a line. A point is one sample of a record before its series is known: the raw-key
 * hash (over the bytes as they came), time, value. A record that the grammar or a rule refuses
 * has reason set and no points; its neighbours are not touched.
 *
 * Threads: one weir_parsed a thread; parsers hold no state
 * Memory:  weir_parsed is the caller's, made once, zeroed
 * Limits:  WEIR_POINTS_MAX points, WEIR_LINE_MAX bytes a line
 */
#ifndef WEIR_DATAPLANE_PROTOCOL_PARSE_H
#define WEIR_DATAPLANE_PROTOCOL_PARSE_H

#include "base/assert.h"
#include "base/err.h"
#include "base/hash.h"
#include "client/wire.h"
#include "model/labels.h"
#include "model/metrics.h"
#include "model/packet.h"

#include <string.h>

/* A parse call stops after the record that reaches this many points or records: what the
 * lookup's prefetch loop takes at a time. */
#define WEIR_POINTS_TARGET 512
/* One record more: a line of WEIR_LINE_MAX bytes has a field every three bytes at most. */
#define WEIR_POINTS_MAX (WEIR_POINTS_TARGET + WEIR_LINE_MAX / 3 + 1)
#define WEIR_RECORDS_MAX WEIR_POINTS_TARGET

struct weir_point {
    struct weir_hash128 raw; /* of (protocol, key bytes, field name) as they are in the line */
    int64_t time_ms;
    uint64_t value;          /* as in struct weir_sample */
    int8_t exponent;
    uint8_t kind;            /* enum weir_value_kind */
    uint16_t field;          /* index of the field in its line, for labels() */
    uint32_t record;         /* index into records */
};
_Static_assert(sizeof(struct weir_point) == 40, "a point is 40 bytes");

struct weir_record {
    const uint8_t *text;  /* in the packet, without the newline */
    uint32_t size;
    uint32_t point_first; /* points of a record are neighbours */
    uint32_t point_count;
    uint8_t reason;       /* enum weir_reason of a refused record, or WEIR_REASON_NONE */
    /* 0, or a command's number in its protocol: a line that is no data and has an answer. It has no
     * points, and no ledger counts it. */
    uint8_t command;
};

/* A record of a session's packet (protocol.h): samples by series number, or a definition. */
enum weir_wire_item_kind { WEIR_WIRE_ITEM_GROUP, WEIR_WIRE_ITEM_DEFINITION, WEIR_WIRE_ITEM_EMPTY };
struct weir_wire_item {
    uint8_t kind; /* enum weir_wire_item_kind */
    int64_t time_ms;
    const uint64_t *numbers; /* count of them */
    const uint8_t *values;   /* as on the wire, not aligned */
    const uint8_t *offsets;  /* NULL where all samples have time_ms */
    uint32_t count;
    void *channel;           /* struct weir_channel; NULL where the packet was refused */
    uint64_t sender;         /* of a packet that was refused */
    uint64_t sequence;
    const uint8_t *list;     /* of a definition: its unknown series; NULL where it goes as text */
    uint32_t list_bytes;
    uint32_t list_count;
};

struct weir_parsed {
    uint32_t record_count;
    uint32_t point_count;
    uint32_t odd_count; /* text: of the records, those with a reason or a command */
    /* samples the parser refused by reason; received counts them too */
    uint32_t samples_rejected[WEIR_REASON_COUNT];
    uint64_t rejected_sum; /* over all reasons: nearly always 0, and no reason is looked at then */
    uint32_t integers_rounded;
    bool waits; /* a packet was left because a definition is with the registrar: come again */
    uint64_t sequence_gaps;
    uint32_t sequence_reorderings;
    uint32_t sequence_duplicates;
    uint32_t sequence_jumps;
    struct weir_wire_item items[WEIR_WIRE_RECORDS_MAX]; /* by index of a weir record */
    struct weir_record records[WEIR_RECORDS_MAX];
    struct weir_point points[WEIR_POINTS_MAX];
};

struct weir_definitions;
struct weir_channels;
struct weir_series;

struct weir_parse_context {
    const struct weir_hash_key *key;
    int64_t time_min_ms; /* older is refused as time_past; INT64_MIN for no rule */
    int64_t time_max_ms; /* later is refused as time_future; INT64_MAX for no rule */
    /* the weir protocol's; NULL elsewhere */
    struct weir_channels *channels;
    const struct weir_series *series;
    struct weir_definitions *definitions; /* scratch */
    struct weir_prefixes trusted; /* sources that no share bounds */
    uint8_t refusal; /* reason by which all is refused now, or WEIR_REASON_NONE */
};

/* Parses records of packet from byte `at` on and adds them to out, which has room for a record and
 * is below the targets. Returns the position after the last record taken. Stops at the targets,
 * at the packet's end, or before a record that is not complete (only where !packet->final and its
 * size allows more). Of packet only skip_line is written: the last call for a packet leaves it
 * true where the packet ended inside a line that was refused as too long. */
typedef size_t weir_parse_fn(const struct weir_parse_context *context,
    struct weir_packet *packet, size_t at, struct weir_parsed *out);

#define WEIR_TAGS_KEPT_MAX 1024
#define WEIR_LABELS_PLANNED_MAX 8

/* The places of the labels that a series adds to the common ones of its definition. */
struct weir_label_plan {
    bool valid;
    uint8_t count;                                /* of its own labels */
    uint8_t order[WEIR_LABELS_PLANNED_MAX];       /* index of the first, the second by name */
    uint16_t common_end[WEIR_LABELS_PLANNED_MAX]; /* common bytes ahead of the first, the second */
    struct weir_label own[WEIR_LABELS_PLANNED_MAX]; /* as they came; borrowed from the text */
};

/* A record that parse has accepted, on the way to the labels of its points. Its tags are decoded
 * once, and its fields are walked once where they are asked for in order: a line of thousands of
 * fields costs no more than its bytes. Lines that follow each other often have the same tags: those
 * of the last line are kept, and equal bytes are not decoded again. Zeroed before the first. */
struct weir_line_labels {
    const uint8_t *text; /* borrowed until the last call for the line */
    size_t size;
    size_t fields_at;      /* of the first field */
    size_t at;             /* of field `next` */
    unsigned next;
    uint64_t bytes_walked; /* over all calls since begin */
    const uint8_t *measurement;
    size_t measurement_size;
    struct weir_label list[WEIR_LABELS_COUNT_MAX];
    uint32_t list_count;         /* of a definition's common labels, and their plan */
    struct weir_label_plan plan;
    struct weir_label tags_list[WEIR_LABELS_COUNT_MAX]; /* sorted; the name has its place */
    uint32_t tags_count;   /* the name among them */
    uint32_t name_at;      /* in tags_list */
    size_t tags_text_size; /* of what tags_list was made from; 0 where it was not kept */
    size_t room_used;
    uint8_t tags_text[WEIR_TAGS_KEPT_MAX];
    size_t tags_size;
    uint8_t tags[WEIR_LABELS_BYTES_MAX];     /* a definition's common labels, canonical */
    uint8_t room[2 * WEIR_LABELS_BYTES_MAX]; /* text whose escapes were taken out */
};

static inline void
weir_parsed_reset(struct weir_parsed *parsed)
{
    parsed->record_count = 0;
    parsed->point_count = 0;
    parsed->odd_count = 0;
    parsed->integers_rounded = 0;
    parsed->waits = false;
    parsed->sequence_gaps = 0;
    parsed->sequence_reorderings = 0;
    parsed->sequence_duplicates = 0;
    parsed->sequence_jumps = 0;
    if (WEIR_UNLIKELY(parsed->rejected_sum != 0))
        memset(parsed->samples_rejected, 0, sizeof parsed->samples_rejected);
    parsed->rejected_sum = 0;
}

/* The parser refuses samples: the one way to count them. */
static inline void
weir_parsed_reject(struct weir_parsed *parsed, uint8_t reason, uint32_t samples)
{
    parsed->samples_rejected[reason] += samples;
    parsed->rejected_sum += samples;
}

#endif
