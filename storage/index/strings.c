/* Label names and values: a sorted stream of each segment and delta, merged. */
#include "storage/index/segment_terms.h"
#include "storage/index/view.h"

#include <stdlib.h>

/* The strings of one source. */
struct stream {
    struct weir_index_source source;
    struct weir_ordinals *set; /* series that are asked; NULL: all */
    uint32_t bound;            /* above the members of the set */
    const uint8_t *text;       /* the current one */
    size_t size;
    struct weir_terms_walk *walk; /* of a segment */
    struct weir_postings_walk postings;
    size_t key_prefix;         /* bytes of a key before its text */
    size_t begin_size;         /* bytes that all its keys begin with */
    uint8_t begin[WEIR_TERM_KEY_MAX];
    struct weir_label *labels; /* of a delta: sorted; the text is the name or the value */
    size_t label_count;
    size_t next;
};

struct listing {
    struct weir_index_reader *reader;
    const struct weir_index_strings *wanted;
    size_t prefix_size;
    struct stream *streams;
    size_t stream_count;
    struct stream **heap; /* the least text first */
    size_t heap_count;
};

static bool
begins(const uint8_t *text, size_t size, const uint8_t *prefix, size_t prefix_size)
{
    return size >= prefix_size && memcmp(text, prefix, prefix_size) == 0;
}

/* Moves a segment's stream on, from its current term, to the first one that the set meets. Damage
 * is counted and passed over. WEIR_END. */
static enum weir_err
find_term(struct listing *listing, struct stream *stream, enum weir_err err)
{
    struct weir_terms_walk *walk = stream->walk;
    for (;; err = weir_terms_walk_next(walk)) {
        bool met = true;
        if (err != WEIR_OK)
            return err == WEIR_CORRUPT ? WEIR_END : err;
        const struct weir_term *term = &walk->term;
        if (!begins(term->key, term->key_size, stream->begin, stream->begin_size))
            return WEIR_END;
        if (walk->rank % 1024 == 0)
            err = weir_reader_check(listing->reader);
        if (err == WEIR_OK && stream->set != NULL)
            err = weir_postings_walk_meets(&stream->postings, &term->postings, stream->set, &met);
        if (err == WEIR_CORRUPT)
            continue; /* its series are not known: the string may be of another source too */
        if (err != WEIR_OK)
            return err;
        if (met) {
            stream->text = term->key + stream->key_prefix;
            stream->size = term->key_size - stream->key_prefix;
            return WEIR_OK;
        }
    }
}

static enum weir_err
begin_segment(struct listing *listing, struct stream *stream)
{
    const struct weir_segment *segment = stream->source.segment;
    const struct weir_index_strings *wanted = listing->wanted;
    enum weir_index_section section = WEIR_INDEX_LABELS;
    stream->walk = calloc(1, sizeof *stream->walk);
    if (stream->walk == NULL)
        return weir_fail(WEIR_NOMEM, 0, "names of a segment");
    weir_postings_walk_begin(&stream->postings, listing->reader, segment);
    if (wanted->name != NULL) {
        struct weir_segment_label label;
        enum weir_err err = weir_segment_find_label(listing->reader, segment, wanted->name,
            strlen(wanted->name), &label);
        if (err != WEIR_OK)
            return err == WEIR_NOT_FOUND || err == WEIR_CORRUPT ? WEIR_END : err;
        (void)weir_term_key(label.rank, "", 0, &listing->reader->term);
        memcpy(stream->begin, listing->reader->term.key, WEIR_TERM_RANK_BYTES);
        stream->key_prefix = WEIR_TERM_RANK_BYTES;
        section = WEIR_INDEX_TERMS;
    }
    memcpy(stream->begin + stream->key_prefix, wanted->prefix, listing->prefix_size);
    stream->begin_size = stream->key_prefix + listing->prefix_size;
    return find_term(listing, stream, weir_terms_walk_begin(stream->walk, listing->reader,
                              segment, section, stream->begin, stream->begin_size));
}

static int
by_text(const void *a, const void *b)
{
    const struct weir_label *one = a, *other = b;
    return weir_index_compare(one->value, one->value_size, other->value, other->value_size);
}

static enum weir_err
next_label(struct stream *stream)
{
    if (stream->next == stream->label_count)
        return WEIR_END;
    stream->text = stream->labels[stream->next].value;
    stream->size = stream->labels[stream->next++].value_size;
    return WEIR_OK;
}

/* Has a series of the set the term: a value itself, a name by one of its values? */
static bool
meets(const struct stream *stream, const struct weir_delta_term *term, bool is_name)
{
    uint32_t until = stream->bound;
    if (!is_name)
        return weir_delta_term_meets(term, until, stream->set);
    for (term = weir_delta_first_value(term); term != NULL; term = weir_delta_next_value(term))
        if (weir_delta_term_meets(term, until, stream->set))
            return true;
    return false;
}

/* Gathers what a delta has, as values of labels, and sorts it. */
static enum weir_err
begin_delta(struct listing *listing, struct stream *stream)
{
    const struct weir_index_strings *wanted = listing->wanted;
    const struct weir_delta *delta = stream->source.delta;
    bool names = wanted->name == NULL;
    const struct weir_delta_term *first =
        names ? weir_delta_first_name(delta)
              : weir_delta_find(delta, wanted->name, strlen(wanted->name), "", 0);
    if (!names && first != NULL)
        first = weir_delta_first_value(first);
    size_t capacity = 0;
    for (const struct weir_delta_term *term = first; term != NULL;
         term = names ? weir_delta_next_name(term) : weir_delta_next_value(term)) {
        struct weir_label label;
        weir_delta_term_label(term, &label);
        if (names)
            label = (struct weir_label){.value = label.name, .value_size = label.name_size};
        if (!begins(label.value, label.value_size, (const uint8_t *)wanted->prefix,
                listing->prefix_size) || !meets(stream, term, names))
            continue;
        if (stream->label_count == capacity) {
            capacity = capacity * 2 + 16;
            struct weir_label *grown = realloc(stream->labels, capacity * sizeof *grown);
            if (grown == NULL)
                return weir_fail(WEIR_NOMEM, 0, "names of a delta");
            stream->labels = grown;
        }
        stream->labels[stream->label_count++] = label;
    }
    if (stream->label_count != 0)
        qsort(stream->labels, stream->label_count, sizeof *stream->labels, by_text);
    return next_label(stream);
}

static enum weir_err
next_text(struct listing *listing, struct stream *stream)
{
    if (stream->source.delta != NULL)
        return next_label(stream);
    return find_term(listing, stream, weir_terms_walk_next(stream->walk));
}

static bool
is_before(const struct stream *a, const struct stream *b)
{
    return weir_index_compare(a->text, a->size, b->text, b->size) < 0;
}

static void
sift_down(struct listing *listing, size_t at)
{
    for (;;) {
        size_t least = at;
        for (size_t child = 2 * at + 1; child <= 2 * at + 2; child++)
            if (child < listing->heap_count &&
                is_before(listing->heap[child], listing->heap[least]))
                least = child;
        if (least == at)
            return;
        struct stream *swap = listing->heap[at];
        listing->heap[at] = listing->heap[least];
        listing->heap[least] = swap;
        at = least;
    }
}

/* Which series of the source are asked: a set, or all. WEIR_END: none. */
static enum weir_err
make_set(struct listing *listing, struct stream *stream)
{
    const struct weir_index_strings *wanted = listing->wanted;
    struct weir_index_reader *reader = listing->reader;
    enum weir_err err = weir_source_match(reader, &stream->source, wanted->matchers,
        wanted->range, &stream->bound);
    if (err != WEIR_OK)
        return err;
    uint32_t count = weir_ordinals_count(&reader->sets[0], stream->bound);
    if (count == 0)
        return WEIR_END;
    /* a delta's terms may be of series past its span */
    if (stream->source.segment != NULL && count == stream->bound)
        return WEIR_OK;
    size_t size = weir_ordinals_words(stream->bound) * sizeof(uint64_t);
    stream->set = malloc(size);
    if (stream->set == NULL)
        return weir_fail(WEIR_NOMEM, 0, "series of a listing");
    memcpy(stream->set, &reader->sets[0], size);
    return WEIR_OK;
}

static enum weir_err
start(struct listing *listing, struct weir_index_view *view)
{
    for (size_t i = 0; i < listing->stream_count; i++) {
        struct stream *stream = &listing->streams[i];
        stream->source = weir_view_source(view, i);
        enum weir_err err = make_set(listing, stream);
        if (err == WEIR_OK)
            err = stream->source.segment != NULL ? begin_segment(listing, stream)
                                                 : begin_delta(listing, stream);
        if (err == WEIR_OK)
            listing->heap[listing->heap_count++] = stream;
        else if (err != WEIR_END)
            return err;
    }
    for (size_t i = listing->heap_count / 2; i-- > 0;)
        sift_down(listing, i);
    return WEIR_OK;
}

static enum weir_err
list(struct listing *listing, weir_index_string_fn *call, void *context)
{
    uint8_t *last = listing->reader->labels;
    size_t last_size = SIZE_MAX;
    uint64_t count = 0;
    while (listing->heap_count != 0) {
        struct stream *stream = listing->heap[0];
        if (stream->size != last_size || memcmp(stream->text, last, last_size) != 0) {
            if (listing->wanted->limit != 0 && count++ == listing->wanted->limit)
                return WEIR_OK;
            memcpy(last, stream->text, stream->size);
            last_size = stream->size;
            enum weir_err err = call(context, (const char *)last, last_size);
            if (err != WEIR_OK)
                return err;
        }
        enum weir_err err = next_text(listing, stream);
        if (err == WEIR_END)
            listing->heap[0] = listing->heap[--listing->heap_count];
        else if (err != WEIR_OK)
            return err;
        sift_down(listing, 0);
    }
    return WEIR_OK;
}

static void
end(struct listing *listing)
{
    for (size_t i = 0; listing->streams != NULL && i < listing->stream_count; i++) {
        struct stream *stream = &listing->streams[i];
        if (stream->walk != NULL) {
            weir_terms_walk_end(stream->walk);
            weir_postings_walk_end(&stream->postings);
        }
        free(stream->walk);
        free(stream->labels);
        free(stream->set);
    }
    free(listing->streams);
    free(listing->heap);
}

enum weir_err
weir_index_strings(struct weir_index_reader *reader, struct weir_index_view *view,
    const struct weir_index_strings *wanted, weir_index_string_fn *call, void *context)
{
    size_t count = weir_view_source_count(view);
    struct listing listing = {.reader = reader,
        .wanted = wanted,
        .prefix_size = strlen(wanted->prefix),
        .stream_count = count,
        .streams = calloc(count + 1, sizeof *listing.streams),
        .heap = malloc((count + 1) * sizeof(struct stream *))};
    enum weir_err err = WEIR_OK;
    if (listing.streams == NULL || listing.heap == NULL)
        err = weir_fail(WEIR_NOMEM, 0, "a listing of labels");
    if (err == WEIR_OK && listing.prefix_size <= WEIR_LABELS_BYTES_MAX)
        err = start(&listing, view);
    if (err == WEIR_OK)
        err = list(&listing, call, context);
    end(&listing);
    return err;
}
