/* The labels of an Influx line: measurement and field make the name, tags the rest. */
#include "dataplane/protocol/influx/line.h"
#include "dataplane/protocol/parse.h"

#include <string.h>

#define NAME_SIZE (sizeof WEIR_NAME_LABEL - 1)
#define LABEL_HEADER 4 /* of a record of the canonical form: model/labels.h */

/* raw without escapes, in the line's room only where it has any. WEIR_LIMIT. */
static enum weir_err
plain_text(struct weir_line_labels *line, struct weir_slice raw, enum weir_influx_place place,
    size_t *used, struct weir_slice *out)
{
    *out = raw;
    /* Without escapes it is at least half as long: no more than the labels may have in all. */
    if (raw.size > sizeof line->room - *used)
        return weir_fail(WEIR_LIMIT, 0, "labels larger than %d bytes", WEIR_LABELS_BYTES_MAX);
    if (memchr(raw.data, '\\', raw.size) != NULL) {
        out->data = line->room + *used;
        out->size = weir_influx_unescape(raw, place, line->room + *used);
        *used += out->size;
    }
    if (out->size > WEIR_LABELS_BYTES_MAX)
        return weir_fail(WEIR_LIMIT, 0, "labels larger than %d bytes", WEIR_LABELS_BYTES_MAX);
    return WEIR_OK;
}

static struct weir_label
label(struct weir_slice name, struct weir_slice value)
{
    return (struct weir_label){name.data, value.data, (uint16_t)name.size, (uint16_t)value.size};
}

/* Reads the tags into line->list. */
static enum weir_err
read_tags(struct weir_line_labels *line, struct weir_influx_decoder *decoder, size_t *count)
{
    struct weir_slice key, value;
    enum weir_influx_result result;
    for (*count = 0; (result = weir_influx_tag(decoder, &key, &value)) == WEIR_INFLUX_OK;
         (*count)++) {
        if (*count == WEIR_TAGS_COUNT_MAX)
            return weir_fail(WEIR_LIMIT, 0, "more than %d tags", WEIR_TAGS_COUNT_MAX);
        enum weir_err err = plain_text(line, key, WEIR_INFLUX_KEY, &line->room_used, &key);
        if (err == WEIR_OK)
            err = plain_text(line, value, WEIR_INFLUX_KEY, &line->room_used, &value);
        if (err != WEIR_OK)
            return err;
        line->list[*count] = label(key, value);
    }
    if (result != WEIR_INFLUX_END)
        return weir_fail(WEIR_INVALID, 0, "not a line that the parser accepts");
    return WEIR_OK;
}

/* Canonical form of the tags, with a gap for the name at line->name_at. */
static enum weir_err
encode_tags(struct weir_line_labels *line, size_t count)
{
    enum weir_err err = weir_labels_encode(line->list, count, line->tags, &line->tags_size);
    size_t at = 0;
    struct weir_label tag;
    line->name_at = 0;
    while (err == WEIR_OK && weir_labels_next(line->tags, line->tags_size, &at, &tag) == WEIR_OK) {
        size_t shorter = tag.name_size < NAME_SIZE ? tag.name_size : NAME_SIZE;
        int order = memcmp(tag.name, WEIR_NAME_LABEL, shorter);
        if (order == 0 && tag.name_size == NAME_SIZE)
            return weir_fail(WEIR_INVALID, 0, "label " WEIR_NAME_LABEL " given twice");
        if (order > 0 || (order == 0 && tag.name_size > NAME_SIZE))
            break;
        line->name_at = at;
    }
    return err;
}

/* Keeps what the tags were made from. A backslash may hide the space that seems to end them. */
static void
keep_tags(struct weir_line_labels *line, size_t tags_at)
{
    size_t end = line->fields_at;
    while (line->text[end - 1] == ' ')
        end--;
    size_t size = end - tags_at;
    if (size > sizeof line->tags_text || memchr(line->text + tags_at, '\\', size) != NULL)
        return;
    line->tags_text_size = size;
    memcpy(line->tags_text, line->text + tags_at, size);
}

/* Decodes measurement and tags; tags without errors are kept with their text. */
static enum weir_err
decode_front(struct weir_line_labels *line)
{
    struct weir_influx_decoder decoder = {.data = line->text, .size = line->size, .final = true};
    struct weir_slice name;
    size_t count;
    line->tags_text_size = 0;
    if (weir_influx_begin(&decoder) != WEIR_INFLUX_OK
        || weir_influx_measurement(&decoder, &name) != WEIR_INFLUX_OK)
        return weir_fail(WEIR_INVALID, 0, "not a line that the parser accepts");
    size_t tags_at = decoder.at;
    enum weir_err err =
        plain_text(line, name, WEIR_INFLUX_MEASUREMENT, &line->room_used, &name);
    if (err == WEIR_OK)
        err = read_tags(line, &decoder, &count);
    if (err == WEIR_OK)
        err = encode_tags(line, count);
    line->measurement = name.data;
    line->measurement_size = name.size;
    line->fields_at = decoder.at;
    if (err == WEIR_OK && count > 0)
        keep_tags(line, tags_at);
    return err;
}

/* Takes up a line that has the tags of the last one: the bytes up to the space behind them are
 * equal, and there is nothing that the decoder could see otherwise. */
static bool
same_front(struct weir_line_labels *line)
{
    const uint8_t *text = line->text;
    size_t at = 0, tags = line->tags_text_size;
    if (tags == 0)
        return false;
    while (at < line->size && text[at] != ',' && text[at] != ' ' && text[at] != '\\')
        at++;
    /* in front: a space is skipped, # begins a comment */
    if (at == 0 || text[0] == '#' || line->size - at <= tags + 1 || text[at] != ',' ||
        text[at + 1 + tags] != ' ' || memcmp(text + at + 1, line->tags_text, tags) != 0)
        return false;
    line->measurement = text;
    line->measurement_size = at;
    at += tags + 2;
    while (at < line->size && text[at] == ' ')
        at++;
    line->fields_at = at;
    return true;
}

enum weir_err
weir_influx_labels_begin(struct weir_line_labels *line, const uint8_t *text, size_t size)
{
    line->text = text;
    line->size = size;
    line->room_used = 0;
    line->next = 0;
    enum weir_err err = WEIR_OK;
    if (!same_front(line))
        err = decode_front(line);
    line->at = line->bytes_walked = line->fields_at;
    return err;
}

/* A field without escapes or quotes, which the parser has accepted. False where the decoder has to
 * look at it; *at has not moved then. */
static bool
plain_field(const struct weir_line_labels *line, size_t *at, struct weir_slice *key)
{
    const uint8_t *text = line->text;
    size_t end = *at, size = line->size;
    while (end < size && text[end] != '=' && text[end] != '\\')
        end++;
    if (end == *at || end + 1 >= size || text[end] == '\\' || text[end + 1] == '"')
        return false;
    *key = (struct weir_slice){text + *at, end - *at};
    while (end < size && text[end] != ',' && text[end] != ' ' && text[end] != '\r')
        end++;
    if (end < size && text[end] == '\r')
        return false;
    if (end < size && text[end] == ',') {
        end++;
    } else {
        while (end < size && text[end] == ' ')
            end++;
    }
    *at = end;
    return true;
}

/* Walks to field n, from the field after the last one asked for, or from the first where n lies
 * before that. */
static enum weir_err
find_field(struct weir_line_labels *line, unsigned n, struct weir_slice *key)
{
    if (n < line->next) {
        line->at = line->fields_at;
        line->next = 0;
    }
    for (; line->next <= n; line->next++) {
        size_t at = line->at;
        if (!plain_field(line, &at, key)) {
            struct weir_influx_decoder decoder = {.data = line->text,
                .size = line->size,
                .at = at,
                .final = true,
                .section = WEIR_INFLUX_IN_FIELDS};
            struct weir_influx_field field;
            if (weir_influx_field(&decoder, &field) != WEIR_INFLUX_OK)
                return weir_fail(WEIR_INVALID, 0, "no field %u", n);
            *key = field.key;
            at = decoder.at;
        }
        line->bytes_walked += at - line->at;
        line->at = at;
    }
    return WEIR_OK;
}

/* The metric's name: measurement_field, or the measurement alone where the field is `value`. The
 * tags come around it as they are sorted. */
static enum weir_err
join_labels(const struct weir_line_labels *line, struct weir_slice field, uint8_t *labels,
    size_t *labels_size)
{
    size_t front = line->measurement_size, name = front;
    bool whole = field.size == 5 && memcmp(field.data, "value", 5) == 0;
    if (!whole)
        name += 1 + field.size;
    *labels_size = line->tags_size + LABEL_HEADER + NAME_SIZE + name;
    if (*labels_size > WEIR_LABELS_BYTES_MAX)
        return weir_fail(WEIR_LIMIT, 0, "labels larger than %d bytes", WEIR_LABELS_BYTES_MAX);
    const uint16_t sizes[2] = {NAME_SIZE, (uint16_t)name};
    memcpy(labels, line->tags, line->name_at);
    labels += line->name_at;
    memcpy(labels, sizes, LABEL_HEADER);
    memcpy(labels + LABEL_HEADER, WEIR_NAME_LABEL, NAME_SIZE);
    labels += LABEL_HEADER + NAME_SIZE;
    memcpy(labels, line->measurement, front);
    if (!whole) {
        labels[front] = '_';
        memcpy(labels + front + 1, field.data, field.size);
    }
    memcpy(labels + name, line->tags + line->name_at, line->tags_size - line->name_at);
    return WEIR_OK;
}

enum weir_err
weir_influx_labels_field(struct weir_line_labels *line, unsigned field, uint8_t *labels,
    size_t *labels_size)
{
    struct weir_slice key;
    size_t used = line->room_used;
    enum weir_err err = find_field(line, field, &key);
    if (err == WEIR_OK)
        err = plain_text(line, key, WEIR_INFLUX_KEY, &used, &key);
    return err == WEIR_OK ? join_labels(line, key, labels, labels_size) : err;
}
