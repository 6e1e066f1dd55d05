#include "dataplane/port/tcp/connections.h"

#include "base/assert.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define PAGE 4096u
#define REGION_STRIDE ((WEIR_STRETCH_MAX + PAGE - 1) & ~(PAGE - 1))
/* Pages past this go back to the kernel once the bytes in them are not needed. */
#define TOUCHED_KEEP (16u << 10)

struct weir_connections {
    uint32_t max;
    uint32_t slot_bits;
    uint32_t free_first; /* cursor into free_slots, oldest */
    uint32_t free_count;
    uint32_t *free_slots; /* circular, max entries */
    uint8_t *region;
    struct { /* that never sent a record, and those that did; doubly linked */
        struct weir_connection *oldest;
        struct weir_connection *newest;
    } age[2];
    struct weir_connection slots[];
};

static uint32_t
bits_for(uint32_t max)
{
    uint32_t bits = 0;
    while ((UINT32_C(1) << bits) < max)
        bits++;
    return bits;
}

enum weir_err
weir_connections_new(uint32_t connections_max, struct weir_connections **out)
{
    if (connections_max == 0 || connections_max > WEIR_CONNECTIONS_LIMIT)
        return weir_fail(WEIR_INVALID, 0, "TCP connections must be 1 to %u, not %u",
            WEIR_CONNECTIONS_LIMIT, connections_max);
    struct weir_connections *table =
        calloc(1, sizeof *table + connections_max * sizeof table->slots[0]);
    uint32_t *free_slots = calloc(connections_max, sizeof *free_slots);
    void *region = mmap(NULL, (size_t)connections_max * REGION_STRIDE, PROT_READ | PROT_WRITE,
        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (table == NULL || free_slots == NULL || region == MAP_FAILED) {
        int errnum = errno;
        free(table);
        free(free_slots);
        if (region != MAP_FAILED)
            munmap(region, (size_t)connections_max * REGION_STRIDE);
        return weir_fail(WEIR_NOMEM, errnum, "table of %u connections", connections_max);
    }
    table->max = connections_max;
    table->slot_bits = bits_for(connections_max);
    table->free_slots = free_slots;
    table->free_count = connections_max;
    table->region = region;
    for (uint32_t slot = 0; slot < connections_max; slot++) {
        free_slots[slot] = slot;
        table->slots[slot].fd = -1;
        table->slots[slot].slot = slot;
        table->slots[slot].name = slot;
    }
    *out = table;
    return WEIR_OK;
}

void
weir_connections_free(struct weir_connections *table)
{
    if (table == NULL)
        return;
    for (uint32_t slot = 0; slot < table->max; slot++) {
        if (table->slots[slot].fd >= 0)
            close(table->slots[slot].fd);
    }
    munmap(table->region, (size_t)table->max * REGION_STRIDE);
    free(table->free_slots);
    free(table);
}

/* The same slot under its next generation; generation 0 is never used, so no name is 0. */
static uint32_t
next_name(const struct weir_connections *table, uint32_t name)
{
    uint32_t generations = UINT32_C(1) << (WEIR_SOURCE_BITS - table->slot_bits);
    uint32_t slot = name & ((UINT32_C(1) << table->slot_bits) - 1);
    uint32_t generation = (name >> table->slot_bits) + 1;
    if (generation == generations)
        generation = 1;
    return generation << table->slot_bits | slot;
}

static void
age_enter(struct weir_connections *table, struct weir_connection *connection)
{
    bool spoke = connection->spoke;
    connection->older = table->age[spoke].newest;
    connection->newer = NULL;
    if (connection->older != NULL)
        connection->older->newer = connection;
    else
        table->age[spoke].oldest = connection;
    table->age[spoke].newest = connection;
}

static void
age_leave(struct weir_connections *table, struct weir_connection *connection)
{
    bool spoke = connection->spoke;
    if (connection->older != NULL)
        connection->older->newer = connection->newer;
    else
        table->age[spoke].oldest = connection->newer;
    if (connection->newer != NULL)
        connection->newer->older = connection->older;
    else
        table->age[spoke].newest = connection->older;
}

uint32_t
weir_connections_room(const struct weir_connections *table)
{
    return table->free_count;
}

void
weir_connection_active(struct weir_connections *table, struct weir_connection *connection,
    int64_t now_ms)
{
    age_leave(table, connection);
    connection->active_ms = now_ms;
    age_enter(table, connection);
}

void
weir_connection_spoke(struct weir_connections *table, struct weir_connection *connection)
{
    age_leave(table, connection);
    connection->spoke = true;
    age_enter(table, connection);
}

struct weir_connection *
weir_connections_oldest(struct weir_connections *table, bool spoke)
{
    return table->age[spoke].oldest;
}

struct weir_connection *
weir_connection_add(struct weir_connections *table, int fd, int64_t now_ms)
{
    if (table->free_count == 0)
        return NULL;
    uint32_t slot = table->free_slots[table->free_first];
    table->free_first = (table->free_first + 1) % table->max;
    table->free_count--;
    struct weir_connection *connection = &table->slots[slot];
    WEIR_ASSERT(connection->fd < 0);
    *connection = (struct weir_connection){.fd = fd,
        .name = next_name(table, connection->name),
        .slot = slot,
        .touched = connection->touched,
        .active_ms = now_ms};
    age_enter(table, connection);
    return connection;
}

void
weir_connection_drop(struct weir_connections *table, struct weir_connection *connection)
{
    WEIR_ASSERT(connection->fd >= 0 && !connection->handed);
    weir_connection_list_remove(connection);
    age_leave(table, connection);
    weir_connection_forget(table, connection);
    close(connection->fd);
    connection->fd = -1;
    uint32_t last = (table->free_first + table->free_count) % table->max;
    table->free_slots[last] = connection->slot;
    table->free_count++;
}

struct weir_connection *
weir_connection_at(struct weir_connections *table, uint32_t slot)
{
    WEIR_ASSERT(slot < table->max);
    return &table->slots[slot];
}

struct weir_connection *
weir_connection_find(struct weir_connections *table, uint32_t source)
{
    uint32_t name = source & ((UINT32_C(1) << WEIR_SOURCE_BITS) - 1);
    uint32_t slot = name & ((UINT32_C(1) << table->slot_bits) - 1);
    if (slot >= table->max)
        return NULL;
    struct weir_connection *connection = &table->slots[slot];
    return connection->fd >= 0 && connection->name == name ? connection : NULL;
}

uint8_t *
weir_connection_bytes(struct weir_connections *table, const struct weir_connection *connection)
{
    return table->region + (size_t)connection->slot * REGION_STRIDE;
}

void
weir_connection_keep(struct weir_connections *table, struct weir_connection *connection,
    const uint8_t *data, uint32_t size)
{
    WEIR_ASSERT(size <= WEIR_STRETCH_MAX - connection->kept);
    memcpy(weir_connection_bytes(table, connection) + connection->kept, data, size);
    connection->kept += size;
    if (connection->kept > connection->touched)
        connection->touched = connection->kept;
}

void
weir_connection_forget(struct weir_connections *table, struct weir_connection *connection)
{
    connection->kept = 0;
    if (connection->touched <= TOUCHED_KEEP)
        return;
    uint8_t *bytes = weir_connection_bytes(table, connection);
    /* Fails only where the pages are locked; then they stay, which costs memory and no more. */
    (void)madvise(bytes + TOUCHED_KEEP, REGION_STRIDE - TOUCHED_KEEP, MADV_DONTNEED);
    connection->touched = TOUCHED_KEEP;
}

void
weir_connection_list_add(struct weir_connection_list *list, struct weir_connection *connection)
{
    WEIR_ASSERT(connection->list == NULL);
    connection->list = list;
    connection->previous = list->last;
    connection->next = NULL;
    if (list->last != NULL)
        list->last->next = connection;
    else
        list->first = connection;
    list->last = connection;
}

void
weir_connection_list_remove(struct weir_connection *connection)
{
    struct weir_connection_list *list = connection->list;
    if (list == NULL)
        return;
    if (connection->previous != NULL)
        connection->previous->next = connection->next;
    else
        list->first = connection->next;
    if (connection->next != NULL)
        connection->next->previous = connection->previous;
    else
        list->last = connection->previous;
    connection->list = NULL;
    connection->previous = NULL;
    connection->next = NULL;
}
