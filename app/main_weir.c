/* weir: the command line. */
#include "app/cli/commands.h"
#include "app/supervisor/supervisor.h"
#include "base/escape.h"
#include "base/process.h"
#include "config/keys.h"

#include <stdlib.h>
#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

struct command {
    const char *name;
    const char *summary;
    int (*run)(int argc, char **argv);
    void (*usage)(FILE *out);
};

static int command_help(int argc, char **argv);
static void usage_help(FILE *out);
static int command_version(int argc, char **argv);
static void usage_version(FILE *out);

static const struct command commands[] = {
    {"run", "run an instance: receive, store and answer until asked to stop", weir_command_run,
        weir_usage_run},
    {"check", "check a configuration and print the effective one; check lines of a file",
        weir_command_check, weir_usage_check},
    {"doctor", "say what this machine offers, and what to do about what it lacks",
        weir_command_doctor, weir_usage_doctor},
    {"send", "send lines, or generated ones, by UDP or TCP", weir_command_send, weir_usage_send},
    {"query", "ask a running instance", weir_command_query, weir_usage_query},
    {"senders", "channels of the weir protocol, what they lose; forget some", weir_command_senders,
        weir_usage_senders},
    {"rejected", "the last lines and packets that were refused", weir_command_rejected,
        weir_usage_rejected},
    {"reload", "have a running instance read its configuration anew", weir_command_reload,
        weir_usage_reload},
    {"filter", "show and change the rules in front of AF_XDP ports", weir_command_filter,
        weir_usage_filter},
    {"bench", "measure what this machine makes durable and readable", weir_command_bench,
        weir_usage_bench},
    {"help", "options of a command: weir help COMMAND", command_help, usage_help},
    {"version", "print the version", command_version, usage_version},
};

static void
print_help(FILE *out)
{
    fprintf(out, "weir: a metrics ingestion appliance\n\n"
                 "usage: weir COMMAND [OPTIONS]\n\n");
    for (size_t i = 0; i < COUNT(commands); i++)
        fprintf(out, "  %-9s %s\n", commands[i].name, commands[i].summary);
    fprintf(out, "\nweir COMMAND --help says the same as weir help COMMAND.\n");
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
    weir_line_print(stderr, "weir: unknown command '%s'%s%s%s; weir help lists them", word,
        nearest != NULL ? ", is '" : "", nearest != NULL ? nearest : "",
        nearest != NULL ? "' meant?" : "");
    return WEIR_EXIT_USAGE;
}

static const struct command *
find_command(const char *word)
{
    for (size_t i = 0; i < COUNT(commands); i++)
        if (strcmp(commands[i].name, word) == 0)
            return &commands[i];
    return NULL;
}

static int
command_help(int argc, char **argv)
{
    if (argc == 0) {
        print_help(stdout);
        return EXIT_SUCCESS;
    }
    const struct command *command = find_command(argv[0]);
    if (command == NULL)
        return fail_unknown(argv[0]);
    if (argc > 1) {
        weir_line_print(stderr, "weir help: '%s' is too much: one command", argv[1]);
        return WEIR_EXIT_USAGE;
    }
    command->usage(stdout);
    return EXIT_SUCCESS;
}

static void
usage_help(FILE *out)
{
    fprintf(out, "usage: weir help [COMMAND]\n\n"
                 "Prints the options of a command; without one, the commands there are.\n");
}

static int
command_version(int argc, char **argv)
{
    if (argc > 0) {
        weir_line_print(stderr, "weir version: '%s' is too much: it takes nothing", argv[0]);
        return WEIR_EXIT_USAGE;
    }
    printf("weir %s\n", WEIR_VERSION);
    return EXIT_SUCCESS;
}

static void
usage_version(FILE *out)
{
    fprintf(out, "usage: weir version\n\nPrints the version.\n");
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
    if (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0)
        word = "help";
    else if (strcmp(word, "--version") == 0)
        word = "version";
    const struct command *command = find_command(word);
    if (command == NULL)
        return fail_unknown(word);
    if (wants_help(argc - 2, argv + 2)) {
        command->usage(stdout);
        return EXIT_SUCCESS;
    }
    return command->run(argc - 2, argv + 2);
}
