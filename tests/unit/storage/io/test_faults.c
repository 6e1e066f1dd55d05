/* What the kernel may answer, put in the place of its answers: each is an error of the operation or
 * passes, none ends the program or makes it wait for ever. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "storage/io/backend.h"
#include "tests/unit/storage/temp_dir.h"

#include <errno.h>
#include <liburing.h>
#include <stdio.h>
#include <string.h>
#include <sys/uio.h>

#define BLOCK WEIR_IO_ALIGN
#define BLOCKS 4
#define FOR_EVER 1000000
#define PATIENCE_NS INT64_C(20000000)

static uint8_t buffer[BLOCKS * BLOCK] __attribute__((aligned(BLOCK)));
static struct weir_io *io;

/* The next `times` calls of a kind answer `result`. */
static struct fault {
    int times;
    int result;
} on_setup, on_enable, on_submit, on_wait, on_buffers, on_files, on_update, on_eventfd, on_write,
    on_sync;
/* What write completions of the ring say in place of the truth. */
static struct fault on_completion;
static int refused_bytes; /* completions of this size only; 0: all */

static bool
answers(struct fault *fault)
{
    if (fault->times == 0)
        return false;
    fault->times--;
    return true;
}

#define WRAP(type, name, fault, parameters, arguments) \
    type __real_##name parameters; \
    type __wrap_##name parameters; \
    type __wrap_##name parameters \
    { \
        return answers(&fault) ? fault.result : __real_##name arguments; \
    }

WRAP(int, io_uring_queue_init, on_setup, (unsigned entries, struct io_uring *ring, unsigned flags),
    (entries, ring, flags))
WRAP(int, io_uring_enable_rings, on_enable, (struct io_uring * ring), (ring))
WRAP(int, io_uring_submit, on_submit, (struct io_uring * ring), (ring))
WRAP(int, io_uring_wait_cqe_timeout, on_wait,
    (struct io_uring * ring, struct io_uring_cqe **cqe, struct __kernel_timespec *timeout),
    (ring, cqe, timeout))
WRAP(int, io_uring_register_buffers, on_buffers,
    (struct io_uring * ring, const struct iovec *pieces, unsigned count), (ring, pieces, count))
WRAP(int, io_uring_register_files_sparse, on_files, (struct io_uring * ring, unsigned count),
    (ring, count))
WRAP(int, io_uring_register_files_update, on_update,
    (struct io_uring * ring, unsigned at, const int *files, unsigned count),
    (ring, at, files, count))
WRAP(int, io_uring_register_eventfd, on_eventfd, (struct io_uring * ring, int fd), (ring, fd))

int __real_fdatasync(int fd);
int __wrap_fdatasync(int fd);
int
__wrap_fdatasync(int fd)
{
    if (!answers(&on_sync))
        return __real_fdatasync(fd);
    errno = -on_sync.result;
    return -1;
}

unsigned __real_io_uring_peek_batch_cqe(struct io_uring *ring, struct io_uring_cqe **cqes,
    unsigned count);
unsigned __wrap_io_uring_peek_batch_cqe(struct io_uring *ring, struct io_uring_cqe **cqes,
    unsigned count);
unsigned
__wrap_io_uring_peek_batch_cqe(struct io_uring *ring, struct io_uring_cqe **cqes, unsigned count)
{
    unsigned got = __real_io_uring_peek_batch_cqe(ring, cqes, count);
    for (unsigned i = 0; i < got; i++)
        if (cqes[i]->res >= refused_bytes && answers(&on_completion))
            cqes[i]->res = on_completion.result;
    return got;
}

/* The name that meson's _FILE_OFFSET_BITS gives it. */
ssize_t __real_pwritev64v2(int fd, const struct iovec *pieces, int count, off_t offset, int flags);
ssize_t __wrap_pwritev64v2(int fd, const struct iovec *pieces, int count, off_t offset, int flags);
ssize_t
__wrap_pwritev64v2(int fd, const struct iovec *pieces, int count, off_t offset, int flags)
{
    if (!answers(&on_write))
        return __real_pwritev64v2(fd, pieces, count, offset, flags);
    if (on_write.result < 0) {
        errno = -on_write.result;
        return -1;
    }
    const struct iovec piece = {pieces->iov_base, (size_t)on_write.result};
    return __real_pwritev64v2(fd, &piece, 1, offset, flags);
}

static void
no_faults(void)
{
    on_setup = on_enable = on_submit = on_wait = on_buffers = on_files = on_update = on_eventfd =
        on_write = on_sync = on_completion = (struct fault){0, 0};
    refused_bytes = 0;
}

static enum weir_err
open_io(enum weir_io_backend backend)
{
    struct weir_io_options options = {
        .backend = backend, .memory = buffer, .memory_size = sizeof buffer};
    enum weir_err err = weir_io_new(&options, &io);
    if (err == WEIR_OK)
        io->patience_ns = PATIENCE_NS;
    return err;
}

static int
set_up(void **state)
{
    (void)state;
    no_faults();
    temp_dir_make();
    for (size_t i = 0; i < sizeof buffer; i++)
        buffer[i] = (uint8_t)(i * 2654435761u >> 13);
    return 0;
}

static int
tear_down(void **state)
{
    (void)state;
    temp_dir_remove();
    return 0;
}

static weir_io_file
open_file(void)
{
    weir_io_file file;
    assert_int_equal(weir_io_open(io, temp_path("f"),
                         WEIR_IO_READ | WEIR_IO_WRITE | WEIR_IO_CREATE, &file), WEIR_OK);
    return file;
}

/* Reaps until nothing is in flight; the results by user. */
static void
reap_all(int results[BLOCKS + 1])
{
    struct weir_io_completion done[2];
    for (int tries = 0; io->inflight != 0; tries++) {
        assert_true(tries < FOR_EVER);
        size_t count = weir_io_reap(io, done, 2, INT64_C(1000000));
        for (size_t i = 0; i < count; i++)
            results[done[i].user] = done[i].result;
    }
}

/* Writes the blocks and then syncs, while the faults are on. */
static void
write_and_sync(weir_io_file file, int results[BLOCKS + 1])
{
    memset(results, 0x7f, (BLOCKS + 1) * sizeof *results);
    for (uint64_t i = 0; i < BLOCKS; i++)
        assert_int_equal(
            weir_io_write(io, file, buffer + i * BLOCK, BLOCK, i * BLOCK, i), WEIR_OK);
    reap_all(results);
    assert_int_equal(weir_io_sync(io, file, BLOCKS), WEIR_OK);
    reap_all(results);
}

static void
check_content(weir_io_file file)
{
    static uint8_t back[sizeof buffer];
    assert_int_equal(weir_io_read(io, file, back, sizeof back, 0), WEIR_OK);
    assert_memory_equal(back, buffer, sizeof back);
}

static bool
have_uring(void)
{
    if (open_io(WEIR_IO_URING) == WEIR_OK)
        return true;
    print_message("the kernel makes no ring\n");
    return false;
}

/* With the fault all operations complete with `result`; 0: as if there was none. */
static void
ring_answers(struct fault *where, struct fault fault, int result)
{
    int results[BLOCKS + 1];
    if (!have_uring())
        return;
    weir_io_file file = open_file();
    *where = fault;
    write_and_sync(file, results);
    no_faults();
    for (int i = 0; i <= BLOCKS; i++)
        assert_int_equal(results[i], result);
    if (result == 0) {
        check_content(file);
    } else { /* for good */
        write_and_sync(file, results);
        for (int i = 0; i <= BLOCKS; i++)
            assert_int_equal(results[i], result);
    }
    weir_io_close(io, file);
    weir_io_free(io);
}

static void
test_ring_takes_up_what_the_kernel_refused_for_the_moment(void **state)
{
    (void)state;
    static const int errnos[] = {EAGAIN, EBUSY, EINTR};
    for (size_t i = 0; i < sizeof errnos / sizeof errnos[0]; i++) {
        ring_answers(&on_submit, (struct fault){7, -errnos[i]}, 0);
        ring_answers(&on_wait, (struct fault){3, -errnos[i]}, 0);
    }
    ring_answers(&on_submit, (struct fault){7, 0}, 0);
    ring_answers(&on_wait, (struct fault){3, -ETIME}, 0);
}

static void
test_ring_that_the_kernel_keeps_refusing_is_an_error(void **state)
{
    (void)state;
    static const int errnos[] = {EAGAIN, EBUSY, EINTR};
    for (size_t i = 0; i < sizeof errnos / sizeof errnos[0]; i++)
        ring_answers(&on_submit, (struct fault){FOR_EVER, -errnos[i]}, -errnos[i]);
}

static void
test_ring_completes_everything_with_an_error_of_the_kernel(void **state)
{
    (void)state;
    static const int errnos[] = {EBADF, EBADFD, EBADR, EFAULT, EINVAL, ENXIO, EOPNOTSUPP, EIO,
        ENOMEM, EEXIST, EPERM, ENOSYS};
    for (size_t i = 0; i < sizeof errnos / sizeof errnos[0]; i++) {
        ring_answers(&on_submit, (struct fault){1, -errnos[i]}, -errnos[i]);
        ring_answers(&on_enable, (struct fault){1, -errnos[i]}, -errnos[i]);
    }
}

/* Whatever the wait answers, each operation completes once, well or with that error. */
static void
test_ring_whose_wait_fails_completes_each_operation_once(void **state)
{
    (void)state;
    static const int errnos[] = {EAGAIN, EBADF, EBADR, EFAULT, EINVAL, ENXIO};
    for (size_t i = 0; i < sizeof errnos / sizeof errnos[0] && have_uring(); i++) {
        int results[BLOCKS + 1];
        weir_io_file file = open_file();
        on_wait = (struct fault){FOR_EVER, -errnos[i]};
        write_and_sync(file, results);
        no_faults();
        for (int k = 0; k <= BLOCKS; k++)
            assert_true(results[k] == 0 || results[k] == -errnos[i]);
        weir_io_close(io, file);
        weir_io_free(io);
    }
}

static void
test_ring_without_registered_memory_or_files_writes_all_the_same(void **state)
{
    (void)state;
    struct fault *const places[] = {&on_buffers, &on_files, &on_update};
    static const int errnos[] = {ENOMEM, EINVAL, EFAULT, EOPNOTSUPP, EBUSY, EPERM};
    for (size_t p = 0; p < 3; p++)
        for (size_t i = 0; i < sizeof errnos / sizeof errnos[0]; i++) {
            int results[BLOCKS + 1];
            *places[p] = (struct fault){FOR_EVER, -errnos[i]};
            if (!have_uring())
                return;
            weir_io_file file = open_file();
            write_and_sync(file, results);
            no_faults();
            for (int k = 0; k <= BLOCKS; k++)
                assert_int_equal(results[k], 0);
            check_content(file);
            weir_io_close(io, file);
            weir_io_free(io);
        }
}

static void
test_ring_that_cannot_be_made_gives_way_to_the_other_back_end(void **state)
{
    (void)state;
    static const int errnos[] = {ENOSYS, EPERM, ENOMEM, EMFILE, ENFILE, EINVAL};
    for (size_t i = 0; i < sizeof errnos / sizeof errnos[0]; i++) {
        on_setup = (struct fault){FOR_EVER, -errnos[i]};
        assert_int_equal(open_io(WEIR_IO_URING), WEIR_UNSUPPORTED);
        assert_int_equal(open_io(WEIR_IO_AUTO), WEIR_OK);
        assert_string_equal(weir_io_name(io), "sync");
        no_faults();
        weir_io_free(io);
    }
}

static void
test_ring_without_an_eventfd_has_no_descriptor_to_wait_on(void **state)
{
    (void)state;
    if (!have_uring())
        return;
    on_eventfd = (struct fault){1, -EMFILE};
    assert_int_equal(weir_io_wait_fd(io), -1);
    weir_io_free(io);
}

/* Of the operations, the first `fault.times` writes complete as the fault says. */
static void
ring_completes(struct fault fault, int result, int bytes)
{
    int results[BLOCKS + 1];
    if (!have_uring())
        return;
    weir_io_file file = open_file();
    on_completion = fault;
    refused_bytes = bytes;
    write_and_sync(file, results);
    no_faults();
    int failed = 0;
    for (int i = 0; i <= BLOCKS; i++) {
        assert_true(results[i] == 0 || results[i] == result);
        failed += results[i] != 0;
    }
    assert_int_equal(failed, result == 0 ? 0 : fault.times);
    write_and_sync(file, results); /* an operation's error is that operation's alone */
    for (int i = 0; i <= BLOCKS; i++)
        assert_int_equal(results[i], 0);
    check_content(file);
    weir_io_close(io, file);
    weir_io_free(io);
}

static void
test_ring_completion_that_fails_is_that_operation_alone(void **state)
{
    (void)state;
    static const int errnos[] = {EIO, ENOSPC, EDQUOT, EFBIG, EBADF, ECANCELED, ENOMEM, EROFS,
        EPERM, ESTALE};
    for (size_t i = 0; i < sizeof errnos / sizeof errnos[0]; i++)
        ring_completes((struct fault){2, -errnos[i]}, -errnos[i], 0);
}

static void
test_ring_goes_on_with_the_rest_of_a_write(void **state)
{
    (void)state;
    int results[BLOCKS + 1];
    ring_completes((struct fault){3, -EAGAIN}, 0, BLOCK);
    ring_completes((struct fault){3, -EINTR}, 0, BLOCK);
    ring_completes((struct fault){1, 0}, -EIO, BLOCK); /* no byte: the device takes none */
    ring_completes((struct fault){1, 512}, -EIO, BLOCK); /* no whole block */
    ring_completes((struct fault){1, BLOCK + 1}, -EIO, BLOCK); /* more than there was */
    if (!have_uring())
        return;
    weir_io_file file = open_file();
    on_completion = (struct fault){1, BLOCK + 700};
    refused_bytes = sizeof buffer;
    assert_int_equal(weir_io_write(io, file, buffer, sizeof buffer, 0, 0), WEIR_OK);
    reap_all(results);
    assert_int_equal(on_completion.times, 0);
    assert_int_equal(results[0], 0);
    check_content(file);
    weir_io_close(io, file);
    weir_io_free(io);
}

static void
test_ring_completion_that_is_always_refused_is_an_error(void **state)
{
    (void)state;
    int results[BLOCKS + 1];
    if (!have_uring())
        return;
    weir_io_file file = open_file();
    on_completion = (struct fault){FOR_EVER, -EAGAIN};
    refused_bytes = BLOCK;
    write_and_sync(file, results);
    for (int i = 0; i < BLOCKS; i++)
        assert_int_equal(results[i], -EAGAIN);
    no_faults();
    weir_io_close(io, file);
    weir_io_free(io);
}

static void
sync_answers(struct fault *where, struct fault fault, int write_result, int sync_result)
{
    int results[BLOCKS + 1];
    assert_int_equal(open_io(WEIR_IO_SYNC), WEIR_OK);
    weir_io_file file = open_file();
    *where = fault;
    write_and_sync(file, results);
    no_faults();
    for (int i = 0; i < BLOCKS; i++)
        assert_int_equal(results[i], where == &on_write && i < fault.times ? write_result : 0);
    assert_int_equal(results[BLOCKS], sync_result);
    write_and_sync(file, results);
    for (int i = 0; i <= BLOCKS; i++)
        assert_int_equal(results[i], 0);
    check_content(file);
    weir_io_close(io, file);
    weir_io_free(io);
}

static void
test_sync_back_end_reports_each_error_of_the_kernel(void **state)
{
    (void)state;
    static const int errnos[] = {EIO, ENOSPC, EDQUOT, EFBIG, EBADF, ENOMEM, EROFS, EPERM, ESTALE};
    for (size_t i = 0; i < sizeof errnos / sizeof errnos[0]; i++) {
        sync_answers(&on_write, (struct fault){2, -errnos[i]}, -errnos[i], 0);
        sync_answers(&on_sync, (struct fault){1, -errnos[i]}, 0, -errnos[i]);
    }
    sync_answers(&on_write, (struct fault){1, 512}, -EIO, 0);
    sync_answers(&on_write, (struct fault){1, 0}, -EIO, 0);
}

static void
test_sync_back_end_waits_for_what_is_refused_for_the_moment_and_no_longer(void **state)
{
    (void)state;
    int results[BLOCKS + 1];
    sync_answers(&on_write, (struct fault){3, -EAGAIN}, 0, 0);
    sync_answers(&on_write, (struct fault){3, -EINTR}, 0, 0);
    assert_int_equal(open_io(WEIR_IO_SYNC), WEIR_OK);
    weir_io_file file = open_file();
    on_write = (struct fault){FOR_EVER, -EAGAIN};
    write_and_sync(file, results);
    for (int i = 0; i < BLOCKS; i++)
        assert_int_equal(results[i], -EAGAIN);
    no_faults();
    weir_io_close(io, file);
    weir_io_free(io);
}

int
main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_ring_takes_up_what_the_kernel_refused_for_the_moment),
        TEST(test_ring_that_the_kernel_keeps_refusing_is_an_error),
        TEST(test_ring_completes_everything_with_an_error_of_the_kernel),
        TEST(test_ring_whose_wait_fails_completes_each_operation_once),
        TEST(test_ring_without_registered_memory_or_files_writes_all_the_same),
        TEST(test_ring_that_cannot_be_made_gives_way_to_the_other_back_end),
        TEST(test_ring_without_an_eventfd_has_no_descriptor_to_wait_on),
        TEST(test_ring_completion_that_fails_is_that_operation_alone),
        TEST(test_ring_goes_on_with_the_rest_of_a_write),
        TEST(test_ring_completion_that_is_always_refused_is_an_error),
        TEST(test_sync_back_end_reports_each_error_of_the_kernel),
        TEST(test_sync_back_end_waits_for_what_is_refused_for_the_moment_and_no_longer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
