#include "storage/keeper/leftovers.h"

#include "base/event.h"

#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ID_DIGITS 16

typedef enum weir_err file_fn(void *context, const char *path, uint64_t file_id, bool temporary);

/* <16 hex digits>.part or the same with .tmp; the digits as the keeper writes them. */
static bool
is_part_name(const char *name, uint64_t *file_id, bool *temporary)
{
    if (strspn(name, "0123456789abcdef") != ID_DIGITS)
        return false;
    *file_id = strtoull(name, NULL, 16);
    *temporary = strcmp(name + ID_DIGITS, ".part.tmp") == 0;
    return *temporary || strcmp(name + ID_DIGITS, ".part") == 0;
}

static enum weir_err
each_file(struct weir_io *io, const char *folder, file_fn *call, void *context)
{
    char **names;
    size_t count;
    enum weir_err err = weir_io_list(io, folder, &names, &count);
    if (err != WEIR_OK)
        return err;
    for (size_t i = 0; err == WEIR_OK && i < count; i++) {
        char path[PATH_MAX];
        uint64_t file_id;
        bool temporary;
        int size = snprintf(path, sizeof path, "%s/%s", folder, names[i]);
        if (size < (int)sizeof path && is_part_name(names[i], &file_id, &temporary))
            err = call(context, path, file_id, temporary);
    }
    weir_io_list_free(names, count);
    return err;
}

/* Folders of partitions are named by a number. */
static bool
is_partition_name(const char *name)
{
    char *end;
    strtoll(name, &end, 10);
    return end != name && *end == '\0';
}

static enum weir_err
each_part(struct weir_io *io, const char *store, file_fn *call, void *context)
{
    char parts[PATH_MAX], folder[PATH_MAX];
    char **names;
    size_t count;
    snprintf(parts, sizeof parts, "%s/parts", store);
    enum weir_err err = weir_io_list(io, parts, &names, &count);
    if (err != WEIR_OK)
        return err == WEIR_NOT_FOUND ? WEIR_OK : err;
    for (size_t i = 0; err == WEIR_OK && i < count; i++) {
        int size = snprintf(folder, sizeof folder, "%s/%s", parts, names[i]);
        if (size < (int)sizeof folder && is_partition_name(names[i]))
            err = each_file(io, folder, call, context);
    }
    weir_io_list_free(names, count);
    return err;
}

struct removal {
    struct weir_io *io;
    const struct weir_manifest *manifest;
};

static enum weir_err
remove_unnamed(void *context, const char *path, uint64_t file_id, bool temporary)
{
    const struct removal *removal = context;
    if (!temporary && weir_manifest_part_find(removal->manifest, file_id) != NULL)
        return WEIR_OK;
    enum weir_err err = weir_io_unlink(removal->io, path);
    weir_event(err == WEIR_OK ? WEIR_LEVEL_INFO : WEIR_LEVEL_WARN,
        err == WEIR_OK ? "part_removed" : "part_left_behind", "path=%s reason=%s", path,
        err == WEIR_OK ? "no manifest names it" : weir_err_detail());
    return WEIR_OK;
}

void
weir_leftovers_remove(struct weir_io *io, const char *store, const struct weir_manifest *manifest)
{
    struct removal removal = {.io = io, .manifest = manifest};
    if (each_part(io, store, remove_unnamed, &removal) != WEIR_OK)
        weir_event(
            WEIR_LEVEL_WARN, "store_not_listed", "path=%s reason=%s", store, weir_err_detail());
}

static enum weir_err
found(void *context, const char *path, uint64_t file_id, bool temporary)
{
    (void)context;
    (void)file_id;
    return temporary ? WEIR_OK
                     : weir_fail(WEIR_CORRUPT, 0, "%s is there, and no manifest is", path);
}

enum weir_err
weir_leftovers_none(struct weir_io *io, const char *store)
{
    return each_part(io, store, found, NULL);
}
