/* Questions about channels, and answers, over shared words. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "model/channel_mail.h"

static struct weir_channel_mail mail;
static struct weir_channel_answer answer, read_back;

static int
clear(void **state)
{
    (void)state;
    mail = (struct weir_channel_mail){.asked = 0};
    answer = (struct weir_channel_answer){.count = 0};
    return 0;
}

static void
test_question_arrives_once_and_its_answer_under_its_number(void **state)
{
    (void)state;
    struct weir_channel_question question = {.kind = WEIR_CHANNEL_LIST, .from = 7, .rows_max = 5};
    struct weir_channel_question asked;
    uint64_t seen = 0;
    assert_false(weir_channel_mail_asked(&mail, &seen, &asked));
    uint64_t number = weir_channel_mail_ask(&mail, &question);
    assert_false(weir_channel_mail_answered(&mail, number, &read_back));
    assert_true(weir_channel_mail_asked(&mail, &seen, &asked));
    assert_memory_equal(&asked, &question, sizeof asked);
    assert_int_equal(seen, number);
    assert_false(weir_channel_mail_asked(&mail, &seen, &asked));
    answer.count = 2;
    answer.rows[1].sender = UINT64_MAX;
    weir_channel_mail_reply(&mail, seen, &answer);
    assert_true(weir_channel_mail_answered(&mail, number, &read_back));
    assert_memory_equal(&read_back, &answer, sizeof answer);
}

static void
test_answer_to_a_question_that_was_given_up_is_not_taken_for_the_next_ones(void **state)
{
    (void)state;
    struct weir_channel_question question = {.kind = WEIR_CHANNEL_FORGET, .sender = 1}, asked;
    uint64_t seen = 0;
    uint64_t first = weir_channel_mail_ask(&mail, &question);
    assert_true(weir_channel_mail_asked(&mail, &seen, &asked));
    uint64_t second = weir_channel_mail_ask(&mail, &question);
    assert_true(second > first);
    weir_channel_mail_reply(&mail, first, &answer);
    assert_false(weir_channel_mail_answered(&mail, second, &read_back));
    assert_true(weir_channel_mail_asked(&mail, &seen, &asked));
    assert_int_equal(seen, second);
}

static void
test_question_that_is_being_written_waits_for_its_end(void **state)
{
    (void)state;
    struct weir_channel_question question = {.kind = WEIR_CHANNEL_LIST}, asked;
    uint64_t seen = 0;
    (void)weir_channel_mail_ask(&mail, &question);
    atomic_fetch_add(&mail.asked, 1); /* whoever asks died in the middle of the next one */
    assert_false(weir_channel_mail_asked(&mail, &seen, &asked));
    uint64_t number = weir_channel_mail_ask(&mail, &question); /* its successor */
    assert_true(weir_channel_mail_asked(&mail, &seen, &asked));
    assert_int_equal(seen, number);
    assert_int_equal(number % 2, 0);
}

static void
test_answer_with_more_rows_than_a_page_is_none(void **state)
{
    (void)state;
    struct weir_channel_question question = {.kind = WEIR_CHANNEL_LIST};
    uint64_t number = weir_channel_mail_ask(&mail, &question);
    answer.count = WEIR_CHANNEL_PAGE + 1;
    weir_channel_mail_reply(&mail, number, &answer);
    assert_false(weir_channel_mail_answered(&mail, number, &read_back));
}

int
main(void)
{
#define T(name) cmocka_unit_test_setup(name, clear)
    const struct CMUnitTest tests[] = {
        T(test_question_arrives_once_and_its_answer_under_its_number),
        T(test_answer_to_a_question_that_was_given_up_is_not_taken_for_the_next_ones),
        T(test_question_that_is_being_written_waits_for_its_end),
        T(test_answer_with_more_rows_than_a_page_is_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
