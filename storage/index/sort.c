/* Merges the runs of a selection into one (metric, labels) order. */
#include "storage/index/view.h"

#include <stdlib.h>

/* The next member of a run. */
struct head {
    uint32_t run;
    uint32_t member;
    struct weir_names_walk *walk;
    uint8_t *bytes; /* a copy of its labels */
    size_t size;
};

struct merge {
    struct weir_index_reader *reader;
    struct weir_index_selection *selection;
    struct head *heads;
    uint32_t *heap; /* heads, the least labels first */
    size_t heap_count;
    uint8_t *last; /* labels of the place before */
    size_t last_size;
};

/* Loads the labels of a run's next member. Lost ones stand where the member before them stood. */
static enum weir_err
load(struct merge *merge, struct head *head)
{
    const struct weir_selection_run *run = &merge->selection->runs[head->run];
    const uint8_t *bytes;
    size_t size = head->size;
    uint32_t member = run->members[head->member];
    enum weir_err err = weir_source_names(
        merge->reader, &run->source, head->walk, member, &bytes, &head->size);
    if (err == WEIR_CORRUPT) {
        head->size = size;
        merge->reader->counts.series_lost++;
        return WEIR_OK;
    }
    if (err == WEIR_OK)
        memcpy(head->bytes, bytes, head->size);
    return err;
}

static bool
is_before(const struct merge *merge, uint32_t a, uint32_t b)
{
    const struct head *one = &merge->heads[a], *other = &merge->heads[b];
    int order = weir_names_compare(one->bytes, one->size, other->bytes, other->size);
    return order != 0 ? order < 0 : a < b;
}

static void
sift_down(struct merge *merge, size_t at)
{
    for (;;) {
        size_t least = at;
        for (size_t child = 2 * at + 1; child <= 2 * at + 2; child++)
            if (child < merge->heap_count &&
                is_before(merge, merge->heap[child], merge->heap[least]))
                least = child;
        if (least == at)
            return;
        uint32_t swap = merge->heap[at];
        merge->heap[at] = merge->heap[least];
        merge->heap[least] = swap;
        at = least;
    }
}

static enum weir_err
start(struct merge *merge)
{
    for (uint32_t i = 0; i < merge->selection->run_count; i++) {
        struct head *head = &merge->heads[i];
        head->run = i;
        head->bytes = malloc(WEIR_NAMES_LIST_MAX);
        head->walk = calloc(1, sizeof *head->walk);
        if (head->bytes == NULL || head->walk == NULL)
            return weir_fail(WEIR_NOMEM, 0, "order of a selection");
        head->size = 0;
        enum weir_err err = load(merge, head);
        if (err != WEIR_OK)
            return err;
        merge->heap[merge->heap_count++] = i;
    }
    for (size_t i = merge->heap_count / 2; i-- > 0;)
        sift_down(merge, i);
    return WEIR_OK;
}

static enum weir_err
run(struct merge *merge, struct weir_selection_item *items, bool *aliases)
{
    for (uint64_t place = 0; merge->heap_count != 0; place++) {
        struct head *head = &merge->heads[merge->heap[0]];
        items[place] = (struct weir_selection_item){head->run, head->member};
        aliases[place] = head->size == merge->last_size && head->size != 0 &&
                       memcmp(head->bytes, merge->last, head->size) == 0;
        memcpy(merge->last, head->bytes, head->size);
        merge->last_size = head->size;
        enum weir_err err = WEIR_OK;
        if (++head->member == merge->selection->runs[head->run].count)
            merge->heap[0] = merge->heap[--merge->heap_count];
        else
            err = load(merge, head);
        if (err == WEIR_OK && place % 1024 == 0)
            err = weir_reader_check(merge->reader);
        if (err != WEIR_OK)
            return err;
        sift_down(merge, 0);
    }
    return WEIR_OK;
}

static void
end(struct merge *merge)
{
    for (size_t i = 0; merge->heads != NULL && i < merge->selection->run_count; i++) {
        if (merge->heads[i].walk != NULL)
            weir_names_walk_end(merge->reader, merge->heads[i].walk);
        free(merge->heads[i].walk);
        free(merge->heads[i].bytes);
    }
    free(merge->heads);
    free(merge->heap);
    free(merge->last);
}

/* The flags of a series; block is the one of the last call, or nothing is pinned. */
static enum weir_err
series_flags(struct weir_index_reader *reader, const struct weir_segment *segment,
    struct weir_index_block *block, uint32_t ordinal, uint8_t *flags)
{
    if (block->slot != NULL && (ordinal < block->first || ordinal > block->last))
        weir_segment_release(reader, block);
    enum weir_err err = WEIR_OK;
    if (block->slot == NULL)
        err = weir_segment_leaf(reader, segment, WEIR_INDEX_SEEN, ordinal, block);
    *flags = err == WEIR_OK ? block->raw[block->count + ordinal - block->first] : 0;
    return err == WEIR_CORRUPT ? WEIR_OK : err;
}

/* Aliases of a selection whose series are all of one segment: its flags say which they are. Those
 * between two members may have been left out for their days. */
static enum weir_err
mark_aliases(struct weir_index_reader *reader, const struct weir_selection_run *run, bool *aliases)
{
    struct weir_index_block block = {0};
    enum weir_err err = WEIR_OK;
    for (uint32_t i = 1; i < run->count && err == WEIR_OK; i++) {
        uint32_t at = run->members[i];
        uint8_t flags = WEIR_INDEX_ALIAS;
        while (err == WEIR_OK && at > run->members[i - 1] && (flags & WEIR_INDEX_ALIAS) != 0)
            err = series_flags(reader, run->source.segment, &block, at--, &flags);
        aliases[i] = (flags & WEIR_INDEX_ALIAS) != 0;
    }
    weir_segment_release(reader, &block);
    return err;
}

static enum weir_err
merge_runs(struct weir_index_reader *reader, struct weir_index_selection *selection,
    struct weir_selection_item *items, bool *aliases)
{
    struct merge merge = {.reader = reader,
        .selection = selection,
        .heads = calloc(selection->run_count, sizeof *merge.heads),
        .heap = malloc(selection->run_count * sizeof *merge.heap),
        .last = malloc(WEIR_NAMES_LIST_MAX)};
    enum weir_err err = WEIR_OK;
    if (merge.heads == NULL || merge.heap == NULL || merge.last == NULL)
        err = weir_fail(WEIR_NOMEM, 0, "order of a selection");
    if (err == WEIR_OK)
        err = start(&merge);
    if (err == WEIR_OK)
        err = run(&merge, items, aliases);
    end(&merge);
    return err;
}

enum weir_err
weir_index_selection_sort(struct weir_index_reader *reader, struct weir_index_selection *selection)
{
    const struct weir_selection_run *only = selection->runs;
    if (selection->items != NULL || selection->aliases != NULL || selection->count == 0)
        return WEIR_OK;
    bool one = selection->run_count == 1 && only->source.segment != NULL;
    if (one && only->source.segment->footer.aliases == 0)
        return WEIR_OK;
    struct weir_selection_item *items =
        one ? NULL : malloc(selection->count * sizeof *items);
    bool *aliases = calloc(selection->count, sizeof *aliases);
    enum weir_err err = WEIR_OK;
    if (aliases == NULL || (!one && items == NULL))
        err = weir_fail(WEIR_NOMEM, 0, "order of a selection");
    else
        err = one ? mark_aliases(reader, only, aliases)
                  : merge_runs(reader, selection, items, aliases);
    if (err != WEIR_OK) {
        free(items);
        free(aliases);
        return err;
    }
    selection->items = items;
    selection->aliases = aliases;
    return WEIR_OK;
}
