/* weir-sim: the product's own log, writer, checkpointer and reader on a simulated machine. The bugs
 * that are planted are in a second program beside it, so that none of them is in this one. */
#include "base/event.h"
#include "tests/sim/operator.h"

#include <getopt.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct sim_machine machine;
static struct sim_table table;

static void
usage(FILE *out)
{
    fputs("usage: weir-sim [--seeds N] [--seed S] [--until STEP] [--trace]\n"
          "       weir-sim --mutants [--seeds N] [--only NAME]\n"
          "\n"
          "  --seeds N     runs N seeds (1)\n"
          "  --seed S      the first seed (1)\n"
          "  --until STEP  ends a seed there\n"
          "  --trace       prints the last primitives of each seed\n"
          "  --mutants     plants the bugs of mutants.def; N seeds (30) have to catch each\n"
          "  --only NAME   this one alone\n",
        out);
}

struct arguments {
    uint64_t seeds, seed, until;
    bool trace, mutants;
    const char *only;
};

/* Goes on as weir-sim-mutants, which lies beside this program. */
static int
run_mutants(const struct arguments *arguments)
{
    char path[PATH_MAX], seeds[24];
    ssize_t size = readlink("/proc/self/exe", path, sizeof path - sizeof "-mutants");
    if (size < 0)
        return 2;
    strcpy(path + size, "-mutants");
    snprintf(seeds, sizeof seeds, "%" PRIu64, arguments->seeds == 0 ? 30 : arguments->seeds);
    execl(path, path, seeds, arguments->only, (char *)NULL);
    perror(path);
    return 2;
}

static int
run_seeds(const struct arguments *arguments)
{
    struct sim_verdict all = {0, 0, 0};
    for (uint64_t i = 0; i < arguments->seeds; i++) {
        uint64_t seed = arguments->seed + i;
        machine.model.prints = true;
        uint64_t step =
            sim_operator_run(&machine, seed, arguments->until, arguments->trace, &table);
        const struct sim_verdict *verdict = &machine.model.verdict;
        if (verdict->lost + verdict->invented + verdict->undetected != 0)
            printf("# seed %" PRIu64 " fails at operation %" PRIu64 ": weir-sim --seed %" PRIu64
                   " --until %" PRIu64 " --trace\n", seed, step, seed, step);
        all.lost += verdict->lost;
        all.invented += verdict->invented;
        all.undetected += verdict->undetected;
    }
    int empty = sim_table_print(&table);
    bool complete = arguments->seeds >= 300;
    if (complete && empty != 0)
        printf("%d cells of the table were not met\n", empty);
    printf("%" PRIu64 " seeds, %" PRIu64 " lost, %" PRIu64 " invented, %" PRIu64 " undetected\n",
        arguments->seeds, all.lost, all.invented, all.undetected);
    return all.lost + all.invented + all.undetected != 0 || (complete && empty != 0);
}

int
main(int argc, char **argv)
{
    static const struct option options[] = {{"seeds", required_argument, NULL, 'n'},
        {"seed", required_argument, NULL, 's'}, {"until", required_argument, NULL, 'u'},
        {"trace", no_argument, NULL, 't'}, {"mutants", no_argument, NULL, 'm'},
        {"only", required_argument, NULL, 'o'}, {"help", no_argument, NULL, 'h'},
        {NULL, 0, NULL, 0}};
    struct arguments arguments = {.seed = 1, .until = SIM_STEPS};
    int option;
    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        if (option == 'n')
            arguments.seeds = strtoull(optarg, NULL, 10);
        else if (option == 's')
            arguments.seed = strtoull(optarg, NULL, 10);
        else if (option == 'u')
            arguments.until = strtoull(optarg, NULL, 10);
        else if (option == 't')
            arguments.trace = true;
        else if (option == 'm')
            arguments.mutants = true;
        else if (option == 'o')
            arguments.only = optarg;
        else {
            usage(option == 'h' ? stdout : stderr);
            return option == 'h' ? 0 : 2;
        }
    }
    if (arguments.mutants)
        return run_mutants(&arguments);
    if (arguments.seeds == 0)
        arguments.seeds = 1;
    weir_event_init("sim", arguments.trace ? WEIR_LEVEL_DEBUG
                                           : (enum weir_level)(WEIR_LEVEL_ERROR + 1));
    sim_machine_new(&machine);
    int result = run_seeds(&arguments);
    sim_machine_delete(&machine);
    return result;
}
