/* Sockets of the client: UDP without answer; TCP with acknowledgements and packets sent again. */
#include "client/client_internal.h"

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#define PAUSE_FIRST_MS 50
#define PAUSE_MAX_MS 5000
#define SEND_WAIT_MS 5000
#define CONNECT_WAIT_S 5
#define POLL_MS 5

uint32_t
weir_client_crc(uint32_t seed, const uint8_t *data, size_t size)
{
    uint32_t crc = ~seed;
    for (size_t i = 0; i < size; i++) {
        crc ^= data[i];
        for (int bit = 0; bit < 8; bit++)
            crc = crc >> 1 ^ (UINT32_C(0x82f63b78) & -(crc & 1));
    }
    return ~crc;
}

static int64_t
now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static int
open_socket(const struct weir_client_options *options, int *out)
{
    struct sockaddr_in6 six = {.sin6_family = AF_INET6, .sin6_port = htons(options->port)};
    struct sockaddr_in four = {.sin_family = AF_INET, .sin_port = htons(options->port)};
    bool is_four = inet_pton(AF_INET, options->address, &four.sin_addr) == 1;
    if (!is_four && inet_pton(AF_INET6, options->address, &six.sin6_addr) != 1)
        return -EINVAL;
    int fd = socket(is_four ? AF_INET : AF_INET6, options->tcp ? SOCK_STREAM : SOCK_DGRAM, 0);
    if (fd < 0)
        return -errno;
    const struct timeval wait = {.tv_sec = CONNECT_WAIT_S};
    (void)setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &wait, sizeof wait); /* of connect too */
    int result = is_four ? connect(fd, (const struct sockaddr *)&four, sizeof four)
                         : connect(fd, (const struct sockaddr *)&six, sizeof six);
    if (result != 0) {
        int err = errno == EINPROGRESS ? -ETIMEDOUT : -errno;
        close(fd);
        return err;
    }
    *out = fd;
    return 0;
}

/* All of it, or false: the connection is broken, or Weir has not read for SEND_WAIT_MS. */
static bool
send_all(int fd, const uint8_t *data, size_t size)
{
    while (size > 0) {
        ssize_t sent = send(fd, data, size, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (sent > 0) {
            data += sent;
            size -= (size_t)sent;
            continue;
        }
        struct pollfd wait = {.fd = fd, .events = POLLOUT};
        if ((errno != EAGAIN && errno != EINTR) || poll(&wait, 1, SEND_WAIT_MS) <= 0)
            return false;
    }
    return true;
}

static const uint8_t *
slot(const struct weir_client *client, uint64_t number, uint32_t *size)
{
    size_t at = number % WEIR_CLIENT_UNACKED_MAX;
    *size = client->kept_size[at];
    return client->kept + at * client->packet_max;
}

void
weir_client_disconnect(struct weir_client *client)
{
    if (client->fd >= 0)
        close(client->fd);
    client->fd = -1;
    client->ack_used = 0;
    client->rejected_before += client->rejected;
    client->rejected = 0;
    client->attempt_ms = now_ms() + client->pause_ms;
    client->pause_ms = client->pause_ms == 0 ? PAUSE_FIRST_MS : client->pause_ms * 2;
    if (client->pause_ms > PAUSE_MAX_MS)
        client->pause_ms = PAUSE_MAX_MS;
}

/* Packets that are not acknowledged are sent again, with the numbers they had. */
static bool
send_kept(struct weir_client *client)
{
    for (uint64_t number = client->acked + 1; number <= client->sequence; number++) {
        uint32_t size;
        const uint8_t *packet = slot(client, number, &size);
        if (!send_all(client->fd, packet, size))
            return false;
    }
    return true;
}

int
weir_client_connect(struct weir_client *client)
{
    int err = client->options.emit != NULL ? 0 : open_socket(&client->options, &client->fd);
    if (err == 0) {
        client->strange = false;
        client->stale = false;
        weir_client_repeat_soon(client);
    }
    if (err == 0 && client->kept != NULL) {
        err = weir_client_define_all(client);
        if (client->fd < 0)
            return -EPIPE; /* a definition did not go out: disconnected already */
        if (err == 0 && !send_kept(client))
            err = -EPIPE;
    }
    if (err != 0)
        weir_client_disconnect(client);
    return err;
}

static int
keep(struct weir_client *client, const struct weir_client_packet *packet)
{
    if (client->sequence - client->acked == WEIR_CLIENT_UNACKED_MAX)
        return -EAGAIN;
    size_t at = (client->sequence + 1) % WEIR_CLIENT_UNACKED_MAX;
    memcpy(client->kept + at * client->packet_max, packet->data, packet->used);
    client->kept_size[at] = packet->used;
    return 0;
}

/* Over TCP a packet that did not go out is among the kept ones; an unnumbered one comes again. */
int
weir_client_emit(struct weir_client *client, const struct weir_client_packet *packet,
    bool numbered)
{
    if (client->options.emit != NULL) {
        client->options.emit(client->options.emit_context, packet->data, packet->used);
    } else if (client->kept == NULL) {
        (void)send(client->fd, packet->data, packet->used, MSG_NOSIGNAL);
    } else {
        if (numbered)
            weir_client_listen(client);
        int err = numbered ? keep(client, packet) : 0;
        if (err != 0)
            return err;
        if (client->fd >= 0 && !send_all(client->fd, packet->data, packet->used))
            weir_client_disconnect(client);
    }
    client->sequence += numbered;
    return 0;
}

/* Reads a whole acknowledgement. False where Weir asks for another connection, or is not Weir. */
static bool
read_ack(struct weir_client *client)
{
    static const uint32_t magic = WEIR_WIRE_ACK_MAGIC;
    struct weir_wire_ack ack;
    size_t begun = client->ack_used < sizeof magic ? client->ack_used : sizeof magic;
    if (memcmp(client->ack, &magic, begun) != 0) {
        client->strange = !client->heard;
        return false;
    }
    if (client->ack_used < sizeof ack)
        return true;
    memcpy(&ack, client->ack, sizeof ack);
    client->ack_used = 0;
    client->heard = true;
    client->strange = false;
    client->status = ack.status;
    client->rejected = ack.rejected;
    client->stale = ack.status == WEIR_WIRE_OLD_EPOCH || ack.status == WEIR_WIRE_EPOCH_AHEAD;
    if (ack.status == WEIR_WIRE_OLD_EPOCH)
        client->epoch_met = ack.epoch;
    if (ack.epoch == client->epoch && ack.channel == client->options.channel &&
        ack.sequence > client->acked && ack.sequence <= client->sequence) {
        client->acked = ack.sequence;
        client->pause_ms = 0;
    }
    return ack.status == WEIR_WIRE_OK;
}

void
weir_client_listen(struct weir_client *client)
{
    if (client->kept == NULL)
        return;
    if (client->fd < 0 && now_ms() >= client->attempt_ms)
        (void)weir_client_connect(client);
    while (client->fd >= 0) {
        ssize_t got = recv(client->fd, client->ack + client->ack_used,
            sizeof client->ack - client->ack_used, MSG_DONTWAIT);
        if (got < 0 && (errno == EAGAIN || errno == EINTR))
            return;
        if (got > 0)
            client->ack_used += (size_t)got;
        if (got <= 0 || !read_ack(client))
            weir_client_disconnect(client);
    }
}

void
weir_client_pause(struct weir_client *client)
{
    struct pollfd wait = {.fd = client->fd, .events = POLLIN};
    (void)poll(&wait, 1, POLL_MS);
    weir_client_listen(client);
}
