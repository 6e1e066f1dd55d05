/* query_print: answers of the HTTP API as text for people.
 *
 *   cpu_usage{core="0",host="web1"}           a series, as a selector that can be pasted
 *     2026-11-21T05:00:00.000Z  0.25          times in UTC, values in their shortest form
 *
 * Threads: the main thread
 * Errors:  WEIR_IO the answer is not one of ours; WEIR_NOT_FOUND it is empty, because there is no
 *          such metric, label or value: standard error has said so already
 */
#ifndef WEIR_APP_CLI_QUERY_PRINT_H
#define WEIR_APP_CLI_QUERY_PRINT_H

#include "base/err.h"

/* values: the label whose values were asked for, or NULL. */
enum weir_err weir_query_print(const char *body, size_t size, const char *values) WEIR_MUST_USE;

#endif
