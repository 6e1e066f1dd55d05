/* weir_xdp: runs before AF_XDP queues; meters and steers, reads no payload.
 *
 *   frame -> Ethernet, up to two VLAN tags -> IPv4 or IPv6 -> UDP port of ours?
 *     no  -> PASSED
 *     yes -> DENIED -> MARTIAN -> MALFORMED -> FRAGMENT -> LIMITED -> REDIRECTED or NO_SOCKET
 *
 * The first verdict that fits, in this order, is the frame's. A frame whose port cannot be read
 * (a later fragment, extension headers, a header cut short) is not known to be ours and passes.
 */
#include <stdbool.h>
#include <stddef.h>

#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/udp.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "weir_xdp.h"

#define VLAN_TAGS_MAX 2
#define IP_MORE_FRAGMENTS 0x2000
#define IP_FRAGMENT_OFFSET 0x1fff
#define IPV6_FRAGMENT_OFFSET 0xfff8
/* Tries to take a token while other CPUs do so for the same source; then it is given. */
#define BUCKET_TRIES 4

/* structs */

struct vlan_tag {
    __be16 tci;
    __be16 type;
};

struct fragment_header {
    __u8 next;
    __u8 reserved;
    __be16 offset; /* 13 bits, two unused, more fragments */
    __be32 id;
};

struct packet {
    void *end;    /* of the frame */
    void *ip;
    void *udp;
    __u32 ip_end; /* where the IP header says that the datagram ends, from ip */
    __u32 udp_at; /* from ip */
    bool v6;
    bool fragment;
    struct weir_xdp_source source;
};

/* maps: pinned by the loader, under these names */

struct {
    __uint(type, BPF_MAP_TYPE_XSKMAP);
    __uint(max_entries, WEIR_XDP_QUEUES_MAX);
    __type(key, __u32);
    __type(value, __u32);
} xsks_map SEC(".maps");

/* bit port % 64 of word port / 64: a UDP port of ours */
struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(max_entries, WEIR_XDP_PORT_WORDS);
    __type(key, __u32);
    __type(value, __u64);
} weir_ports SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
    __uint(max_entries, WEIR_XDP_VERDICTS);
    __type(key, __u32);
    __type(value, __u64);
} weir_verdicts SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(max_entries, 1);
    __type(key, __u32);
    __type(value, struct weir_xdp_config);
} weir_config SEC(".maps");

/* the value is an enum weir_xdp_action; the longest prefix decides */
struct {
    __uint(type, BPF_MAP_TYPE_LPM_TRIE);
    __uint(max_entries, WEIR_XDP_RULES_MAX);
    __uint(map_flags, BPF_F_NO_PREALLOC);
    __type(key, struct weir_xdp_key_v4);
    __type(value, __u32);
} weir_rules_v4 SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_LPM_TRIE);
    __uint(max_entries, WEIR_XDP_RULES_MAX);
    __uint(map_flags, BPF_F_NO_PREALLOC);
    __type(key, struct weir_xdp_key_v6);
    __type(value, __u32);
} weir_rules_v6 SEC(".maps");

/* the value is the time (CLOCK_MONOTONIC, ns) at which the source's bucket is full again */
struct {
    __uint(type, BPF_MAP_TYPE_LRU_HASH);
    __uint(max_entries, WEIR_XDP_SOURCES_MAX);
    __type(key, struct weir_xdp_source);
    __type(value, __u64);
} weir_sources SEC(".maps");

/* helpers */

static __always_inline int
count(enum weir_xdp_verdict verdict, int action)
{
    __u32 key = verdict;
    __u64 *counter = bpf_map_lookup_elem(&weir_verdicts, &key);
    if (counter != NULL)
        (*counter)++; /* this CPU's own */
    return action;
}

/* Finds the UDP header of an IPv4 packet. False where the port cannot be read. */
static __always_inline bool
parse_v4(struct packet *packet)
{
    struct iphdr *ip = packet->ip;
    if ((void *)(ip + 1) > packet->end || ip->version != 4 || ip->ihl < 5 ||
        ip->protocol != IPPROTO_UDP)
        return false;
    __u16 fragment = bpf_ntohs(ip->frag_off);
    if ((fragment & IP_FRAGMENT_OFFSET) != 0)
        return false;
    packet->fragment = (fragment & IP_MORE_FRAGMENTS) != 0;
    packet->udp_at = ip->ihl * 4;
    packet->udp = packet->ip + packet->udp_at;
    packet->ip_end = bpf_ntohs(ip->tot_len);
    packet->v6 = false;
    packet->source = (struct weir_xdp_source){.address = {[10] = 0xff, [11] = 0xff}};
    __builtin_memcpy(&packet->source.address[12], &ip->saddr, 4);
    return true;
}

/* The same for IPv6, with at most a fragment header before the UDP header. */
static __always_inline bool
parse_v6(struct packet *packet)
{
    struct ipv6hdr *ip = packet->ip;
    if ((void *)(ip + 1) > packet->end || ip->version != 6)
        return false;
    __u8 next = ip->nexthdr;
    packet->udp_at = sizeof *ip;
    packet->fragment = next == IPPROTO_FRAGMENT;
    if (packet->fragment) {
        struct fragment_header *header = (void *)(ip + 1);
        if ((void *)(header + 1) > packet->end ||
            (bpf_ntohs(header->offset) & IPV6_FRAGMENT_OFFSET) != 0)
            return false;
        next = header->next;
        packet->udp_at += sizeof *header;
    }
    if (next != IPPROTO_UDP)
        return false;
    packet->udp = packet->ip + packet->udp_at;
    packet->ip_end = sizeof *ip + bpf_ntohs(ip->payload_len);
    packet->v6 = true;
    __builtin_memcpy(packet->source.address, &ip->saddr, 16);
    return true;
}

static __always_inline bool
parse(struct packet *packet, void *data)
{
    struct ethhdr *ethernet = data;
    if ((void *)(ethernet + 1) > packet->end)
        return false;
    __be16 type = ethernet->h_proto;
    packet->ip = ethernet + 1;
#pragma unroll
    for (int i = 0; i < VLAN_TAGS_MAX; i++) {
        if (type != bpf_htons(ETH_P_8021Q) && type != bpf_htons(ETH_P_8021AD))
            break;
        struct vlan_tag *tag = packet->ip;
        if ((void *)(tag + 1) > packet->end)
            return false;
        type = tag->type;
        packet->ip = tag + 1;
    }
    if (type == bpf_htons(ETH_P_IP))
        return parse_v4(packet);
    return type == bpf_htons(ETH_P_IPV6) && parse_v6(packet);
}

static __always_inline bool
port_is_ours(const struct packet *packet)
{
    struct udphdr *udp = packet->udp;
    if ((void *)&udp->len > packet->end)
        return false;
    __u16 port = bpf_ntohs(udp->dest);
    __u32 word = port / 64;
    __u64 *bits = bpf_map_lookup_elem(&weir_ports, &word);
    return bits != NULL && (*bits >> (port % 64) & 1) != 0;
}

static __always_inline bool
denied(const struct packet *packet, const struct weir_xdp_config *config)
{
    __u32 *action = NULL;
    if (packet->v6 && config->rules_v6 != 0) {
        struct weir_xdp_key_v6 key = {.bits = 128};
        __builtin_memcpy(key.address, packet->source.address, 16);
        action = bpf_map_lookup_elem(&weir_rules_v6, &key);
    } else if (!packet->v6 && config->rules_v4 != 0) {
        struct weir_xdp_key_v4 key = {.bits = 32};
        __builtin_memcpy(key.address, &packet->source.address[12], 4);
        action = bpf_map_lookup_elem(&weir_rules_v4, &key);
    }
    return action != NULL && *action == WEIR_XDP_DENY;
}

/* Sources that the kernel refuses of a network, and the worker too (net.c): of IPv4 0.0.0.0, 127/8,
 * 224/4, 255.255.255.255; of IPv6 ::, ::1, ff00::/8, and IPv4 inside it (::ffff:0:0/96), which
 * would look like a sender of IPv4 (RFC 1122 3.2.1.3, RFC 4291 2.5 and 2.7, RFC 6890). */
static __always_inline bool
martian(const struct packet *packet)
{
    const __u8 *source = packet->source.address;
    __u32 words[4];
    __builtin_memcpy(words, source, sizeof words);
    if (!packet->v6)
        return words[3] == 0 || words[3] == 0xffffffff || source[12] == 127 ||
               (source[12] & 0xf0) == 224;
    if (source[0] == 0xff)
        return true;
    if (words[0] != 0 || words[1] != 0)
        return false;
    return words[2] == bpf_htonl(0xffff) ||
           (words[2] == 0 && (words[3] == 0 || words[3] == bpf_htonl(1)));
}

/* A fragment's UDP length is that of the whole, so it is not looked at. */
static __always_inline bool
malformed(const struct packet *packet)
{
    struct udphdr *udp = packet->udp;
    if ((void *)(udp + 1) > packet->end || packet->ip + packet->ip_end > packet->end ||
        packet->ip_end < packet->udp_at + sizeof *udp)
        return true;
    __u32 size = bpf_ntohs(udp->len);
    return !packet->fragment &&
           (size < sizeof *udp || size > packet->ip_end - packet->udp_at);
}

/* A token bucket in one word (the generic cell rate algorithm, ITU-T I.371): each packet moves the
 * time at which the bucket is full by interval_ns; it may be tolerance_ns ahead. */
static __always_inline bool
limited(const struct packet *packet, const struct weir_xdp_config *config)
{
    if (config->interval_ns == 0)
        return false;
    __u64 now = bpf_ktime_get_ns();
    __u64 *full_at = bpf_map_lookup_elem(&weir_sources, &packet->source);
    if (full_at == NULL) {
        __u64 first = now + config->interval_ns;
        if (bpf_map_update_elem(&weir_sources, &packet->source, &first, BPF_NOEXIST) == 0)
            return false;
        full_at = bpf_map_lookup_elem(&weir_sources, &packet->source); /* another CPU was first */
    }
    for (int i = 0; i < BUCKET_TRIES; i++) {
        if (full_at == NULL)
            return false;
        __u64 was = *(volatile __u64 *)full_at;
        __u64 next = (was > now ? was : now) + config->interval_ns;
        if (next - now > config->tolerance_ns)
            return true;
        /* partner: the same line on another CPU; both agree on this word alone */
        if (__sync_val_compare_and_swap(full_at, was, next) == was)
            return false;
    }
    return false;
}

/* program */

SEC("xdp")
int
weir_xdp(struct xdp_md *context)
{
    struct packet packet = {.end = (void *)(long)context->data_end};
    __u32 zero = 0;
    if (!parse(&packet, (void *)(long)context->data) || !port_is_ours(&packet))
        return count(WEIR_XDP_PASSED, XDP_PASS);
    struct weir_xdp_config *config = bpf_map_lookup_elem(&weir_config, &zero);
    if (config == NULL)
        return count(WEIR_XDP_PASSED, XDP_PASS);
    if (denied(&packet, config))
        return count(WEIR_XDP_DENIED, XDP_DROP);
    if (martian(&packet))
        return count(WEIR_XDP_MARTIAN, XDP_DROP);
    if (malformed(&packet))
        return count(WEIR_XDP_MALFORMED, XDP_DROP);
    if (packet.fragment)
        return count(WEIR_XDP_FRAGMENT, XDP_DROP);
    if (limited(&packet, config))
        return count(WEIR_XDP_LIMITED, XDP_DROP);
    /* the flags are the answer where the queue has no socket */
    int action = bpf_redirect_map(&xsks_map, context->rx_queue_index, XDP_PASS);
    return count(action == XDP_REDIRECT ? WEIR_XDP_REDIRECTED : WEIR_XDP_NO_SOCKET, action);
}

char LICENSE[] SEC("license") = "Apache-2.0";
