/* The set of strings behind labels and their values: senders choose what is in it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/crc.h"
#include "controlplane/api/strings.h"

#include <stdlib.h>
#include <string.h>

#define COUNT 40000
#define BYTES 12

/* Four bytes that bring the CRC of what stands before them to `wanted`: a CRC is linear, so the
 * bits of the four that matter are found by elimination. */
static void
complete_crc(uint8_t *bytes, uint32_t wanted)
{
    uint32_t column[32], choice[32], result = 0;
    memset(bytes + BYTES - 4, 0, 4);
    uint32_t zero = weir_crc32c(0, bytes, BYTES);
    for (int i = 0; i < 32; i++) {
        uint8_t tried[BYTES];
        memcpy(tried, bytes, BYTES);
        tried[BYTES - 4 + i / 8] ^= (uint8_t)(1u << i % 8);
        column[i] = weir_crc32c(0, tried, BYTES) ^ zero;
        choice[i] = UINT32_C(1) << i;
    }
    uint32_t left = wanted ^ zero;
    for (int bit = 31, used = 0; bit >= 0; bit--) {
        int pivot = used;
        while (pivot < 32 && (column[pivot] >> bit & 1) == 0)
            pivot++;
        assert_true(pivot < 32);
        uint32_t c = column[pivot], t = choice[pivot];
        column[pivot] = column[used];
        choice[pivot] = choice[used];
        column[used] = c;
        choice[used] = t;
        for (int i = used + 1; i < 32; i++) {
            if ((column[i] >> bit & 1) == 0)
                continue;
            column[i] ^= c;
            choice[i] ^= t;
        }
        if ((left >> bit & 1) != 0) {
            left ^= c;
            result ^= t;
        }
        used++;
    }
    memcpy(bytes + BYTES - 4, &result, 4);
    assert_int_equal(weir_crc32c(0, bytes, BYTES), wanted);
}

/* The longest row of slots without a free one: as far as a string may lie from its place. */
static size_t
longest_run(const struct weir_strings *strings)
{
    size_t longest = 0, run = 0;
    for (size_t i = 0; i < strings->slot_count; i++) {
        run = strings->slots[i] != 0 ? run + 1 : 0;
        longest = run > longest ? run : longest;
    }
    return longest;
}

static void
test_strings_of_equal_crc_spread_like_any_others(void **state)
{
    (void)state;
    struct weir_strings strings;
    assert_int_equal(weir_strings_init(&strings, 1u << 24), WEIR_OK);
    for (uint32_t i = 0; i < COUNT; i++) {
        uint8_t bytes[BYTES] = "label-va";
        memcpy(bytes, &i, sizeof i);
        complete_crc(bytes, 0x12345678);
        assert_int_equal(weir_strings_add(&strings, bytes, BYTES), WEIR_OK);
        assert_int_equal(weir_strings_add(&strings, bytes, BYTES), WEIR_OK);
    }
    assert_int_equal(strings.count, COUNT);
    /* half of the slots are free: a row of 1,000 in 131,072 does not happen by chance */
    assert_in_range(longest_run(&strings), 1, 1000);
    weir_strings_fini(&strings);
}

static void
test_each_set_has_a_key_of_its_own(void **state)
{
    (void)state;
    struct weir_strings a, b;
    assert_int_equal(weir_strings_init(&a, 1000), WEIR_OK);
    assert_int_equal(weir_strings_init(&b, 1000), WEIR_OK);
    assert_memory_not_equal(&a.key, &b.key, sizeof a.key);
    weir_strings_fini(&a);
    weir_strings_fini(&b);
}

static void
test_strings_are_kept_once_and_sorted(void **state)
{
    (void)state;
    static const char *const words[] = {"b", "", "a", "ab", "b", "a"};
    struct weir_strings strings;
    struct weir_string *sorted;
    assert_int_equal(weir_strings_init(&strings, 1000), WEIR_OK);
    for (size_t i = 0; i < 6; i++)
        assert_int_equal(
            weir_strings_add(&strings, (const uint8_t *)words[i], (uint16_t)strlen(words[i])),
            WEIR_OK);
    assert_int_equal(strings.count, 4);
    assert_int_equal(weir_strings_sort(&strings, &sorted), WEIR_OK);
    static const char *const expected[] = {"", "a", "ab", "b"};
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(sorted[i].size, strlen(expected[i]));
        assert_memory_equal(sorted[i].bytes, expected[i], sorted[i].size);
    }
    free(sorted);
    weir_strings_fini(&strings);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_strings_of_equal_crc_spread_like_any_others),
        cmocka_unit_test(test_each_set_has_a_key_of_its_own),
        cmocka_unit_test(test_strings_are_kept_once_and_sorted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
