/* parse_weir: what the weir protocol asks of the worker beyond the common signature of parse.h.
 *
 * A packet is parsed as a whole, so that its number is entered together with its records:
 *
 *   checked -> (its channel's definitions are with the registrar: waits) -> numbered -> records
 *
 * Its groups are not points but runs: series numbers come from the template's array.
 *
 * Threads: as parse.h; context.senders is the worker's own
 * Limits:  WEIR_WIRE_RECORDS_MAX records a packet
 */
#ifndef WEIR_DATAPLANE_PARSE_WEIR_H
#define WEIR_DATAPLANE_PARSE_WEIR_H

#include "base/sample.h"
#include "dataplane/parse.h"
#include "dataplane/senders.h"

enum weir_run_kind { WEIR_RUN_GROUP, WEIR_RUN_DEFINITION, WEIR_RUN_EMPTY };

/* A definition on its way through the registrar: this, then the wire record as it came. */
struct weir_definition_text {
    uint64_t sender;
    uint64_t sequence;
    uint32_t epoch;
    uint16_t channel;
    uint16_t reserved;
};
_Static_assert(sizeof(struct weir_definition_text) == 24, "a whole number of words");

/* Samples that the packet at `at` can hold at most: what a batch must have room for. */
uint32_t weir_wire_samples_bound(const struct weir_packet *packet, size_t at);

/* Enters the series numbers of a definition into its template. Returns how many of its series
 * have none yet; 0 too where the template is another one by now. */
uint32_t weir_definition_apply(struct weir_senders *senders, const struct weir_series *series,
    const struct weir_definition_text *text, const uint8_t *record, uint8_t *reason);
/* The registrar has answered: applies it as it is, and counts it as no longer pending. */
void weir_definition_settled(struct weir_senders *senders, const struct weir_series *series,
    const uint8_t *text);

/* Whole packets behind `at` of a stream: bytes of the next one, 0 where its header is not there
 * yet or is none. For the TCP port. */
size_t weir_wire_packet_bytes(const uint8_t *data, size_t size);

#endif
