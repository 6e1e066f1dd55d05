/* The thread that makes checkpoints of the log, where it is recycled. It waits for the device as
 * long as that takes, so it has neither a stage nor a core of its own. */
#include "app/dataplane/parts.h"
#include "base/event.h"
#include "base/process.h"

#include <errno.h>
#include <sched.h>
#include <time.h>

/* The log asks while a thirty-second of it is left, or half a segment: of the smallest segments
 * 0.18 s at 45 MB/s. */
#define LOOK_NS 20000000

enum weir_err
weir_dataplane_checkpoint_open(struct weir_dataplane *dataplane, const char *directory)
{
    struct weir_dataplane_checkpoint *checkpoint = &dataplane->checkpoint;
    if (!dataplane->topology.checkpointer)
        return WEIR_OK;
    snprintf(checkpoint->directory, sizeof checkpoint->directory, "%s", directory);
    struct weir_io_options io = {.backend = WEIR_IO_SYNC};
    enum weir_err err = weir_io_new(&io, &checkpoint->io);
    if (err != WEIR_OK)
        return err;
    struct weir_checkpointer_options options = {.directory = checkpoint->directory,
        .io = checkpoint->io,
        .trim = weir_log_trim(dataplane->log),
        .keeper_offset = dataplane->config.keeper_enabled ? &dataplane->shared->keeper.offset
                                                          : NULL,
        .stop = &checkpoint->stop};
    return weir_checkpointer_new(&options, &checkpoint->checkpointer);
}

void
weir_dataplane_checkpoint_close(struct weir_dataplane *dataplane)
{
    weir_checkpointer_free(dataplane->checkpoint.checkpointer);
    weir_io_free(dataplane->checkpoint.io);
}

/* Off the cores that others are pinned to, where any other is left. */
static void
set_cores(const cpu_set_t *cores)
{
    if (CPU_COUNT(cores) != 0 && sched_setaffinity(0, sizeof *cores, cores) != 0)
        weir_event(WEIR_LEVEL_WARN, "not_pinned", "thread=weir-checkpoint errno=%d", errno);
}

static void *
checkpoint_main(void *argument)
{
    struct weir_dataplane *dataplane = argument;
    weir_process_name_thread("weir-checkpoint");
    set_cores(&dataplane->topology.checkpointer_cores);
    /* acquire pairs with the release in weir_dataplane_checkpoint_stop */
    while (!atomic_load_explicit(&dataplane->checkpoint.stop, memory_order_acquire)) {
        struct timespec time = {.tv_nsec = LOOK_NS};
        if (!weir_checkpointer_run_once(dataplane->checkpoint.checkpointer))
            clock_nanosleep(CLOCK_MONOTONIC, 0, &time, NULL);
    }
    return NULL;
}

enum weir_err
weir_dataplane_checkpoint_start(struct weir_dataplane *dataplane)
{
    struct weir_dataplane_checkpoint *checkpoint = &dataplane->checkpoint;
    if (checkpoint->checkpointer == NULL)
        return WEIR_OK;
    int failed = pthread_create(&checkpoint->handle, NULL, checkpoint_main, dataplane);
    if (failed != 0)
        return weir_fail(WEIR_NOMEM, failed, "thread weir-checkpoint");
    return WEIR_OK;
}

void
weir_dataplane_checkpoint_stop(struct weir_dataplane *dataplane)
{
    struct weir_dataplane_checkpoint *checkpoint = &dataplane->checkpoint;
    if (checkpoint->checkpointer == NULL)
        return;
    /* release pairs with the acquire in checkpoint_main */
    atomic_store_explicit(&checkpoint->stop, true, memory_order_release);
    pthread_join(checkpoint->handle, NULL);
}
