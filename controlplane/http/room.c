#include "base/clock.h"
#include "controlplane/http/parts.h"

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <stdalign.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>

/* An owner has a connection at least: so many, with those past the bound. */
#define OWNERS_MAX (WEIR_HTTP_CONNECTIONS_MAX + WEIR_HTTP_REFUSALS_MAX)

enum weir_err
weir_http_room_init(struct weir_http *http)
{
    /* both sizes are whole cache lines */
    size_t size = weir_shares_footprint(OWNERS_MAX);
    size_t total = sizeof(struct weir_hash_key) + 2 * size;
    uint8_t seed[WEIR_HASH_SEED_BYTES];
    char *memory = aligned_alloc(alignof(struct weir_hash_key), total);
    if (memory == NULL || getrandom(seed, sizeof seed, 0) != sizeof seed) {
        free(memory);
        return weir_fail(WEIR_NOMEM, 0, "shares of the http server");
    }
    http->shares_memory = memory;
    memset(memory, 0, total);
    struct weir_hash_key *key = (struct weir_hash_key *)memory;
    weir_hash_key_init(key, seed);
    memory += sizeof *key;
    http->connection_shares =
        weir_shares_init(memory, http->connections_max, OWNERS_MAX, key);
    http->answer_shares =
        weir_shares_init(memory + size, http->options.answers_max, OWNERS_MAX, key);
    return WEIR_OK;
}

void
weir_http_room_fini(struct weir_http *http)
{
    free(http->shares_memory);
}

static const struct weir_owner *
owner_of(const struct weir_http_connection *connection)
{
    return connection->has_owner ? &connection->owner : NULL;
}

const struct weir_owner *
weir_http_request_owner(const struct weir_http_request *request)
{
    return owner_of(request->connection);
}

void
weir_http_identify(struct weir_http_connection *connection)
{
    struct weir_http *http = connection->http;
    struct sockaddr_storage address;
    socklen_t size = sizeof address;
    struct weir_peer peer;
    if (connection->identified || connection->leaving ||
        getpeername(bufferevent_getfd(connection->socket), (struct sockaddr *)&address, &size) != 0)
        return;
    weir_peer_of_socket((const struct sockaddr *)&address, &peer);
    connection->identified = true;
    connection->has_owner =
        weir_peer_exists(&peer) && !weir_prefixes_hold(&http->options.trusted, &peer);
    if (connection->has_owner)
        connection->owner = weir_owner_source(&peer);
    connection->over_share =
        !weir_shares_allow(http->connection_shares, owner_of(connection), 1);
    connection->share = weir_shares_add(http->connection_shares, owner_of(connection), 1);
    http->stats.connections_refused += connection->over_share && !connection->reserve;
}

void
weir_http_forget_owner(struct weir_http_connection *connection)
{
    if (connection->identified)
        weir_shares_remove(connection->http->connection_shares, connection->share, 1);
    connection->identified = false;
}

/* Bytes a second that the reader of an answer takes. */
static double
pace(const struct weir_http_connection *connection, int64_t now_ns)
{
    size_t left = evbuffer_get_length(bufferevent_get_output(connection->socket));
    size_t taken = connection->answer_size > left ? connection->answer_size - left : 0;
    return (double)taken * 1e9 / (double)(now_ns - connection->state_ns + 1);
}

/* The slowest reader of an answer that has had some time, or NULL. */
static struct weir_http_connection *
slowest(const struct weir_http *http, int64_t now_ns)
{
    struct weir_http_connection *found = NULL;
    double least = 0;
    for (struct weir_http_connection *at = http->connections; at != NULL; at = at->next) {
        if (at->state != WRITING || at->leaving || weir_http_has_ended(at) ||
            now_ns - at->state_ns < WEIR_HTTP_SLOW_MS * WEIR_HTTP_NS_PER_MS)
            continue;
        double speed = pace(at, now_ns);
        if (found == NULL || speed < least) {
            found = at;
            least = speed;
        }
    }
    return found;
}

/* The one that has waited longest for a whole request, or NULL. */
static struct weir_http_connection *
longest_idle(const struct weir_http *http, int64_t now_ns)
{
    struct weir_http_connection *found = NULL;
    for (struct weir_http_connection *at = http->connections; at != NULL; at = at->next)
        if (at->state == READING && !at->leaving && !weir_http_has_ended(at) &&
            now_ns - at->state_ns >= WEIR_HTTP_ARRIVES_MS * WEIR_HTTP_NS_PER_MS &&
            (found == NULL || at->state_ns < found->state_ns))
            found = at;
    return found;
}

static void
leave(struct weir_http_connection *connection)
{
    connection->leaving = true;
    connection->http->leaving++;
    connection->http->reserves -= connection->reserve;
    connection->reserve = false;
    weir_http_forget_owner(connection);
}

void
weir_http_cut(struct weir_http_connection *connection)
{
    connection->http->stats.connections_cut_slow++;
    if (connection->streaming)
        weir_http_end_stream(connection);
    leave(connection);
    weir_http_drop_output(connection);
    evhttp_connection_free(connection->open);
    connection->open = NULL;
}

bool
weir_http_make_place(struct weir_http *http)
{
    int64_t now_ns = weir_mono_ns();
    struct weir_http_connection *idle = longest_idle(http, now_ns);
    if (idle != NULL) {
        http->stats.connections_cut_idle++;
        leave(idle);
        /* evhttp meets the end of the connection and closes it */
        shutdown(bufferevent_getfd(idle->socket), SHUT_RDWR);
        return true;
    }
    struct weir_http_connection *slow = slowest(http, now_ns);
    if (slow != NULL)
        weir_http_cut(slow);
    return slow != NULL;
}

bool
weir_http_make_room(struct weir_http_connection *connection, size_t size)
{
    struct weir_http *http = connection->http;
    int64_t now_ns = weir_mono_ns();
    /* vital answers are held too, and may be more */
    while (http->held > http->options.answers_max ||
           size > http->options.answers_max - http->held ||
           !weir_shares_allow(http->answer_shares, owner_of(connection), size)) {
        struct weir_http_connection *slow = slowest(http, now_ns);
        if (slow == NULL)
            return false;
        weir_http_cut(slow);
    }
    return true;
}

struct weir_http_held *
weir_http_hold(struct weir_http_connection *connection, size_t size)
{
    struct weir_http *http = connection->http;
    struct weir_http_held *held = malloc(sizeof *held);
    if (held == NULL)
        return NULL;
    *held = (struct weir_http_held){.http = http,
        .share = weir_shares_add(http->answer_shares, owner_of(connection), size)};
    http->held += size;
    return held;
}

void
weir_http_unhold(struct weir_http_held *held, size_t size)
{
    held->http->held -= size;
    weir_shares_remove(held->http->answer_shares, held->share, size);
    free(held);
}

bool
weir_http_too_slow(const struct weir_http_connection *connection, int64_t now_ns)
{
    int64_t had_ms = (now_ns - connection->state_ns) / WEIR_HTTP_NS_PER_MS;
    int64_t may_ms = WEIR_HTTP_ANSWER_S * 1000 +
        (int64_t)(connection->answer_size / WEIR_HTTP_PACE_MIN * 1000);
    return connection->state == WRITING && connection->open != NULL && had_ms > may_ms;
}
