/* weir_client: sends samples to Weir by the weir protocol (docs/format/wire.md). C11, no library.
 *
 *   new -> add_template, ... -> [add_values ... -> flush] each interval -> close
 *
 * Owns:    its socket, the labels of its templates, and over TCP what is not acknowledged
 * Threads: one at a time
 * Memory:  taken at new and add_template; none later
 * Errors:  0 or a negative errno. Over UDP a lost packet is nobody's error. Over TCP a broken
 *          connection is made anew, with growing pauses, and unacknowledged packets are sent again
 * Limits:  WEIR_CLIENT_TEMPLATES_MAX templates; WEIR_CLIENT_UNACKED_MAX packets unacknowledged:
 *          then -EAGAIN until Weir has caught up
 */
#ifndef WEIR_CLIENT_H
#define WEIR_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define WEIR_CLIENT_TEMPLATES_MAX 16
#define WEIR_CLIENT_UNACKED_MAX 1000
#define WEIR_CLIENT_PACKET_DEFAULT 1400 /* fits an Ethernet frame with room for tunnels */

struct weir_client;

struct weir_client_options {
    const char *address;  /* numeric IPv4 or IPv6; copied */
    uint16_t port;
    bool tcp;
    uint64_t sender;      /* chosen once at random, kept over restarts */
    uint32_t epoch;       /* grows with each start; 0 takes the time in seconds */
    uint16_t channel;
    uint32_t packet_max;  /* bytes; 0 takes WEIR_CLIENT_PACKET_DEFAULT */
    /* Instead of a socket: gets each packet. For tests, and for a transport of your own. */
    void (*emit)(void *context, const uint8_t *packet, size_t size);
    void *emit_context;
};

struct weir_client_label {
    const char *name;
    const char *value;
};

/* A series: the labels that make it differ from the others of its template, __name__ with them. */
struct weir_client_series {
    const struct weir_client_label *labels;
    size_t label_count;
};

int weir_client_new(const struct weir_client_options *options, struct weir_client **out);

/* Names the series of a template, at most 16,384, by the labels they share and their own; sends
 * their definition. *id names it from here on. */
int weir_client_add_template(struct weir_client *client, const struct weir_client_label *common,
    size_t common_count, const struct weir_client_series *series, size_t series_count,
    uint16_t *id);

/* Adds values of one time for the series first, first + 1, ... of a template. Sends whenever a
 * packet is full. -ENOENT, -ERANGE for series that no template holds. -EAGAIN (TCP) adds nothing:
 * too many packets wait for their acknowledgement; see weir_client_wait. */
int weir_client_add_values(struct weir_client *client, uint16_t id, size_t first,
    const double *values, size_t count, int64_t time_ms);

/* Sends all values added; repeats definitions when they are due; reads acknowledgements; makes a
 * broken connection anew. Call it each interval. -ESTALE as of weir_client_wait. */
int weir_client_flush(struct weir_client *client);

/* Waits up to wait_ms until at most unacked_max packets lack their acknowledgement (TCP; over UDP
 * there is none to wait for). 0 sends everything that was added first, and waits for all. -ETIME if
 * they did not come in time. -ESTALE at once if Weir refuses the epoch; weir_client_status gives
 * the reason: OLD_EPOCH, it has met weir_client_epoch_met(), or EPOCH_AHEAD of its clock. Make a
 * new client with another epoch then. -EPROTO at once if the bytes on the last connection are no
 * acknowledgement, and none has come before: this is not Weir, or its port for another protocol.
 * The next connection, which this makes too when its time has come, may find Weir. */
int weir_client_wait(struct weir_client *client, uint64_t unacked_max, int wait_ms);
/* Whether any acknowledgement has come (TCP). */
bool weir_client_heard(const struct weir_client *client);
/* Status of the last acknowledgement (TCP), an enum weir_wire_status: with a full disk or a log
 * that failed, Weir refuses packets and does not acknowledge them; they are sent again. */
int weir_client_status(const struct weir_client *client);
/* The newest epoch of this sender and channel that Weir has met; 0 where it has not said. */
uint32_t weir_client_epoch_met(const struct weir_client *client);

/* Numbers used; the number up to which all is durable (TCP); records that Weir refused on all
 * connections so far (TCP), except second copies. */
uint64_t weir_client_sent(const struct weir_client *client);
uint64_t weir_client_acked(const struct weir_client *client);
uint64_t weir_client_rejected(const struct weir_client *client);

/* Flushes, says goodbye, waits up to wait_ms for the last acknowledgement (TCP), frees. -ETIME
 * where not all was acknowledged. */
int weir_client_close(struct weir_client *client, int wait_ms);

#endif
