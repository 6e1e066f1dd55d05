#include "storage/index/view.h"

#include <stdlib.h>

void
weir_index_selection_free(struct weir_index_selection *selection)
{
    if (selection == NULL)
        return;
    for (size_t i = 0; i < selection->run_count; i++)
        free(selection->runs[i].members);
    if (selection->walk != NULL) {
        weir_names_walk_end(selection->walk_reader, selection->walk);
        free(selection->walk);
    }
    free(selection->runs);
    free(selection->items);
    free(selection->aliases);
    free(selection);
}

uint64_t
weir_index_selection_count(const struct weir_index_selection *selection)
{
    return selection->count;
}

/* Keeps what is in the reader's first set. */
static enum weir_err
add_run(struct weir_index_reader *reader, struct weir_index_selection *selection,
    const struct weir_index_source *source, uint32_t bound)
{
    const struct weir_ordinals *set = &reader->sets[0];
    uint32_t count = weir_ordinals_count(set, bound), kept = 0;
    if (count == 0)
        return WEIR_OK;
    uint32_t *members = malloc(count * sizeof *members);
    if (members == NULL)
        return weir_fail(WEIR_NOMEM, 0, "selection of %u series", count);
    for (uint32_t at = 0; (at = weir_ordinals_next(set, at, bound)) != bound; at++)
        members[kept++] = at;
    selection->runs[selection->run_count++] = (struct weir_selection_run){.source = *source,
        .members = members,
        .count = count,
        .first = selection->count};
    selection->count += count;
    return source->delta == NULL ? WEIR_OK : weir_delta_sort(source->delta, members, count);
}

enum weir_err
weir_index_select(struct weir_index_reader *reader, struct weir_index_view *view,
    const struct weir_index_matchers *matchers, struct weir_index_range range,
    struct weir_index_selection **out)
{
    struct weir_index_selection *selection = calloc(1, sizeof *selection);
    size_t sources = weir_view_source_count(view);
    if (selection != NULL)
        selection->runs = calloc(sources + 1, sizeof *selection->runs);
    if (selection == NULL || selection->runs == NULL) {
        free(selection);
        return weir_fail(WEIR_NOMEM, 0, "a selection");
    }
    enum weir_err err = WEIR_OK;
    for (size_t i = 0; i < sources && err == WEIR_OK; i++) {
        uint32_t bound;
        struct weir_index_source source = weir_view_source(view, i);
        err = weir_source_match(reader, &source, matchers, range, &bound);
        if (err == WEIR_OK)
            err = add_run(reader, selection, &source, bound);
    }
    if (err != WEIR_OK) {
        weir_index_selection_free(selection);
        return err;
    }
    *out = selection;
    return WEIR_OK;
}

struct weir_selection_item
weir_selection_item(const struct weir_index_selection *selection, uint64_t place)
{
    WEIR_ASSERT(place < selection->count);
    if (selection->items != NULL)
        return selection->items[place];
    size_t low = 0, high = selection->run_count;
    while (high - low > 1) {
        size_t middle = (low + high) / 2;
        if (selection->runs[middle].first <= place)
            low = middle;
        else
            high = middle;
    }
    return (struct weir_selection_item){(uint32_t)low,
        (uint32_t)(place - selection->runs[low].first)};
}

enum weir_err
weir_source_names(struct weir_index_reader *reader, const struct weir_index_source *source,
    struct weir_names_walk *walk, uint32_t member, const uint8_t **bytes, size_t *size)
{
    if (source->delta != NULL) {
        struct weir_index_series series;
        weir_delta_series(source->delta, member, &series);
        *bytes = series.labels;
        *size = series.size;
        return WEIR_OK;
    }
    const struct weir_names_list *list;
    enum weir_err err = weir_names_walk_to(reader, walk, source->segment, member, &list);
    if (err != WEIR_OK)
        return err;
    *bytes = list->bytes;
    *size = list->size;
    return WEIR_OK;
}

/* Searches number -> ordinal for an ordinal whose block of numbers is damaged. */
static enum weir_err
search_number(struct weir_index_reader *reader, const struct weir_segment *segment,
    uint32_t ordinal, uint64_t *number)
{
    struct weir_index_block block;
    for (uint32_t at = 0; at < segment->footer.through; at += WEIR_INDEX_ARRAY_MAX) {
        enum weir_err err = weir_segment_leaf(reader, segment, WEIR_INDEX_ORDINALS, at, &block);
        if (err == WEIR_CORRUPT)
            continue;
        if (err != WEIR_OK)
            return err;
        const uint32_t *ordinals = (const uint32_t *)block.raw;
        uint32_t i = 0;
        while (i < block.count && ordinals[i] != ordinal)
            i++;
        *number = segment->first_number + block.first + i;
        bool found = i < block.count;
        weir_segment_release(reader, &block);
        if (found)
            return WEIR_OK;
    }
    return weir_fail(WEIR_CORRUPT, 0, "%s: the number of ordinal %u is damaged twice",
        segment->path, ordinal);
}

enum weir_err
weir_source_number(struct weir_index_reader *reader, const struct weir_index_source *source,
    uint32_t member, uint64_t *number)
{
    if (source->delta != NULL) {
        *number = weir_delta_first_number(source->delta) + member;
        return WEIR_OK;
    }
    struct weir_index_block block;
    enum weir_err err =
        weir_segment_leaf(reader, source->segment, WEIR_INDEX_NUMBERS, member, &block);
    if (err == WEIR_CORRUPT)
        return search_number(reader, source->segment, member, number);
    if (err != WEIR_OK)
        return err;
    uint32_t local = ((const uint32_t *)block.raw)[member - block.first];
    weir_segment_release(reader, &block);
    if (local >= source->segment->footer.through)
        return weir_fail(WEIR_CORRUPT, 0, "%s: ordinal %u has number %u", source->segment->path,
            member, local);
    *number = source->segment->first_number + local;
    return WEIR_OK;
}

enum weir_err
weir_index_selection_numbers(struct weir_index_reader *reader,
    const struct weir_index_selection *selection, uint64_t first, size_t count, uint64_t *numbers,
    bool *aliases)
{
    for (size_t i = 0; i < count; i++) {
        struct weir_selection_item item = weir_selection_item(selection, first + i);
        const struct weir_selection_run *run = &selection->runs[item.run];
        enum weir_err err =
            weir_source_number(reader, &run->source, run->members[item.member], &numbers[i]);
        if (err != WEIR_OK)
            return err;
        if (aliases != NULL)
            aliases[i] = selection->aliases != NULL && selection->aliases[first + i];
    }
    return WEIR_OK;
}

/* Gives the labels that a series has once damage took its own. */
static enum weir_err
lost_labels(struct weir_index_reader *reader, uint64_t number, const uint8_t **labels,
    size_t *size)
{
    reader->counts.series_lost++;
    weir_labels_lost(number, reader->labels, size);
    *labels = reader->labels;
    return WEIR_OK;
}

static enum weir_err
source_labels(struct weir_index_reader *reader, const struct weir_index_source *source,
    struct weir_names_walk *walk, uint32_t member, const uint8_t **labels, size_t *size)
{
    const uint8_t *bytes;
    size_t bytes_size;
    enum weir_err err = weir_source_names(reader, source, walk, member, &bytes, &bytes_size);
    if (err == WEIR_CORRUPT) {
        uint64_t number;
        err = weir_source_number(reader, source, member, &number);
        return err == WEIR_OK ? lost_labels(reader, number, labels, size) : err;
    }
    if (err != WEIR_OK)
        return err;
    weir_names_from_bytes(bytes, bytes_size, &reader->lists[0]);
    *size = weir_names_to_labels(&reader->lists[0], reader->labels);
    *labels = reader->labels;
    return WEIR_OK;
}

static enum weir_err
selection_walk(struct weir_index_reader *reader, const struct weir_index_selection *constant,
    struct weir_names_walk **walk)
{
    /* the walk is scratch of the selection, and its caller's alone */
    struct weir_index_selection *selection = (struct weir_index_selection *)constant;
    if (selection->walk == NULL) {
        selection->walk = calloc(1, sizeof *selection->walk);
        if (selection->walk == NULL)
            return weir_fail(WEIR_NOMEM, 0, "labels of a selection");
        selection->walk_reader = reader;
    }
    *walk = selection->walk;
    return WEIR_OK;
}

enum weir_err
weir_index_selection_labels(struct weir_index_reader *reader,
    const struct weir_index_selection *selection, uint64_t place, const uint8_t **labels,
    size_t *size)
{
    struct weir_names_walk *walk;
    struct weir_selection_item item = weir_selection_item(selection, place);
    const struct weir_selection_run *run = &selection->runs[item.run];
    enum weir_err err = selection_walk(reader, selection, &walk);
    if (err != WEIR_OK)
        return err;
    return source_labels(reader, &run->source, walk, run->members[item.member], labels, size);
}

enum weir_err
weir_index_labels(struct weir_index_reader *reader, struct weir_index_view *view, uint64_t number,
    const uint8_t **labels, size_t *size)
{
    const struct weir_segment *segment = weir_view_segment(view, number >> WEIR_SHARD_BITS);
    struct weir_index_source source = {.segment = segment};
    uint32_t member = 0;
    enum weir_err err = WEIR_NOT_FOUND;
    if (segment != NULL)
        err = weir_segment_ordinal(reader, segment, (uint32_t)(number - segment->first_number),
            &member);
    for (size_t i = 0; i < view->delta_count && err == WEIR_NOT_FOUND; i++) {
        const struct weir_delta *delta = view->deltas[i]->delta;
        struct weir_delta_span span = weir_delta_span(delta);
        uint64_t at = number - weir_delta_first_number(delta);
        if (at >= span.from && at < span.until) {
            source = (struct weir_index_source){.delta = delta, .span = span};
            member = (uint32_t)at;
            err = WEIR_OK;
        }
    }
    if (err != WEIR_OK)
        return err;
    struct weir_names_walk *walk = calloc(1, sizeof *walk);
    if (walk == NULL)
        return weir_fail(WEIR_NOMEM, 0, "labels of a series");
    err = source_labels(reader, &source, walk, member, labels, size);
    weir_names_walk_end(reader, walk);
    free(walk);
    return err;
}
