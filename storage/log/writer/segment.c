#include "storage/log/writer/segment.h"

#include "base/assert.h"
#include "base/event.h"
#include "storage/log/format.h"
#include "storage/log/segments.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum weir_err
weir_segment_init(struct weir_segment_next *next)
{
    void *zeros;
    if (posix_memalign(&zeros, WEIR_IO_ALIGN, WEIR_SEGMENT_ZERO_SLICE) != 0)
        return weir_fail(WEIR_NOMEM, 0, "slice of zeros");
    memset(zeros, 0, WEIR_SEGMENT_ZERO_SLICE);
    next->zeros = zeros;
    next->state = WEIR_SEGMENT_NONE;
    next->file = -1;
    return WEIR_OK;
}

void
weir_segment_fini(struct weir_segment_next *next)
{
    if (next->file >= 0)
        weir_io_close(next->io, next->file);
    next->file = -1;
    free(next->zeros);
    next->zeros = NULL;
}

/* A file that could not be made whole. */
static void
discard_file(struct weir_segment_next *next, const char *path)
{
    if (next->file < 0)
        return;
    weir_io_close(next->io, next->file);
    next->file = -1;
    if (weir_io_unlink(next->io, path) == WEIR_OK)
        next->files--;
}

static void
abandon(struct weir_segment_next *next, enum weir_err err, const char *path)
{
    bool again = weir_io_is_short(err);
    if (!again || next->state != WEIR_SEGMENT_FULL) /* once, not at every retry */
        weir_event(again ? WEIR_LEVEL_WARN : WEIR_LEVEL_ERROR, "segment_not_made", "reason=\"%s\"",
            weir_err_detail());
    snprintf(next->reason, sizeof next->reason, "%s", weir_err_detail());
    discard_file(next, path);
    next->state = again ? WEIR_SEGMENT_FULL : WEIR_SEGMENT_FAILED;
    next->retry_ns = weir_clock_mono_ns(next->clock) + WEIR_SEGMENT_RETRY_NS;
}

/* Counts the files there are, and finds the oldest: somebody may have removed some. */
static enum weir_err
recount(struct weir_segment_next *next)
{
    uint64_t *indexes;
    size_t count;
    enum weir_err err = weir_segment_list(next->io, next->directory, &indexes, &count);
    if (err != WEIR_OK)
        return err;
    next->files = count;
    next->oldest = count != 0 && indexes[0] < next->first ? indexes[0] : next->first;
    free(indexes);
    return WEIR_OK;
}

uint64_t
weir_segment_capacity(const struct weir_segment_next *next)
{
    return next->size_max / next->segment_bytes;
}

/* Opens a trimmed file. WEIR_CORRUPT, and the file is gone, where it has lost or won bytes: under
 * a new name it would pass for a segment. */
static enum weir_err
open_trimmed(struct weir_segment_next *next, const char *path, weir_io_file *out)
{
    uint64_t size;
    enum weir_err err = weir_io_open(next->io, path, WEIR_IO_WRITE | WEIR_IO_DIRECT, out);
    if (err != WEIR_OK)
        return err;
    err = weir_io_size(next->io, *out, &size);
    if (err == WEIR_OK && size == next->segment_bytes)
        return WEIR_OK;
    weir_io_close(next->io, *out);
    if (err != WEIR_OK)
        return err;
    weir_event(WEIR_LEVEL_WARN, "segment_not_recycled", "file=\"%s\" bytes=%llu expected=%llu",
        path, (unsigned long long)size, (unsigned long long)next->segment_bytes);
    err = weir_io_unlink(next->io, path);
    return err == WEIR_OK ? WEIR_CORRUPT : err;
}

/* Gives the oldest trimmed file the next segment's name. WEIR_NOT_FOUND where there is none. */
static enum weir_err
recycle(struct weir_segment_next *next, const char *path)
{
    while (next->oldest < next->first) {
        char from[PATH_MAX];
        weir_io_file file;
        weir_log_segment_path(next->directory, next->oldest, from, sizeof from);
        enum weir_err err = open_trimmed(next, from, &file);
        if (err == WEIR_OK) {
            err = weir_io_rename(next->io, from, path);
            if (err != WEIR_OK) {
                weir_io_close(next->io, file);
                return err;
            }
            next->oldest++;
            next->recycled++;
            next->file = file;
            return WEIR_OK;
        }
        if (err == WEIR_INVALID) { /* a folder or a FIFO: a person's to remove */
            weir_event(WEIR_LEVEL_WARN, "segment_not_recycled", "reason=\"%s\"", weir_err_detail());
            next->oldest++;
            continue;
        }
        if (err != WEIR_NOT_FOUND && err != WEIR_CORRUPT)
            return err;
        if (recount(next) != WEIR_OK) /* a file less than there should be */
            next->oldest++;
    }
    return WEIR_NOT_FOUND;
}

static void
make_of_trimmed(struct weir_segment_next *next, const char *path)
{
    enum weir_err err = recycle(next, path);
    if (err == WEIR_OK)
        next->state = WEIR_SEGMENT_READY;
    else if (err == WEIR_NOT_FOUND && next->waits)
        next->state = WEIR_SEGMENT_WAITING;
    else if (err == WEIR_NOT_FOUND)
        abandon(next, weir_fail(WEIR_FULL, 0, "log.size_max: %llu segments of %llu bytes",
                          (unsigned long long)next->files,
                          (unsigned long long)next->segment_bytes),
            path);
    else
        abandon(next, err, path);
}

static enum weir_err
create(struct weir_segment_next *next, const char *path)
{
    enum weir_err err = weir_io_open(next->io, path,
        WEIR_IO_WRITE | WEIR_IO_CREATE | WEIR_IO_DIRECT, &next->file);
    if (err != WEIR_OK)
        return err;
    next->files++;
    next->zeroed = 0;
    return weir_io_allocate(next->io, path, next->file, next->segment_bytes);
}

/* A new file up to size_max; a trimmed one there, and where the last try found no room. */
static void
make(struct weir_segment_next *next)
{
    char path[PATH_MAX];
    weir_log_segment_path(next->directory, next->index, path, sizeof path);
    bool no_room = next->state == WEIR_SEGMENT_FULL;
    if (no_room)
        (void)recount(next); /* else the old count holds on */
    bool trimmed = next->oldest < next->first;
    if (next->files < weir_segment_capacity(next) && !(no_room && trimmed)) {
        enum weir_err err = create(next, path);
        if (err == WEIR_OK) {
            next->state = WEIR_SEGMENT_ZEROING;
            return;
        }
        if (err != WEIR_FULL || !trimmed) {
            abandon(next, err, path);
            return;
        }
        discard_file(next, path);
    }
    make_of_trimmed(next, path);
}

void
weir_segment_want(struct weir_segment_next *next, uint64_t index)
{
    if (next->state == WEIR_SEGMENT_NONE || next->state == WEIR_SEGMENT_WAITING ||
        (next->state == WEIR_SEGMENT_FULL && weir_clock_mono_ns(next->clock) >= next->retry_ns)) {
        next->index = index;
        make(next);
    }
    WEIR_ASSERT(next->index == index);
}

void
weir_segment_step(struct weir_segment_next *next, uint64_t user)
{
    if (next->busy)
        return;
    enum weir_err err;
    if (next->state == WEIR_SEGMENT_ZEROING) {
        uint64_t left = next->segment_bytes - next->zeroed;
        size_t slice = left < WEIR_SEGMENT_ZERO_SLICE ? left : WEIR_SEGMENT_ZERO_SLICE;
        err = weir_io_write(next->io, next->file, next->zeros, slice, next->zeroed, user);
    } else if (next->state == WEIR_SEGMENT_SYNCING) {
        err = weir_io_sync(next->io, next->file, user);
    } else {
        return;
    }
    next->busy = err == WEIR_OK; /* else the queue is full: the next step tries again */
}

void
weir_segment_completed(struct weir_segment_next *next, int result)
{
    next->busy = false;
    if (result < 0) {
        char path[PATH_MAX];
        weir_log_segment_path(next->directory, next->index, path, sizeof path);
        /* space can run out here too where blocks are copied on write. Another try makes the file
         * anew, so a failed sync is not followed by a second one of the same file. */
        abandon(next, weir_fail(weir_io_err(-result), -result, "prepare %s", path), path);
        return;
    }
    if (next->state == WEIR_SEGMENT_SYNCING) {
        next->state = WEIR_SEGMENT_READY;
        return;
    }
    next->zeroed += WEIR_SEGMENT_ZERO_SLICE;
    if (next->zeroed >= next->segment_bytes)
        next->state = WEIR_SEGMENT_SYNCING;
}

weir_io_file
weir_segment_claim(struct weir_segment_next *next)
{
    WEIR_ASSERT(next->state == WEIR_SEGMENT_READY);
    weir_io_file file = next->file;
    next->file = -1;
    next->state = WEIR_SEGMENT_NONE;
    return file;
}
