#include "app/cli/send/records.h"

#include "app/cli/words.h"
#include "base/clock.h"
#include "base/escape.h"

#include <inttypes.h>
#include <string.h>

#define REPORTED_MAX 5 /* refused records that are shown */
#define SHOWN_BYTES 60

void
weir_send_records_init(struct weir_send_records *records, const uint8_t *seed,
    const struct weir_protocol *protocol)
{
    weir_hash_key_init(&records->key, seed);
    records->protocol = protocol;
    records->context = (struct weir_parse_context){.key = &records->key,
        .time_min_ms = INT64_MIN,
        .time_max_ms = INT64_MAX,
        .refusal = WEIR_REASON_NONE};
}

/* A record that the parser takes may still have labels that are refused. */
enum weir_reason
weir_send_records_refusal(struct weir_send_records *records, const struct weir_record *record)
{
    uint8_t labels[WEIR_LABELS_BYTES_MAX];
    size_t size;
    if (record->reason != WEIR_REASON_NONE)
        return record->reason;
    enum weir_err err =
        records->protocol->labels_begin(&records->labels, record->text, record->size);
    for (uint32_t i = 0; i < record->point_count && err == WEIR_OK; i++) {
        const struct weir_point *point = &records->parsed.points[record->point_first + i];
        err = weir_protocol_labels(records->protocol, &records->labels, point->field, labels,
            &size);
        if (err == WEIR_OK && weir_labels_reserved(labels, size))
            return WEIR_REASON_bad_labels;
    }
    return err == WEIR_OK ? WEIR_REASON_NONE : WEIR_REASON_bad_labels;
}

void
weir_send_records_report(struct weir_send_records *records, const struct weir_record *record,
    const char *reason)
{
    if (records->refused++ >= REPORTED_MAX)
        return;
    bool cut = record->size > SHOWN_BYTES;
    fprintf(stderr, "weir send: refused, %s: ", reason);
    weir_escape_print(WEIR_ESCAPE_TERMINAL, record->text, cut ? SHOWN_BYTES : record->size,
        stderr);
    fputs(cut ? "...\n" : "\n", stderr);
}

void
weir_send_records_report_rest(const struct weir_send_records *records)
{
    if (records->refused > REPORTED_MAX)
        fprintf(
            stderr, "weir send: and %" PRIu64 " more refused\n", records->refused - REPORTED_MAX);
}

/* Hands over the whole records of the block, and keeps the rest. */
static enum weir_err
parse_block(struct weir_send_records *records, bool final, weir_send_record_fn *each, void *context)
{
    struct weir_packet packet = {.data = records->block,
        .size = (uint32_t)records->used,
        .final = final,
        .skip_line = records->skip_line,
        .receive_ms = weir_wall_ms()};
    size_t at = 0, before;
    enum weir_err err = WEIR_OK;
    do {
        before = at;
        weir_parsed_reset(&records->parsed);
        at = records->protocol->parse(&records->context, &packet, at, &records->parsed);
        for (uint32_t i = 0; i < records->parsed.record_count && err == WEIR_OK; i++)
            err = each(context, &records->parsed.records[i]);
        for (int i = 0; i < WEIR_REASON_COUNT; i++)
            records->fields_refused[i] += records->parsed.samples_rejected[i];
    } while (at != before && at < records->used && err == WEIR_OK);
    records->skip_line = packet.skip_line;
    records->used -= at;
    memmove(records->block, records->block + at, records->used);
    return err;
}

enum weir_err
weir_send_records_read(struct weir_send_records *records, struct weir_send_source *source,
    weir_send_record_fn *each, void *context, bool *final)
{
    size_t got;
    enum weir_err err = weir_send_source_fill(source, records->block + records->used,
        WEIR_SEND_BLOCK_BYTES - records->used, &got);
    if (err != WEIR_OK)
        return err;
    records->used += got;
    *final = got == 0;
    return parse_block(records, *final, each, context);
}
