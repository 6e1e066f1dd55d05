#include "ebpf/generator.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

/* Frames the kernel has under way before it hands them on. */
#define BATCH 64

struct weir_generator {
    struct bpf_object *object;
    int program_fd;
    int config_fd;
    int state_fd;
    uint8_t frame[WEIR_GEN_FRAME];
};

static void
put16(uint8_t *at, unsigned value)
{
    at[0] = (uint8_t)(value >> 8);
    at[1] = (uint8_t)value;
}

/* The IPv4 header's checksum (RFC 1071). */
static unsigned
header_sum(const uint8_t *header)
{
    uint32_t sum = 0;
    for (int i = 0; i < 20; i += 2)
        sum += (uint32_t)header[i] << 8 | header[i + 1];
    while (sum >> 16 != 0)
        sum = (sum & 0xffff) + (sum >> 16);
    return ~sum & 0xffff;
}

static void
lay_out_line(char *line, unsigned index)
{
    static const char *const names[WEIR_GEN_LINES] = {"cpu0,job=weir-bench", "cpu1,job=weir-bench",
        "cpu2,job=weir-bench", "disk,job=weir-bench", "load,job=weir-bench", "memo,job=weir-bench",
        "net0,job=weir-bench", "net1,job=weir-bench", "proc,job=weir-bench", "swap,job=weir-bench",
        "temp,job=weir-bench", "http,job=weir-bench"};
    char text[WEIR_GEN_LINE + 1];
    /* the program writes host at 39, value and time at the end */
    snprintf(text, sizeof text, "%s,rack=r01,host=node-%07d,region=eu-west-1,zone=b usage=123.456",
        names[index], 0);
    size_t used = strlen(text);
    size_t wanted = WEIR_GEN_VALUE_AT + 7;
    memset(line, '0', WEIR_GEN_LINE);
    /* the zone's name takes up what is missing, so that all lines are of one length */
    size_t tail = strlen(" usage=123.456");
    memcpy(line, text, used - tail);
    memset(line + used - tail, 'b', wanted - used);
    memcpy(line + wanted - tail, text + used - tail, tail);
    line[wanted] = ' ';
    line[WEIR_GEN_LINE - 1] = '\n';
}

static void
lay_out(uint8_t *frame, uint16_t port)
{
    static const uint8_t addresses[8] = {192, 0, 2, 1, 192, 0, 2, 2};
    uint8_t *ip = frame + 14;
    uint8_t *udp = ip + 20;
    memset(frame, 0, WEIR_GEN_HEADERS);
    memcpy(frame, "\2\0\0\0\0\2\2\0\0\0\0\1", 12);
    put16(frame + 12, 0x0800);
    put16(ip, 0x4500);
    put16(ip + 2, 28 + WEIR_GEN_PAYLOAD);
    put16(ip + 6, 0x4000);
    put16(ip + 8, 64 << 8 | 17);
    memcpy(ip + 12, addresses, sizeof addresses);
    put16(ip + 10, header_sum(ip));
    put16(udp, 40000);
    put16(udp + 2, port);
    put16(udp + 4, 8 + WEIR_GEN_PAYLOAD);
    for (unsigned i = 0; i < WEIR_GEN_LINES; i++)
        lay_out_line((char *)frame + WEIR_GEN_HEADERS + i * WEIR_GEN_LINE, i);
}

enum weir_err
weir_generator_new(const char *object, uint16_t port, struct weir_generator **out)
{
    struct weir_generator *generator = calloc(1, sizeof *generator);
    if (generator == NULL)
        return weir_fail(WEIR_NOMEM, 0, "frame generator");
    lay_out(generator->frame, port);
    generator->object = bpf_object__open_file(object, NULL);
    int failed = generator->object == NULL ? -errno : bpf_object__load(generator->object);
    if (failed != 0) {
        weir_generator_free(generator);
        return weir_fail(WEIR_UNSUPPORTED, -failed, "load %s", object);
    }
    generator->program_fd =
        bpf_program__fd(bpf_object__find_program_by_name(generator->object, "weir_gen"));
    generator->config_fd = bpf_object__find_map_fd_by_name(generator->object, "gen_config");
    generator->state_fd = bpf_object__find_map_fd_by_name(generator->object, "gen_state");
    *out = generator;
    return WEIR_OK;
}

enum weir_err
weir_generator_run(struct weir_generator *generator, const struct weir_gen_config *config,
    uint32_t frames)
{
    struct weir_gen_state state = {0};
    struct xdp_md context = {.data_end = WEIR_GEN_FRAME};
    uint32_t zero = 0;
    LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = generator->frame,
        .data_size_in = WEIR_GEN_FRAME, .ctx_in = &context, .ctx_size_in = sizeof context,
        .repeat = (int)frames, .flags = BPF_F_TEST_XDP_LIVE_FRAMES, .batch_size = BATCH);
    if (bpf_map_update_elem(generator->config_fd, &zero, config, BPF_ANY) != 0 ||
        bpf_map_update_elem(generator->state_fd, &zero, &state, BPF_ANY) != 0)
        return weir_fail(WEIR_IO, errno, "configure the frame generator");
    int failed = bpf_prog_test_run_opts(generator->program_fd, &opts);
    return failed == 0 ? WEIR_OK : weir_fail(WEIR_IO, -failed, "send live frames");
}

uint64_t
weir_generator_sent(const struct weir_generator *generator)
{
    struct weir_gen_state state = {0};
    uint32_t zero = 0;
    (void)bpf_map_lookup_elem(generator->state_fd, &zero, &state);
    return state.frame;
}

void
weir_generator_free(struct weir_generator *generator)
{
    bpf_object__close(generator->object);
    free(generator);
}
