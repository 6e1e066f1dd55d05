/* Frames are made by hand, field by field; checksums come from a slow twin of weir_net_sum. */
#include "dataplane/port/net.h"

#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define ROOM 2048

struct built {
    uint8_t bytes[ROOM];
    uint32_t size;
    uint32_t ip;      /* offset of the IP header */
    uint32_t udp;     /* offset of the UDP header */
};

static uint16_t
slow_sum(uint32_t sum, const uint8_t *data, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        sum += i % 2 == 0 ? (uint32_t)data[i] << 8 : data[i];
        sum = (sum & 0xffff) + (sum >> 16);
    }
    return (uint16_t)sum;
}

static void
put16(uint8_t *at, unsigned value)
{
    at[0] = (uint8_t)(value >> 8);
    at[1] = (uint8_t)value;
}

static void
seal_ipv4(struct built *f)
{
    uint8_t *ip = f->bytes + f->ip;
    put16(ip + 10, 0);
    put16(ip + 10, (uint16_t)~slow_sum(0, ip, (ip[0] & 15) * 4u));
}

static void
seal_udp(struct built *f, const uint8_t *addresses, size_t addresses_size)
{
    uint8_t *udp = f->bytes + f->udp;
    unsigned size = (unsigned)(udp[4] << 8 | udp[5]);
    put16(udp + 6, 0);
    uint32_t sum = slow_sum(17 + size, addresses, addresses_size);
    uint16_t check = (uint16_t)~slow_sum(sum, udp, size);
    put16(udp + 6, check == 0 ? 0xffff : check);
}

static void
add_ethernet(struct built *f, int tags, unsigned type)
{
    memset(f, 0, sizeof *f);
    memset(f->bytes, 0x22, 12);
    f->ip = 12;
    for (int i = 0; i < tags; i++, f->ip += 4) {
        put16(f->bytes + f->ip, i == 0 && tags > 1 ? 0x88a8 : 0x8100);
        put16(f->bytes + f->ip + 2, 7);
    }
    put16(f->bytes + f->ip, type);
    f->ip += 2;
}

static void
add_udp(struct built *f, const char *payload)
{
    uint8_t *udp = f->bytes + f->udp;
    put16(udp, 40000);
    put16(udp + 2, 8089);
    put16(udp + 4, (unsigned)(8 + strlen(payload)));
    memcpy(udp + 8, payload, strlen(payload));
    f->size = f->udp + 8 + (uint32_t)strlen(payload);
}

static struct built
ipv4_frame(int tags, unsigned options, const char *payload)
{
    struct built f;
    add_ethernet(&f, tags, 0x0800);
    uint8_t *ip = f.bytes + f.ip;
    unsigned header = 20 + options;
    ip[0] = (uint8_t)(0x40 | header / 4);
    put16(ip + 2, header + 8 + (unsigned)strlen(payload));
    ip[8] = 64;
    ip[9] = 17;
    memcpy(ip + 12, (uint8_t[]){10, 0, 0, 1, 10, 0, 0, 2}, 8);
    memset(ip + 20, 1, options);
    f.udp = f.ip + header;
    add_udp(&f, payload);
    seal_ipv4(&f);
    seal_udp(&f, ip + 12, 8);
    return f;
}

static struct built
ipv6_frame(const char *payload)
{
    struct built f;
    add_ethernet(&f, 0, 0x86dd);
    uint8_t *ip = f.bytes + f.ip;
    ip[0] = 0x60;
    put16(ip + 4, 8 + (unsigned)strlen(payload));
    ip[6] = 17;
    ip[7] = 64;
    for (int i = 8; i < 40; i++)
        ip[i] = (uint8_t)(i * 37);
    f.udp = f.ip + 40;
    add_udp(&f, payload);
    seal_udp(&f, ip + 8, 32);
    return f;
}

/* The frame alone in a block of its own size, so that a sanitizer sees a read past its end. */
static struct weir_net_frame
verify(const struct built *f, bool ip_checked, bool udp_checked)
{
    uint8_t *copy = malloc(f->size);
    assert_non_null(copy);
    memcpy(copy, f->bytes, f->size);
    struct weir_net_frame frame = {
        .data = copy, .size = f->size, .ip_checked = ip_checked, .udp_checked = udp_checked};
    weir_net_verify(&frame, 1);
    free(copy);
    frame.data = NULL;
    return frame;
}

static void
assert_reason(const struct built *f, unsigned reason)
{
    assert_int_equal(verify(f, false, false).reason, reason);
}

static void
assert_payload(const struct built *f, const char *payload)
{
    struct weir_net_frame frame = verify(f, false, false);
    assert_int_equal(frame.reason, WEIR_NET_OK);
    assert_int_equal(frame.port, 8089);
    assert_int_equal(frame.payload_at, f->udp + 8);
    assert_int_equal(frame.payload_size, strlen(payload));
    assert_memory_equal(f->bytes + frame.payload_at, payload, strlen(payload));
}

static void
test_good_frames_name_their_sender(void **state)
{
    (void)state;
    char text[WEIR_PEER_TEXT_MAX];
    struct weir_peer peer = {.port = 0};
    for (int tags = 0; tags <= 2; tags++) {
        struct built f = ipv4_frame(tags, 8, "m v=1\n");
        struct weir_net_frame frame = verify(&f, false, false);
        frame.data = f.bytes;
        weir_net_peer(&frame, &peer);
        weir_peer_text(&peer, text);
        assert_string_equal(text, "10.0.0.1:40000");
    }
    struct built f = ipv6_frame("m v=1\n");
    struct weir_net_frame frame = verify(&f, false, false);
    frame.data = f.bytes;
    weir_net_peer(&frame, &peer);
    assert_memory_equal(peer.address, f.bytes + f.ip + 8, sizeof peer.address);
    assert_int_equal(peer.port, 40000);
}

static void
check_source(bool ipv4, const char *text, unsigned reason)
{
    struct built f = ipv4 ? ipv4_frame(1, 0, "m v=1\n") : ipv6_frame("m v=1\n");
    uint8_t *addresses = f.bytes + f.ip + (ipv4 ? 12 : 8);
    assert_int_equal(inet_pton(ipv4 ? AF_INET : AF_INET6, text, addresses), 1);
    if (ipv4)
        seal_ipv4(&f);
    seal_udp(&f, addresses, ipv4 ? 8 : 32);
    if (verify(&f, false, false).reason != reason)
        fail_msg("%s: reason %u, expected %u", text, verify(&f, false, false).reason, reason);
}

static void
test_sources_that_no_sender_can_have_are_refused(void **state)
{
    (void)state;
    static const char *const martian4[] = {"0.0.0.0", "127.0.0.1", "127.255.255.255", "224.0.0.1",
        "239.255.255.255", "255.255.255.255"};
    static const char *const martian6[] = {"::", "::1", "ff02::1", "ff00::", "::ffff:192.0.2.1"};
    static const char *const sound4[] = {"126.255.255.255", "128.0.0.1", "223.255.255.255",
        "1.0.0.0", "240.0.0.1"};
    static const char *const sound6[] = {"::2", "::1:0:1", "fe80::1", "2001:db8::1",
        "64:ff9b::192.0.2.1", "1::", "::fffe:192.0.2.1"};
    for (size_t i = 0; i < sizeof martian4 / sizeof *martian4; i++)
        check_source(true, martian4[i], WEIR_REASON_martian_source);
    for (size_t i = 0; i < sizeof martian6 / sizeof *martian6; i++)
        check_source(false, martian6[i], WEIR_REASON_martian_source);
    for (size_t i = 0; i < sizeof sound4 / sizeof *sound4; i++)
        check_source(true, sound4[i], WEIR_NET_OK);
    for (size_t i = 0; i < sizeof sound6 / sizeof *sound6; i++)
        check_source(false, sound6[i], WEIR_NET_OK);
}

static void
test_good_frames_give_their_payload(void **state)
{
    (void)state;
    static const char *const payloads[] = {
        "", "m v=1\n", "odd", "cpu,host=a value=42i 1700000000\n"};
    for (size_t i = 0; i < sizeof payloads / sizeof payloads[0]; i++) {
        for (int tags = 0; tags <= 2; tags++) {
            struct built f = ipv4_frame(tags, i % 2 == 0 ? 0 : 8, payloads[i]);
            assert_payload(&f, payloads[i]);
        }
        struct built f = ipv6_frame(payloads[i]);
        assert_payload(&f, payloads[i]);
    }
}

static void
test_ethernet_padding_is_left_out(void **state)
{
    (void)state;
    struct built f = ipv4_frame(0, 0, "a 1\n");
    f.size = 60;
    assert_payload(&f, "a 1\n");
}

static void
test_udp_shorter_than_its_ip_payload_is_cut_to_its_length(void **state)
{
    (void)state;
    struct built f = ipv4_frame(0, 0, "a 1\nrest");
    put16(f.bytes + f.udp + 4, 8 + 4);
    seal_udp(&f, f.bytes + f.ip + 12, 8);
    assert_payload(&f, "a 1\n");
}

static void
test_checksum_zero_means_none_over_ipv4_only(void **state)
{
    (void)state;
    struct built f = ipv4_frame(0, 0, "a 1\n");
    put16(f.bytes + f.udp + 6, 0);
    assert_payload(&f, "a 1\n");
    f = ipv6_frame("a 1\n");
    put16(f.bytes + f.udp + 6, 0);
    assert_reason(&f, WEIR_REASON_bad_checksum);
}

/* Every single-bit error in header or datagram is found, or is one of the fields named here. */
static void
test_every_flipped_bit_is_refused(void **state)
{
    (void)state;
    struct built good = ipv4_frame(0, 0, "cpu value=1\n");
    for (uint32_t bit = good.ip * 8; bit < good.size * 8; bit++) {
        struct built f = good;
        f.bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
        assert_int_not_equal(verify(&f, false, false).reason, WEIR_NET_OK);
    }
    good = ipv6_frame("cpu value=1\n");
    for (uint32_t bit = good.udp * 8; bit < good.size * 8; bit++) {
        struct built f = good;
        f.bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
        assert_int_not_equal(verify(&f, false, false).reason, WEIR_NET_OK);
    }
}

static void
test_what_the_device_checked_is_not_checked_again(void **state)
{
    (void)state;
    struct built f = ipv4_frame(0, 0, "a 1\n");
    f.bytes[f.ip + 10] ^= 1;
    assert_int_equal(verify(&f, true, false).reason, WEIR_NET_OK);
    assert_int_equal(verify(&f, false, true).reason, WEIR_REASON_bad_checksum);
    f = ipv4_frame(0, 0, "a 1\n");
    f.bytes[f.udp + 9] ^= 1;
    assert_int_equal(verify(&f, false, true).reason, WEIR_NET_OK);
    assert_int_equal(verify(&f, true, false).reason, WEIR_REASON_bad_checksum);
}

static void
test_other_protocols_are_not_ip_udp(void **state)
{
    (void)state;
    struct built f = ipv4_frame(0, 0, "a 1\n");
    put16(f.bytes + 12, 0x0806);
    assert_reason(&f, WEIR_REASON_not_ip_udp);
    f = ipv4_frame(0, 0, "a 1\n");
    f.bytes[f.ip + 9] = 6;
    seal_ipv4(&f);
    assert_reason(&f, WEIR_REASON_not_ip_udp);
    f = ipv6_frame("a 1\n");
    f.bytes[f.ip + 6] = 0; /* hop-by-hop options */
    assert_reason(&f, WEIR_REASON_not_ip_udp);
    f = ipv4_frame(0, 0, "a 1\n");
    f.size = 13;
    assert_reason(&f, WEIR_REASON_not_ip_udp);
    struct built tagged;
    add_ethernet(&tagged, 3, 0x0800);
    tagged.size = 80;
    assert_reason(&tagged, WEIR_REASON_not_ip_udp);
}

static void
test_fragments_are_named(void **state)
{
    (void)state;
    static const unsigned fields[] = {0x2000, 0x0001, 0x2010};
    for (size_t i = 0; i < 3; i++) {
        struct built f = ipv4_frame(0, 0, "a 1\n");
        put16(f.bytes + f.ip + 6, fields[i]);
        seal_ipv4(&f);
        assert_reason(&f, WEIR_REASON_fragment);
    }
    struct built f = ipv4_frame(0, 0, "a 1\n");
    put16(f.bytes + f.ip + 6, 0x4000); /* do not fragment */
    seal_ipv4(&f);
    assert_payload(&f, "a 1\n");
    f = ipv6_frame("a 1\n");
    f.bytes[f.ip + 6] = 44;
    assert_reason(&f, WEIR_REASON_fragment);
}

static void
test_contradicting_lengths_are_bad_headers(void **state)
{
    (void)state;
    struct built f = ipv4_frame(0, 0, "a 1\n");
    f.bytes[f.ip] = 0x44; /* header of 16 bytes */
    assert_reason(&f, WEIR_REASON_bad_header);
    f = ipv4_frame(0, 0, "a 1\n");
    f.bytes[f.ip] = 0x65; /* version 6 in an IPv4 frame */
    assert_reason(&f, WEIR_REASON_bad_header);
    static const unsigned totals[] = {0, 19, 33, 27};
    for (size_t i = 0; i < 4; i++) { /* 33: past the frame; 27: cuts the UDP header */
        f = ipv4_frame(0, 0, "a 1\n");
        put16(f.bytes + f.ip + 2, totals[i]);
        seal_ipv4(&f);
        assert_reason(&f, WEIR_REASON_bad_header);
    }
    static const unsigned lengths[] = {0, 7, 13, 65535};
    for (size_t i = 0; i < 4; i++) {
        f = ipv4_frame(0, 0, "a 1\n");
        put16(f.bytes + f.udp + 4, lengths[i]);
        assert_reason(&f, WEIR_REASON_bad_header);
        f = ipv6_frame("a 1\n");
        put16(f.bytes + f.udp + 4, lengths[i]);
        assert_reason(&f, WEIR_REASON_bad_header);
    }
    f = ipv6_frame("a 1\n");
    put16(f.bytes + f.ip + 4, 13);
    assert_reason(&f, WEIR_REASON_bad_header);
}

/* No truncation is taken for a whole frame, and none is read past its end. */
static void
test_every_truncation_is_refused(void **state)
{
    (void)state;
    struct built frames[] = {
        ipv4_frame(2, 12, "cpu value=1\n"), ipv4_frame(0, 0, "x"), ipv6_frame("cpu value=1\n")};
    for (size_t i = 0; i < 3; i++) {
        uint32_t whole = frames[i].size;
        for (frames[i].size = 1; frames[i].size < whole; frames[i].size++)
            assert_int_not_equal(verify(&frames[i], false, false).reason, WEIR_NET_OK);
    }
}

static void
test_sum_agrees_with_slow_twin(void **state)
{
    (void)state;
    static uint8_t bytes[(1u << 20) + 257];
    uint32_t seed = 1;
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (uint8_t)((seed = seed * 1103515245 + 12345) >> 16);
    for (uint32_t round = 0; round < 2000; round++) {
        size_t at = round % 61, size = round % 419;
        assert_int_equal(weir_net_sum((uint16_t)round, bytes + at, size),
            slow_sum(round, bytes + at, size));
    }
    /* sums as large and as small as can be, of more bytes than one round of vectors takes */
    static const int fills[] = {-1, 0xff, 0x7f, 0x80, 0};
    for (size_t i = 0; i < sizeof fills / sizeof *fills; i++) {
        if (fills[i] >= 0)
            memset(bytes, fills[i], sizeof bytes);
        assert_int_equal(weir_net_sum(7, bytes, sizeof bytes),
            slow_sum(7, bytes, sizeof bytes));
        assert_int_equal(weir_net_sum(0, bytes, 1500), slow_sum(0, bytes, 1500));
    }
}

static void
test_vector_judges_each_frame_by_itself(void **state)
{
    (void)state;
    struct built good = ipv4_frame(0, 0, "a 1\n");
    struct built bad = good;
    bad.bytes[bad.size - 1] ^= 1;
    struct weir_net_frame frames[3] = {{.data = good.bytes, .size = good.size},
        {.data = bad.bytes, .size = bad.size}, {.data = good.bytes, .size = good.size}};
    weir_net_verify(frames, 3);
    assert_int_equal(frames[0].reason, WEIR_NET_OK);
    assert_int_equal(frames[1].reason, WEIR_REASON_bad_checksum);
    assert_int_equal(frames[2].reason, WEIR_NET_OK);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_good_frames_give_their_payload),
        cmocka_unit_test(test_good_frames_name_their_sender),
        cmocka_unit_test(test_sources_that_no_sender_can_have_are_refused),
        cmocka_unit_test(test_ethernet_padding_is_left_out),
        cmocka_unit_test(test_udp_shorter_than_its_ip_payload_is_cut_to_its_length),
        cmocka_unit_test(test_checksum_zero_means_none_over_ipv4_only),
        cmocka_unit_test(test_every_flipped_bit_is_refused),
        cmocka_unit_test(test_what_the_device_checked_is_not_checked_again),
        cmocka_unit_test(test_other_protocols_are_not_ip_udp),
        cmocka_unit_test(test_fragments_are_named),
        cmocka_unit_test(test_contradicting_lengths_are_bad_headers),
        cmocka_unit_test(test_every_truncation_is_refused),
        cmocka_unit_test(test_sum_agrees_with_slow_twin),
        cmocka_unit_test(test_vector_judges_each_frame_by_itself),
    };
    return cmocka_run_group_tests_name("net", tests, NULL, NULL);
}
