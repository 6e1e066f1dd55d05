#include "model/senders_mail.h"

/* Without fences, as in model/ledger.c: words stored with release and loaded with acquire. */
uint64_t
weir_senders_ask(struct weir_senders_mail *mail, const struct weir_senders_question *question)
{
    const uint64_t *from = (const uint64_t *)question;
    uint64_t number = (atomic_load_explicit(&mail->asked, memory_order_relaxed) | 1) + 1;
    atomic_store_explicit(&mail->asked, number - 1, memory_order_relaxed);
    /* release pairs with the acquire loads of words in weir_senders_asked: new word, odd number */
    for (size_t i = 0; i < WEIR_SENDERS_QUESTION_WORDS; i++)
        atomic_store_explicit(&mail->question[i], from[i], memory_order_release);
    /* release pairs with the first acquire load in weir_senders_asked */
    atomic_store_explicit(&mail->asked, number, memory_order_release);
    return number;
}

bool
weir_senders_asked(struct weir_senders_mail *mail, uint64_t *seen,
    struct weir_senders_question *out)
{
    struct weir_senders_question question;
    uint64_t *to = (uint64_t *)&question;
    /* acquire pairs with the last release in weir_senders_ask */
    uint64_t number = atomic_load_explicit(&mail->asked, memory_order_acquire);
    if (number == *seen || number % 2 != 0)
        return false;
    for (size_t i = 0; i < WEIR_SENDERS_QUESTION_WORDS; i++)
        to[i] = atomic_load_explicit(&mail->question[i], memory_order_acquire);
    if (atomic_load_explicit(&mail->asked, memory_order_relaxed) != number)
        return false; /* another one is being written: it comes next time */
    *out = question; /* whole, or not at all: the worker may be at work on the last one */
    *seen = number;
    return true;
}

/* Nobody reads the answer before its number is there, and it stays as it is until the next
 * question, which its reader asks. */
void
weir_senders_reply(struct weir_senders_mail *mail, uint64_t number,
    const struct weir_senders_answer *answer)
{
    const uint64_t *from = (const uint64_t *)answer;
    for (size_t i = 0; i < WEIR_SENDERS_ANSWER_WORDS; i++)
        atomic_store_explicit(&mail->answer[i], from[i], memory_order_relaxed);
    /* release pairs with the acquire in weir_senders_answered */
    atomic_store_explicit(&mail->answered, number, memory_order_release);
}

bool
weir_senders_answered(struct weir_senders_mail *mail, uint64_t number,
    struct weir_senders_answer *out)
{
    uint64_t *to = (uint64_t *)out;
    /* acquire pairs with the release in weir_senders_reply */
    if (atomic_load_explicit(&mail->answered, memory_order_acquire) != number)
        return false;
    for (size_t i = 0; i < WEIR_SENDERS_ANSWER_WORDS; i++)
        to[i] = atomic_load_explicit(&mail->answer[i], memory_order_relaxed);
    return out->count <= WEIR_SENDERS_PAGE;
}
