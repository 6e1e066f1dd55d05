#include "model/peer.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>

#define IPV4_AT 12 /* of the mapped address */
#define IPV4_BITS_BEFORE 96

static const struct weir_prefix loopback[] = {
    {.address = {[10] = 0xff, [11] = 0xff, [12] = 127}, .bits = 104},
    {.address = {[15] = 1}, .bits = 128},
};
const struct weir_prefixes weir_prefixes_loopback = {
    loopback, sizeof loopback / sizeof loopback[0]};

/* The address alone; out holds INET6_ADDRSTRLEN bytes. */
static void
address_text(const uint8_t address[16], char *out)
{
    struct weir_peer peer = {.port = 0};
    memcpy(peer.address, address, sizeof peer.address);
    bool ipv4 = weir_peer_is_ipv4(&peer);
    if (inet_ntop(ipv4 ? AF_INET : AF_INET6, address + (ipv4 ? IPV4_AT : 0), out,
            INET6_ADDRSTRLEN) == NULL)
        out[0] = '\0';
}

void
weir_peer_text(const struct weir_peer *peer, char text[WEIR_PEER_TEXT_MAX])
{
    char address[INET6_ADDRSTRLEN];
    address_text(peer->address, address);
    if (!weir_peer_exists(peer))
        snprintf(text, WEIR_PEER_TEXT_MAX, "-");
    else
        snprintf(text, WEIR_PEER_TEXT_MAX, weir_peer_is_ipv4(peer) ? "%s:%u" : "[%s]:%u", address,
            peer->port);
}

void
weir_peer_address_text(const struct weir_peer *peer, char text[WEIR_PEER_TEXT_MAX])
{
    char address[INET6_ADDRSTRLEN];
    address_text(peer->address, address);
    snprintf(text, WEIR_PEER_TEXT_MAX, "%s", weir_peer_exists(peer) ? address : "-");
}

void
weir_peer_of_socket(const struct sockaddr *address, struct weir_peer *peer)
{
    memset(peer, 0, sizeof *peer);
    if (address->sa_family == AF_INET) {
        const struct sockaddr_in *v4 = (const struct sockaddr_in *)address;
        weir_peer_set_ipv4(peer, (const uint8_t *)&v4->sin_addr);
        peer->port = ntohs(v4->sin_port);
    } else if (address->sa_family == AF_INET6) {
        const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)address;
        memcpy(peer->address, &v6->sin6_addr, sizeof peer->address);
        peer->port = ntohs(v6->sin6_port);
    }
}

/* The first `bits` bits of a and b agree. */
static bool
bits_agree(const uint8_t *a, const uint8_t *b, uint32_t bits)
{
    uint32_t whole = bits / 8;
    uint8_t mask = (uint8_t)(0xff00u >> bits % 8);
    if (memcmp(a, b, whole) != 0)
        return false;
    return mask == 0 || ((a[whole] ^ b[whole]) & mask) == 0;
}

/* Decimal digits only, up to most. */
static bool
parse_bits(const char *text, uint32_t most, uint32_t *out)
{
    char *end;
    if (*text < '0' || *text > '9' || strlen(text) > 3)
        return false;
    *out = (uint32_t)strtoul(text, &end, 10);
    return *end == '\0' && *out <= most;
}

enum weir_err
weir_prefix_parse(const char *text, struct weir_prefix *out)
{
    char address[INET6_ADDRSTRLEN];
    const char *slash = strchr(text, '/');
    size_t size = slash != NULL ? (size_t)(slash - text) : strlen(text);
    struct weir_prefix prefix = {.bits = 0};
    struct weir_peer peer = {.port = 0};
    uint8_t ipv4[4];
    uint32_t bits;
    bool parsed = size < sizeof address;
    if (parsed) {
        memcpy(address, text, size);
        address[size] = '\0';
    }
    bool is_ipv4 = parsed && inet_pton(AF_INET, address, ipv4) == 1;
    if (is_ipv4)
        weir_peer_set_ipv4(&peer, ipv4);
    else if (!parsed || inet_pton(AF_INET6, address, peer.address) != 1)
        return weir_fail(WEIR_INVALID, 0, "'%s' is no prefix like 192.0.2.0/24 or 2001:db8::/32",
            text);
    uint32_t most = is_ipv4 ? 32 : 128;
    if (slash == NULL)
        bits = most;
    else if (!parse_bits(slash + 1, most, &bits))
        return weir_fail(WEIR_INVALID, 0, "'%s' has no length from 0 to %u after the slash", text,
            most);
    bits += is_ipv4 ? IPV4_BITS_BEFORE : 0;
    memcpy(prefix.address, peer.address, sizeof prefix.address);
    prefix.bits = (uint8_t)bits;
    for (uint32_t bit = bits; bit < 128; bit++)
        peer.address[bit / 8] &= (uint8_t)~(0x80u >> bit % 8);
    if (memcmp(peer.address, prefix.address, sizeof prefix.address) != 0)
        return weir_fail(WEIR_INVALID, 0, "'%s' has bits set after its length", text);
    *out = prefix;
    return WEIR_OK;
}

void
weir_prefix_text(const struct weir_prefix *prefix, char text[WEIR_PEER_TEXT_MAX])
{
    char address[INET6_ADDRSTRLEN];
    struct weir_peer peer = {.port = 0};
    memcpy(peer.address, prefix->address, sizeof peer.address);
    bool ipv4 = prefix->bits >= IPV4_BITS_BEFORE && weir_peer_is_ipv4(&peer);
    address_text(prefix->address, address);
    snprintf(text, WEIR_PEER_TEXT_MAX, "%s/%u", address,
        prefix->bits - (ipv4 ? IPV4_BITS_BEFORE : 0u));
}

bool
weir_prefixes_hold(const struct weir_prefixes *prefixes, const struct weir_peer *peer)
{
    if (!weir_peer_exists(peer))
        return false;
    for (uint32_t i = 0; i < prefixes->count; i++)
        if (bits_agree(prefixes->list[i].address, peer->address, prefixes->list[i].bits))
            return true;
    return false;
}
