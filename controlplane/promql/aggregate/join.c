/* join: arithmetic and comparison of two vectors. The left side is the many side: of group_right
 * the sides are swapped, and swapped back where values meet. */
#include "controlplane/promql/aggregate/match.h"
#include "controlplane/promql/aggregate/operate.h"
#include "controlplane/promql/scan/by_number.h"

/* Steps at which a group has given a result of some labels. */
struct taken {
    uint32_t group;
    uint32_t next; /* 1 + another of the same labels; 0: none */
    uint64_t *steps;
};

struct join {
    struct weir_promql_query *query;
    const struct weir_promql_node *node;
    const struct weir_promql_matching *matching;
    bool swapped, compares;
    uint32_t steps, words;
    struct weir_promql_matched sides;
    struct weir_promql_table out;
    struct taken *taken;
    uint32_t taken_count, taken_room;
    struct weir_promql_by_number taken_of; /* 1 + the first of the labels */
    uint64_t *mask, *holds, *joined;       /* joined: steps of the left row that had a partner */
    double *filled;                        /* the value in place of a missing side */
};

/* One result: a row of either side, or what is filled in for it. */
struct half {
    const struct weir_promql_labelset *labels;
    const double *values;
    bool drop_name;
};

/* The error for two rows of the one side in a group. */
static enum weir_err
fail_duplicate(struct join *join, uint32_t group, uint32_t later, uint32_t earlier)
{
    struct weir_promql_arena *arena = &join->query->arena;
    const struct weir_promql_row *rows = join->sides.right.rows;
    const char *labels = weir_promql_labelset_text(arena, join->sides.signatures[group]);
    const char *a = weir_promql_labelset_text(arena, rows[later].labels);
    const char *b = weir_promql_labelset_text(arena, rows[earlier].labels);
    if (labels == NULL || a == NULL || b == NULL)
        return WEIR_NOMEM;
    return weir_promql_fail(join->query, WEIR_INVALID,
        weir_promql_format(arena,
            "found duplicate series for the match group %s on the %s hand-side of the operation: "
            "[%s, %s];many-to-many matching not allowed: matching labels must be unique on one "
            "side",
            labels, join->swapped ? "left" : "right", a, b));
}

/* First step at which a group has two rows on the one side and the operation takes place; else
 * the number of steps. */
static uint32_t
meeting(struct join *join, const uint64_t *active, uint32_t group)
{
    const struct weir_promql_matched *sides = &join->sides;
    uint32_t out = join->steps;
    memset(join->mask, 0, join->words * sizeof *join->mask);
    for (uint32_t i = sides->right_begin[group]; i < sides->right_begin[group + 1]; i++) {
        const uint64_t *present = sides->right.rows[sides->right_rows[i]].present;
        for (uint32_t word = 0; word < join->words; word++) {
            uint64_t both = join->mask[word] & present[word] & active[word];
            if (both != 0 && word * 64 + (uint32_t)__builtin_ctzll(both) < out)
                out = word * 64 + (uint32_t)__builtin_ctzll(both);
            join->mask[word] |= present[word];
        }
    }
    return out;
}

/* Reports the first two rows of a group that have a value at a step. */
static enum weir_err
report_meeting(struct join *join, uint32_t group, uint32_t step)
{
    const struct weir_promql_matched *sides = &join->sides;
    uint32_t found = 0, pair[2] = {0};
    for (uint32_t i = sides->right_begin[group]; found < 2; i++)
        if (weir_promql_bit(sides->right.rows[sides->right_rows[i]].present, step))
            pair[found++] = sides->right_rows[i];
    return fail_duplicate(join, group, pair[1], pair[0]);
}

/* Reports the earliest step at which a group has two rows on the one side. */
static enum weir_err
check_one_side(struct join *join, const uint64_t *active)
{
    uint32_t step = join->steps, group = 0;
    for (uint32_t i = 0; i < join->sides.group_count; i++) {
        uint32_t at = meeting(join, active, i);
        if (at < step) {
            step = at;
            group = i;
        }
    }
    return step == join->steps ? WEIR_OK : report_meeting(join, group, step);
}

/* Labels of a result: those of the many side, less the name where the values are new, less or only
 * the matching ones where both sides have one row, and those taken over from the one side. */
static enum weir_err
result_labels(struct join *join, const struct weir_promql_labelset *many,
    const struct weir_promql_labelset *one, const struct weir_promql_labelset **out)
{
    struct weir_promql_labelsets *sets = &join->query->sets;
    const struct weir_promql_labels *labels = &join->matching->labels;
    const struct weir_promql_labels *include = &join->matching->include;
    enum weir_err err = WEIR_OK;
    *out = many;
    if (!join->compares)
        err = weir_promql_labelset_nameless(sets, many, out);
    if (err == WEIR_OK && join->matching->cardinality == WEIR_PROMQL_ONE_TO_ONE)
        err = join->matching->on
            ? weir_promql_labelset_keep(sets, *out, labels->names, labels->count, out)
            : weir_promql_labelset_drop(sets, *out, labels->names, labels->count, out);
    for (uint32_t i = 0; i < include->count && err == WEIR_OK; i++)
        err = weir_promql_labelset_with(
            sets, *out, include->names[i], weir_promql_labelset_get(one, include->names[i]), out);
    return err;
}

/* The steps a group has given results of these labels at; new ones are empty. */
static struct taken *
taken_by(struct join *join, uint32_t group, const struct weir_promql_labelset *labels)
{
    uint32_t *first = weir_promql_by_number(join->query, &join->taken_of, labels);
    if (first == NULL)
        return NULL;
    for (uint32_t i = *first; i != 0; i = join->taken[i - 1].next)
        if (join->taken[i - 1].group == group)
            return &join->taken[i - 1];
    if (join->taken_count == join->taken_room) {
        uint32_t room = join->taken_room == 0 ? 64 : join->taken_room * 2;
        struct taken *taken = weir_promql_query_alloc(join->query, room * sizeof *taken);
        if (taken == NULL)
            return NULL;
        if (join->taken_count > 0)
            memcpy(taken, join->taken, join->taken_count * sizeof *taken);
        join->taken = taken;
        join->taken_room = room;
    }
    struct taken *added = &join->taken[join->taken_count++];
    *added = (struct taken){group, *first, weir_promql_bits_new(join->query, join->steps)};
    *first = join->taken_count;
    return added->steps == NULL ? NULL : added;
}

/* No two results of one group, or of one group and equal labels, at one step. */
static enum weir_err
check_unique(struct join *join, uint32_t group, const struct weir_promql_labelset *labels)
{
    bool one_to_one = join->matching->cardinality == WEIR_PROMQL_ONE_TO_ONE;
    struct taken *taken =
        taken_by(join, group, one_to_one ? join->sides.signatures[group] : labels);
    if (taken == NULL)
        return WEIR_NOMEM;
    for (uint32_t i = 0; i < join->words; i++) {
        if ((taken->steps[i] & join->mask[i]) != 0)
            return weir_promql_fail(join->query, WEIR_INVALID,
                one_to_one ? "multiple matches for labels: many-to-one matching must be explicit "
                             "(group_left/group_right)"
                           : "multiple matches for labels: grouping labels must ensure unique "
                             "matches");
        taken->steps[i] |= join->mask[i];
    }
    return WEIR_OK;
}

/* Values of the result at the steps of the mask. */
static void
compute(struct join *join, struct weir_promql_row *row, const double *left, const double *right)
{
    enum weir_promql_token operator= join->node->binary.operator;
    memcpy(row->present, join->mask, join->words * sizeof *join->mask);
    if (!join->compares) {
        weir_promql_operate(operator, left, right, row->values, join->steps);
        return;
    }
    weir_promql_compare(operator, left, right, join->holds, join->steps);
    if (join->node->binary.returns_bool) {
        for (uint32_t i = 0; i < join->steps; i++)
            row->values[i] = weir_promql_bit(join->holds, i);
        return;
    }
    memcpy(row->values, left, join->steps * sizeof *left);
    for (uint32_t i = 0; i < join->words; i++)
        row->present[i] &= join->holds[i];
}

/* Joins a many and a one at the steps of the mask. */
static enum weir_err
meet(struct join *join, uint32_t group, const struct half *many, const struct half *one)
{
    const struct weir_promql_labelset *labels;
    if (!weir_promql_bits_any(join->mask, join->steps))
        return WEIR_OK;
    enum weir_err err = weir_promql_work(join->query, join->steps);
    if (err == WEIR_OK)
        err = result_labels(join, many->labels, one->labels, &labels);
    if (err == WEIR_OK)
        err = check_unique(join, group, labels);
    if (err != WEIR_OK)
        return err;
    bool drop_name = join->node->binary.returns_bool || (join->compares && many->drop_name);
    struct weir_promql_row *row = weir_promql_table_add(join->query, &join->out, labels, drop_name);
    if (row == NULL)
        return WEIR_NOMEM;
    if (join->swapped)
        compute(join, row, one->values, many->values);
    else
        compute(join, row, many->values, one->values);
    if (!weir_promql_bits_any(row->present, join->steps))
        join->out.count--;
    return WEIR_OK;
}

static const double *
filled(struct join *join, double value)
{
    for (uint32_t i = 0; i < join->steps; i++)
        join->filled[i] = value;
    return join->filled;
}

static struct half
half_of(const struct weir_promql_row *row)
{
    return (struct half){row->labels, row->values, row->drop_name};
}

/* A row of the many side with each row of its group, and with what is filled in without one. */
static enum weir_err
join_left(struct join *join, uint32_t at)
{
    const struct weir_promql_matched *sides = &join->sides;
    const struct weir_promql_row *left = &sides->left.rows[at];
    uint32_t group = sides->left_groups[at];
    struct half many = half_of(left);
    memset(join->joined, 0, join->words * sizeof *join->joined);
    for (uint32_t i = sides->right_begin[group]; i < sides->right_begin[group + 1]; i++) {
        const struct weir_promql_row *right = &sides->right.rows[sides->right_rows[i]];
        for (uint32_t word = 0; word < join->words; word++) {
            join->mask[word] = left->present[word] & right->present[word];
            join->joined[word] |= join->mask[word];
        }
        struct half one = half_of(right);
        enum weir_err err = meet(join, group, &many, &one);
        if (err != WEIR_OK)
            return err;
    }
    if (!join->matching->fills_right)
        return WEIR_OK;
    for (uint32_t word = 0; word < join->words; word++)
        join->mask[word] = left->present[word] & ~join->joined[word];
    struct half one = {sides->signatures[group], filled(join, join->matching->fill_right), false};
    return meet(join, group, &many, &one);
}

/* Steps of rows of the one side at which their group has none of the many. */
static enum weir_err
fill_left(struct join *join)
{
    const struct weir_promql_matched *sides = &join->sides;
    uint64_t *there =
        weir_promql_query_alloc(join->query, ((size_t)sides->group_count * join->words + 1) * 8);
    if (there == NULL)
        return WEIR_NOMEM;
    for (uint32_t i = 0; i < sides->left.count; i++)
        for (uint32_t word = 0; word < join->words; word++)
            there[(size_t)sides->left_groups[i] * join->words + word] |=
                sides->left.rows[i].present[word];
    for (uint32_t i = 0; i < sides->right.count; i++) {
        const struct weir_promql_row *right = &sides->right.rows[i];
        uint32_t group = sides->right_groups[i];
        for (uint32_t word = 0; word < join->words; word++)
            join->mask[word] = right->present[word] & ~there[(size_t)group * join->words + word];
        struct half many = {
            sides->signatures[group], filled(join, join->matching->fill_left), false};
        struct half one = half_of(right);
        enum weir_err err = meet(join, group, &many, &one);
        if (err != WEIR_OK)
            return err;
    }
    return WEIR_OK;
}

/* Steps at which there is anything to join: without a fill, both sides must have some row. */
static enum weir_err
check_sides(struct join *join)
{
    uint64_t *active = weir_promql_bits_new(join->query, join->steps);
    if (active == NULL)
        return WEIR_NOMEM;
    if (join->matching->fills_left || join->matching->fills_right)
        weir_promql_bits_fill(active, join->steps);
    for (uint32_t i = 0; i < join->sides.left.count; i++)
        for (uint32_t word = 0; word < join->words; word++)
            active[word] |= join->sides.left.rows[i].present[word];
    return check_one_side(join, active);
}

static enum weir_err
run(struct join *join)
{
    enum weir_err err = check_sides(join);
    for (uint32_t i = 0; i < join->sides.left.count && err == WEIR_OK; i++)
        err = join_left(join, i);
    if (err == WEIR_OK && join->matching->fills_left)
        err = fill_left(join);
    if (err == WEIR_OK && join->steps > 1)
        err = weir_promql_table_merge(join->query, &join->out);
    return err;
}

enum weir_err
weir_promql_join_eval(struct weir_promql_query *query, const struct weir_promql_node *node,
    const struct weir_promql_grid *grid, struct weir_promql_sink *sink)
{
    const struct weir_promql_matching *matching = node->binary.matching;
    struct join join = {.query = query,
        .node = node,
        .matching = matching,
        .swapped = matching->cardinality == WEIR_PROMQL_ONE_TO_MANY,
        .compares = weir_promql_operator_kind(node->binary.operator) == WEIR_PROMQL_COMPARISON,
        .steps = grid->count,
        .words = weir_promql_words(grid->count),
        .mask = weir_promql_bits_new(query, grid->count),
        .holds = weir_promql_bits_new(query, grid->count),
        .joined = weir_promql_bits_new(query, grid->count),
        .filled = weir_promql_doubles_new(query, grid->count)};
    if (join.mask == NULL || join.holds == NULL || join.joined == NULL || join.filled == NULL)
        return WEIR_NOMEM;
    weir_promql_table_init(&join.out, grid->count);
    enum weir_err err = weir_promql_match_eval(query, node, grid, join.swapped, &join.sides);
    if (err == WEIR_OK)
        err = run(&join);
    return err == WEIR_OK ? weir_promql_table_push(&join.out, sink) : err;
}
