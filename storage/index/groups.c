/* Groups of a selection: a column of value numbers for each label, joined one after the other. */
#include "storage/index/interner.h"
#include "storage/index/segment_terms.h"
#include "storage/index/view.h"

#include <stdlib.h>

/* Nanoseconds, about: the labels of a series; a value, for its set to be cleared and joined; its
 * postings at most. */
#define LABELS_NS 100
#define VALUE_NS 10000
#define POSTINGS_NS 20000

struct grouping {
    struct weir_index_reader *reader;
    const struct weir_index_selection *selection;
    const struct weir_index_grouping *wanted;
    struct weir_interner values; /* of one column */
    struct weir_names_walk *walk;
    uint32_t *column;  /* by place before sorting: number of the value, 0 for none */
    uint32_t *joined;  /* likewise: number of the group so far */
    uint32_t *members; /* by ordinal of the run's members: index in the run */
    struct weir_ordinals *set; /* of one value */
    struct weir_ordinals *run; /* members of the run */
};

/* --- from postings --- */

static enum weir_err
column_of_value(struct grouping *grouping, const struct weir_selection_run *run,
    struct weir_postings_walk *postings, const struct weir_term *term)
{
    uint32_t series = run->source.segment->footer.series, number = 0;
    weir_ordinals_clear(grouping->set, series);
    enum weir_err err = weir_postings_walk_add(postings, &term->postings, grouping->set);
    weir_ordinals_and(grouping->set, grouping->run, series);
    uint32_t at = term->postings.first;
    for (; err == WEIR_OK && (at = weir_ordinals_next(grouping->set, at, series)) != series; at++) {
        if (number == 0)
            err = weir_interner_add(&grouping->values, term->key + WEIR_TERM_RANK_BYTES,
                term->key_size - WEIR_TERM_RANK_BYTES, &number);
        grouping->column[run->first + grouping->members[at]] = number;
    }
    return err;
}

static enum weir_err
column_of_values(struct grouping *grouping, const struct weir_selection_run *run,
    const struct weir_segment_label *label, struct weir_terms_walk *walk,
    struct weir_postings_walk *postings)
{
    struct weir_term *from = &grouping->reader->term;
    (void)weir_term_key(label->rank, "", 0, from);
    enum weir_err err = weir_terms_walk_begin(walk, grouping->reader, run->source.segment,
        WEIR_INDEX_TERMS, from->key, from->key_size);
    for (uint32_t i = 0; i < label->values && err == WEIR_OK; i++) {
        err = column_of_value(grouping, run, postings, &walk->term);
        if (err == WEIR_OK && i % 1024 == 0)
            err = weir_reader_check(grouping->reader);
        if (err == WEIR_OK && i + 1 < label->values)
            err = weir_terms_walk_next(walk);
    }
    return err == WEIR_END ? WEIR_CORRUPT : err;
}

static enum weir_err
column_from_postings(struct grouping *grouping, const struct weir_selection_run *run,
    const struct weir_segment_label *label)
{
    struct weir_postings_walk postings;
    struct weir_terms_walk *walk = calloc(1, sizeof *walk);
    if (walk == NULL)
        return weir_fail(WEIR_NOMEM, 0, "groups");
    uint32_t series = run->source.segment->footer.series;
    weir_ordinals_clear(grouping->run, series);
    for (uint32_t i = 0; i < run->count; i++) {
        weir_ordinals_add(grouping->run, run->members[i]);
        grouping->members[run->members[i]] = i;
    }
    weir_postings_walk_begin(&postings, grouping->reader, run->source.segment);
    enum weir_err err = column_of_values(grouping, run, label, walk, &postings);
    weir_terms_walk_end(walk);
    weir_postings_walk_end(&postings);
    free(walk);
    return err;
}

/* --- from labels --- */

static bool
is_named(const struct weir_label *label, const char *name)
{
    size_t size = strlen(name);
    return label->name_size == size && memcmp(label->name, name, size) == 0;
}

/* The text that stands for a series in a column: the value of one label, or all records but those
 * named. */
static size_t
column_text(const struct grouping *grouping, const char *name, const struct weir_names_list *list,
    uint8_t *text)
{
    size_t size = 0;
    for (uint32_t i = 0; i < list->count; i++) {
        struct weir_label label;
        weir_names_label(list, i, &label);
        if (name != NULL) {
            if (!is_named(&label, name) || label.value_size == 0)
                continue;
            memcpy(text, label.value, label.value_size);
            return label.value_size;
        }
        bool out = i == 0; /* the metric */
        for (size_t n = 0; n < grouping->wanted->count && !out; n++)
            out = is_named(&label, grouping->wanted->names[n]);
        if (out)
            continue;
        size_t record = 4u + label.name_size + label.value_size;
        memcpy(text + size, list->bytes + list->at[i], record);
        size += record;
    }
    return size;
}

static enum weir_err
column_from_labels(struct grouping *grouping, const struct weir_selection_run *run,
    const char *name)
{
    struct weir_index_reader *reader = grouping->reader;
    for (uint32_t i = 0; i < run->count; i++) {
        const uint8_t *bytes;
        size_t size;
        enum weir_err err = weir_source_names(
            reader, &run->source, grouping->walk, run->members[i], &bytes, &size);
        uint32_t *number = &grouping->column[run->first + i];
        *number = 0;
        if (err == WEIR_CORRUPT) {
            reader->counts.series_lost++;
            continue;
        }
        if (err != WEIR_OK)
            return err;
        weir_names_from_bytes(bytes, size, &reader->lists[0]);
        size = column_text(grouping, name, &reader->lists[0], reader->labels);
        if (size != 0)
            err = weir_interner_add(&grouping->values, reader->labels, size, number);
        if (err == WEIR_OK && i % 1024 == 0)
            err = weir_reader_check(reader);
        if (err != WEIR_OK)
            return err;
    }
    return WEIR_OK;
}

/* --- columns --- */

/* What a column from postings takes, about. */
static uint64_t
postings_ns(const struct weir_segment_label *label)
{
    uint64_t most = (uint64_t)label->values * POSTINGS_NS;
    return (uint64_t)label->values * VALUE_NS +
           (label->postings.count < most ? label->postings.count : most);
}

static enum weir_err
column_of_run(struct grouping *grouping, const struct weir_selection_run *run, const char *name)
{
    struct weir_segment_label label;
    if (run->source.segment == NULL || name == NULL)
        return column_from_labels(grouping, run, name);
    enum weir_err err = weir_segment_find_label(grouping->reader, run->source.segment, name,
        strlen(name), &label);
    if (err == WEIR_NOT_FOUND) {
        memset(grouping->column + run->first, 0, run->count * sizeof *grouping->column);
        return WEIR_OK;
    }
    if (err == WEIR_OK && postings_ns(&label) < (uint64_t)run->count * LABELS_NS) {
        memset(grouping->column + run->first, 0, run->count * sizeof *grouping->column);
        err = column_from_postings(grouping, run, &label);
    } else if (err == WEIR_OK) {
        return column_from_labels(grouping, run, name);
    }
    return err == WEIR_CORRUPT ? column_from_labels(grouping, run, name) : err;
}

/* Splits the groups so far by the values of one label; NULL: by all but those named. */
static enum weir_err
join_column(struct grouping *grouping, const char *name)
{
    const struct weir_index_selection *selection = grouping->selection;
    struct weir_interner pairs;
    enum weir_err err = WEIR_OK;
    weir_interner_init(&grouping->values, grouping->reader->key);
    for (size_t i = 0; i < selection->run_count && err == WEIR_OK; i++)
        err = column_of_run(grouping, &selection->runs[i], name);
    weir_interner_fini(&grouping->values);
    weir_interner_init(&pairs, grouping->reader->key);
    for (uint64_t i = 0; i < selection->count && err == WEIR_OK; i++) {
        uint32_t pair[2] = {grouping->joined[i], grouping->column[i]};
        err = weir_interner_add(&pairs, pair, sizeof pair, &grouping->joined[i]);
    }
    weir_interner_fini(&pairs);
    return err;
}

/* Numbers the groups in the order of their first places. */
static enum weir_err
number_groups(const struct grouping *grouping, uint32_t *ids, uint32_t *groups)
{
    const struct weir_index_selection *selection = grouping->selection;
    uint32_t most = 0, count = 0;
    for (uint64_t i = 0; i < selection->count; i++)
        most = grouping->joined[i] > most ? grouping->joined[i] : most;
    uint32_t *numbers = calloc((size_t)most + 1, sizeof *numbers); /* 1 + the group's number */
    if (numbers == NULL)
        return weir_fail(WEIR_NOMEM, 0, "groups");
    for (uint64_t place = 0; place < selection->count; place++) {
        struct weir_selection_item item = weir_selection_item(selection, place);
        uint32_t joined = grouping->joined[selection->runs[item.run].first + item.member];
        if (numbers[joined] == 0)
            numbers[joined] = ++count;
        ids[place] = numbers[joined] - 1;
    }
    free(numbers);
    *groups = count;
    return WEIR_OK;
}

static enum weir_err
join_columns(struct grouping *grouping)
{
    const struct weir_index_grouping *wanted = grouping->wanted;
    if (wanted->without)
        return join_column(grouping, NULL);
    enum weir_err err = WEIR_OK;
    for (size_t i = 0; i < wanted->count && err == WEIR_OK; i++)
        err = join_column(grouping, wanted->names[i]);
    return err;
}

enum weir_err
weir_index_selection_groups(struct weir_index_reader *reader,
    const struct weir_index_selection *selection, const struct weir_index_grouping *wanted,
    uint32_t *ids, uint32_t *groups)
{
    uint64_t count = selection->count + 1;
    struct grouping grouping = {.reader = reader,
        .selection = selection,
        .wanted = wanted,
        .walk = calloc(1, sizeof *grouping.walk),
        .column = calloc(count, sizeof *grouping.column),
        .joined = calloc(count, sizeof *grouping.joined),
        .members = malloc(WEIR_SHARD_SERIES * sizeof *grouping.members),
        .set = &reader->sets[0],
        .run = &reader->sets[1]};
    enum weir_err err = WEIR_OK;
    if (grouping.walk == NULL || grouping.column == NULL || grouping.joined == NULL ||
        grouping.members == NULL)
        err = weir_fail(WEIR_NOMEM, 0, "groups");
    if (err == WEIR_OK)
        err = join_columns(&grouping);
    if (err == WEIR_OK)
        err = number_groups(&grouping, ids, groups);
    if (grouping.walk != NULL)
        weir_names_walk_end(reader, grouping.walk);
    free(grouping.walk);
    free(grouping.column);
    free(grouping.joined);
    free(grouping.members);
    return err;
}
