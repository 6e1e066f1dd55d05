/* Definitions of the weir protocol: labels joined as a plain sort would join them, series that are
 * known or go to the registrar, numbers that come back. */
#include "base/clock.h"
#include "dataplane/protocol/deferral.h"
#include "dataplane/protocol/weir/definition.h"
#include "dataplane/protocol/weir/record.h"
#include "dataplane/protocol/weir/weir.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define SERIES_MAX 5000
#define TEMPLATE_BYTES (1u << 20)
#define SENDER 7
#define EPOCH 1
#define RECORD_MAX 65536

static struct {
    struct weir_hash_key key;
    void *memory[2];
    struct weir_parse_context context;
    struct weir_series *series;
    struct weir_definitions *definitions;
    struct weir_channel *channel;
    uint8_t *record; /* being written, with slack behind */
    size_t used;
} t;

static void *
zeroed(size_t size)
{
    size = (size + 4095) & ~(size_t)4095;
    void *memory = aligned_alloc(4096, size);
    assert_non_null(memory);
    memset(memory, 0, size);
    return memory;
}

static int
setup(void **state)
{
    (void)state;
    static const uint8_t seed[WEIR_HASH_SEED_BYTES] = "definitions";
    uint64_t gaps = 0;
    weir_hash_key_init(&t.key, seed);
    t.memory[0] = zeroed(weir_channels_footprint(8, TEMPLATE_BYTES));
    t.memory[1] = zeroed(weir_series_footprint(SERIES_MAX));
    t.series = weir_series_init(t.memory[1], SERIES_MAX, &t.key);
    t.definitions = zeroed(sizeof *t.definitions);
    t.context = (struct weir_parse_context){.key = &t.key,
        .channels = weir_channels_init(t.memory[0], 8, TEMPLATE_BYTES, &t.key),
        .series = t.series,
        .definitions = t.definitions};
    t.channel = weir_channels_find_or_add(t.context.channels, SENDER, 0, EPOCH, &gaps);
    t.record = zeroed(RECORD_MAX + WEIR_PACKET_SLACK);
    return 0;
}

static int
teardown(void **state)
{
    (void)state;
    free(t.memory[0]);
    free(t.memory[1]);
    free(t.definitions);
    free(t.record);
    return 0;
}

static uint64_t
next_random(uint64_t *state)
{
    *state ^= *state >> 12; /* xorshift64* (Vigna, ACM TOMS 2016) */
    *state ^= *state << 25;
    *state ^= *state >> 27;
    return *state * UINT64_C(2685821657736338717);
}

/* ---- a record ---- */

static void
put_label(const char *name, const char *value)
{
    uint16_t sizes[2] = {(uint16_t)strlen(name), (uint16_t)strlen(value)};
    assert_true(t.used + sizeof sizes + sizes[0] + sizes[1] <= RECORD_MAX);
    memcpy(t.record + t.used, sizes, sizeof sizes);
    memcpy(t.record + t.used + sizeof sizes, name, sizes[0]);
    memcpy(t.record + t.used + sizeof sizes + sizes[0], value, sizes[1]);
    t.used += sizeof sizes + sizes[0] + sizes[1];
}

static size_t
list_begin(void)
{
    t.used += 2;
    return t.used;
}

static void
list_end(size_t begin)
{
    uint16_t size = (uint16_t)(t.used - begin);
    memcpy(t.record + begin - sizeof size, &size, sizeof size);
}

/* Common labels first, then series of these names; their own label comes before the name. */
static void
put_definition(uint16_t id, uint32_t hash, const char *common, const char *const *names,
    uint16_t count)
{
    t.used = sizeof(struct weir_wire_record);
    size_t begin = list_begin();
    put_label("job", common);
    put_label("zone", "z");
    list_end(begin);
    for (uint16_t i = 0; i < count; i++) {
        begin = list_begin();
        put_label("kind", "k");
        put_label("__name__", names[i]);
        list_end(begin);
    }
    const struct weir_wire_record record = {.type = WEIR_WIRE_DEFINITION,
        .length = (uint16_t)t.used,
        .template_id = id,
        .template_hash = hash,
        .count = count,
        .total = count};
    memcpy(t.record, &record, sizeof record);
}

static struct weir_wire_item
apply(void)
{
    struct weir_wire_item item = {.channel = t.channel, .sequence = 1};
    uint8_t reason = WEIR_REASON_NONE;
    weir_definition_apply(&t.context, t.channel, t.record, NULL, &item, &reason);
    assert_int_equal(reason, WEIR_REASON_NONE);
    return item;
}

/* ---- the registrar ---- */

static uint64_t
define(const uint8_t *labels, size_t size)
{
    uint64_t number;
    bool defined;
    assert_int_equal(weir_series_define(t.series, weir_series_fingerprint(t.series, labels, size),
        &number, &defined), WEIR_OK);
    return number;
}

/* What the worker sends of the record, as a list or as it came. */
static uint8_t *
deferred(const struct weir_wire_item *item, bool list)
{
    const struct weir_definition_text text = {.sender = SENDER,
        .sequence = 1,
        .epoch = EPOCH,
        .list_count = list ? (uint16_t)item->list_count : 0};
    uint8_t *out = zeroed(sizeof text + t.used + item->list_bytes + WEIR_PACKET_SLACK);
    size_t head = list ? sizeof(struct weir_wire_record) : t.used;
    memcpy(out, &text, sizeof text);
    memcpy(out + sizeof text, t.record, head);
    if (list)
        memcpy(out + sizeof text + head, item->list, item->list_bytes);
    t.channel->pending++;
    return out;
}

static void
define_list(uint8_t *deferred, uint32_t count)
{
    uint8_t *list = deferred + sizeof(struct weir_definition_text) +
        sizeof(struct weir_wire_record);
    for (uint32_t i = 0; i < count; i++) {
        struct weir_deferred_point *point = (void *)list;
        if (point->labels_size > 0)
            point->number = define((const uint8_t *)(point + 1), point->labels_size);
        list += weir_deferred_point_bytes(point->labels_size);
    }
}

static uint64_t
number_of(uint16_t id, uint32_t index)
{
    const struct weir_template *template =
        weir_channel_template(t.context.channels, t.channel, id);
    assert_non_null(template);
    return weir_template_number(t.context.channels, template, index);
}

/* ---- tests ---- */

static void
test_numbers_of_a_list_come_back_into_the_template(void **state)
{
    (void)state;
    static const char *const names[] = {"a", "b", "\xff", "c"};
    put_definition(3, 30, "j", names, 4);
    struct weir_wire_item item = apply();
    assert_int_equal(item.kind, WEIR_WIRE_ITEM_DEFINITION);
    assert_int_equal(item.list_count, 4);
    uint8_t *sent = deferred(&item, true);
    define_list(sent, item.list_count);
    weir_definition_completed(&t.context, sent);
    free(sent);
    assert_int_equal(t.channel->pending, 0);
    assert_int_equal(number_of(3, 0), 0);
    assert_int_equal(number_of(3, 1), 1);
    assert_int_equal(number_of(3, 2), WEIR_SERIES_UNKNOWN); /* is not UTF-8 */
    assert_int_equal(number_of(3, 3), 2);

    item = apply(); /* said again: what can have a number has one */
    assert_int_equal(item.kind, WEIR_WIRE_ITEM_DEFINITION);
    assert_int_equal(item.list_count, 1);
    static const char *const good[] = {"a", "b", "d", "c"};
    put_definition(4, 40, "j", good, 4);
    item = apply();
    assert_int_equal(item.kind, WEIR_WIRE_ITEM_DEFINITION);
    assert_int_equal(number_of(4, 1), 1);
    assert_int_equal(number_of(4, 2), WEIR_SERIES_UNKNOWN);
    uint8_t *listed = deferred(&item, true), *as_it_came = deferred(&item, false);
    weir_definition_completed(&t.context, as_it_came); /* which defined nothing: no room */
    assert_int_equal(number_of(4, 2), WEIR_SERIES_UNKNOWN);
    define_list(listed, item.list_count);
    weir_definition_completed(&t.context, as_it_came); /* which did */
    free(listed);
    free(as_it_came);
    assert_int_equal(number_of(4, 2), 3);
    assert_int_equal(apply().kind, WEIR_WIRE_ITEM_EMPTY);
}

static void
test_an_answer_to_a_replaced_definition_changes_nothing(void **state)
{
    (void)state;
    static const char *const before[] = {"a", "b"}, *const after[] = {"b", "a"};
    put_definition(3, 30, "j", before, 2);
    struct weir_wire_item item = apply();
    uint8_t *first = deferred(&item, true);
    define_list(first, item.list_count);
    put_definition(3, 31, "j", after, 2);
    assert_int_equal(apply().kind, WEIR_WIRE_ITEM_EMPTY); /* its series are known by now */
    weir_definition_completed(&t.context, first);
    free(first);
    assert_int_equal(number_of(3, 0), 1);
    assert_int_equal(number_of(3, 1), 0);
    assert_int_equal(t.channel->pending, 0);
}

/* Else the answer would meet a channel that another packet of that epoch has begun anew. */
static void
test_a_channel_is_not_forgotten_before_definitions_of_its_earlier_epochs_are_answered(void **state)
{
    (void)state;
    static const char *const names[] = {"a", "b"};
    static struct weir_channel_answer answer;
    static struct weir_channel_mail mail;
    struct weir_channels *channels = t.context.channels;
    put_definition(3, 30, "j", names, 2);
    struct weir_wire_item item = apply();
    uint8_t *sent = deferred(&item, true);
    define_list(sent, item.list_count);
    weir_channel_restart(channels, t.channel, EPOCH + 1);
    assert_int_equal(t.channel->pending, 1);
    weir_channels_serve(channels, &mail);
    uint64_t number = weir_channel_mail_ask(&mail,
        &(struct weir_channel_question){.kind = WEIR_CHANNEL_FORGET, .sender = SENDER});
    int64_t now_ns = 0;
    for (int i = 0; i < 100; i++)
        (void)weir_channels_work(channels, now_ns += 1000000000);
    assert_false(weir_channel_mail_answered(&mail, number, &answer));
    weir_definition_completed(&t.context, sent);
    free(sent);
    assert_int_equal(t.channel->pending, 0);
    assert_null(weir_channel_template(channels, t.channel, 3));
    for (int i = 0; i < 100; i++)
        (void)weir_channels_work(channels, now_ns += 1000000000);
    assert_true(weir_channel_mail_answered(&mail, number, &answer));
    assert_int_equal(answer.channels, 1);
}

/* 1,000 series with 4,000 bytes of common labels: what they take does not fit a list. */
static void
test_a_definition_too_large_for_a_list_goes_as_it_came(void **state)
{
    (void)state;
    enum { COUNT = 1000 };
    static char names[COUNT][8], common[4001];
    const char *list[COUNT];
    memset(common, 'x', sizeof common - 1);
    for (int i = 0; i < COUNT; i++) {
        snprintf(names[i], sizeof names[i], "m%d", i);
        list[i] = names[i];
    }
    put_definition(3, 30, common, list, COUNT);
    struct weir_wire_item item = apply();
    assert_int_equal(item.kind, WEIR_WIRE_ITEM_DEFINITION);
    assert_null(item.list);
    assert_int_equal(t.definitions->used, 0);
    uint8_t *sent = deferred(&item, false);
    struct weir_line_labels *line = zeroed(sizeof *line);
    assert_int_equal(weir_wire_labels_begin(line, sent,
        sizeof(struct weir_definition_text) + t.used), WEIR_OK);
    for (unsigned i = 0; i < COUNT; i += 2) {
        uint8_t labels[WEIR_LABELS_BYTES_MAX];
        size_t size;
        assert_int_equal(weir_definition_labels(line, i, labels, &size), WEIR_OK);
        define(labels, size);
    }
    weir_definition_completed(&t.context, sent);
    for (unsigned i = 0; i < COUNT; i++)
        assert_int_equal(number_of(3, i), i % 2 == 0 ? i / 2 : WEIR_SERIES_UNKNOWN);
    item = apply(); /* of the other half there are still too many */
    assert_int_equal(item.kind, WEIR_WIRE_ITEM_DEFINITION);
    assert_null(item.list);
    free(sent);
    free(line);
}

/* Two definitions of a packet, whose lists lie behind each other: the second overflows. */
static void
test_a_list_that_overflows_leaves_the_one_before_it_alone(void **state)
{
    (void)state;
    enum { COUNT = 200, EARLY = 5, LATE = 150 };
    static const char *const few[] = {"a", "b"};
    static char names[COUNT][8], common[4001];
    const char *list[COUNT];
    memset(common, 'x', sizeof common - 1);
    for (int i = 0; i < COUNT; i++) {
        snprintf(names[i], sizeof names[i], "m%d", i);
        list[i] = names[i];
    }
    const char *const known[] = {list[EARLY], list[LATE]};
    put_definition(2, 20, common, known, 2);
    struct weir_wire_item item = apply();
    uint8_t *sent = deferred(&item, true);
    define_list(sent, item.list_count);
    weir_definition_completed(&t.context, sent);
    free(sent);
    t.definitions->used = 0;

    put_definition(3, 30, "j", few, 2);
    struct weir_wire_item first = apply();
    assert_int_equal(first.list_count, 2);
    sent = deferred(&first, true);
    uint32_t used = t.definitions->used;
    put_definition(4, 40, common, list, COUNT);
    item = apply();
    assert_int_equal(item.kind, WEIR_WIRE_ITEM_DEFINITION);
    assert_null(item.list);
    assert_int_equal(t.definitions->used, used);
    for (uint32_t i = 0; i < COUNT; i++) /* what is known is found on either side of the reset */
        assert_int_equal(number_of(4, i), i == EARLY ? 0 : i == LATE ? 1 : WEIR_SERIES_UNKNOWN);
    const uint8_t *sent_list = sent + sizeof(struct weir_definition_text) +
        sizeof(struct weir_wire_record);
    assert_memory_equal(first.list, sent_list, first.list_bytes);
    define_list(sent, first.list_count);
    weir_definition_completed(&t.context, sent);
    free(sent);
    assert_int_equal(number_of(3, 0), 2);
    assert_int_equal(number_of(3, 1), 3);
}

static void
test_a_series_has_64_labels_beside_its_name(void **state)
{
    (void)state;
    struct weir_line_labels *line = zeroed(sizeof *line);
    uint8_t labels[WEIR_LABELS_BYTES_MAX];
    for (int count = 64; count <= 65; count++) {
        size_t size, begin, at = 0, found = 0;
        t.used = sizeof(struct weir_wire_record);
        begin = list_begin();
        for (int i = 0; i < count; i++) {
            char name[8];
            snprintf(name, sizeof name, "t%d", i);
            put_label(name, "x");
            if (i == 31) {
                list_end(begin);
                begin = list_begin();
            }
        }
        put_label("__name__", "n");
        list_end(begin);
        assert_int_equal(weir_definition_labels_begin(line, t.record, t.used), WEIR_OK);
        line->text = t.record;
        enum weir_err err = weir_definition_labels(line, 0, labels, &size);
        assert_int_equal(err, count == 64 ? WEIR_OK : WEIR_LIMIT);
        struct weir_label label;
        while (err == WEIR_OK && weir_labels_next(labels, size, &at, &label) == WEIR_OK)
            found++;
        assert_int_equal(found, count == 64 ? 65 : 0);
    }
    assert_string_equal(weir_err_detail(), "more than 64 labels beside the name");
    free(line);
}

/* The labels of a list, appended. */
static void
plain_collect(const uint8_t *list, size_t size, struct weir_label *labels, size_t *count)
{
    size_t at = 0;
    while (*count < 2 * WEIR_LABELS_COUNT_MAX &&
        weir_labels_next(list, size, &at, &labels[*count]) == WEIR_OK)
        ++*count;
}

/* A list of labels of few names, most of them as in the list before. */
static size_t
put_random_list(uint64_t *random, bool named)
{
    static const char *const names[] = {"__name__", "a", "core", "instance", "instance_of_more",
        "a_name_of_more_than_sixteen_bytes", "z", ""};
    static const char *const values[] = {"1", "22", "eight888", "a value of some length",
        "\xc3\xa4", "\xc3", "", "0123456789abcdef0123456789abcdef0123456789"};
    static uint64_t last;
    if (next_random(random) % 4 == 0)
        last = next_random(random);
    uint64_t choice = last;
    size_t begin = list_begin();
    if (named)
        put_label("__name__", values[next_random(random) % 4]);
    for (uint64_t i = choice % 5; i > 0; i--, choice >>= 8) {
        uint64_t value = next_random(random) % 64;
        put_label(names[(choice >> 8) % 8 % (choice % 16 == 0 ? 8 : 7)],
            values[value < 8 ? value : value % 4]);
    }
    list_end(begin);
    return begin;
}

static void
test_labels_are_those_of_a_plain_sort(void **state)
{
    (void)state;
    uint64_t random = (uint64_t)weir_mono_ns() | 1;
    print_message("# seed %llu\n", (unsigned long long)random);
    struct weir_line_labels *line = zeroed(sizeof *line);
    uint32_t good = 0, bad = 0;
    for (int round = 0; round < 20000; round++) {
        size_t own[16], end[16];
        t.used = sizeof(struct weir_wire_record);
        size_t common = put_random_list(&random, false), common_size = t.used - common;
        for (int i = 0; i < 16; i++) {
            own[i] = put_random_list(&random, next_random(&random) % 8 != 0);
            end[i] = t.used;
        }
        bool begun = weir_definition_labels_begin(line, t.record, t.used) == WEIR_OK;
        for (unsigned i = 0; i < 16; i++) {
            struct weir_label labels[2 * WEIR_LABELS_COUNT_MAX], name;
            uint8_t expected[WEIR_LABELS_BYTES_MAX], found[WEIR_LABELS_BYTES_MAX];
            size_t count = 0, size = 0, found_size = 0;
            plain_collect(t.record + common, common_size, labels, &count);
            plain_collect(t.record + own[i], end[i] - own[i], labels, &count);
            bool valid = true;
            for (size_t k = 0; k < count; k++)
                valid &= labels[k].value_size != 1 || labels[k].value[0] != 0xc3;
            valid = valid && weir_labels_encode(labels, count, expected, &size) == WEIR_OK &&
                weir_labels_find(expected, size, WEIR_NAME_LABEL, &name);
            bool joined = begun &&
                weir_definition_labels(line, i, found, &found_size) == WEIR_OK;
            assert_int_equal(joined, valid);
            good += valid;
            bad += !valid;
            if (valid) {
                assert_int_equal(found_size, size);
                assert_memory_equal(found, expected, size);
            }
        }
    }
    assert_true(good > 20000 && bad > 20000);
    free(line);
}

int
main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_numbers_of_a_list_come_back_into_the_template),
        TEST(test_an_answer_to_a_replaced_definition_changes_nothing),
        TEST(test_a_channel_is_not_forgotten_before_definitions_of_its_earlier_epochs_are_answered),
        TEST(test_a_definition_too_large_for_a_list_goes_as_it_came),
        TEST(test_a_list_that_overflows_leaves_the_one_before_it_alone),
        TEST(test_a_series_has_64_labels_beside_its_name),
        TEST(test_labels_are_those_of_a_plain_sort),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
