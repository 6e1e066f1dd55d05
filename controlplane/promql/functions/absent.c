/* absent: 1 at the steps where nothing is. */
#include "controlplane/promql/functions/call.h"
#include "controlplane/promql/scan/window.h"

/* Gathers the steps at which some row has a value. */
struct seen_sink {
    struct weir_promql_sink sink; /* first */
    uint64_t *seen;
    uint32_t steps;
};

static enum weir_err
push_seen(struct weir_promql_sink *sink, struct weir_promql_row *row)
{
    struct seen_sink *self = (struct seen_sink *)sink;
    for (uint32_t i = 0; i < weir_promql_words(self->steps); i++)
        self->seen[i] |= row->present[i];
    return WEIR_OK;
}

/* Whether a matcher before place is one of equality for the same label. */
static bool
was_set(const struct weir_promql_matcher *matchers, uint32_t place)
{
    for (uint32_t i = 0; i < place; i++)
        if (matchers[i].operator == WEIR_PROMQL_IS &&
            weir_promql_text_equal(matchers[i].label, matchers[place].label))
            return true;
    return false;
}

/* Labels that the selector names for certain: those of one matcher, of equality. */
static enum weir_err
labels_of(struct weir_promql_query *query, const struct weir_promql_node *selector,
    const struct weir_promql_labelset **out)
{
    enum weir_err err = weir_promql_labelset_empty(&query->sets, out);
    if (selector->kind == WEIR_PROMQL_NODE_MATRIX)
        selector = selector->matrix.vector;
    if (selector->kind != WEIR_PROMQL_NODE_VECTOR)
        return err;
    const struct weir_promql_matcher *matchers = selector->vector.matchers;
    for (uint32_t i = 0; err == WEIR_OK && i < selector->vector.count; i++) {
        struct weir_promql_text value = matchers[i].value;
        if (weir_promql_text_equal(matchers[i].label, WEIR_PROMQL_NAME))
            continue;
        if (matchers[i].operator != WEIR_PROMQL_IS || was_set(matchers, i))
            value.size = 0;
        err = weir_promql_labelset_with(&query->sets, *out, matchers[i].label, value, out);
    }
    return err;
}

/* Pushes a 1 at each step that was not seen. */
static enum weir_err
push_absent(struct weir_promql_call *call, const uint64_t *seen, bool drop_name,
    struct weir_promql_sink *sink)
{
    uint32_t steps = call->grid.count;
    struct weir_promql_row row = {.drop_name = drop_name,
        .values = weir_promql_doubles_new(call->query, steps),
        .present = weir_promql_bits_new(call->query, steps)};
    if (row.values == NULL || row.present == NULL)
        return WEIR_NOMEM;
    weir_promql_bits_fill(row.present, steps);
    for (uint32_t i = 0; i < weir_promql_words(steps); i++)
        row.present[i] &= ~seen[i];
    for (uint32_t i = 0; i < steps; i++)
        row.values[i] = 1;
    enum weir_err err = labels_of(call->query, weir_promql_argument(call, 0), &row.labels);
    if (err != WEIR_OK || !weir_promql_bits_any(row.present, steps))
        return err;
    return weir_promql_push(sink, &row);
}

enum weir_err
weir_promql_whole_absent(struct weir_promql_call *call, struct weir_promql_sink *sink)
{
    struct seen_sink seen = {
        {push_seen}, weir_promql_bits_new(call->query, call->grid.count), call->grid.count};
    if (seen.seen == NULL)
        return WEIR_NOMEM;
    enum weir_err err =
        weir_promql_eval(call->query, weir_promql_argument(call, 0), &call->grid, &seen.sink);
    return err == WEIR_OK ? push_absent(call, seen.seen, false, sink) : err;
}

enum weir_err
weir_promql_whole_absent_over_time(struct weir_promql_call *call, struct weir_promql_sink *sink)
{
    struct seen_sink seen = {
        {push_seen}, weir_promql_bits_new(call->query, call->grid.count), call->grid.count};
    if (seen.seen == NULL)
        return WEIR_NOMEM;
    enum weir_err err =
        weir_promql_windows_eval(call, weir_promql_range_present_over_time, &seen.sink);
    return err == WEIR_OK ? push_absent(call, seen.seen, true, sink) : err;
}
