#include "controlplane/promql/scan/table.h"
#include "controlplane/promql/plan/eval.h"

void
weir_promql_table_init(struct weir_promql_table *table, uint32_t steps)
{
    *table = (struct weir_promql_table){.steps = steps};
}

struct weir_promql_row *
weir_promql_table_add(struct weir_promql_query *query, struct weir_promql_table *table,
    const struct weir_promql_labelset *labels, bool drop_name)
{
    if (table->count == table->room) {
        uint32_t room = table->room == 0 ? 16 : table->room * 2;
        struct weir_promql_row *rows = weir_promql_query_alloc(query, room * sizeof *rows);
        if (rows == NULL)
            return NULL;
        if (table->count > 0)
            memcpy(rows, table->rows, table->count * sizeof *rows);
        table->rows = rows;
        table->room = room;
    }
    struct weir_promql_row *row = &table->rows[table->count];
    *row = (struct weir_promql_row){.labels = labels,
        .drop_name = drop_name,
        .values = weir_promql_doubles_new(query, table->steps),
        .present = weir_promql_bits_new(query, table->steps)};
    if (row->values == NULL || row->present == NULL)
        return NULL;
    table->count++;
    return row;
}

static enum weir_err
copy_row(struct weir_promql_sink *sink, struct weir_promql_row *row)
{
    struct weir_promql_table_sink *self = (struct weir_promql_table_sink *)sink;
    uint32_t steps = self->table->steps;
    if (!weir_promql_bits_any(row->present, steps))
        return WEIR_OK;
    enum weir_err err = weir_promql_work(self->query, steps);
    if (err != WEIR_OK)
        return err;
    struct weir_promql_row *copy =
        weir_promql_table_add(self->query, self->table, row->labels, row->drop_name);
    if (copy == NULL)
        return WEIR_NOMEM;
    memcpy(copy->values, row->values, steps * sizeof *row->values);
    memcpy(copy->present, row->present, weir_promql_words(steps) * sizeof *row->present);
    return WEIR_OK;
}

struct weir_promql_table_sink
weir_promql_table_sink(struct weir_promql_query *query, struct weir_promql_table *table)
{
    return (struct weir_promql_table_sink){{copy_row}, query, table};
}

enum weir_err
weir_promql_table_eval(struct weir_promql_query *query, const struct weir_promql_node *node,
    const struct weir_promql_grid *grid, struct weir_promql_table *out)
{
    weir_promql_table_init(out, grid->count);
    struct weir_promql_table_sink sink = weir_promql_table_sink(query, out);
    return weir_promql_eval(query, node, grid, &sink.sink);
}

/* Adds the values of from to those of to. False where both have one at a step. */
static bool
join(struct weir_promql_row *to, const struct weir_promql_row *from, uint32_t steps)
{
    for (uint32_t i = 0; i < weir_promql_words(steps); i++)
        if ((to->present[i] & from->present[i]) != 0)
            return false;
    for (uint32_t i = 0; i < steps; i++)
        if (weir_promql_bit(from->present, i))
            to->values[i] = from->values[i];
    for (uint32_t i = 0; i < weir_promql_words(steps); i++)
        to->present[i] |= from->present[i];
    return true;
}

enum weir_err
weir_promql_table_merge(struct weir_promql_query *query, struct weir_promql_table *table)
{
    if (table->count < 2)
        return WEIR_OK;
    /* by number of label set: 1 + the row that has it */
    uint32_t *firsts = weir_promql_query_alloc(query, query->sets.count * sizeof *firsts);
    if (firsts == NULL)
        return WEIR_NOMEM;
    uint32_t kept = 0;
    for (uint32_t i = 0; i < table->count; i++) {
        const struct weir_promql_row *row = &table->rows[i];
        uint32_t *first = &firsts[row->labels->number];
        if (*first == 0) {
            table->rows[kept++] = *row;
            *first = kept;
        } else if (!join(&table->rows[*first - 1], row, table->steps)) {
            return weir_promql_fail(
                query, WEIR_INVALID, "vector cannot contain metrics with the same labelset");
        }
    }
    table->count = kept;
    return WEIR_OK;
}

enum weir_err
weir_promql_table_push(struct weir_promql_table *table, struct weir_promql_sink *sink)
{
    for (uint32_t i = 0; i < table->count; i++) {
        enum weir_err err = weir_promql_push(sink, &table->rows[i]);
        if (err != WEIR_OK)
            return err;
    }
    return WEIR_OK;
}
