/* count_values: a series for each value that occurs, with how many series have it. */
#include "controlplane/promql/aggregate/group.h"
#include "controlplane/promql/aggregate/keep.h"
#include "controlplane/promql/scan/table.h"

struct counting {
    struct weir_promql_sink sink; /* first */
    struct weir_promql_query *query;
    struct weir_promql_groups groups;
    struct weir_promql_text label;
    struct weir_promql_table table; /* a row a group */
};

/* Labels of the group of a series that has a value: the label of the value stays among them. */
static enum weir_err
labels_of(struct counting *self, const struct weir_promql_labelset *labels, double value,
    const struct weir_promql_labelset **out)
{
    struct weir_promql_labelsets *sets = &self->query->sets;
    const struct weir_promql_labels *grouping = &self->groups.node->aggregate.grouping;
    char text[WEIR_PROMQL_DOUBLE_MAX];
    struct weir_promql_text number = {text, (uint32_t)weir_promql_double(value, true, text)};
    enum weir_err err = WEIR_OK;
    if (self->groups.node->aggregate.without) {
        err = weir_promql_labelset_with(sets, labels, self->label, number, &labels);
        return err == WEIR_OK ? weir_promql_group_labels(&self->groups, labels, out) : err;
    }
    err = weir_promql_labelset_keep(sets, labels, grouping->names, grouping->count, &labels);
    return err == WEIR_OK ? weir_promql_labelset_with(sets, labels, self->label, number, out) : err;
}

static enum weir_err
count(struct counting *self, const struct weir_promql_labelset *labels, uint32_t step)
{
    uint32_t group;
    enum weir_err err = weir_promql_group_number(&self->groups, labels, &group);
    if (err != WEIR_OK)
        return err;
    if (group == self->table.count &&
        weir_promql_table_add(self->query, &self->table, labels, false) == NULL)
        return WEIR_NOMEM;
    struct weir_promql_row *row = &self->table.rows[group];
    row->values[step] += 1;
    weir_promql_bit_set(row->present, step);
    return WEIR_OK;
}

static enum weir_err
push(struct weir_promql_sink *sink, struct weir_promql_row *row)
{
    struct counting *self = (struct counting *)sink;
    const struct weir_promql_labelset *labels = NULL;
    uint64_t last = 0;
    for (uint32_t i = 0; i < self->table.steps; i++) {
        if (!weir_promql_bit(row->present, i))
            continue;
        uint64_t bits;
        memcpy(&bits, &row->values[i], sizeof bits);
        enum weir_err err = WEIR_OK;
        if (labels == NULL || bits != last)
            err = labels_of(self, row->labels, row->values[i], &labels);
        if (err == WEIR_OK)
            err = count(self, labels, i);
        if (err != WEIR_OK)
            return err;
        last = bits;
    }
    return WEIR_OK;
}

/* Any text of valid UTF-8 names a label, but the empty one. */
static bool
names_label(struct weir_promql_text name)
{
    unsigned width = 1;
    for (uint32_t i = 0; i < name.size; i += width)
        if (weir_promql_rune(name.data + i, name.size - i, &width) == WEIR_PROMQL_RUNE_ERROR &&
            width == 1)
            return false;
    return name.size > 0;
}

static enum weir_err
fail_label(struct weir_promql_query *query, struct weir_promql_text name)
{
    const char *quoted = weir_promql_quoted(&query->arena, name);
    return quoted == NULL ? WEIR_NOMEM
                          : weir_promql_fail(query, WEIR_INVALID,
                                weir_promql_format(&query->arena, "invalid label name %s", quoted));
}

enum weir_err
weir_promql_keep_count_values(struct weir_promql_query *query, const struct weir_promql_node *node,
    const struct weir_promql_grid *grid, struct weir_promql_sink *sink)
{
    struct counting self = {.sink = {push},
        .query = query,
        .groups = {.query = query, .node = node},
        .label = weir_promql_unwrapped(node->aggregate.parameter)->string};
    if (!names_label(self.label))
        return fail_label(query, self.label);
    weir_promql_table_init(&self.table, grid->count);
    enum weir_err err = weir_promql_eval(query, node->aggregate.inner, grid, &self.sink);
    return err == WEIR_OK ? weir_promql_table_push(&self.table, sink) : err;
}
