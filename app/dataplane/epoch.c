/* The thread that writes the log's epoch file when the log has come to rest. It waits for the
 * device as long as that takes, so it has neither a stage nor a core of its own. */
#include "app/dataplane/parts.h"
#include "base/clock.h"
#include "base/event.h"
#include "base/process.h"

#include <errno.h>
#include <sched.h>
#include <time.h>

enum weir_err
weir_dataplane_epoch_open(struct weir_dataplane *dataplane, const char *directory)
{
    struct weir_dataplane_epoch *epoch = &dataplane->epoch;
    snprintf(epoch->directory, sizeof epoch->directory, "%s", directory);
    struct weir_io_options io = {.backend = WEIR_IO_SYNC};
    enum weir_err err = weir_io_new(&io, &epoch->io);
    if (err != WEIR_OK)
        return err;
    if (sem_init(&epoch->stop, 0, 0) != 0)
        return weir_fail(WEIR_IO, errno, "semaphore");
    const struct weir_epoch as_opened = {.stream = WEIR_LOG_STREAM,
        .segment_bytes = weir_log_trim(dataplane->log)->segment_bytes,
        .dataplane_epoch = dataplane->recovery.dataplane_epoch,
        .durable_offset = weir_log_durable(dataplane->log)};
    weir_epoch_keeper_init(&epoch->keeper, epoch->directory, epoch->io,
        &dataplane->progress.durable_offset, &as_opened);
    return WEIR_OK;
}

void
weir_dataplane_epoch_close(struct weir_dataplane *dataplane)
{
    weir_io_free(dataplane->epoch.io);
}

static void *
epoch_main(void *argument)
{
    struct weir_dataplane *dataplane = argument;
    weir_process_name_thread("weir-epoch");
    struct weir_dataplane_epoch *epoch = &dataplane->epoch;
    const cpu_set_t *cores = &dataplane->topology.checkpointer_cores;
    if (CPU_COUNT(cores) != 0 && sched_setaffinity(0, sizeof *cores, cores) != 0)
        weir_event(WEIR_LEVEL_WARN, "not_pinned", "thread=weir-epoch errno=%d", errno);
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    for (;;) {
        until.tv_sec += WEIR_EPOCH_REST_NS / 1000000000;
        int result;
        while ((result = sem_clockwait(&epoch->stop, CLOCK_MONOTONIC, &until)) != 0 &&
            errno == EINTR)
            continue;
        if (result == 0)
            return NULL;
        (void)weir_epoch_keeper_run_once(&epoch->keeper, weir_mono_ns());
        clock_gettime(CLOCK_MONOTONIC, &until);
    }
}

enum weir_err
weir_dataplane_epoch_start(struct weir_dataplane *dataplane)
{
    struct weir_dataplane_epoch *epoch = &dataplane->epoch;
    int failed = pthread_create(&epoch->handle, NULL, epoch_main, dataplane);
    if (failed != 0)
        return weir_fail(WEIR_NOMEM, failed, "thread weir-epoch");
    epoch->started = true;
    return WEIR_OK;
}

void
weir_dataplane_epoch_stop(struct weir_dataplane *dataplane)
{
    struct weir_dataplane_epoch *epoch = &dataplane->epoch;
    if (!epoch->started)
        return;
    sem_post(&epoch->stop);
    pthread_join(epoch->handle, NULL);
    epoch->started = false;
}
