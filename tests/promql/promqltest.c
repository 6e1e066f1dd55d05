/* promqltest: runs test files of PromQL against the engine.
 *
 *   promqltest [--store=memory] [--mutate] FILE...
 *
 * Prints each case that fails, and last "N passed, N failed, N skipped"; a case is skipped where
 * the engine met a native histogram. --mutate runs each case that passes once more with one thing
 * altered, and prints last "N mutated, N caught". Exits with 0 where none failed, or all were
 * caught; with 2 for a file or option that is no good. */
#include "tests/promql/load.h"
#include "tests/promql/mutate.h"
#include "tests/promql/trial.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ARENA_MAX (1024UL * 1024 * 1024)

struct tally {
    bool mutates;
    uint64_t passed, failed, skipped, mutated, caught;
};

static const char *const outcomes[] = {
    [TRIAL_PASSED] = "passed", [TRIAL_FAILED] = "failed", [TRIAL_SKIPPED] = "skipped"};

static char *
read_file(const char *path, size_t *out_size)
{
    FILE *file = fopen(path, "r");
    char *text = NULL;
    size_t room = 0;
    *out_size = 0;
    if (file == NULL)
        return NULL;
    ssize_t size = getdelim(&text, &room, '\0', file);
    bool is_good = ferror(file) == 0 && fclose(file) == 0;
    if (is_good && size > 0)
        *out_size = (size_t)size;
    if (is_good && text != NULL)
        return text;
    free(text);
    return NULL;
}

static enum weir_err
run_mutated(struct weir_promql_arena *arena, struct load *load, const char *path,
    const struct script_command *command, struct tally *tally)
{
    struct script_eval altered;
    struct trial trial;
    enum weir_err err = mutate_eval(arena, &command->eval, tally->mutated, &altered);
    if (err == WEIR_OK)
        err = trial_run(arena, load_source(load), &altered, &trial);
    if (err != WEIR_OK)
        return err;
    tally->mutated++;
    tally->caught += trial.outcome == TRIAL_FAILED;
    if (trial.outcome != TRIAL_FAILED)
        printf("%s:%u: %s although one thing is altered: %.*s\n", path, command->line,
            outcomes[trial.outcome], (int)command->eval.query.size, command->eval.query.data);
    return WEIR_OK;
}

static enum weir_err
run_eval(struct weir_promql_arena *arena, struct load *load, const char *path,
    const struct script_command *command, struct tally *tally)
{
    struct trial trial;
    enum weir_err err = trial_run(arena, load_source(load), &command->eval, &trial);
    if (err != WEIR_OK)
        return err;
    tally->passed += trial.outcome == TRIAL_PASSED;
    tally->failed += trial.outcome == TRIAL_FAILED;
    tally->skipped += trial.outcome == TRIAL_SKIPPED;
    if (trial.outcome == TRIAL_FAILED)
        printf("%s:%u: %.*s: %s\n", path, command->line, (int)command->eval.query.size,
            command->eval.query.data, trial.why);
    return tally->mutates && trial.outcome == TRIAL_PASSED
        ? run_mutated(arena, load, path, command, tally)
        : WEIR_OK;
}

static enum weir_err
run_script(struct weir_promql_arena *arena, const struct script *script, const char *path,
    struct tally *tally)
{
    struct load load;
    enum weir_err err = load_init(&load);
    for (const struct script_command *c = script->commands; err == WEIR_OK && c != NULL;
         c = c->next) {
        if (c->kind == SCRIPT_CLEAR)
            err = load_clear(&load);
        else if (c->kind == SCRIPT_LOAD)
            err = load_series(&load, arena, c);
        else
            err = run_eval(arena, &load, path, c, tally);
    }
    load_fini(&load);
    return err;
}

/* False where the file could not be run to its end. */
static bool
run_file(const char *path, struct tally *tally)
{
    size_t size;
    struct weir_promql_arena arena;
    struct script script;
    char *text = read_file(path, &size);
    if (text == NULL) {
        fprintf(stderr, "promqltest: %s: %s\n", path, errno == 0 ? "empty" : strerror(errno));
        return false;
    }
    weir_promql_arena_init(&arena, ARENA_MAX);
    enum weir_err err = script_parse(&arena, text, size, &script);
    if (err == WEIR_OK)
        err = run_script(&arena, &script, path, tally);
    else if (err == WEIR_INVALID)
        fprintf(stderr, "promqltest: %s:%u: %s\n", path, script.error_line, script.error);
    if (err == WEIR_NOMEM)
        fprintf(stderr, "promqltest: %s: out of memory\n", path);
    weir_promql_arena_fini(&arena);
    free(text);
    return err == WEIR_OK;
}

static bool
parse_options(int argc, char **argv, struct tally *tally)
{
    static const struct option options[] = {{"store", required_argument, NULL, 's'},
        {"mutate", no_argument, NULL, 'm'}, {NULL, 0, NULL, 0}};
    int option;
    bool is_good = true;
    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        if (option == 'm')
            tally->mutates = true;
        else if (option != 's' || strcmp(optarg, "memory") != 0)
            is_good = false;
    }
    return is_good && optind < argc;
}

int
main(int argc, char **argv)
{
    struct tally tally = {0};
    if (!parse_options(argc, argv, &tally)) {
        fprintf(stderr, "usage: promqltest [--store=memory] [--mutate] FILE...\n");
        return 2;
    }
    bool is_good = true;
    for (int i = optind; i < argc; i++)
        is_good = run_file(argv[i], &tally) && is_good;
    if (tally.mutates)
        printf("%lu mutated, %lu caught\n", tally.mutated, tally.caught);
    else
        printf("%lu passed, %lu failed, %lu skipped\n", tally.passed, tally.failed, tally.skipped);
    if (!is_good)
        return 2;
    return tally.mutates ? tally.mutated != tally.caught : tally.failed != 0;
}
