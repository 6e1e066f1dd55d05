#include "model/channel_mail.h"

#include "base/seqlock.h"

uint64_t
weir_channel_mail_ask(struct weir_channel_mail *mail, const struct weir_channel_question *question)
{
    return weir_seqlock_write(&mail->asked, mail->question, (const uint64_t *)question,
        WEIR_CHANNEL_QUESTION_WORDS);
}

bool
weir_channel_mail_asked(struct weir_channel_mail *mail, uint64_t *seen,
    struct weir_channel_question *out)
{
    struct weir_channel_question question;
    if (!weir_seqlock_has_moved(&mail->asked, *seen) ||
        !weir_seqlock_read(&mail->asked, mail->question, (uint64_t *)&question,
            WEIR_CHANNEL_QUESTION_WORDS, seen))
        return false; /* one that is being written comes next time */
    *out = question; /* whole, or not at all: the worker may be at work on the last one */
    return true;
}

/* Nobody reads the answer before its number is there, and it stays as it is until the next
 * question, which its reader asks. */
void
weir_channel_mail_reply(struct weir_channel_mail *mail, uint64_t number,
    const struct weir_channel_answer *answer)
{
    const uint64_t *from = (const uint64_t *)answer;
    for (size_t i = 0; i < WEIR_CHANNEL_ANSWER_WORDS; i++)
        atomic_store_explicit(&mail->answer[i], from[i], memory_order_relaxed);
    /* release pairs with the acquire in weir_channel_mail_answered */
    atomic_store_explicit(&mail->answered, number, memory_order_release);
}

bool
weir_channel_mail_answered(struct weir_channel_mail *mail, uint64_t number,
    struct weir_channel_answer *out)
{
    uint64_t *to = (uint64_t *)out;
    /* acquire pairs with the release in weir_channel_mail_reply */
    if (atomic_load_explicit(&mail->answered, memory_order_acquire) != number)
        return false;
    for (size_t i = 0; i < WEIR_CHANNEL_ANSWER_WORDS; i++)
        to[i] = atomic_load_explicit(&mail->answer[i], memory_order_relaxed);
    return out->count <= WEIR_CHANNEL_PAGE;
}
