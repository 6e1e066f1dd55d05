/* setop: and, or, unless: rows of one side kept by whether the other has one of their group. */
#include "controlplane/promql/aggregate/match.h"

/* By group: steps at which a side has a row. */
static uint64_t *
presence(struct weir_promql_query *query, const struct weir_promql_table *table,
    const uint32_t *groups, uint32_t group_count)
{
    size_t words = weir_promql_words(table->steps);
    uint64_t *bits = weir_promql_query_alloc(query, (group_count * words + 1) * sizeof *bits);
    for (uint32_t i = 0; bits != NULL && i < table->count; i++)
        for (size_t word = 0; word < words; word++)
            bits[groups[i] * words + word] |= table->rows[i].present[word];
    return bits;
}

/* Keeps of each row the steps at which its group is there on the other side, or is not. */
static void
keep(struct weir_promql_table *table, const uint32_t *groups, const uint64_t *others, bool there)
{
    size_t words = weir_promql_words(table->steps);
    for (uint32_t i = 0; i < table->count; i++)
        for (size_t word = 0; word < words; word++) {
            uint64_t other = others[groups[i] * words + word];
            table->rows[i].present[word] &= there ? other : ~other;
        }
}

static enum weir_err
push_rows(const struct weir_promql_table *table, struct weir_promql_sink *sink)
{
    for (uint32_t i = 0; i < table->count; i++) {
        if (!weir_promql_bits_any(table->rows[i].present, table->steps))
            continue;
        enum weir_err err = weir_promql_push(sink, &table->rows[i]);
        if (err != WEIR_OK)
            return err;
    }
    return WEIR_OK;
}

/* Rows of both sides; a series that is now on one side, now on the other, is one row. */
static enum weir_err
push_union(struct weir_promql_query *query, struct weir_promql_matched *matched,
    struct weir_promql_sink *sink)
{
    struct weir_promql_table both;
    weir_promql_table_init(&both, matched->left.steps);
    struct weir_promql_table_sink collect = weir_promql_table_sink(query, &both);
    enum weir_err err = push_rows(&matched->left, &collect.sink);
    if (err == WEIR_OK)
        err = push_rows(&matched->right, &collect.sink);
    if (err == WEIR_OK && both.steps > 1)
        err = weir_promql_table_merge(query, &both);
    return err == WEIR_OK ? weir_promql_table_push(&both, sink) : err;
}

enum weir_err
weir_promql_setop_eval(struct weir_promql_query *query, const struct weir_promql_node *node,
    const struct weir_promql_grid *grid, struct weir_promql_sink *sink)
{
    struct weir_promql_matched matched;
    enum weir_err err = weir_promql_match_eval(query, node, grid, false, &matched);
    if (err != WEIR_OK)
        return err;
    bool is_or = node->binary.operator == WEIR_PROMQL_OR;
    uint64_t *others = is_or
        ? presence(query, &matched.left, matched.left_groups, matched.group_count)
        : presence(query, &matched.right, matched.right_groups, matched.group_count);
    if (others == NULL)
        return WEIR_NOMEM;
    if (is_or) {
        keep(&matched.right, matched.right_groups, others, false);
        return push_union(query, &matched, sink);
    }
    keep(&matched.left, matched.left_groups, others, node->binary.operator == WEIR_PROMQL_AND);
    return push_rows(&matched.left, sink);
}
