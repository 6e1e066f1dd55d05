#include "controlplane/promql/aggregate/kept.h"
#include "controlplane/promql/plan/eval.h"

static enum weir_err
number_rows(struct weir_promql_kept *kept, uint32_t *numbers)
{
    for (uint32_t i = 0; i < kept->table.count; i++) {
        const struct weir_promql_labelset *labels;
        enum weir_err err =
            weir_promql_group_labels(&kept->groups, kept->table.rows[i].labels, &labels);
        if (err == WEIR_OK)
            err = weir_promql_group_number(&kept->groups, labels, &numbers[i]);
        if (err != WEIR_OK)
            return err;
    }
    return WEIR_OK;
}

static enum weir_err
sort_rows(struct weir_promql_query *query, struct weir_promql_kept *kept, const uint32_t *numbers)
{
    uint32_t groups = kept->groups.count, count = kept->table.count;
    kept->begin = weir_promql_query_alloc(query, (groups + (size_t)2) * sizeof *kept->begin);
    kept->rows = weir_promql_query_alloc(query, (count + (size_t)1) * sizeof *kept->rows);
    if (kept->begin == NULL || kept->rows == NULL)
        return WEIR_NOMEM;
    for (uint32_t i = 0; i < count; i++)
        kept->begin[numbers[i] + 2]++;
    for (uint32_t i = 2; i < groups + 2; i++)
        kept->begin[i] += kept->begin[i - 1];
    for (uint32_t i = 0; i < count; i++)
        kept->rows[kept->begin[numbers[i] + 1]++] = i;
    return WEIR_OK;
}

enum weir_err
weir_promql_kept_eval(struct weir_promql_query *query, const struct weir_promql_node *node,
    const struct weir_promql_grid *grid, const double **parameter, struct weir_promql_kept *out)
{
    *out = (struct weir_promql_kept){.groups = {.query = query, .node = node}};
    enum weir_err err = weir_promql_eval_scalar(query, node->aggregate.parameter, grid, parameter);
    if (err == WEIR_OK)
        err = weir_promql_table_eval(query, node->aggregate.inner, grid, &out->table);
    if (err != WEIR_OK)
        return err;
    uint32_t *numbers =
        weir_promql_query_alloc(query, (out->table.count + (size_t)1) * sizeof *numbers);
    if (numbers == NULL)
        return WEIR_NOMEM;
    err = number_rows(out, numbers);
    return err == WEIR_OK ? sort_rows(query, out, numbers) : err;
}
