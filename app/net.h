/* net: the little that the command line needs of sockets. Blocking, with time limits.
 *
 * Threads: the caller's
 * Errors:  WEIR_IO with the reason
 * Limits:  an HTTP answer of at most WEIR_NET_BODY_MAX bytes; without a byte for
 *          WEIR_NET_SILENCE_MS the other side has to show that it lives
 */
#ifndef WEIR_APP_NET_H
#define WEIR_APP_NET_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>

#define WEIR_NET_BODY_MAX (256u << 20)
/* Two of them are the wait for what accepts connections and never answers. */
#define WEIR_NET_SILENCE_MS 2500

/* Connects a UDP or TCP socket to a numeric address ("127.0.0.1:9880", "[::1]:9880"). Sends and
 * receives fail after timeout_ms. */
enum weir_err weir_net_connect(const char *address, bool tcp, int timeout_ms, int *fd)
    WEIR_MUST_USE;
/* Sends all of size bytes. */
enum weir_err weir_net_send(int fd, const void *data, size_t size) WEIR_MUST_USE;
/* GET of a path. Waits for the answer as long as the server answers /healthz besides: a query may
 * take what query.timeout says. *body is NUL terminated and the caller's to free. */
enum weir_err weir_net_http_get(const char *address, const char *target, int *status,
    char **body, size_t *size) WEIR_MUST_USE;

#endif
