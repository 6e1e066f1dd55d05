#include "tests/fuzz/twin.h"

#include <ctype.h>
#include <math.h>
#include <string.h>

#define WORDS_MAX (WEIR_LINE_MAX / 2 + 1)

struct word {
    size_t start, size; /* in the text */
};

static struct word words[WORDS_MAX];

static size_t
split_words(const uint8_t *text, size_t at, size_t end)
{
    size_t count = 0;
    while (at < end) {
        while (at < end && text[at] == ' ')
            at++;
        size_t start = at;
        while (at < end && text[at] != ' ')
            at++;
        if (at > start)
            words[count++] = (struct word){start, at - start};
    }
    return count;
}

static bool
is_text(const uint8_t *text, struct word word)
{
    for (size_t i = 0; i < word.size; i++)
        if (text[word.start + i] < ' ' || text[word.start + i] == 127)
            return false;
    return twin_is_utf8(text + word.start, word.size);
}

static bool
is_tag(const uint8_t *text, struct word word)
{
    size_t equals = 0;
    while (equals < word.size && text[word.start + equals] != '=')
        equals++;
    return equals > 0 && equals + 1 < word.size && is_text(text, word);
}

/* digits or digits.digits, above 0, to milliseconds */
static bool
time_of(const struct twin *twin, struct word word, int64_t *ms)
{
    unsigned __int128 whole = 0, limit = (unsigned __int128)1 << 63, e = 100000000000u;
    const uint8_t *text = twin->text + word.start;
    size_t i = 0, behind = 0;
    unsigned fraction = 0, unit = 100;
    for (; i < word.size && isdigit(text[i]); i++)
        whole = whole < limit ? whole * 10 + (text[i] - '0') : whole;
    if (i == 0 || whole == 0 || whole >= limit)
        return false;
    if (i < word.size && text[i] == '.')
        for (i++; i < word.size && isdigit(text[i]); i++, behind++, unit /= 10)
            fraction += unit * (unsigned)(text[i] - '0');
    if (i < word.size || text[word.size - 1] == '.')
        return false;
    int kind = twin->time_unit;
    if (kind == WEIR_TIME_AUTO)
        kind = whole < e              ? WEIR_TIME_S
            : whole < e * 1000        ? WEIR_TIME_MS
            : whole < e * 1000 * 1000 ? WEIR_TIME_US
                                      : WEIR_TIME_NS;
    if (kind == WEIR_TIME_S)
        whole = whole * 1000 + fraction;
    else if (kind == WEIR_TIME_US)
        whole /= 1000;
    else if (kind == WEIR_TIME_NS)
        whole /= 1000000;
    *ms = (int64_t)whole;
    return whole < limit;
}

static uint8_t
command_of(const uint8_t *text, struct word word)
{
    static const char *const names[] = {"version", "stats", "help", "exit"};
    for (uint8_t i = 0; i < 4; i++)
        if (strlen(names[i]) == word.size && memcmp(names[i], text + word.start, word.size) == 0)
            return i + 1;
    return 0;
}

/* A put of its words; false where the grammar refuses it. */
static bool
put(struct twin *twin, struct twin_record *record, size_t count)
{
    const uint8_t *text = twin->text;
    int64_t time_ms;
    if (count < 4 || words[0].size != 3 || memcmp(text + words[0].start, "put", 3) != 0 ||
        !is_text(text, words[1]) || !time_of(twin, words[2], &time_ms) ||
        !twin_is_decimal(text + words[3].start, words[3].size))
        return false;
    double value = twin_double(text + words[3].start, words[3].size);
    for (size_t i = 4; i < count; i++)
        if (!is_tag(text, words[i]))
            return false;
    if (isinf(value))
        return false;
    if (time_ms < twin->time_min_ms || time_ms > twin->time_max_ms) {
        record->reason =
            time_ms < twin->time_min_ms ? WEIR_REASON_time_past : WEIR_REASON_time_future;
        twin->rejected[record->reason]++;
        return true;
    }
    struct twin_point *point = &twin->points[twin->point_count++];
    *point = (struct twin_point){.time_ms = time_ms};
    if (count > 4) {
        point->name = words[4].start;
        point->name_size = words[count - 1].start + words[count - 1].size - words[4].start;
    }
    memcpy(&point->bits, &value, 8);
    record->key_size = words[1].start + words[1].size - record->start;
    record->point_count = 1;
    return true;
}

/* False where nothing after it is read. */
static bool
one_line(struct twin *twin, size_t start, size_t end, bool newline)
{
    struct twin_record record = {
        .start = start, .reason = WEIR_REASON_NONE, .point_first = twin->point_count};
    if (end - start > WEIR_LINE_MAX) {
        record.size = WEIR_LINE_MAX;
        record.reason = WEIR_REASON_line_too_long;
        twin->records[twin->record_count++] = record;
        return true;
    }
    if (end > start && twin->text[end - 1] == '\r')
        end--;
    size_t count = split_words(twin->text, start, end);
    if (count == 0)
        return true;
    record.start = words[0].start;
    record.size = end - record.start;
    if (twin->stream && !newline)
        record.reason = WEIR_REASON_cut_line;
    else if ((record.command = command_of(twin->text, words[0])) == 0 &&
             !put(twin, &record, count))
        record.reason = WEIR_REASON_bad_line;
    twin->records[twin->record_count++] = record;
    return !twin->stream || record.command != 4;
}

void
twin_opentsdb(struct twin *twin)
{
    size_t start = 0;
    for (size_t i = 0; i < twin->size; i++) {
        if (twin->text[i] != '\n')
            continue;
        if (!one_line(twin, start, i, true))
            return;
        start = i + 1;
    }
    if (start < twin->size)
        one_line(twin, start, twin->size, false);
}
