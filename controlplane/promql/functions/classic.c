#include "controlplane/promql/functions/classic.h"
#include "controlplane/promql/scan/by_number.h"

#include <ctype.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* The bound that le names; *good false where it is no number. Go's ParseFloat reads what strtod
 * reads, but for blanks before it, "nan(...)" and hexadecimal digits without an exponent. */
static enum weir_err
parse_bound(
    struct weir_promql_query *query, struct weir_promql_text le, double *out, bool *good)
{
    *good = false;
    const char *text = weir_promql_format(&query->arena, "%.*s", (int)le.size, le.data);
    if (text == NULL)
        return WEIR_NOMEM;
    const char *digits = text + (text[0] == '-' || text[0] == '+');
    bool hexadecimal = digits[0] == '0' && (digits[1] == 'x' || digits[1] == 'X');
    if (strlen(text) != le.size || digits[0] == '\0' || isspace((unsigned char)digits[0]) ||
        strchr(digits, '(') != NULL || (hexadecimal && strpbrk(digits, "pP") == NULL))
        return WEIR_OK;
    char *end;
    *out = strtod(text, &end);
    *good = *end == '\0' && end != text;
    return WEIR_OK;
}

static enum weir_err
report_bound(struct weir_promql_call *call, uint32_t argument,
    const struct weir_promql_labelset *labels, struct weir_promql_text le)
{
    struct weir_promql_query *query = call->query;
    struct weir_promql_text name = weir_promql_labelset_get(labels, WEIR_PROMQL_NAME);
    const char *text = weir_promql_quoted(&query->arena, le);
    if (text != NULL && name.size > 0) {
        const char *quoted = weir_promql_quoted(&query->arena, name);
        text = quoted == NULL
            ? NULL
            : weir_promql_format(&query->arena, "%s for metric name %s", text, quoted);
    }
    if (text == NULL)
        return WEIR_NOMEM;
    return weir_promql_annotate(query, WEIR_PROMQL_ANNOTATION_BAD_BUCKET,
        weir_promql_argument(call, argument)->at, text);
}

/* The histogram of these labels; it is new where none has them. */
static enum weir_err
find_series(struct weir_promql_query *query, struct weir_promql_classics *out,
    struct weir_promql_by_number *numbers, const struct weir_promql_labelset *labels,
    uint32_t *series)
{
    uint32_t *number = weir_promql_by_number(query, numbers, labels);
    if (number == NULL)
        return WEIR_NOMEM;
    if (*number == 0) {
        out->series[out->series_count] = (struct weir_promql_classic_series){labels, 0, 0};
        *number = ++out->series_count;
    }
    *series = *number - 1;
    return WEIR_OK;
}

static enum weir_err
add_row(struct weir_promql_call *call, uint32_t argument, struct weir_promql_classics *out,
    struct weir_promql_by_number *numbers, uint32_t row, uint32_t *entry_count)
{
    static const struct weir_promql_text le = {"le", 2};
    const struct weir_promql_labelset *labels = out->table.rows[row].labels, *rest;
    struct weir_promql_text text = weir_promql_labelset_get(labels, le);
    struct weir_promql_classic_entry entry = {.row = row};
    bool good;
    enum weir_err err = parse_bound(call->query, text, &entry.bound, &good);
    if (err != WEIR_OK)
        return err;
    if (!good)
        return report_bound(call, argument, labels, text);
    err = weir_promql_labelset_drop(&call->query->sets, labels, &le, 1, &rest);
    if (err == WEIR_OK)
        err = find_series(call->query, out, numbers, rest, &entry.series);
    if (err == WEIR_OK)
        out->entries[(*entry_count)++] = entry;
    return err;
}

static int
by_series_and_bound(const void *a, const void *b)
{
    const struct weir_promql_classic_entry *left = a, *right = b;
    if (left->series != right->series)
        return left->series < right->series ? -1 : 1;
    if (left->bound != right->bound)
        return left->bound < right->bound ? -1 : 1;
    return left->row < right->row ? -1 : 1;
}

static void
sort_entries(struct weir_promql_classics *classics, uint32_t count)
{
    qsort(classics->entries, count, sizeof *classics->entries, by_series_and_bound);
    for (uint32_t i = 0; i < count; i++) {
        struct weir_promql_classic_series *series =
            &classics->series[classics->entries[i].series];
        if (series->count++ == 0)
            series->first = i;
    }
}

enum weir_err
weir_promql_classics_eval(
    struct weir_promql_call *call, uint32_t argument, struct weir_promql_classics *out)
{
    struct weir_promql_query *query = call->query;
    struct weir_promql_by_number numbers = {0};
    uint32_t entry_count = 0;
    *out = (struct weir_promql_classics){0};
    enum weir_err err = weir_promql_argument_table(call, argument, &out->table);
    if (err != WEIR_OK)
        return err;
    size_t room = out->table.count + (size_t)1;
    out->entries = weir_promql_query_alloc(query, room * sizeof *out->entries);
    out->series = weir_promql_query_alloc(query, room * sizeof *out->series);
    out->buckets = weir_promql_query_alloc(query, room * sizeof *out->buckets);
    if (out->entries == NULL || out->series == NULL || out->buckets == NULL)
        return WEIR_NOMEM;
    for (uint32_t i = 0; err == WEIR_OK && i < out->table.count; i++)
        err = add_row(call, argument, out, &numbers, i, &entry_count);
    sort_entries(out, entry_count);
    return err;
}

uint32_t
weir_promql_classic_gather(struct weir_promql_classics *classics, uint32_t series, uint32_t step)
{
    const struct weir_promql_classic_series *of = &classics->series[series];
    uint32_t count = 0;
    for (uint32_t i = of->first; i < of->first + of->count; i++) {
        const struct weir_promql_classic_entry *entry = &classics->entries[i];
        const struct weir_promql_row *row = &classics->table.rows[entry->row];
        if (!weir_promql_bit(row->present, step))
            continue;
        if (count > 0 && classics->buckets[count - 1].bound == entry->bound)
            classics->buckets[count - 1].count += row->values[step];
        else
            classics->buckets[count++] =
                (struct weir_promql_bucket){entry->bound, row->values[step]};
    }
    return count;
}

/* Within a relative 1e-12: what rounding makes of equal counts. */
static bool
almost_equal(double a, double b)
{
    const double least = 0x1p-1022;
    double sum = fabs(a) + fabs(b), difference = fabs(a - b);
    if (a == b || (isnan(a) && isnan(b)))
        return true;
    if (a == 0 || b == 0 || sum < least)
        return difference < 1e-12 * least;
    return difference / fmin(sum, 0x1.fffffffffffffp1023) < 1e-12;
}

struct weir_promql_levelled
weir_promql_buckets_level(struct weir_promql_bucket *buckets, uint32_t count)
{
    struct weir_promql_levelled out = {false, INFINITY, -INFINITY, 0};
    double previous = buckets[0].count;
    for (uint32_t i = 1; i < count; i++) {
        double current = buckets[i].count;
        if (current == previous)
            continue;
        if (almost_equal(previous, current)) {
            buckets[i].count = previous;
        } else if (current < previous) {
            buckets[i].count = previous;
            out.forced = true;
            out.bound_min = fmin(out.bound_min, buckets[i].bound);
            out.bound_max = fmax(out.bound_max, buckets[i].bound);
            out.difference_max = fmax(out.difference_max, previous - current);
        } else {
            previous = current;
        }
    }
    return out;
}

double
weir_promql_buckets_quantile(const struct weir_promql_bucket *buckets, uint32_t count, double q)
{
    if (count < 2 || buckets[count - 1].count == 0)
        return NAN;
    double rank = q * buckets[count - 1].count;
    uint32_t low = 0, high = count - 1; /* the first with at least rank observations */
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (buckets[middle].count >= rank)
            high = middle;
        else
            low = middle + 1;
    }
    if (low == count - 1)
        return buckets[count - 2].bound;
    if (low == 0 && buckets[0].bound <= 0)
        return buckets[0].bound;
    double start = 0, inside = buckets[low].count;
    if (low > 0) {
        start = buckets[low - 1].bound;
        inside -= buckets[low - 1].count;
        rank -= buckets[low - 1].count;
    }
    return start + (buckets[low].bound - start) * (rank / inside);
}

/* Observations up to value, which is in the bucket from start on: they are spread evenly. */
static double
rank_inside(const struct weir_promql_bucket *bucket, double start, double before, double value)
{
    if (start == -INFINITY)
        return bucket->count;
    return before + (bucket->count - before) * (value - start) / (bucket->bound - start);
}

/* Observations below value. */
static double
rank_of(const struct weir_promql_bucket *buckets, uint32_t count, double value)
{
    double start = buckets[0].bound <= 0 ? -INFINITY : 0, before = 0;
    double all = buckets[count - 1].count, rank = all;
    for (uint32_t i = 0; i < count; i++) {
        if (start >= value) {
            rank = before;
            break;
        }
        if (buckets[i].bound > value) {
            rank = rank_inside(&buckets[i], start, before, value);
            break;
        }
        before = buckets[i].count;
        start = buckets[i].bound;
    }
    return rank > all ? all : rank;
}

double
weir_promql_buckets_fraction(
    const struct weir_promql_bucket *buckets, uint32_t count, double lower, double upper)
{
    double all = buckets[count - 1].count;
    if (all == 0 || isnan(lower) || isnan(upper))
        return NAN;
    if (lower >= upper)
        return 0;
    return (rank_of(buckets, count, upper) - rank_of(buckets, count, lower)) / all;
}
