#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "storage/part/times.h"
#include "tests/fuzz/twin_part.h"
#include "tests/unit/storage/part/chunk_fixture.h"

#include <stdlib.h>

#define START INT64_C(1700006400000)

static struct weir_packed_scratch scratch;
static int64_t times_ms[WEIR_CHUNK_SAMPLES_MAX];
static uint64_t random_state = 88172645463325252u;

/* Encodes and decodes; returns the bytes. */
static size_t
check(uint32_t count, enum weir_effort effort)
{
    static uint8_t bytes[WEIR_CHUNK_REST_MAX + WEIR_CHUNK_SLACK];
    static uint8_t front[WEIR_CHUNK_SAMPLES_MAX + WEIR_CHUNK_SLACK];
    static int64_t decoded[WEIR_CHUNK_SAMPLES_MAX];
    bool split;
    uint8_t *end = weir_times_encode(&scratch, times_ms, count, effort, &split, bytes);
    memcpy(front, scratch.front, sizeof scratch.front);
    struct weir_bytes in = {bytes, end, false};
    assert_true(weir_times_decode(&in, front, count, count, decoded));
    assert_ptr_equal(in.at, end);
    assert_memory_equal(decoded, times_ms, count * sizeof *times_ms);
    assert_true(twin_times_agree(bytes, (size_t)(end - bytes), front, count, count));
    in = (struct weir_bytes){bytes, end, false};
    assert_false(weir_times_decode(&in, front, count, count + 1, decoded));
    return (size_t)(end - bytes) + (split ? count : 0);
}

static void
test_steady_times_are_almost_nothing(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < 720; i++)
        times_ms[i] = START + (int64_t)i * 10000;
    assert_true(check(720, WEIR_EFFORT_BEST) <= 24);
    assert_true(check(720, WEIR_EFFORT_FAST) <= 24);
}

/* Jitter of 0 to 7 ms is three bits a sample against the line, and more between neighbours. */
static void
test_jitter_costs_its_entropy(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < 720; i++)
        times_ms[i] = START + (int64_t)i * 10000 + (int64_t)(next_random(&random_state) % 8);
    assert_true(check(720, WEIR_EFFORT_BEST) <= 720 * 3 / 8 + 24);
    check(720, WEIR_EFFORT_FAST);
}

static void
test_scrapes_that_were_missed(void **state)
{
    (void)state;
    int64_t time_ms = START;
    for (uint32_t i = 0; i < 720; i++)
        times_ms[i] = time_ms += next_random(&random_state) % 100 == 0 ? 60000 : 10000;
    assert_true(check(720, WEIR_EFFORT_BEST) < 200);
}

static void
test_one_time_for_all(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < WEIR_CHUNK_SAMPLES_MAX; i++)
        times_ms[i] = START;
    assert_true(check(WEIR_CHUNK_SAMPLES_MAX, WEIR_EFFORT_BEST) < 24);
}

static void
test_any_times(void **state)
{
    (void)state;
    for (uint32_t count = 1; count <= 200; count++) {
        for (uint32_t i = 0; i < count; i++)
            times_ms[i] = (int64_t)next_random(&random_state);
        check(count, WEIR_EFFORT_BEST);
        check(count, WEIR_EFFORT_FAST);
    }
    times_ms[0] = INT64_MIN;
    times_ms[1] = INT64_MAX;
    check(2, WEIR_EFFORT_BEST);
}

/* A dictionary that is full forgets, and goes on. */
static void
test_dictionary_finds_what_it_knows(void **state)
{
    (void)state;
    static struct weir_times_dictionary dictionary;
    uint32_t slots = weir_times_slots(8), column;
    struct weir_times_slot *memory = calloc(slots, sizeof *memory);
    weir_times_dictionary_init(&dictionary, memory, slots, 7);
    for (uint32_t i = 0; i < 1000; i++) {
        times_ms[0] = i;
        assert_false(weir_times_dictionary_find(&dictionary, times_ms, 3, i, &column));
        assert_int_equal(column, i);
        assert_true(weir_times_dictionary_find(&dictionary, times_ms, 3, 5000, &column));
        assert_int_equal(column, i);
        assert_true(dictionary.used <= slots / 2 + 1);
    }
    assert_false(weir_times_dictionary_find(&dictionary, times_ms, 2, 1000, &column));
    /* another part: nothing is known of this one */
    weir_times_dictionary_init(&dictionary, memory, slots, 8);
    assert_false(weir_times_dictionary_find(&dictionary, times_ms, 2, 0, &column));
    free(memory);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_steady_times_are_almost_nothing),
        cmocka_unit_test(test_jitter_costs_its_entropy),
        cmocka_unit_test(test_scrapes_that_were_missed),
        cmocka_unit_test(test_one_time_for_all),
        cmocka_unit_test(test_any_times),
        cmocka_unit_test(test_dictionary_finds_what_it_knows),
    };
    return cmocka_run_group_tests_name("storage-part_times", tests, NULL, NULL);
}
