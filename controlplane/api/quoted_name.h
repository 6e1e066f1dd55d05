/* quoted_name: how a name with dots, dashes or slashes, as Graphite's and many of Influx's are, is
 * written in PromQL.
 *
 * Threads: any; no state
 */
#ifndef WEIR_CONTROLPLANE_API_QUOTED_NAME_H
#define WEIR_CONTROLPLANE_API_QUOTED_NAME_H

#include <stdbool.h>
#include <stddef.h>

#define WEIR_QUOTED_NAME_HINT_MAX 256

/* The word at or around a byte of a query, in a sentence that shows its quoted form. False where it
 * is no such name. */
bool weir_quoted_name_hint(
    const char *text, size_t size, size_t at, char out[WEIR_QUOTED_NAME_HINT_MAX]);
/* The plain form of an escaped name: U__http_2e_status is http.status, __ is _. out has room for
 * as many bytes as name, and a zero. False where it is not an escaped one. */
bool weir_quoted_name_unescape(const char *name, char *out);

#endif
