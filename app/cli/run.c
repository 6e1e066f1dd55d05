/* weir run and weir check: the commands that begin with a configuration. */
#include "app/cli/check_lines.h"
#include "app/cli/commands.h"
#include "app/supervisor/doubts.h"
#include "app/supervisor/supervisor.h"
#include "app/topology.h"
#include "base/escape.h"

#include <sched.h>
#include <stdlib.h>
#include <string.h>

/* Tests put small programs in the children's place. */
#define PROGRAMS_VARIABLE "WEIR_PROGRAMS"

static const char *running; /* the command, for messages about mistakes */

static void
print_mistake(const char *text)
{
    weir_line_print(stderr, "weir %s: %s", running, text);
}

/* False where there are mistakes: all of them are printed. */
static bool
load(const char *command, struct weir_config *config, int argc, char **argv)
{
    struct weir_config_mistakes mistakes = {.say = print_mistake};
    running = command;
    weir_config_init(config);
    config->origin.mistakes = &mistakes;
    enum weir_err err = weir_config_arguments(config, argc, argv);
    /* values that do not fit each other may follow from those that were not read */
    if (err == WEIR_OK)
        err = weir_config_check(config);
    config->origin.mistakes = NULL;
    /* the number of mistakes, or the error that ended the loading */
    if (err != WEIR_OK && strcmp(weir_err_detail(), "1 mistake") != 0)
        print_mistake(weir_err_detail());
    return err == WEIR_OK;
}

int
weir_command_run(int argc, char **argv)
{
    static struct weir_config config;
    if (!load("run", &config, argc, argv))
        return WEIR_EXIT_CONFIG;
    struct weir_supervisor_options options = {
        .config = &config, .argc = argc, .argv = argv, .programs = getenv(PROGRAMS_VARIABLE)};
    return weir_supervisor_run(&options);
}

/* The plan as comments, because the whole output is a configuration. */
static bool
print_topology(const struct weir_config *config)
{
    int32_t cores[CPU_SETSIZE];
    uint32_t core_count = weir_topology_cores(cores, CPU_SETSIZE);
    struct weir_topology topology;
    if (weir_topology_plan(config, cores, core_count, &topology) != WEIR_OK) {
        weir_line_print(stderr, "weir check: %s", weir_err_detail());
        return false;
    }
    weir_topology_print(&topology, config, "# ", stdout);
    return true;
}

static void
print_doubt(const char *text)
{
    weir_line_print(stderr, "weir check: warning: %s", text);
}

int
weir_command_check(int argc, char **argv)
{
    if (argc > 0 && strcmp(argv[0], "lines") == 0)
        return weir_command_check_lines(argc - 1, argv + 1);
    static struct weir_config config;
    if (!load("check", &config, argc, argv))
        return WEIR_EXIT_CONFIG;
    weir_config_print(&config, stdout);
    weir_doubts(&config, print_doubt);
    return print_topology(&config) ? EXIT_SUCCESS : WEIR_EXIT_CONFIG;
}

void
weir_usage_run(FILE *out)
{
    fprintf(out,
        "usage: weir run [OPTIONS]\n\n"
        "Runs an instance until SIGTERM or Ctrl-C. Without options it listens on 127.0.0.1:\n"
        "HTTP 9880, Influx UDP 8089, Graphite TCP 2003, and keeps its data in ./weir-data.\n\n");
    weir_config_usage(out);
    fprintf(out, "\nsizes: 64MiB, 16GiB; times: 200ms, 10s, 7d, 2w, 1y; addresses are numeric\n");
}

void
weir_usage_check(FILE *out)
{
    fprintf(out, "usage: weir check [OPTIONS]\n"
                 "       weir check lines FILE [OPTIONS]\n\n"
                 "Checks the options of weir run (and the file of --config). Prints the\n"
                 "configuration as YAML and, as comments, the plan that follows from it:\n"
                 "threads, stages, links, listeners and memory. Exit code 2: not valid.\n\n");
    weir_config_usage(out);
    fprintf(out, "\n");
    weir_usage_check_lines(out);
}
