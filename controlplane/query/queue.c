#include "controlplane/query/queue.h"

#include "controlplane/query/pool.h"
#include "model/shares.h"

#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

struct weir_queue {
    struct weir_hash_key key;
    uint32_t places;
    uint32_t count;
    uint64_t round; /* of the job that was popped last */
    struct weir_job *first; /* by round, and in a round by arrival */
    struct weir_shares *shares; /* in the same memory */
};

static size_t
shares_at(void)
{
    size_t line = WEIR_CACHE_LINE;
    return (sizeof(struct weir_queue) + line - 1) / line * line;
}

enum weir_err
weir_queue_new(uint32_t places, struct weir_queue **out)
{
    /* the footprint is whole cache lines */
    size_t size = shares_at() + weir_shares_footprint(places);
    uint8_t seed[WEIR_HASH_SEED_BYTES];
    struct weir_queue *queue = aligned_alloc(WEIR_CACHE_LINE, size);
    if (queue == NULL || getrandom(seed, sizeof seed, 0) != sizeof seed) {
        free(queue);
        return weir_fail(WEIR_NOMEM, 0, "queue of %u jobs", places);
    }
    memset(queue, 0, size);
    queue->places = places;
    weir_hash_key_init(&queue->key, seed);
    queue->shares =
        weir_shares_init((char *)queue + shares_at(), places, places, &queue->key);
    *out = queue;
    return WEIR_OK;
}

void
weir_queue_free(struct weir_queue *queue)
{
    WEIR_ASSERT(queue == NULL || queue->first == NULL);
    free(queue);
}

enum weir_err
weir_queue_push(struct weir_queue *queue, struct weir_job *job)
{
    const struct weir_owner *owner = job->has_owner ? &job->owner : NULL;
    if (queue->count >= queue->places)
        return weir_fail(WEIR_FULL, 0, "too many queries are waiting: try again in a second");
    if (!weir_shares_allow(queue->shares, owner, 1))
        return weir_fail(WEIR_FULL, 0, "too many queries of this source are waiting, and more than "
            "half of the places are taken: try again in a second");
    uint64_t waiting = owner != NULL ? weir_shares_held(queue->shares, owner) : 0;
    job->share = weir_shares_add(queue->shares, owner, 1);
    job->round = queue->round + 1 + waiting;
    struct weir_job **link = &queue->first;
    while (*link != NULL && (*link)->round <= job->round)
        link = &(*link)->next;
    job->next = *link;
    *link = job;
    queue->count++;
    return WEIR_OK;
}

void
weir_queue_push_first(struct weir_queue *queue, struct weir_job *job)
{
    job->share = weir_shares_add(queue->shares, NULL, 1);
    job->round = queue->round;
    job->next = queue->first;
    queue->first = job;
    queue->count++;
}

struct weir_job *
weir_queue_first(const struct weir_queue *queue)
{
    return queue->first;
}

struct weir_job *
weir_queue_pop(struct weir_queue *queue)
{
    struct weir_job *job = queue->first;
    if (job == NULL)
        return NULL;
    queue->first = job->next;
    job->next = NULL;
    queue->round = job->round;
    queue->count--;
    weir_shares_remove(queue->shares, job->share, 1);
    return job;
}

uint32_t
weir_queue_count(const struct weir_queue *queue)
{
    return queue->count;
}
