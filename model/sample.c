#include "model/sample.h"

/* Exact doubles: 10^22 is the largest power of ten that is one. */
static const double powers_of_ten[WEIR_EXPONENT_MAX + 1] = {1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7,
    1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};

double
weir_decimal_double(int64_t mantissa, int exponent)
{
    WEIR_DCHECK(exponent >= -WEIR_EXPONENT_MAX && exponent <= WEIR_EXPONENT_MAX);
    if (exponent < 0)
        return (double)mantissa / powers_of_ten[-exponent];
    return (double)mantissa * powers_of_ten[exponent];
}

double
weir_sample_double(const struct weir_sample *sample)
{
    if (weir_sample_kind(sample) == WEIR_VALUE_DOUBLE)
        return weir_bits_double(sample->value);
    return weir_decimal_double((int64_t)sample->value, weir_sample_exponent(sample));
}
