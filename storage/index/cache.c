#include "storage/index/cache.h"

#include "base/assert.h"

#include <pthread.h>
#include <stdalign.h>
#include <stdlib.h>
#include <string.h>

#define STRIPE_SLOTS 64
#define STRIPES_MAX 1024

enum slot_state { EMPTY, RESERVED, PUBLISHED, ALONE };

struct weir_cache_slot {
    uint64_t file_id;
    uint32_t place;
    uint32_t pins;
    uint32_t stripe;
    enum slot_state state; /* ALONE: memory of its own, in no stripe */
    bool used;             /* since the hand passed */
    struct weir_index_block block;
    uint8_t *memory;
};

struct stripe {
    alignas(64) pthread_mutex_t lock;
    uint64_t keys[STRIPE_SLOTS]; /* of published slots; else 0 */
    struct weir_cache_slot slots[STRIPE_SLOTS];
    unsigned hand;
};

struct weir_index_cache {
    uint32_t stripe_count;
    struct stripe *stripes;
    uint8_t *memory; /* in small pages: they come when a slot is first used */
};

/* Never 0. */
static uint64_t
key_of(uint64_t file_id, uint32_t place)
{
    uint64_t mixed = file_id ^ place * UINT64_C(0x9e3779b97f4a7c15);
    mixed *= UINT64_C(0xd6e8feb86659fd93);
    return (mixed ^ mixed >> 32) | 1;
}

enum weir_err
weir_index_cache_new(size_t bytes, struct weir_index_cache **out)
{
    struct weir_index_cache *cache = calloc(1, sizeof *cache);
    if (cache == NULL)
        return weir_fail(WEIR_NOMEM, 0, "index cache");
    size_t count = bytes / STRIPE_SLOTS / WEIR_INDEX_RAW_MAX;
    cache->stripe_count = (uint32_t)(count < 1 ? 1 : count > STRIPES_MAX ? STRIPES_MAX : count);
    cache->stripes = aligned_alloc(64, cache->stripe_count * sizeof *cache->stripes);
    cache->memory = aligned_alloc(4096,
        (size_t)cache->stripe_count * STRIPE_SLOTS * WEIR_INDEX_RAW_MAX);
    if (cache->stripes == NULL || cache->memory == NULL) {
        free(cache->stripes);
        free(cache->memory);
        free(cache);
        return weir_fail(WEIR_NOMEM, 0, "index cache of %zu bytes", bytes);
    }
    memset(cache->stripes, 0, cache->stripe_count * sizeof *cache->stripes);
    uint8_t *memory = cache->memory;
    for (uint32_t i = 0; i < cache->stripe_count; i++) {
        struct stripe *stripe = &cache->stripes[i];
        pthread_mutex_init(&stripe->lock, NULL);
        for (unsigned j = 0; j < STRIPE_SLOTS; j++, memory += WEIR_INDEX_RAW_MAX) {
            stripe->slots[j].stripe = i;
            stripe->slots[j].memory = memory;
        }
    }
    *out = cache;
    return WEIR_OK;
}

void
weir_index_cache_free(struct weir_index_cache *cache)
{
    if (cache == NULL)
        return;
    for (uint32_t i = 0; i < cache->stripe_count; i++)
        pthread_mutex_destroy(&cache->stripes[i].lock);
    free(cache->memory);
    free(cache->stripes);
    free(cache);
}

static struct stripe *
stripe_of(struct weir_index_cache *cache, uint64_t key)
{
    return &cache->stripes[(key >> 32) % cache->stripe_count];
}

/* The published slot of a block; NULL where there is none. The stripe is locked. */
static struct weir_cache_slot *
find(struct stripe *stripe, uint64_t key, uint64_t file_id, uint32_t place)
{
    for (unsigned i = 0; i < STRIPE_SLOTS; i++)
        if (stripe->keys[i] == key && stripe->slots[i].file_id == file_id &&
            stripe->slots[i].place == place)
            return &stripe->slots[i];
    return NULL;
}

bool
weir_index_cache_get(struct weir_index_cache *cache, uint64_t file_id, uint32_t place,
    struct weir_index_block *out)
{
    uint64_t key = key_of(file_id, place);
    struct stripe *stripe = stripe_of(cache, key);
    pthread_mutex_lock(&stripe->lock);
    struct weir_cache_slot *slot = find(stripe, key, file_id, place);
    if (slot != NULL) {
        slot->pins++;
        slot->used = true;
        *out = slot->block;
    }
    pthread_mutex_unlock(&stripe->lock);
    return slot != NULL;
}

/* A slot that nobody has pinned and, as far as there is one, that was not used since the hand
 * passed last. The stripe is locked. */
static struct weir_cache_slot *
evict(struct stripe *stripe)
{
    for (unsigned i = 0; i < 2 * STRIPE_SLOTS; i++) {
        struct weir_cache_slot *slot = &stripe->slots[stripe->hand];
        unsigned index = stripe->hand;
        stripe->hand = (stripe->hand + 1) % STRIPE_SLOTS;
        if (slot->pins != 0)
            continue;
        if (!slot->used) {
            stripe->keys[index] = 0;
            return slot;
        }
        slot->used = false;
    }
    return NULL;
}

static enum weir_err
slot_alone(struct weir_cache_slot **out)
{
    struct weir_cache_slot *slot = malloc(sizeof *slot + WEIR_INDEX_RAW_MAX);
    if (slot == NULL)
        return weir_fail(WEIR_NOMEM, 0, "a block beside the index cache");
    memset(slot, 0, sizeof *slot);
    slot->state = ALONE;
    slot->memory = (uint8_t *)(slot + 1);
    *out = slot;
    return WEIR_OK;
}

enum weir_err
weir_index_cache_reserve(struct weir_index_cache *cache, uint64_t file_id, uint32_t place,
    struct weir_cache_slot **out, uint8_t **memory)
{
    struct stripe *stripe = stripe_of(cache, key_of(file_id, place));
    pthread_mutex_lock(&stripe->lock);
    struct weir_cache_slot *slot = evict(stripe);
    if (slot != NULL) {
        slot->pins = 1;
        slot->state = RESERVED;
        slot->file_id = file_id;
        slot->place = place;
    }
    pthread_mutex_unlock(&stripe->lock);
    enum weir_err err = slot == NULL ? slot_alone(&slot) : WEIR_OK;
    if (err != WEIR_OK)
        return err;
    *out = slot;
    *memory = slot->memory;
    return WEIR_OK;
}

void
weir_index_cache_publish(struct weir_index_cache *cache, struct weir_index_block *block)
{
    struct weir_cache_slot *slot = block->slot;
    if (slot->state == ALONE)
        return;
    uint64_t key = key_of(slot->file_id, slot->place);
    struct stripe *stripe = &cache->stripes[slot->stripe];
    pthread_mutex_lock(&stripe->lock);
    if (find(stripe, key, slot->file_id, slot->place) == NULL) {
        slot->block = *block;
        slot->state = PUBLISHED;
        slot->used = true;
        stripe->keys[slot - stripe->slots] = key;
    }
    pthread_mutex_unlock(&stripe->lock);
}

void
weir_index_cache_release(struct weir_index_cache *cache, struct weir_index_block *block)
{
    struct weir_cache_slot *slot = block->slot;
    block->slot = NULL;
    if (slot == NULL)
        return;
    if (slot->state == ALONE) {
        free(slot);
        return;
    }
    struct stripe *stripe = &cache->stripes[slot->stripe];
    pthread_mutex_lock(&stripe->lock);
    WEIR_ASSERT(slot->pins != 0);
    slot->pins--;
    if (slot->state == RESERVED)
        slot->state = EMPTY;
    pthread_mutex_unlock(&stripe->lock);
}
