/* chacha: the ChaCha20 block function (RFC 8439, section 2.3), by which a short random seed is
 * expanded into a long key.
 *
 * Threads: any; no state
 */
#ifndef WEIR_BASE_CHACHA_H
#define WEIR_BASE_CHACHA_H

#include <stdint.h>

#define WEIR_CHACHA_KEY_BYTES 32
#define WEIR_CHACHA_NONCE_BYTES 12
#define WEIR_CHACHA_BLOCK_BYTES 64

/* Writes block number `counter` of the key stream. */
void weir_chacha_block(const uint8_t key[WEIR_CHACHA_KEY_BYTES], uint32_t counter,
    const uint8_t nonce[WEIR_CHACHA_NONCE_BYTES], uint8_t out[WEIR_CHACHA_BLOCK_BYTES]);

#endif
