/* The labels of a put: its metric is the name, its tags are labels, all verbatim. */
#include "dataplane/protocol/opentsdb/line.h"
#include "dataplane/protocol/opentsdb/opentsdb.h"

#include <inttypes.h>
#include <stdio.h>

static struct weir_label
label(struct opentsdb_word name, struct opentsdb_word value)
{
    return (struct weir_label){name.data, value.data, (uint16_t)name.size, (uint16_t)value.size};
}

/* Also keeps each size within the 16 bits of a label. */
static bool
fits(struct opentsdb_word word)
{
    if (word.size <= WEIR_LABELS_BYTES_MAX)
        return true;
    (void)weir_fail(WEIR_LIMIT, 0, "labels larger than %d bytes", WEIR_LABELS_BYTES_MAX);
    return false;
}

/* A tag given twice with one value is one label. */
static bool
is_repeated(const struct weir_line_labels *line, size_t count, const struct weir_label *tag)
{
    for (size_t i = 1; i < count; i++) {
        const struct weir_label *known = &line->list[i];
        if (known->name_size == tag->name_size && known->value_size == tag->value_size &&
            memcmp(known->name, tag->name, tag->name_size) == 0 &&
            memcmp(known->value, tag->value, tag->value_size) == 0)
            return true;
    }
    return false;
}

enum weir_err
weir_opentsdb_labels_begin(struct weir_line_labels *line, const uint8_t *text, size_t size)
{
    line->text = text;
    line->size = size;
    line->bytes_walked = 0;
    return WEIR_OK;
}

enum weir_err
weir_opentsdb_labels(struct weir_line_labels *line, unsigned field, struct weir_label **labels,
    size_t *count)
{
    static const struct opentsdb_word metric = {
        (const uint8_t *)WEIR_NAME_LABEL, sizeof WEIR_NAME_LABEL - 1};
    const uint8_t *text = line->text;
    struct opentsdb_word word, name, value;
    size_t used = 1, at = 0, size = line->size;
    line->bytes_walked += size;
    (void)weir_opentsdb_word(text, size, &at); /* put */
    word = weir_opentsdb_word(text, size, &at);
    (void)weir_opentsdb_word(text, size, &at); /* the time */
    (void)weir_opentsdb_word(text, size, &at); /* the value */
    if (field != 0 || word.size == 0)
        return weir_fail(WEIR_INVALID, 0, "not a line that the parser accepts");
    if (!fits(word))
        return WEIR_LIMIT;
    line->list[0] = label(metric, word);
    while ((word = weir_opentsdb_word(text, size, &at)).size > 0) {
        if (!fits(word))
            return WEIR_LIMIT;
        if (!weir_opentsdb_tag(word, &name, &value))
            return weir_fail(WEIR_INVALID, 0, "not a line that the parser accepts");
        struct weir_label tag = label(name, value);
        if (is_repeated(line, used, &tag))
            continue;
        if (used == WEIR_LABELS_COUNT_MAX)
            return weir_fail(WEIR_LIMIT, 0, "more than %d tags", WEIR_TAGS_COUNT_MAX);
        line->list[used++] = tag;
    }
    *labels = line->list;
    *count = used;
    return WEIR_OK;
}

int
weir_opentsdb_line_make(char *out, size_t room, uint64_t series, uint64_t value, int64_t time_ms)
{
    return snprintf(out, room,
        "put weir.send %" PRId64 " %" PRIu64 " series=s%07" PRIu64 "\n", time_ms, value, series);
}
