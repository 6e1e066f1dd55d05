#include "storage/index/postings.h"

#include "storage/index/bytes.h"

#define COOKIE 12346      /* no container has runs */
#define COOKIE_RUNS 12347 /* which have is said by bits after it */
#define OFFSETS_FROM 4    /* with runs there are offsets from so many containers on */
#define CONTAINER_BITS 16
#define CONTAINER_WORDS (1u << CONTAINER_BITS >> 6)
#define CONTAINERS (WEIR_SHARD_SERIES >> CONTAINER_BITS)
#define ARRAY_MAX 4096

uint8_t *
weir_postings_encode_gaps(const uint32_t *ordinals, uint32_t count, uint8_t *out)
{
    for (uint32_t i = 1; i < count; i++)
        out = weir_index_put(out, ordinals[i] - ordinals[i - 1] - 1);
    return out;
}

struct container {
    const uint64_t *words;
    uint32_t key;
    uint32_t count;
    uint32_t runs;
    bool as_runs;
};

/* Runs of ones: each begins where a one has no one before it. */
static uint32_t
count_runs(const uint64_t *words)
{
    uint64_t carry = 0;
    uint32_t runs = 0;
    for (uint32_t i = 0; i < CONTAINER_WORDS; i++) {
        runs += (uint32_t)__builtin_popcountll(words[i] & ~(words[i] << 1 | carry));
        carry = words[i] >> 63;
    }
    return runs;
}

static uint32_t
container_size(const struct container *container)
{
    if (container->as_runs)
        return 2 + 4 * container->runs;
    return container->count <= ARRAY_MAX ? 2 * container->count : 8192;
}

static uint8_t *
put_u16(uint8_t *at, uint32_t value)
{
    uint16_t stored = (uint16_t)value;
    memcpy(at, &stored, 2);
    return at + 2;
}

static uint8_t *
put_u32(uint8_t *at, uint32_t value)
{
    memcpy(at, &value, 4);
    return at + 4;
}

static uint8_t *
put_container(const struct container *container, uint8_t *out)
{
    if (!container->as_runs && container->count > ARRAY_MAX) {
        memcpy(out, container->words, 8192);
        return out + 8192;
    }
    if (container->as_runs)
        out = put_u16(out, container->runs);
    uint32_t run_first = 0, run_last = UINT32_MAX;
    for (uint32_t i = 0; i < CONTAINER_WORDS; i++) {
        for (uint64_t word = container->words[i]; word != 0; word &= word - 1) {
            uint32_t value = i * 64 + (uint32_t)__builtin_ctzll(word);
            if (!container->as_runs) {
                out = put_u16(out, value);
            } else if (run_last != UINT32_MAX && value == run_last + 1) {
                run_last = value;
            } else {
                if (run_last != UINT32_MAX)
                    out = put_u16(put_u16(out, run_first), run_last - run_first);
                run_first = run_last = value;
            }
        }
    }
    if (container->as_runs)
        out = put_u16(put_u16(out, run_first), run_last - run_first);
    return out;
}

uint8_t *
weir_postings_encode_roaring(const struct weir_ordinals *set, uint8_t *out)
{
    struct container containers[CONTAINERS];
    uint32_t count = 0;
    uint32_t flags = 0;
    for (uint32_t key = 0; key < CONTAINERS; key++) {
        struct container *next = &containers[count];
        *next = (struct container){.words = set->words + key * CONTAINER_WORDS, .key = key};
        for (uint32_t i = 0; i < CONTAINER_WORDS; i++)
            next->count += (uint32_t)__builtin_popcountll(next->words[i]);
        if (next->count == 0)
            continue;
        next->runs = count_runs(next->words);
        next->as_runs = 2 + 4 * next->runs < container_size(next);
        flags |= (uint32_t)next->as_runs << count++;
    }
    uint8_t *begin = out;
    if (flags == 0) {
        out = put_u32(put_u32(out, COOKIE), count);
    } else {
        out = put_u32(out, COOKIE_RUNS | (count - 1) << 16);
        for (uint32_t i = 0; i < count; i += 8)
            *out++ = (uint8_t)(flags >> i);
    }
    for (uint32_t i = 0; i < count; i++)
        out = put_u16(put_u16(out, containers[i].key), containers[i].count - 1);
    if (flags == 0 || count >= OFFSETS_FROM) {
        uint32_t offset = (uint32_t)(out - begin) + 4 * count;
        for (uint32_t i = 0; i < count; i++) {
            out = put_u32(out, offset);
            offset += container_size(&containers[i]);
        }
    }
    for (uint32_t i = 0; i < count; i++)
        out = put_container(&containers[i], out);
    return out;
}

static bool
decode_gaps(const struct weir_postings *postings, struct weir_index_cursor *cursor,
    uint32_t series, struct weir_ordinals *set)
{
    uint64_t ordinal = postings->first;
    weir_ordinals_add(set, postings->first);
    for (uint32_t i = 1; i < postings->count; i++) {
        if (WEIR_LIKELY(cursor->at < cursor->end && *cursor->at < 0x80))
            ordinal += *cursor->at++ + 1u;
        else
            ordinal += (weir_index_get(cursor) & UINT32_MAX) + 1;
        if (cursor->bad || ordinal >= series)
            return false;
        weir_ordinals_add(set, (uint32_t)ordinal);
    }
    return cursor->at == cursor->end;
}

static bool
decode_runs(struct weir_index_cursor *cursor, uint32_t base, uint32_t series,
    struct weir_ordinals *set)
{
    const uint8_t *runs = weir_index_get_bytes(cursor, 2);
    if (runs == NULL)
        return false;
    for (uint32_t left = weir_index_u16(runs); left > 0; left--) {
        const uint8_t *run = weir_index_get_bytes(cursor, 4);
        if (run == NULL)
            return false;
        uint32_t first = weir_index_u16(run), more = weir_index_u16(run + 2);
        if (first + more > UINT16_MAX || base + first + more >= series)
            return false;
        weir_ordinals_add_range(set, base + first, more + 1);
    }
    return true;
}

static bool
decode_container(struct weir_index_cursor *cursor, const uint8_t *head, bool as_runs,
    uint32_t series, struct weir_ordinals *set)
{
    uint32_t base = (uint32_t)weir_index_u16(head) << CONTAINER_BITS;
    uint32_t count = weir_index_u16(head + 2) + 1u;
    if (base >= series)
        return false;
    if (as_runs)
        return decode_runs(cursor, base, series, set);
    const uint8_t *bytes = weir_index_get_bytes(cursor, count <= ARRAY_MAX ? 2 * count : 8192);
    if (bytes == NULL)
        return false;
    if (count > ARRAY_MAX) {
        uint64_t *words = set->words + base / 64;
        for (uint32_t i = 0; i < CONTAINER_WORDS; i++) {
            uint64_t word;
            memcpy(&word, bytes + 8 * i, 8);
            uint32_t at = base + 64 * i;
            if (word != 0 && (at >= series || (series - at < 64 && word >> (series - at) != 0)))
                return false;
            words[i] |= word;
        }
        return true;
    }
    for (uint32_t i = 0; i < count; i++) {
        uint32_t ordinal = base + weir_index_u16(bytes + 2 * i);
        if (ordinal >= series)
            return false;
        weir_ordinals_add(set, ordinal);
    }
    return true;
}

static bool
decode_roaring(struct weir_index_cursor *cursor, uint32_t series, struct weir_ordinals *set)
{
    const uint8_t *cookie = weir_index_get_bytes(cursor, 4);
    if (cookie == NULL)
        return false;
    uint32_t kind = weir_index_u32(cookie), count = 0;
    const uint8_t *flags = NULL;
    if (kind == COOKIE) {
        const uint8_t *stored = weir_index_get_bytes(cursor, 4);
        count = stored == NULL ? 0 : weir_index_u32(stored);
    } else if ((kind & 0xffff) == COOKIE_RUNS) {
        count = (kind >> 16) + 1;
        flags = weir_index_get_bytes(cursor, (count + 7) / 8);
    }
    if (cursor->bad || count == 0 || count > CONTAINERS)
        return false;
    const uint8_t *heads = weir_index_get_bytes(cursor, 4 * count);
    if (flags == NULL || count >= OFFSETS_FROM)
        (void)weir_index_get_bytes(cursor, 4 * count); /* containers follow each other */
    if (cursor->bad)
        return false;
    for (uint32_t i = 0; i < count; i++) {
        bool as_runs = flags != NULL && (flags[i / 8] >> i % 8 & 1);
        if (!decode_container(cursor, heads + 4 * i, as_runs, series, set))
            return false;
    }
    return cursor->at == cursor->end;
}

bool
weir_postings_decode(const struct weir_postings *postings, const uint8_t *bytes, uint32_t series,
    struct weir_ordinals *set)
{
    if (postings->count == 0 || postings->first >= series ||
        postings->count > series - postings->first)
        return false;
    if (postings->size == 0) {
        weir_ordinals_add_range(set, postings->first, postings->count);
        return true;
    }
    struct weir_index_cursor cursor = {bytes, bytes + postings->size, false};
    return postings->count <= WEIR_INDEX_GAPS_MAX ? decode_gaps(postings, &cursor, series, set)
                                                  : decode_roaring(&cursor, series, set);
}

/* As decode_gaps, up to the first that the set has. */
static bool
meet_gaps(const struct weir_postings *postings, const uint8_t *bytes, uint32_t series,
    const struct weir_ordinals *set, bool *met)
{
    struct weir_index_cursor cursor = {bytes, bytes + postings->size, false};
    uint64_t ordinal = postings->first;
    for (uint32_t i = 0; i < postings->count; i++) {
        if (i != 0)
            ordinal += (weir_index_get(&cursor) & UINT32_MAX) + 1;
        if (cursor.bad || ordinal >= series)
            return false;
        if (weir_ordinals_has(set, (uint32_t)ordinal)) {
            *met = true;
            return true;
        }
    }
    return true;
}

bool
weir_postings_meet(const struct weir_postings *postings, const uint8_t *bytes, uint32_t series,
    const struct weir_ordinals *set, struct weir_ordinals *scratch, bool *met)
{
    *met = false;
    if (postings->count == 0 || postings->first >= series ||
        postings->count > series - postings->first)
        return false;
    if (postings->size == 0) {
        uint32_t end = postings->first + postings->count;
        *met = weir_ordinals_next(set, postings->first, end) != end;
        return true;
    }
    if (postings->count <= WEIR_INDEX_GAPS_MAX)
        return meet_gaps(postings, bytes, series, set, met);
    weir_ordinals_clear(scratch, series);
    if (!weir_postings_decode(postings, bytes, series, scratch))
        return false;
    for (uint32_t i = 0; i < weir_ordinals_words(series) && !*met; i++)
        *met = (scratch->words[i] & set->words[i]) != 0;
    return true;
}
