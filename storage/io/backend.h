/* io_backend: what a back end of storage/io/io.h is made of. For back ends and tests only.
 *
 * Threads: as storage/io/io.h
 *
 * A back end gives primitives: each is one step that happened or did not, so that a simulator can
 * cut the power between any two. What needs several of them is made above (composite.c), once for
 * all back ends. A back end that keeps real files fills them with those of storage/io/posix.h.
 */
#ifndef WEIR_STORAGE_IO_BACKEND_H
#define WEIR_STORAGE_IO_BACKEND_H

#include "storage/io/io.h"

/* Flags of `open` beside those of enum weir_io_flag. */
enum {
    WEIR_IO_NEW = 16,     /* with CREATE: -EEXIST where the name is taken */
    WEIR_IO_PRIVATE = 32, /* mode 0600 whatever the umask; follows no link */
};

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
    /* Primitives of the synchronous half: 0 or a negative errno. */
    int (*open)(struct weir_io *io, const char *path, unsigned flags, weir_io_file *out);
    void (*close)(struct weir_io *io, weir_io_file file);
    /* Bytes, perhaps fewer than asked for (0: the file ends), or a negative errno. */
    int64_t (*pread)(struct weir_io *io, weir_io_file file, void *data, size_t size,
        uint64_t offset);
    int64_t (*pwrite)(struct weir_io *io, weir_io_file file, const void *data, size_t size,
        uint64_t offset);
    int (*fsync)(struct weir_io *io, weir_io_file file);
    int (*fdatasync)(struct weir_io *io, weir_io_file file);
    int (*fsync_directory)(struct weir_io *io, const char *path);
    int (*rename)(struct weir_io *io, const char *from, const char *to);
    int (*exchange)(struct weir_io *io, const char *one, const char *other);
    int (*link)(struct weir_io *io, const char *from, const char *to);
    int (*unlink)(struct weir_io *io, const char *path);
    /* -EEXIST: the directory is there; -ENOTDIR: something else has its name. */
    int (*mkdir)(struct weir_io *io, const char *path);
    int (*truncate)(struct weir_io *io, weir_io_file file, uint64_t size);
    /* Blocks for [0, size). keep_size: the file's size stays. -EOPNOTSUPP: it cannot be had. */
    int (*allocate)(struct weir_io *io, weir_io_file file, uint64_t size, bool keep_size);
    int (*size)(struct weir_io *io, weir_io_file file, uint64_t *bytes);
    /* In any order, without . and .., for weir_io_list_free; none after an error. */
    int (*list)(struct weir_io *io, const char *path, char ***names, size_t *count);
    int (*statvfs)(struct weir_io *io, const char *path, struct weir_io_space *out);
};

struct weir_io {
    const struct weir_io_table *table;
    void *state; /* of the back end */
    bool registered;
    int event_fd; /* -1 until weir_io_wait_fd */
    bool event_set; /* it may be readable for what was reaped already */
    size_t inflight;
    int64_t patience_ns; /* how long a back end submits again what the kernel has no room for */
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
