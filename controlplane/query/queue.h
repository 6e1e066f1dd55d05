/* queue: jobs that wait for a query thread.
 *
 * Owns:    the order of the jobs, and the shares that sources have of the places
 * Threads: as the caller orders them
 * Memory:  taken at new; jobs are the caller's
 * Errors:  WEIR_FULL with a text for the client: no place is left, or the source has its share
 * Limits:  places jobs; a source holds an eighth of them at most once more than half are taken
 *          (model/shares.h)
 *
 * Sources have turns. Each job has the number of the round it is due in: the n-th waiting job of a
 * source is due n rounds after the one that runs now. So a job waits for one of each other source,
 * and not for all that one of them has asked:
 *
 *   pushed   a1 a2 a3 a4 b1 a5 c1      (source and number)
 *   popped   a1 b1 c1 a2 a3 a4 a5
 *
 * Jobs without an owner count for no source, and are due in the next round.
 */
#ifndef WEIR_CONTROLPLANE_QUERY_QUEUE_H
#define WEIR_CONTROLPLANE_QUERY_QUEUE_H

#include "base/err.h"

#include <stdint.h>

struct weir_job;
struct weir_queue;

enum weir_err weir_queue_new(uint32_t places, struct weir_queue **out) WEIR_MUST_USE;
/* An empty one; NULL is none. */
void weir_queue_free(struct weir_queue *queue);

enum weir_err weir_queue_push(struct weir_queue *queue, struct weir_job *job) WEIR_MUST_USE;
/* A job that goes on: it is the next, and no limit refuses it. */
void weir_queue_push_first(struct weir_queue *queue, struct weir_job *job);
/* The job whose turn is next, or NULL. pop takes it out. */
struct weir_job *weir_queue_first(const struct weir_queue *queue);
struct weir_job *weir_queue_pop(struct weir_queue *queue);
uint32_t weir_queue_count(const struct weir_queue *queue);

#endif
