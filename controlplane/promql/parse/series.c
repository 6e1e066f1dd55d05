#include "controlplane/promql/parse/series.h"
#include "controlplane/promql/parse/parser.h"

#include <string.h>
#include <strings.h>

struct reader {
    struct weir_promql_parser parser; /* of the labels; holds arena and errors */
    const char *text;
    size_t size, at;
};

static char
look(const struct reader *reader)
{
    return reader->at < reader->size ? reader->text[reader->at] : '\0';
}

static bool
fail(struct reader *reader, const char *message)
{
    if (reader->parser.error_count == 0)
        weir_promql_error(&reader->parser,
            (struct weir_promql_range){(int32_t)reader->at, (int32_t)reader->size}, message);
    return false;
}

static bool
accept(struct reader *reader, const char *word)
{
    size_t size = strlen(word);
    if (reader->size - reader->at < size || memcmp(reader->text + reader->at, word, size) != 0)
        return false;
    reader->at += size;
    return true;
}

static bool
is_blank(char c)
{
    return c == ' ' || c == '\t';
}

/* Inf or NaN in any case. */
static bool
accept_special(struct reader *reader)
{
    const char *at = reader->text + reader->at;
    if (reader->size - reader->at < 3
        || (strncasecmp(at, "inf", 3) != 0 && strncasecmp(at, "nan", 3) != 0))
        return false;
    reader->at += 3;
    return true;
}

static void
pass_blanks(struct reader *reader)
{
    while (is_blank(look(reader)))
        reader->at++;
}

static bool
is_name(char c, bool first)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || c == ':'
        || (!first && c >= '0' && c <= '9');
}

static bool
is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* A number with or without a sign; digits, a fraction, an exponent, or Inf and NaN. */
static bool
number(struct reader *reader, double *out)
{
    bool negative = look(reader) == '-';
    if (negative || look(reader) == '+')
        reader->at++;
    size_t begin = reader->at;
    if (!accept_special(reader)) {
        while (is_digit(look(reader)) || look(reader) == '.' || look(reader) == '_')
            reader->at++;
        if (reader->at > begin && (look(reader) == 'e' || look(reader) == 'E')) {
            reader->at++;
            if (look(reader) == '-' || look(reader) == '+')
                reader->at++;
            while (is_digit(look(reader)))
                reader->at++;
        }
    }
    struct weir_promql_text token = {reader->text + begin, (uint32_t)(reader->at - begin)};
    const char *problem;
    if (token.size == 0 || strchr("_+-", token.data[token.size - 1]) != NULL)
        return fail(reader, "number expected");
    if (weir_promql_number(reader->parser.arena, token, out, &problem) != WEIR_OK) {
        reader->parser.stopped = WEIR_NOMEM;
        return false;
    }
    if (problem != NULL)
        return fail(reader, problem);
    if (negative)
        *out = -*out;
    return true;
}

static bool
natural(struct reader *reader, uint64_t *out)
{
    *out = 0;
    if (!is_digit(look(reader)))
        return fail(reader, "count expected");
    for (; is_digit(look(reader)); reader->at++)
        if (__builtin_mul_overflow(*out, 10, out)
            || __builtin_add_overflow(*out, (uint64_t)(look(reader) - '0'), out)
            || *out > UINT32_MAX)
            return fail(reader, "count is too large");
    return true;
}

static bool
whole(struct reader *reader, int32_t *out)
{
    bool negative = accept(reader, "-");
    uint64_t value;
    if (!natural(reader, &value))
        return false;
    if (value > INT32_MAX)
        return fail(reader, "count is too large");
    *out = negative ? -(int32_t)value : (int32_t)value;
    return true;
}

/* [1 2 3] */
static bool
doubles(struct reader *reader, struct weir_promql_doubles *out)
{
    uint32_t room = 0;
    if (!accept(reader, "["))
        return fail(reader, "'[' expected");
    for (pass_blanks(reader); !accept(reader, "]"); pass_blanks(reader)) {
        if (out->count == room) {
            room = room == 0 ? 8 : 2 * room;
            double *more = weir_promql_alloc(&reader->parser, room * sizeof *more);
            if (more == NULL)
                return false;
            if (out->count > 0)
                memcpy(more, out->values, out->count * sizeof *more);
            out->values = more;
        }
        if (!number(reader, &out->values[out->count++]))
            return false;
    }
    return true;
}

static bool
hint(struct reader *reader, enum weir_promql_reset_hint *out)
{
    static const char *const names[] = {"", "unknown", "reset", "not_reset", "gauge"};
    for (unsigned i = 1; i < sizeof names / sizeof names[0]; i++)
        if (accept(reader, names[i])) {
            *out = (enum weir_promql_reset_hint)i;
            return true;
        }
    return fail(reader, "unknown counter reset hint");
}

/* One key with its value. */
static bool
descriptor(struct reader *reader, struct weir_promql_histogram *out, uint32_t *seen)
{
    static const char *const keys[] = {"schema:", "sum:", "count:", "z_bucket:", "z_bucket_w:",
        "buckets:", "offset:", "n_buckets:", "n_offset:", "custom_values:", "counter_reset_hint:"};
    unsigned key = 0;
    while (key < sizeof keys / sizeof keys[0] && !accept(reader, keys[key]))
        key++;
    if (key == sizeof keys / sizeof keys[0])
        return fail(reader, "unknown key of a histogram");
    if (*seen & 1U << key)
        return fail(reader, "duplicate key of a histogram");
    *seen |= 1U << key;
    switch (key) {
    case 0:
        return whole(reader, &out->schema);
    case 1:
        return number(reader, &out->sum);
    case 2:
        return number(reader, &out->count);
    case 3:
        return number(reader, &out->zero_count);
    case 4:
        return number(reader, &out->zero_width);
    case 5:
        return doubles(reader, &out->buckets);
    case 6:
        return whole(reader, &out->offset);
    case 7:
        return doubles(reader, &out->negative_buckets);
    case 8:
        return whole(reader, &out->negative_offset);
    case 9:
        return doubles(reader, &out->custom_values);
    default:
        return hint(reader, &out->hint);
    }
}

static const struct weir_promql_histogram *
histogram(struct reader *reader)
{
    uint32_t seen = 0;
    struct weir_promql_histogram *out = weir_promql_alloc(&reader->parser, sizeof *out);
    if (out == NULL)
        return NULL;
    if (!accept(reader, "{{")) {
        (void)fail(reader, "'{{' expected");
        return NULL;
    }
    for (pass_blanks(reader); !accept(reader, "}}"); pass_blanks(reader))
        if (!descriptor(reader, out, &seen))
            return NULL;
    return out;
}

/* xN; one point where there is none. */
static bool
times(struct reader *reader, uint64_t extra, uint64_t *count)
{
    *count = 1;
    if (!accept(reader, "x"))
        return true;
    if (!natural(reader, count))
        return false;
    *count += extra;
    return true;
}

static bool
histogram_points(struct reader *reader, struct weir_promql_points *out)
{
    out->kind = WEIR_PROMQL_POINT_HISTOGRAM;
    if ((out->histogram = histogram(reader)) == NULL)
        return false;
    if (look(reader) == '+' || look(reader) == '-') {
        out->subtracts = look(reader) == '-';
        reader->at++;
        if ((out->change = histogram(reader)) == NULL)
            return false;
        if (look(reader) != 'x')
            return fail(reader, "'x' expected");
    }
    return times(reader, 1, &out->count);
}

static bool
value_points(struct reader *reader, struct weir_promql_points *out)
{
    out->kind = WEIR_PROMQL_POINT_VALUE;
    if (!number(reader, &out->value))
        return false;
    if (look(reader) == '+' || look(reader) == '-') {
        if (!number(reader, &out->step))
            return false;
        if (look(reader) != 'x')
            return fail(reader, "'x' expected");
    }
    return times(reader, 1, &out->count);
}

static bool
points(struct reader *reader, struct weir_promql_points *out)
{
    if (look(reader) == '{')
        return histogram_points(reader, out);
    if (accept(reader, "_"))
        return times(reader, 0, &out->count);
    if (accept(reader, "stale")) {
        out->kind = WEIR_PROMQL_POINT_STALE;
        out->count = 1;
        return true;
    }
    return value_points(reader, out);
}

static bool
all_points(struct reader *reader, struct weir_promql_series *out)
{
    uint32_t room = 0;
    for (pass_blanks(reader); reader->at < reader->size; pass_blanks(reader)) {
        if (out->count == room) {
            room = room == 0 ? 8 : 2 * room;
            struct weir_promql_points *more = weir_promql_alloc(&reader->parser,
                room * sizeof *more);
            if (more == NULL)
                return false;
            if (out->count > 0)
                memcpy(more, out->points, out->count * sizeof *more);
            out->points = more;
        }
        if (!points(reader, &out->points[out->count++]))
            return false;
        if (reader->at < reader->size && !is_blank(look(reader)))
            return fail(reader, "blank expected");
    }
    return true;
}

/* Name and labels; they are read as a selector, whose matchers must all be equalities. */
static bool
metric(struct reader *reader, struct weir_promql_series *out)
{
    struct weir_promql_parser *parser = &reader->parser;
    struct weir_promql_item name = {.kind = WEIR_PROMQL_METRIC_IDENTIFIER,
        .text.data = reader->text};
    while (is_name(look(reader), reader->at == 0))
        reader->at++;
    name.text.size = (uint32_t)reader->at;
    name.at.end = (int32_t)reader->at;
    bool braces = look(reader) == '{';
    /* without braces the selector ends with its name */
    weir_promql_lexer_init(&parser->lexer, parser->arena, reader->text,
        braces ? reader->size : reader->at);
    parser->lexer.start = parser->lexer.position = reader->at;
    if (!braces && name.text.size == 0)
        return fail(reader, "name of a series expected");
    struct weir_promql_node *node = weir_promql_selector(parser,
        name.text.size > 0 ? &name : NULL);
    if (node == NULL || parser->error_count > 0)
        return fail(reader, "labels expected");
    if (braces)
        reader->at = parser->lexer.position;
    for (uint32_t i = 0; i < node->vector.count; i++)
        if (node->vector.matchers[i].operator != WEIR_PROMQL_IS)
            return fail(reader, "a label of a series has '='");
    out->name = name.text;
    out->labels = node->vector.matchers;
    out->label_count = node->vector.count;
    if (reader->at < reader->size && !is_blank(look(reader)))
        return fail(reader, "blank expected");
    return true;
}

enum weir_err
weir_promql_parse_series(struct weir_promql_arena *arena, const char *text, size_t size,
    struct weir_promql_series *out)
{
    struct reader reader = {.parser.arena = arena, .text = text, .size = size};
    *out = (struct weir_promql_series){.count = 0};
    if (size > WEIR_PROMQL_TEXT_MAX)
        (void)fail(&reader, "series is longer than 131072 bytes");
    else if (metric(&reader, out))
        (void)all_points(&reader, out);
    out->error = reader.parser.errors;
    if (reader.parser.stopped == WEIR_NOMEM)
        return WEIR_NOMEM;
    return out->error != NULL ? WEIR_INVALID : WEIR_OK;
}
