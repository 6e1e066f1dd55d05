#include "controlplane/api/tsdb.h"

#include "controlplane/api/param.h"
#include "controlplane/api/strings.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* A line of a list: a name, or name=value. */
struct row {
    const uint8_t *name, *value; /* value NULL: none */
    size_t name_size, value_size;
    uint64_t count;
};

/* Rows of the lists; each has room for all pairs. */
struct lists {
    struct row *pairs, *metrics, *labels, *bytes;
    size_t pair_count, metric_count, label_count;
};

/* Adds "name\0value" of each label. */
static enum weir_err
add_series(struct weir_call *call, uint64_t number, struct weir_strings *pairs)
{
    uint8_t pair[WEIR_LABELS_BYTES_MAX];
    const uint8_t *labels;
    size_t size, at = 0;
    struct weir_label label;
    enum weir_err err = WEIR_OK;
    weir_reader_labels(call->reader, number, &labels, &size);
    while (err == WEIR_OK && weir_labels_next(labels, size, &at, &label) == WEIR_OK) {
        memcpy(pair, label.name, label.name_size);
        pair[label.name_size] = 0;
        memcpy(pair + label.name_size + 1, label.value, label.value_size);
        err = weir_strings_add(
            pairs, pair, (uint16_t)(label.name_size + 1 + label.value_size));
    }
    return err;
}

static enum weir_err
collect(struct weir_call *call, struct weir_strings *pairs)
{
    enum weir_err err = WEIR_OK;
    uint64_t count = weir_reader_series_count(call->reader);
    for (uint64_t i = 0; err == WEIR_OK && i < count; i++) {
        if (i % WEIR_CALL_CHECK_INTERVAL == 0)
            err = weir_call_check(call);
        if (err == WEIR_OK)
            err = add_series(call, i, pairs);
    }
    return err;
}

/* Fills the lists from the pairs in bytewise order, so that those of one name are together. */
static void
fill_lists(const struct weir_string *sorted, size_t count, struct lists *lists)
{
    static const char name_label[] = WEIR_NAME_LABEL;
    for (size_t i = 0; i < count; i++) {
        const uint8_t *name = sorted[i].bytes;
        size_t size = strlen((const char *)name);
        struct row pair = {name, name + size + 1, size, sorted[i].size - size - 1, sorted[i].count};
        lists->pairs[lists->pair_count++] = pair;
        if (size == sizeof name_label - 1 && memcmp(name, name_label, size) == 0)
            lists->metrics[lists->metric_count++] =
                (struct row){pair.value, NULL, pair.value_size, 0, pair.count};
        struct row *label = &lists->labels[lists->label_count];
        bool same = lists->label_count > 0 && label[-1].name_size == size &&
            memcmp(label[-1].name, name, size) == 0;
        if (!same) {
            lists->labels[lists->label_count] = (struct row){name, NULL, size, 0, 0};
            lists->bytes[lists->label_count++] = (struct row){name, NULL, size, 0, 0};
        }
        lists->labels[lists->label_count - 1].count++;
        lists->bytes[lists->label_count - 1].count += pair.value_size;
    }
}

static int
by_count(const void *a, const void *b)
{
    uint64_t left = ((const struct row *)a)->count, right = ((const struct row *)b)->count;
    return left > right ? -1 : left < right;
}

static void
put_list(
    struct weir_text *text, const char *field, struct row *rows, size_t count, uint64_t limit)
{
    qsort(rows, count, sizeof *rows, by_count);
    weir_text_format(text, ",\"%s\":[", field);
    for (size_t i = 0; i < count && i < limit; i++) {
        weir_text_puts(text, i > 0 ? ",{\"name\":\"" : "{\"name\":\"");
        weir_text_escape(text, WEIR_ESCAPE_JSON, rows[i].name, rows[i].name_size);
        if (rows[i].value != NULL) {
            weir_text_puts(text, "=");
            weir_text_escape(text, WEIR_ESCAPE_JSON, rows[i].value, rows[i].value_size);
        }
        weir_text_format(text, "\",\"value\":%" PRIu64 "}", rows[i].count);
    }
    weir_text_puts(text, "]");
}

static enum weir_err
write_answer(struct weir_call *call, const struct weir_strings *pairs, uint64_t limit)
{
    struct weir_string *sorted = NULL;
    struct row *rows = NULL;
    enum weir_err err = weir_strings_sort(pairs, &sorted);
    if (err == WEIR_OK) {
        rows = malloc((pairs->count + 1) * 4 * sizeof *rows);
        err = rows != NULL ? WEIR_OK : weir_fail(WEIR_NOMEM, 0, "%zu labels", pairs->count);
    }
    if (err == WEIR_OK) {
        size_t room = pairs->count + 1;
        struct lists lists = {rows, rows + room, rows + 2 * room, rows + 3 * room, 0, 0, 0};
        struct weir_text *text = &call->answer;
        fill_lists(sorted, pairs->count, &lists);
        weir_text_format(text,
            "{\"status\":\"success\",\"data\":{\"headStats\":{\"numSeries\":%" PRIu64
            ",\"numLabelPairs\":%zu,\"chunkCount\":%" PRIu64 "}",
            weir_reader_series_count(call->reader), pairs->count, weir_reader_frames(call->reader));
        put_list(text, "seriesCountByMetricName", lists.metrics, lists.metric_count, limit);
        put_list(text, "labelValueCountByLabelName", lists.labels, lists.label_count, limit);
        put_list(text, "memoryInBytesByLabelName", lists.bytes, lists.label_count, limit);
        put_list(text, "seriesCountByLabelValuePair", lists.pairs, lists.pair_count, limit);
        weir_text_puts(text, "}}\n");
    }
    free(rows);
    free(sorted);
    return err;
}

void
weir_api_tsdb(struct weir_call *call)
{
    struct weir_strings pairs;
    uint64_t limit;
    if (!weir_param_limit(call, &limit))
        return;
    if (limit > WEIR_API_TSDB_ROWS_MAX) {
        weir_param_refuse(call, "limit", "limit must not exceed 10000");
        return;
    }
    call->status = WEIR_STATUS_OK;
    enum weir_err err = weir_strings_init(&pairs, call->answer.size_max);
    if (err == WEIR_OK)
        err = collect(call, &pairs);
    if (err == WEIR_OK)
        err = write_answer(call, &pairs, limit != 0 ? limit : WEIR_API_TSDB_ROWS);
    if (err != WEIR_OK && call->status == WEIR_STATUS_OK)
        weir_call_fail_err(call, err);
    else if (err == WEIR_OK && call->answer.full)
        weir_call_full(call, "give a smaller limit");
    weir_strings_fini(&pairs);
}
