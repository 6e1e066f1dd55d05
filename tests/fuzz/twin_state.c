#include "tests/fuzz/twin_state.h"

#include "dataplane/protocol/weir/channels/internal.h"
#include "model/sender_state/fold.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define CHANNELS 8192
#define TEMPLATE_BYTES (96u << 20)
#define LIST_MAX (256u << 10)
#define SERIES_MAX 3000
#define CHECK(condition) ((condition) ? (void)0 : fail(#condition, __LINE__))

static struct weir_hash_key key;

_Noreturn static void
fail(const char *what, int where)
{
    fprintf(stderr, "twin_marks.c:%d: %s does not hold\n", where, what);
    abort();
}

struct weir_channels *
twin_state_channels_new(void)
{
    const uint8_t seed[WEIR_HASH_SEED_BYTES] = {1, 2, 3};
    weir_hash_key_init(&key, seed);
    void *memory = mmap(NULL, weir_channels_footprint(CHANNELS, TEMPLATE_BYTES),
        PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    CHECK(memory != MAP_FAILED);
    return weir_channels_init(memory, CHANNELS, TEMPLATE_BYTES, &key);
}

void
twin_state_channels_free(struct weir_channels *channels)
{
    munmap(channels, weir_channels_footprint(CHANNELS, TEMPLATE_BYTES));
}

static struct weir_state_fold *
fold_new(void)
{
    struct weir_state_fold *fold;
    CHECK(weir_state_fold_new(&fold) == WEIR_OK);
    return fold;
}

/* ---- what is written ---- */

struct bytes {
    uint8_t *data;
    size_t size;
    struct weir_state_fold *fold; /* also folded into this one, where set */
    struct weir_channels *channels; /* and replayed into this one */
};

static enum weir_err
add_list(void *context, const uint8_t *sender_state, size_t size)
{
    struct bytes *out = context;
    CHECK(size > 0 && size <= WEIR_BATCH_STATE_BYTES_MAX);
    CHECK((uintptr_t)sender_state % 8 == 0);
    out->data = realloc(out->data, out->size + size);
    CHECK(out->data != NULL);
    memcpy(out->data + out->size, sender_state, size);
    out->size += size;
    if (out->fold != NULL)
        CHECK(weir_state_fold_add(out->fold, sender_state, size) == WEIR_OK);
    if (out->channels != NULL)
        weir_channels_restore(out->channels, sender_state, size, SERIES_MAX);
    return WEIR_OK;
}

/* ---- random state entries ---- */

struct draw {
    struct twin_state_source *source;
    uint64_t senders;
    uint64_t epochs;
    uint64_t ids;
    uint64_t totals; /* of those in put_template */
    uint64_t forgotten; /* one entry of so many */
    uint64_t series_count;
};

static uint64_t
pick(struct draw *draw, uint64_t count)
{
    struct twin_state_source *source = draw->source;
    uint64_t number = 0;
    if (source->data == NULL) {
        uint64_t *state = &source->random; /* xorshift64* (Vigna, ACM TOMS 2016) */
        *state ^= *state >> 12;
        *state ^= *state << 25;
        *state ^= *state >> 27;
        return *state * UINT64_C(2685821657736338717) % count;
    }
    for (uint64_t most = count - 1; most > 0 && source->size > 0; most >>= 8) {
        number = number << 8 | *source->data++;
        source->size--;
    }
    return number % count;
}

static size_t
put_template(struct draw *draw, struct weir_state_entry *entry)
{
    static const uint16_t totals[] = {0, 1, 5, 5, 5, 40, 40, 16385, 300, 16384};
    struct weir_state_template *body = (struct weir_state_template *)(entry + 1);
    struct weir_state_range *ranges = (struct weir_state_range *)(body + 1);
    uint16_t total = totals[pick(draw, draw->totals)];
    uint16_t first = total < 2 ? 0 : (uint16_t)pick(draw, total < 400 ? total : 50);
    uint16_t count = total == 0 ? 0 : (uint16_t)(1 + pick(draw, (uint64_t)(total - first)));
    *body = (struct weir_state_template){(uint16_t)pick(draw, draw->ids), total, first,
        (uint16_t)(count + (pick(draw, 30) == 0))};
    uint64_t range_count = pick(draw, 6);
    for (uint64_t i = 0; i < range_count; i++) {
        uint64_t number = pick(draw, 4) != 0 ? first + i : pick(draw, SERIES_MAX + 50);
        if (pick(draw, 50) == 0)
            number = (UINT64_C(1) << 40) - 1 - pick(draw, 3);
        ranges[i] = (struct weir_state_range){
            .number = number, .count = pick(draw, 8) == 0 ? pick(draw, 1 << 20) : pick(draw, 9)};
    }
    entry->template_hash = (uint32_t)(total + pick(draw, 10) / 9);
    entry->sequence = pick(draw, 6);
    return sizeof *entry + sizeof *body + range_count * sizeof *ranges;
}

static size_t
put_entry(struct draw *draw, uint8_t *out)
{
    struct weir_state_entry *entry = (struct weir_state_entry *)out;
    uint64_t type = pick(draw, draw->forgotten) == 0 ? WEIR_STATE_FORGOTTEN : 1 + pick(draw, 2);
    *entry = (struct weir_state_entry){.type = (uint16_t)type,
        .channel = (uint16_t)pick(draw, 2),
        .bytes = sizeof *entry,
        .sender = pick(draw, draw->senders),
        .epoch = (uint32_t)(draw->epochs - pick(draw, 5) / 3),
        .sequence = 1 + pick(draw, 5000)};
    if (type != WEIR_STATE_TEMPLATE && pick(draw, 4) == 0)
        entry->template_hash = 1 + (uint32_t)pick(draw, 3); /* the lowest bit has a meaning */
    if (pick(draw, 40) == 0)
        entry->epoch = (uint32_t)pick(draw, 4);
    if (type == WEIR_STATE_TEMPLATE)
        entry->bytes = (uint32_t)put_template(draw, entry);
    if (type == WEIR_STATE_SEQUENCE && pick(draw, 2) == 0) {
        memset(entry + 1, 0xff, WEIR_STATE_WINDOW_BYTES);
        for (uint64_t holes = pick(draw, 4); holes > 0; holes--)
            ((uint8_t *)(entry + 1))[pick(draw, WEIR_STATE_WINDOW_BYTES)] =
                (uint8_t)pick(draw, 256);
        entry->bytes += WEIR_STATE_WINDOW_BYTES;
    }
    return entry->bytes;
}

/* A list, whose last entry may be damaged. */
static size_t
put_list(struct draw *draw, uint8_t *out)
{
    size_t used = 0, last = 0;
    for (uint64_t entries = pick(draw, 60); entries > 0; entries--) {
        last = used;
        used += put_entry(draw, out + used);
    }
    if (used > 0 && pick(draw, 20) == 0)
        ((struct weir_state_entry *)(out + last))->bytes += 8 * (uint32_t)(1 + pick(draw, 3));
    return used;
}

/* ---- comparison ---- */

static bool
come(const struct weir_channel *channel, uint64_t number)
{
    return number <= channel->given_up || channel->seen[number % WEIR_WIRE_WINDOW / 64] >>
        number % 64 & 1;
}

static void
compare_templates(const struct weir_channels *a, const struct weir_channel *in_a,
    const struct weir_channels *b, const struct weir_channel *in_b)
{
    CHECK(in_a->template_count == in_b->template_count);
    uint32_t block_a = in_a->templates, block_b = in_b->templates;
    for (; block_a != 0 && block_b != 0;) {
        const struct weir_template *ta = weir_block_at(&a->blocks, block_a);
        const struct weir_template *tb = weir_block_at(&b->blocks, block_b);
        CHECK(ta->id == tb->id);
        CHECK(ta->total == tb->total);
        CHECK(ta->hash == tb->hash);
        CHECK(ta->unknown == tb->unknown);
        CHECK(ta->sequence == tb->sequence);
        for (uint32_t i = 0; i < ta->total; i++)
            CHECK(weir_template_number(a, ta, i) == weir_template_number(b, tb, i));
        block_a = ta->next;
        block_b = tb->next;
    }
    CHECK(block_a == block_b);
}

static void
compare_channel(struct weir_channels *whole, struct weir_channels *folded, uint64_t sender,
    uint16_t number)
{
    const struct weir_channel *a = weir_channels_find(whole, sender, number);
    const struct weir_channel *b = weir_channels_find(folded, sender, number);
    CHECK((a == NULL) == (b == NULL));
    if (a == NULL)
        return;
    CHECK(a->epoch == b->epoch);
    CHECK(a->highest == b->highest);
    CHECK(a->delivered == b->delivered);
    uint64_t first = a->highest > WEIR_WIRE_WINDOW ? a->highest - WEIR_WIRE_WINDOW : 0;
    for (uint64_t n = first; n < a->highest; n++)
        CHECK(come(a, n + 1) == come(b, n + 1));
    /* as in every state entry, what was given up has come */
    CHECK(a->given_up == 0 || a->given_up == a->highest);
    CHECK(b->given_up == 0);
    CHECK(weir_channel_complete(a) == weir_channel_complete(b));
    compare_templates(whole, a, folded, b);
}

static void
compare_remembered(struct weir_channels *whole, struct weir_channels *folded, uint64_t sender,
    uint16_t number)
{
    struct weir_forgotten a, b;
    bool in_a = weir_channels_remembered(whole, sender, number, &a);
    CHECK(in_a == weir_channels_remembered(folded, sender, number, &b));
    if (!in_a)
        return;
    CHECK(a.highest == b.highest);
    CHECK(a.epoch == b.epoch);
}

static void
compare(struct weir_channels *whole, struct weir_channels *folded, uint64_t senders)
{
    CHECK(whole->channel_count == folded->channel_count);
    for (uint64_t sender = 0; sender < senders; sender++)
        for (uint16_t number = 0; number < 2; number++) {
            compare_channel(whole, folded, sender, number);
            compare_remembered(whole, folded, sender, number);
        }
}

/* More channels are forgotten: who is forgotten for good is the same. */
static void
compare_forgetting(struct weir_channels *whole, struct weir_channels *folded, struct draw *draw)
{
    /* each of them is a search: few where bytes are tried by the thousand */
    uint64_t more = pick(draw, draw->source->data != NULL ? 64 : WEIR_STATE_FORGOTTEN_MAX);
    for (uint64_t i = 0; i < more; i++) {
        struct weir_state_entry entry = {.type = WEIR_STATE_FORGOTTEN,
            .bytes = sizeof entry,
            .sender = draw->senders + i,
            .epoch = 1};
        weir_channels_restore(whole, (uint8_t *)&entry, sizeof entry, SERIES_MAX);
        weir_channels_restore(folded, (uint8_t *)&entry, sizeof entry, SERIES_MAX);
    }
    compare(whole, folded, draw->senders);
}

void
twin_state_compare(struct twin_state_source *source, uint64_t senders, uint64_t lists)
{
    struct draw draw = {.source = source, .senders = senders, .epochs = 2, .forgotten = 2,
        .series_count = 10};
    draw.totals = senders > 10 ? 8 : 10; /* the arena holds them all */
    draw.ids = pick(&draw, 3) == 0 ? 100 : 3;
    draw.forgotten += pick(&draw, 12);
    struct weir_channels *whole = twin_state_channels_new(), *replayed = twin_state_channels_new();
    struct weir_state_fold *fold = fold_new(), *again = fold_new();
    uint8_t *list = aligned_alloc(8, LIST_MAX);
    CHECK(list != NULL);
    uint64_t cut = pick(&draw, lists);
    for (uint64_t i = 0; i < lists; i++) {
        struct bytes middle = {.fold = again};
        if (i == cut)
            CHECK(weir_state_fold_write(fold, add_list, &middle) == WEIR_OK);
        free(middle.data);
        draw.series_count += pick(&draw, 2 * SERIES_MAX / lists);
        if (draw.series_count > SERIES_MAX)
            draw.series_count = SERIES_MAX;
        draw.epochs += pick(&draw, 10) == 0;
        size_t size = put_list(&draw, list);
        CHECK(size <= LIST_MAX);
        weir_channels_restore(whole, list, size, draw.series_count);
        weir_state_fold_set_series_count(fold, draw.series_count);
        enum weir_err err = weir_state_fold_add(fold, list, size);
        CHECK(err == WEIR_OK || err == WEIR_CORRUPT);
        weir_state_fold_set_series_count(again, draw.series_count);
        if (i >= cut)
            CHECK(weir_state_fold_add(again, list, size) == err);
    }
    struct bytes first = {.channels = replayed}, second = {.data = NULL};
    CHECK(weir_state_fold_write(fold, add_list, &first) == WEIR_OK);
    CHECK(weir_state_fold_write(again, add_list, &second) == WEIR_OK);
    compare(whole, replayed, senders);
    CHECK(first.size == second.size);
    if (first.size > 0)
        CHECK(memcmp(first.data, second.data, first.size) == 0);
    compare_forgetting(whole, replayed, &draw);
    free(first.data);
    free(second.data);
    free(list);
    weir_state_fold_free(fold);
    weir_state_fold_free(again);
    twin_state_channels_free(whole);
    twin_state_channels_free(replayed);
}
