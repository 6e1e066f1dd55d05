/* graphite: Graphite plaintext, plain and tagged; its row of the table of protocols (protocol.h)
 * has these.
 *
 * docs/format/graphite.md is the rule book. Start reading at parse.c.
 */
#ifndef WEIR_DATAPLANE_PROTOCOL_GRAPHITE_GRAPHITE_H
#define WEIR_DATAPLANE_PROTOCOL_GRAPHITE_GRAPHITE_H

#include "dataplane/protocol/protocol.h"

weir_parse_fn weir_graphite_parse;
weir_labels_begin_fn weir_graphite_labels_begin;
weir_labels_fn weir_graphite_labels;
weir_refused_at_fn weir_graphite_refused_at;
weir_line_make_fn weir_graphite_line_make;

#endif
