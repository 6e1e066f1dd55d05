/* Peers and prefixes: text, and which addresses a prefix holds. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "model/peer.h"

#include <arpa/inet.h>
#include <netinet/in.h>

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

static struct weir_peer
peer_of(const char *address, uint16_t port)
{
    struct sockaddr_storage storage = {.ss_family = AF_UNSPEC};
    struct sockaddr_in *v4 = (struct sockaddr_in *)&storage;
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)&storage;
    struct weir_peer peer;
    if (inet_pton(AF_INET, address, &v4->sin_addr) == 1) {
        storage.ss_family = AF_INET;
        v4->sin_port = htons(port);
    } else {
        assert_int_equal(inet_pton(AF_INET6, address, &v6->sin6_addr), 1);
        storage.ss_family = AF_INET6;
        v6->sin6_port = htons(port);
    }
    weir_peer_of_socket((struct sockaddr *)&storage, &peer);
    return peer;
}

static void
test_peer_text_names_address_and_port(void **state)
{
    (void)state;
    char text[WEIR_PEER_TEXT_MAX];
    struct weir_peer peer = peer_of("192.0.2.7", 4711);
    weir_peer_text(&peer, text);
    assert_string_equal(text, "192.0.2.7:4711");
    weir_peer_address_text(&peer, text);
    assert_string_equal(text, "192.0.2.7");
    peer = peer_of("2001:db8::7", 4711);
    weir_peer_text(&peer, text);
    assert_string_equal(text, "[2001:db8::7]:4711");
    peer = peer_of("::ffff:192.0.2.7", 1); /* what a dual-stack socket reports */
    weir_peer_text(&peer, text);
    assert_string_equal(text, "192.0.2.7:1");
    struct weir_peer none = {.port = 0};
    weir_peer_text(&none, text);
    assert_string_equal(text, "-");
    assert_false(weir_peer_exists(&none));
    assert_true(weir_peer_exists(&peer));
}

static void
test_socket_of_another_family_has_no_peer(void **state)
{
    (void)state;
    struct sockaddr_storage storage;
    struct weir_peer peer;
    memset(&storage, 7, sizeof storage);
    storage.ss_family = AF_UNIX;
    weir_peer_of_socket((struct sockaddr *)&storage, &peer);
    assert_false(weir_peer_exists(&peer));
}

static void
test_prefix_holds_its_addresses_and_no_others(void **state)
{
    (void)state;
    static const struct {
        const char *prefix, *address;
        bool held;
    } cases[] = {
        {"127.0.0.0/8", "127.255.0.1", true},
        {"127.0.0.0/8", "128.0.0.1", false},
        {"10.0.0.0/9", "10.127.255.255", true},
        {"10.0.0.0/9", "10.128.0.0", false},
        {"192.0.2.7", "192.0.2.7", true},
        {"192.0.2.7", "192.0.2.6", false},
        {"0.0.0.0/0", "8.8.8.8", true},
        {"0.0.0.0/0", "2001:db8::1", false},
        {"::/0", "2001:db8::1", true},
        {"::/0", "8.8.8.8", true},
        {"::1", "::1", true},
        {"::1", "::2", false},
        {"2001:db8::/33", "2001:db8:7fff::1", true},
        {"2001:db8::/33", "2001:db8:8000::1", false},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct weir_prefix prefix;
        struct weir_peer peer = peer_of(cases[i].address, 1);
        assert_int_equal(weir_prefix_parse(cases[i].prefix, &prefix), WEIR_OK);
        struct weir_prefixes list = {&prefix, 1};
        if (weir_prefixes_hold(&list, &peer) != cases[i].held)
            fail_msg("%s and %s", cases[i].prefix, cases[i].address);
    }
}

static void
test_prefixes_hold_nobody_who_is_not_there(void **state)
{
    (void)state;
    struct weir_prefix all;
    struct weir_peer none = {.port = 0}, some = peer_of("10.0.0.1", 1);
    assert_int_equal(weir_prefix_parse("::/0", &all), WEIR_OK);
    assert_false(weir_prefixes_hold(&(struct weir_prefixes){&all, 1}, &none));
    assert_false(weir_prefixes_hold(&(struct weir_prefixes){&all, 0}, &some));
}

static void
test_prefix_text_reads_back(void **state)
{
    (void)state;
    static const char *const texts[] = {"127.0.0.0/8", "0.0.0.0/0", "192.0.2.7/32", "::1/128",
        "::/0", "2001:db8::/33"};
    for (size_t i = 0; i < COUNT(texts); i++) {
        struct weir_prefix prefix;
        char text[WEIR_PEER_TEXT_MAX];
        assert_int_equal(weir_prefix_parse(texts[i], &prefix), WEIR_OK);
        weir_prefix_text(&prefix, text);
        assert_string_equal(text, texts[i]);
    }
}

static void
test_text_that_is_no_prefix_is_refused(void **state)
{
    (void)state;
    static const char *const texts[] = {"", "/", "/8", "10.0.0.0/", "10.0.0.0/33", "10.0.0.0/-1",
        "10.0.0.0/+8", "10.0.0.0/8 ", "10.0.0.0/008x", "10.0.0/8", "10.0.0.1/8", "::1/64",
        "::/129", "localhost", "10.0.0.0/8/8",
        "1111:2222:3333:4444:5555:6666:7777:8888:9999:aaaa:bbbb:cccc/8"};
    for (size_t i = 0; i < COUNT(texts); i++) {
        struct weir_prefix prefix;
        if (weir_prefix_parse(texts[i], &prefix) != WEIR_INVALID)
            fail_msg("'%s' was read", texts[i]);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_peer_text_names_address_and_port),
        cmocka_unit_test(test_socket_of_another_family_has_no_peer),
        cmocka_unit_test(test_prefix_holds_its_addresses_and_no_others),
        cmocka_unit_test(test_prefixes_hold_nobody_who_is_not_there),
        cmocka_unit_test(test_prefix_text_reads_back),
        cmocka_unit_test(test_text_that_is_no_prefix_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
