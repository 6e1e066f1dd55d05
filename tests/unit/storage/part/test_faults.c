/* A part while its device and its allocations fail, one after the other. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "tests/unit/faults/alloc.h"
#include "tests/unit/storage/part/part_walk.h"

#include <errno.h>

#define SERIES 400
#define NEVER (-1)

static struct part_fixture fixture;

/* Which operation fails from now on, or only once, and how. */
static struct {
    long countdown; /* of operations; NEVER */
    bool lasting;
    int result;
    bool happened;
    char operation[16];
} plan;

static int
fail_planned(void *context, const char *operation, uint64_t offset, size_t size)
{
    (void)context;
    (void)offset;
    (void)size;
    if (plan.countdown == NEVER || plan.countdown-- > 0)
        return 0;
    plan.countdown = plan.lasting ? 0 : NEVER;
    if (!plan.happened)
        snprintf(plan.operation, sizeof plan.operation, "%s", operation);
    plan.happened = true;
    return plan.result;
}

static void
arm(long countdown, bool lasting, int result)
{
    plan.countdown = countdown;
    plan.lasting = lasting;
    plan.result = result;
    plan.happened = false;
    weir_io_set_fault(fixture.io, fail_planned, NULL);
}

static bool
disarm(void)
{
    weir_io_set_fault(fixture.io, NULL, NULL);
    return plan.happened;
}

static int
set_up(void **state)
{
    (void)state;
    part_fixture_make(&fixture);
    return 0;
}

static int
tear_down(void **state)
{
    (void)state;
    weir_io_set_fault(fixture.io, NULL, NULL);
    part_fixture_remove(&fixture);
    return 0;
}

static void
check_part(const char *path)
{
    struct weir_part *part;
    assert_int_equal(weir_part_open(fixture.io, path, &part), WEIR_OK);
    fixture.reader = weir_part_reader_init(fixture.reader_memory, fixture.io);
    assert_int_equal(part_walk(&fixture, part).samples, part_samples(&fixture, SERIES));
    weir_part_close(fixture.io, part);
}

static void
write_with_each_failure(int result, enum weir_err expected)
{
    const char *path = temp_path("one.part");
    for (long n = 0;; n++) {
        arm(n, false, result);
        enum weir_err err = part_write(&fixture, path, SERIES);
        if (!disarm())
            break;
        /* the writer begins by removing what is left of an earlier try: that may fail */
        if (err == WEIR_OK) {
            assert_string_equal(plan.operation, "unlink");
            check_part(path);
            assert_int_equal(unlink(path), 0);
            continue;
        }
        /* a sync that fails has lost what it was to keep, whatever its errno */
        bool synced = strcmp(plan.operation, "fdatasync") == 0;
        assert_int_equal(err, synced ? WEIR_IO : expected);
        assert_int_not_equal(access(path, F_OK), 0);
        assert_int_not_equal(access(temp_path("one.part.tmp"), F_OK), 0);
    }
    check_part(path);
    assert_int_equal(unlink(path), 0);
}

/* No part, and nothing left of it; the next try is whole. */
static void
test_each_failed_operation_of_the_writer(void **state)
{
    (void)state;
    write_with_each_failure(-EIO, WEIR_IO);
    write_with_each_failure(-ENOSPC, WEIR_FULL);
    write_with_each_failure(-ENOMEM, WEIR_NOMEM);
}

/* A device that fails for good: also removing fails, and the writer is still usable afterwards. */
static void
test_device_that_fails_for_good(void **state)
{
    (void)state;
    const char *path = temp_path("one.part");
    for (long n = 0;; n++) {
        arm(n, true, -EIO);
        enum weir_err err = part_write(&fixture, path, SERIES);
        if (!disarm())
            break;
        if (err != WEIR_OK)
            assert_int_equal(err, WEIR_IO);
        unlink(path);
        unlink(temp_path("one.part.tmp"));
    }
    check_part(path);
}

/* A failed add: what follows says the same, and finish does not make a part of it. */
static void
test_writer_stays_failed(void **state)
{
    (void)state;
    const char *path = temp_path("one.part");
    struct weir_part_writer_options options = part_options(path);
    struct weir_part_origin origin = {0, 1, {0, 0, 0, 0, 0}};
    assert_int_equal(weir_part_writer_open(fixture.writer, &options), WEIR_OK);
    arm(0, false, -EIO);
    enum weir_err err = WEIR_OK;
    for (uint32_t i = 0; i < PART_SERIES_MAX && err == WEIR_OK; i++)
        err = part_add(&fixture, i);
    assert_int_equal(err, WEIR_IO);
    assert_true(disarm());
    assert_int_equal(part_add(&fixture, 5), WEIR_IO);
    assert_int_equal(weir_part_writer_finish(fixture.writer, &origin, NULL), WEIR_IO);
    weir_part_writer_abort(fixture.writer);
    assert_int_not_equal(access(path, F_OK), 0);
    assert_int_equal(part_write(&fixture, path, SERIES), WEIR_OK);
    check_part(path);
}

/* Reads everything; the first error, if any. */
static enum weir_err
read_all(const char *path)
{
    struct weir_part *part;
    const struct weir_part_entry *entries;
    const int64_t *times_ms;
    double values[WEIR_CHUNK_SAMPLES_MAX];
    uint32_t count;
    unsigned ends;
    enum weir_err err = weir_part_open(fixture.io, path, &part);
    if (err != WEIR_OK)
        return err;
    fixture.reader = weir_part_reader_init(fixture.reader_memory, fixture.io);
    for (uint32_t n = 0; n < weir_part_directory_count(part) && err == WEIR_OK; n++) {
        err = weir_part_read_directory(fixture.reader, part, n, &entries, &count);
        for (uint32_t i = 0; i < count && err == WEIR_OK; i++) {
            err = weir_part_read_values(fixture.reader, part, &entries[i], values);
            if (err == WEIR_OK)
                err = weir_part_read_times(fixture.reader, part, &entries[i], &times_ms);
        }
    }
    if (err == WEIR_OK)
        err = weir_part_check(fixture.reader, part, &ends);
    /* an error of the device is no damage */
    assert_int_equal(weir_part_reader_damage(fixture.reader)->blocks, 0);
    weir_part_close(fixture.io, part);
    return err;
}

static void
test_each_failed_operation_of_the_reader(void **state)
{
    (void)state;
    const char *path = temp_path("one.part");
    assert_int_equal(part_write(&fixture, path, SERIES), WEIR_OK);
    for (long n = 0;; n++) {
        arm(n, false, -EIO);
        enum weir_err err = read_all(path);
        if (!disarm())
            break;
        assert_int_equal(err, WEIR_IO);
    }
    assert_int_equal(read_all(path), WEIR_OK);
}

static void
test_each_failed_allocation(void **state)
{
    (void)state;
    const char *path = temp_path("one.part");
    assert_int_equal(part_write(&fixture, path, SERIES), WEIR_OK);
    long n = 1;
    for (;; n++) {
        alloc_faults_arm(n, alloc_faults_one);
        enum weir_err err = read_all(path);
        if (!alloc_faults_disarm())
            break;
        assert_int_equal(err, WEIR_NOMEM);
    }
    assert_true(n > 4); /* the part, its footer, three indices */
    for (n = 1;; n++) {
        alloc_faults_arm(n, alloc_faults_one);
        enum weir_err err = part_write(&fixture, path, SERIES);
        if (!alloc_faults_disarm())
            break;
        assert_true(err == WEIR_NOMEM || err == WEIR_OK);
    }
    check_part(path);
}

int
main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_each_failed_operation_of_the_writer),
        TEST(test_device_that_fails_for_good),
        TEST(test_writer_stays_failed),
        TEST(test_each_failed_operation_of_the_reader),
        TEST(test_each_failed_allocation),
    };
    return cmocka_run_group_tests_name("storage-part_faults", tests, NULL, NULL);
}
