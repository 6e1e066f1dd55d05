#include "controlplane/api/names.h"

#include "controlplane/api/param.h"
#include "controlplane/api/quoted_name.h"
#include "controlplane/api/selection.h"
#include "controlplane/api/strings.h"
#include "controlplane/query/query.h"

#include <stdlib.h>
#include <string.h>

static void
fail(struct weir_call *call, enum weir_err err)
{
    if (call->status == WEIR_STATUS_OK)
        weir_call_fail_err(call, err);
}

/* Prometheus passes over a parameter that it does not know; so do we, but we say so. */
static void
note_unknown(struct weir_call *call)
{
    static const char *const names[] = {"match[]", "limit", "start", "end"};
    for (size_t i = 0; i < call->params->count; i++) {
        bool known = false;
        for (size_t k = 0; k < sizeof names / sizeof names[0]; k++)
            known = known || strcmp(call->params->items[i].name, names[k]) == 0;
        if (!known)
            weir_call_hint(call, "parameter %.100s is not known here and changes nothing; there "
                "are match[], limit, start, end", call->params->items[i].name);
    }
}

/* Adds the names of the series' labels, or the value of call->label. */
static enum weir_err
add_strings(struct weir_call *call, uint64_t number, struct weir_strings *strings)
{
    const uint8_t *labels;
    size_t size;
    size_t at = 0;
    struct weir_label label;
    weir_reader_labels(call->reader, number, &labels, &size);
    if (call->label != NULL) {
        if (!weir_labels_find(labels, size, call->label, &label))
            return WEIR_OK;
        return weir_strings_add(strings, label.value, label.value_size);
    }
    enum weir_err err = WEIR_OK;
    while (err == WEIR_OK && weir_labels_next(labels, size, &at, &label) == WEIR_OK)
        err = weir_strings_add(strings, label.name, label.name_size);
    return err;
}

static void
close_answer(struct weir_call *call, bool truncated)
{
    weir_text_puts(&call->answer, "]");
    weir_call_write_warnings(call, truncated ? "results truncated due to limit" : NULL);
    weir_text_puts(&call->answer, "}\n");
    if (call->answer.full)
        weir_call_full(call, "choose by match[]");
}

static void
answer_strings(struct weir_call *call)
{
    struct weir_selection selection = {0};
    uint64_t limit;
    struct weir_strings strings;
    struct weir_string *sorted = NULL;
    call->status = WEIR_STATUS_OK;
    enum weir_err err = weir_strings_init(&strings, call->answer.size_max);
    if (err != WEIR_OK) {
        fail(call, err);
        goto out;
    }
    note_unknown(call);
    if (!weir_param_limit(call, &limit) || !weir_selection_init(call, &selection))
        goto out;
    for (size_t i = 0; err == WEIR_OK && i < selection.count; i++) {
        if (i % WEIR_CALL_CHECK_INTERVAL == 0)
            err = weir_call_check(call);
        if (err == WEIR_OK)
            err = add_strings(call, weir_selection_number(&selection, i), &strings);
    }
    if (err == WEIR_OK)
        err = weir_strings_sort(&strings, &sorted);
    if (err != WEIR_OK) {
        fail(call, err);
        goto out;
    }
    bool truncated = limit != 0 && strings.count > limit;
    size_t count = truncated ? limit : strings.count;
    weir_text_puts(&call->answer, "{\"status\":\"success\",\"data\":[");
    for (size_t i = 0; i < count; i++) {
        weir_text_puts(&call->answer, i > 0 ? "," : "");
        weir_json_string(&call->answer, sorted[i].bytes, sorted[i].size);
    }
    close_answer(call, truncated);
out:
    free(sorted);
    weir_strings_fini(&strings);
    weir_selection_fini(&selection);
}

void
weir_names_labels(struct weir_call *call)
{
    call->label = NULL;
    answer_strings(call);
}

void
weir_names_values(struct weir_call *call)
{
    const char *label = call->label;
    char *plain = malloc(strlen(label) + 1);
    if (plain == NULL) {
        weir_call_fail_err(call, weir_fail(WEIR_NOMEM, 0, "label name"));
        return;
    }
    if (weir_quoted_name_unescape(label, plain))
        call->label = plain;
    answer_strings(call);
    call->label = label;
    free(plain);
}

static void
write_series(struct weir_call *call, const struct weir_selection *selection, size_t count)
{
    weir_text_puts(&call->answer, "{\"status\":\"success\",\"data\":[");
    for (size_t i = 0; i < count; i++) {
        const uint8_t *labels;
        size_t size;
        weir_reader_labels(call->reader, selection->numbers[i], &labels, &size);
        weir_text_puts(&call->answer, i > 0 ? "," : "");
        weir_json_labels(&call->answer, labels, size, true);
    }
}

void
weir_names_series(struct weir_call *call)
{
    struct weir_selection selection = {0};
    uint64_t limit;
    call->status = WEIR_STATUS_OK;
    note_unknown(call);
    if (!weir_param_limit(call, &limit) || !weir_selection_init(call, &selection))
        goto out;
    if (!selection.any_match) {
        weir_call_fail(call, WEIR_STATUS_BAD_REQUEST, "no match[] parameter provided");
        goto out;
    }
    bool truncated = limit != 0 && selection.count > limit;
    size_t count = truncated ? limit : selection.count;
    if (count > call->limits->series_max) {
        weir_call_limit(call, "query.series_max", call->limits->series_max,
            "%zu series: choose fewer by match[] or give limit", count);
        goto out;
    }
    write_series(call, &selection, count);
    close_answer(call, truncated);
out:
    weir_selection_fini(&selection);
}
