#include "controlplane/api/federate.h"

#include "base/double_text.h"
#include "controlplane/api/query.h"
#include "controlplane/api/selection.h"
#include "controlplane/promql/source.h"
#include "controlplane/query/query.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

struct newest {
    uint64_t number;
    int64_t time_ms; /* INT64_MIN: it has no sample */
    double value;
};

struct federation {
    struct weir_call *call;
    struct newest *newest; /* one a series */
    size_t count;
};

static enum weir_err
note_sample(void *context, size_t index, int64_t time_ms, double value)
{
    struct federation *federation = context;
    struct newest *newest = &federation->newest[index];
    if (time_ms >= newest->time_ms) { /* of two at one time the later in the log counts */
        newest->time_ms = time_ms;
        newest->value = value;
    }
    return weir_call_count_sample(federation->call);
}

static bool
is_stale(double value)
{
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits == WEIR_PROMQL_STALE_BITS;
}

static struct weir_label
name_of(const uint8_t *labels, size_t size)
{
    struct weir_label name = {0};
    (void)weir_labels_find(labels, size, WEIR_NAME_LABEL, &name);
    return name;
}

/* By name, then by the other labels. */
static int
compare(const void *left, const void *right, void *context)
{
    const struct weir_reader *reader = context;
    const uint8_t *a, *b;
    size_t a_size, b_size;
    weir_reader_labels(reader, ((const struct newest *)left)->number, &a, &a_size);
    weir_reader_labels(reader, ((const struct newest *)right)->number, &b, &b_size);
    struct weir_label an = name_of(a, a_size), bn = name_of(b, b_size);
    size_t common = an.value_size < bn.value_size ? an.value_size : bn.value_size;
    int order = common > 0 ? memcmp(an.value, bn.value, common) : 0;
    if (order == 0)
        order = (an.value_size > bn.value_size) - (an.value_size < bn.value_size);
    return order != 0 ? order : weir_labels_order(a, a_size, b, b_size);
}

static bool
is_plain(const uint8_t *text, size_t size, bool metric)
{
    for (size_t i = 0; i < size; i++) {
        uint8_t c = text[i];
        bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' ||
            (metric && c == ':');
        if (!letter && (i == 0 || c < '0' || c > '9'))
            return false;
    }
    return size > 0;
}

static void
put_quoted(struct weir_text *text, const uint8_t *bytes, size_t size)
{
    weir_text_puts(text, "\"");
    for (size_t i = 0; i < size; i++) {
        if (bytes[i] == '\n')
            weir_text_puts(text, "\\n");
        else if (bytes[i] == '"' || bytes[i] == '\\')
            weir_text_append(text, (const uint8_t[]){'\\', bytes[i]}, 2);
        else
            weir_text_append(text, &bytes[i], 1);
    }
    weir_text_puts(text, "\"");
}

/* name{label="value"}; a name that is not plain stands quoted in the braces. */
static void
put_series(struct weir_text *text, const uint8_t *labels, size_t size)
{
    struct weir_label name = name_of(labels, size), label;
    bool plain = is_plain(name.value, name.value_size, true), any = false;
    size_t at = 0;
    if (plain)
        weir_text_append(text, name.value, name.value_size);
    while (weir_labels_next(labels, size, &at, &label) == WEIR_OK) {
        bool is_name = label.value == name.value;
        if (is_name && plain)
            continue;
        weir_text_puts(text, any ? "," : "{");
        any = true;
        if (is_name || !is_plain(label.name, label.name_size, false))
            put_quoted(text, is_name ? name.value : label.name,
                is_name ? name.value_size : label.name_size);
        else
            weir_text_append(text, label.name, label.name_size);
        if (is_name)
            continue;
        weir_text_puts(text, "=");
        put_quoted(text, label.value, label.value_size);
    }
    weir_text_puts(text, any ? "}" : "");
}

static void
put_type(struct weir_text *text, struct weir_label name)
{
    weir_text_puts(text, "# TYPE ");
    if (is_plain(name.value, name.value_size, true))
        weir_text_append(text, name.value, name.value_size);
    else
        put_quoted(text, name.value, name.value_size);
    weir_text_puts(text, " untyped\n");
}

static void
write_answer(struct federation *federation)
{
    struct weir_call *call = federation->call;
    struct weir_text *text = &call->answer;
    struct weir_label before = {0};
    for (size_t i = 0; i < federation->count; i++) {
        const struct newest *newest = &federation->newest[i];
        const uint8_t *labels;
        size_t size;
        char number[WEIR_DOUBLE_JSON_MAX];
        if (newest->time_ms == INT64_MIN || is_stale(newest->value))
            continue;
        weir_reader_labels(call->reader, newest->number, &labels, &size);
        struct weir_label name = name_of(labels, size);
        if (before.value == NULL || name.value_size != before.value_size ||
            memcmp(name.value, before.value, name.value_size) != 0)
            put_type(text, name);
        before = name;
        put_series(text, labels, size);
        weir_text_puts(text, " ");
        weir_text_append(
            text, number, weir_double_text(newest->value, WEIR_DOUBLE_GENERAL, number));
        weir_text_format(text, " %" PRId64 "\n", newest->time_ms);
    }
}

static bool
read_newest(struct federation *federation, const struct weir_selection *selection)
{
    struct weir_call *call = federation->call;
    federation->count = selection->count;
    federation->newest = malloc((selection->count + 1) * sizeof *federation->newest);
    if (federation->newest == NULL) {
        weir_call_fail_err(call, weir_fail(WEIR_NOMEM, 0, "%zu series", selection->count));
        return false;
    }
    for (size_t i = 0; i < selection->count; i++)
        federation->newest[i] = (struct newest){weir_selection_number(selection, i), INT64_MIN, 0};
    enum weir_err err = WEIR_OK;
    if (selection->count > 0)
        err = weir_reader_scan(call->reader, selection->numbers, selection->count,
            call->now_ms - WEIR_API_LOOKBACK_MS + 1, call->now_ms + 1, note_sample, federation);
    if (err != WEIR_OK && call->status == 0)
        weir_call_fail_err(call, err);
    return err == WEIR_OK;
}

void
weir_api_federate(struct weir_call *call)
{
    struct weir_selection selection = {0};
    struct federation federation = {.call = call};
    if (!weir_selection_init(call, &selection))
        goto out;
    if (!selection.any_match) {
        weir_call_fail(call, WEIR_STATUS_BAD_REQUEST, "no match[] parameter provided");
        goto out;
    }
    if (!read_newest(&federation, &selection))
        goto out;
    qsort_r(federation.newest, federation.count, sizeof *federation.newest, compare, call->reader);
    write_answer(&federation);
    call->status = WEIR_STATUS_OK;
    if (call->answer.full)
        weir_call_full(call, "choose by match[]");
    else
        call->content_type = "text/plain; version=0.0.4; charset=utf-8";
out:
    free(federation.newest);
    weir_selection_fini(&selection);
}
