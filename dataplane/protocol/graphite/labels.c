/* The labels of a Graphite line: those of its path, as carbon 1.1.7 reads it. A path of neither
 * form is the name, whole. */
#include "dataplane/protocol/graphite/graphite.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

struct token {
    const uint8_t *data;
    size_t size;
};

static struct weir_label
label(struct token name, struct token value)
{
    return (struct weir_label){name.data, value.data, (uint16_t)name.size, (uint16_t)value.size};
}

static bool
holds(struct token token, char byte)
{
    return memchr(token.data, byte, token.size) != NULL;
}

static bool
is_word(struct token token, const char *word)
{
    return token.size == strlen(word) && memcmp(token.data, word, token.size) == 0;
}

/* Carbon's rules for a tag. */
static bool
tag_valid(struct token tag, struct token value)
{
    return tag.size > 0 && value.size > 0 && !holds(tag, ';') && !holds(tag, '!') &&
        !holds(tag, '^') && !holds(value, ';') && value.data[0] != '~';
}

/* A name that carbon can use as a tag's value too. */
static bool
name_valid(struct token name)
{
    size_t at = 0;
    while (at < name.size && name.data[at] == '~')
        at++;
    return at < name.size;
}

/* Tags of a path that are taken. */
struct tags {
    struct weir_label *list; /* the first one is the name's */
    size_t count;
    bool over; /* more than fit */
};

/* Adds a tag. The last one of a name counts, and one called `name` does not. */
static void
add_tag(struct tags *tags, struct token tag, struct token value)
{
    if (is_word(tag, "name"))
        return;
    for (size_t i = 1; i < tags->count; i++) {
        struct weir_label *known = &tags->list[i];
        if (known->name_size == tag.size && memcmp(known->name, tag.data, tag.size) == 0) {
            *known = label(tag, value);
            return;
        }
    }
    if (tags->count == WEIR_LABELS_COUNT_MAX)
        tags->over = true;
    else
        tags->list[tags->count++] = label(tag, value);
}

/* name;tag=value;... False where it is not of this form. */
static bool
read_carbon(struct token path, struct tags *tags, struct token *name)
{
    const uint8_t *end = path.data + path.size, *stop = memchr(path.data, ';', path.size);
    *name = (struct token){path.data, stop == NULL ? path.size : (size_t)(stop - path.data)};
    if (!name_valid(*name))
        return false;
    while (stop != NULL) {
        const uint8_t *start = stop + 1;
        stop = memchr(start, ';', (size_t)(end - start));
        size_t size = (size_t)((stop == NULL ? end : stop) - start);
        const uint8_t *equals = memchr(start, '=', size);
        if (equals == NULL)
            return false;
        struct token tag = {start, (size_t)(equals - start)};
        struct token value = {equals + 1, size - tag.size - 1};
        if (!tag_valid(tag, value))
            return false;
        add_tag(tags, tag, value);
    }
    return true;
}

/* The value at *at, after its quote; without escapes in room. False where no quote ends it. */
static bool
read_quoted(struct token path, size_t *at, uint8_t *room, size_t *room_used, struct token *value)
{
    *value = (struct token){room + *room_used, 0};
    for (; *at < path.size && path.data[*at] != '"'; ++*at) {
        if (path.data[*at] == '\\') {
            ++*at;
            if (*at == path.size || (path.data[*at] != '"' && path.data[*at] != '\\'))
                return false;
        }
        room[*room_used + value->size++] = path.data[*at];
    }
    *room_used += value->size;
    return (*at)++ < path.size;
}

/* name{tag="value",...}: the form of OpenMetrics. */
static bool
read_braces(struct weir_line_labels *line, struct token path, struct tags *tags,
    struct token *name)
{
    const uint8_t *brace = memchr(path.data, '{', path.size);
    size_t at = (size_t)(brace + 1 - path.data);
    path.size--; /* the closing brace */
    *name = (struct token){path.data, at - 1};
    if (!name_valid(*name) || memchr(path.data + at, '{', path.size - at) != NULL)
        return false;
    while (at < path.size) {
        const uint8_t *equals = memchr(path.data + at, '=', path.size - at);
        if (equals == NULL)
            return false;
        struct token tag = {path.data + at, (size_t)(equals - path.data) - at}, value;
        at += tag.size + 1;
        if (at == path.size || path.data[at++] != '"' ||
            !read_quoted(path, &at, line->room, &line->room_used, &value) ||
            !tag_valid(tag, value))
            return false;
        add_tag(tags, tag, value);
        if (at < path.size && path.data[at] == ':')
            at++; /* carbon reads a comma or a colon and a comma */
        if (at < path.size && path.data[at++] != ',')
            return false;
        if (at == path.size && path.data[at - 1] == ':')
            return false;
    }
    return true;
}

/* The one field has all the labels; begin only keeps the text. */
enum weir_err
weir_graphite_labels_begin(struct weir_line_labels *line, const uint8_t *text, size_t size)
{
    line->text = text;
    line->size = size;
    line->bytes_walked = 0;
    return WEIR_OK;
}

enum weir_err
weir_graphite_labels(struct weir_line_labels *line, unsigned field, struct weir_label **labels,
    size_t *count)
{
    static const struct token metric = {
        (const uint8_t *)WEIR_NAME_LABEL, sizeof WEIR_NAME_LABEL - 1};
    struct token path = {line->text, 0}, name;
    struct tags tags = {.list = line->list, .count = 1};
    while (path.size < line->size && path.data[path.size] != ' ' && path.data[path.size] != '\t')
        path.size++;
    line->bytes_walked += line->size;
    line->room_used = 0;
    if (field != 0 || path.size == 0)
        return weir_fail(WEIR_INVALID, 0, "not a line that the parser accepts");
    /* Also keeps each size within the 16 bits of a label. */
    if (path.size > WEIR_LABELS_BYTES_MAX)
        return weir_fail(WEIR_LIMIT, 0, "labels larger than %d bytes", WEIR_LABELS_BYTES_MAX);
    bool braces = path.size >= 2 && memcmp(path.data + path.size - 2, "\"}", 2) == 0 &&
        holds(path, '{');
    if (!(braces ? read_braces(line, path, &tags, &name) : read_carbon(path, &tags, &name))) {
        name = path;
        tags = (struct tags){.list = line->list, .count = 1};
    }
    if (tags.over)
        return weir_fail(WEIR_LIMIT, 0, "more than %d tags", WEIR_TAGS_COUNT_MAX);
    line->list[0] = label(metric, name);
    *labels = line->list;
    *count = tags.count;
    return WEIR_OK;
}

int
weir_graphite_line_make(char *out, size_t room, uint64_t series, uint64_t value, int64_t time_ms)
{
    return snprintf(out, room, "weir.send.s%07" PRIu64 " %" PRIu64 " %" PRId64 "\n", series, value,
        time_ms);
}
