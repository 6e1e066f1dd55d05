/* selector: a Prometheus series selector in its simple form, metric{a="b",c!="d"}.
 *
 * Owns:    one heap block with the names and values its matches point to
 * Threads: none of its own
 * Errors:  WEIR_INVALID; the detail says how it should be, and the place. Regular expressions
 *          (=~, !~) are refused by name.
 * Limits:  WEIR_SELECTOR_MATCHES_MAX matches
 *
 * A metric name or label name is bare (letters, digits, _ : and . - / inside a metric's) or a
 * quoted string; {"servers.web1"} and {__name__="servers.web1"} select by name as well. Values are
 * quoted by " or ' with Go's escapes, or by ` without any.
 */
#ifndef WEIR_CONTROLPLANE_QUERY_SELECTOR_H
#define WEIR_CONTROLPLANE_QUERY_SELECTOR_H

#include "base/err.h"
#include "storage/reader.h"

#include <stddef.h>

#define WEIR_SELECTOR_MATCHES_MAX 64

struct weir_selector {
    struct weir_match matches[WEIR_SELECTOR_MATCHES_MAX];
    size_t count;
    char *bytes;
};

/* Reads text of size bytes. A selector that every series meets is refused, as Prometheus does. */
enum weir_err weir_selector_init(struct weir_selector *selector, const char *text, size_t size)
    WEIR_MUST_USE;
void weir_selector_fini(struct weir_selector *selector);

#endif
