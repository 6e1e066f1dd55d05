/* A running instance follows some keys of a changed configuration. Others need a restart. */
#include "config/keys.h"

#include <stdlib.h>
#include <string.h>

/* The keys whose readers ask weir_live_get() while they run. */
static const char *const live_keys[] = {"ingest.flush_interval", "ingest.ack_interval",
    "retention.raw", "query.series_max", "query.points_max", "query.samples_max",
    "query.memory_max", "query.timeout", "log_level"};

static bool
is_live(const struct config_key *key)
{
    for (size_t i = 0; i < sizeof live_keys / sizeof live_keys[0]; i++)
        if (strcmp(live_keys[i], key->path) == 0)
            return true;
    return false;
}

/* The key's value as text; the caller frees it. NULL where memory is short. */
static char *
key_text(const struct weir_config *config, const struct config_key *key)
{
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    if (out == NULL)
        return NULL;
    config_key_print(config, key, out);
    if (fclose(out) == 0)
        return text;
    free(text);
    return NULL;
}

static void
name_key(char *list, size_t size, const struct config_key *key)
{
    size_t used = strlen(list);
    snprintf(list + used, size - used, "%s%s", used > 0 ? " " : "", key->path);
}

static enum weir_err
compare_key(struct weir_config *next, const struct weir_config *wanted,
    const struct config_key *key, struct weir_config_changes *out)
{
    enum weir_err err = WEIR_OK;
    char *before = key_text(next, key);
    char *after = key_text(wanted, key);
    if (before == NULL || after == NULL) {
        err = weir_fail(WEIR_NOMEM, 0, "compare configurations");
    } else if (strcmp(before, after) != 0 && !is_live(key)) {
        name_key(out->needs_restart, sizeof out->needs_restart, key);
    } else if (strcmp(before, after) != 0) {
        char text[WEIR_CONFIG_PATH_MAX];
        config_key_text(wanted, key, text, sizeof text);
        err = config_key_set(next, key, text);
        next->origin.key_lines[key - config_keys] = wanted->origin.key_lines[key - config_keys];
        name_key(out->taken, sizeof out->taken, key);
    }
    free(before);
    free(after);
    return err;
}

enum weir_err
weir_config_apply_live(struct weir_config *running, const struct weir_config *wanted,
    struct weir_config_changes *out)
{
    *out = (struct weir_config_changes){0};
    struct weir_config *next = malloc(sizeof *next);
    if (next == NULL)
        return weir_fail(WEIR_NOMEM, 0, "compare configurations");
    *next = *running;
    memcpy(next->origin.file, wanted->origin.file, sizeof next->origin.file);
    enum weir_err err = WEIR_OK;
    for (size_t i = 0; i < config_key_count && err == WEIR_OK; i++)
        err = compare_key(next, wanted, &config_keys[i], out);
    if (err == WEIR_OK)
        err = weir_config_check(next);
    if (err == WEIR_OK)
        *running = *next;
    free(next);
    return err;
}
