/* Damaged blocks that are kept aside: how many, for how long, and what happens where they cannot.
 */
#include "storage/keeper/salvage.h"
#include "tests/unit/faults/alloc.h"
#include "tests/unit/storage/temp_dir.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static struct weir_io *io;
static struct weir_salvage *salvage;
static uint8_t bytes[WEIR_SALVAGE_BLOCK_MAX + 10];

static int
set_up(void **state)
{
    (void)state;
    temp_dir_make();
    const struct weir_io_options options = {.backend = WEIR_IO_SYNC};
    assert_int_equal(weir_io_new(&options, &io), WEIR_OK);
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (uint8_t)(i * 7 + i / 251);
    return 0;
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
open_salvage(uint64_t bytes_max)
{
    assert_int_equal(weir_salvage_open(io, temp_path("aside"), bytes_max, &salvage), WEIR_OK);
}

static void
keep(uint64_t source, size_t size)
{
    const struct weir_salvage_block block = {
        .kind = WEIR_SALVAGE_LOG, .source = source, .place = 64};
    weir_salvage_keep(salvage, &block, bytes, size);
}

/* Size of the file of a number; -1: it is not there. */
static long
size_of(unsigned number, uint64_t source)
{
    char name[100];
    struct stat status;
    snprintf(
        name, sizeof name, "aside/%016x.log-%llu-64.block", number, (unsigned long long)source);
    if (stat(temp_path(name), &status) != 0)
        return -1;
    assert_int_equal(status.st_mode & 0777, 0600);
    return (long)status.st_size;
}

static void
test_block_is_kept_once_and_no_longer_than_it_may_be(void **state)
{
    (void)state;
    open_salvage(1 << 20);
    keep(100, 5000);
    keep(100, 5000);
    keep(200, sizeof bytes);
    assert_int_equal(size_of(1, 100), 5000);
    assert_int_equal(size_of(2, 100), -1);
    assert_int_equal(size_of(2, 200), WEIR_SALVAGE_BLOCK_MAX);
    weir_salvage_close(salvage);
    open_salvage(1 << 20);
    keep(200, 10); /* known from before */
    assert_int_equal(size_of(3, 200), -1);
    weir_salvage_close(salvage);
    weir_salvage_keep(NULL, &(struct weir_salvage_block){.source = 1}, bytes, 1);
}

static void
test_oldest_files_go_first_and_pages_count(void **state)
{
    (void)state;
    open_salvage(5 * 4096);
    for (unsigned i = 1; i <= 5; i++)
        keep(i, 1);
    assert_int_equal(size_of(1, 1), 1);
    keep(6, 4097);
    assert_int_equal(size_of(1, 1), -1);
    assert_int_equal(size_of(2, 2), -1);
    assert_int_equal(size_of(3, 3), 1);
    assert_int_equal(size_of(6, 6), 4097);
    weir_salvage_close(salvage);
    open_salvage(3 * 4096); /* the limit has become less */
    assert_int_equal(size_of(4, 4), -1);
    assert_int_equal(size_of(5, 5), 1);
    keep(7, 3 * 4096 + 1); /* larger than all there may be: it costs the others nothing */
    assert_int_equal(size_of(7, 7), -1);
    assert_int_equal(size_of(5, 5), 1);
    weir_salvage_close(salvage);
}

static void
test_other_files_stay_and_do_not_count(void **state)
{
    (void)state;
    static const char *const names[] = {"aside/notes", "aside/1.log-5-64.block",
        "aside/0000000000000001.log-05-64.block", "aside/0000000000000001.log-5-64.block.old",
        "aside/0000000000000002.part-0000000000000009-8.block.new"};
    assert_int_equal(mkdir(temp_path("aside"), 0700), 0);
    for (unsigned i = 0; i < 5; i++) {
        FILE *file = fopen(temp_path(names[i]), "w");
        assert_non_null(file);
        fwrite(bytes, 1, 9000, file);
        fclose(file);
    }
    open_salvage(4096);
    keep(1, 10);
    keep(2, 10);
    for (unsigned i = 0; i < 4; i++)
        assert_int_equal(access(temp_path(names[i]), F_OK), 0);
    assert_int_not_equal(access(temp_path(names[4]), F_OK), 0); /* a write that was killed */
    assert_int_equal(size_of(1, 1), -1);
    assert_int_equal(size_of(2, 2), 10);
    weir_salvage_close(salvage);
}

static uint64_t left;

static int
fail_one(void *context, const char *operation, uint64_t offset, size_t size)
{
    (void)context;
    (void)operation;
    (void)offset;
    (void)size;
    return left-- == 0 ? -EIO : 0;
}

static void
test_failures_cost_the_block_alone(void **state)
{
    (void)state;
    unsigned kept = 0, n = 0;
    for (bool failed = true; failed; n++) {
        left = n;
        weir_io_set_fault(io, fail_one, NULL);
        open_salvage(2 * 4096);
        keep(1000 + n, 10);
        failed = left > n; /* it has passed 0 */
        weir_io_set_fault(io, NULL, NULL);
        weir_salvage_close(salvage);
        unsigned there = 0;
        for (unsigned number = 1; number < 200; number++)
            there += size_of(number, 1000 + n) == 10;
        kept += there;
        assert_true(there <= 1 && (failed || there == 1));
    }
    assert_true(n > 8 && kept > 0);
    open_salvage(2 * 4096);
    for (unsigned i = 0; i < 4; i++)
        keep(i, 10);
    weir_salvage_close(salvage);
    alloc_faults_arm(1, alloc_faults_one);
    assert_int_equal(weir_salvage_open(io, temp_path("aside"), 4096, &salvage), WEIR_NOMEM);
    assert_true(alloc_faults_disarm());
    alloc_faults_arm(2, alloc_faults_one);
    assert_int_equal(weir_salvage_open(io, temp_path("aside"), 4096, &salvage), WEIR_NOMEM);
    assert_true(alloc_faults_disarm());
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_block_is_kept_once_and_no_longer_than_it_may_be),
        TEST(test_oldest_files_go_first_and_pages_count),
        TEST(test_other_files_stay_and_do_not_count),
        TEST(test_failures_cost_the_block_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
