/* weir senders: the channels of the weir protocol, and to forget those of a sender. */
#include "app/cli/answer.h"
#include "app/cli/commands.h"
#include "app/cli/net.h"
#include "app/cli/options.h"
#include "app/cli/words.h"
#include "base/escape.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define PAGE_ROWS 4000
#define SHOWN_DEFAULT 1000
#define TARGET_MAX 256

struct list {
    const char *http;
    const char *sender; /* NULL: all */
    const char *silent; /* NULL: whenever they were seen */
    uint64_t shown_max;
    json_t *rows;       /* of all pages */
    json_int_t known;
};

/* A count; 0 where the row has none. */
static uint64_t
count_of(json_t *row, const char *name)
{
    json_int_t count = json_integer_value(json_object_get(row, name));
    return count > 0 ? (uint64_t)count : 0;
}

/* Text that an answer has; never NULL. */
static const char *
text_of(json_t *row, const char *name)
{
    const char *text = json_string_value(json_object_get(row, name));
    return text != NULL ? text : "?";
}

static int
worst_first(const void *a, const void *b)
{
    static const char *const keys[] = {"gaps", "duplicates", "reorderings"};
    json_t *x = *(json_t *const *)a, *y = *(json_t *const *)b;
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
        uint64_t m = count_of(x, keys[i]), n = count_of(y, keys[i]);
        if (m != n)
            return m > n ? -1 : 1;
    }
    int order = strcmp(text_of(x, "sender"), text_of(y, "sender"));
    return order != 0 ? order
                      : (int)count_of(x, "channel") - (int)count_of(y, "channel");
}

static void
print_row(json_t *row)
{
    time_t seen = (time_t)json_number_value(json_object_get(row, "last_seen"));
    struct tm utc;
    char stamp[32] = "?";
    if (gmtime_r(&seen, &utc) != NULL)
        strftime(stamp, sizeof stamp, "%Y-%m-%d %H:%M:%S", &utc);
    weir_line_print(stdout, "%20s %7" PRIu64 " %10" PRIu64 " %20s %10" PRIu64 " %10" PRIu64
        " %11" PRIu64 " %7" PRIu64 "  %s", text_of(row, "sender"), count_of(row, "channel"),
        count_of(row, "epoch"), text_of(row, "highest"), count_of(row, "gaps"),
        count_of(row, "duplicates"), count_of(row, "reorderings"), count_of(row, "jumps"), stamp);
}

static enum weir_err
print_table(const struct list *list)
{
    size_t count = json_array_size(list->rows), shown = count;
    json_t **sorted = calloc(count + 1, sizeof *sorted);
    if (sorted == NULL)
        return weir_fail(WEIR_NOMEM, 0, "a table of %zu channels", count);
    for (size_t i = 0; i < count; i++)
        sorted[i] = json_array_get(list->rows, i);
    qsort(sorted, count, sizeof *sorted, worst_first);
    if (shown > list->shown_max)
        shown = (size_t)list->shown_max;
    if (shown > 0)
        printf("%20s %7s %10s %20s %10s %10s %11s %7s  %s\n", "sender", "channel", "epoch",
            "highest", "gaps", "duplicates", "reorderings", "jumps", "last seen (UTC)");
    for (size_t i = 0; i < shown; i++)
        print_row(sorted[i]);
    free(sorted);
    printf("%" JSON_INTEGER_FORMAT " channel%s known, %zu of them %s, %zu shown\n", list->known,
        weir_plural((uint64_t)list->known), count,
        list->sender != NULL || list->silent != NULL ? "asked for" : "listed", shown);
    return WEIR_OK;
}

/* Percent-encodes all bytes but letters and digits. */
static void
put_encoded(char *out, size_t size, const char *name, const char *text)
{
    size_t used = strlen(out);
    used += (size_t)snprintf(out + used, size - used, "&%s=", name);
    for (; *text != '\0' && used + 4 < size; text++) {
        bool plain = (*text >= '0' && *text <= '9') || (*text >= 'a' && *text <= 'z') ||
                     (*text >= 'A' && *text <= 'Z') || *text == '.';
        used += (size_t)snprintf(out + used, size - used, plain ? "%c" : "%%%02X",
            (unsigned char)*text);
    }
}

static void
target_of(const struct list *list, uint64_t limit, const char *after, char out[TARGET_MAX])
{
    snprintf(out, TARGET_MAX, "/api/v1/senders?limit=%" PRIu64, limit);
    if (list->sender != NULL)
        put_encoded(out, TARGET_MAX, "sender", list->sender);
    if (list->silent != NULL)
        put_encoded(out, TARGET_MAX, "silent", list->silent);
    if (after != NULL)
        put_encoded(out, TARGET_MAX, "after", after);
}

static enum weir_err
ask_page(const struct list *list, const char *after, json_t **answer)
{
    char target[TARGET_MAX];
    char *body;
    size_t size;
    target_of(list, PAGE_ROWS, after, target);
    const struct weir_net_request request = {.http = list->http, .target = target};
    enum weir_err err = weir_net_api_get(&request, &body, &size);
    if (err != WEIR_OK)
        return err;
    err = weir_answer_read(body, size, answer);
    free(body);
    return err;
}

static enum weir_err
print_all(struct list *list)
{
    char after[32] = "";
    enum weir_err err = WEIR_OK;
    bool more = true;
    list->rows = json_array();
    while (err == WEIR_OK && more) {
        json_t *answer;
        err = ask_page(list, after[0] != '\0' ? after : NULL, &answer);
        if (err != WEIR_OK)
            break;
        list->known = json_integer_value(json_object_get(answer, "channels"));
        json_array_extend(list->rows, json_object_get(answer, "senders"));
        const char *next = json_string_value(json_object_get(answer, "next"));
        more = next != NULL;
        snprintf(after, sizeof after, "%s", more ? next : "");
        json_decref(answer);
    }
    if (err == WEIR_OK)
        err = print_table(list);
    json_decref(list->rows);
    return err;
}

static enum weir_err
print_json(const struct list *list)
{
    char target[TARGET_MAX];
    char *body;
    size_t size;
    target_of(list, list->shown_max < PAGE_ROWS ? list->shown_max : PAGE_ROWS, NULL, target);
    const struct weir_net_request request = {.http = list->http, .target = target};
    enum weir_err err = weir_net_api_get(&request, &body, &size);
    if (err != WEIR_OK)
        return err;
    fwrite(body, 1, size, stdout);
    free(body);
    return WEIR_OK;
}

static enum weir_err
forget(const char *http, const char *sender)
{
    char target[TARGET_MAX] = "/api/v1/senders?";
    char *body;
    size_t size;
    json_t *answer;
    put_encoded(target, sizeof target, "sender", sender);
    const struct weir_net_request request = {
        .http = http, .target = target, .method = "DELETE"};
    enum weir_err err = weir_net_api_get(&request, &body, &size);
    if (err != WEIR_OK)
        return err;
    err = weir_answer_read(body, size, &answer);
    free(body);
    if (err != WEIR_OK)
        return err;
    uint64_t forgotten = count_of(answer, "forgotten");
    json_decref(answer);
    if (forgotten == 0)
        return weir_fail(WEIR_NOT_FOUND, 0, "no channel of sender %s is known", sender);
    printf("%" PRIu64 " channel%s of sender %s forgotten\n", forgotten, weir_plural(forgotten),
        sender);
    return WEIR_OK;
}

int
weir_command_senders(int argc, char **argv)
{
    struct list list = {.http = "127.0.0.1:9880", .shown_max = SHOWN_DEFAULT};
    const char *words[2];
    int count = 2;
    bool as_json = false;
    const struct weir_option options[] = {{"http", &list.http, NULL, NULL},
        {"sender", &list.sender, NULL, NULL}, {"silent", &list.silent, NULL, NULL},
        {"limit", NULL, NULL, &list.shown_max}, {"json", NULL, &as_json, NULL},
        {NULL, NULL, NULL, NULL}};
    enum weir_err err = weir_options_parse(options, argc, argv, words, &count);
    bool forgets = err == WEIR_OK && count == 2 && strcmp(words[0], "forget") == 0;
    if (err == WEIR_OK && count > 0 && !forgets)
        err = weir_fail(WEIR_INVALID, 0, "forget ID is all that follows here");
    else if (forgets)
        err = forget(list.http, words[1]);
    else if (err == WEIR_OK)
        err = as_json ? print_json(&list) : print_all(&list);
    if (err == WEIR_OK)
        return EXIT_SUCCESS;
    weir_line_print(stderr, "weir senders: %s", weir_err_detail());
    return err == WEIR_INVALID ? WEIR_EXIT_USAGE : EXIT_FAILURE;
}

void
weir_usage_senders(FILE *out)
{
    fprintf(out,
        "usage: weir senders [OPTIONS]\n"
        "       weir senders forget ID [--http ADDR:PORT]\n\n"
        "Prints the channels of the weir protocol with the packets lost, doubled and overtaken\n"
        "since the dataplane started, worst first: by gaps, then duplicates, then reorderings.\n\n"
        "forget: Weir forgets the sender's epochs and numbers, also after a restart. Its next\n"
        "packet counts as that of a new sender. It works on the machine of the instance, or if\n"
        "api.admin is true.\n\n"
        "  --http ADDR:PORT   where the instance answers (default 127.0.0.1:9880)\n"
        "  --sender ID        the channels of this sender\n"
        "  --silent TIME      channels not seen for so long: 10m, 2h\n"
        "  --limit N          lines at most (default 1000)\n"
        "  --json             the answer unchanged: a page of at most N, at most 4000\n");
}
