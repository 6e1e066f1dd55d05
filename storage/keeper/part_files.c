#include "storage/keeper/part_files.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ID_DIGITS 16

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
each_file(struct weir_io *io, const char *folder, weir_part_file_fn *call, void *context)
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

enum weir_err
weir_part_files_each(
    struct weir_io *io, const char *store, weir_part_file_fn *call, void *context)
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
