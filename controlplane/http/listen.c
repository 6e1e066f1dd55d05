#include "controlplane/http/listen.h"

#include "base/address.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define BACKLOG 128

static enum weir_err
fail_listen(const char *address, uint16_t port, int errnum)
{
    bool six = strchr(address, ':') != NULL;
    return weir_fail(errnum == EADDRINUSE ? WEIR_BUSY : WEIR_IO, errnum,
        "http: listen on %s%s%s:%u", six ? "[" : "", address, six ? "]" : "", port);
}

enum weir_err
weir_http_listen(const char *address, uint16_t port, bool v6_only, int *fd)
{
    union weir_address to;
    socklen_t size;
    int on = 1;
    int only = v6_only;
    if (!weir_address_parse(address, port, &to, &size))
        return weir_fail(WEIR_INVALID, 0, "http address %s is not numeric", address);
    int made = socket(to.any.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (made < 0)
        return fail_listen(address, port, errno);
    /* accepted sockets inherit them; a failure costs speed alone */
    (void)setsockopt(made, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
    (void)setsockopt(made, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if ((to.any.sa_family == AF_INET6 &&
            setsockopt(made, IPPROTO_IPV6, IPV6_V6ONLY, &only, sizeof only) != 0) ||
        setsockopt(made, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) != 0 ||
        bind(made, &to.any, size) != 0 || listen(made, BACKLOG) != 0) {
        enum weir_err err = fail_listen(address, port, errno);
        close(made);
        return err;
    }
    *fd = made;
    return WEIR_OK;
}
