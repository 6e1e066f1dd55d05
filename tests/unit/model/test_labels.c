/* Canonical labels and definition lists, also from bytes that lie. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "model/labels.h"

#include <string.h>

static struct weir_label
label(const char *name, const char *value)
{
    return (struct weir_label){.name = (const uint8_t *)name,
        .value = (const uint8_t *)value,
        .name_size = (uint16_t)strlen(name),
        .value_size = (uint16_t)strlen(value)};
}

static void
test_labels_order_does_not_matter(void **state)
{
    (void)state;
    struct weir_label one[] = {label("b", "2"), label("__name__", "m"), label("a", "1")};
    struct weir_label other[] = {label("a", "1"), label("b", "2"), label("__name__", "m")};
    uint8_t first[WEIR_LABELS_BYTES_MAX];
    uint8_t second[WEIR_LABELS_BYTES_MAX];
    size_t first_size;
    size_t second_size;
    assert_int_equal(weir_labels_encode(one, 3, first, &first_size), WEIR_OK);
    assert_int_equal(weir_labels_encode(other, 3, second, &second_size), WEIR_OK);
    assert_int_equal(first_size, second_size);
    assert_memory_equal(first, second, first_size);
    struct weir_label found;
    assert_true(weir_labels_find(first, first_size, "b", &found));
    assert_memory_equal(found.value, "2", 1);
    assert_false(weir_labels_find(first, first_size, "c", &found));
}

static void
test_labels_a_prefix_sorts_before_what_it_begins(void **state)
{
    (void)state;
    struct weir_label labels[] = {label("ab", "1"), label("a", "2"), label("a.b", "3")};
    uint8_t bytes[WEIR_LABELS_BYTES_MAX];
    size_t size;
    size_t at = 0;
    static const char *const order[] = {"a", "a.b", "ab"};
    assert_int_equal(weir_labels_encode(labels, 3, bytes, &size), WEIR_OK);
    for (int i = 0; i < 3; i++) {
        struct weir_label next;
        assert_int_equal(weir_labels_next(bytes, size, &at, &next), WEIR_OK);
        assert_int_equal(next.name_size, strlen(order[i]));
        assert_memory_equal(next.name, order[i], next.name_size);
    }
    assert_int_equal(at, size);
}

static void
test_labels_refuse_doubles_and_empty_parts(void **state)
{
    (void)state;
    uint8_t bytes[WEIR_LABELS_BYTES_MAX];
    size_t size;
    struct weir_label twice[] = {label("a", "1"), label("b", "1"), label("a", "2")};
    struct weir_label no_name[] = {label("", "1")};
    struct weir_label no_value[] = {label("a", "")};
    assert_int_equal(weir_labels_encode(twice, 3, bytes, &size), WEIR_INVALID);
    assert_int_equal(weir_labels_encode(no_name, 1, bytes, &size), WEIR_INVALID);
    assert_int_equal(weir_labels_encode(no_value, 1, bytes, &size), WEIR_INVALID);
}

static void
test_labels_refuse_too_many_and_too_large(void **state)
{
    (void)state;
    static char names[WEIR_LABELS_COUNT_MAX + 1][8];
    static char large[WEIR_LABELS_BYTES_MAX];
    struct weir_label labels[WEIR_LABELS_COUNT_MAX + 1];
    uint8_t bytes[WEIR_LABELS_BYTES_MAX];
    size_t size;
    for (int i = 0; i <= WEIR_LABELS_COUNT_MAX; i++) {
        names[i][0] = 'n';
        names[i][1] = (char)('0' + i / 10);
        names[i][2] = (char)('0' + i % 10);
        labels[i] = label(names[i], "v");
    }
    assert_int_equal(weir_labels_encode(labels, WEIR_LABELS_COUNT_MAX, bytes, &size), WEIR_OK);
    assert_int_equal(weir_labels_encode(labels, WEIR_LABELS_COUNT_MAX + 1, bytes, &size),
        WEIR_LIMIT);
    /* header of 4 and a name of 1: the largest value that fits, and one byte more */
    memset(large, 'x', WEIR_LABELS_BYTES_MAX - 5);
    struct weir_label fits = label("a", large);
    assert_int_equal(weir_labels_encode(&fits, 1, bytes, &size), WEIR_OK);
    assert_int_equal(size, WEIR_LABELS_BYTES_MAX);
    large[WEIR_LABELS_BYTES_MAX - 5] = 'x';
    fits = label("a", large);
    assert_int_equal(weir_labels_encode(&fits, 1, bytes, &size), WEIR_LIMIT);
}

static void
test_labels_cut_anywhere_are_corrupt_or_shorter(void **state)
{
    (void)state;
    struct weir_label labels[] = {label("a", "1"), label("bb", "22")};
    uint8_t bytes[WEIR_LABELS_BYTES_MAX];
    size_t size;
    assert_int_equal(weir_labels_encode(labels, 2, bytes, &size), WEIR_OK);
    for (size_t cut = 1; cut < size; cut++) {
        struct weir_label next;
        size_t at = 0;
        enum weir_err err;
        while ((err = weir_labels_next(bytes, cut, &at, &next)) == WEIR_OK)
            continue;
        assert_int_equal(err, cut == 6 ? WEIR_END : WEIR_CORRUPT);
    }
}

static void
test_definitions_come_back_in_order(void **state)
{
    (void)state;
    uint8_t list[64];
    size_t used = 0;
    assert_int_equal(weir_definition_append(list, sizeof list, &used, (const uint8_t *)"one", 3),
        WEIR_OK);
    assert_int_equal(weir_definition_append(list, sizeof list, &used, (const uint8_t *)"three", 5),
        WEIR_OK);
    uint8_t large[64] = {0};
    assert_int_equal(weir_definition_append(list, sizeof list, &used, large, 45), WEIR_FULL);
    const uint8_t *labels;
    size_t size;
    size_t at = 0;
    assert_int_equal(weir_definition_next(list, used, &at, &labels, &size), WEIR_OK);
    assert_int_equal(size, 3);
    assert_int_equal(weir_definition_next(list, used, &at, &labels, &size), WEIR_OK);
    assert_memory_equal(labels, "three", 5);
    assert_int_equal(weir_definition_next(list, used, &at, &labels, &size), WEIR_END);
}

static void
test_definition_that_runs_past_the_end_is_corrupt(void **state)
{
    (void)state;
    uint8_t list[16];
    size_t used = 0;
    assert_int_equal(weir_definition_append(list, sizeof list, &used, (const uint8_t *)"12345", 5),
        WEIR_OK);
    const uint8_t *labels;
    size_t size;
    for (size_t cut = 1; cut < used; cut++) {
        size_t at = 0;
        assert_int_equal(weir_definition_next(list, cut, &at, &labels, &size), WEIR_CORRUPT);
    }
    memset(list, 0xff, 4);
    size_t at = 0;
    assert_int_equal(weir_definition_next(list, used, &at, &labels, &size), WEIR_CORRUPT);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_labels_order_does_not_matter),
        cmocka_unit_test(test_labels_a_prefix_sorts_before_what_it_begins),
        cmocka_unit_test(test_labels_refuse_doubles_and_empty_parts),
        cmocka_unit_test(test_labels_refuse_too_many_and_too_large),
        cmocka_unit_test(test_labels_cut_anywhere_are_corrupt_or_shorter),
        cmocka_unit_test(test_definitions_come_back_in_order),
        cmocka_unit_test(test_definition_that_runs_past_the_end_is_corrupt),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
