#include "controlplane/api/senders.h"

#include "controlplane/api/sender_requests.h"
#include "controlplane/http/time_text.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define ROWS_DEFAULT 1000

static int
compare(uint64_t a, uint64_t b)
{
    return a > b ? -1 : a < b;
}

static int
worst_first(const void *a, const void *b)
{
    const struct weir_channel_row *x = a;
    const struct weir_channel_row *y = b;
    int order = compare(x->gaps, y->gaps);
    if (order == 0)
        order = compare(x->duplicates, y->duplicates);
    if (order == 0)
        order = compare(x->reorderings, y->reorderings);
    return order != 0 ? order : -compare(x->sender, y->sender);
}

void
weir_senders_write_rows(const struct weir_channel_row *rows, uint64_t count, bool more,
    struct weir_text *text)
{
    for (uint64_t i = 0; i < count; i++) {
        const struct weir_channel_row *row = &rows[i];
        weir_text_format(text, "%s{\"sender\":\"%" PRIu64 "\",\"channel\":%" PRIu64
            ",\"epoch\":%" PRIu64 ",\"highest\":\"%" PRIu64 "\",\"gaps\":%" PRIu64
            ",\"duplicates\":%" PRIu64 ",\"reorderings\":%" PRIu64 ",\"jumps\":%" PRIu64
            ",\"last_seen\":",
            i > 0 || more ? "," : "", row->sender, row->channel, row->epoch, row->highest,
            row->gaps, row->duplicates, row->reorderings, row->jumps);
        weir_json_seconds(text, row->last_seen_ms, false);
        weir_text_puts(text, "}");
    }
}

enum weir_err
weir_senders_write_head(struct weir_shared *shared, struct weir_text *text)
{
    struct weir_channel_rows rows;
    if (!weir_channel_view_published(&shared->channel_view))
        return weir_fail(WEIR_NOT_FOUND, 0, "not published yet: try again in a second");
    enum weir_err err = weir_channel_view_read(&shared->channel_view, &rows);
    if (err != WEIR_OK)
        return err;
    if (rows.count > WEIR_CHANNEL_VIEW_ROWS) /* a writer's mistake is not to be this process's */
        return weir_fail(WEIR_AGAIN, 0, "the view of senders is not whole");
    qsort(rows.rows, rows.count, sizeof rows.rows[0], worst_first);
    weir_text_format(text, "{\"channels\":%" PRIu64 ",\"worst\":[", rows.channels);
    weir_senders_write_rows(rows.rows, rows.count, false, text);
    weir_text_puts(text, "],\"senders\":[");
    return WEIR_OK;
}

/* A whole number of 64 bits, decimal. */
static enum weir_err
read_number(const struct weir_params *params, const char *name, uint64_t most, bool *there,
    uint64_t *out)
{
    const struct weir_param *param;
    char *end;
    enum weir_err err = weir_params_find(params, name, &param);
    *there = param != NULL;
    if (err != WEIR_OK || param == NULL)
        return err;
    errno = 0;
    *out = strtoull(param->value, &end, 10);
    if (*param->value < '0' || *param->value > '9' || *end != '\0' || errno != 0 || *out > most)
        return weir_fail(WEIR_INVALID, 0, "%s is a whole number, at most %" PRIu64, name, most);
    return WEIR_OK;
}

static enum weir_err
check_names(const struct weir_params *params, bool forget)
{
    static const char *const names[] = {"sender", "limit", "after", "silent"};
    for (size_t i = 0; i < params->count; i++) {
        bool known = false;
        for (size_t k = 0; k < (forget ? 1 : sizeof names / sizeof names[0]); k++)
            known |= strcmp(params->items[i].name, names[k]) == 0;
        if (!known)
            return weir_fail(WEIR_INVALID, 0, forget ? "the one parameter here is sender"
                : "the parameters here are sender, limit, after and silent");
    }
    return WEIR_OK;
}

enum weir_err
weir_senders_read_params(const struct weir_params *params, bool forget, int64_t now_ms,
    struct weir_channel_question *out)
{
    const struct weir_param *silent;
    bool one = false, there;
    *out = (struct weir_channel_question){
        .kind = forget ? WEIR_CHANNEL_FORGET : WEIR_CHANNEL_LIST,
        .rows_max = ROWS_DEFAULT,
        .seen_until_ms = INT64_MAX};
    enum weir_err err = check_names(params, forget);
    if (err == WEIR_OK)
        err = read_number(params, "sender", UINT64_MAX, &one, &out->sender);
    if (err == WEIR_OK && forget && !one)
        err = weir_fail(WEIR_INVALID, 0, "sender=ID names whose channels are forgotten");
    if (err == WEIR_OK && !forget)
        err = read_number(params, "limit", WEIR_SENDER_REQUESTS_ROWS_MAX, &there, &out->rows_max);
    if (err == WEIR_OK && !forget)
        err = read_number(params, "after", UINT64_MAX, &there, &out->from);
    if (err == WEIR_OK)
        err = weir_params_find(params, "silent", &silent);
    if (err == WEIR_OK && silent != NULL) {
        int64_t duration_ms = 0;
        err = weir_duration_parse(silent->value, &duration_ms);
        out->seen_until_ms = now_ms - duration_ms;
    }
    if (err == WEIR_OK && out->rows_max == 0)
        err = weir_fail(WEIR_INVALID, 0, "limit is at least 1");
    out->one_sender = one;
    return err;
}
