#include "base/replace.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static char folder[64];
static char path[80];
static char aside[96];

static int
setup(void **state)
{
    (void)state;
    strcpy(folder, "/tmp/weir-test-replace-XXXXXX");
    if (mkdtemp(folder) == NULL)
        return -1;
    snprintf(path, sizeof path, "%s/file", folder);
    snprintf(aside, sizeof aside, "%s.new", path);
    return 0;
}

static int
teardown(void **state)
{
    (void)state;
    weir_replace_set_fault(NULL, NULL);
    unlink(path);
    unlink(aside);
    rmdir(aside);
    return rmdir(folder);
}

static void
expect_content(const char *of, const char *wanted)
{
    char text[64] = "";
    int fd = open(of, O_RDONLY);
    assert_true(fd >= 0);
    ssize_t size = read(fd, text, sizeof text - 1);
    close(fd);
    assert_int_equal(size, strlen(wanted));
    assert_string_equal(text, wanted);
}

static enum weir_err
replace(const char *text, unsigned flags)
{
    return weir_replace(path, text, strlen(text), 0640, flags);
}

/* Fails the step that comes when `left` others have passed. */
struct plan {
    int left;
    int errnum;
    char failed[16];
};

static int
fail_step(void *context, const char *step)
{
    struct plan *plan = context;
    if (plan->left-- != 0)
        return 0;
    snprintf(plan->failed, sizeof plan->failed, "%s", step);
    return plan->errnum;
}

/* Fails each step in turn: the content is the old or the new one, whole, and nothing else stays. */
static void
fail_every_step(unsigned flags, const char *const *steps, size_t count)
{
    for (size_t i = 0; i <= count; i++) {
        struct plan plan = {.left = (int)i, .errnum = EIO};
        assert_int_equal(replace("old", flags), WEIR_OK);
        weir_replace_set_fault(fail_step, &plan);
        enum weir_err err = replace("the new content", flags);
        weir_replace_set_fault(NULL, NULL);
        if (i == count) {
            assert_int_equal(err, WEIR_OK);
            expect_content(path, "the new content");
        } else {
            assert_int_equal(err, WEIR_IO);
            assert_int_equal(weir_err_errno(), EIO);
            assert_string_equal(plan.failed, steps[i]);
            expect_content(path, strcmp(steps[i], "folder") == 0 ? "the new content" : "old");
        }
        assert_int_not_equal(access(aside, F_OK), 0);
    }
}

static void
test_replace_leaves_old_or_new_content_whole_at_an_error_of_any_step(void **state)
{
    (void)state;
    const char *const steps[] = {"open", "write", "sync", "rename", "folder"};
    fail_every_step(0, steps, 5);
}

static void
test_replace_without_a_sync_leaves_folder_and_file_unsynced(void **state)
{
    (void)state;
    const char *const steps[] = {"open", "write", "rename"};
    fail_every_step(WEIR_REPLACE_UNSYNCED, steps, 3);
}

static void
test_replace_sets_the_mode_whatever_the_umask(void **state)
{
    (void)state;
    struct stat status;
    mode_t before = umask(0);
    assert_int_equal(weir_replace(path, "x", 1, 0600, 0), WEIR_OK);
    umask(0777);
    assert_int_equal(weir_replace(path, "y", 1, 0640, 0), WEIR_OK);
    umask(before);
    assert_int_equal(stat(path, &status), 0);
    assert_int_equal(status.st_mode & 0777, 0640);
}

static void
test_replace_is_not_held_up_by_what_lies_in_the_way(void **state)
{
    (void)state;
    assert_int_equal(mkfifo(aside, 0600), 0);
    assert_int_equal(replace("one", 0), WEIR_OK);
    expect_content(path, "one");
    assert_int_equal(mkdir(aside, 0700), 0);
    assert_int_equal(replace("two", 0), WEIR_IO);
    expect_content(path, "one");
    assert_int_equal(weir_replace("/nowhere/at/all", "x", 1, 0600, 0), WEIR_NOT_FOUND);
}

static void
test_open_refuses_what_is_no_regular_file_and_does_not_wait(void **state)
{
    (void)state;
    int fd = -1;
    assert_int_equal(weir_open_regular(path, O_RDONLY, 0, &fd), WEIR_NOT_FOUND);
    assert_int_equal(mkfifo(path, 0600), 0);
    assert_int_equal(weir_open_regular(path, O_RDONLY, 0, &fd), WEIR_INVALID);
    assert_int_equal(weir_open_regular(path, O_WRONLY, 0, &fd), WEIR_INVALID);
    assert_int_equal(weir_open_regular(folder, O_RDONLY, 0, &fd), WEIR_INVALID);
    assert_int_equal(weir_open_regular("/dev/zero", O_RDONLY, 0, &fd), WEIR_INVALID);
    assert_int_equal(symlink(path, aside), 0);
    assert_int_equal(weir_open_regular(aside, O_RDONLY, 0, &fd), WEIR_INVALID);
    unlink(aside);
    assert_int_equal(symlink(aside, aside), 0);
    assert_int_equal(weir_open_regular(aside, O_RDONLY, 0, &fd), WEIR_INVALID);
    unlink(aside);
    unlink(path);
    assert_int_equal(replace("x", 0), WEIR_OK);
    assert_int_equal(symlink(path, aside), 0);
    assert_int_equal(weir_open_regular(aside, O_RDONLY, 0, &fd), WEIR_OK);
    close(fd);
}

static void
test_opened_file_waits_for_its_device_as_any_other(void **state)
{
    (void)state;
    int fd = -1;
    assert_int_equal(weir_open_regular(path, O_RDWR | O_CREAT, 0600, &fd), WEIR_OK);
    assert_int_equal(fcntl(fd, F_GETFL) & (O_NONBLOCK | O_ACCMODE), O_RDWR);
    assert_int_equal(fcntl(fd, F_GETFD), FD_CLOEXEC);
    close(fd);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_replace_leaves_old_or_new_content_whole_at_an_error_of_any_step),
        TEST(test_replace_without_a_sync_leaves_folder_and_file_unsynced),
        TEST(test_replace_sets_the_mode_whatever_the_umask),
        TEST(test_replace_is_not_held_up_by_what_lies_in_the_way),
        TEST(test_open_refuses_what_is_no_regular_file_and_does_not_wait),
        TEST(test_opened_file_waits_for_its_device_as_any_other),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
