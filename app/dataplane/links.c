/* Links: two rings each, and the items that go round in them. */
#include "app/dataplane/parts.h"

static enum weir_err
ring_open(struct weir_dataplane *dataplane, size_t capacity, struct weir_ring **out)
{
    size_t power = 1;
    while (power < capacity)
        power *= 2;
    WEIR_ASSERT(power <= WEIR_EDGE_CAPACITY_MAX);
    void *memory;
    enum weir_err err = weir_dataplane_memory(dataplane, weir_ring_footprint(power), &memory);
    if (err == WEIR_OK)
        *out = weir_ring_init(memory, power);
    return err;
}

/* A batch's memory beside its struct: definitions in the registrar's, state entries in those of the
 * worker of weir packets, nothing in others. */
static enum weir_err
batch_open(struct weir_dataplane *dataplane, const struct weir_topology_link *link, void *memory)
{
    const struct weir_topology_stage *from = &dataplane->topology.stages[link->from];
    struct weir_batch *batch = memory;
    size_t beside_bytes = link->bytes - sizeof *batch;
    void *beside = NULL;
    enum weir_err err = WEIR_OK;
    weir_batch_reset(batch);
    if (beside_bytes > 0)
        err = weir_dataplane_memory(dataplane, beside_bytes, &beside);
    bool registrar = from->kind == WEIR_TOPOLOGY_REGISTRAR;
    batch->producer = registrar ? WEIR_PRODUCER_REGISTRAR : WEIR_PRODUCER_WORKER(from->index);
    batch->definitions = registrar ? beside : NULL;
    batch->sender_state = registrar ? NULL : beside;
    return err;
}

static enum weir_err
link_open(struct weir_dataplane *dataplane, struct weir_topology_link *link)
{
    bool batches = dataplane->topology.stages[link->to].kind == WEIR_TOPOLOGY_WRITER;
    enum weir_err err = ring_open(dataplane, link->count, &link->full);
    if (err == WEIR_OK)
        err = ring_open(dataplane, link->count, &link->empty);
    for (uint32_t i = 0; i < link->count && err == WEIR_OK; i++) {
        void *item;
        size_t bytes = batches ? sizeof(struct weir_batch) : link->bytes;
        err = weir_dataplane_memory(dataplane, bytes, &item);
        if (err == WEIR_OK && batches)
            err = batch_open(dataplane, link, item);
        if (err != WEIR_OK)
            break;
        bool pushed = weir_ring_push(link->empty, item);
        WEIR_ASSERT(pushed);
    }
    return err;
}

enum weir_err
weir_dataplane_links_open(struct weir_dataplane *dataplane)
{
    enum weir_err err = WEIR_OK;
    for (uint32_t i = 0; i < dataplane->topology.link_count && err == WEIR_OK; i++)
        err = link_open(dataplane, &dataplane->topology.links[i]);
    return err;
}

const struct weir_topology_link *
weir_dataplane_link(const struct weir_dataplane *dataplane, enum weir_topology_kind from,
    uint32_t index, enum weir_topology_kind to)
{
    const struct weir_topology *topology = &dataplane->topology;
    for (uint32_t i = 0; i < topology->link_count; i++) {
        const struct weir_topology_link *link = &topology->links[i];
        const struct weir_topology_stage *stage = &topology->stages[link->from];
        if (stage->kind == from && stage->index == index && topology->stages[link->to].kind == to)
            return link;
    }
    WEIR_ASSERT(!"the plan has every link that a stage asks for");
    return NULL;
}
