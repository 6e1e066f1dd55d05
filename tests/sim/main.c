/* weir-sim: the product's own log, writer, checkpointer and reader on a simulated machine. */
#include "base/event.h"
#include "tests/sim/operator.h"

#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct sim_machine machine;
static struct sim_table table;

static void
usage(FILE *out)
{
    fputs("usage: weir-sim [--seeds N] [--seed S] [--until STEP] [--trace]\n"
          "\n"
          "  --seeds N     runs N seeds (1)\n"
          "  --seed S      the first seed (1)\n"
          "  --until STEP  ends a seed there\n"
          "  --trace       prints the last primitives of each seed\n",
        out);
}

struct arguments {
    uint64_t seeds, seed, until;
    bool trace;
};

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
        {"trace", no_argument, NULL, 't'}, {"help", no_argument, NULL, 'h'}, {NULL, 0, NULL, 0}};
    struct arguments arguments = {.seeds = 1, .seed = 1, .until = SIM_STEPS};
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
        else {
            usage(option == 'h' ? stdout : stderr);
            return option == 'h' ? 0 : 2;
        }
    }
    weir_event_init("sim", arguments.trace ? WEIR_LEVEL_DEBUG
                                           : (enum weir_level)(WEIR_LEVEL_ERROR + 1));
    sim_machine_new(&machine);
    int result = run_seeds(&arguments);
    sim_machine_delete(&machine);
    return result;
}
