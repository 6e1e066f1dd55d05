#include "storage/index/index_writer.h"

#include "base/crc.h"
#include "storage/index/inverter.h"
#include "storage/index/names.h"
#include "storage/index/terms.h"

#include <string.h>

enum state { CLOSED, ADDING, INVERTING };

/* Class, flags and days as they fill. */
struct seen {
    struct weir_index_days days;
    uint8_t classes[WEIR_INDEX_SEEN_MAX];
    uint8_t flags[WEIR_INDEX_SEEN_MAX];
    uint16_t first[WEIR_INDEX_SEEN_MAX];
    uint16_t last[WEIR_INDEX_SEEN_MAX];
    uint32_t count;
};

struct names {
    uint32_t first;
    uint32_t count;
    uint32_t used;
    uint32_t groups;
    uint16_t offsets[WEIR_INDEX_RAW_MAX / 64];
    uint8_t raw[WEIR_INDEX_RAW_MAX];
};

struct weir_index_writer {
    enum state state;
    struct weir_io *io;
    struct weir_index_footer footer; /* what is known of it so far */
    struct weir_inverter *inverter;
    struct weir_tree_output output;
    struct weir_tree_writer trees[WEIR_INDEX_SECTIONS];
    struct weir_terms_builder terms, labels;
    struct weir_term term; /* scratch */
    struct names names;
    struct seen seen;
    struct weir_names_list lists[2]; /* of the last series, and of the coming one */
    unsigned last;
    uint32_t numbers[WEIR_INDEX_ARRAY_MAX];
    uint32_t number_count;
    /* while inverting */
    uint8_t label_name[WEIR_LABELS_BYTES_MAX];
    uint32_t label_name_size;
    uint32_t label_values;
    struct weir_ordinals label_series; /* of the label name */
    struct weir_ordinal_list ordinals; /* of a term */
    struct weir_ordinal_list label_ordinals;
    uint8_t postings[WEIR_INDEX_RAW_MAX];
    uint32_t postings_used;
    uint8_t encoded[WEIR_POSTINGS_BYTES_MAX];
    uint8_t raw[WEIR_INDEX_RAW_MAX];
    uint32_t by_number[WEIR_SHARD_SERIES]; /* ordinals, or WEIR_ORDINAL_NONE */
    struct weir_file_writer file;
};

static size_t
rounded(size_t size)
{
    return (size + 63) & ~(size_t)63;
}

size_t
weir_index_writer_memory_min(void)
{
    return rounded(sizeof(struct weir_index_writer)) + rounded(weir_index_packer_footprint()) +
           WEIR_INVERTER_MEMORY_MIN;
}

struct weir_index_writer *
weir_index_writer_init(void *memory, size_t size, struct weir_io *io)
{
    WEIR_ASSERT(size >= weir_index_writer_memory_min());
    struct weir_index_writer *writer = memory;
    memset(writer, 0, sizeof *writer);
    uint8_t *at = (uint8_t *)memory + rounded(sizeof *writer);
    writer->output.packer = weir_index_packer_init(at);
    at += rounded(weir_index_packer_footprint());
    uint64_t seed = (uint64_t)(uintptr_t)memory;
    writer->inverter = weir_inverter_init(at, size - (size_t)(at - (uint8_t *)memory), io, seed);
    writer->io = io;
    writer->file.file = -1;
    return writer;
}

static enum weir_err
write_head(struct weir_index_writer *writer)
{
    struct weir_index_head head = {.magic = WEIR_INDEX_MAGIC,
        .version = WEIR_INDEX_VERSION,
        .shard = writer->footer.shard,
        .generation = writer->footer.generation,
        .file_id = writer->footer.file_id};
    head.crc = weir_crc32c(0, &head, offsetof(struct weir_index_head, crc));
    enum weir_err err = weir_file_writer_append(&writer->file, &head, sizeof head);
    return err == WEIR_OK ? weir_file_writer_align(&writer->file, WEIR_INDEX_PAGE) : err;
}

enum weir_err
weir_index_writer_open(struct weir_index_writer *writer,
    const struct weir_index_writer_options *options)
{
    WEIR_ASSERT(writer->state == CLOSED);
    writer->footer = (struct weir_index_footer){.magic = WEIR_INDEX_FOOTER_MAGIC,
        .version = WEIR_INDEX_VERSION,
        .shard = options->shard,
        .generation = options->generation,
        .file_id = options->file_id,
        .day_first = UINT16_MAX};
    writer->output.file = &writer->file;
    writer->output.file_id = options->file_id;
    writer->output.shard = options->shard;
    writer->output.blocks = 0;
    for (unsigned i = 0; i < WEIR_INDEX_SECTIONS; i++)
        weir_tree_writer_init(&writer->trees[i], &writer->output, (enum weir_index_section)i);
    weir_terms_builder_init(&writer->terms, &writer->trees[WEIR_INDEX_TERMS]);
    weir_terms_builder_init(&writer->labels, &writer->trees[WEIR_INDEX_LABELS]);
    memset(writer->by_number, 0xff, sizeof writer->by_number);
    writer->names.first = writer->names.count = writer->names.used = writer->names.groups = 0;
    writer->seen.count = writer->number_count = 0;
    writer->label_name_size = writer->label_values = writer->postings_used = 0;
    enum weir_err err = weir_inverter_begin(writer->inverter, options->path);
    if (err == WEIR_OK)
        err = weir_file_writer_open(&writer->file, writer->io, options->path);
    if (err == WEIR_OK) {
        writer->state = ADDING;
        err = write_head(writer);
    }
    if (err != WEIR_OK)
        weir_index_writer_abort(writer);
    return err;
}

void
weir_index_writer_abort(struct weir_index_writer *writer)
{
    weir_inverter_end(writer->inverter);
    weir_file_writer_abort(&writer->file);
    writer->state = CLOSED;
}

static enum weir_err
flush_names(struct weir_index_writer *writer)
{
    struct names *names = &writer->names;
    if (names->count == 0)
        return WEIR_OK;
    memcpy(names->raw + names->used, names->offsets, 2 * names->groups);
    struct weir_tree_leaf leaf = {.first = names->first,
        .last = names->first + names->count - 1,
        .count = names->count,
        .raw = names->raw,
        .raw_bytes = names->used + 2 * names->groups};
    names->first += names->count;
    names->count = names->used = names->groups = 0;
    return weir_tree_writer_add(&writer->trees[WEIR_INDEX_NAMES], &leaf);
}

static enum weir_err
add_names(struct weir_index_writer *writer, const struct weir_names_list *list,
    const struct weir_names_list *before)
{
    struct names *names = &writer->names;
    size_t most = names->used + list->size + 8 * (list->count + 1) + 2 * (names->groups + 1);
    if (names->count != 0 && most > WEIR_INDEX_NAMES_RAW) {
        enum weir_err err = flush_names(writer);
        if (err != WEIR_OK)
            return err;
    }
    if (names->count % WEIR_INDEX_NAMES_GROUP == 0) {
        names->offsets[names->groups++] = (uint16_t)names->used;
        before = NULL;
    }
    uint8_t *end = weir_names_encode(list, before, names->raw + names->used);
    names->used = (uint32_t)(end - names->raw);
    names->count++;
    return WEIR_OK;
}

static enum weir_err
flush_seen(struct weir_index_writer *writer)
{
    struct seen *seen = &writer->seen;
    uint32_t count = seen->count;
    if (count == 0)
        return WEIR_OK;
    memcpy(writer->raw, seen->classes, count);
    memcpy(writer->raw + count, seen->flags, count);
    memcpy(writer->raw + 2 * count, seen->first, 2 * count);
    memcpy(writer->raw + 4 * count, seen->last, 2 * count);
    uint32_t first = writer->footer.series - count;
    struct weir_tree_leaf leaf = {.first = first,
        .last = first + count - 1,
        .count = count,
        .raw = writer->raw,
        .raw_bytes = 6 * count,
        .key = (const uint8_t *)&seen->days,
        .key_size = sizeof seen->days};
    seen->count = 0;
    return weir_tree_writer_add(&writer->trees[WEIR_INDEX_SEEN], &leaf);
}

static enum weir_err
flush_numbers(struct weir_index_writer *writer)
{
    uint32_t count = writer->number_count;
    if (count == 0)
        return WEIR_OK;
    weir_index_array_encode(writer->numbers, count, writer->raw);
    uint32_t first = writer->footer.series - count;
    struct weir_tree_leaf leaf = {.first = first,
        .last = first + count - 1,
        .count = count,
        .raw = writer->raw,
        .raw_bytes = 4 * count};
    writer->number_count = 0;
    return weir_tree_writer_add(&writer->trees[WEIR_INDEX_NUMBERS], &leaf);
}

static void
add_seen(struct weir_index_writer *writer, const struct weir_index_series *series, bool alias)
{
    struct seen *seen = &writer->seen;
    struct weir_index_days *days = &seen->days;
    uint16_t first = series->day_first, last = series->day_last;
    if (seen->count == 0)
        *days = (struct weir_index_days){first, first, last, last};
    days->first_min = first < days->first_min ? first : days->first_min;
    days->first_max = first > days->first_max ? first : days->first_max;
    days->last_min = last < days->last_min ? last : days->last_min;
    days->last_max = last > days->last_max ? last : days->last_max;
    seen->classes[seen->count] = series->retention_class;
    seen->flags[seen->count] = alias ? WEIR_INDEX_ALIAS : 0;
    seen->first[seen->count] = first;
    seen->last[seen->count++] = last;
    struct weir_index_footer *footer = &writer->footer;
    footer->day_first = first < footer->day_first ? first : footer->day_first;
    footer->day_last = last > footer->day_last ? last : footer->day_last;
}

/* Gives the inverter the labels; those that are as in the series before are said to be. */
static enum weir_err
add_labels(struct weir_index_writer *writer, const struct weir_names_list *list,
    const struct weir_names_list *before)
{
    struct weir_label label;
    for (uint32_t i = 0; i < list->count; i++) {
        weir_names_label(list, i, &label);
        if (label.value_size == 0) /* a series without a metric */
            continue;
        uint32_t size = 4u + label.name_size + label.value_size;
        bool same = i < before->count && before->at[i] + size <= before->size &&
                    memcmp(before->bytes + before->at[i], list->bytes + list->at[i], size) == 0;
        enum weir_err err =
            weir_inverter_add(writer->inverter, i, same, &label, writer->footer.series);
        if (err != WEIR_OK)
            return err;
    }
    return WEIR_OK;
}

static enum weir_err
check_series(struct weir_index_writer *writer, const struct weir_index_series *series,
    struct weir_names_list *list, const struct weir_names_list *before, bool *alias)
{
    uint64_t shard = series->number >> WEIR_SHARD_BITS;
    uint32_t local = (uint32_t)series->number & (WEIR_SHARD_SERIES - 1);
    if (shard != writer->footer.shard || writer->by_number[local] != WEIR_ORDINAL_NONE)
        return weir_fail(WEIR_INVALID, 0, "series %llu in shard %u, or twice",
            (unsigned long long)series->number, writer->footer.shard);
    if (!weir_names_from_labels(series->labels, series->size, list))
        return weir_fail(WEIR_INVALID, 0, "labels of series %llu",
            (unsigned long long)series->number);
    int order = 1;
    if (writer->footer.series != 0)
        order = weir_names_compare(list->bytes, list->size, before->bytes, before->size);
    if (order < 0)
        return weir_fail(WEIR_INVALID, 0, "series %llu is out of order",
            (unsigned long long)series->number);
    *alias = order == 0;
    return WEIR_OK;
}

static enum weir_err
add(struct weir_index_writer *writer, const struct weir_index_series *series, bool alias)
{
    const struct weir_names_list *before = &writer->lists[writer->last];
    const struct weir_names_list *list = &writer->lists[!writer->last];
    uint32_t local = (uint32_t)series->number & (WEIR_SHARD_SERIES - 1);
    enum weir_err err = add_names(writer, list, before);
    if (err == WEIR_OK)
        err = add_labels(writer, list, before);
    if (err != WEIR_OK)
        return err;
    add_seen(writer, series, alias);
    writer->numbers[writer->number_count++] = local;
    writer->by_number[local] = writer->footer.series++;
    writer->footer.aliases += alias;
    if (local >= writer->footer.through)
        writer->footer.through = local + 1;
    if (writer->seen.count == WEIR_INDEX_SEEN_MAX)
        err = flush_seen(writer);
    if (err == WEIR_OK && writer->number_count == WEIR_INDEX_ARRAY_MAX)
        err = flush_numbers(writer);
    return err;
}

enum weir_err
weir_index_writer_add(struct weir_index_writer *writer, const struct weir_index_series *series)
{
    WEIR_ASSERT(writer->state == ADDING);
    bool alias;
    if (writer->footer.series == 0)
        writer->lists[writer->last].count = 0;
    enum weir_err err = check_series(writer, series, &writer->lists[!writer->last],
        &writer->lists[writer->last], &alias);
    if (err != WEIR_OK)
        return err;
    err = add(writer, series, alias);
    writer->last = !writer->last;
    if (err != WEIR_OK)
        weir_index_writer_abort(writer);
    return err;
}

static enum weir_err
write_ordinals(struct weir_index_writer *writer)
{
    for (uint32_t first = 0; first < writer->footer.through; first += WEIR_INDEX_ARRAY_MAX) {
        uint32_t count = writer->footer.through - first;
        count = count < WEIR_INDEX_ARRAY_MAX ? count : WEIR_INDEX_ARRAY_MAX;
        weir_index_array_encode(writer->by_number + first, count, writer->raw);
        struct weir_tree_leaf leaf = {.first = first,
            .last = first + count - 1,
            .count = count,
            .raw = writer->raw,
            .raw_bytes = 4 * count};
        enum weir_err err = weir_tree_writer_add(&writer->trees[WEIR_INDEX_ORDINALS], &leaf);
        if (err != WEIR_OK)
            return err;
    }
    return WEIR_OK;
}

static enum weir_err
flush_postings(struct weir_index_writer *writer)
{
    struct weir_tree_writer *tree = &writer->trees[WEIR_INDEX_POSTINGS];
    struct weir_tree_leaf leaf = {.first = tree->leaves,
        .last = tree->leaves,
        .count = 1,
        .raw = writer->postings,
        .raw_bytes = writer->postings_used};
    writer->postings_used = 0;
    return weir_tree_writer_add(tree, &leaf);
}

static enum weir_err
append_postings(struct weir_index_writer *writer, const uint8_t *bytes, size_t size)
{
    enum weir_err err = WEIR_OK;
    writer->footer.postings_bytes += size;
    while (size != 0 && err == WEIR_OK) {
        size_t room = WEIR_INDEX_RAW_MAX - writer->postings_used;
        size_t now = size < room ? size : room;
        memcpy(writer->postings + writer->postings_used, bytes, now);
        writer->postings_used += (uint32_t)now;
        bytes += now;
        size -= now;
        if (writer->postings_used == WEIR_INDEX_RAW_MAX)
            err = flush_postings(writer);
    }
    return err;
}

/* Appends the postings of a list, and says where they are. */
static enum weir_err
write_postings(struct weir_index_writer *writer, const struct weir_ordinal_list *list,
    struct weir_postings *out)
{
    uint32_t first =
        list->large ? weir_ordinals_next(&list->set, 0, WEIR_SHARD_SERIES) : list->list[0];
    *out = (struct weir_postings){list->count, first, 0, writer->footer.postings_bytes};
    uint8_t *end = writer->encoded;
    if (!list->large && list->list[list->count - 1] - first + 1 != list->count) {
        end = weir_postings_encode_gaps(list->list, list->count, end);
    } else if (list->large) {
        uint32_t word = first, run = 0;
        while (run < list->count && word < WEIR_SHARD_SERIES &&
               weir_ordinals_has(&list->set, word++))
            run++;
        if (run != list->count)
            end = weir_postings_encode_roaring(&list->set, end);
    }
    out->size = (uint32_t)(end - writer->encoded);
    return append_postings(writer, writer->encoded, out->size);
}

/* Ends the label name whose values came last: its entry, after the postings of all its series. */
static enum weir_err
end_label(struct weir_index_writer *writer)
{
    struct weir_ordinal_list *list = &writer->label_ordinals;
    struct weir_term *term = &writer->term;
    if (writer->label_values == 0)
        return WEIR_OK;
    weir_ordinal_list_clear(list);
    for (uint32_t at = 0; (at = weir_ordinals_next(&writer->label_series, at, WEIR_SHARD_SERIES)) !=
         WEIR_SHARD_SERIES; at++)
        weir_ordinal_list_add(list, at);
    enum weir_err err = write_postings(writer, list, &term->postings);
    if (err != WEIR_OK)
        return err;
    memcpy(term->key, writer->label_name, writer->label_name_size);
    term->key_size = writer->label_name_size;
    term->values = writer->label_values;
    memset(&writer->label_series, 0, sizeof writer->label_series);
    writer->label_values = 0;
    writer->footer.names++;
    return weir_terms_builder_add(&writer->labels, term);
}

static enum weir_err
write_term(struct weir_index_writer *writer, const struct weir_label *label)
{
    struct weir_term *term = &writer->term;
    memcpy(writer->label_name, label->name, label->name_size);
    writer->label_name_size = label->name_size;
    writer->label_values++;
    writer->footer.terms++;
    weir_ordinal_list_join(&writer->ordinals, &writer->label_series);
    enum weir_err err = write_postings(writer, &writer->ordinals, &term->postings);
    if (err != WEIR_OK)
        return err;
    term->values = 0;
    bool fits = weir_term_key(writer->footer.names, label->value, label->value_size, term);
    WEIR_ASSERT(fits);
    return weir_terms_builder_add(&writer->terms, term);
}

/* Inverts one term; WEIR_END after the last. */
static enum weir_err
invert_term(struct weir_index_writer *writer)
{
    struct weir_label label;
    enum weir_err err = weir_inverter_next(writer->inverter, &label, &writer->ordinals);
    if (err == WEIR_OK && weir_index_compare(label.name, label.name_size, writer->label_name,
                              writer->label_name_size) != 0)
        err = end_label(writer);
    return err == WEIR_OK ? write_term(writer, &label) : err;
}

/* Ends what add filled, and begins to invert. */
static enum weir_err
seal(struct weir_index_writer *writer)
{
    enum weir_err err = flush_names(writer);
    if (err == WEIR_OK)
        err = flush_seen(writer);
    if (err == WEIR_OK)
        err = flush_numbers(writer);
    if (err == WEIR_OK)
        err = write_ordinals(writer);
    if (err == WEIR_OK)
        err = weir_inverter_seal(writer->inverter);
    writer->state = INVERTING;
    return err;
}

static enum weir_err
write_footers(struct weir_index_writer *writer)
{
    struct weir_index_footer *footer = &writer->footer;
    footer->blocks = writer->output.blocks;
    enum weir_err err = weir_file_writer_align(&writer->file, WEIR_INDEX_PAGE);
    footer->bytes = writer->file.at + 2 * WEIR_INDEX_PAGE;
    for (unsigned i = 0; i < 2 && err == WEIR_OK; i++) {
        footer->at = writer->file.at;
        footer->crc = weir_crc32c(
            weir_index_place_crc(footer->file_id, footer->at / WEIR_INDEX_ALIGN), footer,
            offsetof(struct weir_index_footer, crc));
        err = weir_file_writer_append(&writer->file, footer, sizeof *footer);
        if (err == WEIR_OK)
            err = weir_file_writer_align(&writer->file, WEIR_INDEX_PAGE);
    }
    return err;
}

/* After the last term. */
static enum weir_err
complete(struct weir_index_writer *writer)
{
    enum weir_err err = end_label(writer);
    if (err == WEIR_OK && writer->postings_used != 0)
        err = flush_postings(writer);
    if (err == WEIR_OK)
        err = weir_terms_builder_flush(&writer->terms);
    if (err == WEIR_OK)
        err = weir_terms_builder_flush(&writer->labels);
    for (unsigned i = 0; i < WEIR_INDEX_SECTIONS && err == WEIR_OK; i++)
        err = weir_tree_writer_finish(&writer->trees[i], &writer->footer.roots[i]);
    if (err == WEIR_OK)
        err = write_footers(writer);
    return err == WEIR_OK ? weir_file_writer_finish(&writer->file) : err;
}

enum weir_err
weir_index_writer_finish(struct weir_index_writer *writer, uint32_t terms,
    struct weir_index_footer *footer)
{
    WEIR_ASSERT(writer->state != CLOSED);
    enum weir_err err = writer->state == ADDING ? seal(writer) : WEIR_OK;
    for (uint32_t i = 0; i < terms && err == WEIR_OK; i++)
        err = invert_term(writer);
    if (err == WEIR_OK)
        return WEIR_AGAIN;
    if (err == WEIR_END)
        err = complete(writer);
    if (err == WEIR_OK && footer != NULL)
        *footer = writer->footer;
    weir_index_writer_abort(writer); /* a whole segment has its name already */
    return err;
}

uint32_t
weir_index_writer_runs(const struct weir_index_writer *writer)
{
    return weir_inverter_runs(writer->inverter);
}
