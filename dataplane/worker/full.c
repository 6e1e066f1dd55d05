/* Reports tables of the weir protocol that have no room. */
#include "dataplane/worker/parts.h"

#define NS_PER_MS 1000000

void
weir_worker_full_begin(struct weir_worker *worker)
{
    worker->templates_full =
        (struct weir_refusals){.event = "templates_full", .table = "templates"};
    worker->templates_over_share =
        (struct weir_refusals){.event = "over_share", .table = "templates"};
    worker->senders_full = (struct weir_refusals){.event = "senders_full", .table = "channels"};
    worker->senders_over_share =
        (struct weir_refusals){.event = "over_share", .table = "channels"};
}

/* A record of a packet whose channel found no place. */
static void
channel_refused(struct weir_worker *worker, const struct weir_wire_item *item, uint8_t reason)
{
    const struct weir_peer *peer = &worker->packets[worker->packet_at].peer;
    struct weir_refusals *refusals = &worker->senders_full;
    if (reason == WEIR_REASON_over_share)
        refusals = &worker->senders_over_share;
    else if (reason != WEIR_REASON_senders_full)
        return;
    weir_refusals_met(refusals, weir_peer_exists(peer) ? peer : NULL, item->sender,
        worker->now_ns);
    weir_degraded_set(worker->options.degraded, WEIR_DEGRADED_senders_full,
        worker->now_ns / NS_PER_MS);
}

/* A record of the packet at hand was refused: where it is of a channel that found no place, or a
 * definition for which there was no memory, that is reported. */
void
weir_worker_wire_refused(struct weir_worker *worker, const struct weir_wire_item *item,
    uint8_t reason)
{
    const struct weir_channel *channel = item->channel;
    const struct weir_peer *peer = &worker->packets[worker->packet_at].peer;
    struct weir_refusals *refusals = &worker->templates_full;
    if (channel == NULL) {
        channel_refused(worker, item, reason);
        return;
    }
    if (reason == WEIR_REASON_over_share)
        refusals = &worker->templates_over_share;
    else if (reason != WEIR_REASON_templates_full)
        return;
    bool counted = weir_peer_exists(peer) && !weir_prefixes_hold(&worker->options.trusted, peer);
    weir_refusals_met(refusals, counted ? peer : NULL, channel->sender, worker->now_ns);
    weir_degraded_set(worker->options.degraded, WEIR_DEGRADED_templates_full,
        worker->now_ns / NS_PER_MS);
}

void
weir_worker_full_look(struct weir_worker *worker)
{
    weir_refusals_look(&worker->templates_full, worker->now_ns);
    weir_refusals_look(&worker->templates_over_share, worker->now_ns);
    weir_refusals_look(&worker->senders_full, worker->now_ns);
    weir_refusals_look(&worker->senders_over_share, worker->now_ns);
}
