#include "dataplane/protocol/opentsdb/line.h"

#include "base/utf8.h"
#include "dataplane/protocol/common/time.h"
#include "model/sample.h"

#include <math.h>

static bool
is_word(struct opentsdb_word word, const char *text)
{
    return word.size == strlen(text) && memcmp(word.data, text, word.size) == 0;
}

struct opentsdb_word
weir_opentsdb_word(const uint8_t *text, size_t size, size_t *at)
{
    while (*at < size && text[*at] == ' ')
        (*at)++;
    const uint8_t *start = text + *at;
    const uint8_t *space = memchr(start, ' ', size - *at);
    size_t length = space == NULL ? size - *at : (size_t)(space - start);
    *at += length;
    return (struct opentsdb_word){start, length};
}

/* The value goes to the word's end, and may hold another equals sign. */
bool
weir_opentsdb_tag(struct opentsdb_word tag, struct opentsdb_word *name,
    struct opentsdb_word *value)
{
    const uint8_t *equals = memchr(tag.data, '=', tag.size);
    if (equals == NULL)
        return false;
    *name = (struct opentsdb_word){tag.data, (size_t)(equals - tag.data)};
    *value = (struct opentsdb_word){equals + 1, tag.size - name->size - 1};
    return name->size > 0 && value->size > 0;
}

bool
weir_opentsdb_is_put(const uint8_t *text, size_t size)
{
    size_t at = 0;
    return is_word(weir_opentsdb_word(text, size, &at), "put");
}

enum opentsdb_command
weir_opentsdb_command(const uint8_t *text, size_t size)
{
    static const char *const names[] = {[OPENTSDB_VERSION] = "version",
        [OPENTSDB_STATS] = "stats", [OPENTSDB_HELP] = "help", [OPENTSDB_EXIT] = "exit"};
    size_t at = 0;
    struct opentsdb_word word = weir_opentsdb_word(text, size, &at);
    for (size_t i = OPENTSDB_VERSION; i < sizeof names / sizeof names[0]; i++)
        if (is_word(word, names[i]))
            return (enum opentsdb_command)i;
    return OPENTSDB_NONE;
}

static bool
text_valid(struct opentsdb_word word)
{
    bool control = false;
    for (size_t i = 0; i < word.size; i++)
        control |= word.data[i] < 0x20 || word.data[i] == 0x7f;
    return !control && weir_utf8_valid(word.data, word.size);
}

/* The first three digits of a fraction of a second, in milliseconds. */
static bool
fraction_ms(const uint8_t *digits, size_t size, int64_t *ms)
{
    int64_t unit = 100;
    *ms = 0;
    for (size_t i = 0; i < size; i++, unit /= 10) {
        if (digits[i] < '0' || digits[i] > '9')
            return false;
        *ms += unit * (digits[i] - '0');
    }
    return size > 0;
}

/* A whole number above 0, with or without a fraction that counts where the unit is a second. */
static bool
read_time(struct opentsdb_word text, enum weir_time_unit unit, int64_t *time_ms)
{
    const uint8_t *point = memchr(text.data, '.', text.size);
    size_t whole = point == NULL ? text.size : (size_t)(point - text.data);
    uint64_t number;
    int64_t ms = 0;
    if (weir_uint_read(text.data, whole, &number) != WEIR_DECIMAL_OK || number == 0 ||
        number > INT64_MAX ||
        (point != NULL && !fraction_ms(point + 1, text.size - whole - 1, &ms)))
        return false;
    if (unit == WEIR_TIME_AUTO)
        unit = weir_time_unit_of((int64_t)number);
    return weir_time_ms((int64_t)number, unit, time_ms) &&
        !__builtin_add_overflow(*time_ms, unit == WEIR_TIME_S ? ms : 0, time_ms);
}

/* All tags to the line's end; *at is where it stopped. */
static bool
read_tags(const uint8_t *text, size_t size, size_t *at, struct opentsdb_word *tags)
{
    struct opentsdb_word name, value, word = weir_opentsdb_word(text, size, at);
    *tags = (struct opentsdb_word){word.data, 0};
    while (word.size > 0) {
        if (!weir_opentsdb_tag(word, &name, &value) || !text_valid(word)) {
            *at = (size_t)(word.data - text);
            return false;
        }
        tags->size = (size_t)(word.data + word.size - tags->data);
        word = weir_opentsdb_word(text, size, at);
    }
    return true;
}

bool
weir_opentsdb_put(const uint8_t *text, size_t size, enum weir_time_unit unit,
    struct opentsdb_put *out)
{
    size_t at = 0;
    (void)weir_opentsdb_word(text, size, &at); /* put */
    out->metric = weir_opentsdb_word(text, size, &at);
    out->refused_at = at - out->metric.size;
    if (out->metric.size == 0 || !text_valid(out->metric))
        return false;
    struct opentsdb_word word = weir_opentsdb_word(text, size, &at);
    out->refused_at = at - word.size;
    if (word.size == 0 || !read_time(word, unit, &out->time_ms))
        return false;
    word = weir_opentsdb_word(text, size, &at);
    out->refused_at = at - word.size;
    if (word.size == 0 || weir_decimal_read(word.data, word.size, &out->value) != WEIR_DECIMAL_OK)
        return false;
    bool good = read_tags(text, size, &at, &out->tags);
    out->refused_at = at;
    return good;
}
