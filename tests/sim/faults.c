#include "tests/sim/faults.h"

#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

static const struct {
    const char *name, *why;
} operations[] = {
#define SIM_OPERATION(name, why) {#name, why},
#include "tests/sim/faults.def"
#undef SIM_OPERATION
};

static const struct {
    const char *name, *text, *operations;
} faults[] = {
#define SIM_FAULT(name, text, operations) {#name, text, operations},
#include "tests/sim/faults.def"
#undef SIM_FAULT
};

const char *
sim_operation_name(enum sim_operation operation)
{
    return operations[operation].name;
}

const char *
sim_fault_name(enum sim_fault fault)
{
    return faults[fault].name;
}

bool
sim_fault_possible(enum sim_fault fault, enum sim_operation operation)
{
    const char *name = operations[operation].name;
    size_t size = strlen(name);
    const char *at = faults[fault].operations;
    while ((at = strstr(at, name)) != NULL) {
        bool begins = at == faults[fault].operations || at[-1] == ' ';
        if (begins && (at[size] == ' ' || at[size] == '\0'))
            return true;
        at += size;
    }
    return false;
}

int
sim_table_print(const struct sim_table *table)
{
    int empty = 0;
    printf("%-16s %9s", "operation", "calls");
    for (int fault = 0; fault < SIM_FAULTS; fault++)
        printf(" %17s", faults[fault].name);
    printf("\n");
    for (int operation = 0; operation < SIM_OPERATIONS; operation++) {
        printf("%-16s %9" PRIu64, operations[operation].name, table->operations[operation]);
        for (int fault = 0; fault < SIM_FAULTS; fault++) {
            bool possible =
                sim_fault_possible((enum sim_fault)fault, (enum sim_operation)operation);
            if (possible)
                printf(" %17" PRIu64, table->met[fault][operation]);
            else
                printf(" %17s", "-");
            empty += possible && table->met[fault][operation] == 0;
        }
        printf("\n");
    }
    for (int operation = 0; operation < SIM_OPERATIONS; operation++)
        if (operations[operation].why != NULL)
            printf("no cells: %s: %s\n", operations[operation].name, operations[operation].why);
    return empty;
}
