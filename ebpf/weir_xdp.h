/* weir_xdp: shared by the XDP program and its loader: verdicts, map values, limits.
 *
 * Kernel types alone, because both sides of the build read it. All words are in host order, except
 * addresses, which keep the order of the wire. */
#ifndef WEIR_EBPF_WEIR_XDP_H
#define WEIR_EBPF_WEIR_XDP_H

#include <linux/types.h>

#define WEIR_XDP_QUEUES_MAX 64
/* Deny and allow rules of a family. */
#define WEIR_XDP_RULES_MAX 1024
/* Sources whose bucket is remembered; the one unused for longest gives way, and meets a full
 * bucket when it comes back. */
#define WEIR_XDP_SOURCES_MAX 65536
#define WEIR_XDP_PORT_WORDS (65536 / 64)

/* The verdict on a frame; each has a counter a CPU. */
enum weir_xdp_verdict {
    WEIR_XDP_PASSED,     /* not for a port of ours: to the kernel */
    WEIR_XDP_NO_SOCKET,  /* ours, and no AF_XDP socket sits on its queue: to the kernel */
    WEIR_XDP_REDIRECTED, /* to the AF_XDP socket */
    WEIR_XDP_DENIED,     /* the most specific rule for its source says deny */
    WEIR_XDP_MARTIAN,    /* no sender can have its source address */
    WEIR_XDP_MALFORMED,  /* lengths that contradict each other or the frame */
    WEIR_XDP_FRAGMENT,
    WEIR_XDP_LIMITED,    /* its source's bucket is empty */
    WEIR_XDP_VERDICTS
};

enum weir_xdp_action { WEIR_XDP_DENY = 1, WEIR_XDP_ALLOW = 2 };

struct weir_xdp_config {
    __u64 interval_ns;  /* of a packet at the limit's rate; 0: no limit */
    __u64 tolerance_ns; /* interval_ns times the burst */
    __u32 rules_v4;     /* rules there are: none, and the trie is not asked */
    __u32 rules_v6;
};

struct weir_xdp_key_v4 {
    __u32 bits;
    __u8 address[4];
};

struct weir_xdp_key_v6 {
    __u32 bits;
    __u8 address[16];
};

/* A packet's sender; IPv4 as ::ffff:a.b.c.d. */
struct weir_xdp_source {
    __u8 address[16];
};

#endif
