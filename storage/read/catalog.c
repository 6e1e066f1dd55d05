#include "storage/read/catalog.h"

#include "base/assert.h"
#include "base/event.h"
#include "base/mutant.h"
#include "storage/io/io.h"
#include "storage/log/checkpoint.h"
#include "storage/log/definitions.h"
#include "storage/log/epoch.h"
#include "storage/log/format.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A definition takes at least this much of the log: its size, and one label of two bytes. */
#define DEFINITION_BYTES_MIN 10

void
weir_catalog_close(struct weir_catalog *catalog)
{
    if (catalog->files_open)
        weir_segment_reader_close(&catalog->files);
    if (catalog->labels != NULL)
        weir_label_index_free(catalog->labels);
    if (catalog->io != NULL)
        weir_io_free(catalog->io);
    free(catalog->entries);
    free(catalog->definitions);
}

static uint64_t
first_of(const struct weir_catalog *catalog)
{
    if (catalog->shared == NULL)
        return catalog->first;
    /* acquire pairs with the release in follow_trim (storage/log/writer/writer.c): no file was
     * recycled before it was stored. The first dataplane of an instance may not have stored it
     * yet. */
    uint64_t first =
        atomic_load_explicit(&catalog->shared->log_first_offset, memory_order_acquire);
    return first > catalog->first ? first : catalog->first;
}

/* Opens the files again where the list of segments has grown past what was seen. WEIR_END where
 * no file holds the offset. */
static enum weir_err
files_cover(struct weir_catalog *catalog, uint64_t offset)
{
    if (catalog->files_open && offset < weir_segment_reader_end(&catalog->files))
        return WEIR_OK;
    if (catalog->files_open)
        weir_segment_reader_close(&catalog->files);
    catalog->files_open = false;
    struct weir_epoch epoch;
    enum weir_err err =
        weir_epoch_read(catalog->io, catalog->directory, WEIR_LOG_STREAM, &epoch);
    if (err == WEIR_NOMEM)
        return err; /* without it damage would pass for the end of the log */
    if (err != WEIR_OK)
        epoch = (struct weir_epoch){0}; /* the files decide */
    catalog->durable_known = epoch.durable_offset;
    uint64_t segment_bytes =
        epoch.segment_bytes != 0 ? epoch.segment_bytes : catalog->segment_bytes;
    uint64_t first_index = segment_bytes != 0 ? first_of(catalog) / segment_bytes : 0;
    err = weir_segment_reader_open(&catalog->files, catalog->io, catalog->directory, first_index,
        &segment_bytes);
    catalog->files_open = err == WEIR_OK;
    if (err == WEIR_NOT_FOUND)
        return WEIR_END;
    if (err != WEIR_OK)
        return err;
    return offset < weir_segment_reader_end(&catalog->files) ? WEIR_OK : WEIR_END;
}

enum weir_err
weir_catalog_read(struct weir_catalog *catalog, const struct weir_catalog_entry *entry,
    uint64_t at, uint8_t *data, size_t size)
{
    if (entry->place != WEIR_PLACE_NONE && entry->ring_epoch == catalog->ring_epoch &&
        weir_frame_ring_copy(catalog->ring, catalog->ring_bytes, entry->place + at, data, size) ==
            WEIR_OK)
        return WEIR_OK;
    enum weir_err err = files_cover(catalog, entry->offset);
    if (err == WEIR_OK)
        err = weir_segment_reader_read(&catalog->files, entry->offset + at, data, size);
    return err == WEIR_END || err == WEIR_NOT_FOUND
               ? weir_fail(WEIR_CORRUPT, 0, "no segment holds offset %" PRIu64, entry->offset)
               : err;
}

/* Room for one more frame. */
static enum weir_err
entry_prepare(struct weir_catalog *catalog)
{
    if (catalog->entry_count < catalog->entry_capacity)
        return WEIR_OK;
    uint64_t capacity = catalog->entry_capacity == 0 ? 1024 : catalog->entry_capacity * 2;
    struct weir_catalog_entry *grown = realloc(catalog->entries, capacity * sizeof *grown);
    if (grown == NULL)
        return weir_fail(WEIR_NOMEM, 0, "catalog of %" PRIu64 " frames", capacity);
    catalog->entries = grown;
    catalog->entry_capacity = capacity;
    return WEIR_OK;
}

/* Takes the definition of the next series; NULL for one that damage has taken. It counts once it is
 * kept: after an error it is the next one still. Of a definition that does not parse the number is
 * taken. */
static enum weir_err
define_next(struct weir_catalog *catalog, const uint8_t *labels, size_t size)
{
    enum weir_err err;
    if (catalog->define != NULL)
        err = catalog->define(catalog->define_context, catalog->defined, labels, size);
    else if (labels != NULL)
        err = weir_label_index_add(catalog->labels, labels, size);
    else
        err = weir_label_index_add_lost(catalog->labels);
    catalog->defined += err == WEIR_OK || (catalog->define == NULL && err == WEIR_CORRUPT);
    return err;
}

/* Definitions that damage has taken keep their numbers, as recovery keeps them. */
static enum weir_err
define_lost(struct weir_catalog *catalog, uint64_t until)
{
    enum weir_err err = WEIR_OK;
    while (err == WEIR_OK && catalog->defined < until)
        err = define_next(catalog, NULL, 0);
    return err;
}

/* Numbers ascend without gap over the log; those known already are passed over. */
static enum weir_err
define_list(struct weir_catalog *catalog, uint64_t number, const uint8_t *list, size_t size)
{
    enum weir_err err = define_lost(catalog, number);
    size_t at = 0;
    const uint8_t *labels;
    size_t labels_size;
    while (err == WEIR_OK) {
        err = weir_definition_next(list, size, &at, &labels, &labels_size);
        if (err == WEIR_OK && catalog->defined == number)
            err = define_next(catalog, labels, labels_size);
        number++;
    }
    return err == WEIR_END ? WEIR_OK : err;
}

/* Drops the frames below the offset. */
static void
drop_trimmed(struct weir_catalog *catalog, uint64_t first)
{
    uint64_t gone = 0;
    while (gone < catalog->entry_count && catalog->entries[gone].offset < first)
        gone++;
    if (gone == 0)
        return;
    catalog->entry_count -= gone;
    memmove(catalog->entries, catalog->entries + gone,
        catalog->entry_count * sizeof *catalog->entries);
}

static enum weir_err
define_carried(void *context, uint64_t number, const uint8_t *labels, size_t size)
{
    struct weir_catalog *catalog = context;
    WEIR_ASSERT(number == catalog->defined);
    return define_next(catalog, labels, size);
}

/* Goes on where the checkpoint says that the log begins, with the definitions it carries. */
static enum weir_err
begin_at_checkpoint(struct weir_catalog *catalog)
{
    struct weir_checkpoint checkpoint;
    enum weir_err err = weir_checkpoint_read(catalog->io, catalog->directory, WEIR_LOG_STREAM,
        &checkpoint, NULL);
    uint64_t first = checkpoint.first_index * checkpoint.segment_bytes;
    if (err != WEIR_OK || first <= catalog->at)
        return err == WEIR_NOT_FOUND ? WEIR_OK : err;
    struct weir_replay replay = {
        .define = define_carried, .define_context = catalog, .through = catalog->defined};
    err = weir_definitions_read(catalog->io, catalog->directory, checkpoint.definitions_bytes,
        checkpoint.definitions_through, &replay);
    catalog->corrupt += replay.lost != 0; /* the numbers are taken, also before an error */
    if (err != WEIR_OK)
        return err;
    catalog->segment_bytes = checkpoint.segment_bytes;
    catalog->first = catalog->at = first;
    catalog->step = 0;
    catalog->previous_crc = checkpoint.previous_crc;
    catalog->frame_epoch = checkpoint.dataplane_epoch;
    catalog->chain_known = checkpoint.previous_known != 0;
    catalog->begins_in_damage = !catalog->chain_known;
    catalog->in_gap = false;
    return WEIR_OK;
}

bool
weir_catalog_trimmed(const struct weir_catalog *catalog, uint64_t offset)
{
    return offset < first_of(catalog) && !weir_mutant(reader_counts_trimmed_frames);
}

/* The next part was trimmed before it was read. */
static enum weir_err
catch_up(struct weir_catalog *catalog)
{
    uint64_t at = catalog->at;
    enum weir_err err = begin_at_checkpoint(catalog);
    if (err == WEIR_OK && catalog->at == at)
        err = weir_fail(WEIR_CORRUPT, 0, "%s: released to %" PRIu64 ", and no checkpoint says so",
            catalog->directory, first_of(catalog));
    if (err == WEIR_OK)
        weir_event(WEIR_LEVEL_INFO, "released_unread", "offset=%" PRIu64 " bytes=%" PRIu64, at,
            catalog->at - at);
    return err;
}

/* Walks the definitions of the frame in catalog->definitions, and takes them. Those of damaged
 * pieces are passed over: WEIR_CORRUPT then, once the others are taken. */
static enum weir_err
walk_pieces(struct weir_catalog *catalog, size_t bytes, bool take)
{
    struct weir_frame_definitions piece;
    uint64_t at = 0;
    bool damaged = false;
    for (;;) {
        enum weir_err err =
            weir_frame_definitions_next(catalog->definitions, bytes, &at, &piece);
        if (err == WEIR_END)
            return damaged ? WEIR_CORRUPT : WEIR_OK;
        if (err == WEIR_OK && take)
            err = define_list(catalog, piece.first, piece.list, piece.size);
        damaged |= err == WEIR_CORRUPT;
        if (err != WEIR_OK && err != WEIR_CORRUPT)
            return err;
    }
}

/* A torn frame ends the log of a stopped instance. One that is durable by the epoch file is not
 * torn but damaged. */
static bool
may_be_torn(const struct weir_catalog *catalog, uint64_t offset)
{
    return catalog->shared == NULL && offset >= catalog->durable_known;
}

/* Nothing is taken before all of it was looked at. The numbers of a torn frame are given to other
 * series later; and a frame that was recycled under the read may have whole pieces left, between
 * which nothing is lost. */
static enum weir_err
define_pieces(struct weir_catalog *catalog, uint64_t offset, size_t bytes)
{
    enum weir_err err = walk_pieces(catalog, bytes, false);
    bool damage = err == WEIR_CORRUPT && !may_be_torn(catalog, offset) &&
        !weir_catalog_trimmed(catalog, offset);
    return err == WEIR_OK || damage ? walk_pieces(catalog, bytes, true) : err;
}

/* Reads a frame's definitions. Damage is counted, and the numbers counted as lost. WEIR_AGAIN where
 * the frame was recycled meanwhile. */
static enum weir_err
read_definitions(struct weir_catalog *catalog, const struct weir_frame_header *header,
    const struct weir_catalog_entry *entry)
{
    uint64_t most = (header->offset + header->bytes) / DEFINITION_BYTES_MIN;
    if (header->definition_first > most || header->definitions_through > most) {
        catalog->corrupt++; /* more numbers than the log could have defined */
        return WEIR_OK;
    }
    uint64_t known = header->definition_count != 0 ? header->definition_first
                                                   : header->definitions_through;
    catalog->corrupt += catalog->begins_in_damage && known > catalog->defined;
    catalog->begins_in_damage = false;
    if (header->definition_bytes == 0)
        return define_lost(catalog, header->definitions_through);
    size_t bytes = (size_t)weir_frame_front(header);
    if (bytes > catalog->definitions_capacity) {
        uint8_t *grown = realloc(catalog->definitions, bytes);
        if (grown == NULL)
            return weir_fail(WEIR_NOMEM, 0, "definitions of %zu bytes", bytes);
        catalog->definitions = grown;
        catalog->definitions_capacity = bytes;
    }
    enum weir_err err = weir_catalog_read(catalog, entry, 0, catalog->definitions, bytes);
    if (err == WEIR_OK && memcmp(catalog->definitions, header, sizeof *header) != 0)
        err = WEIR_CORRUPT;
    if (err == WEIR_OK)
        err = define_pieces(catalog, header->offset, bytes);
    if (err == WEIR_CORRUPT || err == WEIR_UNSUPPORTED) {
        if (weir_catalog_trimmed(catalog, header->offset))
            return WEIR_AGAIN; /* recycled under the read */
        if (may_be_torn(catalog, header->offset))
            return WEIR_END;
        catalog->corrupt++;
        err = WEIR_OK;
    }
    return err == WEIR_OK ? define_lost(catalog, header->definitions_through) : err;
}

/* Adds the frame at catalog->at, whose header has been checked. */
static enum weir_err
add_frame(struct weir_catalog *catalog, const struct weir_frame_header *header, uint64_t place)
{
    struct weir_catalog_entry entry = {.offset = header->offset,
        .place = place,
        .ring_epoch = catalog->ring_epoch,
        .time_min_ms = header->time_min_ms,
        .time_max_ms = header->time_max_ms,
        .bytes = (uint32_t)header->bytes,
        .samples = header->sample_count};
    bool listed = header->type == WEIR_FRAME_SAMPLES && header->sample_count > 0;
    /* first, because definitions that are damaged are counted once */
    enum weir_err err = listed ? entry_prepare(catalog) : WEIR_OK;
    if (err == WEIR_OK && header->type == WEIR_FRAME_SAMPLES)
        err = read_definitions(catalog, header, &entry);
    if (err != WEIR_OK)
        return err;
    if (listed)
        catalog->entries[catalog->entry_count++] = entry;
    catalog->at += header->bytes;
    catalog->step = header->bytes;
    catalog->previous_crc = header->header_crc;
    catalog->frame_epoch = header->dataplane_epoch;
    catalog->chain_known = true;
    catalog->in_gap = false;
    return WEIR_OK;
}

/* A place below the durable offset where no frame begins: damage, passed over page by page. */
static void
pass_over(struct weir_catalog *catalog)
{
    catalog->corrupt += !catalog->in_gap;
    catalog->in_gap = true;
    catalog->chain_known = false;
    catalog->at += WEIR_FRAME_ALIGN;
    catalog->step = WEIR_FRAME_ALIGN;
}

/* Does the log hold this frame at catalog->at? WEIR_CORRUPT where not; WEIR_UNSUPPORTED for one of
 * a later program. */
static enum weir_err
belongs_here(const struct weir_catalog *catalog, const struct weir_frame_header *header,
    uint64_t durable)
{
    uint64_t segment_bytes = catalog->files.segment_bytes;
    enum weir_err err = weir_frame_check_header(header, WEIR_LOG_STREAM, catalog->at);
    if ((err != WEIR_OK && err != WEIR_UNSUPPORTED) || header->bytes > durable - catalog->at ||
        header->bytes > segment_bytes - catalog->at % segment_bytes)
        return WEIR_CORRUPT;
    /* 0: recovery found the frame before it damaged, which may have been read here well */
    bool chained = !catalog->chain_known || header->previous_crc == catalog->previous_crc ||
        (catalog->shared != NULL && header->previous_crc == 0);
    if (weir_mutant(reader_takes_stale_frames))
        return err;
    return chained && header->dataplane_epoch >= catalog->frame_epoch ? err : WEIR_CORRUPT;
}

/* Adds the frame at catalog->at from the files, or passes over the page. WEIR_END where there is
 * no file, or where the log of a stopped instance ends. */
static enum weir_err
walk_one(struct weir_catalog *catalog, uint64_t durable)
{
    if (weir_catalog_trimmed(catalog, catalog->at))
        return catch_up(catalog);
    enum weir_err err = files_cover(catalog, catalog->at);
    if (err != WEIR_OK)
        return err;
    const uint8_t *page;
    err = weir_segment_reader_page(&catalog->files, catalog->at, catalog->step, &page);
    if (err != WEIR_OK)
        return err;
    struct weir_frame_header header;
    memcpy(&header, page, sizeof header);
    err = belongs_here(catalog, &header, durable);
    if (err == WEIR_OK) {
        err = add_frame(catalog, &header, WEIR_PLACE_NONE);
        return err == WEIR_AGAIN ? WEIR_OK : err;
    }
    if (err == WEIR_UNSUPPORTED)
        return err;
    if (weir_catalog_trimmed(catalog, catalog->at))
        return WEIR_OK; /* recycled under the read */
    if (may_be_torn(catalog, catalog->at))
        return WEIR_END;
    pass_over(catalog);
    return WEIR_OK;
}

/* Walks the files until the catalog has reached `until`, which is at most durable. */
static enum weir_err
walk_files(struct weir_catalog *catalog, uint64_t until, uint64_t durable)
{
    enum weir_err err = WEIR_OK;
    /* what was read ahead may be older than what is durable by now */
    if (catalog->files_open)
        weir_segment_reader_forget(&catalog->files);
    while (catalog->at < until && err == WEIR_OK)
        err = walk_one(catalog, durable);
    return err == WEIR_END ? WEIR_OK : err;
}

static uint64_t
durable_of(const struct weir_catalog *catalog)
{
    /* acquire pairs with the release in publish_log (storage/log/writer/writer.c): what is below it
     * is in the files */
    return atomic_load_explicit(&catalog->shared->durable_offset, memory_order_acquire);
}

/* Adds the frame of a descriptor, and from the files the frames before it (seals, and frames whose
 * descriptors were overwritten). WEIR_AGAIN where the durable offset does not reach that far. */
static enum weir_err
add_descriptor(struct weir_catalog *catalog, const struct weir_frame_descriptor *descriptor)
{
    if (descriptor->offset > catalog->at) {
        uint64_t durable = durable_of(catalog);
        uint64_t until = descriptor->offset < durable ? descriptor->offset : durable;
        enum weir_err err = walk_files(catalog, until, durable);
        if (err != WEIR_OK)
            return err;
    }
    if (descriptor->offset != catalog->at)
        return descriptor->offset < catalog->at ? WEIR_OK : WEIR_AGAIN;
    struct weir_frame_header header;
    if (weir_frame_ring_copy(catalog->ring, catalog->ring_bytes, descriptor->place,
            (uint8_t *)&header, sizeof header) == WEIR_OK &&
        weir_frame_check_header(&header, WEIR_LOG_STREAM, catalog->at) == WEIR_OK)
        return add_frame(catalog, &header, descriptor->place);
    uint64_t durable = durable_of(catalog);
    return walk_files(catalog, durable < catalog->at + 1 ? durable : catalog->at + 1, durable);
}

static enum weir_err
walk_ring(struct weir_catalog *catalog)
{
    uint64_t published = weir_frame_ring_published(catalog->ring);
    if (published >= WEIR_FRAME_DESCRIPTORS &&
        catalog->ring_next <= published - WEIR_FRAME_DESCRIPTORS)
        catalog->ring_next = published - WEIR_FRAME_DESCRIPTORS + 1;
    for (; catalog->ring_next < published; catalog->ring_next++) {
        struct weir_frame_descriptor descriptor;
        enum weir_err err =
            weir_frame_ring_descriptor(catalog->ring, catalog->ring_next, &descriptor);
        if (err == WEIR_OK)
            err = add_descriptor(catalog, &descriptor);
        else if (err == WEIR_NOT_FOUND)
            err = WEIR_OK; /* overwritten: the next one, or the files, will have it */
        if (err != WEIR_OK)
            return err == WEIR_AGAIN ? WEIR_OK : err;
    }
    return WEIR_OK;
}

enum weir_err
weir_catalog_open(struct weir_catalog *catalog, const struct weir_reader_options *options)
{
    struct weir_shared *shared = options->shared;
    *catalog = (struct weir_catalog){.shared = shared,
        .io = options->io,
        .define = options->define,
        .define_context = options->define_context,
        .chain_known = true};
    snprintf(catalog->directory, sizeof catalog->directory, "%s", options->directory);
    if (shared != NULL) {
        uint64_t ring_at = shared->frame_ring_at;
        catalog->ring_bytes = shared->frame_ring_bytes;
        if (ring_at > shared->bytes || catalog->ring_bytes > shared->bytes - ring_at)
            return weir_fail(WEIR_INVALID, 0, "frame ring outside of the shared region");
        catalog->ring = (const struct weir_frame_ring *)((const char *)shared + ring_at);
    }
    enum weir_err err =
        options->define == NULL ? weir_label_index_new(&catalog->labels) : WEIR_OK;
    return err == WEIR_OK ? begin_at_checkpoint(catalog) : err;
}

/* Is the last frame that was read still where it was? A dataplane that starts may find the end of
 * the log damaged, and goes on before it: what was read from there on is no part of the log then,
 * and its series numbers are given again. Where nothing proves it, it is not. */
static enum weir_err
check_end(struct weir_catalog *catalog, bool *there)
{
    uint64_t last = catalog->at - catalog->step;
    *there = catalog->step == 0; /* all is from the checkpoint */
    if (*there || durable_of(catalog) < catalog->at || !catalog->chain_known ||
        weir_catalog_trimmed(catalog, last))
        return WEIR_OK;
    const uint8_t *page;
    enum weir_err err = files_cover(catalog, last);
    if (err == WEIR_OK) {
        weir_segment_reader_forget(&catalog->files);
        err = weir_segment_reader_page(&catalog->files, last, WEIR_FRAME_BYTES_MAX, &page);
    }
    if (err != WEIR_OK)
        return err == WEIR_END ? WEIR_OK : err;
    struct weir_frame_header header;
    memcpy(&header, page, sizeof header);
    *there = header.header_crc == catalog->previous_crc;
    return WEIR_OK;
}

/* Forgets all frames and definitions, and begins as at open. */
static enum weir_err
start_over(struct weir_catalog *catalog)
{
    struct weir_label_index *labels;
    enum weir_err err = weir_label_index_new(&labels);
    if (err != WEIR_OK)
        return err;
    weir_event(WEIR_LEVEL_INFO, "read_anew", "offset=%" PRIu64 " durable=%" PRIu64, catalog->at,
        durable_of(catalog));
    weir_label_index_free(catalog->labels);
    catalog->labels = labels;
    catalog->defined = catalog->entry_count = 0;
    catalog->at = catalog->first = catalog->step = 0;
    catalog->previous_crc = 0;
    catalog->frame_epoch = 0;
    catalog->chain_known = true;
    catalog->in_gap = false;
    return begin_at_checkpoint(catalog);
}

/* The ring of another dataplane. Definitions that were handed on cannot be taken back. */
static enum weir_err
follow_restart(struct weir_catalog *catalog, uint64_t epoch)
{
    bool there = true;
    enum weir_err err = catalog->labels != NULL ? check_end(catalog, &there) : WEIR_OK;
    if (err == WEIR_OK && !there && !weir_mutant(reader_keeps_what_was_cut))
        err = start_over(catalog);
    if (err != WEIR_OK)
        return err; /* and the next refresh begins here */
    catalog->ring_epoch = epoch;
    catalog->ring_next = 0;
    return WEIR_OK;
}

enum weir_err
weir_catalog_refresh(struct weir_catalog *catalog)
{
    if (catalog->shared == NULL)
        return walk_files(catalog, UINT64_MAX, UINT64_MAX);
    drop_trimmed(catalog, first_of(catalog));
    /* acquire pairs with the release in announce (app/dataplane/dataplane.c): the region is ready
     */
    uint64_t epoch = atomic_load_explicit(&catalog->shared->epoch, memory_order_acquire);
    if (epoch == 0)
        return WEIR_AGAIN; /* it starts, or died: what is known stays true, more may be durable */
    enum weir_err err = WEIR_OK;
    if (epoch != catalog->ring_epoch)
        err = follow_restart(catalog, epoch);
    if (err == WEIR_OK)
        err = walk_ring(catalog);
    uint64_t durable = durable_of(catalog);
    if (err != WEIR_OK)
        return err;
    /* A restart meanwhile may have zeroed what was read; then next time. The acquires of what was
     * read come before this load; they pair with the fence in weir_shared_reset. */
    if (atomic_load_explicit(&catalog->shared->epoch, memory_order_relaxed) != epoch)
        return WEIR_AGAIN;
    return walk_files(catalog, durable, durable);
}
