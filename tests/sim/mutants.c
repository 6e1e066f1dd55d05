/* What `weir-sim --mutants` goes on as: plants each bug of mutants.def in turn; seeds have to catch
 * it. */
#include "base/event.h"
#include "tests/sim/mutant.h"
#include "tests/sim/operator.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

/* Of CPU time, for a seed that takes a fifth of a second: a bug may make the product go round for
 * ever. */
#define SEED_LIMIT_S 4

enum sim_mutant sim_mutant;

static const struct {
    const char *name;
    enum sim_kind kind;
    uint64_t from; /* the first seed of the kind that looks for it */
    const char *what;
} mutants[] = {
    {"none", SIM_KINDS, 0, "nothing"},
#define SIM_MUTANT(name, kind, what) {#name, SIM_KIND_##kind, 0, what},
#define SIM_RARE(name, kind, from, what) {#name, SIM_KIND_##kind, from, what},
#include "tests/sim/mutants.def"
#undef SIM_MUTANT
#undef SIM_RARE
};

/* In a process of its own: the first seed that finds something, in the file. */
static void
plant(enum sim_mutant mutant, uint64_t seeds, int out)
{
    static struct sim_machine machine;
    static struct sim_table table;
    sim_mutant = mutant;
    sim_machine_new(&machine);
    for (uint64_t i = 0; i < seeds; i++) {
        uint64_t seed = SIM_KINDS * (mutants[mutant].from + i) + mutants[mutant].kind;
        const struct itimerval limit = {.it_value.tv_sec = SEED_LIMIT_S};
        if (setitimer(ITIMER_PROF, &limit, NULL) != 0 ||
            write(out, &seed, sizeof seed) != sizeof seed)
            _exit(2);
        (void)sim_operator_run(&machine, seed, SIM_STEPS, false, &table);
        const struct sim_verdict *verdict = &machine.model.verdict;
        if (verdict->lost + verdict->invented + verdict->undetected != 0)
            _exit(1);
    }
    _exit(0);
}

/* True where it was caught; says how. */
static bool
catch_one(enum sim_mutant mutant, uint64_t seeds)
{
    int ends[2], status = 0;
    uint64_t seed = 0, read_seed;
    if (pipe(ends) != 0)
        return false;
    fflush(stdout);
    pid_t child = fork();
    if (child == 0)
        plant(mutant, seeds, ends[1]);
    close(ends[1]);
    while (read(ends[0], &read_seed, sizeof read_seed) == sizeof read_seed)
        seed = read_seed;
    close(ends[0]);
    if (child < 0 || waitpid(child, &status, 0) != child)
        return false;
    bool caught = WIFSIGNALED(status) || WEXITSTATUS(status) == 1;
    printf("%s %d - %s: %s", caught ? "ok" : "not ok", (int)mutant, mutants[mutant].name,
        mutants[mutant].what);
    if (WIFSIGNALED(status))
        printf(" # seed %" PRIu64 ", signal %d\n", seed, WTERMSIG(status));
    else
        printf(" # %s %" PRIu64 "\n", caught ? "seed" : "in no seed of its kind up to", seed);
    return caught;
}

int
main(int argc, char **argv)
{
    uint64_t seeds = argc > 1 ? strtoull(argv[1], NULL, 10) : 30;
    const char *only = argc > 2 ? argv[2] : NULL;
    int caught = 0, planted = 0;
    weir_event_init("sim", (enum weir_level)(WEIR_LEVEL_ERROR + 1));
#define SIM_EQUIVALENT(what, why) printf("# not planted: %s: %s\n", what, why);
#include "tests/sim/mutants.def"
#undef SIM_EQUIVALENT
    for (int mutant = SIM_MUTANT_NONE + 1; mutant < SIM_MUTANTS; mutant++) {
        if (only != NULL && strcmp(only, mutants[mutant].name) != 0)
            continue;
        planted++;
        caught += catch_one((enum sim_mutant)mutant, seeds);
    }
    printf("1..%d\n", planted);
    printf("# %d mutants, %d caught, %d missed\n", planted, caught, planted - caught);
    return caught != planted;
}
