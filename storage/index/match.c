#include "storage/index/match.h"

#include "storage/index/bytes.h"
#include "storage/index/matcher.h"

#include <stdlib.h>

static void
matcher_free(struct weir_matcher *matcher)
{
    weir_regex_free(matcher->regex);
    free(matcher->literals);
    free(matcher->memory);
    free((char *)matcher->name.data);
}

void
weir_index_matchers_free(struct weir_index_matchers *matchers)
{
    if (matchers == NULL)
        return;
    for (size_t i = 0; i < matchers->count; i++)
        matcher_free(&matchers->list[i]);
    free(matchers);
}

static char *
copy(const char *data, size_t size)
{
    char *out = malloc(size + 1);
    if (out != NULL && size != 0)
        memcpy(out, data, size);
    return out;
}

static enum weir_err
make_literal(const struct weir_index_match *match, struct weir_matcher *out)
{
    out->form = WEIR_MATCHER_LITERALS;
    out->takes_empty = match->value_size == 0;
    if (out->takes_empty)
        return WEIR_OK;
    out->memory = copy(match->value, match->value_size);
    out->literals = malloc(sizeof *out->literals);
    if (out->memory == NULL || out->literals == NULL)
        return weir_fail(WEIR_NOMEM, 0, "a matcher");
    out->literals[0] = (struct weir_match_text){out->memory, match->value_size};
    out->literal_count = 1;
    return WEIR_OK;
}

/* The expression is compiled unless it is a set of literals, so what is none is refused. */
static enum weir_err
make_regex(const struct weir_index_match *match, struct weir_matcher *out)
{
    enum weir_err err = weir_pattern_analyze(match->value, match->value_size, out);
    if (err != WEIR_OK || out->form == WEIR_MATCHER_LITERALS)
        return err;
    err = weir_regex_new(match->value, match->value_size, &out->regex);
    if (err == WEIR_OK && out->form == WEIR_MATCHER_PATTERN)
        err = weir_regex_matches(out->regex, "", 0, &out->takes_empty);
    return err;
}

static enum weir_err
make(const struct weir_index_match *match, struct weir_matcher *out)
{
    out->name = (struct weir_match_text){copy(match->name, match->name_size), match->name_size};
    if (out->name.data == NULL)
        return weir_fail(WEIR_NOMEM, 0, "a matcher");
    out->negated = match->kind == WEIR_INDEX_NOT_EQUAL || match->kind == WEIR_INDEX_NOT_REGEX;
    if (match->kind == WEIR_INDEX_EQUAL || match->kind == WEIR_INDEX_NOT_EQUAL)
        return make_literal(match, out);
    return make_regex(match, out);
}

enum weir_err
weir_index_matchers_new(const struct weir_index_match *matches, size_t count,
    struct weir_index_matchers **out)
{
    struct weir_index_matchers *matchers =
        calloc(1, sizeof *matchers + count * sizeof *matchers->list);
    if (matchers == NULL)
        return weir_fail(WEIR_NOMEM, 0, "%zu matchers", count);
    matchers->count = count;
    for (size_t i = 0; i < count; i++) {
        enum weir_err err = make(&matches[i], &matchers->list[i]);
        if (err != WEIR_OK) {
            weir_index_matchers_free(matchers);
            return err;
        }
    }
    *out = matchers;
    return WEIR_OK;
}

static bool
has_literal(const struct weir_matcher *matcher, const void *value, size_t size)
{
    size_t low = 0, high = matcher->literal_count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        const struct weir_match_text *literal = &matcher->literals[middle];
        int order = weir_index_compare(literal->data, literal->size, value, size);
        if (order == 0)
            return true;
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return false;
}

enum weir_err
weir_matcher_has(const struct weir_matcher *matcher, const void *value, size_t size, bool *out)
{
    if (size == 0) {
        *out = matcher->takes_empty;
        return WEIR_OK;
    }
    if (matcher->form == WEIR_MATCHER_LITERALS) {
        *out = has_literal(matcher, value, size);
        return WEIR_OK;
    }
    const struct weir_match_text *prefix = &matcher->prefix;
    bool begins = size >= prefix->size && memcmp(value, prefix->data, prefix->size) == 0;
    if (begins && matcher->form == WEIR_MATCHER_PATTERN)
        return weir_regex_matches(matcher->regex, value, size, out);
    *out = begins && size >= prefix->size + matcher->more;
    return WEIR_OK;
}
