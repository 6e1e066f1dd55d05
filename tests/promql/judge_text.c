/* judge_text: errors and annotations by their texts. */
#include "base/regex/regex.h"
#include "tests/promql/judge.h"

#include <string.h>

static enum weir_err
refuse(struct judge *judge, const char *why)
{
    judge->why = why;
    return why == NULL ? WEIR_NOMEM : WEIR_INVALID;
}

/* Whether pattern matches anywhere; a dot does not match a newline, as in the reference. */
static enum weir_err
search(struct judge *judge, struct weir_promql_text pattern, const char *text, bool *out)
{
    struct weir_regex *regex;
    const char *whole = weir_promql_format(
        judge->arena, "(?s:.*)(?-s:%.*s)(?s:.*)", (int)pattern.size, pattern.data);
    if (whole == NULL)
        return WEIR_NOMEM;
    enum weir_err err = weir_regex_new(whole, strlen(whole), &regex);
    if (err != WEIR_OK)
        return err;
    err = weir_regex_matches(regex, text, strlen(text), out);
    weir_regex_free(regex);
    return err;
}

static enum weir_err
matches(struct judge *judge, const struct script_check *check, const char *text, bool *out)
{
    *out = true;
    if (!check->has_text)
        return WEIR_OK;
    if (check->is_regex)
        return search(judge, check->text, text, out);
    *out = weir_promql_text_is(check->text, text);
    return WEIR_OK;
}

enum weir_err
judge_failure(struct judge *judge, const char *error)
{
    bool is_expected = false, fits = true;
    for (const struct script_check *c = judge->eval->checks; c != NULL; c = c->next) {
        if (c->kind != SCRIPT_FAIL)
            continue;
        is_expected = true;
        enum weir_err err = matches(judge, c, error, &fits);
        if (err != WEIR_OK)
            return err;
        if (!fits)
            break;
    }
    if (is_expected && fits)
        return WEIR_OK;
    return refuse(judge,
        weir_promql_format(judge->arena, "%s: %s",
            is_expected ? "another failure was expected" : "failed", error));
}

/* Some annotation of the answer fits the check. */
static enum weir_err
check_found(
    struct judge *judge, const struct script_check *check, const struct weir_promql_answer *answer)
{
    bool wants_info = check->kind == SCRIPT_INFO;
    for (const struct weir_promql_annotation *a = answer->annotations; a != NULL; a = a->next) {
        bool fits;
        if (a->is_info != wants_info)
            continue;
        enum weir_err err = matches(judge, check, a->text, &fits);
        if (err != WEIR_OK || fits)
            return err;
    }
    const struct weir_promql_annotation *first = answer->annotations;
    return refuse(judge,
        weir_promql_format(judge->arena, "no %s \"%.*s\", the first is: %s",
            wants_info ? "info" : "warning", (int)check->text.size, check->text.data,
            first == NULL ? "none" : first->text));
}

/* Some check fits the annotation, where there are checks of its kind that do so. */
static enum weir_err
annotation_allowed(struct judge *judge, const struct weir_promql_annotation *annotation)
{
    bool is_asked = false;
    for (const struct script_check *c = judge->eval->checks; c != NULL; c = c->next) {
        bool fits;
        if (c->kind == (annotation->is_info ? SCRIPT_NO_INFO : SCRIPT_NO_WARN))
            return refuse(judge, weir_promql_format(judge->arena, "has %s", annotation->text));
        if (c->kind != (annotation->is_info ? SCRIPT_INFO : SCRIPT_WARN))
            continue;
        is_asked = true;
        enum weir_err err = matches(judge, c, annotation->text, &fits);
        if (err != WEIR_OK || fits)
            return err;
    }
    return is_asked
        ? refuse(judge, weir_promql_format(judge->arena, "unexpected: %s", annotation->text))
        : WEIR_OK;
}

enum weir_err
judge_annotations(struct judge *judge, const struct weir_promql_answer *answer)
{
    enum weir_err err = WEIR_OK;
    for (const struct script_check *c = judge->eval->checks; err == WEIR_OK && c != NULL;
         c = c->next)
        if (c->kind == SCRIPT_WARN || c->kind == SCRIPT_INFO)
            err = check_found(judge, c, answer);
    for (const struct weir_promql_annotation *a = answer->annotations; err == WEIR_OK && a != NULL;
         a = a->next)
        err = annotation_allowed(judge, a);
    return err;
}
