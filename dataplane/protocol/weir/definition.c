/* Definitions of the weir protocol: labels of their series, joined; numbers, looked up and entered.
 *
 *   | common labels | own labels | own labels | ...
 *
 * The common labels are sorted once a definition. Series of a template differ in the values of
 * their own labels and hardly ever in the names: so the names of one series say where the labels
 * of the next one go, and its labels are pieces of bytes, one after the other. */
#include "dataplane/protocol/weir/definition.h"

#include "base/utf8.h"
#include "dataplane/protocol/weir/record.h"
#include "dataplane/protocol/weir/weir.h"
#include "model/sample.h"

#define LABEL_HEADER 4
#define COPY_STEP 32
_Static_assert(COPY_STEP <= WEIR_PACKET_SLACK, "the last piece of a packet may be read past");
/* Most bytes of a series. So much stays free after the lists of a packet, for series that are
 * looked up only. */
#define POINT_BYTES_MAX (sizeof(struct weir_deferred_point) + WEIR_LABELS_BYTES_MAX)
_Static_assert(WEIR_DEFINITION_LIST_BYTES > 2 * POINT_BYTES_MAX, "and some lists before it");
_Static_assert(sizeof(struct weir_wire_record) == WEIR_DEFINITION_HEAD, "chunk.h names its size");

/* A zero byte would cut a name short wherever it is a parameter, a key or a string. */
static bool
text_valid(const struct weir_label *label)
{
    return memchr(label->name, 0, label->name_size) == NULL &&
        weir_utf8_valid(label->name, label->name_size) &&
        weir_utf8_valid(label->value, label->value_size);
}

/* Adds the labels of a list to those there are. */
static enum weir_err
collect(const uint8_t *list, size_t size, struct weir_label *labels, size_t *count)
{
    struct weir_label label;
    size_t at = 0;
    enum weir_err err;
    while ((err = weir_labels_next(list, size, &at, &label)) == WEIR_OK) {
        if (*count == WEIR_LABELS_COUNT_MAX)
            return weir_fail(WEIR_LIMIT, 0, "more than %d labels beside the name",
                WEIR_TAGS_COUNT_MAX);
        if (!text_valid(&label))
            return weir_fail(WEIR_INVALID, 0,
                "a label that is not UTF-8, or a zero byte in its name");
        labels[(*count)++] = label;
    }
    return err == WEIR_END ? WEIR_OK : err;
}

enum weir_err
weir_definition_labels_begin(struct weir_line_labels *line, const uint8_t *record, size_t size)
{
    const uint8_t *common;
    size_t common_size, count = 0;
    line->text = record;
    line->size = size;
    line->next = 0;
    line->at = sizeof(struct weir_wire_record);
    line->tags_text_size = 0;
    line->plan.valid = false;
    if (!weir_wire_next_list(record, size, &line->at, &common, &common_size))
        return weir_fail(WEIR_INVALID, 0, "not a definition that the parser accepts");
    line->fields_at = line->at;
    enum weir_err err = collect(common, common_size, line->list, &count);
    line->list_count = (uint32_t)count;
    return err == WEIR_OK ? weir_labels_encode(line->list, count, line->tags, &line->tags_size)
                          : err;
}

enum weir_err
weir_wire_labels_begin(struct weir_line_labels *line, const uint8_t *text, size_t size)
{
    return weir_definition_labels_begin(line, text + sizeof(struct weir_definition_text),
        size - sizeof(struct weir_definition_text));
}

/* Notes where the own labels of a series went, which are the last ones of `unsorted`. */
static void
make_plan(struct weir_line_labels *line, const struct weir_label *unsorted,
    const struct weir_label *sorted, size_t count)
{
    struct weir_label_plan *plan = &line->plan;
    const struct weir_label *own = unsorted + line->list_count;
    size_t own_count = count - line->list_count, common_end = 0;
    if (own_count > WEIR_LABELS_PLANNED_MAX)
        return;
    plan->count = 0;
    for (size_t i = 0; i < count; i++) {
        size_t k = 0;
        while (k < own_count && own[k].name != sorted[i].name)
            k++;
        if (k == own_count) {
            common_end += LABEL_HEADER + (size_t)sorted[i].name_size + sorted[i].value_size;
            continue;
        }
        plan->own[k] = own[k];
        plan->order[plan->count] = (uint8_t)k;
        plan->common_end[plan->count++] = (uint16_t)common_end;
    }
    plan->valid = true;
}

/* Canonical labels from the common ones and a series' own. */
static enum weir_err
join_sorting(struct weir_line_labels *line, const uint8_t *own, size_t own_size, uint8_t *out,
    size_t *size)
{
    struct weir_label labels[WEIR_LABELS_COUNT_MAX], sorted[WEIR_LABELS_COUNT_MAX];
    struct weir_label name;
    size_t count = line->list_count;
    memcpy(labels, line->list, count * sizeof *labels);
    line->plan.valid = false;
    enum weir_err err = collect(own, own_size, labels, &count);
    if (err != WEIR_OK)
        return err;
    memcpy(sorted, labels, count * sizeof *labels);
    err = weir_labels_encode(sorted, count, out, size);
    if (err != WEIR_OK)
        return err;
    if (!weir_labels_find(out, *size, WEIR_NAME_LABEL, &name))
        return weir_fail(WEIR_INVALID, 0, "a series without name");
    make_plan(line, labels, sorted, count);
    return WEIR_OK;
}

/* memcmp(a, b, size) == 0, of the few bytes that a name has. */
static inline bool
same_bytes(const uint8_t *a, const uint8_t *b, size_t size)
{
    uint64_t first[2], last[2];
    if (size < sizeof *first || size > 2 * sizeof *first)
        return memcmp(a, b, size) == 0;
    memcpy(&first[0], a, sizeof *first);
    memcpy(&first[1], b, sizeof *first);
    memcpy(&last[0], a + size - sizeof *last, sizeof *last);
    memcpy(&last[1], b + size - sizeof *last, sizeof *last);
    return first[0] == first[1] && last[0] == last[1];
}

/* The own labels of a series, one by one, where they have the names that the last ones had, in
 * their order, and values. False where they have not. */
static bool
match_pieces(const struct weir_label_plan *plan, const uint8_t *own, size_t own_size,
    const uint8_t **pieces, size_t *sizes)
{
    size_t at = 0;
    for (uint32_t i = 0; i < plan->count; i++) {
        uint16_t name_size, value_size;
        if (own_size - at < LABEL_HEADER)
            return false;
        const uint8_t *piece = own + at;
        memcpy(&name_size, piece, sizeof name_size);
        memcpy(&value_size, piece + sizeof name_size, sizeof value_size);
        size_t size = LABEL_HEADER + (size_t)name_size + value_size;
        if (size > own_size - at || name_size != plan->own[i].name_size || value_size == 0 ||
            !same_bytes(piece + LABEL_HEADER, plan->own[i].name, name_size) ||
            !weir_utf8_valid(piece + LABEL_HEADER + name_size, value_size))
            return false;
        pieces[i] = piece;
        sizes[i] = size;
        at += size;
    }
    return at == own_size;
}

/* Copies in steps of COPY_STEP: both sides have that many bytes more. */
static inline uint8_t *
put_piece(uint8_t *out, const uint8_t *piece, size_t size)
{
    for (size_t at = 0; at < size; at += COPY_STEP)
        memcpy(out + at, piece + at, COPY_STEP);
    return out + size;
}

/* As join_sorting, where the own labels go where the last ones went. False where they do not, or
 * something is not as it should be. Labels so large that a step would run over are sorted too. */
static bool
join_planned(const struct weir_line_labels *line, const uint8_t *own, size_t own_size,
    uint8_t *out, size_t *size)
{
    const struct weir_label_plan *plan = &line->plan;
    const uint8_t *pieces[WEIR_LABELS_PLANNED_MAX];
    size_t sizes[WEIR_LABELS_PLANNED_MAX], common = 0;
    if (!plan->valid || line->tags_size + own_size > WEIR_LABELS_BYTES_MAX - COPY_STEP ||
        !match_pieces(plan, own, own_size, pieces, sizes))
        return false;
    for (uint32_t i = 0; i < plan->count; i++) {
        uint32_t k = plan->order[i];
        out = put_piece(out, line->tags + common, plan->common_end[i] - common);
        out = put_piece(out, pieces[k], sizes[k]);
        common = plan->common_end[i];
    }
    put_piece(out, line->tags + common, line->tags_size - common);
    *size = line->tags_size + own_size;
    return true;
}

/* The own labels of series `field` of the definition. */
static enum weir_err
own_labels(struct weir_line_labels *line, unsigned field, const uint8_t **own, size_t *own_size)
{
    *own_size = 0;
    if (field < line->next) {
        line->next = 0;
        line->at = line->fields_at;
    }
    do {
        if (!weir_wire_next_list(line->text, line->size, &line->at, own, own_size))
            return weir_fail(WEIR_INVALID, 0, "not a definition that the parser accepts");
    } while (line->next++ < field);
    return WEIR_OK;
}

enum weir_err
weir_definition_labels(struct weir_line_labels *line, unsigned field, uint8_t *labels,
    size_t *labels_size)
{
    const uint8_t *own = NULL;
    size_t own_size;
    enum weir_err err = own_labels(line, field, &own, &own_size);
    if (err != WEIR_OK || join_planned(line, own, own_size, labels, labels_size))
        return err;
    return join_sorting(line, own, own_size, labels, labels_size);
}

static bool
has_name(const struct weir_label *labels, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (labels[i].name_size == sizeof WEIR_NAME_LABEL - 1 &&
            memcmp(labels[i].name, WEIR_NAME_LABEL, labels[i].name_size) == 0)
            return true;
    return false;
}

enum weir_err
weir_wire_labels(struct weir_line_labels *line, unsigned field, struct weir_label **labels,
    size_t *count)
{
    const uint8_t *own = NULL;
    size_t own_size;
    enum weir_err err = own_labels(line, field, &own, &own_size);
    if (err != WEIR_OK)
        return err;
    *labels = line->tags_list;
    *count = line->list_count;
    memcpy(line->tags_list, line->list, *count * sizeof *line->list);
    err = collect(own, own_size, line->tags_list, count);
    if (err == WEIR_OK && !has_name(line->tags_list, *count))
        err = weir_fail(WEIR_INVALID, 0, "a series without name");
    return err;
}

/* The series of a definition that its template has no number for. */
struct unknown {
    const struct weir_series *series;
    struct weir_definitions *definitions;
    struct weir_channels *channels;
    struct weir_template *template;
    uint32_t begin; /* of the definition's points in the list */
    uint32_t from;  /* of those not looked up yet */
    uint32_t count; /* points of the definition so far */
    uint32_t left;  /* series that stayed unknown */
    bool whole;     /* all of them are in the list */
};

static struct weir_deferred_point *
point_at(struct weir_definitions *definitions, uint32_t at)
{
    return (struct weir_deferred_point *)(void *)(definitions->list + at);
}

static uint32_t
behind(const struct weir_definitions *definitions, uint32_t at)
{
    const struct weir_deferred_point *point =
        (const struct weir_deferred_point *)(const void *)(definitions->list + at);
    return at + (uint32_t)weir_deferred_point_bytes(point->labels_size);
}

/* Looks up the series from unknown->from on, step by step (dataplane/series/series.h). Labels are
 * hashed when all are written: right after their writing the loads would wait for the stores. */
static void
look_up_points(struct unknown *unknown)
{
    struct weir_definitions *definitions = unknown->definitions;
    for (uint32_t at = unknown->from; at < definitions->used; at = behind(definitions, at)) {
        struct weir_deferred_point *point = point_at(definitions, at);
        if (point->labels_size == 0)
            continue;
        point->fingerprint = weir_series_fingerprint(unknown->series,
            (const uint8_t *)(point + 1), point->labels_size);
        weir_series_prefetch(unknown->series, point->fingerprint);
    }
    for (uint32_t at = unknown->from; at < definitions->used; at = behind(definitions, at)) {
        struct weir_deferred_point *point = point_at(definitions, at);
        unknown->left++;
        if (point->labels_size == 0 ||
            !weir_series_find(unknown->series, point->fingerprint, &point->number))
            continue;
        weir_template_enter(unknown->channels, unknown->template, point->index, point->number);
        unknown->left--;
    }
    unknown->from = definitions->used;
}

/* Adds a point to the list; without labels where they are refused. */
static void
put_point(struct unknown *unknown, uint32_t field, uint32_t index, bool begun)
{
    struct weir_definitions *definitions = unknown->definitions;
    if (WEIR_DEFINITION_LIST_BYTES - definitions->used < 2 * POINT_BYTES_MAX) {
        look_up_points(unknown);
        definitions->used = unknown->from = unknown->begin;
        unknown->whole = false;
    }
    struct weir_deferred_point *point = point_at(definitions, definitions->used);
    size_t size;
    uint8_t *labels = (uint8_t *)(point + 1);
    *point = (struct weir_deferred_point){.number = WEIR_SERIES_UNKNOWN, .index = index};
    if (begun && weir_definition_labels(&definitions->line, field, labels, &size) == WEIR_OK)
        point->labels_size = (uint16_t)size;
    definitions->used += (uint32_t)weir_deferred_point_bytes(point->labels_size);
    unknown->count++;
}

/* Enters the numbers of those series of a definition that are known by their labels. The others
 * stay in the list, where there is room for all of them. */
static struct unknown
look_up(const struct weir_parse_context *context, struct weir_template *template,
    const uint8_t *data, const struct weir_wire_record *record)
{
    struct weir_definitions *definitions = context->definitions;
    struct unknown unknown = {.series = context->series,
        .definitions = definitions,
        .channels = context->channels,
        .template = template,
        .begin = definitions->used,
        .from = definitions->used,
        .whole = true};
    if (template->unknown == 0)
        return unknown;
    bool begun =
        weir_definition_labels_begin(&definitions->line, data, record->length) == WEIR_OK;
    for (uint32_t i = 0; i < record->count; i++)
        if (weir_template_number(context->channels, template, record->first + i) ==
            WEIR_SERIES_UNKNOWN)
            put_point(&unknown, i, record->first + i, begun);
    look_up_points(&unknown);
    unknown.whole &= unknown.left > 0;
    if (!unknown.whole)
        definitions->used = unknown.begin;
    return unknown;
}

void
weir_definition_apply(const struct weir_parse_context *context, struct weir_channel *channel,
    const uint8_t *data, const struct weir_owner *source, struct weir_wire_item *item,
    uint8_t *reason)
{
    struct weir_definitions *definitions = context->definitions;
    struct weir_wire_record record = weir_wire_load_record(data);
    struct weir_template *template =
        weir_channel_define(context->channels, channel, &record, item->sequence, source, reason);
    item->kind = WEIR_WIRE_ITEM_EMPTY;
    if (template == NULL)
        return;
    struct unknown unknown = look_up(context, template, data, &record);
    if (unknown.left == 0)
        return;
    item->kind = WEIR_WIRE_ITEM_DEFINITION;
    if (unknown.whole) {
        item->list = definitions->list + unknown.begin;
        item->list_bytes = definitions->used - unknown.begin;
        item->list_count = unknown.count;
    }
}

/* Enters what the registrar has put into the list of a definition. */
static void
enter_numbers(struct weir_channels *channels, struct weir_template *template, const uint8_t *list,
    uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        const struct weir_deferred_point *point = (const void *)list;
        if (point->number != WEIR_SERIES_UNKNOWN)
            weir_template_enter(channels, template, point->index, point->number);
        list += weir_deferred_point_bytes(point->labels_size);
    }
}

void
weir_definition_completed(const struct weir_parse_context *context, const uint8_t *data)
{
    struct weir_definition_text text;
    memcpy(&text, data, sizeof text);
    const uint8_t *body = data + sizeof text;
    struct weir_wire_record record = weir_wire_load_record(body);
    struct weir_channel *channel = weir_channels_find(context->channels, text.sender, text.channel);
    WEIR_ASSERT(channel != NULL && channel->pending > 0); /* it stays while one is pending */
    channel->pending--;
    if (channel->epoch != text.epoch)
        return;
    weir_channels_dirty(context->channels, channel);
    struct weir_template *template =
        weir_channel_template(context->channels, channel, record.template_id);
    if (template == NULL || template->hash != record.template_hash ||
        template->total != record.total)
        return; /* replaced meanwhile */
    if (text.list_count > 0) {
        enter_numbers(context->channels, template, body + sizeof record, text.list_count);
        return;
    }
    context->definitions->used = 0;
    (void)look_up(context, template, body, &record);
    context->definitions->used = 0;
}
