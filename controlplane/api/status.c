/* Pages of Prometheus's API that the event loop answers: status, and what there is none of yet. */
#include "controlplane/api/parts.h"

#include "base/clock.h"
#include "config/keys.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* Whose API this is: the language and the paths of this version of Prometheus. */
#define PROMETHEUS_VERSION "3.14.0"
#define VALUE_SIZE 2048

static void
respond_data(struct weir_http_request *request, const char *data)
{
    struct weir_text text;
    weir_text_init(&text, WEIR_API_TEXT_MAX);
    weir_text_format(&text, "{\"status\":\"success\",\"data\":%s}\n", data);
    weir_api_respond(request, WEIR_STATUS_OK, WEIR_API_JSON, &text);
}

void
weir_page_empty_object(struct weir_api *api, struct weir_http_request *request)
{
    (void)api;
    respond_data(request, "{}");
}

void
weir_page_empty_list(struct weir_api *api, struct weir_http_request *request)
{
    (void)api;
    respond_data(request, "[]");
}

void
weir_page_rules(struct weir_api *api, struct weir_http_request *request)
{
    (void)api;
    respond_data(request, "{\"groups\":[]}");
}

void
weir_page_alerts(struct weir_api *api, struct weir_http_request *request)
{
    (void)api;
    respond_data(request, "{\"alerts\":[]}");
}

void
weir_page_targets(struct weir_api *api, struct weir_http_request *request)
{
    (void)api;
    respond_data(request,
        "{\"activeTargets\":[],\"droppedTargets\":[],\"droppedTargetCounts\":{}}");
}

/* No `features`: Grafana takes an instance that has some for Mimir. */
void
weir_page_buildinfo(struct weir_api *api, struct weir_http_request *request)
{
    (void)api;
    respond_data(request,
        "{\"version\":\"" PROMETHEUS_VERSION "\",\"revision\":\"weir-" WEIR_VERSION
        "\",\"branch\":\"\",\"buildUser\":\"\",\"buildDate\":\"\",\"goVersion\":\"\"}");
}

static void
put_time(struct weir_text *text, const char *field, int64_t time_ms)
{
    time_t seconds = (time_t)(time_ms / 1000);
    struct tm parts;
    char stamp[40] = "";
    if (gmtime_r(&seconds, &parts) != NULL)
        strftime(stamp, sizeof stamp, "%Y-%m-%dT%H:%M:%S", &parts);
    weir_text_format(text, "\"%s\":\"%s.%03dZ\",", field, stamp, (int)(time_ms % 1000));
}

void
weir_page_runtimeinfo(struct weir_api *api, struct weir_http_request *request)
{
    const struct weir_config *config = api->options.config;
    struct weir_exposition from;
    struct weir_text text;
    char folder[WEIR_CONFIG_PATH_MAX];
    weir_api_read_exposition(api, &from);
    weir_text_init(&text, WEIR_API_TEXT_MAX);
    weir_text_puts(&text, "{\"status\":\"success\",\"data\":{");
    put_time(&text, "startTime", api->started_ms);
    put_time(&text, "serverTime", weir_wall_ms());
    put_time(&text, "lastConfigTime", api->started_ms);
    if (getcwd(folder, sizeof folder) == NULL)
        folder[0] = '\0';
    weir_text_puts(&text, "\"CWD\":");
    weir_json_string(&text, folder, strlen(folder));
    weir_text_format(&text,
        ",\"reloadConfigSuccess\":true,\"corruptionCount\":%" PRIu64
        ",\"goroutineCount\":%" PRIu32 ",\"GOMAXPROCS\":%" PRIu32
        ",\"GOGC\":\"\",\"GODEBUG\":\"\",\"storageRetention\":\"%" PRIu64 "s\"}}\n",
        from.pool.blocks_corrupt, api->options.threads + 1, api->options.threads,
        config != NULL ? config->retention_raw_ms / 1000 : 0);
    weir_api_respond(request, WEIR_STATUS_OK, WEIR_API_JSON, &text);
}

/* A setting's value as one line; a list as in YAML. */
static void
value_text(const struct weir_config *config, const struct config_key *key, char *out, size_t size)
{
    char *line = NULL;
    size_t line_size = 0;
    bool list = key->kind == CONFIG_PORTS || key->kind == CONFIG_CORES ||
        key->kind == CONFIG_SOURCES || key->kind == CONFIG_HOSTS || key->kind == CONFIG_ORIGINS;
    out[0] = '\0';
    if (!list) {
        config_key_text(config, key, out, size);
        return;
    }
    FILE *stream = open_memstream(&line, &line_size);
    if (stream == NULL)
        return;
    config_key_print(config, key, stream);
    if (fclose(stream) == 0 && strchr(line, '[') != NULL)
        snprintf(out, size, "%.*s", (int)strcspn(strchr(line, '['), "\n"), strchr(line, '['));
    free(line);
}

/* Settings as this process was started with; those that a reload changed are in /status/config of
 * the next start. */
void
weir_page_flags(struct weir_api *api, struct weir_http_request *request)
{
    const struct weir_config *config = api->options.config;
    struct weir_text text;
    char value[VALUE_SIZE];
    weir_text_init(&text, WEIR_API_TEXT_MAX);
    weir_text_puts(&text, "{\"status\":\"success\",\"data\":{");
    for (size_t i = 0, shown = 0; config != NULL && i < config_key_count; i++) {
        const struct config_key *key = &config_keys[i];
        if (key->option == NULL || key->kind == CONFIG_LISTENERS)
            continue;
        value_text(config, key, value, sizeof value);
        weir_text_puts(&text, shown++ > 0 ? "," : "");
        weir_json_string(&text, key->path, strlen(key->path));
        weir_text_puts(&text, ":");
        weir_json_string(&text, value, strlen(value));
    }
    weir_text_puts(&text, "}}\n");
    weir_api_respond(request, WEIR_STATUS_OK, WEIR_API_JSON, &text);
}

void
weir_page_config(struct weir_api *api, struct weir_http_request *request)
{
    struct weir_text text;
    char *yaml = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&yaml, &size);
    if (out != NULL && api->options.config != NULL)
        weir_config_print(api->options.config, out);
    bool printed = out != NULL && fclose(out) == 0;
    weir_text_init(&text, WEIR_API_TEXT_MAX);
    if (printed) {
        weir_text_puts(&text, "{\"status\":\"success\",\"data\":{\"yaml\":");
        weir_json_string(&text, yaml, size);
        weir_text_puts(&text, "}}\n");
    } else {
        weir_error_write_kind(
            &text, WEIR_ERROR_UNAVAILABLE, "not enough memory for this answer", NULL);
    }
    free(yaml);
    weir_api_respond(request, printed ? WEIR_STATUS_OK : WEIR_STATUS_UNAVAILABLE, WEIR_API_JSON,
        &text);
}

/* Storage has no snapshots and deletes nothing yet. Behind a proxy each client is on this machine;
 * so the paths are off unless somebody switches them on. */
void
weir_page_admin(struct weir_api *api, struct weir_http_request *request)
{
    struct weir_api_refusal refusal = {.status = WEIR_STATUS_FORBIDDEN, .prometheus = true};
    if (!api->options.admin) {
        weir_api_refuse(request, refusal, "admin APIs disabled: api.admin is false");
    } else if (!weir_http_request_is_local(request)) {
        weir_api_refuse(request, refusal, "only clients on this machine may use admin APIs");
    } else {
        refusal.status = WEIR_STATUS_NOT_IMPLEMENTED;
        weir_api_refuse(request, refusal, "this instance has no snapshots and no deletion yet");
    }
}
