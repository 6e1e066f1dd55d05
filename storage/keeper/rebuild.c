#include "storage/keeper/rebuild.h"

#include "base/event.h"
#include "storage/keeper/part_files.h"
#include "storage/part/part_reader.h"

#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LEVELS 3

enum fate { COUNTS, OBSOLETE, MERGED_AGAIN, KEPT_ASIDE, FATES };

struct candidate {
    struct weir_manifest_part entry;
    int64_t partition_to_ms;
    struct weir_part_ledger ledger;
    enum fate fate;
};

struct rebuild {
    const struct weir_rebuild_options *options;
    struct weir_manifest *manifest;
    struct candidate *candidates;
    size_t count;
    size_t capacity;
    uint64_t fates[FATES]; /* files of each */
};

/* Out of the way of weir_leftovers_remove, at this open and at all later ones. */
static enum weir_err
keep_aside(struct rebuild *rebuild, const char *path, const char *reason)
{
    char kept[PATH_MAX];
    weir_event(WEIR_LEVEL_ERROR, "part_kept_aside", "path=%s reason=%s", path, reason);
    int size = snprintf(kept, sizeof kept, "%s.kept", path);
    if (size >= (int)sizeof kept)
        return weir_fail(WEIR_INVALID, 0, "the path of %s is too long", path);
    rebuild->fates[KEPT_ASIDE]++;
    return weir_io_rename(rebuild->options->io, path, kept);
}

/* What keeps a footer that checks out from being that of the file's part; NULL: nothing. */
static const char *
mistake_in(const struct rebuild *rebuild, const struct weir_part_footer *footer, const char *path,
    uint64_t file_id)
{
    char own[PATH_MAX];
    if (footer->file_id != file_id)
        return "its name is that of another file";
    if (weir_part_file_path(rebuild->options->store, footer->partition_start_ms, file_id, own,
            sizeof own) != WEIR_OK ||
        strcmp(own, path) != 0)
        return "it is in the folder of another partition";
    if (footer->level < 1 || footer->level > LEVELS ||
        footer->retention_class >= WEIR_MANIFEST_CLASSES)
        return "no such level or class";
    if (footer->log_from >= footer->log_through)
        return "it has no place in the log";
    if (footer->time_min_ms > footer->time_max_ms ||
        footer->time_min_ms < footer->partition_start_ms ||
        footer->time_max_ms >= footer->partition_end_ms)
        return "its times are not in its partition";
    return NULL;
}

static enum weir_err
add_candidate(struct rebuild *rebuild, const struct weir_part *part)
{
    const struct weir_part_footer *footer = weir_part_footer(part);
    if (rebuild->count == rebuild->capacity) {
        size_t capacity = rebuild->capacity * 2 + 64;
        struct candidate *more =
            realloc(rebuild->candidates, capacity * sizeof *rebuild->candidates);
        if (more == NULL)
            return weir_fail(WEIR_NOMEM, 0, "list of %zu parts", capacity);
        rebuild->candidates = more;
        rebuild->capacity = capacity;
    }
    rebuild->candidates[rebuild->count++] =
        (struct candidate){.entry = {.file_id = footer->file_id,
                               .partition_ms = footer->partition_start_ms,
                               .shard_first = footer->shard_first,
                               .shard_last = footer->shard_last,
                               .shard_live = footer->shard_first,
                               .level = footer->level,
                               .retention_class = footer->retention_class,
                               .log_from = footer->log_from,
                               .log_through = footer->log_through,
                               .time_min_ms = footer->time_min_ms,
                               .time_max_ms = footer->time_max_ms,
                               .samples = footer->ledger.live,
                               .bytes = weir_part_bytes(part)},
            .partition_to_ms = footer->partition_end_ms,
            .ledger = footer->ledger};
    return WEIR_OK;
}

static enum weir_err
look_at(void *context, const char *path, uint64_t file_id, bool temporary)
{
    struct rebuild *rebuild = context;
    struct weir_part *part;
    if (temporary)
        return WEIR_OK;
    enum weir_err err = weir_part_open(rebuild->options->io, path, &part);
    if (err == WEIR_CORRUPT)
        return keep_aside(rebuild, path, "neither footer checks out");
    if (err != WEIR_OK)
        return err;
    const char *mistake = mistake_in(rebuild, weir_part_footer(part), path, file_id);
    err = mistake != NULL ? keep_aside(rebuild, path, mistake) : add_candidate(rebuild, part);
    weir_part_close(rebuild->options->io, part);
    return err;
}

/* Rules 1 to 4: the keeper offset, and which parts are of a unit that is merged again. */
static uint64_t
find_offset(struct rebuild *rebuild)
{
    uint64_t proven = 0, newest = 0, through = 0;
    for (size_t i = 0; i < rebuild->count; i++) {
        const struct weir_manifest_part *part = &rebuild->candidates[i].entry;
        if (part->level > 1 && part->log_through > proven)
            proven = part->log_through;
        if (part->level == 1 && part->log_from > newest)
            newest = part->log_from;
        if (part->log_through > through)
            through = part->log_through;
    }
    const struct weir_rebuild_options *options = rebuild->options;
    uint64_t offset = through;
    if (newest < proven)
        offset = proven;
    else if (newest >= options->log_first && newest >= options->committed)
        offset = newest;
    for (size_t i = 0; i < rebuild->count; i++)
        if (rebuild->candidates[i].entry.log_through > offset)
            rebuild->candidates[i].fate = MERGED_AGAIN;
    return offset > options->log_first ? offset : options->log_first;
}

static int
order_of(uint64_t a, uint64_t b)
{
    return (a > b) - (a < b);
}

/* Partition, class; then a part comes after all that may make it obsolete. */
static int
by_range(const void *a, const void *b)
{
    const struct weir_manifest_part *left = &((const struct candidate *)a)->entry;
    const struct weir_manifest_part *right = &((const struct candidate *)b)->entry;
    if (left->partition_ms != right->partition_ms)
        return left->partition_ms < right->partition_ms ? -1 : 1;
    if (left->retention_class != right->retention_class)
        return order_of(left->retention_class, right->retention_class);
    if (left->log_from != right->log_from)
        return order_of(left->log_from, right->log_from);
    if (left->log_through != right->log_through)
        return order_of(right->log_through, left->log_through);
    if (left->level != right->level)
        return order_of(right->level, left->level);
    return order_of(right->file_id, left->file_id);
}

/* Rule 5. reach[n]: the largest log_through of the parts before of level n + 1; none of them begins
 * later in the log. */
static void
find_obsolete(struct rebuild *rebuild)
{
    uint64_t reach[LEVELS] = {0};
    const struct candidate *before = NULL;
    qsort(rebuild->candidates, rebuild->count, sizeof *rebuild->candidates, by_range);
    for (size_t i = 0; i < rebuild->count; i++) {
        struct candidate *at = &rebuild->candidates[i];
        if (at->fate != COUNTS)
            continue;
        if (before == NULL || before->entry.partition_ms != at->entry.partition_ms ||
            before->entry.retention_class != at->entry.retention_class)
            memset(reach, 0, sizeof reach);
        before = at;
        for (unsigned level = at->entry.level; level <= LEVELS; level++)
            if (reach[level - 1] >= at->entry.log_through)
                at->fate = OBSOLETE;
        uint64_t *own = &reach[at->entry.level - 1];
        *own = at->entry.log_through > *own ? at->entry.log_through : *own;
    }
}

static enum weir_err
add_part(struct rebuild *rebuild, const struct candidate *part)
{
    struct weir_parts_ledger *ledger = &rebuild->manifest->ledger[part->entry.retention_class];
    enum weir_err err = weir_manifest_part_add(rebuild->manifest, &part->entry);
    if (err != WEIR_OK)
        return err;
    ledger->superseded += part->ledger.superseded;
    ledger->expired += part->ledger.expired;
    ledger->deleted += part->ledger.deleted;
    ledger->damaged += part->ledger.damaged;
    ledger->merged += part->ledger.live + part->ledger.superseded + part->ledger.expired +
        part->ledger.deleted + part->ledger.damaged;
    return WEIR_OK;
}

static int
by_log(const void *a, const void *b)
{
    const struct candidate *left = a, *right = b;
    int order = order_of(left->entry.log_from, right->entry.log_from);
    return order != 0 ? order : weir_manifest_part_compare(&left->entry, &right->entry);
}

/* Partitions in the order in which the keeper made them: a later one was cut to fit. */
static enum weir_err
add_partitions(struct rebuild *rebuild)
{
    enum weir_err err = WEIR_OK;
    qsort(rebuild->candidates, rebuild->count, sizeof *rebuild->candidates, by_log);
    for (size_t i = 0; i < rebuild->count && err == WEIR_OK; i++) {
        struct candidate *at = &rebuild->candidates[i];
        const struct weir_partition bounds = {at->entry.partition_ms, at->partition_to_ms};
        char path[PATH_MAX];
        if (at->fate != COUNTS)
            continue;
        err = weir_manifest_partition_restore(rebuild->manifest, &bounds);
        if (err != WEIR_INVALID)
            continue;
        at->fate = KEPT_ASIDE;
        err = weir_part_file_path(rebuild->options->store, bounds.from_ms, at->entry.file_id, path,
            sizeof path);
        if (err == WEIR_OK)
            err = keep_aside(rebuild, path, "its partition overlaps another");
    }
    return err;
}

static int
by_place(const void *a, const void *b)
{
    const struct candidate *left = a, *right = b;
    return weir_manifest_part_compare(&left->entry, &right->entry);
}

static enum weir_err
add_parts(struct rebuild *rebuild)
{
    static const char *const reasons[FATES] = {[OBSOLETE] = "another part holds its samples",
        [MERGED_AGAIN] = "its unit may not be whole: the log holds it, and it is merged again"};
    enum weir_err err = WEIR_OK;
    qsort(rebuild->candidates, rebuild->count, sizeof *rebuild->candidates, by_place);
    for (size_t i = 0; i < rebuild->count && err == WEIR_OK; i++) {
        const struct candidate *at = &rebuild->candidates[i];
        if (at->fate == KEPT_ASIDE)
            continue; /* counted and reported */
        rebuild->fates[at->fate]++;
        if (at->fate == COUNTS)
            err = add_part(rebuild, at);
        else
            weir_event(WEIR_LEVEL_INFO, "part_left_out",
                "file=%016" PRIx64 " partition=%" PRId64 " reason=%s", at->entry.file_id,
                at->entry.partition_ms, reasons[at->fate]);
    }
    return err;
}

static void
report(const struct rebuild *rebuild)
{
    const struct weir_manifest *manifest = rebuild->manifest;
    uint64_t samples = 0;
    for (unsigned i = 0; i < WEIR_MANIFEST_CLASSES; i++)
        samples += manifest->ledger[i].live;
    weir_event(WEIR_LEVEL_WARN, "manifest_rebuilt",
        "parts=%" PRIu32 " samples=%" PRIu64 " partitions=%" PRIu32 " offset=%" PRIu64
        " obsolete=%" PRIu64 " merged_again=%" PRIu64 " kept_aside=%" PRIu64,
        manifest->part_count, samples, manifest->partition_count, manifest->keeper_offset,
        rebuild->fates[OBSOLETE], rebuild->fates[MERGED_AGAIN], rebuild->fates[KEPT_ASIDE]);
}

enum weir_err
weir_manifest_rebuild(
    struct weir_manifest *manifest, const struct weir_rebuild_options *options)
{
    struct rebuild rebuild = {.options = options, .manifest = manifest};
    enum weir_err err = weir_part_files_each(options->io, options->store, look_at, &rebuild);
    if (err == WEIR_OK)
        manifest->keeper_offset = find_offset(&rebuild);
    if (err == WEIR_OK && rebuild.count != 0) {
        find_obsolete(&rebuild);
        err = add_partitions(&rebuild);
        if (err == WEIR_OK)
            err = add_parts(&rebuild);
    }
    if (err == WEIR_OK) {
        /* a keeper may have been killed between a save and the word of it: one more than known */
        manifest->generation = options->generation != 0 ? options->generation + 1 : 0;
        err = weir_manifest_save(manifest, options->io, options->store);
    }
    if (err == WEIR_OK && rebuild.count + rebuild.fates[KEPT_ASIDE] != 0)
        report(&rebuild);
    free(rebuild.candidates);
    return err;
}
