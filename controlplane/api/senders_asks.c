#include "controlplane/api/senders_asks.h"

#include "base/clock.h"
#include "controlplane/api/senders.h"

#include <event2/event.h>
#include <inttypes.h>
#include <stdlib.h>

#define NS_PER_MS INT64_C(1000000)
#define LOOK_US 2000
#define TEXT_MAX (UINT64_C(2) << 20)

struct ask {
    struct ask *next;
    struct weir_http_request *request; /* NULL once its client is gone */
    struct weir_senders_question question;
    uint64_t rows_max;  /* of the whole answer, of which the question is for a part */
    uint64_t rows;      /* so far */
    uint64_t number;    /* of the question; 0: not asked yet */
    int64_t until_ns;
    struct weir_text text;
};

struct weir_asks {
    struct weir_asks_options options;
    struct event *timer;
    struct ask *first; /* the one that is asked */
    struct ask **last;
    uint32_t count;
    struct weir_senders_answer answer;
};

static void
look_soon(struct weir_asks *asks)
{
    const struct timeval soon = {.tv_usec = LOOK_US};
    (void)event_add(asks->timer, &soon);
}

static void
finish(struct weir_asks *asks, enum weir_err err)
{
    struct ask *ask = asks->first;
    asks->first = ask->next;
    if (asks->first == NULL)
        asks->last = &asks->first;
    asks->count--;
    if (ask->request != NULL)
        asks->options.done(asks->options.context, ask->request, err, &ask->text);
    weir_text_fini(&ask->text);
    free(ask);
}

static void
ask_now(struct weir_asks *asks, struct ask *ask)
{
    uint64_t left = ask->rows_max - ask->rows;
    ask->question.rows_max = left < WEIR_SENDERS_PAGE ? left : WEIR_SENDERS_PAGE;
    ask->number = weir_senders_ask(&asks->options.shared->senders_mail, &ask->question);
}

/* Puts what was answered into the text. True where the request is done. */
static bool
take_answer(struct weir_asks *asks, struct ask *ask)
{
    const struct weir_senders_answer *answer = &asks->answer;
    if (ask->question.kind == WEIR_SENDERS_FORGET) {
        weir_text_format(&ask->text, "{\"sender\":\"%" PRIu64 "\",\"forgotten\":%" PRIu64 "}\n",
            ask->question.sender, answer->channels);
        return true;
    }
    weir_senders_write_rows(answer->rows, answer->count, ask->rows > 0, &ask->text);
    ask->rows += answer->count;
    ask->question.from = answer->next;
    bool more = answer->next != WEIR_SENDERS_END;
    if (more && ask->rows < ask->rows_max && weir_mono_ns() < ask->until_ns)
        return false;
    if (more)
        weir_text_format(&ask->text, "],\"next\":\"%" PRIu64 "\"}\n", answer->next);
    else
        weir_text_puts(&ask->text, "],\"next\":null}\n");
    return true;
}

/* The first request, from its first question to its answer. True where it is done. */
static bool
work_on(struct weir_asks *asks, struct ask *ask)
{
    struct weir_senders_mail *mail = &asks->options.shared->senders_mail;
    if (ask->number == 0) {
        enum weir_err err = ask->question.kind == WEIR_SENDERS_LIST
            ? weir_senders_write_head(asks->options.shared, &ask->text)
            : WEIR_OK;
        if (err == WEIR_AGAIN && weir_mono_ns() < ask->until_ns)
            return false; /* the dataplane writes it just now */
        if (err != WEIR_OK) {
            weir_text_clear(&ask->text);
            finish(asks, err);
            return true;
        }
        ask_now(asks, ask);
        return false;
    }
    if (weir_senders_answered(mail, ask->number, &asks->answer)) {
        if (take_answer(asks, ask)) {
            finish(asks, WEIR_OK);
            return true;
        }
        ask_now(asks, ask);
        return false;
    }
    if (weir_mono_ns() < ask->until_ns)
        return false;
    weir_text_clear(&ask->text);
    finish(asks, weir_fail(WEIR_AGAIN, 0, "the dataplane does not answer: try again in a second"));
    return true;
}

static void
on_timer(evutil_socket_t fd, short what, void *context)
{
    struct weir_asks *asks = context;
    (void)fd;
    (void)what;
    while (asks->first != NULL && work_on(asks, asks->first))
        ;
    if (asks->first != NULL)
        look_soon(asks);
}

enum weir_err
weir_asks_new(const struct weir_asks_options *options, struct weir_asks **out)
{
    struct weir_asks *asks = calloc(1, sizeof *asks);
    if (asks == NULL)
        return weir_fail(WEIR_NOMEM, 0, "requests about senders");
    asks->options = *options;
    asks->last = &asks->first;
    asks->timer = evtimer_new(options->base, on_timer, asks);
    if (asks->timer == NULL) {
        free(asks);
        return weir_fail(WEIR_NOMEM, 0, "timer of requests about senders");
    }
    *out = asks;
    return WEIR_OK;
}

void
weir_asks_free(struct weir_asks *asks)
{
    if (asks == NULL)
        return;
    for (struct ask *next; asks->first != NULL; asks->first = next) {
        next = asks->first->next;
        weir_text_fini(&asks->first->text);
        free(asks->first);
    }
    event_free(asks->timer);
    free(asks);
}

void
weir_asks_put(struct weir_asks *asks, struct weir_http_request *request,
    const struct weir_senders_question *question)
{
    struct weir_text none = {.data = NULL};
    enum weir_err err = WEIR_OK;
    struct ask *ask = NULL;
    if (asks->options.shared == NULL)
        err = weir_fail(WEIR_AGAIN, 0, "the instance is stopped");
    else if (asks->count == WEIR_ASKS_MAX)
        err = weir_fail(WEIR_AGAIN, 0, "too many requests about senders wait: try again later");
    else if ((ask = calloc(1, sizeof *ask)) == NULL)
        err = weir_fail(WEIR_NOMEM, 0, "request about senders");
    if (err != WEIR_OK) {
        asks->options.done(asks->options.context, request, err, &none);
        return;
    }
    *ask = (struct ask){.request = request,
        .question = *question,
        .rows_max = question->rows_max,
        .until_ns = weir_mono_ns() + WEIR_ASKS_WAIT_MS * NS_PER_MS};
    weir_text_init(&ask->text, TEXT_MAX);
    *asks->last = ask;
    asks->last = &ask->next;
    if (asks->count++ == 0)
        look_soon(asks);
}

bool
weir_asks_gone(struct weir_asks *asks, const struct weir_http_request *request)
{
    for (struct ask *ask = asks->first; ask != NULL; ask = ask->next)
        if (ask->request == request) {
            ask->request = NULL;
            return true;
        }
    return false;
}
