/* The configuration is read again while the instance runs. */
#include "app/supervisor/parts.h"
#include "base/event.h"
#include "config/live.h"

#include <sys/stat.h>

/* A pipe was read when the instance started. It would be found empty now, or hold us up. */
static enum weir_err
check_readable_again(const char *file)
{
    struct stat status;
    if (file[0] == '\0' || stat(file, &status) != 0 || S_ISREG(status.st_mode))
        return WEIR_OK; /* one that is not there the loading names */
    return weir_fail(WEIR_INVALID, 0, "%s is no regular file: it can be read at the start alone",
        file);
}

static char first_mistake[400];

static void
note_mistake(const char *text)
{
    if (first_mistake[0] == '\0')
        snprintf(first_mistake, sizeof first_mistake, "%s", text);
}

/* The configuration as file and options are now; the detail names the first mistake. */
static enum weir_err
read_again(const struct weir_supervisor_options *options, struct weir_config *wanted)
{
    struct weir_config_mistakes mistakes = {.say = note_mistake};
    first_mistake[0] = '\0';
    weir_config_init(wanted);
    wanted->origin.mistakes = &mistakes;
    enum weir_err err = weir_config_arguments(wanted, options->argc, options->argv);
    if (err == WEIR_OK)
        err = weir_config_check(wanted);
    wanted->origin.mistakes = NULL;
    if (err == WEIR_OK || mistakes.count == 0)
        return err;
    if (mistakes.count == 1)
        return weir_fail(WEIR_INVALID, 0, "%s", first_mistake);
    return weir_fail(WEIR_INVALID, 0, "%s; and %u more, which weir check names", first_mistake,
        mistakes.count - 1);
}

/* Follows the configuration as its options and its file say now. Children that run read the values
 * in the shared region, those that start later the file of the instance. */
static enum weir_err
reload(struct weir_supervisor *supervisor, struct weir_config_changes *changes)
{
    static struct weir_config wanted;
    enum weir_err err = check_readable_again(supervisor->config->origin.file);
    if (err == WEIR_OK)
        err = read_again(supervisor->options, &wanted);
    if (err == WEIR_OK)
        err = weir_config_apply_live(supervisor->config, &wanted, changes);
    if (err != WEIR_OK)
        return err;
    weir_event_level(supervisor->config->log_level);
    weir_live_set(&supervisor->shared->live, supervisor->config);
    if (weir_instance_write_config(&supervisor->instance) != WEIR_OK)
        weir_event(WEIR_LEVEL_WARN, "reload_not_kept",
            "effect=\"a process that is started again has the values before\" reason=\"%s\"",
            weir_err_detail());
    return WEIR_OK;
}

/* By SIGHUP, or for `weir reload`, whose answer goes to out. */
void
weir_supervisor_reload(void *context, FILE *out)
{
    struct weir_config_changes changes = {0};
    if (reload(context, &changes) != WEIR_OK) {
        weir_event(WEIR_LEVEL_ERROR, "reload_refused", "reason=\"%s\"", weir_err_detail());
        if (out != NULL)
            fprintf(out, "error %s\n", weir_err_detail());
        return;
    }
    bool waits = changes.needs_restart[0] != '\0';
    weir_event(WEIR_LEVEL_INFO, "reloaded", "taken=\"%s\"", changes.taken);
    if (waits)
        weir_event(WEIR_LEVEL_WARN, "reload_needs_restart", "keys=\"%s\"", changes.needs_restart);
    if (out == NULL)
        return;
    fprintf(out, "ok\ntaken: %s\n", changes.taken[0] != '\0' ? changes.taken : "nothing");
    if (waits)
        fprintf(out, "needs a restart: %s\n", changes.needs_restart);
}
