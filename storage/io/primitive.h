/* primitive: each primitive of the back end, after the tests' fault hook was asked. The names that
 * the hook gets are those of the functions of struct weir_io_table.
 *
 * Threads: as storage/io/io.h
 * Errors:  0 or a negative errno, as storage/io/backend.h
 */
#ifndef WEIR_STORAGE_IO_PRIMITIVE_H
#define WEIR_STORAGE_IO_PRIMITIVE_H

#include "storage/io/backend.h"

/* Asks the hook; 0 where the operation is to be done. */
int weir_io_fault(struct weir_io *io, const char *operation, uint64_t offset, size_t size);

int weir_io_do_open(struct weir_io *io, const char *path, unsigned flags, weir_io_file *out);
void weir_io_do_close(struct weir_io *io, weir_io_file file);
int64_t weir_io_do_pread(struct weir_io *io, weir_io_file file, void *data, size_t size,
    uint64_t offset);
int64_t weir_io_do_pwrite(struct weir_io *io, weir_io_file file, const void *data, size_t size,
    uint64_t offset);
int weir_io_do_fsync(struct weir_io *io, weir_io_file file);
int weir_io_do_fdatasync(struct weir_io *io, weir_io_file file);
int weir_io_do_fsync_directory(struct weir_io *io, const char *path);
int weir_io_do_rename(struct weir_io *io, const char *from, const char *to);
int weir_io_do_exchange(struct weir_io *io, const char *one, const char *other);
int weir_io_do_link(struct weir_io *io, const char *from, const char *to);
int weir_io_do_unlink(struct weir_io *io, const char *path);
int weir_io_do_mkdir(struct weir_io *io, const char *path);
int weir_io_do_truncate(struct weir_io *io, weir_io_file file, uint64_t size);
int weir_io_do_allocate(struct weir_io *io, weir_io_file file, uint64_t size, bool keep_size);
int weir_io_do_size(struct weir_io *io, weir_io_file file, uint64_t *bytes);
int weir_io_do_list(struct weir_io *io, const char *path, char ***names, size_t *count);
int weir_io_do_statvfs(struct weir_io *io, const char *path, struct weir_io_space *out);

#endif
