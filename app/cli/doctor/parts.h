/* doctor_parts: checks of `weir doctor` that lie in files of their own, for
 * app/cli/doctor/checks.c. */
#ifndef WEIR_APP_CLI_DOCTOR_PARTS_H
#define WEIR_APP_CLI_DOCTOR_PARTS_H

#include "app/cli/doctor/doctor.h"

#include <stdint.h>

/* The number behind a name in a file of "name: number" lines; 0 if missing. */
uint64_t weir_doctor_field(const char *path, const char *name);

/* app/cli/doctor/place.c: where the data lie, the clock that stamps them, and where they come in */
void weir_look_clock_sync(struct weir_finding *finding, const struct weir_config *config);
void weir_look_swap(struct weir_finding *finding, const struct weir_config *config);
void weir_look_data(struct weir_finding *finding, const struct weir_config *config);
void weir_look_data_sync(struct weir_finding *finding, const struct weir_config *config);
void weir_look_ports(struct weir_finding *finding, const struct weir_config *config);

#endif
