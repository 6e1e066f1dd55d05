/* The manifest in memory and on disk: its order, its ledger, and what each fault leaves. */
#include "base/crc.h"
#include "storage/manifest/layout.h"
#include "tests/unit/faults/alloc.h"
#include "tests/unit/storage/temp_dir.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#define HOUR INT64_C(3600000)

static struct weir_manifest *manifest;
static struct weir_io *io;

static int
set_up(void **state)
{
    (void)state;
    temp_dir_make();
    const struct weir_io_options options = {.backend = WEIR_IO_SYNC};
    return weir_manifest_new(&manifest) == WEIR_OK && weir_io_new(&options, &io) == WEIR_OK ? 0
                                                                                            : -1;
}

static int
tear_down(void **state)
{
    (void)state;
    weir_manifest_free(manifest);
    weir_io_free(io);
    temp_dir_remove();
    return 0;
}

static struct weir_manifest_part
part_of(uint64_t id, int64_t time_ms, uint64_t log_from)
{
    struct weir_partition partition;
    const struct weir_partition *found = weir_manifest_partition_find(manifest, time_ms);
    if (found != NULL)
        partition = *found;
    else
        assert_int_equal(
            weir_manifest_partition_add(manifest, time_ms, 2 * HOUR, &partition), WEIR_OK);
    return (struct weir_manifest_part){.file_id = id,
        .partition_ms = partition.from_ms,
        .shard_last = 3,
        .level = 1,
        .log_from = log_from,
        .log_through = log_from + 4096,
        .time_min_ms = time_ms,
        .time_max_ms = time_ms,
        .samples = 10 + id,
        .bytes = 9000};
}

static void
add(uint64_t id, int64_t time_ms, uint64_t log_from)
{
    struct weir_manifest_part entry = part_of(id, time_ms, log_from);
    assert_int_equal(weir_manifest_part_add(manifest, &entry), WEIR_OK);
    manifest->ledger[0].merged += entry.samples;
    if (manifest->keeper_offset < entry.log_through)
        manifest->keeper_offset = entry.log_through;
}

static void
fill(void)
{
    add(7, 5 * HOUR, 4096);
    add(8, 5 * HOUR + 5, 0);
    add(9, -3 * HOUR, 8192);
    const struct weir_manifest_index index = {
        .file_id = 77, .generation = 1, .bytes = 5000, .shard = 2, .series = 100};
    assert_int_equal(weir_manifest_index_set(manifest, &index), WEIR_OK);
}

static void
test_parts_are_in_order_of_partition_and_log(void **state)
{
    (void)state;
    fill();
    assert_int_equal(weir_manifest_check(manifest), WEIR_OK);
    assert_int_equal(manifest->part_count, 3);
    assert_int_equal(manifest->parts[0].file_id, 9);
    assert_int_equal(manifest->parts[1].file_id, 8);
    assert_int_equal(manifest->parts[2].file_id, 7);
    assert_int_equal(manifest->partition_count, 2);
    assert_int_equal(manifest->partitions[0].from_ms, -4 * HOUR);
    assert_int_equal(manifest->ledger[0].live, 30 + 7 + 8 + 9);
    assert_ptr_equal(weir_manifest_part_find(manifest, 7), &manifest->parts[2]);
    assert_null(weir_manifest_part_find(manifest, 70));
}

static void
test_partition_goes_with_its_last_part(void **state)
{
    (void)state;
    fill();
    weir_manifest_part_remove(manifest, 0);
    manifest->ledger[0].expired += 19;
    assert_int_equal(manifest->partition_count, 1);
    weir_manifest_part_remove(manifest, 1);
    manifest->ledger[0].superseded += 17;
    assert_int_equal(manifest->partition_count, 1);
    assert_int_equal(weir_manifest_check(manifest), WEIR_OK);
    weir_manifest_part_remove(manifest, 0);
    manifest->ledger[0].deleted += 18;
    assert_int_equal(manifest->partition_count, 0);
    assert_int_equal(weir_manifest_check(manifest), WEIR_OK);
}

static void
test_partitions_never_overlap(void **state)
{
    (void)state;
    uint64_t random = 3;
    struct weir_partition made;
    for (unsigned i = 0; i < 3000; i++) {
        random = random * UINT64_C(6364136223846793005) + 1442695040888963407u;
        int64_t time_ms = (int64_t)(random >> 33) % (400 * HOUR) - 200 * HOUR;
        const struct weir_partition *found = weir_manifest_partition_find(manifest, time_ms);
        if (found != NULL) {
            assert_true(found->from_ms <= time_ms && time_ms < found->to_ms);
            continue;
        }
        int64_t length = random % 3 == 0 ? 24 * HOUR : 2 * HOUR;
        assert_int_equal(weir_manifest_partition_add(manifest, time_ms, length, &made), WEIR_OK);
        assert_true(made.from_ms <= time_ms && time_ms < made.to_ms);
        assert_true(made.to_ms - made.from_ms <= length);
        assert_int_equal(weir_manifest_check(manifest), WEIR_OK);
    }
    assert_true(manifest->partition_count > 20);
}

static void
test_partitions_at_the_ends_of_time(void **state)
{
    (void)state;
    static const int64_t times[] = {INT64_MIN, INT64_MAX - 1, 0, -1};
    for (size_t i = 0; i < 4; i++) {
        struct weir_partition made;
        assert_int_equal(weir_manifest_partition_add(manifest, times[i], 2 * HOUR, &made), WEIR_OK);
        assert_true(made.from_ms <= times[i] && times[i] < made.to_ms);
        assert_non_null(weir_manifest_partition_find(manifest, times[i]));
    }
    assert_int_equal(weir_manifest_check(manifest), WEIR_OK);
}

static void
test_tables_have_an_end(void **state)
{
    (void)state;
    struct weir_manifest_part entry = part_of(0, 0, 0);
    manifest->keeper_offset = 4096;
    entry.samples = 0;
    for (uint32_t i = 0; i < WEIR_MANIFEST_PARTS_MAX; i++) {
        entry.file_id = i;
        assert_int_equal(weir_manifest_part_add(manifest, &entry), WEIR_OK);
    }
    entry.file_id = UINT64_MAX;
    assert_int_equal(weir_manifest_part_add(manifest, &entry), WEIR_LIMIT);
    struct weir_manifest_index index = {.generation = 1, .series = 1};
    for (uint32_t i = 0; i < WEIR_MANIFEST_INDEXES_MAX; i++) {
        index.shard = WEIR_MANIFEST_INDEXES_MAX - i;
        assert_int_equal(weir_manifest_index_set(manifest, &index), WEIR_OK);
    }
    assert_int_equal(weir_manifest_index_set(manifest, &index), WEIR_OK);
    index.shard = 0;
    assert_int_equal(weir_manifest_index_set(manifest, &index), WEIR_LIMIT);
    struct weir_partition made;
    for (int64_t i = 1; i < WEIR_MANIFEST_PARTITIONS_MAX; i++)
        assert_int_equal(
            weir_manifest_partition_add(manifest, i * 2 * HOUR, 2 * HOUR, &made), WEIR_OK);
    assert_int_equal(weir_manifest_partition_add(manifest, -1, 2 * HOUR, &made), WEIR_LIMIT);
    assert_int_equal(weir_manifest_check(manifest), WEIR_OK);
    assert_int_equal(weir_manifest_save(manifest, io, temp_dir), WEIR_OK);
    assert_int_equal(weir_manifest_load(manifest, io, temp_dir), WEIR_OK);
    assert_int_equal(manifest->part_count, WEIR_MANIFEST_PARTS_MAX);
}

/* Each of these alone breaks one promise of manifest.h. */
static void
test_check_names_what_is_broken(void **state)
{
    (void)state;
    fill();
    struct weir_manifest *good;
    assert_int_equal(weir_manifest_new(&good), WEIR_OK);
    weir_manifest_copy(good, manifest);
#define BROKEN(change, text)                                                                       \
    do {                                                                                           \
        weir_manifest_copy(manifest, good);                                                        \
        change;                                                                                    \
        assert_int_equal(weir_manifest_check(manifest), WEIR_CORRUPT);                             \
        assert_non_null(strstr(weir_err_detail(), text));                                          \
    } while (0)
    BROKEN(manifest->partitions[0].to_ms = 5 * HOUR, "overlap");
    BROKEN(manifest->partitions[1].from_ms = manifest->partitions[1].to_ms, "without time");
    BROKEN(manifest->parts[0].partition_ms++, "in no partition");
    BROKEN(manifest->parts[0].time_max_ms = 0, "outside its partition");
    BROKEN(manifest->parts[0].shard_live = 4, "no shards");
    BROKEN(manifest->parts[0].level = 4, "unknown kind");
    BROKEN(manifest->parts[0].retention_class = 8, "unknown kind");
    BROKEN(manifest->parts[0].log_through = 1 << 20, "no place in the log");
    BROKEN(manifest->parts[2].log_from = 0, "out of order");
    BROKEN(manifest->parts[1].file_id = 9, "a file twice");
    BROKEN(manifest->parts[1].samples++, "live samples");
    BROKEN(manifest->ledger[3].merged++, "does not close");
    BROKEN(manifest->indexes[0].series = 0, "index segment");
#undef BROKEN
    weir_manifest_free(good);
}

static void
test_save_and_load_give_the_same(void **state)
{
    (void)state;
    assert_int_equal(weir_manifest_load(manifest, io, temp_dir), WEIR_NOT_FOUND);
    fill();
    assert_int_equal(weir_manifest_save(manifest, io, temp_dir), WEIR_OK);
    struct weir_manifest *read;
    assert_int_equal(weir_manifest_new(&read), WEIR_OK);
    assert_int_equal(weir_manifest_load(read, io, temp_dir), WEIR_OK);
    assert_int_equal(read->generation, 1);
    assert_int_equal(read->keeper_offset, manifest->keeper_offset);
    assert_memory_equal(read->ledger, manifest->ledger, sizeof read->ledger);
    assert_memory_equal(read->parts, manifest->parts, 3 * sizeof read->parts[0]);
    assert_memory_equal(read->partitions, manifest->partitions, 2 * sizeof read->partitions[0]);
    assert_memory_equal(read->indexes, manifest->indexes, sizeof read->indexes[0]);
    weir_manifest_free(read);
}

static void
change_byte(const char *name, long at)
{
    FILE *file = fopen(temp_path(name), "r+b");
    assert_non_null(file);
    fseek(file, at, SEEK_SET);
    int byte = fgetc(file);
    fseek(file, at, SEEK_SET);
    fputc(byte ^ 0x10, file);
    fclose(file);
}

static long
size_of(const char *name)
{
    struct stat status;
    assert_int_equal(stat(temp_path(name), &status), 0);
    return (long)status.st_size;
}

/* A change of any byte of one copy costs nothing; of both, everything is refused. */
static void
test_any_damaged_byte_is_noticed_and_the_other_copy_counts(void **state)
{
    (void)state;
    fill();
    assert_int_equal(weir_manifest_save(manifest, io, temp_dir), WEIR_OK);
    long size = size_of("manifest.0");
    for (long at = 0; at < size; at++) {
        const char *name = at % 2 == 0 ? "manifest.0" : "manifest.1";
        change_byte(name, at);
        assert_int_equal(weir_manifest_load(manifest, io, temp_dir), WEIR_OK);
        assert_int_equal(manifest->part_count, 3);
        change_byte(at % 2 == 0 ? "manifest.1" : "manifest.0", 20);
        assert_int_equal(weir_manifest_load(manifest, io, temp_dir), WEIR_CORRUPT);
        assert_int_equal(manifest->part_count, 0);
        change_byte(at % 2 == 0 ? "manifest.1" : "manifest.0", 20);
        change_byte(name, at);
    }
}

static void
test_newer_copy_counts(void **state)
{
    (void)state;
    for (unsigned turn = 0; turn < 2; turn++) {
        fill();
        assert_int_equal(weir_manifest_save(manifest, io, temp_dir), WEIR_OK);
        const char *old = turn == 0 ? "manifest.0" : "manifest.1";
        assert_int_equal(rename(temp_path(old), temp_path("kept")), 0);
        add(100, 7 * HOUR, 12288);
        assert_int_equal(weir_manifest_save(manifest, io, temp_dir), WEIR_OK);
        assert_int_equal(rename(temp_path("kept"), temp_path(old)), 0);
        assert_int_equal(weir_manifest_load(manifest, io, temp_dir), WEIR_OK);
        assert_int_equal(manifest->generation, 2);
        assert_int_equal(manifest->part_count, 4);
        assert_int_equal(remove(temp_path("manifest.0")), 0);
        assert_int_equal(remove(temp_path("manifest.1")), 0);
        assert_int_equal(weir_manifest_load(manifest, io, temp_dir), WEIR_NOT_FOUND);
    }
}

static void
rewrite_version(const char *name)
{
    struct weir_manifest_head head;
    FILE *file = fopen(temp_path(name), "r+b");
    assert_int_equal(fread(&head, sizeof head, 1, file), 1);
    head.version = 2;
    head.crc = weir_crc32c(0, &head, offsetof(struct weir_manifest_head, crc));
    rewind(file);
    assert_int_equal(fwrite(&head, sizeof head, 1, file), 1);
    fclose(file);
}

static void
test_manifest_of_a_later_version_is_refused(void **state)
{
    (void)state;
    fill();
    assert_int_equal(weir_manifest_save(manifest, io, temp_dir), WEIR_OK);
    rewrite_version("manifest.1");
    assert_int_equal(weir_manifest_load(manifest, io, temp_dir), WEIR_UNSUPPORTED);
    assert_non_null(strstr(weir_err_detail(), "version 2"));
}

struct one_fault {
    unsigned at;
    unsigned seen;
    int answer;
};

static int
fail_one(void *context, const char *operation, uint64_t offset, size_t size)
{
    (void)operation;
    (void)offset;
    (void)size;
    struct one_fault *fault = context;
    return fault->seen++ == fault->at ? fault->answer : 0;
}

/* Whichever operation of a save fails, what is loaded is the state before or after, whole. */
static void
test_every_failed_operation_of_a_save_leaves_one_state(void **state)
{
    (void)state;
    fill();
    assert_int_equal(weir_manifest_save(manifest, io, temp_dir), WEIR_OK);
    bool failed = true;
    for (unsigned at = 0; failed; at++) {
        static const int answers[] = {-EIO, -ENOSPC};
        struct one_fault fault = {.at = at, .answer = answers[at % 2]};
        uint64_t before = manifest->generation;
        uint64_t offset = manifest->keeper_offset;
        manifest->keeper_offset += 4096;
        weir_io_set_fault(io, fail_one, &fault);
        enum weir_err err = weir_manifest_save(manifest, io, temp_dir);
        weir_io_set_fault(io, NULL, NULL);
        failed = fault.seen > at;
        assert_int_equal(err == WEIR_OK, !failed);
        assert_int_equal(weir_manifest_load(manifest, io, temp_dir), WEIR_OK);
        assert_true(manifest->generation == before || manifest->generation == before + 1);
        assert_int_equal(
            manifest->keeper_offset, manifest->generation == before ? offset : offset + 4096);
        assert_int_equal(manifest->part_count, 3);
    }
}

static void
test_every_failed_operation_of_a_load_is_told_or_costs_nothing(void **state)
{
    (void)state;
    fill();
    assert_int_equal(weir_manifest_save(manifest, io, temp_dir), WEIR_OK);
    bool failed = true;
    unsigned refused = 0;
    for (unsigned at = 0; failed; at++) {
        struct one_fault fault = {.at = at, .answer = -EIO};
        weir_io_set_fault(io, fail_one, &fault);
        enum weir_err err = weir_manifest_load(manifest, io, temp_dir);
        weir_io_set_fault(io, NULL, NULL);
        failed = fault.seen > at;
        assert_true(err == WEIR_OK || (err == WEIR_IO && manifest->part_count == 0));
        assert_true(err != WEIR_OK || manifest->part_count == 3);
        refused += err != WEIR_OK;
    }
    assert_true(refused > 0);
}

static void
test_every_failed_allocation_is_told(void **state)
{
    (void)state;
    struct weir_manifest *made = NULL;
    long n = 1;
    for (;; n++) {
        alloc_faults_arm(n, alloc_faults_one);
        enum weir_err err = weir_manifest_new(&made);
        if (!alloc_faults_disarm())
            break;
        assert_int_equal(err, WEIR_NOMEM);
    }
    assert_true(n > 4);
    weir_manifest_free(made);
}

static void
test_bytes_are_those_of_version_one(void **state)
{
    (void)state;
    const char *golden = getenv("WEIR_GOLDEN_MANIFEST");
    if (golden == NULL)
        skip();
    fill();
    manifest->generation = 3;
    size_t size = weir_manifest_encode(manifest);
    static uint8_t bytes[4096];
    FILE *file = fopen(golden, "rb");
    assert_non_null(file);
    assert_int_equal(fread(bytes, 1, sizeof bytes, file), size);
    fclose(file);
    assert_memory_equal(bytes, manifest->encoded, size);
    assert_int_equal(weir_manifest_decode(manifest, bytes, size, "golden"), WEIR_OK);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_parts_are_in_order_of_partition_and_log),
        TEST(test_partition_goes_with_its_last_part),
        TEST(test_partitions_never_overlap),
        TEST(test_partitions_at_the_ends_of_time),
        TEST(test_tables_have_an_end),
        TEST(test_check_names_what_is_broken),
        TEST(test_save_and_load_give_the_same),
        TEST(test_any_damaged_byte_is_noticed_and_the_other_copy_counts),
        TEST(test_newer_copy_counts),
        TEST(test_manifest_of_a_later_version_is_refused),
        TEST(test_every_failed_operation_of_a_save_leaves_one_state),
        TEST(test_every_failed_operation_of_a_load_is_told_or_costs_nothing),
        TEST(test_every_failed_allocation_is_told),
        TEST(test_bytes_are_those_of_version_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
