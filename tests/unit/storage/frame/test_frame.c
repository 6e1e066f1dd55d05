#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "model/labels.h"
#include "model/sender_state/state.h"
#include "storage/frame/crc.h"
#include "storage/frame/frame.h"
#include "tests/fuzz/twin_block.h"
#include "tests/fuzz/twin_lists.h"

#include <stdio.h>
#include <stdlib.h>

#define STREAM 0
#define OFFSET UINT64_C(40960)
#define GUARD 64

static struct weir_batch *batch;
static struct weir_frame_encoder *encoder;
static struct weir_sample *expected; /* the batch, sorted by series, arrival order within */
static uint8_t *frame;
static size_t frame_bytes;
static const struct weir_frame_place place = {.stream = STREAM,
    .offset = OFFSET,
    .segment_epoch = 1,
    .dataplane_epoch = 7,
    .durable_watermark = 36864,
    .definitions_through = 3,
    .previous_crc = 0x12345678};

static int
set_up(void **state)
{
    (void)state;
    batch = aligned_alloc(4096, (sizeof *batch + 4095) & ~(size_t)4095);
    encoder = weir_frame_encoder_init(calloc(1, weir_frame_encoder_footprint()));
    expected = malloc(WEIR_BATCH_SAMPLES_MAX * sizeof *expected);
    memset(batch, 0, sizeof *batch);
    weir_batch_reset(batch);
    return 0;
}

static int
tear_down(void **state)
{
    (void)state;
    free(batch);
    free(encoder);
    free(expected);
    free(frame);
    frame = NULL;
    return 0;
}

static uint64_t
next_random(void)
{
    static uint64_t state = 88172645463325252u;
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state;
}

static void
append(uint64_t series, enum weir_value_kind kind, int exponent, int64_t time_ms, uint64_t value)
{
    weir_batch_append(batch, weir_sample_key(series, kind, exponent), time_ms, value);
}

/* Encodes the batch; asserts that no byte behind the bound is written. */
static void
encode(void)
{
    size_t bound = weir_frame_bound(batch);
    assert_int_equal(bound % WEIR_FRAME_ALIGN, 0);
    free(frame);
    frame = aligned_alloc(WEIR_FRAME_ALIGN, bound + WEIR_FRAME_ALIGN);
    memset(frame, 0xa5, bound + WEIR_FRAME_ALIGN);
    weir_frame_encode(encoder, batch, &place, frame, &frame_bytes, NULL);
    assert_true(frame_bytes <= bound);
    for (size_t i = 0; i < GUARD; i++)
        assert_int_equal(frame[bound + i], 0xa5);
}

static int
compare(const void *left, const void *right)
{
    const struct weir_sample *a = *(const struct weir_sample *const *)left;
    const struct weir_sample *b = *(const struct weir_sample *const *)right;
    uint64_t x = weir_sample_series(a);
    uint64_t y = weir_sample_series(b);
    return x != y ? (x > y) - (x < y) : (a > b) - (a < b);
}

static void
sort_expected(void)
{
    const struct weir_sample **order = malloc((batch->count + 1) * sizeof *order);
    for (uint32_t i = 0; i < batch->count; i++)
        order[i] = &batch->samples[i];
    qsort(order, batch->count, sizeof *order, compare);
    for (uint32_t i = 0; i < batch->count; i++)
        expected[i] = *order[i];
    free(order);
}

/* Checks and decodes, and compares every bit of every sample. */
static void
decode_and_compare(void)
{
    sort_expected();
    assert_int_equal(weir_frame_check(frame, frame_bytes, STREAM, OFFSET), WEIR_OK);
    const struct weir_frame_block *blocks;
    size_t count;
    assert_int_equal(weir_frame_index(frame, frame_bytes, &blocks, &count), WEIR_OK);
    size_t at = 0;
    for (size_t i = 0; i < count; i++) {
        struct weir_sample samples[WEIR_BLOCK_SAMPLES];
        size_t in_block = 0;
        assert_int_equal(
            weir_frame_decode_block(frame, frame_bytes, &blocks[i], samples, &in_block), WEIR_OK);
        assert_true(in_block > 0 && at + in_block <= batch->count);
        if (memcmp(samples, expected + at, in_block * sizeof *samples) != 0)
            fail_msg("block %zu came back otherwise", i);
        assert_int_equal(blocks[i].series_first, weir_sample_series(&samples[0]));
        assert_int_equal(blocks[i].series_last, weir_sample_series(&samples[in_block - 1]));
        assert_true(blocks[i].bytes <= WEIR_BLOCK_BYTES_MAX);
        at += in_block;
    }
    assert_int_equal(at, batch->count);
}

static void
round_trip(void)
{
    encode();
    decode_and_compare();
}

/* Numbers of hosts, each with metrics of its own shape, in the order of arrival. */
static void
fill(uint32_t count, uint64_t series_limit)
{
    weir_batch_reset(batch);
    for (uint32_t i = 0; i < count; i++) {
        uint64_t series = next_random() % series_limit;
        int64_t time_ms = 1700000000000 + (int64_t)(next_random() % 1000);
        uint64_t shape = series % 5;
        if (shape == 0)
            append(series, WEIR_VALUE_DOUBLE, 0, time_ms, next_random());
        else
            append(series, WEIR_VALUE_DECIMAL, 1 - (int)shape, time_ms,
                (uint64_t)((int64_t)(next_random() >> (8 + shape * 12)) - 500));
    }
}

static void
test_frame_round_trips_batches_of_every_size_around_a_block(void **state)
{
    (void)state;
    static const uint32_t counts[] = {0, 1, 2, 3, 15, 16, 17, 2047, 2048, 2049, 4096, 20000};
    for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++) {
        fill(counts[i], 1000000);
        round_trip();
    }
}

static void
test_frame_round_trips_every_spread_of_series(void **state)
{
    (void)state;
    for (unsigned bits = 0; bits <= WEIR_SERIES_BITS; bits += 4) {
        fill(5000, UINT64_C(1) << bits);
        round_trip();
    }
}

static void
test_frame_round_trips_a_full_batch(void **state)
{
    (void)state;
    fill(WEIR_BATCH_SAMPLES_MAX, 10000000);
    round_trip();
}

static void
test_frame_takes_an_ascending_batch_as_it_is(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < 10000; i++)
        append(i / 2 * 3, WEIR_VALUE_DECIMAL, -2, (int64_t)i, i);
    assert_true(batch->ascending);
    round_trip();
}

static void
test_frame_keeps_arrival_order_within_a_series(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < 9000; i++)
        append((9000 - i) % 3, WEIR_VALUE_DECIMAL, 0, 5, i);
    assert_false(batch->ascending);
    round_trip();
}

static void
test_frame_keeps_values_bit_for_bit_at_their_limits(void **state)
{
    (void)state;
    static const uint64_t doubles[] = {0, UINT64_C(1) << 63, 0x7ff0000000000000, 0xfff0000000000000,
        0x7ff8000000000001, 0xfff123456789abcd, 1, 0x7fefffffffffffff};
    static const int64_t mantissas[] = {0, 1, -1, 127, -128, 128, 255, 256, 32767, -32769, 1 << 23,
        INT64_C(1) << 31, -(INT64_C(1) << 39), (INT64_C(1) << 47) + 1, WEIR_MANTISSA_MAX,
        -WEIR_MANTISSA_MAX};
    static const int64_t times[] = {INT64_MIN, -1, 0, 1, INT64_MAX};
    uint32_t n = 0;
    for (size_t t = 0; t < sizeof times / sizeof times[0]; t++) {
        for (size_t i = 0; i < sizeof doubles / sizeof doubles[0]; i++)
            append(n++ % 7, WEIR_VALUE_DOUBLE, 0, times[t], doubles[i]);
        for (size_t i = 0; i < sizeof mantissas / sizeof mantissas[0]; i++)
            for (int e = -WEIR_EXPONENT_MAX; e <= WEIR_EXPONENT_MAX; e += 11)
                append(n++ % 7, WEIR_VALUE_DECIMAL, e, times[t], (uint64_t)mantissas[i]);
    }
    append(WEIR_SERIES_LIMIT - 1, WEIR_VALUE_DECIMAL, 0, 0, 0);
    round_trip();
}

static void
test_frame_stays_below_its_bound_where_nothing_compresses(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < 6145; i++)
        append(next_random() % WEIR_SERIES_LIMIT, WEIR_VALUE_DOUBLE, 0, (int64_t)next_random(),
            next_random());
    round_trip();
}

/* Jumps between hosts cost their own samples, not the whole column. */
static void
test_frame_of_hosts_stays_small(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < 40000; i++)
        append(i / 200 * 500000 + i % 200, WEIR_VALUE_DECIMAL, 0, 1700000000000, i % 256);
    round_trip();
    assert_true(frame_bytes < 40000 * 4);
}

static void
add_definitions(uint32_t count)
{
    static uint8_t list[4096];
    size_t used = 0;
    for (uint32_t i = 0; i < count; i++) {
        char value[16];
        int size = snprintf(value, sizeof value, "metric%u", i);
        struct weir_label label = {(const uint8_t *)WEIR_NAME_LABEL, (uint8_t *)value,
            sizeof WEIR_NAME_LABEL - 1, (uint16_t)size};
        uint8_t labels[64];
        size_t labels_size;
        assert_int_equal(weir_labels_encode(&label, 1, labels, &labels_size), WEIR_OK);
        assert_int_equal(
            weir_definition_append(list, sizeof list, &used, labels, labels_size), WEIR_OK);
    }
    batch->definitions = list;
    batch->definition_count = count;
    batch->definition_bytes = (uint32_t)used;
}

/* Version 2 has them in a piece of their own. */
static void
add_state_entries(void)
{
    static struct weir_state_entry entries[2] = {
        {.type = WEIR_STATE_FORGOTTEN, .channel = 3, .bytes = 32, .sender = 4711, .epoch = 5,
            .sequence = 99},
        {.type = WEIR_STATE_SEQUENCE, .channel = 4, .bytes = 32, .sender = 4711, .epoch = 6,
            .sequence = 1234},
    };
    batch->sender_state = (uint8_t *)entries;
    batch->state_bytes = sizeof entries;
}

static void
test_frame_carries_definitions_with_and_without_samples(void **state)
{
    (void)state;
    for (uint32_t samples = 0; samples < 3000; samples += 2999) {
        fill(samples, 100);
        add_definitions(3);
        round_trip();
        struct weir_frame_definitions piece;
        uint64_t at = 0;
        assert_int_equal(weir_frame_definitions_next(frame, frame_bytes, &at, &piece), WEIR_OK);
        assert_int_equal(piece.first, batch->definition_first);
        assert_int_equal(piece.count, 3);
        assert_int_equal(piece.size, batch->definition_bytes);
        assert_memory_equal(piece.list, batch->definitions, piece.size);
        assert_int_equal(weir_frame_definitions_next(frame, frame_bytes, &at, &piece), WEIR_END);
    }
}

static void
test_frame_header_shows_what_the_batch_held(void **state)
{
    (void)state;
    fill(3000, 100);
    add_definitions(2);
    batch->definition_first = 11;
    batch->records = 77;
    encode();
    struct weir_frame_header header;
    memcpy(&header, frame, sizeof header);
    assert_int_equal(weir_frame_check_header(&header, STREAM, OFFSET), WEIR_OK);
    assert_int_equal(header.sample_count, 3000);
    assert_int_equal(header.block_count, 2);
    assert_int_equal(header.record_count, 77);
    assert_int_equal(header.definition_first, 11);
    assert_int_equal(header.definition_count, 2);
    assert_int_equal(header.definitions_through, place.definitions_through);
    assert_int_equal(header.durable_watermark, place.durable_watermark);
    assert_int_equal(header.dataplane_epoch, place.dataplane_epoch);
    assert_int_equal(header.previous_crc, place.previous_crc);
    assert_int_equal(header.bytes, frame_bytes);
    assert_int_equal(header.time_min_ms, batch->time_min_ms);
    assert_int_equal(header.time_max_ms, batch->time_max_ms);
}

/* Where the last block ends; what follows is padding. */
static size_t
content_end(void)
{
    const struct weir_frame_block *blocks;
    size_t count;
    assert_int_equal(weir_frame_index(frame, frame_bytes, &blocks, &count), WEIR_OK);
    return blocks[count - 1].at + blocks[count - 1].bytes;
}

static void
test_frame_check_notices_any_damaged_byte(void **state)
{
    (void)state;
    fill(300, 1000);
    add_definitions(3);
    add_state_entries();
    encode();
    size_t end = content_end();
    for (size_t i = 0; i < end; i++) {
        uint8_t bit = (uint8_t)(1u << i % 8);
        frame[i] ^= bit;
        if (weir_frame_check(frame, frame_bytes, STREAM, OFFSET) == WEIR_OK)
            fail_msg("byte %zu may change unnoticed", i);
        frame[i] ^= bit;
    }
    assert_int_equal(weir_frame_check(frame, frame_bytes, STREAM, OFFSET), WEIR_OK);
}

static void
test_frame_check_notices_a_cut_anywhere(void **state)
{
    (void)state;
    fill(300, 1000);
    encode();
    for (size_t bytes = 0; bytes < frame_bytes; bytes += 7) {
        /* of its own size, so that a read behind the cut is seen by a sanitizer */
        uint8_t *cut = malloc(bytes + 1);
        memcpy(cut, frame, bytes);
        assert_int_equal(weir_frame_check(cut, bytes, STREAM, OFFSET), WEIR_CORRUPT);
        free(cut);
    }
}

static void
test_frame_elsewhere_does_not_check_out(void **state)
{
    (void)state;
    fill(10, 1000);
    encode();
    assert_int_equal(weir_frame_check(frame, frame_bytes, STREAM, OFFSET + 4096), WEIR_CORRUPT);
    assert_int_equal(weir_frame_check(frame, frame_bytes, STREAM + 1, OFFSET), WEIR_CORRUPT);
}

/* A block that was written to another frame's place carries a checksum of its own place. */
static void
test_block_of_another_offset_does_not_check_out(void **state)
{
    (void)state;
    fill(10, 1000);
    encode();
    const struct weir_frame_block *blocks;
    size_t count;
    assert_int_equal(weir_frame_index(frame, frame_bytes, &blocks, &count), WEIR_OK);
    struct weir_sample samples[WEIR_BLOCK_SAMPLES];
    size_t in_block;
    const uint8_t *bytes = frame + blocks[0].at;
    assert_int_equal(
        weir_frame_decode_bytes(STREAM, OFFSET, &blocks[0], bytes, samples, &in_block), WEIR_OK);
    assert_int_equal(in_block, 10);
    assert_int_equal(
        weir_frame_decode_bytes(STREAM, OFFSET + 4096, &blocks[0], bytes, samples, &in_block),
        WEIR_CORRUPT);
}

static void
test_frame_damage_is_contained_to_the_block(void **state)
{
    (void)state;
    fill(3 * WEIR_BLOCK_SAMPLES, 100000);
    encode();
    const struct weir_frame_block *blocks;
    size_t count;
    assert_int_equal(weir_frame_index(frame, frame_bytes, &blocks, &count), WEIR_OK);
    assert_int_equal(count, 3);
    frame[blocks[1].at + 100] ^= 4;
    struct weir_sample samples[WEIR_BLOCK_SAMPLES];
    for (size_t i = 0; i < 3; i++) {
        size_t in_block = 0;
        assert_int_equal(
            weir_frame_decode_block(frame, frame_bytes, &blocks[i], samples, &in_block),
            i == 1 ? WEIR_CORRUPT : WEIR_OK);
    }
    assert_int_equal(weir_frame_check(frame, frame_bytes, STREAM, OFFSET), WEIR_CORRUPT);
}

/* Gives a changed header the checksum of what it now says. */
static void
seal_header(struct weir_frame_header *header)
{
    header->header_crc = weir_header_crc(header);
    memcpy(frame, header, sizeof *header);
}

static void
test_frame_of_a_later_version_is_refused(void **state)
{
    (void)state;
    fill(10, 1000);
    encode();
    struct weir_frame_header header;
    memcpy(&header, frame, sizeof header);
    header.sample_types = WEIR_SAMPLE_TYPE_FLOAT | 2;
    seal_header(&header);
    assert_int_equal(weir_frame_check_header(&header, STREAM, OFFSET), WEIR_UNSUPPORTED);
    const struct weir_frame_block *blocks;
    size_t count;
    assert_int_equal(weir_frame_index(frame, frame_bytes, &blocks, &count), WEIR_UNSUPPORTED);
    header.sample_types = WEIR_SAMPLE_TYPE_FLOAT;
    header.version = WEIR_FRAME_VERSION + 1;
    seal_header(&header);
    assert_int_equal(weir_frame_check_header(&header, STREAM, OFFSET), WEIR_UNSUPPORTED);
    assert_int_equal(weir_frame_check_header(&header, STREAM, OFFSET + 4096), WEIR_CORRUPT);
    header.sample_count++; /* one bit more: damage */
    assert_int_equal(weir_frame_check_header(&header, STREAM, OFFSET), WEIR_CORRUPT);
}

static void
test_header_whose_parts_do_not_fit_is_refused(void **state)
{
    (void)state;
    fill(10, 1000);
    encode();
    struct weir_frame_header good;
    memcpy(&good, frame, sizeof good);
    struct weir_frame_header bad[4] = {good, good, good, good};
    bad[0].block_count = UINT32_MAX;
    bad[1].definition_bytes = UINT32_MAX;
    bad[2].bytes = WEIR_FRAME_BYTES_MAX * 2;
    bad[3].bytes = good.bytes + 1;
    for (size_t i = 0; i < 4; i++) {
        seal_header(&bad[i]);
        assert_int_equal(weir_frame_check_header(&bad[i], STREAM, OFFSET), WEIR_CORRUPT);
        assert_int_equal(weir_frame_check(frame, frame_bytes, STREAM, OFFSET), WEIR_CORRUPT);
    }
}

static void
test_seal_says_what_it_fills_and_holds_no_samples(void **state)
{
    (void)state;
    uint8_t page[WEIR_FRAME_ALIGN] __attribute__((aligned(8)));
    weir_frame_seal(&place, 10 * WEIR_FRAME_ALIGN, page);
    assert_int_equal(weir_frame_check(page, sizeof page, STREAM, OFFSET), WEIR_OK);
    struct weir_frame_header header;
    memcpy(&header, page, sizeof header);
    assert_int_equal(header.type, WEIR_FRAME_SEAL);
    assert_int_equal(header.bytes, 10 * WEIR_FRAME_ALIGN);
    const struct weir_frame_block *blocks;
    size_t count;
    assert_int_equal(weir_frame_index(page, sizeof page, &blocks, &count), WEIR_CORRUPT);
}

/* Blocks of every kind of column, whole and with bytes changed at random. */
static void
test_block_decoder_agrees_with_its_twin(void **state)
{
    (void)state;
    unsigned refused = 0;
    for (unsigned round = 0; round < 40; round++) {
        fill(1 + round * 7, UINT64_C(1) << (1 + round % WEIR_SERIES_BITS));
        encode();
        const struct weir_frame_block *blocks;
        size_t count;
        assert_int_equal(weir_frame_index(frame, frame_bytes, &blocks, &count), WEIR_OK);
        /* of its own size, so that a read behind its end is seen by a sanitizer */
        size_t bytes = blocks[0].bytes;
        uint8_t *block = malloc(bytes);
        memcpy(block, frame + blocks[0].at, bytes);
        struct weir_frame_block entry;
        struct weir_sample samples[WEIR_BLOCK_SAMPLES];
        assert_true(twin_block_decode(block, bytes, &entry, samples));
        assert_int_equal(entry.samples, blocks[0].samples);
        assert_true(twin_block_agrees(block, bytes));
        for (unsigned i = 0; i < 200; i++) {
            /* mostly in the header, where it matters most */
            size_t at = next_random() % (i % 2 == 0 && bytes > 48 ? 48 : bytes);
            block[at] ^= (uint8_t)(1u << next_random() % 8);
            assert_true(twin_block_agrees(block, bytes));
            refused += !twin_block_decode(block, bytes, &entry, samples);
            memcpy(block, frame + blocks[0].at, bytes);
        }
        free(block);
    }
    assert_true(refused > 1000);
}

/* One block of each kind of column: docs/format/frame.md describes these bytes. */
static void
fill_golden(void)
{
    weir_batch_reset(batch);
    append(5, WEIR_VALUE_DECIMAL, -1, 1700000000123, (uint64_t)-1);
    append(3, WEIR_VALUE_DECIMAL, -2, 1700000000000, 12345);
    append(4, WEIR_VALUE_DOUBLE, 0, 1700000001000, weir_double_bits(0.1));
    append(3, WEIR_VALUE_DECIMAL, 0, 1700000000500, 0);
    append(700000, WEIR_VALUE_DECIMAL, 0, 1700000000400, WEIR_MANTISSA_MAX);
    for (uint64_t i = 0; i < WEIR_BLOCK_SAMPLES; i++)
        append(1000000 + i, WEIR_VALUE_DECIMAL, 0, 1700000002000, i);
    add_definitions(2);
    batch->definition_first = 1;
    batch->records = 4;
}

/* The file of that version, to be freed; its size in *size. */
static uint8_t *
read_golden(unsigned version, size_t *size)
{
    char path[1024];
    const char *folder = getenv("WEIR_GOLDEN");
    if (folder == NULL)
        skip();
    snprintf(path, sizeof path, "%s/frame_v%u.bin", folder, version);
    /* WEIR_GOLDEN_WRITE=1 makes the file anew: only for a new version of the format */
    if (version == WEIR_FRAME_VERSION && getenv("WEIR_GOLDEN_WRITE") != NULL) {
        FILE *out = fopen(path, "wb");
        assert_non_null(out);
        assert_int_equal(fwrite(frame, 1, frame_bytes, out), frame_bytes);
        fclose(out);
    }
    FILE *in = fopen(path, "rb");
    assert_non_null(in);
    uint8_t *golden = aligned_alloc(WEIR_FRAME_ALIGN, 1 << 20);
    *size = fread(golden, 1, 1 << 20, in);
    fclose(in);
    return golden;
}

static void
test_frame_bytes_are_those_of_version_two(void **state)
{
    (void)state;
    fill_golden();
    add_state_entries();
    round_trip();
    assert_true(twin_lists_agree(frame, frame_bytes));
    struct weir_frame_state piece;
    uint64_t at = 0;
    assert_int_equal(weir_frame_state_next(frame, frame_bytes, &at, &piece), WEIR_OK);
    assert_int_equal(piece.size, batch->state_bytes);
    assert_memory_equal(piece.list, batch->sender_state, piece.size);
    assert_int_equal(weir_frame_state_next(frame, frame_bytes, &at, &piece), WEIR_END);
    size_t size;
    uint8_t *golden = read_golden(2, &size);
    assert_int_equal(size, frame_bytes);
    assert_memory_equal(golden, frame, frame_bytes);
    free(golden);
}

/* Version 1 is read for ever. */
static void
test_frame_of_version_one_is_read(void **state)
{
    (void)state;
    fill_golden();
    free(frame);
    frame = read_golden(1, &frame_bytes);
    struct weir_frame_header header;
    memcpy(&header, frame, sizeof header);
    assert_int_equal(header.version, 1);
    decode_and_compare();
    struct weir_frame_definitions piece;
    uint64_t at = 0;
    assert_int_equal(weir_frame_definitions_next(frame, frame_bytes, &at, &piece), WEIR_OK);
    assert_int_equal(piece.first, 1);
    assert_int_equal(piece.count, 2);
    assert_int_equal(piece.size, batch->definition_bytes);
    assert_memory_equal(piece.list, batch->definitions, piece.size);
    assert_int_equal(weir_frame_definitions_next(frame, frame_bytes, &at, &piece), WEIR_END);
    assert_true(twin_lists_agree(frame, frame_bytes));
    /* there one bit costs the whole list */
    frame[weir_frame_front(&header) - 1] ^= 1;
    at = 0;
    assert_int_equal(weir_frame_definitions_next(frame, frame_bytes, &at, &piece), WEIR_CORRUPT);
    assert_int_equal(weir_frame_definitions_next(frame, frame_bytes, &at, &piece), WEIR_END);
    assert_true(twin_lists_agree(frame, frame_bytes));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_frame_round_trips_batches_of_every_size_around_a_block),
        TEST(test_frame_round_trips_every_spread_of_series),
        TEST(test_frame_round_trips_a_full_batch),
        TEST(test_frame_takes_an_ascending_batch_as_it_is),
        TEST(test_frame_keeps_arrival_order_within_a_series),
        TEST(test_frame_keeps_values_bit_for_bit_at_their_limits),
        TEST(test_frame_stays_below_its_bound_where_nothing_compresses),
        TEST(test_frame_of_hosts_stays_small),
        TEST(test_frame_carries_definitions_with_and_without_samples),
        TEST(test_frame_header_shows_what_the_batch_held),
        TEST(test_frame_check_notices_any_damaged_byte),
        TEST(test_frame_check_notices_a_cut_anywhere),
        TEST(test_frame_elsewhere_does_not_check_out),
        TEST(test_block_of_another_offset_does_not_check_out),
        TEST(test_frame_damage_is_contained_to_the_block),
        TEST(test_frame_of_a_later_version_is_refused),
        TEST(test_header_whose_parts_do_not_fit_is_refused),
        TEST(test_seal_says_what_it_fills_and_holds_no_samples),
        TEST(test_block_decoder_agrees_with_its_twin),
        TEST(test_frame_bytes_are_those_of_version_two),
        TEST(test_frame_of_version_one_is_read),
    };
    return cmocka_run_group_tests_name("frame", tests, NULL, NULL);
}
