/* sim_operator: one seed from its first step to its last: who has the next step, what fails, and
 * who starts the machine again.
 *
 * Threads: one
 */
#ifndef WEIR_TESTS_SIM_OPERATOR_H
#define WEIR_TESTS_SIM_OPERATOR_H

#include "tests/sim/machine.h"

#define SIM_STEPS 1200

/* What a seed is about: seed % SIM_KINDS. The power goes and processes die in all. */
enum sim_kind {
    SIM_KIND_CRASHES, /* nothing else */
    SIM_KIND_ERRORS,  /* EIO; the dataplane is started again without a reboot */
    SIM_KIND_ROOM,    /* ENOSPC */
    SIM_KIND_ROT,     /* bits flip: many, or one now and then, of which each has to be told */
    SIM_KIND_LIES,    /* writes are lost or misdirected, and readers outlive the dataplane */
    SIM_KINDS,
};

/* Runs a seed up to a step (SIM_STEPS: all). trace: prints the last primitives at its end. Returns
 * the step of the first finding, or `until` where there is none. */
uint64_t sim_operator_run(struct sim_machine *machine, uint64_t seed, uint64_t until, bool trace,
    struct sim_table *table);

#endif
