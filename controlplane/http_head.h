/* http_head: the request line and headers of one HTTP/1 request (RFC 9112), from bytes.
 *
 * Threads: any; no state
 * Memory:  none; results point into the caller's bytes
 * Errors:  a status of enum weir_status and a reason that a person can use
 * Limits:  WEIR_HTTP_URI_MAX, WEIR_HTTP_HEAD_MAX
 */
#ifndef WEIR_CONTROLPLANE_HTTP_HEAD_H
#define WEIR_CONTROLPLANE_HTTP_HEAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define WEIR_HTTP_URI_MAX 8192
#define WEIR_HTTP_HEAD_MAX 16384 /* request line and headers */
#define WEIR_HTTP_BODY_MAX 65536

enum weir_http_method { WEIR_HTTP_GET, WEIR_HTTP_HEAD, WEIR_HTTP_POST, WEIR_HTTP_OTHER };

struct weir_http_span {
    const char *at; /* not zero terminated */
    size_t size;
};

struct weir_http_head {
    enum weir_http_method method;
    struct weir_http_span path;  /* as sent, percent-encoded; begins with / */
    struct weir_http_span query; /* behind the ?, as sent */
    struct weir_http_span content_type; /* of the body, without parameters */
    uint64_t content_length; /* at most WEIR_HTTP_BODY_MAX + 1, which means more */
    bool keep_alive;
    bool expects_continue;
};

/* Length of the head at the start of bytes, with the empty line that ends it; 0 where it is not
 * complete. Lines end in CRLF or LF. Empty lines ahead of the request line belong to it. */
size_t weir_http_head_size(const char *bytes, size_t size);

/* Reads a complete head. Returns 0, or the status to refuse it with and *reason. */
int weir_http_head_parse(const char *bytes, size_t size, struct weir_http_head *head,
    const char **reason);

#endif
