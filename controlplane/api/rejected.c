#include "controlplane/api/rejected.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define LIMIT_DEFAULT 100
#define LIMIT_MAX 400 /* of escaped texts at most 1.6 KiB each, an answer is within 1 MiB */

/* The parameters of a request. */
struct filter {
    size_t limit;
    uint32_t reason; /* WEIR_REASON_COUNT: all */
};

static enum weir_err
read_limit(const char *value, size_t *limit)
{
    char *end;
    unsigned long number = strtoul(value, &end, 10);
    if (value[0] < '0' || value[0] > '9' || *end != '\0' || number == 0 || number > LIMIT_MAX)
        return weir_fail(WEIR_INVALID, 0, "limit is a number from 1 to %d", LIMIT_MAX);
    *limit = number;
    return WEIR_OK;
}

static enum weir_err
read_reason(const char *value, uint32_t *reason)
{
    for (*reason = 0; *reason < WEIR_REASON_COUNT; ++*reason)
        if (strcmp(value, weir_reason_names[*reason]) == 0)
            return WEIR_OK;
    return weir_fail(WEIR_INVALID, 0, "no such reason; docs/metrics.md names those there are");
}

static enum weir_err
read_filter(const struct weir_params *params, struct filter *filter)
{
    const struct weir_param *limit, *reason;
    *filter = (struct filter){LIMIT_DEFAULT, WEIR_REASON_COUNT};
    for (size_t i = 0; i < params->count; i++)
        if (strcmp(params->items[i].name, "limit") != 0 &&
            strcmp(params->items[i].name, "reason") != 0)
            return weir_fail(WEIR_INVALID, 0, "the parameters here are limit and reason");
    enum weir_err err = weir_params_find(params, "limit", &limit);
    if (err == WEIR_OK)
        err = weir_params_find(params, "reason", &reason);
    if (err == WEIR_OK && limit != NULL)
        err = read_limit(limit->value, &filter->limit);
    if (err == WEIR_OK && reason != NULL)
        err = read_reason(reason->value, &filter->reason);
    return err;
}

static void
write_record(const struct weir_rejected_table *table, const struct weir_rejected *what,
    struct weir_text *text)
{
    char peer[WEIR_PEER_TEXT_MAX];
    weir_peer_text(&what->peer, peer);
    weir_text_puts(text, "{\"time\":");
    weir_json_seconds(text, what->time_ms, true);
    weir_text_format(text, ",\"reason\":\"%s\",\"listener\":", weir_reason_names[what->reason]);
    const char *listener = weir_rejected_listener(table, what->listener);
    weir_json_string(text, listener, strlen(listener));
    weir_text_format(text, ",\"peer\":\"%s\"", peer);
    if (what->position != WEIR_POSITION_UNKNOWN)
        weir_text_format(text, ",\"position\":%" PRIu64, what->position);
    if (what->size > 0)
        weir_text_format(text, ",\"size\":%" PRIu32, what->size);
    if (what->detail[0] != '\0') {
        weir_text_puts(text, ",\"detail\":");
        weir_json_string(text, what->detail, strlen(what->detail));
    }
    if (what->text_size > 0) {
        weir_text_puts(text, ",\"text\":");
        weir_json_string(text, what->text, what->text_size);
    }
    weir_text_puts(text, "}");
}

enum weir_err
weir_rejected_write(const struct weir_shared *shared, const struct weir_params *params,
    struct weir_text *text)
{
    struct filter filter;
    enum weir_err err = read_filter(params, &filter);
    if (err != WEIR_OK)
        return err;
    if (shared == NULL)
        return weir_fail(WEIR_AGAIN, 0, "the instance is stopped");
    struct weir_rejected *list = calloc(WEIR_REJECTED_MAX, sizeof *list);
    if (list == NULL)
        return weir_fail(WEIR_NOMEM, 0, "list of refused records");
    size_t count = weir_rejected_read(&shared->rejected, list, WEIR_REJECTED_MAX), written = 0;
    weir_text_puts(text, "{\"rejected\":[");
    for (size_t i = 0; i < count && written < filter.limit; i++) {
        if (filter.reason != WEIR_REASON_COUNT && list[i].reason != filter.reason)
            continue;
        weir_text_puts(text, written++ > 0 ? "," : "");
        write_record(&shared->rejected, &list[i], text);
    }
    weir_text_puts(text, "]}\n");
    free(list);
    return WEIR_OK;
}

void
weir_rejected_write_counts(const struct weir_shared *shared, struct weir_text *text)
{
    const struct weir_rejected_table *table = &shared->rejected;
    weir_text_puts(text,
        "# HELP weir_listener_rejected_total Records refused, by listener and reason; those that "
        "were met.\n# TYPE weir_listener_rejected_total counter\n");
    for (uint32_t listener = 0; listener < WEIR_REJECTED_LISTENERS; listener++) {
        const char *name = weir_rejected_listener(table, listener);
        for (uint32_t reason = 0; reason < WEIR_REASON_COUNT; reason++) {
            uint64_t count = weir_rejected_count(table, listener, reason);
            if (count == 0)
                continue;
            weir_text_puts(text, "weir_listener_rejected_total{listener=\"");
            weir_text_escape(text, WEIR_ESCAPE_LABEL, name, strlen(name));
            weir_text_format(text, "\",reason=\"%s\"} %" PRIu64 "\n", weir_reason_names[reason],
                count);
        }
    }
}
