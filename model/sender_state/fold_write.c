/* Writes the folded list: forgotten channels, then of each channel its sequence and templates. */
#include "model/sender_state/fold.h"

#include "base/assert.h"
#include "model/sender_state/fold_internal.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

struct output {
    weir_state_emit_fn *emit;
    void *context;
    uint8_t *list; /* WEIR_BATCH_STATE_BYTES_MAX bytes */
    size_t used;
};

static enum weir_err
emit_list(struct output *output)
{
    enum weir_err err = WEIR_OK;
    if (output->used > 0)
        err = output->emit(output->context, output->list, output->used);
    output->used = 0;
    return err;
}

/* Room for an entry, which the caller fills; its head is written. */
static enum weir_err
put_head(struct output *output, const struct weir_state_entry *entry, uint8_t **body)
{
    _Static_assert(sizeof *entry + sizeof(struct weir_state_template) +
                WEIR_STATE_TEMPLATE_SERIES_MAX * sizeof(struct weir_state_range) <=
            WEIR_BATCH_STATE_BYTES_MAX,
        "a list holds the largest entry");
    enum weir_err err = WEIR_OK;
    if (WEIR_BATCH_STATE_BYTES_MAX - output->used < entry->bytes)
        err = emit_list(output);
    memcpy(output->list + output->used, entry, sizeof *entry);
    *body = output->list + output->used + sizeof *entry;
    output->used += entry->bytes;
    return err;
}

static struct weir_state_entry
head_of(const struct weir_fold_channel *channel, enum weir_state_type type)
{
    return (struct weir_state_entry){.type = (uint16_t)type,
        .channel = channel->channel,
        .bytes = sizeof(struct weir_state_entry),
        .sender = channel->sender,
        .epoch = channel->epoch,
        .sequence = channel->highest};
}

/* Writes every entry from the oldest remembered one on, because each must be forgotten in its turn.
 * An entry of epoch 0 replaces one that came back. */
static enum weir_err
write_forgotten(const struct weir_state_fold *fold, struct output *output)
{
    const struct weir_state_entry place_holder = {
        .type = WEIR_STATE_FORGOTTEN, .bytes = sizeof place_holder};
    uint64_t count = fold->forgotten_count;
    uint64_t place = count > WEIR_STATE_FORGOTTEN_MAX ? count - WEIR_STATE_FORGOTTEN_MAX : 0;
    enum weir_err err = WEIR_OK;
    bool begun = false;
    while (err == WEIR_OK && place++ < count) {
        const struct weir_fold_channel *channel = weir_state_fold_remembered(fold, place);
        begun |= channel != NULL;
        if (!begun)
            continue;
        const struct weir_state_entry entry =
            channel != NULL ? head_of(channel, WEIR_STATE_FORGOTTEN) : place_holder;
        uint8_t *body;
        err = put_head(output, &entry, &body);
    }
    return err;
}

static enum weir_err
write_sequence(const struct weir_fold_channel *channel, struct output *output)
{
    struct weir_state_entry entry = head_of(channel, WEIR_STATE_SEQUENCE);
    uint8_t *body;
    if (channel->window != NULL)
        entry.bytes = WEIR_STATE_ENTRY_BYTES_MAX;
    if (!channel->delivered)
        entry.template_hash = WEIR_STATE_UNDELIVERED;
    enum weir_err err = put_head(output, &entry, &body);
    if (channel->window != NULL)
        memcpy(body, channel->window, WEIR_STATE_WINDOW_BYTES);
    return err;
}

/* The entry of the ranges from `from` up to and without `to`, which are all known. */
static enum weir_err
write_ranges(const struct weir_fold_channel *channel, const struct weir_fold_template *template,
    uint16_t from, uint16_t to, struct output *output)
{
    const struct weir_number_ranges *numbers = &template->numbers;
    const uint16_t first = from < to ? numbers->ranges[from].first : 0;
    const uint16_t end = from < to ? weir_number_ranges_end(numbers, (uint16_t)(to - 1)) : 0;
    const struct weir_state_template head = {
        template->id, numbers->total, first, (uint16_t)(end - first)};
    struct weir_state_entry entry = head_of(channel, WEIR_STATE_TEMPLATE);
    entry.bytes += (uint32_t)(sizeof head + (to - from) * sizeof(struct weir_state_range));
    entry.template_hash = template->hash;
    entry.sequence = template->sequence;
    uint8_t *body;
    enum weir_err err = put_head(output, &entry, &body);
    memcpy(body, &head, sizeof head);
    body += sizeof head;
    for (uint16_t i = from; i < to; i++, body += sizeof(struct weir_state_range)) {
        const struct weir_state_range range = {.number = numbers->ranges[i].number,
            .count = (uint32_t)weir_number_ranges_end(numbers, i) - numbers->ranges[i].first};
        memcpy(body, &range, sizeof range);
    }
    return err;
}

/* One entry for each row of known numbers; one of none where no number is known. */
static enum weir_err
write_template(const struct weir_fold_channel *channel, const struct weir_fold_template *template,
    struct output *output)
{
    const struct weir_number_ranges *numbers = &template->numbers;
    if (numbers->count == 1 && !numbers->ranges[0].known)
        return write_ranges(channel, template, 0, 0, output);
    enum weir_err err = WEIR_OK;
    for (uint16_t from = 0; err == WEIR_OK && from < numbers->count;) {
        uint16_t to = from;
        while (to < numbers->count && numbers->ranges[to].known)
            to++;
        if (to > from)
            err = write_ranges(channel, template, from, to, output);
        from = (uint16_t)(to + 1);
    }
    return err;
}

static enum weir_err
write_channel(const struct weir_fold_channel *channel, struct output *output)
{
    if (channel->epoch == 0 || channel->forgotten != 0)
        return WEIR_OK;
    enum weir_err err = write_sequence(channel, output);
    for (uint32_t i = 0; err == WEIR_OK && i < channel->template_count; i++)
        err = write_template(channel, &channel->templates[i], output);
    return err;
}

enum weir_err
weir_state_fold_write(const struct weir_state_fold *fold, weir_state_emit_fn *emit,
    void *context)
{
    enum weir_err err = weir_state_fold_check(fold);
    if (err != WEIR_OK)
        return err;
    struct output output = {.emit = emit, .context = context};
    output.list = aligned_alloc(WEIR_CACHE_LINE, WEIR_BATCH_STATE_BYTES_MAX);
    if (output.list == NULL)
        return weir_fail(WEIR_NOMEM, 0, "list of state entries");
    err = write_forgotten(fold, &output);
    for (uint32_t i = 0; err == WEIR_OK && i < fold->used; i++)
        err = write_channel(&fold->channels[i], &output);
    if (err == WEIR_OK)
        err = emit_list(&output);
    free(output.list);
    return err;
}
