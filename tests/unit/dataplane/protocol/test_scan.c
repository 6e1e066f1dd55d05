#include "dataplane/protocol/common/scan.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#define BLOCKS 40

static const struct weir_scan_set set = {{',', '=', '"', '\\'}};

static void
fill(uint8_t *data, size_t size, uint64_t *state)
{
    for (size_t i = 0; i < size; i++) {
        *state = *state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
        data[i] = (uint8_t)(*state >> 56);
    }
}

static void
compare(weir_scan_fn *scan)
{
    uint8_t data[BLOCKS * WEIR_SCAN_BLOCK + 1];
    uint64_t wanted[BLOCKS], found[BLOCKS], state = 3;
    for (int round = 0; round < 300; round++) {
        fill(data, sizeof data, &state);
        size_t blocks = 1 + (size_t)round % BLOCKS, shift = (size_t)round & 1;
        weir_scan_scalar(&set, data + shift, blocks, wanted);
        scan(&set, data + shift, blocks, found);
        assert_memory_equal(wanted, found, blocks * sizeof wanted[0]);
    }
}

static void
test_scalar_scan_marks_each_byte_by_the_rule(void **unused)
{
    (void)unused;
    uint8_t data[256];
    uint64_t words[4];
    for (int i = 0; i < 256; i++)
        data[i] = (uint8_t)i;
    weir_scan_scalar(&set, data, 4, words);
    for (int i = 0; i < 256; i++) {
        bool wanted = i <= ' ' || i >= 127 || i == ',' || i == '=' || i == '"' || i == '\\';
        assert_int_equal(words[i / 64] >> i % 64 & 1, wanted);
    }
}

static void
test_avx2_scan_agrees_with_scalar(void **unused)
{
    (void)unused;
    if (__builtin_cpu_supports("avx2"))
        compare(weir_scan_avx2);
    else
        print_message("# avx2: not on this CPU\n");
}

static void
test_avx512_scan_agrees_with_scalar(void **unused)
{
    (void)unused;
    if (__builtin_cpu_supports("avx512bw"))
        compare(weir_scan_avx512);
    else
        print_message("# avx512: not on this CPU\n");
}

static bool
structural(uint8_t byte)
{
    return byte <= ' ' || byte >= 127 || memchr(set.bytes, byte, 4) != NULL;
}

/* From any place the cursor gives each structural byte before the end, and then the size. */
static void
test_scan_cursor_gives_structural_bytes_in_order(void **unused)
{
    (void)unused;
    static struct weir_scan scan;
    static uint8_t data[3 * WEIR_SCAN_AHEAD * WEIR_SCAN_BLOCK + WEIR_SCAN_BLOCK];
    uint64_t state = 5;
    for (int round = 0; round < 60; round++) {
        fill(data, sizeof data, &state);
        if (round % 3 == 0)
            memset(data + 100, 'a', 5000); /* longer than what is scanned at a time */
        size_t size = state % (sizeof data - WEIR_SCAN_BLOCK + 1);
        weir_scan_init(&scan, &set, data, size);
        for (int seek = 0; seek < 4; seek++) {
            size_t at = seek == 0 ? 0 : (state >> 8 * seek) % (size + 1);
            weir_scan_seek(&scan, at);
            for (; at < size; at++)
                if (structural(data[at]))
                    assert_int_equal(weir_scan_next(&scan), at);
            assert_int_equal(weir_scan_next(&scan), size);
            assert_int_equal(weir_scan_next(&scan), size);
        }
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_scalar_scan_marks_each_byte_by_the_rule),
        cmocka_unit_test(test_avx2_scan_agrees_with_scalar),
        cmocka_unit_test(test_avx512_scan_agrees_with_scalar),
        cmocka_unit_test(test_scan_cursor_gives_structural_bytes_in_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
