/* definition: definitions of the weir protocol: the labels of their series, and numbers,
 * which are looked up and entered into templates.
 *
 * Threads: the worker's; labels anybody's
 * Limits:  WEIR_DEFINITION_LIST_BYTES of lists a packet
 */
#ifndef WEIR_DATAPLANE_PROTOCOL_WEIR_DEFINITION_H
#define WEIR_DATAPLANE_PROTOCOL_WEIR_DEFINITION_H

#include "dataplane/protocol/deferral.h"
#include "dataplane/protocol/parse.h"
#include "dataplane/protocol/weir/channels/channels.h"

#include <stdalign.h>

/* Lists of a packet's definitions, or numbers of groups whose template is in pieces. 1,500
 * series of usual labels fill a deferral; a packet has up to twice as many. A definition without
 * room goes to the registrar as it came. */
#define WEIR_DEFINITION_LIST_BYTES (512u << 10)

struct weir_definitions {
    struct weir_line_labels line;
    uint32_t used; /* bytes of list; of a packet of groups: of numbers that were gathered */
    alignas(8) uint8_t list[WEIR_DEFINITION_LIST_BYTES];
};

/* Enters the series numbers of a definition into its template. If some have none yet, run is a
 * definition for the registrar, with the list of those in context->definitions until the next
 * packet is parsed; else it is empty, as where the template is another one by now. source: whose
 * share of the memory for templates it counts for; NULL for nobody's. */
void weir_definition_apply(const struct weir_parse_context *context, struct weir_channel *channel,
    const uint8_t *record, const struct weir_owner *source, struct weir_wire_item *item,
    uint8_t *reason);
/* The registrar has answered: enters the numbers that there are now, where the template is still
 * the one of the definition, and counts it as no longer pending. */
void weir_definition_completed(const struct weir_parse_context *context, const uint8_t *text);

/* As labels_begin of the table, for the record alone. */
enum weir_err weir_definition_labels_begin(struct weir_line_labels *line, const uint8_t *record,
    size_t size);
/* The canonical labels of one of its series, made in bytes: they differ in little. Errors as those
 * of labels in the table. */
enum weir_err weir_definition_labels(struct weir_line_labels *line, unsigned field, uint8_t *labels,
    size_t *labels_size);

#endif
