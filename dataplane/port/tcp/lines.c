/* Answers to single records: lines that go out at once, or not at all. Nobody waits for a sender
 * that does not read them. */
#include "dataplane/port/tcp/parts.h"

#include <string.h>
#include <sys/socket.h>

_Static_assert(WEIR_ANSWER_MAX <= UINT8_MAX, "the end of a line can be kept");

static uint64_t
count_lines(const uint8_t *bytes, size_t size)
{
    uint64_t count = 0;
    for (size_t i = 0; i < size; i++)
        count += bytes[i] == '\n';
    return count;
}

/* Keeps the end of a line of which the first bytes were sent. Returns where it ends. */
static size_t
keep_end(struct weir_port_tcp *tcp, struct weir_connection *connection, size_t sent)
{
    const struct weir_tcp_lines *lines = &tcp->lines;
    if (sent == 0 || sent == lines->size || lines->bytes[sent - 1] == '\n')
        return sent;
    const uint8_t *newline = memchr(lines->bytes + sent, '\n', lines->size - sent);
    WEIR_ASSERT(newline != NULL && newline - lines->bytes - sent < WEIR_ANSWER_MAX);
    size_t end = (size_t)(newline + 1 - lines->bytes);
    memcpy(connection->rest, lines->bytes + sent, end - sent);
    connection->unsent = (uint8_t)(end - sent);
    weir_tcp_watch(tcp, connection);
    return end;
}

void
weir_tcp_lines_flush(struct weir_port_tcp *tcp)
{
    struct weir_tcp_lines *lines = &tcp->lines;
    struct weir_connection *connection = lines->connection;
    if (connection == NULL)
        return;
    size_t sent_size = 0;
    if (connection->unsent == 0) {
        ssize_t sent = send(connection->fd, lines->bytes, lines->size, MSG_NOSIGNAL | MSG_DONTWAIT);
        sent_size = sent > 0 ? keep_end(tcp, connection, (size_t)sent) : 0;
    }
    uint64_t *counter = tcp->port.counts->counter;
    counter[WEIR_COUNTER_answers_sent] += count_lines(lines->bytes, sent_size);
    counter[WEIR_COUNTER_answers_dropped] +=
        count_lines(lines->bytes + sent_size, lines->size - sent_size);
    lines->connection = NULL;
    lines->size = 0;
}

void
weir_tcp_line(struct weir_port *port, uint32_t source, const uint8_t *line, size_t size)
{
    struct weir_port_tcp *tcp = weir_tcp_of(port);
    struct weir_tcp_lines *lines = &tcp->lines;
    struct weir_connection *connection = weir_connection_find(tcp->connections, source);
    WEIR_ASSERT(size <= WEIR_ANSWER_MAX && line[size - 1] == '\n');
    if (connection == NULL)
        return; /* gone in the meantime */
    if (lines->connection != connection || lines->size + size > sizeof lines->bytes)
        weir_tcp_lines_flush(tcp);
    lines->connection = connection;
    memcpy(lines->bytes + lines->size, line, size);
    lines->size += (uint32_t)size;
}
