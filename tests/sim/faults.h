/* sim_faults: the lists of faults.def as enums, and the table of what was met. */
#ifndef WEIR_TESTS_SIM_FAULTS_H
#define WEIR_TESTS_SIM_FAULTS_H

#include <stdbool.h>
#include <stdint.h>

enum sim_operation {
#define SIM_OPERATION(name, why) SIM_OP_##name,
#include "tests/sim/faults.def"
#undef SIM_OPERATION
    SIM_OPERATIONS
};

enum sim_fault {
#define SIM_FAULT(name, text, operations) SIM_FAULT_##name,
#include "tests/sim/faults.def"
#undef SIM_FAULT
    SIM_FAULTS
};

struct sim_table {
    uint64_t operations[SIM_OPERATIONS];
    uint64_t met[SIM_FAULTS][SIM_OPERATIONS];
};

const char *sim_operation_name(enum sim_operation operation);
const char *sim_fault_name(enum sim_fault fault);
/* Can the fault happen there, by faults.def? */
bool sim_fault_possible(enum sim_fault fault, enum sim_operation operation);
/* Prints the table with its legend; returns the cells that are possible and were not met. */
int sim_table_print(const struct sim_table *table);

#endif
