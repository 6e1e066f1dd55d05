#include "controlplane/api/answer.h"

#include "base/double_text.h"

#include <inttypes.h>
#include <string.h>

/* [-9223372036854775.808,"-2.2250738585072014e-308"], a comma, and what is copied too much */
#define POINT_MAX 80

void
weir_answer_begin(struct weir_answer_cursor *cursor, const struct weir_promql_answer *answer,
    const struct weir_answer_options *options)
{
    *cursor = (struct weir_answer_cursor){.answer = answer, .options = options};
}

/* Seconds, with three decimals unless they are whole. */
static char *
put_time(char *out, int64_t time_ms)
{
    char digits[24];
    uint64_t ms = time_ms < 0 ? -(uint64_t)time_ms : (uint64_t)time_ms;
    uint64_t seconds = ms / 1000;
    unsigned rest = (unsigned)(ms % 1000);
    size_t at = sizeof digits;
    do
        digits[--at] = (char)('0' + seconds % 10);
    while ((seconds /= 10) != 0);
    if (time_ms < 0)
        *out++ = '-';
    memcpy(out, digits + at, sizeof digits - at);
    out += sizeof digits - at;
    if (rest != 0) {
        *out++ = '.';
        *out++ = (char)('0' + rest / 100);
        *out++ = (char)('0' + rest / 10 % 10);
        *out++ = (char)('0' + rest % 10);
    }
    return out;
}

static char *
put_pair(char *out, unsigned value)
{
    out[0] = (char)('0' + value / 10);
    out[1] = (char)('0' + value % 10);
    return out + 2;
}

/* The same. Points are close to each other: all but the last four digits of their seconds are those
 * of the point before. */
static char *
put_next_time(struct weir_answer_digits *digits, char *out, int64_t time_ms)
{
    int64_t seconds = time_ms / 1000, upper = seconds / 10000;
    unsigned rest = (unsigned)(time_ms % 1000), lower = (unsigned)(seconds % 10000);
    if (upper <= 0)
        return put_time(out, time_ms);
    if (upper != digits->upper) {
        digits->upper = upper;
        digits->size = (uint32_t)(put_time(digits->text, upper * 1000) - digits->text);
    }
    memcpy(out, digits->text, sizeof digits->text); /* of one size: faster than its own */
    out = put_pair(out + digits->size, lower / 100);
    out = put_pair(out, lower % 100);
    if (rest == 0)
        return out;
    *out++ = '.';
    *out++ = (char)('0' + rest / 100);
    return put_pair(out, rest % 100);
}

/* [SECONDS,"VALUE"] */
static void
put_point(struct weir_text *text, struct weir_answer_digits *digits, bool more, int64_t time_ms,
    double value)
{
    char *room = weir_text_room(text, POINT_MAX);
    if (room == NULL)
        return;
    char *at = room;
    if (more)
        *at++ = ',';
    *at++ = '[';
    at = put_next_time(digits, at, time_ms);
    *at++ = ',';
    *at++ = '"';
    at += weir_double_text(value, WEIR_DOUBLE_JSON, at);
    *at++ = '"';
    *at++ = ']';
    text->size += (size_t)(at - room);
}

static void
put_labels(struct weir_text *text, const struct weir_promql_labelset *labels)
{
    weir_text_puts(text, "{");
    for (uint32_t i = 0; i < labels->count; i++) {
        const struct weir_promql_label *label = &labels->labels[i];
        weir_text_append(text, ",", i > 0);
        weir_json_string(text, label->name.data, label->name.size);
        weir_text_append(text, ":", 1);
        weir_json_string(text, label->value.data, label->value.size);
    }
    weir_text_puts(text, "}");
}

static void
put_head(struct weir_answer_cursor *cursor, struct weir_text *text)
{
    static const char *const types[] = {[WEIR_PROMQL_TYPE_SCALAR] = "scalar",
        [WEIR_PROMQL_TYPE_VECTOR] = "vector", [WEIR_PROMQL_TYPE_MATRIX] = "matrix",
        [WEIR_PROMQL_TYPE_STRING] = "string"};
    const struct weir_promql_answer *answer = cursor->answer;
    weir_text_format(text, "{\"status\":\"success\",\"data\":{\"resultType\":\"%s\",\"result\":",
        types[answer->type]);
    if (answer->type == WEIR_PROMQL_TYPE_SCALAR) {
        put_point(text, &cursor->digits, false, answer->grid.start_ms, answer->scalar);
    } else if (answer->type == WEIR_PROMQL_TYPE_STRING) {
        char time[32];
        weir_text_append(text, "[", 1);
        weir_text_append(text, time, (size_t)(put_time(time, answer->grid.start_ms) - time));
        weir_text_append(text, ",", 1);
        weir_json_string(text, answer->string.data, answer->string.size);
        weir_text_append(text, "]", 1);
    } else {
        weir_text_append(text, "[", 1);
    }
    cursor->open = true;
}

/* Warnings, or infos: the first ten, and how many more there are. */
static void
put_notes(const struct weir_answer_cursor *cursor, struct weir_text *text, bool infos)
{
    uint32_t shown = 0, left = 0;
    for (const struct weir_promql_annotation *note = cursor->answer->annotations; note != NULL;
         note = note->next) {
        if (note->is_info != infos)
            continue;
        if (shown == WEIR_ANSWER_NOTES_MAX) {
            left++;
            continue;
        }
        weir_text_puts(text, shown++ > 0 ? "," : infos ? ",\"infos\":[" : ",\"warnings\":[");
        weir_json_string(text, note->text, strlen(note->text));
    }
    if (left > 0)
        weir_text_format(text, ",\"%" PRIu32 " more %s annotations omitted\"", left,
            infos ? "info" : "warning");
    const char *const *own = cursor->options->warnings;
    for (int i = 0; i < 3 && !infos; i++) {
        if (own[i] == NULL || own[i][0] == '\0')
            continue;
        weir_text_puts(text, shown++ > 0 ? "," : ",\"warnings\":[");
        weir_json_string(text, own[i], strlen(own[i]));
    }
    weir_text_puts(text, shown > 0 ? "]" : "");
}

static void
put_stats(const struct weir_answer_cursor *cursor, struct weir_text *text)
{
    const struct weir_answer_options *options = cursor->options;
    weir_text_format(text,
        ",\"stats\":{\"timings\":{\"evalTotalTime\":%.9f,\"execQueueTime\":%.9f,"
        "\"execTotalTime\":%.9f},\"samples\":{\"totalQueryableSamples\":%" PRIu64
        "},\"memory\":{\"arenaBytes\":%zu}}",
        options->seconds, options->seconds_waited, options->seconds + options->seconds_waited,
        cursor->answer->samples_read, options->memory);
}

static void
put_tail(const struct weir_answer_cursor *cursor, struct weir_text *text)
{
    bool list = cursor->answer->type == WEIR_PROMQL_TYPE_VECTOR ||
        cursor->answer->type == WEIR_PROMQL_TYPE_MATRIX;
    weir_text_puts(text, list ? "]" : "");
    if (cursor->options->stats)
        put_stats(cursor, text);
    weir_text_puts(text, "}");
    put_notes(cursor, text, false);
    put_notes(cursor, text, true);
    weir_text_puts(text, "}\n");
}

static bool
has_value(const struct weir_promql_result *result, uint32_t at)
{
    return result->present == NULL || weir_promql_bit(result->present, at);
}

static bool
is_empty(const struct weir_promql_result *result)
{
    return result->present == NULL ? result->count == 0
                                   : !weir_promql_bits_any(result->present, result->count);
}

static void
open_result(struct weir_answer_cursor *cursor, struct weir_text *text,
    const struct weir_promql_result *result)
{
    weir_text_puts(text, cursor->any_result ? ",{\"metric\":" : "{\"metric\":");
    put_labels(text, result->labels);
    weir_text_puts(text,
        cursor->answer->type == WEIR_PROMQL_TYPE_VECTOR ? ",\"value\":" : ",\"values\":[");
    cursor->any_result = cursor->in_result = true;
    cursor->any_point = false;
}

/* Points of a series from cursor->point on, at most until text has size bytes. */
static void
put_points(struct weir_answer_cursor *cursor, struct weir_text *text, size_t size,
    const struct weir_promql_result *result)
{
    const struct weir_promql_grid *grid = &cursor->answer->grid;
    while (cursor->point < result->count && text->size < size && !text->full) {
        uint32_t at = cursor->point++;
        if (!has_value(result, at))
            continue;
        int64_t time_ms =
            result->times_ms != NULL ? result->times_ms[at] : weir_promql_grid_time(grid, at);
        put_point(text, &cursor->digits, cursor->any_point, time_ms, result->values[at]);
        cursor->any_point = true;
    }
}

/* A series, or as much of it as there is room for. */
static void
put_result(struct weir_answer_cursor *cursor, struct weir_text *text, size_t size)
{
    const struct weir_promql_result *result = &cursor->answer->results[cursor->result];
    bool vector = cursor->answer->type == WEIR_PROMQL_TYPE_VECTOR;
    if (!cursor->in_result && is_empty(result)) {
        cursor->result++;
        return;
    }
    if (!cursor->in_result)
        open_result(cursor, text, result);
    put_points(cursor, text, size, result);
    if (cursor->point < result->count)
        return;
    weir_text_puts(text, vector ? "}" : "]}");
    cursor->point = 0;
    cursor->in_result = false;
    cursor->result++;
}

bool
weir_answer_next(struct weir_answer_cursor *cursor, struct weir_text *text, size_t size)
{
    const struct weir_promql_answer *answer = cursor->answer;
    uint32_t limit = cursor->options->series_max, count = answer->result_count;
    if (answer->type != WEIR_PROMQL_TYPE_VECTOR && answer->type != WEIR_PROMQL_TYPE_MATRIX)
        count = 0;
    if (limit > 0 && count > limit)
        count = limit;
    if (!cursor->open)
        put_head(cursor, text);
    while (cursor->result < count && text->size < size && !text->full)
        put_result(cursor, text, size);
    if (cursor->result < count && !text->full)
        return false;
    put_tail(cursor, text);
    return true;
}
