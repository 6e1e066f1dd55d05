#include "bench/veth/parts.h"

#include "base/clock.h"
#include "model/shared.h"

#include <unistd.h>

/* The XDP counters are read once a second: quiet for longer, and they have been. */
#define QUIET_NS (INT64_C(2500) * 1000000)

const enum weir_counter weir_veth_losses[WEIR_VETH_LOSSES] = {WEIR_COUNTER_socket_drops,
    WEIR_COUNTER_xsk_dropped, WEIR_COUNTER_xsk_ring_full,
    WEIR_COUNTER_xdp_denied, WEIR_COUNTER_xdp_martian, WEIR_COUNTER_xdp_malformed,
    WEIR_COUNTER_xdp_fragments, WEIR_COUNTER_xdp_limited, WEIR_COUNTER_xdp_no_socket};

uint64_t
weir_veth_lost(const struct weir_veth_snapshot *before, const struct weir_veth_snapshot *after)
{
    uint64_t sum = after->sent.interface_drops - before->sent.interface_drops;
    for (size_t i = 0; i < WEIR_VETH_LOSSES; i++)
        sum += after->ledger.total.counter[weir_veth_losses[i]] -
               before->ledger.total.counter[weir_veth_losses[i]];
    return sum;
}

uint64_t
weir_veth_received(const struct weir_veth_snapshot *before,
    const struct weir_veth_snapshot *after)
{
    return after->ledger.total.unit[WEIR_UNIT_PACKETS].received -
           before->ledger.total.unit[WEIR_UNIT_PACKETS].received;
}

uint64_t
weir_veth_stored(const struct weir_veth_snapshot *before, const struct weir_veth_snapshot *after)
{
    return after->ledger.total.unit[WEIR_UNIT_SAMPLES].stored -
           before->ledger.total.unit[WEIR_UNIT_SAMPLES].stored;
}

double
weir_veth_loss(const struct weir_veth_snapshot *before, const struct weir_veth_snapshot *after)
{
    return (double)weir_veth_lost(before, after) /
           (double)(after->sent.frames - before->sent.frames);
}

/* Every frame sent has met a fate that is counted. */
static bool
accounted(const struct weir_veth_snapshot *now)
{
    static const struct weir_veth_snapshot none;
    return weir_veth_received(&none, now) + weir_veth_lost(&none, now) == now->sent.frames;
}

enum weir_err
weir_veth_wait_idle(struct weir_veth *run, struct weir_veth_snapshot *now)
{
    uint64_t before = UINT64_MAX;
    bool read;
    int64_t limit_ns = weir_mono_ns() + WEIR_VETH_OPEN_WAIT_NS;
    weir_bench_frames_counts(run->frames, &now->sent);
    do {
        if (weir_mono_ns() > limit_ns || !weir_veth_instance_lives(run))
            return weir_fail(WEIR_IO, 0, "what was sent did not come to an end in time");
        /* relaxed: a hint; a late reader looks again */
        if (atomic_load_explicit(&run->shared->state, memory_order_relaxed) ==
            WEIR_INGEST_DISK_FULL)
            return weir_fail(WEIR_FULL, 0, "the log is full: it has no room for this rate");
        read = weir_ledger_read(&run->shared->ledger, &now->ledger) == WEIR_OK;
        if (read && now->ledger.total.unit[WEIR_UNIT_SAMPLES].stored != before) {
            before = now->ledger.total.unit[WEIR_UNIT_SAMPLES].stored;
            now->time_ns = weir_mono_ns();
        }
        usleep(200);
    } while (!read || now->ledger.in_flight[WEIR_UNIT_SAMPLES] != 0 ||
             (!accounted(now) && weir_mono_ns() - now->time_ns < QUIET_NS));
    now->cpu = weir_bench_cpu_read(run->pid);
    now->log_end = atomic_load_explicit(&run->shared->appended_offset, memory_order_relaxed);
    return WEIR_OK;
}
