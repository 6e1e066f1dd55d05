/* weir: the weir protocol; its row of the table of protocols (protocol.h) has these.
 *
 * docs/format/wire.md is the rule book. Start reading at parse.c; parse.h has what its files share.
 */
#ifndef WEIR_DATAPLANE_PROTOCOL_WEIR_WEIR_H
#define WEIR_DATAPLANE_PROTOCOL_WEIR_WEIR_H

#include "dataplane/protocol/protocol.h"

weir_parse_fn weir_wire_parse;
/* text is a struct weir_definition_text (deferral.h) and the definition after it. */
weir_labels_begin_fn weir_wire_labels_begin;
weir_labels_fn weir_wire_labels;
extern const struct weir_session weir_wire_session;

#endif
