#include "controlplane/api/scrapes.h"

#include "base/assert.h"
#include "base/clock.h"

#include <event2/event.h>
#include <stdlib.h>

#define NS_PER_MS INT64_C(1000000)
#define LOOK_US 1000

struct scrape {
    struct scrape *next;
    struct weir_http_request *request;
    int64_t until_ns;
};

struct weir_scrapes {
    struct weir_scrapes_options options;
    struct event *timer;
    struct scrape *first;
};

static bool
look_soon(struct weir_scrapes *scrapes)
{
    const struct timeval soon = {.tv_usec = LOOK_US};
    return event_add(scrapes->timer, &soon) == 0;
}

/* Answers those that can be, or have waited long enough. */
static void
look(struct weir_scrapes *scrapes, bool last)
{
    int64_t now_ns = weir_mono_ns();
    struct scrape **link = &scrapes->first;
    while (*link != NULL) {
        struct scrape *scrape = *link;
        if (scrapes->options.answer(scrapes->options.context, scrape->request,
                last || now_ns >= scrape->until_ns)) {
            *link = scrape->next;
            free(scrape);
        } else {
            link = &scrape->next;
        }
    }
}

static void
on_timer(evutil_socket_t fd, short what, void *context)
{
    struct weir_scrapes *scrapes = context;
    (void)fd;
    (void)what;
    look(scrapes, false);
    if (scrapes->first != NULL && !look_soon(scrapes))
        look(scrapes, true);
}

enum weir_err
weir_scrapes_new(const struct weir_scrapes_options *options, struct weir_scrapes **out)
{
    struct weir_scrapes *scrapes = calloc(1, sizeof *scrapes);
    if (scrapes == NULL)
        return weir_fail(WEIR_NOMEM, 0, "requests for the ledger");
    scrapes->options = *options;
    scrapes->timer = evtimer_new(options->base, on_timer, scrapes);
    if (scrapes->timer == NULL) {
        free(scrapes);
        return weir_fail(WEIR_NOMEM, 0, "timer of requests for the ledger");
    }
    *out = scrapes;
    return WEIR_OK;
}

void
weir_scrapes_free(struct weir_scrapes *scrapes)
{
    if (scrapes == NULL)
        return;
    for (struct scrape *next; scrapes->first != NULL; scrapes->first = next) {
        next = scrapes->first->next;
        free(scrapes->first);
    }
    event_free(scrapes->timer);
    free(scrapes);
}

void
weir_scrapes_put(struct weir_scrapes *scrapes, struct weir_http_request *request)
{
    if (scrapes->options.answer(scrapes->options.context, request, false))
        return;
    struct scrape *scrape = calloc(1, sizeof *scrape);
    if (scrape == NULL || !look_soon(scrapes)) {
        free(scrape);
        bool answered = scrapes->options.answer(scrapes->options.context, request, true);
        WEIR_ASSERT(answered);
        return;
    }
    *scrape = (struct scrape){.next = scrapes->first,
        .request = request,
        .until_ns = weir_mono_ns() + WEIR_SCRAPES_WAIT_MS * NS_PER_MS};
    scrapes->first = scrape;
}

bool
weir_scrapes_gone(struct weir_scrapes *scrapes, const struct weir_http_request *request)
{
    for (struct scrape **link = &scrapes->first; *link != NULL; link = &(*link)->next) {
        struct scrape *scrape = *link;
        if (scrape->request != request)
            continue;
        *link = scrape->next;
        free(scrape);
        return true;
    }
    return false;
}
