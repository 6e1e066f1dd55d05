#include "bench/port/memory.h"

#include "base/clock.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define MAGIC UINT64_C(0x3152535249455753)
#define SLOT_COUNT_MAX (1u << 20)
#define HEADER_BYTES 4096

struct header {
    uint64_t magic;
    uint32_t slot_stride; /* bytes from slot to slot, whole cache lines */
    uint32_t slot_count;
    uint32_t payload_max;
    alignas(WEIR_CACHE_LINE) _Atomic uint64_t tail; /* written by the generator */
    _Atomic uint32_t ended;                         /* by the generator, after its last tail */
    alignas(WEIR_CACHE_LINE) _Atomic uint64_t head; /* written by the port */
};
_Static_assert(sizeof(struct header) <= HEADER_BYTES, "the header has a page");
_Static_assert(offsetof(struct header, tail) == 64 && offsetof(struct header, head) == 128,
    "each side's cursor has a cache line");

struct slot {
    uint32_t size;
    uint8_t proto;
    uint8_t time_unit;
    uint16_t reserved;
    uint8_t data[];
};
_Static_assert(offsetof(struct slot, data) == 8, "data follows 8 bytes of slot header");

struct mapping {
    struct header *header;
    uint8_t *slots;
    size_t bytes;
    uint64_t mask;
    uint32_t slot_stride; /* read once at mapping: the other side can write the header */
    uint32_t payload_max;
};

struct weir_ring_source {
    struct mapping map;
    uint64_t tail;      /* committed */
    uint64_t head_seen; /* copy of the port's cursor */
};

struct port_memory {
    struct weir_port port;
    struct mapping map;
    uint64_t head;      /* released */
    uint64_t handed_on;     /* handed on or refused */
    uint64_t tail_seen; /* copy of the generator's cursor */
};

static uint32_t
stride_of(uint32_t payload_max)
{
    size_t bytes = sizeof(struct slot) + payload_max + WEIR_PACKET_SLACK;
    return (uint32_t)((bytes + WEIR_CACHE_LINE - 1) & ~(size_t)(WEIR_CACHE_LINE - 1));
}

static bool
geometry_valid(uint32_t payload_max, uint32_t slot_count)
{
    return payload_max > 0 && payload_max <= WEIR_RING_SOURCE_PAYLOAD_MAX && slot_count > 0 &&
           slot_count <= SLOT_COUNT_MAX && (slot_count & (slot_count - 1)) == 0;
}

enum weir_err
weir_ring_source_new(uint32_t payload_max, uint32_t slot_count, int *fd)
{
    if (!geometry_valid(payload_max, slot_count))
        return weir_fail(WEIR_INVALID, 0, "ring source of %u slots of %u bytes", slot_count,
            payload_max);
    int memory = memfd_create("weir-ring-source", MFD_CLOEXEC);
    if (memory < 0)
        return weir_fail(WEIR_IO, errno, "memfd of the ring source");
    struct header header = {.magic = MAGIC,
        .slot_stride = stride_of(payload_max),
        .slot_count = slot_count,
        .payload_max = payload_max};
    off_t bytes = HEADER_BYTES + (off_t)header.slot_stride * slot_count;
    if (ftruncate(memory, bytes) != 0 ||
        pwrite(memory, &header, sizeof header, 0) != (ssize_t)sizeof header) {
        enum weir_err err = weir_fail(WEIR_NOMEM, errno, "ring source of %lld bytes",
            (long long)bytes);
        close(memory);
        return err;
    }
    *fd = memory;
    return WEIR_OK;
}

static enum weir_err
map(int fd, struct mapping *out)
{
    struct stat status;
    if (fstat(fd, &status) != 0)
        return weir_fail(WEIR_INVALID, errno, "ring source descriptor %d", fd);
    if (status.st_size < HEADER_BYTES)
        return weir_fail(WEIR_INVALID, 0, "descriptor %d is not a ring source", fd);
    size_t bytes = (size_t)status.st_size;
    void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (memory == MAP_FAILED)
        return weir_fail(WEIR_NOMEM, errno, "mapping the ring source");
    struct header *header = memory;
    uint32_t payload_max = header->payload_max;
    uint32_t slot_count = header->slot_count;
    if (header->magic != MAGIC || !geometry_valid(payload_max, slot_count) ||
        header->slot_stride != stride_of(payload_max) ||
        bytes != HEADER_BYTES + (size_t)stride_of(payload_max) * slot_count) {
        munmap(memory, bytes);
        return weir_fail(WEIR_INVALID, 0, "descriptor %d is not a ring source", fd);
    }
    /* Fewer TLB misses where the kernel gives huge pages to shared memory; else no matter. */
    (void)madvise(memory, bytes, MADV_HUGEPAGE);
    *out = (struct mapping){.header = header,
        .slots = (uint8_t *)memory + HEADER_BYTES,
        .bytes = bytes,
        .mask = slot_count - 1,
        .slot_stride = stride_of(payload_max),
        .payload_max = payload_max};
    return WEIR_OK;
}

static struct slot *
slot_at(const struct mapping *map, uint64_t cursor)
{
    return (struct slot *)(void *)(map->slots + (cursor & map->mask) * map->slot_stride);
}

enum weir_err
weir_ring_source_attach(int fd, struct weir_ring_source **out)
{
    struct weir_ring_source *source = calloc(1, sizeof *source);
    if (source == NULL)
        return weir_fail(WEIR_NOMEM, 0, "ring source");
    enum weir_err err = map(fd, &source->map);
    if (err != WEIR_OK) {
        free(source);
        return err;
    }
    /* relaxed: the generator's own cursor, from an earlier attach */
    source->tail = atomic_load_explicit(&source->map.header->tail, memory_order_relaxed);
    source->head_seen = source->tail - (source->map.mask + 1); /* full until it has looked */
    *out = source;
    return WEIR_OK;
}

void
weir_ring_source_detach(struct weir_ring_source *source)
{
    if (source == NULL)
        return;
    munmap(source->map.header, source->map.bytes);
    free(source);
}

uint32_t
weir_ring_source_payload_max(const struct weir_ring_source *source)
{
    return source->map.payload_max;
}

uint8_t *
weir_ring_source_reserve(struct weir_ring_source *source)
{
    if (source->tail - source->head_seen > source->map.mask) {
        /* acquire pairs with the release of head in memory_release */
        source->head_seen =
            atomic_load_explicit(&source->map.header->head, memory_order_acquire);
        if (source->tail - source->head_seen > source->map.mask)
            return NULL;
    }
    return slot_at(&source->map, source->tail)->data;
}

void
weir_ring_source_commit(struct weir_ring_source *source, uint32_t size, enum weir_proto proto,
    enum weir_time_unit unit)
{
    WEIR_ASSERT(size <= source->map.payload_max);
    struct slot *slot = slot_at(&source->map, source->tail);
    slot->size = size;
    slot->proto = (uint8_t)proto;
    slot->time_unit = (uint8_t)unit;
    source->tail++;
}

void
weir_ring_source_publish(struct weir_ring_source *source)
{
    /* release pairs with the acquire of tail in memory_receive */
    atomic_store_explicit(&source->map.header->tail, source->tail, memory_order_release);
}

void
weir_ring_source_end(struct weir_ring_source *source)
{
    weir_ring_source_publish(source);
    /* release pairs with the acquire of ended in weir_port_memory_drained */
    atomic_store_explicit(&source->map.header->ended, 1, memory_order_release);
}

uint64_t
weir_ring_source_released(const struct weir_ring_source *source)
{
    /* acquire pairs with the release of head in memory_release */
    return atomic_load_explicit(&source->map.header->head, memory_order_acquire);
}

static struct port_memory *
of(struct weir_port *port)
{
    return (struct port_memory *)port;
}

/* The generator may be another process: a slot's fields are read once, then judged. */
static bool
packet_of(const struct port_memory *memory, struct slot *slot, struct weir_packet *packet)
{
    uint32_t size = *(volatile uint32_t *)&slot->size;
    uint8_t proto = *(volatile uint8_t *)&slot->proto;
    uint8_t time_unit = *(volatile uint8_t *)&slot->time_unit;
    if (size > memory->map.payload_max || proto >= WEIR_PROTO_COUNT || time_unit > WEIR_TIME_NS) {
        struct weir_ledger_unit *packets = &memory->port.counts->unit[WEIR_UNIT_PACKETS];
        packets->received++;
        packets->rejected[WEIR_REASON_truncated]++;
        return false;
    }
    *packet = (struct weir_packet){.data = slot->data,
        .size = size,
        .proto = proto,
        .time_unit = time_unit,
        .final = true};
    return true;
}

static void
give_back(struct port_memory *memory)
{
    memory->head = memory->handed_on;
    /* release pairs with the acquire of head in weir_ring_source_reserve */
    atomic_store_explicit(&memory->map.header->head, memory->head, memory_order_release);
}

static size_t
memory_receive(struct weir_port *port, struct weir_packet *packets, size_t max)
{
    struct port_memory *memory = of(port);
    if (memory->handed_on == memory->tail_seen) {
        /* acquire pairs with the release of tail in weir_ring_source_publish */
        memory->tail_seen =
            atomic_load_explicit(&memory->map.header->tail, memory_order_acquire);
        if (memory->handed_on == memory->tail_seen)
            return 0;
    }
    int64_t now_ms = weir_wall_ms();
    uint64_t now_tsc = weir_tsc();
    size_t count = 0;
    while (count < max && memory->handed_on != memory->tail_seen) {
        struct slot *slot = slot_at(&memory->map, memory->handed_on++);
        if (!packet_of(memory, slot, &packets[count]))
            continue;
        packets[count].receive_ms = now_ms;
        packets[count].receive_tsc = now_tsc;
        count++;
    }
    if (count == 0) /* all refused: no release will follow */
        give_back(memory);
    return count;
}

static void
memory_release(struct weir_port *port, struct weir_packet *packets, size_t count)
{
    (void)packets;
    (void)count;
    give_back(of(port));
}

static int
memory_wait_fd(struct weir_port *port)
{
    (void)port;
    return -1;
}

bool
weir_port_memory_drained(const struct weir_port *port)
{
    const struct port_memory *memory = (const struct port_memory *)port;
    const struct header *header = memory->map.header;
    /* acquire pairs with the release of ended in weir_ring_source_end: tail is the last one */
    return atomic_load_explicit(&header->ended, memory_order_acquire) != 0 &&
           atomic_load_explicit(&header->tail, memory_order_relaxed) == memory->head;
}

static void
memory_close(struct weir_port *port)
{
    struct port_memory *memory = of(port);
    munmap(memory->map.header, memory->map.bytes);
    free(memory);
}

static const struct weir_port_ops memory_ops = {
    .kind = "memory",
    .receive = memory_receive,
    .release = memory_release,
    .wait_fd = memory_wait_fd,
    .close = memory_close,
};

enum weir_err
weir_port_memory_open(int fd, struct weir_counts *counts, struct weir_port **out)
{
    struct port_memory *memory = calloc(1, sizeof *memory);
    if (memory == NULL)
        return weir_fail(WEIR_NOMEM, 0, "memory port");
    memory->port.ops = &memory_ops;
    memory->port.counts = counts;
    enum weir_err err = map(fd, &memory->map);
    if (err != WEIR_OK) {
        free(memory);
        return err;
    }
    /* relaxed: the port's own cursor, from a port that was open before */
    memory->head = atomic_load_explicit(&memory->map.header->head, memory_order_relaxed);
    memory->handed_on = memory->head;
    memory->tail_seen = memory->head;
    *out = &memory->port;
    return WEIR_OK;
}
