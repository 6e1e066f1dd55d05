#include "tests/sim/host.h"

#include "base/assert.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct operation {
    bool is_sync;
    weir_io_file file;
    const uint8_t *data;
    size_t size;
    uint64_t offset, user;
    uint64_t stamp; /* of a sync: the writes that had completed before it was submitted */
};

/* State of a weir_io. */
struct port {
    struct sim_host *host;
    struct sim_process *process;
    struct operation flight[WEIR_IO_INFLIGHT_MAX];
    size_t flight_count;
    struct weir_io_completion done[WEIR_IO_INFLIGHT_MAX];
    size_t done_count;
};

static struct port *
port_of(const struct weir_io *io)
{
    return io->state;
}

static bool
is_dead(const struct port *port)
{
    return port->host->off || port->process->dead;
}

static void
met(struct sim_host *host, enum sim_fault fault, enum sim_operation operation)
{
    WEIR_ASSERT(sim_fault_possible(fault, operation));
    host->table->met[fault][operation]++;
}

/* One in so many operations, where faults are on. */
static bool
roll(struct sim_host *host, uint64_t rate)
{
    return !host->quiet && !host->silent && sim_random_once_in(host->random, rate);
}

static void
note(struct port *port, enum sim_operation operation, const char *path, uint64_t offset)
{
    struct sim_host *host = port->host;
    size_t at = host->primitives++ % SIM_TRACE_MAX;
    host->trace[at].process = port->process->name;
    host->trace[at].operation = operation;
    snprintf(host->trace[at].text, sizeof host->trace[at].text, "%s %" PRIu64,
        path != NULL ? path : "?", offset);
    host->table->operations[operation]++;
}

/* What every primitive meets first; 0, or the negative errno that it ends with. */
static int
enter(struct port *port, enum sim_operation operation, const char *path, uint64_t offset)
{
    struct sim_host *host = port->host;
    if (host->silent)
        return 0;
    if (is_dead(port))
        return -EIO;
    if (host->preempt != NULL && sim_random_once_in(host->random, host->rates.preempt))
        host->preempt(host->context, port->process);
    if (is_dead(port))
        return -EIO;
    note(port, operation, path, offset);
    if (host->cut_in != 0 && --host->cut_in == 0) {
        met(host, SIM_FAULT_power_cut, operation);
        sim_host_power_off(host);
        return -EIO;
    }
    if (port->process->kill_in != 0 && --port->process->kill_in == 0) {
        met(host, SIM_FAULT_kill, operation);
        sim_host_kill(host, port->process);
        return -EIO;
    }
    if (operation == SIM_OP_fsync || operation == SIM_OP_fdatasync || operation == SIM_OP_sync ||
        !roll(host, host->rates.io_error))
        return 0;
    met(host, SIM_FAULT_io_error, operation);
    return -EIO;
}

/* Has the device no room for something new? */
static bool
no_room(struct sim_host *host, enum sim_operation operation)
{
    if (!roll(host, host->full ? 1 : host->rates.no_space))
        return false;
    met(host, SIM_FAULT_no_space, operation);
    return true;
}

/* ---- files ---- */

static int
inode_of(const struct port *port, weir_io_file file)
{
    WEIR_ASSERT(file >= 0 && file < SIM_HANDLES_MAX && port->host->handles[file].inode >= 0);
    return port->host->handles[file].inode;
}

static const char *
name_of(const struct port *port, weir_io_file file)
{
    return sim_disk_name(&port->host->disk, inode_of(port, file));
}

static bool
is_open(const void *context, int inode)
{
    const struct sim_host *host = context;
    for (int i = 0; i < SIM_HANDLES_MAX; i++)
        if (host->handles[i].inode == inode)
            return true;
    return false;
}

static int
sim_open(struct weir_io *io, const char *path, unsigned flags, weir_io_file *out)
{
    struct port *port = port_of(io);
    struct sim_host *host = port->host;
    int result = enter(port, SIM_OP_open, path, flags);
    if (result != 0)
        return result;
    int inode = sim_disk_find(&host->disk, path);
    if (inode < 0 && (flags & WEIR_IO_CREATE) == 0)
        return -ENOENT;
    if (inode >= 0 && (flags & WEIR_IO_NEW) != 0)
        return -EEXIST;
    if (inode < 0 && no_room(host, SIM_OP_open))
        return -ENOSPC;
    if (inode < 0)
        inode = sim_disk_make(&host->disk, path, false);
    if (host->disk.inodes[inode].is_directory)
        return -EISDIR;
    int handle = 0;
    while (host->handles[handle].inode >= 0)
        WEIR_ASSERT(++handle < SIM_HANDLES_MAX);
    host->handles[handle].inode = inode;
    host->handles[handle].process = port->process;
    *out = handle;
    return 0;
}

static void
sim_close(struct weir_io *io, weir_io_file file)
{
    (void)inode_of(port_of(io), file);
    port_of(io)->host->handles[file].inode = -1;
}

static int64_t
sim_pread(struct weir_io *io, weir_io_file file, void *data, size_t size, uint64_t offset)
{
    struct port *port = port_of(io);
    struct sim_host *host = port->host;
    int result = enter(port, SIM_OP_pread, name_of(port, file), offset);
    if (result != 0)
        return result;
    int inode = inode_of(port, file);
    uint64_t end = host->disk.inodes[inode].size;
    if (offset >= end)
        return 0;
    size_t got = size < end - offset ? size : (size_t)(end - offset);
    if (got > 1 && roll(host, host->rates.short_transfer)) {
        met(host, SIM_FAULT_short_transfer, SIM_OP_pread);
        got = 1 + (size_t)sim_random_below(host->random, got - 1);
    }
    enum sim_fault fault;
    sim_disk_read(&host->disk, inode, data, got, offset, &fault);
    if (host->truth)
        memcpy(data, host->disk.inodes[inode].shown + offset, got);
    if (fault == SIM_FAULT_flipped_bit)
        met(host, fault, SIM_OP_pread);
    return (int64_t)got;
}

/* Writes, perhaps less and perhaps not there. Bytes, or a negative errno. */
static int64_t
put(struct port *port, enum sim_operation operation, weir_io_file file, const uint8_t *data,
    size_t size, uint64_t offset)
{
    struct sim_host *host = port->host;
    int inode = inode_of(port, file);
    bool grows = offset + size > host->disk.inodes[inode].size;
    /* where blocks are copied on write, room may be short for those that exist too */
    bool may_lack = grows || operation == SIM_OP_write;
    if ((may_lack && (grows || !host->full) && no_room(host, operation)) ||
        !sim_disk_extend(&host->disk, inode, offset + size))
        return -ENOSPC;
    if (size > WEIR_IO_ALIGN && roll(host, host->rates.short_transfer)) {
        met(host, SIM_FAULT_short_transfer, operation);
        size = (size_t)(1 + sim_random_below(host->random, size / WEIR_IO_ALIGN - 1)) *
            WEIR_IO_ALIGN;
    } else if (size > 1 && size < WEIR_IO_ALIGN && roll(host, host->rates.short_transfer)) {
        met(host, SIM_FAULT_short_transfer, operation);
        size = 1 + (size_t)sim_random_below(host->random, size - 1);
    }
    uint64_t pages = host->disk.inodes[inode].size / WEIR_IO_ALIGN + 1;
    if (roll(host, host->rates.lost_write)) {
        met(host, SIM_FAULT_lost_write, operation);
        sim_disk_write_lost(&host->disk, inode, data, size, offset);
        host->damaged(host->context, SIM_FAULT_lost_write, inode, offset, offset + size);
    } else if (roll(host, host->rates.misdirected_write)) {
        uint64_t place = sim_random_below(host->random, pages) * WEIR_IO_ALIGN;
        met(host, SIM_FAULT_misdirected_write, operation);
        sim_disk_write_misdirected(&host->disk, inode, data, size, offset, place);
        host->damaged(host->context, SIM_FAULT_misdirected_write, inode, offset, offset + size);
        host->damaged(host->context, SIM_FAULT_misdirected_write, inode, place, place + size);
    } else {
        sim_disk_write(&host->disk, inode, data, size, offset);
    }
    return (int64_t)size;
}

static int64_t
sim_pwrite(struct weir_io *io, weir_io_file file, const void *data, size_t size, uint64_t offset)
{
    struct port *port = port_of(io);
    int result = enter(port, SIM_OP_pwrite, name_of(port, file), offset);
    return result != 0 ? result : put(port, SIM_OP_pwrite, file, data, size, offset);
}

static int
sync_file(struct port *port, enum sim_operation operation, weir_io_file file, uint64_t stamp)
{
    struct sim_host *host = port->host;
    int inode = inode_of(port, file);
    if (roll(host, host->rates.sync_error)) {
        met(host, SIM_FAULT_io_error, operation);
        sim_disk_sync_failed(&host->disk, inode);
        return -EIO;
    }
    sim_disk_sync(&host->disk, inode, stamp);
    return 0;
}

static int
sim_fsync(struct weir_io *io, weir_io_file file)
{
    struct port *port = port_of(io);
    int result = enter(port, SIM_OP_fsync, name_of(port, file), 0);
    return result != 0 ? result : sync_file(port, SIM_OP_fsync, file, port->host->disk.stamp);
}

static int
sim_fdatasync(struct weir_io *io, weir_io_file file)
{
    struct port *port = port_of(io);
    int result = enter(port, SIM_OP_fdatasync, name_of(port, file), 0);
    return result != 0 ? result : sync_file(port, SIM_OP_fdatasync, file, port->host->disk.stamp);
}

static int
sim_truncate(struct weir_io *io, weir_io_file file, uint64_t size)
{
    struct port *port = port_of(io);
    int result = enter(port, SIM_OP_truncate, name_of(port, file), size);
    if (result == 0)
        sim_disk_truncate(&port->host->disk, inode_of(port, file), size);
    return result;
}

static int
sim_allocate(struct weir_io *io, weir_io_file file, uint64_t size, bool keep_size)
{
    struct port *port = port_of(io);
    int result = enter(port, SIM_OP_allocate, name_of(port, file), size);
    if (result == 0 && no_room(port->host, SIM_OP_allocate))
        return -ENOSPC;
    if (result != 0 || keep_size)
        return result;
    return sim_disk_extend(&port->host->disk, inode_of(port, file), size) ? 0 : -ENOSPC;
}

static int
sim_size(struct weir_io *io, weir_io_file file, uint64_t *bytes)
{
    struct port *port = port_of(io);
    int result = enter(port, SIM_OP_size, name_of(port, file), 0);
    *bytes = port->host->disk.inodes[inode_of(port, file)].size;
    return result;
}

/* ---- names ---- */

static int
sim_fsync_directory(struct weir_io *io, const char *path)
{
    struct port *port = port_of(io);
    int result = enter(port, SIM_OP_fsync_directory, path, 0);
    if (result != 0)
        return result;
    if (sim_disk_find(&port->host->disk, path) < 0)
        return -ENOENT;
    sim_disk_sync_directory(&port->host->disk, path);
    return 0;
}

static int
sim_rename(struct weir_io *io, const char *from, const char *to)
{
    struct port *port = port_of(io);
    int result = enter(port, SIM_OP_rename, from, 0);
    if (result == 0 && sim_disk_find(&port->host->disk, from) < 0)
        return -ENOENT;
    if (result == 0)
        sim_disk_rename(&port->host->disk, from, to);
    return result;
}

static int
sim_exchange(struct weir_io *io, const char *one, const char *other)
{
    struct port *port = port_of(io);
    int result = enter(port, SIM_OP_exchange, one, 0);
    if (result == 0 && (sim_disk_find(&port->host->disk, one) < 0 ||
                           sim_disk_find(&port->host->disk, other) < 0))
        return -ENOENT;
    if (result == 0)
        sim_disk_exchange(&port->host->disk, one, other);
    return result;
}

static int
sim_link(struct weir_io *io, const char *from, const char *to)
{
    struct port *port = port_of(io);
    int result = enter(port, SIM_OP_link, from, 0);
    if (result == 0 && sim_disk_find(&port->host->disk, from) < 0)
        return -ENOENT;
    if (result == 0 && sim_disk_find(&port->host->disk, to) >= 0)
        return -EEXIST;
    if (result == 0)
        sim_disk_link(&port->host->disk, from, to);
    return result;
}

static int
sim_unlink(struct weir_io *io, const char *path)
{
    struct port *port = port_of(io);
    int result = enter(port, SIM_OP_unlink, path, 0);
    if (result == 0 && sim_disk_find(&port->host->disk, path) < 0)
        return -ENOENT;
    if (result == 0)
        sim_disk_unlink(&port->host->disk, path);
    return result;
}

static int
sim_mkdir(struct weir_io *io, const char *path)
{
    struct port *port = port_of(io);
    int result = enter(port, SIM_OP_mkdir, path, 0);
    if (result != 0)
        return result;
    int inode = sim_disk_find(&port->host->disk, path);
    if (inode >= 0)
        return port->host->disk.inodes[inode].is_directory ? -EEXIST : -ENOTDIR;
    if (roll(port->host, port->host->rates.no_space / 20)) { /* once in a life */
        met(port->host, SIM_FAULT_no_space, SIM_OP_mkdir);
        return -ENOSPC;
    }
    (void)sim_disk_make(&port->host->disk, path, true);
    return 0;
}

static int
sim_list(struct weir_io *io, const char *path, char ***names, size_t *count)
{
    struct port *port = port_of(io);
    const struct sim_names *all = &port->host->disk.names;
    size_t size = strlen(path);
    *names = NULL;
    *count = 0;
    int result = enter(port, SIM_OP_list, path, 0);
    if (result != 0)
        return result;
    if (sim_disk_find(&port->host->disk, path) < 0)
        return -ENOENT;
    *names = malloc(SIM_NAMES_MAX * sizeof **names);
    WEIR_ASSERT(*names != NULL);
    for (size_t i = 0; i < all->count; i++) {
        const char *entry = all->entries[i].path;
        if (strncmp(entry, path, size) == 0 && entry[size] == '/' &&
            strchr(entry + size + 1, '/') == NULL)
            (*names)[(*count)++] = strdup(entry + size + 1);
    }
    return 0;
}

static int
sim_statvfs(struct weir_io *io, const char *path, struct weir_io_space *out)
{
    struct port *port = port_of(io);
    int result = enter(port, SIM_OP_statvfs, path, 0);
    uint64_t space = port->host->full ? 0 : port->host->disk.space;
    *out = (struct weir_io_space){.bytes = UINT64_C(1) << 30, .available = space};
    return result;
}

/* ---- the asynchronous half ---- */

static enum weir_err
sim_start(struct weir_io *io, const struct weir_io_options *options)
{
    struct port *port = malloc(sizeof *port);
    WEIR_ASSERT(port != NULL);
    *port = *(const struct port *)options->memory;
    io->state = port;
    struct sim_host *host = port->host;
    int i = 0;
    while (host->ports[i] != NULL)
        WEIR_ASSERT(++i < SIM_PORTS_MAX);
    host->ports[i] = io;
    return WEIR_OK;
}

static void
sim_stop(struct weir_io *io)
{
    struct port *port = port_of(io);
    for (int i = 0; i < SIM_PORTS_MAX; i++)
        if (port->host->ports[i] == io)
            port->host->ports[i] = NULL;
    free(port);
}

static void
complete(struct port *port, const struct operation *operation, int result)
{
    port->done[port->done_count++] = (struct weir_io_completion){operation->user, result};
}

static void
sim_write(struct weir_io *io, weir_io_file file, const void *data, size_t size, uint64_t offset,
    uint64_t user)
{
    struct port *port = port_of(io);
    struct operation operation = {
        .file = file, .data = data, .size = size, .offset = offset, .user = user};
    int result = enter(port, SIM_OP_write, name_of(port, file), offset);
    if (result != 0)
        complete(port, &operation, result);
    else
        port->flight[port->flight_count++] = operation;
}

static void
sim_sync(struct weir_io *io, weir_io_file file, uint64_t user)
{
    struct port *port = port_of(io);
    struct operation operation = {
        .is_sync = true, .file = file, .user = user, .stamp = port->host->disk.stamp};
    int result = enter(port, SIM_OP_sync, name_of(port, file), 0);
    if (result != 0)
        complete(port, &operation, result);
    else
        port->flight[port->flight_count++] = operation;
}

/* The device does one operation in flight, or a part of it. */
static void
perform(struct port *port, size_t at)
{
    struct operation *operation = &port->flight[at];
    int64_t result = 0;
    if (operation->is_sync)
        result = sync_file(port, SIM_OP_sync, operation->file, operation->stamp);
    else
        result = put(port, SIM_OP_write, operation->file, operation->data, operation->size,
            operation->offset);
    if (result > 0 && (size_t)result < operation->size) { /* the rest later */
        operation->data += result;
        operation->offset += (uint64_t)result;
        operation->size -= (size_t)result;
        return;
    }
    complete(port, operation, result < 0 ? (int)result : 0);
    *operation = port->flight[--port->flight_count];
}

static size_t
sim_reap(struct weir_io *io, struct weir_io_completion *out, size_t max, int64_t wait_ns)
{
    struct port *port = port_of(io);
    uint64_t steps = sim_random_below(port->host->random, port->flight_count + 1);
    while (port->flight_count != 0 &&
        (steps != 0 || (wait_ns > 0 && port->done_count == 0))) {
        perform(port, (size_t)sim_random_below(port->host->random, port->flight_count));
        steps -= steps != 0;
    }
    size_t count = port->done_count < max ? port->done_count : max;
    memcpy(out, port->done, count * sizeof *out);
    port->done_count -= count;
    memmove(port->done, port->done + count, port->done_count * sizeof *out);
    return count;
}

static bool
sim_ready(const struct weir_io *io)
{
    return port_of(io)->done_count != 0;
}

static bool
sim_watch(struct weir_io *io, int event_fd)
{
    (void)io, (void)event_fd;
    return false;
}

static const struct weir_io_table sim_table = {
    .name = "simulated",
    .start = sim_start,
    .stop = sim_stop,
    .write = sim_write,
    .sync = sim_sync,
    .reap = sim_reap,
    .ready = sim_ready,
    .watch = sim_watch,
    .open = sim_open,
    .close = sim_close,
    .pread = sim_pread,
    .pwrite = sim_pwrite,
    .fsync = sim_fsync,
    .fdatasync = sim_fdatasync,
    .fsync_directory = sim_fsync_directory,
    .rename = sim_rename,
    .exchange = sim_exchange,
    .link = sim_link,
    .unlink = sim_unlink,
    .mkdir = sim_mkdir,
    .truncate = sim_truncate,
    .allocate = sim_allocate,
    .size = sim_size,
    .list = sim_list,
    .statvfs = sim_statvfs,
};

/* ---- the machine ---- */

void
sim_host_init(struct sim_host *host, struct sim_random *random, struct sim_table *table)
{
    memset(host, 0, sizeof *host);
    host->random = random;
    host->table = table;
    for (int i = 0; i < SIM_HANDLES_MAX; i++)
        host->handles[i].inode = -1;
    sim_disk_init(&host->disk, random);
    host->disk.is_open = is_open;
    host->disk.open_context = host;
}

void
sim_host_fini(struct sim_host *host)
{
    sim_disk_fini(&host->disk);
}

struct weir_io *
sim_host_io(struct sim_host *host, struct sim_process *process)
{
    struct port port = {.host = host, .process = process};
    struct weir_io_options options = {.memory = &port, .memory_size = sizeof port};
    struct weir_io *io;
    enum weir_err err = weir_io_new_with(&sim_table, &options, &io);
    WEIR_ASSERT(err == WEIR_OK);
    return io;
}

/* The kernel, or the device, goes on with what was submitted; nobody learns how it ends. */
static void
settle(struct port *port)
{
    struct sim_host *host = port->host;
    for (size_t i = 0; i < port->flight_count; i++) {
        const struct operation *operation = &port->flight[i];
        int inode = inode_of(port, operation->file);
        if (!operation->is_sync &&
            sim_disk_extend(&host->disk, inode, operation->offset + operation->size))
            sim_disk_write(&host->disk, inode, operation->data, operation->size,
                operation->offset);
        else if (operation->is_sync && sim_random_below(host->random, 2) == 0)
            sim_disk_sync(&host->disk, inode, operation->stamp);
        complete(port, operation, -EIO);
    }
    port->flight_count = 0;
}

void
sim_host_kill(struct sim_host *host, struct sim_process *process)
{
    process->dead = true;
    for (int i = 0; i < SIM_PORTS_MAX; i++)
        if (host->ports[i] != NULL && port_of(host->ports[i])->process == process)
            settle(port_of(host->ports[i]));
}

void
sim_host_power_off(struct sim_host *host)
{
    host->off = true;
    host->cut_in = 0;
    for (int i = 0; i < SIM_PORTS_MAX; i++)
        if (host->ports[i] != NULL)
            settle(port_of(host->ports[i]));
}

void
sim_host_power_on(struct sim_host *host, bool any)
{
    for (int i = 0; i < SIM_PORTS_MAX; i++)
        WEIR_ASSERT(host->ports[i] == NULL);
    for (int i = 0; i < SIM_HANDLES_MAX; i++)
        host->handles[i].inode = -1;
    sim_disk_cut(&host->disk, any);
    host->off = false;
}

void
sim_host_print_trace(const struct sim_host *host)
{
    uint64_t from = host->primitives < SIM_TRACE_MAX ? 0 : host->primitives - SIM_TRACE_MAX;
    for (uint64_t i = from; i < host->primitives; i++)
        printf("# %8" PRIu64 " %-12s %-16s %s\n", i, host->trace[i % SIM_TRACE_MAX].process,
            sim_operation_name(host->trace[i % SIM_TRACE_MAX].operation),
            host->trace[i % SIM_TRACE_MAX].text);
}
