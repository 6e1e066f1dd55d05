#include "controlplane/query/hint.h"

#include "controlplane/query/query.h"

#include <stdlib.h>
#include <string.h>

#define NAMES_SHOWN 10 /* labels of the metric, in an error */

/* Whether any series meets the matches. False with *failed if that cannot be found out. */
static bool
any_series(struct weir_call *call, const struct weir_match *matches, size_t count, bool *failed)
{
    uint64_t *numbers = NULL;
    size_t found = 0;
    enum weir_err err = weir_call_check(call);
    if (err == WEIR_OK)
        err = weir_reader_select(call->reader, matches, count, &numbers, &found);
    if (err != WEIR_OK && call->status == WEIR_STATUS_OK)
        weir_call_fail_err(call, err);
    *failed = err != WEIR_OK;
    free(numbers);
    return err == WEIR_OK && found > 0;
}

/* No name of a metric is forbidden to look so; this is asked where there is none of that name. */
static bool
reads_as_promql(const char *name)
{
    static const char *const words[] = {" + ", " - ", " * ", " / ", " % ", " ^ ", " == ", " != ",
        " > ", " < ", " >= ", " <= ", " and ", " or ", " unless ", " offset ", " @ ", " by ",
        " without "};
    if (strpbrk(name, "(){}[]") != NULL)
        return true;
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        if (strstr(name, words[i]) != NULL)
            return true;
    return false;
}

/* Parameters of Prometheus's query endpoints: nobody means a label by them. */
static bool
is_of_prometheus(const char *name)
{
    static const char *const names[] = {"query", "time", "start", "end", "match[]", "limit",
        "timeout", "lookback_delta", "stats", "max_source_resolution", "dedup", "partial_response"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (strcmp(name, names[i]) == 0)
            return true;
    return false;
}

static bool
explain_no_metric(struct weir_call *call, const struct weir_match *matches, size_t count)
{
    const char *metric = matches[0].value;
    if (reads_as_promql(metric)) {
        weir_call_fail(call, WEIR_STATUS_BAD_REQUEST, "metric=%.100s: no metric has this name; "
            "PromQL is asked at /api/v1/query: here metric is a name alone, labels are further "
            "parameters, like metric=cpu_usage&host=web1", metric);
        return false;
    }
    for (size_t i = 1; i < count; i++) {
        if (!is_of_prometheus(matches[i].name))
            continue;
        weir_call_fail(call, WEIR_STATUS_BAD_REQUEST, "parameter %s is not known here (there are "
            WEIR_QUERY_RESERVED "; any other is a label), and no metric is called %.100s",
            matches[i].name, metric);
        return false;
    }
    weir_call_hint(call, "no metric is called %.100s", metric);
    return true;
}

/* The names of the labels that some series of the metric has, as many as are shown. */
static void
print_names(struct weir_call *call, const struct weir_match *metric, char *out, size_t room)
{
    uint64_t *numbers = NULL;
    size_t count = 0, at = 0, used = 0, shown = 0;
    const uint8_t *labels;
    size_t size;
    struct weir_label label;
    out[0] = '\0';
    if (weir_reader_select(call->reader, metric, 1, &numbers, &count) != WEIR_OK || count == 0)
        return;
    weir_reader_labels(call->reader, numbers[0], &labels, &size);
    while (weir_labels_next(labels, size, &at, &label) == WEIR_OK && shown < NAMES_SHOWN) {
        if (label.name_size == strlen(WEIR_NAME_LABEL) &&
            memcmp(label.name, WEIR_NAME_LABEL, label.name_size) == 0)
            continue;
        int more = snprintf(out + used, room - used, "%s%.*s", shown++ > 0 ? ", " : "",
            (int)label.name_size, (const char *)label.name);
        used += more > 0 && (size_t)more < room - used ? (size_t)more : 0;
    }
    free(numbers);
}

static void
fail_no_label(struct weir_call *call, const struct weir_match *metric, const char *name)
{
    char names[256];
    print_names(call, metric, names, sizeof names);
    weir_call_fail(call, WEIR_STATUS_BAD_REQUEST, "%.100s is neither a parameter ("
        WEIR_QUERY_RESERVED ") nor a label of %.100s%s%s", name, metric->value,
        names[0] != '\0' ? "; a series of it has the labels " : ", whose series have none", names);
}

bool
weir_query_explain(struct weir_call *call, const struct weir_match *matches, size_t count)
{
    bool failed;
    const struct weir_match *metric = &matches[0];
    if (!any_series(call, metric, 1, &failed))
        return !failed && explain_no_metric(call, matches, count);
    for (size_t i = 1; i < count; i++) {
        if (matches[i].value_size == 0)
            continue;
        struct weir_match pair[2] = {*metric, matches[i]};
        if (any_series(call, pair, 2, &failed))
            continue;
        if (failed)
            return false;
        pair[1] = (struct weir_match){matches[i].name, "", 0, WEIR_MATCH_NOT_EQUAL};
        bool has_label = any_series(call, pair, 2, &failed);
        if (!failed && !has_label)
            fail_no_label(call, metric, matches[i].name);
        if (failed || !has_label)
            return false;
        if (call->hint[0] == '\0')
            weir_call_hint(call, "no series of %.100s has %.100s=%.*s", metric->value,
                matches[i].name, matches[i].value_size < 100 ? (int)matches[i].value_size : 100,
                matches[i].value);
    }
    if (call->hint[0] == '\0')
        weir_call_hint(call, "no series of %.100s has all of these labels", metric->value);
    return true;
}
