#include "app/dataplane/dataplane.h"

#include "app/dataplane/parts.h"
#include "app/topology.h"
#include "base/clock.h"
#include "base/event.h"
#include "dataplane/protocol/protocol.h"
#include "storage/log/segments.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define KEY_FILE "key"
/* whole pages: advice is for pages */
#define KEY_BYTES ((sizeof(struct weir_hash_key) + 4095) & ~(size_t)4095)

/* Maps one region, and remembers it for the end. Its pages come when touched. */
static enum weir_err
region_map(struct weir_dataplane *dataplane, size_t bytes, void **out)
{
    WEIR_ASSERT(dataplane->region_count < WEIR_DATAPLANE_REGIONS_MAX);
    bool huge = dataplane->config.huge_pages != WEIR_CONFIG_OFF;
    enum weir_err err = weir_memory_map(bytes, &huge, out);
    if (err != WEIR_OK)
        return err;
    dataplane->regions[dataplane->region_count++] =
        (struct weir_dataplane_region){.memory = *out, .bytes = bytes};
    return WEIR_OK;
}

static void
prefault(const struct weir_dataplane *dataplane, void *memory, size_t bytes)
{
    if (dataplane->config.prefault && !weir_memory_populate(memory, bytes))
        weir_event(WEIR_LEVEL_WARN, "not_prefaulted", "bytes=%zu errno=%d", bytes, errno);
}

enum weir_err
weir_dataplane_memory(struct weir_dataplane *dataplane, size_t bytes, void **out)
{
    enum weir_err err = region_map(dataplane, bytes, out);
    if (err == WEIR_OK)
        prefault(dataplane, *out, bytes);
    return err;
}

/* Is there a log that an earlier key belongs to? */
static bool
log_exists(struct weir_dataplane *dataplane)
{
    char directory[WEIR_CONFIG_PATH_MAX + 16];
    uint64_t *indexes = NULL;
    size_t count = 0;
    snprintf(directory, sizeof directory, "%s/log/0", dataplane->config.data);
    if (weir_segment_list(dataplane->io, directory, &indexes, &count) != WEIR_OK)
        return false; /* the log's own opening reports why */
    free(indexes);
    return count != 0;
}

/* Its memory: left out of core dumps, which go to others than the data's owner. */
static enum weir_err
key_memory(struct weir_dataplane *dataplane)
{
    void *memory;
    enum weir_err err = region_map(dataplane, KEY_BYTES, &memory);
    if (err == WEIR_OK && madvise(memory, KEY_BYTES, MADV_DONTDUMP) != 0)
        err = weir_fail(WEIR_IO, errno, "keep the key out of core dumps");
    if (err == WEIR_OK)
        dataplane->key = memory;
    return err;
}

/* The installation's random key: made once, kept with the data. */
static enum weir_err
key_load(struct weir_dataplane *dataplane)
{
    uint8_t seed[WEIR_HASH_SEED_BYTES];
    char path[WEIR_CONFIG_PATH_MAX + 16];
    snprintf(path, sizeof path, "%s/" KEY_FILE, dataplane->config.data);
    weir_io_file file;
    enum weir_err err = key_memory(dataplane);
    if (err != WEIR_OK)
        return err;
    err = weir_io_open(dataplane->io, path, WEIR_IO_READ, &file);
    if (err == WEIR_OK) {
        err = weir_io_read(dataplane->io, file, seed, sizeof seed, 0);
        weir_io_close(dataplane->io, file);
    }
    if (err == WEIR_NOT_FOUND || err == WEIR_END) { /* damaged is lost */
        if (err == WEIR_END || log_exists(dataplane))
            weir_event(WEIR_LEVEL_WARN, "key_lost",
                "file=\"%s\" damaged=%d effect=\"made anew with the fingerprints; data stays "
                "served\"", path, (int)(err == WEIR_END));
        if (getentropy(seed, sizeof seed) != 0)
            return weir_fail(WEIR_IO, errno, "getentropy");
        err = weir_io_replace(dataplane->io, path, seed, sizeof seed);
    }
    if (err == WEIR_OK)
        weir_hash_key_init(dataplane->key, seed);
    explicit_bzero(seed, sizeof seed);
    return err;
}

/* Definitions that the full table cannot hold are counted for the refusal's text. */
static enum weir_err
restore_series(void *context, uint64_t number, const uint8_t *labels, size_t size)
{
    struct weir_dataplane *dataplane = context;
    dataplane->series_found = number + 1;
    if (number >= weir_series_max(dataplane->series))
        return WEIR_OK;
    return weir_series_restore(dataplane->series, number, labels, size);
}

static enum weir_err
check_series_max(const struct weir_dataplane *dataplane)
{
    uint64_t most = weir_series_max(dataplane->series);
    if (dataplane->series_found <= most)
        return WEIR_OK;
    return weir_fail(WEIR_INVALID, 0,
        "series.max is %" PRIu64 ", and data %s holds %" PRIu64 " series", most,
        dataplane->config.data, dataplane->series_found);
}

/* State entries of a frame follow the definitions that they refer to. */
static void
restore_sender_state(void *context, const uint8_t *sender_state, size_t size)
{
    struct weir_dataplane *dataplane = context;
    weir_channels_restore(
        dataplane->channels, sender_state, size, weir_series_count(dataplane->series));
}

/* Recovers the log into the series table and the senders' state. */
static enum weir_err
log_open(struct weir_dataplane *dataplane)
{
    struct weir_frame_ring *ring = weir_shared_frame_ring(dataplane->shared);
    enum weir_err err = weir_frame_ring_init(ring, dataplane->shared->frame_ring_bytes);
    if (err != WEIR_OK)
        return err;
    prefault(dataplane, ring, dataplane->shared->frame_ring_bytes);
    char directory[WEIR_CONFIG_PATH_MAX + 16];
    snprintf(directory, sizeof directory, "%s/log/0", dataplane->config.data);
    struct weir_log_options options = {.directory = directory,
        .segment_bytes = dataplane->config.log_segment_bytes,
        .size_max = dataplane->config.log_size_max,
        .io = dataplane->io,
        .ring = ring,
        .counts = &dataplane->writer_counts.counts,
        .define = restore_series,
        .define_context = dataplane,
        .sender_state = restore_sender_state,
        .sender_state_context = dataplane};
    int64_t start_ns = weir_mono_ns();
    err = weir_log_open(&options, &dataplane->log, &dataplane->recovery);
    if (err == WEIR_OK)
        err = check_series_max(dataplane);
    if (err != WEIR_OK)
        return err;
    const struct weir_log_recovery *found = &dataplane->recovery;
    weir_event(WEIR_LEVEL_INFO, "log_recovered",
        "first=%" PRIu64 " end=%" PRIu64 " frames=%" PRIu64 " series=%" PRIu64
        " torn_bytes=%" PRIu64 " corrupt_frames=%" PRIu64 " epoch=%" PRIu64 " ms=%" PRId64,
        found->first_offset, found->end_offset, found->frames, found->definitions,
        found->bytes_torn, found->frames_corrupt, found->dataplane_epoch,
        (weir_mono_ns() - start_ns) / 1000000);
    err = weir_dataplane_epoch_open(dataplane, directory);
    return err == WEIR_OK ? weir_dataplane_checkpoint_open(dataplane, directory) : err;
}

static enum weir_err
series_new(struct weir_dataplane *dataplane)
{
    const struct weir_config *config = &dataplane->config;
    void *memory;
    if (config->series_label_bytes != 0)
        weir_event(WEIR_LEVEL_WARN, "setting_gone",
            "key=series.label_bytes reason=\"no labels are kept in memory: remove it, the next "
            "release refuses it\"");
    enum weir_err err =
        weir_dataplane_memory(dataplane, weir_series_footprint(config->series_max), &memory);
    if (err == WEIR_OK)
        dataplane->series = weir_series_init(memory, config->series_max, dataplane->key);
    return err;
}

static enum weir_err
channels_new(struct weir_dataplane *dataplane)
{
    uint32_t channels_max = dataplane->config.channels_max;
    uint64_t template_bytes = dataplane->topology.template_bytes;
    void *memory;
    /* templates are for all series there may be, and maybe nobody sends any: never prefaulted */
    enum weir_err err = region_map(dataplane,
        weir_channels_footprint(channels_max, template_bytes), &memory);
    if (err == WEIR_OK)
        dataplane->channels =
            weir_channels_init(memory, channels_max, template_bytes, dataplane->key);
    if (err == WEIR_OK)
        weir_channels_watch(dataplane->channels, &dataplane->shared->channel_view);
    if (err == WEIR_OK)
        weir_channels_serve(dataplane->channels, &dataplane->shared->channel_mail);
    return err;
}

static enum weir_err
shares_new(struct weir_dataplane *dataplane, uint64_t capacity, struct weir_shares **out)
{
    uint32_t owners_max = dataplane->topology.owners_max;
    void *memory;
    enum weir_err err =
        weir_dataplane_memory(dataplane, weir_shares_footprint(owners_max), &memory);
    if (err == WEIR_OK)
        *out = weir_shares_init(memory, capacity, owners_max, dataplane->key);
    return err;
}

static enum weir_err
registrar_new(struct weir_dataplane *dataplane)
{
    const struct weir_config *config = &dataplane->config;
    struct weir_registrar_options options = {.series = dataplane->series,
        .key = dataplane->key,
        .progress = &dataplane->progress,
        .ledger = &dataplane->shared->ledger,
        .counts = &dataplane->registrar_counts.counts,
        .degraded = &dataplane->shared->degraded,
        .rejected = &dataplane->shared->rejected,
        .keep_rejected = config->keep_rejected,
        .worker_count = dataplane->topology.worker_count,
        .flush_interval_ns = (int64_t)config->flush_interval_ms * 1000000,
        .ack_interval_ns = (int64_t)config->ack_interval_ms * 1000000,
        .more_deferrals_ns = WEIR_REGISTRAR_MORE_DEFERRALS_NS};
    const struct weir_topology_link *batches =
        weir_dataplane_link(dataplane, WEIR_TOPOLOGY_REGISTRAR, 0, WEIR_TOPOLOGY_WRITER);
    options.batches = batches->full;
    options.empties = batches->empty;
    for (uint32_t i = 0; i < options.worker_count; i++) {
        const struct weir_topology_link *deferrals =
            weir_dataplane_link(dataplane, WEIR_TOPOLOGY_WORKER, i, WEIR_TOPOLOGY_REGISTRAR);
        options.workers[i] = (struct weir_registrar_worker){
            .deferrals = deferrals->full, .completed = deferrals->empty, .edge = deferrals->edge};
    }
    void *parsed = NULL;
    enum weir_err err = weir_dataplane_memory(dataplane, sizeof(struct weir_parsed), &parsed);
    options.parsed = parsed;
    options.trusted = weir_config_trusted(config);
    if (err == WEIR_OK)
        err = shares_new(dataplane, weir_series_max(dataplane->series), &options.series_shares);
    return err != WEIR_OK ? err : weir_registrar_new(&options, &dataplane->registrar);
}

static enum weir_err
worker_new(struct weir_dataplane *dataplane, uint32_t index)
{
    const struct weir_config *config = &dataplane->config;
    const struct weir_topology_link *batches =
        weir_dataplane_link(dataplane, WEIR_TOPOLOGY_WORKER, index, WEIR_TOPOLOGY_WRITER);
    const struct weir_topology_link *deferrals =
        weir_dataplane_link(dataplane, WEIR_TOPOLOGY_WORKER, index, WEIR_TOPOLOGY_REGISTRAR);
    void *raw = NULL;
    void *parsed = NULL;
    enum weir_err err = weir_dataplane_memory(
        dataplane, weir_series_cache_footprint(dataplane->topology.series_cache_entries), &raw);
    if (err == WEIR_OK)
        err = weir_dataplane_memory(dataplane, sizeof(struct weir_parsed), &parsed);
    if (err != WEIR_OK)
        return err;
    struct weir_worker_options *options = &dataplane->worker_options[index];
    *options = (struct weir_worker_options){.index = index,
        .series = dataplane->series,
        .series_cache = weir_series_cache_init(raw, dataplane->topology.series_cache_entries),
        .channels = index == WEIR_WIRE_WORKER ? dataplane->channels : NULL,
        .trusted = weir_config_trusted(config),
        .key = dataplane->key,
        .progress = &dataplane->progress,
        .ledger = &dataplane->shared->ledger,
        .counts = &dataplane->worker_counts[index].counts,
        .degraded = &dataplane->shared->degraded,
        .rejected = &dataplane->shared->rejected,
        .keep_rejected = config->keep_rejected,
        .batches = batches->full,
        .empties = batches->empty,
        .deferrals = deferrals->full,
        .completed = deferrals->empty,
        .parsed = parsed,
        .retention_ms = (int64_t)config->retention_raw_ms,
        .flush_interval_ns = (int64_t)config->flush_interval_ms * 1000000,
        .ack_interval_ns = (int64_t)config->ack_interval_ms * 1000000};
    err = weir_dataplane_ports_open(dataplane, options);
    if (err == WEIR_OK)
        err = weir_worker_new(options, &dataplane->workers[index]);
    if (err != WEIR_OK) {
        for (uint32_t i = 0; i < options->port_count; i++)
            options->ports[i]->ops->close(options->ports[i]);
        options->port_count = 0;
    }
    return err;
}

static enum weir_err
writer_new(struct weir_dataplane *dataplane)
{
    struct weir_writer_options options = {.log = dataplane->log,
        .shared = dataplane->shared,
        .counts = &dataplane->writer_counts.counts,
        .progress = &dataplane->progress,
        .producer_count = 1 + dataplane->topology.worker_count};
    for (uint32_t i = 0; i < dataplane->topology.link_count; i++) {
        const struct weir_topology_link *link = &dataplane->topology.links[i];
        const struct weir_topology_stage *from = &dataplane->topology.stages[link->from];
        if (dataplane->topology.stages[link->to].kind != WEIR_TOPOLOGY_WRITER)
            continue;
        uint32_t producer = from->kind == WEIR_TOPOLOGY_REGISTRAR
            ? WEIR_PRODUCER_REGISTRAR
            : WEIR_PRODUCER_WORKER(from->index);
        options.producers[producer] = (struct weir_writer_producer){
            .batches = link->full, .empties = link->empty, .edge = link->edge};
    }
    return weir_writer_new(&options, &dataplane->writer);
}

_Static_assert(WEIR_IO_AUTO == 0 && WEIR_IO_URING == 1 && WEIR_IO_SYNC == 2,
    "as config.h has io_backend");

/* The order matters: each step finds everything that it needs. Ports come last: nothing is received
 * that could not be written. */
static enum weir_err
open_all(struct weir_dataplane *dataplane)
{
    const struct weir_config *config = &dataplane->config;
    struct weir_shared *shared = dataplane->shared;
    struct weir_io_options io = {.backend = config->io_backend,
        .memory = weir_shared_frame_ring(shared),
        .memory_size = shared->frame_ring_bytes};
    enum weir_err err = weir_io_new(&io, &dataplane->io);
    if (err == WEIR_OK)
        err = weir_io_mkdir(dataplane->io, config->data);
    if (err == WEIR_OK)
        err = key_load(dataplane);
    if (err == WEIR_OK)
        err = series_new(dataplane);
    if (err == WEIR_OK)
        err = channels_new(dataplane);
    if (err == WEIR_OK)
        err = log_open(dataplane);
    if (err == WEIR_OK)
        err = weir_dataplane_links_open(dataplane);
    if (err == WEIR_OK)
        err = registrar_new(dataplane);
    if (err == WEIR_OK)
        err = weir_dataplane_eal_open(dataplane);
    for (uint32_t i = 0; i < dataplane->topology.worker_count && err == WEIR_OK; i++)
        err = worker_new(dataplane, i);
    if (err == WEIR_OK)
        err = writer_new(dataplane);
    if (err == WEIR_OK)
        weir_dataplane_stages_bind(dataplane);
    return err;
}

static void
announce(struct weir_dataplane *dataplane)
{
    struct weir_shared *shared = dataplane->shared;
    shared->worker_count = dataplane->topology.worker_count;
    snprintf(shared->simd, sizeof shared->simd, "%s", weir_parse_variant());
    snprintf(shared->io_backend, sizeof shared->io_backend, "%s", weir_io_name(dataplane->io));
    atomic_store(&shared->started_ms, (uint64_t)weir_wall_ms());
    atomic_store(&shared->series_max, weir_series_max(dataplane->series));
    atomic_store(&shared->series_count, weir_series_count(dataplane->series));
    atomic_store(&shared->durable_offset, weir_log_durable(dataplane->log));
    atomic_store(&shared->log_first_offset, weir_log_first(dataplane->log));
    atomic_store(&shared->appended_offset, weir_log_end(dataplane->log));
    atomic_store(&shared->durable_time_ms, dataplane->recovery.time_max_ms);
    atomic_store(&shared->log_bytes, weir_log_bytes(dataplane->log));
    atomic_store(&shared->state, weir_writer_state(dataplane->writer));
    atomic_store(&dataplane->progress.state, weir_writer_state(dataplane->writer));
    atomic_store(&dataplane->progress.durable_offset, weir_log_durable(dataplane->log));
    /* release pairs with the acquire loads of epoch in readers, control plane and supervisor: all
     * of the above is seen with it */
    atomic_store_explicit(&shared->epoch, dataplane->recovery.dataplane_epoch,
        memory_order_release);
    weir_event(WEIR_LEVEL_INFO, "ingest_open", "epoch=%" PRIu64 " threads=%u simd=%s hash=%s io=%s "
        "buffers=%s",
        dataplane->recovery.dataplane_epoch, dataplane->topology.thread_count, shared->simd,
        weir_hash_variant(), shared->io_backend,
        weir_io_registered(dataplane->io) ? "registered" : "plain");
}

enum weir_err
weir_dataplane_open(const struct weir_dataplane_options *options, struct weir_dataplane **out)
{
    struct weir_dataplane *dataplane = aligned_alloc(WEIR_CACHE_LINE, sizeof *dataplane);
    if (dataplane == NULL)
        return weir_fail(WEIR_NOMEM, 0, "dataplane");
    memset(dataplane, 0, sizeof *dataplane);
    dataplane->config = *options->config;
    dataplane->ring_source_count = options->ring_source_count;
    memcpy(dataplane->ring_source_fds, options->ring_source_fds,
        sizeof dataplane->ring_source_fds);
    memcpy(dataplane->udp_fds, options->udp_fds, sizeof dataplane->udp_fds);
    int32_t cores[CPU_SETSIZE];
    uint32_t core_count = weir_topology_cores(cores, CPU_SETSIZE);
    enum weir_err err =
        weir_topology_plan(&dataplane->config, cores, core_count, &dataplane->topology);
    if (err == WEIR_OK && dataplane->ring_source_count > dataplane->topology.worker_count)
        err = weir_fail(WEIR_INVALID, 0, "%u ring sources for %u workers",
            dataplane->ring_source_count, dataplane->topology.worker_count);
    if (err == WEIR_OK)
        err = weir_shared_map(options->shared_fd, &dataplane->shared);
    if (err == WEIR_OK)
        err = weir_shared_reset(options->shared_fd, dataplane->shared);
    if (err == WEIR_OK) {
        weir_dataplane_name_listeners(dataplane);
        err = open_all(dataplane);
    }
    if (err != WEIR_OK) {
        weir_dataplane_close(dataplane);
        return err;
    }
    announce(dataplane);
    *out = dataplane;
    return WEIR_OK;
}

void
weir_dataplane_close(struct weir_dataplane *dataplane)
{
    if (dataplane->writer != NULL)
        weir_writer_free(dataplane->writer);
    for (uint32_t i = 0; i < dataplane->topology.worker_count; i++)
        weir_worker_free(dataplane->workers[i]);
    if (dataplane->registrar != NULL)
        weir_registrar_free(dataplane->registrar);
    weir_dataplane_checkpoint_close(dataplane);
    weir_dataplane_epoch_close(dataplane);
    if (dataplane->log != NULL)
        weir_log_close(dataplane->log);
    if (dataplane->io != NULL)
        weir_io_free(dataplane->io);
    if (dataplane->eal_open)
        weir_eal_fini();
    for (uint32_t i = 0; i < dataplane->region_count; i++)
        weir_memory_unmap(dataplane->regions[i].memory, dataplane->regions[i].bytes);
    if (dataplane->shared != NULL) {
        /* release pairs with readers' acquire of epoch: nothing of this life is in flight */
        atomic_store_explicit(&dataplane->shared->epoch, 0, memory_order_release);
        weir_shared_unmap(dataplane->shared);
    }
    free(dataplane);
}
