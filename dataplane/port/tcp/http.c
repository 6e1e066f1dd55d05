/* HTTP on a port that takes lines or weir packets: one answer says where HTTP is, then the end.
 *
 *   open --request line met--> refused: answered, our side closed, what comes is thrown away
 *   refused --end of stream, error, or DISCARD_MAX bytes--> free
 *
 * Closing at once with bytes unread would reset the connection, and the client might never read
 * the answer.
 */
#include "dataplane/port/tcp/parts.h"

#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#define REQUEST_LINE_MAX 8192
#define DISCARD_MAX (16u << 20)

static bool
begins_with_method(const uint8_t *data, size_t size)
{
    static const char *const methods[] = {"GET ", "POST ", "PUT ", "HEAD ", "DELETE ", "OPTIONS ",
        "PATCH ", "CONNECT ", "TRACE ", "PRI "};
    for (size_t i = 0; i < sizeof methods / sizeof methods[0]; i++) {
        size_t length = strlen(methods[i]);
        if (size > length && memcmp(data, methods[i], length) == 0)
            return true;
    }
    return false;
}

bool
weir_tcp_is_http(const uint8_t *data, size_t size)
{
    static const char version[] = " HTTP/";
    if (!begins_with_method(data, size))
        return false;
    const uint8_t *end = memchr(data, '\n', size < REQUEST_LINE_MAX ? size : REQUEST_LINE_MAX);
    if (end == NULL)
        return false;
    size_t line = (size_t)(end - data);
    line -= data[line - 1] == '\r';
    /* ... HTTP/1.1 */
    size_t tail = sizeof version - 1 + 3;
    return line > tail && memcmp(data + line - tail, version, sizeof version - 1) == 0 &&
        data[line - 2] == '.';
}

void
weir_tcp_refuse_http(struct weir_port_tcp *tcp, struct weir_connection *connection)
{
    char body[192], answer[400];
    const char *words = weir_protocols[tcp->listeners[connection->listener].proto].description;
    int size;
    if (tcp->http[0] != '\0')
        size = snprintf(body, sizeof body, "this port takes %s over TCP; HTTP is at http://%s/\n",
            words, tcp->http);
    else
        size = snprintf(body, sizeof body,
            "this port takes %s over TCP; HTTP is off (http.listen)\n", words);
    size = snprintf(answer, sizeof answer,
        "HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain\r\nContent-Length: %d\r\n"
        "Connection: close\r\n\r\n%s",
        size, body);
    /* A new connection's send buffer has room for it. */
    (void)send(connection->fd, answer, (size_t)size, MSG_NOSIGNAL | MSG_DONTWAIT);
    weir_tcp_count(tcp, WEIR_COUNTER_http_refused);
    if (connection->ended || shutdown(connection->fd, SHUT_WR) != 0) {
        weir_tcp_drop(tcp, connection);
        return;
    }
    weir_connection_forget(tcp->connections, connection);
    connection->refused = true;
}

void
weir_tcp_discard(struct weir_port_tcp *tcp, struct weir_connection *connection)
{
    ssize_t got = recv(connection->fd, tcp->area + tcp->area_used, WEIR_STREAM_READ_MAX,
        MSG_DONTWAIT);
    if (got > 0)
        connection->discarded += (uint32_t)got;
    if (got == 0 || (got < 0 && !weir_tcp_again()) || connection->discarded > DISCARD_MAX)
        weir_tcp_drop(tcp, connection);
}
