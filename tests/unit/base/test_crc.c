/* CRC-32C: known answers, and both variants against each other. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/crc.h"

#include <string.h>

/* RFC 3720, appendix B.4, and the check value of the CRC catalogue. */
static void
test_crc_gives_the_known_answers(void **state)
{
    (void)state;
    uint8_t bytes[32];
    memset(bytes, 0, sizeof bytes);
    assert_int_equal(weir_crc32c(0, bytes, sizeof bytes), 0x8a9136aa);
    memset(bytes, 0xff, sizeof bytes);
    assert_int_equal(weir_crc32c(0, bytes, sizeof bytes), 0x62a8ab43);
    for (uint8_t i = 0; i < sizeof bytes; i++)
        bytes[i] = i;
    assert_int_equal(weir_crc32c(0, bytes, sizeof bytes), 0x46dd794e);
    assert_int_equal(weir_crc32c(0, "123456789", 9), 0xe3069283);
    assert_int_equal(weir_crc32c(0, "", 0), 0);
}

static void
test_crc_variants_agree_at_every_size_and_alignment(void **state)
{
    (void)state;
    uint8_t bytes[600];
    uint32_t seed = 12345;
    for (size_t i = 0; i < sizeof bytes; i++) {
        seed = seed * 1664525 + 1013904223;
        bytes[i] = (uint8_t)(seed >> 24);
    }
    for (size_t at = 0; at < 9; at++)
        for (size_t size = 0; at + size <= sizeof bytes; size++)
            assert_int_equal(weir_crc32c(seed, bytes + at, size),
                weir_crc32c_portable(seed, bytes + at, size));
}

/* Streams side by side of every width, and what is left of them. */
static void
test_crc_variants_agree_on_large_sizes(void **state)
{
    (void)state;
    static uint8_t bytes[12000];
    uint32_t seed = 1;
    for (size_t i = 0; i < sizeof bytes; i++) {
        seed = seed * 1664525 + 1013904223;
        bytes[i] = (uint8_t)(seed >> 24);
    }
    for (size_t size = 0; size + 3 <= sizeof bytes; size += size < 3200 ? 7 : 331)
        assert_int_equal(weir_crc32c(seed, bytes + 3, size),
            weir_crc32c_portable(seed, bytes + 3, size));
}

static void
test_crc_continues_over_pieces(void **state)
{
    (void)state;
    const char *text = "a packet, cut anywhere, has the same sum";
    size_t size = strlen(text);
    for (size_t cut = 0; cut <= size; cut++)
        assert_int_equal(weir_crc32c(weir_crc32c(0, text, cut), text + cut, size - cut),
            weir_crc32c(0, text, size));
}

static void
test_crc_notices_every_flipped_bit(void **state)
{
    (void)state;
    uint8_t bytes[64] = {1, 2, 3};
    uint32_t sum = weir_crc32c(0, bytes, sizeof bytes);
    for (size_t bit = 0; bit < sizeof bytes * 8; bit++) {
        bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
        assert_int_not_equal(weir_crc32c(0, bytes, sizeof bytes), sum);
        bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_crc_gives_the_known_answers),
        cmocka_unit_test(test_crc_variants_agree_at_every_size_and_alignment),
        cmocka_unit_test(test_crc_variants_agree_on_large_sizes),
        cmocka_unit_test(test_crc_continues_over_pieces),
        cmocka_unit_test(test_crc_notices_every_flipped_bit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
