/* Bursts of lookups. Of a run of points only the first, its head, is looked up in the map. Those
 * after it are expected to have the next numbers, and are compared with the keys of these. */
#include "dataplane/worker/series_cache_map.h"

/* Points of a burst that may be found nowhere near, and are looked up at once, waiting for memory,
 * and those after them are expected to follow them. The others come last, together. */
#define SURPRISES_MAX 64
/* If there are more of them than one in SURPRISE_SHARE of those that were to follow, and they do
 * not come at regular distances, or more than one in NEAR_SHARE is found near and not next, nothing
 * is expected for PLAIN_BURSTS bursts, twice as many each time that it is so again. */
#define SURPRISES_LEAST 4
#define SURPRISE_SHARE 32
#define NEAR_SHARE 2
#define PLAIN_BURSTS 16
#define PLAIN_BURSTS_MAX 1024
#define PERIOD_MIN 4

void
weir_series_cache_fetch(const struct weir_series_cache *cache, const struct weir_point *points,
    uint32_t first, uint32_t end, bool fresh, struct weir_raw_burst *burst, uint64_t *numbers)
{
    uint32_t heads = first == 0 ? 0 : burst->head_count;
    uint32_t next = first == 0 ? cache->phase : burst->next_head;
    uint32_t period = cache->period == 0 ? UINT32_MAX / 2 : cache->period;
    next = next == 0 ? period : next;
    for (uint32_t i = first; i < end; i++) {
        bool begins = i == 0 || points[i].time_ms != points[i - 1].time_ms ||
            (fresh && i == first);
        if (!begins && i != next && cache->plain == 0)
            continue;
        uint64_t home = weir_slot_bucket(points[i].raw, cache->bucket_count);
        __builtin_prefetch(&cache->buckets[home]);
        numbers[i] = home;
        burst->heads[heads++] = (uint16_t)i;
        if (i == next || (begins && i != 0))
            next = i + period;
    }
    burst->head_count = heads;
    burst->next_head = next;
}

/* The keys of a run's first dozen. */
static inline void
fetch_keys(const struct weir_series_cache *cache, uint64_t number)
{
    const uint64_t *key = cache->keys + number + 1;
    __builtin_prefetch(key);
    __builtin_prefetch(key + WEIR_CACHE_LINE / sizeof *key);
}

static inline const struct weir_series_bucket *
bucket_behind(const struct weir_series_cache *cache, uint64_t home)
{
    return &cache->buckets[home + 1 == cache->bucket_count ? 0 : home + 1];
}

/* Heads that are not at home, one in ten, most of them in the next bucket. They are put off,
 * because which ones they are cannot be foretold, and that bucket is not in the cache. */
static void
find_away(const struct weir_series_cache *cache, const struct weir_point *points, uint32_t away,
    struct weir_raw_burst *burst, uint64_t *numbers)
{
    uint32_t further = 0;
    for (uint32_t k = 0; k < away; k++)
        __builtin_prefetch(bucket_behind(cache, numbers[burst->late[k]]));
    for (uint32_t k = 0; k < away; k++) {
        uint32_t i = burst->late[k];
        uint64_t home = numbers[i], number;
        bool found = weir_series_cache_at_home(bucket_behind(cache, home), points[i].raw, &number);
        numbers[i] = found ? number : home;
        burst->late[further] = (uint16_t)i;
        further += !found;
    }
    for (uint32_t k = 0; k < further; k++) {
        uint32_t i = burst->late[k];
        if (!weir_series_cache_look_further(cache, points[i].raw, &numbers[i]))
            numbers[i] = WEIR_SERIES_UNKNOWN;
    }
}

/* Looks into the home bucket of the k-th head. */
static inline bool
head_at_home(const struct weir_series_cache *cache, const struct weir_point *points,
    const struct weir_raw_burst *burst, uint32_t k, uint64_t *numbers)
{
    uint32_t i = burst->heads[k];
    uint64_t home = numbers[i], number;
    bool found = weir_series_cache_at_home(&cache->buckets[home], points[i].raw, &number);
    numbers[i] = found ? number : home;
    return found;
}

static void
find_plain(const struct weir_series_cache *cache, const struct weir_point *points,
    struct weir_raw_burst *burst, uint64_t *numbers)
{
    uint32_t away = 0;
    for (uint32_t k = 0; k < burst->head_count; k++) {
        burst->late[away] = burst->heads[k];
        away += !head_at_home(cache, points, burst, k, numbers);
    }
    find_away(cache, points, away, burst, numbers);
}

/* The keys of those that follow are fetched too. */
static void
find_heads(const struct weir_series_cache *cache, const struct weir_point *points, uint32_t count,
    struct weir_raw_burst *burst, uint64_t *numbers)
{
    uint32_t away = 0, heads = burst->head_count;
    for (uint32_t k = 0; k < heads; k++) {
        uint32_t i = burst->heads[k], end = k + 1 < heads ? burst->heads[k + 1] : count;
        bool found = head_at_home(cache, points, burst, k, numbers);
        burst->late[away] = (uint16_t)i;
        away += !found;
        if (WEIR_LIKELY(found) && i + 1 < end && weir_series_cache_has_key(cache, numbers[i]))
            fetch_keys(cache, numbers[i]);
    }
    find_away(cache, points, away, burst, numbers);
}

/* The expectation for the points of a burst, one after the other. */
struct follow {
    struct weir_series_cache *cache;
    uint64_t next;   /* number of the point that follows, or WEIR_SERIES_UNKNOWN */
    uint64_t resume; /* the same where the last one was between two that follow each other */
    uint32_t surprises;
    uint32_t regular;  /* runs as long as the one before */
    uint32_t near;     /* points that were near, and not next */
    uint32_t late_count;
    uint32_t break_at; /* the point where a run last began that did not follow the one before */
    uint32_t length;   /* of the run before that */
    uint32_t heads_in_vain; /* that did follow */
};

/* Which of 16 keys are this one, a bit each. */
static inline uint32_t
find_key(const uint64_t *keys, uint64_t key)
{
#if defined(__x86_64__)
    const __m128i wanted = _mm_set1_epi64x((int64_t)key);
    __m128i words[4];
    for (int i = 0; i < 4; i++) {
        const __m128i *at = (const __m128i *)(const void *)keys + 2 * i;
        words[i] = _mm_packs_epi32(_mm_cmpeq_epi64(_mm_loadu_si128(at), wanted),
            _mm_cmpeq_epi64(_mm_loadu_si128(at + 1), wanted));
    }
    /* each key is two words of 16 bits now, and then two bytes */
    __m128i low = _mm_packs_epi32(words[0], words[1]), high = _mm_packs_epi32(words[2], words[3]);
    return (uint32_t)_mm_movemask_epi8(_mm_packs_epi16(low, high));
#else
    uint32_t found = 0;
    for (unsigned i = 0; i < WEIR_SERIES_CACHE_NEAR; i++)
        found |= (uint32_t)(keys[i] == key) << i;
    return found;
#endif
}

/* Looks for a key among WEIR_SERIES_CACHE_NEAR of them from that of `begin` on. */
static inline bool
find_near(const struct weir_series_cache *cache, uint64_t begin, uint64_t key, uint64_t *out)
{
    uint32_t found = find_key(cache->keys + begin, key);
    *out = begin + (uint32_t)__builtin_ctz(found | 1u << 31);
    return found != 0;
}

/* The first of the keys around a number. */
static inline uint64_t
around(uint64_t number)
{
    return number < WEIR_SERIES_CACHE_NEAR / 2 ? 0 : number - WEIR_SERIES_CACHE_NEAR / 2;
}

/* Notes that points[i] begins a run which does not follow the one before. After two of one
 * length others may be as long. */
static void
note_break(struct follow *follow, uint32_t i)
{
    uint32_t length = i - follow->break_at;
    if (length == follow->length && length >= PERIOD_MIN) {
        follow->cache->period = length;
        follow->regular++;
    }
    follow->length = length;
    follow->break_at = i;
}

static void
put_off(struct follow *follow, const struct weir_point *points, uint32_t i,
    struct weir_raw_burst *burst)
{
    weir_series_cache_prefetch(follow->cache, points[i].raw);
    burst->late[follow->late_count++] = (uint16_t)i;
}

/* Looks up points[i] by itself. Its text is what is expected of its series from now on. */
static bool
find_alone(struct weir_series_cache *cache, const struct weir_point *points, uint32_t i,
    uint64_t *numbers)
{
    if (!weir_series_cache_lookup(cache, points[i].raw, &numbers[i])) {
        numbers[i] = WEIR_SERIES_UNKNOWN;
        return false;
    }
    if (weir_series_cache_has_key(cache, numbers[i]))
        cache->keys[numbers[i]] = weir_series_cache_key(points[i].raw);
    return true;
}

/* points[i] is not the next one of its run. */
static void
follow_other(struct follow *follow, const struct weir_point *points, uint32_t i,
    struct weir_raw_burst *burst, uint64_t *numbers)
{
    uint64_t key = weir_series_cache_key(points[i].raw);
    struct weir_series_cache *cache = follow->cache;
    if ((weir_series_cache_has_key(cache, follow->next) &&
            find_near(cache, around(follow->next), key, &numbers[i])) ||
        (weir_series_cache_has_key(cache, follow->resume) &&
            find_near(cache, around(follow->resume), key, &numbers[i]))) {
        follow->next = numbers[i] + 1;
        follow->near++;
        return;
    }
    if (++follow->surprises > SURPRISES_MAX) {
        put_off(follow, points, i, burst);
        return;
    }
    note_break(follow, i);
    if (!find_alone(cache, points, i, numbers))
        return;
    if (weir_series_cache_has_key(cache, numbers[i]))
        fetch_keys(cache, numbers[i]);
    follow->resume = follow->next;
    follow->next = numbers[i] + 1;
}

/* From a head to the next one. Behind a new series more of them are expected, which wait for
 * nothing. */
static void
follow_run(struct follow *follow, const struct weir_point *points, uint32_t head, uint32_t end,
    struct weir_raw_burst *burst, uint64_t *numbers)
{
    uint64_t *keys = follow->cache->keys;
    if (numbers[head] != follow->next)
        note_break(follow, head);
    else
        follow->heads_in_vain++;
    if (WEIR_UNLIKELY(numbers[head] == WEIR_SERIES_UNKNOWN)) {
        for (uint32_t i = head + 1; i < end; i++)
            put_off(follow, points, i, burst);
        return;
    }
    uint64_t key = weir_series_cache_key(points[head].raw);
    if (weir_series_cache_has_key(follow->cache, numbers[head]) && keys[numbers[head]] != key)
        keys[numbers[head]] = key;
    follow->next = numbers[head] + 1;
    follow->resume = WEIR_SERIES_UNKNOWN;
    for (uint32_t i = head + 1; i < end;) {
        uint64_t next = follow->next;
        if (weir_series_cache_has_key(follow->cache, next))
            for (; i < end && keys[next] == weir_series_cache_key(points[i].raw); i++)
                numbers[i] = next++;
        follow->next = next;
        if (i < end)
            follow_other(follow, points, i++, burst, numbers);
    }
}

/* The points after the heads, where something is expected of them. */
static void
find_followers(struct weir_series_cache *cache, const struct weir_point *points, uint32_t count,
    struct weir_raw_burst *burst, uint64_t *numbers)
{
    struct follow follow = {.cache = cache, .next = WEIR_SERIES_UNKNOWN};
    uint32_t heads = burst->head_count;
    find_heads(cache, points, count, burst, numbers);
    for (uint32_t k = 0; k < heads; k++) {
        uint32_t i = burst->heads[k], end = k + 1 < heads ? burst->heads[k + 1] : count;
        follow_run(&follow, points, i, end, burst, numbers);
    }
    for (uint32_t k = 0; k < follow.late_count; k++)
        (void)find_alone(cache, points, burst->late[k], numbers);
    uint32_t followers = count - heads;
    bool surprised = follow.surprises > SURPRISES_LEAST + followers / SURPRISE_SHARE &&
        follow.regular < follow.surprises / 2;
    if (surprised || follow.near > SURPRISES_LEAST + followers / NEAR_SHARE) {
        uint32_t twice = 2 * cache->plain_last;
        twice = twice == 0 ? PLAIN_BURSTS : twice < PLAIN_BURSTS_MAX ? twice : PLAIN_BURSTS_MAX;
        cache->plain_last = twice;
        cache->plain = twice + 1; /* this burst counts as one */
        cache->period = 0;
        return;
    }
    cache->plain_last = 0;
    if (follow.heads_in_vain > heads / 2)
        cache->period = 0;
    uint32_t through = follow.break_at + cache->period;
    cache->phase = cache->period != 0 && through > count ? through - count : 0;
}

size_t
weir_series_cache_find(struct weir_series_cache *cache, const struct weir_point *points,
    uint32_t count, struct weir_raw_burst *burst, uint64_t *numbers)
{
    if (cache->plain > 0 || burst->head_count == count)
        find_plain(cache, points, burst, numbers);
    else
        find_followers(cache, points, count, burst, numbers);
    cache->plain -= cache->plain > 0;
    size_t known = 0;
    for (uint32_t i = 0; i < count; i++)
        known += numbers[i] != WEIR_SERIES_UNKNOWN;
    return known;
}
