/* A sequence of weir packets, against the twin: verdicts, records, samples, and what is known of
 * the channels behind each.
 *
 * The first byte chooses the limits. Then packets: a byte of control, two of size, the packet. */
#include "base/crc.h"
#include "dataplane/protocol/deferral.h"
#include "dataplane/protocol/weir/group_append.h"
#include "dataplane/protocol/weir/definition.h"
#include "dataplane/protocol/weir/record.h"
#include "dataplane/protocol/weir/weir.h"
#include "tests/fuzz/twin_weir.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

#define SENDERS 2 /* with two channels each, so that packets meet */
#define CHANNELS_MAX 3
#define TEMPLATE_BYTES (64u << 20)
#define SERIES_MAX 16384
#define DEFERRED_MAX 4096
#define CHECK(condition) ((condition) ? (void)0 : fail(#condition, __LINE__))

/* Bits of a packet's control byte. */
enum {
    RAW = 1,       /* as it came: its checksum is most likely wrong */
    STREAM = 2,    /* comes in two pieces, as over TCP */
    REFUSED = 4,   /* the disk is full meanwhile, where SETTLE is set too */
    ANSWER = 8,    /* the registrar answers before it */
    RENUMBER = 16, /* the next number of its channel */
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct weir_hash_key key;
static struct weir_channels *channels;
static struct weir_series *series;
static struct twin_weir *twin;
static struct weir_parse_context context;
static struct weir_parsed parsed;
static struct twin_weir_answer answer;
static struct weir_batch batch;
static struct weir_line_labels line;
static struct weir_definitions definitions;
static uint64_t real_of[SERIES_MAX]; /* series number of the twin's series, + 1 */
static uint32_t twin_of[SERIES_MAX]; /* and the other way round */
static uint64_t next_number[SENDERS][2];
static bool lists; /* definitions are deferred as lists */

/* Definitions with the registrar, oldest first. */
static uint8_t *deferred[DEFERRED_MAX];
static size_t deferred_first, deferred_end;

_Noreturn static void
fail(const char *what, int where)
{
    fprintf(stderr, "fuzz_weir.c:%d: %s does not hold\n", where, what);
    abort();
}

static void *
mapped(size_t size)
{
    void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE,
        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    CHECK(memory != MAP_FAILED);
    return memory;
}

/* What the registrar does with a definition that came as it was. */
static void
define_text(const uint8_t *text)
{
    struct weir_wire_record record;
    memcpy(&record, text + sizeof(struct weir_definition_text), sizeof record);
    if (weir_wire_labels_begin(&line, text, sizeof(struct weir_definition_text) +
            record.length) != WEIR_OK)
        return;
    for (unsigned i = 0; i < record.count; i++) {
        uint8_t labels[WEIR_LABELS_BYTES_MAX];
        size_t size;
        uint64_t number;
        bool defined;
        if (weir_definition_labels(&line, i, labels, &size) == WEIR_OK)
            CHECK(weir_series_define(series, weir_series_fingerprint(series, labels, size),
                      &number, &defined) == WEIR_OK);
    }
}

/* And with one that came as the list of its unknown series. */
static void
define_list(uint8_t *list, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        struct weir_deferred_point *point = (struct weir_deferred_point *)(void *)list;
        const uint8_t *labels = (const uint8_t *)(point + 1);
        bool defined;
        struct weir_hash128 hash = weir_series_fingerprint(series, labels, point->labels_size);
        if (point->labels_size > 0) {
            CHECK(memcmp(&hash, &point->fingerprint, sizeof hash) == 0);
            CHECK(weir_series_define(series, hash, &point->number, &defined) == WEIR_OK);
        }
        list += weir_deferred_point_bytes(point->labels_size);
    }
}

/* What the registrar does with a definition, then what the worker does with its answer. */
static void
answer_deferred(void)
{
    uint8_t *data = deferred[deferred_first++];
    struct weir_definition_text text;
    memcpy(&text, data, sizeof text);
    if (text.list_count > 0)
        define_list(data + sizeof text + sizeof(struct weir_wire_record), text.list_count);
    else
        define_text(data);
    weir_definition_completed(&context, data);
    twin_weir_complete(twin);
    free(data);
}

/* As a list or as it came, as the limits say. */
static void
defer(const struct weir_record *record, const struct weir_wire_item *item)
{
    struct weir_channel *channel = item->channel;
    bool listed = lists && item->list != NULL;
    const struct weir_definition_text text = {.sender = channel->sender,
        .sequence = item->sequence,
        .epoch = channel->epoch,
        .channel = channel->channel,
        .list_count = listed ? (uint16_t)item->list_count : 0};
    size_t head = listed ? sizeof(struct weir_wire_record) : record->size;
    uint8_t *copy = malloc(sizeof text + head + item->list_bytes + WEIR_PACKET_SLACK);
    CHECK(copy != NULL && deferred_end < DEFERRED_MAX);
    memcpy(copy, &text, sizeof text);
    memcpy(copy + sizeof text, record->text, head);
    if (listed)
        memcpy(copy + sizeof text + head, item->list, item->list_bytes);
    deferred[deferred_end++] = copy;
    channel->pending++;
}

static void
check_sample(const struct weir_sample *sample, const struct twin_weir_sample *expected)
{
    uint64_t number = weir_sample_series(sample);
    CHECK(sample->time_ms == expected->time_ms);
    CHECK(weir_double_bits(weir_sample_double(sample)) == expected->bits);
    CHECK(number < SERIES_MAX && expected->series < SERIES_MAX);
    if (real_of[expected->series] == 0 && twin_of[number] == 0) {
        real_of[expected->series] = number + 1;
        twin_of[number] = expected->series + 1;
    }
    CHECK(real_of[expected->series] == number + 1 && twin_of[number] == expected->series + 1);
}

/* Appends a group as the worker does, and looks at what the batch says of itself. */
static uint32_t
check_group(const struct weir_wire_item *item, const struct twin_weir_sample *expected)
{
    weir_batch_reset(&batch);
    weir_group_append(
        &batch, item->numbers, item->values, item->offsets, item->count, item->time_ms);
    int64_t least = INT64_MAX, most = INT64_MIN;
    uint64_t through = 0;
    bool ascending = true;
    for (uint32_t i = 0; i < batch.count; i++) {
        const struct weir_sample *sample = &batch.samples[i];
        check_sample(sample, &expected[i]);
        uint64_t number = weir_sample_series(sample);
        ascending &= number + 1 >= through;
        through = number + 1 > through ? number + 1 : through;
        least = sample->time_ms < least ? sample->time_ms : least;
        most = sample->time_ms > most ? sample->time_ms : most;
    }
    CHECK(batch.time_min_ms == least && batch.time_max_ms == most);
    CHECK(batch.series_through == through && batch.ascending == ascending);
    return batch.count;
}

static void
check_records(const uint8_t *data)
{
    uint32_t samples = 0, refused[WEIR_REASON_COUNT] = {0};
    CHECK(parsed.record_count == answer.record_count);
    for (uint32_t i = 0; i < answer.record_count; i++) {
        const struct twin_weir_record *expected = &answer.records[i];
        const struct weir_record *record = &parsed.records[i];
        const struct weir_wire_item *item = &parsed.items[i];
        CHECK(record->text == data + expected->at && record->size == expected->size);
        if (record->reason != expected->reason)
            fprintf(stderr, "record %u: reason %u, expected %u\n", i, record->reason,
                expected->reason);
        CHECK(record->point_count == expected->samples && record->reason == expected->reason);
        if (expected->reason != WEIR_REASON_NONE) {
            refused[expected->reason] += expected->samples;
            continue;
        }
        CHECK((item->kind == WEIR_WIRE_ITEM_GROUP) == (expected->kind == TWIN_WEIR_SAMPLED));
        CHECK((item->kind == WEIR_WIRE_ITEM_DEFINITION) == (expected->kind == TWIN_WEIR_DEFERRED));
        if (item->kind == WEIR_WIRE_ITEM_GROUP)
            samples += check_group(item, &answer.samples[samples]);
        if (item->kind == WEIR_WIRE_ITEM_DEFINITION)
            defer(record, item);
    }
    CHECK(samples == answer.sample_count);
    CHECK(memcmp(refused, parsed.samples_rejected, sizeof refused) == 0);
}

static void
check_channels(const struct weir_packet *packet)
{
    for (uint64_t sender = 0; sender < SENDERS; sender++) {
        for (uint16_t number = 0; number < 2; number++) {
            const struct weir_channel *channel = weir_channels_find(channels, sender, number);
            struct twin_weir_state state;
            CHECK((channel != NULL) == twin_weir_channel(twin, sender, number, &state));
            if (channel == NULL)
                continue;
            CHECK(channel->epoch == state.epoch && channel->highest == state.highest);
            CHECK(weir_channel_complete(channel) == state.complete);
            next_number[sender][number] = state.highest + 1;
        }
    }
    CHECK(answer.numbered_channel == (packet->ack_epoch != 0));
}

/* Gives the same bytes to both. Returns how many were taken. */
static size_t
parse_both(const uint8_t *data, size_t size, bool final)
{
    /* in memory of its exact size, but for the slack that a port promises */
    uint8_t *exact = malloc(size + WEIR_PACKET_SLACK);
    CHECK(exact != NULL);
    memcpy(exact, data, size);
    struct weir_packet packet = {.data = exact,
        .size = (uint32_t)size,
        .proto = WEIR_PROTO_WEIR,
        .final = final};
    weir_parsed_reset(&parsed);
    struct weir_session_head head;
    weir_wire_session.begin(packet.data, packet.size, &head);
    uint32_t bound = head.samples_max;
    size_t at = weir_wire_parse(&context, &packet, 0, &parsed);
    twin_weir_apply(twin, exact, size, final, context.refusal, &answer);
    CHECK(at == answer.consumed);
    CHECK(packet.broken == answer.bad);
    CHECK(parsed.waits == answer.waits);
    CHECK(parsed.sequence_gaps == answer.gaps);
    CHECK(parsed.sequence_jumps == answer.jumps);
    CHECK(parsed.sequence_reorderings == answer.reorderings);
    CHECK(parsed.sequence_duplicates == answer.duplicates);
    CHECK(answer.sample_count <= bound);
    check_records(exact);
    check_channels(&packet);
    free(exact);
    return at;
}

/* Makes right what chance hardly would: magic, version, length, checksum, and ids that meet. */
static void
mend(uint8_t *packet, size_t size, uint8_t control)
{
    struct weir_wire_header header;
    memcpy(&header, packet, sizeof header);
    header.magic = WEIR_WIRE_MAGIC;
    header.version = WEIR_WIRE_VERSION;
    header.length = (uint32_t)size;
    header.sender %= SENDERS;
    header.channel %= 2;
    header.key_id = 0;
    if ((control & RENUMBER) != 0) {
        bool group = size > sizeof header && packet[sizeof header] <= WEIR_WIRE_GROUP_OFFSETS;
        header.flags = group ? 0 : WEIR_WIRE_UNNUMBERED;
        header.epoch = 1 + header.epoch % 2;
        uint8_t far = (uint8_t)(header.sequence >> 56);
        header.sequence = next_number[header.sender][header.channel];
        if (far % 8 == 1) /* about as far as a new beginning is */
            header.sequence += WEIR_SEQUENCE_FAR - 2 + far / 64;
    }
    memcpy(packet, &header, sizeof header);
    header.crc = twin_weir_checksum(packet, size);
    memcpy(packet, &header, sizeof header);
}

static void
give(uint8_t *packet, size_t size, uint8_t control)
{
    if ((control & RAW) == 0 && size >= sizeof(struct weir_wire_header))
        mend(packet, size, control);
    bool full = (control & (REFUSED | ANSWER)) == (REFUSED | ANSWER);
    context.refusal = full ? WEIR_REASON_disk_full : WEIR_REASON_NONE;
    while ((control & ANSWER) != 0 && deferred_first < deferred_end)
        answer_deferred();
    if ((control & STREAM) != 0 && size > 0 &&
        parse_both(packet, packet[size - 1] % size, false) != 0) /* a piece of it */
        return;
    for (size_t at = 0; at < size;) {
        size_t taken = parse_both(packet + at, size - at, true);
        if (answer.waits)
            answer_deferred();
        else
            CHECK(taken > 0);
        at += taken;
    }
}

static void
begin(uint8_t limits)
{
    static const uint8_t seed[WEIR_HASH_SEED_BYTES] = "a fuzzer";
    static const int64_t rules[4][2] = {{INT64_MIN, INT64_MAX}, {0, 4000000000000},
        {-1000, 1000}, {1700000000000, 1800000000000}};
    weir_hash_key_init(&key, seed);
    channels = weir_channels_init(mapped(weir_channels_footprint(CHANNELS_MAX, TEMPLATE_BYTES)),
        CHANNELS_MAX, TEMPLATE_BYTES, &key);
    series = weir_series_init(mapped(weir_series_footprint(SERIES_MAX)), SERIES_MAX, &key);
    context = (struct weir_parse_context){.key = &key,
        .time_min_ms = rules[limits % 4][0],
        .time_max_ms = rules[limits % 4][1],
        .channels = channels,
        .series = series,
        .definitions = &definitions};
    lists = (limits & 4) == 0;
    weir_channels_now(channels, 0); /* no channel grows old enough to make room */
    twin = twin_weir_new(CHANNELS_MAX, context.time_min_ms, context.time_max_ms);
    memset(real_of, 0, sizeof real_of);
    memset(twin_of, 0, sizeof twin_of);
    for (int i = 0; i < SENDERS; i++)
        next_number[i][0] = next_number[i][1] = 1;
    deferred_first = deferred_end = 0;
}

static void
end(void)
{
    while (deferred_first < deferred_end)
        answer_deferred();
    twin_weir_free(twin);
    munmap(channels, weir_channels_footprint(CHANNELS_MAX, TEMPLATE_BYTES));
    munmap(series, weir_series_footprint(SERIES_MAX));
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1)
        return 0;
    begin(data[0]);
    for (size_t at = 1; size - at >= 3;) {
        uint8_t control = data[at];
        size_t bytes = data[at + 1] | (size_t)data[at + 2] << 8;
        at += 3;
        bytes = bytes < size - at ? bytes : size - at;
        uint8_t *packet = malloc(bytes + 1);
        CHECK(packet != NULL);
        memcpy(packet, data + at, bytes);
        give(packet, bytes, control);
        free(packet);
        at += bytes;
    }
    end();
    return 0;
}
