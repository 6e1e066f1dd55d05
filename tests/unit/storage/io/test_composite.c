/* Of which primitives a composite is made, in which order, and what an error of each leaves. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "storage/io/posix.h"
#include "tests/unit/storage/temp_dir.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define BLOCK WEIR_IO_ALIGN

static struct weir_io_table table;
static struct weir_io *io;

/* The primitives of one composite, and the one that fails. */
static struct {
    char steps[512];
    int count;
    int fails; /* this one, from 0; -1: none */
    int errnum;
    const char *failed; /* its name */
} watched;

static int
watch(void *context, const char *operation, uint64_t offset, size_t size)
{
    (void)context, (void)offset, (void)size;
    size_t used = strlen(watched.steps);
    snprintf(watched.steps + used, sizeof watched.steps - used, "%s%s", used == 0 ? "" : " ",
        operation);
    if (watched.count++ != watched.fails)
        return 0;
    watched.failed = operation;
    return -watched.errnum;
}

static void
watch_from_here(int fails, int errnum)
{
    memset(&watched, 0, sizeof watched);
    watched.fails = fails;
    watched.errnum = errnum;
    weir_io_set_fault(io, watch, NULL);
}

/* At most two bytes or blocks at a time. */
static int64_t
short_pread(struct weir_io *unused, weir_io_file file, void *data, size_t size, uint64_t offset)
{
    return weir_io_posix_pread(unused, file, data, size < 2 ? size : 2, offset);
}

static int64_t
short_pwrite(struct weir_io *unused, weir_io_file file, const void *data, size_t size,
    uint64_t offset)
{
    return weir_io_posix_pwrite(unused, file, data, size < 2 ? size : 2, offset);
}

static int
set_up(void **state)
{
    (void)state;
    temp_dir_make();
    table = weir_io_sync_table;
    struct weir_io_options options = {.backend = WEIR_IO_SYNC};
    return weir_io_new_with(&table, &options, &io) == WEIR_OK ? 0 : -1;
}

static int
tear_down(void **state)
{
    (void)state;
    weir_io_free(io);
    temp_dir_remove();
    return 0;
}

static void
expect_content(const char *name, const char *wanted)
{
    char text[64] = "";
    int fd = open(temp_path(name), O_RDONLY);
    assert_true(fd >= 0);
    ssize_t size = read(fd, text, sizeof text - 1);
    close(fd);
    assert_int_equal(size, strlen(wanted));
    assert_string_equal(text, wanted);
}

typedef enum weir_err replace_fn(struct weir_io *io, const char *path, const void *data,
    size_t size);

static enum weir_err
replace(replace_fn *call, const char *text)
{
    char path[1024];
    snprintf(path, sizeof path, "%s", temp_path("f"));
    return call(io, path, text, strlen(text));
}

/* Fails each primitive in turn: the content is the old or the new one, whole, and nothing half
 * made stays. forgiven: those whose failure is no error of the whole. */
static void
fail_each_step(replace_fn *call, const char *steps, const char *forgiven)
{
    int count = 1;
    for (const char *at = steps; (at = strchr(at, ' ')) != NULL; at++)
        count++;
    for (int i = 0; i <= count; i++) {
        assert_int_equal(replace(call, "the old content"), WEIR_OK);
        assert_int_equal(replace(call, "the old content"), WEIR_OK); /* the spare has it too */
        watch_from_here(i, EIO);
        enum weir_err err = replace(call, "new");
        weir_io_set_fault(io, NULL, NULL);
        assert_int_equal(watched.failed != NULL, i < count);
        bool is_forgiven = i == count || strstr(forgiven, watched.failed) != NULL;
        if (i == count)
            assert_string_equal(watched.steps, steps);
        assert_int_equal(err, is_forgiven ? WEIR_OK : WEIR_IO);
        if (!is_forgiven)
            assert_int_equal(weir_err_errno(), EIO);
        bool renamed = i == count || strcmp(watched.failed, "fsync_directory") == 0;
        expect_content("f", is_forgiven || renamed ? "new" : "the old content");
        assert_int_not_equal(access(temp_path("f.new"), F_OK), 0);
    }
}

static void
test_replace_leaves_old_or_new_content_at_an_error_of_any_primitive(void **state)
{
    (void)state;
    fail_each_step(weir_io_replace,
        "unlink open pwrite size fdatasync rename fsync_directory", "none");
}

/* Without the spare a replacement is made aside; an exchange that fails uses the spare up. */
static void
test_replace_by_the_spare_leaves_old_or_new_content_at_an_error_of_any_primitive(void **state)
{
    (void)state;
    assert_int_equal(replace(weir_io_replace_spare, "first"), WEIR_OK);
    fail_each_step(weir_io_replace_spare,
        "open pwrite size truncate fdatasync allocate exchange fsync_directory",
        "open allocate exchange");
}

static void
test_replace_makes_a_spare_of_its_own_blocks_before_the_directory_is_synced(void **state)
{
    (void)state;
    struct stat status;
    watch_from_here(-1, 0);
    assert_int_equal(replace(weir_io_replace_spare, "first"), WEIR_OK);
    assert_string_equal(watched.steps,
        "open unlink open pwrite size fdatasync rename unlink open allocate fsync "
        "fsync_directory");
    assert_int_equal(stat(temp_path("f.spare"), &status), 0);
    assert_true(status.st_blocks > 0);
    expect_content("f", "first");
}

static int
no_new_file(void *context, const char *operation, uint64_t offset, size_t size)
{
    (void)context, (void)offset, (void)size;
    return strcmp(operation, "unlink") == 0 ? -ENOSPC : 0; /* the first step of making one */
}

static void
test_replace_with_a_spare_needs_no_new_file(void **state)
{
    (void)state;
    struct stat status;
    assert_int_equal(replace(weir_io_replace_spare, "first"), WEIR_OK);
    weir_io_set_fault(io, no_new_file, NULL);
    for (int i = 0; i < 5; i++) {
        char text[16];
        snprintf(text, sizeof text, "number %d", i);
        assert_int_equal(replace(weir_io_replace_spare, text), WEIR_OK);
        expect_content("f", text);
        assert_int_equal(stat(temp_path("f.spare"), &status), 0);
        assert_true(status.st_blocks > 0);
    }
    assert_int_equal(replace(weir_io_replace, "x"), WEIR_FULL);
    expect_content("f", "number 4");
}

static void
test_replace_is_not_held_up_by_what_lies_in_the_way(void **state)
{
    (void)state;
    struct stat status;
    assert_int_equal(mkfifo(temp_path("f.new"), 0600), 0);
    assert_int_equal(mkfifo(temp_path("f.spare"), 0600), 0);
    mode_t before = umask(0777);
    assert_int_equal(replace(weir_io_replace_spare, "one"), WEIR_OK);
    umask(before);
    expect_content("f", "one");
    assert_int_equal(stat(temp_path("f"), &status), 0);
    assert_int_equal(status.st_mode & 0777, 0600);
    assert_int_equal(mkdir(temp_path("f.new"), 0700), 0);
    assert_int_equal(replace(weir_io_replace, "two"), WEIR_IO);
    expect_content("f", "one");
    assert_int_equal(rmdir(temp_path("f.new")), 0);
}

/* Each composite of a file with a given name, and its primitives. */
static enum weir_err
make_directories(void)
{
    return weir_io_mkdir(io, temp_path("d/e"));
}

static enum weir_err
allocate_file(void)
{
    weir_io_file file;
    enum weir_err err =
        weir_io_open(io, temp_path("a"), WEIR_IO_WRITE | WEIR_IO_CREATE, &file);
    if (err != WEIR_OK)
        return err;
    err = weir_io_allocate(io, temp_path("a"), file, BLOCK);
    weir_io_close(io, file);
    return err;
}

static enum weir_err
rename_file(void)
{
    char from[1024];
    snprintf(from, sizeof from, "%s", temp_path("a"));
    return weir_io_rename(io, from, temp_path("b"));
}

static enum weir_err
link_file(void)
{
    char from[1024];
    snprintf(from, sizeof from, "%s", temp_path("b"));
    return weir_io_link(io, from, temp_path("c"));
}

static enum weir_err
unlink_file(void)
{
    return weir_io_unlink(io, temp_path("c"));
}

static enum weir_err
read_file(void)
{
    uint8_t bytes[BLOCK];
    uint64_t size = 0;
    weir_io_file file;
    enum weir_err err = weir_io_open(io, temp_path("b"), WEIR_IO_READ, &file);
    if (err != WEIR_OK)
        return err;
    err = weir_io_size(io, file, &size);
    if (err == WEIR_OK)
        err = weir_io_read(io, file, bytes, BLOCK, 0);
    if (err == WEIR_OK)
        err = weir_io_flush(io, file);
    weir_io_close(io, file);
    assert_true(err != WEIR_OK || size == BLOCK);
    return err;
}

static enum weir_err
list_files(void)
{
    char **names;
    size_t count;
    enum weir_err err = weir_io_list(io, temp_path(""), &names, &count);
    weir_io_list_free(names, count);
    return err;
}

static enum weir_err
ask_for_space(void)
{
    struct weir_io_space space = {0, 0};
    enum weir_err err = weir_io_space(io, temp_path(""), &space);
    assert_true(err != WEIR_OK || (space.bytes != 0 && space.available <= space.bytes));
    return err;
}

static void
test_each_primitive_that_fails_is_the_error_of_its_composite(void **state)
{
    (void)state;
    static const struct {
        enum weir_err (*call)(void);
        const char *steps;
    } composites[] = {
        {allocate_file, "open allocate fsync fsync_directory"},
        {rename_file, "rename fsync_directory"},
        {link_file, "link fsync_directory"},
        {unlink_file, "unlink fsync_directory"},
        {read_file, "open size pread fdatasync"},
        {list_files, "list"},
        {ask_for_space, "statvfs"},
    };
    for (size_t i = 0; i < sizeof composites / sizeof composites[0]; i++) {
        int count;
        watch_from_here(0, EIO); /* nothing is done: the first primitive fails */
        assert_int_equal(composites[i].call(), WEIR_IO);
        watch_from_here(0, EMFILE);
        assert_int_equal(composites[i].call(), WEIR_NOMEM);
        watch_from_here(-1, 0);
        assert_int_equal(composites[i].call(), WEIR_OK);
        assert_string_equal(watched.steps, composites[i].steps);
        count = watched.count;
        if (composites[i].call != allocate_file && composites[i].call != read_file)
            continue; /* the others cannot be done a second time */
        for (int step = 0; step < count; step++) {
            watch_from_here(step, EIO);
            assert_int_equal(composites[i].call(), WEIR_IO);
        }
        assert_int_equal(watched.count, count);
    }
}

/* A directory's name is synced before one below it is made. */
static void
test_directories_are_made_one_by_one_each_name_durable(void **state)
{
    (void)state;
    watch_from_here(-1, 0);
    assert_int_equal(make_directories(), WEIR_OK);
    const char *made = strstr(watched.steps, "mkdir fsync_directory mkdir fsync_directory");
    assert_non_null(made); /* d, then e; those above were there */
    assert_int_equal(strlen(made), strlen("mkdir fsync_directory mkdir fsync_directory"));
    int there = watched.count;
    watch_from_here(-1, 0); /* who made the last two may have died before the sync */
    assert_int_equal(make_directories(), WEIR_OK);
    assert_non_null(strstr(watched.steps, "mkdir fsync_directory mkdir fsync_directory"));
    assert_int_equal(watched.count, there);
    watch_from_here(watched.count - 2, ENOSPC);
    assert_int_equal(make_directories(), WEIR_FULL);
    weir_io_set_fault(io, NULL, NULL);
    assert_int_equal(replace(weir_io_replace, "x"), WEIR_OK);
    assert_int_equal(weir_io_mkdir(io, temp_path("f")), WEIR_IO); /* a file has the name */
}

static int
no_fallocate(struct weir_io *unused, weir_io_file file, uint64_t size, bool keep_size)
{
    (void)unused, (void)file, (void)size, (void)keep_size;
    return -EOPNOTSUPP;
}

static void
test_file_system_that_cannot_reserve_gets_zeros(void **state)
{
    (void)state;
    static uint8_t bytes[BLOCK], zeros[BLOCK];
    table.allocate = no_fallocate;
    watch_from_here(-1, 0);
    assert_int_equal(allocate_file(), WEIR_OK);
    assert_string_equal(watched.steps, "open allocate pwrite fsync fsync_directory");
    weir_io_file file;
    uint64_t size;
    assert_int_equal(weir_io_open(io, temp_path("a"), WEIR_IO_READ, &file), WEIR_OK);
    assert_int_equal(weir_io_size(io, file, &size), WEIR_OK);
    assert_int_equal(size, BLOCK);
    assert_int_equal(weir_io_read(io, file, bytes, BLOCK, 0), WEIR_OK);
    assert_memory_equal(bytes, zeros, BLOCK);
    weir_io_close(io, file);
}

static void
test_short_reads_and_writes_are_gone_on_with(void **state)
{
    (void)state;
    char back[15];
    weir_io_file file;
    table.pread = short_pread;
    table.pwrite = short_pwrite;
    assert_int_equal(replace(weir_io_replace, "the new content"), WEIR_OK);
    expect_content("f", "the new content");
    assert_int_equal(weir_io_open(io, temp_path("f"), WEIR_IO_READ, &file), WEIR_OK);
    assert_int_equal(weir_io_read(io, file, back, sizeof back, 0), WEIR_OK);
    assert_memory_equal(back, "the new content", sizeof back);
    assert_int_equal(weir_io_read(io, file, back, sizeof back, 1), WEIR_END);
    weir_io_close(io, file);
}

static void
test_open_refuses_what_is_no_regular_file_and_does_not_wait(void **state)
{
    (void)state;
    weir_io_file file;
    assert_int_equal(mkfifo(temp_path("p"), 0600), 0);
    assert_int_equal(weir_io_open(io, temp_path("p"), WEIR_IO_READ, &file), WEIR_INVALID);
    assert_int_equal(weir_io_open(io, temp_path("p"), WEIR_IO_WRITE, &file), WEIR_INVALID);
    assert_int_equal(weir_io_open(io, temp_path(""), WEIR_IO_READ, &file), WEIR_INVALID);
    assert_int_equal(weir_io_open(io, temp_path(""), WEIR_IO_WRITE, &file), WEIR_INVALID);
    assert_int_equal(weir_io_open(io, "/dev/zero", WEIR_IO_READ, &file), WEIR_INVALID);
    assert_int_equal(symlink("loop", temp_path("loop")), 0);
    assert_int_equal(weir_io_open(io, temp_path("loop"), WEIR_IO_READ, &file), WEIR_INVALID);
    assert_int_equal(weir_io_open(io, temp_path("none"), WEIR_IO_READ, &file), WEIR_NOT_FOUND);
}

int
main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_replace_leaves_old_or_new_content_at_an_error_of_any_primitive),
        TEST(test_replace_by_the_spare_leaves_old_or_new_content_at_an_error_of_any_primitive),
        TEST(test_replace_makes_a_spare_of_its_own_blocks_before_the_directory_is_synced),
        TEST(test_replace_with_a_spare_needs_no_new_file),
        TEST(test_replace_is_not_held_up_by_what_lies_in_the_way),
        TEST(test_each_primitive_that_fails_is_the_error_of_its_composite),
        TEST(test_directories_are_made_one_by_one_each_name_durable),
        TEST(test_file_system_that_cannot_reserve_gets_zeros),
        TEST(test_short_reads_and_writes_are_gone_on_with),
        TEST(test_open_refuses_what_is_no_regular_file_and_does_not_wait),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
