/* part_files: the files of the store that have the name of a part, or of one that is being written.
 *
 * Threads: any; no state
 * Errors:  those of the calls and of listing; a store without folders has no files
 */
#ifndef WEIR_STORAGE_KEEPER_PART_FILES_H
#define WEIR_STORAGE_KEEPER_PART_FILES_H

#include "storage/io/io.h"

/* file_id: as the name says. temporary: the file is being written, or its writer was killed. */
typedef enum weir_err weir_part_file_fn(
    void *context, const char *path, uint64_t file_id, bool temporary);

/* Calls for each <16 hex digits>.part and .part.tmp below store/parts/<number>/, until a call
 * returns an error. A call may remove or rename its file. */
enum weir_err weir_part_files_each(
    struct weir_io *io, const char *store, weir_part_file_fn *call, void *context) WEIR_MUST_USE;

#endif
