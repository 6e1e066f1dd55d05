#include "dataplane/raw_cache.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define ENTRIES 10000

static struct weir_hash_key key;

static int
setup(void **state)
{
    static const uint8_t seed[WEIR_HASH_SEED_BYTES] = {1};
    weir_hash_key_init(&key, seed);
    size_t bytes = (weir_raw_cache_footprint(ENTRIES) + 63) & ~(size_t)63;
    void *memory = aligned_alloc(64, bytes);
    memset(memory, 0, bytes);
    *state = weir_raw_cache_init(memory, ENTRIES);
    return 0;
}

static int
teardown(void **state)
{
    free(*state);
    return 0;
}

static struct weir_hash128
raw(uint64_t i)
{
    return weir_hash_part(&key, 0, &i, sizeof i);
}

static void
test_raw_cache_knows_nothing_at_first(void **state)
{
    uint64_t number;
    for (uint64_t i = 0; i < 1000; i++)
        assert_false(weir_raw_cache_lookup(*state, raw(i), &number));
    assert_false(weir_raw_cache_lookup(*state, (struct weir_hash128){0, 0}, &number));
}

static void
test_raw_cache_gives_back_numbers_of_forty_bits(void **state)
{
    uint64_t number = 0;
    const uint64_t numbers[] = {0, 1, 0xffffffff, 0x100000000, 0xfedcba9876, 0xffffffffff};
    for (uint64_t i = 0; i < 6; i++) {
        weir_raw_cache_prefetch(*state, raw(i));
        weir_raw_cache_insert(*state, raw(i), numbers[i]);
    }
    for (uint64_t i = 0; i < 6; i++) {
        assert_true(weir_raw_cache_lookup(*state, raw(i), &number));
        assert_true(number == numbers[i]);
    }
}

static void
test_raw_cache_keeps_all_entries_at_its_stated_size(void **state)
{
    unsigned lost = 0;
    for (uint64_t i = 0; i < ENTRIES; i++)
        weir_raw_cache_insert(*state, raw(i), i);
    for (uint64_t i = 0; i < ENTRIES; i++) {
        uint64_t number;
        if (!weir_raw_cache_lookup(*state, raw(i), &number))
            lost++;
        else
            assert_int_equal(number, i);
    }
    assert_int_equal(lost, 0); /* the key is fixed */
}

static void
test_raw_cache_burst_finds_what_single_lookups_find(void **state)
{
    enum { COUNT = 9999 }; /* so that one bucket in twenty-five is full */
    static struct {
        uint64_t other;
        struct weir_hash128 raw;
    } keys[COUNT];
    static uint64_t numbers[COUNT];
    for (uint64_t i = 0; i < COUNT; i++) {
        keys[i].raw = raw(i);
        if (i % 3 != 0)
            weir_raw_cache_insert(*state, raw(i), i << 8);
    }
    weir_raw_cache_prefetch_burst(*state, &keys[0].raw, sizeof keys[0], COUNT, numbers);
    assert_int_equal(weir_raw_cache_lookup_burst(*state, &keys[0].raw, sizeof keys[0], COUNT,
                         numbers),
        COUNT / 3 * 2);
    for (uint64_t i = 0; i < COUNT; i++)
        assert_true(numbers[i] == (i % 3 != 0 ? i << 8 : WEIR_RAW_UNKNOWN));
}

static void
test_raw_cache_evicts_but_never_mixes_up_when_overfull(void **state)
{
    unsigned found = 0;
    for (uint64_t i = 0; i < 4 * ENTRIES; i++) {
        uint64_t number;
        weir_raw_cache_insert(*state, raw(i), i);
        assert_true(weir_raw_cache_lookup(*state, raw(i), &number));
    }
    for (uint64_t i = 0; i < 4 * ENTRIES; i++) {
        uint64_t number;
        if (weir_raw_cache_lookup(*state, raw(i), &number)) {
            assert_int_equal(number, i);
            found++;
        }
    }
    assert_in_range(found, ENTRIES, 2 * ENTRIES + 4); /* it has two slots an entry */
}

static void
test_raw_cache_insert_replaces_the_number_of_a_known_hash(void **state)
{
    uint64_t number = 0;
    weir_raw_cache_insert(*state, raw(5), 50);
    weir_raw_cache_insert(*state, raw(5), 51);
    assert_true(weir_raw_cache_lookup(*state, raw(5), &number));
    assert_int_equal(number, 51);
}

/* Zero hash bits mark an empty slot and are stored as one. */
static void
test_raw_cache_holds_a_hash_of_zero_bits(void **state)
{
    uint64_t number = 0;
    weir_raw_cache_insert(*state, (struct weir_hash128){0, 0}, 0);
    assert_true(weir_raw_cache_lookup(*state, (struct weir_hash128){0, 0}, &number));
    assert_int_equal(number, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_raw_cache_knows_nothing_at_first),
        TEST(test_raw_cache_gives_back_numbers_of_forty_bits),
        TEST(test_raw_cache_keeps_all_entries_at_its_stated_size),
        TEST(test_raw_cache_burst_finds_what_single_lookups_find),
        TEST(test_raw_cache_evicts_but_never_mixes_up_when_overfull),
        TEST(test_raw_cache_insert_replaces_the_number_of_a_known_hash),
        TEST(test_raw_cache_holds_a_hash_of_zero_bits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
