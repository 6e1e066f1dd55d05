/* weir_gen: the benchmark's frame generator. BPF_PROG_TEST_RUN runs it on live frames: it puts the
 * next filled slot's bytes into each and sends it to an interface. If no slot is filled it drops
 * the frame, and is run again. A second program lets frames pass at the other end. */
#include <stddef.h>

#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

#include "weir_gen.h"

struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(map_flags, BPF_F_MMAPABLE);
    __uint(max_entries, WEIR_GEN_SLOTS);
    __type(key, __u32);
    __type(value, struct weir_gen_slot);
} gen_slots SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(map_flags, BPF_F_MMAPABLE);
    __uint(max_entries, 1);
    __type(key, __u32);
    __type(value, struct weir_gen_state);
} gen_state SEC(".maps");

SEC("xdp")
int
weir_gen(struct xdp_md *context)
{
    __u32 zero = 0;
    struct weir_gen_state *state = bpf_map_lookup_elem(&gen_state, &zero);
    /* the filler runs on this CPU and never while we do: no barriers */
    if (state == NULL || state->sent == *(volatile __u64 *)&state->filled)
        return XDP_DROP;
    __u32 index = (__u32)state->sent & (WEIR_GEN_SLOTS - 1);
    struct weir_gen_slot *slot = bpf_map_lookup_elem(&gen_slots, &index);
    if (slot == NULL)
        return XDP_DROP;
    __u32 size = slot->size;
    __u32 target = (__u32)(state->sent / WEIR_GEN_TURN) & (state->target_count - 1);
    state->sent++;
    if (size < WEIR_GEN_FRAME_MIN || size > WEIR_GEN_FRAME_MAX ||
        bpf_xdp_adjust_tail(context, (int)size - WEIR_GEN_FRAME_MAX) != 0 ||
        bpf_xdp_store_bytes(context, 0, slot->frame, size) != 0) {
        state->refused++;
        return XDP_DROP;
    }
    return (int)bpf_redirect(state->targets[target & (WEIR_GEN_TARGETS_MAX - 1)], 0);
}

/* On the receiving end where no other program is: a veth takes frames in bulk only with one. */
SEC("xdp")
int
weir_gen_pass(struct xdp_md *context)
{
    (void)context;
    return XDP_PASS;
}

char LICENSE[] SEC("license") = "Apache-2.0";
