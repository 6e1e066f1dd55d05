/* weir query: the HTTP API from the command line. */
#include "app/commands.h"
#include "app/net.h"
#include "app/options.h"
#include "base/escape.h"
#include "controlplane/text.h"

#include <ctype.h>
#include <inttypes.h>
#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define TARGET_SIZE 8192
#define WORDS_MAX 34

struct target {
    char text[TARGET_SIZE];
    size_t used;
    bool full;
};

/* Appends text, percent-encoding all but unreserved characters (RFC 3986, section 2.3). */
static void
append_encoded(struct target *target, const char *text, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        unsigned char byte = (unsigned char)text[i];
        bool plain = isalnum(byte) || strchr("-._~", byte) != NULL;
        size_t room = TARGET_SIZE - target->used;
        int used = snprintf(target->text + target->used, room, plain && byte != 0 ? "%c" : "%%%02X",
            byte);
        if ((size_t)used >= room) {
            target->full = true;
            return;
        }
        target->used += (size_t)used;
    }
}

static void
append_text(struct target *target, const char *text)
{
    size_t size = strlen(text);
    if (target->used + size >= TARGET_SIZE) {
        target->full = true;
        return;
    }
    memcpy(target->text + target->used, text, size + 1);
    target->used += size;
}

static void
append_parameter(struct target *target, const char *name, size_t name_size, const char *value)
{
    if (value == NULL)
        return;
    append_text(target, strchr(target->text, '?') == NULL ? "?" : "&");
    append_encoded(target, name, name_size);
    append_text(target, "=");
    append_encoded(target, value, strlen(value));
}

static enum weir_err
append_matchers(struct target *target, const char *const *words, int count)
{
    for (int i = 0; i < count; i++) {
        const char *equals = strchr(words[i], '=');
        if (equals == NULL || equals == words[i])
            return weir_fail(WEIR_INVALID, 0, "'%s' is no LABEL=VALUE", words[i]);
        append_parameter(target, words[i], (size_t)(equals - words[i]), equals + 1);
    }
    if (target->full)
        return weir_fail(WEIR_INVALID, 0, "the query is longer than %d bytes", TARGET_SIZE);
    return WEIR_OK;
}

/* The shortest number that reads back, as the API writes it. */
static void
print_double(double value)
{
    char text[WEIR_DOUBLE_TEXT_MAX];
    weir_double_print(value, text);
    printf("%s\n", text);
}

static void
print_point(json_t *point)
{
    json_t *when = json_array_get(point, 0);
    json_t *value = json_array_get(point, 1);
    double seconds = json_number_value(when);
    time_t whole = (time_t)floor(seconds);
    struct tm utc;
    char stamp[40] = "?";
    if (gmtime_r(&whole, &utc) != NULL)
        strftime(stamp, sizeof stamp, "%Y-%m-%d %H:%M:%S", &utc);
    int ms = (int)lround((seconds - floor(seconds)) * 1000);
    printf("  %s.%03d  ", stamp, ms < 1000 ? ms : 999);
    /* non-finite values are strings */
    if (json_is_string(value))
        printf("%s\n", json_string_value(value));
    else if (json_is_integer(value))
        printf("%" JSON_INTEGER_FORMAT "\n", json_integer_value(value));
    else
        print_double(json_real_value(value));
}

static void
print_series(json_t *answer)
{
    size_t i;
    size_t j;
    json_t *series;
    json_t *point;
    const char *name;
    json_t *value;
    json_array_foreach(json_object_get(answer, "series"), i, series) {
        printf("%s", json_string_value(json_object_get(answer, "metric")));
        json_object_foreach(json_object_get(series, "labels"), name, value)
            printf(" %s=%s", name, json_string_value(value));
        printf("\n");
        json_array_foreach(json_object_get(series, "points"), j, point)
            print_point(point);
    }
    if (json_array_size(json_object_get(answer, "series")) == 0)
        printf("no series with samples in this range\n");
}

/* One line a name, or a line of labels a series. */
static void
print_data(json_t *answer)
{
    size_t i;
    json_t *item;
    const char *name;
    json_t *value;
    json_array_foreach(json_object_get(answer, "data"), i, item) {
        if (json_is_string(item))
            printf("%s", json_string_value(item));
        json_object_foreach(item, name, value)
            printf("%s=%s ", name, json_string_value(value));
        printf("\n");
    }
    /* aside: standard output is a list */
    if (json_array_size(json_object_get(answer, "data")) == 0)
        fprintf(stderr, "weir query: nothing matches\n");
}

static enum weir_err
print_answer(const char *body, size_t size)
{
    json_error_t error;
    json_t *answer = json_loadb(body, size, 0, &error);
    if (answer == NULL)
        return weir_fail(WEIR_IO, 0, "the answer is no JSON: %s", error.text);
    if (json_object_get(answer, "series") != NULL)
        print_series(answer);
    else
        print_data(answer);
    json_decref(answer);
    return WEIR_OK;
}

/* Without the newlines at the end. */
static size_t
text_size(const char *text, size_t size)
{
    while (size > 0 && text[size - 1] == '\n')
        size--;
    return size;
}

static enum weir_err
ask(const char *http, const struct target *target, bool as_json)
{
    int status;
    char *body;
    size_t size;
    enum weir_err err = weir_net_http_get(http, target->text, &status, &body, &size);
    if (err != WEIR_OK)
        return err;
    if (status != 200)
        err = weir_fail(WEIR_LIMIT, 0, "HTTP %d: %.*s", status, (int)text_size(body, size), body);
    else if (as_json)
        printf("%s%s", body, size > 0 && body[size - 1] == '\n' ? "" : "\n");
    else
        err = print_answer(body, size);
    free(body);
    return err;
}

/* One matcher of a Prometheus selector: name="value", quoted as in a string of PromQL. */
static void
append_matcher(struct target *selector, const char *name, size_t name_size, const char *value)
{
    char quoted[3] = {0};
    append_text(selector, selector->used > 1 ? "," : "");
    for (size_t i = 0; i < name_size; i++)
        append_text(selector, (char[]){name[i], '\0'});
    append_text(selector, "=\"");
    for (; *value != '\0'; value++) {
        bool special = *value == '"' || *value == '\\';
        quoted[0] = special ? '\\' : *value;
        quoted[1] = special ? *value : '\0';
        append_text(selector, quoted);
    }
    append_text(selector, "\"");
}

/* match[]={__name__="METRIC",LABEL="VALUE",...}; without words every series that has a name. */
static enum weir_err
append_selector(struct target *target, const char *const *words, int count)
{
    static struct target selector;
    append_text(&selector, "{");
    if (count == 0)
        append_text(&selector, "__name__!=\"\"");
    for (int i = 0; i < count; i++) {
        const char *equals = strchr(words[i], '=');
        if (equals == words[i] || (equals == NULL && i > 0))
            return weir_fail(WEIR_INVALID, 0, "'%s' is no LABEL=VALUE", words[i]);
        if (equals == NULL)
            append_matcher(&selector, "__name__", strlen("__name__"), words[i]);
        else
            append_matcher(&selector, words[i], (size_t)(equals - words[i]), equals + 1);
    }
    append_text(&selector, "}");
    append_parameter(target, "match[]", strlen("match[]"), selector.text);
    if (target->full || selector.full)
        return weir_fail(WEIR_INVALID, 0, "the query is longer than %d bytes", TARGET_SIZE);
    return WEIR_OK;
}

struct query {
    const char *http, *from, *to, *step, *agg, *values;
    bool as_json, labels, series;
};

static enum weir_err
make_target(const struct query *query, const char *const *words, int count, struct target *out)
{
    if (query->labels) {
        append_text(out, "/api/v1/labels");
    } else if (query->values != NULL) {
        append_text(out, "/api/v1/label/");
        append_encoded(out, query->values, strlen(query->values));
        append_text(out, "/values");
    } else if (query->series) {
        append_text(out, "/api/v1/series");
        return append_selector(out, words, count);
    } else {
        if (count == 0 || strchr(words[0], '=') != NULL)
            return weir_fail(WEIR_INVALID, 0, "the name of a metric comes first");
        append_text(out, "/api/v1/metrics/query");
        append_parameter(out, "metric", 6, *words++);
        count--;
        append_parameter(out, "from", 4, query->from);
        append_parameter(out, "to", 2, query->to);
        append_parameter(out, "step", 4, query->step);
        append_parameter(out, "agg", 3, query->agg);
    }
    return append_matchers(out, words, count);
}

int
weir_command_query(int argc, char **argv)
{
    struct query query = {.http = "127.0.0.1:9880"};
    const char *words[WORDS_MAX];
    int count = WORDS_MAX;
    const struct weir_option options[] = {{"http", &query.http, NULL, NULL},
        {"from", &query.from, NULL, NULL}, {"to", &query.to, NULL, NULL},
        {"step", &query.step, NULL, NULL}, {"agg", &query.agg, NULL, NULL},
        {"values", &query.values, NULL, NULL}, {"labels", NULL, &query.labels, NULL},
        {"series", NULL, &query.series, NULL}, {"json", NULL, &query.as_json, NULL},
        {NULL, NULL, NULL, NULL}};
    static struct target target;
    enum weir_err err = weir_options_parse(options, argc, argv, words, &count);
    if (err == WEIR_OK)
        err = make_target(&query, words, count, &target);
    if (err == WEIR_OK)
        err = ask(query.http, &target, query.as_json);
    if (err == WEIR_OK)
        return EXIT_SUCCESS;
    weir_line_print(stderr, "weir query: %s", weir_err_detail());
    return err == WEIR_INVALID ? WEIR_EXIT_USAGE : EXIT_FAILURE;
}

void
weir_usage_query(FILE *out)
{
    fprintf(out,
        "usage: weir query [OPTIONS] METRIC [LABEL=VALUE ...]\n"
        "       weir query --labels | --values LABEL | --series [METRIC] [LABEL=VALUE ...]\n\n"
        "Asks a running instance and prints a table.\n\n"
        "  --http ADDR:PORT   where it answers (default 127.0.0.1:9880)\n"
        "  --from T, --to T   RFC 3339 or Unix seconds (default: the last hour)\n"
        "  --step T           width of a bucket (default 60s)\n"
        "  --agg A            avg (default), min, max, sum, count, last, raw\n"
        "  --json             the answer as it came\n"
        "  --labels           names of labels\n"
        "  --values LABEL     values of one label; __name__ for metrics\n"
        "  --series           series instead of samples\n");
}
