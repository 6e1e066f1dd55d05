#!/usr/bin/env python3
"""Makes hash.txt: golden values of base/hash.h by a second, slow implementation.

A line is: size part low high. The seed is bytes 0..31, byte i of a message is (7 i + 3) mod 256.
"""
import struct

BLOCK = 1024
WORDS = BLOCK // 8
MASK = 0xFFFFFFFF


def chacha_block(key, counter, nonce):
    state = list(struct.unpack("<16I", b"expand 32-byte k" + key + struct.pack("<I", counter) + nonce))
    start = state[:]

    def step(a, b, d, bits):
        state[a] = (state[a] + state[b]) & MASK
        word = state[d] ^ state[a]
        state[d] = (word << bits | word >> (32 - bits)) & MASK

    def quarter(a, b, c, d):
        step(a, b, d, 16)
        step(c, d, b, 12)
        step(a, b, d, 8)
        step(c, d, b, 7)

    for _ in range(10):
        for i in range(4):
            quarter(i, 4 + i, 8 + i, 12 + i)
        for i in range(4):
            quarter(i, 4 + (i + 1) % 4, 8 + (i + 2) % 4, 12 + (i + 3) % 4)
    return struct.pack("<16I", *((a + b) & MASK for a, b in zip(state, start)))


def multiply(a, b):
    product = 0
    while b:
        if b & 1:
            product ^= a
        a <<= 1
        b >>= 1
    return product


def reduce(product):
    polynomial = 1 << 64 | 0x1B
    for bit in range(product.bit_length() - 1, 63, -1):
        if product >> bit & 1:
            product ^= polynomial << (bit - 64)
    return product


def lane(words, length_key, chain, message):
    value = 0
    for at in range(0, max(len(message), 1), BLOCK):
        block = message[at:at + BLOCK]
        total = multiply(len(block), length_key)
        padded = block + bytes(-len(block) % 16)
        m = struct.unpack("<%dQ" % (len(padded) // 8), padded)
        for i in range(0, len(m), 2):
            total ^= multiply(m[i] ^ words[i], m[i + 1] ^ words[i + 1])
        value = reduce(multiply(value, chain)) ^ reduce(total)
    return value


def main():
    stream = b"".join(chacha_block(bytes(range(32)), i, b"weir hash 1\0") for i in range(65))
    key = struct.unpack("<%dQ" % (len(stream) // 8), stream)
    for size in (0, 1, 3, 7, 8, 9, 15, 16, 17, 31, 32, 33, 60, 63, 64, 65, 100, 128, 1000, 1023, 1024,
                 1025, 1040, 2048, 2049, 3000):
        message = bytes((7 * i + 3) & 255 for i in range(size))
        for part in (0, 1):
            lanes = []
            for which in (0, 1):
                first = (2 * part + which) * WORDS
                lanes.append(lane(key[first:first + WORDS], key[4 * WORDS + 2 * part + which],
                                  key[4 * WORDS + 4 + 2 * part + which], message))
            print(size, part, "%016x %016x" % tuple(lanes))


main()
