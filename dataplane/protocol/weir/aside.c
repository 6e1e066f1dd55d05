#include "dataplane/protocol/weir/aside.h"

#include "base/assert.h"
#include "model/shares.h"

#include <string.h>

#define UNIT WEIR_ASIDE_UNIT
#define UNITS WEIR_ASIDE_UNITS
#define HEADS 8192u
#define DATAGRAM_MAX 65536u
/* Room for the datagrams of one receive, each with its slack. */
#define AREA_BYTES (256u << 10)
_Static_assert(AREA_BYTES >= DATAGRAM_MAX + WEIR_PACKET_SLACK, "the largest one fits");
_Static_assert((HEADS & (HEADS - 1)) == 0, "a mask");

/* Places in the three arrays count from 1; 0 is none. Free places are chained by `next`. */
struct datagram {
    uint32_t next;  /* of its queue */
    uint32_t unit;  /* the first of its bytes */
    uint32_t units;
    uint32_t at;    /* bytes consumed: packets before the one that waits */
    uint32_t source_share, sender_share;
    struct weir_packet packet; /* data means nothing */
};

struct queue {
    uint32_t next;       /* of its hash's chain */
    uint32_t next_ready;
    uint32_t first, last; /* datagrams */
    uint64_t sender;
    uint16_t channel;
    bool ready;          /* in the list of those */
    bool handed;         /* its first datagram is with the worker */
    bool woken;          /* meanwhile */
};

struct places {
    uint32_t fresh; /* places up to it have been used */
    uint32_t free;  /* of those, the first that is free again */
};

struct weir_aside {
    struct weir_port port;
    const struct weir_hash_key *key;
    const struct weir_prefixes *trusted;
    struct weir_shares *sources, *channels;
    uint32_t count; /* datagrams */
    uint32_t units; /* taken */
    uint32_t ready_first, ready_last;
    struct places free_units, free_datagrams, free_queues;
    uint32_t heads[HEADS];
    uint32_t unit_next[UNITS + 1];
    struct datagram datagrams[UNITS + 1];
    struct queue queues[UNITS + 1];
    uint8_t area[AREA_BYTES];
    uint8_t bytes[UNITS + 1][UNIT];
};

static size_t
align(size_t size)
{
    return (size + WEIR_CACHE_LINE - 1) & ~(size_t)(WEIR_CACHE_LINE - 1);
}

size_t
weir_aside_footprint(void)
{
    return align(sizeof(struct weir_aside)) + 2 * weir_shares_footprint(UNITS);
}

/* ---- places ---- */

static uint32_t
place_claim(struct places *places, uint32_t next_of_free)
{
    uint32_t place = places->free;
    if (place == 0)
        return ++places->fresh;
    places->free = next_of_free;
    return place;
}

static uint32_t
units_for(uint32_t size)
{
    return size <= UNIT ? 1 : (size + UNIT - 1) / UNIT;
}

/* Copies bytes into a chain of units. */
static uint32_t
bytes_put(struct weir_aside *aside, const uint8_t *data, uint32_t size)
{
    uint32_t first = 0;
    for (uint32_t units = units_for(size); units > 0; units--) { /* the last one first */
        uint32_t unit =
            place_claim(&aside->free_units, aside->unit_next[aside->free_units.free]);
        uint32_t at = (units - 1) * UNIT;
        memcpy(aside->bytes[unit], data + at, size - at < UNIT ? size - at : UNIT);
        aside->unit_next[unit] = first;
        first = unit;
    }
    return first;
}

static void
bytes_get(const struct weir_aside *aside, const struct datagram *datagram, uint8_t *out)
{
    uint32_t left = datagram->packet.size;
    for (uint32_t unit = datagram->unit; unit != 0; unit = aside->unit_next[unit]) {
        uint32_t size = left < UNIT ? left : UNIT;
        memcpy(out, aside->bytes[unit], size);
        out += size;
        left -= size;
    }
}

static void
bytes_free(struct weir_aside *aside, uint32_t first)
{
    uint32_t last = first;
    while (aside->unit_next[last] != 0)
        last = aside->unit_next[last];
    aside->unit_next[last] = aside->free_units.free;
    aside->free_units.free = first;
}

/* ---- queues ---- */

/* Keyed, because senders choose their ids. */
static uint32_t *
head_of(const struct weir_aside *aside, uint64_t sender, uint16_t channel)
{
    const uint64_t name[2] = {sender, channel};
    uint64_t hash = weir_hash_part(aside->key, 0, name, sizeof name).lo;
    return (uint32_t *)&aside->heads[hash & (HEADS - 1)];
}

static struct queue *
find(const struct weir_aside *aside, uint64_t sender, uint16_t channel)
{
    uint32_t at = *head_of(aside, sender, channel);
    while (at != 0 &&
        (aside->queues[at].sender != sender || aside->queues[at].channel != channel))
        at = aside->queues[at].next;
    return at == 0 ? NULL : (struct queue *)&aside->queues[at];
}

static struct queue *
queue_new(struct weir_aside *aside, uint64_t sender, uint16_t channel)
{
    uint32_t at = place_claim(&aside->free_queues, aside->queues[aside->free_queues.free].next);
    uint32_t *head = head_of(aside, sender, channel);
    aside->queues[at] = (struct queue){.next = *head, .sender = sender, .channel = channel};
    *head = at;
    return &aside->queues[at];
}

static void
queue_free(struct weir_aside *aside, struct queue *queue)
{
    uint32_t place = (uint32_t)(queue - aside->queues);
    uint32_t *at = head_of(aside, queue->sender, queue->channel);
    while (*at != place)
        at = &aside->queues[*at].next;
    *at = queue->next;
    queue->next = aside->free_queues.free;
    aside->free_queues.free = place;
}

static void
make_ready(struct weir_aside *aside, struct queue *queue)
{
    uint32_t place = (uint32_t)(queue - aside->queues);
    queue->ready = true;
    queue->next_ready = 0;
    if (aside->ready_last == 0)
        aside->ready_first = place;
    else
        aside->queues[aside->ready_last].next_ready = place;
    aside->ready_last = place;
}

static struct queue *
next_ready(struct weir_aside *aside)
{
    struct queue *queue = &aside->queues[aside->ready_first];
    aside->ready_first = queue->next_ready;
    if (aside->ready_first == 0)
        aside->ready_last = 0;
    queue->ready = false;
    return queue;
}

/* ---- datagrams ---- */

bool
weir_aside_put(struct weir_aside *aside, uint64_t sender, uint16_t channel,
    const struct weir_packet *packet, uint32_t at)
{
    uint32_t size = packet->size - at, units = units_for(size);
    bool counted =
        weir_peer_exists(&packet->peer) && !weir_prefixes_hold(aside->trusted, &packet->peer);
    struct weir_owner source = weir_owner_source(&packet->peer);
    struct weir_owner id = weir_owner_sender(sender);
    if (size > DATAGRAM_MAX || units > UNITS - aside->units ||
        !weir_shares_allow(aside->sources, counted ? &source : NULL, units) ||
        !weir_shares_allow(aside->channels, &id, units))
        return false;
    struct queue *queue = find(aside, sender, channel);
    if (queue == NULL)
        queue = queue_new(aside, sender, channel);
    uint32_t place = place_claim(&aside->free_datagrams,
        aside->datagrams[aside->free_datagrams.free].next);
    struct datagram *datagram = &aside->datagrams[place];
    *datagram = (struct datagram){.unit = bytes_put(aside, packet->data + at, size),
        .units = units,
        .source_share = weir_shares_add(aside->sources, counted ? &source : NULL, units),
        .sender_share = weir_shares_add(aside->channels, &id, units),
        .packet = *packet};
    datagram->packet.size = size;
    if (queue->first == 0)
        queue->first = place;
    else
        aside->datagrams[queue->last].next = place;
    queue->last = place;
    aside->units += units;
    aside->count++;
    return true;
}

/* The first datagram of a queue has been consumed. */
static void
datagram_free(struct weir_aside *aside, struct queue *queue)
{
    uint32_t place = queue->first;
    struct datagram *datagram = &aside->datagrams[place];
    queue->first = datagram->next;
    bytes_free(aside, datagram->unit);
    weir_shares_remove(aside->sources, datagram->source_share, datagram->units);
    weir_shares_remove(aside->channels, datagram->sender_share, datagram->units);
    aside->units -= datagram->units;
    aside->count--;
    datagram->next = aside->free_datagrams.free;
    aside->free_datagrams.free = place;
}

uint32_t
weir_aside_count(const struct weir_aside *aside)
{
    return aside->count;
}

bool
weir_aside_has(const struct weir_aside *aside, uint64_t sender, uint16_t channel)
{
    return aside->count > 0 && find(aside, sender, channel) != NULL;
}

void
weir_aside_wake(struct weir_aside *aside, uint64_t sender, uint16_t channel)
{
    struct queue *queue = aside->count > 0 ? find(aside, sender, channel) : NULL;
    if (queue == NULL)
        return;
    if (queue->handed)
        queue->woken = true;
    else if (!queue->ready)
        make_ready(aside, queue);
}

bool
weir_aside_ready(const struct weir_aside *aside)
{
    return aside->ready_first != 0;
}

/* ---- the port ---- */

static size_t
aside_receive(struct weir_port *port, struct weir_packet *packets, size_t max)
{
    struct weir_aside *aside = (struct weir_aside *)port;
    size_t count = 0;
    uint32_t used = 0;
    while (count < max && aside->ready_first != 0) {
        const struct datagram *datagram =
            &aside->datagrams[aside->queues[aside->ready_first].first];
        uint32_t bytes = datagram->packet.size + WEIR_PACKET_SLACK;
        if (bytes > AREA_BYTES - used)
            break;
        struct queue *queue = next_ready(aside);
        queue->handed = true;
        queue->woken = false;
        bytes_get(aside, datagram, aside->area + used);
        packets[count] = datagram->packet;
        packets[count].data = aside->area + used + datagram->at;
        packets[count].size = datagram->packet.size - datagram->at;
        packets[count++].owner = queue;
        used += bytes;
    }
    return count;
}

static void
aside_release(struct weir_port *port, struct weir_packet *packets, size_t count)
{
    struct weir_aside *aside = (struct weir_aside *)port;
    for (size_t i = 0; i < count; i++) {
        struct queue *queue = packets[i].owner;
        WEIR_ASSERT(queue->handed);
        queue->handed = false;
        if (packets[i].waits)
            aside->datagrams[queue->first].at += packets[i].consumed;
        else
            datagram_free(aside, queue);
        if (queue->first == 0)
            queue_free(aside, queue);
        else if (!packets[i].waits || queue->woken)
            make_ready(aside, queue);
    }
}

/* The place is the worker's, who asks it at the beginning of each round. */
static int
aside_wait_fd(struct weir_port *port)
{
    (void)port;
    return -1;
}

static void
aside_close(struct weir_port *port)
{
    (void)port;
}

static const struct weir_port_ops aside_ops = {.kind = "aside",
    .receive = aside_receive,
    .release = aside_release,
    .wait_fd = aside_wait_fd,
    .close = aside_close};

struct weir_port *
weir_aside_port(struct weir_aside *aside)
{
    return &aside->port;
}

struct weir_aside *
weir_aside_init(void *memory, const struct weir_hash_key *key,
    const struct weir_prefixes *trusted)
{
    struct weir_aside *aside = memory;
    uint8_t *shares = (uint8_t *)memory + align(sizeof *aside);
    aside->port.ops = &aside_ops;
    aside->key = key;
    aside->trusted = trusted;
    aside->sources = weir_shares_init(shares, UNITS, UNITS, key);
    aside->channels =
        weir_shares_init(shares + weir_shares_footprint(UNITS), UNITS, UNITS, key);
    return aside;
}
