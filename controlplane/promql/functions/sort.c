/* sort: the rows of an instant query in an order: by value, or by labels. A range query answers by
 * labels whatever was sorted. */
#include "controlplane/promql/functions/call.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>

struct order {
    struct weir_promql_row row;
    double value;   /* by value */
    uint32_t place; /* where it came from */
    bool descends;
    const struct weir_promql_call *call; /* by labels: those that its arguments name */
};

/* NaN is last, whatever the direction; of equal ones the first stays. */
static int
by_value(const void *a, const void *b)
{
    const struct order *left = a, *right = b;
    if (isnan(left->value) != isnan(right->value))
        return isnan(left->value) ? 1 : -1;
    if (left->value != right->value && !isnan(left->value))
        return (left->value < right->value) != left->descends ? -1 : 1;
    return left->place < right->place ? -1 : 1;
}

static bool
is_digit(char byte)
{
    return byte >= '0' && byte <= '9';
}

/* Takes the digits, or all that are none, off the front of text. */
static struct weir_promql_text
next_chunk(struct weir_promql_text *text)
{
    struct weir_promql_text chunk = {text->data, 1};
    while (chunk.size < text->size &&
        is_digit(chunk.data[chunk.size]) == is_digit(chunk.data[0]))
        chunk.size++;
    *text = (struct weir_promql_text){text->data + chunk.size, text->size - chunk.size};
    return chunk;
}

/* False for a chunk that is no number of 63 bits: it is compared as text. */
static bool
number_of(struct weir_promql_text chunk, int64_t *out)
{
    *out = 0;
    for (uint32_t i = 0; i < chunk.size; i++)
        if (!is_digit(chunk.data[i]) || __builtin_mul_overflow(*out, 10, out) ||
            __builtin_add_overflow(*out, chunk.data[i] - '0', out))
            return false;
    return true;
}

/* Numbers in texts compare as numbers: "a2" is before "a10". Texts that differ in zeros alone
 * ("1" and "01") are equal here. */
static int
compare_naturally(struct weir_promql_text a, struct weir_promql_text b)
{
    while (a.size > 0 && b.size > 0) {
        struct weir_promql_text left = next_chunk(&a), right = next_chunk(&b);
        int64_t left_number, right_number;
        int order;
        if (number_of(left, &left_number) && number_of(right, &right_number))
            order = (left_number > right_number) - (left_number < right_number);
        else
            order = weir_promql_text_compare(left, right);
        if (order != 0)
            return order;
    }
    return (a.size > 0) - (b.size > 0);
}

static int
by_labels(const void *a, const void *b)
{
    const struct order *left = a, *right = b;
    int order = 0;
    for (uint32_t i = 1; order == 0 && i < left->call->node->call.arguments.count; i++) {
        struct weir_promql_text name = weir_promql_argument_text(left->call, i);
        order = compare_naturally(weir_promql_labelset_get(left->row.labels, name),
            weir_promql_labelset_get(right->row.labels, name));
    }
    if (order == 0)
        order = weir_promql_labelset_compare(left->row.labels, right->row.labels);
    return left->descends ? -order : order;
}

static enum weir_err
push_sorted(struct weir_promql_call *call, struct weir_promql_sink *sink, bool descends,
    int (*compare)(const void *, const void *))
{
    struct weir_promql_table table;
    enum weir_err err = weir_promql_argument_table(call, 0, &table);
    struct order *orders =
        weir_promql_query_alloc(call->query, (table.count + (size_t)1) * sizeof *orders);
    if (err == WEIR_OK && orders == NULL)
        err = WEIR_NOMEM;
    if (err != WEIR_OK)
        return err;
    for (uint32_t i = 0; i < table.count; i++)
        orders[i] =
            (struct order){table.rows[i], table.rows[i].values[0], i, descends, call};
    qsort(orders, table.count, sizeof *orders, compare);
    for (uint32_t i = 0; err == WEIR_OK && i < table.count; i++)
        err = weir_promql_push(sink, &orders[i].row);
    return err;
}

static enum weir_err
sort(struct weir_promql_call *call, struct weir_promql_sink *sink, bool descends,
    int (*compare)(const void *, const void *))
{
    if (call->grid.count <= 1)
        return push_sorted(call, sink, descends, compare);
    enum weir_err err = weir_promql_annotate(
        call->query, WEIR_PROMQL_ANNOTATION_SORT_IN_RANGE, call->node->at);
    return err == WEIR_OK
        ? weir_promql_eval(call->query, weir_promql_argument(call, 0), &call->grid, sink)
        : err;
}

enum weir_err
weir_promql_whole_sort(struct weir_promql_call *call, struct weir_promql_sink *sink)
{
    return sort(call, sink, false, by_value);
}

enum weir_err
weir_promql_whole_sort_desc(struct weir_promql_call *call, struct weir_promql_sink *sink)
{
    return sort(call, sink, true, by_value);
}

enum weir_err
weir_promql_whole_sort_by_label(struct weir_promql_call *call, struct weir_promql_sink *sink)
{
    return sort(call, sink, false, by_labels);
}

enum weir_err
weir_promql_whole_sort_by_label_desc(struct weir_promql_call *call, struct weir_promql_sink *sink)
{
    return sort(call, sink, true, by_labels);
}
