#include "storage/log/upkeep/epoch_keeper.h"

#include "base/event.h"
#include "storage/log/epoch.h"
#include "storage/log/upkeep/checkpointer.h"

void
weir_epoch_keeper_init(struct weir_epoch_keeper *keeper, const char *directory,
    struct weir_io *io, const _Atomic uint64_t *durable, const struct weir_epoch *epoch)
{
    *keeper = (struct weir_epoch_keeper){.directory = directory,
        .io = io,
        .durable = durable,
        .epoch = *epoch,
        .seen = epoch->durable_offset};
}

static void
failed(struct weir_epoch_keeper *keeper, enum weir_err err, int64_t now_ns)
{
    keeper->stopped = !weir_io_is_short(err);
    if (keeper->failures++ == 0 || keeper->stopped) /* once, not at every try */
        weir_event(WEIR_LEVEL_WARN, "epoch_not_written", "retry=%s reason=\"%s\"",
            keeper->stopped ? "no" : "yes", weir_err_detail());
    keeper->retry_ns = now_ns + weir_checkpointer_retry_ns(keeper->failures);
}

bool
weir_epoch_keeper_run_once(struct weir_epoch_keeper *keeper, int64_t now_ns)
{
    /* relaxed: the number alone is used, and the log writer stores it after the sync */
    uint64_t durable = atomic_load_explicit(keeper->durable, memory_order_relaxed);
    if (durable != keeper->seen) {
        keeper->seen = durable;
        keeper->seen_ns = now_ns;
        return false;
    }
    if (durable <= keeper->epoch.durable_offset || keeper->stopped ||
        now_ns - keeper->seen_ns < WEIR_EPOCH_REST_NS || now_ns < keeper->retry_ns)
        return false;
    struct weir_epoch epoch = keeper->epoch;
    epoch.durable_offset = durable;
    enum weir_err err = weir_epoch_write(keeper->io, keeper->directory, epoch);
    if (err != WEIR_OK) {
        failed(keeper, err, now_ns);
        return false;
    }
    keeper->epoch = epoch;
    keeper->failures = 0;
    return true;
}
