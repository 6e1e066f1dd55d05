#include "storage/index/merge.h"

#include "storage/index/view.h"

#include <stdlib.h>

/* The series of a segment, of a delta, or those whose labels are lost. */
struct feed {
    struct weir_index_source source; /* neither: lost ones */
    uint32_t *members; /* of a delta, or lost local numbers; sorted by labels */
    uint32_t count;
    uint32_t next;
    bool at_end;
    struct weir_names_list list; /* labels of the current series */
    struct weir_index_series series;
};

struct weir_index_merge {
    struct weir_index_merge_options options;
    const struct weir_segment *segment; /* NULL: the shard's first */
    struct feed *feeds;
    size_t feed_count;
    struct weir_names_walk walk;
    struct weir_index_block seen; /* pinned where seen.slot is not NULL */
    uint8_t labels[WEIR_LABELS_BYTES_MAX + WEIR_NAMES_LIST_MAX];
    bool lost_known; /* labels that are damaged come from a feed of their own */
    bool writing;
    bool finishing;
};

static void
lost_list(uint64_t number, struct weir_names_list *list)
{
    uint8_t labels[WEIR_LOST_LABELS_MAX];
    size_t size;
    weir_labels_lost(number, labels, &size);
    bool good = weir_names_from_labels(labels, size, list);
    WEIR_ASSERT(good);
}

/* Class and days of an ordinal; of a damaged block: any day, class 0. */
static enum weir_err
read_seen(struct weir_index_merge *merge, uint32_t ordinal, struct weir_index_series *series)
{
    struct weir_index_reader *reader = merge->options.reader;
    struct weir_index_block *seen = &merge->seen;
    enum weir_err err = WEIR_OK;
    series->day_first = 0;
    series->day_last = WEIR_DAY_OPEN;
    series->retention_class = 0;
    if (seen->slot != NULL && (ordinal < seen->first || ordinal > seen->last))
        weir_segment_release(reader, seen);
    if (seen->slot == NULL)
        err = weir_segment_leaf(reader, merge->segment, WEIR_INDEX_SEEN, ordinal, seen);
    if (err != WEIR_OK)
        return err == WEIR_CORRUPT ? WEIR_OK : err;
    uint32_t i = ordinal - seen->first;
    series->retention_class = seen->raw[i];
    series->day_first = weir_index_u16(seen->raw + 2 * seen->count + 2 * i);
    series->day_last = weir_index_u16(seen->raw + 4 * seen->count + 2 * i);
    return WEIR_OK;
}

/* The next series of the segment whose labels are there. */
static enum weir_err
next_of_segment(struct weir_index_merge *merge, struct feed *feed)
{
    struct weir_index_reader *reader = merge->options.reader;
    for (; feed->next < feed->count; feed->next++) {
        const struct weir_names_list *list;
        enum weir_err err =
            weir_names_walk_to(reader, &merge->walk, merge->segment, feed->next, &list);
        if (err == WEIR_CORRUPT && merge->lost_known)
            continue; /* among the lost ones */
        if (err == WEIR_CORRUPT)
            return err;
        if (err == WEIR_OK)
            err = weir_source_number(reader, &feed->source, feed->next, &feed->series.number);
        if (err == WEIR_CORRUPT) { /* damaged twice: the series has labels, and no number */
            reader->counts.series_lost++;
            continue;
        }
        if (err == WEIR_OK)
            err = read_seen(merge, feed->next, &feed->series);
        if (err != WEIR_OK)
            return err;
        feed->list = *list;
        feed->next++;
        return WEIR_OK;
    }
    feed->at_end = true;
    return WEIR_OK;
}

static enum weir_err
next_of_feed(struct weir_index_merge *merge, struct feed *feed)
{
    if (feed->source.segment != NULL)
        return next_of_segment(merge, feed);
    if (feed->next == feed->count) {
        feed->at_end = true;
        return WEIR_OK;
    }
    uint32_t member = feed->members[feed->next++];
    if (feed->source.delta != NULL) {
        weir_delta_series(feed->source.delta, member, &feed->series);
        weir_names_from_bytes(feed->series.labels, feed->series.size, &feed->list);
        return WEIR_OK;
    }
    feed->series.number = merge->segment->first_number + member;
    lost_list(feed->series.number, &feed->list);
    uint32_t ordinal;
    enum weir_err err =
        weir_segment_ordinal(merge->options.reader, merge->segment, member, &ordinal);
    return err == WEIR_OK ? read_seen(merge, ordinal, &feed->series) : err;
}

/* --- begin --- */

/* Order of lost series: that of their whole numbers as text. */
static int
by_text(const void *a, const void *b, void *first_number)
{
    struct weir_names_list lists[2];
    lost_list(*(const uint64_t *)first_number + *(const uint32_t *)a, &lists[0]);
    lost_list(*(const uint64_t *)first_number + *(const uint32_t *)b, &lists[1]);
    return weir_names_compare(lists[0].bytes, lists[0].size, lists[1].bytes, lists[1].size);
}

/* Finds the series whose labels are lost, by reading all. */
static enum weir_err
find_lost(struct weir_index_merge *merge, struct feed *lost)
{
    struct weir_index_reader *reader = merge->options.reader;
    const struct weir_segment *segment = merge->segment;
    struct weir_index_source source = {.segment = segment};
    uint32_t capacity = 0;
    for (uint32_t at = 0; at < segment->footer.series; at++) {
        const struct weir_names_list *list;
        uint64_t number;
        enum weir_err err = weir_names_walk_to(reader, &merge->walk, segment, at, &list);
        if (err == WEIR_OK)
            continue;
        if (err == WEIR_CORRUPT)
            err = weir_source_number(reader, &source, at, &number);
        if (err == WEIR_CORRUPT)
            continue;
        if (err != WEIR_OK)
            return err;
        if (lost->count == capacity) {
            capacity = capacity * 2 + 256;
            uint32_t *grown = realloc(lost->members, capacity * sizeof *grown);
            if (grown == NULL)
                return weir_fail(WEIR_NOMEM, 0, "lost series of a segment");
            lost->members = grown;
        }
        lost->members[lost->count++] = (uint32_t)(number - segment->first_number);
    }
    reader->counts.series_lost += lost->count;
    if (lost->count != 0)
        qsort_r(lost->members, lost->count, sizeof *lost->members, by_text,
            (void *)&segment->first_number);
    return WEIR_OK;
}

/* The series of a delta that the segment does not hold, by their labels. */
static enum weir_err
begin_delta(struct feed *feed)
{
    struct weir_delta_span span = feed->source.span;
    feed->count = span.until - span.from;
    feed->members = malloc((feed->count + 1) * sizeof *feed->members);
    if (feed->members == NULL)
        return weir_fail(WEIR_NOMEM, 0, "series of a delta");
    for (uint32_t i = 0; i < feed->count; i++)
        feed->members[i] = span.from + i;
    return weir_delta_sort(feed->source.delta, feed->members, feed->count);
}

static enum weir_err
begin_feeds(struct weir_index_merge *merge)
{
    const struct weir_index_view *view = merge->options.view;
    for (size_t i = 0; i < weir_view_source_count(view); i++) {
        struct weir_index_source source = weir_view_source(view, i);
        bool ours = source.delta != NULL &&
                    weir_delta_first_number(source.delta) >> WEIR_SHARD_BITS ==
                        merge->options.segment.shard;
        if (!ours || source.span.from == source.span.until)
            continue;
        struct feed *feed = &merge->feeds[merge->feed_count++];
        feed->source = source;
        enum weir_err err = begin_delta(feed);
        if (err != WEIR_OK)
            return err;
    }
    return WEIR_OK;
}

/* Opens the writer and moves all feeds to their first series. */
static enum weir_err
start(struct weir_index_merge *merge)
{
    enum weir_err err =
        weir_index_writer_open(merge->options.writer, &merge->options.segment);
    merge->writing = err == WEIR_OK;
    for (size_t i = 0; i < merge->feed_count && err == WEIR_OK; i++) {
        merge->feeds[i].next = 0;
        merge->feeds[i].at_end = false;
        err = next_of_feed(merge, &merge->feeds[i]);
    }
    return err;
}

/* A block of names is damaged: begins anew, with all lost series as a feed of their own. */
static enum weir_err
start_with_lost(struct weir_index_merge *merge)
{
    if (merge->writing)
        weir_index_writer_abort(merge->options.writer);
    merge->writing = false;
    merge->lost_known = true;
    struct feed *lost = &merge->feeds[merge->feed_count++];
    enum weir_err err = find_lost(merge, lost);
    return err == WEIR_OK ? start(merge) : err;
}

enum weir_err
weir_index_merge_begin(const struct weir_index_merge_options *options,
    struct weir_index_merge **out)
{
    struct weir_index_merge *merge = calloc(1, sizeof *merge);
    if (merge == NULL)
        return weir_fail(WEIR_NOMEM, 0, "merge of an index segment");
    merge->options = *options;
    merge->segment = weir_view_segment(options->view, options->segment.shard);
    /* beside the deltas: the segment, and what is lost of it */
    merge->feeds = calloc(options->view->delta_count + 2, sizeof *merge->feeds);
    enum weir_err err = WEIR_OK;
    if (merge->feeds == NULL)
        err = weir_fail(WEIR_NOMEM, 0, "merge of an index segment");
    if (err == WEIR_OK && merge->segment != NULL)
        merge->feeds[merge->feed_count++] = (struct feed){.source = {.segment = merge->segment},
            .count = merge->segment->footer.series};
    if (err == WEIR_OK)
        err = begin_feeds(merge);
    if (err == WEIR_OK)
        err = start(merge);
    if (err == WEIR_CORRUPT && !merge->lost_known)
        err = start_with_lost(merge);
    if (err != WEIR_OK) {
        weir_index_merge_end(merge);
        return err;
    }
    *out = merge;
    return WEIR_OK;
}

/* --- steps --- */

/* The feed whose series comes next; NULL after the last. */
static struct feed *
least(struct weir_index_merge *merge)
{
    struct feed *found = NULL;
    for (size_t i = 0; i < merge->feed_count; i++) {
        struct feed *feed = &merge->feeds[i];
        if (!feed->at_end && (found == NULL ||
                weir_names_compare(feed->list.bytes, feed->list.size, found->list.bytes,
                    found->list.size) < 0))
            found = feed;
    }
    return found;
}

static enum weir_err
pass(struct weir_index_merge *merge, struct feed *feed)
{
    struct weir_index_series *series = &feed->series;
    series->size = weir_names_to_labels(&feed->list, merge->labels);
    series->labels = merge->labels;
    if (merge->options.update != NULL)
        merge->options.update(merge->options.context, series);
    enum weir_err err = weir_index_writer_add(merge->options.writer, series);
    return err == WEIR_OK ? next_of_feed(merge, feed) : err;
}

enum weir_err
weir_index_merge_step(struct weir_index_merge *merge, uint32_t series,
    struct weir_index_footer *footer)
{
    WEIR_ASSERT(merge->writing);
    for (uint32_t i = 0; i < series && !merge->finishing; i++) {
        struct feed *feed = least(merge);
        enum weir_err err = feed == NULL ? WEIR_END : pass(merge, feed);
        if (err == WEIR_CORRUPT && !merge->lost_known)
            err = start_with_lost(merge);
        merge->finishing = err == WEIR_END;
        if (err != WEIR_OK && err != WEIR_END)
            return err;
    }
    if (!merge->finishing)
        return WEIR_AGAIN;
    enum weir_err err = weir_index_writer_finish(merge->options.writer, series, footer);
    merge->writing = err == WEIR_AGAIN;
    return err;
}

void
weir_index_merge_end(struct weir_index_merge *merge)
{
    if (merge->writing)
        weir_index_writer_abort(merge->options.writer);
    weir_names_walk_end(merge->options.reader, &merge->walk);
    weir_segment_release(merge->options.reader, &merge->seen);
    for (size_t i = 0; merge->feeds != NULL && i < merge->feed_count; i++)
        free(merge->feeds[i].members);
    free(merge->feeds);
    free(merge);
}
