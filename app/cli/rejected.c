/* weir rejected: the last lines and packets that were refused. */
#include "app/cli/answer.h"
#include "app/cli/commands.h"
#include "app/cli/net.h"
#include "app/cli/options.h"
#include "base/escape.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* A text of the answer, as people may read it; "-" where it is not there. */
static void
print_text(json_t *row, const char *key)
{
    json_t *text = json_object_get(row, key);
    if (text == NULL)
        putchar('-');
    else
        weir_escape_print(WEIR_ESCAPE_TERMINAL, json_string_value(text), json_string_length(text),
            stdout);
}

static void
print_row(json_t *row)
{
    time_t seen = (time_t)json_number_value(json_object_get(row, "time"));
    struct tm utc;
    char stamp[32] = "?";
    if (gmtime_r(&seen, &utc) != NULL)
        strftime(stamp, sizeof stamp, "%Y-%m-%dT%H:%M:%S", &utc);
    double seconds = json_number_value(json_object_get(row, "time"));
    printf("%s.%03dZ  ", stamp, (int)((seconds - (double)seen) * 1000 + 0.5));
    print_text(row, "reason");
    printf("  ");
    print_text(row, "listener");
    printf("  from ");
    print_text(row, "peer");
    json_t *position = json_object_get(row, "position");
    if (position != NULL)
        printf("  byte %" JSON_INTEGER_FORMAT, json_integer_value(position));
    if (json_object_get(row, "detail") != NULL) {
        printf("  (");
        print_text(row, "detail");
        putchar(')');
    }
    if (json_object_get(row, "text") != NULL) {
        printf("\n    ");
        print_text(row, "text");
        json_int_t size = json_integer_value(json_object_get(row, "size"));
        if ((size_t)size > 256)
            printf("... (%" JSON_INTEGER_FORMAT " bytes)", size);
    }
    putchar('\n');
}

static enum weir_err
print_rows(const char *body, size_t size)
{
    size_t i;
    json_t *row;
    json_t *answer;
    enum weir_err err = weir_answer_read(body, size, &answer);
    if (err != WEIR_OK)
        return err;
    json_t *rows = json_object_get(answer, "rejected");
    json_array_foreach(rows, i, row)
        print_row(row);
    if (json_array_size(rows) == 0)
        printf("nothing was refused, or ingest.keep_rejected is false\n");
    json_decref(answer);
    return WEIR_OK;
}

static enum weir_err
ask(const char *http, const char *target, bool as_json)
{
    char *body;
    size_t size;
    const struct weir_net_request request = {.http = http, .target = target};
    enum weir_err err = weir_net_api_get(&request, &body, &size);
    if (err != WEIR_OK)
        return err;
    if (as_json)
        fwrite(body, 1, size, stdout);
    else
        err = print_rows(body, size);
    free(body);
    return err;
}

/* Names of reasons are letters and underscores; anything else would have to be encoded. */
static enum weir_err
make_target(const char *reason, uint64_t limit, char *target, size_t size)
{
    if (reason != NULL && strspn(reason, "abcdefghijklmnopqrstuvwxyz_") != strlen(reason))
        return weir_fail(WEIR_INVALID, 0, "no such reason: %s", reason);
    if (reason != NULL && strlen(reason) > 64)
        return weir_fail(WEIR_INVALID, 0, "no such reason");
    snprintf(target, size, "/api/v1/rejected?limit=%llu%s%s", (unsigned long long)limit,
        reason != NULL ? "&reason=" : "", reason != NULL ? reason : "");
    return WEIR_OK;
}

int
weir_command_rejected(int argc, char **argv)
{
    const char *http = "127.0.0.1:9880", *reason = NULL;
    bool as_json = false;
    uint64_t limit = 20;
    char target[160];
    int count = 0;
    const struct weir_option options[] = {{"http", &http, NULL, NULL},
        {"reason", &reason, NULL, NULL}, {"limit", NULL, NULL, &limit},
        {"json", NULL, &as_json, NULL}, {NULL, NULL, NULL, NULL}};
    enum weir_err err = weir_options_parse(options, argc, argv, NULL, &count);
    if (err == WEIR_OK)
        err = make_target(reason, limit, target, sizeof target);
    if (err == WEIR_OK)
        err = ask(http, target, as_json);
    if (err == WEIR_OK)
        return EXIT_SUCCESS;
    weir_line_print(stderr, "weir rejected: %s", weir_err_detail());
    return err == WEIR_INVALID ? WEIR_EXIT_USAGE : EXIT_FAILURE;
}

void
weir_usage_rejected(FILE *out)
{
    fprintf(out,
        "usage: weir rejected [OPTIONS]\n\n"
        "Prints the last lines and packets that were refused, the newest first: time (UTC),\n"
        "reason, listener, sender, place in the datagram or connection, and the first bytes.\n"
        "Weir keeps the last few of each reason. It answers on the instance's machine only,\n"
        "unless api.admin is true.\n\n"
        "  --reason REASON    only those of this reason (docs/metrics.md)\n"
        "  --limit N          refusals at most (default 20, at most 400)\n"
        "  --http ADDR:PORT   where the instance answers (default 127.0.0.1:9880)\n"
        "  --json             the answer unchanged\n");
}
