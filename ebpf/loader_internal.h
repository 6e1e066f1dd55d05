/* loader_internal: the inside of struct weir_xdp, for ebpf/loader*.c only. */
#ifndef WEIR_EBPF_LOADER_INTERNAL_H
#define WEIR_EBPF_LOADER_INTERNAL_H

#include "ebpf/loader.h"

enum { PORTS, VERDICTS, CONFIG, RULES_V4, RULES_V6, SOURCES, XSKS, MAPS };

struct weir_xdp {
    uint32_t interface_index; /* 0: on none */
    uint32_t program_id;
    int program_fd;
    int maps[MAPS];
    int cpus; /* possible ones: values of a per-CPU map */
};

#endif
