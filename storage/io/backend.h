/* io_backend: what a back end of storage/io/io.h is made of. For back ends and tests only.
 *
 * Threads: as storage/io/io.h
 *
 * The front (io.c) counts operations in flight, asks the fault hook, and hands on. A back end
 * that keeps real files fills the synchronous half with the functions of storage/io/file.h.
 */
#ifndef WEIR_STORAGE_IO_BACKEND_H
#define WEIR_STORAGE_IO_BACKEND_H

#include "storage/io/io.h"

struct weir_io_table {
    const char *name;
    /* Makes io->state; may set io->registered. */
    enum weir_err (*start)(struct weir_io *io, const struct weir_io_options *options);
    void (*stop)(struct weir_io *io);
    /* Asynchronous half; the front has seen that fewer than WEIR_IO_INFLIGHT_MAX are in flight. */
    void (*write)(struct weir_io *io, weir_io_file file, const void *data, size_t size,
        uint64_t offset, uint64_t user);
    void (*sync)(struct weir_io *io, weir_io_file file, uint64_t user);
    size_t (*reap)(struct weir_io *io, struct weir_io_completion *out, size_t max,
        int64_t wait_ns);
    /* Whether reap may find something: a look, no system call. */
    bool (*ready)(const struct weir_io *io);
    /* Makes each completion write to event_fd; false if that is not possible. */
    bool (*watch)(struct weir_io *io, int event_fd);
    /* The file is about to be closed and has nothing in flight; NULL where that is no matter. */
    void (*forget)(struct weir_io *io, weir_io_file file);
    /* Synchronous half. */
    enum weir_err (*open)(const char *path, unsigned flags, weir_io_file *out);
    void (*close)(weir_io_file file);
    enum weir_err (*size)(weir_io_file file, uint64_t *bytes);
    enum weir_err (*read)(weir_io_file file, void *data, size_t size, uint64_t offset);
    enum weir_err (*flush)(weir_io_file file);
    enum weir_err (*replace)(const char *path, const void *data, size_t size);
    /* NULL: replace does it */
    enum weir_err (*replace_spare)(const char *path, const void *data, size_t size);
    enum weir_err (*allocate)(const char *path, weir_io_file file, uint64_t size);
    enum weir_err (*mkdir)(const char *path);
    enum weir_err (*rename)(const char *from, const char *to);
    enum weir_err (*unlink)(const char *path);
    enum weir_err (*list)(const char *path, char ***names, size_t *count);
};

struct weir_io {
    const struct weir_io_table *table;
    void *state; /* of the back end */
    bool registered;
    int event_fd; /* -1 until weir_io_wait_fd */
    bool event_set; /* it may be readable for what was reaped already */
    size_t inflight;
    int64_t patience_ns; /* how long a back end retries an operation that the kernel refuses */
    weir_io_fault_fn *fault;
    void *fault_context;
    /* operations the fault hook answered, not yet reaped */
    struct weir_io_completion answered[WEIR_IO_INFLIGHT_MAX];
    size_t answered_count;
};

extern const struct weir_io_table weir_io_uring_table;
extern const struct weir_io_table weir_io_sync_table;

/* weir_io_new with a given table: a test or the simulator replaces the kernel this way. */
enum weir_err weir_io_new_with(const struct weir_io_table *table,
    const struct weir_io_options *options, struct weir_io **out) WEIR_MUST_USE;

#endif
