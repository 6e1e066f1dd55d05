/* weir doctor: the abilities of this machine, their meaning, and remedies for those it lacks. */
#include "app/cli/commands.h"
#include "app/cli/doctor/doctor.h"
#include "app/cli/options.h"
#include "base/escape.h"

#include <jansson.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

static const char *const state_names[] = {"ok", "warn", "fail"};

void
weir_finding_set(struct weir_finding *finding, enum weir_finding_state state, const char *format,
    ...)
{
    char text[sizeof finding->found];
    va_list args;
    va_start(args, format);
    int size = vsnprintf(text, sizeof text, format, args);
    va_end(args);
    /* paths of the user and names of interfaces are in it: from here on it may be printed */
    weir_escape_into(WEIR_ESCAPE_TERMINAL, text, size < 0 ? 0 : strlen(text), finding->found,
        sizeof finding->found);
    finding->state = state;
}

static void
print_text(const struct weir_finding *finding)
{
    printf("%-4s  %-14s %s\n", state_names[finding->state], finding->name, finding->found);
    if (finding->state == WEIR_FINDING_OK)
        return;
    if (finding->means != NULL)
        printf("      %-14s means: %s\n", "", finding->means);
    if (finding->remedy != NULL)
        printf("      %-14s do:    %s\n", "", finding->remedy);
}

static json_t *
finding_json(const struct weir_finding *finding)
{
    bool bad = finding->state != WEIR_FINDING_OK;
    return json_pack("{s:s, s:s, s:s, s:s?, s:s?}", "check", finding->name, "state",
        state_names[finding->state], "found", finding->found, "means",
        bad ? finding->means : NULL, "remedy", bad ? finding->remedy : NULL);
}

static void
print_mistake(const char *text)
{
    weir_line_print(stderr, "weir doctor: %s", text);
}

/* False where there are mistakes: all of them are printed, as weir check does. */
static bool
read_config(struct weir_config *config, const char *file, const char *data)
{
    struct weir_config_mistakes mistakes = {.say = print_mistake};
    weir_config_init(config);
    config->origin.mistakes = &mistakes;
    enum weir_err err = file != NULL ? weir_config_load(config, file) : WEIR_OK;
    if (err == WEIR_OK && mistakes.count == 0) {
        if (data != NULL)
            snprintf(config->data, sizeof config->data, "%s", data);
        err = weir_config_check(config);
    }
    config->origin.mistakes = NULL;
    if (err != WEIR_OK && mistakes.count == 0)
        print_mistake(weir_err_detail());
    return err == WEIR_OK && mistakes.count == 0;
}

int
weir_command_doctor(int argc, char **argv)
{
    static struct weir_config config;
    const char *data = NULL;
    const char *file = NULL;
    bool as_json = false;
    int words = 0;
    const struct weir_option options[] = {{"data", &data, NULL, NULL},
        {"config", &file, NULL, NULL}, {"json", NULL, &as_json, NULL}, {NULL, NULL, NULL, NULL}};
    if (weir_options_parse(options, argc, argv, NULL, &words) != WEIR_OK) {
        weir_line_print(stderr, "weir doctor: %s", weir_err_detail());
        return WEIR_EXIT_USAGE;
    }
    if (!read_config(&config, file, data))
        return WEIR_EXIT_USAGE;
    json_t *list = json_array();
    bool failed = false;
    for (size_t i = 0; i < weir_check_count; i++) {
        struct weir_finding finding = {.name = weir_checks[i].name};
        weir_checks[i].look(&finding, &config);
        failed = failed || finding.state == WEIR_FINDING_FAIL;
        if (as_json)
            json_array_append_new(list, finding_json(&finding));
        else
            print_text(&finding);
    }
    if (as_json) {
        json_dumpf(list, stdout, JSON_INDENT(2));
        printf("\n");
    }
    json_decref(list);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

void
weir_usage_doctor(FILE *out)
{
    fprintf(out, "usage: weir doctor [--config FILE] [--data DIR] [--json]\n\n"
                 "Checks whether this machine suits the configuration: the addresses of\n"
                 "its listeners, its planned memory and files, and DATA, where it writes\n"
                 "4 KiB a few times.\n\n"
                 "ok: nothing to improve. warn: Weir runs, but slower or with less; the line says\n"
                 "what to do. fail: Weir cannot run; exit code 1.\n");
}
