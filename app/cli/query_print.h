/* query_print: answers of the HTTP API as text for people.
 *
 * Threads: the main thread
 * Errors:  WEIR_IO the text is no answer of Weir; WEIR_NOT_FOUND it is empty, because there is no
 *          such metric, label or label value: these functions have printed that on standard error
 */
#ifndef WEIR_APP_CLI_QUERY_PRINT_H
#define WEIR_APP_CLI_QUERY_PRINT_H

#include "base/err.h"

#include <stdbool.h>

/* values: the label whose values were asked for, or NULL. csv: a PromQL result as CSV. */
enum weir_err weir_query_print(const char *body, size_t size, const char *values, bool csv)
    WEIR_MUST_USE;

#endif
