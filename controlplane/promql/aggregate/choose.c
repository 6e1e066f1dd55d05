/* choose: topk, bottomk, limitk, limit_ratio: some rows of each group, step by step. */
#include "controlplane/promql/aggregate/keep.h"
#include "controlplane/promql/aggregate/kept.h"
#include "controlplane/promql/plan/annotations.h"

#include <math.h>
#include <stdlib.h>

/* A row at a place of a heap. */
struct place {
    double value;
    uint32_t row, order; /* order: of coming, which decides between equal values */
};

struct choice {
    struct weir_promql_query *query;
    const struct weir_promql_node *node;
    struct weir_promql_kept kept;
    const double *parameter;
    uint32_t words;
    uint64_t *chosen;   /* by row: steps at which it is */
    struct place *heap; /* of one group and step; the first goes when a better one comes */
    uint32_t heap_count;
    /* the rows of the last step in the order in which an instant query answers them */
    uint32_t *order;
    uint32_t order_count;
};

static void
choose(struct choice *choice, uint32_t row, uint32_t step)
{
    weir_promql_bit_set(choice->chosen + (size_t)row * choice->words, step);
    choice->order[choice->order_count++] = row;
}

/* Whether a is before b in a heap whose first is the smallest (largest: the largest); NaN is first
 * in both. */
static bool
before(double a, double b, bool largest)
{
    return isnan(a) || (largest ? a > b : a < b);
}

static void
swap(struct place *a, struct place *b)
{
    struct place kept = *a;
    *a = *b;
    *b = kept;
}

static void
heap_add(struct choice *choice, struct place place, bool largest)
{
    uint32_t at = choice->heap_count++;
    choice->heap[at] = place;
    while (at > 0) {
        uint32_t above = (at - 1) / 2;
        if (!before(choice->heap[at].value, choice->heap[above].value, largest))
            break;
        swap(&choice->heap[at], &choice->heap[above]);
        at = above;
    }
}

/* Puts the first where it belongs. */
static void
heap_sink(struct choice *choice, bool largest)
{
    uint32_t at = 0;
    for (;;) {
        uint32_t below = 2 * at + 1;
        if (below >= choice->heap_count)
            return;
        if (below + 1 < choice->heap_count &&
            before(choice->heap[below + 1].value, choice->heap[below].value, largest))
            below++;
        if (!before(choice->heap[below].value, choice->heap[at].value, largest))
            return;
        swap(&choice->heap[at], &choice->heap[below]);
        at = below;
    }
}

/* Best first, NaN last, equal ones as they are in the heap. */
static int
compare(const struct place *left, const struct place *right, bool largest)
{
    if (isnan(left->value) || isnan(right->value))
        return isnan(left->value) == isnan(right->value)
            ? (left->order > right->order) - (left->order < right->order)
            : (isnan(left->value) ? 1 : -1);
    if (left->value != right->value)
        return (largest ? left->value > right->value : left->value < right->value) ? -1 : 1;
    return (left->order > right->order) - (left->order < right->order);
}

static int
largest_first(const void *a, const void *b)
{
    return compare(a, b, true);
}

static int
smallest_first(const void *a, const void *b)
{
    return compare(a, b, false);
}

/* The k best of a group at a step. bottom: the smallest are. */
static void
best_of(struct choice *choice, uint32_t group, uint32_t step, uint32_t k, bool bottom)
{
    const struct weir_promql_kept *kept = &choice->kept;
    choice->heap_count = 0;
    for (uint32_t i = kept->begin[group]; i < kept->begin[group + 1]; i++) {
        const struct weir_promql_row *row = &kept->table.rows[kept->rows[i]];
        if (!weir_promql_bit(row->present, step))
            continue;
        double value = row->values[step], first = choice->heap[0].value;
        struct place place = {value, kept->rows[i], i};
        if (choice->heap_count < k) {
            heap_add(choice, place, bottom);
        } else if ((bottom ? first > value : first < value) || (isnan(first) && !isnan(value))) {
            choice->heap[0] = place;
            heap_sink(choice, bottom);
        }
    }
    qsort(choice->heap, choice->heap_count, sizeof *choice->heap,
        bottom ? smallest_first : largest_first);
    for (uint32_t i = 0; i < choice->heap_count; i++)
        choose(choice, choice->heap[i].row, step);
}

/* The first k of a group that have a value at a step. */
static void
first_of(struct choice *choice, uint32_t group, uint32_t step, uint32_t k)
{
    const struct weir_promql_kept *kept = &choice->kept;
    for (uint32_t i = kept->begin[group]; i < kept->begin[group + 1] && k > 0; i++) {
        if (!weir_promql_bit(kept->table.rows[kept->rows[i]].present, step))
            continue;
        choose(choice, kept->rows[i], step);
        k--;
    }
}

/* Between 0 and 1, from the labels alone: FNV-1a over names and values, its bits mixed. It stays
 * the same over releases, since limit_ratio answers depend on it. */
static double
ratio_of(const struct weir_promql_labelset *labels)
{
    uint64_t hash = UINT64_C(0xcbf29ce484222325);
    for (uint32_t i = 0; i < labels->count; i++) {
        const struct weir_promql_text parts[] = {labels->labels[i].name, labels->labels[i].value};
        for (unsigned part = 0; part < 2; part++) {
            for (uint32_t k = 0; k < parts[part].size; k++)
                hash = (hash ^ (uint8_t)parts[part].data[k]) * UINT64_C(0x100000001b3);
            hash = (hash ^ 0xff) * UINT64_C(0x100000001b3);
        }
    }
    hash = (hash ^ hash >> 33) * UINT64_C(0xff51afd7ed558ccd);
    hash = (hash ^ hash >> 33) * UINT64_C(0xc4ceb9fe1a85ec53);
    return (double)((hash ^ hash >> 33) >> 11) / 9007199254740992.0;
}

static void
share_of(struct choice *choice, uint32_t group, uint32_t step, double ratio)
{
    const struct weir_promql_kept *kept = &choice->kept;
    for (uint32_t i = kept->begin[group]; i < kept->begin[group + 1]; i++) {
        const struct weir_promql_row *row = &kept->table.rows[kept->rows[i]];
        double at = ratio_of(row->labels);
        if (weir_promql_bit(row->present, step) && (ratio >= 0 ? at < ratio : at >= 1 + ratio))
            choose(choice, kept->rows[i], step);
    }
}

static void
choose_at(struct choice *choice, uint32_t step)
{
    double parameter = choice->parameter[step], rows = (double)choice->kept.table.count;
    uint32_t k = parameter < 1 ? 0 : (uint32_t)fmin(parameter, rows);
    choice->order_count = 0;
    for (uint32_t group = 0; group < choice->kept.groups.count; group++) {
        switch (choice->node->aggregate.operator) {
        case WEIR_PROMQL_TOPK:
        case WEIR_PROMQL_BOTTOMK:
            if (k > 0)
                best_of(choice, group, step, k,
                    choice->node->aggregate.operator == WEIR_PROMQL_BOTTOMK);
            break;
        case WEIR_PROMQL_LIMITK:
            first_of(choice, group, step, k);
            break;
        default:
            share_of(choice, group, step, fmax(-1, fmin(1, parameter)));
        }
    }
}

static enum weir_err
push_chosen(struct choice *choice, struct weir_promql_sink *sink)
{
    const struct weir_promql_table *table = &choice->kept.table;
    bool instant = table->steps == 1;
    uint32_t count = instant ? choice->order_count : table->count;
    for (uint32_t i = 0; i < count; i++) {
        uint32_t at = instant ? choice->order[i] : i;
        struct weir_promql_row *row = &table->rows[at];
        row->present = choice->chosen + (size_t)at * choice->words;
        if (!weir_promql_bits_any(row->present, table->steps))
            continue;
        enum weir_err err = weir_promql_push(sink, row);
        if (err != WEIR_OK)
            return err;
    }
    return WEIR_OK;
}

/* Least and most of a column; both NaN where one of it is. */
static void
bounds(const double *values, uint32_t count, double *least, double *most)
{
    *least = *most = values[0];
    for (uint32_t i = 0; i < count; i++) {
        *least = isnan(values[i]) || values[i] < *least ? values[i] : *least;
        *most = isnan(values[i]) || values[i] > *most ? values[i] : *most;
        if (isnan(values[i])) {
            *least = *most = NAN;
            return;
        }
    }
}

static const char *
number_text(struct weir_promql_query *query, double value, const char *format_end)
{
    char text[WEIR_PROMQL_DOUBLE_MAX + 1];
    text[weir_promql_double(value, false, text)] = '\0';
    return weir_promql_format(&query->arena, "Scalar value %s %s", text, format_end);
}

/* *none: no step asks for a row. */
static enum weir_err
check_k(struct choice *choice, bool *none)
{
    struct weir_promql_query *query = choice->query;
    double least, most;
    bounds(choice->parameter, choice->kept.table.steps, &least, &most);
    *none = most < 1;
    if (*none)
        return WEIR_OK;
    if (isnan(most))
        return weir_promql_fail(query, WEIR_INVALID, "Parameter value is NaN");
    if (least <= -9223372036854775808.0)
        return weir_promql_fail(query, WEIR_INVALID, number_text(query, least, "underflows int64"));
    if (most >= 9223372036854775808.0)
        return weir_promql_fail(query, WEIR_INVALID, number_text(query, most, "overflows int64"));
    return WEIR_OK;
}

static enum weir_err
warn_ratio(struct choice *choice, double ratio, const char *cap)
{
    char text[WEIR_PROMQL_DOUBLE_MAX + 1];
    text[weir_promql_double(ratio, false, text)] = '\0';
    return weir_promql_annotate(choice->query, WEIR_PROMQL_ANNOTATION_INVALID_RATIO,
        weir_promql_unwrapped(choice->node->aggregate.parameter)->at, text, cap);
}

static enum weir_err
check_ratio(struct choice *choice, bool *none)
{
    double least, most;
    bounds(choice->parameter, choice->kept.table.steps, &least, &most);
    *none = least == 0 && most == 0;
    if (isnan(most))
        return weir_promql_fail(choice->query, WEIR_INVALID, "Ratio value is NaN");
    enum weir_err err = most > 1 ? warn_ratio(choice, most, "1") : WEIR_OK;
    return err == WEIR_OK && least < -1 ? warn_ratio(choice, least, "-1") : err;
}

enum weir_err
weir_promql_keep_choose(struct weir_promql_query *query, const struct weir_promql_node *node,
    const struct weir_promql_grid *grid, struct weir_promql_sink *sink)
{
    struct choice choice = {.query = query, .node = node, .words = weir_promql_words(grid->count)};
    bool none;
    enum weir_err err = weir_promql_kept_eval(query, node, grid, &choice.parameter, &choice.kept);
    if (err == WEIR_OK)
        err = node->aggregate.operator == WEIR_PROMQL_LIMIT_RATIO ? check_ratio(&choice, &none)
                                                                 : check_k(&choice, &none);
    if (err != WEIR_OK || none)
        return err;
    size_t rows = choice.kept.table.count + (size_t)1;
    choice.chosen = weir_promql_query_alloc(query, rows * choice.words * sizeof *choice.chosen);
    choice.heap = weir_promql_query_alloc(query, rows * sizeof *choice.heap);
    choice.order = weir_promql_query_alloc(query, rows * sizeof *choice.order);
    if (choice.chosen == NULL || choice.heap == NULL || choice.order == NULL)
        return WEIR_NOMEM;
    for (uint32_t step = 0; step < grid->count && err == WEIR_OK; step++) {
        err = weir_promql_work(query, rows);
        if (err == WEIR_OK)
            choose_at(&choice, step);
    }
    return err == WEIR_OK ? push_chosen(&choice, sink) : err;
}
