/* Numbers of a channel: the window against a slow twin. */
#include "tests/unit/dataplane/protocol/wire_fixture.h"

#define NUMBERS 6000

static void
test_window_agrees_with_a_list_of_all_numbers(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 200; seed++) {
        static bool come[NUMBERS + 2000];
        memset(come, 0, sizeof come);
        struct weir_channels *channels = channels_new();
        uint64_t gaps = 0;
        struct weir_channel *channel = weir_channels_find_or_add(channels, 1, 0, 1, &gaps);
        uint64_t random = seed, highest = 0, reach = 1 + seed * 15;
        for (uint64_t number = 1; number < NUMBERS;) {
            uint64_t back = next_random(&random) % reach;
            uint64_t sequence = next_random(&random) % 3 == 0 && back < number ? number - back
                                                                                : number;
            number += next_random(&random) % 4;
            enum weir_sequence expected = sequence > highest ? WEIR_SEQUENCE_NEW
                : highest - sequence >= WEIR_WIRE_WINDOW     ? WEIR_SEQUENCE_OLD
                : come[sequence]                             ? WEIR_SEQUENCE_DUPLICATE
                                                             : WEIR_SEQUENCE_LATE;
            assert_int_equal(weir_channel_meet(channel, sequence, &gaps), expected);
            if (expected != WEIR_SEQUENCE_OLD)
                come[sequence] = true;
            highest = sequence > highest ? sequence : highest;
            uint64_t passed = highest > WEIR_WIRE_WINDOW ? highest - WEIR_WIRE_WINDOW : 0;
            uint64_t missing = 0;
            for (uint64_t i = 1; i <= passed; i++)
                missing += !come[i];
            assert_int_equal(gaps, missing);
        }
        uint64_t missing = 0;
        for (uint64_t i = 1; i <= highest + 7; i++)
            missing += !come[i];
        weir_channel_heartbeat(channel, highest + 7, true, &gaps);
        assert_int_equal(gaps, missing);
        assert_int_equal(weir_channel_complete(channel), highest + 7);
        assert_int_equal(weir_channel_meet(channel, highest, &gaps), WEIR_SEQUENCE_DUPLICATE);
        /* what was given up is neither new nor a duplicate, and no gap a second time */
        assert_int_equal(weir_channel_meet(channel, highest + 1, &gaps), WEIR_SEQUENCE_OLD);
        assert_int_equal(weir_channel_meet(channel, highest + 8, &gaps), WEIR_SEQUENCE_NEW);
        assert_int_equal(weir_channel_meet(channel, highest + 3000, &gaps), WEIR_SEQUENCE_NEW);
        weir_channel_heartbeat(channel, highest + 3000, true, &gaps);
        assert_int_equal(gaps, missing + 2991);
        free(channels);
        if (seed % 10 != 0)
            seed += 8;
    }
}

static void
test_first_number_far_from_one_is_where_numbers_begin(void **state)
{
    (void)state;
    struct weir_channels *channels = channels_new();
    uint64_t gaps = 0;
    struct weir_channel *channel = weir_channels_find_or_add(channels, 1, 0, 1, &gaps);
    assert_int_equal(weir_channel_meet(channel, 1u << 20, &gaps), WEIR_SEQUENCE_NEW);
    assert_int_equal(weir_channel_meet(channel, (1u << 20) - 1, &gaps), WEIR_SEQUENCE_OLD);
    assert_int_equal(weir_channel_meet(channel, (1u << 20) + 5000, &gaps), WEIR_SEQUENCE_NEW);
    weir_channel_heartbeat(channel, (1u << 20) + 5000, true, &gaps);
    assert_int_equal(gaps, 4999);
    free(channels);
}

static void
test_number_far_away_is_a_new_beginning_and_keeps_no_other_out(void **state)
{
    (void)state;
    const uint64_t far = WEIR_SEQUENCE_FAR;
    struct weir_channels *channels = channels_new();
    uint64_t gaps = 0;
    struct weir_channel *channel = weir_channels_find_or_add(channels, 1, 0, 1, &gaps);
    for (uint64_t number = 1; number <= 2000; number++)
        assert_int_equal(weir_channel_meet(channel, number, &gaps), WEIR_SEQUENCE_NEW);
    assert_int_equal(weir_channel_meet(channel, 2003, &gaps), WEIR_SEQUENCE_NEW);
    /* somebody sends the last number there is, in the sender's name */
    assert_int_equal(weir_channel_meet(channel, UINT64_MAX, &gaps), WEIR_SEQUENCE_JUMP);
    assert_int_equal(gaps, 2); /* 2001 and 2002 */
    assert_int_equal(weir_channel_meet(channel, UINT64_MAX, &gaps), WEIR_SEQUENCE_DUPLICATE);
    assert_int_equal(weir_channel_complete(channel), UINT64_MAX);
    /* the sender goes on */
    assert_int_equal(weir_channel_meet(channel, 2004, &gaps), WEIR_SEQUENCE_JUMP);
    assert_int_equal(weir_channel_meet(channel, 2005, &gaps), WEIR_SEQUENCE_NEW);
    assert_int_equal(weir_channel_meet(channel, 2003, &gaps), WEIR_SEQUENCE_OLD);
    assert_int_equal(gaps, 2);
    /* up to 2^20 away is an outage, whose packets are counted; what is further is none */
    assert_int_equal(weir_channel_meet(channel, 2005 + far, &gaps), WEIR_SEQUENCE_NEW);
    assert_int_equal(weir_channel_meet(channel, 2006 + 2 * far, &gaps), WEIR_SEQUENCE_JUMP);
    assert_int_equal(gaps, 2 + far - 1);
    assert_int_equal(weir_channel_meet(channel, 2006 + far, &gaps), WEIR_SEQUENCE_OLD);
    assert_int_equal(weir_channel_meet(channel, 2005 + far, &gaps), WEIR_SEQUENCE_JUMP);
    /* heartbeats too */
    assert_true(weir_channel_heartbeat(channel, UINT64_MAX, true, &gaps));
    assert_true(weir_channel_heartbeat(channel, 7, false, &gaps));
    assert_int_equal(weir_channel_meet(channel, 8, &gaps), WEIR_SEQUENCE_NEW);
    assert_false(weir_channel_heartbeat(channel, 8, false, &gaps));
    assert_true(weir_channel_heartbeat(channel, 9 + far, false, &gaps));
    assert_int_equal(gaps, 2 + far - 1);
    free(channels);
}

static void
test_gaps_of_a_channel_stay_numbers_that_json_holds(void **state)
{
    (void)state;
    struct weir_channels *channels = channels_new();
    uint64_t gaps = 0;
    struct weir_channel *channel = weir_channels_find_or_add(channels, 1, 0, 1, &gaps);
    channel->gaps = WEIR_CHANNEL_COUNT_MAX - 5;
    (void)weir_channel_meet(channel, 1, &gaps);
    (void)weir_channel_heartbeat(channel, 100000, true, &gaps);
    assert_int_equal(gaps, 99999);
    assert_int_equal(channel->gaps, WEIR_CHANNEL_COUNT_MAX);
    (void)weir_channel_heartbeat(channel, 200000, true, &gaps);
    assert_int_equal(channel->gaps, WEIR_CHANNEL_COUNT_MAX);
    free(channels);
}

int
main(void)
{
    const uint8_t seed[WEIR_HASH_SEED_BYTES] = {1};
    weir_hash_key_init(&key, seed);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_window_agrees_with_a_list_of_all_numbers),
        cmocka_unit_test(test_first_number_far_from_one_is_where_numbers_begin),
        cmocka_unit_test(test_number_far_away_is_a_new_beginning_and_keeps_no_other_out),
        cmocka_unit_test(test_gaps_of_a_channel_stay_numbers_that_json_holds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
