#include "controlplane/promql/aggregate/match.h"

/* Labels of a row that the other side must have too. */
static enum weir_err
signature_of(struct weir_promql_query *query, const struct weir_promql_matching *matching,
    const struct weir_promql_labelset *labels, const struct weir_promql_labelset **out)
{
    if (matching->on)
        return weir_promql_labelset_keep(
            &query->sets, labels, matching->labels.names, matching->labels.count, out);
    const struct weir_promql_text name = WEIR_PROMQL_NAME;
    enum weir_err err = weir_promql_labelset_drop(&query->sets, labels, &name, 1, out);
    return err == WEIR_OK ? weir_promql_labelset_drop(&query->sets, *out, matching->labels.names,
                                matching->labels.count, out)
                          : err;
}

/* Signatures of the rows of one side. */
static enum weir_err
sign(struct weir_promql_query *query, const struct weir_promql_matching *matching,
    const struct weir_promql_table *table, const struct weir_promql_labelset ***out)
{
    *out = weir_promql_query_alloc(query, (table->count + (size_t)1) * sizeof **out);
    if (*out == NULL)
        return WEIR_NOMEM;
    for (uint32_t i = 0; i < table->count; i++) {
        enum weir_err err = signature_of(query, matching, table->rows[i].labels, &(*out)[i]);
        if (err != WEIR_OK)
            return err;
    }
    return WEIR_OK;
}

/* Numbers the signatures 0, 1, ... in the order they come. */
static uint32_t *
number(struct weir_promql_query *query, const struct weir_promql_labelset *const *signs,
    uint32_t count, uint32_t *numbers, struct weir_promql_matched *matched)
{
    uint32_t *groups = weir_promql_query_alloc(query, (count + (size_t)1) * sizeof *groups);
    for (uint32_t i = 0; groups != NULL && i < count; i++) {
        uint32_t *known = &numbers[signs[i]->number];
        if (*known == 0) {
            matched->signatures[matched->group_count++] = signs[i];
            *known = matched->group_count;
        }
        groups[i] = *known - 1;
    }
    return groups;
}

/* Sorts the rows of the right side by group. */
static enum weir_err
sort_right(struct weir_promql_query *query, struct weir_promql_matched *matched)
{
    uint32_t groups = matched->group_count, rows = matched->right.count;
    uint32_t *begin = weir_promql_query_alloc(query, (groups + (size_t)2) * sizeof *begin);
    matched->right_rows = weir_promql_query_alloc(query, (rows + (size_t)1) * sizeof *begin);
    if (begin == NULL || matched->right_rows == NULL)
        return WEIR_NOMEM;
    for (uint32_t i = 0; i < rows; i++)
        begin[matched->right_groups[i] + 2]++;
    for (uint32_t i = 2; i < groups + 2; i++)
        begin[i] += begin[i - 1];
    for (uint32_t i = 0; i < rows; i++)
        matched->right_rows[begin[matched->right_groups[i] + 1]++] = i;
    matched->right_begin = begin;
    return WEIR_OK;
}

enum weir_err
weir_promql_match_eval(struct weir_promql_query *query, const struct weir_promql_node *node,
    const struct weir_promql_grid *grid, bool swap, struct weir_promql_matched *out)
{
    const struct weir_promql_labelset **left_signs, **right_signs;
    *out = (struct weir_promql_matched){0};
    struct weir_promql_table *first = swap ? &out->right : &out->left;
    struct weir_promql_table *second = swap ? &out->left : &out->right;
    enum weir_err err = weir_promql_table_eval(query, node->binary.left, grid, first);
    if (err == WEIR_OK)
        err = weir_promql_table_eval(query, node->binary.right, grid, second);
    if (err == WEIR_OK)
        err = sign(query, node->binary.matching, &out->left, &left_signs);
    if (err == WEIR_OK)
        err = sign(query, node->binary.matching, &out->right, &right_signs);
    if (err != WEIR_OK)
        return err;
    uint32_t *numbers =
        weir_promql_query_alloc(query, (query->sets.count + (size_t)1) * sizeof *numbers);
    out->signatures = weir_promql_query_alloc(
        query, (out->left.count + (size_t)out->right.count + 1) * sizeof *out->signatures);
    if (numbers == NULL || out->signatures == NULL)
        return WEIR_NOMEM;
    out->left_groups = number(query, left_signs, out->left.count, numbers, out);
    out->right_groups = number(query, right_signs, out->right.count, numbers, out);
    if (out->left_groups == NULL || out->right_groups == NULL)
        return WEIR_NOMEM;
    return sort_right(query, out);
}
