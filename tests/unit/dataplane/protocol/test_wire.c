/* The weir protocol: templates and state entries through a restart, the client's bytes against
 * tests/golden/wire.txt, and packets with one byte changed. */
#include "tests/unit/dataplane/protocol/wire_fixture.h"

/* Forty channels whose templates fill several batches, and a few that have little to say. */
static void
test_templates_that_find_no_room_in_a_batch_are_owed_and_keep_no_channel_changed(void **state)
{
    (void)state;
    enum { OWING = 40, SERIES = 12000, FEW = 5 };
    const uint64_t room = 8u << 20;
    struct weir_channels *before =
        weir_channels_init(zeroed(weir_channels_footprint(64, room)), 64, room, &key);
    struct weir_channels *after =
        weir_channels_init(zeroed(weir_channels_footprint(64, room)), 64, room, &key);
    struct weir_batch *batch = batch_new();
    uint64_t gaps = 0;
    uint32_t batches = 0;
    for (uint64_t sender = 1; sender <= OWING + FEW; sender++) {
        struct weir_channel *channel = weir_channels_find_or_add(before, sender, 0, 5, &gaps);
        const uint16_t count = sender <= OWING ? SERIES : 1;
        struct weir_wire_record record = {
            .template_id = 4, .template_hash = 77, .count = count, .total = count};
        uint8_t reason = WEIR_REASON_COUNT;
        struct weir_template *template =
            weir_channel_define(before, channel, &record, 3, NULL, &reason);
        assert_non_null(template);
        for (uint32_t i = 0; i < count; i++) /* no two of them follow each other */
            weir_template_enter(before, template, i, sender + 2 * (uint64_t)(count - i));
        weir_channels_dirty(before, channel);
    }
    while (weir_channels_owe_state(before)) {
        weir_channels_write_state(before, batch);
        assert_int_equal(weir_channels_dirty_count(before), 0);
        weir_channels_restore(after, batch->sender_state, batch->state_bytes, UINT64_MAX);
        weir_batch_reset(batch);
        if (batches++ == 0) /* one that owes is forgotten; one that owes has news */
            weir_channel_leave(before, weir_channels_find(before, OWING, 0));
        if (batches == 2)
            weir_channels_dirty(before, weir_channels_find(before, OWING - 1, 0));
        assert_in_range(batches, 1, 100);
    }
    assert_in_range(batches, 3, 100);
    for (uint64_t sender = 1; sender <= OWING + FEW; sender++) {
        if (sender == OWING)
            continue;
        const struct weir_channel *back = weir_channels_find(after, sender, 0);
        assert_non_null(back);
        const struct weir_template *again = weir_channel_template(after, back, 4);
        assert_non_null(again);
        assert_int_equal(again->unknown, 0);
        for (uint32_t i = 0; i < again->total; i++)
            assert_int_equal(weir_template_number(after, again, i),
                sender + 2 * (uint64_t)(again->total - i));
    }
    batch_free(batch);
    free(before);
    free(after);
}

static void
test_state_entries_bring_back_windows_and_templates(void **state)
{
    (void)state;
    struct weir_channels *before = channels_new(), *after = channels_new();
    uint64_t gaps = 0;
    struct weir_channel *channel = weir_channels_find_or_add(before, 9, 2, 5, &gaps);
    for (uint64_t number = 1; number <= 3000; number += 1 + number % 3)
        weir_channel_meet(channel, number, &gaps);
    struct weir_wire_record record = {
        .template_id = 4, .template_hash = 77, .count = 10, .total = 10};
    uint8_t reason = WEIR_REASON_COUNT;
    struct weir_template *template =
        weir_channel_define(before, channel, &record, 3, NULL, &reason);
    const uint64_t numbers[10] = {5, 6, 7, UINT64_MAX, 50, 40, 41, 8, 99, UINT64_MAX};
    for (uint32_t i = 0; i < 10; i++)
        if (numbers[i] != UINT64_MAX)
            weir_template_enter(before, template, i, numbers[i]);
    weir_channels_dirty(before, channel);
    struct weir_batch *batch = batch_new();
    weir_channels_write_state(before, batch);
    assert_int_equal(weir_channels_dirty_count(before), 0);
    assert_false(template->unlogged);
    assert_int_equal(batch->series_through, 100);
    weir_channels_restore(after, batch->sender_state, batch->state_bytes, 100);
    struct weir_channel *back = weir_channels_find(after, 9, 2);
    assert_non_null(back);
    assert_int_equal(back->epoch, 5);
    assert_int_equal(back->highest, channel->highest);
    assert_memory_equal(back->seen, channel->seen, sizeof back->seen);
    const struct weir_template *again = weir_channel_template(after, back, 4);
    assert_non_null(again);
    assert_int_equal(again->hash, 77);
    assert_int_equal(again->unknown, 2);
    for (uint32_t i = 0; i < 10; i++)
        assert_int_equal(weir_template_number(after, again, i), numbers[i]);
    batch_free(batch);
    free(before);
    free(after);
}

static void
test_templates_are_replaced_by_newer_ones_and_their_blocks_used_again(void **state)
{
    (void)state;
    struct weir_channels *channels = channels_new();
    uint64_t gaps = 0;
    struct weir_channel *channel = weir_channels_find_or_add(channels, 1, 0, 1, &gaps);
    uint8_t reason = WEIR_REASON_COUNT;
    for (uint32_t i = 1; i <= 100000; i++) {
        struct weir_wire_record record = {
            .template_id = (uint16_t)(i % 3), .template_hash = i, .count = (uint16_t)(i % 500 + 1),
            .total = (uint16_t)(i % 500 + 1)};
        assert_non_null(weir_channel_define(channels, channel, &record, i, NULL, &reason));
    }
    struct weir_wire_record old = {.template_id = 1, .template_hash = 1, .total = 5};
    assert_null(weir_channel_define(channels, channel, &old, 1, NULL, &reason));
    assert_int_equal(reason, WEIR_REASON_COUNT);
    for (uint16_t id = 3; id < WEIR_WIRE_TEMPLATES_MAX; id++) {
        struct weir_wire_record more = {.template_id = id, .template_hash = 1, .total = 1};
        assert_non_null(weir_channel_define(channels, channel, &more, 1, NULL, &reason));
    }
    struct weir_wire_record last = {.template_id = 99, .template_hash = 1, .total = 1};
    assert_null(weir_channel_define(channels, channel, &last, 1, NULL, &reason));
    assert_int_equal(reason, WEIR_REASON_templates_full);
    free(channels);
}

static void
collect(void *context, const uint8_t *packet, size_t size)
{
    struct packets *packets = context;
    assert_true(packets->count < 8 && size <= 2048);
    memcpy(packets->data[packets->count], packet, size);
    packets->size[packets->count++] = size;
}

static void
client_packets(struct packets *packets)
{
    const struct weir_client_options options = {.sender = UINT64_C(0x0102030405060708),
        .epoch = 7, .channel = 3, .emit = collect, .emit_context = packets};
    const struct weir_client_label common[] = {{"job", "golden"}, {"host", "a"}};
    const struct weir_client_label first[] = {{"__name__", "first"}};
    const struct weir_client_label second[] = {{"__name__", "second"}, {"core", "0"}};
    const struct weir_client_series series[] = {{first, 1}, {second, 2}};
    struct weir_client *client;
    uint16_t id;
    assert_int_equal(weir_client_new(&options, &client), 0);
    assert_int_equal(weir_client_add_template(client, common, 2, series, 2, &id), 0);
    assert_int_equal(weir_client_add_values(client, id, 0, (double[]){1.5, -2}, 2, NOW_MS), 0);
    assert_int_equal(weir_client_add_values(client, id, 1, (double[]){0.1}, 1, NOW_MS + 10), 0);
    assert_int_equal(weir_client_close(client, 0), 0);
}

static void
test_the_clients_bytes_are_the_golden_ones(void **state)
{
    (void)state;
    static struct packets packets;
    packets.count = 0;
    client_packets(&packets);
    FILE *file = fopen(getenv("WEIR_GOLDEN_WIRE"), "r");
    assert_non_null(file);
    for (size_t i = 0; i < packets.count; i++) {
        char name[32], hex[4097];
        assert_int_equal(fscanf(file, "%31s %4096s", name, hex), 2);
        assert_int_equal(strlen(hex), 2 * packets.size[i]);
        for (size_t at = 0; at < packets.size[i]; at++) {
            char digits[3];
            snprintf(digits, sizeof digits, "%02x", packets.data[i][at]);
            assert_memory_equal(digits, hex + 2 * at, 2);
        }
    }
    assert_int_equal(packets.count, 3);
    fclose(file);
}

static struct weir_parsed parsed;
static struct weir_definitions definitions;

/* Parses one datagram in memory of its exact size, which stays until the next: items point there.
 */
static void
parse(struct weir_channels *channels, const struct weir_series *series, const uint8_t *data,
    size_t size)
{
    static uint8_t *exact;
    free(exact);
    exact = malloc(size + WEIR_PACKET_SLACK);
    assert_non_null(exact);
    memcpy(exact, data, size);
    const struct weir_parse_context context = {.key = &key,
        .time_min_ms = INT64_MIN,
        .time_max_ms = INT64_MAX,
        .channels = channels,
        .series = series,
        .definitions = &definitions,
        .refusal = WEIR_REASON_NONE};
    struct weir_packet packet = {.data = exact, .size = (uint32_t)size, .final = true};
    weir_parsed_reset(&parsed);
    size_t at = weir_wire_parse(&context, &packet, 0, &parsed);
    assert_true(at == size && parsed.record_count > 0 && !parsed.waits);
}

static void
define(struct weir_series *series, const char *name)
{
    struct weir_label labels[4] = {
        {(const uint8_t *)"__name__", (const uint8_t *)name, 8, (uint16_t)strlen(name)},
        {(const uint8_t *)"job", (const uint8_t *)"golden", 3, 6},
        {(const uint8_t *)"host", (const uint8_t *)"a", 4, 1},
        {(const uint8_t *)"core", (const uint8_t *)"0", 4, 1}};
    uint8_t canonical[WEIR_LABELS_BYTES_MAX];
    size_t size;
    uint64_t number;
    bool defined;
    assert_int_equal(weir_labels_encode(labels, strcmp(name, "first") == 0 ? 3 : 4, canonical,
        &size), WEIR_OK);
    assert_int_equal(weir_series_define(series, weir_series_fingerprint(series, canonical, size),
        &number, &defined), WEIR_OK);
}

static void
test_groups_name_their_series_by_number(void **state)
{
    (void)state;
    static struct packets packets;
    packets.count = 0;
    client_packets(&packets);
    struct weir_channels *channels = channels_new();
    struct weir_series *series = series_new(&key, SERIES_MAX);
    parse(channels, series, packets.data[1], packets.size[1]);
    assert_int_equal(parsed.samples_rejected[WEIR_REASON_no_template], 3);
    struct weir_channel *channel =
        weir_channels_find(channels, UINT64_C(0x0102030405060708), 3);
    weir_channel_restart(channels, channel, 7);
    define(series, "second");
    define(series, "first");
    parse(channels, series, packets.data[0], packets.size[0]);
    assert_int_equal(parsed.items[0].kind, WEIR_WIRE_ITEM_EMPTY);
    parse(channels, series, packets.data[1], packets.size[1]);
    assert_int_equal(parsed.record_count, 2);
    struct weir_batch *batch = batch_new();
    for (int i = 0; i < 2; i++) {
        const struct weir_wire_item *item = &parsed.items[i];
        weir_group_append(batch, item->numbers, item->values, item->offsets, item->count,
            item->time_ms);
    }
    assert_int_equal(batch->count, 3);
    const double values[] = {1.5, -2, 0.1};
    const uint64_t numbers[] = {1, 0, 0};
    for (int i = 0; i < 3; i++) {
        assert_int_equal(weir_sample_series(&batch->samples[i]), numbers[i]);
        assert_true(weir_sample_double(&batch->samples[i]) == values[i]);
        assert_int_equal(batch->samples[i].time_ms, NOW_MS + (i == 2 ? 10 : 0));
    }
    assert_int_equal(weir_sample_kind(&batch->samples[1]), WEIR_VALUE_DECIMAL);
    assert_false(batch->ascending);
    batch_free(batch);
    free(channels);
    free(series);
}

static void
enter_checksum(uint8_t *data, size_t size)
{
    uint32_t crc = weir_crc32c(weir_crc32c(0, data, 44), data + 64, size - 64);
    memcpy(data + 44, &crc, sizeof crc);
}

static void
test_groups_of_a_newer_epoch_find_no_template_of_the_one_before(void **state)
{
    (void)state;
    static struct packets packets;
    packets.count = 0;
    client_packets(&packets);
    struct weir_channels *channels = channels_new();
    struct weir_series *series = series_new(&key, SERIES_MAX);
    define(series, "first");
    define(series, "second");
    parse(channels, series, packets.data[0], packets.size[0]);
    parse(channels, series, packets.data[1], packets.size[1]);
    assert_int_equal(parsed.records[0].reason, WEIR_REASON_NONE);
    struct weir_wire_header header;
    memcpy(&header, packets.data[1], sizeof header);
    header.epoch++;
    memcpy(packets.data[1], &header, sizeof header);
    enter_checksum(packets.data[1], packets.size[1]);
    parse(channels, series, packets.data[1], packets.size[1]);
    assert_int_equal(parsed.record_count, 2);
    for (int i = 0; i < 2; i++)
        assert_int_equal(parsed.records[i].reason, WEIR_REASON_no_template);
    assert_int_equal(parsed.samples_rejected[WEIR_REASON_no_template], 3);
    free(channels);
    free(series);
}

/* A number would be acknowledged, and after a crash be a duplicate, before what it defined is in
 * the log. */
static void
test_a_definition_with_a_number_is_refused(void **state)
{
    (void)state;
    static struct packets packets;
    packets.count = 0;
    client_packets(&packets);
    struct weir_channels *channels = channels_new();
    struct weir_series *series = series_new(&key, SERIES_MAX);
    struct weir_wire_header header;
    uint8_t *data = packets.data[0];
    memcpy(&header, data, sizeof header);
    assert_int_equal(header.flags, WEIR_WIRE_UNNUMBERED);
    header.flags = 0;
    header.sequence = 1;
    memcpy(data, &header, sizeof header);
    enter_checksum(data, packets.size[0]);
    parse(channels, series, data, packets.size[0]);
    assert_int_equal(parsed.record_count, 1);
    assert_int_equal(parsed.records[0].reason, WEIR_REASON_bad_packet);
    assert_null(weir_channels_find(channels, header.sender, header.channel));
    free(channels);
    free(series);
}

/* Whatever a byte is changed to, with a checksum that fits: records are counted, nothing outside
 * the packet is read (the sanitizers look), and what is accepted lies inside. */
static void
test_no_changed_byte_is_read_past_the_packet(void **state)
{
    (void)state;
    static struct packets packets;
    packets.count = 0;
    client_packets(&packets);
    struct weir_series *series = series_new(&key, SERIES_MAX);
    define(series, "first");
    define(series, "second");
    for (size_t n = 0; n < packets.count; n++) {
        for (size_t at = 0; at < packets.size[n]; at++) {
            for (int change = 1; change < 256; change += at < 80 || at % 64 < 16 ? 1 : 37) {
                struct weir_channels *channels = channels_new();
                if (n > 0)
                    parse(channels, series, packets.data[0], packets.size[0]);
                uint8_t data[2048];
                memcpy(data, packets.data[n], packets.size[n]);
                data[at] ^= (uint8_t)change;
                enter_checksum(data, packets.size[n]);
                parse(channels, series, data, packets.size[n]);
                for (uint32_t i = 0; i < parsed.record_count; i++)
                    if (parsed.records[i].reason == WEIR_REASON_NONE &&
                        parsed.items[i].kind == WEIR_WIRE_ITEM_GROUP)
                        for (uint32_t k = 0; k < parsed.items[i].count; k++)
                            assert_true(parsed.items[i].numbers[k] < 2);
                free(channels);
                if (at >= 16 && at < 44)
                    change += 60;
            }
        }
    }
    free(series);
}

int
main(void)
{
    const uint8_t seed[WEIR_HASH_SEED_BYTES] = {1};
    weir_hash_key_init(&key, seed);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_state_entries_bring_back_windows_and_templates),
        cmocka_unit_test(
            test_templates_that_find_no_room_in_a_batch_are_owed_and_keep_no_channel_changed),
        cmocka_unit_test(test_templates_are_replaced_by_newer_ones_and_their_blocks_used_again),
        cmocka_unit_test(test_the_clients_bytes_are_the_golden_ones),
        cmocka_unit_test(test_groups_name_their_series_by_number),
        cmocka_unit_test(test_groups_of_a_newer_epoch_find_no_template_of_the_one_before),
        cmocka_unit_test(test_a_definition_with_a_number_is_refused),
        cmocka_unit_test(test_no_changed_byte_is_read_past_the_packet),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
