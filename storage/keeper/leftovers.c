#include "storage/keeper/leftovers.h"

#include "base/event.h"
#include "storage/keeper/part_files.h"

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
    if (weir_part_files_each(io, store, remove_unnamed, &removal) != WEIR_OK)
        weir_event(
            WEIR_LEVEL_WARN, "store_not_listed", "path=%s reason=%s", store, weir_err_detail());
}
