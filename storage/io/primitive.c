#include "storage/io/primitive.h"

int
weir_io_fault(struct weir_io *io, const char *operation, uint64_t offset, size_t size)
{
    return io->fault == NULL ? 0 : io->fault(io->fault_context, operation, offset, size);
}

void
weir_io_do_close(struct weir_io *io, weir_io_file file)
{
    if (io->table->forget != NULL)
        io->table->forget(io, file);
    io->table->close(io, file);
}

int
weir_io_do_open(struct weir_io *io, const char *path, unsigned flags, weir_io_file *out)
{
    int result = weir_io_fault(io, "open", 0, 0);
    return result != 0 ? result : io->table->open(io, path, flags, out);
}

int64_t
weir_io_do_pread(struct weir_io *io, weir_io_file file, void *data, size_t size,
    uint64_t offset)
{
    int result = weir_io_fault(io, "pread", offset, size);
    return result != 0 ? result : io->table->pread(io, file, data, size, offset);
}

int64_t
weir_io_do_pwrite(struct weir_io *io, weir_io_file file, const void *data, size_t size,
    uint64_t offset)
{
    int result = weir_io_fault(io, "pwrite", offset, size);
    return result != 0 ? result : io->table->pwrite(io, file, data, size, offset);
}

int
weir_io_do_fsync(struct weir_io *io, weir_io_file file)
{
    int result = weir_io_fault(io, "fsync", 0, 0);
    return result != 0 ? result : io->table->fsync(io, file);
}

int
weir_io_do_fdatasync(struct weir_io *io, weir_io_file file)
{
    int result = weir_io_fault(io, "fdatasync", 0, 0);
    return result != 0 ? result : io->table->fdatasync(io, file);
}

int
weir_io_do_fsync_directory(struct weir_io *io, const char *path)
{
    int result = weir_io_fault(io, "fsync_directory", 0, 0);
    return result != 0 ? result : io->table->fsync_directory(io, path);
}

int
weir_io_do_rename(struct weir_io *io, const char *from, const char *to)
{
    int result = weir_io_fault(io, "rename", 0, 0);
    return result != 0 ? result : io->table->rename(io, from, to);
}

int
weir_io_do_exchange(struct weir_io *io, const char *one, const char *other)
{
    int result = weir_io_fault(io, "exchange", 0, 0);
    return result != 0 ? result : io->table->exchange(io, one, other);
}

int
weir_io_do_link(struct weir_io *io, const char *from, const char *to)
{
    int result = weir_io_fault(io, "link", 0, 0);
    return result != 0 ? result : io->table->link(io, from, to);
}

int
weir_io_do_unlink(struct weir_io *io, const char *path)
{
    int result = weir_io_fault(io, "unlink", 0, 0);
    return result != 0 ? result : io->table->unlink(io, path);
}

int
weir_io_do_mkdir(struct weir_io *io, const char *path)
{
    int result = weir_io_fault(io, "mkdir", 0, 0);
    return result != 0 ? result : io->table->mkdir(io, path);
}

int
weir_io_do_truncate(struct weir_io *io, weir_io_file file, uint64_t size)
{
    int result = weir_io_fault(io, "truncate", size, 0);
    return result != 0 ? result : io->table->truncate(io, file, size);
}

int
weir_io_do_allocate(struct weir_io *io, weir_io_file file, uint64_t size, bool keep_size)
{
    int result = weir_io_fault(io, "allocate", 0, size);
    return result != 0 ? result : io->table->allocate(io, file, size, keep_size);
}

int
weir_io_do_size(struct weir_io *io, weir_io_file file, uint64_t *bytes)
{
    int result = weir_io_fault(io, "size", 0, 0);
    return result != 0 ? result : io->table->size(io, file, bytes);
}

int
weir_io_do_list(struct weir_io *io, const char *path, char ***names, size_t *count)
{
    int result = weir_io_fault(io, "list", 0, 0);
    return result != 0 ? result : io->table->list(io, path, names, count);
}

int
weir_io_do_statvfs(struct weir_io *io, const char *path, struct weir_io_space *out)
{
    int result = weir_io_fault(io, "statvfs", 0, 0);
    return result != 0 ? result : io->table->statvfs(io, path, out);
}
