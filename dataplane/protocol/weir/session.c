/* The session of the weir protocol: heads of packets, samples of groups, acknowledgements. */
#include "dataplane/protocol/weir/group_append.h"
#include "dataplane/protocol/weir/definition.h"
#include "dataplane/protocol/weir/parse.h"
#include "dataplane/protocol/weir/weir.h"

_Static_assert((int)WEIR_ACK_OK == (int)WEIR_WIRE_OK &&
        (int)WEIR_ACK_DISK_FULL == (int)WEIR_WIRE_DISK_FULL &&
        (int)WEIR_ACK_IO_ERROR == (int)WEIR_WIRE_IO_ERROR &&
        (int)WEIR_ACK_BAD_PACKET == (int)WEIR_WIRE_BAD_PACKET,
    "they are the same on the wire");
_Static_assert(sizeof(struct weir_wire_ack) <= WEIR_ACK_SIZE_MAX, "an acknowledgement has room");

static void
begin(const uint8_t *data, size_t size, struct weir_session_head *head)
{
    struct weir_wire_header header;
    *head = (struct weir_session_head){.samples_max = (uint32_t)(size / sizeof(double))};
    if (size < sizeof header)
        return;
    memcpy(&header, data, sizeof header);
    size_t bytes = weir_wire_packet_bytes(data, size);
    head->size = (uint32_t)bytes;
    head->samples_max = (uint32_t)((bytes < size ? bytes : size) / sizeof(double));
    head->sender = header.sender;
    head->channel = header.channel;
}

static void
accept_run(struct weir_batch *batch, const struct weir_wire_item *run)
{
    weir_group_append(batch, run->numbers, run->values, run->offsets, run->count, run->time_ms);
}

static size_t
acknowledge(const struct weir_session_ack *ack, uint8_t out[WEIR_ACK_SIZE_MAX])
{
    const struct weir_wire_ack wire = {.magic = WEIR_WIRE_ACK_MAGIC,
        .status = ack->status,
        .channel = ack->channel,
        .epoch = ack->epoch,
        .sequence = ack->sequence,
        .rejected = ack->rejected};
    memcpy(out, &wire, sizeof wire);
    return sizeof wire;
}

const struct weir_session weir_wire_session = {.head_size = sizeof(struct weir_wire_header),
    .begin = begin,
    .accept = accept_run,
    .complete = weir_definition_completed,
    .acknowledge = acknowledge};
