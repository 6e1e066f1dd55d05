/* cost: prints the cost of the XDP program per packet, by BPF_PROG_TEST_RUN, as one JSON object.
 *
 *   bench-xdp-cost OBJECT        needs root
 */
#include "ebpf/loader.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <linux/bpf.h>
#include <linux/if_xdp.h>

#define PORT 8089
#define PAYLOAD 64
#define REPEAT 200000

struct frame {
    uint8_t bytes[256];
    uint32_t size;
};

static struct weir_rules rules;

static void
die(const char *what)
{
    fprintf(stderr, "bench-xdp-cost: %s: %s\n", what, strerror(errno));
    exit(EXIT_FAILURE);
}

static void
put(struct frame *frame, const void *bytes, size_t size)
{
    memcpy(frame->bytes + frame->size, bytes, size);
    frame->size += (uint32_t)size;
}

static void
put16(struct frame *frame, unsigned value)
{
    const uint8_t bytes[2] = {(uint8_t)(value >> 8), (uint8_t)value};
    put(frame, bytes, sizeof bytes);
}

static void
put_udp(struct frame *frame, uint16_t port)
{
    put16(frame, 40000);
    put16(frame, port);
    put16(frame, 8 + PAYLOAD);
    put16(frame, 0);
    frame->size += PAYLOAD;
}

/* A datagram by IPv4. */
static struct frame
frame_v4(const char *source, uint16_t port)
{
    struct frame frame = {.size = 0};
    uint8_t address[4];
    inet_pton(AF_INET, source, address);
    put(&frame, "\2\0\0\0\0\1\2\0\0\0\0\2\x08\0", 14);
    put16(&frame, 0x4500);
    put16(&frame, 20 + 8 + PAYLOAD);
    put(&frame, "\0\7\0\0\x40\x11\0\0", 8); /* the program leaves checksums to the worker */
    put(&frame, address, 4);
    put(&frame, "\xc0\0\2\2", 4);
    put_udp(&frame, port);
    return frame;
}

/* A datagram by IPv6 under two VLAN tags. */
static struct frame
frame_v6_tagged(uint16_t port)
{
    struct frame frame = {.size = 0};
    uint8_t address[16];
    inet_pton(AF_INET6, "2001:db8::1", address);
    put(&frame, "\2\0\0\0\0\1\2\0\0\0\0\2\x88\xa8\0\5\x81\0\0\5\x86\xdd", 22);
    put(&frame, "\x60\0\0\0", 4);
    put16(&frame, 8 + PAYLOAD);
    put16(&frame, 17u << 8 | 64);
    put(&frame, address, 16);
    put(&frame, address, 16);
    put_udp(&frame, port);
    return frame;
}

static void
print_cost(struct weir_xdp *xdp, const char *what, struct frame frame, const char *after)
{
    LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = frame.bytes, .data_size_in = frame.size,
        .repeat = REPEAT);
    if (bpf_prog_test_run_opts(weir_xdp_program_fd(xdp), &opts) != 0)
        die("run the program");
    printf("\"%s\": %u%s", what, opts.duration, after);
}

static void
change(struct weir_xdp *xdp, const char *line)
{
    if (weir_rules_change(&rules, line) != WEIR_OK || weir_xdp_rules_set(xdp, &rules) != WEIR_OK)
        die(line);
}

/* An AF_XDP socket in the map's place for queue 0; it need not be bound for a verdict. */
static void
put_socket(const struct bpf_object *object)
{
    uint32_t queue = 0;
    int size = 64;
    int fd = socket(AF_XDP, SOCK_RAW | SOCK_CLOEXEC, 0);
    if (fd < 0 || setsockopt(fd, SOL_XDP, XDP_RX_RING, &size, sizeof size) != 0 ||
        bpf_map_update_elem(bpf_object__find_map_fd_by_name(object, "xsks_map"), &queue, &fd,
            BPF_ANY) != 0)
        die("AF_XDP socket");
}

int
main(int argc, char **argv)
{
    const uint16_t port = PORT;
    struct weir_xdp *xdp;
    struct bpf_object *object = argc == 2 ? bpf_object__open_file(argv[1], NULL) : NULL;
    if (object == NULL || bpf_object__load(object) != 0)
        die("load the object named (weir_xdp.bpf.o)");
    const struct bpf_program *program = bpf_object__find_program_by_name(object, "weir_xdp");
    if (weir_xdp_wrap(dup(bpf_program__fd(program)), &xdp) != WEIR_OK ||
        weir_xdp_ports_set(xdp, &port, 1) != WEIR_OK)
        die("the program's maps");
    put_socket(object);
    printf("{\"xdp_ns_per_packet\": {");
    print_cost(xdp, "passed", frame_v4("192.0.2.1", 9), ", ");
    print_cost(xdp, "redirected", frame_v4("192.0.2.1", PORT), ", ");
    print_cost(xdp, "redirected, IPv6, two tags", frame_v6_tagged(PORT), ", ");
    change(xdp, "limit 10000000 10000000");
    print_cost(xdp, "redirected, limit", frame_v4("192.0.2.1", PORT), ", ");
    change(xdp, "limit off");
    change(xdp, "deny 10.0.0.0/8");
    print_cost(xdp, "redirected, one rule", frame_v4("192.0.2.1", PORT), ", ");
    print_cost(xdp, "denied", frame_v4("10.0.0.1", PORT), "}}\n");
    weir_xdp_close(xdp);
    bpf_object__close(object);
    return EXIT_SUCCESS;
}
