/* pool: the query threads, each with a reader of its own, and the queue in front of them.
 *
 * Owns:    threads, readers, the queue of jobs and the list of finished ones
 * Threads: submit, done, cancel and stop from the event loop; a job runs on one query thread
 * Memory:  jobs are the caller's; a reader each thread (storage/reader.h)
 * Errors:  WEIR_FULL where the queue has no place, or none for this source (queue.h): answer 503
 *          with the detail and let the client come back
 * Limits:  WEIR_POOL_THREADS_MAX threads
 *
 * The threads open their readers: the process serves at once. Jobs wait meanwhile, and fail with
 * 503 after WEIR_POOL_OPEN_WAIT_MS. If a reader is open and the dataplane starts anew, jobs wait as
 * long; then the reader's samples are the answer, with a warning. An idle thread refreshes its
 * reader every WEIR_POOL_REFRESH_MS, because a query after a quiet hour should have little to catch
 * up with.
 */
#ifndef WEIR_CONTROLPLANE_QUERY_POOL_H
#define WEIR_CONTROLPLANE_QUERY_POOL_H

#include "controlplane/query/call.h"
#include "model/shares.h"

#define WEIR_POOL_THREADS_MAX 8
#define WEIR_POOL_REFRESH_MS 250
#define WEIR_POOL_OPEN_WAIT_MS 2000

struct weir_job {
    void (*run)(struct weir_call *call);
    struct weir_params params;
    char *label;         /* of the path; NULL where there is none */
    bool prometheus;
    bool gzip;           /* the asker takes gzip; once done: the answer is in gzip */
    bool may_stream;     /* as in the call */
    void *user;          /* the event loop's */
    bool has_owner;      /* it has a source that shares bound */
    struct weir_owner owner;
    int64_t submitted_ns;
    _Atomic bool cancelled;
    int status;          /* once done, as the next three */
    const char *content_type;
    bool retry;          /* the asker may come back in a second */
    bool late;           /* it waited too long in the queue, and was not begun */
    struct weir_text answer; /* or a piece of it */
    struct weir_stream *stream; /* the rest; NULL: none, as at the end */
    bool ended;          /* the answer ends with this piece */
    bool broken;         /* memory was short for the piece: the answer cannot go on */
    struct weir_gzip *packer; /* of the pieces, where they are in gzip */
    struct weir_job *next;
    uint64_t round;      /* the queue's, as the next */
    uint32_t share;
};

typedef enum weir_err weir_pool_open_fn(void *context, struct weir_reader **out);
typedef void weir_pool_opened_fn(void *context);
typedef void weir_pool_limits_fn(void *context, struct weir_limits *limits);

struct weir_pool_options {
    uint32_t threads;
    uint32_t queue_max; /* jobs waiting */
    struct weir_limits limits;
    weir_pool_open_fn *open;
    weir_pool_opened_fn *opened; /* by each thread, once its reader is open and the state says so */
    weir_pool_limits_fn *limits_now; /* by each thread before a job: applies changed limits */
    void *open_context; /* of the three; the last two may be NULL */
};

struct weir_pool;

enum weir_err weir_pool_new(const struct weir_pool_options *options, struct weir_pool **out)
    WEIR_MUST_USE;
/* Cancels every job and waits up to wait_ms for the threads. False where one is still in a scan:
 * then only the end of the process ends it. Afterwards weir_pool_done hands back every job. */
bool weir_pool_stop(struct weir_pool *pool, int wait_ms) WEIR_MUST_USE;
/* After a stop that returned true, and after every job was given back. */
void weir_pool_free(struct weir_pool *pool);

enum weir_err weir_pool_submit(struct weir_pool *pool, struct weir_job *job) WEIR_MUST_USE;
/* Asks for the next piece of a job that was done and has a stream; it is the next to run. */
void weir_pool_resume(struct weir_pool *pool, struct weir_job *job);
/* Frees the job's stream and its packer. */
void weir_job_end_stream(struct weir_job *job);
/* The next finished job, or NULL. */
struct weir_job *weir_pool_done(struct weir_pool *pool);
/* Polls readable while there may be finished jobs; weir_pool_done clears it. */
int weir_pool_fd(const struct weir_pool *pool);
static inline void
weir_job_cancel(struct weir_job *job)
{
    atomic_store_explicit(&job->cancelled, true, memory_order_relaxed);
}

struct weir_pool_state {
    uint32_t waiting; /* jobs in the queue */
    uint32_t running;
    uint32_t readers_open;
    uint32_t readers_failed; /* of them: the last refresh failed */
    uint32_t readers_behind; /* of them: the dataplane starts, more may be durable than they know */
    uint64_t durable_offset; /* that the least advanced reader has taken in */
    uint64_t series;         /* as above */
    uint64_t blocks_corrupt; /* skipped by the reader that met most */
    char detail[256];        /* of the last failure */
};
void weir_pool_read_state(struct weir_pool *pool, struct weir_pool_state *state);

#endif
