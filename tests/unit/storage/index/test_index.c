/* The label index against its slow twin, over drawn series and questions. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "tests/fuzz/twin_index_craft.h"
#include "tests/unit/storage/temp_dir.h"

#define DRAWN 65536

static uint64_t
next_random(uint64_t *state)
{
    *state += UINT64_C(0x9e3779b97f4a7c15); /* splitmix64 */
    uint64_t z = *state;
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

static void
test_index_answers_as_a_scan_over_all_labels(void **state)
{
    (void)state;
    static uint8_t bytes[DRAWN];
    const char *nightly = getenv("WEIR_NIGHTLY");
    uint64_t rounds = nightly != NULL && nightly[0] == '1' ? 2000 : 40;
    temp_dir_make();
    for (uint64_t seed = 0; seed < rounds; seed++) {
        uint64_t random = seed;
        for (size_t i = 0; i < DRAWN; i++)
            bytes[i] = (uint8_t)next_random(&random);
        struct twin_index_source source = {.data = bytes, .size = sizeof bytes};
        twin_index_compare(&source, temp_dir);
    }
    temp_dir_remove();
}

static void
test_segment_of_any_bytes_is_asked_and_merged(void **state)
{
    (void)state;
    const char *nightly = getenv("WEIR_NIGHTLY");
    uint64_t rounds = nightly != NULL && nightly[0] == '1' ? 20000 : 250;
    temp_dir_make();
    for (uint64_t seed = 0; seed < rounds; seed++) {
        uint8_t bytes[128];
        uint64_t random = seed;
        for (size_t i = 0; i < sizeof bytes; i++)
            bytes[i] = (uint8_t)next_random(&random);
        struct twin_index_source source = {.data = bytes, .size = sizeof bytes};
        twin_index_craft(&source, temp_dir);
    }
    temp_dir_remove();
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_index_answers_as_a_scan_over_all_labels),
        cmocka_unit_test(test_segment_of_any_bytes_is_asked_and_merged),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
