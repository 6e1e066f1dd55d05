#include "dataplane/protocol/protocol.h"

#include "dataplane/protocol/graphite/graphite.h"
#include "dataplane/protocol/influx/influx.h"
#include "dataplane/protocol/opentsdb/opentsdb.h"
#include "dataplane/protocol/weir/weir.h"

#include <stdio.h>

const struct weir_protocol weir_protocols[WEIR_PROTO_COUNT] = {
    [WEIR_PROTO_INFLUX] = {"influx", "Influx lines", weir_influx_parse, weir_influx_labels_begin,
        weir_influx_labels, NULL, weir_influx_refused_at, weir_influx_line_make, NULL},
    [WEIR_PROTO_GRAPHITE] = {"graphite", "Graphite lines", weir_graphite_parse,
        weir_graphite_labels_begin, weir_graphite_labels, NULL, weir_graphite_refused_at,
        weir_graphite_line_make, NULL},
    [WEIR_PROTO_WEIR] = {"weir", "weir packets", weir_wire_parse, weir_wire_labels_begin,
        weir_wire_labels, NULL, NULL, NULL, &weir_wire_session},
    [WEIR_PROTO_OPENTSDB] = {"opentsdb", "OpenTSDB put lines", weir_opentsdb_parse,
        weir_opentsdb_labels_begin, weir_opentsdb_labels, weir_opentsdb_answer,
        weir_opentsdb_refused_at, weir_opentsdb_line_make, NULL},
};

const struct weir_protocol *
weir_protocol_find(const char *name)
{
    for (size_t i = 0; i < WEIR_PROTO_COUNT; i++)
        if (strcmp(weir_protocols[i].name, name) == 0)
            return &weir_protocols[i];
    return NULL;
}

void
weir_protocol_line_names(char *out, size_t size, const char *separator)
{
    size_t used = 0;
    out[0] = '\0';
    for (size_t i = 0; i < WEIR_PROTO_COUNT; i++) {
        if (weir_protocols[i].refused_at == NULL)
            continue;
        int more = snprintf(out + used, size - used, "%s%s", used > 0 ? separator : "",
            weir_protocols[i].name);
        WEIR_ASSERT(more > 0 && (size_t)more < size - used);
        used += (size_t)more;
    }
}

const char *
weir_parse_variant(void)
{
    return weir_influx_variant_name();
}
