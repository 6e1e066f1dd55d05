#include "storage/index/delta.h"

/* Numbers whose value of the label the expression has, and of all that have the label. */
static enum weir_err
find_series(const struct weir_delta *delta, uint32_t until, const struct weir_matcher *matcher,
    struct weir_ordinals *found)
{
    const struct weir_match_text *name = &matcher->name;
    if (matcher->form == WEIR_MATCHER_LITERALS) {
        for (size_t i = 0; i < matcher->literal_count; i++) {
            const struct weir_delta_term *term = weir_delta_find(delta, name->data, name->size,
                matcher->literals[i].data, matcher->literals[i].size);
            if (term != NULL)
                weir_delta_term_add(term, until, found);
        }
        return WEIR_OK;
    }
    const struct weir_delta_term *term = weir_delta_find(delta, name->data, name->size, "", 0);
    if (term == NULL)
        return WEIR_OK;
    for (term = weir_delta_first_value(term); term != NULL; term = weir_delta_next_value(term)) {
        struct weir_label label;
        bool has;
        weir_delta_term_label(term, &label);
        enum weir_err err = weir_matcher_has(matcher, label.value, label.value_size, &has);
        if (err != WEIR_OK)
            return err;
        if (has)
            weir_delta_term_add(term, until, found);
    }
    return WEIR_OK;
}

static void
find_label(const struct weir_delta *delta, uint32_t until, const struct weir_matcher *matcher,
    struct weir_ordinals *whole)
{
    const struct weir_delta_term *term =
        weir_delta_find(delta, matcher->name.data, matcher->name.size, "", 0);
    if (term == NULL)
        return;
    for (term = weir_delta_first_value(term); term != NULL; term = weir_delta_next_value(term))
        weir_delta_term_add(term, until, whole);
}

enum weir_err
weir_delta_match(const struct weir_delta *delta, struct weir_delta_span span,
    const struct weir_index_matchers *matchers, struct weir_index_range range,
    struct weir_ordinals sets[3])
{
    struct weir_ordinals *out = &sets[0], *found = &sets[1], *whole = &sets[2];
    weir_ordinals_clear(out, span.until);
    weir_ordinals_add_range(out, span.from, span.until - span.from);
    for (size_t i = 0; i < matchers->count; i++) {
        const struct weir_matcher *matcher = &matchers->list[i];
        weir_ordinals_clear(found, span.until);
        enum weir_err err = find_series(delta, span.until, matcher, found);
        if (err != WEIR_OK)
            return err;
        if (matcher->takes_empty) { /* of those with the label, the others */
            weir_ordinals_clear(whole, span.until);
            find_label(delta, span.until, matcher, whole);
            weir_ordinals_and_not(whole, found, span.until);
        }
        const struct weir_ordinals *series = matcher->takes_empty ? whole : found;
        if (matcher->takes_empty == matcher->negated)
            weir_ordinals_and(out, series, span.until);
        else
            weir_ordinals_and_not(out, series, span.until);
    }
    if (range.first == 0 && range.last == UINT16_MAX)
        return WEIR_OK;
    for (uint32_t at = 0; (at = weir_ordinals_next(out, at, span.until)) != span.until; at++) {
        struct weir_index_series series;
        weir_delta_series(delta, at, &series);
        if (series.day_first > range.last || series.day_last < range.first)
            weir_ordinals_remove(out, at);
    }
    return WEIR_OK;
}
