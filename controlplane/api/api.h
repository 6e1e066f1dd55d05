/* api: the paths of the HTTP server (docs/api.md).
 *
 * Owns:    the HTTP server, the query pool, jobs under way
 * Threads: the event loop's; queries run on the pool's
 * Memory:  a reader each query thread (about 135 MB for a million series of 85 label bytes);
 *          answers bounded by query.points_max
 * Errors:  JSON with a reason; 503 with Retry-After where the queue is full
 * Limits:  WEIR_API_QUEUE_MAX queries waiting; once half of the places are taken, an eighth of them
 *          of one source
 */
#ifndef WEIR_CONTROLPLANE_API_API_H
#define WEIR_CONTROLPLANE_API_API_H

#include "config/config.h"
#include "controlplane/query/pool.h"
#include "model/peer.h"
#include "model/shared.h"

/* Two query threads: a small query does not wait for a large one. Each holds a catalog of its own.
 * A small machine has one thread, because a second would only use the first one's time. */
#define WEIR_API_THREADS_MAX 2
#define WEIR_API_CORES_MIN 4 /* fewer: one thread */
#define WEIR_API_QUEUE_MAX 64

struct event_base;
struct weir_api;

struct weir_api_options {
    struct event_base *base;
    int listen_fd;       /* a socket that listens already, taken over; 0: it makes one */
    const char *address; /* numeric */
    uint16_t port;       /* 0: any */
    uint32_t threads;    /* of queries; weir_api_threads() */
    struct weir_limits limits;
    uint64_t answers_max; /* http.answers_max */
    const char (*hosts)[WEIR_CONFIG_HOST_SIZE]; /* http.hosts; borrowed, as the next */
    uint32_t host_count;
    const char (*cors)[WEIR_CONFIG_HOST_SIZE]; /* http.cors; borrowed */
    uint32_t cors_count;
    struct weir_prefixes trusted; /* sources that no share bounds */
    struct weir_shared *shared; /* NULL on a stopped instance */
    const struct weir_config *config; /* for /api/v1/status/; borrowed; NULL: it shows none */
    bool admin;          /* other machines may read refused lines and forget senders */
    weir_pool_open_fn *open;    /* called by the pool's threads */
    /* Called by them too, once the port is open and a reader is: queries answer from then on. May
     * be NULL. */
    weir_pool_opened_fn *opened;
    weir_pool_limits_fn *limits_now; /* as in weir_pool_options; may be NULL */
    void *open_context;
};

/* Query threads for a machine of so many cores. */
static inline uint32_t
weir_api_threads(int cores)
{
    return cores < WEIR_API_CORES_MIN ? 1 : WEIR_API_THREADS_MAX;
}

enum weir_err weir_api_open(const struct weir_api_options *options, struct weir_api **out)
    WEIR_MUST_USE;
uint16_t weir_api_port(const struct weir_api *api);
/* Closes connections, cancels queries, waits up to wait_ms for them. False where one goes on: then
 * memory it uses stays, and the caller ends the process. */
bool weir_api_close(struct weir_api *api, int wait_ms) WEIR_MUST_USE;

#endif
