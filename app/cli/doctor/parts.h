/* parts: checks of `weir doctor` in files of their own, for app/cli/doctor/checks.c. */
#ifndef WEIR_APP_CLI_DOCTOR_PARTS_H
#define WEIR_APP_CLI_DOCTOR_PARTS_H

#include "app/cli/doctor/doctor.h"

#include <stdint.h>

/* The number after a name in a file of "name: number" lines; 0 if missing. */
uint64_t weir_doctor_field(const char *path, const char *name);

/* app/cli/doctor/place.c: the data's place, the clock that stamps them, and their way in */
void weir_look_clock_sync(struct weir_finding *finding, const struct weir_config *config);
void weir_look_swap(struct weir_finding *finding, const struct weir_config *config);
void weir_look_data(struct weir_finding *finding, const struct weir_config *config);
void weir_look_data_sync(struct weir_finding *finding, const struct weir_config *config);
void weir_look_ports(struct weir_finding *finding, const struct weir_config *config);

#endif
