/* channel_mail: what the control plane asks of the worker that has the channels of the weir
 * protocol, and its answers, in the shared region. One question at a time.
 *
 *   control plane: question, number even --> worker: answer, the same number --> control plane
 *
 * A question that comes before the answer to the last one takes its place. The worker believes
 * nothing of it: a number out of range asks for nothing.
 *
 * Threads: the control plane's event loop asks, the worker answers
 * Memory:  the caller's; zero bytes are a valid mail without question
 */
#ifndef WEIR_MODEL_CHANNEL_MAIL_H
#define WEIR_MODEL_CHANNEL_MAIL_H

#include "model/channel_view.h"

/* Rows of a page. */
#define WEIR_CHANNEL_PAGE 256
/* In `next`: there is no more. */
#define WEIR_CHANNEL_LIST_END UINT64_MAX

enum weir_channel_kind { WEIR_CHANNEL_LIST = 1, WEIR_CHANNEL_FORGET = 2 };

struct weir_channel_question {
    uint64_t kind;        /* enum weir_channel_kind */
    uint64_t sender;      /* FORGET: whose channels; LIST: only these, where one_sender is 1 */
    uint64_t one_sender;
    uint64_t from;        /* LIST: `next` of the page before; 0: the first */
    uint64_t rows_max;    /* LIST: at most WEIR_CHANNEL_PAGE */
    int64_t seen_until_ms; /* LIST: only channels that were last seen then or before */
};
#define WEIR_CHANNEL_QUESTION_WORDS (sizeof(struct weir_channel_question) / 8)

struct weir_channel_answer {
    uint64_t channels; /* known; FORGET: that were forgotten */
    uint64_t next;     /* LIST: where the next page begins */
    uint64_t count;    /* rows */
    struct weir_channel_row rows[WEIR_CHANNEL_PAGE];
};
#define WEIR_CHANNEL_ANSWER_WORDS (sizeof(struct weir_channel_answer) / 8)

struct weir_channel_mail {
    alignas(WEIR_CACHE_LINE) _Atomic uint64_t asked; /* number; odd while the question is written */
    _Atomic uint64_t question[WEIR_CHANNEL_QUESTION_WORDS];
    alignas(WEIR_CACHE_LINE) _Atomic uint64_t answered; /* number of the question */
    _Atomic uint64_t answer[WEIR_CHANNEL_ANSWER_WORDS];
};

/* Control plane: asks; the number is that of the answer to wait for. */
uint64_t weir_channel_mail_ask(struct weir_channel_mail *mail,
    const struct weir_channel_question *question);
/* The answer to the question of that number; false where it has not come. */
bool weir_channel_mail_answered(struct weir_channel_mail *mail, uint64_t number,
    struct weir_channel_answer *out);

/* Worker: true with the newest question if its number differs from *seen, which becomes that
 * number. False without one; out then stays as it is. */
bool weir_channel_mail_asked(
    struct weir_channel_mail *mail, uint64_t *seen, struct weir_channel_question *out);
void weir_channel_mail_reply(struct weir_channel_mail *mail, uint64_t number,
    const struct weir_channel_answer *answer);

#endif
