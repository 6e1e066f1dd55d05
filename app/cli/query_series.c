#include "app/cli/query_series.h"

#include "base/escape.h"
#include "controlplane/http/text.h"
#include "model/labels.h"

#include <ctype.h>
#include <inttypes.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

/* PromQL takes such a name without quotes. */
static bool
is_bare(const char *name, size_t size, bool metric)
{
    for (size_t i = 0; i < size; i++)
        if (!isalnum((unsigned char)name[i]) && name[i] != '_' && !(metric && name[i] == ':'))
            return false;
    return size > 0 && !isdigit((unsigned char)name[0]) && strlen(name) == size;
}

static void
print_quoted(const char *text, size_t size)
{
    putchar('"');
    weir_escape_print(WEIR_ESCAPE_QUOTED, text, size, stdout);
    putchar('"');
}

void
weir_query_print_series(json_t *metric, json_t *labels)
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

void
weir_query_print_point(json_t *point)
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
        weir_escape_print(WEIR_ESCAPE_TERMINAL, json_string_value(value),
            json_string_length(value), stdout);
        putchar('\n');
    } else if (json_is_integer(value)) {
        printf("%" JSON_INTEGER_FORMAT "\n", json_integer_value(value));
    } else {
        char text[WEIR_DOUBLE_TEXT_MAX];
        weir_double_print(json_real_value(value), text);
        puts(text);
    }
}
