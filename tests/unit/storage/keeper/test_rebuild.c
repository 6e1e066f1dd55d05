/* The manifest is lost, and made anew from the footers of parts. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "storage/keeper/rebuild.h"
#include "storage/part/footer.h"
#include "tests/unit/faults/alloc.h"
#include "tests/unit/storage/keeper/keeper_fixture.h"

static void
lose_manifest(void)
{
    /* in turn: both are gone, both are damaged, one is damaged and the other gone */
    static unsigned turn;
    turn++;
    for (unsigned copy = 0; copy < 2; copy++) {
        char name[40];
        snprintf(name, sizeof name, "store/manifest.%u", copy);
        if (turn % 3 == 0 || turn % 3 == copy + 1) {
            unlink(temp_path(name));
            continue;
        }
        int fd = open(temp_path(name), O_RDWR);
        if (fd < 0)
            continue; /* it was killed before the first one */
        assert_int_equal(pwrite(fd, "\xff\xff", 2, 100), 2);
        close(fd);
    }
}

static void
flip(const char *path, uint64_t at)
{
    uint8_t byte;
    int fd = open(path, O_RDWR);
    assert_true(fd >= 0);
    assert_int_equal(pread(fd, &byte, 1, (off_t)at), 1);
    byte ^= 16;
    assert_int_equal(pwrite(fd, &byte, 1, (off_t)at), 1);
    close(fd);
}

static const char *
path_of(const struct weir_manifest_part *entry)
{
    static char path[1024];
    assert_int_equal(
        weir_part_file_path(store, entry->partition_ms, entry->file_id, path, sizeof path),
        WEIR_OK);
    return path;
}

static bool
there(const char *path, const char *suffix)
{
    char name[1100];
    snprintf(name, sizeof name, "%s%s", path, suffix);
    return access(name, F_OK) == 0;
}

static void
test_keeper_killed_at_any_operation_and_without_its_manifest_loses_nothing(void **state)
{
    (void)state;
    batch_number = 0;
    unsigned kills = 0;
    append_batches(20);
    for (bool died = true; died; kills++) {
        death.left = kills;
        death.answer = -EIO;
        weir_io_set_fault(store_io, die_here, NULL);
        struct weir_keeper_options options = options_of(0);
        if (weir_keeper_open(&options, &keeper) == WEIR_OK) {
            for (unsigned i = 0; i < 4000 && death.left > 0 && weir_keeper_run_once(keeper); i++)
                continue;
            died = death.left == 0;
            close_keeper();
        }
        weir_io_set_fault(store_io, NULL, NULL);
        lose_manifest();
        /* every third start goes on with what a second loss leaves, so that files of several kills
         * come together */
        open_keeper(0);
        run_until_idle();
        check_all_is_in_parts();
        close_keeper();
        if (kills % 3 == 0)
            lose_manifest();
        append_batches(1 + kills % 20);
    }
    assert_true(kills > 40);
    open_keeper(0);
    run_until_idle();
    check_all_is_in_parts();
}

static void
keep_got(void *copy)
{
    memset(got, 0, sizeof got);
    const struct weir_manifest *manifest = weir_keeper_manifest(keeper);
    uint32_t count = manifest->part_count;
    struct weir_manifest_part *parts = malloc((count + 1) * sizeof *parts);
    memcpy(parts, manifest->parts, count * sizeof *parts);
    qsort(parts, count, sizeof *parts, by_log);
    for (uint32_t i = 0; i < count; i++)
        take_part(&parts[i]);
    free(parts);
    memcpy(copy, got, sizeof got);
}

static void
test_random_histories_survive_the_loss_of_the_manifest(void **state)
{
    (void)state;
    static uint8_t before[sizeof got], after[sizeof got];
    batch_number = 0;
    unsigned levels = 0;
    for (unsigned round = 0; round < 60; round++) {
        /* What has expired stays so: a unit that is merged again brings its samples back, which go
         * again by the same age. */
        bool expires = round >= 30;
        retention_ms = expires ? 101 * HOUR : 0;
        now_ms = BASE_MS + (expires || draw() % 2 == 0 ? 100 : 1) * HOUR;
        open_keeper(0);
        for (unsigned steps = (unsigned)(draw() % 6); steps > 0; steps--) {
            append_batches(1 + (uint32_t)(draw() % 30));
            now_ns += (int64_t)(draw() % 2) * WEIR_PLAN_L2_NS;
            run_until_idle();
        }
        run_until_idle();
        levels |= (parts_of_level(1) != 0) | (parts_of_level(2) != 0) << 1 |
            (parts_of_level(3) != 0) << 2;
        keep_got(before);
        close_keeper();
        lose_manifest();
        open_keeper(0);
        run_until_idle();
        keep_got(after);
        assert_memory_equal(before, after, sizeof before);
        close_keeper();
    }
    assert_int_equal(levels, 7);
}

static void
test_damaged_footers_cost_their_part_and_the_file_is_kept(void **state)
{
    (void)state;
    batch_number = 0;
    now_ms = BASE_MS; /* the older partition has ended, the younger one stays at level 1 */
    append_batches(40);
    open_keeper(0);
    run_until_idle();
    const struct weir_manifest *manifest = weir_keeper_manifest(keeper);
    struct weir_manifest_part part = manifest->parts[manifest->part_count - 2];
    uint64_t merged = manifest->ledger[0].merged;
    assert_int_equal(part.level, 1);
    char path[1024];
    snprintf(path, sizeof path, "%s", path_of(&part));
    close_keeper();
    struct weir_part *open;
    assert_int_equal(weir_part_open(store_io, path, &open), WEIR_OK);
    struct weir_part_ledger ledger = weir_part_footer(open)->ledger;
    uint64_t footer = weir_part_footer_bytes(weir_part_footer(open)->block_count);
    weir_part_close(store_io, open);

    flip(path, part.bytes - footer - 1); /* the first footer alone */
    lose_manifest();
    open_keeper(0);
    run_until_idle();
    check_all_is_in_parts();
    close_keeper();

    flip(path, part.bytes - 1);
    lose_manifest();
    open_keeper(0);
    run_until_idle();
    manifest = weir_keeper_manifest(keeper);
    assert_int_equal(manifest->ledger[0].merged, merged - ledger.live - ledger.superseded);
    assert_null(weir_manifest_part_find((struct weir_manifest *)(uintptr_t)manifest, part.file_id));
    assert_true(!there(path, "") && there(path, ".kept"));
    close_keeper();
    open_keeper(0);
    assert_true(there(path, ".kept"));
}

static void
copy_file(const char *from, const char *to)
{
    char command[2200];
    snprintf(command, sizeof command, "cp '%s' '%s'", from, to);
    assert_int_equal(system(command), 0);
}

static void
test_files_that_are_not_what_their_name_says_are_left_out_and_kept(void **state)
{
    (void)state;
    batch_number = 0;
    now_ms = BASE_MS;
    append_batches(20);
    open_keeper(0);
    run_until_idle();
    const struct weir_manifest *manifest = weir_keeper_manifest(keeper);
    char own[1024], other[1024], misplaced[1024], empty[1024], foreign[1024];
    snprintf(own, sizeof own, "%s", path_of(&manifest->parts[0]));
    struct weir_manifest_part entry = manifest->parts[0];
    entry.file_id = 0xabcdef;
    snprintf(other, sizeof other, "%s", path_of(&entry));
    entry.file_id = 0xff;
    snprintf(empty, sizeof empty, "%s", path_of(&entry));
    entry.file_id = manifest->parts[0].file_id;
    entry.partition_ms = BASE_MS;
    assert_true(manifest->parts[0].partition_ms != BASE_MS);
    snprintf(misplaced, sizeof misplaced, "%s", path_of(&entry));
    snprintf(foreign, sizeof foreign, "%s/parts/%lld/00ff.part", store, (long long)BASE_MS);
    close_keeper();
    copy_file(own, other);
    copy_file(own, misplaced);
    copy_file(own, foreign);
    copy_file("/dev/null", empty);
    lose_manifest();
    open_keeper(0);
    run_until_idle();
    check_all_is_in_parts();
    assert_true(there(own, "") && there(foreign, ""));
    assert_true(!there(other, "") && there(other, ".kept"));
    assert_true(!there(misplaced, "") && there(misplaced, ".kept"));
    assert_true(!there(empty, "") && there(empty, ".kept"));
}

/* Parts by themselves: what is named, and where the keeper begins. */
struct made {
    uint64_t id;
    uint8_t level;
    int64_t from_hour, to_hour; /* of the partition, from BASE_MS */
    uint64_t log_from, log_through;
    bool counts;
};

static void
make_part(const struct made *made)
{
    static const struct weir_part_writer_limits limits = {.blocks_max = 16, .columns_max = 16};
    const struct weir_manifest_part entry = {
        .file_id = made->id, .partition_ms = BASE_MS + made->from_hour * HOUR};
    const char *path = path_of(&entry);
    char folder[1024];
    snprintf(folder, sizeof folder, "%s/parts/%lld", store, (long long)entry.partition_ms);
    assert_int_equal(weir_io_mkdir(store_io, folder), WEIR_OK);
    void *memory = aligned_alloc(WEIR_IO_ALIGN, weir_part_writer_footprint(&limits));
    struct weir_part_writer *writer = weir_part_writer_init(memory, &limits, store_io);
    const struct weir_part_writer_options options = {.path = path,
        .key = {.partition_start_ms = entry.partition_ms,
            .partition_end_ms = BASE_MS + made->to_hour * HOUR,
            .level = made->level,
            .order = WEIR_PART_BY_NUMBER},
        .file_id = made->id,
        .effort = WEIR_EFFORT_FAST,
        .statistics = made->level > 1};
    assert_int_equal(weir_part_writer_open(writer, &options), WEIR_OK);
    const struct weir_part_samples samples = {.times_ms = (const int64_t[]){entry.partition_ms},
        .values = (const uint64_t[]){7},
        .exponents = (const int8_t[]){0},
        .kinds = (const uint8_t[]){0},
        .count = 1};
    assert_int_equal(weir_part_writer_add(writer, 0, 3, &samples), WEIR_OK);
    const struct weir_part_origin origin = {.log_from = made->log_from,
        .log_through = made->log_through,
        .ledger = {.superseded = 2, .damaged = 5}};
    assert_int_equal(weir_part_writer_finish(writer, &origin, NULL), WEIR_OK);
    free(memory);
}

static void
check_rebuilt(const struct made *parts, size_t count, const struct weir_rebuild_options *options,
    uint64_t offset)
{
    struct weir_manifest *manifest;
    uint32_t counted = 0;
    for (size_t i = 0; i < count; i++)
        make_part(&parts[i]);
    assert_int_equal(weir_manifest_new(&manifest), WEIR_OK);
    assert_int_equal(weir_manifest_rebuild(manifest, options), WEIR_OK);
    assert_int_equal(manifest->keeper_offset, offset);
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(weir_manifest_part_find(manifest, parts[i].id) != NULL, parts[i].counts);
        counted += parts[i].counts;
    }
    assert_int_equal(manifest->part_count, counted);
    assert_int_equal(manifest->ledger[0].merged, counted * 8);
    assert_int_equal(manifest->ledger[0].live, counted);
    assert_int_equal(manifest->generation, options->generation + (options->generation != 0) + 1);
    struct weir_manifest *saved;
    assert_int_equal(weir_manifest_new(&saved), WEIR_OK);
    assert_int_equal(weir_manifest_load(saved, store_io, store), WEIR_OK);
    assert_int_equal(saved->generation, manifest->generation);
    weir_manifest_free(saved);
    weir_manifest_free(manifest);
    char command[700];
    snprintf(command, sizeof command, "rm -rf '%s'", store);
    assert_int_equal(system(command), 0);
}

#define CHECK(parts, offset, ...)                                                                  \
    check_rebuilt(parts, sizeof parts / sizeof *parts,                                             \
        &(const struct weir_rebuild_options){.io = store_io, .store = store, __VA_ARGS__}, offset)

static void
test_newest_unit_counts_only_if_it_was_committed(void **state)
{
    (void)state;
    const struct made left_out[] = {{1, 1, 0, 2, 100, 200, true}, {2, 1, 2, 4, 100, 200, true},
        {3, 1, 0, 2, 200, 300, false}, {4, 1, 2, 4, 200, 300, false}};
    struct made whole[4];
    memcpy(whole, left_out, sizeof whole);
    whole[2].counts = whole[3].counts = true;
    CHECK(left_out, 200, .log_first = 0);
    CHECK(left_out, 200, .log_first = 200, .committed = 200, .generation = 9);
    CHECK(whole, 300, .log_first = 201);
    CHECK(whole, 400, .log_first = 400);
    CHECK(whole, 300, .log_first = 0, .committed = 300, .generation = 1);
    /* a part of level 2 reaches into it: it was committed */
    const struct made proven[] = {{1, 2, 0, 2, 100, 300, true}, {3, 1, 0, 2, 200, 300, false},
        {4, 1, 2, 4, 200, 300, true}};
    CHECK(proven, 300, .log_first = 0);
    /* and a part that reaches beyond that one is of no committed unit */
    const struct made beyond[] = {{1, 2, 0, 2, 100, 300, true}, {2, 1, 2, 4, 200, 300, true},
        {3, 1, 2, 4, 200, 400, false}};
    CHECK(beyond, 300, .log_first = 0);
    CHECK(beyond, 350, .log_first = 350);
    /* a unit that was cut smaller later has left a part */
    const struct made smaller[] = {{1, 1, 0, 2, 100, 200, false}, {2, 1, 0, 2, 100, 150, true},
        {3, 1, 0, 2, 150, 170, false}};
    CHECK(smaller, 150, .log_first = 0);
    const struct made joined[] = {{1, 3, 0, 2, 0, 100, true}};
    CHECK(joined, 100, .log_first = 50);
    CHECK(joined, 120, .log_first = 120);
}

static void
test_obsolete_parts_are_left_out(void **state)
{
    (void)state;
    const struct made parts[] = {
        {10, 2, 0, 2, 100, 400, true},  /* has them */
        {11, 1, 0, 2, 100, 200, false}, /* of it */
        {12, 1, 0, 2, 200, 300, false},
        {13, 1, 0, 2, 300, 400, false},
        {14, 3, 0, 2, 200, 300, true},  /* inside it, of a higher level */
        {15, 1, 2, 4, 200, 300, true},  /* another partition */
        {16, 1, 0, 2, 350, 450, true},  /* reaches beyond it */
        {17, 1, 0, 2, 450, 500, false}, /* made twice */
        {18, 1, 0, 2, 450, 500, true},
        {19, 2, 4, 6, 100, 200, false}, /* the same range, a lower level */
        {9, 3, 4, 6, 100, 200, true},
    };
    CHECK(parts, 500, .log_first = 451);
}

static void
test_part_whose_partition_overlaps_an_older_one_is_kept_aside(void **state)
{
    (void)state;
    const struct made parts[] = {{1, 1, 1, 3, 200, 300, false}, {2, 1, 0, 2, 100, 200, true},
        {3, 1, 2, 4, 200, 300, true}, {4, 1, 0, 4, 300, 400, false}, {5, 1, 3, 4, 400, 500, false}};
    CHECK(parts, 500, .log_first = 500);
}

static void
test_part_of_a_later_program_refuses_the_rebuild(void **state)
{
    (void)state;
    batch_number = 0;
    append_batches(5);
    open_keeper(0);
    run_until_idle();
    char path[1024];
    snprintf(path, sizeof path, "%s", path_of(&weir_keeper_manifest(keeper)->parts[0]));
    close_keeper();
    lose_manifest();
    struct weir_part *part;
    assert_int_equal(weir_part_open(store_io, path, &part), WEIR_OK);
    struct weir_part_footer footer = *weir_part_footer(part);
    struct weir_part_head head;
    footer.version = WEIR_PART_VERSION + 1;
    weir_part_head_encode(&footer, weir_part_bytes(part), &head);
    weir_part_close(store_io, part);
    int fd = open(path, O_WRONLY);
    assert_int_equal(pwrite(fd, &head, sizeof head, 0), sizeof head);
    close(fd);
    struct weir_keeper_options options = options_of(0);
    assert_int_equal(weir_keeper_open(&options, &keeper), WEIR_UNSUPPORTED);
    keeper = NULL;
    assert_true(there(path, ""));
}

static unsigned
count_parts(void)
{
    char command[700];
    unsigned count = 0;
    snprintf(command, sizeof command, "find '%s' -name '*.part' | wc -l", store);
    FILE *pipe = popen(command, "r");
    assert_int_equal(fscanf(pipe, "%u", &count), 1);
    pclose(pipe);
    return count;
}

/* One operation fails; the ones after it do not. */
static int
fail_one(void *context, const char *operation, uint64_t offset, size_t size)
{
    (void)context;
    (void)operation;
    (void)offset;
    (void)size;
    return death.left-- == 0 ? death.answer : 0;
}

static void
test_failed_operation_removes_nothing_and_the_next_try_is_whole(void **state)
{
    (void)state;
    batch_number = 0;
    now_ms = BASE_MS;
    append_batches(40);
    open_keeper(0);
    run_until_idle();
    close_keeper();
    unsigned parts = count_parts();
    unsigned n = 0, failures = 0;
    for (bool failed = true; failed; n++) {
        lose_manifest();
        death.left = n;
        death.answer = n % 2 == 0 ? -EIO : -ENOSPC;
        weir_io_set_fault(store_io, fail_one, NULL);
        struct weir_keeper_options options = options_of(0);
        bool opened = weir_keeper_open(&options, &keeper) == WEIR_OK;
        failed = death.left > n; /* it has passed 0 */
        failures += !opened;
        weir_io_set_fault(store_io, NULL, NULL);
        if (opened)
            close_keeper();
        keeper = NULL;
        assert_int_equal(count_parts(), parts);
    }
    assert_true(n > 3 * parts && failures > 3 * parts);
    open_keeper(0);
    run_until_idle();
    check_all_is_in_parts();
}

static void
test_failed_allocation_is_told_and_the_next_try_is_whole(void **state)
{
    (void)state;
    batch_number = 0;
    now_ms = BASE_MS;
    append_batches(40);
    open_keeper(0);
    run_until_idle();
    close_keeper();
    unsigned parts = count_parts();
    long n = 1;
    for (bool failed = true; failed; n++) {
        lose_manifest();
        struct weir_keeper_options options = options_of(0);
        alloc_faults_arm(n, alloc_faults_one);
        enum weir_err err = weir_keeper_open(&options, &keeper);
        failed = alloc_faults_disarm();
        if (err == WEIR_OK)
            close_keeper();
        keeper = NULL;
        assert_true(err == WEIR_OK || err == WEIR_NOMEM);
        assert_true(failed || err == WEIR_OK);
        assert_int_equal(count_parts(), parts);
    }
    assert_true(n > 3 * parts);
    open_keeper(0);
    run_until_idle();
    check_all_is_in_parts();
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_keeper_killed_at_any_operation_and_without_its_manifest_loses_nothing),
        TEST(test_random_histories_survive_the_loss_of_the_manifest),
        TEST(test_damaged_footers_cost_their_part_and_the_file_is_kept),
        TEST(test_files_that_are_not_what_their_name_says_are_left_out_and_kept),
        TEST(test_newest_unit_counts_only_if_it_was_committed),
        TEST(test_obsolete_parts_are_left_out),
        TEST(test_part_whose_partition_overlaps_an_older_one_is_kept_aside),
        TEST(test_part_of_a_later_program_refuses_the_rebuild),
        TEST(test_failed_operation_removes_nothing_and_the_next_try_is_whole),
        TEST(test_failed_allocation_is_told_and_the_next_try_is_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
