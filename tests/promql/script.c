#include "tests/promql/script.h"
#include "tests/promql/lines.h"
#include "base/regex/regex.h"

#include <string.h>

static bool
ends_with(struct weir_promql_text text, const char *end)
{
    size_t size = strlen(end);
    return text.size >= size && memcmp(text.data + text.size - size, end, size) == 0;
}

/* A line of start times, "METRIC@st OFFSETS", and the series line after it. */
static enum weir_err
parse_started(struct lines *lines, struct weir_promql_text text, struct script_series **out)
{
    struct weir_promql_text offsets = text, metric = lines_word(&offsets);
    metric.size -= (uint32_t)strlen("@st");
    if (!lines_next(lines) || lines->line.size <= metric.size ||
        memcmp(lines->line.data, metric.data, metric.size) != 0)
        return lines_refuse(lines, "start times are not followed by the values of their series");
    enum weir_err err = lines_series(lines, lines->line, out);
    return err == WEIR_OK ? lines_starts(lines, offsets, *out) : err;
}

static enum weir_err
parse_load(struct lines *lines, struct script_command *command)
{
    struct weir_promql_text rest = lines->line, word = lines_word(&rest);
    command->kind = SCRIPT_LOAD;
    command->with_histograms = weir_promql_text_is(word, "load_with_nhcb");
    if (!command->with_histograms && !weir_promql_text_is(word, "load"))
        return lines_refuse(lines, "no command: \"%.*s\"", (int)word.size, word.data);
    enum weir_err err = lines_duration(lines, rest, &command->step_ms);
    struct script_series **tail = &command->series;
    while (err == WEIR_OK && lines_next(lines) && lines->line.size > 0) {
        struct weir_promql_text after = lines->line, first = lines_word(&after);
        err = ends_with(first, "@st") ? parse_started(lines, lines->line, tail)
                                      : lines_series(lines, lines->line, tail);
        tail = &(*tail)->next;
    }
    return err;
}

static const char *const check_names[] = {[SCRIPT_FAIL] = "fail",
    [SCRIPT_WARN] = "warn",
    [SCRIPT_NO_WARN] = "no_warn",
    [SCRIPT_INFO] = "info",
    [SCRIPT_NO_INFO] = "no_info",
    [SCRIPT_ORDERED] = "ordered"};
#define CHECK_NAMES (sizeof check_names / sizeof check_names[0])

static enum weir_err
add_check(struct lines *lines, struct script_eval *eval, struct weir_promql_text name,
    struct script_check **out)
{
    struct script_check *check = weir_promql_arena_alloc(lines->arena, sizeof *check);
    if (check == NULL)
        return WEIR_NOMEM;
    size_t kind = 0;
    while (kind < CHECK_NAMES && !weir_promql_text_is(name, check_names[kind]))
        kind++;
    if (kind == CHECK_NAMES)
        return lines_refuse(lines, "nothing to expect: \"%.*s\"", (int)name.size, name.data);
    check->kind = (enum script_check_kind)kind;
    check->next = eval->checks;
    eval->checks = check;
    *out = check;
    return WEIR_OK;
}

static enum weir_err
set_regex(struct lines *lines, struct script_check *check, struct weir_promql_text pattern)
{
    struct weir_regex *regex = NULL;
    enum weir_err err = weir_regex_new(pattern.data, pattern.size, &regex);
    weir_regex_free(regex);
    check->has_text = check->is_regex = true;
    check->text = pattern;
    return err == WEIR_INVALID ? lines_refuse(lines, "invalid regular expression") : err;
}

static enum weir_err
set_message(struct script_check *check, struct weir_promql_text message)
{
    check->has_text = true;
    check->text = message;
    return WEIR_OK;
}

/* "expect range vector from A to B step S" */
static enum weir_err
parse_points(struct lines *lines, struct weir_promql_text rest, struct script_eval *eval)
{
    static const char *const words[] = {"vector", "from", NULL, "to", NULL, "step", NULL};
    int64_t *const into[] = {&eval->points_start_ms, &eval->points_end_ms, &eval->points_step_ms};
    size_t known = 0;
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        struct weir_promql_text word = lines_word(&rest);
        if (words[i] != NULL && !weir_promql_text_is(word, words[i]))
            return lines_refuse(lines, "expected \"%s\"", words[i]);
        enum weir_err err = words[i] == NULL ? lines_duration(lines, word, into[known++]) : WEIR_OK;
        if (err != WEIR_OK)
            return err;
    }
    eval->expects_points = true;
    return WEIR_OK;
}

static enum weir_err
parse_string(struct lines *lines, struct weir_promql_text rest, struct script_eval *eval)
{
    bool quoted = rest.size >= 2 && rest.data[0] == rest.data[rest.size - 1] &&
        strchr("\"'`", rest.data[0]) != NULL;
    if (!quoted)
        return lines_refuse(lines, "a string in quotes is missing");
    eval->expects_string = true;
    return weir_promql_unquote(lines->arena, rest, &eval->string);
}

static enum weir_err
parse_expect(struct lines *lines, struct script_eval *eval)
{
    struct weir_promql_text rest = lines->line;
    (void)lines_word(&rest);
    struct weir_promql_text name = lines_word(&rest);
    if (weir_promql_text_is(name, "range"))
        return parse_points(lines, rest, eval);
    if (weir_promql_text_is(name, "string"))
        return parse_string(lines, rest, eval);
    struct script_check *check;
    enum weir_err err = add_check(lines, eval, name, &check);
    if (err != WEIR_OK || rest.size == 0)
        return err;
    if (lines_starts_with(rest, "msg:"))
        return set_message(check, lines_trim(lines_after(rest, strlen("msg:"))));
    if (lines_starts_with(rest, "regex:"))
        return set_regex(lines, check, lines_trim(lines_after(rest, strlen("regex:"))));
    return lines_refuse(
        lines, "expected \"msg:\" or \"regex:\" after \"%.*s\"", (int)name.size, name.data);
}

/* The older lines below eval_fail. */
static enum weir_err
parse_expected_failure(struct lines *lines, struct script_eval *eval)
{
    struct weir_promql_text rest = lines->line, word = lines_word(&rest);
    return weir_promql_text_is(word, "expected_fail_message")
        ? set_message(eval->checks, rest)
        : set_regex(lines, eval->checks, rest);
}

static enum weir_err
parse_expected_series(struct lines *lines, struct script_eval *eval, struct script_series ***tail)
{
    enum weir_err err = lines_series(lines, lines->line, *tail);
    if (err != WEIR_OK)
        return err;
    if ((**tail)->count == 0)
        return lines_refuse(lines, "a series without a value");
    if ((**tail)->count > 1 && !eval->is_range && !eval->expects_points)
        return lines_refuse(lines, "an instant query has one value a series");
    *tail = &(**tail)->next;
    return WEIR_OK;
}

static enum weir_err
parse_expected(struct lines *lines, struct script_eval *eval, struct script_series ***tail)
{
    bool is_number;
    if (lines_starts_with(lines->line, "expect "))
        return parse_expect(lines, eval);
    if (lines_starts_with(lines->line, "expected_fail_") && eval->checks != NULL)
        return parse_expected_failure(lines, eval);
    enum weir_err err = lines_number(lines, lines->line, &eval->scalar, &is_number);
    if (err != WEIR_OK)
        return err;
    if (!is_number)
        return parse_expected_series(lines, eval, tail);
    eval->expects_scalar = true;
    return WEIR_OK;
}

/* Words and durations before the query: "at T", "from A to B step S". */
static enum weir_err
parse_times(struct lines *lines, struct weir_promql_text *rest, struct script_eval *eval)
{
    static const char *const instant[] = {"at", NULL},
                             *const range[] = {"from", "to", "step", NULL};
    int64_t *const into[] = {&eval->start_ms, &eval->end_ms, &eval->step_ms};
    const char *const *words = eval->is_range ? range : instant;
    for (size_t i = 0; words[i] != NULL; i++) {
        struct weir_promql_text word = lines_word(rest);
        if (!weir_promql_text_is(word, words[i]))
            return lines_refuse(lines, "expected \"%s\"", words[i]);
        enum weir_err err = lines_duration(lines, lines_word(rest), into[i]);
        if (err != WEIR_OK)
            return err;
    }
    if (rest->size == 0)
        return lines_refuse(lines, "the query is missing");
    if (eval->is_range && eval->end_ms < eval->start_ms)
        return lines_refuse(lines, "the end is before the start");
    return WEIR_OK;
}

/* "eval", "eval_fail", ... and what follows on its line. */
static enum weir_err
parse_head(struct lines *lines, struct script_eval *eval)
{
    struct weir_promql_text rest = lines->line, word = lines_word(&rest);
    struct script_check *check;
    enum weir_err err = WEIR_OK;
    if (lines_starts_with(word, "eval_"))
        err = add_check(lines, eval, lines_after(word, strlen("eval_")), &check);
    else if (word.size != strlen("eval"))
        return lines_refuse(lines, "no command: \"%.*s\"", (int)word.size, word.data);
    if (err != WEIR_OK)
        return err;
    struct weir_promql_text mode = lines_word(&rest);
    eval->is_range = weir_promql_text_is(mode, "range");
    if (!eval->is_range && !weir_promql_text_is(mode, "instant"))
        return lines_refuse(lines, "expected \"instant\" or \"range\"");
    err = parse_times(lines, &rest, eval);
    eval->query = rest;
    return err;
}

static enum weir_err
parse_eval(struct lines *lines, struct script_command *command)
{
    struct script_eval *eval = &command->eval;
    command->kind = SCRIPT_EVAL;
    enum weir_err err = parse_head(lines, eval);
    eval->points_start_ms = eval->start_ms;
    eval->points_end_ms = eval->end_ms;
    eval->points_step_ms = eval->step_ms;
    struct script_series **tail = &eval->series;
    while (err == WEIR_OK && !eval->expects_scalar && lines_next(lines) && lines->line.size > 0)
        err = parse_expected(lines, eval, &tail);
    return err;
}

static enum weir_err
parse_command(struct lines *lines, struct script_command *command)
{
    command->line = lines->number;
    if (lines_starts_with(lines->line, "load"))
        return parse_load(lines, command);
    if (lines_starts_with(lines->line, "eval"))
        return parse_eval(lines, command);
    if (!weir_promql_text_is(lines->line, "clear"))
        return lines_refuse(lines, "no command: \"%.*s\"", (int)lines->line.size, lines->line.data);
    command->kind = SCRIPT_CLEAR;
    return WEIR_OK;
}

enum weir_err
script_parse(struct weir_promql_arena *arena, const char *text, size_t size, struct script *out)
{
    *out = (struct script){0};
    struct lines lines = {.arena = arena, .script = out, .at = text, .end = text + size};
    struct script_command **tail = &out->commands;
    while (lines_next(&lines)) {
        if (lines.line.size == 0)
            continue;
        *tail = weir_promql_arena_alloc(arena, sizeof **tail);
        enum weir_err err = *tail == NULL ? WEIR_NOMEM : parse_command(&lines, *tail);
        if (err != WEIR_OK)
            return err;
        tail = &(*tail)->next;
    }
    return WEIR_OK;
}
