#include "controlplane/api/sender_requests.h"

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
    struct weir_channel_question question;
    uint64_t rows_max;  /* of the whole answer, of which the question is for a part */
    uint64_t rows;      /* so far */
    uint64_t number;    /* of the question; 0: not asked yet */
    int64_t until_ns;
    struct weir_text text;
};

struct weir_sender_requests {
    struct weir_sender_requests_options options;
    struct event *timer;
    struct ask *first; /* the one that is asked */
    struct ask **last;
    uint32_t count;
    struct weir_channel_answer answer;
};

static void
look_soon(struct weir_sender_requests *requests)
{
    const struct timeval soon = {.tv_usec = LOOK_US};
    (void)event_add(requests->timer, &soon);
}

static void
finish(struct weir_sender_requests *requests, enum weir_err err)
{
    struct ask *ask = requests->first;
    requests->first = ask->next;
    if (requests->first == NULL)
        requests->last = &requests->first;
    requests->count--;
    if (ask->request != NULL)
        requests->options.done(requests->options.context, ask->request, err, &ask->text);
    weir_text_fini(&ask->text);
    free(ask);
}

static void
ask_now(struct weir_sender_requests *requests, struct ask *ask)
{
    uint64_t left = ask->rows_max - ask->rows;
    ask->question.rows_max = left < WEIR_CHANNEL_PAGE ? left : WEIR_CHANNEL_PAGE;
    ask->number = weir_channel_mail_ask(&requests->options.shared->channel_mail, &ask->question);
}

/* Writes the answer into the text. True if the request is complete. */
static bool
add_answer(struct weir_sender_requests *requests, struct ask *ask)
{
    const struct weir_channel_answer *answer = &requests->answer;
    if (ask->question.kind == WEIR_CHANNEL_FORGET) {
        weir_text_format(&ask->text, "{\"sender\":\"%" PRIu64 "\",\"forgotten\":%" PRIu64 "}\n",
            ask->question.sender, answer->channels);
        return true;
    }
    weir_senders_write_rows(answer->rows, answer->count, ask->rows > 0, &ask->text);
    ask->rows += answer->count;
    ask->question.from = answer->next;
    bool more = answer->next != WEIR_CHANNEL_LIST_END;
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
work_on(struct weir_sender_requests *requests, struct ask *ask)
{
    struct weir_channel_mail *mail = &requests->options.shared->channel_mail;
    if (ask->number == 0) {
        enum weir_err err = ask->question.kind == WEIR_CHANNEL_LIST
            ? weir_senders_write_head(requests->options.shared, &ask->text)
            : WEIR_OK;
        if (err == WEIR_AGAIN && weir_mono_ns() < ask->until_ns)
            return false; /* the dataplane writes it just now */
        if (err != WEIR_OK) {
            weir_text_clear(&ask->text);
            finish(requests, err);
            return true;
        }
        ask_now(requests, ask);
        return false;
    }
    if (weir_channel_mail_answered(mail, ask->number, &requests->answer)) {
        if (add_answer(requests, ask)) {
            finish(requests, WEIR_OK);
            return true;
        }
        ask_now(requests, ask);
        return false;
    }
    if (weir_mono_ns() < ask->until_ns)
        return false;
    weir_text_clear(&ask->text);
    finish(
        requests, weir_fail(WEIR_AGAIN, 0, "the dataplane does not answer: try again in a second"));
    return true;
}

static void
on_timer(evutil_socket_t fd, short what, void *context)
{
    struct weir_sender_requests *requests = context;
    (void)fd;
    (void)what;
    while (requests->first != NULL && work_on(requests, requests->first))
        ;
    if (requests->first != NULL)
        look_soon(requests);
}

enum weir_err
weir_sender_requests_new(
    const struct weir_sender_requests_options *options, struct weir_sender_requests **out)
{
    struct weir_sender_requests *requests = calloc(1, sizeof *requests);
    if (requests == NULL)
        return weir_fail(WEIR_NOMEM, 0, "requests about senders");
    requests->options = *options;
    requests->last = &requests->first;
    requests->timer = evtimer_new(options->base, on_timer, requests);
    if (requests->timer == NULL) {
        free(requests);
        return weir_fail(WEIR_NOMEM, 0, "timer of requests about senders");
    }
    *out = requests;
    return WEIR_OK;
}

void
weir_sender_requests_free(struct weir_sender_requests *requests)
{
    if (requests == NULL)
        return;
    for (struct ask *next; requests->first != NULL; requests->first = next) {
        next = requests->first->next;
        weir_text_fini(&requests->first->text);
        free(requests->first);
    }
    event_free(requests->timer);
    free(requests);
}

void
weir_sender_requests_put(struct weir_sender_requests *requests, struct weir_http_request *request,
    const struct weir_channel_question *question)
{
    struct weir_text none = {.data = NULL};
    enum weir_err err = WEIR_OK;
    struct ask *ask = NULL;
    if (requests->options.shared == NULL)
        err = weir_fail(WEIR_AGAIN, 0, "the instance is stopped");
    else if (requests->count == WEIR_SENDER_REQUESTS_MAX)
        err = weir_fail(WEIR_AGAIN, 0, "too many requests about senders wait: try again later");
    else if ((ask = calloc(1, sizeof *ask)) == NULL)
        err = weir_fail(WEIR_NOMEM, 0, "request about senders");
    if (err != WEIR_OK) {
        requests->options.done(requests->options.context, request, err, &none);
        return;
    }
    *ask = (struct ask){.request = request,
        .question = *question,
        .rows_max = question->rows_max,
        .until_ns = weir_mono_ns() + WEIR_SENDER_REQUESTS_WAIT_MS * NS_PER_MS};
    weir_text_init(&ask->text, TEXT_MAX);
    *requests->last = ask;
    requests->last = &ask->next;
    if (requests->count++ == 0)
        look_soon(requests);
}

bool
weir_sender_requests_gone(
    struct weir_sender_requests *requests, const struct weir_http_request *request)
{
    for (struct ask *ask = requests->first; ask != NULL; ask = ask->next)
        if (ask->request == request) {
            ask->request = NULL;
            return true;
        }
    return false;
}
