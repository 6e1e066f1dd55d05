/* The XDP program, run by the kernel on frames of ours: frame in, verdict and counters out. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/clock.h"
#include "ebpf/loader.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <linux/bpf.h>
#include <linux/if_xdp.h>

#define PORT 8089
#define PAYLOAD 64

static struct bpf_object *object;
static struct weir_xdp *xdp;
static struct weir_rules rules;
static int socket_fd = -1;

/* What a frame is to look like; zero is a sound IPv4 datagram for PORT from 192.0.2.1. */
struct shape {
    bool v6;
    int tags;
    uint16_t port;         /* 0: PORT */
    const char *source;    /* NULL: 192.0.2.1 or 2001:db8::1 */
    uint8_t protocol;      /* 0: UDP */
    uint8_t options;       /* words of IPv4 options */
    uint8_t version;       /* 0: as the type says */
    uint16_t fragment;     /* the IPv4 field, or the offset word of an IPv6 fragment header */
    bool fragment_header;  /* IPv6 */
    int ip_length_off;     /* added to the length in the IP header */
    int udp_length_off;
    int cut;               /* bytes missing at the frame's end */
    uint16_t type;         /* 0: as v6 says */
};

struct frame {
    uint8_t bytes[256];
    uint32_t size;
};

static void
put16(struct frame *frame, unsigned value)
{
    frame->bytes[frame->size++] = (uint8_t)(value >> 8);
    frame->bytes[frame->size++] = (uint8_t)value;
}

static void
put(struct frame *frame, const void *bytes, size_t size)
{
    memcpy(&frame->bytes[frame->size], bytes, size);
    frame->size += (uint32_t)size;
}

static void
put_v4(struct frame *frame, const struct shape *shape)
{
    uint8_t address[4];
    assert_int_equal(inet_pton(AF_INET, shape->source ? shape->source : "192.0.2.1", address), 1);
    unsigned words = 5u + shape->options;
    uint8_t version = shape->version != 0 ? shape->version : 4;
    put16(frame, (unsigned)version << 12 | words << 8);
    put16(frame, (unsigned)((int)words * 4 + 8 + PAYLOAD + shape->ip_length_off));
    put16(frame, 7);
    put16(frame, shape->fragment);
    put16(frame, 64u << 8 | (shape->protocol != 0 ? shape->protocol : 17));
    put16(frame, 0); /* the program leaves checksums to the worker */
    put(frame, address, 4);
    put(frame, "\xc0\0\2\2", 4);
    for (int i = 0; i < shape->options; i++)
        put(frame, "\1\1\1\1", 4);
}

static void
put_v6(struct frame *frame, const struct shape *shape)
{
    uint8_t address[16];
    assert_int_equal(inet_pton(AF_INET6, shape->source ? shape->source : "2001:db8::1", address),
        1);
    uint8_t protocol = shape->protocol != 0 ? shape->protocol : 17;
    uint8_t version = shape->version != 0 ? shape->version : 6;
    put16(frame, (unsigned)version << 12);
    put16(frame, 0);
    put16(frame,
        (unsigned)((shape->fragment_header ? 8 : 0) + 8 + PAYLOAD + shape->ip_length_off));
    put16(frame, (shape->fragment_header ? 44u : protocol) << 8 | 64);
    put(frame, address, 16);
    put(frame, address, 16);
    if (shape->fragment_header) {
        put16(frame, (unsigned)protocol << 8);
        put16(frame, shape->fragment);
        put(frame, "\0\0\0\7", 4);
    }
}

static struct frame
build(const struct shape *shape)
{
    struct frame frame = {.size = 0};
    put(&frame, "\2\0\0\0\0\1\2\0\0\0\0\2", 12);
    for (int i = 0; i < shape->tags; i++) {
        put16(&frame, i == 0 && shape->tags > 1 ? 0x88a8 : 0x8100);
        put16(&frame, 5);
    }
    put16(&frame, shape->type != 0 ? shape->type : shape->v6 ? 0x86dd : 0x0800);
    if (shape->v6)
        put_v6(&frame, shape);
    else
        put_v4(&frame, shape);
    put16(&frame, 40000);
    put16(&frame, shape->port != 0 ? shape->port : PORT);
    put16(&frame, (unsigned)(8 + PAYLOAD + shape->udp_length_off));
    put16(&frame, 0);
    frame.size += PAYLOAD;
    frame.size -= (uint32_t)shape->cut;
    return frame;
}

static uint32_t
run(const struct frame *frame)
{
    LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = frame->bytes, .data_size_in = frame->size,
        .repeat = 1);
    int failed = bpf_prog_test_run_opts(weir_xdp_program_fd(xdp), &opts);
    if (failed != 0)
        fail_msg("the kernel refuses to run the program: %s", strerror(-failed));
    return opts.retval;
}

/* Runs a frame once: one counter moves, and the action is its verdict's, which is returned. */
static enum weir_xdp_verdict
verdict_of(const char *what, const struct frame *frame)
{
    static const uint32_t actions[WEIR_XDP_VERDICTS] = {[WEIR_XDP_PASSED] = XDP_PASS,
        [WEIR_XDP_NO_SOCKET] = XDP_PASS,
        [WEIR_XDP_REDIRECTED] = XDP_REDIRECT,
        [WEIR_XDP_DENIED] = XDP_DROP,
        [WEIR_XDP_MARTIAN] = XDP_DROP,
        [WEIR_XDP_MALFORMED] = XDP_DROP,
        [WEIR_XDP_FRAGMENT] = XDP_DROP,
        [WEIR_XDP_LIMITED] = XDP_DROP};
    uint64_t before[WEIR_XDP_VERDICTS];
    uint64_t after[WEIR_XDP_VERDICTS];
    assert_int_equal(weir_xdp_verdicts(xdp, before), WEIR_OK);
    uint32_t action = run(frame);
    assert_int_equal(weir_xdp_verdicts(xdp, after), WEIR_OK);
    uint64_t moved = 0;
    int verdict = 0;
    for (int i = 0; i < WEIR_XDP_VERDICTS; i++) {
        moved += after[i] - before[i];
        if (after[i] != before[i])
            verdict = i;
    }
    if (moved != 1)
        fail_msg("%s: counters moved by %d in all", what, (int)moved);
    if (action != actions[verdict])
        fail_msg("%s: action %u, expected %u", what, action, actions[verdict]);
    return (enum weir_xdp_verdict)verdict;
}

static void
expect_frame(const char *what, const struct frame *frame, enum weir_xdp_verdict verdict)
{
    enum weir_xdp_verdict met = verdict_of(what, frame);
    if (met != verdict)
        fail_msg("%s: verdict %s, expected %s", what, weir_xdp_verdict_names[met],
            weir_xdp_verdict_names[verdict]);
}

static void
expect(const char *what, struct shape shape, enum weir_xdp_verdict verdict)
{
    struct frame frame = build(&shape);
    expect_frame(what, &frame, verdict);
}

static void
change(const char *line)
{
    if (weir_rules_change(&rules, line) != WEIR_OK)
        fail_msg("%s: %s", line, weir_err_detail());
    assert_int_equal(weir_xdp_rules_set(xdp, &rules), WEIR_OK);
}

/* An AF_XDP socket in the map's place for queue 0; it need not be bound for a verdict. */
static void
put_socket(void)
{
    uint32_t queue = 0;
    int size = 64;
    int map = bpf_object__find_map_fd_by_name(object, "xsks_map");
    socket_fd = socket(AF_XDP, SOCK_RAW | SOCK_CLOEXEC, 0);
    assert_true(socket_fd >= 0);
    assert_int_equal(setsockopt(socket_fd, SOL_XDP, XDP_RX_RING, &size, sizeof size), 0);
    assert_int_equal(bpf_map_update_elem(map, &queue, &socket_fd, BPF_ANY), 0);
}

static int
load(void **state)
{
    (void)state;
    const char *path = getenv("WEIR_XDP_OBJECT");
    object = bpf_object__open_file(path, NULL);
    if (object == NULL || bpf_object__load(object) != 0)
        return -1;
    struct bpf_program *program = bpf_object__find_program_by_name(object, "weir_xdp");
    uint16_t port = PORT;
    memset(&rules, 0, sizeof rules);
    if (weir_xdp_wrap(dup(bpf_program__fd(program)), &xdp) != WEIR_OK ||
        weir_xdp_ports_set(xdp, &port, 1) != WEIR_OK)
        return -1;
    return 0;
}

static int
unload(void **state)
{
    (void)state;
    weir_xdp_close(xdp);
    xdp = NULL;
    bpf_object__close(object);
    if (socket_fd >= 0)
        close(socket_fd);
    socket_fd = -1;
    return 0;
}

static void
test_frames_for_our_ports_are_redirected(void **state)
{
    (void)state;
    put_socket();
    expect("IPv4", (struct shape){0}, WEIR_XDP_REDIRECTED);
    expect("IPv4 with options", (struct shape){.options = 10}, WEIR_XDP_REDIRECTED);
    expect("IPv6", (struct shape){.v6 = true}, WEIR_XDP_REDIRECTED);
    expect("a tag", (struct shape){.tags = 1}, WEIR_XDP_REDIRECTED);
    expect("two tags", (struct shape){.tags = 2}, WEIR_XDP_REDIRECTED);
    expect("two tags, IPv6", (struct shape){.tags = 2, .v6 = true}, WEIR_XDP_REDIRECTED);
    expect("no fragments allowed", (struct shape){.fragment = 0x4000}, WEIR_XDP_REDIRECTED);
    expect("bytes behind the datagram",
        (struct shape){.ip_length_off = -4, .udp_length_off = -4}, WEIR_XDP_REDIRECTED);
    expect("UDP shorter than IP says", (struct shape){.udp_length_off = -4},
        WEIR_XDP_REDIRECTED);
    expect("no payload",
        (struct shape){.udp_length_off = -PAYLOAD, .ip_length_off = -PAYLOAD, .cut = PAYLOAD},
        WEIR_XDP_REDIRECTED);
}

static void
test_frames_without_a_socket_on_their_queue_go_to_the_kernel(void **state)
{
    (void)state;
    expect("IPv4", (struct shape){0}, WEIR_XDP_NO_SOCKET);
    expect("IPv6", (struct shape){.v6 = true}, WEIR_XDP_NO_SOCKET);
    put_socket();
    expect("socket there", (struct shape){0}, WEIR_XDP_REDIRECTED);
    close(socket_fd); /* as a killed process does; the kernel takes it out of the map */
    socket_fd = -1;
    struct shape plain = {0};
    struct frame frame = build(&plain);
    struct timespec nap = {.tv_nsec = 10000000};
    for (int i = 0; i < 3000 && verdict_of("socket going", &frame) != WEIR_XDP_NO_SOCKET; i++)
        nanosleep(&nap, NULL);
    expect("socket gone", (struct shape){0}, WEIR_XDP_NO_SOCKET);
}

static void
test_sources_that_no_sender_can_have_are_dropped(void **state)
{
    (void)state;
    static const char *const martian4[] = {"0.0.0.0", "127.0.0.1", "127.255.255.255", "224.0.0.1",
        "239.255.255.255", "255.255.255.255"};
    static const char *const martian6[] = {"::", "::1", "ff02::1", "ff00::", "::ffff:192.0.2.1"};
    static const char *const sound4[] = {"126.255.255.255", "128.0.0.1", "223.255.255.255",
        "1.0.0.0", "240.0.0.1"};
    static const char *const sound6[] = {"::2", "::1:0:1", "fe80::1", "2001:db8::1",
        "64:ff9b::192.0.2.1", "1::", "::fffe:192.0.2.1"};
    put_socket();
    for (size_t i = 0; i < sizeof martian4 / sizeof *martian4; i++) {
        expect(martian4[i], (struct shape){.source = martian4[i]}, WEIR_XDP_MARTIAN);
        expect(martian4[i], (struct shape){.source = martian4[i], .port = PORT + 1},
            WEIR_XDP_PASSED);
    }
    for (size_t i = 0; i < sizeof martian6 / sizeof *martian6; i++)
        expect(martian6[i], (struct shape){.v6 = true, .source = martian6[i]}, WEIR_XDP_MARTIAN);
    for (size_t i = 0; i < sizeof sound4 / sizeof *sound4; i++)
        expect(sound4[i], (struct shape){.source = sound4[i]}, WEIR_XDP_REDIRECTED);
    for (size_t i = 0; i < sizeof sound6 / sizeof *sound6; i++)
        expect(sound6[i], (struct shape){.v6 = true, .source = sound6[i]}, WEIR_XDP_REDIRECTED);
}

static void
test_everything_else_passes(void **state)
{
    (void)state;
    put_socket();
    change("deny 0.0.0.0/0");
    change("deny ::/0");
    change("limit 1 1");
    expect("another port", (struct shape){.port = PORT + 1}, WEIR_XDP_PASSED);
    expect("port 0xffff", (struct shape){.port = 0xffff}, WEIR_XDP_PASSED);
    expect("a port 64 further", (struct shape){.port = PORT + 64}, WEIR_XDP_PASSED);
    expect("TCP", (struct shape){.protocol = 6}, WEIR_XDP_PASSED);
    expect("TCP over IPv6", (struct shape){.v6 = true, .protocol = 6}, WEIR_XDP_PASSED);
    expect("extension header", (struct shape){.v6 = true, .protocol = 60}, WEIR_XDP_PASSED);
    expect("ARP", (struct shape){.type = 0x0806}, WEIR_XDP_PASSED);
    expect("three tags", (struct shape){.tags = 3}, WEIR_XDP_PASSED);
    expect("IPv4 of another version", (struct shape){.version = 5}, WEIR_XDP_PASSED);
    expect("IPv6 of another version", (struct shape){.v6 = true, .version = 4},
        WEIR_XDP_PASSED);
    expect("a later fragment", (struct shape){.fragment = 185}, WEIR_XDP_PASSED);
    expect("a middle fragment", (struct shape){.fragment = 0x2000 | 185}, WEIR_XDP_PASSED);
    expect("a later fragment over IPv6",
        (struct shape){.v6 = true, .fragment_header = true, .fragment = 185 << 3},
        WEIR_XDP_PASSED);
}

/* Cut at every byte, a frame is never read past its end and never redirected. */
static void
test_frames_cut_short_pass_or_are_malformed(void **state)
{
    (void)state;
    put_socket();
    static const struct shape shapes[] = {{0}, {.v6 = true}, {.tags = 1}, {.tags = 2, .v6 = true},
        {.options = 3}, {.v6 = true, .fragment_header = true, .fragment = 1}};
    for (size_t i = 0; i < sizeof shapes / sizeof shapes[0]; i++) {
        struct frame whole = build(&shapes[i]);
        uint32_t udp_at = whole.size - PAYLOAD - 8;
        for (uint32_t size = 14; size < whole.size; size++) {
            struct frame frame = whole;
            frame.size = size;
            expect_frame("cut", &frame,
                size < udp_at + 4 ? WEIR_XDP_PASSED : WEIR_XDP_MALFORMED);
        }
    }
}

static void
test_lengths_that_contradict_are_malformed(void **state)
{
    (void)state;
    put_socket();
    for (int v6 = 0; v6 < 2; v6++) {
        struct shape shape = {.v6 = v6 == 1};
        shape.ip_length_off = 1;
        expect("IP longer than the frame", shape, WEIR_XDP_MALFORMED);
        shape.ip_length_off = -PAYLOAD - 1;
        expect("IP ends inside the UDP header", shape, WEIR_XDP_MALFORMED);
        shape.ip_length_off = -1;
        expect("UDP longer than IP", shape, WEIR_XDP_MALFORMED);
        shape.ip_length_off = 0;
        shape.udp_length_off = -PAYLOAD - 1;
        expect("UDP shorter than its header", shape, WEIR_XDP_MALFORMED);
    }
}

static void
test_first_fragments_for_our_ports_are_dropped(void **state)
{
    (void)state;
    put_socket();
    expect("IPv4", (struct shape){.fragment = 0x2000}, WEIR_XDP_FRAGMENT);
    expect("IPv4, UDP length of the whole",
        (struct shape){.fragment = 0x2000, .udp_length_off = 4000}, WEIR_XDP_FRAGMENT);
    expect("IPv6", (struct shape){.v6 = true, .fragment_header = true, .fragment = 1},
        WEIR_XDP_FRAGMENT);
    expect("IPv6 in one piece", (struct shape){.v6 = true, .fragment_header = true},
        WEIR_XDP_FRAGMENT);
    expect("another port", (struct shape){.fragment = 0x2000, .port = 9}, WEIR_XDP_PASSED);
}

static void
test_the_longest_prefix_decides(void **state)
{
    (void)state;
    put_socket();
    change("deny 10.0.0.0/8");
    change("allow 10.1.0.0/16");
    change("deny 10.1.2.3");
    change("deny 2001:db8::/32");
    change("allow 2001:db8::7");
    struct shape v4 = {.source = "10.9.0.1"};
    struct shape v6 = {.v6 = true, .source = "2001:db8::8"};
    expect("denied /8", v4, WEIR_XDP_DENIED);
    v4.source = "10.1.9.9";
    expect("allowed /16 in it", v4, WEIR_XDP_REDIRECTED);
    v4.source = "10.1.2.3";
    expect("denied /32 in that", v4, WEIR_XDP_DENIED);
    v4.source = "11.0.0.1";
    expect("no rule", v4, WEIR_XDP_REDIRECTED);
    expect("denied IPv6", v6, WEIR_XDP_DENIED);
    v6.source = "2001:db8::7";
    expect("allowed IPv6", v6, WEIR_XDP_REDIRECTED);
    v6.source = "2001:db9::8";
    expect("no IPv6 rule", v6, WEIR_XDP_REDIRECTED);
    change("remove 10.1.2.3");
    v4.source = "10.1.2.3";
    expect("removed", v4, WEIR_XDP_REDIRECTED);
    change("deny 10.1.0.0/16");
    expect("turned over", v4, WEIR_XDP_DENIED);
}

static void
test_a_denied_source_is_denied_whatever_it_sends(void **state)
{
    (void)state;
    change("deny 192.0.2.0/24");
    change("limit 1 1");
    expect("no socket", (struct shape){0}, WEIR_XDP_DENIED);
    expect("malformed", (struct shape){.udp_length_off = 1}, WEIR_XDP_DENIED);
    expect("fragment", (struct shape){.fragment = 0x2000}, WEIR_XDP_DENIED);
    expect("and takes no token", (struct shape){0}, WEIR_XDP_DENIED);
    change("remove 192.0.2.0/24");
    expect("the first token", (struct shape){0}, WEIR_XDP_NO_SOCKET);
}

/* Whether so much time has passed that a packet a second may have come back. */
static bool
stood_still(int64_t since_ns)
{
    return weir_mono_ns() - since_ns > INT64_C(500000000);
}

static void
test_a_source_has_its_burst_and_no_more(void **state)
{
    (void)state;
    put_socket();
    change("limit 1 5"); /* a packet a second: none comes back while it is looked at */
    int judged = 0;
    for (int source = 1; judged < 2; source++) {
        char address[16];
        assert_true(source < 100);
        snprintf(address, sizeof address, "192.0.2.%d", source);
        struct shape shape = {.source = address};
        struct frame frame = build(&shape);
        int64_t began_ns = weir_mono_ns();
        for (int i = 0; i < 5; i++)
            expect_frame("within the burst", &frame, WEIR_XDP_REDIRECTED);
        enum weir_xdp_verdict behind = verdict_of("behind it", &frame);
        if (stood_still(began_ns))
            continue;
        assert_int_equal(behind, WEIR_XDP_LIMITED);
        judged++;
    }
    expect("malformed takes no token", (struct shape){.udp_length_off = 1}, WEIR_XDP_MALFORMED);
    struct shape v6 = {.v6 = true, .source = "2001:db8::200"};
    expect("another family", v6, WEIR_XDP_REDIRECTED);
    change("limit off");
    expect("no limit", (struct shape){0}, WEIR_XDP_REDIRECTED);
}

static void
test_tokens_come_back_at_the_rate(void **state)
{
    (void)state;
    put_socket();
    struct shape shape = {0};
    struct frame frame = build(&shape);
    struct timespec nap = {.tv_nsec = 20000000}; /* two packets' time: the bucket holds one */
    change("limit 100 1");
    expect_frame("the only one", &frame, WEIR_XDP_REDIRECTED);
    for (int i = 0; i < 100; i++) {
        change("limit 100 1");
        nanosleep(&nap, NULL);
        int64_t began_ns = weir_mono_ns();
        expect_frame("one came back", &frame, WEIR_XDP_REDIRECTED);
        change("limit 1 1");
        enum weir_xdp_verdict next = verdict_of("and is taken", &frame);
        if (stood_still(began_ns))
            continue;
        assert_int_equal(next, WEIR_XDP_LIMITED);
        return;
    }
    fail_msg("the machine stood still each time");
}

static void
test_ports_are_what_was_set_last(void **state)
{
    (void)state;
    static const uint16_t ports[] = {1, 64, 65535};
    assert_int_equal(weir_xdp_ports_set(xdp, ports, 3), WEIR_OK);
    for (size_t i = 0; i < 3; i++)
        expect("set", (struct shape){.port = ports[i]}, WEIR_XDP_NO_SOCKET);
    expect("set before", (struct shape){0}, WEIR_XDP_PASSED);
    assert_int_equal(weir_xdp_ports_set(xdp, NULL, 0), WEIR_OK);
    expect("none", (struct shape){.port = 64}, WEIR_XDP_PASSED);
}

static void
test_as_many_rules_as_promised_fit(void **state)
{
    (void)state;
    char line[WEIR_RULE_LINE_MAX];
    memset(&rules, 0, sizeof rules);
    for (int i = 0; i < WEIR_XDP_RULES_MAX; i++) {
        snprintf(line, sizeof line, "deny 10.0.%d.%d", i / 256, i % 256);
        assert_int_equal(weir_rules_change(&rules, line), WEIR_OK);
    }
    assert_int_equal(weir_rules_change(&rules, "deny 10.9.9.9"), WEIR_LIMIT);
    assert_int_equal(weir_xdp_rules_set(xdp, &rules), WEIR_OK);
    expect("the last", (struct shape){.source = "10.0.3.255"}, WEIR_XDP_DENIED);
    /* other rules, as many: the old ones make room */
    memset(&rules, 0, sizeof rules);
    for (int i = 0; i < WEIR_XDP_RULES_MAX; i++) {
        snprintf(line, sizeof line, "deny 11.0.%d.%d", i / 256, i % 256);
        assert_int_equal(weir_rules_change(&rules, line), WEIR_OK);
    }
    assert_int_equal(weir_xdp_rules_set(xdp, &rules), WEIR_OK);
    expect("an old one", (struct shape){.source = "10.0.3.255"}, WEIR_XDP_NO_SOCKET);
    expect("a new one", (struct shape){.source = "11.0.0.0"}, WEIR_XDP_DENIED);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, load, unload)

static const struct CMUnitTest tests[] = {
    TEST(test_frames_for_our_ports_are_redirected),
    TEST(test_frames_without_a_socket_on_their_queue_go_to_the_kernel),
    TEST(test_sources_that_no_sender_can_have_are_dropped),
    TEST(test_everything_else_passes),
    TEST(test_frames_cut_short_pass_or_are_malformed),
    TEST(test_lengths_that_contradict_are_malformed),
    TEST(test_first_fragments_for_our_ports_are_dropped),
    TEST(test_the_longest_prefix_decides),
    TEST(test_a_denied_source_is_denied_whatever_it_sends),
    TEST(test_a_source_has_its_burst_and_no_more),
    TEST(test_tokens_come_back_at_the_rate),
    TEST(test_ports_are_what_was_set_last),
    TEST(test_as_many_rules_as_promised_fit),
};

/* Says what is missing here, or NULL. */
static const char *
missing(void)
{
    const char *path = getenv("WEIR_XDP_OBJECT");
    if (path == NULL || access(path, R_OK) != 0)
        return "built without the XDP program";
    int map = bpf_map_create(BPF_MAP_TYPE_XSKMAP, "weir_probe", 4, 4, 1, NULL);
    if (map < 0)
        return "needs root: no BPF map can be made";
    close(map);
    return NULL;
}

int
main(void)
{
    const char *why = missing();
    int count = (int)(sizeof tests / sizeof tests[0]);
    if (why == NULL)
        return cmocka_run_group_tests(tests, NULL, NULL);
    printf("1..%d\n", count);
    for (int i = 0; i < count; i++)
        printf("ok %d - %s # SKIP %s\n", i + 1, tests[i].name, why);
    return 0;
}
