/* Every variant against the scalar twin. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "model/sample.h"
#include "storage/part/bits.h"

#include <stdlib.h>
#include <string.h>

#define COUNT 300

static uint64_t random_state = 88172645463325252u;

static uint64_t
next_random(void)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return random_state;
}

static const struct weir_bits_variant *
scalar(void)
{
    return &weir_bits_variants[weir_bits_variant_count() - 1];
}

static uint64_t
low_bits(uint64_t value, unsigned width)
{
    return width == 0 ? 0 : value >> (64 - width);
}

static void
test_unpack_gives_back_what_was_packed(void **state)
{
    (void)state;
    for (unsigned width = 0; width <= 64; width++) {
        if (!weir_bits_width_valid(width))
            continue;
        for (size_t count = 0; count <= 70; count++) {
            uint64_t column[WEIR_BITS_ROOM(70)], out[WEIR_BITS_ROOM(70)], base = next_random();
            for (size_t i = 0; i < count; i++)
                column[i] = base + low_bits(next_random(), width);
            size_t size = weir_bits_bytes(width, count);
            uint8_t *packed = malloc(size + WEIR_BITS_SLACK);
            memset(packed, 0xff, size + WEIR_BITS_SLACK);
            assert_ptr_equal(weir_bits_pack(column, width, base, count, packed), packed + size);
            memset(packed + size, 0xff, WEIR_BITS_SLACK);
            for (size_t v = 0; v < weir_bits_variant_count(); v++) {
                if (!weir_bits_variant_supported(v))
                    continue;
                weir_bits_variants[v].unpack(packed, width, base, count, out);
                assert_memory_equal(out, column, count * sizeof *out);
            }
            free(packed);
        }
    }
}

static void
fill(uint64_t *column, size_t count)
{
    for (size_t i = 0; i < count; i++)
        column[i] = next_random();
}

static void
test_sums_agree_with_the_twin(void **state)
{
    (void)state;
    static uint64_t start[WEIR_BITS_ROOM(COUNT)], twin[WEIR_BITS_ROOM(COUNT)],
        column[WEIR_BITS_ROOM(COUNT)];
    uint8_t bytes[COUNT + WEIR_BITS_SLACK];
    for (size_t count = 0; count <= COUNT; count++) {
        fill(start, count);
        for (size_t i = 0; i < sizeof bytes; i++)
            bytes[i] = (uint8_t)next_random();
        uint64_t seed = next_random();
        for (size_t v = 0; v < weir_bits_variant_count(); v++) {
            const struct weir_bits_variant *variant = &weir_bits_variants[v];
            if (!weir_bits_variant_supported(v))
                continue;
#define AGREES(function, ...)                                                                      \
    memcpy(twin, start, sizeof twin);                                                              \
    memcpy(column, start, sizeof column);                                                          \
    scalar()->function(__VA_ARGS__, count, twin);                                                  \
    variant->function(__VA_ARGS__, count, column);                                                 \
    assert_memory_equal(column, twin, count * sizeof *twin)
            AGREES(sum, seed);
            AGREES(sum_xor, seed);
            AGREES(add_line, seed);
            AGREES(add_bytes, bytes, seed % 57);
        }
    }
}

static void
test_bounds_and_splits_agree_with_the_twin(void **state)
{
    (void)state;
    static uint64_t start[WEIR_BITS_ROOM(COUNT)], twin[WEIR_BITS_ROOM(COUNT)],
        column[WEIR_BITS_ROOM(COUNT)];
    uint8_t twin_bytes[WEIR_BITS_ROOM(COUNT)], bytes[WEIR_BITS_ROOM(COUNT)];
    for (size_t count = 1; count <= COUNT; count++) {
        unsigned shift = (unsigned)(count % 50);
        uint64_t base = next_random();
        fill(start, count);
        for (size_t i = 0; i < count; i++)
            start[i] = base + low_bits(start[i], shift + 8);
        for (size_t v = 0; v < weir_bits_variant_count(); v++) {
            if (!weir_bits_variant_supported(v))
                continue;
            int64_t least, most, twin_least, twin_most;
            memcpy(twin, start, sizeof twin);
            memcpy(column, start, sizeof column);
            scalar()->bounds(twin, count, &twin_least, &twin_most);
            weir_bits_variants[v].bounds(column, count, &least, &most);
            assert_int_equal(least, twin_least);
            assert_int_equal(most, twin_most);
            scalar()->split(base, shift, count, twin, twin_bytes);
            weir_bits_variants[v].split(base, shift, count, column, bytes);
            assert_memory_equal(column, twin, count * sizeof *twin);
            assert_memory_equal(bytes, twin_bytes, count);
        }
    }
}

static void
test_doubles_agree_with_the_model(void **state)
{
    (void)state;
    static const int64_t edges[] = {0, 1, -1, INT64_MAX, INT64_MIN, INT64_C(1) << 53,
        -(INT64_C(1) << 53), INT64_C(1) << 52, (INT64_C(1) << 52) + 1, UINT32_MAX, INT64_C(1) << 32,
        -(INT64_C(1) << 32) - 1, (INT64_C(1) << 53) + 1, (INT64_C(1) << 62) + 257};
    static uint64_t start[COUNT + 8], column[COUNT + 8];
    for (size_t i = 0; i < COUNT; i++)
        start[i] = i < sizeof edges / sizeof edges[0]
            ? (uint64_t)edges[i]
            : (uint64_t)((int64_t)next_random() >> next_random() % 64);
    for (int exponent = -WEIR_EXPONENT_MAX; exponent <= WEIR_EXPONENT_MAX; exponent++) {
        for (size_t v = 0; v < weir_bits_variant_count(); v++) {
            if (!weir_bits_variant_supported(v))
                continue;
            memcpy(column, start, sizeof column);
            weir_bits_variants[v].to_doubles(exponent, COUNT, column);
            for (size_t i = 0; i < COUNT; i++)
                assert_int_equal(
                    column[i], weir_double_bits(weir_decimal_double((int64_t)start[i], exponent)));
        }
    }
}

static void
test_best_variant_is_the_first_supported(void **state)
{
    (void)state;
    size_t best = 0;
    while (!weir_bits_variant_supported(best))
        best++;
    assert_ptr_equal(weir_bits(), &weir_bits_variants[best]);
    assert_true(weir_bits_variant_supported(weir_bits_variant_count() - 1));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_unpack_gives_back_what_was_packed),
        cmocka_unit_test(test_sums_agree_with_the_twin),
        cmocka_unit_test(test_bounds_and_splits_agree_with_the_twin),
        cmocka_unit_test(test_doubles_agree_with_the_model),
        cmocka_unit_test(test_best_variant_is_the_first_supported),
    };
    return cmocka_run_group_tests_name("storage-part_bits", tests, NULL, NULL);
}
