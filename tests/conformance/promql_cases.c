/* Judges the PromQL parser, printer and prettier by lists of cases in JSON.
 *
 *   {"input": ..., "fail": bool, "errors": [message, ...]}    parser: all messages, in order
 *   {"in": ..., "out": ...}                                   printer, or prettier with --columns N
 *   {"input": ..., "errors": [["1:5", start, end, message], ...]}  our own, with positions
 *   {"input": ..., "print": ..., "pretty": ...}               our own; pretty may be missing
 *
 * A case that prints is parsed and printed once more and must print the same. Without an argument
 * the lists of $WEIR_CONFORMANCE/promqltest are read (by default the folder the build names). There
 * the expressions and the series of the *.test files have to parse too: a case is a file.
 */
#include "controlplane/promql/parse/series.h"

#include <glob.h>
#include <jansson.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* In the lists of the reference lines are short. */
#define NARROW 10

static struct weir_promql_arena arena;
static char why[1024];
static size_t number, failed;

__attribute__((format(printf, 1, 2))) static bool
differs(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(why, sizeof why, format, args);
    va_end(args);
    return false;
}

/* The lists were read from Go by a program that ended two inputs at a quotation mark of Go's, and
 * wrote the byte 0xff as U+00FF. Here they get their whole form back. */
static const struct {
    const char *cut, *whole;
} cut_inputs[] = {
    {"{'foo\\'bar', ", "{'foo\\'bar', `a\\dos\\path`=\"boo\"}"},
    {"`", "`\\a\\b\\f\\n\\r\\t\\v\\\\\\\"\\' - \\xFF\\377\\u1234\\U00010111`"},
};

static struct weir_promql_text
input_text(const json_t *value, bool reference)
{
    const char *text = json_string_value(value);
    size_t size = json_string_length(value);
    for (size_t i = 0; reference && i < sizeof cut_inputs / sizeof cut_inputs[0]; i++)
        if (strcmp(text, cut_inputs[i].cut) == 0) {
            text = cut_inputs[i].whole;
            size = strlen(text);
        }
    char *copy = weir_promql_arena_alloc(&arena, size + 1);
    if (copy == NULL)
        abort();
    size_t used = 0;
    for (size_t i = 0; i < size; i++) {
        bool byte = reference && i + 1 < size && memcmp(text + i, "\xc3\xbf", 2) == 0;
        copy[used++] = byte ? (char)0xff : text[i];
        i += byte;
    }
    return (struct weir_promql_text){copy, (uint32_t)used};
}

static bool
same(const char *what, struct weir_promql_text got, const json_t *wanted)
{
    struct weir_promql_text text = {json_string_value(wanted),
        (uint32_t)json_string_length(wanted)};
    return weir_promql_text_equal(got, text)
        || differs("%s is %.*s", what, (int)got.size, got.data);
}

static bool
prints_again(struct weir_promql_text printed)
{
    struct weir_promql_parsed parsed;
    struct weir_promql_text again;
    enum weir_err err = weir_promql_parse(&arena, printed.data, printed.size, &parsed);
    if (err != WEIR_OK)
        return differs("its print does not parse: %s", printed.data);
    if (weir_promql_print(&arena, parsed.root, &again) != WEIR_OK)
        return differs("out of memory");
    return weir_promql_text_equal(printed, again)
        || differs("its print %s prints %s", printed.data, again.data);
}

static bool
judge_position(const json_t *wanted, const struct weir_promql_error *error,
    struct weir_promql_text text)
{
    char whole[4096], expected[4096];
    (void)weir_promql_error_text(error, text.data, text.size, whole, sizeof whole);
    snprintf(expected, sizeof expected, "%s: parse error: %s",
        json_string_value(json_array_get(wanted, 0)), json_string_value(json_array_get(wanted, 3)));
    if (strcmp(whole, expected) != 0)
        return differs("error %s, expected %s", whole, expected);
    if (error->at.start != json_integer_value(json_array_get(wanted, 1))
        || error->at.end != json_integer_value(json_array_get(wanted, 2)))
        return differs("error at %d to %d", error->at.start, error->at.end);
    return true;
}

static bool
judge_errors(const json_t *wanted, const struct weir_promql_parsed *parsed,
    struct weir_promql_text text)
{
    size_t i = 0;
    const struct weir_promql_error *error = parsed->errors;
    for (; error != NULL; error = error->next, i++) {
        const json_t *one = json_array_get(wanted, i);
        if (one == NULL)
            return differs("one error too many: %s", error->message);
        if (json_is_array(one) && !judge_position(one, error, text))
            return false;
        if (json_is_string(one) && strcmp(json_string_value(one), error->message) != 0)
            return differs("error %s, expected %s", error->message, json_string_value(one));
    }
    return i == json_array_size(wanted) || differs("%zu errors, expected %zu", i,
        json_array_size(wanted));
}

static bool
judge_prints(const json_t *entry, struct weir_promql_node *root, uint32_t columns)
{
    struct weir_promql_text printed, pretty;
    if (weir_promql_print(&arena, root, &printed) != WEIR_OK)
        return differs("out of memory");
    const json_t *wanted = json_object_get(entry, columns > 0 ? "out" : "print"), *out;
    if (columns == 0 && (out = json_object_get(entry, "out")) != NULL)
        wanted = out;
    if (columns == 0 && wanted != NULL && !same("print", printed, wanted))
        return false;
    if (columns == 0)
        wanted = json_object_get(entry, "pretty");
    if (wanted != NULL) {
        if (weir_promql_pretty(&arena, root, columns > 0 ? columns : WEIR_PROMQL_COLUMNS, &pretty)
            != WEIR_OK)
            return differs("out of memory");
        if (!same("pretty", pretty, wanted) || !prints_again(printed))
            return false;
    }
    return prints_again(printed);
}

static bool
judge(const json_t *entry, uint32_t columns)
{
    const json_t *input = json_object_get(entry, "input"), *errors = json_object_get(entry,
        "errors"), *fail = json_object_get(entry, "fail");
    if (input == NULL)
        input = json_object_get(entry, "in");
    if (!json_is_string(input))
        return differs("a case without input");
    struct weir_promql_text text = input_text(input, fail != NULL);
    struct weir_promql_parsed parsed;
    enum weir_err err = weir_promql_parse(&arena, text.data, text.size, &parsed);
    if ((err == WEIR_OK) != (parsed.error_count == 0) || (err == WEIR_OK) != (parsed.root != NULL))
        return differs("%u errors, but result %s", parsed.error_count, weir_err_text(err));
    bool fails = json_is_true(fail) || (fail == NULL && errors != NULL);
    if (fails != (err != WEIR_OK))
        return differs(fails ? "is accepted" : "is refused: %s",
            parsed.errors == NULL ? "" : parsed.errors->message);
    if (!fails)
        return judge_prints(entry, parsed.root, columns);
    /* a list without messages asks for a refusal only */
    return json_array_size(errors) == 0 || judge_errors(errors, &parsed, text);
}

static json_t *
load(const char *path)
{
    json_error_t error;
    json_t *cases = json_load_file(path, JSON_ALLOW_NUL, &error);
    if (cases == NULL || !json_is_array(cases)) {
        printf("Bail out! %s: line %d: %s\n", path, error.line, error.text);
        exit(1);
    }
    return cases;
}

static void
run(const char *path, const char *list, uint32_t columns)
{
    json_t *cases = load(path), *entry;
    size_t index, before = failed;
    json_array_foreach(cases, index, entry)
    {
        why[0] = '\0';
        weir_promql_arena_init(&arena, WEIR_PROMQL_ARENA_MAX);
        bool good = judge(entry, columns);
        weir_promql_arena_fini(&arena);
        failed += !good;
        const char *input = json_string_value(json_object_get(entry, "input"));
        char *shown = json_dumps(json_object_get(entry, input == NULL ? "in" : "input"),
            JSON_ENCODE_ANY | JSON_ENSURE_ASCII);
        for (char *c = shown; c != NULL && *c != '\0'; c++)
            *c = *c == '#' ? '.' : *c; /* TAP gives it a meaning */
        printf("%s %zu - %s %zu %.200s%s%s\n", good ? "ok" : "not ok", ++number, list, index,
            shown == NULL ? "" : shown, good ? "" : ": ", why);
        free(shown);
    }
    printf("# %s: %zu of %zu pass\n", list, json_array_size(cases) - (failed - before),
        json_array_size(cases));
    json_decref(cases);
}

/* The expression of a line "eval instant at T EXPR" or "eval range from A to B step S EXPR". */
static const char *
expression_of(const char *line)
{
    const char *at;
    unsigned words;
    if (strncmp(line, "eval", 4) != 0 || (at = strchr(line, ' ')) == NULL)
        return NULL;
    if (strncmp(at, " instant at ", 12) == 0)
        words = 3;
    else if (strncmp(at, " range from ", 12) == 0)
        words = 7;
    else
        return NULL;
    for (; words > 0 && at != NULL; words--)
        at = strchr(at + 1, ' ');
    return at == NULL ? NULL : at + 1;
}

static bool
judge_expression(const char *text)
{
    struct weir_promql_parsed parsed;
    struct weir_promql_text printed;
    if (weir_promql_parse(&arena, text, strlen(text), &parsed) != WEIR_OK)
        return differs("%s: %s", text, parsed.errors == NULL ? "" : parsed.errors->message);
    return weir_promql_print(&arena, parsed.root, &printed) == WEIR_OK && prints_again(printed);
}

static bool
judge_series(const char *text)
{
    struct weir_promql_series series;
    return weir_promql_parse_series(&arena, text, strlen(text), &series) == WEIR_OK
        || differs("%s: at %d: %s", text, series.error->at.start, series.error->message);
}

/* Lines of a file. *loads: those that follow are series. */
static bool
judge_line(char *line, bool *loads, size_t *counts)
{
    line[strcspn(line, "\r\n")] = '\0';
    if (*line == ' ' || *line == '\t') {
        line += strspn(line, " \t");
        size_t name = strcspn(line, " {@");
        bool blank = *line == '\0' || *line == '#';
        if (!*loads || blank || strncmp(line, "eval ", 5) == 0 || line[name] == '@')
            return true;
        const char *start = strstr(line, "}@");
        if (start != NULL && strchr(line, ' ') > start)
            return true; /* start timestamps of the series that comes next */
        counts[1]++;
        return judge_series(line);
    }
    *loads = strncmp(line, "load", 4) == 0 || (*loads && (*line == '#' || *line == '\0'));
    const char *expression = expression_of(line);
    counts[0] += expression != NULL;
    return expression == NULL || judge_expression(expression);
}

static void
run_script(const char *path, size_t *counts)
{
    FILE *file = fopen(path, "r");
    char *line = NULL;
    size_t room = 0, bad = 0;
    bool loads = false;
    why[0] = '\0';
    while (file != NULL && getline(&line, &room, file) >= 0) {
        weir_promql_arena_init(&arena, WEIR_PROMQL_ARENA_MAX);
        if (!judge_line(line, &loads, counts)) {
            printf("# %s\n", why);
            bad++;
        }
        weir_promql_arena_fini(&arena);
    }
    free(line);
    if (file != NULL)
        fclose(file);
    failed += bad > 0;
    printf("%s %zu - %s: all lines parse\n", bad == 0 ? "ok" : "not ok", ++number,
        strrchr(path, '/') + 1);
}

static void
run_scripts(const char *folder)
{
    char pattern[4096];
    size_t counts[2] = {0, 0};
    glob_t found;
    snprintf(pattern, sizeof pattern, "%s/promqltest/*.test", folder);
    if (glob(pattern, 0, NULL, &found) != 0)
        return;
    for (size_t i = 0; i < found.gl_pathc; i++)
        run_script(found.gl_pathv[i], counts);
    globfree(&found);
    printf("# %zu expressions, %zu series\n", counts[0], counts[1]);
}

int
main(int argc, char **argv)
{
    if (argc > 1) {
        run(argv[1], "own", 0);
    } else {
        static const char *const lists[] = {"parser", "printer", "prettier"};
        char path[4096];
        const char *folder = getenv("WEIR_CONFORMANCE");
        for (size_t i = 0; i < sizeof lists / sizeof lists[0]; i++) {
            snprintf(path, sizeof path, "%s/promqltest/%s-cases.json",
                folder == NULL ? WEIR_CONFORMANCE_DEFAULT : folder, lists[i]);
            FILE *file = fopen(path, "r");
            if (file == NULL) {
                printf("1..0 # SKIP no %s: PromQL's %s cases were not run\n", path, lists[i]);
                return 0;
            }
            fclose(file);
            run(path, lists[i], i == 2 ? NARROW : 0);
        }
        run_scripts(folder == NULL ? WEIR_CONFORMANCE_DEFAULT : folder);
    }
    printf("1..%zu\n", number);
    return failed != 0;
}
