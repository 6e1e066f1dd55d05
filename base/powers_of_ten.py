"""Writes powers_of_ten.h: 10^k for k = -292 .. 324 as 128-bit numbers, for base/double_text.c.

10^k = g * 2^(floor(log2(10^k)) - 127), rounded up: 2^127 <= g < 2^128.
"""
import sys


def power(k):
    if k >= 0:
        numerator, denominator = 10 ** k, 1
    else:
        numerator, denominator = 1, 10 ** -k
    # floor(log2(numerator / denominator)): the difference of lengths, or one less
    exponent = numerator.bit_length() - denominator.bit_length()
    if numerator << max(-exponent, 0) < denominator << max(exponent, 0):
        exponent -= 1
    shift = 127 - exponent
    numerator <<= max(shift, 0)
    denominator <<= max(-shift, 0)
    value = -(-numerator // denominator)
    assert 1 << 127 <= value < 1 << 128
    return value


with open(sys.argv[1], "w") as out:
    for k in range(-292, 325):
        value = power(k)
        out.write(f"{{0x{value >> 64:016x}, 0x{value & (1 << 64) - 1:016x}}}, /* {k} */\n")
