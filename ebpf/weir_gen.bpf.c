/* weir_gen: the benchmark's frame generator: run by BPF_PROG_TEST_RUN on live frames, it writes
 * host, values and time into each, sums it up, waits until it is due and sends it to an interface.
 *
 * The kernel hands the same pages round, with what was written into them before. One CPU runs it.
 */
#include <stddef.h>

#include <linux/bpf.h>
#include <linux/in.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "weir_gen.h"

/* Looks at the clock while waiting; 25 ns each: a frame waits 2.5 ms at most. */
#define WAIT_TURNS 100000
/* What bpf_csum_diff takes at a time in older kernels. */
#define SUM_PIECE 448
_Static_assert(WEIR_GEN_PAYLOAD % SUM_PIECE == 0, "the payload is summed in whole pieces");
_Static_assert(WEIR_GEN_PAYLOAD == 3 * SUM_PIECE, "three of them");
#define UDP_AT 34
#define UDP_SUM_AT (UDP_AT + 6)

struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(max_entries, 1);
    __type(key, __u32);
    __type(value, struct weir_gen_config);
} gen_config SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(max_entries, 1);
    __type(key, __u32);
    __type(value, struct weir_gen_state);
} gen_state SEC(".maps");

struct text {
    char host[WEIR_GEN_HOST_DIGITS];
    char time[WEIR_GEN_TIME_DIGITS];
};

static __always_inline void
put_digits(char *out, int count, __u64 value)
{
#pragma unroll
    for (int i = count - 1; i >= 0; i--) {
        out[i] = (char)('0' + value % 10);
        value /= 10;
    }
}

static __always_inline void
put_lines(char *payload, const struct text *text, __u64 number)
{
    __u64 random = number * 0x9e3779b97f4a7c15ull;
#pragma unroll
    for (int i = 0; i < WEIR_GEN_LINES; i++) {
        char *line = payload + i * WEIR_GEN_LINE;
        __builtin_memcpy(line + WEIR_GEN_HOST_AT, text->host, WEIR_GEN_HOST_DIGITS);
        __builtin_memcpy(line + WEIR_GEN_TIME_AT, text->time, WEIR_GEN_TIME_DIGITS);
        /* three digits of 123.456 move, eight values each: the shapes stay */
        line[WEIR_GEN_VALUE_AT + 2] = (char)('0' + (random >> (3 * i) & 7));
        line[WEIR_GEN_VALUE_AT + 4] = (char)('0' + (random >> (3 * i + 9) & 7));
        line[WEIR_GEN_VALUE_AT + 6] = (char)('1' + (random >> (3 * i + 18) & 7));
    }
}

/* UDP checksum over the pseudo header and all that follows. */
static __always_inline void
put_sum(char *frame)
{
    __be16 *field = (__be16 *)(frame + UDP_SUM_AT);
    *field = 0;
    __s64 sum = bpf_htons(IPPROTO_UDP) + bpf_htons(8 + WEIR_GEN_PAYLOAD);
    sum = bpf_csum_diff(NULL, 0, (__be32 *)(frame + 26), 8, (__wsum)sum); /* addresses */
    sum = bpf_csum_diff(NULL, 0, (__be32 *)(frame + UDP_AT), 8, (__wsum)sum);
#pragma unroll
    for (int i = 0; i < 3; i++)
        sum = bpf_csum_diff(NULL, 0, (__be32 *)(frame + WEIR_GEN_HEADERS + i * SUM_PIECE),
            SUM_PIECE, (__wsum)sum);
    __u32 folded = (__u32)sum;
    folded = (folded & 0xffff) + (folded >> 16);
    folded = (folded & 0xffff) + (folded >> 16);
    __u16 result = (__u16)~folded;
    *field = result != 0 ? result : 0xffff;
}

static long
due(__u32 turn, void *due_ns)
{
    (void)turn;
    return bpf_ktime_get_ns() >= *(__u64 *)due_ns; /* 1 ends the loop */
}

static __always_inline void
wait_due(struct weir_gen_state *state, __u64 interval_ns)
{
    if (state->due_ns == 0)
        state->due_ns = bpf_ktime_get_ns();
    __u64 due_ns = state->due_ns;
    bpf_loop(WAIT_TURNS, due, &due_ns, 0);
    /* lateness is made up for */
    state->due_ns += interval_ns;
}

SEC("xdp")
int
weir_gen(struct xdp_md *context)
{
    char *frame = (char *)(long)context->data;
    __u32 zero = 0;
    struct weir_gen_config *config = bpf_map_lookup_elem(&gen_config, &zero);
    struct weir_gen_state *state = bpf_map_lookup_elem(&gen_state, &zero);
    if (config == NULL || state == NULL || config->hosts == 0 ||
        frame + WEIR_GEN_FRAME > (char *)(long)context->data_end)
        return XDP_ABORTED;
    struct text text;
    __u64 number = state->frame++;
    put_digits(text.host, WEIR_GEN_HOST_DIGITS, number % config->hosts);
    put_digits(text.time, WEIR_GEN_TIME_DIGITS,
        config->start_ns + number / config->hosts * config->step_ns);
    put_lines(frame + WEIR_GEN_HEADERS, &text, number);
    put_sum(frame);
    if (config->interval_ns != 0)
        wait_due(state, config->interval_ns);
    return (int)bpf_redirect(config->target, 0);
}

char LICENSE[] SEC("license") = "Apache-2.0";
