#include "controlplane/promql/aggregate/group.h"

enum weir_err
weir_promql_group_labels(struct weir_promql_groups *groups,
    const struct weir_promql_labelset *labels, const struct weir_promql_labelset **out)
{
    struct weir_promql_labelsets *sets = &groups->query->sets;
    const struct weir_promql_labels *grouping = &groups->node->aggregate.grouping;
    if (!groups->node->aggregate.without)
        return weir_promql_labelset_keep(sets, labels, grouping->names, grouping->count, out);
    const struct weir_promql_text name = WEIR_PROMQL_NAME;
    enum weir_err err = weir_promql_labelset_drop(sets, labels, &name, 1, out);
    return err == WEIR_OK
        ? weir_promql_labelset_drop(sets, *out, grouping->names, grouping->count, out)
        : err;
}

static enum weir_err
make_room(struct weir_promql_groups *groups)
{
    if (groups->count < groups->room)
        return WEIR_OK;
    uint32_t room = groups->room == 0 ? 16 : groups->room * 2;
    const struct weir_promql_labelset **labels =
        weir_promql_query_alloc(groups->query, room * sizeof *labels);
    if (labels == NULL)
        return WEIR_NOMEM;
    if (groups->count > 0)
        memcpy(labels, groups->labels, groups->count * sizeof *labels);
    groups->labels = labels;
    groups->room = room;
    return WEIR_OK;
}

enum weir_err
weir_promql_group_number(
    struct weir_promql_groups *groups, const struct weir_promql_labelset *group, uint32_t *out)
{
    uint32_t *known = weir_promql_by_number(groups->query, &groups->numbers, group);
    if (known == NULL)
        return WEIR_NOMEM;
    if (*known == 0) {
        enum weir_err err = make_room(groups);
        if (err != WEIR_OK)
            return err;
        groups->labels[groups->count] = group;
        *known = ++groups->count;
    }
    *out = *known - 1;
    return WEIR_OK;
}
