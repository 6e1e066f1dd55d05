#include "model/sender_state/fold.h"

#include "base/assert.h"
#include "model/sender_state/fold_internal.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CHANNELS_FIRST 64u
#define CHANNELS_MOST (1u << 30)

/* ---- channels ---- */

static uint32_t
home_of(const struct weir_state_fold *fold, uint64_t sender, uint16_t channel)
{
    const struct weir_fold_name name = {sender, channel};
    return (uint32_t)weir_hash_part(&fold->key, 0, &name, sizeof name).lo &
        (2 * fold->capacity - 1);
}

/* The channel, in the table or forgotten, or NULL. */
static struct weir_fold_channel *
find(const struct weir_state_fold *fold, uint64_t sender, uint16_t number)
{
    uint32_t mask = 2 * fold->capacity - 1;
    for (uint32_t at = home_of(fold, sender, number); fold->index[at] != 0; at = (at + 1) & mask) {
        struct weir_fold_channel *channel = &fold->channels[fold->index[at] - 1];
        if (channel->epoch != 0 && channel->sender == sender && channel->channel == number)
            return channel;
    }
    return NULL;
}

static void
drop_templates(struct weir_fold_channel *channel)
{
    for (uint32_t i = 0; i < channel->template_count; i++)
        weir_number_ranges_fini(&channel->templates[i].numbers);
    free(channel->templates);
    channel->templates = NULL;
    channel->template_count = 0;
    channel->template_capacity = 0;
}

static void
drop_window(struct weir_fold_channel *channel)
{
    free(channel->window);
    channel->window = NULL;
}

static void
leave(struct weir_state_fold *fold, struct weir_fold_channel *channel)
{
    drop_templates(channel);
    drop_window(channel);
    channel->epoch = 0;
    fold->living--;
}

static void
enter_index(struct weir_state_fold *fold, uint32_t number)
{
    uint32_t mask = 2 * fold->capacity - 1;
    const struct weir_fold_channel *channel = &fold->channels[number];
    uint32_t at = home_of(fold, channel->sender, channel->channel);
    while (fold->index[at] != 0)
        at = (at + 1) & mask;
    fold->index[at] = number + 1;
}

/* Makes array and index anew for so many channels, without those that left. */
static enum weir_err
make_room(struct weir_state_fold *fold, uint32_t capacity)
{
    if (capacity > CHANNELS_MOST)
        return weir_fail(WEIR_NOMEM, 0, "more than %u channels in state entries", CHANNELS_MOST);
    struct weir_fold_channel *channels = realloc(fold->channels, capacity * sizeof *channels);
    if (channels != NULL)
        fold->channels = channels;
    uint32_t *index = calloc(2 * (size_t)capacity, sizeof *index);
    if (channels == NULL || index == NULL) {
        free(index);
        return weir_fail(WEIR_NOMEM, 0, "%u channels of state entries", capacity);
    }
    free(fold->index);
    fold->index = index;
    fold->capacity = capacity;
    uint32_t kept = 0;
    for (uint32_t i = 0; i < fold->used; i++)
        if (channels[i].epoch != 0)
            channels[kept++] = channels[i];
    fold->used = kept;
    for (uint32_t i = 0; i < kept; i++)
        enter_index(fold, i);
    return WEIR_OK;
}

/* Appends a channel after all others: epoch, numbers up to highest complete, no templates. */
static enum weir_err
enter(struct weir_state_fold *fold, const struct weir_fold_channel *channel,
    struct weir_fold_channel **out)
{
    if (fold->used == fold->capacity) {
        bool most_live = fold->living >= fold->capacity / 2;
        enum weir_err err = make_room(fold, most_live ? fold->capacity * 2 : fold->capacity);
        if (err != WEIR_OK)
            return err;
    }
    fold->channels[fold->used] = *channel;
    enter_index(fold, fold->used);
    *out = &fold->channels[fold->used++];
    fold->living++;
    return WEIR_OK;
}

/* ---- forgotten ---- */

struct weir_fold_channel *
weir_state_fold_remembered(const struct weir_state_fold *fold, uint64_t place)
{
    const struct weir_fold_name *name = &fold->forgotten[place % WEIR_STATE_FORGOTTEN_MAX];
    struct weir_fold_channel *channel = find(fold, name->sender, (uint16_t)name->channel);
    return channel != NULL && channel->forgotten == place ? channel : NULL;
}

/* The place of one more entry; the oldest that is remembered makes room. */
static uint64_t
next_place(struct weir_state_fold *fold, uint64_t sender, uint16_t channel)
{
    uint64_t place = ++fold->forgotten_count;
    if (place > WEIR_STATE_FORGOTTEN_MAX) {
        struct weir_fold_channel *oldest =
            weir_state_fold_remembered(fold, place - WEIR_STATE_FORGOTTEN_MAX);
        if (oldest != NULL)
            leave(fold, oldest);
    }
    fold->forgotten[place % WEIR_STATE_FORGOTTEN_MAX] = (struct weir_fold_name){sender, channel};
    return place;
}

static enum weir_err
add_forgotten(struct weir_state_fold *fold, const struct weir_state_entry *entry)
{
    struct weir_fold_channel *known = find(fold, entry->sender, entry->channel);
    if ((entry->template_hash & WEIR_STATE_ERASED) != 0) {
        if (known != NULL)
            leave(fold, known);
        return WEIR_OK;
    }
    if (entry->epoch == 0 && (known == NULL || known->forgotten != 0)) {
        next_place(fold, 0, 0); /* of one that came back */
        return WEIR_OK;
    }
    if (known != NULL && known->epoch > entry->epoch)
        return WEIR_OK;
    if (known != NULL)
        leave(fold, known);
    struct weir_fold_channel *entered;
    const struct weir_fold_channel channel = {.sender = entry->sender,
        .highest = entry->sequence,
        .forgotten = next_place(fold, entry->sender, entry->channel),
        .epoch = entry->epoch,
        .channel = entry->channel};
    return enter(fold, &channel, &entered);
}

/* ---- sequences and templates ---- */

/* The channel that an entry speaks of, in the entry's epoch; NULL where a later one has begun. */
static enum weir_err
channel_of(struct weir_state_fold *fold, const struct weir_state_entry *entry,
    struct weir_fold_channel **out)
{
    enum weir_err err = WEIR_OK;
    struct weir_fold_channel *channel = NULL;
    *out = NULL;
    if (entry->epoch == 0)
        return WEIR_OK;
    struct weir_fold_channel *known = find(fold, entry->sender, entry->channel);
    if (known != NULL && known->forgotten == 0) {
        channel = known;
    } else {
        struct weir_fold_channel fresh = {
            .sender = entry->sender, .epoch = entry->epoch, .channel = entry->channel};
        fresh.delivered = known != NULL;
        if (known != NULL && known->epoch >= entry->epoch) {
            fresh.epoch = known->epoch;
            fresh.highest = known->highest;
        }
        if (known != NULL)
            leave(fold, known);
        err = enter(fold, &fresh, &channel);
    }
    if (err != WEIR_OK || entry->epoch < channel->epoch)
        return err;
    if (entry->epoch > channel->epoch) {
        drop_templates(channel);
        drop_window(channel);
        channel->epoch = entry->epoch;
        channel->highest = 0;
    }
    *out = channel;
    return WEIR_OK;
}

static bool
nothing_missing(const uint8_t *window)
{
    for (size_t i = 0; i < WEIR_STATE_WINDOW_BYTES; i++)
        if (window[i] != 0xff)
            return false;
    return true;
}

static enum weir_err
set_sequence(struct weir_fold_channel *channel, const struct weir_state_entry *entry)
{
    const uint8_t *window = (const uint8_t *)(entry + 1);
    channel->delivered |= (entry->template_hash & WEIR_STATE_UNDELIVERED) == 0;
    channel->highest = entry->sequence;
    if (entry->bytes == sizeof *entry || nothing_missing(window)) {
        drop_window(channel);
        return WEIR_OK;
    }
    if (channel->window == NULL)
        channel->window = malloc(WEIR_STATE_WINDOW_BYTES);
    if (channel->window == NULL)
        return weir_fail(WEIR_NOMEM, 0, "window of a channel");
    memcpy(channel->window, window, WEIR_STATE_WINDOW_BYTES);
    return WEIR_OK;
}

static void
remove_template(struct weir_fold_channel *channel, struct weir_fold_template *template)
{
    weir_number_ranges_fini(&template->numbers);
    size_t after = (size_t)(channel->templates + channel->template_count - template) - 1;
    memmove(template, template + 1, after * sizeof *template);
    channel->template_count--;
}

static enum weir_err
begin_template(struct weir_fold_channel *channel, const struct weir_state_entry *entry,
    struct weir_fold_template **out)
{
    const struct weir_state_template *body = (const struct weir_state_template *)(entry + 1);
    if (channel->template_count == channel->template_capacity) {
        uint8_t capacity = (uint8_t)(channel->template_capacity * 2 + 1);
        struct weir_fold_template *more = realloc(channel->templates, capacity * sizeof *more);
        if (more == NULL)
            return weir_fail(WEIR_NOMEM, 0, "%u templates of a channel", capacity);
        channel->templates = more;
        channel->template_capacity = capacity;
    }
    struct weir_fold_template *template = &channel->templates[channel->template_count];
    *template = (struct weir_fold_template){
        .sequence = entry->sequence, .hash = entry->template_hash, .id = body->id};
    enum weir_err err = weir_number_ranges_init(&template->numbers, body->total);
    if (err != WEIR_OK)
        return err;
    channel->template_count++;
    *out = template;
    return WEIR_OK;
}

/* The template that an entry speaks of, begun where that is new; NULL where the entry is the older
 * one, or one too many. */
static enum weir_err
template_of(struct weir_fold_channel *channel, const struct weir_state_entry *entry,
    struct weir_fold_template **out)
{
    const struct weir_state_template *body = (const struct weir_state_template *)(entry + 1);
    *out = NULL;
    for (uint32_t i = 0; i < channel->template_count; i++) {
        struct weir_fold_template *known = &channel->templates[i];
        if (known->id != body->id)
            continue;
        if (known->hash == entry->template_hash && known->numbers.total == body->total) {
            *out = known;
            return WEIR_OK;
        }
        if (entry->sequence < known->sequence)
            return WEIR_OK;
        remove_template(channel, known);
        break;
    }
    if (channel->template_count == WEIR_STATE_TEMPLATES_MAX)
        return WEIR_OK;
    return begin_template(channel, entry, out);
}

static enum weir_err
set_numbers(const struct weir_state_fold *fold, struct weir_fold_template *template,
    const struct weir_state_entry *entry)
{
    const struct weir_state_template *body = (const struct weir_state_template *)(entry + 1);
    const struct weir_state_range *range = (const struct weir_state_range *)(body + 1);
    const struct weir_state_range *end =
        (const struct weir_state_range *)((const uint8_t *)entry + entry->bytes);
    uint16_t index = body->first;
    uint16_t left = body->count;
    for (; range != end && left > 0; range++) {
        uint16_t count = range->count < left ? (uint16_t)range->count : left;
        uint64_t believed =
            range->number < fold->series_count ? fold->series_count - range->number : 0;
        if (believed > count)
            believed = count;
        if (believed > 0) {
            enum weir_err err = weir_number_ranges_set(&template->numbers, index,
                (uint16_t)believed, range->number);
            if (err != WEIR_OK)
                return err;
        }
        index += count;
        left -= count;
    }
    return WEIR_OK;
}

static enum weir_err
add_template(struct weir_state_fold *fold, struct weir_fold_channel *channel,
    const struct weir_state_entry *entry)
{
    const struct weir_state_template *body = (const struct weir_state_template *)(entry + 1);
    if (body->total == 0 || body->total > WEIR_STATE_TEMPLATE_SERIES_MAX ||
        (uint32_t)body->first + body->count > body->total)
        return WEIR_OK;
    struct weir_fold_template *template;
    enum weir_err err = template_of(channel, entry, &template);
    if (err != WEIR_OK || template == NULL)
        return err;
    return set_numbers(fold, template, entry);
}

static enum weir_err
add_entry(struct weir_state_fold *fold, const struct weir_state_entry *entry)
{
    if (entry->type == WEIR_STATE_FORGOTTEN)
        return add_forgotten(fold, entry);
    struct weir_fold_channel *channel;
    enum weir_err err = channel_of(fold, entry, &channel);
    if (err != WEIR_OK || channel == NULL)
        return err;
    if (entry->type == WEIR_STATE_TEMPLATE)
        return add_template(fold, channel, entry);
    return set_sequence(channel, entry);
}

/* ---- of the header ---- */

enum weir_err
weir_state_fold_new(struct weir_state_fold **out)
{
    uint8_t seed[WEIR_HASH_SEED_BYTES];
    if (getentropy(seed, sizeof seed) != 0)
        return weir_fail(WEIR_IO, errno, "getentropy");
    struct weir_state_fold *fold = aligned_alloc(WEIR_CACHE_LINE, sizeof *fold);
    if (fold == NULL)
        return weir_fail(WEIR_NOMEM, 0, "fold of state entries");
    memset(fold, 0, sizeof *fold);
    weir_hash_key_init(&fold->key, seed);
    fold->series_count = WEIR_NUMBER_MAX + 1;
    enum weir_err err = make_room(fold, CHANNELS_FIRST);
    if (err != WEIR_OK) {
        weir_state_fold_free(fold);
        return err;
    }
    *out = fold;
    return WEIR_OK;
}

void
weir_state_fold_free(struct weir_state_fold *fold)
{
    if (fold == NULL)
        return;
    for (uint32_t i = 0; i < fold->used; i++) {
        drop_templates(&fold->channels[i]);
        drop_window(&fold->channels[i]);
    }
    free(fold->channels);
    free(fold->index);
    free(fold);
}

void
weir_state_fold_set_series_count(struct weir_state_fold *fold, uint64_t series_count)
{
    fold->series_count = series_count > WEIR_NUMBER_MAX ? WEIR_NUMBER_MAX + 1 : series_count;
}

enum weir_err
weir_state_fold_check(const struct weir_state_fold *fold)
{
    if (fold->failed == WEIR_OK)
        return WEIR_OK;
    return weir_fail(fold->failed, 0, "a state entry was not added for lack of memory");
}

enum weir_err
weir_state_fold_add(struct weir_state_fold *fold, const uint8_t *sender_state, size_t size)
{
    const struct weir_state_entry *entry;
    size_t at = 0;
    enum weir_err err = weir_state_fold_check(fold);
    if (err != WEIR_OK)
        return err;
    while ((err = weir_state_next(sender_state, size, &at, &entry)) == WEIR_OK) {
        fold->failed = add_entry(fold, entry);
        if (fold->failed != WEIR_OK)
            return fold->failed;
    }
    return err == WEIR_END ? WEIR_OK : err;
}
