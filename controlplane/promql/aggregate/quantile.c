#include "controlplane/promql/aggregate/keep.h"
#include "controlplane/promql/aggregate/kept.h"
#include "controlplane/promql/plan/annotations.h"

#include <math.h>
#include <stdlib.h>

static int
nan_first(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    if (isnan(x) || isnan(y))
        return (isnan(x) ? 0 : 1) - (isnan(y) ? 0 : 1);
    return (x > y) - (x < y);
}

double
weir_promql_quantile(double q, double *values, uint32_t count)
{
    if (count == 0 || isnan(q))
        return NAN;
    if (q < 0)
        return -INFINITY;
    if (q > 1)
        return INFINITY;
    qsort(values, count, sizeof *values, nan_first);
    double rank = q * (double)(count - 1), below = floor(rank), weight = rank - below;
    uint32_t lower = (uint32_t)below, upper = lower + 1 < count ? lower + 1 : count - 1;
    return values[lower] * (1 - weight) + values[upper] * weight;
}

static enum weir_err
warn(struct weir_promql_query *query, const struct weir_promql_node *at, double q)
{
    char text[WEIR_PROMQL_DOUBLE_MAX + 1];
    text[weir_promql_double(q, false, text)] = '\0';
    return weir_promql_annotate(query, WEIR_PROMQL_ANNOTATION_INVALID_QUANTILE, at->at, text);
}

enum weir_err
weir_promql_quantile_check(struct weir_promql_query *query, const struct weir_promql_node *at,
    const double *q, uint32_t count)
{
    double least = q[0], most = q[0];
    bool any_nan = false;
    for (uint32_t i = 0; i < count; i++) {
        any_nan |= isnan(q[i]);
        least = fmin(least, q[i]);
        most = fmax(most, q[i]);
    }
    enum weir_err err = any_nan ? warn(query, at, NAN) : WEIR_OK;
    if (err == WEIR_OK && most > 1)
        err = warn(query, at, most);
    if (err == WEIR_OK && least < 0)
        err = warn(query, at, least);
    return err;
}

/* One group: its quantile at each step. */
static enum weir_err
fold(const struct weir_promql_kept *kept, uint32_t group, const double *q, double *values,
    struct weir_promql_row *out)
{
    enum weir_err err = WEIR_OK;
    for (uint32_t step = 0; step < kept->table.steps && err == WEIR_OK; step++) {
        uint32_t count = 0;
        for (uint32_t i = kept->begin[group]; i < kept->begin[group + 1]; i++) {
            const struct weir_promql_row *row = &kept->table.rows[kept->rows[i]];
            if (weir_promql_bit(row->present, step))
                values[count++] = row->values[step];
        }
        if (count == 0)
            continue;
        err = weir_promql_work(kept->groups.query, count);
        out->values[step] = weir_promql_quantile(q[step], values, count);
        weir_promql_bit_set(out->present, step);
    }
    return err;
}

enum weir_err
weir_promql_keep_quantile(struct weir_promql_query *query, const struct weir_promql_node *node,
    const struct weir_promql_grid *grid, struct weir_promql_sink *sink)
{
    struct weir_promql_kept kept;
    const double *q;
    enum weir_err err = weir_promql_kept_eval(query, node, grid, &q, &kept);
    if (err == WEIR_OK)
        err = weir_promql_quantile_check(
            query, weir_promql_unwrapped(node->aggregate.parameter), q, grid->count);
    if (err != WEIR_OK)
        return err;
    struct weir_promql_row row = {.values = weir_promql_doubles_new(query, grid->count),
        .present = weir_promql_bits_new(query, grid->count)};
    double *values = weir_promql_doubles_new(query, kept.table.count);
    if (row.values == NULL || row.present == NULL || values == NULL)
        return WEIR_NOMEM;
    for (uint32_t group = 0; group < kept.groups.count && err == WEIR_OK; group++) {
        struct weir_promql_row out = row;
        memset(out.present, 0, weir_promql_words(grid->count) * sizeof *out.present);
        err = fold(&kept, group, q, values, &out);
        out.labels = kept.groups.labels[group];
        for (uint32_t i = kept.begin[group]; i < kept.begin[group + 1]; i++)
            out.drop_name |= kept.table.rows[kept.rows[i]].drop_name;
        if (err == WEIR_OK)
            err = weir_promql_push(sink, &out);
    }
    return err;
}
