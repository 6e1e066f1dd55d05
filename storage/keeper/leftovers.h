/* leftovers: files of the store that no manifest names: a keeper was killed before its commit, or
 * after one before the removal.
 *
 * Threads: the keeper's main thread, at open
 * Errors:  a file that cannot be removed is reported and stays
 */
#ifndef WEIR_STORAGE_KEEPER_LEFTOVERS_H
#define WEIR_STORAGE_KEEPER_LEFTOVERS_H

#include "storage/io/io.h"
#include "storage/manifest/manifest.h"

/* Removes parts of ours, by name, that the manifest does not name, and their temporary files. The
 * manifest has checked out. Other files are left alone. */
void weir_leftovers_remove(
    struct weir_io *io, const char *store, const struct weir_manifest *manifest);

#endif
