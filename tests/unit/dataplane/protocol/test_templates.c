/* Memory for templates of the weir protocol: it follows the series that were told, serves any size
 * after any history, is bounded for each sender and source, and state entries say only what is new.
 */
#include "dataplane/protocol/weir/channels/channels.h"
#include "dataplane/protocol/weir/channels/template_blocks.h"
#include "tests/unit/dataplane/stages_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define CHANNELS 64
#define TEMPLATE_BYTES (1u << 20)
#define TOTAL_MAX WEIR_WIRE_TEMPLATE_SERIES_MAX
#define SERIES_BELIEVED (UINT64_C(1) << 40)

static struct weir_hash_key key;

static struct weir_channels *
channels_of(uint64_t template_bytes)
{
    return weir_channels_init(zeroed(weir_channels_footprint(CHANNELS, template_bytes)), CHANNELS,
        template_bytes, &key);
}

static struct weir_channel *
channel_of(struct weir_channels *channels, uint64_t sender)
{
    uint64_t gaps = 0;
    struct weir_channel *channel = weir_channels_find_or_add(channels, sender, 0, 1, &gaps);
    assert_non_null(channel);
    return channel;
}

struct definition {
    uint16_t id;
    uint32_t hash;
    uint16_t total, first, count;
};

static struct weir_template *
define_template_at(struct weir_channels *channels, struct weir_channel *channel,
    struct definition definition, uint64_t sequence, const struct weir_owner *source)
{
    const struct weir_wire_record record = {.template_id = definition.id,
        .template_hash = definition.hash,
        .total = definition.total,
        .first = definition.first,
        .count = definition.count};
    uint8_t reason = WEIR_REASON_COUNT;
    struct weir_template *template =
        weir_channel_define(channels, channel, &record, sequence, source, &reason);
    assert_true((template == NULL) == (reason != WEIR_REASON_COUNT));
    return template;
}

static struct weir_template *
define_template(struct weir_channels *channels, struct weir_channel *channel,
    struct definition definition, const struct weir_owner *source)
{
    return define_template_at(channels, channel, definition, definition.hash, source);
}

static uint64_t
number_for(uint32_t index)
{
    return index * UINT64_C(7919) % 100003;
}

static void
enter(struct weir_channels *channels, struct weir_template *template, struct definition definition)
{
    for (uint32_t i = definition.first; i < (uint32_t)definition.first + definition.count; i++)
        weir_template_enter(channels, template, i, number_for(i));
}

/* ---- blocks ---- */

static void
test_blocks_merge_whatever_was_taken_before(void **state)
{
    (void)state;
    enum { UNITS = 3 * 2048 + 77, STEPS = 200000 };
    static uint8_t owned[UNITS + 2048];
    static uint32_t taken[UNITS];
    struct weir_blocks blocks;
    void *memory = zeroed(weir_blocks_footprint(UNITS * WEIR_BLOCK_UNIT));
    uint64_t random = 11;
    uint32_t count = 0, used = 0;
    weir_blocks_init(&blocks, memory, UNITS * WEIR_BLOCK_UNIT);
    for (int step = 0; step < STEPS; step++) {
        bool give = count > 0 && next_random(&random) % 100 < (step / 20000 % 2 == 0 ? 40 : 60);
        if (give) {
            uint32_t at = (uint32_t)(next_random(&random) % count), block = taken[at];
            uint32_t units = 1u << weir_block_order(&blocks, block);
            taken[at] = taken[--count];
            memset(owned + block - 1, 0, units);
            weir_block_free(&blocks, block);
            used -= units;
        } else {
            unsigned order = (unsigned)(next_random(&random) % (WEIR_BLOCK_ORDER_MAX + 1));
            uint32_t block = weir_block_allocate(&blocks, order), units = 1u << order;
            if (block == 0)
                continue;
            assert_true(block - 1 + units <= UNITS && (block - 1) % units == 0);
            for (uint32_t i = 0; i < units; i++)
                assert_int_equal(owned[block - 1 + i]++, 0);
            memset(weir_block_at(&blocks, block), 0xee, units * WEIR_BLOCK_UNIT);
            taken[count++] = block;
            used += units;
        }
        assert_int_equal(blocks.used, used);
    }
    while (count > 0)
        weir_block_free(&blocks, taken[--count]);
    for (int i = 0; i < 3; i++)
        assert_int_not_equal(weir_block_allocate(&blocks, WEIR_BLOCK_ORDER_MAX), 0);
    assert_int_equal(weir_block_allocate(&blocks, WEIR_BLOCK_ORDER_MAX), 0);
    for (int i = 0; i < 77; i++)
        assert_int_not_equal(weir_block_allocate(&blocks, 0), 0);
    assert_int_equal(weir_block_allocate(&blocks, 0), 0);
    free(memory);
}

/* ---- extents ---- */

static void
test_memory_follows_the_series_defined_not_the_total_claimed(void **state)
{
    (void)state;
    struct weir_channels *channels = channels_of(TEMPLATE_BYTES);
    struct weir_channel *channel = channel_of(channels, 1);
    assert_non_null(define_template(
        channels, channel, (struct definition){1, 1, TOTAL_MAX, TOTAL_MAX - 1, 1}, NULL));
    assert_int_equal(weir_templates_used(channels), 2 * WEIR_BLOCK_UNIT);
    assert_non_null(
        define_template(channels, channel, (struct definition){1, 1, TOTAL_MAX, 7, 1}, NULL));
    assert_int_equal(weir_templates_used(channels), 3 * WEIR_BLOCK_UNIT);
    weir_channel_restart(channels, channel, 2);
    assert_int_equal(weir_templates_used(channels), 0);
    free(channels);
}

/* Pieces in any order against a plain array. */
static void
check_numbers(const struct weir_channels *channels, const struct weir_template *template,
    const bool *entered)
{
    uint32_t unknown = 0;
    for (uint32_t i = 0; i < template->total; i++) {
        uint64_t number = weir_template_number(channels, template, i);
        assert_int_equal(number, entered[i] ? number_for(i) : WEIR_SERIES_UNKNOWN);
        unknown += !entered[i];
    }
    assert_int_equal(template->unknown, unknown);
}

static void
test_series_defined_in_any_order_have_their_numbers_and_state_entries_say_each_once(void **state)
{
    (void)state;
    static bool entered[TOTAL_MAX];
    struct weir_batch *batch = batch_new();
    for (uint64_t seed = 1; seed <= 30; seed++) {
        /* little memory: pieces cannot all become one */
        uint64_t bytes = seed % 3 == 0 ? 200u << 10 : TEMPLATE_BYTES;
        struct weir_channels *channels = channels_of(bytes), *after = channels_of(TEMPLATE_BYTES);
        struct weir_channel *channel = channel_of(channels, 1);
        uint64_t random = seed, marked = 0, rounds = 0;
        uint16_t total = (uint16_t)(1 + next_random(&random) % TOTAL_MAX);
        uint16_t most = (uint16_t)(1 + next_random(&random) % (seed % 2 == 0 ? 400 : 30));
        struct weir_template *template = NULL;
        memset(entered, 0, sizeof entered);
        for (int step = 0; step < 600; step++) {
            uint16_t first = (uint16_t)(next_random(&random) % total);
            uint16_t count = (uint16_t)(1 + next_random(&random) % most);
            if (first + count > total)
                count = (uint16_t)(total - first);
            const struct definition definition = {3, 5, total, first, count};
            struct weir_template *now = define_template(channels, channel, definition, NULL);
            if (now == NULL)
                continue;
            template = now;
            enter(channels, template, definition);
            memset(entered + first, true, count);
            if (step % 7 == 0) {
                weir_channels_dirty(channels, channel);
                weir_channels_write_state(channels, batch);
                weir_channels_restore(
                    after, batch->sender_state, batch->state_bytes, SERIES_BELIEVED);
                marked += batch->state_bytes;
                rounds++;
                weir_batch_reset(batch);
            }
        }
        weir_channels_dirty(channels, channel);
        weir_channels_write_state(channels, batch);
        weir_channels_restore(after, batch->sender_state, batch->state_bytes, SERIES_BELIEVED);
        marked += batch->state_bytes;
        weir_batch_reset(batch);
        check_numbers(channels, template, entered);
        const struct weir_template *again =
            weir_channel_template(after, weir_channels_find(after, 1, 0), 3);
        assert_non_null(again);
        check_numbers(after, again, entered);
        uint64_t known = (uint64_t)total - template->unknown;
        assert_true(marked <= known * 48 + (rounds + 1) * WEIR_STATE_ENTRY_BYTES_MAX);
        weir_channel_restart(channels, channel, 2);
        assert_int_equal(weir_templates_used(channels), 0);
        free(channels);
        free(after);
    }
    batch_free(batch);
}

static void
test_template_defined_whole_lies_in_one_piece(void **state)
{
    (void)state;
    struct weir_channels *channels = channels_of(TEMPLATE_BYTES);
    struct weir_channel *channel = channel_of(channels, 1);
    const uint16_t total = 16000, piece = 40;
    struct weir_template *template = NULL;
    for (int pass = 0; pass < 2; pass++) /* every second piece, then the others backwards */
        for (uint16_t i = 0; i < total / piece; i++)
            if (i % 2 == pass) {
                uint16_t at = pass == 0 ? i : (uint16_t)(total / piece - i);
                const struct definition definition = {1, 1, total, (uint16_t)(at * piece), piece};
                template = define_template(channels, channel, definition, NULL);
                assert_non_null(template);
                enter(channels, template, definition);
            }
    assert_int_equal(template->unknown, 0);
    const uint64_t *numbers = weir_template_numbers(channels, template, 0, total);
    assert_non_null(numbers);
    for (uint32_t i = 0; i < total; i++)
        assert_int_equal(numbers[i], number_for(i));
    free(channels);
}

/* The registrar's answer may find its template replaced and told again in part by then. */
static void
test_number_of_a_series_that_is_no_longer_reported_is_left_out(void **state)
{
    (void)state;
    const struct definition whole = {1, 5, 200, 0, 10}, other = {1, 6, 200, 0, 10};
    const struct definition again = {1, 5, 200, 100, 1};
    struct weir_channels *channels = channels_of(TEMPLATE_BYTES);
    struct weir_channel *channel = channel_of(channels, 1);
    assert_non_null(define_template(channels, channel, whole, NULL));
    assert_non_null(define_template(channels, channel, other, NULL));
    struct weir_template *template = define_template_at(channels, channel, again, 7, NULL);
    enter(channels, template, whole);
    enter(channels, template, again);
    assert_int_equal(weir_template_number(channels, template, 3), WEIR_SERIES_UNKNOWN);
    assert_int_equal(weir_template_number(channels, template, 100), number_for(100));
    assert_int_equal(template->unknown, 199);
    free(channels);
}

static void
test_definition_in_many_packets_writes_each_number_once(void **state)
{
    (void)state;
    struct weir_channels *channels = channels_of(TEMPLATE_BYTES);
    struct weir_channel *channel = channel_of(channels, 1);
    struct weir_batch *batch = batch_new();
    uint64_t marked = 0;
    enum { PACKETS = 2000 };
    for (uint16_t i = 0; i < PACKETS; i++) {
        const struct definition definition = {1, 1, PACKETS, i, 1};
        enter(channels, define_template(channels, channel, definition, NULL), definition);
        weir_channels_dirty(channels, channel);
        weir_channels_write_state(channels, batch);
        marked += batch->state_bytes;
        weir_batch_reset(batch);
    }
    assert_int_equal(marked, PACKETS * (sizeof(struct weir_state_entry) + 48));
    batch_free(batch);
    free(channels);
}

static void
test_state_entries_without_room_come_with_the_next_batch(void **state)
{
    (void)state;
    struct weir_channels *channels = channels_of(64u << 20), *after = channels_of(64u << 20);
    struct weir_channel *channel = channel_of(channels, 1);
    struct weir_batch *batch = batch_new();
    static bool entered[TOTAL_MAX];
    uint32_t batches = 0, entries = 0;
    memset(entered, true, sizeof entered);
    for (uint16_t id = 0; id < 20; id++) { /* 20 * 128 KiB of numbers that never ascend */
        const struct definition definition = {id, 1, TOTAL_MAX, 0, TOTAL_MAX};
        enter(channels, define_template(channels, channel, definition, NULL), definition);
    }
    weir_channels_dirty(channels, channel);
    while (weir_channels_owe_state(channels)) {
        weir_channels_write_state(channels, batch);
        const struct weir_state_entry *entry;
        size_t at = 0;
        enum weir_err err;
        while ((err = weir_state_next(batch->sender_state, batch->state_bytes, &at, &entry)) ==
            WEIR_OK) {
            assert_true(entry->bytes <= WEIR_STATE_TEMPLATE_BYTES_MAX); /* a piece holds many */
            entries++;
        }
        assert_int_equal(err, WEIR_END);
        weir_channels_restore(after, batch->sender_state, batch->state_bytes, SERIES_BELIEVED);
        weir_batch_reset(batch);
        batches++;
    }
    assert_int_equal(batches, 2);
    assert_true(entries >= 20 * 17);
    for (uint16_t id = 0; id < 20; id++)
        check_numbers(after,
            weir_channel_template(after, weir_channels_find(after, 1, 0), id), entered);
    batch_free(batch);
    free(channels);
    free(after);
}

/* ---- many senders ---- */

static uint32_t
fill(struct weir_channels *channels, uint64_t first, uint64_t channels_count, uint16_t count,
    const struct weir_owner *source)
{
    uint32_t definition = 0;
    for (uint64_t i = 0; i < channels_count; i++)
        for (uint16_t id = 0; id < WEIR_WIRE_TEMPLATES_MAX; id++)
            definition += define_template(channels, channel_of(channels, first + i),
                (struct definition){id, 1, TOTAL_MAX, 0, count}, source) != NULL;
    return definition;
}

static void
test_no_source_and_no_sender_holds_more_than_its_share(void **state)
{
    (void)state;
    struct weir_channels *channels = channels_of(TEMPLATE_BYTES);
    struct weir_peer stranger = {.port = 1}, honest = {.port = 2};
    weir_peer_set_ipv4(&stranger, (const uint8_t[]){192, 0, 2, 1});
    weir_peer_set_ipv4(&honest, (const uint8_t[]){192, 0, 2, 2});
    struct weir_owner a = weir_owner_source(&stranger), b = weir_owner_source(&honest);
    fill(channels, 1000, 30, 100, &a);
    assert_true(weir_templates_used(channels) <= TEMPLATE_BYTES / 2 + 2048);
    /* one id from many sources is bounded too */
    uint64_t before = weir_templates_used(channels);
    for (uint16_t id = 0; id < WEIR_WIRE_TEMPLATES_MAX; id++) {
        struct weir_peer other = {.port = 3};
        weir_peer_set_ipv4(&other, (const uint8_t[]){198, 51, 100, (uint8_t)id});
        struct weir_owner source = weir_owner_source(&other);
        (void)define_template(
            channels, channel_of(channels, 7), (struct definition){id, 1, 400, 0, 400}, &source);
    }
    assert_in_range(weir_templates_used(channels) - before, 1, TEMPLATE_BYTES / 8);
    assert_non_null(define_template(
        channels, channel_of(channels, 8), (struct definition){1, 1, 200, 0, 200}, &b));
    /* what was freed serves any size */
    for (uint64_t i = 0; i < 30; i++)
        weir_channel_restart(channels, channel_of(channels, 1000 + i), 2);
    assert_non_null(define_template(
        channels, channel_of(channels, 9), (struct definition){1, 1, 8000, 0, 8000}, &b));
    free(channels);
}

static void
test_memory_given_back_serves_every_size(void **state)
{
    (void)state;
    struct weir_channels *channels = channels_of(TEMPLATE_BYTES);
    assert_true(fill(channels, 1000, 40, 3, NULL) > 2000);
    for (uint64_t i = 0; i < 40; i++)
        weir_channel_restart(channels, channel_of(channels, 1000 + i), 2);
    assert_int_equal(weir_templates_used(channels), 0);
    for (uint64_t sender = 1; sender <= 3; sender++)
        assert_non_null(define_template(channels, channel_of(channels, sender),
            (struct definition){1, 1, TOTAL_MAX, 0, TOTAL_MAX}, NULL));
    free(channels);
}

int
main(void)
{
    static const uint8_t seed[WEIR_HASH_SEED_BYTES] = "templates";
    weir_hash_key_init(&key, seed);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_blocks_merge_whatever_was_taken_before),
        cmocka_unit_test(test_memory_follows_the_series_defined_not_the_total_claimed),
        cmocka_unit_test(
            test_series_defined_in_any_order_have_their_numbers_and_state_entries_say_each_once),
        cmocka_unit_test(test_template_defined_whole_lies_in_one_piece),
        cmocka_unit_test(test_number_of_a_series_that_is_no_longer_reported_is_left_out),
        cmocka_unit_test(test_definition_in_many_packets_writes_each_number_once),
        cmocka_unit_test(test_state_entries_without_room_come_with_the_next_batch),
        cmocka_unit_test(test_no_source_and_no_sender_holds_more_than_its_share),
        cmocka_unit_test(test_memory_given_back_serves_every_size),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
