#include "controlplane/query/pool.h"

#include "base/assert.h"
#include "base/clock.h"
#include "base/event.h"
#include "base/process.h"
#include "controlplane/http/encoding.h"
#include "controlplane/query/queue.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define NS_PER_MS INT64_C(1000000)
#define NS_PER_S INT64_C(1000000000)
#define OPEN_RETRY_MS 100
#define RESTART_POLL_MS 5
#define STOP_MS 1000
#define PACKED_MIN 8192 /* bytes of a piece in gzip */

struct query_thread {
    struct weir_pool *pool;
    pthread_t handle;
    struct weir_reader *reader; /* its thread's; NULL until open */
    /* under the pool's lock */
    struct weir_job *job; /* running */
    bool open;
    bool failed; /* the last refresh or open */
    int64_t behind_ns; /* since when something durable may be missing; 0: nothing is */
    uint64_t durable_offset;
    uint64_t series;
    uint64_t blocks_corrupt;
};

struct weir_pool {
    struct weir_pool_options options;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    struct weir_queue *queue; /* those waiting */
    struct weir_job *done;
    struct weir_job **done_last;
    bool stopping;
    char detail[256];
    int done_fd;
    uint32_t started;
    struct query_thread threads[WEIR_POOL_THREADS_MAX];
};

/* Waits for a job, the end, or the time to refresh. NULL for the latter two. A thread without a
 * reader leaves jobs to others until they have waited long enough to be refused. */
static struct weir_job *
next_job(struct query_thread *self)
{
    struct weir_pool *pool = self->pool;
    int64_t wait_ms = self->reader != NULL ? WEIR_POOL_REFRESH_MS : OPEN_RETRY_MS;
    int64_t until_ns = weir_mono_ns() + wait_ms * NS_PER_MS;
    struct timespec until = {until_ns / 1000000000, until_ns % 1000000000};
    struct weir_job *job = NULL;
    pthread_mutex_lock(&pool->lock);
    while (!pool->stopping && (weir_queue_count(pool->queue) == 0 || self->reader == NULL))
        if (pthread_cond_timedwait(&pool->wake, &pool->lock, &until) == ETIMEDOUT)
            break;
    const struct weir_job *first = weir_queue_first(pool->queue);
    int64_t waited_ns = first != NULL ? weir_mono_ns() - first->submitted_ns : 0;
    if (first != NULL && !pool->stopping &&
        (self->reader != NULL || waited_ns > WEIR_POOL_OPEN_WAIT_MS * NS_PER_MS)) {
        job = weir_queue_pop(pool->queue);
        self->job = job;
    }
    pthread_mutex_unlock(&pool->lock);
    return job;
}

/* Under the lock. */
static void
push_done(struct weir_pool *pool, struct weir_job *job)
{
    job->next = NULL;
    *pool->done_last = job;
    pool->done_last = &job->next;
}

static void
finish_job(struct query_thread *self, struct weir_job *job)
{
    struct weir_pool *pool = self->pool;
    uint64_t one = 1;
    pthread_mutex_lock(&pool->lock);
    self->job = NULL;
    push_done(pool, job);
    pthread_mutex_unlock(&pool->lock);
    ssize_t written = write(pool->done_fd, &one, sizeof one);
    (void)written; /* fails only at 2^64 - 1, and is readable then */
}

/* Opens or refreshes the thread's reader and publishes its offset. */
static enum weir_err
update_reader(struct query_thread *self)
{
    struct weir_pool *pool = self->pool;
    bool opening = self->reader == NULL;
    enum weir_err err = opening
        ? pool->options.open(pool->options.open_context, &self->reader)
        : weir_reader_refresh(self->reader);
    bool restarting = self->reader != NULL && err == WEIR_AGAIN;
    if (restarting) /* the reader's definitions stay true */
        err = WEIR_OK;
    bool open = self->reader != NULL;
    if (err != WEIR_OK && err != WEIR_AGAIN) /* a start is no trouble */
        weir_event(WEIR_LEVEL_WARN, "reader", "open=%d error=\"%s\" detail=\"%s\"", open,
            weir_err_text(err), weir_err_detail());
    pthread_mutex_lock(&pool->lock);
    self->open = open;
    self->failed = err != WEIR_OK;
    if (!restarting)
        self->behind_ns = 0;
    else if (self->behind_ns == 0)
        self->behind_ns = weir_mono_ns();
    if (err != WEIR_OK)
        snprintf(pool->detail, sizeof pool->detail, "%s: %s", weir_err_text(err),
            weir_err_detail());
    if (open) {
        self->durable_offset = weir_reader_durable_offset(self->reader);
        self->series = weir_reader_series_count(self->reader);
        self->blocks_corrupt = weir_reader_blocks_corrupt(self->reader);
    }
    pthread_mutex_unlock(&pool->lock);
    if (opening && open && pool->options.opened != NULL)
        pool->options.opened(pool->options.open_context);
    return restarting ? WEIR_AGAIN : err;
}

/* A query sees all samples that were acknowledged before it came. While the dataplane restarts,
 * that may be more than the reader knows: queries wait until the reader has been late for
 * WEIR_POOL_OPEN_WAIT_MS. After that the reader's samples are the answer, with a warning: reads go
 * on even if a dataplane does not start. *behind_s is the reader's delay then, and else -1. */
static enum weir_err
update_for_query(struct query_thread *self, struct weir_job *job, int64_t *behind_s)
{
    const struct timespec pause = {.tv_nsec = RESTART_POLL_MS * NS_PER_MS};
    enum weir_err err;
    *behind_s = -1;
    while ((err = update_reader(self)) == WEIR_AGAIN && self->reader != NULL &&
           weir_mono_ns() - self->behind_ns < WEIR_POOL_OPEN_WAIT_MS * NS_PER_MS &&
           !atomic_load_explicit(&job->cancelled, memory_order_relaxed))
        nanosleep(&pause, NULL);
    if (err != WEIR_AGAIN || self->reader == NULL)
        return err;
    *behind_s = (weir_mono_ns() - self->behind_ns) / NS_PER_S;
    return WEIR_OK;
}

static void
run_endpoint(struct weir_job *job, struct weir_call *call)
{
    weir_reader_set_check(call->reader, weir_call_check, call);
    job->run(call);
    weir_reader_set_check(call->reader, NULL, NULL);
}

/* Adds to the answer until it has something to send: in gzip several pieces may make one. */
static void
add_pieces(struct weir_job *job, size_t least)
{
    while (!job->ended && !job->broken && job->answer.size < least &&
        !atomic_load_explicit(&job->cancelled, memory_order_relaxed)) {
        struct weir_text text;
        weir_text_init(&text, WEIR_STREAM_PIECE_MAX);
        job->ended = job->stream->next(job->stream, &text, WEIR_STREAM_PIECE);
        job->broken = text.full ||
            !weir_gzip_add(job->packer, text.data, text.size, job->ended, &job->answer);
        weir_text_fini(&text);
    }
}

/* Packs what the answer has so far; more comes. Without memory for that it goes on as it is. */
static void
start_packing(struct weir_job *job)
{
    struct weir_text first = job->answer;
    job->gzip = job->gzip && weir_gzip_new(&job->packer) == WEIR_OK;
    if (!job->gzip)
        return;
    weir_text_init(&job->answer, WEIR_STREAM_PIECE_MAX);
    job->broken = !weir_gzip_add(job->packer, first.data, first.size, false, &job->answer);
    weir_text_fini(&first);
    add_pieces(job, 1);
}

static void
run_piece(struct weir_job *job)
{
    weir_text_init(&job->answer, WEIR_STREAM_PIECE_MAX);
    if (job->packer != NULL) {
        add_pieces(job, PACKED_MIN);
    } else {
        job->ended = job->stream->next(job->stream, &job->answer, WEIR_STREAM_PIECE);
        job->broken = job->answer.full;
    }
}

static void
run_job(struct query_thread *self, struct weir_job *job)
{
    if (job->stream != NULL) {
        run_piece(job);
        return;
    }
    const struct weir_pool_options *options = &self->pool->options;
    struct weir_limits own = options->limits;
    const struct weir_limits *limits = &own;
    if (options->limits_now != NULL)
        options->limits_now(options->open_context, &own);
    struct weir_call call = {.reader = self->reader, .params = &job->params, .limits = limits,
        .label = job->label, .now_ms = weir_wall_ms(), .cancelled = &job->cancelled,
        .prometheus = job->prometheus, .content_type = "application/json",
        .may_stream = job->may_stream, .waited_ns = weir_mono_ns() - job->submitted_ns,
        .deadline_ns = weir_mono_ns() + limits->timeout_ms * NS_PER_MS};
    weir_text_init(&call.answer, weir_call_answer_max(limits));
    enum weir_err err = WEIR_OK;
    bool cancelled = atomic_load_explicit(&job->cancelled, memory_order_relaxed);
    bool late = weir_mono_ns() - job->submitted_ns > limits->timeout_ms * NS_PER_MS;
    int64_t behind_s = -1;
    if (!cancelled && !late)
        err = update_for_query(self, job, &behind_s);
    if (behind_s >= 0)
        snprintf(call.warning, sizeof call.warning, "the dataplane is starting, for %" PRId64
            " s now: samples that were acknowledged shortly before may be missing", behind_s);
    call.reader = self->reader;
    if (cancelled)
        call.status = WEIR_STATUS_UNAVAILABLE; /* nobody reads it */
    else if (late)
        weir_call_fail(&call, WEIR_STATUS_UNAVAILABLE,
            "too many queries: this one waited longer than query.timeout; try again later");
    else if (call.reader == NULL)
        weir_call_fail(&call, WEIR_STATUS_UNAVAILABLE, "the log is not open yet: %s",
            err != WEIR_OK ? weir_err_detail() : "starting");
    else if (err != WEIR_OK)
        weir_call_fail(&call, WEIR_STATUS_UNAVAILABLE, "the log cannot be read: %s",
            weir_err_detail());
    else
        run_endpoint(job, &call);
    job->stream = call.stream;
    if (call.stream == NULL)
        job->gzip = job->gzip && weir_text_gzip(&call.answer, weir_call_check_cancelled, &call);
    weir_text_trim(&call.answer);
    job->status = call.status;
    job->content_type = call.content_type;
    job->retry = call.status == WEIR_STATUS_UNAVAILABLE && !call.timed_out;
    job->late = late && !cancelled;
    job->answer = call.answer;
    job->ended = call.stream == NULL;
    if (call.stream != NULL)
        start_packing(job);
}

static bool
stopping(struct weir_pool *pool)
{
    pthread_mutex_lock(&pool->lock);
    bool stop = pool->stopping;
    pthread_mutex_unlock(&pool->lock);
    return stop;
}

static void *
work(void *context)
{
    struct query_thread *self = context;
    char name[16];
    snprintf(name, sizeof name, "weir-query-%u", (unsigned)(self - self->pool->threads) % 100);
    weir_process_name_thread(name);
    while (!stopping(self->pool)) {
        if (self->reader == NULL) {
            enum weir_err err = update_reader(self);
            (void)err; /* published and tried again */
        }
        struct weir_job *job = next_job(self);
        if (job != NULL) {
            run_job(self, job);
            finish_job(self, job);
        } else if (self->reader != NULL) {
            enum weir_err err = update_reader(self);
            (void)err;
        }
    }
    if (self->reader != NULL)
        weir_reader_close(self->reader);
    return NULL;
}

/* Threads start with all signals blocked: those are the event loop's. */
static enum weir_err
start_threads(struct weir_pool *pool)
{
    sigset_t all, before;
    int failed = 0;
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, &before);
    while (pool->started < pool->options.threads && failed == 0) {
        struct query_thread *thread = &pool->threads[pool->started];
        thread->pool = pool;
        failed = pthread_create(&thread->handle, NULL, work, thread);
        pool->started += failed == 0;
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return failed == 0 ? WEIR_OK : weir_fail(WEIR_NOMEM, failed, "query thread");
}

enum weir_err
weir_pool_new(const struct weir_pool_options *options, struct weir_pool **out)
{
    if (options->threads < 1 || options->threads > WEIR_POOL_THREADS_MAX)
        return weir_fail(WEIR_INVALID, 0, "%u query threads", options->threads);
    struct weir_pool *pool = calloc(1, sizeof *pool);
    if (pool == NULL)
        return weir_fail(WEIR_NOMEM, 0, "query pool");
    pool->options = *options;
    pool->done_last = &pool->done;
    pool->done_fd = -1;
    enum weir_err err = weir_queue_new(options->queue_max, &pool->queue);
    if (err != WEIR_OK) {
        free(pool);
        return err;
    }
    pthread_mutex_init(&pool->lock, NULL);
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&pool->wake, &monotonic);
    pthread_condattr_destroy(&monotonic);
    pool->done_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    err = pool->done_fd < 0 ? weir_fail(WEIR_IO, errno, "eventfd") : start_threads(pool);
    if (err == WEIR_OK)
        *out = pool;
    else if (weir_pool_stop(pool, STOP_MS))
        weir_pool_free(pool);
    return err;
}

bool
weir_pool_stop(struct weir_pool *pool, int wait_ms)
{
    pthread_mutex_lock(&pool->lock);
    pool->stopping = true;
    for (uint32_t i = 0; i < pool->started; i++)
        if (pool->threads[i].job != NULL)
            weir_job_cancel(pool->threads[i].job);
    for (struct weir_job *job; (job = weir_queue_pop(pool->queue)) != NULL;)
        push_done(pool, job);
    pthread_cond_broadcast(&pool->wake);
    pthread_mutex_unlock(&pool->lock);
    int64_t until_ns = weir_clock_ns(CLOCK_REALTIME) + wait_ms * NS_PER_MS;
    struct timespec until = {until_ns / 1000000000, until_ns % 1000000000};
    for (uint32_t i = 0; i < pool->started; i++)
        if (pthread_timedjoin_np(pool->threads[i].handle, NULL, &until) != 0)
            return false;
    pool->started = 0;
    return true;
}

void
weir_pool_free(struct weir_pool *pool)
{
    WEIR_ASSERT(pool->started == 0 && pool->done == NULL);
    if (pool->done_fd >= 0)
        close(pool->done_fd);
    pthread_cond_destroy(&pool->wake);
    pthread_mutex_destroy(&pool->lock);
    weir_queue_free(pool->queue);
    free(pool);
}

enum weir_err
weir_pool_submit(struct weir_pool *pool, struct weir_job *job)
{
    job->submitted_ns = weir_mono_ns();
    pthread_mutex_lock(&pool->lock);
    enum weir_err err = weir_queue_push(pool->queue, job);
    if (err == WEIR_OK) /* all: a thread whose reader is not open yet leaves the job to others */
        pthread_cond_broadcast(&pool->wake);
    pthread_mutex_unlock(&pool->lock);
    return err;
}

void
weir_pool_resume(struct weir_pool *pool, struct weir_job *job)
{
    pthread_mutex_lock(&pool->lock);
    weir_queue_push_first(pool->queue, job);
    pthread_cond_broadcast(&pool->wake);
    pthread_mutex_unlock(&pool->lock);
}

void
weir_job_end_stream(struct weir_job *job)
{
    if (job->stream != NULL)
        job->stream->free(job->stream);
    weir_gzip_free(job->packer);
    job->stream = NULL;
    job->packer = NULL;
}

struct weir_job *
weir_pool_done(struct weir_pool *pool)
{
    uint64_t count;
    ssize_t got = read(pool->done_fd, &count, sizeof count);
    (void)got; /* nothing to clear */
    pthread_mutex_lock(&pool->lock);
    struct weir_job *job = pool->done;
    if (job != NULL) {
        pool->done = job->next;
        if (pool->done == NULL)
            pool->done_last = &pool->done;
    }
    pthread_mutex_unlock(&pool->lock);
    return job;
}

int
weir_pool_fd(const struct weir_pool *pool)
{
    return pool->done_fd;
}

void
weir_pool_read_state(struct weir_pool *pool, struct weir_pool_state *state)
{
    *state = (struct weir_pool_state){.durable_offset = UINT64_MAX, .series = UINT64_MAX};
    pthread_mutex_lock(&pool->lock);
    state->waiting = weir_queue_count(pool->queue);
    for (uint32_t i = 0; i < pool->started; i++) {
        const struct query_thread *thread = &pool->threads[i];
        state->running += thread->job != NULL;
        state->readers_failed += thread->open && thread->failed;
        if (!thread->open)
            continue;
        state->readers_open++;
        state->readers_behind += thread->behind_ns != 0;
        if (thread->durable_offset < state->durable_offset)
            state->durable_offset = thread->durable_offset;
        if (thread->series < state->series)
            state->series = thread->series;
        if (thread->blocks_corrupt > state->blocks_corrupt)
            state->blocks_corrupt = thread->blocks_corrupt;
    }
    memcpy(state->detail, pool->detail, sizeof state->detail);
    pthread_mutex_unlock(&pool->lock);
    if (state->readers_open == 0)
        state->durable_offset = state->series = 0;
}
