#include "storage/index/inverter.h"

#include "base/hash.h"
#include "storage/index/inverter_run.h"

#include "storage/index/bytes.h"

#include <stdio.h>

#define NONE UINT32_MAX
#define PLACES (WEIR_LABELS_COUNT_MAX + 1)
#define TERM_ALIGN 4

/* A term in memory; name and value follow. */
struct term {
    uint64_t hash;
    uint32_t count;
    uint32_t last; /* node of its greatest ordinal */
    uint16_t name_size;
    uint16_t value_size;
    uint8_t text[];
} __attribute__((packed, aligned(TERM_ALIGN)));

/* An ordinal of a term, and the one before. */
struct node {
    uint32_t ordinal;
    uint32_t before;
};

/*  memory | struct | slots | terms -->            room            <-- nodes |
 *  A term claims 8 bytes more of the room: references to it, twice, are sorted there. */
struct weir_inverter {
    struct weir_hash_key key;
    struct weir_file_writer scratch;
    char path[PATH_MAX];
    struct weir_io *io;
    uint32_t *slots; /* offset of a term, in TERM_ALIGN bytes, or NONE */
    uint32_t slot_count;
    uint8_t *area; /* of terms and nodes */
    size_t area_size;
    size_t terms_size;
    uint32_t terms;
    uint32_t nodes; /* from the area's end downwards */
    uint32_t last[PLACES]; /* term at each place of the last series, or NONE */
    uint32_t *sorted; /* once sealed, without runs: the terms in order */
    uint32_t next;
    uint32_t runs;
    uint64_t run_ends[WEIR_INVERTER_RUNS_MAX];
    struct weir_run_reader readers[WEIR_INVERTER_RUNS_MAX];
    uint8_t (*labels)[WEIR_LABELS_BYTES_MAX]; /* of each reader's term */
    uint32_t heap[WEIR_INVERTER_RUNS_MAX];    /* readers, the least term first */
    uint32_t heap_count;
    uint8_t label[WEIR_LABELS_BYTES_MAX]; /* given to the caller */
    struct weir_ordinal_list ordinals;    /* of a term on its way to a run */
};

static struct term *
term_at(const struct weir_inverter *inverter, uint32_t offset)
{
    return (struct term *)(inverter->area + (size_t)offset * TERM_ALIGN);
}

static struct node *
node_at(const struct weir_inverter *inverter, uint32_t node)
{
    return (struct node *)(inverter->area + inverter->area_size) - node - 1;
}

static void
forget(struct weir_inverter *inverter)
{
    memset(inverter->slots, 0xff, inverter->slot_count * sizeof *inverter->slots);
    memset(inverter->last, 0xff, sizeof inverter->last);
    inverter->terms_size = 0;
    inverter->terms = inverter->nodes = 0;
}

struct weir_inverter *
weir_inverter_init(void *memory, size_t size, struct weir_io *io, uint64_t seed)
{
    WEIR_ASSERT(size >= WEIR_INVERTER_MEMORY_MIN);
    struct weir_inverter *inverter = memory;
    uint8_t seed_bytes[WEIR_HASH_SEED_BYTES] = {0};
    memset(inverter, 0, sizeof *inverter);
    memcpy(seed_bytes, &seed, sizeof seed);
    weir_hash_key_init(&inverter->key, seed_bytes);
    inverter->io = io;
    inverter->scratch.file = -1;
    size_t head = (sizeof *inverter + 63) & ~(size_t)63;
    inverter->slots = (uint32_t *)((uint8_t *)memory + head);
    inverter->slot_count = 1;
    while (inverter->slot_count * 2 * sizeof *inverter->slots <= size / 8)
        inverter->slot_count *= 2;
    inverter->area = (uint8_t *)(inverter->slots + inverter->slot_count);
    inverter->area_size = (size - (size_t)(inverter->area - (uint8_t *)memory)) & ~(size_t)63;
    return inverter;
}

enum weir_err
weir_inverter_begin(struct weir_inverter *inverter, const char *path)
{
    int size = snprintf(inverter->path, sizeof inverter->path, "%s.scratch", path);
    if (size < 0 || (size_t)size >= sizeof inverter->path)
        return weir_fail(WEIR_INVALID, 0, "a path of more than %d bytes", PATH_MAX);
    inverter->runs = inverter->heap_count = inverter->next = 0;
    inverter->sorted = NULL;
    forget(inverter);
    return WEIR_OK;
}

static int
compare_labels(const struct weir_label *a, const struct weir_label *b)
{
    int order = weir_index_compare(a->name, a->name_size, b->name, b->name_size);
    return order != 0 ? order
                      : weir_index_compare(a->value, a->value_size, b->value, b->value_size);
}

static struct weir_label
term_label(const struct term *term)
{
    return (struct weir_label){term->text, term->text + term->name_size, term->name_size,
        term->value_size};
}

static int
compare_terms(const struct weir_inverter *inverter, uint32_t a, uint32_t b)
{
    struct weir_label one = term_label(term_at(inverter, a));
    struct weir_label other = term_label(term_at(inverter, b));
    return compare_labels(&one, &other);
}

/* Merge sort: what senders chose cannot make it slow. from and to are as large; the result is in
 * one of them. */
static uint32_t *
sort_terms(const struct weir_inverter *inverter, uint32_t *from, uint32_t *to, size_t count)
{
    for (size_t width = 1; width < count; width *= 2) {
        for (size_t low = 0; low < count; low += 2 * width) {
            size_t middle = low + width < count ? low + width : count;
            size_t high = low + 2 * width < count ? low + 2 * width : count;
            size_t a = low, b = middle;
            for (size_t at = low; at < high; at++) {
                bool first = a < middle &&
                    (b == high || compare_terms(inverter, from[a], from[b]) <= 0);
                to[at] = first ? from[a++] : from[b++];
            }
        }
        uint32_t *swap = from;
        from = to;
        to = swap;
    }
    return from;
}

/* References to all terms, in order. */
static uint32_t *
sorted_terms(struct weir_inverter *inverter)
{
    uint32_t *from = (uint32_t *)(inverter->area + inverter->terms_size);
    uint32_t count = 0;
    for (size_t at = 0; at < inverter->terms_size;) {
        from[count++] = (uint32_t)(at / TERM_ALIGN);
        const struct term *term = (const struct term *)(inverter->area + at);
        at += (sizeof *term + term->name_size + term->value_size + TERM_ALIGN - 1) /
              TERM_ALIGN * TERM_ALIGN;
    }
    WEIR_ASSERT(count == inverter->terms);
    return sort_terms(inverter, from, from + count, count);
}

static void
chain_ordinals(const struct weir_inverter *inverter, const struct term *term,
    struct weir_ordinal_list *out)
{
    uint32_t node = term->last;
    weir_ordinal_list_clear(out);
    out->count = term->count;
    out->large = term->count > WEIR_INDEX_GAPS_MAX;
    for (uint32_t i = term->count; i-- > 0; node = node_at(inverter, node)->before) {
        uint32_t ordinal = node_at(inverter, node)->ordinal;
        if (out->large)
            weir_ordinals_add(&out->set, ordinal);
        else
            out->list[i] = ordinal;
    }
}

/* Appends what memory holds to the scratch file. */
static enum weir_err
spill(struct weir_inverter *inverter)
{
    if (inverter->runs == WEIR_INVERTER_RUNS_MAX)
        return weir_fail(WEIR_LIMIT, 0, "labels need more than %d times the memory of an index "
                                        "writer", WEIR_INVERTER_RUNS_MAX);
    enum weir_err err = WEIR_OK;
    if (inverter->runs == 0)
        err = weir_file_writer_open(&inverter->scratch, inverter->io, inverter->path);
    uint32_t *sorted = sorted_terms(inverter);
    for (uint32_t i = 0; i < inverter->terms && err == WEIR_OK; i++) {
        const struct term *term = term_at(inverter, sorted[i]);
        struct weir_label label = term_label(term);
        chain_ordinals(inverter, term, &inverter->ordinals);
        err = weir_run_append(&inverter->scratch, &label, &inverter->ordinals);
    }
    if (err != WEIR_OK)
        return err;
    inverter->run_ends[inverter->runs++] = inverter->scratch.at;
    forget(inverter);
    return WEIR_OK;
}

static bool
has_room(const struct weir_inverter *inverter, size_t more)
{
    size_t used = inverter->terms_size + 8 * (size_t)(inverter->terms + 1) +
                  sizeof(struct node) * (inverter->nodes + 1) + more;
    return used <= inverter->area_size &&
           (inverter->terms + 1) < inverter->slot_count / 4 * 3;
}

static uint32_t
find_or_add(struct weir_inverter *inverter, const struct weir_label *label)
{
    uint64_t hash = weir_hash_join(
        weir_hash_part(&inverter->key, 0, label->name, label->name_size),
        weir_hash_part(&inverter->key, 1, label->value, label->value_size)).lo;
    uint32_t at = (uint32_t)hash & (inverter->slot_count - 1);
    for (; inverter->slots[at] != NONE; at = (at + 1) & (inverter->slot_count - 1)) {
        const struct term *term = term_at(inverter, inverter->slots[at]);
        if (term->hash != hash)
            continue;
        struct weir_label other = term_label(term);
        if (compare_labels(label, &other) == 0)
            return inverter->slots[at];
    }
    uint32_t offset = (uint32_t)(inverter->terms_size / TERM_ALIGN);
    struct term *term = term_at(inverter, offset);
    *term = (struct term){.hash = hash,
        .last = NONE,
        .name_size = label->name_size,
        .value_size = label->value_size};
    memcpy(term->text, label->name, label->name_size);
    memcpy(term->text + label->name_size, label->value, label->value_size);
    inverter->terms_size += (sizeof *term + label->name_size + label->value_size + TERM_ALIGN - 1) /
                            TERM_ALIGN * TERM_ALIGN;
    inverter->terms++;
    inverter->slots[at] = offset;
    return offset;
}

enum weir_err
weir_inverter_add(struct weir_inverter *inverter, uint32_t place, bool same,
    const struct weir_label *label, uint32_t ordinal)
{
    WEIR_ASSERT(place < PLACES);
    size_t more = sizeof(struct term) + (size_t)label->name_size + label->value_size + TERM_ALIGN;
    if (!has_room(inverter, more)) {
        enum weir_err err = spill(inverter);
        if (err != WEIR_OK)
            return err;
    }
    uint32_t offset = inverter->last[place];
    if (!same || offset == NONE)
        offset = inverter->last[place] = find_or_add(inverter, label);
    struct term *term = term_at(inverter, offset);
    *node_at(inverter, inverter->nodes) = (struct node){ordinal, term->last};
    term->last = inverter->nodes++;
    term->count++;
    return WEIR_OK;
}

static bool
before(const struct weir_inverter *inverter, uint32_t a, uint32_t b)
{
    int order = compare_labels(&inverter->readers[a].label, &inverter->readers[b].label);
    return order != 0 ? order < 0 : a < b;
}

static void
sift_down(struct weir_inverter *inverter, uint32_t at)
{
    for (;;) {
        uint32_t least = at;
        for (uint32_t child = 2 * at + 1; child <= 2 * at + 2; child++)
            if (child < inverter->heap_count &&
                before(inverter, inverter->heap[child], inverter->heap[least]))
                least = child;
        if (least == at)
            return;
        uint32_t swap = inverter->heap[at];
        inverter->heap[at] = inverter->heap[least];
        inverter->heap[least] = swap;
        at = least;
    }
}

/* Begins to read all runs; the memory of terms becomes their buffers. */
static enum weir_err
open_runs(struct weir_inverter *inverter)
{
    size_t each = inverter->area_size / inverter->runs & ~(size_t)63;
    WEIR_ASSERT(each >= WEIR_RUN_BUFFER_MIN + WEIR_LABELS_BYTES_MAX);
    inverter->labels = (uint8_t(*)[WEIR_LABELS_BYTES_MAX])inverter->area;
    for (uint32_t i = 0; i < inverter->runs; i++) {
        struct weir_run_reader *run = &inverter->readers[i];
        *run = (struct weir_run_reader){.io = inverter->io,
            .file = inverter->scratch.file,
            .at = i == 0 ? 0 : inverter->run_ends[i - 1],
            .end = inverter->run_ends[i],
            .buffer = inverter->area + inverter->runs * sizeof *inverter->labels +
                      i * (each - sizeof *inverter->labels),
            .capacity = each - sizeof *inverter->labels};
        enum weir_err err = weir_run_next(run, inverter->labels[i]);
        if (err != WEIR_OK)
            return err;
        inverter->heap[i] = i;
    }
    inverter->heap_count = inverter->runs;
    for (uint32_t i = inverter->runs / 2; i-- > 0;)
        sift_down(inverter, i);
    return WEIR_OK;
}

enum weir_err
weir_inverter_seal(struct weir_inverter *inverter)
{
    enum weir_err err = WEIR_OK;
    if (inverter->runs == 0) {
        inverter->sorted = sorted_terms(inverter);
        return WEIR_OK;
    }
    if (inverter->terms != 0)
        err = spill(inverter);
    if (err == WEIR_OK)
        err = weir_file_writer_drain(&inverter->scratch);
    return err == WEIR_OK ? open_runs(inverter) : err;
}

/* The least term, from every run that has it. */
static enum weir_err
next_of_runs(struct weir_inverter *inverter, struct weir_label *label,
    struct weir_ordinal_list *ordinals)
{
    if (inverter->heap_count == 0)
        return WEIR_END;
    const struct weir_label *least = &inverter->readers[inverter->heap[0]].label;
    memcpy(inverter->label, least->name, (size_t)least->name_size + least->value_size);
    *label = (struct weir_label){inverter->label, inverter->label + least->name_size,
        least->name_size, least->value_size};
    weir_ordinal_list_clear(ordinals);
    while (inverter->heap_count != 0) {
        uint32_t reader = inverter->heap[0];
        struct weir_run_reader *run = &inverter->readers[reader];
        if (compare_labels(&run->label, label) != 0)
            break;
        enum weir_err err = weir_run_ordinals(run, ordinals);
        if (err == WEIR_OK)
            err = weir_run_next(run, inverter->labels[reader]);
        if (err == WEIR_END)
            inverter->heap[0] = inverter->heap[--inverter->heap_count];
        else if (err != WEIR_OK)
            return err;
        sift_down(inverter, 0);
    }
    return WEIR_OK;
}

enum weir_err
weir_inverter_next(struct weir_inverter *inverter, struct weir_label *label,
    struct weir_ordinal_list *ordinals)
{
    if (inverter->runs != 0)
        return next_of_runs(inverter, label, ordinals);
    if (inverter->next == inverter->terms)
        return WEIR_END;
    const struct term *term = term_at(inverter, inverter->sorted[inverter->next++]);
    *label = term_label(term);
    chain_ordinals(inverter, term, ordinals);
    return WEIR_OK;
}

uint32_t
weir_inverter_runs(const struct weir_inverter *inverter)
{
    return inverter->runs;
}

void
weir_inverter_end(struct weir_inverter *inverter)
{
    weir_file_writer_abort(&inverter->scratch);
}
