#include "storage/part/statistics.h"

#include "model/sample.h"
#include "storage/part/codec.h"

#define LANES 8

/* Bits of an entry's first byte. */
enum {
    FORM_DECIMAL = 1,       /* min, max - min and the sum are integers; else doubles */
    FORM_FIRST_DECIMAL = 2, /* first - min is an integer; only with FORM_DECIMAL */
    FORM_LAST_DECIMAL = 4,  /* max - last is one */
    FORM_SUM_DOUBLE = 8,    /* with FORM_DECIMAL: the sum is a double */
    FORM_NANS = 16,
    FORM_STALE_MARKERS = 32,
    FORM_RESETS = 64,
    FORM_ALL = 127,
};

static double
join_lanes(const double *lanes)
{
    return ((lanes[0] + lanes[4]) + (lanes[2] + lanes[6])) +
        ((lanes[1] + lanes[5]) + (lanes[3] + lanes[7]));
}

/* Of samples none of which is NaN. Each lane keeps its own minimum: which zero is the earliest is
 * looked up afterwards. */
static void
of_numbers(const double *values, uint32_t count, struct weir_statistics *out)
{
    double sums[LANES], least[LANES], most[LANES];
    for (int k = 0; k < LANES; k++) {
        sums[k] = 0;
        least[k] = most[k] = values[0];
    }
    uint32_t i = 0;
    for (; i + LANES <= count; i += LANES) {
        for (int k = 0; k < LANES; k++) {
            double value = values[i + (uint32_t)k];
            sums[k] += value;
            least[k] = value < least[k] ? value : least[k];
            most[k] = value > most[k] ? value : most[k];
        }
    }
    for (int k = 0; i < count; i++, k++) {
        sums[k] += values[i];
        least[k] = values[i] < least[k] ? values[i] : least[k];
        most[k] = values[i] > most[k] ? values[i] : most[k];
    }
    uint64_t resets = 0;
    for (i = 1; i < count; i++)
        resets += values[i] < values[i - 1];
    out->resets = (uint32_t)resets;
    out->min = least[0];
    out->max = most[0];
    for (int k = 1; k < LANES; k++) {
        out->min = least[k] < out->min ? least[k] : out->min;
        out->max = most[k] > out->max ? most[k] : out->max;
    }
    out->sum = join_lanes(sums);
}

/* The earliest value equal to `value`, which may be the other zero. */
static double
earliest(const double *values, uint32_t count, double value)
{
    for (uint32_t i = 0; i < count; i++) {
        if (values[i] == value)
            return values[i];
    }
    return value;
}

static void
of_any(const double *values, uint32_t count, struct weir_statistics *out)
{
    double sums[LANES] = {0}, before = 0;
    bool has_before = false;
    for (uint32_t i = 0; i < count; i++) {
        double value = values[i];
        if (value != value) {
            bool stale = weir_double_bits(value) == WEIR_STALE_MARKER;
            out->stale_markers += stale;
            out->nans += !stale;
            continue;
        }
        sums[i % LANES] += value;
        out->resets += has_before && value < before;
        out->min = has_before && !(value < out->min) ? out->min : value;
        out->max = has_before && !(value > out->max) ? out->max : value;
        before = value;
        has_before = true;
    }
    if (!has_before)
        out->min = out->max = weir_bits_double(UINT64_C(0x7ff8000000000000));
    out->sum = join_lanes(sums);
}

void
weir_statistics_of(const double *values, uint32_t count, struct weir_statistics *out)
{
    *out = (struct weir_statistics){.count = count, .first = values[0], .last = values[count - 1]};
    bool nan = false;
    for (uint32_t i = 0; i < count; i++)
        nan |= values[i] != values[i];
    if (nan) {
        of_any(values, count, out);
        return;
    }
    of_numbers(values, count, out);
    if (out->min == 0)
        out->min = earliest(values, count, 0);
    if (out->max == 0)
        out->max = earliest(values, count, 0);
}

static uint8_t *
put_double(uint8_t *at, double value)
{
    memcpy(at, &value, sizeof value);
    return at + sizeof value;
}

static uint8_t *
put_edge(uint8_t *at, double value, bool decimal, uint64_t distance)
{
    return decimal ? weir_varint_put(at, distance) : put_double(at, value);
}

/* Where a sum of decimals is expected: in the middle between min and max. */
static uint64_t
middle_sum(uint32_t count, uint64_t least, uint64_t most)
{
    return count * least + count * (most - least) / 2;
}

/* The integer nearest to value / 10^exponent; false where that is past 2^53. */
static bool
nearest(double value, int exponent, int64_t *out)
{
    double power = weir_decimal_double(1, exponent < 0 ? -exponent : exponent);
    double scaled = exponent < 0 ? value * power : value / power;
    if (!(scaled > -(double)WEIR_MANTISSA_MAX && scaled < (double)WEIR_MANTISSA_MAX))
        return false;
    *out = (int64_t)(scaled < 0 ? scaled - 0.5 : scaled + 0.5);
    return true;
}

/* The integer, and how far the double is from the one that it gives. */
static uint8_t *
put_sum(uint8_t *at, double value, int64_t sum, uint64_t middle, int exponent)
{
    double near = weir_decimal_double(sum, exponent);
    at = weir_varint_put_signed(at, (uint64_t)sum - middle);
    return weir_varint_put_signed(at, weir_double_bits(value) - weir_double_bits(near));
}

uint8_t *
weir_statistics_encode(const struct weir_statistics *statistics, int exponent, uint8_t *out)
{
    int64_t least = 0, most = 0, first = 0, last = 0, sum = 0;
    unsigned form = 0;
    if (weir_alp_mantissa(weir_double_bits(statistics->min), exponent, &least) &&
        weir_alp_mantissa(weir_double_bits(statistics->max), exponent, &most)) {
        form = FORM_DECIMAL;
        if (weir_alp_mantissa(weir_double_bits(statistics->first), exponent, &first))
            form |= FORM_FIRST_DECIMAL;
        if (weir_alp_mantissa(weir_double_bits(statistics->last), exponent, &last))
            form |= FORM_LAST_DECIMAL;
        if (!nearest(statistics->sum, exponent, &sum))
            form |= FORM_SUM_DOUBLE;
    }
    form |= (statistics->nans > 0 ? FORM_NANS : 0) |
        (statistics->stale_markers > 0 ? FORM_STALE_MARKERS : 0) |
        (statistics->resets > 0 ? FORM_RESETS : 0);
    *out++ = (uint8_t)form;
    if (form & FORM_DECIMAL) {
        out = weir_varint_put_signed(out, (uint64_t)least);
        out = weir_varint_put(out, (uint64_t)most - (uint64_t)least);
    } else {
        out = put_double(put_double(out, statistics->min), statistics->max);
    }
    out = put_edge(
        out, statistics->first, form & FORM_FIRST_DECIMAL, (uint64_t)first - (uint64_t)least);
    out =
        put_edge(out, statistics->last, form & FORM_LAST_DECIMAL, (uint64_t)most - (uint64_t)last);
    uint64_t middle = middle_sum(statistics->count, (uint64_t)least, (uint64_t)most);
    out = (form & FORM_DECIMAL) && !(form & FORM_SUM_DOUBLE)
        ? put_sum(out, statistics->sum, sum, middle, exponent)
        : put_double(out, statistics->sum);
    if (statistics->nans > 0)
        out = weir_varint_put(out, statistics->nans);
    if (statistics->stale_markers > 0)
        out = weir_varint_put(out, statistics->stale_markers);
    if (statistics->resets > 0)
        out = weir_varint_put(out, statistics->resets);
    return out;
}

static double
get_double(struct weir_bytes *bytes)
{
    double value = 0;
    const uint8_t *at = weir_bytes_get(bytes, sizeof value);
    if (at != NULL)
        memcpy(&value, at, sizeof value);
    return value;
}

/* A decimal, of which the mantissa was read, or else a double. */
static double
get_edge(struct weir_bytes *bytes, bool decimal, uint64_t mantissa, int exponent)
{
    return decimal ? weir_decimal_double((int64_t)mantissa, exponent) : get_double(bytes);
}

static double
get_sum(struct weir_bytes *bytes, uint64_t middle, int exponent)
{
    int64_t sum = (int64_t)(weir_varint_get_signed(bytes) + middle);
    uint64_t off = weir_varint_get_signed(bytes);
    return weir_bits_double(weir_double_bits(weir_decimal_double(sum, exponent)) + off);
}

/* A count that the form names is neither 0 nor more than all. */
static bool
get_count(struct weir_bytes *bytes, unsigned named, uint32_t count, uint32_t *out)
{
    if (!named)
        return true;
    uint64_t value = weir_varint_get(bytes);
    *out = (uint32_t)value;
    return value > 0 && value <= count;
}

bool
weir_statistics_decode(
    struct weir_bytes *bytes, int exponent, uint32_t count, struct weir_statistics *out)
{
    *out = (struct weir_statistics){.count = count};
    const uint8_t *head = weir_bytes_get(bytes, 1);
    if (head == NULL || head[0] > FORM_ALL)
        return false;
    unsigned form = head[0];
    bool decimal = form & FORM_DECIMAL;
    if (!decimal && (form & (FORM_FIRST_DECIMAL | FORM_LAST_DECIMAL | FORM_SUM_DOUBLE)))
        return false;
    uint64_t least = decimal ? weir_varint_get_signed(bytes) : 0;
    out->min = get_edge(bytes, decimal, least, exponent);
    uint64_t most = decimal ? least + weir_varint_get(bytes) : 0;
    out->max = get_edge(bytes, decimal, most, exponent);
    bool first = form & FORM_FIRST_DECIMAL, last = form & FORM_LAST_DECIMAL;
    out->first = get_edge(bytes, first, first ? least + weir_varint_get(bytes) : 0, exponent);
    out->last = get_edge(bytes, last, last ? most - weir_varint_get(bytes) : 0, exponent);
    out->sum = decimal && !(form & FORM_SUM_DOUBLE)
        ? get_sum(bytes, middle_sum(count, least, most), exponent)
        : get_double(bytes);
    return get_count(bytes, form & FORM_NANS, count, &out->nans) &&
        get_count(bytes, form & FORM_STALE_MARKERS, count, &out->stale_markers) &&
        get_count(bytes, form & FORM_RESETS, count, &out->resets) && !bytes->bad;
}
