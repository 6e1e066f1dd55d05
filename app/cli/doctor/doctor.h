/* doctor: the checks of `weir doctor`; one function each, in app/cli/doctor/checks.c.
 *
 * Threads: the main thread
 * Memory:  static text; what was found is copied
 */
#ifndef WEIR_APP_CLI_DOCTOR_DOCTOR_H
#define WEIR_APP_CLI_DOCTOR_DOCTOR_H

#include "config/config.h"

#include <stddef.h>

enum weir_finding_state { WEIR_FINDING_OK, WEIR_FINDING_WARN, WEIR_FINDING_FAIL };

struct weir_finding {
    const char *name;
    enum weir_finding_state state;
    char found[512];
    const char *means;  /* shown where it is not ok */
    const char *remedy;
};

struct weir_check {
    const char *name;
    void (*look)(struct weir_finding *finding, const struct weir_config *config);
};

extern const struct weir_check weir_checks[];
extern const size_t weir_check_count;

void weir_finding_set(struct weir_finding *finding, enum weir_finding_state state,
    const char *format, ...) __attribute__((format(printf, 3, 4)));

#endif
