#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "tests/fuzz/twin_part.h"
#include "tests/unit/storage/part/chunk_fixture.h"

#include <stdlib.h>
#include <string.h>

static struct weir_chunk_encoder *encoder;
static struct columns columns;
static uint64_t random_state;

static int
set_up(void **state)
{
    (void)state;
    encoder = weir_chunk_encoder_init(aligned_alloc(64, weir_chunk_encoder_footprint()));
    memset(&columns, 0, sizeof columns);
    random_state = 88172645463325252u;
    return 0;
}

static int
tear_down(void **state)
{
    (void)state;
    free(encoder);
    return 0;
}

/* A copy whose bytes after the end are all ones: the decoder may read, but not use them. */
static uint8_t *
copy_of(const uint8_t *bytes, size_t size)
{
    uint8_t *copy = malloc(size + WEIR_CHUNK_SLACK);
    memset(copy, 0xff, size + WEIR_CHUNK_SLACK);
    if (size > 0)
        memcpy(copy, bytes, size);
    return copy;
}

/* Bytes changed at random: the decoder and its twin refuse or read them alike. */
static void
check_damaged(const struct weir_chunk *chunk)
{
    struct weir_chunk damaged = *chunk;
    uint8_t *rest = copy_of(chunk->rest, chunk->rest_size);
    damaged.rest = rest;
    assert_true(twin_chunk_agrees(&damaged));
    for (int i = 0; i < 8 && chunk->rest_size > 0; i++) {
        uint64_t random = next_random(&random_state);
        rest[random % chunk->rest_size % (i < 4 ? 8 : 4096)] ^= (uint8_t)(1 << (random >> 32 & 7));
        assert_true(twin_chunk_agrees(&damaged));
        damaged.rest_size -= chunk->rest_size > 8 && i == 6;
    }
    free(rest);
}

static void
check_decimals(const struct weir_chunk *chunk)
{
    size_t room = WEIR_CHUNK_ROOM(columns.count);
    uint64_t *values = malloc(room * sizeof *values);
    int8_t *exponents = malloc(room);
    uint8_t *kinds = malloc(room);
    assert_true(weir_chunk_decode_decimals(chunk, values, exponents, kinds));
    for (uint32_t i = 0; i < columns.count; i++) {
        uint64_t bits = kinds[i] == WEIR_VALUE_DOUBLE
            ? values[i]
            : weir_double_bits(weir_decimal_double((int64_t)values[i], exponents[i]));
        assert_int_equal(bits, bits_at(&columns, i));
    }
    free(values);
    free(exponents);
    free(kinds);
}

/* Encodes and decodes; every double has its bits again. Returns the codec; *size the bytes. */
static enum weir_codec
round_trip(enum weir_effort effort, uint32_t *size)
{
    struct weir_chunk_values values = chunk_values(&columns);
    struct weir_chunk chunk;
    weir_chunk_encode(encoder, &values, effort, NULL, &chunk);
    assert_int_equal(chunk.count, columns.count);
    assert_true(chunk.rest_size <= WEIR_CHUNK_REST_MAX);
    uint32_t front = weir_chunk_front_size(chunk.codec, chunk.count);
    uint8_t *front_copy = copy_of(chunk.front, front);
    uint8_t *rest_copy = copy_of(chunk.rest, chunk.rest_size);
    chunk.front = front_copy;
    chunk.rest = rest_copy;
    double *decoded = malloc(WEIR_CHUNK_ROOM(columns.count) * sizeof *decoded);
    assert_true(weir_chunk_decode(&chunk, decoded));
    for (uint32_t i = 0; i < columns.count; i++)
        assert_int_equal(weir_double_bits(decoded[i]), bits_at(&columns, i));
    check_decimals(&chunk);
    check_damaged(&chunk);
    free(decoded);
    free(front_copy);
    free(rest_copy);
    *size = front + chunk.rest_size;
    return (enum weir_codec)chunk.codec;
}

static enum weir_codec
check(uint32_t *size)
{
    uint32_t fast;
    round_trip(WEIR_EFFORT_FAST, &fast);
    enum weir_codec codec = round_trip(WEIR_EFFORT_BEST, size);
    assert_true(*size <= fast + 16);
    return codec;
}

static void
test_one_sample(void **state)
{
    (void)state;
    uint32_t size;
    add_decimal(&columns, INT64_C(1) << 40, 0);
    assert_int_equal(check(&size), WEIR_CODEC_CONSTANT);
    columns.count = 0;
    add_bits(&columns, WEIR_STALE_MARKER);
    assert_int_equal(check(&size), WEIR_CODEC_CONSTANT);
}

static void
test_every_count(void **state)
{
    (void)state;
    uint32_t size;
    for (uint32_t count = 1; count < 300; count++) {
        columns.count = 0;
        for (uint32_t i = 0; i < count; i++)
            add_decimal(&columns, (int64_t)(next_random(&random_state) % 1000) + 10 * i, -2);
        check(&size);
        columns.count = 0;
        for (uint32_t i = 0; i < count; i++)
            add_bits(&columns, next_random(&random_state));
        check(&size);
    }
}

static void
test_constant_takes_a_few_bytes(void **state)
{
    (void)state;
    uint32_t size;
    for (uint32_t i = 0; i < 720; i++)
        add_decimal(&columns, 4096, 0);
    assert_int_equal(check(&size), WEIR_CODEC_CONSTANT);
    assert_true(size <= 4);
}

/* 12, 12.5 and 12.25 as senders write them: one exponent, the same doubles. */
static void
test_decimals_of_many_exponents(void **state)
{
    (void)state;
    uint32_t size;
    for (uint32_t i = 0; i < 720; i++) {
        static const int64_t mantissas[] = {12, 125, 1225, 0, 12000};
        static const int exponents[] = {0, -1, -2, 0, -3};
        add_decimal(&columns, mantissas[i % 5], exponents[i % 5]);
    }
    assert_int_not_equal(check(&size), WEIR_CODEC_XOR);
    assert_true(size < 720 * 2);
}

static void
test_steady_counter_is_almost_nothing(void **state)
{
    (void)state;
    uint32_t size;
    for (uint32_t i = 0; i < 720; i++)
        add_decimal(&columns, (INT64_C(1) << 40) + 1024 * (int64_t)i, 0);
    check(&size);
    assert_true(size < 24);
}

static void
test_counter_that_resets_twice(void **state)
{
    (void)state;
    uint32_t size;
    int64_t value = 1000000000;
    for (uint32_t i = 0; i < 720; i++) {
        value = i == 100 || i == 500 ? 0 : value + (int64_t)(next_random(&random_state) % 16);
        add_decimal(&columns, value, 0);
    }
    check(&size);
    assert_true(size < 720 / 2 + 40); /* four bits a sample, two exceptions */
}

static void
test_one_and_1e300_alternate(void **state)
{
    (void)state;
    uint32_t size;
    for (uint32_t i = 0; i < 4096; i++) {
        if (i % 2 == 0)
            add_decimal(&columns, 1, 0);
        else
            add_bits(&columns, weir_double_bits(1e300));
    }
    check(&size);
}

static void
test_nan_payloads_infinities_and_signs(void **state)
{
    (void)state;
    static const uint64_t special[] = {WEIR_STALE_MARKER, UINT64_C(0x7ff8000000000001),
        UINT64_C(0xfff8dead0000beef), UINT64_C(0x7ff0000000000000), UINT64_C(0xfff0000000000000),
        UINT64_C(0x8000000000000000), UINT64_C(1), UINT64_C(0x7fefffffffffffff),
        UINT64_C(0x7ff0000000000001)};
    uint32_t size;
    for (uint32_t i = 0; i < 1000; i++) {
        if (i % 100 < sizeof special / sizeof special[0])
            add_bits(&columns, special[i % 100]);
        else
            add_decimal(&columns, (int64_t)(next_random(&random_state) % 500), -1);
    }
    assert_int_not_equal(check(&size), WEIR_CODEC_XOR);
    assert_true(size < 1000 * 9 / 8 + 90 * 10 + 60); /* nine bits, and 10 bytes a patch */
    columns.count = 0;
    for (uint32_t i = 0; i < 1000; i++)
        add_bits(&columns, special[i % (sizeof special / sizeof special[0])]);
    check(&size);
}

static void
test_mantissas_at_their_limits(void **state)
{
    (void)state;
    uint32_t size;
    for (uint32_t i = 0; i < 720; i++)
        add_decimal(
            &columns, i % 2 == 0 ? WEIR_MANTISSA_MAX : -WEIR_MANTISSA_MAX, i % 3 == 0 ? 22 : -22);
    check(&size);
    columns.count = 0;
    for (uint32_t i = 0; i < 720; i++)
        add_decimal(&columns, (int64_t)(next_random(&random_state) >> 11), 22);
    check(&size);
}

static void
test_exponents_far_apart(void **state)
{
    (void)state;
    uint32_t size;
    for (uint32_t i = 0; i < 720; i++)
        add_decimal(&columns, (int64_t)i % 7, (int)(i % 45) - 22);
    check(&size);
}

/* A source of doubles alone (a merge of old parts, a binary protocol) costs what decimals cost. */
static void
test_decimals_are_found_in_doubles(void **state)
{
    (void)state;
    uint32_t doubles, decimals;
    uint64_t seed = random_state;
    for (uint32_t i = 0; i < 720; i++)
        add_decimal(&columns, (int64_t)(next_random(&random_state) % 10000), -2);
    check(&decimals);
    columns.count = 0;
    random_state = seed;
    for (uint32_t i = 0; i < 720; i++)
        add_bits(&columns,
            weir_double_bits(
                weir_decimal_double((int64_t)(next_random(&random_state) % 10000), -2)));
    assert_int_not_equal(check(&doubles), WEIR_CODEC_XOR);
    assert_int_equal(doubles, decimals);
}

/* 12.000000 costs what 12 costs: collectd writes six decimals always. */
static void
test_zeros_at_the_end_cost_nothing(void **state)
{
    (void)state;
    uint32_t with_zeros, without;
    for (uint32_t i = 0; i < 720; i++)
        add_decimal(&columns, (int64_t)(next_random(&random_state) % 1000) * 1000000, -6);
    round_trip(WEIR_EFFORT_BEST, &with_zeros);
    for (uint32_t i = 0; i < 720; i++) {
        columns.values[i] /= 1000000;
        columns.exponents[i] = 0;
    }
    round_trip(WEIR_EFFORT_BEST, &without);
    assert_int_equal(with_zeros, without);
    for (uint32_t i = 0; i < 720; i++)
        columns.values[i] = 0;
    round_trip(WEIR_EFFORT_BEST, &without);
    columns.values[100] = 1;
    columns.exponents[100] = 22;
    round_trip(WEIR_EFFORT_BEST, &without);
}

static void
test_doubles_of_full_precision(void **state)
{
    (void)state;
    uint32_t size;
    for (uint32_t i = 0; i < 720; i++)
        add_bits(
            &columns, weir_double_bits(1.0 + (double)(next_random(&random_state) >> 12) * 0x1p-52));
    assert_int_equal(check(&size), WEIR_CODEC_XOR);
    assert_true(size < 720 * 7);
}

static void
test_random_shapes(void **state)
{
    (void)state;
    uint32_t size;
    for (uint32_t round = 0; round < 2000; round++) {
        columns.count = 0;
        uint32_t count = 1 + (uint32_t)(next_random(&random_state) % 200);
        uint64_t shape = next_random(&random_state);
        for (uint32_t i = 0; i < count; i++) {
            uint64_t value = next_random(&random_state);
            if ((shape & 7) == 0 || value % 61 == 0)
                add_bits(&columns, value << (shape >> 3 & 63));
            else
                add_decimal(&columns,
                    (int64_t)(value << 11) >> (11 + (shape >> 9 & 31) + (value & shape >> 20 & 15)),
                    (int)(shape >> 14 & 7) - (int)(value >> 40 & shape >> 17 & 3));
        }
        round_trip(WEIR_EFFORT_FAST, &size);
        round_trip(WEIR_EFFORT_BEST, &size);
    }
}

int
main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_one_sample),
        TEST(test_every_count),
        TEST(test_constant_takes_a_few_bytes),
        TEST(test_decimals_of_many_exponents),
        TEST(test_steady_counter_is_almost_nothing),
        TEST(test_counter_that_resets_twice),
        TEST(test_one_and_1e300_alternate),
        TEST(test_nan_payloads_infinities_and_signs),
        TEST(test_mantissas_at_their_limits),
        TEST(test_exponents_far_apart),
        TEST(test_decimals_are_found_in_doubles),
        TEST(test_zeros_at_the_end_cost_nothing),
        TEST(test_doubles_of_full_precision),
        TEST(test_random_shapes),
    };
    return cmocka_run_group_tests_name("storage-part_chunk", tests, NULL, NULL);
}
