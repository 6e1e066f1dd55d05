#include "dataplane/series/series.h"
#include "model/labels.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct weir_hash_key key;

static struct weir_series *
make(uint64_t series_max)
{
    static const uint8_t seed[WEIR_HASH_SEED_BYTES] = {1};
    weir_hash_key_init(&key, seed);
    size_t bytes = weir_series_footprint(series_max);
    void *memory = aligned_alloc(4096, bytes);
    memset(memory, 0, bytes);
    return weir_series_init(memory, series_max, &key);
}

static size_t
labels_of(uint64_t i, uint8_t *out)
{
    char value[24];
    int size = snprintf(value, sizeof value, "m%llu", (unsigned long long)i);
    struct weir_label label = {(const uint8_t *)WEIR_NAME_LABEL, (const uint8_t *)value, 8,
        (uint16_t)size};
    size_t used;
    assert_int_equal(weir_labels_encode(&label, 1, out, &used), WEIR_OK);
    return used;
}

static enum weir_err
define(struct weir_series *series, uint64_t i, uint64_t *number, bool *defined)
{
    uint8_t labels[WEIR_LABELS_BYTES_MAX];
    size_t size = labels_of(i, labels);
    return weir_series_define(
        series, weir_series_fingerprint(series, labels, size), number, defined);
}

static bool
find(const struct weir_series *series, const uint8_t *labels, size_t size, uint64_t *number)
{
    return weir_series_find(series, weir_series_fingerprint(series, labels, size), number);
}

static void
expect_number(const struct weir_series *series, uint64_t i, uint64_t expected)
{
    uint8_t labels[WEIR_LABELS_BYTES_MAX];
    size_t size = labels_of(i, labels);
    uint64_t number;
    assert_true(find(series, labels, size, &number));
    assert_int_equal(number, expected);
}

static void
test_series_numbers_are_dense_and_stay(void **state)
{
    (void)state;
    struct weir_series *series = make(5000);
    for (uint64_t i = 0; i < 5000; i++) {
        uint64_t number;
        bool defined;
        assert_int_equal(define(series, i, &number, &defined), WEIR_OK);
        assert_true(defined && number == i);
        assert_int_equal(weir_series_count(series), i + 1);
    }
    for (uint64_t i = 0; i < 5000; i++) {
        uint64_t number;
        bool defined;
        expect_number(series, i, i);
        assert_int_equal(define(series, i, &number, &defined), WEIR_OK);
        assert_true(!defined && number == i);
    }
    free(series);
}

static void
test_series_resolve_refuses_unknown_labels(void **state)
{
    (void)state;
    struct weir_series *series = make(100);
    uint8_t labels[WEIR_LABELS_BYTES_MAX];
    size_t size = labels_of(7, labels);
    uint64_t number;
    bool defined;
    assert_false(find(series, labels, size, &number));
    assert_int_equal(define(series, 7, &number, &defined), WEIR_OK);
    assert_false(find(series, labels, size - 1, &number));
    assert_true(find(series, labels, size, &number));
    free(series);
}

/* Decision 3: labels are not compared, so that none have to be kept. */
static void
test_series_of_88_equal_bits_are_one(void **state)
{
    (void)state;
    struct weir_series *series = make(100);
    struct weir_hash128 hash = {UINT64_C(0x0123456789abcdef), UINT64_C(0xfedcba9876543210)};
    uint64_t number;
    bool defined;
    assert_int_equal(weir_series_define(series, hash, &number, &defined), WEIR_OK);
    assert_true(defined);
    for (int bit = 0; bit < 88; bit++) { /* any of them makes another series */
        struct weir_hash128 other = hash;
        if (bit < 56)
            other.lo ^= UINT64_C(1) << bit;
        else
            other.hi ^= UINT64_C(1) << (bit - 56);
        number = 77;
        assert_false(weir_series_find(series, other, &number));
        assert_int_equal(number, 77);
    }
    assert_true(weir_series_find(series, hash, &number));
    assert_int_equal(weir_series_define(series, hash, &number, &defined), WEIR_OK);
    assert_true(!defined && number == 0);
    free(series);
}

/* As restored one by one, whatever the size of the bursts. */
static void
test_series_loads_fingerprints_as_it_restores_labels(void **state)
{
    (void)state;
    enum { COUNT = 1000 };
    for (size_t burst = 1; burst <= COUNT; burst = burst * 3 + 1) {
        struct weir_series *series = make(COUNT);
        static struct weir_hash128 fingerprints[COUNT];
        for (uint64_t i = 0; i < COUNT; i++) { /* equal ones, and reserved ones */
            uint8_t labels[WEIR_LABELS_BYTES_MAX];
            size_t size = labels_of(i % 900, labels);
            fingerprints[i] = i % 7 == 0 ? (struct weir_hash128){0, 0}
                                         : weir_series_fingerprint(series, labels, size);
        }
        for (size_t at = 0; at < COUNT; at += burst)
            assert_int_equal(weir_series_load(series, at, fingerprints + at,
                                 burst < COUNT - at ? burst : COUNT - at), WEIR_OK);
        assert_int_equal(weir_series_count(series), COUNT);
        for (uint64_t i = 0; i < 900; i++) {
            uint64_t number, first = i % 7 != 0 ? i : (i + 900) % 7 != 0 ? i + 900 : COUNT;
            uint8_t labels[WEIR_LABELS_BYTES_MAX];
            size_t size = labels_of(i, labels);
            assert_int_equal(find(series, labels, size, &number), first < COUNT);
            assert_true(first >= COUNT || number == first);
        }
        assert_int_equal(weir_series_load(series, COUNT, fingerprints, 1), WEIR_FULL);
        assert_int_equal(weir_series_load(series, COUNT - 1, fingerprints, 1), WEIR_CORRUPT);
        free(series);
    }
}

static void
test_series_table_full_is_refused_by_name(void **state)
{
    (void)state;
    struct weir_series *series = make(10);
    uint64_t number;
    bool defined = true;
    for (uint64_t i = 0; i < 10; i++)
        assert_int_equal(define(series, i, &number, &defined), WEIR_OK);
    assert_int_equal(define(series, 10, &number, &defined), WEIR_FULL);
    assert_false(defined);
    assert_non_null(strstr(weir_err_detail(), "series.max"));
    assert_int_equal(define(series, 3, &number, &defined), WEIR_OK);
    assert_int_equal(weir_series_count(series), 10);
    assert_int_equal(weir_series_max(series), 10);
    free(series);
}

static void
test_series_restore_refuses_gaps_and_repeated_numbers(void **state)
{
    (void)state;
    struct weir_series *series = make(10);
    uint8_t labels[WEIR_LABELS_BYTES_MAX];
    size_t size = labels_of(0, labels);
    assert_int_equal(weir_series_restore(series, 1, labels, size), WEIR_CORRUPT);
    assert_int_equal(weir_series_restore(series, 0, labels, size), WEIR_OK);
    assert_int_equal(weir_series_restore(series, 0, labels, size), WEIR_CORRUPT);
    assert_int_equal(weir_series_restore(series, 1, labels, WEIR_LABELS_BYTES_MAX + 1),
        WEIR_CORRUPT);
    assert_int_equal(weir_series_count(series), 1);
    expect_number(series, 0, 0);
    free(series);
}

/* A definition that damage had hidden is back, and its sender gave it anew meanwhile. */
static void
test_series_restore_takes_equal_labels_and_resolves_to_the_first_number(void **state)
{
    (void)state;
    struct weir_series *series = make(10);
    uint8_t labels[WEIR_LABELS_BYTES_MAX];
    size_t size = labels_of(0, labels);
    uint64_t number;
    bool defined;
    assert_int_equal(weir_series_restore(series, 0, labels, size), WEIR_OK);
    assert_int_equal(weir_series_restore(series, 1, labels, size), WEIR_OK);
    assert_int_equal(weir_series_restore(series, 2, labels, size), WEIR_OK);
    expect_number(series, 0, 0);
    assert_int_equal(define(series, 0, &number, &defined), WEIR_OK);
    assert_false(defined);
    assert_int_equal(number, 0);
    assert_int_equal(define(series, 1, &number, &defined), WEIR_OK);
    assert_int_equal(number, 3);
    free(series);
}

/* The log's own names: whatever an old log holds under them, the next start is not refused, and no
 * sender's sample is added to them. */
static void
test_series_restore_takes_reserved_names_any_number_of_times_and_resolves_none(void **state)
{
    (void)state;
    struct weir_series *series = make(10);
    struct weir_label label = {(const uint8_t *)WEIR_NAME_LABEL,
        (const uint8_t *)WEIR_LOST_NAME, 8, sizeof WEIR_LOST_NAME - 1};
    uint8_t labels[WEIR_LABELS_BYTES_MAX];
    size_t size;
    uint64_t number;
    assert_int_equal(weir_labels_encode(&label, 1, labels, &size), WEIR_OK);
    for (uint64_t i = 0; i < 3; i++)
        assert_int_equal(weir_series_restore(series, i, labels, size), WEIR_OK);
    assert_int_equal(weir_series_count(series), 3);
    assert_false(find(series, labels, size, &number));
    free(series);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_series_numbers_are_dense_and_stay),
        cmocka_unit_test(test_series_resolve_refuses_unknown_labels),
        cmocka_unit_test(test_series_of_88_equal_bits_are_one),
        cmocka_unit_test(test_series_loads_fingerprints_as_it_restores_labels),
        cmocka_unit_test(test_series_table_full_is_refused_by_name),
        cmocka_unit_test(test_series_restore_refuses_gaps_and_repeated_numbers),
        cmocka_unit_test(test_series_restore_takes_equal_labels_and_resolves_to_the_first_number),
        cmocka_unit_test(
            test_series_restore_takes_reserved_names_any_number_of_times_and_resolves_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
