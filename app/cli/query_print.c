#include "app/cli/query_print.h"

#include "app/cli/answer.h"
#include "app/cli/query_result.h"
#include "app/cli/query_series.h"
#include "base/escape.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A string of the answer. It may hold zero bytes. */
static void
print_string(enum weir_escape kind, json_t *string)
{
    weir_escape_print(kind, json_string_value(string), json_string_length(string), stdout);
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
        weir_query_print_series(
            json_object_get(answer, "metric"), json_object_get(series, "labels"));
        json_array_foreach(json_object_get(series, "points"), j, point)
            weir_query_print_point(point);
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
            weir_query_print_series(NULL, item);
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

/* An answer of Weir's own API, or a list. */
static enum weir_err
print_own(json_t *answer, const char *values)
{
    bool samples = json_object_get(answer, "series") != NULL;
    size_t printed = samples ? print_samples(answer) : print_list(json_object_get(answer, "data"));
    size_t warned = print_warnings(json_object_get(answer, "warnings"));
    if (printed == 0 && warned > 0)
        return weir_fail(WEIR_NOT_FOUND, 0, "nothing is there");
    if (printed == 0 && samples)
        printf("no series with samples in this range\n");
    else if (printed == 0)
        return report_empty(answer, values);
    return WEIR_OK;
}

static enum weir_err
print_result(json_t *answer, bool csv)
{
    size_t printed = 0;
    enum weir_err err = weir_query_result_print(json_object_get(answer, "data"), csv, &printed);
    print_warnings(json_object_get(answer, "warnings"));
    print_warnings(json_object_get(answer, "infos"));
    if (err == WEIR_OK && printed == 0 && !csv)
        printf("nothing at this time\n");
    return err;
}

enum weir_err
weir_query_print(const char *body, size_t size, const char *values, bool csv)
{
    json_t *answer;
    enum weir_err err = weir_answer_read(body, size, &answer);
    if (err != WEIR_OK)
        return err;
    bool result = json_object_get(json_object_get(answer, "data"), "resultType") != NULL;
    err = result ? print_result(answer, csv) : print_own(answer, values);
    json_decref(answer);
    return err;
}
