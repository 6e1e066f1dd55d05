/* io: the one door to files. io_uring, pwritev2 + fdatasync, and (for tests) faults.
 *
 * Owns:    open files and operations in flight
 * Threads: one weir_io a thread; the asynchronous half belongs to the thread of its first call
 * Memory:  taken at new
 * Errors:  operations complete with 0 or a negative errno; a failed sync is never retried here.
 *          An operation that the kernel refuses for the moment is tried for 5 s
 *
 * Two halves. The asynchronous half (submit, reap) is the log writer's. The synchronous half
 * (open, size, read, list, ...) serves start, readers and tools. A back end is a table of
 * functions, because the simulator replaces the kernel.
 */
#ifndef WEIR_STORAGE_IO_IO_H
#define WEIR_STORAGE_IO_IO_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define WEIR_IO_ALIGN 4096 /* offsets, sizes and buffers of O_DIRECT */
#define WEIR_IO_INFLIGHT_MAX 64

enum weir_io_backend { WEIR_IO_AUTO, WEIR_IO_URING, WEIR_IO_SYNC };

enum weir_io_flag {
    WEIR_IO_READ = 1,
    WEIR_IO_WRITE = 2,
    WEIR_IO_CREATE = 4,
    WEIR_IO_DIRECT = 8, /* O_DIRECT where the file system allows it, else without */
};

struct weir_io;
typedef int weir_io_file; /* handle; < 0 is none */

struct weir_io_completion {
    uint64_t user;
    int result; /* 0, or negative errno; a short write is completed inside */
};

/* backend: auto is io_uring if the kernel allows it, else pwritev2. memory: buffers in this range
 * may be registered (NULL: none). If RLIMIT_MEMLOCK forbids that, it is reported and not fatal. */
struct weir_io_options {
    enum weir_io_backend backend;
    void *memory;
    size_t memory_size;
};
enum weir_err weir_io_new(const struct weir_io_options *options, struct weir_io **out)
    WEIR_MUST_USE;
void weir_io_free(struct weir_io *io);
const char *weir_io_name(const struct weir_io *io); /* "io_uring" or "sync" */
bool weir_io_registered(const struct weir_io *io);  /* buffers are registered */

/* Asynchronous: at most WEIR_IO_INFLIGHT_MAX in flight, WEIR_AGAIN beyond. Completions come in
 * any order. A sync covers the writes that completed before it was submitted. */
enum weir_err weir_io_write(struct weir_io *io, weir_io_file file, const void *data, size_t size,
    uint64_t offset, uint64_t user) WEIR_MUST_USE;
enum weir_err weir_io_sync(struct weir_io *io, weir_io_file file, uint64_t user) WEIR_MUST_USE;
/* Takes up to max completions, waiting at most wait_ns for the first. */
size_t weir_io_reap(struct weir_io *io, struct weir_io_completion *out, size_t max,
    int64_t wait_ns);
/* Descriptor that polls readable when reap has something (now and then when it has not: reap
 * clears it), or -1. */
int weir_io_wait_fd(struct weir_io *io);

/* err of an errno value: WEIR_FULL for no space, WEIR_NOT_FOUND, WEIR_NOMEM where no descriptor
 * or memory is left, else WEIR_IO. */
enum weir_err weir_io_err(int errnum);
/* Whether an operation failed for want of space, descriptors or memory: the device is well, and the
 * same operation may succeed later. */
static inline bool
weir_io_is_short(enum weir_err err)
{
    return err == WEIR_FULL || err == WEIR_NOMEM;
}

/* Synchronous. */
enum weir_err weir_io_open(struct weir_io *io, const char *path, unsigned flags,
    weir_io_file *out) WEIR_MUST_USE;
void weir_io_close(struct weir_io *io, weir_io_file file);
enum weir_err weir_io_size(struct weir_io *io, weir_io_file file, uint64_t *bytes) WEIR_MUST_USE;
/* Reads exactly size bytes; WEIR_END where the file ends before. */
enum weir_err weir_io_read(struct weir_io *io, weir_io_file file, void *data, size_t size,
    uint64_t offset) WEIR_MUST_USE;
/* Writes all of it, waited for. */
enum weir_err weir_io_put(struct weir_io *io, weir_io_file file, const void *data, size_t size,
    uint64_t offset) WEIR_MUST_USE;
/* fdatasync of a file, waited for. */
enum weir_err weir_io_flush(struct weir_io *io, weir_io_file file) WEIR_MUST_USE;
/* Gives a small file new content as a whole or not at all:
 *
 *   open PATH.new -> write -> sync -> rename to PATH -> sync the directory
 *
 * An error before the rename removes PATH.new and leaves PATH as it was. An error of the last step
 * leaves PATH with its new content, which a loss of power may then still take back. */
enum weir_err weir_io_replace(struct weir_io *io, const char *path, const void *data, size_t size)
    WEIR_MUST_USE;
/* The same, with a spare: a full device does not refuse the next one. PATH.spare has blocks of its
 * own. It is written over in place, synced, and changes names with PATH. A reader that holds PATH
 * open may then see the content after the next one being written: such a file carries a checksum,
 * and a reader that meets damage opens it once more. */
enum weir_err weir_io_replace_spare(struct weir_io *io, const char *path, const void *data,
    size_t size) WEIR_MUST_USE;
/* Reserves size bytes that read as zero, syncs file and directory. WEIR_FULL on ENOSPC or EDQUOT.
 * Takes a journal commit or two, not a write of size bytes (where the file system can reserve). */
enum weir_err weir_io_allocate(struct weir_io *io, const char *path, weir_io_file file,
    uint64_t size) WEIR_MUST_USE;
/* And its parents; synced. */
enum weir_err weir_io_mkdir(struct weir_io *io, const char *path) WEIR_MUST_USE;
/* Gives a file another name in its directory, in place of what had it; syncs the directory. */
enum weir_err weir_io_rename(struct weir_io *io, const char *from, const char *to) WEIR_MUST_USE;
/* A second name for a file, in place of nothing; syncs the directory of the new one. */
enum weir_err weir_io_link(struct weir_io *io, const char *from, const char *to) WEIR_MUST_USE;
enum weir_err weir_io_unlink(struct weir_io *io, const char *path) WEIR_MUST_USE;
/* Room on the device of a path. */
struct weir_io_space {
    uint64_t bytes;     /* in all */
    uint64_t available; /* to this process */
};
enum weir_err weir_io_space(struct weir_io *io, const char *path, struct weir_io_space *out)
    WEIR_MUST_USE;
/* Names in a directory, sorted, without . and ..; free with weir_io_list_free. */
enum weir_err weir_io_list(struct weir_io *io, const char *path, char ***names, size_t *count)
    WEIR_MUST_USE;
void weir_io_list_free(char **names, size_t count);

/* Fault injection of the tests: called before each primitive (storage/io/primitive.h has their
 * names; those of the asynchronous half are "write" and "sync"); a non-zero return (a negative
 * errno) becomes its result without touching the file. NULL takes it out. */
typedef int weir_io_fault_fn(void *context, const char *operation, uint64_t offset, size_t size);
void weir_io_set_fault(struct weir_io *io, weir_io_fault_fn *fault, void *context);

#endif
