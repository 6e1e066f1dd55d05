#include "controlplane/promql/aggregate/aggregate.h"
#include "controlplane/promql/aggregate/fold.h"
#include "controlplane/promql/aggregate/group.h"
#include "controlplane/promql/aggregate/keep.h"

/* Values that a group of a fold has gathered, and whether its labels lose the name. */
struct member {
    struct weir_promql_folded folded;
    bool drop_name;
};

struct fold_sink {
    struct weir_promql_sink sink; /* first */
    struct weir_promql_query *query;
    const struct weir_promql_fold *fold;
    struct weir_promql_groups groups;
    struct member *members;
    uint32_t room, steps;
};

/* The member of a group, made when the group is met first. */
static struct member *
member_of(struct fold_sink *self, uint32_t group)
{
    if (group >= self->room) {
        uint32_t room = self->room == 0 ? 16 : self->room * 2;
        struct member *members = weir_promql_query_alloc(self->query, room * sizeof *members);
        if (members == NULL)
            return NULL;
        if (self->room > 0)
            memcpy(members, self->members, self->room * sizeof *members);
        self->members = members;
        self->room = room;
    }
    struct member *member = &self->members[group];
    struct weir_promql_folded *folded = &member->folded;
    if (folded->seen != NULL)
        return member;
    for (uint32_t i = 0; i < self->fold->columns; i++)
        if ((folded->columns[i] = weir_promql_doubles_new(self->query, self->steps)) == NULL)
            return NULL;
    folded->marks = weir_promql_bits_new(self->query, self->steps);
    folded->seen = weir_promql_bits_new(self->query, self->steps);
    return folded->marks == NULL || folded->seen == NULL ? NULL : member;
}

static enum weir_err
add_row(struct weir_promql_sink *sink, struct weir_promql_row *row)
{
    struct fold_sink *self = (struct fold_sink *)sink;
    const struct weir_promql_labelset *labels;
    uint32_t group;
    enum weir_err err = weir_promql_group_labels(&self->groups, row->labels, &labels);
    if (err == WEIR_OK)
        err = weir_promql_group_number(&self->groups, labels, &group);
    if (err != WEIR_OK)
        return err;
    struct member *member = member_of(self, group);
    if (member == NULL)
        return WEIR_NOMEM;
    member->drop_name |= row->drop_name;
    self->fold->add(&member->folded, row, self->steps);
    return WEIR_OK;
}

static enum weir_err
fold_eval(struct weir_promql_query *query, const struct weir_promql_node *node,
    const struct weir_promql_grid *grid, const struct weir_promql_fold *fold,
    struct weir_promql_sink *sink)
{
    struct fold_sink self = {.sink = {add_row},
        .query = query,
        .fold = fold,
        .groups = {.query = query, .node = node},
        .steps = grid->count};
    enum weir_err err = weir_promql_eval(query, node->aggregate.inner, grid, &self.sink);
    for (uint32_t i = 0; i < self.groups.count && err == WEIR_OK; i++) {
        struct member *member = &self.members[i];
        if (fold->finish != NULL)
            fold->finish(&member->folded, grid->count);
        struct weir_promql_row row = {self.groups.labels[i], member->drop_name,
            member->folded.columns[0], member->folded.seen};
        if (weir_promql_bits_any(row.present, grid->count))
            err = weir_promql_push(sink, &row);
    }
    return err;
}

enum weir_err
weir_promql_aggregate_eval(struct weir_promql_query *query, const struct weir_promql_node *node,
    const struct weir_promql_grid *grid, struct weir_promql_sink *sink)
{
#define FOLD(name) fold_eval(query, node, grid, &weir_promql_fold_##name, sink)
#define KEEP(name) weir_promql_keep_##name(query, node, grid, sink)
    switch (node->aggregate.operator) {
#define WEIR_AGGREGATOR(name, text, parameter, experimental, form, kernel)                         \
    case WEIR_PROMQL_##name:                                                                       \
        return form(kernel);
#include "controlplane/promql/parse/aggregators.def"
#undef WEIR_AGGREGATOR
    default:
        return WEIR_INVALID;
    }
}
