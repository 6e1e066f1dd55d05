#include "base/folder.h"
#include "base/replace.h"

#include <errno.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static char root[] = "/tmp/weir-folder-XXXXXX";

static const char *
below(const char *name)
{
    static char path[PATH_MAX];
    snprintf(path, sizeof path, "%s/%s", root, name);
    return path;
}

static mode_t
mode_of(const char *path)
{
    struct stat status;
    assert_int_equal(stat(path, &status), 0);
    return status.st_mode & 07777;
}

static int
make_root(void **state)
{
    (void)state;
    umask(0);
    return mkdtemp(root) == NULL;
}

static int
remove_root(void **state)
{
    (void)state;
    char command[sizeof root + 16];
    snprintf(command, sizeof command, "rm -r %s", root);
    return system(command);
}

static void
test_folder_is_made_with_those_above_it(void **state)
{
    (void)state;
    assert_int_equal(weir_folder_make(below("a/b//c/"), false), WEIR_OK);
    assert_int_equal(mode_of(below("a")), 0750);
    assert_int_equal(mode_of(below("a/b/c")), 0750);
}

static void
test_folder_that_exists_stays_as_it_is(void **state)
{
    (void)state;
    assert_int_equal(mkdir(below("open"), 0777), 0);
    assert_int_equal(symlink("open", below("link")), 0);
    assert_int_equal(weir_folder_make(below("open"), true), WEIR_OK);
    assert_int_equal(mode_of(below("open")), 0777);
    assert_int_equal(weir_folder_make(below("link/inner"), true), WEIR_OK);
    assert_int_equal(mode_of(below("open/inner")), 0750);
}

static void
test_file_in_the_place_of_a_folder_is_named(void **state)
{
    (void)state;
    FILE *file = fopen(below("file"), "we");
    assert_non_null(file);
    fclose(file);
    assert_int_equal(weir_folder_make(below("file"), false), WEIR_IO);
    assert_int_equal(weir_err_errno(), ENOTDIR);
    assert_non_null(strstr(weir_err_detail(), "/file: "));
    assert_int_equal(weir_folder_make(below("file/in/it"), false), WEIR_IO);
    assert_int_equal(weir_err_errno(), ENOTDIR);
}

static void
test_path_that_is_too_long_is_refused(void **state)
{
    (void)state;
    char path[PATH_MAX + 2];
    memset(path, 'a', sizeof path - 1);
    path[sizeof path - 1] = '\0';
    assert_int_equal(weir_folder_make(path, false), WEIR_INVALID);
}

static unsigned syncs;

static int
count_syncs(void *context, const char *step)
{
    (void)context;
    syncs += strcmp(step, "folder") == 0;
    return syncs == 3 ? EIO : 0;
}

static void
test_durable_folder_syncs_each_name_that_was_made(void **state)
{
    (void)state;
    weir_replace_set_fault(count_syncs, NULL);
    assert_int_equal(weir_folder_make(below("u/v"), false), WEIR_OK);
    assert_int_equal(syncs, 0);
    assert_int_equal(weir_folder_make(below("u/v/w/x"), true), WEIR_OK);
    assert_int_equal(syncs, 2); /* the first two were there */
    assert_int_equal(weir_folder_make(below("u/y"), true), WEIR_IO);
    assert_int_equal(weir_err_errno(), EIO);
    weir_replace_set_fault(NULL, NULL);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_folder_is_made_with_those_above_it),
        cmocka_unit_test(test_folder_that_exists_stays_as_it_is),
        cmocka_unit_test(test_file_in_the_place_of_a_folder_is_named),
        cmocka_unit_test(test_path_that_is_too_long_is_refused),
        cmocka_unit_test(test_durable_folder_syncs_each_name_that_was_made),
    };
    return cmocka_run_group_tests(tests, make_root, remove_root);
}
