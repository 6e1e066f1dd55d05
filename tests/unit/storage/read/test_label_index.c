#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "model/labels.h"
#include "storage/read/label_index.h"
#include "tests/unit/faults/alloc.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SERIES 4000
#define HOSTS 7

/* Labels of a series: a name of its own, one of few hosts, and with every fifth a long label, so
 * that chunks fill too. */
static size_t
labels_of(uint64_t number, uint8_t canonical[WEIR_LABELS_BYTES_MAX])
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyz";
    static uint8_t text[6000];
    char name[24], host[8];
    size_t size;
    memset(text, letters[number % 26], sizeof text);
    struct weir_label labels[3] = {
        {(const uint8_t *)WEIR_NAME_LABEL, (const uint8_t *)name, sizeof WEIR_NAME_LABEL - 1,
            (uint16_t)snprintf(name, sizeof name, "m%u", (unsigned)number)},
        {(const uint8_t *)"host", (const uint8_t *)host, 4,
            (uint16_t)snprintf(host, sizeof host, "h%u", (unsigned)number % HOSTS)},
        {(const uint8_t *)"text", text, 4, sizeof text}};
    size_t count = number % 5 == 0 ? 3 : 2;
    assert_int_equal(weir_labels_encode(labels, count, canonical, &size), WEIR_OK);
    return size;
}

static size_t
count_where(const struct weir_label_index *index, const char *name, const char *value,
    uint64_t *first)
{
    struct weir_match match = {name, value, strlen(value), WEIR_MATCH_EQUAL};
    uint64_t *numbers;
    size_t count;
    assert_int_equal(weir_label_index_select(index, &match, 1, &numbers, &count), WEIR_OK);
    *first = count > 0 ? numbers[0] : UINT64_MAX;
    free(numbers);
    return count;
}

/* The series answers to its labels, and under its number lie these labels. */
static void
check_series(const struct weir_label_index *index, uint64_t number)
{
    uint8_t wanted[WEIR_LABELS_BYTES_MAX];
    size_t wanted_size = labels_of(number, wanted);
    const uint8_t *labels;
    size_t size;
    char name[24];
    uint64_t first;
    weir_label_index_labels(index, number, &labels, &size);
    assert_int_equal(size, wanted_size);
    assert_memory_equal(labels, wanted, size);
    snprintf(name, sizeof name, "m%u", (unsigned)number);
    assert_int_equal(count_where(index, WEIR_NAME_LABEL, name, &first), 1);
    assert_int_equal(first, number);
}

static void
check_all(const struct weir_label_index *index, uint64_t count)
{
    uint64_t first;
    assert_int_equal(weir_label_index_count(index), count);
    for (uint64_t i = 0; i < count; i++)
        check_series(index, i);
    for (unsigned host = 0; host < HOSTS; host++) {
        char value[8];
        snprintf(value, sizeof value, "h%u", host);
        assert_int_equal(count_where(index, "host", value, &first),
            count / HOSTS + (host < count % HOSTS));
        assert_int_equal(first, host);
    }
}

/* Each add meets every failure it can meet; afterwards the index is as it was, and takes it. */
static void
test_label_index_adds_all_of_a_series_or_nothing(void **state)
{
    (void)state;
    struct weir_label_index *index;
    uint64_t failures = 0;
    assert_int_equal(weir_label_index_new(&index), WEIR_OK);
    for (uint64_t number = 0; number < SERIES; number++) {
        uint8_t canonical[WEIR_LABELS_BYTES_MAX];
        size_t size = labels_of(number, canonical);
        enum weir_err err;
        for (long n = 1;; n++, failures++) {
            alloc_faults_arm(n, alloc_faults_one);
            err = weir_label_index_add(index, canonical, size);
            if (!alloc_faults_disarm())
                break;
            assert_int_equal(err, WEIR_NOMEM);
            assert_int_equal(weir_label_index_count(index), number);
            char name[24];
            uint64_t first;
            snprintf(name, sizeof name, "m%u", (unsigned)number);
            assert_int_equal(count_where(index, WEIR_NAME_LABEL, name, &first), 0);
            if (number > 0)
                check_series(index, number - 1);
        }
        assert_int_equal(err, WEIR_OK);
    }
    assert_true(failures > SERIES);
    check_all(index, SERIES);
    weir_label_index_free(index);
}

static void
test_label_index_counts_a_series_whose_labels_do_not_parse(void **state)
{
    (void)state;
    struct weir_label_index *index;
    const uint8_t damaged[] = {200, 0, 200, 0, 'x'};
    const uint8_t *labels;
    uint8_t canonical[WEIR_LABELS_BYTES_MAX];
    size_t size;
    assert_int_equal(weir_label_index_new(&index), WEIR_OK);
    assert_int_equal(weir_label_index_add(index, damaged, sizeof damaged), WEIR_CORRUPT);
    assert_int_equal(weir_label_index_count(index), 1);
    weir_label_index_labels(index, 0, &labels, &size);
    assert_int_equal(size, 0);
    size = labels_of(1, canonical);
    assert_int_equal(weir_label_index_add(index, canonical, size), WEIR_OK);
    check_series(index, 1);
    weir_label_index_free(index);
}

static void
test_label_index_that_cannot_be_made_is_no_index(void **state)
{
    (void)state;
    struct weir_label_index *index = NULL;
    enum weir_err err;
    for (long n = 1;; n++) {
        alloc_faults_arm(n, alloc_faults_one);
        err = weir_label_index_new(&index);
        if (!alloc_faults_disarm())
            break;
        assert_int_equal(err, WEIR_NOMEM);
        assert_null(index);
    }
    assert_int_equal(err, WEIR_OK);
    weir_label_index_free(index);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_label_index_adds_all_of_a_series_or_nothing),
        cmocka_unit_test(test_label_index_counts_a_series_whose_labels_do_not_parse),
        cmocka_unit_test(test_label_index_that_cannot_be_made_is_no_index),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
