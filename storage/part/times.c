#include "storage/part/times.h"

_Static_assert(sizeof(struct weir_times_slot) == 24, "as part_writer.h says");

void
weir_times_dictionary_init(struct weir_times_dictionary *dictionary, struct weir_times_slot *slots,
    uint32_t slot_count, uint64_t secret)
{
    uint64_t seed[WEIR_HASH_SEED_BYTES / sizeof(uint64_t)] = {secret, ~secret, secret, ~secret};
    weir_hash_key_init(&dictionary->key, (const uint8_t *)seed);
    dictionary->slots = slots;
    dictionary->mask = slot_count - 1;
    dictionary->used = 0;
    dictionary->generation++;
    dictionary->last_count = 0;
}

static bool
is_last(const struct weir_times_dictionary *dictionary, const int64_t *times_ms, uint32_t count)
{
    return count == dictionary->last_count && times_ms[0] == dictionary->last[0] &&
        memcmp(times_ms, dictionary->last, count * sizeof *times_ms) == 0;
}

bool
weir_times_dictionary_find(struct weir_times_dictionary *dictionary, const int64_t *times_ms,
    uint32_t count, uint32_t next, uint32_t *column)
{
    if (is_last(dictionary, times_ms, count)) {
        *column = dictionary->last_column;
        return true;
    }
    memcpy(dictionary->last, times_ms, count * sizeof *times_ms);
    dictionary->last_count = count;
    dictionary->last_column = next;
    struct weir_hash128 hash =
        weir_hash_part(&dictionary->key, 0, times_ms, count * sizeof *times_ms);
    uint32_t at = (uint32_t)hash.lo & dictionary->mask;
    for (;; at = (at + 1) & dictionary->mask) {
        const struct weir_times_slot *slot = &dictionary->slots[at];
        if (slot->generation != dictionary->generation)
            break;
        if (slot->lo == hash.lo && slot->hi == hash.hi) {
            *column = dictionary->last_column = slot->column;
            return true;
        }
    }
    if (dictionary->used > dictionary->mask / 2) {
        dictionary->generation++;
        dictionary->used = 0;
        at = (uint32_t)hash.lo & dictionary->mask;
    }
    dictionary->slots[at] =
        (struct weir_times_slot){hash.lo, hash.hi, next, dictionary->generation};
    dictionary->used++;
    *column = next;
    return false;
}

uint8_t *
weir_times_encode(struct weir_packed_scratch *scratch, const int64_t *times_ms, uint32_t count,
    enum weir_effort effort, bool *split, uint8_t *out)
{
    const uint64_t *column = (const uint64_t *)times_ms;
    if (effort == WEIR_EFFORT_FAST) {
        *split = false;
        out = weir_varint_put(out, (uint64_t)count << 1);
        return weir_packed_encode_fast(scratch, column, count, out);
    }
    struct weir_packed_plan plan;
    weir_packed_plan_best(scratch, column, count, true, &plan);
    *split = plan.packing.split;
    out = weir_varint_put(out, (uint64_t)count << 1 | *split);
    return weir_packed_encode(scratch, column, count, &plan, out);
}

bool
weir_times_decode(struct weir_bytes *bytes, const uint8_t *front, size_t front_max,
    uint32_t expected, int64_t *times_ms)
{
    uint64_t head = weir_varint_get(bytes);
    bool split = head & 1;
    if (bytes->bad || head >> 1 != expected || (split && front_max < expected))
        return false;
    return weir_packed_decode(bytes, split ? front : NULL, expected, (uint64_t *)times_ms);
}
