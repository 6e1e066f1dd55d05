/* params: the parameters of a request, from its URI's query and a form body.
 *
 * Owns:    one heap block with the decoded bytes
 * Threads: none of its own
 * Errors:  WEIR_INVALID bad percent-encoding or a zero byte in a name; WEIR_LIMIT too many
 * Limits:  WEIR_PARAMS_MAX parameters
 */
#ifndef WEIR_CONTROLPLANE_HTTP_PARAMS_H
#define WEIR_CONTROLPLANE_HTTP_PARAMS_H

#include "base/err.h"

#include <stddef.h>

#define WEIR_PARAMS_MAX 128

struct weir_param {
    const char *name;  /* zero terminated, holds no other zero */
    const char *value; /* zero terminated; may hold zeros before value_size */
    size_t value_size;
};

struct weir_params {
    struct weir_param items[WEIR_PARAMS_MAX];
    size_t count;
    char *bytes;
};

/* Decodes application/x-www-form-urlencoded text: & between, = within, + for a space, %XX. */
enum weir_err weir_params_init(struct weir_params *params, const char *text, size_t size)
    WEIR_MUST_USE;
void weir_params_fini(struct weir_params *params);

/* The one parameter of that name, *out NULL where there is none. WEIR_INVALID where it is given
 * twice or its value holds a zero byte. */
enum weir_err weir_params_find(const struct weir_params *params, const char *name,
    const struct weir_param **out) WEIR_MUST_USE;

/* Decodes percent-encoding of size bytes to out (size + 1 bytes, zero terminated), and + if `form`.
 * *out_size: bytes written. WEIR_INVALID if % has no two hex digits. */
enum weir_err weir_percent_decode(const char *text, size_t size, int form, char *out,
    size_t *out_size) WEIR_MUST_USE;

#endif
