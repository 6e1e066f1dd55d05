#include "base/chacha.h"
#include "base/hash.h"
#include "base/hash_internal.h"

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <cmocka.h>

#define PAGE 4096
#define SIZE_MAX_TRIED 3000

static struct weir_hash_key key;

static uint64_t
next_random(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

static void
fill(uint8_t *to, size_t size, uint64_t seed)
{
    uint64_t state = seed * 2 + 1;
    for (size_t i = 0; i < size; i++)
        to[i] = (uint8_t)(next_random(&state) >> 32);
}

static int
same(struct weir_hash128 a, struct weir_hash128 b)
{
    return a.lo == b.lo && a.hi == b.hi;
}

/* Compares every variant this CPU can run with the portable twin. */
static void
expect_agreement(int part, const uint8_t *data, size_t size)
{
    struct weir_hash128 expected = weir_hash_part_portable(&key, part, data, size);
    assert_true(same(weir_hash_part(&key, part, data, size), expected));
    for (size_t variant = 0; variant < weir_hash_variant_count(); variant++) {
        struct weir_hash128 got;
        if (!weir_hash_part_variant(variant, &key, part, data, size, &got))
            continue;
        if (!same(got, expected))
            fail_msg("variant %zu differs at %zu bytes of part %d", variant, size, part);
    }
}

static int
setup(void **state)
{
    (void)state;
    uint8_t seed[WEIR_HASH_SEED_BYTES];
    for (int i = 0; i < WEIR_HASH_SEED_BYTES; i++)
        seed[i] = (uint8_t)i;
    weir_hash_key_init(&key, seed);
    return 0;
}

/* RFC 8439, section 2.3.2. */
static void
test_chacha_gives_the_block_of_rfc_8439(void **state)
{
    (void)state;
    uint8_t chacha_key[WEIR_CHACHA_KEY_BYTES];
    for (int i = 0; i < WEIR_CHACHA_KEY_BYTES; i++)
        chacha_key[i] = (uint8_t)i;
    static const uint8_t nonce[WEIR_CHACHA_NONCE_BYTES] = {0, 0, 0, 9, 0, 0, 0, 0x4a};
    static const uint8_t expected[WEIR_CHACHA_BLOCK_BYTES] = {0x10, 0xf1, 0xe7, 0xe4, 0xd1, 0x3b,
        0x59, 0x15, 0x50, 0x0f, 0xdd, 0x1f, 0xa3, 0x20, 0x71, 0xc4, 0xc7, 0xd1, 0xf4, 0xc7, 0x33,
        0xc0, 0x68, 0x03, 0x04, 0x22, 0xaa, 0x9a, 0xc3, 0xd4, 0x6c, 0x4e, 0xd2, 0x82, 0x64, 0x46,
        0x07, 0x9f, 0xaa, 0x09, 0x14, 0xc2, 0xd7, 0x05, 0xd9, 0x8b, 0x02, 0xa2, 0xb5, 0x12, 0x9c,
        0xd1, 0xde, 0x16, 0x4e, 0xb9, 0xcb, 0xd0, 0x83, 0xe8, 0xa2, 0x50, 0x3c, 0x4e};
    uint8_t block[WEIR_CHACHA_BLOCK_BYTES];
    weir_chacha_block(chacha_key, 1, nonce, block);
    assert_memory_equal(block, expected, sizeof block);
}

/* RFC 8439, appendix A.1, test vectors 1 and 2: zero key and nonce, counters 0 and 1. */
static void
test_chacha_gives_the_zero_key_blocks_of_rfc_8439(void **state)
{
    (void)state;
    static const uint8_t zero[WEIR_CHACHA_KEY_BYTES];
    static const uint8_t first[8] = {0x76, 0xb8, 0xe0, 0xad, 0xa0, 0xf1, 0x3d, 0x90};
    static const uint8_t second[8] = {0x9f, 0x07, 0xe7, 0xbe, 0x55, 0x51, 0x38, 0x7a};
    uint8_t block[WEIR_CHACHA_BLOCK_BYTES];
    weir_chacha_block(zero, 0, zero, block);
    assert_memory_equal(block, first, sizeof first);
    weir_chacha_block(zero, 1, zero, block);
    assert_memory_equal(block, second, sizeof second);
}

static void
test_hash_variants_agree_on_every_size(void **state)
{
    (void)state;
    uint8_t data[SIZE_MAX_TRIED] = {0};
    for (size_t size = 0; size <= SIZE_MAX_TRIED; size++) {
        fill(data, size, size);
        expect_agreement((int)(size & 1), data, size);
        if (size <= 160)
            expect_agreement((int)(~size & 1), data, size);
    }
}

static void
test_hash_variants_agree_at_every_alignment(void **state)
{
    (void)state;
    uint8_t data[256];
    fill(data, sizeof data, 7);
    for (size_t at = 0; at < 64; at++)
        for (size_t size = 0; size <= 80; size++)
            expect_agreement(0, data + at, size);
}

/* The message lies against an unreadable page, first with its end and then with its start. */
static void
test_hash_reads_no_byte_outside_the_message(void **state)
{
    (void)state;
    uint8_t *pages = mmap(NULL, 3 * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_true(pages != MAP_FAILED);
    uint8_t *page = pages + PAGE;
    assert_int_equal(mprotect(page, PAGE, PROT_READ | PROT_WRITE), 0);
    fill(page, PAGE, 11);
    for (size_t size = 0; size <= 1100; size++) {
        expect_agreement(0, page + PAGE - size, size);
        expect_agreement(1, page, size);
    }
    munmap(pages, 3 * PAGE);
}

static void
test_hash_matches_golden_values(void **state)
{
    (void)state;
    FILE *file = fopen(getenv("WEIR_GOLDEN_HASH"), "r");
    assert_non_null(file);
    size_t size;
    int part, lines = 0;
    struct weir_hash128 expected;
    uint8_t data[SIZE_MAX_TRIED];
    for (size_t i = 0; i < sizeof data; i++)
        data[i] = (uint8_t)(i * 7 + 3);
    while (fscanf(file, "%zu %d %" SCNx64 " %" SCNx64, &size, &part, &expected.lo,
               &expected.hi) == 4) {
        assert_true(size <= sizeof data);
        struct weir_hash128 got = weir_hash_part(&key, part, data, size);
        if (!same(got, expected))
            fail_msg("%zu bytes of part %d: %016" PRIx64 " %016" PRIx64, size, part, got.lo,
                got.hi);
        lines++;
    }
    fclose(file);
    assert_true(lines >= 20);
}

static void
test_hash_tells_zero_bytes_of_different_counts_apart(void **state)
{
    (void)state;
    static const uint8_t zero[2200];
    static uint64_t seen[2201];
    for (size_t size = 0; size <= 2200; size++) {
        seen[size] = weir_hash_part(&key, 0, zero, size).lo;
        for (size_t earlier = 0; earlier < size; earlier++)
            assert_true(seen[earlier] != seen[size]);
    }
}

static void
test_hash_keys_parts_and_lanes_apart(void **state)
{
    (void)state;
    uint8_t data[100];
    fill(data, sizeof data, 3);
    for (size_t size = 1; size <= sizeof data; size++) {
        struct weir_hash128 a = weir_hash_part(&key, 0, data, size);
        struct weir_hash128 b = weir_hash_part(&key, 1, data, size);
        assert_true(a.lo != b.lo && a.hi != b.hi && a.lo != a.hi && b.lo != b.hi);
    }
}

static void
test_hash_depends_on_the_seed(void **state)
{
    (void)state;
    static struct weir_hash_key other;
    uint8_t seed[WEIR_HASH_SEED_BYTES] = {0};
    for (int bit = 0; bit < 8 * WEIR_HASH_SEED_BYTES; bit += 37) {
        memset(seed, 0, sizeof seed);
        seed[bit / 8] = (uint8_t)(1 << bit % 8);
        weir_hash_key_init(&other, seed);
        assert_false(same(weir_hash_part(&other, 0, "cpu", 3), weir_hash_part(&key, 0, "cpu", 3)));
    }
}

/* Every flipped bit of a message changes about half of the output; 20 to 108 of 128 is further
 * from the mean than chance goes in these few tries (7.7 standard deviations). */
static void
test_hash_spreads_every_bit(void **state)
{
    (void)state;
    uint8_t data[60];
    fill(data, sizeof data, 5);
    struct weir_hash128 base = weir_hash_part(&key, 0, data, sizeof data);
    for (size_t bit = 0; bit < 8 * sizeof data; bit++) {
        data[bit / 8] ^= (uint8_t)(1 << bit % 8);
        struct weir_hash128 flipped = weir_hash_part(&key, 0, data, sizeof data);
        data[bit / 8] ^= (uint8_t)(1 << bit % 8);
        int changed = __builtin_popcountll(base.lo ^ flipped.lo) +
            __builtin_popcountll(base.hi ^ flipped.hi);
        assert_in_range(changed, 20, 108);
    }
}

static int
compare_words(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

static void
test_hash_lanes_keep_structured_keys_apart(void **state)
{
    (void)state;
    enum { KEYS = 100000 };
    uint64_t *lanes = malloc(2 * KEYS * sizeof *lanes);
    assert_non_null(lanes);
    for (unsigned i = 0; i < KEYS; i++) {
        char text[80];
        int size = snprintf(text, sizeof text, "cpu,host=web-%05u,core=%u,region=eu", i / 10,
            i % 10);
        struct weir_hash128 hash = weir_hash_part(&key, 0, text, (size_t)size);
        lanes[i] = hash.lo;
        lanes[KEYS + i] = hash.hi;
    }
    for (int lane = 0; lane < 2; lane++) {
        qsort(lanes + lane * KEYS, KEYS, sizeof *lanes, compare_words);
        for (unsigned i = 1; i < KEYS; i++)
            assert_true(lanes[lane * KEYS + i] != lanes[lane * KEYS + i - 1]);
    }
    free(lanes);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_chacha_gives_the_block_of_rfc_8439),
        cmocka_unit_test(test_chacha_gives_the_zero_key_blocks_of_rfc_8439),
        cmocka_unit_test(test_hash_variants_agree_on_every_size),
        cmocka_unit_test(test_hash_variants_agree_at_every_alignment),
        cmocka_unit_test(test_hash_reads_no_byte_outside_the_message),
        cmocka_unit_test(test_hash_matches_golden_values),
        cmocka_unit_test(test_hash_tells_zero_bytes_of_different_counts_apart),
        cmocka_unit_test(test_hash_keys_parts_and_lanes_apart),
        cmocka_unit_test(test_hash_depends_on_the_seed),
        cmocka_unit_test(test_hash_spreads_every_bit),
        cmocka_unit_test(test_hash_lanes_keep_structured_keys_apart),
    };
    return cmocka_run_group_tests(tests, setup, NULL);
}
