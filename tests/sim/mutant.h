/* sim_mutant: which bug is planted now. The simulator's build of the product includes it before
 * base/mutant.h.
 */
#ifndef WEIR_TESTS_SIM_MUTANT_H
#define WEIR_TESTS_SIM_MUTANT_H

#include <stdbool.h>

enum sim_mutant {
    SIM_MUTANT_NONE,
#define SIM_MUTANT(name, kind, what) SIM_MUTANT_##name,
#define SIM_RARE(name, kind, from, what) SIM_MUTANT_##name,
#include "tests/sim/mutants.def"
#undef SIM_MUTANT
#undef SIM_RARE
    SIM_MUTANTS
};

extern enum sim_mutant sim_mutant;

#define weir_mutant(name) (sim_mutant == SIM_MUTANT_##name)

#endif
