/* Lines to points and series. */
#include "app/cli/send/points.h"

#include "model/sample.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* Room for one more element; false where there is no memory. */
static bool
make_room(void **array, uint32_t count, uint32_t *room, size_t element)
{
    if (count < *room)
        return true;
    uint32_t larger = *room == 0 ? 1024 : *room * 2;
    void *grown = realloc(*array, larger * element);
    if (grown == NULL)
        return false;
    *array = grown;
    *room = larger;
    return true;
}

static uint32_t *
slot_of(struct weir_send_points *points, struct weir_hash128 raw)
{
    for (uint64_t at = raw.lo;; at++) {
        uint32_t *slot = &points->slots[at & (points->slot_count - 1)];
        if (*slot == 0 || (points->series[*slot - 1].raw.lo == raw.lo &&
                              points->series[*slot - 1].raw.hi == raw.hi))
            return slot;
    }
}

static enum weir_err
grow_slots(struct weir_send_points *points)
{
    uint32_t larger = points->slot_count == 0 ? 4096 : points->slot_count * 2;
    uint32_t *slots = calloc(larger, sizeof *slots);
    if (slots == NULL)
        return weir_fail(WEIR_NOMEM, 0, "series");
    free(points->slots);
    points->slots = slots;
    points->slot_count = larger;
    for (uint32_t i = 0; i < points->series_count; i++)
        *slot_of(points, points->series[i].raw) = i + 1;
    return WEIR_OK;
}

/* Keeps the labels of a new series for its template. WEIR_INVALID where there can be none. */
static enum weir_err
keep_labels(struct weir_send_points *points, const struct weir_record *record,
    const struct weir_point *point)
{
    uint8_t labels[WEIR_LABELS_BYTES_MAX];
    size_t size;
    if (points->line.text != record->text)
        points->line_begun =
            points->records.protocol->labels_begin(&points->line, record->text, record->size);
    if (points->line_begun != WEIR_OK)
        return WEIR_INVALID; /* every field of the line */
    if (weir_protocol_labels(points->records.protocol, &points->line, point->field, labels,
            &size) !=
        WEIR_OK)
        return WEIR_INVALID;
    size_t at = 0;
    struct weir_label label;
    while (weir_labels_next(labels, size, &at, &label) == WEIR_OK) /* the client takes strings */
        if (memchr(label.name, 0, label.name_size) || memchr(label.value, 0, label.value_size))
            return WEIR_INVALID;
    while (points->labels_room - points->labels_used < size + 4) {
        uint8_t *grown = realloc(points->labels, points->labels_room * 2 + WEIR_SEND_BLOCK_BYTES);
        if (grown == NULL)
            return weir_fail(WEIR_NOMEM, 0, "labels");
        points->labels = grown;
        points->labels_room = points->labels_room * 2 + WEIR_SEND_BLOCK_BYTES;
    }
    return weir_definition_append(points->labels, points->labels_room, &points->labels_used, labels,
        size);
}

/* The series of a point; enters it where it is new. */
static enum weir_err
find_series(struct weir_send_points *points, const struct weir_record *record,
    const struct weir_point *point, uint32_t *out)
{
    if (points->series_count >= points->slot_count / 2) {
        enum weir_err err = grow_slots(points);
        if (err != WEIR_OK)
            return err;
    }
    uint32_t *slot = slot_of(points, point->raw);
    if (*slot == 0) {
        if (!make_room((void **)&points->series, points->series_count, &points->series_room,
                sizeof *points->series))
            return weir_fail(WEIR_NOMEM, 0, "series");
        enum weir_err err = keep_labels(points, record, point);
        if (err != WEIR_OK)
            return err;
        points->series[points->series_count] = (struct weir_send_series){.raw = point->raw};
        *slot = ++points->series_count;
    }
    *out = *slot - 1;
    return WEIR_OK;
}

static enum weir_err
add_record(void *context, const struct weir_record *record)
{
    struct weir_send_points *points = context;
    if (record->reason != WEIR_REASON_NONE) {
        weir_send_records_report(&points->records, record, weir_reason_names[record->reason]);
        return WEIR_OK;
    }
    for (uint32_t i = 0; i < record->point_count; i++) {
        const struct weir_point *point = &points->records.parsed.points[record->point_first + i];
        uint32_t series;
        enum weir_err err = find_series(points, record, point, &series);
        if (err == WEIR_INVALID) {
            weir_send_records_report(&points->records, record,
                weir_reason_names[WEIR_REASON_bad_labels]);
            continue;
        }
        if (err != WEIR_OK)
            return err;
        if (!make_room((void **)&points->points, points->count, &points->room,
                sizeof *points->points))
            return weir_fail(WEIR_NOMEM, 0, "points");
        struct weir_sample sample = {weir_sample_key(0, point->kind, point->exponent),
            point->time_ms, point->value};
        points->points[points->count] = (struct weir_send_point){.time_ms = point->time_ms,
            .value = weir_sample_double(&sample),
            .series = series,
            .order = points->count};
        points->count++;
    }
    points->lines += record->point_count > 0;
    return WEIR_OK;
}

void
weir_send_points_init(struct weir_send_points *points, const uint8_t *seed,
    const struct weir_protocol *protocol)
{
    weir_send_records_init(&points->records, seed, protocol);
}

void
weir_send_points_fini(struct weir_send_points *points)
{
    free(points->series);
    free(points->slots);
    free(points->labels);
    free(points->points);
}

enum weir_err
weir_send_points_read(struct weir_send_points *points, struct weir_send_source *source,
    bool *final)
{
    points->line.text = NULL; /* it lay in the last block */
    return weir_send_records_read(&points->records, source, add_record, points, final);
}
