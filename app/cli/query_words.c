#include "app/cli/query_words.h"

#include "controlplane/promql/parse/parse.h"
#include "model/labels.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#define MESSAGE_SIZE 512

static struct weir_promql_text
text_of(const char *string, size_t size)
{
    return (struct weir_promql_text){string, (uint32_t)size};
}

static void
add(struct weir_query_words *out, struct weir_promql_text label, const char *value)
{
    out->matchers[out->count++] = (struct weir_promql_matcher){.label = label,
        .value = text_of(value, strlen(value)), .operator = WEIR_PROMQL_IS};
}

/* Room for the matchers of a selector and for those of the words. */
static enum weir_err
make_room(struct weir_query_words *out, uint32_t count)
{
    out->matchers =
        weir_promql_arena_alloc(&out->arena, (count + (size_t)1) * sizeof *out->matchers);
    return out->matchers != NULL ? WEIR_OK : weir_fail(WEIR_NOMEM, 0, "%u matchers", count);
}

static enum weir_err
read_selector(struct weir_query_words *out, const char *word, int more)
{
    struct weir_promql_parsed parsed;
    char message[MESSAGE_SIZE];
    enum weir_err err = weir_promql_parse(&out->arena, word, strlen(word), &parsed);
    if (err == WEIR_NOMEM)
        return weir_fail(WEIR_NOMEM, 0, "selector");
    if (err != WEIR_OK) {
        weir_promql_error_text(parsed.errors, word, strlen(word), message, sizeof message);
        return weir_fail(WEIR_INVALID, 0, "%s: %s", word, message);
    }
    if (parsed.root->kind != WEIR_PROMQL_NODE_VECTOR)
        return weir_fail(WEIR_INVALID, 0, "%s is no selector: with --agg, --from, --to, labels or "
            "lists the first word is a metric or a selector", word);
    err = make_room(out, parsed.root->vector.count + (uint32_t)more);
    if (err != WEIR_OK)
        return err;
    out->count = parsed.root->vector.count;
    memcpy(out->matchers, parsed.root->vector.matchers, out->count * sizeof *out->matchers);
    return WEIR_OK;
}

static enum weir_err
add_word(struct weir_query_words *out, const char *word)
{
    const char *equals = strchr(word, '=');
    if (equals == NULL || equals == word)
        return weir_fail(WEIR_INVALID, 0, "'%s' is no LABEL=VALUE", word);
    add(out, text_of(word, (size_t)(equals - word)), equals + 1);
    return WEIR_OK;
}

enum weir_err
weir_query_words_read(const char *const *words, int count, struct weir_query_words *out)
{
    int at = 0;
    *out = (struct weir_query_words){.count = 0};
    weir_promql_arena_init(&out->arena, WEIR_PROMQL_ARENA_MAX);
    bool selector = count > 0 && strchr(words[0], '{') != NULL;
    enum weir_err err = selector ? read_selector(out, words[at++], count)
                                 : make_room(out, (uint32_t)count);
    if (err == WEIR_OK && count > at && !selector && strchr(words[0], '=') == NULL)
        add(out, text_of(WEIR_NAME_LABEL, strlen(WEIR_NAME_LABEL)), words[at++]);
    for (; err == WEIR_OK && at < count; at++)
        err = add_word(out, words[at]);
    return err;
}

void
weir_query_words_fini(struct weir_query_words *words)
{
    weir_promql_arena_fini(&words->arena);
}

bool
weir_query_word_is_name(const char *word)
{
    char *end;
    for (const char *at = word; *at != '\0'; at++)
        if (!isalnum((unsigned char)*at) && (unsigned char)*at < 0x80 &&
            strchr("_.:/-", *at) == NULL)
            return false;
    (void)strtod(word, &end);
    return *word != '\0' && *word != '-' && *end != '\0';
}
