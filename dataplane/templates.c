/* Templates of the weir protocol: series numbers by index, in blocks that are used again. */
#include "dataplane/senders_internal.h"

#include "base/metrics.h"

_Static_assert(sizeof(struct weir_template) + WEIR_WIRE_TEMPLATE_SERIES_MAX * sizeof(uint64_t) <=
        (size_t)WEIR_TEMPLATE_UNIT << WEIR_TEMPLATE_ORDERS,
    "the largest block holds the largest template");

static struct weir_template *
at(const struct weir_senders *senders, uint32_t block)
{
    return (struct weir_template *)(senders->arena + (uint64_t)block * WEIR_TEMPLATE_UNIT);
}

static uint8_t
order_for(uint16_t total)
{
    size_t bytes = sizeof(struct weir_template) + total * sizeof(uint64_t);
    uint8_t order = 0;
    while ((size_t)WEIR_TEMPLATE_UNIT << order < bytes)
        order++;
    return order;
}

/* A block of this order, or 0: from its list, else from the arena's end. */
static uint32_t
block_take(struct weir_senders *senders, uint8_t order)
{
    uint32_t block = senders->free[order];
    if (block != 0) {
        senders->free[order] = at(senders, block)->next;
        return block;
    }
    if (senders->units - senders->units_used < UINT64_C(1) << order)
        return 0;
    block = (uint32_t)senders->units_used;
    senders->units_used += UINT64_C(1) << order;
    return block;
}

static void
block_free(struct weir_senders *senders, uint32_t block)
{
    struct weir_template *template = at(senders, block);
    template->next = senders->free[template->order];
    senders->free[template->order] = block;
}

void
weir_templates_drop(struct weir_senders *senders, struct weir_channel *channel)
{
    while (channel->templates != 0) {
        uint32_t block = channel->templates;
        channel->templates = at(senders, block)->next;
        block_free(senders, block);
    }
    channel->template_count = 0;
}

struct weir_template *
weir_channel_template(const struct weir_senders *senders, const struct weir_channel *channel,
    uint16_t id)
{
    for (uint32_t block = channel->templates; block != 0; block = at(senders, block)->next)
        if (at(senders, block)->id == id)
            return at(senders, block);
    return NULL;
}

static void
remove_template(struct weir_senders *senders, struct weir_channel *channel, uint16_t id)
{
    uint32_t *link = &channel->templates;
    while (at(senders, *link)->id != id)
        link = &at(senders, *link)->next;
    uint32_t block = *link;
    *link = at(senders, block)->next;
    block_free(senders, block);
    channel->template_count--;
}

struct weir_template *
weir_channel_define(struct weir_senders *senders, struct weir_channel *channel,
    const struct weir_wire_record *record, uint64_t sequence, uint8_t *reason)
{
    struct weir_template *known = weir_channel_template(senders, channel, record->template_id);
    if (known != NULL && known->hash == record->template_hash && known->total == record->total)
        return known;
    if (known != NULL && sequence < known->sequence)
        return NULL;
    if (known != NULL)
        remove_template(senders, channel, record->template_id);
    uint8_t order = order_for(record->total);
    uint32_t block = channel->template_count == WEIR_WIRE_TEMPLATES_MAX
        ? 0
        : block_take(senders, order);
    if (block == 0) {
        *reason = WEIR_REASON_templates_full;
        return NULL;
    }
    struct weir_template *template = at(senders, block);
    *template = (struct weir_template){.next = channel->templates,
        .id = record->template_id,
        .total = record->total,
        .hash = record->template_hash,
        .order = order,
        .unknown = record->total,
        .sequence = sequence};
    for (uint32_t i = 0; i < record->total; i++)
        template->numbers[i] = WEIR_SERIES_UNKNOWN;
    channel->templates = block;
    channel->template_count++;
    return template;
}

/* Runs of known numbers of a template from *index on, as many as `room` bytes hold; moves *index
 * behind them. */
static size_t
put_runs(const struct weir_template *template, uint32_t *index, uint8_t *out, size_t room)
{
    size_t used = 0;
    uint32_t i = *index;
    while (i < template->total && template->numbers[i] != WEIR_SERIES_UNKNOWN &&
        room - used >= sizeof(struct weir_mark_run)) {
        uint64_t first = template->numbers[i];
        uint32_t count = 1;
        while (i + count < template->total && template->numbers[i + count] == first + count)
            count++;
        struct weir_mark_run run = {.number = first, .count = count};
        memcpy(out + used, &run, sizeof run);
        used += sizeof run;
        i += count;
    }
    *index = i;
    return used;
}

/* One entry for each stretch of known numbers. False where the batch has no room for all. */
static bool
mark_template(const struct weir_channel *channel, const struct weir_template *template,
    struct weir_batch *batch)
{
    const size_t head = sizeof(struct weir_mark) + sizeof(struct weir_mark_template);
    for (uint32_t index = 0; index < template->total;) {
        if (template->numbers[index] == WEIR_SERIES_UNKNOWN) {
            index++;
            continue;
        }
        if (WEIR_BATCH_MARKS_MAX - batch->mark_bytes < head + sizeof(struct weir_mark_run))
            return false;
        uint8_t *out = batch->marks + batch->mark_bytes;
        uint32_t first = index;
        size_t runs = put_runs(template, &index, out + head,
            WEIR_BATCH_MARKS_MAX - batch->mark_bytes - head);
        struct weir_mark mark = {.type = WEIR_MARK_TEMPLATE,
            .channel = channel->channel,
            .bytes = (uint32_t)(head + runs),
            .sender = channel->sender,
            .epoch = channel->epoch,
            .template_hash = template->hash,
            .sequence = template->sequence};
        struct weir_mark_template body = {template->id, template->total, (uint16_t)first,
            (uint16_t)(index - first)};
        memcpy(out, &mark, sizeof mark);
        memcpy(out + sizeof mark, &body, sizeof body);
        batch->mark_bytes += mark.bytes;
        for (uint32_t i = first; i < index; i++)
            if (template->numbers[i] + 1 > batch->series_through)
                batch->series_through = template->numbers[i] + 1;
    }
    return true;
}

bool
weir_templates_mark(struct weir_senders *senders, struct weir_channel *channel,
    struct weir_batch *batch)
{
    bool all = true;
    for (uint32_t block = channel->templates; block != 0; block = at(senders, block)->next) {
        struct weir_template *template = at(senders, block);
        if (template->unlogged)
            template->unlogged = !mark_template(channel, template, batch);
        all &= !template->unlogged;
    }
    return all;
}

void
weir_template_restore(struct weir_senders *senders, struct weir_channel *channel,
    const struct weir_mark *mark, uint64_t series_count)
{
    const struct weir_mark_template *body = (const struct weir_mark_template *)(mark + 1);
    const struct weir_mark_run *run = (const struct weir_mark_run *)(body + 1);
    const struct weir_mark_run *end =
        (const struct weir_mark_run *)((const uint8_t *)mark + mark->bytes);
    if (body->total == 0 || body->total > WEIR_WIRE_TEMPLATE_SERIES_MAX ||
        (uint32_t)body->first + body->count > body->total)
        return;
    struct weir_wire_record record = {.template_id = body->id,
        .template_hash = mark->template_hash,
        .total = body->total};
    uint8_t reason = WEIR_REASON_COUNT;
    struct weir_template *template =
        weir_channel_define(senders, channel, &record, mark->sequence, &reason);
    if (template == NULL)
        return;
    uint32_t index = body->first;
    uint32_t stop = (uint32_t)body->first + body->count;
    for (; run != end; run++)
        for (uint64_t i = 0; i < run->count && index < stop; i++, index++)
            if (run->number + i < series_count) {
                template->unknown -= template->numbers[index] == WEIR_SERIES_UNKNOWN;
                template->numbers[index] = run->number + i;
            }
}
