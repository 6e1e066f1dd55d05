/* Generator and port on two threads: every packet arrives once, whole and in order, however the
 * two run against each other. Made for -Db_sanitize=thread. Argument: packets (default 300,000). */
#include "bench/port/memory.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SLOTS 16 /* few, so that full and empty are met all the time */
#define PAYLOAD 200

struct run {
    struct weir_ring_source *source;
    uint64_t packets;
};

static uint64_t
next(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

static void *
generate(void *argument)
{
    struct run *run = argument;
    uint64_t random = 88172645463325252;
    for (uint64_t i = 0; i < run->packets;) {
        uint64_t burst = 1 + next(&random) % SLOTS;
        for (; burst > 0 && i < run->packets; burst--, i++) {
            uint8_t *slot = weir_ring_source_reserve(run->source);
            if (slot == NULL)
                break;
            uint32_t size = (uint32_t)(sizeof i + i % (PAYLOAD - sizeof i + 1));
            memset(slot, (int)(i & 0xff), size);
            memcpy(slot, &i, sizeof i);
            weir_ring_source_commit(run->source, size, WEIR_PROTO_INFLUX, WEIR_TIME_NS);
        }
        weir_ring_source_publish(run->source);
    }
    weir_ring_source_end(run->source);
    return NULL;
}

static bool
packet_right(const struct weir_packet *packet, uint64_t expected)
{
    uint64_t number;
    if (packet->size != sizeof number + expected % (PAYLOAD - sizeof number + 1))
        return false;
    memcpy(&number, packet->data, sizeof number);
    for (uint32_t i = sizeof number; i < packet->size; i++) {
        if (packet->data[i] != (expected & 0xff))
            return false;
    }
    return number == expected;
}

/* Returns packets received in order; stops at the first that is not right. */
static uint64_t
consume(struct weir_port *port)
{
    uint64_t random = 362436069, received = 0;
    struct weir_packet packets[WEIR_BURST_MAX];
    while (!weir_port_memory_drained(port)) {
        size_t got = port->ops->receive(port, packets, 1 + next(&random) % WEIR_BURST_MAX);
        for (size_t i = 0; i < got; i++) {
            if (!packet_right(&packets[i], received))
                return received;
            received++;
        }
        if (got > 0)
            port->ops->release(port, packets, got);
    }
    return received;
}

int
main(int argc, char **argv)
{
    static struct weir_counts counts;
    struct run run = {.packets = argc > 1 ? strtoull(argv[1], NULL, 10) : 300000};
    struct weir_port *port;
    pthread_t generator;
    int fd;
    printf("1..1\n");
    if (weir_ring_source_new(PAYLOAD, SLOTS, &fd) != WEIR_OK ||
        weir_ring_source_attach(fd, &run.source) != WEIR_OK ||
        weir_port_memory_open(fd, &counts, &port) != WEIR_OK ||
        pthread_create(&generator, NULL, generate, &run) != 0) {
        printf("not ok 1 - set-up: %s\n", weir_err_detail());
        return 1;
    }
    uint64_t received = consume(port);
    bool whole = received == run.packets;
    printf("%s 1 - ring source hands on %llu of %llu packets once and in order\n",
        whole ? "ok" : "not ok", (unsigned long long)received, (unsigned long long)run.packets);
    if (!whole) /* the generator may wait for room for ever */
        return 1;
    pthread_join(generator, NULL);
    port->ops->close(port);
    weir_ring_source_detach(run.source);
    close(fd);
    return 0;
}
