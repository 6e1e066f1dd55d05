#include "controlplane/api/names.h"

#include "controlplane/api/strings.h"
#include "controlplane/http/time_text.h"
#include "controlplane/query/query.h"
#include "controlplane/query/selector.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define DIGITS_MAX 18

/* The series a call speaks of: the union of its selectors, or all. */
struct selection {
    bool all;
    uint64_t *numbers; /* ascending, unique; NULL where all */
    size_t count;
    uint64_t limit; /* 0: none */
};

static bool
fail(struct weir_call *call, enum weir_err err)
{
    if (call->status == WEIR_STATUS_OK)
        weir_call_fail_err(call, err);
    return false;
}

static enum weir_err
parse_limit(const char *text, uint64_t *limit)
{
    size_t digits = strspn(text, "0123456789");
    if (digits == 0 || digits > DIGITS_MAX || text[digits] != '\0')
        return weir_fail(WEIR_INVALID, 0, "limit must be a whole number; 0 is no limit");
    *limit = strtoull(text, NULL, 10);
    return WEIR_OK;
}

static enum weir_err
parse_time(const struct weir_call *call, const char *name)
{
    const struct weir_param *param;
    int64_t time_ms;
    enum weir_err err = weir_params_find(call->params, name, &param);
    if (err == WEIR_OK && param != NULL)
        err = weir_time_parse(param->value, call->now_ms, &time_ms);
    return err;
}

/* The union of two ascending lists, to out. Returns its count. */
static size_t
join_numbers(const uint64_t *left, size_t left_count, const uint64_t *right, size_t right_count,
    uint64_t *out)
{
    size_t used = 0;
    size_t l = 0;
    size_t r = 0;
    while (l < left_count || r < right_count) {
        bool left_first = r == right_count || (l < left_count && left[l] <= right[r]);
        uint64_t number = left_first ? left[l] : right[r];
        l += l < left_count && left[l] == number;
        r += r < right_count && right[r] == number;
        out[used++] = number;
    }
    return used;
}

/* Adds the series of one match[] parameter. */
static enum weir_err
add_selected(struct weir_call *call, const struct weir_param *param, struct selection *selection)
{
    struct weir_selector selector;
    uint64_t *numbers = NULL;
    size_t count = 0;
    enum weir_err err = weir_selector_init(&selector, param->value, param->value_size);
    if (err != WEIR_OK)
        return err;
    err = weir_reader_select(call->reader, selector.matches, selector.count, &numbers, &count);
    weir_selector_fini(&selector);
    if (err != WEIR_OK)
        return err;
    if (selection->numbers == NULL) {
        selection->numbers = numbers;
        selection->count = count;
        return WEIR_OK;
    }
    /* joined at once: many selectors of many series need no more memory than all series do */
    uint64_t *joined = malloc((selection->count + count + 1) * sizeof *joined);
    if (joined == NULL) {
        free(numbers);
        return weir_fail(WEIR_NOMEM, 0, "%zu series", selection->count + count);
    }
    selection->count = join_numbers(selection->numbers, selection->count, numbers, count, joined);
    free(selection->numbers);
    free(numbers);
    selection->numbers = joined;
    return WEIR_OK;
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

static bool
select_series(struct weir_call *call, struct selection *selection)
{
    const struct weir_param *param;
    selection->all = true;
    note_unknown(call);
    enum weir_err err = weir_params_find(call->params, "limit", &param);
    if (err == WEIR_OK && param != NULL)
        err = parse_limit(param->value, &selection->limit);
    if (err == WEIR_OK)
        err = parse_time(call, "start");
    if (err == WEIR_OK)
        err = parse_time(call, "end");
    for (size_t i = 0; err == WEIR_OK && i < call->params->count; i++) {
        if (strcmp(call->params->items[i].name, "match[]") != 0)
            continue;
        selection->all = false;
        err = add_selected(call, &call->params->items[i], selection);
        if (err == WEIR_OK)
            err = weir_call_check(call);
    }
    if (err != WEIR_OK)
        return fail(call, err);
    if (selection->all)
        selection->count = weir_reader_series_count(call->reader);
    return true;
}

static uint64_t
number_at(const struct selection *selection, size_t i)
{
    return selection->all ? i : selection->numbers[i];
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
    struct selection selection = {0};
    struct weir_strings strings;
    struct weir_string *sorted = NULL;
    call->status = WEIR_STATUS_OK;
    enum weir_err err = weir_strings_init(&strings, call->answer.size_max);
    if (err != WEIR_OK) {
        fail(call, err);
        goto out;
    }
    if (!select_series(call, &selection))
        goto out;
    for (size_t i = 0; err == WEIR_OK && i < selection.count; i++) {
        if (i % WEIR_CALL_CHECK_INTERVAL == 0)
            err = weir_call_check(call);
        if (err == WEIR_OK)
            err = add_strings(call, number_at(&selection, i), &strings);
    }
    if (err == WEIR_OK)
        err = weir_strings_sort(&strings, &sorted);
    if (err != WEIR_OK) {
        fail(call, err);
        goto out;
    }
    bool truncated = selection.limit != 0 && strings.count > selection.limit;
    size_t count = truncated ? selection.limit : strings.count;
    weir_text_puts(&call->answer, "{\"status\":\"success\",\"data\":[");
    for (size_t i = 0; i < count; i++) {
        weir_text_puts(&call->answer, i > 0 ? "," : "");
        weir_json_string(&call->answer, sorted[i].bytes, sorted[i].size);
    }
    close_answer(call, truncated);
out:
    free(sorted);
    weir_strings_fini(&strings);
    free(selection.numbers);
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
    answer_strings(call);
}

void
weir_names_series(struct weir_call *call)
{
    struct selection selection = {0};
    call->status = WEIR_STATUS_OK;
    if (!select_series(call, &selection))
        goto out;
    if (selection.all) {
        weir_call_fail(call, WEIR_STATUS_BAD_REQUEST, "no match[] parameter provided");
        goto out;
    }
    bool truncated = selection.limit != 0 && selection.count > selection.limit;
    size_t count = truncated ? selection.limit : selection.count;
    if (count > call->limits->series_max) {
        weir_call_limit(call, "query.series_max", call->limits->series_max,
            "%zu series: choose fewer by match[] or give limit", count);
        goto out;
    }
    weir_text_puts(&call->answer, "{\"status\":\"success\",\"data\":[");
    for (size_t i = 0; i < count; i++) {
        const uint8_t *labels;
        size_t size;
        weir_reader_labels(call->reader, selection.numbers[i], &labels, &size);
        weir_text_puts(&call->answer, i > 0 ? "," : "");
        weir_json_labels(&call->answer, labels, size, true);
    }
    close_answer(call, truncated);
out:
    free(selection.numbers);
}
