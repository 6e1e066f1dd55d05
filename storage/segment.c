#include "storage/segment.h"

#include "base/assert.h"
#include "base/clock.h"
#include "base/event.h"
#include "storage/log.h"

#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NAME_DIGITS 16

void
weir_log_segment_path(const char *directory, uint64_t segment_index, char *path, size_t size)
{
    snprintf(path, size, "%s/%016llx.seg", directory, (unsigned long long)segment_index);
}

static bool
parse_name(const char *name, uint64_t *index)
{
    if (strlen(name) != NAME_DIGITS + 4 || strcmp(name + NAME_DIGITS, ".seg") != 0)
        return false;
    for (int i = 0; i < NAME_DIGITS; i++)
        if (!isdigit((unsigned char)name[i]) && !(name[i] >= 'a' && name[i] <= 'f'))
            return false;
    *index = strtoull(name, NULL, 16);
    return true;
}

enum weir_err
weir_segment_list(struct weir_io *io, const char *directory, uint64_t **indexes, size_t *count)
{
    char **names;
    size_t name_count;
    *indexes = NULL;
    *count = 0;
    enum weir_err err = weir_io_list(io, directory, &names, &name_count);
    if (err != WEIR_OK)
        return err;
    uint64_t *found = malloc((name_count + 1) * sizeof *found);
    size_t used = 0;
    if (found == NULL)
        err = weir_fail(WEIR_NOMEM, 0, "list of %zu segments", name_count);
    for (size_t i = 0; err == WEIR_OK && i < name_count; i++)
        used += parse_name(names[i], &found[used]);
    weir_io_list_free(names, name_count);
    if (err != WEIR_OK) {
        free(found);
        return err;
    }
    *indexes = found;
    *count = used;
    return WEIR_OK;
}

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

/* Takes back a file that could not be made whole. */
static void
abandon(struct weir_segment_next *next, enum weir_err err, const char *path)
{
    if (err != WEIR_FULL || next->state != WEIR_SEGMENT_FULL) /* once, not at every retry */
        weir_event(err == WEIR_FULL ? WEIR_WARN : WEIR_ERROR, "segment_not_made",
            "reason=\"%s\"", weir_err_detail());
    if (next->file >= 0) {
        weir_io_close(next->io, next->file);
        next->file = -1;
        if (weir_io_unlink(next->io, path) == WEIR_OK)
            next->files--;
    }
    next->state = err == WEIR_FULL ? WEIR_SEGMENT_FULL : WEIR_SEGMENT_FAILED;
    next->retry_ns = weir_mono_ns() + WEIR_SEGMENT_RETRY_NS;
}

/* Somebody may have removed segments since they were counted. */
static void
recount(struct weir_segment_next *next)
{
    uint64_t *indexes;
    size_t count;
    if (weir_segment_list(next->io, next->directory, &indexes, &count) == WEIR_OK) {
        next->files = count;
        free(indexes);
    }
}

static void
make(struct weir_segment_next *next)
{
    char path[PATH_MAX];
    weir_log_segment_path(next->directory, next->index, path, sizeof path);
    if (next->state == WEIR_SEGMENT_FULL)
        recount(next);
    if (next->files >= next->size_max / next->segment_bytes) {
        abandon(next, weir_fail(WEIR_FULL, 0, "log.size_max: %llu segments of %llu bytes",
                          (unsigned long long)next->files,
                          (unsigned long long)next->segment_bytes),
            path);
        return;
    }
    enum weir_err err = weir_io_open(next->io, path,
        WEIR_IO_WRITE | WEIR_IO_CREATE | WEIR_IO_DIRECT, &next->file);
    if (err == WEIR_OK) {
        next->files++;
        err = weir_io_allocate(next->io, path, next->file, next->segment_bytes);
    }
    if (err != WEIR_OK) {
        abandon(next, err, path);
        return;
    }
    next->state = WEIR_SEGMENT_ZEROING;
    next->zeroed = 0;
}

void
weir_segment_want(struct weir_segment_next *next, uint64_t index)
{
    if (next->state == WEIR_SEGMENT_NONE ||
        (next->state == WEIR_SEGMENT_FULL && weir_mono_ns() >= next->retry_ns)) {
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
        /* space can run out here too where blocks are copied on write */
        abandon(next, weir_fail(result == -ENOSPC || result == -EDQUOT ? WEIR_FULL : WEIR_IO,
                          -result, "prepare %s", path),
            path);
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
weir_segment_take(struct weir_segment_next *next)
{
    WEIR_ASSERT(next->state == WEIR_SEGMENT_READY);
    weir_io_file file = next->file;
    next->file = -1;
    next->state = WEIR_SEGMENT_NONE;
    return file;
}
