#include "dataplane/parse.h"
#include "dataplane/parse_scan.h"

const struct weir_protocol weir_protocols[WEIR_PROTO_COUNT] = {
    [WEIR_PROTO_INFLUX] = {"influx", weir_influx_parse, weir_influx_labels},
    [WEIR_PROTO_GRAPHITE] = {"graphite", weir_graphite_parse, weir_graphite_labels},
    [WEIR_PROTO_WEIR] = {"weir", weir_wire_parse, weir_wire_labels},
};

const char *
weir_parse_path(void)
{
    return weir_scan_best()->name;
}
