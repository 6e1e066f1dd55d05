/* info: info(v, {...}): labels of info series, such as target_info, added to the series of v.
 *
 *   metric{instance="a",job="1"}                          } joined by instance and job at each
 * step: target_info{instance="a",job="1",version="2"}         }
 * metric{instance="a",job="1",version="2"}
 *
 * Of info series with the same name, instance and job the one with the newest sample counts. */
#include "controlplane/promql/functions/call.h"
#include "controlplane/promql/scan/by_number.h"
#include "controlplane/promql/scan/instant.h"
#include "controlplane/promql/scan/matcher.h"
#include "controlplane/promql/scan/read.h"

#define TARGET_INFO WEIR_PROMQL_TEXT("target_info")
/* Name of info series for a selector that names only those it does not want. */
#define ANY_INFO WEIR_PROMQL_TEXT(".+_info")

static const struct weir_promql_text identifying[] = {{"instance", 8}, {"job", 3}};

struct info {
    struct weir_promql_call *call;
    const struct weir_promql_matcher *matchers; /* of the second argument */
    uint32_t matcher_count;
    /* Those of them for __name__; one more where there are none but those of unwanted names, or
     * where there is no second argument. */
    struct weir_promql_matcher *names;
    uint32_t name_count;
    struct weir_promql_table base, found; /* found: info series, values are times of samples */
    struct weir_promql_by_number first;   /* by identifying labels: 1 + an info row */
    uint32_t *next;                       /* by info row: 1 + the next of equal ones */
};

static bool
is_name(const struct weir_promql_matcher *matcher)
{
    return weir_promql_text_equal(matcher->label, WEIR_PROMQL_NAME);
}

/* Splits the second argument's matchers. */
static enum weir_err
read_matchers(struct info *self)
{
    const struct weir_promql_node *selector = weir_promql_argument(self->call, 1);
    if (selector != NULL) {
        self->matchers = selector->vector.matchers;
        self->matcher_count = selector->vector.count;
    }
    self->names = weir_promql_query_alloc(
        self->call->query, (self->matcher_count + (size_t)1) * sizeof *self->names);
    if (self->names == NULL)
        return WEIR_NOMEM;
    bool wants = false;
    for (uint32_t i = 0; i < self->matcher_count; i++) {
        const struct weir_promql_matcher *matcher = &self->matchers[i];
        if (!is_name(matcher))
            continue;
        wants |= matcher->operator == WEIR_PROMQL_IS || matcher->operator == WEIR_PROMQL_MATCHES;
        self->names[self->name_count++] = *matcher;
    }
    if (selector == NULL)
        self->names[self->name_count++] =
            (struct weir_promql_matcher){WEIR_PROMQL_NAME, TARGET_INFO, WEIR_PROMQL_IS, false};
    else if (self->name_count > 0 && !wants)
        self->names[self->name_count++] =
            (struct weir_promql_matcher){WEIR_PROMQL_NAME, ANY_INFO, WEIR_PROMQL_MATCHES, false};
    return WEIR_OK;
}

/* The matchers of info series: the second argument's, and a name where it asks for none. */
static enum weir_err
info_matchers(const struct info *self, const struct weir_promql_matcher **out, uint32_t *count)
{
    struct weir_promql_matcher *matchers = weir_promql_query_alloc(
        self->call->query, (self->matcher_count + (size_t)2) * sizeof *matchers);
    if (matchers == NULL)
        return WEIR_NOMEM;
    uint32_t used = 0;
    for (uint32_t i = 0; i < self->name_count; i++)
        matchers[used++] = self->names[i];
    if (used == 0)
        matchers[used++] =
            (struct weir_promql_matcher){WEIR_PROMQL_NAME, TARGET_INFO, WEIR_PROMQL_IS, false};
    for (uint32_t i = 0; i < self->matcher_count; i++)
        if (!is_name(&self->matchers[i]))
            matchers[used++] = self->matchers[i];
    *out = matchers;
    *count = used;
    return WEIR_OK;
}

/* The steps at which info series are looked at: those of the first selector in node, with its @ and
 * offset and those of the subqueries around it. False where there is no selector. */
static bool
reference_grid(const struct weir_promql_node *node, struct weir_promql_grid *grid)
{
    switch (node->kind) {
    case WEIR_PROMQL_NODE_VECTOR:
        *grid = weir_promql_shifted(&node->vector.shift, grid);
        return true;
    case WEIR_PROMQL_NODE_MATRIX:
        return reference_grid(node->matrix.vector, grid);
    case WEIR_PROMQL_NODE_SUBQUERY: {
        struct weir_promql_grid inner = weir_promql_shifted(&node->subquery.shift, grid);
        if (!reference_grid(node->subquery.inner, &inner))
            return false;
        *grid = inner;
        return true;
    }
    case WEIR_PROMQL_NODE_CALL:
        for (uint32_t i = 0; i < node->call.arguments.count; i++)
            if (reference_grid(node->call.arguments.nodes[i], grid))
                return true;
        return false;
    case WEIR_PROMQL_NODE_AGGREGATE:
        return reference_grid(node->aggregate.inner, grid);
    case WEIR_PROMQL_NODE_BINARY:
        return reference_grid(node->binary.left, grid) || reference_grid(node->binary.right, grid);
    case WEIR_PROMQL_NODE_UNARY:
        return reference_grid(node->unary.inner, grid);
    case WEIR_PROMQL_NODE_PAREN:
        return reference_grid(node->paren, grid);
    default:
        return false;
    }
}

/* The labels by which series are joined; *out is that without labels where there are none. */
static enum weir_err
identity(const struct info *self, const struct weir_promql_labelset *labels,
    const struct weir_promql_labelset **out)
{
    return weir_promql_labelset_keep(&self->call->query->sets, labels, identifying, 2, out);
}

/* The info series at the steps of grid, chained by their identifying labels. */
static enum weir_err
read_info(struct info *self, const struct weir_promql_grid *grid)
{
    struct weir_promql_query *query = self->call->query;
    struct weir_promql_node node = {.kind = WEIR_PROMQL_NODE_VECTOR,
        .type = WEIR_PROMQL_TYPE_VECTOR,
        .at = self->call->node->at};
    const struct weir_promql_matcher *matchers = NULL;
    enum weir_err err = info_matchers(self, &matchers, &node.vector.count);
    node.vector.matchers = (struct weir_promql_matcher *)matchers;
    node.vector.shift.edge = WEIR_PROMQL_EOF;
    struct weir_promql_table_sink sink = weir_promql_table_sink(query, &self->found);
    if (err == WEIR_OK)
        err = weir_promql_instant_eval(query, &node, grid, WEIR_PROMQL_INSTANT_TIME, &sink.sink);
    if (err != WEIR_OK)
        return err;
    self->next = weir_promql_query_alloc(query, (self->found.count + (size_t)1) * sizeof(uint32_t));
    if (self->next == NULL)
        return WEIR_NOMEM;
    for (uint32_t i = 0; i < self->found.count; i++) {
        const struct weir_promql_labelset *labels;
        uint32_t *first = NULL;
        err = identity(self, self->found.rows[i].labels, &labels);
        if (err == WEIR_OK)
            first = weir_promql_by_number(query, &self->first, labels);
        if (first == NULL)
            return WEIR_NOMEM;
        self->next[i] = *first;
        *first = i + 1;
    }
    return WEIR_OK;
}

static bool
same_name(const struct weir_promql_row *a, const struct weir_promql_row *b)
{
    return weir_promql_text_equal(weir_promql_labelset_get(a->labels, WEIR_PROMQL_NAME),
        weir_promql_labelset_get(b->labels, WEIR_PROMQL_NAME));
}

static enum weir_err
fail_duplicate(const struct info *self, const struct weir_promql_row *a,
    const struct weir_promql_row *b, uint32_t step)
{
    struct weir_promql_arena *arena = &self->call->query->arena;
    const char *first = weir_promql_labelset_text(arena, a->labels);
    const char *second = weir_promql_labelset_text(arena, b->labels);
    if (first == NULL || second == NULL)
        return WEIR_NOMEM;
    return weir_promql_fail(self->call->query, WEIR_INVALID,
        weir_promql_format(arena,
            "found duplicate series for info metric: existing %s @ %.0f, new %s @ %.0f", first,
            a->values[step] * 1000, second, b->values[step] * 1000));
}

/* Whether row counts at the step: it has a sample there, and no other of its name a newer one. */
static enum weir_err
is_newest(const struct info *self, uint32_t chain, const struct weir_promql_row *row, uint32_t step,
    bool *out)
{
    *out = weir_promql_bit(row->present, step);
    for (uint32_t i = chain; *out && i != 0; i = self->next[i - 1]) {
        const struct weir_promql_row *other = &self->found.rows[i - 1];
        if (other == row || !weir_promql_bit(other->present, step) || !same_name(other, row))
            continue;
        if (other->values[step] == row->values[step])
            return fail_duplicate(self, other, row, step);
        *out = other->values[step] < row->values[step];
    }
    return WEIR_OK;
}

/* Whether the second argument lets the label through. */
static bool
is_wanted(const struct info *self, struct weir_promql_text label)
{
    bool limited = false;
    for (uint32_t i = 0; i < self->matcher_count; i++) {
        if (is_name(&self->matchers[i]))
            continue;
        limited = true;
        if (weir_promql_text_equal(self->matchers[i].label, label))
            return true;
    }
    return !limited;
}

/* Adds the labels of an info series to labels, which began as those of base. */
static enum weir_err
add_labels(const struct info *self, const struct weir_promql_labelset *base,
    const struct weir_promql_labelset *more, const struct weir_promql_labelset **labels)
{
    struct weir_promql_query *query = self->call->query;
    enum weir_err err = WEIR_OK;
    for (uint32_t i = 0; err == WEIR_OK && i < more->count; i++) {
        const struct weir_promql_label *label = &more->labels[i];
        if (weir_promql_text_equal(label->name, WEIR_PROMQL_NAME) ||
            !is_wanted(self, label->name) || weir_promql_labelset_get(base, label->name).size > 0)
            continue;
        struct weir_promql_text value = weir_promql_labelset_get(*labels, label->name);
        if (value.size > 0 && !weir_promql_text_equal(value, label->value))
            return weir_promql_fail(query, WEIR_INVALID,
                weir_promql_format(&query->arena, "conflicting label: %.*s", (int)label->name.size,
                    label->name.data));
        err = weir_promql_labelset_with(&query->sets, *labels, label->name, label->value, labels);
    }
    return err;
}

/* The labels of a base series at a step; NULL where it is left out. */
static enum weir_err
labels_at(const struct info *self, const struct weir_promql_row *base, uint32_t chain,
    uint32_t step, const struct weir_promql_labelset **out)
{
    bool seen = false;
    *out = base->labels;
    for (uint32_t i = chain; i != 0; i = self->next[i - 1]) {
        const struct weir_promql_row *row = &self->found.rows[i - 1];
        bool counts;
        enum weir_err err = is_newest(self, chain, row, step, &counts);
        if (err == WEIR_OK && counts)
            err = add_labels(self, base->labels, row->labels, out);
        if (err != WEIR_OK)
            return err;
        seen |= counts;
    }
    for (uint32_t i = 0; !seen && i < self->matcher_count; i++)
        if (!is_name(&self->matchers[i]) && !self->matchers[i].matches_empty)
            *out = NULL;
    return WEIR_OK;
}

/* The values of a base series, a row for each set of labels it has over the steps. */
static enum weir_err
enrich(const struct info *self, const struct weir_promql_row *base, uint32_t chain,
    struct weir_promql_table *out)
{
    uint32_t begin = out->count;
    for (uint32_t step = 0; step < self->call->grid.count; step++) {
        const struct weir_promql_labelset *labels;
        if (!weir_promql_bit(base->present, step))
            continue;
        enum weir_err err = labels_at(self, base, chain, step, &labels);
        if (err != WEIR_OK)
            return err;
        if (labels == NULL)
            continue;
        uint32_t place = begin;
        while (place < out->count && out->rows[place].labels != labels)
            place++;
        if (place == out->count &&
            weir_promql_table_add(self->call->query, out, labels, base->drop_name) == NULL)
            return WEIR_NOMEM;
        out->rows[place].values[step] = base->values[step];
        weir_promql_bit_set(out->rows[place].present, step);
    }
    return WEIR_OK;
}

/* Whether a base series is an info series itself, which passes as it is. */
static enum weir_err
is_info(const struct info *self, const struct weir_promql_matchers *names,
    const struct weir_promql_row *base, bool *out)
{
    struct weir_promql_label name = {
        WEIR_PROMQL_NAME, weir_promql_labelset_get(base->labels, WEIR_PROMQL_NAME)};
    *out = false;
    if (self->name_count == 0)
        return WEIR_OK;
    return weir_promql_matchers_match(names, &name, 1, out);
}

/* Info series where a base series has a label to join by. */
static enum weir_err
enrich_all(
    struct info *self, const struct weir_promql_matchers *names, struct weir_promql_table *out)
{
    struct weir_promql_grid grid = self->call->grid;
    (void)reference_grid(weir_promql_argument(self->call, 0), &grid);
    enum weir_err err = read_info(self, &grid);
    for (uint32_t i = 0; err == WEIR_OK && i < self->base.count; i++) {
        struct weir_promql_row *base = &self->base.rows[i];
        const struct weir_promql_labelset *labels;
        uint32_t *first = NULL;
        bool passes;
        err = is_info(self, names, base, &passes);
        if (err == WEIR_OK)
            err = identity(self, base->labels, &labels);
        if (err != WEIR_OK)
            return err;
        if (passes) {
            struct weir_promql_table_sink sink = weir_promql_table_sink(self->call->query, out);
            err = weir_promql_push(&sink.sink, base);
            continue;
        }
        first = weir_promql_by_number(self->call->query, &self->first, labels);
        if (first == NULL)
            return WEIR_NOMEM;
        err = enrich(self, base, labels->count == 0 ? 0 : *first, out);
    }
    return err;
}

enum weir_err
weir_promql_whole_info(struct weir_promql_call *call, struct weir_promql_sink *sink)
{
    struct info self = {.call = call};
    struct weir_promql_matchers *names = NULL;
    struct weir_promql_table out;
    weir_promql_table_init(&self.found, call->grid.count);
    weir_promql_table_init(&out, call->grid.count);
    enum weir_err err = weir_promql_argument_table(call, 0, &self.base);
    if (err == WEIR_OK)
        err = read_matchers(&self);
    if (err == WEIR_OK)
        err = weir_promql_matchers_new(&call->query->arena, self.names, self.name_count, &names);
    if (err == WEIR_OK)
        err = enrich_all(&self, names, &out);
    weir_promql_matchers_free(names);
    if (err == WEIR_OK)
        err = weir_promql_table_merge(call->query, &out);
    return err == WEIR_OK ? weir_promql_table_push(&out, sink) : err;
}
