/* parse_weir: what the weir protocol asks of the worker beyond the common signature of parse.h.
 *
 * A packet is parsed as a whole, so that its number is entered together with its records:
 *
 *   checked -> (its channel's definitions are with the registrar: waits) -> numbered -> records
 *
 * Its groups are not points but items: series numbers come from the template's array.
 *
 * Threads: as parse.h; context.channels is the worker's own
 * Limits:  WEIR_WIRE_RECORDS_MAX records a packet
 */
#ifndef WEIR_DATAPLANE_PROTOCOL_WEIR_PARSE_H
#define WEIR_DATAPLANE_PROTOCOL_WEIR_PARSE_H

#include "dataplane/protocol/parse.h"
#include "dataplane/protocol/weir/channels/channels.h"
#include "model/sample.h"

#include <stdalign.h>
#include <string.h>

enum weir_wire_item_kind { WEIR_WIRE_ITEM_GROUP, WEIR_WIRE_ITEM_DEFINITION, WEIR_WIRE_ITEM_EMPTY };

/* A definition on its way through the registrar: this, then the wire record as it came. Where
 * list_count says so, of the record only its head, then the list of its unknown series, each a
 * struct weir_deferred_point (dataplane/protocol/deferral.h). */
struct weir_definition_text {
    uint64_t sender;
    uint64_t sequence;
    uint32_t epoch;
    uint16_t channel;
    uint16_t list_count; /* 0: the record is here as it came */
};
_Static_assert(sizeof(struct weir_definition_text) == 24, "a whole number of words");
_Static_assert(WEIR_WIRE_TEMPLATE_SERIES_MAX <= UINT16_MAX, "a list's count fits");

/* Lists of a packet's definitions, or numbers of groups whose template is in pieces. 1,500
 * series of usual labels fill a deferral; a packet has up to twice as many. A definition without
 * room goes to the registrar as it came. */
#define WEIR_DEFINITION_LIST_BYTES (512u << 10)

struct weir_definitions {
    struct weir_line_labels line;
    uint32_t used; /* bytes of list; of a packet of groups: of numbers that were gathered */
    alignas(8) uint8_t list[WEIR_DEFINITION_LIST_BYTES];
};

/* Samples that the packet at `at` can hold at most: what a batch must have room for. */
uint32_t weir_wire_samples_bound(const struct weir_packet *packet, size_t at);

/* Enters the series numbers of a definition into its template. Where some have none yet, run is a
 * definition for the registrar, with the list of those in context->definitions until the next
 * packet is parsed; else it is empty, as where the template is another one by now. source: whose
 * share of the memory for templates it counts for; NULL for nobody's. */
void weir_definition_apply(const struct weir_parse_context *context, struct weir_channel *channel,
    const uint8_t *record, const struct weir_owner *source, struct weir_wire_item *item,
    uint8_t *reason);
/* The registrar has answered: enters the numbers that there are now, where the template is still
 * the one of the definition, and counts it as no longer pending. */
void weir_definition_completed(const struct weir_parse_context *context, const uint8_t *text);

/* As weir_wire_labels_begin, for the record alone. */
enum weir_err weir_definition_labels_begin(struct weir_line_labels *line, const uint8_t *record,
    size_t size);

/* Whole packets behind `at` of a stream: bytes of the next one, 0 where its header is not there
 * yet or is none. For the TCP port. */
size_t weir_wire_packet_bytes(const uint8_t *data, size_t size);

static inline struct weir_wire_record
weir_wire_load_record(const uint8_t *at)
{
    struct weir_wire_record record;
    memcpy(&record, at, sizeof record);
    return record;
}

/* The list behind its u16 size at *at of a definition; moves *at behind it. */
static inline bool
weir_wire_next_list(const uint8_t *record, size_t length, size_t *at, const uint8_t **list,
    size_t *size)
{
    uint16_t bytes;
    if (length - *at < sizeof bytes)
        return false;
    memcpy(&bytes, record + *at, sizeof bytes);
    *size = bytes;
    *list = record + *at + sizeof bytes;
    if (*size > length - *at - sizeof bytes)
        return false;
    *at += sizeof bytes + *size;
    return true;
}

#endif
