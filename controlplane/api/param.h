/* param: parameters of Prometheus's API, with the texts that it answers to those that make no
 * sense.
 *
 * Threads: any; no state
 * Errors:  false, and the call carries the error: bad_data
 *
 * As there, the first of several values of one name counts, and an empty one is none.
 */
#ifndef WEIR_CONTROLPLANE_API_PARAM_H
#define WEIR_CONTROLPLANE_API_PARAM_H

#include "controlplane/query/call.h"

/* The value of a parameter; NULL where it is not given or empty. */
const struct weir_param *weir_param_find(const struct weir_call *call, const char *name);

/* Unix seconds, also with an exponent, to the nearest millisecond; or a time as weir_time_parse
 * reads it. *out stays where the parameter is not given, unless it has to be. */
bool weir_param_time(struct weir_call *call, const char *name, bool needed, int64_t *out_ms);
/* Seconds, or a duration like 1h30m; *out as above. */
bool weir_param_duration(struct weir_call *call, const char *name, bool needed, int64_t *out_ms);
/* 0, also where it is not given: no limit. */
bool weir_param_limit(struct weir_call *call, uint64_t *out);

/* invalid parameter "NAME": REASON */
void weir_param_refuse(struct weir_call *call, const char *name, const char *reason);

#endif
