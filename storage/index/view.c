#include "storage/index/view.h"

#include "storage/index/segment_match.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/random.h>

struct weir_index {
    struct weir_index_cache *cache;
    struct weir_hash_key key; /* of this process */
    pthread_mutex_t lock;
    struct weir_index_view *published;
    struct weir_shared_segment *retired; /* to be closed by the writer, who has an io */
};

/* --- views --- */

static struct weir_index_view *
view_new(struct weir_index *index, size_t segments, size_t deltas)
{
    struct weir_index_view *view = calloc(1, sizeof *view);
    if (view == NULL)
        return NULL;
    view->segments = calloc(segments + 1, sizeof *view->segments);
    view->deltas = calloc(deltas + 1, sizeof *view->deltas);
    if (view->segments == NULL || view->deltas == NULL) {
        free(view->segments);
        free(view->deltas);
        free(view);
        return NULL;
    }
    view->index = index;
    view->users = 1;
    return view;
}

/* Ends a use, under the lock. After the last one, the view keeps what nothing else has, for
 * view_free after the lock; true then. */
static bool
view_unuse(struct weir_index_view *view)
{
    if (--view->users != 0)
        return false;
    struct weir_index *index = view->index;
    for (size_t i = 0; i < view->segment_count; i++) {
        struct weir_shared_segment *shared = view->segments[i];
        if (--shared->views == 0) {
            shared->retired = index->retired;
            index->retired = shared;
        }
    }
    for (size_t i = 0; i < view->delta_count; i++)
        if (--view->deltas[i]->views != 0)
            view->deltas[i] = NULL;
    return true;
}

static void
view_free(struct weir_index_view *view)
{
    for (size_t i = 0; i < view->delta_count; i++) {
        if (view->deltas[i] == NULL)
            continue;
        weir_delta_free(view->deltas[i]->delta);
        free(view->deltas[i]);
    }
    free(view->segments);
    free(view->deltas);
    free(view);
}

struct weir_index_view *
weir_index_view_open(struct weir_index *index)
{
    pthread_mutex_lock(&index->lock);
    struct weir_index_view *view = index->published;
    view->users++;
    pthread_mutex_unlock(&index->lock);
    return view;
}

void
weir_index_view_close(struct weir_index_view *view)
{
    struct weir_index *index = view->index;
    pthread_mutex_lock(&index->lock);
    bool last = view_unuse(view);
    pthread_mutex_unlock(&index->lock);
    if (last)
        view_free(view);
}

/* Puts the next view in the place of the published one. */
static void
publish(struct weir_index *index, struct weir_index_view *view)
{
    struct weir_index_view *old = index->published;
    pthread_mutex_lock(&index->lock);
    for (size_t i = 0; i < view->segment_count; i++)
        view->segments[i]->views++;
    for (size_t i = 0; i < view->delta_count; i++)
        view->deltas[i]->views++;
    index->published = view;
    bool last = old != NULL && view_unuse(old);
    pthread_mutex_unlock(&index->lock);
    if (last)
        view_free(old);
}

static void
close_retired(struct weir_index *index, struct weir_io *io)
{
    pthread_mutex_lock(&index->lock);
    struct weir_shared_segment *retired = index->retired;
    index->retired = NULL;
    pthread_mutex_unlock(&index->lock);
    for (struct weir_shared_segment *next; retired != NULL; retired = next) {
        next = retired->retired;
        weir_segment_close(retired->segment, io);
        free(retired);
    }
}

/* --- the set --- */

enum weir_err
weir_index_new(size_t cache_bytes, struct weir_index **out)
{
    struct weir_index *index = aligned_alloc(alignof(struct weir_index),
        (sizeof *index + 63) & ~(size_t)63);
    if (index == NULL)
        return weir_fail(WEIR_NOMEM, 0, "label index");
    memset(index, 0, sizeof *index);
    uint8_t seed[WEIR_HASH_SEED_BYTES];
    enum weir_err err = WEIR_OK;
    if (getrandom(seed, sizeof seed, 0) != sizeof seed)
        err = weir_fail(WEIR_IO, errno, "getrandom");
    if (err == WEIR_OK)
        err = weir_index_cache_new(cache_bytes, &index->cache);
    struct weir_index_view *view = err == WEIR_OK ? view_new(index, 0, 0) : NULL;
    if (view == NULL) {
        weir_index_cache_free(index->cache);
        free(index);
        return err != WEIR_OK ? err : weir_fail(WEIR_NOMEM, 0, "label index");
    }
    weir_hash_key_init(&index->key, seed);
    pthread_mutex_init(&index->lock, NULL);
    publish(index, view);
    *out = index;
    return WEIR_OK;
}

void
weir_index_free(struct weir_index *index, struct weir_io *io)
{
    if (index == NULL)
        return;
    weir_index_view_close(index->published);
    close_retired(index, io);
    weir_index_cache_free(index->cache);
    pthread_mutex_destroy(&index->lock);
    free(index);
}

/* Has the shard's segment all series of the delta's range that the delta has or can have? */
static bool
is_covered(const struct weir_index_view *view, const struct weir_delta *delta)
{
    uint64_t first = weir_delta_first_number(delta);
    const struct weir_segment *segment = weir_view_segment(view, first >> WEIR_SHARD_BITS);
    return segment != NULL &&
           segment->first_number + segment->footer.through >= first + WEIR_DELTA_SERIES;
}

enum weir_err
weir_index_open_segment(struct weir_index *index, struct weir_io *io, const char *path)
{
    const struct weir_index_view *old = index->published;
    struct weir_shared_segment *shared = calloc(1, sizeof *shared);
    struct weir_index_view *view = view_new(index, old->segment_count + 1, old->delta_count);
    enum weir_err err = shared == NULL || view == NULL
                            ? weir_fail(WEIR_NOMEM, 0, "index segment %s", path)
                            : weir_segment_open(io, path, &shared->segment);
    if (err != WEIR_OK) {
        if (view != NULL)
            view_free(view); /* it holds none yet */
        free(shared);
        return err;
    }
    uint32_t shard = shared->segment->footer.shard;
    size_t from = 0;
    while (from < old->segment_count && old->segments[from]->segment->footer.shard < shard)
        view->segments[view->segment_count++] = old->segments[from++];
    view->segments[view->segment_count++] = shared;
    for (; from < old->segment_count; from++)
        if (old->segments[from]->segment->footer.shard != shard)
            view->segments[view->segment_count++] = old->segments[from];
    for (size_t i = 0; i < old->delta_count; i++)
        if (!is_covered(view, old->deltas[i]->delta))
            view->deltas[view->delta_count++] = old->deltas[i];
    publish(index, view);
    close_retired(index, io);
    return WEIR_OK;
}

/* Publishes one more delta, for the range of a number. */
static enum weir_err
add_delta(struct weir_index *index, uint64_t number, struct weir_delta **out)
{
    const struct weir_index_view *old = index->published;
    struct weir_shared_delta *shared = calloc(1, sizeof *shared);
    struct weir_index_view *view = view_new(index, old->segment_count, old->delta_count + 1);
    enum weir_err err = WEIR_NOMEM;
    if (shared != NULL && view != NULL)
        err = weir_delta_new(&index->key, number / WEIR_DELTA_SERIES * WEIR_DELTA_SERIES,
            &shared->delta);
    if (err != WEIR_OK) {
        if (view != NULL)
            view_free(view); /* it holds none yet */
        free(shared);
        return weir_fail(WEIR_NOMEM, 0, "a delta of the label index");
    }
    memcpy(view->segments, old->segments, old->segment_count * sizeof *view->segments);
    memcpy(view->deltas, old->deltas, old->delta_count * sizeof *view->deltas);
    view->segment_count = old->segment_count;
    view->deltas[old->delta_count] = shared;
    view->delta_count = old->delta_count + 1;
    *out = shared->delta;
    publish(index, view);
    return WEIR_OK;
}

enum weir_err
weir_index_add(struct weir_index *index, const struct weir_index_series *series)
{
    const struct weir_index_view *view = index->published;
    struct weir_delta *delta =
        view->delta_count == 0 ? NULL : view->deltas[view->delta_count - 1]->delta;
    uint64_t first = delta == NULL ? 0 : weir_delta_first_number(delta);
    if (delta != NULL) {
        uint64_t next = first + weir_delta_span(delta).until;
        if (series->number < next || (series->number > next && series->number - first <
                WEIR_DELTA_SERIES && weir_delta_span(delta).until != 0))
            return weir_fail(WEIR_INVALID, 0, "series %llu follows %llu",
                (unsigned long long)series->number, (unsigned long long)next);
    }
    if (delta == NULL || series->number - first >= WEIR_DELTA_SERIES) {
        enum weir_err err = add_delta(index, series->number, &delta);
        if (err != WEIR_OK)
            return err;
    }
    return weir_delta_add(delta, series);
}

uint64_t
weir_index_delta_count(struct weir_index *index)
{
    struct weir_index_view *view = weir_index_view_open(index);
    uint64_t count = 0;
    for (size_t i = 0; i < weir_view_source_count(view); i++) {
        struct weir_index_source source = weir_view_source(view, i);
        count += source.delta == NULL ? 0 : source.span.until - source.span.from;
    }
    weir_index_view_close(view);
    return count;
}

/* --- sources --- */

const struct weir_segment *
weir_view_segment(const struct weir_index_view *view, uint64_t shard)
{
    size_t low = 0, high = view->segment_count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        const struct weir_segment *segment = view->segments[middle]->segment;
        if (segment->footer.shard == shard)
            return segment;
        if (segment->footer.shard < shard)
            low = middle + 1;
        else
            high = middle;
    }
    return NULL;
}

size_t
weir_view_source_count(const struct weir_index_view *view)
{
    return view->segment_count + view->delta_count;
}

struct weir_index_source
weir_view_source(const struct weir_index_view *view, size_t index)
{
    if (index < view->segment_count)
        return (struct weir_index_source){.segment = view->segments[index]->segment};
    const struct weir_delta *delta = view->deltas[index - view->segment_count]->delta;
    uint64_t first = weir_delta_first_number(delta);
    const struct weir_segment *segment = weir_view_segment(view, first >> WEIR_SHARD_BITS);
    struct weir_delta_span span = weir_delta_span(delta);
    uint64_t through = segment == NULL ? 0 : segment->first_number + segment->footer.through;
    if (through > first + span.from)
        span.from = through - first < span.until ? (uint32_t)(through - first) : span.until;
    return (struct weir_index_source){.delta = delta, .span = span};
}

enum weir_err
weir_source_match(struct weir_index_reader *reader, const struct weir_index_source *source,
    const struct weir_index_matchers *matchers, struct weir_index_range range, uint32_t *bound)
{
    static const struct weir_index_matchers none = {0};
    matchers = matchers == NULL ? &none : matchers;
    enum weir_err err = weir_reader_check(reader);
    if (err != WEIR_OK)
        return err;
    if (source->segment != NULL) {
        *bound = source->segment->footer.series;
        return weir_segment_match(reader, source->segment, matchers, range, &reader->sets[0]);
    }
    *bound = source->span.until;
    return weir_delta_match(source->delta, source->span, matchers, range, reader->sets);
}

uint64_t
weir_index_view_count(const struct weir_index_view *view)
{
    uint64_t count = 0;
    for (size_t i = 0; i < weir_view_source_count(view); i++) {
        struct weir_index_source source = weir_view_source(view, i);
        count += source.segment != NULL ? source.segment->footer.series
                                        : source.span.until - source.span.from;
    }
    return count;
}

/* --- readers --- */

enum weir_err
weir_index_reader_new(struct weir_index *index, const struct weir_index_reader_options *options,
    struct weir_index_reader **out)
{
    size_t size = (sizeof(struct weir_index_reader) + 63) & ~(size_t)63;
    struct weir_index_reader *reader = aligned_alloc(64,
        (size + weir_index_unpacker_footprint() + 63) & ~(size_t)63);
    if (reader == NULL)
        return weir_fail(WEIR_NOMEM, 0, "a reader of the label index");
    memset(reader, 0, sizeof *reader);
    reader->cache = index->cache;
    reader->key = &index->key;
    reader->options = *options;
    reader->unpacker = weir_index_unpacker_init((uint8_t *)reader + size);
    *out = reader;
    return WEIR_OK;
}

void
weir_index_reader_free(struct weir_index_reader *reader)
{
    free(reader);
}

void
weir_index_reader_set_check(struct weir_index_reader *reader, weir_index_check_fn *check,
    void *context)
{
    reader->options.check = check;
    reader->options.context = context;
}

const struct weir_index_counts *
weir_index_reader_counts(const struct weir_index_reader *reader)
{
    return &reader->counts;
}
