/* weir: the command line. */
#include "app/commands.h"
#include "app/supervisor.h"
#include "base/config_keys.h"
#include "base/escape.h"
#include "base/process.h"

#include <stdlib.h>
#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

struct command {
    const char *name;
    const char *summary;
    int (*run)(int argc, char **argv);
    void (*usage)(FILE *out);
};

static const struct command commands[] = {
    {"run", "run an instance: receive, store and answer until told to stop", weir_command_run,
        weir_usage_run},
    {"check", "check a configuration and print the effective one", weir_command_check,
        weir_usage_check},
    {"doctor", "say what this machine offers, and what to do about what it lacks",
        weir_command_doctor, weir_usage_doctor},
    {"send", "send lines, or generated ones, by UDP or TCP", weir_command_send, weir_usage_send},
    {"query", "ask a running instance", weir_command_query, weir_usage_query},
    {"senders", "which channels of the weir protocol lose packets", weir_command_senders,
        weir_usage_senders},
    {"filter", "show and change the rules in front of AF_XDP ports", weir_command_filter,
        weir_usage_filter},
    {"bench", "measure what this machine makes durable and readable", weir_command_bench,
        weir_usage_bench},
};

static void
print_help(FILE *out)
{
    fprintf(out, "weir: a metrics ingestion appliance\n\n"
                 "usage: weir COMMAND [OPTIONS]\n\n");
    for (size_t i = 0; i < COUNT(commands); i++)
        fprintf(out, "  %-8s %s\n", commands[i].name, commands[i].summary);
    fprintf(out, "\n  weir COMMAND --help   options of one command\n"
                 "  weir --version\n");
}

static bool
wants_help(int argc, char **argv)
{
    for (int i = 0; i < argc; i++)
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0)
            return true;
    return false;
}

static int
fail_unknown(const char *word)
{
    const char *names[COUNT(commands)];
    for (size_t i = 0; i < COUNT(commands); i++)
        names[i] = commands[i].name;
    const char *nearest = config_nearest(word, names, COUNT(commands));
    weir_line_print(stderr, "weir: unknown command '%s'%s%s%s; weir --help lists them", word,
        nearest != NULL ? ", is '" : "", nearest != NULL ? nearest : "",
        nearest != NULL ? "' meant?" : "");
    return WEIR_EXIT_USAGE;
}

int
main(int argc, char **argv)
{
    weir_process_begin();
    if (argc < 2) {
        print_help(stderr);
        return WEIR_EXIT_USAGE;
    }
    const char *word = argv[1];
    if (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0 || strcmp(word, "help") == 0) {
        print_help(stdout);
        return EXIT_SUCCESS;
    }
    if (strcmp(word, "--version") == 0) {
        printf("weir %s\n", WEIR_VERSION);
        return EXIT_SUCCESS;
    }
    for (size_t i = 0; i < COUNT(commands); i++) {
        if (strcmp(commands[i].name, word) != 0)
            continue;
        if (wants_help(argc - 2, argv + 2)) {
            commands[i].usage(stdout);
            return EXIT_SUCCESS;
        }
        return commands[i].run(argc - 2, argv + 2);
    }
    return fail_unknown(word);
}
