#include "controlplane/promql/parse/token.h"

#include <string.h>
#include <strings.h>

struct fact {
    const char *text;
    uint8_t class, kind, precedence;
    bool right;
};

static const struct fact facts[WEIR_PROMQL_TOKENS] = {
    [WEIR_PROMQL_EOF] = {.text = ""},
#define X(name, spelling) [WEIR_PROMQL_##name] = {spelling, WEIR_PROMQL_CLASS_MARK, 0, 0, false},
    WEIR_PROMQL_MARKS(X)
#undef X
#define X(name, spelling) [WEIR_PROMQL_##name] = {spelling, WEIR_PROMQL_CLASS_KEYWORD, 0, 0, false},
        WEIR_PROMQL_KEYWORDS(X)
#undef X
#define X(name, spelling) \
    [WEIR_PROMQL_##name] = {spelling, WEIR_PROMQL_CLASS_TIME_WORD, 0, 0, false},
            WEIR_PROMQL_TIME_WORDS(X)
#undef X
#define WEIR_OPERATOR(name, spelling, binds, from_right, what) \
    [WEIR_PROMQL_##name] = {spelling, WEIR_PROMQL_CLASS_OPERATOR, WEIR_PROMQL_##what, binds, \
        from_right},
#include "controlplane/promql/parse/operators.def"
#undef WEIR_OPERATOR
#define WEIR_AGGREGATOR(name, spelling, parameter, experimental, form, kernel) \
    [WEIR_PROMQL_##name] = {spelling, WEIR_PROMQL_CLASS_AGGREGATOR, 0, 0, false},
#include "controlplane/promql/parse/aggregators.def"
#undef WEIR_AGGREGATOR
};

enum weir_promql_class
weir_promql_class(enum weir_promql_token kind)
{
    return facts[kind].class;
}

enum weir_promql_operator_kind
weir_promql_operator_kind(enum weir_promql_token kind)
{
    return facts[kind].kind;
}

unsigned
weir_promql_precedence(enum weir_promql_token kind)
{
    return facts[kind].precedence;
}

bool
weir_promql_right_associative(enum weir_promql_token kind)
{
    return facts[kind].right;
}

const char *
weir_promql_spelling(enum weir_promql_token kind)
{
    return facts[kind].text == NULL ? "" : facts[kind].text;
}

enum weir_promql_token
weir_promql_word(const char *word, size_t size)
{
    if (size == 3 && (strncasecmp(word, "inf", 3) == 0 || strncasecmp(word, "nan", 3) == 0))
        return WEIR_PROMQL_NUMBER;
    for (unsigned i = 0; i < WEIR_PROMQL_TOKENS; i++)
        if (facts[i].text != NULL && strlen(facts[i].text) == size && size > 0
            && facts[i].class != WEIR_PROMQL_CLASS_MARK
            && strncasecmp(facts[i].text, word, size) == 0)
            return (enum weir_promql_token)i;
    return WEIR_PROMQL_IDENTIFIER;
}

bool
weir_promql_names_metric(enum weir_promql_token kind)
{
    switch (kind) {
    case WEIR_PROMQL_IDENTIFIER:
    case WEIR_PROMQL_METRIC_IDENTIFIER:
    case WEIR_PROMQL_AND:
    case WEIR_PROMQL_OR:
    case WEIR_PROMQL_UNLESS:
    case WEIR_PROMQL_BY:
    case WEIR_PROMQL_WITHOUT:
    case WEIR_PROMQL_OFFSET:
    case WEIR_PROMQL_ANCHORED:
    case WEIR_PROMQL_SMOOTHED:
        return true;
    default:
        return facts[kind].class == WEIR_PROMQL_CLASS_AGGREGATOR
            || facts[kind].class == WEIR_PROMQL_CLASS_TIME_WORD;
    }
}

bool
weir_promql_names_label(enum weir_promql_token kind)
{
    switch (kind) {
    case WEIR_PROMQL_WITHOUT: /* the reference has it in one list and not in the other */
        return false;
    case WEIR_PROMQL_ATAN2:
    case WEIR_PROMQL_BOOL:
    case WEIR_PROMQL_GROUP_LEFT:
    case WEIR_PROMQL_GROUP_RIGHT:
    case WEIR_PROMQL_IGNORING:
    case WEIR_PROMQL_ON:
        return true;
    default:
        return weir_promql_names_metric(kind);
    }
}

static const char *
kind_text(enum weir_promql_token kind)
{
    switch (kind) {
    case WEIR_PROMQL_IDENTIFIER:
        return "identifier ";
    case WEIR_PROMQL_METRIC_IDENTIFIER:
        return "metric identifier ";
    case WEIR_PROMQL_STRING:
        return "string ";
    case WEIR_PROMQL_NUMBER:
        return "number ";
    case WEIR_PROMQL_DURATION:
        return "duration ";
    default:
        return "";
    }
}

const char *
weir_promql_describe(struct weir_promql_arena *arena, const struct weir_promql_item *item)
{
    int size = (int)item->text.size;
    switch (facts[item->kind].class) {
    case WEIR_PROMQL_CLASS_KEYWORD:
        return weir_promql_format(arena, "<%.*s>", size, item->text.data);
    case WEIR_PROMQL_CLASS_OPERATOR:
        return weir_promql_format(arena, "<op:%.*s>", size, item->text.data);
    case WEIR_PROMQL_CLASS_AGGREGATOR:
        return weir_promql_format(arena, "<aggr:%.*s>", size, item->text.data);
    default:
        break;
    }
    if (item->kind == WEIR_PROMQL_EOF)
        return "end of input";
    bool name = item->kind == WEIR_PROMQL_IDENTIFIER || item->kind == WEIR_PROMQL_METRIC_IDENTIFIER;
    bool cut = !name && item->text.size > 10;
    struct weir_promql_text shown = item->text;
    if (cut)
        shown.size = (uint32_t)weir_promql_runes(item->text, 10);
    const char *quoted = weir_promql_quoted(arena, shown);
    if (quoted == NULL)
        return NULL;
    return weir_promql_format(arena, "%s%s%s", kind_text(item->kind), quoted, cut ? "..." : "");
}
