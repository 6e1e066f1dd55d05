#include "base/utf8.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

/* Encodes a code point by the definition (RFC 3629, section 3), surrogates and all. */
static size_t
encode(uint32_t code, uint8_t out[4])
{
    size_t size = code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
    static const uint8_t leads[] = {0, 0, 0xc0, 0xe0, 0xf0};
    for (size_t i = size; i-- > 1; code >>= 6)
        out[i] = (uint8_t)(0x80 | (code & 0x3f));
    out[0] = (uint8_t)(leads[size] | code);
    return size;
}

static void
test_every_code_point_is_read_and_surrogates_are_refused(void **state)
{
    (void)state;
    for (uint32_t code = 0; code < 0x120000; code++) {
        uint8_t bytes[4];
        uint32_t read;
        size_t size = encode(code, bytes);
        bool valid = code <= 0x10ffff && (code < 0xd800 || code > 0xdfff);
        size_t length = weir_utf8_next(bytes, size, &read);
        assert_int_equal(length, valid ? size : 0);
        assert_int_equal(weir_utf8_valid(bytes, size), valid);
        if (valid)
            assert_int_equal(read, code);
        for (size_t cut = 1; cut < size; cut++)
            assert_int_equal(weir_utf8_next(bytes, cut, &read), 0);
    }
}

static void
test_overlong_forms_and_lone_bytes_are_refused(void **state)
{
    (void)state;
    static const char *const texts[] = {"\x80", "\xbf", "\xc0\x80", "\xc1\xbf", "\xe0\x80\x80",
        "\xe0\x9f\xbf", "\xf0\x80\x80\x80", "\xf0\x8f\xbf\xbf", "\xf5\x80\x80\x80", "\xfe", "\xff",
        "\xc2"
        "a",
        "\xe1\x80"
        "a",
        "\xf1\x80\x80"
        "a"};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        uint32_t code;
        const uint8_t *bytes = (const uint8_t *)texts[i];
        assert_int_equal(weir_utf8_next(bytes, strlen(texts[i]), &code), 0);
        assert_false(weir_utf8_valid(bytes, strlen(texts[i])));
    }
}

static void
test_bad_byte_is_found_at_every_place(void **state)
{
    (void)state;
    uint8_t text[40];
    for (size_t size = 0; size <= sizeof text; size++) {
        memset(text, 'a', sizeof text);
        assert_true(weir_utf8_valid(text, size));
        for (size_t at = 0; at < size; at++) {
            text[at] = 0xff;
            assert_false(weir_utf8_valid(text, size));
            text[at] = 'a';
        }
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_code_point_is_read_and_surrogates_are_refused),
        cmocka_unit_test(test_overlong_forms_and_lone_bytes_are_refused),
        cmocka_unit_test(test_bad_byte_is_found_at_every_place),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
