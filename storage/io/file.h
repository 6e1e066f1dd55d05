/* file: the synchronous half of the back ends that keep real files: one system call or a few, and
 * their errors.
 *
 * Threads: any; no state
 * Errors:  as storage/io/io.h
 */
#ifndef WEIR_STORAGE_IO_FILE_H
#define WEIR_STORAGE_IO_FILE_H

#include "storage/io/io.h"

enum weir_err weir_io_file_open(const char *path, unsigned flags, weir_io_file *out);
void weir_io_file_close(weir_io_file file);
enum weir_err weir_io_file_size(weir_io_file file, uint64_t *bytes);
enum weir_err weir_io_file_read(weir_io_file file, void *data, size_t size, uint64_t offset);
enum weir_err weir_io_file_flush(weir_io_file file);
enum weir_err weir_io_file_replace(const char *path, const void *data, size_t size);
enum weir_err weir_io_file_replace_spare(const char *path, const void *data, size_t size);
enum weir_err weir_io_file_allocate(const char *path, weir_io_file file, uint64_t size);
enum weir_err weir_io_file_mkdir(const char *path);
enum weir_err weir_io_file_rename(const char *from, const char *to);
enum weir_err weir_io_file_unlink(const char *path);
enum weir_err weir_io_file_list(const char *path, char ***names, size_t *count);

#endif
