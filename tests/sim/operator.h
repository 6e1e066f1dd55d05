/* sim_operator: one seed from its first step to its last: who has the next step, what fails, and
 * who starts the machine again.
 *
 * Threads: one
 */
#ifndef WEIR_TESTS_SIM_OPERATOR_H
#define WEIR_TESTS_SIM_OPERATOR_H

#include "tests/sim/machine.h"

#define SIM_STEPS 1200

/* Runs a seed up to a step (SIM_STEPS: all). trace: prints the last primitives at its end. Returns
 * the step of the first finding, or `until` where there is none. */
uint64_t sim_operator_run(struct sim_machine *machine, uint64_t seed, uint64_t until, bool trace,
    struct sim_table *table);

#endif
