#include "dataplane/worker/series_cache.h"

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
    size_t bytes = (weir_series_cache_footprint(ENTRIES) + 63) & ~(size_t)63;
    void *memory = aligned_alloc(64, bytes);
    memset(memory, 0, bytes);
    *state = weir_series_cache_init(memory, ENTRIES);
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
test_series_cache_knows_nothing_at_first(void **state)
{
    uint64_t number;
    for (uint64_t i = 0; i < 1000; i++)
        assert_false(weir_series_cache_lookup(*state, raw(i), &number));
    assert_false(weir_series_cache_lookup(*state, (struct weir_hash128){0, 0}, &number));
}

static void
test_series_cache_gives_back_numbers_of_forty_bits(void **state)
{
    uint64_t number = 0;
    const uint64_t numbers[] = {0, 1, 0xffffffff, 0x100000000, 0xfedcba9876, 0xffffffffff};
    for (uint64_t i = 0; i < 6; i++) {
        weir_series_cache_prefetch(*state, raw(i));
        weir_series_cache_insert(*state, raw(i), numbers[i]);
    }
    for (uint64_t i = 0; i < 6; i++) {
        assert_true(weir_series_cache_lookup(*state, raw(i), &number));
        assert_true(number == numbers[i]);
    }
}

static void
test_series_cache_keeps_all_entries_at_its_stated_size(void **state)
{
    unsigned lost = 0;
    for (uint64_t i = 0; i < ENTRIES; i++)
        weir_series_cache_insert(*state, raw(i), i);
    for (uint64_t i = 0; i < ENTRIES; i++) {
        uint64_t number;
        if (!weir_series_cache_lookup(*state, raw(i), &number))
            lost++;
        else
            assert_int_equal(number, i);
    }
    assert_int_equal(lost, 0); /* the key is fixed */
}

static struct weir_point points[WEIR_POINTS_MAX];
static uint64_t numbers[WEIR_POINTS_MAX];
static struct weir_raw_burst burst;

/* Both steps, in packets of `packet` points. Returns how many are known. */
static size_t
find(struct weir_series_cache *cache, uint32_t count, uint32_t packet)
{
    memset(numbers, 0x55, sizeof numbers);
    for (uint32_t at = 0; at < count; at += packet)
        weir_series_cache_fetch(cache, points, at, at + packet < count ? at + packet : count, true,
            &burst, numbers);
    return weir_series_cache_find(cache, points, count, &burst, numbers);
}

static void
test_series_cache_burst_finds_what_single_lookups_find(void **state)
{
    enum { COUNT = 9999 }; /* so that one bucket in ten is full */
    for (uint64_t i = 0; i < COUNT; i++) {
        points[i] = (struct weir_point){.raw = raw(i)};
        if (i % 3 != 0)
            weir_series_cache_insert(*state, raw(i), i << 8);
    }
    for (int round = 0; round < 3; round++) { /* with expectations, and without */
        assert_int_equal(find(*state, COUNT, 1 + 11 * (uint32_t)round), COUNT / 3 * 2);
        for (uint64_t i = 0; i < COUNT; i++)
            assert_true(numbers[i] == (i % 3 != 0 ? i << 8 : WEIR_SERIES_UNKNOWN));
    }
}

static uint32_t drawn = 1;

static uint32_t
draw(uint32_t below)
{
    drawn = drawn * 1664525 + 1013904223;
    return (uint32_t)((uint64_t)drawn * below >> 32);
}

/* Each series has two texts. Those whose number is a multiple of 11 are unknown. */
static uint64_t
text_of(uint64_t series, bool other)
{
    return series + (other ? ENTRIES / 2 : 0);
}

/* Runs of numbers that follow each other, with points left out, put in, of another text of their
 * series, and of unknown ones; times that change where runs do, or not. */
static uint32_t
draw_burst(uint64_t *wanted, bool aligned)
{
    uint32_t count = 0, most = 1 + draw(600);
    int64_t time_ms = 0;
    while (count < most) {
        uint64_t series = draw(ENTRIES / 2 - 64);
        time_ms += !aligned;
        for (uint32_t left = 1 + draw(24); left > 0 && count < most; left--, series++) {
            series += draw(8) == 0 ? draw(6) : 0;
            uint64_t taken = draw(10) == 0 ? draw(ENTRIES / 2) : series;
            bool other = draw(12) == 0;
            points[count] =
                (struct weir_point){.raw = raw(text_of(taken, other)), .time_ms = time_ms};
            wanted[count++] = taken % 11 == 0 ? WEIR_SERIES_UNKNOWN : taken;
        }
    }
    return count;
}

static void
test_series_cache_burst_knows_runs_however_they_are_broken(void **state)
{
    static uint64_t wanted[WEIR_POINTS_MAX];
    for (uint64_t i = 0; i < ENTRIES / 2; i++) {
        if (i % 11 == 0)
            continue;
        weir_series_cache_insert(*state, raw(text_of(i, false)), i);
        weir_series_cache_insert(*state, raw(text_of(i, true)), i);
        if (i % 2 == 0)
            weir_series_cache_insert(*state, raw(text_of(i, false)), i);
    }
    for (int round = 0; round < 2000; round++) {
        uint32_t count = draw_burst(wanted, round % 3 == 0);
        size_t known = find(*state, count, 1 + draw(100));
        for (uint32_t i = 0; i < count; i++) {
            assert_true(numbers[i] == wanted[i]);
            known -= wanted[i] != WEIR_SERIES_UNKNOWN;
        }
        assert_int_equal(known, 0);
    }
}

/* Heads are what shows it: where nothing is expected every point is one. */
static void
test_series_cache_expects_nothing_for_a_while_where_it_was_wrong(void **state)
{
    enum { COUNT = 480, HOST = 12, PLAIN = 16 };
    for (uint64_t i = 0; i < COUNT; i++) {
        points[i] = (struct weir_point){.raw = raw(i)};
        weir_series_cache_insert(*state, raw(i), i);
    }
    for (int round = 0; round < 3; round++) {
        assert_int_equal(find(*state, COUNT, HOST), COUNT);
        assert_int_equal(burst.head_count, COUNT / HOST);
    }
    for (uint64_t step = 7; step <= 77; step += 70) { /* near, and nowhere near */
        for (uint64_t i = 0; i < COUNT; i++)
            points[i].raw = raw(i * step % COUNT);
        for (int plain = PLAIN; plain <= 4 * PLAIN; plain *= 2) {
            assert_int_equal(find(*state, COUNT, HOST), COUNT);
            assert_int_equal(burst.head_count, COUNT / HOST);
            for (int round = 0; round < plain; round++) {
                assert_int_equal(find(*state, COUNT, HOST), COUNT);
                assert_int_equal(burst.head_count, COUNT);
            }
        }
        for (uint64_t i = 0; i < COUNT; i++)
            points[i].raw = raw(i);
        for (int round = 0; round < 3; round++) {
            assert_int_equal(find(*state, COUNT, HOST), COUNT);
            assert_int_equal(burst.head_count, COUNT / HOST);
        }
    }
}

/* One host's lines behind the other's in one packet, all of one time: after a burst it is known
 * where they end, also where the burst ends inside of one's. */
static void
test_series_cache_follows_hosts_that_share_a_packet_and_a_time(void **state)
{
    enum { COUNT = 480, HOST = 12 };
    for (uint64_t i = 0; i < COUNT; i++)
        weir_series_cache_insert(*state, raw(i), i);
    for (uint64_t round = 0, at = 0; round < 50; round++) {
        uint64_t size = COUNT - 5;
        for (uint64_t i = 0; i < size; i++, at++)
            points[i] = (struct weir_point){.raw = raw(at / HOST * 17 % (COUNT / HOST) * HOST +
                                                       at % HOST)};
        assert_int_equal(find(*state, (uint32_t)size, COUNT), size);
        if (round > 0)
            assert_in_range(burst.head_count, size / HOST, size / HOST + 2);
        for (uint64_t i = 0; i < size; i++)
            assert_true(points[i].raw.lo == raw(numbers[i]).lo);
    }
}

/* Rounds until every point of COUNT is known with a head for each host alone. */
static int
rounds_until_followed(
    struct weir_series_cache *cache, uint32_t count, uint32_t host, uint32_t packet)
{
    for (int round = 0; round < 100; round++) {
        assert_int_equal(find(cache, count, packet), count);
        if (burst.head_count == count / host)
            return round;
    }
    return 100;
}

static void
test_series_cache_begins_a_run_where_the_time_changes(void **state)
{
    enum { COUNT = 480, HOST = 12 };
    for (uint64_t i = 0; i < COUNT; i++) {
        points[i] = (struct weir_point){.raw = raw(i), .time_ms = (int64_t)(i / HOST)};
        weir_series_cache_insert(*state, raw(i), i);
    }
    assert_int_equal(rounds_until_followed(*state, COUNT, HOST, COUNT), 0);
}

/* Every fourth series of a host is left out: that is no surprise. */
static void
test_series_cache_follows_a_host_that_leaves_lines_out(void **state)
{
    enum { COUNT = 480, HOST = 12 };
    for (uint64_t i = 0; i < ENTRIES; i++)
        weir_series_cache_insert(*state, raw(i), i);
    for (uint64_t i = 0; i < COUNT; i++)
        points[i] = (struct weir_point){.raw = raw(i * 4 / 3)};
    for (int round = 0; round < 3; round++)
        assert_int_equal(rounds_until_followed(*state, COUNT, HOST, HOST), 0);
}

/* Every other host is new: what is known of the others is expected all the same. */
static void
test_series_cache_follows_known_hosts_beside_new_ones(void **state)
{
    enum { COUNT = 480, HOST = 12 };
    for (uint64_t i = 0; i < COUNT; i++) {
        points[i] = (struct weir_point){.raw = raw(i)};
        if (i / HOST % 2 == 0)
            weir_series_cache_insert(*state, raw(i), i);
    }
    for (int round = 0; round < 3; round++) {
        assert_int_equal(find(*state, COUNT, HOST), COUNT / 2);
        assert_int_equal(burst.head_count, COUNT / HOST);
        for (uint64_t i = 0; i < COUNT; i++)
            assert_true(numbers[i] == (i / HOST % 2 == 0 ? i : WEIR_SERIES_UNKNOWN));
    }
}

/* Agents that were changed send other texts of the same series: those are what is expected then. */
static void
test_series_cache_follows_the_text_of_a_series_that_came_last(void **state)
{
    enum { COUNT = 48, HOST = 12 };
    for (uint64_t i = 0; i < COUNT; i++) {
        weir_series_cache_insert(*state, raw(COUNT + i), i);
        weir_series_cache_insert(*state, raw(i), i);
        points[i] = (struct weir_point){.raw = raw(COUNT + i)};
    }
    for (int round = 0; round < 40; round++)
        assert_int_equal(find(*state, COUNT, HOST), COUNT);
    for (int round = 0; round < 3; round++)
        assert_int_equal(rounds_until_followed(*state, COUNT, HOST, HOST), 0);
}

static void
test_series_cache_expects_nothing_behind_its_last_number(void **state)
{
    for (uint64_t i = 0; i < 3; i++)
        points[i] = (struct weir_point){.raw = raw(i)};
    weir_series_cache_insert(*state, raw(0), ENTRIES - 1);
    assert_int_equal(find(*state, 3, 3), 1);
    assert_true(numbers[0] == ENTRIES - 1 && numbers[1] == WEIR_SERIES_UNKNOWN);
}

/* No key is 0 as well. */
static void
test_series_cache_takes_a_hash_of_no_bits_for_no_number_without_a_key(void **state)
{
    const struct weir_hash128 none = {0, 0};
    points[0] = (struct weir_point){.raw = raw(2)};
    points[1] = (struct weir_point){.raw = none};
    weir_series_cache_insert(*state, raw(2), 7);
    assert_int_equal(find(*state, 2, 2), 1);
    assert_true(numbers[0] == 7 && numbers[1] == WEIR_SERIES_UNKNOWN);
    weir_series_cache_insert(*state, none, 8);
    assert_int_equal(find(*state, 2, 2), 2);
    assert_true(numbers[1] == 8);
}

static void
test_series_cache_evicts_but_never_mixes_up_when_overfull(void **state)
{
    unsigned found = 0;
    for (uint64_t i = 0; i < 4 * ENTRIES; i++) {
        uint64_t number;
        weir_series_cache_insert(*state, raw(i), i);
        assert_true(weir_series_cache_lookup(*state, raw(i), &number));
    }
    for (uint64_t i = 0; i < 4 * ENTRIES; i++) {
        uint64_t number;
        if (weir_series_cache_lookup(*state, raw(i), &number)) {
            assert_int_equal(number, i);
            found++;
        }
    }
    assert_in_range(found, ENTRIES, ENTRIES * 3 / 2 + 8); /* it has three slots for two entries */
}

static void
test_series_cache_insert_replaces_the_number_of_a_known_hash(void **state)
{
    uint64_t number = 0;
    weir_series_cache_insert(*state, raw(5), 50);
    weir_series_cache_insert(*state, raw(5), 51);
    assert_true(weir_series_cache_lookup(*state, raw(5), &number));
    assert_int_equal(number, 51);
}

/* Zero hash bits mark an empty slot and are stored as one. */
static void
test_series_cache_holds_a_hash_of_zero_bits(void **state)
{
    uint64_t number = 0;
    weir_series_cache_insert(*state, (struct weir_hash128){0, 0}, 0);
    assert_true(weir_series_cache_lookup(*state, (struct weir_hash128){0, 0}, &number));
    assert_int_equal(number, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_series_cache_knows_nothing_at_first),
        TEST(test_series_cache_gives_back_numbers_of_forty_bits),
        TEST(test_series_cache_keeps_all_entries_at_its_stated_size),
        TEST(test_series_cache_burst_finds_what_single_lookups_find),
        TEST(test_series_cache_burst_knows_runs_however_they_are_broken),
        TEST(test_series_cache_expects_nothing_for_a_while_where_it_was_wrong),
        TEST(test_series_cache_follows_hosts_that_share_a_packet_and_a_time),
        TEST(test_series_cache_begins_a_run_where_the_time_changes),
        TEST(test_series_cache_follows_a_host_that_leaves_lines_out),
        TEST(test_series_cache_follows_known_hosts_beside_new_ones),
        TEST(test_series_cache_follows_the_text_of_a_series_that_came_last),
        TEST(test_series_cache_expects_nothing_behind_its_last_number),
        TEST(test_series_cache_takes_a_hash_of_no_bits_for_no_number_without_a_key),
        TEST(test_series_cache_evicts_but_never_mixes_up_when_overfull),
        TEST(test_series_cache_insert_replaces_the_number_of_a_known_hash),
        TEST(test_series_cache_holds_a_hash_of_zero_bits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
