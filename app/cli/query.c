/* weir query: the HTTP API from the command line. */
#include "app/cli/commands.h"
#include "app/cli/net.h"
#include "app/cli/options.h"
#include "app/cli/query_print.h"
#include "base/escape.h"
#include "controlplane/http/time_text.h"
#include "controlplane/query/selector.h"
#include "model/labels.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

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
append_bytes(struct target *target, const char *name, const char *value, size_t value_size)
{
    append_text(target, strchr(target->text, '?') == NULL ? "?" : "&");
    append_encoded(target, name, strlen(name));
    append_text(target, "=");
    append_encoded(target, value, value_size);
}

/* Nothing where value is NULL. */
static void
append_parameter(struct target *target, const char *name, const char *value)
{
    if (value != NULL)
        append_bytes(target, name, value, strlen(value));
}

/* The choice that the words make: a metric or a selector, then labels. */
struct choice {
    struct weir_selector selector; /* owns the memory of its matches */
    struct weir_match matches[WEIR_SELECTOR_MATCHES_MAX + WORDS_MAX];
    size_t count;
    char names[TARGET_SIZE]; /* of the labels among the words */
    size_t names_used;
};

static enum weir_err
add_word(struct choice *choice, const char *word)
{
    const char *equals = strchr(word, '=');
    if (equals == NULL || equals == word)
        return weir_fail(WEIR_INVALID, 0, "'%s' is no LABEL=VALUE", word);
    size_t size = (size_t)(equals - word);
    if (choice->names_used + size + 1 > sizeof choice->names)
        return weir_fail(WEIR_INVALID, 0, "the query is longer than %d bytes", TARGET_SIZE);
    char *name = memcpy(choice->names + choice->names_used, word, size);
    name[size] = '\0';
    choice->names_used += size + 1;
    choice->matches[choice->count++] = (struct weir_match){.name = name, .value = equals + 1,
        .value_size = strlen(equals + 1), .kind = WEIR_MATCH_EQUAL};
    return WEIR_OK;
}

/* A word with a brace is a selector, as weir query prints it; a metric that has one in its name is
 * written {"name"}. */
static enum weir_err
add_selector(struct choice *choice, const char *word)
{
    enum weir_err err = weir_selector_init(&choice->selector, word, strlen(word));
    if (err == WEIR_INVALID || err == WEIR_UNSUPPORTED)
        return weir_fail(WEIR_INVALID, 0, "%s: %s", word, weir_err_detail());
    if (err != WEIR_OK)
        return err;
    memcpy(choice->matches, choice->selector.matches,
        choice->selector.count * sizeof choice->matches[0]);
    choice->count = choice->selector.count;
    return WEIR_OK;
}

static enum weir_err
read_words(const char *const *words, int count, struct choice *choice)
{
    int at = 0;
    enum weir_err err = WEIR_OK;
    if (count > 0 && strchr(words[0], '{') != NULL) {
        err = add_selector(choice, words[at++]);
    } else if (count > 0 && strchr(words[0], '=') == NULL) {
        choice->matches[choice->count++] = (struct weir_match){.name = WEIR_NAME_LABEL,
            .value = words[0], .value_size = strlen(words[0]), .kind = WEIR_MATCH_EQUAL};
        at++;
    }
    for (; err == WEIR_OK && at < count; at++)
        err = add_word(choice, words[at]);
    return err;
}

/* Metric and labels as parameters of /api/v1/metrics/query, which compares for equality. */
static enum weir_err
append_choice(struct target *target, const struct choice *choice)
{
    const struct weir_match *metric = NULL;
    for (size_t i = 0; i < choice->count; i++) {
        const struct weir_match *match = &choice->matches[i];
        bool is_name = strcmp(match->name, WEIR_NAME_LABEL) == 0;
        if (match->kind != WEIR_MATCH_EQUAL)
            return weir_fail(WEIR_INVALID, 0, "%s!=: samples are asked for by = alone; --series "
                "takes != too", match->name);
        if (is_name && metric != NULL)
            return weir_fail(WEIR_INVALID, 0, "the name of the metric is given twice");
        metric = is_name ? match : metric;
        append_bytes(target, is_name ? "metric" : match->name, match->value, match->value_size);
    }
    if (metric == NULL)
        return weir_fail(WEIR_INVALID, 0, "the name of a metric comes first");
    return WEIR_OK;
}

/* One string of a selector, with its quotes. */
static void
append_quoted(struct target *selector, const char *text, size_t size)
{
    char quoted[TARGET_SIZE];
    size_t used = weir_escape_into(WEIR_ESCAPE_QUOTED, text, size, quoted, sizeof quoted);
    selector->full = selector->full || used + 8 > sizeof quoted;
    append_text(selector, "\"");
    append_text(selector, quoted);
    append_text(selector, "\"");
}

/* match[]={"__name__"="METRIC","LABEL"="VALUE",...}; without words every series that has a name. */
static enum weir_err
append_match(struct target *target, const struct choice *choice)
{
    static struct target selector;
    append_text(&selector, choice->count == 0 ? "{__name__!=\"\"" : "{");
    for (size_t i = 0; i < choice->count; i++) {
        const struct weir_match *match = &choice->matches[i];
        append_text(&selector, i > 0 ? "," : "");
        append_quoted(&selector, match->name, strlen(match->name));
        append_text(&selector, match->kind == WEIR_MATCH_EQUAL ? "=" : "!=");
        append_quoted(&selector, match->value, match->value_size);
    }
    append_text(&selector, "}");
    target->full = target->full || selector.full;
    append_parameter(target, "match[]", selector.text);
    return WEIR_OK;
}

struct query {
    const char *http, *from, *to, *step, *agg, *values, *timeout;
    bool as_json, labels, series;
};

/* Options without effect are refused: the user expects an effect. */
static enum weir_err
check_options(const struct query *query)
{
    if (query->labels + (query->values != NULL) + query->series > 1)
        return weir_fail(WEIR_INVALID, 0, "--labels, --values, --series: one of them");
    bool lists = query->labels || query->values != NULL || query->series;
    const char *idle = query->from != NULL ? "from" : query->to != NULL ? "to"
        : query->step != NULL ? "step" : query->agg != NULL ? "agg" : NULL;
    if (lists && idle != NULL)
        return weir_fail(WEIR_INVALID, 0, "--%s: lists of labels and series have no times yet",
            idle);
    return WEIR_OK;
}

static enum weir_err
make_target(const struct query *query, const struct choice *choice, struct target *out)
{
    enum weir_err err = WEIR_OK;
    if (query->labels) {
        append_text(out, "/api/v1/labels");
    } else if (query->values != NULL) {
        append_text(out, "/api/v1/label/");
        append_encoded(out, query->values, strlen(query->values));
        append_text(out, "/values");
    } else if (query->series) {
        append_text(out, "/api/v1/series");
    } else {
        append_text(out, "/api/v1/metrics/query");
        err = append_choice(out, choice);
        append_parameter(out, "from", query->from);
        append_parameter(out, "to", query->to);
        append_parameter(out, "step", query->step);
        append_parameter(out, "agg", query->agg);
    }
    if (query->series || ((query->labels || query->values != NULL) && choice->count > 0))
        err = append_match(out, choice);
    if (err == WEIR_OK && out->full)
        err = weir_fail(WEIR_INVALID, 0, "the query is longer than %d bytes", TARGET_SIZE);
    return err;
}

static enum weir_err
ask(const struct query *query, const struct target *target)
{
    char *body;
    size_t size;
    int64_t limit_ms = 0;
    if (query->timeout != NULL && weir_duration_parse(query->timeout, &limit_ms) != WEIR_OK)
        return weir_fail(WEIR_INVALID, 0, "--timeout %s: %s", query->timeout, weir_err_detail());
    const struct weir_net_request request = {.http = query->http, .target = target->text,
        .limit_ms = limit_ms < INT32_MAX ? (int)limit_ms : INT32_MAX};
    enum weir_err err = weir_net_api_get(&request, &body, &size);
    if (err != WEIR_OK)
        return err;
    if (query->as_json)
        printf("%s%s", body, size > 0 && body[size - 1] == '\n' ? "" : "\n");
    else
        err = weir_query_print(body, size, query->values);
    free(body);
    return err;
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
        {"timeout", &query.timeout, NULL, NULL}, {NULL, NULL, NULL, NULL}};
    static struct target target;
    static struct choice choice;
    enum weir_err err = weir_options_parse(options, argc, argv, words, &count);
    if (err == WEIR_OK)
        err = check_options(&query);
    if (err == WEIR_OK)
        err = read_words(words, count, &choice);
    if (err == WEIR_OK)
        err = make_target(&query, &choice, &target);
    if (err == WEIR_OK)
        err = ask(&query, &target);
    weir_selector_fini(&choice.selector);
    if (err == WEIR_OK)
        return EXIT_SUCCESS;
    if (err != WEIR_NOT_FOUND) /* that has been said */
        weir_line_print(stderr, "weir query: %s", weir_err_detail());
    return err == WEIR_INVALID ? WEIR_EXIT_USAGE : EXIT_FAILURE;
}

void
weir_usage_query(FILE *out)
{
    fprintf(out,
        "usage: weir query [OPTIONS] METRIC [LABEL=VALUE ...]\n"
        "       weir query [OPTIONS] 'METRIC{LABEL=\"VALUE\",...}'\n"
        "       weir query --labels | --values LABEL | --series [METRIC] [LABEL=VALUE ...]\n\n"
        "Asks a running instance and prints a table. A printed series can be used as a query.\n"
        "Exit code 0: answered; 1: there is no such metric, label or value, or the instance does\n"
        "not answer; 2: the question was not understood.\n\n"
        "  --http ADDR:PORT   its address (default 127.0.0.1:9880); a name or a URL like\n"
        "                     http://localhost:9880 too\n"
        "  --from T, --to T   -1h, now-30m, 2026-11-21, RFC 3339 or Unix seconds (default: the\n"
        "                     last hour); UTC if there is no zone, as in the output\n"
        "  --step T           width of a bucket (default 60s)\n"
        "  --agg A            avg (default), min, max, sum, count, last, raw\n"
        "  --json             the answer unchanged\n"
        "  --labels           names of labels\n"
        "  --values LABEL     values of one label; __name__ for metrics\n"
        "  --series           series instead of samples; a selector may hold != too\n"
        "  --timeout T        longest wait for the whole answer (default 60s); a silent instance\n"
        "                     is given up after 5 s\n");
}
