/* Decimals in doubles, as ALP finds them (Afroozeh, Kuffo, Boncz: ALP: Adaptive Lossless
 * Floating-Point Compression, SIGMOD 2023): a double that was a decimal is an integer under a power
 * of ten. ALP comes back by two multiplications, which round twice, so it needs a second exponent;
 * here one division by a power that is exact rounds once, and every decimal of up to 15 digits is
 * found under its own exponent. */
#include "model/sample.h"
#include "storage/part/bits_variants.h"
#include "storage/part/codec.h"

#define SAMPLE 32
/* Exponents under which fewer than half of so many are decimals are left at that. */
#define FEW 8

bool
weir_alp_mantissa(uint64_t bits, int exponent, int64_t *mantissa)
{
    double value = weir_bits_double(bits);
    double power = weir_bits_power_of_ten(exponent < 0 ? -exponent : exponent);
    double scaled = exponent < 0 ? value * power : value / power;
    if (!(scaled >= -(double)WEIR_MANTISSA_MAX && scaled <= (double)WEIR_MANTISSA_MAX))
        return false;

    /* to the nearest integer; from 2^52 on it is one */
    double half = scaled >= 0x1p52 || scaled <= -0x1p52 ? 0 : scaled < 0 ? -0.5 : 0.5;
    *mantissa = (int64_t)(scaled + half);
    return *mantissa >= -WEIR_MANTISSA_MAX && *mantissa <= WEIR_MANTISSA_MAX &&
        weir_double_bits(weir_decimal_double(*mantissa, exponent)) == bits;
}

/* How many of `size` doubles, `step` apart, are decimals under exponent. */
static uint32_t
count_decimals(const uint64_t *doubles, uint32_t size, uint32_t step, int exponent)
{
    uint32_t found = 0;
    int64_t mantissa;
    for (uint32_t i = 0; i < size; i++)
        found += weir_alp_mantissa(doubles[i * step], exponent, &mantissa);
    return found;
}

bool
weir_alp_exponent(const uint64_t *doubles, uint32_t count, int least, int *exponent)
{
    uint32_t step = count / SAMPLE + 1, size = (count + step - 1) / step, best = 0;
    uint32_t few = size < FEW ? size : FEW;
    for (int e = least; e >= -WEIR_EXPONENT_MAX && best < size; e--) {
        if (2 * count_decimals(doubles, few, step * (size / few), e) < few)
            continue;
        uint32_t found = count_decimals(doubles, size, step, e);
        if (found > best) {
            best = found;
            *exponent = e;
        }
    }
    return 2 * best >= size && best > 0;
}
