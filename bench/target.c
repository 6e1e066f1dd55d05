#include "bench/target_internal.h"

#include "app/programs.h"
#include "app/supervisor/locks.h"
#include "base/clock.h"
#include "base/escape.h"
#include "base/replace.h"
#include "bench/conditions.h"
#include "bench/cpu.h"
#include "bench/load/feed.h"
#include "config/config.h"
#include "model/shared.h"
#include "storage/log/checkpoint.h"
#include "storage/log/format.h"
#include "storage/log/segments.h"
#include "storage/reader.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define FRAME_RING_BYTES (UINT64_C(512) << 20)
#define OPEN_WAIT_NS (INT64_C(120) * 1000000000)
#define STOP_WAIT_NS (INT64_C(10) * 1000000000)
#define SPARE_BYTES_MAX (UINT64_C(512) << 20)
#define TMPFS_MAGIC_NUMBER 0x01021994

static const enum weir_proto protos[WEIR_BENCH_PROTOS] = {
    [WEIR_BENCH_INFLUX] = WEIR_PROTO_INFLUX,
    [WEIR_BENCH_GRAPHITE] = WEIR_PROTO_GRAPHITE,
    [WEIR_BENCH_WEIR] = WEIR_PROTO_WEIR};

void
weir_bench_target_path(char *out, size_t size, const char *data, const char *name)
{
    snprintf(out, size, "%s/%s", data, name);
}

static enum weir_err
check_disk(const char *data, uint64_t need)
{
    struct statfs kind;
    struct statvfs room;
    if (statfs(data, &kind) != 0 || statvfs(data, &room) != 0)
        return weir_fail(WEIR_IO, errno, "look at %s", data);
    if (kind.f_type == TMPFS_MAGIC_NUMBER)
        return weir_fail(WEIR_INVALID, 0, "%s is on tmpfs: nothing there is durable", data);
    uint64_t free_bytes = (uint64_t)room.f_bavail * room.f_frsize;
    if (free_bytes < need)
        return weir_fail(WEIR_INVALID, 0, "%s has %" PRIu64 " MiB free, this run may need %" PRIu64,
            data, free_bytes >> 20, need >> 20);
    return WEIR_OK;
}

enum weir_err
weir_bench_target_prepare(const char *data, uint64_t need)
{
    char run[WEIR_CONFIG_PATH_MAX + 8];
    weir_bench_target_path(run, sizeof run, data, "run");
    bool made = mkdir(data, 0755) == 0;
    if (!made && errno != EEXIST)
        return weir_fail(WEIR_IO, errno, "make %s", data);
    enum weir_err err = check_disk(data, need);
    if (err == WEIR_OK && mkdir(run, 0755) != 0 && errno != EEXIST)
        err = weir_fail(WEIR_IO, errno, "make %s", run);
    if (err != WEIR_OK && made)
        (void)rmdir(data);
    return err;
}

static enum weir_err
pass_definition(void *context, uint64_t number, const uint8_t *labels, size_t size)
{
    (void)context;
    (void)number;
    (void)labels;
    (void)size;
    return WEIR_OK;
}

/* Series the log of an earlier run has defined; the table must hold them too. */
static enum weir_err
known_series(const char *data, uint64_t *out)
{
    char directory[WEIR_CONFIG_PATH_MAX + 8];
    weir_bench_target_path(directory, sizeof directory, data, "log/0");
    *out = 0;
    if (access(directory, F_OK) != 0)
        return WEIR_OK;
    struct weir_reader *reader;
    struct weir_reader_options reader_options = {.directory = directory,
        .define = pass_definition};
    enum weir_err err = weir_reader_open_with(&reader_options, &reader);
    if (err != WEIR_OK)
        return err;
    *out = weir_reader_series_count(reader);
    weir_reader_close(reader);
    return WEIR_OK;
}

/* Bytes of log.size_max that the log of an earlier run uses: all its files, wherever it begins. */
static enum weir_err
segment_bytes_there(const char *data, uint64_t *out)
{
    char directory[WEIR_CONFIG_PATH_MAX + 8];
    char path[WEIR_CONFIG_PATH_MAX + 64];
    struct stat status;
    struct weir_io *io;
    struct weir_io_options options = {.backend = WEIR_IO_SYNC};
    uint64_t *indexes;
    size_t count;
    *out = 0;
    weir_bench_target_path(directory, sizeof directory, data, "log/0");
    if (access(directory, F_OK) != 0)
        return WEIR_OK;
    enum weir_err err = weir_io_new(&options, &io);
    if (err != WEIR_OK)
        return err;
    err = weir_segment_list(io, directory, &indexes, &count);
    for (size_t i = 0; err == WEIR_OK && i < count; i++) {
        weir_log_segment_path(directory, indexes[i], path, sizeof path);
        if (stat(path, &status) != 0)
            err = weir_fail(WEIR_IO, errno, "look at %s", path);
        else
            *out += (uint64_t)status.st_size;
    }
    free(indexes);
    weir_io_free(io);
    return err;
}

static void
add_listener(struct weir_config *config, const struct weir_bench_target *target)
{
    struct weir_config_listener *listener = &config->listeners[config->listener_count++];
    *listener = (struct weir_config_listener){
        .proto = protos[target->proto],
        .transport = target->source == WEIR_BENCH_UDP ? WEIR_CONFIG_UDP : WEIR_CONFIG_TCP,
        .time_unit = target->proto == WEIR_BENCH_GRAPHITE ? WEIR_TIME_S : WEIR_TIME_NS,
        .port = weir_bench_feed_port(target->feed)};
    snprintf(listener->address, sizeof listener->address, "127.0.0.1");
}

static enum weir_err
write_config(const struct weir_bench_target *target, const struct weir_bench_room *room,
    char *path, size_t size)
{
    uint64_t series = room->series;
    const char *data = target->data;
    struct weir_config *config = calloc(1, sizeof *config);
    if (config == NULL)
        return weir_fail(WEIR_NOMEM, 0, "configuration");
    uint64_t known, there = 0;
    enum weir_err err = known_series(data, &known);
    if (err == WEIR_OK)
        err = segment_bytes_there(data, &there);
    weir_config_init(config);
    snprintf(config->data, sizeof config->data, "%s", data);
    config->listener_count = 0;
    if (weir_bench_feed_port(target->feed) != 0)
        add_listener(config, target);
    config->http_port = 0;
    config->workers = target->workers;
    config->series_max = series + (err == WEIR_OK ? known : 0) + 1024;
    /* an agent is 200 series; those of earlier runs come again */
    config->channels_max = (uint32_t)(config->series_max / 200) + 1024;
    config->frame_ring_bytes = FRAME_RING_BYTES;
    /* a machine that has run a while has its memory; one just made would be measured instead */
    config->prefault = true;
    config->log_size_max = room->log_bytes + (room->recycles ? 0 : there);
    config->log_full = room->recycles ? WEIR_CONFIG_RECYCLE : WEIR_CONFIG_REFUSE;
    if (room->segment_bytes != 0)
        config->log_segment_bytes = room->segment_bytes;
    weir_bench_target_path(path, size, data, "run/bench.yaml");
    int fd = -1;
    if (err == WEIR_OK)
        err = weir_open_regular(path, O_WRONLY | O_CREAT | O_TRUNC, 0640, &fd);
    FILE *file = fd >= 0 ? fdopen(fd, "w") : NULL;
    if (fd >= 0 && file == NULL) {
        err = weir_fail(WEIR_NOMEM, errno, "write %s", path);
        close(fd);
    }
    if (file != NULL) {
        weir_config_print(config, file);
        if (fclose(file) != 0)
            err = weir_fail(WEIR_IO, errno, "write %s", path);
    }
    free(config);
    return err;
}

static void
pin_generator(void)
{
    /* the dataplane takes the last core it may use; the first one is left for the generator */
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) != 0 || CPU_COUNT(&set) < 2)
        return;
    for (int core = 0; core < CPU_SETSIZE; core++) {
        if (!CPU_ISSET(core, &set))
            continue;
        CPU_ZERO(&set);
        CPU_SET(core, &set);
        sched_setaffinity(0, sizeof set, &set);
        return;
    }
}

static _Noreturn void
child_exec(const struct weir_bench_target *target, const char *config)
{
    char self[WEIR_CONFIG_PATH_MAX];
    if (weir_programs_private(self, sizeof self - 32) != WEIR_OK)
        _exit(127);
    snprintf(self + strlen(self), 32, "/weir-dataplane");
    char parent[16];
    char shared[16];
    snprintf(parent, sizeof parent, "%d", (int)getppid());
    snprintf(shared, sizeof shared, "%d", target->shared_fd);
    fcntl(target->shared_fd, F_SETFD, 0);
    char rings[WEIR_WORKERS_MAX][32];
    const char *arguments[7 + WEIR_WORKERS_MAX + 1] = {"weir-dataplane", "--config", config,
        "--parent", parent, "--shared-fd", shared};
    for (uint32_t i = 0; i < WEIR_WORKERS_MAX; i++) {
        int ring_fd = weir_bench_feed_ring_fd(target->feed, i);
        if (ring_fd < 0)
            break;
        snprintf(rings[i], sizeof rings[i], "--ring-source-fd=%d", ring_fd);
        fcntl(ring_fd, F_SETFD, 0);
        arguments[7 + i] = rings[i];
    }
    execv(self, (char *const *)arguments);
    weir_line_print(stderr, "weir bench: %s: %s", self, strerror(errno));
    _exit(127);
}

static enum weir_err
wait_open(struct weir_bench_target *target)
{
    int64_t limit_ns = weir_mono_ns() + OPEN_WAIT_NS;
    while (weir_mono_ns() < limit_ns) {
        /* acquire pairs with the release in announce (app/dataplane/dataplane.c) */
        if (atomic_load_explicit(&target->shared->epoch, memory_order_acquire) != 0)
            return WEIR_OK;
        if (!weir_bench_target_alive(target))
            return weir_fail(WEIR_IO, 0, "the dataplane ended at its start");
        usleep(1000);
    }
    return weir_fail(WEIR_AGAIN, 0, "ingest did not open in time");
}

static enum weir_err
start(struct weir_bench_target *target, const char *config)
{
    enum weir_err err = weir_shared_new(FRAME_RING_BYTES, &target->shared_fd);
    if (err == WEIR_OK)
        err = weir_shared_map(target->shared_fd, &target->shared);
    if (err != WEIR_OK)
        return err;
    target->pid = fork();
    if (target->pid < 0)
        return weir_fail(WEIR_IO, errno, "fork");
    if (target->pid == 0)
        child_exec(target, config);
    err = wait_open(target);
    if (err == WEIR_OK)
        err = weir_bench_feed_connect(target->feed, target->shared);
    pin_generator();
    return err;
}

/* Of the log: the segment made ahead, and the samples under way when the generator stops. */
static uint64_t
spare_bytes(uint64_t log_bytes)
{
    return log_bytes / 4 < SPARE_BYTES_MAX ? log_bytes / 4 : SPARE_BYTES_MAX;
}

enum weir_err
weir_bench_target_open(const char *data, enum weir_bench_source source,
    enum weir_bench_proto proto, uint32_t ring_slots, uint32_t workers,
    const struct weir_bench_room *room, struct weir_bench_target **out)
{
    struct weir_bench_target *target = calloc(1, sizeof *target);
    if (target == NULL)
        return weir_fail(WEIR_NOMEM, 0, "target");
    snprintf(target->data, sizeof target->data, "%s", data);
    target->shared_fd = -1;
    target->source = source;
    target->proto = proto;
    target->workers = workers;
    char path[WEIR_CONFIG_PATH_MAX + 32];
    weir_bench_target_path(path, sizeof path, data, "lock");
    enum weir_err err = WEIR_OK;
    target->lock_fd = target->data_fd = -1;
    err = weir_locks_folder(data, &target->data_fd);
    if (err == WEIR_OK)
        err = weir_open_regular(path, O_RDWR | O_CREAT, 0640, &target->lock_fd);
    if (err == WEIR_OK && flock(target->lock_fd, LOCK_EX | LOCK_NB) != 0)
        err = WEIR_BUSY;
    if (err == WEIR_BUSY)
        err = weir_fail(WEIR_BUSY, 0, "%s is in use by a running instance", data);
    if (err == WEIR_OK)
        err = weir_bench_feed_new(source, proto, ring_slots, workers > 0 ? workers : 1,
            &target->feed);
    if (err == WEIR_OK)
        err = write_config(target, room, path, sizeof path);
    if (err == WEIR_OK)
        err = start(target, path);
    if (err == WEIR_OK)
        target->log_limit = room->recycles
            ? UINT64_MAX
            : weir_bench_target_end(target) + room->log_bytes - spare_bytes(room->log_bytes);
    if (err != WEIR_OK) {
        char kept[256];
        snprintf(kept, sizeof kept, "%s", weir_err_detail());
        weir_bench_target_close(target);
        return weir_fail(err, 0, "%s", kept);
    }
    *out = target;
    return WEIR_OK;
}

bool
weir_bench_target_alive(struct weir_bench_target *target)
{
    if (!target->reaped && waitpid(target->pid, &target->status, WNOHANG) == target->pid)
        target->reaped = true;
    return !target->reaped;
}

static bool
stop(struct weir_bench_target *target)
{
    kill(target->pid, SIGTERM);
    int64_t limit_ns = weir_mono_ns() + STOP_WAIT_NS;
    while (weir_bench_target_alive(target) && weir_mono_ns() < limit_ns)
        usleep(1000);
    if (weir_bench_target_alive(target)) {
        kill(target->pid, SIGKILL);
        waitpid(target->pid, &target->status, 0);
        return false;
    }
    return WIFEXITED(target->status) && WEXITSTATUS(target->status) == 0;
}

bool
weir_bench_target_close(struct weir_bench_target *target)
{
    bool clean = true;
    if (target->pid > 0)
        clean = stop(target);
    if (target->feed != NULL)
        weir_bench_feed_free(target->feed);
    if (target->shared != NULL)
        weir_shared_unmap(target->shared);
    if (target->lock_fd >= 0)
        close(target->lock_fd);
    if (target->data_fd >= 0)
        close(target->data_fd);
    if (target->shared_fd >= 0)
        close(target->shared_fd);
    free(target);
    return clean;
}

void
weir_bench_target_select(struct weir_bench_target *target, uint32_t worker)
{
    weir_bench_feed_select(target->feed, worker);
}

uint8_t *
weir_bench_target_reserve(struct weir_bench_target *target)
{
    uint8_t *slot;
    for (uint64_t tries = 1; (slot = weir_bench_feed_reserve(target->feed)) == NULL; tries++) {
        if (tries % (1 << 20) == 0 &&
            (!weir_bench_target_alive(target) || weir_bench_target_refuses(target) != NULL))
            return NULL;
    }
    return slot;
}

bool
weir_bench_target_nearly_full(const struct weir_bench_target *target)
{
    return weir_bench_target_end(target) >= target->log_limit;
}

const char *
weir_bench_target_refuses(const struct weir_bench_target *target)
{
    /* relaxed: a hint; a late reader looks again */
    uint32_t state = atomic_load_explicit(&target->shared->state, memory_order_relaxed);
    if (state == WEIR_INGEST_IO_ERROR)
        return "a write to the log failed";
    if (state == WEIR_INGEST_DISK_FULL && target->log_limit != UINT64_MAX)
        return "the log is full: --log-bytes gives it more, --recycle lets it turn over";
    return NULL;
}

uint8_t *
weir_bench_target_try_reserve(struct weir_bench_target *target)
{
    return weir_bench_feed_reserve(target->feed);
}

void
weir_bench_target_flush(struct weir_bench_target *target)
{
    (void)weir_bench_feed_flush(target->feed);
}

void
weir_bench_target_filled(struct weir_bench_target *target, bool filled)
{
    weir_bench_feed_filled(target->feed, filled);
}

void
weir_bench_target_payload(struct weir_bench_target *target, uint32_t payload_max)
{
    weir_bench_feed_payload(target->feed, payload_max);
}

void
weir_bench_target_unpaced(struct weir_bench_target *target, bool unpaced)
{
    weir_bench_feed_unpaced(target->feed, unpaced);
}

void
weir_bench_target_commit(struct weir_bench_target *target, size_t size)
{
    weir_bench_feed_commit(target->feed, size);
}
