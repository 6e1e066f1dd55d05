/* The memory an instance may use: the tightest of machine, control groups and RLIMIT_AS. */
#include "app/supervisor/machine.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <cmocka.h>

static char root[64];

static int
make_root(void **state)
{
    (void)state;
    strcpy(root, "/tmp/weir-test-machine-XXXXXX");
    return mkdtemp(root) != NULL ? 0 : -1;
}

static int
remove_root(void **state)
{
    (void)state;
    char command[128];
    snprintf(command, sizeof command, "rm -rf '%s'", root);
    return system(command);
}

static void
write_file(const char *path, const char *text)
{
    char whole[256];
    snprintf(whole, sizeof whole, "%s%s", root, path);
    for (char *at = whole + strlen(root) + 1; (at = strchr(at, '/')) != NULL; at++) {
        *at = '\0';
        (void)mkdir(whole, 0700);
        *at = '/';
    }
    FILE *file = fopen(whole, "we");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

static void
test_without_control_groups_nothing_limits(void **state)
{
    (void)state;
    assert_int_equal(weir_machine_cgroup_bytes(root), UINT64_MAX);
    write_file("/proc/self/cgroup", "0::/a\n");
    assert_int_equal(weir_machine_cgroup_bytes(root), UINT64_MAX);
    write_file("/sys/fs/cgroup/a/memory.max", "max\n");
    assert_int_equal(weir_machine_cgroup_bytes(root), UINT64_MAX);
}

static void
test_a_group_above_limits_too(void **state)
{
    (void)state;
    write_file("/proc/self/cgroup", "0::/a/b.service\n");
    write_file("/sys/fs/cgroup/a/b.service/memory.max", "300000000\n");
    assert_int_equal(weir_machine_cgroup_bytes(root), 300000000);
    write_file("/sys/fs/cgroup/a/memory.max", "200000000\n");
    assert_int_equal(weir_machine_cgroup_bytes(root), 200000000);
    write_file("/sys/fs/cgroup/memory.max", "100000000\n"); /* a container's own root */
    assert_int_equal(weir_machine_cgroup_bytes(root), 100000000);
}

static void
test_the_first_version_of_control_groups_is_read_too(void **state)
{
    (void)state;
    write_file("/proc/self/cgroup", "8:pids:/x\n4:memory:/c\n1:cpu:/\n0::/\n");
    write_file("/sys/fs/cgroup/memory/c/memory.limit_in_bytes", "230686720\n");
    write_file("/sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n");
    assert_int_equal(weir_machine_cgroup_bytes(root), 230686720);
    struct weir_machine_memory memory = weir_machine_memory(root);
    assert_int_equal(memory.bytes, 230686720);
    assert_non_null(strstr(memory.whose, "control group"));
}

static void
test_the_limit_of_address_space_is_one(void **state)
{
    (void)state;
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    skip(); /* the sanitizer's shadow is larger than the limit */
#else
    struct rlimit before;
    assert_int_equal(getrlimit(RLIMIT_AS, &before), 0);
    struct rlimit limit = before;
    limit.rlim_cur = UINT64_C(1) << 28;
    assert_int_equal(setrlimit(RLIMIT_AS, &limit), 0);
    struct weir_machine_memory memory = weir_machine_memory(root);
    assert_int_equal(setrlimit(RLIMIT_AS, &before), 0);
    assert_int_equal(memory.bytes, UINT64_C(1) << 28);
    assert_non_null(strstr(memory.whose, "RLIMIT_AS"));
#endif
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_without_control_groups_nothing_limits, make_root,
            remove_root),
        cmocka_unit_test_setup_teardown(test_a_group_above_limits_too, make_root, remove_root),
        cmocka_unit_test_setup_teardown(test_the_first_version_of_control_groups_is_read_too,
            make_root, remove_root),
        cmocka_unit_test_setup_teardown(test_the_limit_of_address_space_is_one, make_root,
            remove_root),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
