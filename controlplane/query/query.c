#include "controlplane/query/query.h"

#include "base/assert.h"
#include "controlplane/http/time_text.h"
#include "controlplane/query/buckets.h"
#include "controlplane/query/hint.h"
#include "controlplane/query/points.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define RANGE_DEFAULT_MS 3600000
#define STEP_DEFAULT_MS 60000

/* How a path names what it takes and answers. */
struct form {
    const char *from, *to; /* parameters */
    const char *labels;    /* the field of an answer */
    bool tags;             /* labels are in one parameter, tags=NAME:VALUE,...; else each is one */
};
static const struct form own_form = {"from", "to", "labels", false};
static const struct form simple_form = {"start", "end", "tags", true};

struct query {
    const struct form *form;
    char *tags; /* a copy of that parameter, cut into zero terminated names and values */
    const char *metric;
    size_t metric_size;
    int64_t from_ms;
    int64_t to_ms;
    int64_t step_ms;
    enum weir_aggregation aggregation;
    struct weir_match matches[WEIR_PARAMS_MAX + 1];
    size_t match_count;
    uint64_t *numbers;
    size_t series_count;
    uint32_t *order; /* places in numbers, in order of labels */
    uint64_t corrupt_before; /* met by the reader before this query */
};

static const char *const aggregation_names[] = {
    [WEIR_AGG_AVG] = "avg",
    [WEIR_AGG_MIN] = "min",
    [WEIR_AGG_MAX] = "max",
    [WEIR_AGG_SUM] = "sum",
    [WEIR_AGG_COUNT] = "count",
    [WEIR_AGG_LAST] = "last",
    [WEIR_AGG_RAW] = "raw",
};
#define AGGREGATION_COUNT (sizeof aggregation_names / sizeof aggregation_names[0])

static bool
next_label(const uint8_t *labels, size_t size, size_t *at, bool with_name, struct weir_label *out)
{
    static const char name[] = WEIR_NAME_LABEL;
    while (weir_labels_next(labels, size, at, out) == WEIR_OK)
        if (with_name || out->name_size != sizeof name - 1 ||
            memcmp(out->name, name, sizeof name - 1) != 0)
            return true;
    return false;
}

static int
bytes_order(const uint8_t *a, size_t a_size, const uint8_t *b, size_t b_size)
{
    int order = memcmp(a, b, a_size < b_size ? a_size : b_size);
    return order != 0 ? order : (a_size > b_size) - (a_size < b_size);
}

int
weir_labels_order(const uint8_t *a, size_t a_size, const uint8_t *b, size_t b_size)
{
    size_t a_at = 0;
    size_t b_at = 0;
    for (;;) {
        struct weir_label left, right;
        bool more_left = next_label(a, a_size, &a_at, false, &left);
        bool more_right = next_label(b, b_size, &b_at, false, &right);
        if (!more_left || !more_right)
            return more_left - more_right;
        int order = bytes_order(left.name, left.name_size, right.name, right.name_size);
        if (order == 0)
            order = bytes_order(left.value, left.value_size, right.value, right.value_size);
        if (order != 0)
            return order;
    }
}

void
weir_json_labels(struct weir_text *text, const uint8_t *labels, size_t size, bool with_name)
{
    struct weir_label label;
    size_t at = 0;
    const char *between = "{";
    while (next_label(labels, size, &at, with_name, &label)) {
        weir_text_puts(text, between);
        weir_json_string(text, label.name, label.name_size);
        weir_text_puts(text, ":");
        weir_json_string(text, label.value, label.value_size);
        between = ",";
    }
    weir_text_puts(text, *between == '{' ? "{}" : "}");
}

/* The parameter of that name, NULL where it is not given. False where it is not one. */
static bool
find_param(struct weir_call *call, const char *name, const struct weir_param **param)
{
    if (weir_params_find(call->params, name, param) == WEIR_OK)
        return true;
    weir_call_fail(call, WEIR_STATUS_BAD_REQUEST, "%s", weir_err_detail());
    return false;
}

static bool
fail_param(struct weir_call *call, const char *name, const struct weir_param *param)
{
    weir_call_fail(call, WEIR_STATUS_BAD_REQUEST, "%s=%.100s is %s", name, param->value,
        weir_err_detail());
    return false;
}

/* The value keeps its default where the parameter is not given. */
static bool
read_time(struct weir_call *call, const char *name, int64_t *time_ms)
{
    const struct weir_param *param;
    if (!find_param(call, name, &param))
        return false;
    return param == NULL || weir_time_parse(param->value, call->now_ms, time_ms) == WEIR_OK ||
        fail_param(call, name, param);
}

static bool
read_step(struct weir_call *call, int64_t *step_ms)
{
    const struct weir_param *param;
    if (!find_param(call, "step", &param))
        return false;
    return param == NULL || weir_duration_parse(param->value, step_ms) == WEIR_OK ||
        fail_param(call, "step", param);
}

static bool
read_range(struct weir_call *call, struct query *query)
{
    query->to_ms = call->now_ms;
    query->step_ms = STEP_DEFAULT_MS;
    if (!read_time(call, query->form->to, &query->to_ms))
        return false;
    query->from_ms = query->to_ms - RANGE_DEFAULT_MS;
    if (!read_time(call, query->form->from, &query->from_ms) || !read_step(call, &query->step_ms))
        return false;
    if (query->from_ms >= query->to_ms) {
        weir_call_fail(call, WEIR_STATUS_BAD_REQUEST,
            "%s must be before %s (defaults: %s is now, %s is an hour before %s)",
            query->form->from, query->form->to, query->form->to, query->form->from,
            query->form->to);
        return false;
    }
    return true;
}

static bool
read_aggregation(struct weir_call *call, struct query *query)
{
    const struct weir_param *param;
    if (!find_param(call, "agg", &param))
        return false;
    query->aggregation = WEIR_AGG_AVG;
    if (param == NULL)
        return true;
    for (size_t i = 0; i < AGGREGATION_COUNT; i++) {
        if (strcmp(param->value, aggregation_names[i]) == 0) {
            query->aggregation = (enum weir_aggregation)i;
            return true;
        }
    }
    weir_call_fail(call, WEIR_STATUS_BAD_REQUEST,
        "agg=%.40s is not one of avg, min, max, sum, count, last, raw", param->value);
    return false;
}

static bool
is_reserved(const char *name)
{
    static const char *const names[] = {"metric", "from", "to", "step", "agg"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (strcmp(name, names[i]) == 0)
            return true;
    return false;
}

/* Adds a match that a label has the value. */
static enum weir_err
add_match(struct query *query, const char *name, const char *value, size_t size)
{
    if (strcmp(name, WEIR_NAME_LABEL) == 0)
        return weir_fail(WEIR_INVALID, 0, "the metric's name goes into parameter metric");
    for (size_t k = 1; k < query->match_count; k++)
        if (strcmp(name, query->matches[k].name) == 0)
            return weir_fail(WEIR_INVALID, 0, "label %.100s is given twice; one value is "
                "possible", name);
    if (query->match_count == sizeof query->matches / sizeof query->matches[0])
        return weir_fail(WEIR_INVALID, 0, "more than %d labels", WEIR_PARAMS_MAX);
    query->matches[query->match_count++] = (struct weir_match){name, value, size, WEIR_MATCH_EQUAL};
    return WEIR_OK;
}

/* Every parameter that is not reserved is a label. */
static enum weir_err
add_params(const struct weir_call *call, struct query *query)
{
    enum weir_err err = WEIR_OK;
    for (size_t i = 0; err == WEIR_OK && i < call->params->count; i++) {
        const struct weir_param *label = &call->params->items[i];
        if (!is_reserved(label->name))
            err = add_match(query, label->name, label->value, label->value_size);
    }
    return err;
}

/* tags=NAME:VALUE,NAME:VALUE; a value may hold colons. */
static enum weir_err
add_tags(const struct weir_call *call, struct query *query)
{
    const struct weir_param *param;
    enum weir_err err = weir_params_find(call->params, "tags", &param);
    if (err != WEIR_OK || param == NULL)
        return err;
    query->tags = strdup(param->value);
    if (query->tags == NULL)
        return weir_fail(WEIR_NOMEM, 0, "tags");
    char *rest = query->tags;
    for (char *tag; err == WEIR_OK && (tag = strsep(&rest, ",")) != NULL;) {
        char *colon = strchr(tag, ':');
        if (*tag == '\0')
            continue;
        if (colon == NULL || colon == tag)
            return weir_fail(WEIR_INVALID, 0, "tags=%.100s is not NAME:VALUE,NAME:VALUE", tag);
        *colon = '\0';
        err = add_match(query, tag, colon + 1, strlen(colon + 1));
    }
    return err;
}

/* The metric, and its labels. */
static bool
read_matches(struct weir_call *call, struct query *query)
{
    const struct weir_param *param = NULL;
    enum weir_err err = weir_params_find(call->params, "metric", &param);
    if (err == WEIR_OK && (param == NULL || param->value_size == 0))
        err = weir_fail(WEIR_INVALID, 0, "parameter metric is missing: the name of the metric to "
            "query (%s)", query->form->tags
                ? "there are also start, end, step, agg, and tags=NAME:VALUE,..."
                : "reserved are " WEIR_QUERY_RESERVED "; any other parameter is a label");
    if (err == WEIR_OK) {
        query->metric = param->value;
        query->metric_size = param->value_size;
        query->matches[0] = (struct weir_match){WEIR_NAME_LABEL, param->value, param->value_size,
            WEIR_MATCH_EQUAL};
        query->match_count = 1;
        err = query->form->tags ? add_tags(call, query) : add_params(call, query);
    }
    if (err != WEIR_OK)
        weir_call_fail_err(call, err);
    return err == WEIR_OK;
}

struct order_context {
    const struct weir_reader *reader;
    const uint64_t *numbers;
};

static int
compare_series(const void *left, const void *right, void *context)
{
    const struct order_context *by = context;
    const uint8_t *a, *b;
    size_t a_size, b_size;
    weir_reader_labels(by->reader, by->numbers[*(const uint32_t *)left], &a, &a_size);
    weir_reader_labels(by->reader, by->numbers[*(const uint32_t *)right], &b, &b_size);
    return weir_labels_order(a, a_size, b, b_size);
}

static bool
select_series(struct weir_call *call, struct query *query)
{
    enum weir_err err = weir_reader_select(call->reader, query->matches, query->match_count,
        &query->numbers, &query->series_count);
    if (err != WEIR_OK) {
        weir_call_fail_err(call, err);
        return false;
    }
    if (query->series_count > call->limits->series_max) {
        weir_call_limit(call, "query.series_max", call->limits->series_max,
            "%zu series: name labels to choose among them", query->series_count);
        return false;
    }
    if (query->series_count == 0 && !weir_query_explain(call, query->matches, query->match_count))
        return false;
    query->order = malloc((query->series_count + 1) * sizeof *query->order);
    if (query->order == NULL) {
        weir_call_fail_err(call, weir_fail(WEIR_NOMEM, 0, "%zu series", query->series_count));
        return false;
    }
    for (size_t i = 0; i < query->series_count; i++)
        query->order[i] = (uint32_t)i;
    struct order_context by = {call->reader, query->numbers};
    qsort_r(query->order, query->series_count, sizeof *query->order, compare_series, &by);
    return true;
}

/* Up to the first series. */
static void
open_answer(struct weir_call *call, const struct query *query)
{
    struct weir_text *answer = &call->answer;
    weir_text_puts(answer, "{\"metric\":");
    weir_json_string(answer, query->metric, query->metric_size);
    weir_text_puts(answer, ",\"resolution\":\"");
    if (query->aggregation == WEIR_AGG_RAW) {
        weir_text_puts(answer, "raw");
    } else {
        weir_json_seconds(answer, query->step_ms, false);
        weir_text_puts(answer, "s");
    }
    weir_text_puts(answer, "\",\"series\":[");
}

/* After the last series. Warns of samples that may be missing: blocks that this query skipped, and
 * losses of the log, which may have held samples of any series and time. */
static void
close_answer(struct weir_call *call, const struct query *query)
{
    uint64_t damaged = weir_reader_blocks_corrupt(call->reader) - query->corrupt_before +
        weir_reader_gaps(call->reader);
    char own[64];
    snprintf(own, sizeof own, "%" PRIu64 " damaged blocks were skipped", damaged);
    weir_text_puts(&call->answer, "]");
    weir_call_write_warnings(call, damaged != 0 ? own : NULL);
    weir_text_puts(&call->answer, "}\n");
}

/* Writes the points of one series. `open`: its labels are written, which happens with its first
 * point, because a series without points is left out. */
static void
add_point(struct weir_call *call, const struct query *query, uint32_t series, bool *open,
    int64_t time_ms, double value)
{
    struct weir_text *answer = &call->answer;
    if (!*open) {
        const uint8_t *labels;
        size_t size;
        weir_reader_labels(call->reader, query->numbers[series], &labels, &size);
        /* the first series follows [, the others } */
        weir_text_format(answer, "%s{\"%s\":",
            answer->size > 0 && answer->data[answer->size - 1] == '}' ? "," : "",
            query->form->labels);
        weir_json_labels(answer, labels, size, false);
        weir_text_puts(answer, ",\"points\":[[");
    } else {
        weir_text_puts(answer, ",[");
    }
    *open = true;
    weir_json_seconds(answer, time_ms, query->aggregation == WEIR_AGG_RAW);
    weir_text_puts(answer, ",");
    weir_json_double(answer, value);
    weir_text_puts(answer, "]");
}

static void
answer_buckets(struct weir_call *call, const struct query *query)
{
    struct weir_buckets buckets = {.from_ms = query->from_ms, .to_ms = query->to_ms,
        .step_ms = query->step_ms, .aggregation = query->aggregation};
    if (weir_buckets_init(&buckets, call, query->series_count) != WEIR_OK)
        return;
    if (weir_buckets_fill(&buckets, call, query->numbers) == WEIR_OK) {
        open_answer(call, query);
        for (size_t i = 0; i < query->series_count; i++) {
            bool open = false;
            double value;
            for (uint64_t k = 0; k < buckets.count; k++)
                if (weir_buckets_value(&buckets, query->order[i], k, &value))
                    add_point(call, query, query->order[i], &open,
                        (buckets.first + (int64_t)k) * query->step_ms, value);
            weir_text_puts(&call->answer, open ? "]}" : "");
        }
        close_answer(call, query);
    }
    weir_buckets_fini(&buckets);
}

struct raw_scan {
    struct weir_call *call;
    struct weir_query_points points;
    uint64_t points_max;
};

static enum weir_err
fail_raw(struct raw_scan *scan)
{
    weir_call_limit(scan->call, "query.points_max", scan->points_max,
        "the answer has too many raw points: ask for a shorter range or fewer series");
    return WEIR_LIMIT;
}

/* Superseded points need room until they are dropped: twice points_max is held, because points
 * are then dropped only once in points_max samples. */
static enum weir_err
add_raw(void *context, size_t index, int64_t time_ms, double value)
{
    struct raw_scan *scan = context;
    enum weir_err err = weir_call_count_sample(scan->call);
    if (err != WEIR_OK)
        return err;
    if (scan->points.count == scan->points.count_max) {
        weir_query_points_keep_last(&scan->points);
        if (scan->points.count > scan->points_max)
            return fail_raw(scan);
    }
    return weir_query_points_append(&scan->points, (uint32_t)index, time_ms, value);
}

/* Place of the first point of a group at or after it in the points that are left. */
static size_t
first_of_group(const struct weir_query_points *points, uint32_t group)
{
    size_t low = 0;
    size_t high = points->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (points->items[middle].group < group)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static void
answer_raw(struct weir_call *call, const struct query *query)
{
    struct raw_scan scan = {.call = call, .points_max = call->limits->points_max};
    if (scan.points_max > WEIR_QUERY_POINTS_LIMIT)
        scan.points_max = WEIR_QUERY_POINTS_LIMIT;
    weir_query_points_init(&scan.points, 2 * scan.points_max);
    call->status = 0;
    enum weir_err err = weir_reader_scan(call->reader, query->numbers, query->series_count,
        query->from_ms, query->to_ms, add_raw, &scan);
    weir_query_points_keep_last(&scan.points);
    if (err == WEIR_OK && scan.points.count > scan.points_max)
        err = fail_raw(&scan);
    if (err == WEIR_OK) {
        call->status = WEIR_STATUS_OK;
        open_answer(call, query);
        for (size_t i = 0; i < query->series_count; i++) {
            uint32_t series = query->order[i];
            bool open = false;
            for (size_t k = first_of_group(&scan.points, series);
                k < scan.points.count && scan.points.items[k].group == series; k++)
                add_point(call, query, series, &open, scan.points.items[k].time_ms,
                    scan.points.items[k].value);
            weir_text_puts(&call->answer, open ? "]}" : "");
        }
        close_answer(call, query);
    } else if (call->status == 0) {
        weir_call_fail_err(call, err);
    }
    weir_query_points_fini(&scan.points);
}

static void
run(struct weir_call *call, const struct form *form)
{
    struct query query = {
        .form = form, .corrupt_before = weir_reader_blocks_corrupt(call->reader)};
    call->status = WEIR_STATUS_OK;
    if (read_matches(call, &query) && read_range(call, &query) && read_aggregation(call, &query) &&
        select_series(call, &query)) {
        if (query.aggregation == WEIR_AGG_RAW)
            answer_raw(call, &query);
        else
            answer_buckets(call, &query);
    }
    if (call->answer.full)
        weir_call_full(call, "ask for a shorter range or fewer series");
    free(query.numbers);
    free(query.order);
    free(query.tags);
}

void
weir_query_run(struct weir_call *call)
{
    run(call, &own_form);
}

void
weir_query_run_simple(struct weir_call *call)
{
    run(call, &simple_form);
}
