#include "tests/fuzz/twin.h"

#include "dataplane/protocol/influx/fast.h"
#include "model/sample.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What a parser made of a text, over all its calls. */
struct outcome {
    struct twin_record *records;
    struct weir_point *points;
    size_t record_count, point_count;
    uint64_t rejected[WEIR_REASON_COUNT];
    uint64_t rounded;
};

static struct weir_hash_key key;
static struct weir_parsed parsed;

static void *
allocate(size_t size)
{
    void *memory = calloc(1, size);
    if (memory == NULL)
        abort();
    return memory;
}

/* A record ends with a newline or the text; a long line's rest is none. */
static size_t
records_max(const uint8_t *text, size_t size)
{
    size_t count = 2;
    for (size_t i = 0; i < size; i++)
        count += text[i] == '\n';
    return count;
}

void
twin_new(struct twin *twin, const uint8_t *text, size_t size)
{
    *twin = (struct twin){.text = text, .size = size};
    twin->records = allocate(records_max(text, size) * sizeof *twin->records);
    twin->points = allocate((size / 3 + 2) * sizeof *twin->points);
}

void
twin_free(struct twin *twin)
{
    free(twin->records);
    free(twin->points);
}

/* Adds what one call has found; packet_at is the position of the packet in the text. */
static void
collect(struct outcome *out, const struct weir_packet *packet, size_t packet_at)
{
    for (uint32_t i = 0; i < parsed.record_count; i++) {
        const struct weir_record *record = &parsed.records[i];
        out->records[out->record_count++] = (struct twin_record){
            .start = packet_at + (size_t)(record->text - packet->data),
            .size = record->size,
            .point_first = out->point_count + record->point_first,
            .point_count = record->point_count,
            .reason = record->reason,
            .command = record->command,
        };
    }
    memcpy(out->points + out->point_count, parsed.points,
        parsed.point_count * sizeof parsed.points[0]);
    out->point_count += parsed.point_count;
    out->rounded += parsed.integers_rounded;
    for (int reason = 0; reason < WEIR_REASON_COUNT; reason++)
        out->rejected[reason] += parsed.samples_rejected[reason];
}

/* Feeds the text to the parser as a stream cut at the given places, as a port would. Every
 * packet is copied to memory of just its size and the slack, the slack filled with digits. */
static void
parse_stream(const struct weir_protocol *protocol, const struct twin *twin, const size_t *cuts,
    size_t cut_count, struct outcome *out)
{
    struct weir_parse_context context = {
        .key = &key, .time_min_ms = twin->time_min_ms, .time_max_ms = twin->time_max_ms};
    size_t taken = 0;
    bool skip = false;
    for (size_t i = 0; i <= cut_count; i++) {
        size_t end = i == cut_count ? twin->size : cuts[i];
        if (end < taken)
            continue;
        uint8_t *memory = allocate(end - taken + WEIR_PACKET_SLACK);
        if (end > taken)
            memcpy(memory, twin->text + taken, end - taken);
        memset(memory + (end - taken), '7', WEIR_PACKET_SLACK);
        struct weir_packet packet = {
            .data = memory,
            .size = (uint32_t)(end - taken),
            .time_unit = twin->time_unit,
            .final = i == cut_count,
            .stream = twin->stream,
            .skip_line = skip,
            .receive_ms = twin->receive_ms,
        };
        size_t at = 0, before;
        do {
            before = at;
            weir_parsed_reset(&parsed);
            at = protocol->parse(&context, &packet, at, &parsed);
            collect(out, &packet, taken);
        } while (at != before);
        skip = packet.skip_line;
        taken += at;
        free(memory);
        if (packet.ends)
            break;
    }
}

__attribute__((format(printf, 1, 2))) static bool
differs(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fputc('\n', stderr);
    return false;
}

static bool
same_point(const struct twin *twin, const struct twin_record *record,
    const struct twin_point *wanted, const struct weir_point *found, enum weir_proto proto)
{
    static const uint8_t newline = '\n';
    struct weir_sample sample = {
        weir_sample_key(0, found->kind, found->exponent), 0, found->value};
    bool decimal = found->kind == WEIR_VALUE_DECIMAL;
    if (decimal
        && ((int64_t)found->value > WEIR_MANTISSA_MAX || (int64_t)found->value < -WEIR_MANTISSA_MAX
            || found->exponent > WEIR_EXPONENT_MAX || found->exponent < -WEIR_EXPONENT_MAX))
        return differs("decimal out of its bounds");
    if (weir_double_bits(weir_sample_double(&sample)) != wanted->bits)
        return differs("value %.17g, not %.17g", weir_sample_double(&sample),
            weir_bits_double(wanted->bits));
    if (found->time_ms != wanted->time_ms)
        return differs("time %lld, not %lld", (long long)found->time_ms,
            (long long)wanted->time_ms);
    if (found->field != wanted->field)
        return differs("field %u, not %u", found->field, wanted->field);
    struct weir_hash128 raw = weir_hash_join(
        weir_hash_part(&key, 0, twin->text + record->start, record->key_size),
        proto == WEIR_PROTO_GRAPHITE
            ? weir_hash_part(&key, 1, &newline, 1)
            : weir_hash_part(&key, 1, twin->text + wanted->name, wanted->name_size));
    if (raw.lo != found->raw.lo || raw.hi != found->raw.hi)
        return differs("raw key differs");
    return true;
}

static bool
same_outcome(const struct twin *twin, const struct outcome *out, enum weir_proto proto)
{
    if (out->record_count != twin->record_count || out->point_count != twin->point_count)
        return differs("%zu records and %zu points, not %zu and %zu", out->record_count,
            out->point_count, twin->record_count, twin->point_count);
    for (size_t i = 0; i < twin->record_count; i++) {
        const struct twin_record *wanted = &twin->records[i], *found = &out->records[i];
        if (found->start != wanted->start || found->size != wanted->size
            || found->reason != wanted->reason || found->point_count != wanted->point_count
            || found->point_first != wanted->point_first || found->command != wanted->command)
            return differs("record %zu: at %zu size %zu reason %u points %zu+%zu, not at %zu "
                           "size %zu reason %u points %zu+%zu",
                i, found->start, found->size, found->reason, found->point_first,
                found->point_count, wanted->start, wanted->size, wanted->reason,
                wanted->point_first, wanted->point_count);
        for (size_t k = 0; k < wanted->point_count; k++) {
            size_t at = wanted->point_first + k;
            if (!same_point(twin, wanted, &twin->points[at], &out->points[at], proto))
                return differs("in record %zu, point %zu", i, k);
        }
    }
    if (out->rounded != twin->rounded
        || memcmp(out->rejected, twin->rejected, sizeof out->rejected) != 0)
        return differs("counts of rejected samples or rounded integers differ");
    return true;
}

/* A line that was accepted gives labels, or says why not, and never anything malformed. */
static bool
labels_well_formed(const struct weir_protocol *protocol, const struct twin *twin,
    const struct outcome *out)
{
    static struct weir_line_labels line, alone; /* the second one sees no line before */
    uint8_t labels[WEIR_LABELS_BYTES_MAX], again[WEIR_LABELS_BYTES_MAX];
    for (size_t i = 0; i < out->record_count; i++) {
        const struct twin_record *record = &out->records[i];
        for (size_t k = 0; k < record->point_count && k < 4; k++) {
            size_t size, size_again, at = 0;
            const struct weir_point *point = &out->points[record->point_first + k];
            const uint8_t *text = twin->text + record->start;
            enum weir_err err =
                k == 0 ? protocol->labels_begin(&line, text, record->size) : WEIR_OK;
            if (k == 0)
                memset(&alone, 0, sizeof alone);
            if (k == 0 && protocol->labels_begin(&alone, text, record->size) != err)
                return differs("labels depend on the line before");
            if (err != WEIR_OK)
                break;
            err = weir_protocol_labels(protocol, &line, point->field, labels, &size);
            if (weir_protocol_labels(protocol, &alone, point->field, again, &size_again) != err ||
                (err == WEIR_OK && (size != size_again || memcmp(labels, again, size) != 0)))
                return differs("labels depend on the line before");
            if (err == WEIR_INVALID || err == WEIR_LIMIT)
                continue;
            struct weir_label label;
            if (err != WEIR_OK || !weir_labels_find(labels, size, WEIR_NAME_LABEL, &label))
                return differs("labels: error %d or no name", (int)err);
            while ((err = weir_labels_next(labels, size, &at, &label)) == WEIR_OK)
                ;
            if (err != WEIR_END)
                return differs("labels are malformed");
            if (line.bytes_walked > record->size)
                return differs("labels walked %llu bytes of a line of %zu",
                    (unsigned long long)line.bytes_walked, record->size);
        }
    }
    return true;
}

/* As a datagram, whole; as a connection's bytes, cut at three places. */
static bool
twin_agrees_on_variant(enum weir_proto proto, enum weir_time_unit unit, const uint8_t *text,
    size_t size, const uint32_t cuts[3])
{
    static const uint8_t seed[WEIR_HASH_SEED_BYTES] = "a seed of thirty-two bytes here";
    static bool ready;
    if (!ready)
        weir_hash_key_init(&key, seed);
    ready = true;

    size_t places[3];
    for (int i = 0; i < 3; i++)
        places[i] = cuts[i] % (size + 1);
    for (int i = 0; i < 3; i++) /* ascending */
        for (int k = i + 1; k < 3; k++)
            if (places[k] < places[i]) {
                size_t swap = places[i];
                places[i] = places[k];
                places[k] = swap;
            }
    bool good = true;
    for (size_t count = 0; count <= 3 && good; count += 3) {
        struct twin twin;
        twin_new(&twin, text, size);
        twin.time_unit = (uint8_t)unit;
        twin.stream = count > 0;
        twin.receive_ms = 1700000000123;
        twin.time_min_ms = INT64_C(-2000000000000);
        twin.time_max_ms = INT64_C(4000000000000);
        if (proto == WEIR_PROTO_INFLUX)
            twin_influx(&twin);
        else if (proto == WEIR_PROTO_GRAPHITE)
            twin_graphite(&twin);
        else
            twin_opentsdb(&twin);
        struct outcome out = {
            .records = allocate(records_max(text, size) * sizeof *out.records),
            .points = allocate((size / 3 + 2) * sizeof *out.points),
        };
        parse_stream(&weir_protocols[proto], &twin, places, count, &out);
        good = same_outcome(&twin, &out, proto)
            && labels_well_formed(&weir_protocols[proto], &twin, &out);
        if (!good)
            differs("with %zu cuts: %zu %zu %zu of %zu", count, places[0], places[1], places[2],
                size);
        free(out.records);
        free(out.points);
        twin_free(&twin);
    }
    return good;
}

/* On every variant of this CPU. */
bool
twin_agrees(enum weir_proto proto, enum weir_time_unit unit, const uint8_t *text, size_t size,
    const uint32_t cuts[3])
{
    if (proto != WEIR_PROTO_INFLUX)
        return twin_agrees_on_variant(proto, unit, text, size, cuts);
    bool good = true;
    for (size_t variant = 0; variant < weir_influx_variant_count() && good; variant++) {
        if (!weir_influx_variant_supported(variant))
            continue;
        weir_influx_variant_choose(variant);
        good = twin_agrees_on_variant(proto, unit, text, size, cuts);
        if (!good)
            differs("with variant %s", weir_influx_variants[variant].name);
    }
    return good;
}

bool
twin_agrees_somewhere(enum weir_proto proto, const uint8_t *text, size_t size)
{
    uint64_t state = UINT64_C(0xcbf29ce484222325);
    for (size_t i = 0; i < size; i++)
        state = (state ^ text[i]) * UINT64_C(0x100000001b3);
    uint32_t cuts[3];
    for (int i = 0; i < 3; i++) {
        state = (state ^ state >> 29) * UINT64_C(0xbf58476d1ce4e5b9);
        cuts[i] = (uint32_t)(state >> 32);
    }
    return twin_agrees(proto, (enum weir_time_unit)(state % 5), text, size, cuts);
}
