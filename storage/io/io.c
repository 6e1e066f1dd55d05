#include "storage/io/io.h"

#include "base/assert.h"
#include "base/event.h"
#include "storage/io/primitive.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

/* Memory for a request is short for milliseconds; what lasts longer than this is an error. */
#define PATIENCE_NS INT64_C(5000000000)

enum weir_err
weir_io_new_with(const struct weir_io_table *table, const struct weir_io_options *options,
    struct weir_io **out)
{
    struct weir_io *io = calloc(1, sizeof *io);
    if (io == NULL)
        return weir_fail(WEIR_NOMEM, 0, "io of back end %s", table->name);
    io->table = table;
    io->event_fd = -1;
    io->patience_ns = PATIENCE_NS;
    enum weir_err err = table->start(io, options);
    if (err != WEIR_OK) {
        free(io);
        return err;
    }
    *out = io;
    return WEIR_OK;
}

enum weir_err
weir_io_new(const struct weir_io_options *options, struct weir_io **out)
{
    if (options->backend == WEIR_IO_SYNC)
        return weir_io_new_with(&weir_io_sync_table, options, out);
    enum weir_err err = weir_io_new_with(&weir_io_uring_table, options, out);
    if (err == WEIR_OK || options->backend == WEIR_IO_URING)
        return err;
    weir_event(WEIR_LEVEL_WARN, "io_uring_unavailable", "fallback=sync reason=\"%s\"",
        weir_err_detail());
    return weir_io_new_with(&weir_io_sync_table, options, out);
}

void
weir_io_free(struct weir_io *io)
{
    if (io == NULL)
        return;
    io->table->stop(io);
    if (io->event_fd >= 0)
        close(io->event_fd);
    free(io);
}

const char *
weir_io_name(const struct weir_io *io)
{
    return io->table->name;
}

bool
weir_io_registered(const struct weir_io *io)
{
    return io->registered;
}

void
weir_io_set_fault(struct weir_io *io, weir_io_fault_fn *fault, void *context)
{
    io->fault = fault;
    io->fault_context = context;
}

/* True where the hook answered: the completion waits in `answered`. */
static bool
submit_faulted(struct weir_io *io, const char *operation, uint64_t offset, size_t size,
    uint64_t user)
{
    int result = weir_io_fault(io, operation, offset, size);
    if (result == 0)
        return false;
    io->answered[io->answered_count++] = (struct weir_io_completion){user, result};
    if (io->event_fd >= 0)
        eventfd_write(io->event_fd, 1);
    return true;
}

enum weir_err
weir_io_write(struct weir_io *io, weir_io_file file, const void *data, size_t size,
    uint64_t offset, uint64_t user)
{
    WEIR_ASSERT(size != 0);
    if (io->inflight == WEIR_IO_INFLIGHT_MAX)
        return WEIR_AGAIN;
    io->inflight++;
    if (!submit_faulted(io, "write", offset, size, user))
        io->table->write(io, file, data, size, offset, user);
    return WEIR_OK;
}

enum weir_err
weir_io_sync(struct weir_io *io, weir_io_file file, uint64_t user)
{
    if (io->inflight == WEIR_IO_INFLIGHT_MAX)
        return WEIR_AGAIN;
    io->inflight++;
    if (!submit_faulted(io, "sync", 0, 0, user))
        io->table->sync(io, file, user);
    return WEIR_OK;
}

size_t
weir_io_reap(struct weir_io *io, struct weir_io_completion *out, size_t max, int64_t wait_ns)
{
    eventfd_t ignored;
    bool set = io->event_set || io->answered_count != 0 || io->table->ready(io);
    if (io->event_fd >= 0 && set) /* before taking: what comes later signals again */
        eventfd_read(io->event_fd, &ignored);
    io->event_set = false;
    if (io->inflight == 0 || max == 0)
        return 0;
    size_t count = io->answered_count < max ? io->answered_count : max;
    memcpy(out, io->answered, count * sizeof *out);
    io->answered_count -= count;
    memmove(io->answered, io->answered + count, io->answered_count * sizeof *out);
    if (count < max && io->inflight > count + io->answered_count)
        count += io->table->reap(io, out + count, max - count, count != 0 ? 0 : wait_ns);
    WEIR_ASSERT(count <= io->inflight);
    io->inflight -= count;
    /* completions since it was read make the descriptor readable again */
    io->event_set = count != 0;
    if (io->event_fd >= 0 && count == max && io->inflight != 0)
        eventfd_write(io->event_fd, 1); /* more may be there than was taken */
    return count;
}

int
weir_io_wait_fd(struct weir_io *io)
{
    if (io->event_fd >= 0)
        return io->event_fd;
    int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (fd < 0)
        return -1;
    if (!io->table->watch(io, fd)) {
        close(fd);
        return -1;
    }
    io->event_fd = fd;
    io->event_set = true;
    if (io->inflight != 0)
        eventfd_write(fd, 1);
    return fd;
}
