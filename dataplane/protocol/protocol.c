#include "dataplane/protocol/influx/fast.h"
#include "dataplane/protocol/parse.h"

const struct weir_protocol weir_protocols[WEIR_PROTO_COUNT] = {
    [WEIR_PROTO_INFLUX] = {"influx", weir_influx_parse, weir_influx_labels_begin,
        weir_influx_labels_field},
    [WEIR_PROTO_GRAPHITE] = {"graphite", weir_graphite_parse, weir_graphite_labels_begin,
        weir_graphite_labels_field},
    [WEIR_PROTO_WEIR] = {"weir", weir_wire_parse, weir_wire_labels_begin, weir_wire_labels_field},
};

const char *
weir_parse_variant(void)
{
    return weir_influx_variants[weir_influx_variant()].name;
}
