/* answer: the JSON of an answer of the HTTP API.
 *
 * Errors:  WEIR_IO where it is no JSON, WEIR_NOMEM
 * Threads: one
 */
#ifndef WEIR_APP_CLI_ANSWER_H
#define WEIR_APP_CLI_ANSWER_H

#include "base/err.h"

#include <jansson.h>

/* *out is the caller's to release (json_decref). */
enum weir_err weir_answer_read(const char *body, size_t size, json_t **out) WEIR_MUST_USE;

#endif
