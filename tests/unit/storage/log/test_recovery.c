#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/crc.h"
#include "storage/log/epoch.h"
#include "tests/unit/storage/log/log_fixture.h"

#include <malloc.h>
#include <sys/stat.h>

#define SEGMENTS_MAX 8
#define FRAMES_MAX 64

/* The files of a log as a crash would leave them. */
static struct {
    uint8_t segments[SEGMENTS_MAX][SEGMENT];
    size_t count;
    struct weir_epoch epoch;
    /* where its frames are, seals included */
    struct weir_frame_header headers[FRAMES_MAX];
    size_t frames;
} image, pristine;

static void
read_file(const char *path, void *data, size_t size)
{
    int fd = open(path, O_RDONLY);
    assert_true(fd >= 0);
    assert_int_equal(read(fd, data, size), size);
    close(fd);
}

static void
write_file(const char *path, const void *data, size_t size)
{
    int fd = open(path, O_WRONLY | O_CREAT, 0600); /* O_TRUNC makes ext4 write it out at once */
    assert_true(fd >= 0);
    assert_int_equal(pwrite(fd, data, size, 0), (ssize_t)size);
    assert_int_equal(ftruncate(fd, (off_t)size), 0);
    close(fd);
}

static const char *
epoch_path(void)
{
    static char path[1024];
    snprintf(path, sizeof path, "%s/epoch", fixture.directory);
    return path;
}

static uint8_t *
image_at(uint64_t offset)
{
    return image.segments[offset / SEGMENT] + offset % SEGMENT;
}

static void
read_image(void)
{
    memset(&image, 0, sizeof image);
    struct stat status;
    while (stat(segment_path(image.count), &status) == 0) {
        read_file(segment_path(image.count), image.segments[image.count], SEGMENT);
        image.count++;
    }
    read_file(epoch_path(), &image.epoch, sizeof image.epoch);
    uint64_t offset = 0;
    while (offset < weir_log_end(fixture.log)) {
        struct weir_frame_header *header = &image.headers[image.frames++];
        memcpy(header, image_at(offset), sizeof *header);
        assert_int_equal(weir_frame_check_header(header, 0, offset), WEIR_OK);
        offset += header->bytes;
    }
    pristine = image;
}

/* Puts the image in place of the log's files. */
static void
put_image(void)
{
    struct stat status;
    for (uint64_t i = 0; i < SEGMENTS_MAX; i++) {
        if (i < image.count)
            write_file(segment_path(i), image.segments[i], SEGMENT);
        else if (stat(segment_path(i), &status) == 0)
            unlink(segment_path(i));
    }
    write_file(epoch_path(), &image.epoch, sizeof image.epoch);
}

/* A log of several segments and frame sizes; its files as if killed now, without a close. */
static void
make_log(uint64_t batches)
{
    struct weir_log_done done[WEIR_LOG_INFLIGHT_MAX];
    assert_int_equal(fixture_open(), WEIR_OK);
    uint64_t defined = 0;
    for (uint64_t n = 1; n <= batches; n++) {
        fill_batch(n, n % 3 == 0 ? 2500 : 5, defined, n % 2 == 0 ? 7 : 0);
        if (n == 1)
            fill_batch(n, 5, 0, 2500);
        defined += batch.definition_count;
        append();
        if (n % 4 == 0)
            make_durable();
        else
            poll_once(done, 1);
    }
    make_durable();
    read_image();
    fixture_close();
}

static int
set_up(void **state)
{
    (void)state;
    struct weir_io_table table = quick_table();
    fixture_make(&table);
    return 0;
}

static int
tear_down(void **state)
{
    (void)state;
    fixture_remove();
    return 0;
}

/* What recovery may say of an image whose frames from `broken` on do not count. */
static void
check_ends_before(size_t broken)
{
    uint64_t frames = 0, definitions = 0, end = 0;
    for (size_t i = 0; i < broken; i++) {
        frames += image.headers[i].type == WEIR_FRAME_SAMPLES;
        definitions += image.headers[i].definition_count;
        end += image.headers[i].bytes;
    }
    assert_int_equal(fixture.recovery.end_offset, end);
    assert_int_equal(fixture.recovery.frames, frames);
    assert_int_equal(fixture.recovery.frames_corrupt, 0);
    assert_int_equal(fixture.recovery.definitions, definitions);
    assert_int_equal(fixture.defined, definitions);
    assert_int_equal(fixture.lost, 0);
    assert_false(fixture.out_of_order);
}

/* Highest watermark that headers other than `without` tell. */
static uint64_t
watermark(size_t without)
{
    uint64_t highest = 0;
    for (size_t i = 0; i < image.frames; i++)
        if (i != without && image.headers[i].durable_watermark > highest)
            highest = image.headers[i].durable_watermark;
    return highest;
}

/* Bytes of segments that recovery writes, and those of them that a sync covers. */
static struct {
    uint64_t written, synced;
} persisted;

static int
watch_writes(void *context, const char *operation, uint64_t offset, size_t size)
{
    (void)context, (void)offset;
    if (strcmp(operation, "pwrite") == 0 && size >= PAGE) /* the epoch file is smaller */
        persisted.written += size;
    if (strcmp(operation, "fdatasync") == 0)
        persisted.synced = persisted.written;
    return 0;
}

/* A sync that failed may have left them in the kernel's cache alone: simulator, seed 238. */
static void
test_recovery_writes_what_nothing_proves_durable_again_before_it_syncs_it(void **state)
{
    (void)state;
    make_log(20);
    put_image();
    const struct weir_frame_header *last = &image.headers[image.frames - 1];
    uint64_t unproven = last->offset + last->bytes - watermark(image.frames);
    assert_true(unproven != 0);
    memset(&persisted, 0, sizeof persisted);
    weir_io_set_fault(fixture.io, watch_writes, NULL);
    assert_int_equal(fixture_open(), WEIR_OK);
    weir_io_set_fault(fixture.io, NULL, NULL);
    check_ends_before(image.frames);
    assert_int_equal(persisted.written, unproven);
    assert_int_equal(persisted.synced, unproven);
}

static void
test_recovery_finds_all_of_a_log_that_was_killed(void **state)
{
    (void)state;
    make_log(20);
    assert_true(image.count >= 3);
    put_image();
    assert_int_equal(fixture_open(), WEIR_OK);
    check_ends_before(image.frames);
    assert_int_equal(fixture.recovery.bytes_torn, 0);
    assert_int_equal(fixture.recovery.dataplane_epoch, 2);
    assert_int_equal(fixture.recovery.time_max_ms, 20);
}

static void
test_recovery_ends_at_a_tail_torn_at_any_page(void **state)
{
    (void)state;
    make_log(20);
    uint64_t end = image.headers[image.frames - 1].offset + image.headers[image.frames - 1].bytes;
    for (uint64_t cut = 0; cut <= end; cut += PAGE) {
        image = pristine;
        for (uint64_t at = cut; at < image.count * SEGMENT; at += PAGE)
            memset(image_at(at), 0, PAGE);
        size_t whole = 0;
        while (whole < image.frames) {
            const struct weir_frame_header *header = &image.headers[whole];
            uint64_t needed = header->type == WEIR_FRAME_SEAL ? PAGE : header->bytes;
            if (header->offset + needed > cut)
                break;
            whole++;
        }
        /* frames that a later header names durable cannot be torn by a crash */
        uint64_t named = 0;
        for (size_t i = 0; i < image.frames && image.headers[i].offset < cut; i++)
            if (image.headers[i].durable_watermark > named)
                named = image.headers[i].durable_watermark;
        while (whole < image.frames && image.headers[whole].offset < named)
            whole++;
        put_image();
        assert_int_equal(fixture_open(), WEIR_OK);
        check_ends_before(whole);
        /* the log goes on from there, and holds after one more crash */
        uint64_t frames = fixture.recovery.frames;
        fill_batch(99, 5, fixture.defined, 0);
        append();
        make_durable();
        fixture_close();
        assert_int_equal(fixture_open(), WEIR_OK);
        assert_int_equal(fixture.recovery.frames, frames + 1);
        assert_int_equal(fixture.recovery.time_max_ms, 99);
        assert_int_equal(fixture.recovery.frames_corrupt, 0);
        fixture_close();
    }
}

static void
test_recovery_contains_a_flipped_bit_in_any_header_byte(void **state)
{
    (void)state;
    make_log(12);
    for (size_t broken = 0; broken < image.frames; broken++) {
        const struct weir_frame_header *header = &pristine.headers[broken];
        for (size_t byte = 0; byte < sizeof *header; byte++) {
            image = pristine;
            image_at(header->offset)[byte] ^= (uint8_t)(1 << byte % 8);
            put_image();
            assert_int_equal(fixture_open(), WEIR_OK);
            if (header->offset >= watermark(broken)) {
                check_ends_before(broken);
                assert_true(fixture.recovery.bytes_torn > 0);
            } else {
                assert_int_equal(fixture.recovery.frames_corrupt, 1);
                uint64_t frames = 0;
                for (size_t i = 0; i < image.frames; i++)
                    frames += i != broken && image.headers[i].type == WEIR_FRAME_SAMPLES;
                assert_int_equal(fixture.recovery.frames, frames);
                assert_int_equal(fixture.lost, header->definition_count);
                assert_int_equal(fixture.defined,
                    image.headers[image.frames - 1].definitions_through);
                assert_false(fixture.out_of_order);
            }
            fixture_close();
        }
    }
}

static void
test_recovery_checks_bodies_above_the_watermark_only(void **state)
{
    (void)state;
    make_log(14);
    uint64_t named = watermark(SIZE_MAX);
    size_t torn = 0;
    for (size_t broken = 0; broken < image.frames; broken++) {
        const struct weir_frame_header *header = &pristine.headers[broken];
        if (header->type != WEIR_FRAME_SAMPLES)
            continue;
        const struct weir_frame_block *block = (const struct weir_frame_block *)(
            image_at(header->offset) + sizeof *header);
        uint32_t at = block->at;
        image = pristine;
        image_at(header->offset)[at + 9] ^= 0x10;
        put_image();
        assert_int_equal(fixture_open(), WEIR_OK);
        check_ends_before(header->offset < named ? image.frames : broken);
        torn += header->offset >= named;
        fixture_close();
    }
    assert_true(torn >= 1);
}

static void
test_recovery_names_what_a_damaged_definition_list_lost(void **state)
{
    (void)state;
    make_log(12);
    for (size_t i = 0; image.headers[i].offset < watermark(SIZE_MAX); i++) {
        if (image.headers[i].definition_count == 0)
            continue;
        image = pristine;
        image_at(image.headers[i].offset)[sizeof image.headers[i] +
            image.headers[i].block_count * sizeof(struct weir_frame_block) + 5] ^= 1;
        put_image();
        assert_int_equal(fixture_open(), WEIR_OK);
        assert_int_equal(fixture.lost, image.headers[i].definition_count);
        assert_int_equal(fixture.counts.counter[WEIR_COUNTER_definitions_lost], fixture.lost);
        assert_int_equal(fixture.defined, image.headers[image.frames - 1].definitions_through);
        assert_false(fixture.out_of_order);
        fixture_close();
    }
}

static void
test_recovery_after_a_close_takes_a_damaged_last_frame_for_corruption(void **state)
{
    (void)state;
    make_log(8); /* closed in good order: the epoch file on disk tells the end */
    const struct weir_frame_header *last = &image.headers[image.frames - 1];
    image_at(last->offset)[100] ^= 1;
    write_file(segment_path(last->offset / SEGMENT), image.segments[last->offset / SEGMENT],
        SEGMENT);
    for (int again = 0; again < 2; again++) {
        assert_int_equal(fixture_open(), WEIR_OK);
        assert_int_equal(fixture.recovery.frames_corrupt, 1);
        assert_int_equal(fixture.recovery.end_offset >= last->offset + last->bytes, 1);
        assert_int_equal(fixture.recovery.frames, 7 + (uint64_t)again);
        fill_batch(50, 5, fixture.defined, 0);
        append(); /* goes on behind the damage */
        make_durable();
        fixture_close();
    }
}

/* Three frames of a page each, of which only the first is named durable by anyone. */
static void
make_three(void)
{
    assert_int_equal(fixture_open(), WEIR_OK);
    fill_batch(1, 5, 0, 5);
    append();
    make_durable();
    for (uint64_t n = 2; n <= 3; n++) {
        fill_batch(n, 5, 0, 0);
        assert_int_equal(weir_log_append(fixture.log, &batch), WEIR_OK);
    }
    make_durable();
    read_image();
    assert_int_equal(image.headers[2].durable_watermark, PAGE);
    fixture_close();
}

static void
test_recovery_never_takes_a_stale_frame_behind_a_torn_tail(void **state)
{
    (void)state;
    make_three();
    memset(image_at(PAGE), 0, PAGE); /* the second is lost, the third is whole */
    put_image();
    assert_int_equal(fixture_open(), WEIR_OK);
    check_ends_before(1);
    assert_int_equal(fixture.recovery.bytes_torn, 2 * PAGE);
    fill_batch(7, 5, 0, 0);
    append(); /* exactly as large as the lost one: the stale third follows it */
    make_durable();
    uint64_t end = weir_log_end(fixture.log);
    assert_int_equal(end, 2 * PAGE);
    read_image(); /* a crash without close */
    fixture_close();
    put_image();
    assert_int_equal(weir_frame_check_header(
                         (const struct weir_frame_header *)image_at(2 * PAGE), 0, 2 * PAGE),
        WEIR_OK); /* it is still there */
    assert_int_equal(fixture_open(), WEIR_OK);
    assert_int_equal(fixture.recovery.frames, 2);
    assert_int_equal(fixture.recovery.end_offset, end);
    assert_int_equal(fixture.recovery.time_max_ms, 7);
    assert_int_equal(fixture.recovery.frames_corrupt, 0);
}

static void
test_recovery_never_takes_a_stale_frame_after_a_run_that_wrote_nothing(void **state)
{
    (void)state;
    make_three();
    memset(image_at(PAGE), 0, PAGE);
    put_image();
    assert_int_equal(fixture_open(), WEIR_OK); /* epoch 2, ends at one page */
    read_file(epoch_path(), &image.epoch, sizeof image.epoch);
    fixture_close();
    struct weir_epoch epoch = image.epoch;
    image = pristine; /* the lost second frame turns up, its chain is right */
    image.epoch = epoch;
    put_image();
    assert_int_equal(fixture_open(), WEIR_OK);
    check_ends_before(1);
}

static void
test_recovery_takes_no_frame_of_another_history(void **state)
{
    (void)state;
    make_three();
    uint8_t third[PAGE];
    memcpy(third, image_at(2 * PAGE), PAGE); /* right epoch, right place */
    for (uint64_t i = 0; i < SEGMENTS_MAX; i++)
        unlink(segment_path(i));
    unlink(epoch_path());
    assert_int_equal(fixture_open(), WEIR_OK);
    for (uint64_t n = 5; n <= 6; n++) {
        fill_batch(n, 5, 0, n == 5 ? 5 : 0);
        append();
    }
    make_durable();
    read_image();
    fixture_close();
    memcpy(image_at(2 * PAGE), third, PAGE);
    put_image();
    assert_int_equal(fixture_open(), WEIR_OK);
    check_ends_before(2);
    assert_int_equal(fixture.recovery.bytes_torn, PAGE);
}

static void
test_recovery_grows_the_epoch_though_no_frame_was_written(void **state)
{
    (void)state;
    for (uint64_t epoch = 1; epoch <= 5; epoch++) {
        assert_int_equal(fixture_open(), WEIR_OK);
        assert_int_equal(fixture.recovery.dataplane_epoch, epoch);
        assert_int_equal(fixture.recovery.time_max_ms, INT64_MIN);
        struct weir_epoch file;
        read_file(epoch_path(), &file, sizeof file);
        assert_int_equal(file.dataplane_epoch, epoch);
        fixture_close();
    }
}

static void
test_recovery_does_without_a_damaged_or_missing_epoch_file(void **state)
{
    (void)state;
    make_log(9);
    put_image();
    write_file(epoch_path(), "garbage", 7);
    assert_int_equal(fixture_open(), WEIR_OK);
    check_ends_before(image.frames);
    assert_int_equal(fixture.recovery.dataplane_epoch, 2);
    fixture_close();
    put_image();
    unlink(epoch_path());
    fixture.options.segment_bytes = 2 * SEGMENT; /* the files know better */
    assert_int_equal(fixture_open(), WEIR_OK);
    check_ends_before(image.frames);
}

/* Frames that lie outside of segment `index`, and the log's end. */
static uint64_t
frames_outside(uint64_t index, uint64_t *end)
{
    uint64_t frames = 0;
    for (size_t i = 0; i < image.frames; i++) {
        frames += image.headers[i].type == WEIR_FRAME_SAMPLES &&
            image.headers[i].offset / SEGMENT != index;
        *end = image.headers[i].offset + image.headers[i].bytes;
    }
    return frames;
}

/* Opens, appends, and opens again: the damage stays what it is, nothing else is lost. */
static void
check_goes_on(uint64_t frames, uint64_t end)
{
    assert_int_equal(fixture_open(), WEIR_OK);
    assert_true(fixture.recovery.frames >= frames);
    assert_int_equal(fixture.recovery.end_offset, end);
    assert_int_equal(fixture.recovery.frames_corrupt, 1);
    assert_false(fixture.out_of_order);
    uint64_t found = fixture.recovery.frames;
    fill_batch(900, 5, fixture.defined, 1);
    append();
    make_durable();
    fixture_close();
    assert_int_equal(fixture_open(), WEIR_OK);
    assert_int_equal(fixture.recovery.frames, found + 1);
    assert_int_equal(fixture.recovery.frames_corrupt, 1);
    fixture_close();
}

static void
test_recovery_contains_a_missing_segment_before_the_last(void **state)
{
    (void)state;
    make_log(12);
    assert_true(image.count >= 3);
    for (uint64_t i = 0; (i + 1) * SEGMENT <= watermark(SIZE_MAX); i++) {
        uint64_t end = 0;
        uint64_t frames = frames_outside(i, &end);
        put_image();
        unlink(segment_path(i));
        check_goes_on(frames, end);
    }
}

static void
test_recovery_contains_a_short_segment_before_the_last(void **state)
{
    (void)state;
    static const off_t sizes[] = {0, 100, PAGE, 5 * PAGE + 7};
    make_log(12);
    for (uint64_t i = 0; (i + 1) * SEGMENT <= watermark(SIZE_MAX); i++)
        for (size_t k = 0; k < sizeof sizes / sizeof sizes[0]; k++) {
            uint64_t end = 0;
            uint64_t frames = frames_outside(i, &end);
            put_image();
            assert_int_equal(truncate(segment_path(i), sizes[k]), 0);
            check_goes_on(frames, end);
        }
}

static void
test_recovery_makes_a_damaged_segment_whole_where_the_log_goes_on(void **state)
{
    (void)state;
    static const uint8_t zeros[SEGMENT];
    make_log(12);
    uint64_t end = 0, last;
    frames_outside(SIZE_MAX, &end);
    last = (end - 1) / SEGMENT;
    for (int missing = 0; missing < 2; missing++) {
        put_image();
        write_file(segment_path(last + 1), zeros, SEGMENT); /* made ahead */
        if (missing)
            unlink(segment_path(last));
        else
            assert_int_equal(truncate(segment_path(last), 0), 0);
        for (int opened = 0; opened < 2; opened++) {
            struct stat status;
            assert_int_equal(fixture_open(), WEIR_OK);
            assert_true(fixture.recovery.end_offset >= last * SEGMENT);
            assert_true(fixture.recovery.frames_corrupt >= (opened == 0));
            fill_batch(900, 5, fixture.defined, 1);
            append();
            make_durable();
            fixture_close();
            assert_int_equal(stat(segment_path(last), &status), 0);
            assert_int_equal(status.st_size, SEGMENT);
        }
    }
}

static void
test_recovery_refuses_a_log_whose_end_is_missing(void **state)
{
    (void)state;
    make_log(12);
    put_image();
    image.epoch.durable_offset = image.headers[image.frames - 1].offset;
    assert_int_equal(
        weir_epoch_write(fixture.io, fixture.directory, image.epoch), WEIR_OK);
    for (size_t i = 1; i < image.count; i++)
        unlink(segment_path(i));
    assert_int_equal(fixture_open(), WEIR_CORRUPT);
    assert_non_null(strstr(weir_err_detail(), "missing"));
}

/* What lies in the way of a segment is as if it were missing; at the end a person must decide. */
static void
test_recovery_is_not_held_up_by_what_is_no_regular_file(void **state)
{
    (void)state;
    make_log(12);
    assert_true(image.count >= 3);
    for (int kind = 0; kind < 4; kind++)
        for (uint64_t i = 0; i < image.count; i++) {
            uint64_t end = 0;
            uint64_t frames = frames_outside(i, &end);
            put_image();
            unlink(segment_path(i));
            if (kind == 0)
                assert_int_equal(mkfifo(segment_path(i), 0600), 0);
            else if (kind == 1)
                assert_int_equal(mkdir(segment_path(i), 0700), 0);
            else
                assert_int_equal(symlink(kind == 2 ? "/dev/zero"
                                                   : strrchr(segment_path(i), '/') + 1,
                                     segment_path(i)), 0); /* the last: a link to itself */
            if ((i + 1) * SEGMENT <= watermark(SIZE_MAX)) {
                check_goes_on(frames, end);
            } else {
                assert_int_equal(fixture_open(), WEIR_INVALID);
                assert_non_null(strstr(weir_err_detail(), "no regular file"));
            }
            if (kind == 1)
                assert_int_equal(rmdir(segment_path(i)), 0);
            else
                unlink(segment_path(i));
        }
}

/* Segments that changed names, or are another log's: not one frame lies at its place. */
static void
test_recovery_refuses_segments_that_were_swapped_and_writes_nothing(void **state)
{
    (void)state;
    make_log(12);
    assert_true(image.count >= 3);
    put_image();
    image.epoch.durable_offset = image.headers[image.frames - 1].offset;
    for (int epoch = 0; epoch < 2; epoch++) {
        if (epoch == 0)
            assert_int_equal(
                weir_epoch_write(fixture.io, fixture.directory, image.epoch), WEIR_OK);
        else
            unlink(epoch_path());
        for (size_t i = 0; i < image.count; i++)
            write_file(segment_path(i), image.segments[(i + 1) % image.count], SEGMENT);
        assert_int_equal(fixture_open(), WEIR_CORRUPT);
        assert_non_null(strstr(weir_err_detail(), "no frame lies at its place"));
        for (size_t i = 0; i < image.count; i++) {
            uint8_t there[SEGMENT];
            read_file(segment_path(i), there, sizeof there);
            assert_memory_equal(there, image.segments[(i + 1) % image.count], SEGMENT);
        }
    }
    put_image(); /* and renamed back */
    assert_int_equal(fixture_open(), WEIR_OK);
    assert_int_equal(fixture.recovery.frames_corrupt, 0);
}

/* Nothing counts either, but it is plain what happened: damage, and contained. */
static void
test_recovery_contains_damage_to_the_only_frame(void **state)
{
    (void)state;
    assert_int_equal(fixture_open(), WEIR_OK);
    fill_batch(1, 5, 0, 5);
    append();
    make_durable();
    read_image();
    fixture_close();
    image.epoch.durable_offset = PAGE;
    image.epoch.crc = weir_crc32c(0, &image.epoch, offsetof(struct weir_epoch, crc));
    pristine = image;
    for (size_t bit = 0; bit < 8 * sizeof(struct weir_frame_header); bit++) {
        image = pristine;
        image_at(0)[bit / 8] ^= (uint8_t)(1u << bit % 8);
        put_image();
        assert_int_equal(fixture_open(), WEIR_OK);
        assert_int_equal(fixture.recovery.frames_corrupt, 1);
        assert_int_equal(fixture.recovery.end_offset, PAGE);
        fixture_close();
    }
    image = pristine;
    memset(image_at(0), 0, PAGE);
    put_image();
    assert_int_equal(fixture_open(), WEIR_CORRUPT);
}

static void
test_recovery_refuses_a_stray_segment_far_away(void **state)
{
    (void)state;
    static const uint8_t zeros[SEGMENT];
    make_log(12);
    put_image();
    write_file(segment_path(UINT64_MAX), zeros, SEGMENT);
    assert_int_equal(fixture_open(), WEIR_CORRUPT);
    assert_non_null(strstr(weir_err_detail(), "missing"));
    unlink(segment_path(UINT64_MAX));
}

static void
test_recovery_remakes_a_segment_whose_making_was_cut_short(void **state)
{
    (void)state;
    make_log(12);
    static const uint8_t zeros[3 * PAGE];
    uint64_t end = image.headers[image.frames - 1].offset + image.headers[image.frames - 1].bytes;
    uint64_t next = (end + SEGMENT - 1) / SEGMENT;
    image.count = next;
    for (size_t size = 0; size <= 3 * PAGE; size += PAGE / 2) {
        put_image();
        write_file(segment_path(next), zeros, size);
        assert_int_equal(fixture_open(), WEIR_OK);
        check_ends_before(image.frames);
        assert_int_equal(weir_log_bytes(fixture.log), next * SEGMENT);
        fixture_close();
    }
    /* and as the very first thing a log ever did */
    for (uint64_t i = 0; i <= next; i++)
        unlink(segment_path(i));
    unlink(epoch_path());
    write_file(segment_path(0), zeros, 100);
    assert_int_equal(fixture_open(), WEIR_OK);
    assert_int_equal(fixture.recovery.end_offset, 0);
    fill_batch(1, 5, 0, 5);
    append();
    make_durable();
}

static void
test_recovery_skips_whole_pages_of_garbage_below_the_watermark(void **state)
{
    (void)state;
    make_log(16);
    size_t broken = 0;
    while (image.headers[broken].bytes < 3 * PAGE)
        broken++;
    assert_true(image.headers[broken].offset < watermark(broken));
    for (size_t i = 0; i < image.headers[broken].bytes; i++)
        image_at(image.headers[broken].offset)[i] = (uint8_t)(i * 37 + 11);
    put_image();
    assert_int_equal(fixture_open(), WEIR_OK);
    assert_int_equal(fixture.recovery.frames_corrupt, 1);
    assert_int_equal(fixture.recovery.end_offset,
        image.headers[image.frames - 1].offset + image.headers[image.frames - 1].bytes);
}

static size_t heap_first, heap_last;

static size_t
heap_used(void)
{
    struct mallinfo2 info = mallinfo2(); /* zeros where a sanitizer has the heap */
    return info.uordblks + info.hblkhd;
}

static enum weir_err
define_and_look_at_the_heap(void *context, uint64_t number, const uint8_t *labels, size_t size)
{
    heap_last = heap_used();
    if (number == 0)
        heap_first = heap_last;
    return fixture_define(context, number, labels, size);
}

/* Small frames come by millions: what the watermark has passed is not kept. */
static void
test_recovery_holds_no_more_frames_than_are_above_the_watermark(void **state)
{
    (void)state;
    enum { FRAMES = 1500 };
    struct weir_epoch epoch;
    fixture.options.size_max = 2 * FRAMES * PAGE;
    assert_int_equal(fixture_open(), WEIR_OK);
    read_file(epoch_path(), &epoch, sizeof epoch);
    for (uint64_t n = 1; n <= FRAMES; n++) {
        fill_batch(n, 5, n - 1, 1);
        append();
        make_durable();
    }
    fixture_close();
    write_file(epoch_path(), &epoch, sizeof epoch); /* as if killed */
    fixture.options.define = define_and_look_at_the_heap;
    assert_int_equal(fixture_open(), WEIR_OK);
    assert_int_equal(fixture.recovery.frames, FRAMES);
    assert_int_equal(fixture.defined, FRAMES);
    assert_false(fixture.out_of_order);
    assert_true(heap_last < heap_first + FRAMES * sizeof(struct weir_frame_header) / 2);
}

int
main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_recovery_finds_all_of_a_log_that_was_killed),
        TEST(test_recovery_writes_what_nothing_proves_durable_again_before_it_syncs_it),
        TEST(test_recovery_ends_at_a_tail_torn_at_any_page),
        TEST(test_recovery_contains_a_flipped_bit_in_any_header_byte),
        TEST(test_recovery_checks_bodies_above_the_watermark_only),
        TEST(test_recovery_names_what_a_damaged_definition_list_lost),
        TEST(test_recovery_after_a_close_takes_a_damaged_last_frame_for_corruption),
        TEST(test_recovery_never_takes_a_stale_frame_behind_a_torn_tail),
        TEST(test_recovery_never_takes_a_stale_frame_after_a_run_that_wrote_nothing),
        TEST(test_recovery_takes_no_frame_of_another_history),
        TEST(test_recovery_grows_the_epoch_though_no_frame_was_written),
        TEST(test_recovery_does_without_a_damaged_or_missing_epoch_file),
        TEST(test_recovery_contains_a_missing_segment_before_the_last),
        TEST(test_recovery_contains_a_short_segment_before_the_last),
        TEST(test_recovery_makes_a_damaged_segment_whole_where_the_log_goes_on),
        TEST(test_recovery_refuses_a_log_whose_end_is_missing),
        TEST(test_recovery_is_not_held_up_by_what_is_no_regular_file),
        TEST(test_recovery_refuses_segments_that_were_swapped_and_writes_nothing),
        TEST(test_recovery_contains_damage_to_the_only_frame),
        TEST(test_recovery_refuses_a_stray_segment_far_away),
        TEST(test_recovery_remakes_a_segment_whose_making_was_cut_short),
        TEST(test_recovery_skips_whole_pages_of_garbage_below_the_watermark),
        TEST(test_recovery_holds_no_more_frames_than_are_above_the_watermark),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
