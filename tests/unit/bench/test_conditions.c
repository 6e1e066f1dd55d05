/* What a benchmark says of the machine it ran on. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "bench/conditions.h"

#include <string.h>
#include <unistd.h>

static void
test_file_systems_have_their_names(void **state)
{
    (void)state;
    char number[24];
    assert_string_equal(weir_bench_file_system(0xef53, number), "ext4");
    assert_string_equal(weir_bench_file_system(0x58465342, number), "xfs");
    assert_string_equal(weir_bench_file_system(0x9123683e, number), "btrfs");
    assert_string_equal(weir_bench_file_system(0x1234, number), "0x1234");
}

static void
test_a_report_names_machine_paths_and_memory(void **state)
{
    (void)state;
    static struct weir_shared shared;
    strcpy(shared.simd, "portable");
    strcpy(shared.io_backend, "sync");
    json_t *report = json_object();
    weir_bench_conditions_add(&shared, getpid(), "/proc", report);
    assert_true(json_integer_value(json_object_get(report, "cpus")) > 0);
    assert_string_equal(json_string_value(json_object_get(report, "simd")), "portable");
    assert_string_equal(json_string_value(json_object_get(report, "io")), "sync");
    /* procfs is none that data would lie on */
    assert_string_equal(json_string_value(json_object_get(report, "file_system_type")), "0x9fa0");
    assert_true(
        json_integer_value(json_object_get(report, "dataplane_resident_bytes")) > 100000);
    json_decref(report);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_file_systems_have_their_names),
        cmocka_unit_test(test_a_report_names_machine_paths_and_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
