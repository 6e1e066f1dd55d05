#include "controlplane/promql/scan/matcher.h"
#include "base/regex/regex.h"

struct ready {
    struct weir_promql_text label, value;
    enum weir_promql_token operator;
    struct weir_regex *regex; /* of MATCHES and MATCHES_NOT */
};

struct weir_promql_matchers {
    uint32_t count;
    struct ready ready[];
};

enum weir_err
weir_promql_matchers_new(struct weir_promql_arena *arena,
    const struct weir_promql_matcher *matchers, uint32_t count, struct weir_promql_matchers **out)
{
    *out = NULL;
    struct weir_promql_matchers *made =
        weir_promql_arena_alloc(arena, sizeof *made + count * sizeof made->ready[0]);
    if (made == NULL)
        return WEIR_NOMEM;
    for (uint32_t i = 0; i < count; i++) {
        struct ready *ready = &made->ready[i];
        *ready = (struct ready){matchers[i].label, matchers[i].value, matchers[i].operator, NULL };
        if (ready->operator != WEIR_PROMQL_MATCHES && ready->operator != WEIR_PROMQL_MATCHES_NOT)
            continue;
        enum weir_err err = weir_regex_new(ready->value.data, ready->value.size, &ready->regex);
        if (err != WEIR_OK) {
            weir_promql_matchers_free(made);
            return err;
        }
        made->count = i + 1;
    }
    made->count = count;
    *out = made;
    return WEIR_OK;
}

void
weir_promql_matchers_free(struct weir_promql_matchers *matchers)
{
    for (uint32_t i = 0; matchers != NULL && i < matchers->count; i++)
        weir_regex_free(matchers->ready[i].regex);
}

static struct weir_promql_text
value_of(const struct weir_promql_label *labels, uint32_t count, struct weir_promql_text name)
{
    for (uint32_t i = 0; i < count; i++)
        if (weir_promql_text_equal(labels[i].name, name))
            return labels[i].value;
    return (struct weir_promql_text){"", 0};
}

static enum weir_err
match(const struct ready *ready, struct weir_promql_text value, bool *out)
{
    enum weir_err err;
    switch (ready->operator) {
    case WEIR_PROMQL_IS:
        *out = weir_promql_text_equal(ready->value, value);
        return WEIR_OK;
    case WEIR_PROMQL_DIFFERS:
        *out = !weir_promql_text_equal(ready->value, value);
        return WEIR_OK;
    default:
        err = weir_regex_matches(ready->regex, value.data, value.size, out);
        *out ^= ready->operator == WEIR_PROMQL_MATCHES_NOT;
        return err;
    }
}

enum weir_err
weir_promql_matchers_match(const struct weir_promql_matchers *matchers,
    const struct weir_promql_label *labels, uint32_t count, bool *out)
{
    *out = true;
    for (uint32_t i = 0; i < matchers->count && *out; i++) {
        const struct ready *ready = &matchers->ready[i];
        enum weir_err err = match(ready, value_of(labels, count, ready->label), out);
        if (err != WEIR_OK)
            return err;
    }
    return WEIR_OK;
}
