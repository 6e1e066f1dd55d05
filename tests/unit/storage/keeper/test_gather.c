/* Slices, gather and settle against the slowest way to the same: a stable sort of everything. */
#include "storage/keeper/gather.h"
#include "storage/keeper/settle.h"
#include "storage/keeper/slices.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define SAMPLES_MAX 40000
#define BLOCKS_MAX 64

static uint64_t random_state = 9;

static uint64_t
draw(void)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return random_state;
}

struct expected {
    uint64_t series;
    int64_t time_ms;
    uint32_t arrival;
    uint64_t value;
    int8_t exponent;
    uint8_t kind;
};

static struct weir_columns blocks[BLOCKS_MAX];
static struct expected expected[SAMPLES_MAX];
static uint32_t expected_count;

static int
by_number(const void *a, const void *b)
{
    uint64_t left = *(const uint64_t *)a;
    uint64_t right = *(const uint64_t *)b;
    return (left > right) - (left < right);
}

static int
by_series_time_arrival(const void *a, const void *b)
{
    const struct expected *left = a, *right = b;
    if (left->series != right->series)
        return left->series < right->series ? -1 : 1;
    if (left->time_ms != right->time_ms)
        return left->time_ms < right->time_ms ? -1 : 1;
    return left->arrival < right->arrival ? -1 : 1;
}

/* Blocks with series below series_end and times that mostly ascend. */
static void
fill(uint32_t block_count, uint64_t series_end, int64_t times)
{
    expected_count = 0;
    for (uint32_t b = 0; b < block_count; b++) {
        struct weir_columns *block = &blocks[b];
        block->count = 1 + (uint32_t)(draw() % 600);
        for (uint32_t i = 0; i < block->count; i++)
            block->series[i] = draw() % series_end;
        qsort(block->series, block->count, sizeof block->series[0], by_number);
        for (uint32_t i = 0; i < block->count; i++) {
            block->times_ms[i] = (int64_t)(b * 10) + (int64_t)(draw() % (uint64_t)times) - 5;
            block->values[i] = draw();
            block->exponents[i] = (int8_t)(draw() % 45) - 22;
            block->kinds[i] = draw() % 2;
            expected[expected_count] = (struct expected){block->series[i], block->times_ms[i],
                expected_count, block->values[i], block->exponents[i], block->kinds[i]};
            expected_count++;
        }
    }
    qsort(expected, expected_count, sizeof expected[0], by_series_time_arrival);
}

/* Of equal series and times the last one stays. Returns how many went. */
static uint32_t
drop_superseded(void)
{
    uint32_t left = 0;
    for (uint32_t i = 0; i < expected_count; i++) {
        bool last = i + 1 == expected_count || expected[i + 1].series != expected[i].series ||
            expected[i + 1].time_ms != expected[i].time_ms;
        if (last)
            expected[left++] = expected[i];
    }
    uint32_t gone = expected_count - left;
    expected_count = left;
    return gone;
}

static struct weir_gather *gather;
static struct weir_slices *slices;

static void
make(const struct weir_gather_limits *limits)
{
    free(gather);
    free(slices);
    gather =
        weir_gather_init(aligned_alloc(64, (weir_gather_footprint(limits) + 63) / 64 * 64), limits);
    slices = weir_slices_init(malloc(weir_slices_footprint()), limits);
}

static void
compare_slice(uint32_t *at, uint32_t *superseded)
{
    struct weir_gathered got;
    while (weir_gather_next(gather, &got) == WEIR_OK) {
        assert_true(got.count > 0 && got.count <= WEIR_GATHER_PIECE);
        *superseded += got.superseded;
        for (uint32_t i = 0; i < got.count; i++, ++*at) {
            assert_true(*at < expected_count);
            assert_int_equal(got.series, expected[*at].series);
            assert_int_equal(got.times_ms[i], expected[*at].time_ms);
            assert_int_equal(got.values[i], expected[*at].value);
            assert_int_equal(got.exponents[i], expected[*at].exponent);
            assert_int_equal(got.kinds[i], expected[*at].kind);
        }
    }
}

/* Runs a whole unit as the keeper does; returns the count of slices. */
static unsigned
run_unit(uint32_t block_count, uint64_t series_end)
{
    uint32_t gone = drop_superseded();
    weir_slices_begin(slices, series_end);
    for (uint32_t b = 0; b < block_count; b++)
        weir_slices_count(slices, blocks[b].series, blocks[b].count);
    uint64_t first, end;
    uint32_t at = 0, superseded = 0;
    unsigned count = 0;
    for (; weir_slices_next(slices, &first, &end) == WEIR_OK; count++) {
        weir_gather_begin(gather, first, end);
        for (uint32_t b = 0; b < block_count; b++)
            weir_gather_count(gather, blocks[b].series, blocks[b].count);
        assert_int_equal(weir_gather_place(gather), WEIR_OK);
        for (uint32_t b = 0; b < block_count; b++)
            weir_gather_add(gather, &blocks[b]);
        compare_slice(&at, &superseded);
    }
    assert_int_equal(at, expected_count);
    assert_int_equal(superseded, gone);
    return count;
}

static void
test_gather_agrees_with_a_stable_sort(void **state)
{
    (void)state;
    unsigned slices_seen = 0;
    for (unsigned round = 0; round < 300; round++) {
        uint32_t block_count = 1 + (uint32_t)(draw() % BLOCKS_MAX);
        uint64_t series_end = 1 + draw() % (UINT64_C(1) << (1 + round % 14));
        fill(block_count, series_end, 1 + (int64_t)(draw() % 100));
        const struct weir_gather_limits limits = {
            .samples_max = round % 3 == 0 ? SAMPLES_MAX : expected_count / 2 + 700,
            .series_max = round % 5 == 0 ? 1 << 14 : 1 + (uint32_t)series_end / 3};
        make(&limits);
        /* a series alone may have more samples than a small limit allows */
        if (limits.samples_max < SAMPLES_MAX && series_end < 64) {
            const struct weir_gather_limits wide = {SAMPLES_MAX, limits.series_max};
            make(&wide);
        }
        slices_seen += run_unit(block_count, series_end);
    }
    assert_true(slices_seen > 600);
}

static void
test_one_series_comes_in_pieces(void **state)
{
    (void)state;
    const struct weir_gather_limits limits = {SAMPLES_MAX, 4};
    make(&limits);
    for (unsigned round = 0; round < 4; round++) {
        fill(BLOCKS_MAX, 1, INT64_C(1) << (round * 10));
        run_unit(BLOCKS_MAX, 1);
    }
}

static void
test_numbers_near_the_largest(void **state)
{
    (void)state;
    const struct weir_gather_limits limits = {SAMPLES_MAX, 1 << 23};
    make(&limits);
    fill(BLOCKS_MAX, 1000, 50);
    for (uint32_t b = 0; b < BLOCKS_MAX; b++)
        for (uint32_t i = 0; i < blocks[b].count; i++)
            blocks[b].series[i] += WEIR_SERIES_LIMIT - 1000;
    for (uint32_t i = 0; i < expected_count; i++)
        expected[i].series += WEIR_SERIES_LIMIT - 1000;
    assert_int_equal(run_unit(BLOCKS_MAX, WEIR_SERIES_LIMIT), 1);
}

static void
test_more_samples_than_fit_are_refused(void **state)
{
    (void)state;
    fill(BLOCKS_MAX, 1, 100);
    const struct weir_gather_limits limits = {expected_count - 1, 4};
    make(&limits);
    weir_slices_begin(slices, 1);
    weir_gather_begin(gather, 0, 1);
    for (uint32_t b = 0; b < BLOCKS_MAX; b++) {
        weir_slices_count(slices, blocks[b].series, blocks[b].count);
        weir_gather_count(gather, blocks[b].series, blocks[b].count);
    }
    uint64_t first, end;
    assert_int_equal(weir_slices_next(slices, &first, &end), WEIR_LIMIT);
    assert_non_null(strstr(weir_err_detail(), "room for"));
    assert_int_equal(weir_gather_place(gather), WEIR_LIMIT);
}

static uint32_t
settle_twin(struct weir_settled *samples, uint32_t count)
{
    /* the obvious way: bubbles, then a walk */
    for (uint32_t i = 0; i < count; i++)
        for (uint32_t j = 1; j < count - i; j++) {
            struct weir_settled *a = &samples[j - 1], *b = &samples[j];
            if (a->time_ms > b->time_ms ||
                (a->time_ms == b->time_ms && (uint32_t)a->rest > (uint32_t)b->rest)) {
                struct weir_settled kept = *a;
                *a = *b;
                *b = kept;
            }
        }
    uint32_t left = 0;
    for (uint32_t i = 0; i < count; i++)
        if (i + 1 == count || samples[i + 1].time_ms != samples[i].time_ms)
            samples[left++] = samples[i];
    return left;
}

static void
test_settle_agrees_with_its_twin_in_every_order(void **state)
{
    (void)state;
    static struct weir_settled got[300], wanted[300];
    for (unsigned round = 0; round < 2000; round++) {
        uint32_t count = 1 + (uint32_t)(draw() % (round % 10 == 0 ? 300 : 30));
        for (uint32_t i = 0; i < count; i++) {
            static const int64_t edges[] = {INT64_MIN, INT64_MAX, 0, -1};
            int64_t time_ms = round % 4 == 0 ? (int64_t)i : (int64_t)(draw() % (count * 2));
            if (round % 4 == 1)
                time_ms = (int64_t)(count - i);
            if (round % 7 == 0)
                time_ms = edges[draw() % 4];
            got[i] = (struct weir_settled){.time_ms = time_ms, .value = draw(), .rest = i};
        }
        memcpy(wanted, got, sizeof got);
        uint32_t left = weir_settle(got, count);
        assert_int_equal(left, settle_twin(wanted, count));
        assert_memory_equal(got, wanted, left * sizeof got[0]);
    }
}

/* Any order takes n log n: a million samples of one time, or backwards, are no trap. */
static void
test_settle_of_a_million_samples_ends(void **state)
{
    (void)state;
    uint32_t count = 1000000;
    struct weir_settled *samples = calloc(count, sizeof *samples);
    for (uint32_t i = 0; i < count; i++)
        samples[i] = (struct weir_settled){.time_ms = 5, .value = i, .rest = i};
    assert_int_equal(weir_settle(samples, count), 1);
    assert_int_equal(samples[0].value, count - 1);
    for (uint32_t i = 0; i < count; i++)
        samples[i] = (struct weir_settled){.time_ms = -(int64_t)i, .value = i, .rest = i};
    assert_int_equal(weir_settle(samples, count), count);
    assert_int_equal(samples[0].value, count - 1);
    free(samples);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_gather_agrees_with_a_stable_sort),
        cmocka_unit_test(test_one_series_comes_in_pieces),
        cmocka_unit_test(test_numbers_near_the_largest),
        cmocka_unit_test(test_more_samples_than_fit_are_refused),
        cmocka_unit_test(test_settle_agrees_with_its_twin_in_every_order),
        cmocka_unit_test(test_settle_of_a_million_samples_ends),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    free(gather);
    free(slices);
    return failed;
}
