/* weir query: the HTTP API from the command line. */
#include "app/cli/commands.h"
#include "app/cli/net.h"
#include "app/cli/options.h"
#include "app/cli/query_print.h"
#include "app/cli/query_words.h"
#include "base/clock.h"
#include "base/escape.h"
#include "controlplane/http/time_text.h"
#include "controlplane/promql/parse/token.h"
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

#define WEIR_METRIC ((struct weir_promql_text){"metric", 6})

static void
append_bytes(
    struct target *target, struct weir_promql_text name, struct weir_promql_text value)
{
    append_text(target, strchr(target->text, '?') == NULL ? "?" : "&");
    append_encoded(target, name.data, name.size);
    append_text(target, "=");
    append_encoded(target, value.data, value.size);
}

/* Nothing where value is NULL. */
static void
append_parameter(struct target *target, const char *name, const char *value)
{
    if (value != NULL)
        append_bytes(target, (struct weir_promql_text){name, (uint32_t)strlen(name)},
            (struct weir_promql_text){value, (uint32_t)strlen(value)});
}

/* Metric and labels as parameters of /api/v1/metrics/query, which compares for equality. */
static enum weir_err
append_choice(struct target *target, const struct weir_query_words *words)
{
    bool named = false;
    for (uint32_t i = 0; i < words->count; i++) {
        const struct weir_promql_matcher *match = &words->matchers[i];
        bool is_name = weir_promql_text_is(match->label, WEIR_NAME_LABEL);
        if (match->operator != WEIR_PROMQL_IS)
            return weir_fail(WEIR_INVALID, 0, "%.*s%s: samples are asked for by = alone; --series, "
                "and queries without --agg, --from and --to, take the others",
                (int)match->label.size, match->label.data, weir_promql_spelling(match->operator));
        if (is_name && named)
            return weir_fail(WEIR_INVALID, 0, "the name of the metric is given twice");
        named = named || is_name;
        append_bytes(target, is_name ? WEIR_METRIC : match->label, match->value);
    }
    return named ? WEIR_OK : weir_fail(WEIR_INVALID, 0, "the name of a metric comes first");
}

/* One string of a selector, with its quotes. */
static void
append_quoted(struct target *selector, struct weir_promql_text text)
{
    char quoted[TARGET_SIZE];
    size_t used = weir_escape_into(WEIR_ESCAPE_QUOTED, text.data, text.size, quoted, sizeof quoted);
    selector->full = selector->full || used + 8 > sizeof quoted;
    append_text(selector, "\"");
    append_text(selector, quoted);
    append_text(selector, "\"");
}

/* match[]={"__name__"="METRIC","LABEL"="VALUE",...}; without words every series that has a name. */
static enum weir_err
append_match(struct target *target, const struct weir_query_words *words)
{
    static struct target selector;
    append_text(&selector, words->count == 0 ? "{__name__!=\"\"" : "{");
    for (uint32_t i = 0; i < words->count; i++) {
        const struct weir_promql_matcher *match = &words->matchers[i];
        append_text(&selector, i > 0 ? "," : "");
        append_quoted(&selector, match->label);
        append_text(&selector, weir_promql_spelling(match->operator));
        append_quoted(&selector, match->value);
    }
    append_text(&selector, "}");
    target->full = target->full || selector.full;
    append_parameter(target, "match[]", selector.text);
    return WEIR_OK;
}

struct query_options {
    const char *http, *from, *to, *step, *agg, *values, *timeout, *time, *range;
    bool as_json, as_csv, labels, series;
};

/* What is asked for. */
enum kind {
    LISTS,      /* of labels and series */
    SAMPLES,    /* of one metric, over time */
    EXPRESSION, /* PromQL */
};

static enum kind
kind_of(const struct query_options *query, const char *const *words, int count)
{
    if (query->labels || query->values != NULL || query->series)
        return LISTS;
    if (query->time != NULL || query->range != NULL || query->as_csv)
        return EXPRESSION;
    if (count != 1 || query->agg != NULL || query->from != NULL || query->to != NULL)
        return SAMPLES;
    return weir_query_word_is_name(words[0]) ? SAMPLES : EXPRESSION;
}

/* The first option given of those, NULL for none. */
static const char *
first_given(const char *const *names, const char *const *values, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (values[i] != NULL)
            return names[i];
    return NULL;
}

/* Options without effect are refused: the user expects an effect. */
static enum weir_err
check_options(const struct query_options *query, enum kind kind, int count)
{
    static const char *const times[] = {"from", "to", "agg", "step", "time", "range"};
    const char *const given[] = {query->from, query->to, query->agg, query->step, query->time,
        query->range};
    if (query->labels + (query->values != NULL) + query->series > 1)
        return weir_fail(WEIR_INVALID, 0, "--labels, --values, --series: one of them");
    const char *idle = kind == LISTS ? first_given(times, given, 6) : NULL;
    if (idle != NULL || (kind == LISTS && query->as_csv))
        return weir_fail(WEIR_INVALID, 0, "--%s: lists of labels and series have no times yet",
            idle != NULL ? idle : "csv");
    idle = kind == EXPRESSION ? first_given(times, given, 3) : NULL;
    if (idle != NULL)
        return weir_fail(WEIR_INVALID, 0, "--%s goes with a metric; an expression has --time, "
            "--range and --step", idle);
    if (kind == EXPRESSION && count != 1)
        return weir_fail(WEIR_INVALID, 0, "one expression, in quotes where it has blanks");
    if (kind == EXPRESSION && query->step != NULL && query->range == NULL)
        return weir_fail(WEIR_INVALID, 0, "--step goes with --range");
    return WEIR_OK;
}

/* start and end of a range that ends at --time, or now. */
static enum weir_err
append_range(struct target *out, const struct query_options *query)
{
    int64_t range_ms, end_ms;
    char start[32], end[32];
    if (weir_duration_parse(query->range, &range_ms) != WEIR_OK)
        return weir_fail(WEIR_INVALID, 0, "--range %s: %s", query->range, weir_err_detail());
    end_ms = weir_wall_ms();
    if (query->time != NULL && weir_time_parse(query->time, end_ms, &end_ms) != WEIR_OK)
        return weir_fail(WEIR_INVALID, 0, "--time %s: %s", query->time, weir_err_detail());
    snprintf(start, sizeof start, "%.3f", (double)(end_ms - range_ms) / 1000);
    snprintf(end, sizeof end, "%.3f", (double)end_ms / 1000);
    append_parameter(out, "start", start);
    append_parameter(out, "end", end);
    append_parameter(out, "step", query->step != NULL ? query->step : "60s");
    return WEIR_OK;
}

static enum weir_err
make_expression(const struct query_options *query, const char *text, struct target *out)
{
    append_text(out, query->range != NULL ? "/api/v1/query_range" : "/api/v1/query");
    append_parameter(out, "query", text);
    if (query->range != NULL)
        return append_range(out, query);
    append_parameter(out, "time", query->time);
    return WEIR_OK;
}

static enum weir_err
make_samples(const struct query_options *query, const struct weir_query_words *words,
    struct target *out)
{
    append_text(out, "/api/v1/metrics/query");
    enum weir_err err = append_choice(out, words);
    append_parameter(out, "from", query->from);
    append_parameter(out, "to", query->to);
    append_parameter(out, "step", query->step);
    append_parameter(out, "agg", query->agg);
    return err;
}

static enum weir_err
make_list(const struct query_options *query, const struct weir_query_words *words,
    struct target *out)
{
    if (query->labels) {
        append_text(out, "/api/v1/labels");
    } else if (query->values != NULL) {
        append_text(out, "/api/v1/label/");
        append_encoded(out, query->values, strlen(query->values));
        append_text(out, "/values");
    } else {
        append_text(out, "/api/v1/series");
    }
    return query->series || words->count > 0 ? append_match(out, words) : WEIR_OK;
}

static enum weir_err
make_target(const struct query_options *query, enum kind kind, const char *const *words, int count,
    struct target *out)
{
    struct weir_query_words read = {.count = 0};
    enum weir_err err = kind == EXPRESSION ? make_expression(query, words[0], out)
                                           : weir_query_words_read(words, count, &read);
    if (err == WEIR_OK && kind == SAMPLES)
        err = make_samples(query, &read, out);
    else if (err == WEIR_OK && kind == LISTS)
        err = make_list(query, &read, out);
    weir_query_words_fini(&read);
    if (err == WEIR_OK && out->full)
        err = weir_fail(WEIR_INVALID, 0, "the query is longer than %d bytes", TARGET_SIZE);
    return err;
}

static enum weir_err
ask(const struct query_options *query, const struct target *target)
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
        err = weir_query_print(body, size, query->values, query->as_csv);
    free(body);
    return err;
}

int
weir_command_query(int argc, char **argv)
{
    struct query_options query = {.http = "127.0.0.1:9880"};
    const char *words[WORDS_MAX];
    int count = WORDS_MAX;
    const struct weir_option options[] = {{"http", &query.http, NULL, NULL},
        {"from", &query.from, NULL, NULL}, {"to", &query.to, NULL, NULL},
        {"step", &query.step, NULL, NULL}, {"agg", &query.agg, NULL, NULL},
        {"values", &query.values, NULL, NULL}, {"labels", NULL, &query.labels, NULL},
        {"series", NULL, &query.series, NULL}, {"json", NULL, &query.as_json, NULL},
        {"timeout", &query.timeout, NULL, NULL}, {"time", &query.time, NULL, NULL},
        {"range", &query.range, NULL, NULL}, {"csv", NULL, &query.as_csv, NULL},
        {NULL, NULL, NULL, NULL}};
    static struct target target;
    enum kind kind = LISTS;
    enum weir_err err = weir_options_parse(options, argc, argv, words, &count);
    if (err == WEIR_OK) {
        kind = kind_of(&query, words, count);
        err = check_options(&query, kind, count);
    }
    if (err == WEIR_OK)
        err = make_target(&query, kind, words, count, &target);
    if (err == WEIR_OK)
        err = ask(&query, &target);
    if (err == WEIR_OK && kind == SAMPLES && count == 1 && query.agg == NULL &&
        query.from == NULL && query.to == NULL && query.step == NULL && !query.as_json)
        fprintf(stderr, "weir query: a name alone shows averages of a minute over the last hour; "
            "--time now asks for it in PromQL\n");
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
        "usage: weir query [OPTIONS] 'EXPRESSION' [--time T] [--range T --step T] [--csv]\n"
        "       weir query [OPTIONS] METRIC [LABEL=VALUE ...] [--from T] [--to T] [--agg A]\n"
        "       weir query --labels | --values LABEL | --series [METRIC] [LABEL=VALUE ...]\n\n"
        "Asks a running instance and prints a table. The expression is PromQL; one bare word is\n"
        "the name of a metric, whose samples are shown. A printed series can be used as a query.\n"
        "Exit code 0: answered; 1: there is no such metric, label or value, or the instance does\n"
        "not answer; 2: the question was not understood.\n\n"
        "  --http ADDR:PORT   its address (default 127.0.0.1:9880); a name or a URL like\n"
        "                     http://localhost:9880 too\n"
        "  --time T           when the expression is evaluated, or where its range ends (default:\n"
        "                     now); as --from\n"
        "  --range T          evaluates it at many times: this long, a step apart\n"
        "  --csv              a PromQL result as CSV: labels, time in seconds, value\n"
        "  --from T, --to T   -1h, now-30m, 2026-11-21, RFC 3339 or Unix seconds (default: the\n"
        "                     last hour); UTC if there is no zone, as in the output\n"
        "  --step T           width of a bucket, or distance of the times (default 60s)\n"
        "  --agg A            avg (default), min, max, sum, count, last, raw\n"
        "  --json             the answer unchanged\n"
        "  --labels           names of labels\n"
        "  --values LABEL     values of one label; __name__ for metrics\n"
        "  --series           series instead of samples; a selector may hold != too\n"
        "  --timeout T        longest wait for the whole answer (default 60s); a silent instance\n"
        "                     is given up after 5 s\n");
}
