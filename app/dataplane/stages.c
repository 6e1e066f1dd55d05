/* The stages of the topology: the calls of each kind of stage for the threads' loop (run.c). */
#include "app/dataplane/parts.h"
#include "base/clock.h"

#define REGISTRAR_SECONDS 0.00025
/* Longest sleep of a registrar that waits for room: the writer wakes nobody. */
#define REGISTRAR_SLEEP_NS 300000

static struct weir_worker *
worker_of(const struct weir_dataplane_stage *stage)
{
    return stage->dataplane->workers[stage->index];
}

static int64_t
ns_of_ms(uint32_t ms)
{
    return (int64_t)ms * 1000000;
}

static size_t
worker_run_once(void *self, const struct weir_topology_round *round)
{
    struct weir_dataplane_stage *stage = self;
    uint64_t start = weir_tsc();
    size_t work = 0;
    if (round->stopping)
        stage->drained = weir_worker_drain(worker_of(stage));
    else
        work = weir_worker_run_once(worker_of(stage));
    stage->ticks = weir_tsc() - start;
    return work;
}

static bool
worker_idle(void *self)
{
    const struct weir_dataplane_stage *stage = self;
    return stage->drained;
}

static int64_t
worker_deadline_ns(void *self, int64_t now_ns)
{
    (void)now_ns;
    return weir_worker_deadline_ns(worker_of(self));
}

static bool
worker_waits(void *self)
{
    return weir_worker_waits(worker_of(self));
}

/* The last answers: everything that can be durable is. */
static void
worker_end(void *self)
{
    weir_worker_drain(worker_of(self));
}

static void
worker_follow(void *self, const struct weir_config *config)
{
    weir_worker_follow(worker_of(self), (int64_t)config->retention_raw_ms,
        ns_of_ms(config->flush_interval_ms), ns_of_ms(config->ack_interval_ms));
}

static bool
worker_wait_fd(void *self, uint32_t index, int *fd)
{
    const struct weir_dataplane_stage *stage = self;
    const struct weir_worker_options *worker = &stage->dataplane->worker_options[stage->index];
    if (index == worker->port_count)
        return false;
    *fd = worker->ports[index]->ops->wait_fd(worker->ports[index]);
    return true;
}

/* Known series do not wait for unknown ones: a registrar that shares its thread with a worker of
 * known series has a quarter of a millisecond a round, less than any queue in front of the worker
 * holds, and where more packets wait a sixteenth of the worker's time for its round. */
static uint64_t
registrar_ticks(const struct weir_dataplane_stage *worker)
{
    switch (weir_worker_load(worker_of(worker))) {
    case WEIR_LOAD_FULL:
        return worker->ticks / 16 + 1;
    case WEIR_LOAD_SOME:
        return (uint64_t)(weir_tsc_hz() * REGISTRAR_SECONDS);
    default:
        return 0;
    }
}

static size_t
registrar_run_once(void *self, const struct weir_topology_round *round)
{
    const struct weir_dataplane_stage *stage = self;
    struct weir_dataplane *dataplane = stage->dataplane;
    if (stage->beside != NULL)
        weir_registrar_limit(
            dataplane->registrar, round->stopping ? 0 : registrar_ticks(stage->beside));
    size_t work = weir_registrar_run_once(dataplane->registrar);
    if (round->last)
        weir_registrar_flush(dataplane->registrar);
    atomic_store_explicit(&dataplane->shared->series_count, weir_series_count(dataplane->series),
        memory_order_relaxed);
    return work;
}

static bool
registrar_idle(void *self)
{
    const struct weir_dataplane_stage *stage = self;
    return weir_registrar_idle(stage->dataplane->registrar);
}

static int64_t
registrar_deadline_ns(void *self, int64_t now_ns)
{
    return registrar_idle(self) ? INT64_MAX : now_ns + REGISTRAR_SLEEP_NS;
}

static void
registrar_follow(void *self, const struct weir_config *config)
{
    const struct weir_dataplane_stage *stage = self;
    weir_registrar_follow(stage->dataplane->registrar, ns_of_ms(config->flush_interval_ms),
        ns_of_ms(config->ack_interval_ms));
}

static bool
no_wait_fd(void *self, uint32_t index, int *fd)
{
    (void)self;
    (void)index;
    (void)fd;
    return false;
}

static size_t
writer_run_once(void *self, const struct weir_topology_round *round)
{
    const struct weir_dataplane_stage *stage = self;
    (void)round;
    return weir_writer_run_once(stage->dataplane->writer);
}

static bool
writer_idle(void *self)
{
    const struct weir_dataplane_stage *stage = self;
    return weir_writer_idle(stage->dataplane->writer);
}

static int64_t
no_deadline_ns(void *self, int64_t now_ns)
{
    (void)self;
    (void)now_ns;
    return INT64_MAX;
}

static bool
writer_wait_fd(void *self, uint32_t index, int *fd)
{
    const struct weir_dataplane_stage *stage = self;
    *fd = weir_io_wait_fd(stage->dataplane->io);
    return index == 0;
}

static const struct weir_topology_ops kinds[WEIR_TOPOLOGY_KINDS] = {
    [WEIR_TOPOLOGY_WORKER] = {.run_once = worker_run_once,
        .idle = worker_idle,
        .deadline_ns = worker_deadline_ns,
        .waits = worker_waits,
        .follow = worker_follow,
        .end = worker_end,
        .wait_fd = worker_wait_fd},
    [WEIR_TOPOLOGY_REGISTRAR] = {.run_once = registrar_run_once,
        .idle = registrar_idle,
        .deadline_ns = registrar_deadline_ns,
        .follow = registrar_follow,
        .wait_fd = no_wait_fd},
    [WEIR_TOPOLOGY_WRITER] = {.run_once = writer_run_once,
        .idle = writer_idle,
        .deadline_ns = no_deadline_ns,
        .wait_fd = writer_wait_fd},
};

void
weir_dataplane_stages_bind(struct weir_dataplane *dataplane)
{
    struct weir_topology *topology = &dataplane->topology;
    for (uint32_t i = 0; i < topology->stage_count; i++) {
        struct weir_topology_stage *plan = &topology->stages[i];
        struct weir_dataplane_stage *stage = &dataplane->stages[i];
        stage->dataplane = dataplane;
        stage->index = plan->index;
        if (plan->kind == WEIR_TOPOLOGY_REGISTRAR && i > 0 && plan->thread == plan[-1].thread)
            stage->beside = stage - 1;
        plan->ops = &kinds[plan->kind];
        plan->self = stage;
    }
}
