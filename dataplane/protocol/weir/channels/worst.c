/* The channels that lost the most: found when their state entries are written, once a batch and
 * channel. Packets pay nothing for it. A channel outside the list has lost no more than the
 * least of it had, the last time it changed; and the least only grows. */
#include "dataplane/protocol/weir/channels/internal.h"

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
weir_worst_note(struct weir_channels *channels, struct weir_channel *channel)
{
    struct weir_loss loss = loss_of(channel);
    if (channel->listed || !is_more(loss, channels->worst_least))
        return;
    uint32_t least = 0;
    if (channels->worst_count < WEIR_CHANNEL_VIEW_ROWS) {
        least = channels->worst_count++;
    } else {
        for (uint32_t i = 1; i < WEIR_CHANNEL_VIEW_ROWS; i++)
            if (is_more(loss_of(&channels->table[channels->worst[least]]),
                    loss_of(&channels->table[channels->worst[i]])))
                least = i;
        struct weir_channel *leaves = &channels->table[channels->worst[least]];
        channels->worst_least = loss_of(leaves);
        if (!is_more(loss, channels->worst_least))
            return;
        leaves->listed = false;
    }
    channel->listed = true;
    channels->worst[least] = (uint32_t)(channel - channels->table);
}

void
weir_worst_drop(struct weir_channels *channels, struct weir_channel *channel)
{
    uint32_t slot = (uint32_t)(channel - channels->table);
    for (uint32_t i = 0; channel->listed && i < channels->worst_count; i++)
        if (channels->worst[i] == slot) {
            channels->worst[i] = channels->worst[--channels->worst_count];
            channels->worst_least = (struct weir_loss){0};
            channel->listed = false;
        }
}

void
weir_channels_watch(struct weir_channels *channels, struct weir_channel_view *view)
{
    channels->view = view;
}

void
weir_channels_now(struct weir_channels *channels, int64_t mono_ns)
{
    channels->now_s = (uint32_t)(mono_ns / 1000000000) + 1;
    if (channels->started_s == 0)
        channels->started_s = channels->now_s;
}

int64_t
weir_channels_seen_ms(const struct weir_channels *channels, const struct weir_channel *channel)
{
    return channels->wall_of_zero_ms + ((int64_t)channel->last_seen_s - 1) * 1000;
}

struct weir_channel_row
weir_channel_row_of(const struct weir_channels *channels, const struct weir_channel *channel)
{
    return (struct weir_channel_row){.sender = channel->sender,
        .channel = channel->channel,
        .epoch = channel->epoch,
        .highest = channel->highest,
        .gaps = channel->gaps,
        .duplicates = channel->duplicates,
        .reorderings = channel->reorderings,
        .jumps = channels->sides[channel - channels->table].jumps,
        .last_seen_ms = weir_channels_seen_ms(channels, channel)};
}

void
weir_channels_tick(struct weir_channels *channels, int64_t mono_ns, int64_t wall_ms)
{
    channels->wall_of_zero_ms = wall_ms - (mono_ns + 999999) / 1000000; /* no later */
    weir_channels_now(channels, mono_ns);
    channels->looks = 0;
    if (channels->view == NULL)
        return;
    struct weir_channel_rows rows = {
        .channels = channels->channel_count, .count = channels->worst_count};
    for (uint32_t i = 0; i < channels->worst_count; i++)
        rows.rows[i] = weir_channel_row_of(channels, &channels->table[channels->worst[i]]);
    weir_channel_view_publish(channels->view, &rows);
}
