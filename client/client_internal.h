/* client_internal: shared by weir_client.c (packets) and transport.c (sockets). */
#ifndef WEIR_CLIENT_INTERNAL_H
#define WEIR_CLIENT_INTERNAL_H

#include "client/weir_client.h"
#include "client/wire.h"

struct weir_client_template {
    uint8_t *labels; /* common list, then one a series, as in a definition */
    uint32_t count;
    uint32_t hash;
};

struct weir_client_packet {
    uint8_t *data;
    uint32_t used;
    uint16_t records; /* 0: none is being filled */
    int64_t base_time_ms;
};

struct weir_client {
    struct weir_client_options options;
    char address[64];    /* options.address, which need not outlive the call of new */
    uint32_t epoch;
    uint32_t packet_max;
    uint64_t sequence;   /* last number used */
    uint64_t acked;
    uint64_t rejected;        /* on this connection */
    uint64_t rejected_before; /* on those before it */
    uint64_t random;
    int64_t repeat_ms;   /* definitions are due */
    struct weir_client_packet values;  /* being filled */
    struct weir_client_packet control; /* definitions and heartbeats: filled and sent at once */
    int fd;              /* -1: not connected */
    int pause_ms;        /* before the next attempt to connect */
    int64_t attempt_ms;  /* not before */
    uint8_t *kept;       /* packet n at slot n % WEIR_CLIENT_UNACKED_MAX; TCP only */
    uint32_t kept_size[WEIR_CLIENT_UNACKED_MAX];
    uint8_t ack[32];
    size_t ack_used;
    uint16_t status;     /* of the last acknowledgement */
    bool stale;          /* this connection refused our epoch */
    uint32_t epoch_met;  /* the newest one that Weir knows of us, as far as it said so */
    bool heard;          /* an acknowledgement, on any connection so far */
    bool strange;        /* bytes on this connection that are none, before any was heard */
    uint32_t template_count;
    struct weir_client_template templates[WEIR_CLIENT_TEMPLATES_MAX];
};

uint32_t weir_client_crc(uint32_t seed, const uint8_t *data, size_t size);
/* Opens the socket; over TCP sends definitions and all unacknowledged packets. Disconnects if that
 * fails. Definitions are sent again soon, and an earlier peer's answers are forgotten. */
int weir_client_connect(struct weir_client *client);
/* Closes the socket if it is open. The next attempt may begin after the pause, which doubles. */
void weir_client_disconnect(struct weir_client *client);
/* Sends a packet; a numbered one is kept until it is acknowledged. -EAGAIN: too many are. */
int weir_client_emit(struct weir_client *client, const struct weir_client_packet *packet,
    bool numbered);
/* Sends the definitions of all templates. */
int weir_client_define_all(struct weir_client *client);
/* Has weir_client_flush repeat the definitions in one to two seconds. */
void weir_client_repeat_soon(struct weir_client *client);
/* Reads acknowledgements; makes a broken connection anew when its time has come. */
void weir_client_listen(struct weir_client *client);
/* Waits a few milliseconds for news, and listens. */
void weir_client_pause(struct weir_client *client);
void weir_client_free(struct weir_client *client);

#endif
