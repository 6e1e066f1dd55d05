/* Everything of ours that reads bytes of an HTTP client: parameters, names, times, durations,
 * Accept-Encoding, Host; and the JSON and gzip that answers are made of. The first byte chooses. */
#include "controlplane/api/quoted_name.h"
#include "controlplane/http/encoding.h"
#include "controlplane/http/host.h"
#include "controlplane/http/params.h"
#include "controlplane/http/text.h"
#include "controlplane/http/time_text.h"

#include "base/assert.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
try_params(const char *bytes, size_t size)
{
    struct weir_params params;
    if (weir_params_init(&params, bytes, size) != WEIR_OK)
        return;
    size_t total = 0;
    for (size_t i = 0; i < params.count; i++)
        total += strlen(params.items[i].name) + params.items[i].value_size;
    WEIR_ASSERT(total <= size);
    weir_params_fini(&params);
}

static char *
copy(const char *bytes, size_t size)
{
    char *text = malloc(size + 1);
    WEIR_ASSERT(text != NULL);
    memcpy(text, bytes, size);
    text[size] = '\0';
    return text;
}

/* A name of a path that is unescaped is no longer, and a hint quotes a part of the query. */
static void
try_names(const char *bytes, size_t size)
{
    char *name = copy(bytes, size), *plain = copy(bytes, size);
    char hint[WEIR_QUOTED_NAME_HINT_MAX];
    if (weir_quoted_name_unescape(name, plain))
        WEIR_ASSERT(strncmp(name, "U__", 3) == 0 && strlen(plain) < strlen(name));
    for (size_t at = 0; at <= size; at += 1 + size / 8)
        if (weir_quoted_name_hint(bytes, size, at, hint))
            WEIR_ASSERT(strlen(hint) < sizeof hint && strstr(hint, "{\"") != NULL);
    free(name);
    free(plain);
}

/* A time that was read, printed as seconds, reads back to the same. */
static void
try_times(const char *bytes, size_t size)
{
    char *text = malloc(size + 1);
    WEIR_ASSERT(text != NULL);
    memcpy(text, bytes, size);
    text[size] = '\0';
    const int64_t now_ms = INT64_C(1700000000123);
    int64_t ms, again;
    if (weir_time_parse(text, now_ms, &ms) == WEIR_OK) {
        struct weir_text printed;
        weir_text_init(&printed, 100);
        weir_json_seconds(&printed, ms, true);
        weir_text_append(&printed, "", 1);
        WEIR_ASSERT(weir_time_parse(printed.data, 0, &again) == WEIR_OK && again == ms);
        weir_text_fini(&printed);
    }
    if (weir_duration_parse(text, &ms) == WEIR_OK)
        WEIR_ASSERT(ms > 0 && ms <= WEIR_DURATION_MAX_MS);
    free(text);
}

static void
try_json(const char *bytes, size_t size)
{
    struct weir_text text;
    weir_text_init(&text, 8 * size + 2);
    weir_json_string(&text, bytes, size);
    WEIR_ASSERT(!text.full && text.size >= 2);
    weir_text_fini(&text);
}

/* One member of the list, without the comma: a coding, and a weight in thousandths. False where it
 * makes no sense. The obvious way: pieces are cut out and looked at whole. */
static bool
twin_member(char *member, char **coding, int *weight)
{
    char *parameter = strchr(member, ';');
    *weight = 1000;
    if (parameter != NULL) {
        *parameter++ = '\0';
        parameter += strspn(parameter, " \t");
        size_t size = strlen(parameter);
        while (size > 0 && strchr(" \t", parameter[size - 1]) != NULL)
            parameter[--size] = '\0';
        if (strncasecmp(parameter, "q=", 2) != 0)
            return false;
        char *digits = parameter + 2;
        size_t count = strlen(digits);
        if (count == 0 || count > 5 || (digits[0] != '0' && digits[0] != '1') ||
            (count > 1 && digits[1] != '.') ||
            (count > 2 && strspn(digits + 2, "0123456789") != count - 2))
            return false;
        char padded[6] = "0.000";
        memcpy(padded, digits, count);
        padded[1] = '.';
        *weight = (padded[0] - '0') * 1000 + atoi(padded + 2);
        if (*weight > 1000)
            return false;
    }
    member += strspn(member, " \t");
    size_t size = strlen(member);
    while (size > 0 && strchr(" \t", member[size - 1]) != NULL)
        member[--size] = '\0';
    *coding = member;
    return size > 0;
}

static void
try_encoding(const char *bytes, size_t size)
{
    char *text = copy(bytes, size);
    struct weir_codings codings;
    struct weir_codings twin;
    weir_codings_init(&codings);
    weir_codings_init(&twin);
    weir_codings_add(&codings, text);
    char *rest = text;
    for (char *member; (member = strsep(&rest, ",")) != NULL;) {
        char *coding;
        int weight;
        if (!twin_member(member, &coding, &weight))
            continue;
        if (strcasecmp(coding, "gzip") == 0 || strcasecmp(coding, "x-gzip") == 0)
            twin.gzip = weight;
        if (strcasecmp(coding, "identity") == 0)
            twin.identity = weight;
        if (strcmp(coding, "*") == 0)
            twin.any = weight;
    }
    WEIR_ASSERT(memcmp(&codings, &twin, sizeof twin) == 0);
    free(text);
}

/* A host that is ours without any name is an address or localhost; and what a longer list of names
 * lets through is never less. */
static void
try_host(const char *bytes, size_t size)
{
    static const char listed[][WEIR_CONFIG_HOST_SIZE] = {"weir.example", ".below.example"};
    static const char any[][WEIR_CONFIG_HOST_SIZE] = {"*"};
    char *text = copy(bytes, size);
    struct weir_http_hosts hosts = {.count = 0};
    enum weir_host_verdict bare = weir_http_host_check(&hosts, text);
    if (bare == WEIR_HOST_OURS) {
        bool numeric = text[strspn(text, "0123456789.:")] == '\0';
        WEIR_ASSERT(numeric || text[0] == '[' || strncasecmp(text, "localhost", 9) == 0);
    }
    hosts.names = listed;
    hosts.count = 2;
    enum weir_host_verdict named = weir_http_host_check(&hosts, text);
    hosts.names = any;
    hosts.count = 1;
    enum weir_host_verdict all = weir_http_host_check(&hosts, text);
    WEIR_ASSERT((bare == WEIR_HOST_INVALID) == (named == WEIR_HOST_INVALID));
    WEIR_ASSERT((bare == WEIR_HOST_INVALID) == (all == WEIR_HOST_INVALID));
    WEIR_ASSERT(bare != WEIR_HOST_OURS || named == WEIR_HOST_OURS);
    WEIR_ASSERT(all != WEIR_HOST_OTHER);
    free(text);
}

/* What is packed is smaller. */
static void
try_gzip(const char *bytes, size_t size)
{
    struct weir_text text;
    weir_text_init(&text, 8 * size + 8);
    for (int i = 0; i < 8; i++)
        weir_text_append(&text, bytes, size);
    size_t before = text.size;
    bool packed = weir_text_gzip(&text, NULL, NULL);
    WEIR_ASSERT(packed ? text.size < before : text.size == before);
    weir_text_fini(&text);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static void (*const tries[])(const char *, size_t) = {try_params, try_names, try_times,
        try_json, try_encoding, try_host, try_gzip};
    if (size > 0)
        tries[data[0] % (sizeof tries / sizeof tries[0])]((const char *)data + 1, size - 1);
    return 0;
}
