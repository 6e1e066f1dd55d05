#include "app/cli/query_print.h"

#include "app/cli/answer.h"
#include "base/escape.h"
#include "controlplane/http/text.h"
#include "model/labels.h"

#include <ctype.h>
#include <inttypes.h>
#include <jansson.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* A string of the answer. It may hold zero bytes. */
static void
print_string(enum weir_escape kind, json_t *string)
{
    weir_escape_print(kind, json_string_value(string), json_string_length(string), stdout);
}

/* The selector's grammar takes such a name without quotes, and the command line as no option. */
static bool
is_bare(const char *name, size_t size, bool metric)
{
    for (size_t i = 0; i < size; i++)
        if (!isalnum((unsigned char)name[i]) && strchr(metric ? "_.-/:" : "_.-/", name[i]) == NULL)
            return false;
    return size > 0 && name[0] != '-' && strlen(name) == size;
}

static void
print_quoted(const char *text, size_t size)
{
    putchar('"');
    weir_escape_print(WEIR_ESCAPE_QUOTED, text, size, stdout);
    putchar('"');
}

/* The series as a selector. metric NULL: there is none but in labels. */
static void
print_series(json_t *metric, json_t *labels)
{
    const char *name;
    json_t *value;
    metric = metric != NULL ? metric : json_object_get(labels, WEIR_NAME_LABEL);
    const char *text = json_string_value(metric);
    size_t size = json_string_length(metric);
    bool bare = text != NULL && is_bare(text, size, true);
    const char *between = bare ? "{" : "";
    if (bare)
        fputs(text, stdout);
    else
        putchar('{');
    if (text != NULL && !bare) {
        print_quoted(text, size);
        between = ",";
    }
    json_object_foreach(labels, name, value) {
        if (strcmp(name, WEIR_NAME_LABEL) == 0)
            continue;
        fputs(between, stdout);
        between = ",";
        if (is_bare(name, strlen(name), false))
            fputs(name, stdout);
        else
            print_quoted(name, strlen(name));
        putchar('=');
        print_quoted(json_string_value(value), json_string_length(value));
    }
    puts(bare && *between == '{' ? "" : "}");
}

static void
print_point(json_t *point)
{
    json_t *value = json_array_get(point, 1);
    double seconds = json_number_value(json_array_get(point, 0));
    int64_t time_ms = (int64_t)llround(seconds * 1000);
    int64_t whole = time_ms >= 0 ? time_ms / 1000 : -((999 - time_ms) / 1000);
    time_t unix_seconds = (time_t)whole;
    struct tm utc;
    char stamp[40] = "?";
    if (gmtime_r(&unix_seconds, &utc) != NULL)
        strftime(stamp, sizeof stamp, "%Y-%m-%dT%H:%M:%S", &utc);
    printf("  %s.%03dZ  ", stamp, (int)(time_ms - whole * 1000));
    if (json_is_string(value)) { /* a value that is not finite */
        print_string(WEIR_ESCAPE_TERMINAL, value);
        putchar('\n');
    } else if (json_is_integer(value)) {
        printf("%" JSON_INTEGER_FORMAT "\n", json_integer_value(value));
    } else {
        char text[WEIR_DOUBLE_TEXT_MAX];
        weir_double_print(json_real_value(value), text);
        puts(text);
    }
}

static size_t
print_samples(json_t *answer)
{
    size_t i;
    size_t j;
    json_t *series;
    json_t *point;
    json_t *list = json_object_get(answer, "series");
    json_array_foreach(list, i, series) {
        print_series(json_object_get(answer, "metric"), json_object_get(series, "labels"));
        json_array_foreach(json_object_get(series, "points"), j, point)
            print_point(point);
    }
    return json_array_size(list);
}

/* One line a name or value, or a series. */
static size_t
print_list(json_t *list)
{
    size_t i;
    json_t *item;
    json_array_foreach(list, i, item) {
        if (json_is_string(item)) {
            print_string(WEIR_ESCAPE_TERMINAL, item);
            putchar('\n');
        } else {
            print_series(NULL, item);
        }
    }
    return json_array_size(list);
}

/* Standard output holds the answer alone; notes about it go to standard error. */
static size_t
print_warnings(json_t *warnings)
{
    size_t i;
    json_t *warning;
    json_array_foreach(warnings, i, warning)
        weir_line_print(stderr, "weir query: %s", json_string_value(warning));
    return json_array_size(warnings);
}

static enum weir_err
report_empty(json_t *answer, const char *values)
{
    json_t *first = json_array_get(json_object_get(answer, "data"), 0);
    if (first == NULL && values != NULL) {
        weir_line_print(stderr, "weir query: no series that was chosen has a label %s", values);
        return WEIR_NOT_FOUND;
    }
    fprintf(stderr, "weir query: nothing matches\n");
    return WEIR_NOT_FOUND;
}

enum weir_err
weir_query_print(const char *body, size_t size, const char *values)
{
    json_t *answer;
    enum weir_err err = weir_answer_read(body, size, &answer);
    if (err != WEIR_OK)
        return err;
    bool samples = json_object_get(answer, "series") != NULL;
    size_t printed = samples ? print_samples(answer) : print_list(json_object_get(answer, "data"));
    size_t warned = print_warnings(json_object_get(answer, "warnings"));
    if (printed == 0 && warned > 0)
        err = weir_fail(WEIR_NOT_FOUND, 0, "nothing is there");
    else if (printed == 0 && samples)
        printf("no series with samples in this range\n");
    else if (printed == 0)
        err = report_empty(answer, values);
    json_decref(answer);
    return err;
}
