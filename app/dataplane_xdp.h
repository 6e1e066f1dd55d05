/* dataplane_xdp: vdev strings of AF_XDP ports, completed, and the rules their program starts with.
 *
 * Threads: the main thread, at start
 * Memory:  one struct in the dataplane's
 * Errors:  WEIR_UNSUPPORTED built without the XDP program; WEIR_INVALID the string, or the rules
 *          of DATA/filter.rules; WEIR_BUSY, WEIR_NOT_FOUND the interface
 */
#ifndef WEIR_APP_DATAPLANE_XDP_H
#define WEIR_APP_DATAPLANE_XDP_H

#include "config/config.h"
#include "ebpf/loader.h"

#define WEIR_FILTER_RULES_FILE "filter.rules"
#define WEIR_VDEV_MAX 2048

struct weir_dataplane_xdp {
    char vdevs[WEIR_CONFIG_PORTS_MAX][WEIR_VDEV_MAX];
    char pins[WEIR_XDP_PINS_MAX]; /* "" where no port is of AF_XDP */
    struct weir_rules rules;
};

/* Whether a port of the configuration is an AF_XDP one. */
bool weir_config_has_af_xdp(const struct weir_config *config);

/* Fills vdevs with the configuration's ports; those of AF_XDP get xdp_prog=, start_queue= and
 * queue_count= where they lack them: our program, and all queues of the interface; those on a
 * veth busy_budget=0 too. */
enum weir_err weir_dataplane_xdp_prepare(struct weir_dataplane_xdp *xdp,
    const struct weir_config *config) WEIR_MUST_USE;

#endif
