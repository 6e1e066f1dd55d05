/* Back end on io_uring.
 *
 * The ring is made disabled and enabled by the first asynchronous call: SINGLE_ISSUER binds it to
 * the enabling thread, and start-up may run in another one than the log writer.
 *
 *   begin --> pending --submitted--> in the kernel --completion--> reaped
 *                |                         | written in part: pending again
 *                +-------- broken ---------+--> answers, with the kernel's error
 *
 * The kernel may refuse an operation for the moment (EAGAIN, EBUSY, EINTR): it stays pending, and
 * each reap tries again, for io->patience_ns. Any other refusal, or one that lasts, breaks the ring
 * for good: everything under way and everything that follows completes with that error. */
#include "storage/io/backend.h"

#include "base/assert.h"
#include "base/clock.h"
#include "base/event.h"
#include "storage/io/posix.h"

#include <errno.h>
#include <liburing.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>

#define RING_ENTRIES WEIR_IO_INFLIGHT_MAX
#define BUFFER_BYTES_MAX (UINT64_C(1) << 30) /* the kernel's limit of one registered buffer */
#define BUFFERS_MAX 64
#define NO_BUFFER -1
/* Registered files: the segments being written, sealed and prepared, with room. */
#define FILES_MAX 8
#define NO_FILE -1
/* Longest wait for a completion while the kernel refuses operations: then it is asked again. */
#define REFUSED_WAIT_NS INT64_C(1000000)

struct operation {
    weir_io_file file;
    bool is_sync;
    bool used;
    struct io_uring_sqe *sqe; /* while it is pending */
    int64_t refused_ns;       /* since then it completes with EAGAIN; 0: it does not */
    const uint8_t *data; /* what is still to be written */
    size_t size;
    uint64_t offset;
    uint64_t user;
};

struct state {
    struct io_uring ring;
    bool enabled;
    const uint8_t *memory; /* registered; NULL where not */
    size_t memory_size;
    bool files_registered;
    weir_io_file files[FILES_MAX]; /* by index in the kernel's table; NO_FILE where free */
    struct operation operations[WEIR_IO_INFLIGHT_MAX];
    struct operation *pending[WEIR_IO_INFLIGHT_MAX]; /* not yet submitted, oldest first */
    size_t pending_count;
    int64_t refused_ns; /* since then the kernel refuses for the moment; 0: it does not */
    int broken;         /* the error of all operations from now on; 0 while the ring works */
    struct weir_io_completion answers[WEIR_IO_INFLIGHT_MAX]; /* of a broken ring */
    size_t answer_count;
};

/* Newest kernels first; each line is what the one before lacks. */
static const unsigned setup_flags[] = {
    IORING_SETUP_R_DISABLED | IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN |
        IORING_SETUP_TASKRUN_FLAG,                                            /* 6.1 */
    IORING_SETUP_R_DISABLED | IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_COOP_TASKRUN |
        IORING_SETUP_TASKRUN_FLAG,                                            /* 6.0 */
    IORING_SETUP_R_DISABLED | IORING_SETUP_COOP_TASKRUN | IORING_SETUP_TASKRUN_FLAG, /* 5.19 */
    IORING_SETUP_R_DISABLED,                                                  /* 5.10 */
};

static int
make_ring(struct io_uring *ring)
{
    int result = -EINVAL;
    for (size_t i = 0; i < sizeof setup_flags / sizeof setup_flags[0]; i++) {
        result = io_uring_queue_init(RING_ENTRIES, ring, setup_flags[i]);
        if (result != -EINVAL)
            break;
    }
    return result;
}

/* A buffer of the kernel holds at most 1 GiB, so the memory is registered in pieces. */
static void
register_memory(struct weir_io *io, struct state *state, const struct weir_io_options *options)
{
    struct iovec pieces[BUFFERS_MAX];
    size_t count = 0;
    for (size_t at = 0; at < options->memory_size; at += BUFFER_BYTES_MAX) {
        if (count == BUFFERS_MAX)
            return;
        size_t left = options->memory_size - at;
        pieces[count++] = (struct iovec){(uint8_t *)options->memory + at,
            left < BUFFER_BYTES_MAX ? left : BUFFER_BYTES_MAX};
    }
    int result = io_uring_register_buffers(&state->ring, pieces, (unsigned)count);
    if (result != 0) {
        weir_event(WEIR_LEVEL_WARN, "buffers_unregistered",
            "bytes=%zu reason=\"%s\" hint=\"raise the memory-lock limit (RLIMIT_MEMLOCK)\"",
            options->memory_size, strerror(-result));
        return;
    }
    state->memory = options->memory;
    state->memory_size = options->memory_size;
    io->registered = true;
}

/* An operation on a registered file takes no reference of its own. The table is filled as files
 * are first used. */
static void
register_files(struct state *state)
{
    for (int i = 0; i < FILES_MAX; i++)
        state->files[i] = NO_FILE;
    /* 5.19; without it files are named by their descriptors */
    state->files_registered = io_uring_register_files_sparse(&state->ring, FILES_MAX) == 0;
}

/* From the first asynchronous call on the ring takes these operations alone, whoever asks. */
static void
restrict_ring(struct state *state)
{
    static const uint8_t operations[] = {IORING_OP_WRITE, IORING_OP_WRITE_FIXED, IORING_OP_FSYNC,
        IORING_OP_TIMEOUT /* kernels whose waiting has no time limit */};
    static const uint8_t registrations[] = {IORING_REGISTER_FILES_UPDATE,
        IORING_REGISTER_EVENTFD};
    enum { OPERATIONS = sizeof operations, REGISTRATIONS = sizeof registrations };
    struct io_uring_restriction list[OPERATIONS + REGISTRATIONS + 1];
    memset(list, 0, sizeof list);
    for (int i = 0; i < OPERATIONS; i++) {
        list[i].opcode = IORING_RESTRICTION_SQE_OP;
        list[i].sqe_op = operations[i];
    }
    for (int i = 0; i < REGISTRATIONS; i++) {
        list[OPERATIONS + i].opcode = IORING_RESTRICTION_REGISTER_OP;
        list[OPERATIONS + i].register_op = registrations[i];
    }
    list[OPERATIONS + REGISTRATIONS].opcode = IORING_RESTRICTION_SQE_FLAGS_ALLOWED;
    list[OPERATIONS + REGISTRATIONS].sqe_flags = IOSQE_FIXED_FILE;
    int result = io_uring_register_restrictions(&state->ring, list,
        OPERATIONS + REGISTRATIONS + 1);
    if (result != 0)
        weir_event(WEIR_LEVEL_WARN, "ring_unrestricted", "reason=\"%s\"", strerror(-result));
}

static enum weir_err
uring_start(struct weir_io *io, const struct weir_io_options *options)
{
    struct state *state = calloc(1, sizeof *state);
    if (state == NULL)
        return weir_fail(WEIR_NOMEM, 0, "io_uring state");
    int result = make_ring(&state->ring);
    if (result != 0) {
        free(state);
        return weir_fail(WEIR_UNSUPPORTED, -result, "io_uring_setup");
    }
    io->state = state;
    register_files(state);
    if (options->memory != NULL)
        register_memory(io, state, options);
    restrict_ring(state);
    return WEIR_OK;
}

static void
uring_stop(struct weir_io *io)
{
    struct state *state = io->state;
    io_uring_queue_exit(&state->ring);
    free(state);
}

/* Index of the registered buffer that holds all of the operation, or NO_BUFFER. */
static int
buffer_index(const struct state *state, const struct operation *operation)
{
    uintptr_t at = (uintptr_t)operation->data - (uintptr_t)state->memory;
    if (state->memory == NULL || at >= state->memory_size ||
        operation->size > state->memory_size - at)
        return NO_BUFFER;
    if (at / BUFFER_BYTES_MAX != (at + operation->size - 1) / BUFFER_BYTES_MAX)
        return NO_BUFFER;
    return (int)(at / BUFFER_BYTES_MAX);
}

/* Index of the file in the kernel's table, entered there where it is new; NO_FILE where it has no
 * place. */
static int
file_index(struct state *state, weir_io_file file)
{
    int place = NO_FILE;
    if (!state->files_registered || file < 0)
        return NO_FILE;
    for (int i = 0; i < FILES_MAX; i++) {
        if (state->files[i] == file)
            return i;
        if (state->files[i] == NO_FILE)
            place = i;
    }
    if (place == NO_FILE)
        return NO_FILE;
    if (io_uring_register_files_update(&state->ring, (unsigned)place, &file, 1) != 1) {
        state->files_registered = false; /* not asked again */
        return NO_FILE;
    }
    state->files[place] = file;
    return place;
}

/* The kernel's table would keep the file, and its blocks, beyond its end; and its descriptor's
 * number may soon be another file's. */
static void
uring_forget(struct weir_io *io, weir_io_file file)
{
    struct state *state = io->state;
    for (int i = 0; i < FILES_MAX; i++) {
        if (file < 0 || state->files[i] != file)
            continue;
        weir_io_file none = -1;
        state->files[i] = NO_FILE;
        /* the table is the enabling thread's; from another one the process is about to end, and
         * the place stays taken */
        if (io_uring_register_files_update(&state->ring, (unsigned)i, &none, 1) != 1)
            state->files_registered = false;
    }
}

/* Completes an operation without the kernel. */
static void
answer(struct weir_io *io, uint64_t user, int result)
{
    struct state *state = io->state;
    state->answers[state->answer_count++] = (struct weir_io_completion){user, result};
    if (io->event_fd >= 0)
        eventfd_write(io->event_fd, 1);
}

/* The ring ends here: what is pending or in the kernel completes with the error. An entry that the
 * kernel has not read becomes one that does nothing. */
static void
break_ring(struct weir_io *io, int result, const char *call)
{
    struct state *state = io->state;
    weir_event(
        WEIR_LEVEL_ERROR, "io_uring_broken", "call=%s reason=\"%s\"", call, strerror(-result));
    state->broken = result;
    for (size_t i = 0; i < state->pending_count; i++) {
        io_uring_prep_nop(state->pending[i]->sqe);
        io_uring_sqe_set_data(state->pending[i]->sqe, NULL);
    }
    state->pending_count = 0;
    for (size_t i = 0; i < WEIR_IO_INFLIGHT_MAX; i++) {
        struct operation *operation = &state->operations[i];
        if (!operation->used)
            continue;
        operation->used = false;
        answer(io, operation->user, result);
    }
}

static bool
for_the_moment(int result)
{
    return result == -EAGAIN || result == -EBUSY || result == -EINTR;
}

/* Has what began at *since_ns lasted longer than the back end is to try? 0: it begins now. */
static bool
patience_ends(const struct weir_io *io, int64_t *since_ns)
{
    int64_t now_ns = weir_mono_ns();
    if (*since_ns == 0)
        *since_ns = now_ns;
    return now_ns - *since_ns >= io->patience_ns;
}

/* The kernel has refused a call. */
static void
refused(struct weir_io *io, int result, const char *call)
{
    struct state *state = io->state;
    if (!for_the_moment(result) || patience_ends(io, &state->refused_ns))
        break_ring(io, result, call);
}

/* Submits what is pending, as far as the kernel takes it. */
static void
submit_pending(struct weir_io *io)
{
    struct state *state = io->state;
    while (state->pending_count != 0) {
        int result = io_uring_submit(&state->ring);
        if (result <= 0) {
            refused(io, result == 0 ? -EAGAIN : result, "submit");
            return;
        }
        size_t submitted = (size_t)result < state->pending_count ? (size_t)result
                                                             : state->pending_count;
        state->refused_ns = 0;
        state->pending_count -= submitted;
        memmove(state->pending, state->pending + submitted,
            state->pending_count * sizeof state->pending[0]);
    }
}

static void
submit(struct weir_io *io, struct operation *operation)
{
    struct state *state = io->state;
    struct io_uring_sqe *sqe = io_uring_get_sqe(&state->ring);
    WEIR_ASSERT(sqe != NULL); /* as many entries as operations, and each has one at most */
    if (operation->is_sync) {
        io_uring_prep_fsync(sqe, operation->file, IORING_FSYNC_DATASYNC);
    } else {
        int index = buffer_index(state, operation);
        if (index == NO_BUFFER)
            io_uring_prep_write(sqe, operation->file, operation->data, (unsigned)operation->size,
                operation->offset);
        else
            io_uring_prep_write_fixed(sqe, operation->file, operation->data,
                (unsigned)operation->size, operation->offset, index);
    }
    int index = file_index(state, operation->file);
    if (index != NO_FILE) {
        sqe->fd = index;
        io_uring_sqe_set_flags(sqe, IOSQE_FIXED_FILE);
    }
    io_uring_sqe_set_data(sqe, operation);
    operation->sqe = sqe;
    state->pending[state->pending_count++] = operation;
    submit_pending(io);
}

static void
enable(struct weir_io *io)
{
    struct state *state = io->state;
    if (state->enabled || state->broken != 0)
        return;
    int result = io_uring_enable_rings(&state->ring);
    if (result != 0)
        break_ring(io, result, "enable");
    state->enabled = result == 0;
}

static void
begin(struct weir_io *io, struct operation operation)
{
    struct state *state = io->state;
    enable(io);
    if (state->broken != 0) {
        answer(io, operation.user, state->broken);
        return;
    }
    struct operation *slot = state->operations;
    while (slot->used)
        slot++;
    WEIR_ASSERT(slot < state->operations + WEIR_IO_INFLIGHT_MAX);
    *slot = operation;
    slot->used = true;
    submit(io, slot);
}

static void
uring_write(struct weir_io *io, weir_io_file file, const void *data, size_t size,
    uint64_t offset, uint64_t user)
{
    WEIR_ASSERT(size <= INT32_MAX);
    begin(io, (struct operation){
                  .file = file, .data = data, .size = size, .offset = offset, .user = user});
}

static void
uring_sync(struct weir_io *io, weir_io_file file, uint64_t user)
{
    begin(io, (struct operation){.file = file, .is_sync = true, .user = user});
}

/* Takes a kernel result for an operation. True when the operation is over, with *result; false when
 * the rest of a short write is to be submitted. */
static bool
finish(const struct weir_io *io, struct operation *operation, int *result)
{
    bool again = *result == -EINTR || *result == -EAGAIN;
    if (operation->is_sync || (*result < 0 && !again))
        return true;
    if (again)
        return patience_ends(io, &operation->refused_ns);
    operation->refused_ns = 0;
    size_t put = (size_t)*result;
    if (put >= operation->size) {
        *result = put == operation->size ? 0 : -EIO;
        return true;
    }
    /* a direct write goes on at a block: the rest of a cut block is written again */
    size_t whole = put & ~(size_t)(WEIR_IO_ALIGN - 1);
    if (whole == 0) {
        *result = -EIO;
        return true;
    }
    operation->data += whole;
    operation->offset += whole;
    operation->size -= whole;
    return false;
}

static size_t
pop_answers(struct state *state, struct weir_io_completion *out, size_t max)
{
    size_t count = state->answer_count < max ? state->answer_count : max;
    memcpy(out, state->answers, count * sizeof *out);
    state->answer_count -= count;
    memmove(state->answers, state->answers + count, state->answer_count * sizeof *out);
    return count;
}

/* Answers of a broken ring are all there is then: completions that still come were answered. */
static size_t
pop_completions(struct weir_io *io, struct weir_io_completion *out, size_t max)
{
    struct state *state = io->state;
    struct io_uring_cqe *cqes[WEIR_IO_INFLIGHT_MAX];
    struct operation *rest[WEIR_IO_INFLIGHT_MAX];
    unsigned want = max < WEIR_IO_INFLIGHT_MAX ? (unsigned)max : WEIR_IO_INFLIGHT_MAX;
    unsigned got = io_uring_peek_batch_cqe(&state->ring, cqes, want);
    size_t count = 0;
    size_t rest_count = 0;
    for (unsigned i = 0; i < got; i++) {
        struct operation *operation = io_uring_cqe_get_data(cqes[i]);
        int result = cqes[i]->res;
        if (operation == NULL || !operation->used)
            continue;
        if (!finish(io, operation, &result)) {
            rest[rest_count++] = operation;
            continue;
        }
        operation->used = false;
        out[count++] = (struct weir_io_completion){operation->user, result};
    }
    io_uring_cq_advance(&state->ring, got);
    for (size_t i = 0; i < rest_count && state->broken == 0; i++)
        submit(io, rest[i]);
    if (state->broken == 0)
        submit_pending(io);
    return count + pop_answers(state, out + count, max - count);
}

static size_t
uring_reap(struct weir_io *io, struct weir_io_completion *out, size_t max, int64_t wait_ns)
{
    struct state *state = io->state;
    size_t count = pop_completions(io, out, max);
    if (count != 0 || wait_ns <= 0 || state->broken != 0)
        return count;
    if (state->refused_ns != 0 && wait_ns > REFUSED_WAIT_NS)
        wait_ns = REFUSED_WAIT_NS;
    struct __kernel_timespec timeout = {wait_ns / 1000000000, wait_ns % 1000000000};
    struct io_uring_cqe *cqe;
    int result = io_uring_wait_cqe_timeout(&state->ring, &cqe, &timeout);
    bool over = result == -ETIME || result == -EINTR; /* time is up, or a signal came */
    if (result < 0 && !over)
        refused(io, result, "wait");
    else if (state->pending_count == 0)
        state->refused_ns = 0;
    return over ? 0 : pop_completions(io, out, max);
}

/* With completions that are made when they are asked for, the flag says that there is work. */
static bool
uring_ready(const struct weir_io *io)
{
    const struct state *state = io->state;
    return io_uring_cq_ready(&state->ring) != 0 || state->answer_count != 0 ||
        (IO_URING_READ_ONCE(*state->ring.sq.kflags) &
            (IORING_SQ_TASKRUN | IORING_SQ_CQ_OVERFLOW)) != 0;
}

static bool
uring_watch(struct weir_io *io, int event_fd)
{
    struct state *state = io->state;
    return io_uring_register_eventfd(&state->ring, event_fd) == 0;
}

const struct weir_io_table weir_io_uring_table = {
    .name = "io_uring",
    .start = uring_start,
    .stop = uring_stop,
    .write = uring_write,
    .sync = uring_sync,
    .reap = uring_reap,
    .ready = uring_ready,
    .watch = uring_watch,
    .forget = uring_forget,
    WEIR_IO_POSIX_PRIMITIVES,
};
