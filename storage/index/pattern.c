/* Regular expressions that are literals: a|b, node-(1|2), a\.b, (?:x|y)z? is none. Whatever is not
 * understood here goes to RE2, so only this grammar has to be right:
 *
 *   alternatives = sequence { "|" sequence }
 *   sequence     = { character | "\" punctuation | "(" alternatives ")" | "(?:" alternatives ")"
 *                    | "[" plain characters "]" }
 */
#include "storage/index/matcher.h"

#include "base/utf8.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define LITERALS_MAX 65536
#define LITERAL_BYTES_MAX (UINT32_C(4) << 20)
#define DEPTH_MAX 8
#define SPECIAL "\\.+*?()|[]{}^$"

/* A set of texts, one after the other in bytes. */
struct texts {
    char *bytes;
    size_t used;
    size_t capacity;
    struct text_place {
        size_t at;
        size_t size;
    } *places;
    size_t count;
    size_t places_capacity;
};

struct parser {
    const char *at;
    const char *end;
    enum weir_err err; /* WEIR_UNSUPPORTED: not of this grammar */
    unsigned depth;
};

static void
texts_free(struct texts *texts)
{
    free(texts->bytes);
    free(texts->places);
}

/* Room for a text of two parts; false with parser->err set. */
static bool
texts_add(struct parser *parser, struct texts *texts, const char *first, size_t first_size,
    const char *second, size_t second_size)
{
    size_t size = first_size + second_size;
    if (texts->count == LITERALS_MAX || texts->used + size > LITERAL_BYTES_MAX) {
        parser->err = WEIR_UNSUPPORTED;
        return false;
    }
    if (texts->used + size > texts->capacity) {
        size_t capacity = 2 * (texts->used + size) + 64;
        char *grown = realloc(texts->bytes, capacity);
        if (grown == NULL)
            goto no_memory;
        texts->bytes = grown;
        texts->capacity = capacity;
    }
    if (texts->count == texts->places_capacity) {
        size_t capacity = texts->places_capacity * 2 + 8;
        struct text_place *grown = realloc(texts->places, capacity * sizeof *grown);
        if (grown == NULL)
            goto no_memory;
        texts->places = grown;
        texts->places_capacity = capacity;
    }
    if (first_size != 0)
        memcpy(texts->bytes + texts->used, first, first_size);
    if (second_size != 0)
        memcpy(texts->bytes + texts->used + first_size, second, second_size);
    texts->places[texts->count++] = (struct text_place){texts->used, size};
    texts->used += size;
    return true;
no_memory:
    parser->err = weir_fail(WEIR_NOMEM, 0, "literals of a regular expression");
    return false;
}

/* Every text of a with every text of b after it, in place of a. */
static bool
texts_multiply(struct parser *parser, struct texts *a, const struct texts *b)
{
    struct texts product = {0};
    for (size_t i = 0; i < a->count; i++)
        for (size_t j = 0; j < b->count; j++)
            if (!texts_add(parser, &product, a->bytes + a->places[i].at, a->places[i].size,
                    b->bytes + b->places[j].at, b->places[j].size)) {
                texts_free(&product);
                return false;
            }
    texts_free(a);
    *a = product;
    return true;
}

/* One character that stands for itself, at parser->at; 0 where there is none. */
static size_t
plain_character(struct parser *parser, const char **character)
{
    uint32_t code;
    if (parser->at == parser->end)
        return 0;
    if (*parser->at == '\\') { /* only before ASCII punctuation it means the character */
        if (parser->end - parser->at < 2 || strchr("\\.+*?()|[]{}^$-/:;,@#%&=~!<>\"' ",
                parser->at[1]) == NULL || parser->at[1] == 0)
            return 0;
        *character = parser->at + 1;
        parser->at += 2;
        return 1;
    }
    if (strchr(SPECIAL, *parser->at) != NULL) /* also the zero byte */
        return 0;
    size_t size = weir_utf8_next((const uint8_t *)parser->at,
        (size_t)(parser->end - parser->at), &code);
    *character = parser->at;
    parser->at += size;
    return size;
}

static bool
is_quantifier(const struct parser *parser)
{
    return parser->at < parser->end && strchr("*+?{", *parser->at) != NULL && *parser->at != 0;
}

/* Reads [abc], without ranges, classes and negation. */
static bool
parse_class(struct parser *parser, struct texts *out)
{
    for (parser->at++; parser->at < parser->end && *parser->at != ']';) {
        const char *character;
        bool dash = *parser->at == '-';
        size_t size = dash || *parser->at == '^' ? 0 : plain_character(parser, &character);
        if (size == 0) {
            parser->err = WEIR_UNSUPPORTED;
            return false;
        }
        if (!texts_add(parser, out, character, size, NULL, 0))
            return false;
    }
    if (parser->at == parser->end || out->count == 0) {
        parser->err = WEIR_UNSUPPORTED;
        return false;
    }
    parser->at++;
    return true;
}

static bool parse_alternatives(struct parser *parser, struct texts *out);

static bool
parse_group(struct parser *parser, struct texts *out)
{
    parser->at++;
    if (parser->end - parser->at >= 2 && memcmp(parser->at, "?:", 2) == 0)
        parser->at += 2;
    if (++parser->depth > DEPTH_MAX || !parse_alternatives(parser, out)) {
        parser->err = parser->err == WEIR_OK ? WEIR_UNSUPPORTED : parser->err;
        return false;
    }
    parser->depth--;
    if (parser->at == parser->end || *parser->at != ')') {
        parser->err = WEIR_UNSUPPORTED;
        return false;
    }
    parser->at++;
    return true;
}

/* Appends one factor to all texts of out. */
static bool
parse_factor(struct parser *parser, struct texts *out)
{
    struct texts factor = {0};
    const char *character;
    bool good;
    if (*parser->at == '(') {
        good = parse_group(parser, &factor);
    } else if (*parser->at == '[') {
        good = parse_class(parser, &factor);
    } else {
        size_t size = plain_character(parser, &character);
        if (size == 0)
            parser->err = WEIR_UNSUPPORTED;
        good = size != 0 && texts_add(parser, &factor, character, size, NULL, 0);
    }
    if (good && is_quantifier(parser)) {
        parser->err = WEIR_UNSUPPORTED;
        good = false;
    }
    good = good && texts_multiply(parser, out, &factor);
    texts_free(&factor);
    return good;
}

/* Plain characters up to the next special one, whose last may have a quantifier. */
static size_t
plain_run(const struct parser *parser)
{
    const char *at = parser->at;
    while (at < parser->end && (unsigned char)*at < 0x80 && *at != 0 &&
           strchr(SPECIAL, *at) == NULL)
        at++;
    size_t size = (size_t)(at - parser->at);
    struct parser rest = {.at = at, .end = parser->end};
    return size != 0 && is_quantifier(&rest) ? size - 1 : size;
}

static bool
parse_sequence(struct parser *parser, struct texts *out)
{
    struct texts sequence = {0};
    bool good = texts_add(parser, &sequence, NULL, 0, NULL, 0);
    while (good && parser->at < parser->end && *parser->at != '|' && *parser->at != ')') {
        size_t size = plain_run(parser);
        if (size == 0) {
            good = parse_factor(parser, &sequence);
            continue;
        }
        struct texts run = {0};
        good = texts_add(parser, &run, parser->at, size, NULL, 0) &&
               texts_multiply(parser, &sequence, &run);
        texts_free(&run);
        parser->at += size;
    }
    for (size_t i = 0; good && i < sequence.count; i++)
        good = texts_add(parser, out, sequence.bytes + sequence.places[i].at,
            sequence.places[i].size, NULL, 0);
    texts_free(&sequence);
    return good;
}

static bool
parse_alternatives(struct parser *parser, struct texts *out)
{
    if (!parse_sequence(parser, out))
        return false;
    while (parser->at < parser->end && *parser->at == '|') {
        parser->at++;
        if (!parse_sequence(parser, out))
            return false;
    }
    return true;
}

static int
by_bytes(const void *a, const void *b)
{
    const struct weir_match_text *one = a, *other = b;
    size_t least = one->size < other->size ? one->size : other->size;
    int order = memcmp(one->data, other->data, least);
    return order != 0 ? order : (one->size > other->size) - (one->size < other->size);
}

/* Hands the texts to the matcher, sorted, each once. */
static enum weir_err
keep_literals(struct texts *texts, struct weir_matcher *out)
{
    struct weir_match_text *literals = malloc((texts->count + 1) * sizeof *literals);
    if (literals == NULL)
        return weir_fail(WEIR_NOMEM, 0, "literals of a regular expression");
    size_t count = 0;
    for (size_t i = 0; i < texts->count; i++) {
        out->takes_empty |= texts->places[i].size == 0;
        literals[count] = (struct weir_match_text){texts->bytes + texts->places[i].at,
            texts->places[i].size};
        count += texts->places[i].size != 0;
    }
    qsort(literals, count, sizeof *literals, by_bytes);
    size_t kept = 0;
    for (size_t i = 0; i < count; i++)
        if (kept == 0 || by_bytes(&literals[kept - 1], &literals[i]) != 0)
            literals[kept++] = literals[i];
    out->literals = literals;
    out->literal_count = kept;
    out->memory = texts->bytes;
    texts->bytes = NULL;
    return WEIR_OK;
}

/* The literal that every value begins with, and whether .* or .+ is all that follows. */
static enum weir_err
keep_prefix(const char *pattern, size_t size, struct weir_matcher *out)
{
    struct parser parser = {.at = pattern, .end = pattern + size};
    char *prefix = malloc(size + 1);
    size_t used = 0;
    if (prefix == NULL)
        return weir_fail(WEIR_NOMEM, 0, "the prefix of a regular expression");
    for (;;) {
        const char *character, *before = parser.at;
        size_t more = plain_character(&parser, &character);
        if (more == 0 || is_quantifier(&parser)) {
            parser.at = before;
            break;
        }
        memcpy(prefix + used, character, more);
        used += more;
    }
    /* an alternative at the top may begin otherwise */
    for (const char *at = parser.at; at < parser.end; at++)
        if (*at == '|')
            used = 0;
    size_t left = (size_t)(parser.end - parser.at);
    if (left == 2 && parser.at[0] == '.' && (parser.at[1] == '*' || parser.at[1] == '+')) {
        out->form = WEIR_MATCHER_PREFIX;
        out->more = parser.at[1] == '+';
        out->takes_empty = used == 0 && out->more == 0;
    }
    out->prefix = (struct weir_match_text){prefix, used};
    out->memory = prefix;
    return WEIR_OK;
}

enum weir_err
weir_pattern_analyze(const char *pattern, size_t size, struct weir_matcher *out)
{
    struct parser parser = {.at = pattern, .end = pattern + size};
    struct texts texts = {0};
    out->form = WEIR_MATCHER_PATTERN;
    bool literals = weir_utf8_valid((const uint8_t *)pattern, size) &&
                    parse_alternatives(&parser, &texts) && parser.at == parser.end;
    enum weir_err err = parser.err == WEIR_NOMEM ? WEIR_NOMEM : WEIR_OK;
    if (literals) {
        out->form = WEIR_MATCHER_LITERALS;
        err = keep_literals(&texts, out);
    } else if (err == WEIR_OK) {
        err = keep_prefix(pattern, size, out);
    }
    texts_free(&texts);
    return err;
}
