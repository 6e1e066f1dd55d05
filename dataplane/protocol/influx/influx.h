/* influx: Influx line protocol; its row of the table of protocols (protocol.h) has these.
 *
 * docs/format/influx.md is the rule book. Start reading at parse.c.
 */
#ifndef WEIR_DATAPLANE_PROTOCOL_INFLUX_INFLUX_H
#define WEIR_DATAPLANE_PROTOCOL_INFLUX_INFLUX_H

#include "dataplane/protocol/protocol.h"

weir_parse_fn weir_influx_parse;
weir_labels_begin_fn weir_influx_labels_begin;
weir_labels_fn weir_influx_labels;
weir_refused_at_fn weir_influx_refused_at;
weir_line_make_fn weir_influx_line_make;

/* "avx512", "avx2" or "scalar": the variant of the parser chosen for this CPU. */
const char *weir_influx_variant_name(void);

#endif
