#include "dataplane/series/internal.h"
#include "dataplane/series/series.h"
#include "model/labels.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define LABEL_BYTES (1u << 20)

static struct weir_hash_key key;

static struct weir_series *
make(uint64_t series_max, uint64_t label_bytes)
{
    static const uint8_t seed[WEIR_HASH_SEED_BYTES] = {1};
    weir_hash_key_init(&key, seed);
    size_t bytes = weir_series_footprint(series_max, label_bytes);
    void *memory = aligned_alloc(4096, bytes);
    memset(memory, 0, bytes);
    return weir_series_init(memory, series_max, label_bytes, &key);
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
    return weir_series_define(series, labels, size, number, defined);
}

static void
expect_number(const struct weir_series *series, uint64_t i, uint64_t expected)
{
    uint8_t labels[WEIR_LABELS_BYTES_MAX];
    size_t size = labels_of(i, labels), stored_size;
    uint64_t number;
    const uint8_t *stored;
    assert_int_equal(weir_series_resolve(series, labels, size, &number), WEIR_OK);
    assert_int_equal(number, expected);
    weir_series_labels(series, number, &stored, &stored_size);
    assert_int_equal(stored_size, size);
    assert_memory_equal(stored, labels, size);
}

static void
test_series_numbers_are_dense_and_stay(void **state)
{
    (void)state;
    struct weir_series *series = make(5000, LABEL_BYTES);
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
    assert_int_equal(weir_series_collisions(series), 0);
    free(series);
}

static void
test_series_resolve_refuses_unknown_labels(void **state)
{
    (void)state;
    struct weir_series *series = make(100, LABEL_BYTES);
    uint8_t labels[WEIR_LABELS_BYTES_MAX];
    size_t size = labels_of(7, labels);
    uint64_t number;
    bool defined;
    assert_int_equal(weir_series_resolve(series, labels, size, &number), WEIR_NOT_FOUND);
    assert_int_equal(define(series, 7, &number, &defined), WEIR_OK);
    assert_int_equal(weir_series_resolve(series, labels, size - 1, &number), WEIR_NOT_FOUND);
    assert_int_equal(weir_series_resolve(series, labels, size, &number), WEIR_OK);
    free(series);
}

static void
test_series_with_one_fingerprint_get_numbers_of_their_own(void **state)
{
    (void)state;
    struct weir_series *series = make(100, LABEL_BYTES);
    struct weir_series *restored = make(100, LABEL_BYTES);
    weir_series_narrow(series, (struct weir_hash128){0, 0}); /* every fingerprint is the same */
    weir_series_narrow(restored, (struct weir_hash128){0, 0});
    for (uint64_t i = 0; i < 20; i++) {
        uint64_t number;
        bool defined;
        uint8_t labels[WEIR_LABELS_BYTES_MAX];
        size_t size = labels_of(i, labels);
        assert_int_equal(weir_series_resolve(series, labels, size, &number), WEIR_NOT_FOUND);
        assert_int_equal(define(series, i, &number, &defined), WEIR_OK);
        assert_true(defined && number == i);
        assert_int_equal(weir_series_restore(restored, i, labels, size), WEIR_OK);
    }
    for (uint64_t i = 0; i < 20; i++) {
        uint64_t number;
        bool defined;
        expect_number(series, i, i);
        expect_number(restored, i, i);
        assert_int_equal(define(series, i, &number, &defined), WEIR_OK);
        assert_true(!defined && number == i);
    }
    assert_int_equal(weir_series_collisions(series), 19);
    assert_int_equal(weir_series_collisions(restored), 19);
    free(series);
    free(restored);
}

static void
test_series_past_the_last_attempt_is_refused(void **state)
{
    (void)state;
    struct weir_series *series = make(200, LABEL_BYTES);
    weir_series_narrow(series, (struct weir_hash128){0, 0});
    uint64_t number;
    bool defined;
    for (uint64_t i = 0; i < WEIR_SERIES_ATTEMPTS_MAX; i++)
        assert_int_equal(define(series, i, &number, &defined), WEIR_OK);
    assert_int_equal(define(series, WEIR_SERIES_ATTEMPTS_MAX, &number, &defined), WEIR_FULL);
    assert_non_null(strstr(weir_err_detail(), "collided"));
    expect_number(series, WEIR_SERIES_ATTEMPTS_MAX - 1, WEIR_SERIES_ATTEMPTS_MAX - 1);
    free(series);
}

static void
test_series_table_full_is_refused_by_name(void **state)
{
    (void)state;
    struct weir_series *series = make(10, LABEL_BYTES);
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
test_series_arena_full_is_refused_by_name(void **state)
{
    (void)state;
    uint8_t labels[WEIR_LABELS_BYTES_MAX];
    size_t size = labels_of(0, labels);
    struct weir_series *series = make(10, 2 * size + 1);
    uint64_t number;
    bool defined;
    assert_int_equal(define(series, 0, &number, &defined), WEIR_OK);
    assert_int_equal(define(series, 1, &number, &defined), WEIR_OK);
    assert_int_equal(define(series, 2, &number, &defined), WEIR_FULL);
    assert_non_null(strstr(weir_err_detail(), "label_bytes"));
    assert_int_equal(weir_series_restore(series, 2, labels, size - 1), WEIR_FULL);
    expect_number(series, 1, 1);
    free(series);
}

static void
test_series_restore_refuses_gaps_and_repeated_numbers(void **state)
{
    (void)state;
    struct weir_series *series = make(10, LABEL_BYTES);
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
    struct weir_series *series = make(10, LABEL_BYTES);
    uint8_t labels[WEIR_LABELS_BYTES_MAX];
    const uint8_t *stored;
    size_t size = labels_of(0, labels), stored_size;
    uint64_t number;
    bool defined;
    assert_int_equal(weir_series_restore(series, 0, labels, size), WEIR_OK);
    assert_int_equal(weir_series_restore(series, 1, labels, size), WEIR_OK);
    assert_int_equal(weir_series_restore(series, 2, labels, size), WEIR_OK);
    expect_number(series, 0, 0);
    weir_series_labels(series, 2, &stored, &stored_size);
    assert_int_equal(stored_size, size);
    assert_memory_equal(stored, labels, size);
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
    struct weir_series *series = make(10, LABEL_BYTES);
    struct weir_label label = {(const uint8_t *)WEIR_NAME_LABEL,
        (const uint8_t *)WEIR_LOST_NAME, 8, sizeof WEIR_LOST_NAME - 1};
    uint8_t labels[WEIR_LABELS_BYTES_MAX];
    size_t size;
    uint64_t number;
    assert_int_equal(weir_labels_encode(&label, 1, labels, &size), WEIR_OK);
    for (uint64_t i = 0; i < 3; i++)
        assert_int_equal(weir_series_restore(series, i, labels, size), WEIR_OK);
    assert_int_equal(weir_series_count(series), 3);
    assert_int_equal(weir_series_resolve(series, labels, size, &number), WEIR_NOT_FOUND);
    free(series);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_series_numbers_are_dense_and_stay),
        cmocka_unit_test(test_series_resolve_refuses_unknown_labels),
        cmocka_unit_test(test_series_with_one_fingerprint_get_numbers_of_their_own),
        cmocka_unit_test(test_series_past_the_last_attempt_is_refused),
        cmocka_unit_test(test_series_table_full_is_refused_by_name),
        cmocka_unit_test(test_series_arena_full_is_refused_by_name),
        cmocka_unit_test(test_series_restore_refuses_gaps_and_repeated_numbers),
        cmocka_unit_test(test_series_restore_takes_equal_labels_and_resolves_to_the_first_number),
        cmocka_unit_test(
            test_series_restore_takes_reserved_names_any_number_of_times_and_resolves_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
