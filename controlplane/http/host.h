/* host: the host that a request names, and whether this instance answers to it.
 *
 * A page in somebody's browser may give its own name our address (DNS rebinding), and could then
 * read the instance as its own site. Its requests name that site in their Host header. So a request
 * is answered only where it names an IP address, localhost, this machine, or one of `http.hosts`:
 * none of them is a name that others can give an address to.
 *
 * Threads: any; no state
 * Limits:  names of WEIR_CONFIG_HOST_SIZE
 */
#ifndef WEIR_CONTROLPLANE_HTTP_HOST_H
#define WEIR_CONTROLPLANE_HTTP_HOST_H

#include "config/config.h"

#include <stddef.h>

struct weir_http_hosts {
    /* "*": any name; ".example.com": all below it; else the name. In lower case. Borrowed. */
    const char (*names)[WEIR_CONFIG_HOST_SIZE];
    uint32_t count;
    char machine[WEIR_CONFIG_HOST_SIZE]; /* in lower case; empty: it has no name */
};

/* names: http.hosts. The machine's name is asked for here. */
void weir_http_hosts_init(struct weir_http_hosts *hosts,
    const char (*names)[WEIR_CONFIG_HOST_SIZE], uint32_t count);

enum weir_host_verdict { WEIR_HOST_OURS, WEIR_HOST_OTHER, WEIR_HOST_INVALID };

/* Judges the value of a Host header: RFC 9110, section 7.2, a host with or without a port. */
enum weir_host_verdict weir_http_host_check(const struct weir_http_hosts *hosts, const char *text);

#endif
