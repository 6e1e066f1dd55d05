/* mutant: places where the simulator plants a bug, to see that it is caught.
 *
 * weir_mutant(NAME) is false in the product, a constant that leaves no code. tests/sim builds the
 * same sources once more, with a header of its own before them, and there it is true while the bug
 * NAME of tests/sim/mutants.def is planted.
 */
#ifndef WEIR_BASE_MUTANT_H
#define WEIR_BASE_MUTANT_H

#ifndef weir_mutant
#define weir_mutant(name) false
#endif

#endif
