#include "tests/unit/dataplane/worker/port_chaos.h"

#include "base/assert.h"
#include "client/wire.h"

#include <stdlib.h>
#include <string.h>

struct channel {
    uint64_t sender;
    uint16_t channel;
    struct weir_chaos *chaos;
};

/* A packet that came through, until it is released. */
struct passed {
    struct passed *next;
    struct weir_packet packet;
    uint8_t data[];
};

struct chaos_port {
    struct weir_port port; /* first, so that the one is the other */
    struct weir_port *inner;
    struct weir_chaos_options options;
    struct channel channels[PORT_CHAOS_CHANNELS];
    size_t channel_count;
    const struct weir_packet *from; /* the packet being pushed */
    struct passed *first;
    struct passed **last;
    uint64_t handed;
};

static enum weir_err
pass_on(void *context, const uint8_t *data, size_t size)
{
    struct chaos_port *self = context;
    struct passed *passed = calloc(1, sizeof *passed + size + WEIR_PACKET_SLACK);
    WEIR_ASSERT(passed != NULL);
    passed->packet = *self->from;
    passed->packet.data = memcpy(passed->data, data, size);
    passed->packet.size = (uint32_t)size;
    *self->last = passed;
    self->last = &passed->next;
    return WEIR_OK;
}

static struct weir_chaos *
chaos_of(struct chaos_port *self, const uint8_t *data)
{
    struct weir_wire_header header;
    memcpy(&header, data, sizeof header);
    for (size_t i = 0; i < self->channel_count; i++)
        if (self->channels[i].sender == header.sender &&
            self->channels[i].channel == header.channel)
            return self->channels[i].chaos;
    WEIR_ASSERT(self->channel_count < PORT_CHAOS_CHANNELS);
    struct channel *channel = &self->channels[self->channel_count++];
    struct weir_chaos_options options = self->options;
    options.seed += self->channel_count;
    channel->sender = header.sender;
    channel->channel = header.channel;
    enum weir_err err = weir_chaos_new(&options, pass_on, self, &channel->chaos);
    WEIR_ASSERT(err == WEIR_OK);
    return channel->chaos;
}

static size_t
receive(struct weir_port *port, struct weir_packet *packets, size_t max)
{
    struct chaos_port *self = (struct chaos_port *)port;
    struct weir_packet inner[WEIR_BURST_MAX];
    size_t got = self->inner->ops->receive(self->inner, inner, WEIR_BURST_MAX);
    for (size_t i = 0; i < got; i++) {
        self->from = &inner[i];
        enum weir_err err =
            weir_chaos_push_wire(chaos_of(self, inner[i].data), inner[i].data, inner[i].size);
        WEIR_ASSERT(err == WEIR_OK);
        inner[i].consumed = inner[i].size;
    }
    if (got > 0)
        self->inner->ops->release(self->inner, inner, got);
    size_t count = 0;
    for (struct passed *at = self->first; at != NULL && count < max; at = at->next)
        packets[count++] = at->packet;
    self->handed += count;
    return count;
}

static void
release(struct weir_port *port, struct weir_packet *packets, size_t count)
{
    struct chaos_port *self = (struct chaos_port *)port;
    for (size_t i = 0; i < count; i++) {
        struct passed *passed = self->first;
        WEIR_ASSERT(passed != NULL && packets[i].data == passed->data);
        self->first = passed->next;
        if (self->first == NULL)
            self->last = &self->first;
        free(passed);
    }
}

static int
wait_fd(struct weir_port *port)
{
    (void)port;
    return -1;
}

static void
no_close(struct weir_port *port)
{
    (void)port;
}

static const struct weir_port_ops ops = {.kind = "chaos",
    .receive = receive,
    .release = release,
    .wait_fd = wait_fd,
    .close = no_close};

struct weir_port *
port_chaos_new(struct weir_port *inner, const struct weir_chaos_options *options)
{
    struct chaos_port *self = calloc(1, sizeof *self);
    WEIR_ASSERT(self != NULL);
    self->port = *inner;
    self->port.ops = &ops;
    self->inner = inner;
    self->options = *options;
    self->last = &self->first;
    return &self->port;
}

void
port_chaos_free(struct weir_port *port)
{
    struct chaos_port *self = (struct chaos_port *)port;
    for (size_t i = 0; i < self->channel_count; i++)
        weir_chaos_free(self->channels[i].chaos);
    while (self->first != NULL) {
        struct passed *passed = self->first;
        self->first = passed->next;
        free(passed);
    }
    free(self);
}

struct weir_chaos_truth
port_chaos_truth(const struct weir_port *port)
{
    const struct chaos_port *self = (const struct chaos_port *)port;
    struct weir_chaos_truth sum = {0};
    for (size_t i = 0; i < self->channel_count; i++) {
        const struct weir_chaos_truth *truth = weir_chaos_truth(self->channels[i].chaos);
        sum.packets += truth->packets;
        sum.units += truth->units;
        sum.lost += truth->lost;
        sum.units_lost += truth->units_lost;
        sum.duplicated += truth->duplicated;
        sum.units_duplicated += truth->units_duplicated;
        sum.reordered += truth->reordered;
    }
    return sum;
}

uint64_t
port_chaos_handed(const struct weir_port *port)
{
    return ((const struct chaos_port *)port)->handed;
}
