#include "tests/fuzz/twin_decimal.h"

#include "dataplane/protocol/common/decimal.h"
#include "model/sample.h"

#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* [+-] digits [. digits] [e [+-] digits], by elimination: what strtod takes whole, in the
 * characters of that grammar only. */
static bool
is_number(const char *text, double *value)
{
    if (text[0] == '\0' || text[strspn(text, "+-.eE0123456789")] != '\0')
        return false;
    char *end;
    *value = strtod(text, &end);
    return *end == '\0';
}

/* Could the text be kept as mantissa and exponent? Works on the string of its digits. */
static bool
fits_decimal(const char *text)
{
    char digits[4096];
    size_t count = 0;
    long exponent = 0;
    bool point = false;
    for (const char *at = text; *at != '\0'; at++) {
        if (tolower(*at) == 'e') {
            exponent += strtol(at + 1, NULL, 10);
            break;
        }
        if (*at == '.')
            point = true;
        if (isdigit((unsigned char)*at)) {
            if (count > 0 || *at != '0')
                digits[count++] = *at;
            exponent -= point;
        }
    }
    if (count == 0)
        return text[0] != '-';
    while (digits[count - 1] == '0') { /* the shortest mantissa, the largest exponent */
        count--;
        exponent++;
    }
    if (count > 16 || exponent < -WEIR_EXPONENT_MAX)
        return false;
    digits[count] = '\0';
    int64_t mantissa = strtoll(digits, NULL, 10);
    for (; exponent > WEIR_EXPONENT_MAX && mantissa <= WEIR_MANTISSA_MAX; exponent--)
        mantissa *= 10;
    return mantissa <= WEIR_MANTISSA_MAX && exponent <= WEIR_EXPONENT_MAX;
}

bool
twin_decimal_agrees(const uint8_t *text, size_t size)
{
    char copy[4096];
    uint8_t padded[4096 + 8];
    if (size >= sizeof copy)
        return true;
    memcpy(copy, text, size);
    copy[size] = '\0';
    memcpy(padded, text, size);
    memset(padded + size, '9', 8);
    struct weir_decimal found;
    enum weir_decimal_result result = weir_decimal_read(padded, size, &found);
    double wanted = 0;
    bool number = strlen(copy) == size && is_number(copy, &wanted);
    if (number != (result != WEIR_DECIMAL_SYNTAX)) {
        fprintf(stderr, "%s: %s by us only\n", copy, number ? "refused" : "taken");
        return false;
    }
    if (!number)
        return true;
    struct weir_sample sample = {weir_sample_key(0, found.kind, found.exponent), 0, found.value};
    double value = weir_sample_double(&sample);
    if (weir_double_bits(value) != weir_double_bits(wanted)
        || (result == WEIR_DECIMAL_RANGE) != (isinf(wanted) != 0)) {
        fprintf(stderr, "%s: %a, not %a\n", copy, value, wanted);
        return false;
    }
    if ((found.kind == WEIR_VALUE_DECIMAL) != fits_decimal(copy)) {
        fprintf(stderr, "%s: kind %d\n", copy, found.kind);
        return false;
    }
    return true;
}
