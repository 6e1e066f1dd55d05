/* Frames of the log with damaged pieces: each lost range is reported, and the rest is handed on. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "model/sender_state/state.h"
#include "storage/frame/lists.h"
#include "tests/unit/storage/log/log_fixture.h"

#include <fcntl.h>
#include <stdlib.h>

#define BIG_SEGMENT (256 * PAGE)
#define PIECES_MAX 8

static struct weir_frame_header header; /* of the first frame */
static struct weir_piece_header pieces[PIECES_MAX];
static uint64_t places[PIECES_MAX]; /* of the pieces, in the first segment */
static size_t piece_count;

/* State entries that recovery handed over. */
static struct {
    bool seen[WEIR_BATCH_STATE_BYTES_MAX / 32];
    uint64_t count;
    bool out_of_order;
} handed;

static void
take_sender_state(void *context, const uint8_t *list, size_t size)
{
    (void)context;
    static uint64_t last;
    const struct weir_state_entry *entry;
    size_t at = 0;
    while (weir_state_next(list, size, &at, &entry) == WEIR_OK) {
        handed.out_of_order |= handed.count != 0 && entry->sender <= last;
        last = entry->sender;
        handed.seen[entry->sender] = true;
        handed.count++;
    }
}

static int
set_up(void **state)
{
    (void)state;
    struct weir_io_table table = quick_table();
    fixture_make(&table);
    fixture.options.segment_bytes = BIG_SEGMENT;
    fixture.options.size_max = 8 * BIG_SEGMENT;
    fixture.options.sender_state = take_sender_state;
    memset(&handed, 0, sizeof handed);
    return 0;
}

static int
tear_down(void **state)
{
    (void)state;
    fixture_remove();
    return 0;
}

/* The first frame: definitions and state entries of so many bytes; another one after it. */
static void
make_log(uint32_t definitions_bytes, uint32_t state_bytes)
{
    static uint8_t list[BIG_SEGMENT], entries[BIG_SEGMENT] __attribute__((aligned(8)));
    assert_int_equal(fixture_open(), WEIR_OK);
    fill_batch(1, 5, 0, 1);
    size_t used = 0;
    uint32_t count = 0;
    for (; used < definitions_bytes; count++) {
        char value[96];
        int size = snprintf(value, sizeof value, "m%080u", count);
        struct weir_label label = {(const uint8_t *)WEIR_NAME_LABEL, (uint8_t *)value,
            sizeof WEIR_NAME_LABEL - 1, (uint16_t)size};
        uint8_t labels[128];
        size_t labels_size;
        assert_int_equal(weir_labels_encode(&label, 1, labels, &labels_size), WEIR_OK);
        assert_int_equal(
            weir_definition_append(list, sizeof list, &used, labels, labels_size), WEIR_OK);
    }
    batch.definitions = list;
    batch.definition_count = count;
    batch.definition_bytes = (uint32_t)used;
    for (uint32_t at = 0; at < state_bytes; at += sizeof(struct weir_state_entry))
        *(struct weir_state_entry *)(entries + at) = (struct weir_state_entry){
            .type = WEIR_STATE_SEQUENCE,
            .bytes = sizeof(struct weir_state_entry),
            .sender = at / sizeof(struct weir_state_entry),
            .epoch = 1,
            .sequence = 7};
    batch.sender_state = entries;
    batch.state_bytes = state_bytes;
    append();
    make_durable();
    fill_batch(2, 5, count, 0);
    batch.state_bytes = 0;
    append();
    make_durable();
    fixture_close();
}

static void
first_segment(void *data, size_t size, uint64_t at, bool write)
{
    int fd = open(segment_path(0), O_RDWR);
    assert_true(fd >= 0);
    assert_int_equal(write ? pwrite(fd, data, size, (off_t)at) : pread(fd, data, size, (off_t)at),
        size);
    close(fd);
}

static void
find_pieces(uint64_t begin, uint64_t end)
{
    piece_count = 0;
    for (uint64_t at = begin; at < end; at += WEIR_PIECE_BYTES) {
        assert_true(piece_count < PIECES_MAX);
        first_segment(&pieces[piece_count], sizeof pieces[0], at, false);
        assert_int_equal(pieces[piece_count].magic, WEIR_PIECE_MAGIC);
        places[piece_count++] = at;
    }
    assert_true(piece_count >= 5);
}

static void
damage(size_t piece, bool in_header)
{
    uint8_t byte;
    uint64_t at = places[piece] + (in_header ? 8 : sizeof pieces[0] + 1000);
    first_segment(&byte, 1, at, false);
    byte ^= 8;
    first_segment(&byte, 1, at, true);
}

/* Opens the log; what was reported meanwhile. */
static const char *
open_and_listen(void)
{
    static char said[1 << 16];
    fflush(stderr);
    int before = dup(2);
    FILE *file = tmpfile();
    assert_non_null(file);
    dup2(fileno(file), 2);
    enum weir_err err = fixture_open();
    dup2(before, 2);
    close(before);
    ssize_t size = pread(fileno(file), said, sizeof said - 1, 0);
    fclose(file);
    assert_true(size >= 0);
    said[size] = 0;
    assert_int_equal(err, WEIR_OK);
    return said;
}

static unsigned
count_of(const char *said, const char *what)
{
    unsigned count = 0;
    for (; (said = strstr(said, what)) != NULL; said++)
        count++;
    return count;
}

static void
test_damaged_pieces_of_one_frame_are_each_a_range_of_lost_numbers(void **state)
{
    (void)state;
    for (int in_header = 0; in_header < 2; in_header++) {
        if (in_header) {
            tear_down(NULL);
            set_up(NULL);
        }
        make_log(5 * 60000, 0);
        first_segment(&header, sizeof header, 0, false);
        uint64_t end = weir_frame_front(&header);
        find_pieces(end - header.definition_bytes, end);
        damage(1, in_header);
        damage(3, in_header);
        const char *said = open_and_listen();
        assert_int_equal(count_of(said, "event=definitions_lost"), 2);
        assert_int_equal(count_of(said, "event=definitions_damaged"), 2);
        for (size_t i = 1; i <= 3; i += 2) {
            char range[80];
            snprintf(range, sizeof range, "first=%llu count=%u",
                (unsigned long long)pieces[i].first, pieces[i].count);
            assert_int_equal(count_of(said, range), 1);
        }
        assert_int_equal(fixture.lost, pieces[1].count + pieces[3].count);
        assert_int_equal(fixture.recovery.definitions_lost, fixture.lost);
        assert_int_equal(fixture.counts.counter[WEIR_COUNTER_definitions_lost], fixture.lost);
        assert_int_equal(fixture.defined, header.definition_count);
        assert_false(fixture.out_of_order);
        assert_int_equal(fixture.recovery.frames, 2);
    }
}

static void
test_damaged_pieces_of_state_entries_are_reported_and_the_others_handed_over(void **state)
{
    (void)state;
    make_log(200, 5 * 60000);
    first_segment(&header, sizeof header, 0, false);
    uint64_t begin = 2 * sizeof header; /* header, the entry of one block: then a page begins */
    begin = (begin + PAGE - 1) / PAGE * PAGE;
    find_pieces(begin, begin + header.state_bytes);
    const char *said = open_and_listen();
    assert_int_equal(count_of(said, "event=sender_state_lost"), 0);
    assert_int_equal(handed.count, 5 * 60000 / sizeof(struct weir_state_entry));
    fixture_close();
    memset(&handed, 0, sizeof handed);
    damage(1, false);
    damage(3, true);
    said = open_and_listen();
    assert_int_equal(count_of(said, "event=sender_state_lost"), 2);
    assert_int_equal(count_of(said, "offset=0 from=65536 bytes=65536"), 1);
    assert_int_equal(count_of(said, "offset=0 from=196608 bytes=65536"), 1);
    assert_false(handed.out_of_order);
    uint64_t sender = 0;
    for (size_t i = 0; i < piece_count; i++)
        for (uint32_t n = 0; n < pieces[i].count; n++)
            assert_int_equal(handed.seen[sender++], i != 1 && i != 3);
    assert_int_equal(sender, 5 * 60000 / sizeof(struct weir_state_entry));
    /* neither costs samples or names */
    assert_int_equal(fixture.lost, 0);
    assert_int_equal(fixture.recovery.frames, 2);
    assert_int_equal(count_of(said, "event=definitions_damaged"), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_damaged_pieces_of_one_frame_are_each_a_range_of_lost_numbers),
        TEST(test_damaged_pieces_of_state_entries_are_reported_and_the_others_handed_over),
    };
    return cmocka_run_group_tests_name("pieces", tests, NULL, NULL);
}
