/* The labels of an Influx line: measurement and field make the name, tags the rest. */
#include "dataplane/influx_line.h"
#include "dataplane/parse.h"

#include <string.h>

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

/* Reads the tags into line->list, from index 1 on. */
static enum weir_err
read_tags(struct weir_line_labels *line, struct weir_influx_decoder *decoder)
{
    struct weir_slice key, value;
    enum weir_influx_result result;
    for (line->count = 1; (result = weir_influx_tag(decoder, &key, &value)) == WEIR_INFLUX_OK;
         line->count++) {
        if (line->count == WEIR_LABELS_COUNT_MAX)
            return weir_fail(WEIR_LIMIT, 0, "more than %d labels", WEIR_LABELS_COUNT_MAX);
        enum weir_err err = plain_text(line, key, WEIR_INFLUX_KEY, &line->room_used, &key);
        if (err == WEIR_OK)
            err = plain_text(line, value, WEIR_INFLUX_KEY, &line->room_used, &value);
        if (err != WEIR_OK)
            return err;
        line->list[line->count] = label(key, value);
    }
    if (result != WEIR_INFLUX_END)
        return weir_fail(WEIR_INVALID, 0, "not a line that the parser accepts");
    return WEIR_OK;
}

enum weir_err
weir_influx_labels_begin(struct weir_line_labels *line, const uint8_t *text, size_t size)
{
    struct weir_influx_decoder decoder = {.data = text, .size = size, .final = true};
    struct weir_slice name;
    line->text = text;
    line->size = size;
    line->room_used = 0;
    line->bytes_walked = 0;
    if (weir_influx_begin(&decoder) != WEIR_INFLUX_OK
        || weir_influx_measurement(&decoder, &name) != WEIR_INFLUX_OK)
        return weir_fail(WEIR_INVALID, 0, "not a line that the parser accepts");
    enum weir_err err =
        plain_text(line, name, WEIR_INFLUX_MEASUREMENT, &line->room_used, &name);
    if (err == WEIR_OK)
        err = read_tags(line, &decoder);
    line->measurement = name.data;
    line->measurement_size = name.size;
    line->fields_at = line->at = decoder.at;
    line->next = 0;
    line->bytes_walked = decoder.at;
    return err;
}

/* Walks to field n, from the field after the last one asked for, or from the first where n lies
 * before that. */
static enum weir_err
find_field(struct weir_line_labels *line, unsigned n, struct weir_influx_field *found)
{
    if (n < line->next) {
        line->at = line->fields_at;
        line->next = 0;
    }
    struct weir_influx_decoder decoder = {.data = line->text,
        .size = line->size,
        .at = line->at,
        .final = true,
        .section = WEIR_INFLUX_IN_FIELDS};
    for (; line->next <= n; line->next++)
        if (weir_influx_field(&decoder, found) != WEIR_INFLUX_OK)
            return weir_fail(WEIR_INVALID, 0, "no field %u", n);
    line->bytes_walked += decoder.at - line->at;
    line->at = decoder.at;
    return WEIR_OK;
}

/* The metric's name: measurement_field, or the measurement alone where the field is `value`.
 * It is laid into the room behind `used` bytes. */
static enum weir_err
metric_name(struct weir_line_labels *line, struct weir_slice field, size_t used,
    struct weir_slice *out)
{
    size_t front = line->measurement_size;
    *out = (struct weir_slice){line->measurement, front};
    if (field.size == 5 && memcmp(field.data, "value", 5) == 0)
        return WEIR_OK;
    if (front + 1 + field.size > sizeof line->room - used
        || front + 1 + field.size > WEIR_LABELS_BYTES_MAX)
        return weir_fail(WEIR_LIMIT, 0, "labels larger than %d bytes", WEIR_LABELS_BYTES_MAX);
    uint8_t *name = line->room + used;
    memcpy(name, line->measurement, front);
    name[front] = '_';
    memcpy(name + front + 1, field.data, field.size);
    *out = (struct weir_slice){name, front + 1 + field.size};
    return WEIR_OK;
}

enum weir_err
weir_influx_labels_field(struct weir_line_labels *line, unsigned field, uint8_t *labels,
    size_t *labels_size)
{
    static const char reserved[] = WEIR_NAME_LABEL;
    struct weir_influx_field found;
    struct weir_slice name;
    size_t used = line->room_used;
    enum weir_err err = find_field(line, field, &found);
    if (err == WEIR_OK)
        err = plain_text(line, found.key, WEIR_INFLUX_KEY, &used, &name);
    if (err == WEIR_OK)
        err = metric_name(line, name, used, &name);
    if (err != WEIR_OK)
        return err;
    /* Encoding sorts its list; the tags are wanted again for the next field. A tag of the
     * reserved name is a second one, which the encoding refuses. */
    memcpy(line->sorted, line->list, line->count * sizeof line->list[0]);
    line->sorted[0] = label((struct weir_slice){(const uint8_t *)reserved, sizeof reserved - 1},
        name);
    return weir_labels_encode(line->sorted, line->count, labels, labels_size);
}
