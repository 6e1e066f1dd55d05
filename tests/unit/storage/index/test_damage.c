/* Flipped bits in an index segment: it opens, the right series are found, and of damaged names the
 * labels are told to be lost. */
#include "storage/index/check.h"
#include "storage/index/ranks.h"
#include "tests/unit/storage/index/segment_fixture.h"

#define QUESTIONS 6
static const struct weir_index_match questions[QUESTIONS][2];
/* Series of the twin that answer each, found once: it compiles an expression for every series. */
static bool answers[QUESTIONS][FIXTURE_SERIES];

static void
ask_twin(void)
{
    for (size_t q = 0; q < QUESTIONS; q++)
        for (size_t i = 0; i < segment.twin.count; i++)
            answers[q][i] = twin_index_matches(&segment.twin.series[i], questions[q], 2,
                WEIR_INDEX_ANY_DAY);
}

static int
set_up(void **state)
{
    (void)state;
    fixture_begin();
    ask_twin();
    assert_int_equal(fixture_merge(), WEIR_OK);
    fixture_read();
    fixture_index_free();
    return 0;
}

static int
tear_down(void **state)
{
    (void)state;
    fixture_end();
    return 0;
}

static void
write_bytes(const uint8_t *bytes, uint64_t size)
{
    FILE *file = fopen(segment.path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, size, file), size);
    assert_int_equal(fclose(file), 0);
}

static const struct weir_index_match questions[QUESTIONS][2] = {
    {FIXTURE_MATCH("host", WEIR_INDEX_EQUAL, "node-7"), FIXTURE_MATCH("x", WEIR_INDEX_EQUAL, "")},
    {FIXTURE_MATCH("host", WEIR_INDEX_REGEX, "node-1.*"),
        FIXTURE_MATCH("Zone", WEIR_INDEX_NOT_EQUAL, "eu")},
    {FIXTURE_MATCH("__name__", WEIR_INDEX_REGEX, "metric_(1|10)"),
        FIXTURE_MATCH("code", WEIR_INDEX_NOT_REGEX, ".*7f.*")},
    {FIXTURE_MATCH("code", WEIR_INDEX_EQUAL, ""), FIXTURE_MATCH("host", WEIR_INDEX_REGEX, ".+")},
    {FIXTURE_MATCH("code", WEIR_INDEX_REGEX, ".*[0-9a-f].*"),
        FIXTURE_MATCH("x", WEIR_INDEX_EQUAL, "")},
    {FIXTURE_MATCH("x", WEIR_INDEX_EQUAL, ""), FIXTURE_MATCH("y", WEIR_INDEX_EQUAL, "")},
};

static void
check_place(const struct weir_index_selection *selection, uint64_t place,
    const struct twin_index_series *expected)
{
    const uint8_t *labels;
    size_t size;
    uint64_t number, lost = weir_index_reader_counts(segment.reader)->series_lost;
    assert_int_equal(weir_index_selection_numbers(segment.reader, selection, place, 1, &number,
                         NULL), WEIR_OK);
    assert_int_equal(number, expected->number);
    assert_int_equal(
        weir_index_selection_labels(segment.reader, selection, place, &labels, &size), WEIR_OK);
    if (weir_index_reader_counts(segment.reader)->series_lost == lost) {
        assert_int_equal(size, expected->size);
        assert_memory_equal(labels, expected->labels, size);
    } else {
        assert_true(weir_labels_are_lost(number, labels, size));
    }
}

/* Asks; the numbers have to be right, and lost labels told. Returns how many were lost so far. */
static uint64_t
ask(size_t question)
{
    const struct weir_index_match *matches = questions[question];
    struct weir_index_matchers *matchers;
    struct weir_index_selection *selection;
    uint64_t found = 0;
    assert_int_equal(weir_index_matchers_new(matches, 2, &matchers), WEIR_OK);
    struct weir_index_view *view = weir_index_view_open(segment.index);
    assert_int_equal(weir_index_select(segment.reader, view, matchers, WEIR_INDEX_ANY_DAY,
                         &selection), WEIR_OK);
    assert_int_equal(weir_index_selection_sort(segment.reader, selection), WEIR_OK);
    uint64_t count = weir_index_selection_count(selection);
    for (size_t i = 0; i < segment.twin.count; i++) {
        const struct twin_index_series *series = &segment.twin.series[i];
        if (!answers[question][i])
            continue;
        assert_true(found < count);
        check_place(selection, found++, series);
    }
    assert_int_equal(found, count);
    weir_index_selection_free(selection);
    weir_index_view_close(view);
    weir_index_matchers_free(matchers);
    return weir_index_reader_counts(segment.reader)->series_lost;
}

static enum weir_err
count_string(void *context, const char *text, size_t size)
{
    (void)text;
    (void)size;
    ++*(uint64_t *)context;
    return WEIR_OK;
}

/* Kind of the block that a byte is in; -1 for none. */
static int
kind_at(uint64_t at)
{
    int kind = -1;
    for (uint64_t place = WEIR_INDEX_PAGE; place + 48 <= segment.size - 2 * WEIR_INDEX_PAGE;) {
        struct weir_index_block_head head;
        memcpy(&head, segment.bytes + place, sizeof head);
        if (head.magic != WEIR_INDEX_BLOCK_MAGIC)
            break;
        if (at >= place && at < place + sizeof head + head.bytes)
            kind = head.kind;
        place += (sizeof head + head.bytes + 7) / 8 * 8;
    }
    return kind;
}

static uint32_t
whole_blocks(void)
{
    struct weir_index_footer footer;
    memcpy(&footer, segment.bytes + segment.size - WEIR_INDEX_PAGE, sizeof footer);
    return footer.blocks;
}

static void
flip(uint64_t at, unsigned bit)
{
    uint64_t lost = 0, strings = 0;
    int kind = kind_at(at);
    segment.bytes[at] ^= (uint8_t)(1u << bit);
    write_bytes(segment.bytes, segment.size);
    fixture_index_new();
    assert_int_equal(weir_index_open_segment(segment.index, segment.io, segment.path), WEIR_OK);
    for (size_t i = 0; i < QUESTIONS; i++)
        lost = ask(i);
    struct weir_index_view *view = weir_index_view_open(segment.index);
    struct weir_index_strings wanted = {.range = WEIR_INDEX_ANY_DAY, .prefix = ""};
    assert_int_equal(weir_index_strings(segment.reader, view, &wanted, count_string, &strings),
        WEIR_OK);
    assert_true(strings == 4 || (kind & ~WEIR_INDEX_DIRECTORY) == WEIR_INDEX_LABELS);
    weir_index_view_close(view);
    const struct weir_index_counts *counts = weir_index_reader_counts(segment.reader);
    assert_true(kind >= 0 || counts->blocks_damaged == 0);
    assert_true(lost == 0 || kind == WEIR_INDEX_NAMES);
    int section = kind & ~WEIR_INDEX_DIRECTORY; /* ordinals and days were not asked */
    if (counts->blocks_damaged == 0 && kind >= 0 && section != WEIR_INDEX_ORDINALS &&
        section != WEIR_INDEX_SEEN)
        fail_msg("bit %u of byte %llu in a block of kind %d was not noticed", bit,
            (unsigned long long)at, kind);
    fixture_index_free();
    segment.bytes[at] ^= (uint8_t)(1u << bit);
}

static void
test_flipped_bit_costs_the_labels_of_its_block_at_most(void **state)
{
    (void)state;
    const char *nightly = getenv("WEIR_NIGHTLY");
    uint64_t step = nightly != NULL && nightly[0] == '1' ? 1 : 97;
    for (uint64_t at = 0; at < segment.size; at += step)
        flip(at, (unsigned)(fixture_random(at) % 8));
}

static void
test_check_tells_of_every_flipped_bit(void **state)
{
    (void)state;
    struct weir_index_damage damage;
    const char *nightly = getenv("WEIR_NIGHTLY");
    uint64_t step = nightly != NULL && nightly[0] == '1' ? 1 : 41;
    write_bytes(segment.bytes, segment.size);
    fixture_index_new();
    assert_int_equal(weir_index_check(segment.reader, segment.path, &damage), WEIR_OK);
    for (uint64_t at = 0; at < segment.size; at += step) {
        segment.bytes[at] ^= (uint8_t)(1u << fixture_random(at) % 8);
        write_bytes(segment.bytes, segment.size);
        assert_int_equal(weir_index_check(segment.reader, segment.path, &damage), WEIR_CORRUPT);
        segment.bytes[at] ^= (uint8_t)(1u << fixture_random(at) % 8);
        assert_int_equal(damage.damaged + damage.ends + damage.padding, 1);
        assert_int_equal(damage.blocks + (kind_at(at) >= 0), whole_blocks());
    }
    fixture_index_free();
}

/* Where number -> ordinal, or its inverse, or the classes are damaged: kind says which. */
static void
check_ranks(int kind)
{
    static struct weir_index_ranks ranks;
    uint64_t at = 0, first = (uint64_t)FIXTURE_SHARD << WEIR_SHARD_BITS;
    while (kind >= 0 && kind_at(at) != kind)
        at++;
    segment.bytes[at + 60] ^= kind >= 0;
    write_bytes(segment.bytes, segment.size);
    fixture_index_new();
    assert_int_equal(weir_index_open_segment(segment.index, segment.io, segment.path), WEIR_OK);
    struct weir_index_view *view = weir_index_view_open(segment.index);
    assert_int_equal(
        weir_index_ranks(segment.reader, view, FIXTURE_SHARD + 1, &ranks), WEIR_NOT_FOUND);
    assert_int_equal(weir_index_ranks(segment.reader, view, FIXTURE_SHARD, &ranks), WEIR_OK);
    assert_int_equal(ranks.through, FIXTURE_SERIES);
    for (uint32_t i = 0; i < FIXTURE_SERIES; i++) {
        uint32_t local = (uint32_t)(segment.twin.series[i].number - first);
        assert_int_equal(ranks.ordinals[local], i);
        assert_int_equal(ranks.classes[local], kind == WEIR_INDEX_SEEN ? 0 : local % 3);
    }
    assert_int_equal(ranks.ordinals[FIXTURE_SERIES], WEIR_ORDINAL_NONE);
    assert_int_equal(weir_index_reader_counts(segment.reader)->blocks_damaged != 0,
        kind == WEIR_INDEX_ORDINALS || kind == WEIR_INDEX_SEEN);
    weir_index_view_close(view);
    fixture_index_free();
    segment.bytes[at + 60] ^= kind >= 0;
}

static void
test_ranks_are_those_of_the_labels_and_survive_a_damaged_block(void **state)
{
    (void)state;
    check_ranks(-1);
    check_ranks(WEIR_INDEX_ORDINALS);
    check_ranks(WEIR_INDEX_NUMBERS);
    check_ranks(WEIR_INDEX_SEEN);
}

static void
test_segment_without_a_whole_footer_is_refused_by_name(void **state)
{
    (void)state;
    segment.bytes[segment.size - WEIR_INDEX_PAGE + 100] ^= 1;
    segment.bytes[segment.size - 2 * WEIR_INDEX_PAGE + 100] ^= 1;
    write_bytes(segment.bytes, segment.size);
    fixture_index_new();
    assert_int_equal(
        weir_index_open_segment(segment.index, segment.io, segment.path), WEIR_CORRUPT);
    assert_non_null(strstr(weir_err_detail(), "2-7.index"));
    for (uint64_t size = 0; size < segment.size; size += 4001) {
        write_bytes(segment.bytes, size);
        assert_int_equal(
            weir_index_open_segment(segment.index, segment.io, segment.path), WEIR_CORRUPT);
    }
    fixture_index_free();
}

/* The next generation has every number, lost labels under the name that damage gives. */
static void
test_merge_goes_on_with_the_series_of_damaged_names(void **state)
{
    (void)state;
    uint64_t at = WEIR_INDEX_PAGE + 200, count = 0;
    assert_int_equal(kind_at(at), WEIR_INDEX_NAMES);
    segment.bytes[at] ^= 1;
    write_bytes(segment.bytes, segment.size);
    fixture_index_new();
    assert_int_equal(weir_index_open_segment(segment.index, segment.io, segment.path), WEIR_OK);
    assert_int_equal(fixture_merge(), WEIR_OK);
    uint64_t lost = weir_index_reader_counts(segment.reader)->series_lost;
    assert_true(lost > 64 && lost < FIXTURE_SERIES);
    assert_int_equal(weir_index_open_segment(segment.index, segment.io, segment.path), WEIR_OK);
    struct weir_index_view *view = weir_index_view_open(segment.index);
    assert_int_equal(weir_index_view_count(view), FIXTURE_SERIES);
    for (size_t i = 0; i < segment.twin.count; i++) {
        const struct twin_index_series *series = &segment.twin.series[i];
        const uint8_t *labels;
        size_t size;
        assert_int_equal(
            weir_index_labels(segment.reader, view, series->number, &labels, &size), WEIR_OK);
        if (weir_labels_are_lost(series->number, labels, size)) {
            count++;
            continue;
        }
        assert_int_equal(size, series->size);
        assert_memory_equal(labels, series->labels, size);
    }
    assert_int_equal(count, lost);
    weir_index_view_close(view);
    fixture_index_free();
}

int
main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_flipped_bit_costs_the_labels_of_its_block_at_most),
        TEST(test_check_tells_of_every_flipped_bit),
        TEST(test_ranks_are_those_of_the_labels_and_survive_a_damaged_block),
        TEST(test_segment_without_a_whole_footer_is_refused_by_name),
        TEST(test_merge_goes_on_with_the_series_of_damaged_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
