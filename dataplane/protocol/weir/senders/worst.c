/* The channels that lost the most: found when their state entries are written, once a batch and
 * channel, so that packets pay nothing for it. A channel outside the list has lost no more than the
 * least of it had, the last time it changed; and the least only grows. */
#include "dataplane/protocol/weir/senders/internal.h"

static struct weir_loss
loss_of(const struct weir_channel *channel)
{
    return (struct weir_loss){channel->gaps, channel->duplicates, channel->reorderings};
}

static bool
is_more(struct weir_loss a, struct weir_loss b)
{
    if (a.gaps != b.gaps)
        return a.gaps > b.gaps;
    if (a.duplicates != b.duplicates)
        return a.duplicates > b.duplicates;
    return a.reorderings > b.reorderings;
}

void
weir_worst_note(struct weir_senders *senders, struct weir_channel *channel)
{
    struct weir_loss loss = loss_of(channel);
    if (channel->listed || !is_more(loss, senders->worst_least))
        return;
    uint32_t least = 0;
    if (senders->worst_count < WEIR_SENDERS_ROWS) {
        least = senders->worst_count++;
    } else {
        for (uint32_t i = 1; i < WEIR_SENDERS_ROWS; i++)
            if (is_more(loss_of(&senders->channels[senders->worst[least]]),
                    loss_of(&senders->channels[senders->worst[i]])))
                least = i;
        struct weir_channel *leaves = &senders->channels[senders->worst[least]];
        senders->worst_least = loss_of(leaves);
        if (!is_more(loss, senders->worst_least))
            return;
        leaves->listed = false;
    }
    channel->listed = true;
    senders->worst[least] = (uint32_t)(channel - senders->channels);
}

void
weir_worst_drop(struct weir_senders *senders, struct weir_channel *channel)
{
    uint32_t slot = (uint32_t)(channel - senders->channels);
    for (uint32_t i = 0; channel->listed && i < senders->worst_count; i++)
        if (senders->worst[i] == slot) {
            senders->worst[i] = senders->worst[--senders->worst_count];
            senders->worst_least = (struct weir_loss){0};
            channel->listed = false;
        }
}

void
weir_senders_watch(struct weir_senders *senders, struct weir_senders_view *view)
{
    senders->view = view;
}

void
weir_senders_now(struct weir_senders *senders, int64_t mono_ns)
{
    senders->now_s = (uint32_t)(mono_ns / 1000000000) + 1;
    if (senders->started_s == 0)
        senders->started_s = senders->now_s;
}

int64_t
weir_senders_seen_ms(const struct weir_senders *senders, const struct weir_channel *channel)
{
    return senders->wall_of_zero_ms + ((int64_t)channel->last_seen_s - 1) * 1000;
}

struct weir_senders_row
weir_senders_row_of(const struct weir_senders *senders, const struct weir_channel *channel)
{
    return (struct weir_senders_row){.sender = channel->sender,
        .channel = channel->channel,
        .epoch = channel->epoch,
        .highest = channel->highest,
        .gaps = channel->gaps,
        .duplicates = channel->duplicates,
        .reorderings = channel->reorderings,
        .jumps = senders->sides[channel - senders->channels].jumps,
        .last_seen_ms = weir_senders_seen_ms(senders, channel)};
}

void
weir_senders_tick(struct weir_senders *senders, int64_t mono_ns, int64_t wall_ms)
{
    senders->wall_of_zero_ms = wall_ms - (mono_ns + 999999) / 1000000; /* no later */
    weir_senders_now(senders, mono_ns);
    senders->looks = 0;
    if (senders->view == NULL)
        return;
    struct weir_senders_rows rows = {
        .channels = senders->channel_count, .count = senders->worst_count};
    for (uint32_t i = 0; i < senders->worst_count; i++)
        rows.rows[i] = weir_senders_row_of(senders, &senders->channels[senders->worst[i]]);
    weir_senders_view_publish(senders->view, &rows);
}
