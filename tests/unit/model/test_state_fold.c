/* Small lists of state entries and what they fold to, byte for byte.
 * tests/unit/dataplane/protocol/test_state_fold.c has the comparison with a replay. */
#include "model/sender_state/fold.h"
#include "model/sender_state/state.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define LIST_MAX (4u << 20)

/* A list under construction; the last entry's head. */
struct list {
    uint8_t *data;
    size_t size;
    struct weir_state_entry *last;
    uint32_t lists; /* that were emitted into it */
};

static struct list
list_new(void)
{
    struct list list = {.data = aligned_alloc(8, LIST_MAX)};
    assert_non_null(list.data);
    return list;
}

static void
add_head(struct list *list, enum weir_state_type type, uint64_t sender, uint32_t epoch,
    uint64_t sequence)
{
    assert_true(list->size + sizeof *list->last <= LIST_MAX);
    list->last = (struct weir_state_entry *)(list->data + list->size);
    *list->last = (struct weir_state_entry){.type = (uint16_t)type,
        .channel = 1,
        .bytes = sizeof *list->last,
        .sender = sender,
        .epoch = epoch,
        .sequence = sequence};
    list->size += sizeof *list->last;
}

/* The sequence of a channel of which no sample was accepted. */
static void
add_undelivered(struct list *list, uint64_t sender, uint32_t epoch, uint64_t sequence)
{
    add_head(list, WEIR_STATE_SEQUENCE, sender, epoch, sequence);
    list->last->template_hash = WEIR_STATE_UNDELIVERED;
}

static void
add_window(struct list *list, uint8_t byte)
{
    memset(list->data + list->size, byte, WEIR_STATE_WINDOW_BYTES);
    list->size += WEIR_STATE_WINDOW_BYTES;
    list->last->bytes += WEIR_STATE_WINDOW_BYTES;
}

/* Behind the head of a template. */
static void
add_body(struct list *list, uint32_t hash, struct weir_state_template body)
{
    list->last->template_hash = hash;
    memcpy(list->data + list->size, &body, sizeof body);
    list->size += sizeof body;
    list->last->bytes += sizeof body;
}

static void
add_range(struct list *list, uint64_t number, uint32_t count)
{
    const struct weir_state_range run = {.number = number, .count = count};
    memcpy(list->data + list->size, &run, sizeof run);
    list->size += sizeof run;
    list->last->bytes += sizeof run;
}

static enum weir_err
collect(void *context, const uint8_t *sender_state, size_t size)
{
    struct list *list = context;
    assert_true(list->size + size <= LIST_MAX);
    memcpy(list->data + list->size, sender_state, size);
    list->size += size;
    list->lists++;
    return WEIR_OK;
}

static void
expect_fold(struct weir_state_fold *fold, const struct list *expected)
{
    struct list found = list_new();
    assert_int_equal(weir_state_fold_write(fold, collect, &found), WEIR_OK);
    assert_int_equal(found.size, expected->size);
    assert_memory_equal(found.data, expected->data, found.size);
    free(found.data);
}

/* What the entries fold to; frees both. */
static void
expect(struct list *sender_state, struct list *expected)
{
    struct weir_state_fold *fold;
    assert_int_equal(weir_state_fold_new(&fold), WEIR_OK);
    assert_int_equal(weir_state_fold_add(fold, sender_state->data, sender_state->size), WEIR_OK);
    expect_fold(fold, expected);
    weir_state_fold_free(fold);
    free(sender_state->data);
    free(expected->data);
}

static void
test_nothing_folds_to_no_list(void **state)
{
    (void)state;
    struct list sender_state = list_new(), expected = list_new();
    expect(&sender_state, &expected);
}

static void
test_the_last_sequence_of_the_newest_epoch_stays(void **state)
{
    (void)state;
    struct list sender_state = list_new(), expected = list_new();
    add_head(&sender_state, WEIR_STATE_SEQUENCE, 5, 2, 100);
    add_window(&sender_state, 0x55);
    add_head(&sender_state, WEIR_STATE_SEQUENCE, 6, 1, 9);
    add_head(&sender_state, WEIR_STATE_SEQUENCE, 5, 2, 200);
    add_window(&sender_state, 0xf7);
    add_head(&sender_state, WEIR_STATE_SEQUENCE, 5, 1, 900); /* an older epoch */
    add_head(&sender_state, WEIR_STATE_SEQUENCE, 6, 1, 12);
    add_window(&sender_state, 0xff); /* nothing is missing */
    add_head(&sender_state, WEIR_STATE_SEQUENCE, 8, 0, 3);   /* no epoch */
    add_head(&expected, WEIR_STATE_SEQUENCE, 5, 2, 200);
    add_window(&expected, 0xf7);
    add_head(&expected, WEIR_STATE_SEQUENCE, 6, 1, 12);
    expect(&sender_state, &expected);
}

static void
test_a_newer_epoch_begins_without_templates(void **state)
{
    (void)state;
    struct list sender_state = list_new(), expected = list_new();
    add_head(&sender_state, WEIR_STATE_SEQUENCE, 5, 2, 100);
    add_window(&sender_state, 0x55);
    add_head(&sender_state, WEIR_STATE_TEMPLATE, 5, 2, 1);
    add_body(&sender_state, 77, (struct weir_state_template){3, 2, 0, 2});
    add_range(&sender_state, 10, 2);
    add_head(&sender_state, WEIR_STATE_TEMPLATE, 5, 4, 1);
    add_body(&sender_state, 77, (struct weir_state_template){4, 2, 0, 2});
    add_range(&sender_state, 20, 2);
    add_head(&expected, WEIR_STATE_SEQUENCE, 5, 4, 0);
    add_head(&expected, WEIR_STATE_TEMPLATE, 5, 4, 1);
    add_body(&expected, 77, (struct weir_state_template){4, 2, 0, 2});
    add_range(&expected, 20, 2);
    expect(&sender_state, &expected);
}

static void
test_a_channel_that_delivered_once_has_delivered(void **state)
{
    (void)state;
    struct list sender_state = list_new(), expected = list_new();
    add_undelivered(&sender_state, 5, 2, 7);
    add_undelivered(&sender_state, 6, 2, 7);
    add_head(&sender_state, WEIR_STATE_SEQUENCE, 6, 2, 8);
    add_undelivered(&sender_state, 6, 3, 1); /* of a newer epoch */
    add_undelivered(&expected, 5, 2, 7);
    add_head(&expected, WEIR_STATE_SEQUENCE, 6, 3, 1);
    expect(&sender_state, &expected);
}

static void
test_an_erased_channel_leaves_nothing(void **state)
{
    (void)state;
    struct list sender_state = list_new(), expected = list_new();
    add_head(&sender_state, WEIR_STATE_SEQUENCE, 5, 2, 7);
    add_head(&sender_state, WEIR_STATE_SEQUENCE, 6, 2, 9);
    add_head(&sender_state, WEIR_STATE_FORGOTTEN, 5, 2, 7);
    sender_state.last->template_hash = WEIR_STATE_ERASED;
    add_head(&expected, WEIR_STATE_SEQUENCE, 6, 2, 9);
    expect(&sender_state, &expected);
}

static void
test_pieces_of_a_template_become_one_entry(void **state)
{
    (void)state;
    struct list sender_state = list_new(), expected = list_new();
    add_head(&sender_state, WEIR_STATE_SEQUENCE, 5, 2, 100);
    add_head(&sender_state, WEIR_STATE_TEMPLATE, 5, 2, 3);
    add_body(&sender_state, 77, (struct weir_state_template){3, 10, 6, 4});
    add_range(&sender_state, 46, 3);
    add_range(&sender_state, 90, 9); /* more than the entry has indexes left */
    add_head(&sender_state, WEIR_STATE_TEMPLATE, 5, 2, 8);
    add_body(&sender_state, 77, (struct weir_state_template){3, 10, 0, 6});
    add_range(&sender_state, 40, 6);
    add_head(&expected, WEIR_STATE_SEQUENCE, 5, 2, 100);
    add_head(&expected, WEIR_STATE_TEMPLATE, 5, 2, 3); /* the packet that began it */
    add_body(&expected, 77, (struct weir_state_template){3, 10, 0, 10});
    add_range(&expected, 40, 9);
    add_range(&expected, 90, 1);
    expect(&sender_state, &expected);
}

static void
test_a_template_with_holes_has_an_entry_for_each_stretch(void **state)
{
    (void)state;
    struct list sender_state = list_new(), expected = list_new();
    add_head(&sender_state, WEIR_STATE_TEMPLATE, 5, 2, 3);
    add_body(&sender_state, 77, (struct weir_state_template){3, 10, 1, 2});
    add_range(&sender_state, 40, 2);
    add_head(&sender_state, WEIR_STATE_TEMPLATE, 5, 2, 3);
    add_body(&sender_state, 77, (struct weir_state_template){3, 10, 8, 1});
    add_range(&sender_state, 70, 1);
    add_head(&sender_state, WEIR_STATE_TEMPLATE, 5, 2, 3);
    add_body(&sender_state, 78, (struct weir_state_template){4, 10, 8, 1}); /* no number at all */
    add_undelivered(&expected, 5, 2, 0);
    add_head(&expected, WEIR_STATE_TEMPLATE, 5, 2, 3);
    add_body(&expected, 77, (struct weir_state_template){3, 10, 1, 2});
    add_range(&expected, 40, 2);
    add_head(&expected, WEIR_STATE_TEMPLATE, 5, 2, 3);
    add_body(&expected, 77, (struct weir_state_template){3, 10, 8, 1});
    add_range(&expected, 70, 1);
    add_head(&expected, WEIR_STATE_TEMPLATE, 5, 2, 3);
    add_body(&expected, 78, (struct weir_state_template){4, 10, 0, 0});
    expect(&sender_state, &expected);
}

static void
test_a_template_is_replaced_by_the_newer_packet_alone(void **state)
{
    (void)state;
    struct list sender_state = list_new(), expected = list_new();
    const struct weir_state_template body = {3, 2, 0, 2}, longer = {3, 3, 0, 3};
    add_head(&sender_state, WEIR_STATE_TEMPLATE, 5, 2, 10);
    add_body(&sender_state, 77, body);
    add_range(&sender_state, 1, 2);
    add_head(&sender_state, WEIR_STATE_TEMPLATE, 5, 2, 9);
    add_body(&sender_state, 78, body);
    add_range(&sender_state, 5, 2);
    add_undelivered(&expected, 5, 2, 0);
    add_head(&expected, WEIR_STATE_TEMPLATE, 5, 2, 10);
    add_body(&expected, 77, body);
    add_range(&expected, 1, 2);
    expect(&sender_state, &expected);
    sender_state = list_new();
    expected = list_new();
    add_head(&sender_state, WEIR_STATE_TEMPLATE, 5, 2, 10);
    add_body(&sender_state, 77, body);
    add_range(&sender_state, 1, 2);
    add_head(&sender_state, WEIR_STATE_TEMPLATE, 5, 2, 10);
    add_body(&sender_state, 77, longer); /* the same hash, another total */
    add_range(&sender_state, 5, 1);
    add_undelivered(&expected, 5, 2, 0);
    add_head(&expected, WEIR_STATE_TEMPLATE, 5, 2, 10);
    add_body(&expected, 77, (struct weir_state_template){3, 3, 0, 1});
    add_range(&expected, 5, 1);
    expect(&sender_state, &expected);
}

static void
test_a_forgotten_channel_that_comes_back_goes_on_behind_its_number(void **state)
{
    (void)state;
    struct list sender_state = list_new(), expected = list_new();
    add_head(&sender_state, WEIR_STATE_SEQUENCE, 5, 2, 100);
    add_head(&sender_state, WEIR_STATE_TEMPLATE, 5, 2, 3);
    add_body(&sender_state, 77, (struct weir_state_template){3, 1, 0, 1});
    add_range(&sender_state, 40, 1);
    add_head(&sender_state, WEIR_STATE_FORGOTTEN, 6, 2, 60);
    add_head(&sender_state, WEIR_STATE_FORGOTTEN, 5, 2, 100);
    add_head(&sender_state, WEIR_STATE_FORGOTTEN, 7, 2, 70);
    add_head(&sender_state, WEIR_STATE_TEMPLATE, 5, 2, 101);
    add_body(&sender_state, 78, (struct weir_state_template){4, 1, 0, 1});
    add_range(&sender_state, 41, 1);
    add_head(&expected, WEIR_STATE_FORGOTTEN, 6, 2, 60);
    add_head(&expected, WEIR_STATE_FORGOTTEN, 0, 0, 0); /* the place of the one that is back */
    expected.last->channel = 0;
    add_head(&expected, WEIR_STATE_FORGOTTEN, 7, 2, 70);
    add_head(&expected, WEIR_STATE_SEQUENCE, 5, 2, 100);
    add_head(&expected, WEIR_STATE_TEMPLATE, 5, 2, 101);
    add_body(&expected, 78, (struct weir_state_template){4, 1, 0, 1});
    add_range(&expected, 41, 1);
    expect(&sender_state, &expected);
}

/* Of one entry more than are remembered the first is forgotten for good. */
static void
test_the_last_forgotten_channels_are_remembered(void **state)
{
    (void)state;
    struct list sender_state = list_new(), expected = list_new();
    for (uint64_t i = 0; i <= WEIR_STATE_FORGOTTEN_MAX; i++)
        add_head(&sender_state, WEIR_STATE_FORGOTTEN, i, 2, 100 + i);
    add_head(&sender_state, WEIR_STATE_TEMPLATE, 0, 2, 1); /* begins anew */
    add_body(&sender_state, 77, (struct weir_state_template){3, 0, 0, 0});
    add_head(&sender_state, WEIR_STATE_TEMPLATE, 1, 2, 1); /* goes on */
    add_body(&sender_state, 77, (struct weir_state_template){3, 0, 0, 0});
    for (uint64_t i = 2; i <= WEIR_STATE_FORGOTTEN_MAX; i++)
        add_head(&expected, WEIR_STATE_FORGOTTEN, i, 2, 100 + i);
    add_undelivered(&expected, 0, 2, 0);
    add_head(&expected, WEIR_STATE_SEQUENCE, 1, 2, 101);
    expect(&sender_state, &expected);
}

static void
test_a_channel_has_so_many_templates(void **state)
{
    (void)state;
    struct list sender_state = list_new(), expected = list_new();
    add_undelivered(&expected, 5, 2, 0);
    for (uint16_t i = 0; i <= WEIR_STATE_TEMPLATES_MAX; i++) {
        const struct weir_state_template body = {i, 2, 0, 2};
        add_head(&sender_state, WEIR_STATE_TEMPLATE, 5, 2, 10);
        add_body(&sender_state, i, body);
        add_range(&sender_state, i, 2);
        if (i == WEIR_STATE_TEMPLATES_MAX)
            break;
        add_head(&expected, WEIR_STATE_TEMPLATE, 5, 2, 10);
        add_body(&expected, i, body);
        add_range(&expected, i, 2);
    }
    expect(&sender_state, &expected);
}

static void
test_series_that_were_not_defined_are_passed_over(void **state)
{
    (void)state;
    struct weir_state_fold *fold;
    struct list sender_state = list_new(), expected = list_new();
    add_head(&sender_state, WEIR_STATE_TEMPLATE, 5, 2, 3);
    add_body(&sender_state, 77, (struct weir_state_template){3, 3, 0, 3});
    add_range(&sender_state, 40, 3);
    add_undelivered(&expected, 5, 2, 0);
    add_head(&expected, WEIR_STATE_TEMPLATE, 5, 2, 3);
    add_body(&expected, 77, (struct weir_state_template){3, 3, 0, 2});
    add_range(&expected, 40, 2);
    assert_int_equal(weir_state_fold_new(&fold), WEIR_OK);
    weir_state_fold_set_series_count(fold, 42);
    assert_int_equal(weir_state_fold_add(fold, sender_state.data, sender_state.size), WEIR_OK);
    weir_state_fold_set_series_count(fold, 100);
    expect_fold(fold, &expected);
    weir_state_fold_free(fold);
    free(sender_state.data);
    free(expected.data);
}

static void
test_what_comes_before_damage_stays(void **state)
{
    (void)state;
    for (int damage = 0; damage < 4; damage++) {
        struct weir_state_fold *fold;
        struct list sender_state = list_new(), expected = list_new();
        add_head(&sender_state, WEIR_STATE_SEQUENCE, 5, 2, 100);
        add_head(&sender_state, WEIR_STATE_SEQUENCE, 6, 2, 100);
        if (damage == 0)
            sender_state.size -= 8;
        else if (damage == 1)
            sender_state.last->bytes = 40;
        else if (damage == 2)
            sender_state.last->type = 4;
        else
            sender_state.last->bytes = 0;
        add_head(&expected, WEIR_STATE_SEQUENCE, 5, 2, 100);
        assert_int_equal(weir_state_fold_new(&fold), WEIR_OK);
        assert_int_equal(weir_state_fold_add(fold, sender_state.data, sender_state.size),
            damage == 2 ? WEIR_UNSUPPORTED : WEIR_CORRUPT);
        assert_int_equal(weir_state_check(sender_state.data, sender_state.size),
            damage == 2 ? WEIR_UNSUPPORTED : WEIR_OK);
        expect_fold(fold, &expected);
        sender_state.size = 0;
        add_head(&sender_state, WEIR_STATE_SEQUENCE, 7, 2, 1);
        add_head(&expected, WEIR_STATE_SEQUENCE, 7, 2, 1);
        assert_int_equal(weir_state_fold_add(fold, sender_state.data, sender_state.size), WEIR_OK);
        expect_fold(fold, &expected);
        weir_state_fold_free(fold);
        free(sender_state.data);
        free(expected.data);
    }
}

/* Channels come and go: what went leaves nothing behind but the last that are remembered. */
static void
test_a_long_list_is_cut_between_entries(void **state)
{
    (void)state;
    enum { MANY = 20000 };
    struct weir_state_fold *fold;
    struct list sender_state = list_new(), found = list_new();
    assert_int_equal(weir_state_fold_new(&fold), WEIR_OK);
    for (uint32_t epoch = 1; epoch <= 3; epoch++) {
        sender_state.size = 0;
        for (uint64_t i = 0; i < MANY; i++) {
            add_head(&sender_state, WEIR_STATE_SEQUENCE, i, epoch, i + epoch);
            add_window(&sender_state, 0xfe);
        }
        assert_int_equal(weir_state_fold_add(fold, sender_state.data, sender_state.size), WEIR_OK);
        struct list gone = list_new();
        for (uint64_t i = 0; epoch < 3 && i < MANY; i++)
            add_head(&gone, WEIR_STATE_FORGOTTEN, i, epoch, i + epoch);
        assert_int_equal(weir_state_fold_add(fold, gone.data, gone.size), WEIR_OK);
        free(gone.data);
    }
    assert_int_equal(weir_state_fold_write(fold, collect, &found), WEIR_OK);
    assert_int_equal(found.lists, 2);
    assert_int_equal(found.size, sender_state.size);
    assert_memory_equal(found.data, sender_state.data, found.size);
    weir_state_fold_free(fold);
    free(sender_state.data);
    free(found.data);
}

static enum weir_err
refuse(void *context, const uint8_t *sender_state, size_t size)
{
    (void)sender_state;
    (void)size;
    ++*(int *)context;
    return WEIR_IO;
}

static void
test_an_emit_that_fails_ends_the_writing(void **state)
{
    (void)state;
    struct weir_state_fold *fold;
    struct list sender_state = list_new();
    int calls = 0;
    for (uint64_t i = 0; i < 100000; i++)
        add_head(&sender_state, WEIR_STATE_SEQUENCE, i, 1, i);
    assert_int_equal(weir_state_fold_new(&fold), WEIR_OK);
    assert_int_equal(weir_state_fold_add(fold, sender_state.data, sender_state.size), WEIR_OK);
    assert_int_equal(weir_state_fold_write(fold, refuse, &calls), WEIR_IO);
    assert_int_equal(calls, 1);
    expect_fold(fold, &sender_state);
    weir_state_fold_free(fold);
    free(sender_state.data);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nothing_folds_to_no_list),
        cmocka_unit_test(test_the_last_sequence_of_the_newest_epoch_stays),
        cmocka_unit_test(test_a_newer_epoch_begins_without_templates),
        cmocka_unit_test(test_a_channel_that_delivered_once_has_delivered),
        cmocka_unit_test(test_an_erased_channel_leaves_nothing),
        cmocka_unit_test(test_pieces_of_a_template_become_one_entry),
        cmocka_unit_test(test_a_template_with_holes_has_an_entry_for_each_stretch),
        cmocka_unit_test(test_a_template_is_replaced_by_the_newer_packet_alone),
        cmocka_unit_test(test_a_forgotten_channel_that_comes_back_goes_on_behind_its_number),
        cmocka_unit_test(test_the_last_forgotten_channels_are_remembered),
        cmocka_unit_test(test_a_channel_has_so_many_templates),
        cmocka_unit_test(test_series_that_were_not_defined_are_passed_over),
        cmocka_unit_test(test_what_comes_before_damage_stays),
        cmocka_unit_test(test_a_long_list_is_cut_between_entries),
        cmocka_unit_test(test_an_emit_that_fails_ends_the_writing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
