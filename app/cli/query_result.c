#include "app/cli/query_result.h"

#include "app/cli/query_series.h"
#include "base/escape.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void
print_points(json_t *result)
{
    size_t i;
    json_t *point;
    json_t *value = json_object_get(result, "value");
    if (value != NULL)
        weir_query_print_point(value);
    json_array_foreach(json_object_get(result, "values"), i, point)
        weir_query_print_point(point);
}

/* A field of RFC 4180: quoted where it holds a comma, a quote or the end of a line. */
static void
put_field(json_t *string)
{
    const char *text = json_string_value(string);
    size_t size = json_string_length(string);
    if (text == NULL)
        return;
    if (strpbrk(text, ",\"\r\n") == NULL) {
        fwrite(text, 1, size, stdout);
        return;
    }
    putchar('"');
    for (size_t i = 0; i < size; i++) {
        if (text[i] == '"')
            putchar('"');
        putchar(text[i]);
    }
    putchar('"');
}

static int
compare(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Names of all labels, sorted; *names is the caller's to free, its strings are the answer's. */
static enum weir_err
collect_names(json_t *results, const char ***names, size_t *count)
{
    size_t i;
    json_t *result, *value;
    const char *name;
    json_t *seen = json_object();
    *count = 0;
    *names = NULL;
    json_array_foreach(results, i, result)
        json_object_foreach(json_object_get(result, "metric"), name, value)
            if (json_object_set(seen, name, value) != 0)
                goto no_memory;
    *names = malloc((json_object_size(seen) + 1) * sizeof **names);
    if (seen == NULL || *names == NULL)
        goto no_memory;
    json_array_foreach(results, i, result)
        json_object_foreach(json_object_get(result, "metric"), name, value)
            if (json_object_del(seen, name) == 0)
                (*names)[(*count)++] = name;
    json_decref(seen);
    qsort(*names, *count, sizeof **names, compare);
    return WEIR_OK;
no_memory:
    json_decref(seen);
    return weir_fail(WEIR_NOMEM, 0, "names of labels");
}

static void
print_row(json_t *result, const char *const *names, size_t count, json_t *point)
{
    for (size_t i = 0; i < count; i++) {
        put_field(json_object_get(json_object_get(result, "metric"), names[i]));
        putchar(',');
    }
    char *time = json_dumps(json_array_get(point, 0), JSON_ENCODE_ANY | JSON_REAL_PRECISION(15));
    printf("%s,", time != NULL ? time : "");
    free(time);
    put_field(json_array_get(point, 1));
    putchar('\n');
}

/* A line of names, then a line a point: labels, time in seconds, value. */
static enum weir_err
print_csv(json_t *results)
{
    const char **names;
    size_t i, k, count;
    json_t *result, *point;
    enum weir_err err = collect_names(results, &names, &count);
    for (i = 0; err == WEIR_OK && i < count; i++) {
        json_t *name = json_string(names[i]);
        put_field(name);
        putchar(',');
        json_decref(name);
    }
    if (err == WEIR_OK) {
        puts("time,value");
        json_array_foreach(results, i, result) {
            json_t *value = json_object_get(result, "value");
            if (value != NULL)
                print_row(result, names, count, value);
            json_array_foreach(json_object_get(result, "values"), k, point)
                print_row(result, names, count, point);
        }
    }
    free(names);
    return err;
}

enum weir_err
weir_query_result_print(json_t *data, bool csv, size_t *count)
{
    size_t i;
    json_t *item;
    json_t *result = json_object_get(data, "result");
    const char *type = json_string_value(json_object_get(data, "resultType"));
    if (type == NULL || !json_is_array(result))
        return weir_fail(WEIR_IO, 0, "the answer is none of a query");
    *count = json_array_size(result);
    if (strcmp(type, "scalar") == 0 || strcmp(type, "string") == 0) {
        if (csv) {
            puts("time,value");
            print_row(NULL, NULL, 0, result);
        } else {
            weir_query_print_point(result);
        }
        return WEIR_OK;
    }
    if (csv)
        return print_csv(result);
    json_array_foreach(result, i, item) {
        weir_query_print_series(NULL, json_object_get(item, "metric"));
        print_points(item);
    }
    return WEIR_OK;
}
