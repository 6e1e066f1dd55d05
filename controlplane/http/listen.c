#include "controlplane/http/listen.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define BACKLOG 128

/* Fills a socket address from numeric text. */
static bool
read_address(const char *text, uint16_t port, struct sockaddr_storage *address, socklen_t *size)
{
    struct sockaddr_in *four = (struct sockaddr_in *)address;
    struct sockaddr_in6 *six = (struct sockaddr_in6 *)address;
    memset(address, 0, sizeof *address);
    if (inet_pton(AF_INET, text, &four->sin_addr) == 1) {
        four->sin_family = AF_INET;
        four->sin_port = htons(port);
        *size = sizeof *four;
        return true;
    }
    if (inet_pton(AF_INET6, text, &six->sin6_addr) == 1) {
        six->sin6_family = AF_INET6;
        six->sin6_port = htons(port);
        *size = sizeof *six;
        return true;
    }
    return false;
}

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
    struct sockaddr_storage to;
    socklen_t size;
    int on = 1;
    int only = v6_only;
    if (!read_address(address, port, &to, &size))
        return weir_fail(WEIR_INVALID, 0, "http address %s is not numeric", address);
    int made = socket(to.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (made < 0)
        return fail_listen(address, port, errno);
    /* accepted sockets inherit them; what cannot be set costs speed alone */
    (void)setsockopt(made, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
    (void)setsockopt(made, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if ((to.ss_family == AF_INET6 &&
            setsockopt(made, IPPROTO_IPV6, IPV6_V6ONLY, &only, sizeof only) != 0) ||
        setsockopt(made, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) != 0 ||
        bind(made, (struct sockaddr *)&to, size) != 0 || listen(made, BACKLOG) != 0) {
        enum weir_err err = fail_listen(address, port, errno);
        close(made);
        return err;
    }
    *fd = made;
    return WEIR_OK;
}
