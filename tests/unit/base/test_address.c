#include "base/address.h"

#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static void
test_ipv4_address_is_read(void **state)
{
    (void)state;
    union weir_address address;
    socklen_t size;
    assert_true(weir_address_parse("192.0.2.7", 8089, &address, &size));
    assert_int_equal(size, sizeof(struct sockaddr_in));
    assert_int_equal(address.any.sa_family, AF_INET);
    assert_int_equal(ntohs(address.v4.sin_port), 8089);
    assert_int_equal(ntohl(address.v4.sin_addr.s_addr), 0xc0000207);
}

static void
test_ipv6_address_is_read(void **state)
{
    (void)state;
    union weir_address address;
    socklen_t size;
    const struct in6_addr loopback = IN6ADDR_LOOPBACK_INIT;
    assert_true(weir_address_parse("::1", 65535, &address, &size));
    assert_int_equal(size, sizeof(struct sockaddr_in6));
    assert_int_equal(address.any.sa_family, AF_INET6);
    assert_int_equal(ntohs(address.v6.sin6_port), 65535);
    assert_memory_equal(&address.v6.sin6_addr, &loopback, sizeof loopback);
    assert_int_equal(address.v6.sin6_scope_id, 0);
}

static void
test_text_that_is_no_numeric_address_is_refused(void **state)
{
    (void)state;
    static const char *const texts[] = {"", "localhost", "[::1]", "127.0.0.1:80", "1.2.3",
        "256.0.0.1", "::1%lo", " 127.0.0.1", "127.0.0.1 "};
    union weir_address address;
    socklen_t size;
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        assert_false(weir_address_parse(texts[i], 1, &address, &size));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ipv4_address_is_read),
        cmocka_unit_test(test_ipv6_address_is_read),
        cmocka_unit_test(test_text_that_is_no_numeric_address_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
