/* socket: what the kernel's UDP and TCP ports share: addresses, binding, names for events.
 *
 * Threads: any; no state
 * Errors:  WEIR_INVALID an address that is not numeric, WEIR_IO what the kernel refused
 */
#ifndef WEIR_DATAPLANE_PORT_SOCKET_H
#define WEIR_DATAPLANE_PORT_SOCKET_H

#include "dataplane/port/port.h"

/* A non-blocking socket of the given type bound to listen's address. [::] takes IPv4
 * too, unless listen says v6_only: then 0.0.0.0 can be bound too. */
enum weir_err weir_socket_bind(const struct weir_listen *listen, int type, int *fd) WEIR_MUST_USE;

/* Local port in host order, 0 where the kernel does not say. */
uint16_t weir_socket_port(int fd);

/* "127.0.0.1:8089" or "[::1]:8089" of what fd is bound to. */
#define WEIR_SOCKET_NAME_MAX 80
void weir_socket_name(int fd, char name[WEIR_SOCKET_NAME_MAX]);

/* Asks for a receive buffer of bytes, past rmem_max where privileges allow, and returns what was
 * granted (the kernel's own accounting counts double; this is what was asked in its terms). */
uint64_t weir_socket_receive_buffer(int fd, uint64_t bytes);

#endif
