/* Definitions and state entries of a frame in pieces: what they hold, how little damage costs. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "model/labels.h"
#include "model/sender_state/state.h"
#include "storage/frame/frame.h"
#include "storage/frame/lists.h"
#include "tests/fuzz/twin_lists.h"

#include <stdio.h>
#include <stdlib.h>

#define OFFSET UINT64_C(40960)
#define FIRST UINT64_C(1000)

static struct weir_batch *batch;
static struct weir_frame_encoder *encoder;
static uint8_t *frame;
static size_t frame_bytes;
static struct weir_frame_header header;

static int
set_up(void **state)
{
    (void)state;
    batch = aligned_alloc(4096, (sizeof *batch + 4095) & ~(size_t)4095);
    encoder = weir_frame_encoder_init(calloc(1, weir_frame_encoder_footprint()));
    memset(batch, 0, sizeof *batch);
    batch->definitions = malloc(WEIR_BATCH_DEFINITIONS_MAX);
    batch->sender_state = aligned_alloc(8, WEIR_BATCH_STATE_BYTES_MAX);
    return 0;
}

static int
tear_down(void **state)
{
    (void)state;
    free(batch->definitions);
    free(batch->sender_state);
    free(batch);
    free(encoder);
    free(frame);
    frame = NULL;
    return 0;
}

/* `count` definitions of `size` bytes each, as far as a batch has room; distinct by their first. */
static void
define(uint32_t count, uint32_t size)
{
    size_t used = 0;
    uint8_t labels[WEIR_LABELS_BYTES_MAX];
    weir_batch_reset(batch);
    batch->definition_first = FIRST;
    for (uint32_t i = 0; i < count; i++) {
        memset(labels, (int)i, size);
        if (size >= sizeof i)
            memcpy(labels, &i, sizeof i);
        if (weir_definition_append(batch->definitions, WEIR_BATCH_DEFINITIONS_MAX, &used, labels,
                size) != WEIR_OK)
            break;
        batch->definition_count++;
    }
    batch->definition_bytes = (uint32_t)used;
}

/* State entries of all sizes there are, as far as `bytes` go: of each its number as sequence. */
static struct {
    size_t at[WEIR_BATCH_STATE_BYTES_MAX / 32];
    uint64_t count;
} entries;

static void
put_entries(size_t bytes)
{
    static const uint32_t sizes[] = {32, 160, 48, 2048, 160, 32, 8192, 32};
    entries.count = 0;
    for (;;) {
        uint32_t size = sizes[entries.count % 8];
        if (batch->state_bytes + size > bytes)
            return;
        uint8_t *out = batch->sender_state + batch->state_bytes;
        memset(out, (int)entries.count, size);
        *(struct weir_state_entry *)out = (struct weir_state_entry){
            .type = size == 32 ? WEIR_STATE_FORGOTTEN
                : size == 160  ? WEIR_STATE_SEQUENCE
                               : WEIR_STATE_TEMPLATE,
            .bytes = size,
            .sequence = entries.count};
        entries.at[entries.count++] = batch->state_bytes;
        batch->state_bytes += size;
    }
}

static void
encode(void)
{
    const struct weir_frame_place place = {
        .offset = OFFSET, .segment_epoch = 1, .dataplane_epoch = 7};
    size_t bound = weir_frame_bound(batch);
    free(frame);
    frame = aligned_alloc(WEIR_FRAME_ALIGN, bound + WEIR_FRAME_ALIGN);
    memset(frame, 0xa5, bound + WEIR_FRAME_ALIGN);
    weir_frame_encode(encoder, batch, &place, frame, &frame_bytes, NULL);
    assert_true(frame_bytes <= bound && bound <= WEIR_FRAME_BYTES_MAX);
    for (size_t i = 0; i < 64; i++)
        assert_int_equal(frame[bound + i], 0xa5);
    memcpy(&header, frame, sizeof header);
}

/* Bytes of the batch's list that the frame gives back, numbers in order; *damaged pieces. */
static size_t
read_back(unsigned *damaged)
{
    struct weir_frame_definitions piece;
    enum weir_err err;
    size_t bytes = 0, known = 0;
    uint64_t at = 0, number = FIRST;
    *damaged = 0;
    while ((err = weir_frame_definitions_next(frame, frame_bytes, &at, &piece)) != WEIR_END) {
        if (err != WEIR_OK) {
            assert_int_equal(err, WEIR_CORRUPT);
            ++*damaged;
            continue;
        }
        for (; number < piece.first; number++) { /* of damaged pieces */
            uint32_t size;
            memcpy(&size, batch->definitions + known, sizeof size);
            known += sizeof size + size;
        }
        assert_memory_equal(piece.list, batch->definitions + known, piece.size);
        known += piece.size;
        bytes += piece.size;
        number += piece.count;
    }
    assert_true(twin_lists_agree(frame, frame_bytes));
    return bytes;
}

/* Bytes of state entries that the frame gives back, in order; *damaged pieces. */
static size_t
read_state_back(unsigned *damaged)
{
    struct weir_frame_state piece;
    enum weir_err err;
    size_t bytes = 0;
    uint64_t at = 0, number = 0;
    *damaged = 0;
    while ((err = weir_frame_state_next(frame, frame_bytes, &at, &piece)) != WEIR_END) {
        if (err != WEIR_OK) {
            assert_int_equal(err, WEIR_CORRUPT);
            ++*damaged;
            continue;
        }
        assert_int_equal((uintptr_t)piece.list % 8, 0);
        const struct weir_state_entry *entry;
        size_t in_piece = 0;
        while ((err = weir_state_next(piece.list, piece.size, &in_piece, &entry)) == WEIR_OK) {
            assert_true(entry->sequence >= number && entry->sequence < entries.count);
            number = entry->sequence;
            assert_memory_equal(entry, batch->sender_state + entries.at[number++], entry->bytes);
        }
        assert_int_equal(err, WEIR_END); /* pieces end with whole entries */
        bytes += piece.size;
    }
    assert_true(twin_lists_agree(frame, frame_bytes));
    return bytes;
}

static void
test_definitions_of_every_size_come_back_in_order(void **state)
{
    (void)state;
    static const struct {
        uint32_t count, size;
    } lists[] = {{0, 0}, {1, 0}, {1, 8192}, {3, 20}, {8, 8187}, {8, 8188}, {700, 100},
        {UINT32_MAX, 8192}, {UINT32_MAX, 93}, {UINT32_MAX, 1}};
    for (size_t i = 0; i < sizeof lists / sizeof lists[0]; i++)
        for (uint32_t state_bytes = 0; state_bytes <= 100000; state_bytes += 50000) {
            define(lists[i].count, lists[i].size);
            put_entries(state_bytes);
            encode();
            unsigned damaged;
            assert_int_equal(weir_frame_check(frame, frame_bytes, 0, OFFSET), WEIR_OK);
            assert_int_equal(read_back(&damaged), batch->definition_bytes);
            assert_int_equal(damaged, 0);
            assert_int_equal(read_state_back(&damaged), batch->state_bytes);
            assert_int_equal(damaged, 0);
            assert_int_equal((header.flags & WEIR_FRAME_SENDER_STATE) != 0, state_bytes != 0);
        }
}

static void
test_state_entries_of_every_size_come_back_in_order(void **state)
{
    (void)state;
    static const size_t sizes[] = {32, 192, 65496, 65496 + 32, 131072, WEIR_BATCH_STATE_BYTES_MAX};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++)
        for (uint32_t definitions = 0; definitions <= 2000; definitions += 1000) {
            define(definitions, 93);
            put_entries(sizes[i]);
            encode();
            unsigned damaged;
            assert_int_equal(weir_frame_check(frame, frame_bytes, 0, OFFSET), WEIR_OK);
            assert_int_equal(read_state_back(&damaged), batch->state_bytes);
            assert_int_equal(damaged, 0);
            assert_int_equal(read_back(&damaged), batch->definition_bytes);
            assert_int_equal(damaged, 0);
        }
}

/* Many small entries: all pieces but the last are full to the last one that fits. */
static void
test_piece_holds_as_many_entries_as_fit(void **state)
{
    (void)state;
    define(0, 0);
    for (; batch->state_bytes < 3 * 65472; batch->state_bytes += 32)
        *(struct weir_state_entry *)(batch->sender_state + batch->state_bytes) =
            (struct weir_state_entry){.type = WEIR_STATE_FORGOTTEN, .bytes = 32};
    encode();
    struct weir_frame_state piece;
    uint64_t at = 0;
    for (int i = 0; i < 3; i++) {
        assert_int_equal(weir_frame_state_next(frame, frame_bytes, &at, &piece), WEIR_OK);
        assert_int_equal(piece.size, 65472);
    }
    assert_int_equal(weir_frame_state_next(frame, frame_bytes, &at, &piece), WEIR_END);
    struct weir_piece_header second;
    memcpy(&second, frame + WEIR_FRAME_ALIGN + WEIR_PIECE_BYTES, sizeof second);
    assert_int_equal(second.kind, WEIR_PIECE_STATE);
    assert_int_equal(second.first, 65472 / 32);
    assert_int_equal(second.count, 65472 / 32);
}

/* What is no entry is kept as it came. */
static void
test_bytes_that_are_no_state_entry_are_kept(void **state)
{
    (void)state;
    define(0, 0);
    put_entries(70000);
    memset(batch->sender_state + batch->state_bytes, 0xff, 70000);
    batch->state_bytes += 70000;
    encode();
    assert_int_equal(weir_frame_check(frame, frame_bytes, 0, OFFSET), WEIR_OK);
    struct weir_frame_state piece;
    uint64_t at = 0;
    size_t bytes = 0;
    while (weir_frame_state_next(frame, frame_bytes, &at, &piece) == WEIR_OK) {
        assert_memory_equal(piece.list, batch->sender_state + bytes, piece.size);
        bytes += piece.size;
    }
    assert_int_equal(bytes, batch->state_bytes);
}

static void
test_flipped_bit_costs_at_most_64_kib_of_state_entries(void **state)
{
    (void)state;
    define(2000, 93);
    put_entries(500000);
    encode();
    uint64_t begin = WEIR_FRAME_ALIGN; /* there is no block */
    uint64_t flips = 0;
    for (uint64_t at = begin; at < begin + header.state_bytes; at += 3001) {
        frame[at] ^= 4;
        unsigned damaged;
        size_t lost = batch->state_bytes - read_state_back(&damaged);
        assert_int_equal(damaged, lost != 0);
        assert_true(lost <= WEIR_PIECE_BYTES);
        assert_int_equal(read_back(&damaged), batch->definition_bytes);
        flips += lost != 0;
        frame[at] ^= 4;
    }
    assert_true(flips > 100);
}

/* A piece of definitions where one of state entries has to be is none, though it checks out. */
static void
test_piece_of_another_kind_is_none(void **state)
{
    (void)state;
    for (int kind = 0; kind < 2; kind++) {
        define(3, 20);
        put_entries(192);
        encode();
        uint64_t at = kind == 0 ? sizeof header : weir_frame_front(&header) -
                header.definition_bytes;
        struct weir_piece_header piece;
        memcpy(&piece, frame + at, sizeof piece);
        assert_int_equal(piece.kind, kind == 0 ? WEIR_PIECE_STATE : WEIR_PIECE_DEFINITIONS);
        piece.kind = 3 - piece.kind;
        piece.header_crc =
            (uint32_t)twin_placed_crc(0, OFFSET + at, (const uint8_t *)&piece, 36);
        memcpy(frame + at, &piece, sizeof piece);
        assert_int_equal(
            weir_piece_check(frame + at, frame_bytes - at, 0, OFFSET + at, &piece), WEIR_OK);
        unsigned damaged;
        assert_int_equal(read_state_back(&damaged), kind == 0 ? 0 : 192);
        assert_int_equal(damaged, kind == 0);
        assert_int_equal(read_back(&damaged), kind == 0 ? batch->definition_bytes : 0);
        assert_int_equal(damaged, kind == 1);
    }
}

static void
test_pieces_of_a_long_list_begin_at_pages(void **state)
{
    (void)state;
    define(UINT32_MAX, 93);
    encode();
    uint64_t first = weir_frame_front(&header) - header.definition_bytes;
    assert_int_equal(first % WEIR_FRAME_ALIGN, 0);
    for (uint64_t at = first; at < weir_frame_front(&header); at += WEIR_PIECE_BYTES) {
        struct weir_piece_header piece;
        assert_int_equal(weir_piece_check(frame + at, WEIR_PIECE_BYTES < frame_bytes - at ?
                WEIR_PIECE_BYTES : frame_bytes - at, 0, OFFSET + at, &piece), WEIR_OK);
        assert_int_equal(piece.dataplane_epoch, 7);
    }
}

static void
test_flipped_bit_costs_at_most_64_kib_of_a_list(void **state)
{
    (void)state;
    define(4000, 93);
    encode();
    uint64_t end = weir_frame_front(&header), flips = 0;
    for (uint64_t at = end - header.definition_bytes; at < end; at += 3001) {
        frame[at] ^= 4;
        unsigned damaged;
        size_t lost = batch->definition_bytes - read_back(&damaged);
        assert_int_equal(damaged, lost != 0);
        assert_true(lost <= WEIR_PIECE_BYTES);
        flips += lost != 0;
        frame[at] ^= 4;
    }
    assert_true(flips > 100);
}

/* Neither costs the other. */
static void
test_state_entries_and_definitions_check_out_apart(void **state)
{
    (void)state;
    define(3, 20);
    put_entries(192);
    encode();
    unsigned damaged;
    frame[sizeof header + 3] ^= 1; /* the state entries: there is no block */
    assert_int_equal(read_state_back(&damaged), 0);
    assert_int_equal(damaged, 1);
    assert_int_equal(read_back(&damaged), batch->definition_bytes);
    frame[sizeof header + 3] ^= 1;
    frame[weir_frame_front(&header) - 1] ^= 1;
    assert_int_equal(read_state_back(&damaged), 192);
    assert_int_equal(damaged, 0);
    assert_int_equal(read_back(&damaged), 0);
    assert_int_equal(damaged, 1);
}

static void
test_cut_list_ends_the_walk(void **state)
{
    (void)state;
    define(3000, 93);
    put_entries(100000);
    encode();
    for (size_t bytes = 0; bytes < frame_bytes; bytes += 1009) {
        uint8_t *cut = aligned_alloc(8, (bytes + 8) & ~(size_t)7);
        memcpy(cut, frame, bytes);
        struct weir_frame_definitions piece;
        uint64_t at = 0;
        enum weir_err err;
        do {
            err = weir_frame_definitions_next(cut, bytes, &at, &piece);
        } while (err == WEIR_OK);
        assert_true(err == WEIR_CORRUPT || bytes >= weir_frame_front(&header));
        struct weir_frame_state piece_of_state;
        at = 0;
        do {
            err = weir_frame_state_next(cut, bytes, &at, &piece_of_state);
        } while (err == WEIR_OK);
        assert_true(err == WEIR_CORRUPT || bytes >= WEIR_FRAME_ALIGN + header.state_bytes);
        assert_true(bytes < sizeof header || twin_lists_agree(cut, bytes));
        free(cut);
    }
}

/* A piece of another frame, or of another place of this one, is none. */
static void
test_piece_elsewhere_does_not_check_out(void **state)
{
    (void)state;
    define(2000, 93);
    encode();
    uint64_t first = weir_frame_front(&header) - header.definition_bytes;
    memcpy(frame + first, frame + first + WEIR_PIECE_BYTES, WEIR_PIECE_BYTES);
    unsigned damaged;
    assert_true(read_back(&damaged) < batch->definition_bytes);
    assert_int_equal(damaged, 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_definitions_of_every_size_come_back_in_order),
        TEST(test_state_entries_of_every_size_come_back_in_order),
        TEST(test_piece_holds_as_many_entries_as_fit),
        TEST(test_bytes_that_are_no_state_entry_are_kept),
        TEST(test_flipped_bit_costs_at_most_64_kib_of_state_entries),
        TEST(test_piece_of_another_kind_is_none),
        TEST(test_pieces_of_a_long_list_begin_at_pages),
        TEST(test_flipped_bit_costs_at_most_64_kib_of_a_list),
        TEST(test_state_entries_and_definitions_check_out_apart),
        TEST(test_cut_list_ends_the_walk),
        TEST(test_piece_elsewhere_does_not_check_out),
    };
    return cmocka_run_group_tests_name("lists", tests, NULL, NULL);
}
