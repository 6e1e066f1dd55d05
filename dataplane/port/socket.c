#include "dataplane/port/socket.h"

#include "base/address.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static int
option_set(int fd, int level, int name, bool on)
{
    int value = on;
    return setsockopt(fd, level, name, &value, sizeof value);
}

enum weir_err
weir_socket_bind(const struct weir_listen *listen, int type, int *fd)
{
    union weir_address address;
    socklen_t size;
    enum weir_err err = WEIR_OK;
    if (!weir_address_parse(listen->address, listen->port, &address, &size))
        return weir_fail(WEIR_INVALID, 0, "listener address %s is not numeric IPv4 or IPv6",
            listen->address);
    const char *transport = type == SOCK_DGRAM ? "UDP" : "TCP";
    int s = socket(address.any.sa_family, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (s < 0)
        return weir_fail(WEIR_IO, errno, "%s socket for %s", transport, listen->address);
    bool set = (address.any.sa_family != AF_INET6 ||
                   option_set(s, IPPROTO_IPV6, IPV6_V6ONLY, listen->v6_only) == 0) &&
               (type != SOCK_STREAM || option_set(s, SOL_SOCKET, SO_REUSEADDR, true) == 0);
    if (!set)
        err = weir_fail(WEIR_IO, errno, "options of %s socket for %s", transport, listen->address);
    else if (bind(s, &address.any, size) != 0)
        err = weir_fail(errno == EADDRINUSE ? WEIR_BUSY : WEIR_IO, errno, "bind %s %s port %u",
            transport, listen->address, listen->port);
    if (err != WEIR_OK) {
        close(s);
        return err;
    }
    *fd = s;
    return WEIR_OK;
}

uint16_t
weir_socket_port(int fd)
{
    union weir_address address;
    socklen_t size = sizeof address;
    if (getsockname(fd, &address.any, &size) != 0)
        return 0;
    return ntohs(address.any.sa_family == AF_INET ? address.v4.sin_port : address.v6.sin6_port);
}

void
weir_socket_name(int fd, char name[WEIR_SOCKET_NAME_MAX])
{
    union weir_address address;
    socklen_t size = sizeof address;
    char text[INET6_ADDRSTRLEN] = "?";
    bool v6 = false;
    if (getsockname(fd, &address.any, &size) == 0) {
        v6 = address.any.sa_family == AF_INET6;
        const void *bytes = v6 ? (const void *)&address.v6.sin6_addr : &address.v4.sin_addr;
        if (inet_ntop(address.any.sa_family, bytes, text, sizeof text) == NULL)
            text[0] = '\0';
    }
    snprintf(name, WEIR_SOCKET_NAME_MAX, v6 ? "[%s]:%u" : "%s:%u", text, weir_socket_port(fd));
}

uint64_t
weir_socket_receive_buffer(int fd, uint64_t bytes)
{
    int asked = bytes > INT32_MAX / 2 ? INT32_MAX / 2 : (int)bytes;
    /* A refusal of setsockopt shows in the value that getsockopt gives. */
    if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &asked, sizeof asked) != 0)
        (void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &asked, sizeof asked);
    int granted = 0;
    socklen_t size = sizeof granted;
    if (getsockopt(fd, SOL_SOCKET, SO_RCVBUF, &granted, &size) != 0)
        return 0;
    return (uint64_t)granted / 2;
}
