/* net: the little that the command line needs of sockets. Blocking, with time limits.
 *
 * Threads: the caller's
 * Errors:  WEIR_IO with the reason; WEIR_INVALID for an address that reads as none
 * Limits:  an HTTP answer of at most WEIR_NET_BODY_MAX bytes within a time; without a byte for
 *          WEIR_NET_SILENCE_MS the other side has to show that it lives
 */
#ifndef WEIR_APP_CLI_NET_H
#define WEIR_APP_CLI_NET_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define WEIR_NET_BODY_MAX (256u << 20)
/* Two of them are the wait for a server that accepts connections and never answers. */
#define WEIR_NET_SILENCE_MS 2500
/* The longest wait for a whole answer, unless the caller gives one. */
#define WEIR_NET_ANSWER_MS 60000
#define WEIR_NET_HOST_MAX 256

/* Reads "127.0.0.1:9880", "[::1]:9880", "localhost:9880". port_default is the port where none is
 * given; 0: one must be. WEIR_INVALID. */
enum weir_err weir_net_address(const char *text, uint16_t port_default,
    char host[WEIR_NET_HOST_MAX], uint16_t *port) WEIR_MUST_USE;
/* The same, with the name looked up: host is numeric, an IPv4 address where there is one. */
enum weir_err weir_net_resolve(const char *text, char host[WEIR_NET_HOST_MAX], uint16_t *port)
    WEIR_MUST_USE;
/* Connects a UDP or TCP socket to an address in the form of weir_net_address; of a name to the
 * first address that accepts it, IPv4 first. Sends and receives fail after timeout_ms. */
enum weir_err weir_net_connect(const char *address, bool tcp, int timeout_ms, int *fd)
    WEIR_MUST_USE;
/* Sends all of size bytes. */
enum weir_err weir_net_send(int fd, const void *data, size_t size) WEIR_MUST_USE;
/* Milliseconds from now to a time of weir_mono_ns, at least 0. */
int weir_net_left_ms(int64_t until_ns);

/* A request to an instance's HTTP API. */
struct weir_net_request {
    const char *http;   /* ADDR:PORT, NAME:PORT or a URL without path: http://NAME[:PORT] */
    const char *target; /* path and query */
    const char *method; /* NULL: GET */
    int limit_ms;       /* for the whole answer; 0: WEIR_NET_ANSWER_MS */
};
/* GET. A silent server has to answer /healthz on another connection within limit_ms, because a
 * query may last as long as query.timeout. *body is NUL terminated and the caller's to free. */
enum weir_err weir_net_http_get(const struct weir_net_request *request, int *status, char **body,
    size_t *size) WEIR_MUST_USE;
/* The same for answers with status 200. Any other is an error whose detail is the API's own text:
 * WEIR_INVALID if it refused the question (400, 404), else WEIR_IO. */
enum weir_err weir_net_api_get(const struct weir_net_request *request, char **body, size_t *size)
    WEIR_MUST_USE;

#endif
