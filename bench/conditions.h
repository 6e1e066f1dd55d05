/* conditions: the labels of a figure: machine, variants chosen, memory, device.
 *
 * Owns:    nothing
 * Threads: any
 * Errors:  a label that cannot be read is "unknown" or 0
 */
#ifndef WEIR_BENCH_CONDITIONS_H
#define WEIR_BENCH_CONDITIONS_H

#include "model/shared.h"

#include <jansson.h>
#include <sys/types.h>

/* Adds them to a report; data is the instance's directory. */
void weir_bench_conditions_add(const struct weir_shared *shared, pid_t dataplane, const char *data,
    json_t *report);

/* The name of a kind of file system by its number (statfs), or the number in hexadecimal. */
const char *weir_bench_file_system(unsigned long type, char out[24]);

#endif
