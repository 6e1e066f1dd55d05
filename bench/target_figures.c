/* Figures of a running target: ledger, log, CPU time, memory. */
#include "bench/target_internal.h"

#include "base/clock.h"
#include "bench/conditions.h"
#include "bench/cpu.h"
#include "bench/load/feed.h"
#include "model/shared.h"
#include "storage/log/checkpoint.h"
#include "storage/log/format.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

bool
weir_bench_target_ledger(struct weir_bench_target *target, struct weir_ledger_sum *sum)
{
    if (!weir_bench_feed_flush(target->feed))
        return false;
    usleep(1000);
    return weir_bench_target_ledger_now(target, sum);
}

bool
weir_bench_target_ledger_now(struct weir_bench_target *target, struct weir_ledger_sum *sum)
{
    enum weir_err err = weir_ledger_read(&target->shared->ledger, sum);
    return err == WEIR_OK || err == WEIR_AGAIN;
}

struct weir_ledger *
weir_bench_target_shared_ledger(struct weir_bench_target *target)
{
    return &target->shared->ledger;
}

uint64_t
weir_bench_target_datagrams(const struct weir_bench_target *target)
{
    return weir_bench_feed_datagrams(target->feed);
}

uint64_t
weir_bench_target_ahead(const struct weir_bench_target *target)
{
    return weir_bench_feed_ahead(target->feed);
}

uint64_t
weir_bench_target_first(const struct weir_bench_target *target)
{
    /* acquire pairs with the release in follow_trim (storage/log/writer/writer.c): later reads of
     * the ledger and the log are no older */
    return atomic_load_explicit(&target->shared->log_first_offset, memory_order_acquire);
}

enum weir_err
weir_bench_target_trimmed_ms(const struct weir_bench_target *target, int64_t *out)
{
    char directory[WEIR_CONFIG_PATH_MAX + 16];
    struct weir_checkpoint checkpoint;
    struct weir_io_options options = {.backend = WEIR_IO_SYNC};
    struct weir_io *io;
    weir_bench_target_path(directory, sizeof directory, target->data, "log/0");
    enum weir_err err = weir_io_new(&options, &io);
    if (err != WEIR_OK)
        return err;
    err = weir_checkpoint_read(io, directory, WEIR_LOG_STREAM, &checkpoint, NULL);
    weir_io_free(io);
    *out = err == WEIR_OK ? checkpoint.time_max_ms : INT64_MIN;
    return err == WEIR_NOT_FOUND ? WEIR_OK : err;
}

uint64_t
weir_bench_target_series(const struct weir_bench_target *target)
{
    return atomic_load_explicit(&target->shared->series_count, memory_order_relaxed);
}

uint64_t
weir_bench_target_end(const struct weir_bench_target *target)
{
    return atomic_load_explicit(&target->shared->appended_offset, memory_order_relaxed);
}

int64_t
weir_bench_target_newest_ms(const struct weir_bench_target *target)
{
    int64_t newest = atomic_load_explicit(&target->shared->durable_time_ms, memory_order_relaxed);
    return newest == INT64_MIN ? INT64_MIN + 1 : newest;
}

double
weir_bench_target_cpu_seconds(const struct weir_bench_target *target)
{
    clockid_t clock;
    if (clock_getcpuclockid(target->pid, &clock) != 0)
        return 0;
    return (double)weir_clock_ns(clock) / 1e9;
}

double
weir_bench_target_worker_seconds(const struct weir_bench_target *target, uint32_t worker)
{
    char name[16];
    if (worker == 0) /* the process's first thread */
        return weir_bench_cpu_thread(target->pid, target->pid);
    snprintf(name, sizeof name, "weir-rx-%u", worker % 100);
    return weir_bench_cpu_thread(target->pid, weir_bench_cpu_thread_find(target->pid, name));
}

void
weir_bench_target_memory(const struct weir_bench_target *target, struct weir_bench_memory *out)
{
    char text[256];
    *out = (struct weir_bench_memory){0};
    snprintf(text, sizeof text, "/proc/%d/status", (int)target->pid);
    FILE *file = fopen(text, "r");
    while (file != NULL && fgets(text, sizeof text, file) != NULL) {
        uint64_t kib;
        if (sscanf(text, "RssAnon: %" SCNu64, &kib) == 1)
            out->private_bytes = kib << 10;
        else if (sscanf(text, "RssShmem: %" SCNu64, &kib) == 1)
            out->shared_bytes = kib << 10;
    }
    if (file != NULL)
        fclose(file);
}

int
weir_bench_target_shared_fd(const struct weir_bench_target *target)
{
    return target->shared_fd;
}

void
weir_bench_target_describe(const struct weir_bench_target *target, json_t *report)
{
    json_object_set_new(report, "prefaulted", json_true());
    weir_bench_conditions_add(target->shared, target->pid, target->data, report);
}
