#include "storage/index/segment_match.h"

#include "storage/index/names_walk.h"

#include <stdlib.h>

#define MATCHERS_MAX 64
/* Reading the labels of a candidate costs as much as running a regular expression over so many
 * values, when each lies in a block of its own. */
#define CANDIDATE_COST 40

/* What is known of a matcher in one segment. */
struct plan {
    const struct weir_matcher *matcher;
    struct weir_segment_label label; /* values 0: no series has it */
    struct weir_postings postings;   /* of its only literal; count 0: not looked up */
    bool keeps;       /* the series of its postings are kept, not left out */
    bool complement;  /* its postings are those of the label less those of the expression */
    bool by_labels;   /* damage: only labels can tell */
    uint64_t estimate; /* series that are kept at most, or left out */
    uint64_t work;     /* values to run over */
};

struct matching {
    struct weir_index_reader *reader;
    const struct weir_segment *segment;
    struct weir_postings_walk postings;
    struct weir_ordinals *candidates;
    struct weir_ordinals *found; /* of one expression */
    struct weir_ordinals *whole; /* of a label */
    uint32_t series;
};

enum weir_err
weir_matcher_meets(const struct weir_matcher *matcher, const struct weir_names_list *list,
    bool *out)
{
    struct weir_label label, value = {0};
    for (uint32_t i = 0; i < list->count; i++) {
        weir_names_label(list, i, &label);
        if (label.name_size == matcher->name.size &&
            memcmp(label.name, matcher->name.data, label.name_size) == 0)
            value = label;
    }
    bool has = false;
    enum weir_err err = weir_matcher_has(matcher, value.value, value.value_size, &has);
    *out = has != matcher->negated;
    return err;
}

/* Looks the matcher up. Damage is not an error: the plan is then by labels. */
static enum weir_err
make_plan(struct matching *matching, const struct weir_matcher *matcher, struct plan *plan)
{
    bool takes_none = matcher->takes_empty != matcher->negated;
    *plan = (struct plan){.matcher = matcher,
        .keeps = !takes_none,
        .complement = matcher->takes_empty};
    enum weir_err err = weir_segment_find_label(matching->reader, matching->segment,
        matcher->name.data, matcher->name.size, &plan->label);
    if (err == WEIR_NOT_FOUND)
        return WEIR_OK;
    plan->estimate = plan->label.postings.count;
    plan->work = matcher->form == WEIR_MATCHER_LITERALS ? matcher->literal_count
                                                        : plan->label.values;
    if (err == WEIR_OK && matcher->form == WEIR_MATCHER_LITERALS && matcher->literal_count == 1) {
        const struct weir_match_text *literal = matcher->literals;
        err = weir_segment_find_value(matching->reader, matching->segment, plan->label.rank,
            literal->data, literal->size, &plan->postings);
        if (err == WEIR_NOT_FOUND)
            err = WEIR_OK;
        if (!plan->complement)
            plan->estimate = plan->postings.count;
    }
    if (err == WEIR_CORRUPT) {
        plan->by_labels = true;
        plan->estimate = matching->series;
        err = WEIR_OK;
    }
    return err;
}

/* Kept before left out, cheap before costly, few before many; labels last. */
static int
by_cost(const void *a, const void *b)
{
    const struct plan *one = a, *other = b;
    if (one->by_labels != other->by_labels)
        return one->by_labels ? 1 : -1;
    if (one->keeps != other->keeps)
        return one->keeps ? -1 : 1;
    uint64_t cost = one->estimate + 4 * one->work, other_cost = other->estimate + 4 * other->work;
    return (cost > other_cost) - (cost < other_cost);
}

static enum weir_err
add_literals(struct matching *matching, const struct plan *plan)
{
    const struct weir_matcher *matcher = plan->matcher;
    if (matcher->literal_count == 1)
        return plan->postings.count == 0 ? WEIR_OK
                                         : weir_postings_walk_add(&matching->postings,
                                               &plan->postings, matching->found);
    for (size_t i = 0; i < matcher->literal_count; i++) {
        struct weir_postings postings;
        enum weir_err err = weir_segment_find_value(matching->reader, matching->segment,
            plan->label.rank, matcher->literals[i].data, matcher->literals[i].size, &postings);
        if (err == WEIR_OK)
            err = weir_postings_walk_add(&matching->postings, &postings, matching->found);
        if (err != WEIR_OK && err != WEIR_NOT_FOUND)
            return err;
    }
    return WEIR_OK;
}

/* Runs over the values of the label that begin with the prefix. */
static enum weir_err
add_values(struct matching *matching, const struct plan *plan, struct weir_terms_walk *walk)
{
    const struct weir_matcher *matcher = plan->matcher;
    struct weir_term *from = &matching->reader->term;
    if (!weir_term_key(plan->label.rank, matcher->prefix.data, matcher->prefix.size, from))
        return WEIR_OK;
    uint32_t begin_size = from->key_size;
    enum weir_err err = weir_terms_walk_begin(walk, matching->reader, matching->segment,
        WEIR_INDEX_TERMS, from->key, from->key_size);
    for (; err == WEIR_OK; err = weir_terms_walk_next(walk)) {
        bool has;
        if (walk->term.key_size < begin_size || memcmp(walk->term.key, from->key, begin_size) != 0)
            break;
        err = weir_matcher_has(matcher, walk->term.key + WEIR_TERM_RANK_BYTES,
            walk->term.key_size - WEIR_TERM_RANK_BYTES, &has);
        if (err == WEIR_OK && has)
            err = weir_postings_walk_add(&matching->postings, &walk->term.postings,
                matching->found);
        if (err == WEIR_OK && walk->rank % 1024 == 0)
            err = weir_reader_check(matching->reader);
        if (err != WEIR_OK)
            break;
    }
    return err == WEIR_END ? WEIR_OK : err;
}

/* Series whose value of the label the expression has: to found. */
static enum weir_err
find_series(struct matching *matching, const struct plan *plan)
{
    const struct weir_matcher *matcher = plan->matcher;
    weir_ordinals_clear(matching->found, matching->series);
    if (plan->label.values == 0)
        return WEIR_OK;
    if (matcher->form == WEIR_MATCHER_LITERALS)
        return add_literals(matching, plan);
    if (matcher->form == WEIR_MATCHER_PREFIX && matcher->prefix.size == 0 && matcher->more <= 1)
        return weir_postings_walk_add(&matching->postings, &plan->label.postings,
            matching->found);
    struct weir_terms_walk walk = {0};
    enum weir_err err = add_values(matching, plan, &walk);
    weir_terms_walk_end(&walk);
    return err;
}

/* Narrows the candidates by reading labels. Series whose labels are lost stay out. */
static enum weir_err
filter_labels(struct matching *matching, const struct weir_matcher *matcher)
{
    struct weir_names_walk *walk = calloc(1, sizeof *walk);
    if (walk == NULL)
        return weir_fail(WEIR_NOMEM, 0, "labels of an index segment");
    enum weir_err err = WEIR_OK;
    for (uint32_t at = 0; err == WEIR_OK; at++) {
        const struct weir_names_list *list;
        bool meets = false;
        at = weir_ordinals_next(matching->candidates, at, matching->series);
        if (at == matching->series)
            break;
        err = weir_names_walk_to(matching->reader, walk, matching->segment, at, &list);
        if (err == WEIR_OK)
            err = weir_matcher_meets(matcher, list, &meets);
        if (err == WEIR_CORRUPT) {
            matching->reader->counts.series_lost++;
            err = WEIR_OK;
        }
        if (!meets)
            weir_ordinals_remove(matching->candidates, at);
    }
    weir_names_walk_end(matching->reader, walk);
    free(walk);
    return err;
}

/* Narrows the candidates by the plan's postings. */
static enum weir_err
filter_postings(struct matching *matching, const struct plan *plan)
{
    enum weir_err err = find_series(matching, plan);
    if (err == WEIR_OK && plan->complement) {
        weir_ordinals_clear(matching->whole, matching->series);
        if (plan->label.values != 0)
            err = weir_postings_walk_add(&matching->postings, &plan->label.postings,
                matching->whole);
        weir_ordinals_and_not(matching->whole, matching->found, matching->series);
    }
    if (err != WEIR_OK)
        return err;
    const struct weir_ordinals *series = plan->complement ? matching->whole : matching->found;
    if (plan->keeps)
        weir_ordinals_and(matching->candidates, series, matching->series);
    else
        weir_ordinals_and_not(matching->candidates, series, matching->series);
    return WEIR_OK;
}

static enum weir_err
filter(struct matching *matching, const struct plan *plan)
{
    bool few = false;
    if (plan->matcher->form == WEIR_MATCHER_PATTERN && plan->work > CANDIDATE_COST)
        few = weir_ordinals_count(matching->candidates, matching->series) <
              plan->work / CANDIDATE_COST;
    if (plan->by_labels || few)
        return filter_labels(matching, plan->matcher);
    enum weir_err err = filter_postings(matching, plan);
    return err == WEIR_CORRUPT ? filter_labels(matching, plan->matcher) : err;
}

static bool
in_range(uint16_t first, uint16_t last, struct weir_index_range range)
{
    return first <= range.last && last >= range.first;
}

/* Leaves out the candidates of one block that were not there in the range. */
static enum weir_err
narrow_block(struct matching *matching, struct weir_index_range range, uint32_t at, uint32_t end)
{
    struct weir_index_block block;
    enum weir_err err = weir_segment_leaf(matching->reader, matching->segment, WEIR_INDEX_SEEN, at,
        &block);
    if (err != WEIR_OK)
        return err == WEIR_CORRUPT ? WEIR_OK : err; /* may have been there */
    const uint8_t *firsts = block.raw + 2 * block.count, *lasts = block.raw + 4 * block.count;
    for (; (at = weir_ordinals_next(matching->candidates, at, end)) != end && at <= block.last;
         at++) {
        uint32_t i = at - block.first;
        if (!in_range(weir_index_u16(firsts + 2 * i), weir_index_u16(lasts + 2 * i), range))
            weir_ordinals_remove(matching->candidates, at);
    }
    weir_segment_release(matching->reader, &block);
    return WEIR_OK;
}

static enum weir_err
narrow(struct matching *matching, struct weir_index_range range)
{
    for (uint32_t first = 0; first < matching->series; first += WEIR_INDEX_SEEN_MAX) {
        uint32_t end = first + WEIR_INDEX_SEEN_MAX;
        end = end < matching->series ? end : matching->series;
        uint32_t at = weir_ordinals_next(matching->candidates, first, end);
        struct weir_index_days days = {0};
        if (at == end)
            continue;
        enum weir_err err = weir_segment_days(matching->reader, matching->segment, at, &days);
        if (err == WEIR_OK && days.first_max <= range.last && days.last_min >= range.first)
            continue; /* all of them were there */
        if (err == WEIR_OK || err == WEIR_CORRUPT)
            err = narrow_block(matching, range, at, end);
        if (err != WEIR_OK)
            return err;
    }
    return WEIR_OK;
}

static enum weir_err
match(struct matching *matching, const struct weir_index_matchers *matchers,
    struct weir_index_range range, struct plan *plans)
{
    const struct weir_index_footer *footer = &matching->segment->footer;
    enum weir_err err = WEIR_OK;
    weir_ordinals_clear(matching->candidates, matching->series);
    if (matching->series == 0 || !in_range(footer->day_first, footer->day_last, range))
        return WEIR_OK;
    for (size_t i = 0; i < matchers->count && err == WEIR_OK; i++) {
        err = make_plan(matching, &matchers->list[i], &plans[i]);
        if (err == WEIR_OK && plans[i].keeps && plans[i].estimate == 0)
            return WEIR_OK;
    }
    if (err != WEIR_OK)
        return err;
    qsort(plans, matchers->count, sizeof *plans, by_cost);
    weir_ordinals_fill(matching->candidates, matching->series);
    for (size_t i = 0; i < matchers->count && err == WEIR_OK; i++)
        err = filter(matching, &plans[i]);
    bool any = range.first == 0 && range.last == UINT16_MAX;
    return err == WEIR_OK && !any ? narrow(matching, range) : err;
}

enum weir_err
weir_segment_match(struct weir_index_reader *reader, const struct weir_segment *segment,
    const struct weir_index_matchers *matchers, struct weir_index_range range,
    struct weir_ordinals *out)
{
    struct plan plans[MATCHERS_MAX];
    struct matching matching = {.reader = reader,
        .segment = segment,
        .candidates = out,
        .found = &reader->sets[1],
        .whole = &reader->sets[2],
        .series = segment->footer.series};
    if (matchers->count > MATCHERS_MAX)
        return weir_fail(WEIR_LIMIT, 0, "more than %d matchers", MATCHERS_MAX);
    weir_postings_walk_begin(&matching.postings, reader, segment);
    enum weir_err err = match(&matching, matchers, range, plans);
    weir_postings_walk_end(&matching.postings);
    return err;
}
