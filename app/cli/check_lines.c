/* weir check lines: judges the lines of a file as a listener would. */
#include "app/cli/check_lines.h"

#include "app/cli/commands.h"
#include "app/cli/options.h"
#include "app/cli/words.h"
#include "base/clock.h"
#include "base/escape.h"
#include "dataplane/protocol/protocol.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define RETENTION_MS (INT64_C(7) * 24 * 60 * 60 * 1000)
#define FUTURE_MS (60 * 60 * 1000)
#define PACKET_BYTES (16u << 20)
#define SHOWN_BYTES 100
#define NAMES_MAX 256 /* of protocols */

struct check {
    const char *name;
    uint8_t *data;
    size_t size;
    const struct weir_protocol *protocol;
    struct weir_parse_context context;
    struct weir_hash_key key;
    size_t counted; /* bytes whose newlines are in line */
    uint64_t line;
    size_t line_at; /* where it begins */
    uint64_t records, refused, strings;
    struct weir_line_labels labels;
    struct weir_parsed parsed;
};

/* Moves the line count on to `at`. */
static void
count_lines(struct check *check, size_t at)
{
    const uint8_t *newline;
    while ((newline = memchr(check->data + check->counted, '\n', at - check->counted)) != NULL) {
        check->line++;
        check->counted = (size_t)(newline + 1 - check->data);
        check->line_at = check->counted;
    }
    check->counted = at;
}

/* The place of the wrong record in the file. */
static size_t
refused_at(struct check *check, const struct weir_record *record)
{
    size_t at = (size_t)(record->text - check->data);
    if (record->reason == WEIR_REASON_bad_line || record->reason == WEIR_REASON_unclosed_string)
        return check->protocol->refused_at(check->data, check->size, at);
    return at;
}

static void
report(struct check *check, const struct weir_record *record, enum weir_reason reason,
    const char *detail)
{
    size_t start = (size_t)(record->text - check->data), at = refused_at(check, record);
    const uint8_t *newline = NULL;
    count_lines(check, start);
    uint64_t line = check->line;
    size_t line_at = check->line_at, from = start;
    /* a string of the record may hold newlines */
    while (at > from && (newline = memchr(check->data + from, '\n', at - from)) != NULL) {
        from = line_at = (size_t)(newline + 1 - check->data);
        line++;
    }
    weir_line_print(stdout, "%s:%" PRIu64 ":%zu: %s: %s", check->name, line, at - line_at + 1,
        weir_reason_names[reason], detail);
    printf("    ");
    size_t shown = record->size < SHOWN_BYTES ? record->size : SHOWN_BYTES;
    weir_escape_print(WEIR_ESCAPE_TERMINAL, record->text, shown, stdout);
    printf("%s\n", shown < record->size ? "..." : "");
    check->refused++;
}

/* A record that the parser takes may still have labels that are refused. */
static void
check_labels(struct check *check, const struct weir_record *record)
{
    const struct weir_protocol *protocol = check->protocol;
    uint8_t labels[WEIR_LABELS_BYTES_MAX];
    size_t size;
    enum weir_err err = protocol->labels_begin(&check->labels, record->text, record->size);
    for (uint32_t i = 0; i < record->point_count && err == WEIR_OK; i++) {
        const struct weir_point *point = &check->parsed.points[record->point_first + i];
        err = weir_protocol_labels(protocol, &check->labels, point->field, labels, &size);
        if (err == WEIR_OK && weir_labels_reserved(labels, size))
            err = WEIR_INVALID;
    }
    if (err != WEIR_OK)
        report(check, record, WEIR_REASON_bad_labels, weir_err_detail());
}

static void
check_records(struct check *check)
{
    for (uint32_t i = 0; i < check->parsed.record_count; i++) {
        const struct weir_record *record = &check->parsed.records[i];
        check->records++;
        if (record->reason != WEIR_REASON_NONE)
            report(check, record, record->reason, weir_reason_helps[record->reason]);
        else
            check_labels(check, record);
    }
    check->strings += check->parsed.samples_rejected[WEIR_REASON_unsupported_type];
}

static void
check_all(struct check *check)
{
    bool skip = false;
    for (size_t at = 0; at < check->size;) {
        size_t left = check->size - at;
        struct weir_packet packet = {.data = check->data + at,
            .size = (uint32_t)(left < PACKET_BYTES ? left : PACKET_BYTES),
            .final = left <= PACKET_BYTES,
            .skip_line = skip,
            .receive_ms = weir_wall_ms()};
        weir_parsed_reset(&check->parsed);
        at += check->protocol->parse(&check->context, &packet, 0, &check->parsed);
        skip = packet.skip_line;
        check_records(check);
    }
}

/* The whole file, followed by slack. */
static enum weir_err
read_all(const char *path, uint8_t **data, size_t *size)
{
    bool standard = strcmp(path, "-") == 0;
    FILE *file = standard ? stdin : fopen(path, "rb");
    size_t room = 0, got;
    *size = 0;
    if (file == NULL)
        return weir_fail(WEIR_IO, errno, "%s", path);
    do {
        if (room - *size < WEIR_PACKET_SLACK + 1) {
            room = 2 * room + (64u << 10);
            uint8_t *larger = realloc(*data, room);
            if (larger == NULL)
                break;
            *data = larger;
        }
        got = fread(*data + *size, 1, room - *size - WEIR_PACKET_SLACK, file);
        *size += got;
    } while (got > 0);
    bool failed = ferror(file) != 0, whole = feof(file) != 0;
    if (!standard)
        fclose(file);
    if (failed)
        return weir_fail(WEIR_IO, errno, "%s", path);
    if (!whole)
        return weir_fail(WEIR_NOMEM, 0, "%s", path);
    memset(*data + *size, 0, WEIR_PACKET_SLACK);
    return WEIR_OK;
}

static int
run(struct check *check, const char *path, bool any_time)
{
    static const uint8_t seed[WEIR_HASH_SEED_BYTES];
    int64_t now_ms = weir_wall_ms();
    enum weir_err err = read_all(path, &check->data, &check->size);
    if (err != WEIR_OK) {
        weir_line_print(stderr, "weir check lines: %s", weir_err_detail());
        return EXIT_FAILURE;
    }
    weir_hash_key_init(&check->key, seed);
    check->name = path;
    check->line = 1;
    check->context = (struct weir_parse_context){.key = &check->key,
        .time_min_ms = any_time ? INT64_MIN : now_ms - RETENTION_MS,
        .time_max_ms = any_time ? INT64_MAX : now_ms + FUTURE_MS};
    check_all(check);
    weir_line_print(stdout, "%s: %" PRIu64 " line%s, %" PRIu64 " refused", path, check->records,
        weir_plural(check->records), check->refused);
    if (check->strings > 0)
        weir_line_print(stdout, "%s: %" PRIu64 " string field%s, which Weir does not store", path,
            check->strings, weir_plural(check->strings));
    return check->refused > 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}

int
weir_command_check_lines(int argc, char **argv)
{
    const char *proto = "influx", *words[2];
    bool any_time = false;
    int count = 1;
    const struct weir_option options[] = {{"proto", &proto, NULL, NULL},
        {"any-time", NULL, &any_time, NULL}, {NULL, NULL, NULL, NULL}};
    enum weir_err err = weir_options_parse(options, argc, argv, words, &count);
    const struct weir_protocol *protocol = weir_protocol_find(proto);
    if (err == WEIR_OK && count != 1)
        err = weir_fail(WEIR_INVALID, 0, "give one file, or - for standard input");
    if (err == WEIR_OK && (protocol == NULL || protocol->refused_at == NULL)) {
        char names[NAMES_MAX];
        weir_protocol_line_names(names, sizeof names, ", ");
        err = weir_fail(WEIR_INVALID, 0, "--proto is one of %s", names);
    }
    if (err != WEIR_OK) {
        weir_line_print(stderr, "weir check lines: %s", weir_err_detail());
        return WEIR_EXIT_USAGE;
    }
    static struct check check;
    check.protocol = protocol;
    int code = run(&check, words[0], any_time);
    free(check.data);
    return code;
}

void
weir_usage_check_lines(FILE *out)
{
    char names[NAMES_MAX];
    weir_protocol_line_names(names, sizeof names, ", ");
    fprintf(out,
        "usage: weir check lines FILE [OPTIONS]\n\n"
        "Reports the lines of a file (- for standard input) that a listener would refuse: reason,\n"
        "line and column. Nothing is sent. The exit code is 1 if there is such a line.\n\n"
        "  --proto P    the lines' protocol: %s (default influx)\n"
        "  --any-time   do not judge times by the clock and retention.raw (7d)\n",
        names);
}
