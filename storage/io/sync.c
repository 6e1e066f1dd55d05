/* Back end without io_uring: pwritev2 and fdatasync at submission, completions kept in a queue. */
#include "storage/io/backend.h"

#include "base/clock.h"
#include "storage/io/posix.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#define REFUSED_WAIT_NS 1000000

struct queue {
    struct weir_io_completion completions[WEIR_IO_INFLIGHT_MAX];
    uint64_t head, tail; /* grow for ever */
};

static enum weir_err
sync_start(struct weir_io *io, const struct weir_io_options *options)
{
    (void)options;
    io->state = calloc(1, sizeof(struct queue));
    return io->state != NULL ? WEIR_OK : weir_fail(WEIR_NOMEM, 0, "completion queue");
}

static void
sync_stop(struct weir_io *io)
{
    free(io->state);
}

static void
complete(struct weir_io *io, uint64_t user, int result)
{
    struct queue *queue = io->state;
    queue->completions[queue->tail++ % WEIR_IO_INFLIGHT_MAX] =
        (struct weir_io_completion){user, result};
    if (io->event_fd >= 0)
        eventfd_write(io->event_fd, 1);
}

/* The kernel refuses a write for the moment: waits a little. False where that has lasted too long,
 * from *since_ns on. */
static bool
wait_again(const struct weir_io *io, int64_t *since_ns)
{
    const struct timespec pause = {.tv_nsec = REFUSED_WAIT_NS};
    int64_t now_ns = weir_mono_ns();
    if (*since_ns == 0)
        *since_ns = now_ns;
    if (now_ns - *since_ns >= io->patience_ns)
        return false;
    nanosleep(&pause, NULL);
    return true;
}

static int
write_all(const struct weir_io *io, int fd, const uint8_t *data, size_t size, uint64_t offset)
{
    int64_t refused_ns = 0;
    while (size != 0) {
        struct iovec piece = {(void *)(uintptr_t)data, size};
        ssize_t put = pwritev2(fd, &piece, 1, (off_t)offset, 0);
        int result = put < 0 ? -errno : 0;
        if ((result == -EINTR || result == -EAGAIN) && wait_again(io, &refused_ns))
            continue;
        if (result != 0)
            return result;
        refused_ns = 0;
        /* a direct write goes on at a block: the rest of a cut block is written again */
        size_t whole = (size_t)put == size ? size : (size_t)put & ~(size_t)(WEIR_IO_ALIGN - 1);
        if (whole == 0)
            return -EIO;
        data += whole;
        offset += whole;
        size -= whole;
    }
    return 0;
}

static void
sync_write(struct weir_io *io, weir_io_file file, const void *data, size_t size, uint64_t offset,
    uint64_t user)
{
    complete(io, user, write_all(io, file, data, size, offset));
}

static void
sync_sync(struct weir_io *io, weir_io_file file, uint64_t user)
{
    complete(io, user, fdatasync(file) == 0 ? 0 : -errno);
}

static size_t
sync_reap(struct weir_io *io, struct weir_io_completion *out, size_t max, int64_t wait_ns)
{
    (void)wait_ns; /* all that was submitted is done */
    struct queue *queue = io->state;
    size_t count = 0;
    while (count < max && queue->head != queue->tail)
        out[count++] = queue->completions[queue->head++ % WEIR_IO_INFLIGHT_MAX];
    return count;
}

static bool
sync_ready(const struct weir_io *io)
{
    const struct queue *queue = io->state;
    return queue->head != queue->tail;
}

static bool
sync_watch(struct weir_io *io, int event_fd)
{
    (void)io;
    (void)event_fd; /* the front keeps it; complete() writes it */
    return true;
}

const struct weir_io_table weir_io_sync_table = {
    .name = "sync",
    .start = sync_start,
    .stop = sync_stop,
    .write = sync_write,
    .sync = sync_sync,
    .reap = sync_reap,
    .ready = sync_ready,
    .watch = sync_watch,
    WEIR_IO_POSIX_PRIMITIVES,
};
