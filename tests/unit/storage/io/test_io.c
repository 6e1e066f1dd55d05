#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "storage/io/backend.h"
#include "tests/unit/storage/temp_dir.h"

#include <errno.h>
#include <liburing.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#define BLOCK WEIR_IO_ALIGN

static uint8_t buffer[64 * BLOCK] __attribute__((aligned(BLOCK)));
static struct weir_io *io;

static int
set_up(void **state)
{
    const enum weir_io_backend *backend = *state;
    temp_dir_make();
    for (size_t i = 0; i < sizeof buffer; i++)
        buffer[i] = (uint8_t)(i * 2654435761u >> 13);
    struct weir_io_options options = {
        .backend = *backend, .memory = buffer, .memory_size = sizeof buffer};
    return weir_io_new(&options, &io) == WEIR_OK ? 0 : -1;
}

static int
tear_down(void **state)
{
    (void)state;
    weir_io_free(io);
    temp_dir_remove();
    return 0;
}

static weir_io_file
open_file(const char *name, unsigned flags)
{
    weir_io_file file;
    assert_int_equal(weir_io_open(io, temp_path(name), flags, &file), WEIR_OK);
    return file;
}

/* Reaps until count completions came; their results by user (below 64). */
static void
reap(size_t count, int *results)
{
    struct weir_io_completion done[8];
    for (size_t got = 0; got < count;) {
        size_t n = weir_io_reap(io, done, 8, INT64_C(60000000000));
        assert_true(n != 0);
        for (size_t i = 0; i < n; i++)
            results[done[i].user] = done[i].result;
        got += n;
    }
}

static void
test_io_writes_and_syncs_what_is_read_back(void **state)
{
    (void)state;
    weir_io_file file = open_file("a", WEIR_IO_WRITE | WEIR_IO_CREATE | WEIR_IO_DIRECT);
    assert_int_equal(weir_io_allocate(io, temp_path("a"), file, sizeof buffer), WEIR_OK);
    int results[64];
    memset(results, 0xff, sizeof results);
    for (uint64_t i = 0; i < 64; i++)
        assert_int_equal(
            weir_io_write(io, file, buffer + i * BLOCK, BLOCK, i * BLOCK, i), WEIR_OK);
    assert_int_equal(weir_io_write(io, file, buffer, BLOCK, 0, 64), WEIR_AGAIN);
    reap(64, results);
    for (int i = 0; i < 64; i++)
        assert_int_equal(results[i], 0);
    assert_int_equal(weir_io_sync(io, file, 7), WEIR_OK);
    results[7] = -1;
    reap(1, results);
    assert_int_equal(results[7], 0);
    assert_int_equal(weir_io_flush(io, file), WEIR_OK);
    weir_io_close(io, file);

    static uint8_t back[sizeof buffer];
    file = open_file("a", WEIR_IO_READ);
    uint64_t size;
    assert_int_equal(weir_io_size(io, file, &size), WEIR_OK);
    assert_int_equal(size, sizeof buffer);
    assert_int_equal(weir_io_read(io, file, back, sizeof back, 0), WEIR_OK);
    assert_memory_equal(back, buffer, sizeof back);
    assert_int_equal(weir_io_read(io, file, back, 2, sizeof back - 1), WEIR_END);
    weir_io_close(io, file);
}

static void
test_io_reports_a_failed_operation_as_completion(void **state)
{
    (void)state;
    open_file("ro", WEIR_IO_WRITE | WEIR_IO_CREATE);
    weir_io_file file = open_file("ro", WEIR_IO_READ);
    int results[2] = {1, 1};
    assert_int_equal(weir_io_write(io, file, buffer, BLOCK, 0, 1), WEIR_OK);
    reap(1, results);
    assert_int_equal(results[1], -EBADF);
    weir_io_close(io, file);
}

static int
fail_second_write(void *context, const char *operation, uint64_t offset, size_t size)
{
    int *seen = context;
    assert_true(size == BLOCK || strcmp(operation, "write") != 0);
    return strcmp(operation, "write") == 0 && offset == BLOCK ? (++*seen, -EIO) : 0;
}

static void
test_io_fault_becomes_the_result_and_leaves_the_file(void **state)
{
    (void)state;
    weir_io_file file = open_file("f", WEIR_IO_READ | WEIR_IO_WRITE | WEIR_IO_CREATE);
    int seen = 0;
    weir_io_set_fault(io, fail_second_write, &seen);
    int results[4] = {1, 1, 1, 1};
    for (uint64_t i = 0; i < 3; i++)
        assert_int_equal(weir_io_write(io, file, buffer, BLOCK, i * BLOCK, i), WEIR_OK);
    reap(3, results);
    assert_int_equal(seen, 1);
    assert_int_equal(results[0], 0);
    assert_int_equal(results[1], -EIO);
    assert_int_equal(results[2], 0);
    static uint8_t back[BLOCK];
    static const uint8_t zeros[BLOCK];
    assert_int_equal(weir_io_read(io, file, back, BLOCK, BLOCK), WEIR_OK);
    assert_memory_equal(back, zeros, BLOCK);
    weir_io_close(io, file);
}

static int
fail_with(void *context, const char *operation, uint64_t offset, size_t size)
{
    (void)offset;
    (void)size;
    return strcmp(operation, "allocate") == 0 ? *(int *)context : 0;
}

static void
test_io_allocate_says_full_for_want_of_space(void **state)
{
    (void)state;
    weir_io_file file = open_file("f", WEIR_IO_WRITE | WEIR_IO_CREATE);
    int result = -ENOSPC;
    weir_io_set_fault(io, fail_with, &result);
    assert_int_equal(weir_io_allocate(io, temp_path("f"), file, BLOCK), WEIR_FULL);
    result = -EIO;
    assert_int_equal(weir_io_allocate(io, temp_path("f"), file, BLOCK), WEIR_IO);
    weir_io_close(io, file);
}

static void
test_io_wait_fd_polls_readable_when_something_is_done(void **state)
{
    (void)state;
    int fd = weir_io_wait_fd(io);
    assert_true(fd >= 0);
    assert_int_equal(weir_io_wait_fd(io), fd);
    weir_io_file file = open_file("w", WEIR_IO_WRITE | WEIR_IO_CREATE);
    for (int round = 0; round < 3; round++) {
        assert_int_equal(weir_io_write(io, file, buffer, BLOCK, 0, 0), WEIR_OK);
        struct pollfd wait = {.fd = fd, .events = POLLIN};
        assert_int_equal(poll(&wait, 1, 60000), 1);
        int results[1] = {1};
        reap(1, results);
        assert_int_equal(results[0], 0);
        struct weir_io_completion none;
        assert_int_equal(weir_io_reap(io, &none, 1, 0), 0);
        assert_int_equal(poll(&wait, 1, 0), 0);
    }
    weir_io_close(io, file);
}

static void *
write_from_here(void *context)
{
    weir_io_file file = *(weir_io_file *)context;
    assert_int_equal(weir_io_write(io, file, buffer, BLOCK, 0, 0), WEIR_OK);
    int results[1] = {1};
    reap(1, results);
    assert_int_equal(results[0], 0);
    return NULL;
}

static void
test_io_made_in_one_thread_works_in_another(void **state)
{
    (void)state;
    weir_io_file file = open_file("t", WEIR_IO_WRITE | WEIR_IO_CREATE);
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, write_from_here, &file), 0);
    pthread_join(thread, NULL);
    weir_io_close(io, file);
}

/* A back end may keep the files it knows; their numbers become those of others. */
static void
test_io_writes_to_the_file_that_has_the_number_now(void **state)
{
    (void)state;
    int results[64];
    char name[8];
    for (int round = 0; round < 20; round++) {
        snprintf(name, sizeof name, "n%d", round);
        weir_io_file file = open_file(name, WEIR_IO_WRITE | WEIR_IO_CREATE);
        assert_int_equal(weir_io_write(io, file, buffer + round * BLOCK, BLOCK, 0, 0), WEIR_OK);
        reap(1, results);
        assert_int_equal(results[0], 0);
        weir_io_close(io, file);
    }
    for (int round = 0; round < 20; round++) {
        static uint8_t back[BLOCK];
        snprintf(name, sizeof name, "n%d", round);
        weir_io_file file = open_file(name, WEIR_IO_READ);
        assert_int_equal(weir_io_read(io, file, back, BLOCK, 0), WEIR_OK);
        assert_memory_equal(back, buffer + round * BLOCK, BLOCK);
        weir_io_close(io, file);
    }
}

static void
test_io_takes_more_files_than_a_back_end_keeps(void **state)
{
    (void)state;
    enum { FILES = 20 };
    weir_io_file files[FILES];
    int results[64];
    char name[8];
    for (int i = 0; i < FILES; i++) {
        snprintf(name, sizeof name, "m%d", i);
        files[i] = open_file(name, WEIR_IO_READ | WEIR_IO_WRITE | WEIR_IO_CREATE);
        assert_int_equal(
            weir_io_write(io, files[i], buffer + i * BLOCK, BLOCK, 0, (uint64_t)i), WEIR_OK);
    }
    reap(FILES, results);
    for (int i = 0; i < FILES; i++) {
        static uint8_t back[BLOCK];
        assert_int_equal(results[i], 0);
        assert_int_equal(weir_io_read(io, files[i], back, BLOCK, 0), WEIR_OK);
        assert_memory_equal(back, buffer + i * BLOCK, BLOCK);
        weir_io_close(io, files[i]);
    }
}

static void
test_io_replace_leaves_the_new_content_or_the_old(void **state)
{
    (void)state;
    assert_int_equal(weir_io_replace(io, temp_path("r"), "one", 3), WEIR_OK);
    assert_int_equal(weir_io_replace(io, temp_path("r"), "second", 6), WEIR_OK);
    weir_io_file file = open_file("r", WEIR_IO_READ);
    char back[6];
    assert_int_equal(weir_io_read(io, file, back, 6, 0), WEIR_OK);
    assert_memory_equal(back, "second", 6);
    weir_io_close(io, file);
    assert_int_equal(weir_io_replace(io, temp_path("no/r"), "x", 1), WEIR_NOT_FOUND);
}

static void
test_io_lists_names_in_order(void **state)
{
    (void)state;
    assert_int_equal(weir_io_mkdir(io, temp_path("d/e")), WEIR_OK);
    assert_int_equal(weir_io_mkdir(io, temp_path("d/e")), WEIR_OK);
    for (char name[] = "d/e/e"; name[4] >= 'a'; name[4]--)
        weir_io_close(io, open_file(name, WEIR_IO_WRITE | WEIR_IO_CREATE));
    assert_int_equal(weir_io_unlink(io, temp_path("d/e/c")), WEIR_OK);
    assert_int_equal(weir_io_unlink(io, temp_path("d/e/c")), WEIR_NOT_FOUND);
    char **names;
    size_t count;
    assert_int_equal(weir_io_list(io, temp_path("d/e"), &names, &count), WEIR_OK);
    assert_int_equal(count, 4);
    const char *want[] = {"a", "b", "d", "e"};
    for (size_t i = 0; i < count; i++)
        assert_string_equal(names[i], want[i]);
    weir_io_list_free(names, count);
    assert_int_equal(weir_io_list(io, temp_path("d/x"), &names, &count), WEIR_NOT_FOUND);
    assert_int_not_equal(weir_io_mkdir(io, temp_path("d/e/a/b")), WEIR_OK);
}

static void
test_io_direct_falls_back_where_the_file_system_refuses(void **state)
{
    (void)state;
    char path[64];
    snprintf(path, sizeof path, "/dev/shm/weir-test-%d", (int)getpid());
    weir_io_file file;
    enum weir_err err =
        weir_io_open(io, path, WEIR_IO_WRITE | WEIR_IO_CREATE | WEIR_IO_DIRECT, &file);
    if (err == WEIR_NOT_FOUND || access("/dev/shm", W_OK) != 0)
        skip();
    assert_int_equal(err, WEIR_OK);
    assert_int_equal(weir_io_write(io, file, buffer, 2 * BLOCK, 0, 0), WEIR_OK);
    int results[1] = {1};
    reap(1, results);
    assert_int_equal(results[0], 0);
    weir_io_close(io, file);
    assert_int_equal(weir_io_unlink(io, path), WEIR_OK);
}

/* The ring's descriptor, by what the process has open. */
static int
find_ring(void)
{
    char path[64], target[64];
    for (int fd = 0; fd < 256; fd++) {
        snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
        ssize_t size = readlink(path, target, sizeof target - 1);
        target[size > 0 ? size : 0] = '\0';
        if (strcmp(target, "anon_inode:[io_uring]") == 0)
            return fd;
    }
    return -1;
}

/* Whoever takes the process over cannot have the ring open files or sockets: it takes no operation
 * and no registration that the log does not need. */
static void
test_ring_in_use_takes_no_other_registration(void **state)
{
    if (*(const enum weir_io_backend *)*state != WEIR_IO_URING)
        return; /* the kernel has no rings */
    int results[1] = {1}, event = eventfd(0, EFD_CLOEXEC);
    weir_io_file file = open_file("r", WEIR_IO_WRITE | WEIR_IO_CREATE);
    assert_int_equal(weir_io_write(io, file, buffer, BLOCK, 0, 0), WEIR_OK);
    reap(1, results);
    assert_int_equal(results[0], 0);
    int ring = find_ring();
    assert_true(ring >= 0);
    assert_true(syscall(SYS_io_uring_register, ring, IORING_REGISTER_PERSONALITY, NULL, 0) < 0);
    assert_int_equal(errno, EACCES);
    assert_true(syscall(SYS_io_uring_register, ring, IORING_REGISTER_EVENTFD_ASYNC, &event, 1) < 0);
    assert_int_equal(errno, EACCES);
    close(event);
    weir_io_close(io, file);
}

int
main(void)
{
    static enum weir_io_backend uring = WEIR_IO_URING, sync_ = WEIR_IO_SYNC;
    struct weir_io_options options = {.backend = WEIR_IO_URING};
    bool have_uring = weir_io_new(&options, &io) == WEIR_OK;
    if (have_uring)
        weir_io_free(io);
#define BOTH(f) \
    {#f "_sync", f, set_up, tear_down, &sync_}, {#f "_uring", f, set_up, tear_down, &uring}
    struct CMUnitTest tests[] = {
        BOTH(test_io_writes_and_syncs_what_is_read_back),
        BOTH(test_io_reports_a_failed_operation_as_completion),
        BOTH(test_io_fault_becomes_the_result_and_leaves_the_file),
        BOTH(test_io_allocate_says_full_for_want_of_space),
        BOTH(test_io_wait_fd_polls_readable_when_something_is_done),
        BOTH(test_io_made_in_one_thread_works_in_another),
        BOTH(test_io_writes_to_the_file_that_has_the_number_now),
        BOTH(test_io_takes_more_files_than_a_back_end_keeps),
        BOTH(test_io_replace_leaves_the_new_content_or_the_old),
        BOTH(test_io_lists_names_in_order),
        BOTH(test_io_direct_falls_back_where_the_file_system_refuses),
        {"test_ring_in_use_takes_no_other_registration",
            test_ring_in_use_takes_no_other_registration, set_up, tear_down, &uring},
    };
    if (!have_uring) /* the kernel forbids it: the other half of the tests is all there is */
        uring = WEIR_IO_SYNC;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
