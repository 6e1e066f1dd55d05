/* Keeps refused records: model/rejected.h. */
#include "dataplane/worker/parts.h"

#include <inttypes.h>
#include <stdio.h>

_Static_assert(WEIR_REJECTED_PRODUCERS == WEIR_PRODUCERS_MAX, "each has its part");

/* A weir packet is no text: who sent it says more. Its first record follows the header. */
static bool
wire_detail(const struct weir_worker *worker, const struct weir_packet *packet,
    char detail[WEIR_REJECTED_DETAIL_MAX])
{
    struct weir_wire_header header;
    const struct weir_record *first = &worker->options.parsed->records[0];
    if (first->text < packet->data + sizeof header)
        return false;
    memcpy(&header, first->text - sizeof header, sizeof header);
    snprintf(detail, WEIR_REJECTED_DETAIL_MAX,
        "sender %" PRIu64 " channel %u sequence %" PRIu64, header.sender, header.channel,
        header.sequence);
    return true;
}

void
weir_worker_rejected(struct weir_worker *worker, const struct weir_packet *packet,
    const struct weir_record *record, uint8_t reason, const char *detail)
{
    char from[WEIR_REJECTED_DETAIL_MAX];
    if (!weir_rejecter_token(&worker->rejecter, reason, worker->now_ns))
        return;
    struct weir_refusal refusal = {.reason = reason,
        .listener = packet->listener,
        .peer = &packet->peer,
        .position = packet->position + (uint64_t)(record->text - packet->data),
        .text = record->text,
        .size = record->size,
        .detail = detail};
    if (weir_worker_is_wire(worker, packet) && reason != WEIR_REASON_bad_packet &&
        wire_detail(worker, packet, from)) {
        refusal.text = NULL;
        refusal.detail = from;
    }
    weir_rejecter_keep(&worker->rejecter, &refusal, worker->now_ns);
}
