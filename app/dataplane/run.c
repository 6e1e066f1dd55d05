#include "app/dataplane/parts.h"
#include "base/clock.h"
#include "base/event.h"
#include "base/process.h"
#include "config/live.h"

#include <errno.h>
#include <sched.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

/* After a round with a whole burst, or one this long, more packets may wait: the next round follows
 * at once. After a shorter one the thread naps, because the next round should find a burst and not
 * a packet or two. Datagrams received one by one cost more than twice as much and slow down their
 * sender. Each nap costs thousands of cycles itself: 43-67 cycles a sample for naps of 100 us at
 * 235,000 datagrams a second, 33-38 for 200 us, 28-31 for 300 us.
 *
 * The queues must hold more than arrives in a nap. A datagram of 512 bytes takes 116 ns at 40
 * Gbit/s with its headers: the 2,048 buffers of AF_XDP are full in 237 us, the 4,096 descriptors
 * that are asked of another device in 473 us; a device with fewer than 1,800 is too short for that
 * rate. 4,096 of the smallest frames take 69 us. No nap follows a whole burst. */
#define BUSY_ROUND_NS 50000
#define NAP_NS 200000
/* Rounds without work before a thread sleeps until something comes: two milliseconds of naps. */
#define IDLE_ROUNDS 10
/* Longest sleep with every source of work on a descriptor; bounds the reaction to a stop and the
 * heartbeat. */
#define SLEEP_MAX_NS 50000000
_Static_assert(SLEEP_MAX_NS < WEIR_HEARTBEAT_NS, "an idle thread beats in time");
/* Longest sleep where other threads or a polled port bring work without a descriptor. */
#define SLEEP_POLL_NS 300000
#define DRAIN_NS (INT64_C(4) * 1000000000)
/* A full log may have no room for an unlimited time. Samples that wait for it were not
 * acknowledged, and if the supervisor has died this process must be gone within a second. */
#define DRAIN_FULL_NS (INT64_C(500) * 1000000)

/* Shutdown goes down the pipeline: the stages of a kind end once those of the kind before have.
 *
 *   RUN --stop--> WORKERS --all drained--> REGISTRAR --flushed--> WRITER --idle--> END
 *    any of the middle ones --four seconds, half a second where the log takes nothing--> END
 */
enum weir_dataplane_phase {
    RUN,
    WORKERS = 1 + WEIR_TOPOLOGY_WORKER,
    REGISTRAR = 1 + WEIR_TOPOLOGY_REGISTRAR,
    WRITER = 1 + WEIR_TOPOLOGY_WRITER,
    END = 1 + WEIR_TOPOLOGY_KINDS
};

static enum weir_dataplane_phase
phase_of_kind(enum weir_topology_kind kind)
{
    return (enum weir_dataplane_phase)(1 + kind);
}

static enum weir_dataplane_phase
phase_of(struct weir_dataplane *dataplane)
{
    /* acquire pairs with the release in phase_next */
    return atomic_load_explicit(&dataplane->phase, memory_order_acquire);
}

/* Whether those of the thread's stages that this phase ends have ended. */
static bool
stages_ended(const struct weir_dataplane_thread *thread, enum weir_dataplane_phase phase)
{
    for (uint32_t i = 0; i < thread->plan->stage_count; i++) {
        const struct weir_topology_stage *stage = &thread->stages[i];
        if (phase_of_kind(stage->kind) == phase && !stage->ops->idle(stage->self))
            return false;
    }
    return true;
}

/* One round over the thread's stages. */
static size_t
thread_round(struct weir_dataplane_thread *thread, enum weir_dataplane_phase phase)
{
    size_t work = 0;
    for (uint32_t i = 0; i < thread->plan->stage_count; i++) {
        const struct weir_topology_stage *stage = &thread->stages[i];
        const struct weir_topology_round round = {
            .stopping = phase != RUN, .last = phase >= phase_of_kind(stage->kind)};
        work += stage->ops->run_once(stage->self, &round);
    }
    /* release pairs with the acquire in phase_next. The word holds the phase: an answer of an
     * earlier phase does not count for a later one. */
    uint32_t said = stages_ended(thread, phase) ? (uint32_t)phase : RUN;
    atomic_store_explicit(&thread->drained, said, memory_order_release);
    return work;
}

/* A full or failed log makes only the frames under way durable. */
static bool
log_refuses(struct weir_dataplane *dataplane)
{
    /* relaxed: a hint; a thread that misses it waits a round longer */
    uint32_t state = atomic_load_explicit(&dataplane->progress.state, memory_order_relaxed);
    return state == WEIR_INGEST_DISK_FULL || state == WEIR_INGEST_IO_ERROR;
}

/* Main thread: moves to the next phase where every thread has said that this one is done. */
static void
phase_next(struct weir_dataplane *dataplane, int64_t *stopped_ns)
{
    enum weir_dataplane_phase phase = phase_of(dataplane);
    int64_t limit_ns = log_refuses(dataplane) ? DRAIN_FULL_NS : DRAIN_NS;
    if (phase == RUN) {
        if (!*dataplane->stop)
            return;
        *stopped_ns = weir_mono_ns();
        /* relaxed: it carries no data */
        atomic_store_explicit(&dataplane->shared->state, WEIR_INGEST_STOPPING,
            memory_order_relaxed);
        weir_event(WEIR_LEVEL_INFO, "stopping", "reason=signal");
    } else if (weir_mono_ns() - *stopped_ns < limit_ns) {
        /* acquire pairs with the release of drained in thread_round */
        for (uint32_t i = 0; i < dataplane->topology.thread_count; i++)
            if (atomic_load_explicit(&dataplane->threads[i].drained, memory_order_acquire) !=
                (uint32_t)phase)
                return;
        phase++;
    } else {
        weir_event(WEIR_LEVEL_WARN, "stop_cut_short", "after_ms=%d log_takes_nothing=%d",
            (int)(limit_ns / 1000000), (int)log_refuses(dataplane));
        phase = END;
    }
    if (phase == RUN)
        phase = WORKERS;
    /* release pairs with the acquire in phase_of */
    atomic_store_explicit(&dataplane->phase, phase, memory_order_release);
}

/* Sleeps until a descriptor has news or the next flush is due. */
static void
thread_sleep(struct weir_dataplane_thread *thread, enum weir_dataplane_phase phase)
{
    struct weir_dataplane *dataplane = thread->dataplane;
    bool alone = dataplane->topology.thread_count == 1 && !thread->polls;
    int64_t sleep_ns = alone && phase == RUN ? SLEEP_MAX_NS : SLEEP_POLL_NS;
    int64_t now_ns = weir_mono_ns();
    for (uint32_t i = 0; i < thread->plan->stage_count; i++) {
        const struct weir_topology_stage *stage = &thread->stages[i];
        int64_t due_ns = stage->ops->deadline_ns(stage->self, now_ns) - now_ns;
        if (due_ns < sleep_ns)
            sleep_ns = due_ns;
    }
    if (sleep_ns <= 0)
        return;
    struct timespec timeout = {.tv_nsec = sleep_ns};
    struct epoll_event event;
    epoll_pwait2(thread->epoll_fd, &event, 1, &timeout, NULL);
}

static void
nap(void)
{
    struct timespec time = {.tv_nsec = NAP_NS};
    clock_nanosleep(CLOCK_MONOTONIC, 0, &time, NULL);
}

/* Whether packets wait for the registrar: the next round, not a nap, brings its answer nearer. */
static bool
waits(const struct weir_dataplane_thread *thread)
{
    for (uint32_t i = 0; i < thread->plan->stage_count; i++) {
        const struct weir_topology_stage *stage = &thread->stages[i];
        if (stage->ops->waits != NULL && stage->ops->waits(stage->self))
            return true;
    }
    return false;
}

static void
thread_pin(const struct weir_topology_thread *plan)
{
    if (plan->core < 0)
        return;
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(plan->core, &set);
    if (sched_setaffinity(0, sizeof set, &set) != 0)
        weir_event(WEIR_LEVEL_WARN, "not_pinned", "thread=%s core=%d errno=%d", plan->name,
            plan->core, errno);
}

/* The thread's own stages follow a configuration that has changed. */
static void
thread_follow(struct weir_dataplane_thread *thread)
{
    struct weir_dataplane *dataplane = thread->dataplane;
    struct weir_config config;
    if (!weir_live_get(&dataplane->shared->live, &thread->live_seen, &config))
        return;
    for (uint32_t i = 0; i < thread->plan->stage_count; i++) {
        const struct weir_topology_stage *stage = &thread->stages[i];
        if (stage->ops->follow != NULL)
            stage->ops->follow(stage->self, &config);
    }
    weir_event_level(config.log_level);
}

/* The time of day costs more than the round's time stamp, which says whether one is due. */
static void
thread_beat(struct weir_dataplane_thread *thread, uint64_t now_tsc)
{
    if (now_tsc < thread->heartbeat_tsc)
        return;
    thread->heartbeat_tsc = now_tsc + (uint64_t)(weir_tsc_hz() * WEIR_HEARTBEAT_NS / 1e9);
    atomic_store_explicit(thread->heartbeat_ns, weir_mono_ns(), memory_order_relaxed);
    thread_follow(thread);
}

static void
thread_loop(struct weir_dataplane_thread *thread, bool main_thread)
{
    struct weir_dataplane *dataplane = thread->dataplane;
    int64_t stopped_ns = 0;
    unsigned idle = 0;
    uint64_t busy_tsc = (uint64_t)(weir_tsc_hz() * BUSY_ROUND_NS / 1e9);
    thread_pin(thread->plan);
    prctl(PR_SET_TIMERSLACK, 1UL); /* the default, 50 us, adds a quarter to a nap */
    for (;;) {
        enum weir_dataplane_phase phase = phase_of(dataplane);
        if (phase == END)
            break;
        uint64_t began = weir_tsc();
        thread_beat(thread, began);
        size_t work = thread_round(thread, phase);
        bool busy = work >= WEIR_BURST_MAX || weir_tsc() - began >= busy_tsc;
        idle = work > 0 ? 0 : idle + 1;
        if (main_thread)
            phase_next(dataplane, &stopped_ns);
        if (idle > IDLE_ROUNDS)
            thread_sleep(thread, phase);
        else if (!busy && phase == RUN && !waits(thread))
            nap();
    }
    for (uint32_t i = 0; i < thread->plan->stage_count; i++)
        if (thread->stages[i].ops->end != NULL)
            thread->stages[i].ops->end(thread->stages[i].self);
    atomic_store_explicit(thread->heartbeat_ns, 0, memory_order_relaxed);
}

static void *
thread_main(void *argument)
{
    struct weir_dataplane_thread *thread = argument;
    weir_process_name_thread(thread->plan->name);
    thread_loop(thread, false);
    return NULL;
}

static void
watch(struct weir_dataplane_thread *thread, int fd)
{
    struct epoll_event event = {.events = EPOLLIN};
    if (fd < 0 || epoll_ctl(thread->epoll_fd, EPOLL_CTL_ADD, fd, &event) != 0)
        thread->polls = true;
}

static enum weir_err
thread_prepare(struct weir_dataplane *dataplane, uint32_t index)
{
    struct weir_dataplane_thread *thread = &dataplane->threads[index];
    thread->dataplane = dataplane;
    thread->plan = &dataplane->topology.threads[index];
    thread->stages = &dataplane->topology.stages[thread->plan->stage_first];
    thread->heartbeat_ns = &dataplane->shared->heartbeats.at_ns[index];
    thread_beat(thread, weir_tsc()); /* one that never begins hangs too */
    thread->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (thread->epoll_fd < 0)
        return weir_fail(WEIR_NOMEM, errno, "epoll of thread %s", thread->plan->name);
    for (uint32_t i = 0; i < thread->plan->stage_count; i++) {
        const struct weir_topology_stage *stage = &thread->stages[i];
        int fd;
        for (uint32_t n = 0; stage->ops->wait_fd(stage->self, n, &fd); n++)
            watch(thread, fd);
    }
    return WEIR_OK;
}

/* Starts the threads but the first, which is the caller's; *started of all run then. */
static enum weir_err
threads_start(struct weir_dataplane *dataplane, uint32_t *started)
{
    uint32_t count = dataplane->topology.thread_count;
    enum weir_err err = WEIR_OK;
    for (uint32_t i = 0; i < count; i++)
        dataplane->threads[i].epoll_fd = -1;
    for (uint32_t i = 0; i < count && err == WEIR_OK; i++)
        err = thread_prepare(dataplane, i);
    for (*started = 1; *started < count && err == WEIR_OK; *started += err == WEIR_OK) {
        struct weir_dataplane_thread *thread = &dataplane->threads[*started];
        int failed = pthread_create(&thread->handle, NULL, thread_main, thread);
        if (failed != 0)
            err = weir_fail(WEIR_NOMEM, failed, "thread %s", thread->plan->name);
    }
    if (err == WEIR_OK)
        err = weir_dataplane_epoch_start(dataplane);
    return err == WEIR_OK ? weir_dataplane_checkpoint_start(dataplane) : err;
}

enum weir_err
weir_dataplane_run(struct weir_dataplane *dataplane, const volatile sig_atomic_t *stop)
{
    uint32_t started;
    dataplane->stop = stop;
    enum weir_err err = threads_start(dataplane, &started);
    if (err == WEIR_OK)
        thread_loop(&dataplane->threads[0], true);
    else /* release pairs with the acquire in phase_of: those that run end */
        atomic_store_explicit(&dataplane->phase, END, memory_order_release);
    for (uint32_t i = 1; i < started; i++)
        pthread_join(dataplane->threads[i].handle, NULL);
    weir_dataplane_epoch_stop(dataplane);
    if (err == WEIR_OK)
        weir_dataplane_checkpoint_stop(dataplane); /* the last frames may have waited for it */
    for (uint32_t i = 0; i < dataplane->topology.thread_count; i++)
        if (dataplane->threads[i].epoll_fd >= 0)
            close(dataplane->threads[i].epoll_fd);
    return err;
}
