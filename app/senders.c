/* weir senders: which channels of the weir protocol lose packets. */
#include "app/answer.h"
#include "app/commands.h"
#include "app/net.h"
#include "app/options.h"
#include "app/words.h"
#include "base/escape.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static void
print_row(json_t *row)
{
    time_t seen = (time_t)json_number_value(json_object_get(row, "last_seen"));
    struct tm utc;
    char stamp[32] = "?";
    if (gmtime_r(&seen, &utc) != NULL)
        strftime(stamp, sizeof stamp, "%Y-%m-%d %H:%M:%S", &utc);
    printf("%20s %7" JSON_INTEGER_FORMAT " %10" JSON_INTEGER_FORMAT " %12" JSON_INTEGER_FORMAT
           " %10" JSON_INTEGER_FORMAT " %10" JSON_INTEGER_FORMAT " %11" JSON_INTEGER_FORMAT
           "  %s\n",
        json_string_value(json_object_get(row, "sender")),
        json_integer_value(json_object_get(row, "channel")),
        json_integer_value(json_object_get(row, "epoch")),
        json_integer_value(json_object_get(row, "highest")),
        json_integer_value(json_object_get(row, "gaps")),
        json_integer_value(json_object_get(row, "duplicates")),
        json_integer_value(json_object_get(row, "reorderings")), stamp);
}

static enum weir_err
print_table(const char *body, size_t size)
{
    size_t i;
    json_t *row;
    json_t *answer;
    enum weir_err err = weir_answer_read(body, size, &answer);
    if (err != WEIR_OK)
        return err;
    json_t *worst = json_object_get(answer, "worst");
    if (json_array_size(worst) > 0)
        printf("%20s %7s %10s %12s %10s %10s %11s  %s\n", "sender", "channel", "epoch", "highest",
            "gaps", "duplicates", "reorderings", "last seen (UTC)");
    json_array_foreach(worst, i, row)
        print_row(row);
    json_int_t known = json_integer_value(json_object_get(answer, "channels"));
    if (known == 0)
        printf("0 channels known about a second ago: try again where one has just begun to send\n");
    else
        printf("%" JSON_INTEGER_FORMAT " channel%s known, %zu of them shown\n", known,
            weir_plural((uint64_t)known), json_array_size(worst));
    json_decref(answer);
    return WEIR_OK;
}

static enum weir_err
ask(const char *http, bool as_json)
{
    char *body;
    size_t size;
    const struct weir_net_request request = {.http = http, .target = "/api/v1/senders"};
    enum weir_err err = weir_net_api_get(&request, &body, &size);
    if (err != WEIR_OK)
        return err;
    if (as_json)
        fwrite(body, 1, size, stdout);
    else
        err = print_table(body, size);
    free(body);
    return err;
}

int
weir_command_senders(int argc, char **argv)
{
    const char *http = "127.0.0.1:9880";
    bool as_json = false;
    int count = 0;
    const struct weir_option options[] = {{"http", &http, NULL, NULL},
        {"json", NULL, &as_json, NULL}, {NULL, NULL, NULL, NULL}};
    enum weir_err err = weir_options_parse(options, argc, argv, NULL, &count);
    if (err == WEIR_OK)
        err = ask(http, as_json);
    if (err == WEIR_OK)
        return EXIT_SUCCESS;
    weir_line_print(stderr, "weir senders: %s", weir_err_detail());
    return err == WEIR_INVALID ? WEIR_EXIT_USAGE : EXIT_FAILURE;
}

void
weir_usage_senders(FILE *out)
{
    fprintf(out,
        "usage: weir senders [OPTIONS]\n\n"
        "Prints the channels of the weir protocol that lost the most packets since the dataplane\n"
        "started, at most 64, worst first: by gaps, then duplicates, then reorderings. What it\n"
        "knows is about a second old.\n\n"
        "  --http ADDR:PORT   where the instance answers (default 127.0.0.1:9880)\n"
        "  --json             the answer as it came\n");
}
