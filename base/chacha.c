#include "base/chacha.h"

#include <endian.h>
#include <string.h>

#define DOUBLE_ROUNDS 10

static uint32_t
load(const uint8_t *from)
{
    uint32_t word;
    memcpy(&word, from, 4);
    return le32toh(word);
}

static void
store(uint8_t *to, uint32_t word)
{
    word = htole32(word);
    memcpy(to, &word, 4);
}

static uint32_t
rotate(uint32_t word, int bits)
{
    return word << bits | word >> (32 - bits);
}

static void
quarter_round(uint32_t *s, int a, int b, int c, int d)
{
    s[a] += s[b], s[d] = rotate(s[d] ^ s[a], 16);
    s[c] += s[d], s[b] = rotate(s[b] ^ s[c], 12);
    s[a] += s[b], s[d] = rotate(s[d] ^ s[a], 8);
    s[c] += s[d], s[b] = rotate(s[b] ^ s[c], 7);
}

void
weir_chacha_block(const uint8_t key[WEIR_CHACHA_KEY_BYTES], uint32_t counter,
    const uint8_t nonce[WEIR_CHACHA_NONCE_BYTES], uint8_t out[WEIR_CHACHA_BLOCK_BYTES])
{
    /* "expand 32-byte k" */
    uint32_t start[16] = {0x61707865, 0x3320646e, 0x79622d32, 0x6b206574};
    for (int i = 0; i < 8; i++)
        start[4 + i] = load(key + 4 * i);
    start[12] = counter;
    for (int i = 0; i < 3; i++)
        start[13 + i] = load(nonce + 4 * i);
    uint32_t state[16];
    memcpy(state, start, sizeof state);
    for (int round = 0; round < DOUBLE_ROUNDS; round++) {
        quarter_round(state, 0, 4, 8, 12);
        quarter_round(state, 1, 5, 9, 13);
        quarter_round(state, 2, 6, 10, 14);
        quarter_round(state, 3, 7, 11, 15);
        quarter_round(state, 0, 5, 10, 15);
        quarter_round(state, 1, 6, 11, 12);
        quarter_round(state, 2, 7, 8, 13);
        quarter_round(state, 3, 4, 9, 14);
    }
    for (int i = 0; i < 16; i++)
        store(out + 4 * i, state[i] + start[i]);
    /* both say what the key is */
    explicit_bzero(start, sizeof start);
    explicit_bzero(state, sizeof state);
}
