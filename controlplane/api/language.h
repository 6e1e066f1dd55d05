/* language: queries as text, without running them: GET and POST /api/v1/format_query and
 * /api/v1/parse_query.
 *
 * Threads: one query thread a call
 * Memory:  an arena of at most WEIR_PROMQL_ARENA_MAX, and the answer
 * Errors:  in the call: bad_data for a text that is no query
 */
#ifndef WEIR_CONTROLPLANE_API_LANGUAGE_H
#define WEIR_CONTROLPLANE_API_LANGUAGE_H

#include "controlplane/query/call.h"

void weir_api_format_query(struct weir_call *call);
void weir_api_parse_query(struct weir_call *call);

#endif
