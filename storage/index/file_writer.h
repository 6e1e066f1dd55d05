/* index_file_writer: appends to a new file through two buffers, one of which is being written.
 *
 * Owns:    the file "<path>.tmp" until finish gives it its name
 * Threads: that of its io, whose asynchronous half it uses alone
 * Memory:  of the caller's
 * Errors:  the first failed write is kept, and every call after it returns it. Nothing is tried
 *          again: the file is thrown away
 */
#ifndef WEIR_STORAGE_INDEX_FILE_WRITER_H
#define WEIR_STORAGE_INDEX_FILE_WRITER_H

#include "storage/io/io.h"

#include <limits.h>

#define WEIR_FILE_WRITER_BUFFER (256 * 1024)

struct weir_file_writer {
    struct weir_io *io;
    weir_io_file file; /* < 0: none is open */
    char path[PATH_MAX];
    char temporary[PATH_MAX];
    uint64_t at; /* bytes appended */
    size_t used; /* of the buffer that fills */
    unsigned filling;
    bool writing; /* the other buffer is with the io */
    enum weir_err failed;
    uint8_t buffers[2][WEIR_FILE_WRITER_BUFFER];
};

enum weir_err weir_file_writer_open(struct weir_file_writer *writer, struct weir_io *io,
    const char *path) WEIR_MUST_USE;
enum weir_err weir_file_writer_append(struct weir_file_writer *writer, const void *data,
    size_t size) WEIR_MUST_USE;
/* Appends zeros up to a multiple of alignment (at most 4,096). */
enum weir_err weir_file_writer_align(struct weir_file_writer *writer, size_t alignment)
    WEIR_MUST_USE;
/* Writes what is buffered, so that the file can be read. */
enum weir_err weir_file_writer_drain(struct weir_file_writer *writer) WEIR_MUST_USE;
/* Drains, syncs and renames. The file is closed, also where that failed; then it is removed, and so
 * is a file that had the name before. */
enum weir_err weir_file_writer_finish(struct weir_file_writer *writer) WEIR_MUST_USE;
/* Closes and removes the file, if one is open. */
void weir_file_writer_abort(struct weir_file_writer *writer);

#endif
