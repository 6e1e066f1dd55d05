/* The labels of an Influx line: measurement and field make the name, tags the rest. */
#include "dataplane/protocol/influx/influx.h"
#include "dataplane/protocol/influx/line.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define NAME_SIZE (sizeof WEIR_NAME_LABEL - 1)

static const uint8_t name_label[] = WEIR_NAME_LABEL;

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

/* Reads the tags into line->tags_list. */
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
        line->tags_list[*count] = label(key, value);
    }
    if (result != WEIR_INFLUX_END)
        return weir_fail(WEIR_INVALID, 0, "not a line that the parser accepts");
    return WEIR_OK;
}

/* Gives the name its place among the tags, by the order of the canonical form. */
static void
place_name(struct weir_line_labels *line, size_t count)
{
    line->tags_list[count] = (struct weir_label){.name = name_label, .name_size = NAME_SIZE};
    line->tags_count = (uint32_t)count + 1;
    weir_labels_sort(line->tags_list, line->tags_count);
    line->name_at = 0;
    while (line->tags_list[line->name_at].name != name_label)
        line->name_at++;
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
    for (uint32_t i = 0; i < line->tags_count; i++) {
        struct weir_label *tag = &line->tags_list[i];
        if (i == line->name_at)
            continue;
        tag->name = line->tags_text + (tag->name - (line->text + tags_at));
        tag->value = line->tags_text + (tag->value - (line->text + tags_at));
    }
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
        place_name(line, count);
    line->measurement = name.data;
    line->measurement_size = name.size;
    line->fields_at = decoder.at;
    if (err == WEIR_OK && count > 0)
        keep_tags(line, tags_at);
    return err;
}

/* Takes up a line that has the tags of the last one: the bytes up to the space after them are
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
    if (at == 0 || at > WEIR_LABELS_BYTES_MAX || text[0] == '#' || line->size - at <= tags + 1 ||
        text[at] != ',' || text[at + 1 + tags] != ' ' ||
        memcmp(text + at + 1, line->tags_text, tags) != 0)
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

/* Walks to field n, from the field after the last one asked for, or from the first where n is
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

/* The metric's name, after what the line's room holds: measurement_field, or the measurement alone
 * where the field is `value`. */
static enum weir_err
join_name(struct weir_line_labels *line, struct weir_slice field, size_t used)
{
    struct weir_label *name = &line->tags_list[line->name_at];
    size_t front = line->measurement_size, size = front + 1 + field.size;
    name->value = line->measurement;
    name->value_size = (uint16_t)front;
    if (field.size == 5 && memcmp(field.data, "value", 5) == 0)
        return WEIR_OK;
    if (size > WEIR_LABELS_BYTES_MAX || size > sizeof line->room - used)
        return weir_fail(WEIR_LIMIT, 0, "labels larger than %d bytes", WEIR_LABELS_BYTES_MAX);
    uint8_t *out = line->room + used;
    memcpy(out, line->measurement, front);
    out[front] = '_';
    memcpy(out + front + 1, field.data, field.size);
    name->value = out;
    name->value_size = (uint16_t)size;
    return WEIR_OK;
}

enum weir_err
weir_influx_labels(struct weir_line_labels *line, unsigned field, struct weir_label **labels,
    size_t *count)
{
    struct weir_slice key;
    size_t used = line->room_used;
    enum weir_err err = find_field(line, field, &key);
    if (err == WEIR_OK)
        err = plain_text(line, key, WEIR_INFLUX_KEY, &used, &key);
    if (err == WEIR_OK)
        err = join_name(line, key, used);
    *labels = line->tags_list;
    *count = line->tags_count;
    return err;
}

int
weir_influx_line_make(char *out, size_t room, uint64_t series, uint64_t value, int64_t time_ms)
{
    return snprintf(out, room,
        "weir_send,series=s%07" PRIu64 " value=%" PRIu64 " %" PRId64 "000000\n", series, value,
        time_ms);
}
