#include "bench/veth/parts.h"

#include "base/capability.h"

#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

/* The buffers of one AF_XDP port are locked memory: 16,384 of 4 KiB. */
#define LOCKED_BYTES (UINT64_C(64) << 20)

struct right {
    const char *name;
    const char *use;
    bool held;
};

static bool
may_lock(void)
{
    struct rlimit limit = {0};
    getrlimit(RLIMIT_MEMLOCK, &limit);
    return limit.rlim_cur == RLIM_INFINITY || limit.rlim_cur >= LOCKED_BYTES ||
           weir_capability_held(CAP_IPC_LOCK);
}

enum weir_err
weir_veth_rights_check(const struct weir_veth_options *options)
{
    bool all = weir_capability_held(CAP_SYS_ADMIN);
    bool port = !options->socket;
    const struct right rights[] = {
        {"CAP_NET_ADMIN", "veth pairs and XDP programs", weir_capability_held(CAP_NET_ADMIN)},
        {"CAP_BPF", "loading them", all || weir_capability_held(CAP_BPF)},
        {"CAP_SYS_NICE", "the generator's real-time priority", weir_capability_held(CAP_SYS_NICE)},
        {"CAP_NET_RAW", "AF_XDP sockets", !port || weir_capability_held(CAP_NET_RAW)},
        {"CAP_SYS_ADMIN", "taking the port's XDP program over", !port || all},
        {"CAP_IPC_LOCK", "the port's buffers", !port || may_lock()}};
    char missing[512] = "";
    for (size_t i = 0; i < sizeof rights / sizeof rights[0]; i++) {
        size_t used = strlen(missing);
        if (!rights[i].held)
            snprintf(missing + used, sizeof missing - used, "%s %s (%s)", used > 0 ? "," : "",
                rights[i].name, rights[i].use);
    }
    return missing[0] == '\0'
               ? WEIR_OK
               : weir_fail(WEIR_UNSUPPORTED, 0, "--source veth needs root; missing:%s", missing);
}
