#include "storage/read/parts.h"

#include "base/event.h"
#include "storage/manifest/manifest.h"
#include "storage/part/part_reader.h"

#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FOLLOW_TRIES 10

struct open_part {
    struct weir_manifest_part entry;
    struct weir_part *part; /* NULL: it cannot be opened */
    bool failed;            /* that was reported */
};

struct weir_read_parts {
    char store[PATH_MAX];
    struct weir_io *io;
    struct weir_manifest *manifest;
    struct open_part *parts; /* in the order of the log */
    size_t count;
    void *memory; /* of the reader */
    struct weir_part_reader *reader;
    uint64_t corrupt;
    double values[WEIR_CHUNK_ROOM(WEIR_CHUNK_SAMPLES_MAX)];
};

enum weir_err
weir_read_parts_open(const char *store, struct weir_io *io, struct weir_read_parts **out)
{
    struct weir_read_parts *parts = calloc(1, sizeof *parts);
    if (parts == NULL)
        return weir_fail(WEIR_NOMEM, 0, "reader of parts");
    parts->io = io;
    int size = snprintf(parts->store, sizeof parts->store, "%s", store);
    enum weir_err err = size < (int)sizeof parts->store
        ? weir_manifest_new(&parts->manifest)
        : weir_fail(WEIR_INVALID, 0, "the path of the store is too long");
    parts->memory = aligned_alloc(64, (weir_part_reader_footprint() + 63) / 64 * 64);
    if (err == WEIR_OK && parts->memory == NULL)
        err = weir_fail(WEIR_NOMEM, 0, "reader of parts");
    if (err != WEIR_OK) {
        weir_read_parts_close(parts);
        return err;
    }
    parts->reader = weir_part_reader_init(parts->memory, io);
    *out = parts;
    return WEIR_OK;
}

void
weir_read_parts_close(struct weir_read_parts *parts)
{
    for (size_t i = 0; i < parts->count; i++)
        if (parts->parts[i].part != NULL)
            weir_part_close(parts->io, parts->parts[i].part);
    weir_manifest_free(parts->manifest);
    free(parts->parts);
    free(parts->memory);
    free(parts);
}

/* Of two parts with the same samples the one of the later log offset counts: it comes last. */
static int
by_log(const void *a, const void *b)
{
    const struct open_part *left = a, *right = b;
    if (left->entry.log_from != right->entry.log_from)
        return left->entry.log_from < right->entry.log_from ? -1 : 1;
    return weir_manifest_part_compare(&left->entry, &right->entry);
}

static struct open_part *
find(const struct weir_read_parts *parts, const struct weir_manifest_part *entry)
{
    const struct open_part wanted = {.entry = *entry};
    return parts->count == 0 ? NULL
                             : bsearch(&wanted, parts->parts, parts->count, sizeof wanted, by_log);
}

static bool
is_damage(enum weir_err err)
{
    return err == WEIR_CORRUPT || err == WEIR_UNSUPPORTED;
}

static void
skip(struct weir_read_parts *parts, const char *path)
{
    parts->corrupt++;
    weir_event(WEIR_LEVEL_ERROR, "part_skipped", "path=%s reason=%s", path, weir_err_detail());
}

/* WEIR_NOT_FOUND where the file is gone: the keeper has merged it since the manifest was read.
 * Other damage costs the part, and is reported once. */
static enum weir_err
open_part(struct weir_read_parts *parts, struct open_part *at)
{
    char path[PATH_MAX];
    if (at->part != NULL || at->failed)
        return WEIR_OK;
    enum weir_err err = weir_part_file_path(
        parts->store, at->entry.partition_ms, at->entry.file_id, path, sizeof path);
    if (err == WEIR_OK)
        err = weir_part_open(parts->io, path, &at->part);
    if (!is_damage(err))
        return err;
    at->failed = true;
    skip(parts, path);
    return WEIR_OK;
}

/* Parts that are open already stay so; the others are opened now, because their files may be
 * removed at any moment. */
static enum weir_err
apply_manifest(struct weir_read_parts *parts)
{
    size_t count = parts->manifest->part_count;
    struct open_part *taken = calloc(count + 1, sizeof *taken);
    if (taken == NULL)
        return weir_fail(WEIR_NOMEM, 0, "list of %zu parts", count);
    for (size_t i = 0; i < count; i++) {
        taken[i].entry = parts->manifest->parts[i];
        struct open_part *known = find(parts, &taken[i].entry);
        if (known == NULL || known->entry.file_id != taken[i].entry.file_id)
            continue;
        taken[i].part = known->part;
        taken[i].failed = known->failed;
        known->part = NULL;
    }
    for (size_t i = 0; i < parts->count; i++)
        if (parts->parts[i].part != NULL)
            weir_part_close(parts->io, parts->parts[i].part);
    free(parts->parts);
    qsort(taken, count, sizeof *taken, by_log);
    parts->parts = taken;
    parts->count = count;
    enum weir_err err = WEIR_OK;
    for (size_t i = 0; err == WEIR_OK && i < count; i++)
        err = open_part(parts, &taken[i]);
    return err;
}

/* Reads the manifest anew while a keeper removes what it has just named. A part that is missing all
 * the same is damage. */
static enum weir_err
follow_manifest(struct weir_read_parts *parts)
{
    enum weir_err err = WEIR_OK;
    for (int tries = 0; tries < FOLLOW_TRIES; tries++) {
        uint64_t generation = parts->manifest->generation;
        err = weir_manifest_load(parts->manifest, parts->io, parts->store);
        if (err != WEIR_OK)
            return err == WEIR_NOT_FOUND ? apply_manifest(parts) : err;
        err = apply_manifest(parts);
        if (err != WEIR_NOT_FOUND || (tries > 0 && generation == parts->manifest->generation))
            break;
    }
    return err;
}

/* The manifest names files that are not there, and stays so. */
static enum weir_err
leave_out_missing(struct weir_read_parts *parts)
{
    enum weir_err err = WEIR_OK;
    for (size_t i = 0; err == WEIR_OK && i < parts->count; i++) {
        err = open_part(parts, &parts->parts[i]);
        if (err != WEIR_NOT_FOUND)
            continue;
        parts->parts[i].failed = true;
        skip(parts, parts->store);
        err = WEIR_OK;
    }
    return err;
}

enum weir_err
weir_read_parts_refresh(struct weir_read_parts *parts, uint64_t generation)
{
    if (generation != 0 && generation == parts->manifest->generation &&
        parts->count == parts->manifest->part_count)
        return WEIR_OK;
    enum weir_err err = follow_manifest(parts);
    if (err == WEIR_NOT_FOUND)
        err = leave_out_missing(parts);
    if (is_damage(err)) {
        skip(parts, parts->store); /* the log still answers, and the answer says what is missing */
        return WEIR_OK;
    }
    if (err != WEIR_OK)
        parts->manifest->generation = 0; /* the next refresh reads it again */
    return err;
}

uint64_t
weir_read_parts_offset(const struct weir_read_parts *parts)
{
    return parts->manifest->keeper_offset;
}

uint64_t
weir_read_parts_corrupt(const struct weir_read_parts *parts)
{
    return parts->corrupt;
}

/* Calls back for the samples of one chunk that the scan wants; at: the place of its series. */
static enum weir_err
scan_chunk(struct weir_read_parts *parts, const struct weir_read_scan *scan,
    const struct weir_part *part, const struct weir_part_entry *entry, size_t at)
{
    const int64_t *times_ms;
    enum weir_err err = weir_part_read_times(parts->reader, part, entry, &times_ms);
    if (err == WEIR_OK &&
        (times_ms[0] >= scan->to_ms || times_ms[entry->count - 1] < scan->from_ms))
        return WEIR_OK;
    if (err == WEIR_OK)
        err = weir_part_read_values(parts->reader, part, entry, parts->values);
    if (is_damage(err)) {
        skip(parts, weir_part_path(part));
        return WEIR_OK;
    }
    for (uint32_t i = 0; err == WEIR_OK && i < entry->count; i++)
        if (times_ms[i] >= scan->from_ms && times_ms[i] < scan->to_ms)
            err = scan->call(scan->context, at, times_ms[i], parts->values[i]);
    return err;
}

/* Place of a number in the caller's list, or SIZE_MAX. */
static size_t
place_of(const struct weir_read_scan *scan, uint64_t number)
{
    if (scan->numbers == NULL)
        return (size_t)number;
    size_t at = weir_scan_lower_bound(scan->numbers, scan->number_count, number);
    if (at == scan->number_count || scan->numbers[at] != number)
        return SIZE_MAX;
    return scan->places != NULL ? scan->places[at] : at;
}

static enum weir_err
scan_directory(struct weir_read_parts *parts, const struct weir_read_scan *scan,
    const struct weir_part *part, uint32_t n)
{
    const struct weir_part_entry *entries;
    uint32_t count;
    enum weir_err err = weir_part_read_directory(parts->reader, part, n, &entries, &count);
    if (is_damage(err)) {
        skip(parts, weir_part_path(part));
        return WEIR_OK;
    }
    for (uint32_t i = 0; err == WEIR_OK && i < count; i++) {
        uint64_t number = (uint64_t)entries[i].shard << WEIR_PART_SHARD_BITS | entries[i].local;
        size_t at = place_of(scan, number);
        if (at != SIZE_MAX)
            err = scan_chunk(parts, scan, part, &entries[i], at);
    }
    return err;
}

/* Whether a directory block of a part in the order of numbers can have a number of the scan. A
 * block begins in the shard its entry names, and may end in a later one: then its last number is of
 * no use. */
static bool
concerns(const struct weir_read_scan *scan, const struct weir_part *part, uint32_t n)
{
    const struct weir_part_footer *footer = weir_part_footer(part);
    if (scan->numbers == NULL || footer->order != WEIR_PART_BY_NUMBER)
        return true;
    const struct weir_part_block *blocks = weir_part_blocks(part);
    const struct weir_part_block *block = &blocks[weir_part_directory_block(part, n)];
    uint64_t first = (uint64_t)block->shard << WEIR_PART_SHARD_BITS | block->first;
    uint64_t end = (uint64_t)(footer->shard_last + 1) << WEIR_PART_SHARD_BITS;
    if (n + 1 < weir_part_directory_count(part)) {
        const struct weir_part_block *next = &blocks[weir_part_directory_block(part, n + 1)];
        end = ((uint64_t)next->shard << WEIR_PART_SHARD_BITS | next->first) + 1;
    }
    size_t at = weir_scan_lower_bound(scan->numbers, scan->number_count, first);
    return at < scan->number_count && scan->numbers[at] < end;
}

enum weir_err
weir_read_parts_scan(struct weir_read_parts *parts, const struct weir_read_scan *scan,
    weir_reader_check_fn *check, void *check_context)
{
    enum weir_err err = WEIR_OK;
    for (size_t i = 0; err == WEIR_OK && i < parts->count; i++) {
        const struct weir_manifest_part *entry = &parts->parts[i].entry;
        const struct weir_part *part = parts->parts[i].part;
        if (entry->time_max_ms < scan->from_ms || entry->time_min_ms >= scan->to_ms)
            continue;
        for (uint32_t n = 0; err == WEIR_OK && part != NULL && n < weir_part_directory_count(part);
             n++) {
            if (!concerns(scan, part, n))
                continue;
            if (check != NULL)
                err = check(check_context);
            if (err == WEIR_OK)
                err = scan_directory(parts, scan, part, n);
        }
    }
    return err;
}
