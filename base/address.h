/* address: a numeric IPv4 or IPv6 address and a port, as the socket calls take them. */
#ifndef WEIR_BASE_ADDRESS_H
#define WEIR_BASE_ADDRESS_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

union weir_address {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
};

/* text: "127.0.0.1" or "::1", without brackets. port: host order. *size: of the address in out.
 * False if text is no numeric address. */
bool weir_address_parse(const char *text, uint16_t port, union weir_address *out, socklen_t *size);

#endif
