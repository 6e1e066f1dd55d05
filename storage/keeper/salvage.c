#include "storage/keeper/salvage.h"

#include "base/event.h"

#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PAGE 4096
#define FILES_MAX (WEIR_SALVAGE_BYTES_MAX / PAGE)

struct kept {
    uint64_t number;
    struct weir_salvage_block block;
    uint64_t bytes; /* that it counts */
};

struct weir_salvage {
    struct weir_io *io;
    char directory[PATH_MAX];
    bool usable;
    uint64_t bytes_max;
    uint64_t bytes; /* of all files */
    uint32_t first; /* the oldest of files, a ring in the order of numbers */
    uint32_t count;
    uint8_t block[WEIR_SALVAGE_BLOCK_MAX];
    struct kept files[FILES_MAX];
};

static uint64_t
counted(uint64_t size)
{
    return (size + PAGE - 1) / PAGE * PAGE;
}

static bool
path_of(const struct weir_salvage *salvage, const struct kept *file, char *path)
{
    const struct weir_salvage_block *block = &file->block;
    int size = block->kind == WEIR_SALVAGE_LOG
        ? snprintf(path, PATH_MAX, "%s/%016" PRIx64 ".log-%" PRIu64 "-%" PRIu64 ".block",
              salvage->directory, file->number, block->source, block->place)
        : snprintf(path, PATH_MAX, "%s/%016" PRIx64 ".part-%016" PRIx64 "-%" PRIu64 ".block",
              salvage->directory, file->number, block->source, block->place);
    return size >= 0 && size < PATH_MAX;
}

/* Removes the oldest file. false: it stays, and there is room for no other. */
static bool
drop_oldest(struct weir_salvage *salvage)
{
    char path[PATH_MAX];
    const struct kept *oldest = &salvage->files[salvage->first];
    enum weir_err err =
        path_of(salvage, oldest, path) ? weir_io_unlink(salvage->io, path) : WEIR_OK;
    if (err != WEIR_OK && err != WEIR_NOT_FOUND)
        return false;
    salvage->bytes -= oldest->bytes;
    salvage->first = (salvage->first + 1) % FILES_MAX;
    salvage->count--;
    return true;
}

static bool
make_room(struct weir_salvage *salvage, uint64_t bytes)
{
    if (bytes > salvage->bytes_max)
        return false;
    while (salvage->count == FILES_MAX || bytes > salvage->bytes_max - salvage->bytes)
        if (!drop_oldest(salvage))
            return false;
    return true;
}

static void
append(struct weir_salvage *salvage, const struct kept *file)
{
    salvage->files[(salvage->first + salvage->count++) % FILES_MAX] = *file;
    salvage->bytes += file->bytes;
}

/* The name says it all, and is exactly the one that path_of makes. */
static bool
parse_name(const struct weir_salvage *salvage, const char *name, struct kept *out)
{
    char path[PATH_MAX];
    struct weir_salvage_block *block = &out->block;
    *out = (struct kept){.block = {.kind = WEIR_SALVAGE_LOG}};
    if (sscanf(name, "%16" SCNx64 ".log-%20" SCNu64 "-%20" SCNu64 ".block", &out->number,
            &block->source, &block->place) != 3) {
        block->kind = WEIR_SALVAGE_PART;
        if (sscanf(name, "%16" SCNx64 ".part-%16" SCNx64 "-%20" SCNu64 ".block", &out->number,
                &block->source, &block->place) != 3)
            return false;
    }
    return path_of(salvage, out, path) && strcmp(path + strlen(salvage->directory) + 1, name) == 0;
}

static enum weir_err
size_of(struct weir_salvage *salvage, const struct kept *file, uint64_t *bytes)
{
    char path[PATH_MAX];
    weir_io_file handle;
    *bytes = 0;
    if (!path_of(salvage, file, path))
        return WEIR_INVALID;
    enum weir_err err = weir_io_open(salvage->io, path, WEIR_IO_READ, &handle);
    if (err != WEIR_OK)
        return err;
    err = weir_io_size(salvage->io, handle, bytes);
    weir_io_close(salvage->io, handle);
    return err;
}

/* A name with .new after it is of a write that was killed (weir_io_replace). */
static void
remove_unfinished(struct weir_salvage *salvage, char *name)
{
    char path[PATH_MAX];
    struct kept file;
    char *end = strrchr(name, '.');
    if (end == NULL || strcmp(end, ".new") != 0)
        return;
    *end = '\0';
    if (!parse_name(salvage, name, &file) || !path_of(salvage, &file, path) ||
        strlen(path) + sizeof ".new" > sizeof path)
        return;
    strcat(path, ".new");
    if (weir_io_unlink(salvage->io, path) != WEIR_OK)
        weir_event(
            WEIR_LEVEL_WARN, "file_left_behind", "path=%s reason=%s", path, weir_err_detail());
}

/* Names come sorted: by number. */
static enum weir_err
look(struct weir_salvage *salvage)
{
    char **names;
    size_t count;
    enum weir_err err = weir_io_mkdir(salvage->io, salvage->directory);
    if (err == WEIR_OK)
        err = weir_io_list(salvage->io, salvage->directory, &names, &count);
    if (err != WEIR_OK)
        return err;
    for (size_t i = 0; i < count && err == WEIR_OK; i++) {
        struct kept file;
        uint64_t size = 0;
        if (!parse_name(salvage, names[i], &file)) {
            remove_unfinished(salvage, names[i]);
            continue;
        }
        err = size_of(salvage, &file, &size);
        file.bytes = counted(size);
        if (err == WEIR_OK && make_room(salvage, file.bytes))
            append(salvage, &file);
    }
    weir_io_list_free(names, count);
    return err;
}

enum weir_err
weir_salvage_open(
    struct weir_io *io, const char *directory, uint64_t bytes_max, struct weir_salvage **out)
{
    struct weir_salvage *salvage = calloc(1, sizeof *salvage);
    if (salvage == NULL)
        return weir_fail(WEIR_NOMEM, 0, "list of damaged blocks");
    salvage->io = io;
    salvage->bytes_max = bytes_max;
    int size = snprintf(salvage->directory, sizeof salvage->directory, "%s", directory);
    enum weir_err err = size < (int)sizeof salvage->directory
        ? look(salvage)
        : weir_fail(WEIR_INVALID, 0, "the path is too long");
    salvage->usable = err == WEIR_OK;
    if (err == WEIR_NOMEM) {
        free(salvage);
        return err;
    }
    if (err != WEIR_OK)
        weir_event(
            WEIR_LEVEL_WARN, "salvage_unusable", "path=%s reason=%s", directory, weir_err_detail());
    *out = salvage;
    return WEIR_OK;
}

void
weir_salvage_close(struct weir_salvage *salvage)
{
    free(salvage);
}

static bool
is_kept(const struct weir_salvage *salvage, const struct weir_salvage_block *block)
{
    for (uint32_t i = 0; i < salvage->count; i++) {
        const struct weir_salvage_block *there =
            &salvage->files[(salvage->first + i) % FILES_MAX].block;
        if (there->kind == block->kind && there->source == block->source &&
            there->place == block->place)
            return true;
    }
    return false;
}

static uint64_t
next_number(const struct weir_salvage *salvage)
{
    return salvage->count == 0
        ? 1
        : salvage->files[(salvage->first + salvage->count - 1) % FILES_MAX].number + 1;
}

void
weir_salvage_keep(struct weir_salvage *salvage, const struct weir_salvage_block *block,
    const uint8_t *bytes, size_t size)
{
    char path[PATH_MAX];
    if (salvage == NULL || !salvage->usable || is_kept(salvage, block))
        return;
    size = size < WEIR_SALVAGE_BLOCK_MAX ? size : WEIR_SALVAGE_BLOCK_MAX;
    const struct kept file = {
        .number = next_number(salvage), .block = *block, .bytes = counted(size)};
    if (!path_of(salvage, &file, path))
        return;
    enum weir_err err = make_room(salvage, file.bytes)
        ? weir_io_replace(salvage->io, path, bytes, size)
        : weir_fail(WEIR_FULL, 0, "the oldest ones cannot be removed");
    if (err != WEIR_OK) {
        weir_event(WEIR_LEVEL_WARN, "block_not_kept", "path=%s reason=%s", path, weir_err_detail());
        return;
    }
    append(salvage, &file);
    weir_event(WEIR_LEVEL_INFO, "block_kept", "path=%s bytes=%zu", path, size);
}

void
weir_salvage_keep_from(struct weir_salvage *salvage, const struct weir_salvage_block *block,
    const char *path, size_t size)
{
    weir_io_file file;
    if (salvage == NULL || !salvage->usable || is_kept(salvage, block))
        return;
    size = size < WEIR_SALVAGE_BLOCK_MAX ? size : WEIR_SALVAGE_BLOCK_MAX;
    enum weir_err err = weir_io_open(salvage->io, path, WEIR_IO_READ, &file);
    if (err == WEIR_OK) {
        err = weir_io_read(salvage->io, file, salvage->block, size, block->place);
        weir_io_close(salvage->io, file);
    }
    if (err == WEIR_OK)
        weir_salvage_keep(salvage, block, salvage->block, size);
    else
        weir_event(WEIR_LEVEL_WARN, "block_not_kept", "path=%s reason=%s", path, weir_err_detail());
}
