#include "model/rejected.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define SECOND_NS INT64_C(1000000000)

static struct weir_rejected_table *table;
static struct weir_rejecter rejecter;
static struct weir_rejected *list;

static int
setup(void **state)
{
    (void)state;
    table = calloc(1, sizeof *table);
    list = calloc(WEIR_REJECTED_MAX, sizeof *list);
    assert_true(table != NULL && list != NULL);
    weir_rejecter_init(&rejecter, table, 1, true);
    return 0;
}

static int
teardown(void **state)
{
    (void)state;
    free(table);
    free(list);
    return 0;
}

/* As a stage does it; true where it was kept. */
static bool
reject(uint8_t reason, const char *text, int64_t now_ns)
{
    static const struct weir_peer peer = {.port = 7};
    struct weir_refusal refusal = {.reason = reason, .listener = 2, .peer = &peer, .position = 40,
        .text = (const uint8_t *)text, .size = strlen(text), .detail = "why"};
    weir_rejecter_count(&rejecter, 2, reason);
    if (!weir_rejecter_token(&rejecter, reason, now_ns))
        return false;
    weir_rejecter_keep(&rejecter, &refusal, now_ns);
    return true;
}

static size_t
read_all(void)
{
    return weir_rejected_read(table, list, WEIR_REJECTED_MAX);
}

static void
test_a_refused_record_is_read_as_it_was_written(void **state)
{
    (void)state;
    assert_true(reject(WEIR_REASON_bad_line, "m v=", SECOND_NS));
    assert_int_equal(read_all(), 1);
    assert_int_equal(list[0].reason, WEIR_REASON_bad_line);
    assert_int_equal(list[0].listener, 2);
    assert_int_equal(list[0].peer.port, 7);
    assert_int_equal(list[0].position, 40);
    assert_int_equal(list[0].size, 4);
    assert_int_equal(list[0].text_size, 4);
    assert_memory_equal(list[0].text, "m v=", 4);
    assert_string_equal(list[0].detail, "why");
    assert_int_equal(weir_rejected_count(table, 2, WEIR_REASON_bad_line), 1);
    assert_int_equal(weir_rejected_count(table, 1, WEIR_REASON_bad_line), 0);
}

static void
test_a_long_text_is_cut_and_its_size_is_told(void **state)
{
    (void)state;
    char text[1001];
    memset(text, 'x', 1000);
    text[1000] = '\0';
    reject(WEIR_REASON_line_too_long, text, SECOND_NS);
    assert_int_equal(read_all(), 1);
    assert_int_equal(list[0].size, 1000);
    assert_int_equal(list[0].text_size, WEIR_REJECTED_TEXT_MAX);
}

static void
test_of_those_in_one_millisecond_the_last_comes_first(void **state)
{
    (void)state;
    /* of two reasons, which lie apart; the clock may go on in between, but never back */
    assert_true(reject(WEIR_REASON_time_past, "1", SECOND_NS));
    assert_true(reject(WEIR_REASON_bad_line, "2", SECOND_NS));
    assert_true(reject(WEIR_REASON_bad_line, "3", SECOND_NS));
    assert_true(reject(WEIR_REASON_time_past, "4", SECOND_NS));
    assert_int_equal(read_all(), 4);
    for (int i = 0; i < 4; i++)
        assert_int_equal(list[i].text[0], '4' - i);
}

/* A million bad lines in a second: each is counted, a few are kept. */
static void
test_a_flood_is_counted_and_sampled(void **state)
{
    (void)state;
    uint32_t kept = 0;
    for (int i = 0; i < 1000000; i++)
        kept += reject(WEIR_REASON_bad_line, "x", SECOND_NS + i * 1000);
    assert_int_equal(weir_rejected_count(table, 2, WEIR_REASON_bad_line), 1000000);
    assert_in_range(kept, WEIR_REJECTED_PER_S, 2 * WEIR_REJECTED_PER_S);
    assert_int_equal(read_all(), WEIR_REJECTED_SLOTS);
}

static void
test_a_flood_of_one_reason_pushes_out_no_other(void **state)
{
    (void)state;
    reject(WEIR_REASON_time_past, "rare", SECOND_NS);
    for (int i = 0; i < 1000; i++)
        reject(WEIR_REASON_bad_line, "x", (2 + i) * SECOND_NS);
    size_t count = read_all(), rare = 0;
    assert_int_equal(count, 1 + WEIR_REJECTED_SLOTS);
    for (size_t i = 0; i < count; i++)
        rare += list[i].reason == WEIR_REASON_time_past;
    assert_int_equal(rare, 1);
}

static void
test_texts_are_not_kept_where_the_setting_says_so(void **state)
{
    (void)state;
    weir_rejecter_init(&rejecter, table, 1, false);
    reject(WEIR_REASON_bad_line, "secret", SECOND_NS);
    assert_int_equal(read_all(), 0);
    assert_int_equal(weir_rejected_count(table, 2, WEIR_REASON_bad_line), 1);
}

static void
test_without_a_table_nothing_is_noted(void **state)
{
    (void)state;
    weir_rejecter_init(&rejecter, NULL, 1, true);
    assert_false(reject(WEIR_REASON_bad_line, "x", SECOND_NS));
}

/* The table is another process's: what it says is not believed. */
static void
test_a_slot_that_is_being_written_or_makes_no_sense_is_passed_over(void **state)
{
    (void)state;
    reject(WEIR_REASON_bad_line, "a", SECOND_NS);
    reject(WEIR_REASON_bad_labels, "b", SECOND_NS);
    struct weir_rejected_slot *first = &table->slots[1][WEIR_REASON_bad_line][0];
    struct weir_rejected_slot *second = &table->slots[1][WEIR_REASON_bad_labels][0];
    atomic_store(&first->sequence, 3);
    assert_int_equal(read_all(), 1);
    struct weir_rejected what;
    uint64_t words[WEIR_REJECTED_WORDS];
    memset(&what, 0xff, sizeof what);
    memcpy(words, &what, sizeof what);
    for (size_t i = 0; i < WEIR_REJECTED_WORDS; i++)
        atomic_store(&second->words[i], words[i]);
    assert_int_equal(read_all(), 0);
    memset(table->listeners[1], 'x', WEIR_REJECTED_LISTENER_NAME_MAX);
    assert_string_equal(weir_rejected_listener(table, 1), "-");
}

#define ROUNDS 20000

/* Each record has one letter in all of its text, and that letter as its position. */
static void *
write_letters(void *unused)
{
    static const struct weir_peer peer;
    uint8_t text[WEIR_REJECTED_TEXT_MAX];
    (void)unused;
    for (uint32_t i = 0; i < ROUNDS; i++) {
        memset(text, 'a' + i % 26, sizeof text);
        struct weir_refusal refusal = {.reason = WEIR_REASON_bad_line, .peer = &peer,
            .position = 'a' + i % 26, .text = text, .size = sizeof text};
        /* within one minute of the first event */
        weir_rejecter_keep(&rejecter, &refusal, SECOND_NS);
    }
    return NULL;
}

static void
test_a_reader_beside_a_writer_sees_whole_records(void **state)
{
    (void)state;
    pthread_t writer;
    size_t seen = 0;
    assert_int_equal(pthread_create(&writer, NULL, write_letters, NULL), 0);
    for (int round = 0; round < 200 || seen == 0; round++) {
        size_t count = read_all();
        for (size_t i = 0; i < count; i++)
            for (size_t k = 0; k < WEIR_REJECTED_TEXT_MAX; k++)
                assert_int_equal(list[i].text[k], list[i].position);
        seen += count;
    }
    pthread_join(writer, NULL);
    assert_int_equal(read_all(), WEIR_REJECTED_SLOTS);
}

int
main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_a_refused_record_is_read_as_it_was_written),
        TEST(test_a_long_text_is_cut_and_its_size_is_told),
        TEST(test_of_those_in_one_millisecond_the_last_comes_first),
        TEST(test_a_flood_is_counted_and_sampled),
        TEST(test_a_flood_of_one_reason_pushes_out_no_other),
        TEST(test_texts_are_not_kept_where_the_setting_says_so),
        TEST(test_without_a_table_nothing_is_noted),
        TEST(test_a_slot_that_is_being_written_or_makes_no_sense_is_passed_over),
        TEST(test_a_reader_beside_a_writer_sees_whole_records),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
