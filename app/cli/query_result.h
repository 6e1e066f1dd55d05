/* query_result: the result of a PromQL query, as text for people or as CSV.
 *
 * Threads: the main thread
 * Errors:  WEIR_IO the answer is not one of ours, WEIR_NOMEM
 */
#ifndef WEIR_APP_CLI_QUERY_RESULT_H
#define WEIR_APP_CLI_QUERY_RESULT_H

#include "base/err.h"

#include <jansson.h>
#include <stdbool.h>

/* data: {"resultType":...,"result":...}. Returns in *count how many series or values it had. */
enum weir_err weir_query_result_print(json_t *data, bool csv, size_t *count) WEIR_MUST_USE;

#endif
