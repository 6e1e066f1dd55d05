/* peer: the address of a sender, and prefixes of addresses that a setting names.
 *
 * Threads: any; no state
 * Errors:  WEIR_INVALID text that is no prefix; the detail says what was expected
 */
#ifndef WEIR_MODEL_PEER_H
#define WEIR_MODEL_PEER_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>

/* All zero where there is none: the ring source, a packet that a test made. */
struct weir_peer {
    uint8_t address[16]; /* IPv6, or IPv4 as ::ffff:a.b.c.d */
    uint16_t port;       /* host order */
};
_Static_assert(sizeof(struct weir_peer) == 18, "no padding: peers are compared as bytes");

/* "192.0.2.7:4711" or "[2001:db8::7]:4711"; "-" where there is none. */
#define WEIR_PEER_TEXT_MAX 56
void weir_peer_text(const struct weir_peer *peer, char text[WEIR_PEER_TEXT_MAX]);
/* As above, without the port and the brackets. */
void weir_peer_address_text(const struct weir_peer *peer, char text[WEIR_PEER_TEXT_MAX]);

/* Zero where the family is neither IPv4 nor IPv6. */
void weir_peer_of_socket(const struct sockaddr *address, struct weir_peer *peer);

static inline bool
weir_peer_exists(const struct weir_peer *peer)
{
    uint64_t halves[2];
    memcpy(halves, peer->address, sizeof halves);
    return (halves[0] | halves[1]) != 0;
}

/* The address of 4 bytes in the order of the wire. */
static inline void
weir_peer_set_ipv4(struct weir_peer *peer, const uint8_t address[4])
{
    static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
    memcpy(peer->address, mapped, sizeof mapped);
    memcpy(peer->address + sizeof mapped, address, 4);
}

static inline bool
weir_peer_is_ipv4(const struct weir_peer *peer)
{
    static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
    return memcmp(peer->address, mapped, sizeof mapped) == 0;
}

struct weir_prefix {
    uint8_t address[16]; /* as in struct weir_peer; bits after the prefix are zero */
    uint8_t bits;        /* 0 to 128; those of IPv4 count from 96 */
};

/* "192.0.2.0/24", "2001:db8::/32", or an address alone. Bits after the prefix must be zero. */
enum weir_err weir_prefix_parse(const char *text, struct weir_prefix *out) WEIR_MUST_USE;
/* Text that weir_prefix_parse reads back to the same. */
void weir_prefix_text(const struct weir_prefix *prefix, char text[WEIR_PEER_TEXT_MAX]);

struct weir_prefixes {
    const struct weir_prefix *list; /* borrowed */
    uint32_t count;
};

/* 127.0.0.0/8 and ::1: this machine. */
extern const struct weir_prefixes weir_prefixes_loopback;

/* True where one of the prefixes holds the address. A peer that does not exist is in none. */
bool weir_prefixes_hold(const struct weir_prefixes *prefixes, const struct weir_peer *peer);

#endif
