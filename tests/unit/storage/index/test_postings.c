/* Postings as bytes and back: held to libroaring where they are in its format, and to a list of
 * booleans on any bytes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "storage/index/postings.h"

#include <roaring/roaring.h>
#include <stdlib.h>

static struct weir_ordinals set, decoded, scratch;

static uint64_t
next_random(uint64_t *state)
{
    *state += UINT64_C(0x9e3779b97f4a7c15); /* splitmix64 */
    uint64_t z = *state;
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

/* Sets of each density, and of runs, in some containers and not in others. */
static uint32_t
make_set(uint64_t seed, roaring_bitmap_t *bitmap)
{
    uint64_t random = seed;
    uint32_t count = 0, ordinal = (uint32_t)(next_random(&random) % 1000);
    memset(&set, 0, sizeof set);
    while (ordinal < WEIR_SHARD_SERIES) {
        unsigned kind = (unsigned)(seed + (ordinal >> 16)) % 5;
        uint32_t run = kind == 4 ? 1 + (uint32_t)(next_random(&random) % 3000) : 1;
        for (; run > 0 && ordinal < WEIR_SHARD_SERIES; run--, ordinal++, count++) {
            weir_ordinals_add(&set, ordinal);
            roaring_bitmap_add(bitmap, ordinal);
        }
        static const uint32_t gaps[] = {2, 20, 500, 70000, 4000};
        ordinal += (uint32_t)(next_random(&random) % gaps[kind]);
    }
    return count;
}

static void
test_large_postings_are_what_libroaring_writes_and_reads(void **state)
{
    (void)state;
    static uint8_t bytes[WEIR_POSTINGS_BYTES_MAX], other[2 * WEIR_POSTINGS_BYTES_MAX];
    for (uint64_t seed = 0; seed < 100; seed++) {
        roaring_bitmap_t *bitmap = roaring_bitmap_create();
        uint32_t count = make_set(seed, bitmap);
        size_t size = (size_t)(weir_postings_encode_roaring(&set, bytes) - bytes);
        assert_true(count > WEIR_INDEX_GAPS_MAX && size <= sizeof bytes);
        roaring_bitmap_t *read = roaring_bitmap_portable_deserialize_safe((char *)bytes, size);
        assert_non_null(read);
        assert_true(roaring_bitmap_equals(read, bitmap));
        roaring_bitmap_run_optimize(bitmap);
        size_t other_size = roaring_bitmap_portable_serialize(bitmap, (char *)other);
        assert_int_equal(other_size, size);
        assert_memory_equal(other, bytes, size);
        struct weir_postings postings = {.count = count,
            .first = weir_ordinals_next(&set, 0, WEIR_SHARD_SERIES),
            .size = (uint32_t)size};
        memset(&decoded, 0, sizeof decoded);
        assert_true(weir_postings_decode(&postings, bytes, WEIR_SHARD_SERIES, &decoded));
        assert_memory_equal(&decoded, &set, sizeof set);
        roaring_bitmap_free(read);
        roaring_bitmap_free(bitmap);
    }
}

static void
test_short_postings_come_back(void **state)
{
    (void)state;
    static uint32_t ordinals[WEIR_INDEX_GAPS_MAX];
    static uint8_t bytes[4 * WEIR_INDEX_GAPS_MAX];
    uint64_t random = 7;
    for (uint32_t count = 2; count <= WEIR_INDEX_GAPS_MAX; count = count * 3 / 2 + 1) {
        uint32_t ordinal = 0;
        bool met;
        memset(&set, 0, sizeof set);
        memset(&decoded, 0, sizeof decoded);
        for (uint32_t i = 0; i < count; i++) {
            ordinal += 1 + (uint32_t)(next_random(&random) % (WEIR_SHARD_SERIES / count - 1));
            ordinals[i] = ordinal;
            weir_ordinals_add(&set, ordinal);
        }
        uint8_t *end = weir_postings_encode_gaps(ordinals, count, bytes);
        struct weir_postings postings = {count, ordinals[0], (uint32_t)(end - bytes), 0};
        assert_true(weir_postings_decode(&postings, bytes, ordinal + 1, &decoded));
        assert_memory_equal(&decoded, &set, sizeof set);
        assert_false(weir_postings_decode(&postings, bytes, ordinal, &decoded));
        memset(&decoded, 0, sizeof decoded);
        weir_ordinals_add(&decoded, ordinal);
        assert_true(
            weir_postings_meet(&postings, bytes, ordinal + 1, &decoded, &scratch, &met) && met);
        weir_ordinals_remove(&decoded, ordinal);
        assert_true(
            weir_postings_meet(&postings, bytes, ordinal + 1, &decoded, &scratch, &met) && !met);
    }
}

/* Bytes close to some that are postings: no read outside, no ordinal past the series. */
static void
test_damaged_postings_add_no_ordinal_past_the_series(void **state)
{
    (void)state;
    static uint8_t bytes[WEIR_POSTINGS_BYTES_MAX];
    uint64_t random = 3;
    for (uint64_t round = 0; round < 3000; round++) {
        roaring_bitmap_t *bitmap = roaring_bitmap_create();
        uint32_t count = round % 50 == 0 ? make_set(round, bitmap) : 5000;
        roaring_bitmap_free(bitmap);
        size_t size = (size_t)(weir_postings_encode_roaring(&set, bytes) - bytes);
        size_t kept = next_random(&random) % 3 == 0 ? next_random(&random) % size : size;
        uint8_t *exact = malloc(kept + 1); /* a sanitizer sees a read past its end */
        assert_non_null(exact);
        memcpy(exact, bytes, kept);
        for (unsigned i = 0; i < 3 && kept != 0; i++)
            exact[next_random(&random) % (i == 0 ? kept : kept < 80 ? kept : 80)] ^=
                (uint8_t)next_random(&random);
        uint32_t series = 5001 + (uint32_t)(next_random(&random) % (WEIR_SHARD_SERIES - 5000));
        struct weir_postings postings = {count < series ? count : series, 0, (uint32_t)kept, 0};
        memset(&decoded, 0, sizeof decoded);
        (void)weir_postings_decode(&postings, exact, series, &decoded);
        assert_int_equal(
            weir_ordinals_next(&decoded, series, WEIR_SHARD_SERIES), WEIR_SHARD_SERIES);
        free(exact);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_large_postings_are_what_libroaring_writes_and_reads),
        cmocka_unit_test(test_short_postings_come_back),
        cmocka_unit_test(test_damaged_postings_add_no_ordinal_past_the_series),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
