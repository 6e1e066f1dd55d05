#include "tests/fuzz/twin.h"

#include <ctype.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define NOTHING (-1)

static int
peek(struct twin *twin)
{
    if (twin->at >= twin->limit)
        twin->over = true;
    return twin->over || twin->at >= twin->size ? NOTHING : twin->text[twin->at];
}

static bool
control(int c)
{
    return (c >= 0 && c < 32) || c == 127;
}

/* One UTF-8 sequence at text; its size, or 0. */
static size_t
one_rune(const uint8_t *text, size_t size)
{
    if (text[0] < 0x80)
        return 1;
    size_t bytes = (text[0] & 0xe0) == 0xc0 ? 2
        : (text[0] & 0xf0) == 0xe0          ? 3
        : (text[0] & 0xf8) == 0xf0          ? 4
                                            : 0;
    static const uint32_t least[5] = {0, 0, 0x80, 0x800, 0x10000};
    if (bytes == 0 || bytes > size)
        return 0;
    uint32_t rune = text[0] & (0xffu >> (bytes + 1));
    for (size_t i = 1; i < bytes; i++) {
        if (text[i] >> 6 != 2)
            return 0;
        rune = rune << 6 | (text[i] & 0x3f);
    }
    bool surrogate = rune >= 0xd800 && rune < 0xe000;
    return rune < least[bytes] || rune > 0x10ffff || surrogate ? 0 : bytes;
}

static bool
good_text(const uint8_t *text, size_t size)
{
    for (size_t at = 0; at < size;) {
        size_t step = one_rune(text + at, size - at);
        if (step == 0)
            return false;
        at += step;
    }
    return true;
}

/* Takes a token until one of stops; a backslash before one of escapable takes both. */
static size_t
token(struct twin *twin, const char *stops, bool stop_at_control, const char *escapable, bool *ok)
{
    size_t start = twin->at;
    for (;;) {
        int c = peek(twin);
        if (c == NOTHING)
            break;
        if (c == '\\') {
            twin->at++;
            int next = peek(twin);
            if (next > 0 && strchr(escapable, next) != NULL)
                twin->at++;
            continue;
        }
        if ((c != 0 && strchr(stops, c) != NULL) || (stop_at_control && control(c)))
            break;
        twin->at++;
    }
    *ok = good_text(twin->text + start, twin->at - start);
    return twin->at - start;
}

/* Newline, CR and newline, or the end of all. */
static bool
line_end(struct twin *twin)
{
    int c = peek(twin);
    if (c == '\r') {
        twin->at++;
        int next = peek(twin);
        if (next != NOTHING && next != '\n') {
            twin->at--;
            return false;
        }
        twin->at += next == '\n';
        return true;
    }
    if (c == '\n')
        twin->at++;
    return c == '\n' || c == NOTHING;
}

static void
spaces(struct twin *twin)
{
    while (peek(twin) == ' ')
        twin->at++;
}

static bool
white(int c)
{
    return c == ' ' || c == '\r' || c == '\n';
}

/* Comma that announces a tag: 1 taken, 0 not there, -1 bad. */
static int
tag_comma(struct twin *twin)
{
    if (peek(twin) != ',')
        return 0;
    twin->at++;
    int c = peek(twin);
    return c == NOTHING || white(c) ? -1 : 1;
}

/* -?digits to *out; 0 good, 1 no number, 2 out of range. */
static int
whole(const uint8_t *text, size_t size, bool sign_allowed, __int128 least, __int128 most,
    __int128 *out)
{
    bool negative = sign_allowed && size > 0 && text[0] == '-';
    __int128 value = 0;
    if (size == (size_t)negative)
        return 1;
    for (size_t i = negative; i < size; i++) {
        if (!isdigit(text[i]))
            return 1;
        if (value < ((__int128)1 << 100))
            value = value * 10 + (text[i] - '0');
    }
    *out = negative ? -value : value;
    return *out < least || *out > most ? 2 : 0;
}

double
twin_double(const uint8_t *text, size_t size)
{
    char *copy = malloc(size + 1);
    size_t used = 0;
    if (copy == NULL)
        abort();
    for (size_t i = 0; i < size; i++)
        if (text[i] != '_')
            copy[used++] = (char)text[i];
    copy[used] = '\0';
    double value = strtod(copy, NULL);
    free(copy);
    return value;
}

/* Is text a float as the reference reads it? */
static bool
float_shape(const uint8_t *text, size_t size)
{
    size_t at = size > 0 && text[0] == '-', digits = 0, points = 0;
    bool hex = size > at + 2 && text[at] == '0' && tolower(text[at + 1]) == 'x';
    at += hex ? 2 : 0;
    size_t first = at;
    for (; at < size; at++) {
        if (hex ? isxdigit(text[at]) : isdigit(text[at]))
            digits++;
        else if (text[at] == '.' && points == 0)
            points++;
        else if (text[at] != '_')
            break;
    }
    if (digits == 0)
        return false;
    bool exponent = at < size && tolower(text[at]) == (hex ? 'p' : 'e');
    if (exponent) {
        at++;
        at += at < size && (text[at] == '+' || text[at] == '-');
        if (at == size || !isdigit(text[at]))
            return false;
        while (at < size && (isdigit(text[at]) || text[at] == '_'))
            at++;
    }
    if (at != size || (hex && !exponent))
        return false;
    for (size_t i = first; i < size; i++) {
        if (text[i] != '_')
            continue;
        bool left = i == first ? hex : hex ? isxdigit(text[i - 1]) : isdigit(text[i - 1]);
        bool right = i + 1 < size && (hex ? isxdigit(text[i + 1]) : isdigit(text[i + 1]));
        if (!left || !right)
            return false;
    }
    return true;
}

/* Value of a token that is no string; false where it has none. */
static bool
value_of(const uint8_t *text, size_t size, double *out, bool *rounded)
{
    static const char *const truths[] = {"t", "T", "true", "True", "TRUE"};
    static const char *const lies[] = {"f", "F", "false", "False", "FALSE"};
    *rounded = false;
    if (size == 0)
        return false;
    for (int i = 0; i < 5; i++) {
        *out = strlen(truths[i]) == size && memcmp(text, truths[i], size) == 0;
        if (*out != 0 || (strlen(lies[i]) == size && memcmp(text, lies[i], size) == 0))
            return true;
    }
    if (!isdigit(text[0]) && text[0] != '-' && text[0] != '.')
        return false;
    __int128 number;
    const __int128 limit = (__int128)1 << 53;
    if (text[size - 1] == 'i' || text[size - 1] == 'u') {
        bool sign = text[size - 1] == 'i';
        if (whole(text, size - 1, sign, sign ? INT64_MIN : 0, sign ? INT64_MAX : UINT64_MAX,
                &number) != 0)
            return false;
        *rounded = number > limit || number < -limit;
        *out = (double)number;
        return true;
    }
    if (!float_shape(text, size))
        return false;
    *out = twin_double(text, size);
    return isfinite(*out);
}

static bool
time_of(const struct twin *twin, __int128 time, int64_t *ms)
{
    __int128 size = time < 0 ? -time : time, e = 100000000000;
    int unit = twin->time_unit;
    if (unit == WEIR_TIME_AUTO)
        unit = size < e                  ? WEIR_TIME_S
            : size < e * 1000            ? WEIR_TIME_MS
            : size < e * 1000 * 1000     ? WEIR_TIME_US
                                         : WEIR_TIME_NS;
    __int128 ns = time
        * (unit == WEIR_TIME_S ? 1000000000 : unit == WEIR_TIME_MS ? 1000000
            : unit == WEIR_TIME_US                                 ? 1000
                                                                   : 1);
    __int128 whole_ms = ns / 1000000;
    while (whole_ms * 1000000 > ns)
        whole_ms--;
    *ms = (int64_t)whole_ms;
    return whole_ms >= INT64_MIN && whole_ms <= INT64_MAX;
}

struct counts {
    uint64_t strings, rounded;
};

/* Fields from `at` on. True where the grammar takes them all; *more tells whether the line goes
 * on: with a time, or with what is behind a bad field. */
static bool
fields(struct twin *twin, struct twin_record *record, struct counts *counts, bool *more)
{
    for (unsigned field = 0;; field++) {
        bool ok;
        struct twin_point point = {.name = twin->at, .field = field};
        point.name_size = token(twin, ",= ", true, ",= ", &ok);
        if (!ok || point.name_size == 0 || peek(twin) != '=')
            return false;
        twin->at++;
        bool number = true, rounded = false;
        double value = 0;
        if (peek(twin) == '"') {
            twin->open = ++twin->at;
            token(twin, "\"", false, "\"\\nrt", &ok);
            if (peek(twin) != '"')
                return false;
            twin->at++;
            int behind = peek(twin);
            if (twin->over || (behind != NOTHING && behind != ',' && !white(behind)))
                return false;
            twin->open = 0;
            if (!ok)
                return false;
            counts->strings++;
            number = false;
        }
        size_t start = twin->at;
        while (number && peek(twin) != NOTHING && peek(twin) != ',' && !white(peek(twin)))
            twin->at++;
        if (number) {
            int c = start < twin->at ? twin->text[start] : 0;
            if (strchr("tTfF-.0123456789", c) == NULL || c == 0) {
                twin->at = start; /* refused where it begins */
                return false;
            }
        }
        size_t end = twin->at;
        int c = peek(twin);
        bool last = c != ',';
        if (c != ',' && c != NOTHING && !white(c))
            return false;
        *more = true;
        if (c == ',') {
            twin->at++;
        } else {
            spaces(twin);
            *more = !line_end(twin);
        }
        if (number) {
            if (!value_of(twin->text + start, end - start, &value, &rounded))
                return false;
            memcpy(&point.bits, &value, 8);
            counts->rounded += rounded;
            twin->points[twin->point_count + record->point_count++] = point;
        }
        if (last)
            return true;
    }
}

static bool
record_parts(struct twin *twin, struct twin_record *record, struct counts *counts, bool *more,
    bool *timed, int64_t *time_ms)
{
    bool ok;
    size_t size = token(twin, ", ", true, ", ", &ok);
    *more = true;
    if (!ok || size == 0 || twin->text[record->start] == '#')
        return false;
    int comma = tag_comma(twin);
    while (comma == 1) {
        size = token(twin, ",= ", true, ",= ", &ok);
        if (!ok || size == 0 || peek(twin) != '=')
            return false;
        twin->at++;
        size = token(twin, ",= ", true, ",= ", &ok);
        if (!ok || size == 0)
            return false;
        comma = tag_comma(twin);
    }
    if (comma < 0 || peek(twin) != ' ')
        return false;
    record->key_size = twin->at - record->start;
    spaces(twin);
    if (!fields(twin, record, counts, more))
        return false;
    if (!*more)
        return true;
    size_t start = twin->at;
    while (isdigit(peek(twin)) || peek(twin) == '-')
        twin->at++;
    size_t end = twin->at;
    if (peek(twin) != NOTHING && !white(peek(twin)))
        return false;
    spaces(twin);
    if (!line_end(twin))
        return false;
    *more = false;
    *timed = true;
    __int128 time;
    return whole(twin->text + start, end - start, true, INT64_MIN, INT64_MAX, &time) == 0
        && time_of(twin, time, time_ms);
}

static void
put_record(struct twin *twin, struct twin_record record, struct counts counts, int64_t time_ms)
{
    record.point_first = twin->point_count;
    if (record.reason == WEIR_REASON_NONE) {
        uint8_t late = time_ms < twin->time_min_ms ? WEIR_REASON_time_past
            : time_ms > twin->time_max_ms          ? WEIR_REASON_time_future
                                                   : WEIR_REASON_NONE;
        twin->rejected[WEIR_REASON_unsupported_type] += counts.strings;
        if (record.point_count == 0) {
            record.reason = WEIR_REASON_no_sample_accepted;
        } else if (late != WEIR_REASON_NONE) {
            twin->rejected[late] += record.point_count;
            record.reason = late;
        } else {
            twin->rounded += counts.rounded;
        }
    }
    if (record.reason != WEIR_REASON_NONE)
        record.point_count = 0;
    for (size_t i = 0; i < record.point_count; i++)
        twin->points[twin->point_count++].time_ms = time_ms;
    twin->records[twin->record_count++] = record;
}

static void
to_newline(struct twin *twin)
{
    while (peek(twin) != NOTHING && peek(twin) != '\n')
        twin->at++;
    twin->at += peek(twin) == '\n';
}

/* A string that nothing closed has hidden a newline: the line ends there after all. */
static bool
hidden_newline(struct twin *twin)
{
    size_t stop = twin->over ? twin->limit : twin->at;
    for (size_t i = twin->open; twin->open != 0 && i < stop; i++) {
        if (twin->text[i] == '\n') {
            twin->at = i + 1;
            twin->over = false;
            return true;
        }
    }
    return false;
}

/* Takes one line. */
static void
one_line(struct twin *twin)
{
    size_t start = twin->at;
    struct twin_record record = {.reason = WEIR_REASON_NONE};
    struct counts counts = {0};
    int64_t time_ms = twin->receive_ms;
    bool more = true, blank = false, timed = false;
    twin->over = false;
    twin->open = 0;
    twin->limit = twin->size - start > WEIR_LINE_MAX ? start + WEIR_LINE_MAX + 1 : SIZE_MAX;
    spaces(twin);
    record.start = twin->at;
    if (peek(twin) == '#') {
        while (peek(twin) != NOTHING && !control(peek(twin)))
            twin->at++;
        blank = line_end(twin);
        if (!blank)
            record.start = twin->at = start;
    } else if (peek(twin) == '\n' || peek(twin) == '\r' || peek(twin) == NOTHING) {
        blank = line_end(twin);
    }
    if (!blank && !record_parts(twin, &record, &counts, &more, &timed, &time_ms)) {
        record.reason = WEIR_REASON_bad_line;
        if (hidden_newline(twin))
            record.reason = WEIR_REASON_unclosed_string;
        else if (twin->open != 0 && twin->at == twin->size)
            record.reason = WEIR_REASON_unclosed_string;
        else if (more)
            to_newline(twin);
    }
    if (twin->over) {
        record = (struct twin_record){
            .start = start, .size = WEIR_LINE_MAX, .reason = WEIR_REASON_line_too_long};
        twin->at = start + WEIR_LINE_MAX;
        twin->limit = SIZE_MAX;
        twin->over = false;
        to_newline(twin);
        blank = false;
    } else {
        record.size = twin->at - record.start;
        bool ended = record.size > 0 && twin->text[twin->at - 1] == '\n';
        if (twin->stream && !ended && (record.reason != WEIR_REASON_NONE || !timed))
            record.reason = WEIR_REASON_cut_line;
        record.size -= ended;
        record.size -= record.size > 0 && twin->text[record.start + record.size - 1] == '\r';
    }
    if (!blank)
        put_record(twin, record, counts, time_ms);
}

void
twin_influx(struct twin *twin)
{
    while (twin->at < twin->size)
        one_line(twin);
}
