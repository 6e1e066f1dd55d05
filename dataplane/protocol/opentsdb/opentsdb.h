/* opentsdb: OpenTSDB's telnet-style lines. Its row of the table of protocols (protocol.h) has
 * these.
 *
 * docs/format/opentsdb.md is the rule book. Start reading at parse.c.
 */
#ifndef WEIR_DATAPLANE_PROTOCOL_OPENTSDB_OPENTSDB_H
#define WEIR_DATAPLANE_PROTOCOL_OPENTSDB_OPENTSDB_H

#include "dataplane/protocol/protocol.h"

weir_parse_fn weir_opentsdb_parse;
weir_labels_begin_fn weir_opentsdb_labels_begin;
weir_labels_fn weir_opentsdb_labels;
weir_answer_fn weir_opentsdb_answer;
weir_refused_at_fn weir_opentsdb_refused_at;
weir_line_make_fn weir_opentsdb_line_make;

#endif
