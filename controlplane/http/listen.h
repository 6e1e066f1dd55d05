/* listen: the HTTP server's listening socket. The supervisor makes it, and keeps it while control
 * planes come and go; one run by hand makes its own.
 *
 * Threads: any; no state
 * Errors:  WEIR_BUSY the address is in use, WEIR_INVALID it is not numeric, WEIR_IO
 */
#ifndef WEIR_CONTROLPLANE_HTTP_LISTEN_H
#define WEIR_CONTROLPLANE_HTTP_LISTEN_H

#include "base/err.h"

#include <stdbool.h>
#include <stdint.h>

/* A non-blocking socket that listens on a numeric address; port 0 takes any. [::] takes IPv4 too,
 * unless v6_only. The caller closes it. */
enum weir_err weir_http_listen(const char *address, uint16_t port, bool v6_only, int *fd)
    WEIR_MUST_USE;

#endif
