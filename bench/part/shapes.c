#include "bench/part/shapes.h"

#include <math.h>

const char *const shape_group_names[SHAPE_GROUPS] = {
    "counters", "gauges", "buckets", "integers", "constants"};

enum shape_group
shape_group_of(unsigned shape)
{
    static const uint8_t groups[WEIR_SHAPES] = {SHAPE_COUNTER, SHAPE_COUNTER, SHAPE_COUNTER,
        SHAPE_COUNTER, SHAPE_COUNTER, SHAPE_COUNTER, SHAPE_GAUGE, SHAPE_GAUGE, SHAPE_GAUGE,
        SHAPE_GAUGE, SHAPE_BUCKET, SHAPE_BUCKET, SHAPE_BUCKET, SHAPE_BUCKET, SHAPE_INTEGER,
        SHAPE_INTEGER, SHAPE_CONSTANT, SHAPE_CONSTANT, SHAPE_CONSTANT, SHAPE_CONSTANT};
    return (enum shape_group)groups[shape];
}

/* splitmix64 (Steele, Lea, Flood, OOPSLA 2014). */
static uint64_t
next(uint64_t *state)
{
    uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

static double
uniform(uint64_t *state)
{
    return (double)(next(state) >> 11) * 0x1p-53;
}

/* About normal, of variance 1: the sum of twelve uniform numbers. */
static double
normal(uint64_t *state)
{
    double sum = -6;
    for (int i = 0; i < 12; i++)
        sum += uniform(state);
    return sum;
}

/* Knuth, TAOCP 2, 3.4.1; for means up to some twenties. */
static int64_t
poisson(uint64_t *state, double mean)
{
    double limit = exp(-mean), product = uniform(state);
    int64_t count = 0;
    for (; product > limit; count++)
        product *= uniform(state);
    return count;
}

static uint64_t
state_of(uint64_t seed, uint32_t host, uint32_t what)
{
    uint64_t state = seed ^ (uint64_t)host << 32 ^ what;
    next(&state);
    return state;
}

static void
counter(uint64_t *state, double range, uint32_t count, int64_t *out)
{
    int64_t value = (int64_t)(uniform(state) * range * 100000);
    for (uint32_t i = 0; i < count; i++)
        out[i] = value += (int64_t)(uniform(state) * range);
}

static void
bucket(uint64_t *state, double mean, uint32_t count, int64_t *out)
{
    int64_t value = (int64_t)(uniform(state) * mean * 100000);
    for (uint32_t i = 0; i < count; i++)
        out[i] = value += poisson(state, mean);
}

static void
walk(uint64_t *state, double step, uint32_t count, int64_t *out)
{
    double value = uniform(state) * 10000;
    for (uint32_t i = 0; i < count; i++) {
        value = fabs(value + normal(state) * step);
        out[i] = (int64_t)value;
    }
}

static void
noise(uint64_t *state, double mean, double deviation, uint32_t count, int64_t *out)
{
    for (uint32_t i = 0; i < count; i++)
        out[i] = (int64_t)fabs(mean + normal(state) * deviation);
}

static void
wave(uint64_t *state, uint32_t count, int64_t *out)
{
    double phase = uniform(state) * 6.28;
    for (uint32_t i = 0; i < count; i++)
        out[i] = (int64_t)(50000 + 20000 * sin(phase + i * 0.000727) + normal(state) * 50);
}

static void
steps(uint64_t *state, double chance, int64_t step, uint32_t count, int64_t *out)
{
    int64_t value = (int64_t)(uniform(state) * 100) * step;
    for (uint32_t i = 0; i < count; i++) {
        if (uniform(state) < chance)
            value += uniform(state) < 0.5 ? -step : step;
        out[i] = value;
    }
}

int
shape_values(uint64_t seed, uint32_t host, unsigned shape, uint32_t count, int64_t *mantissas)
{
    uint64_t state = state_of(seed, host, shape);
    static const double ranges[] = {16, 128, 1024, 8192, 65536};
    static const double means[] = {0.01, 0.3, 3, 20};
    switch (shape) {
    case 0:
    case 1:
    case 2:
    case 3:
    case 4:
        counter(&state, ranges[shape], count, mantissas);
        return 0;
    case 5:
        counter(&state, 1000, count, mantissas);
        return -2;
    case 6:
        walk(&state, 5, count, mantissas);
        return -2;
    case 7:
        noise(&state, 5000, 40, count, mantissas);
        return -2;
    case 8:
        wave(&state, count, mantissas);
        return -3;
    case 9:
        noise(&state, 1200, 150, count, mantissas);
        return -4;
    case 10:
    case 11:
    case 12:
    case 13:
        bucket(&state, means[shape - 10], count, mantissas);
        return 0;
    case 14:
        steps(&state, 0.1, 1, count, mantissas);
        return 0;
    case 15:
        steps(&state, 0.5, 4096, count, mantissas);
        return 0;
    case 16:
        steps(&state, 0.002, 1, count, mantissas);
        return 0;
    default:
        steps(&state, 0, 1 + shape, count, mantissas);
        return 0;
    }
}

void
shape_times(uint64_t seed, uint32_t host, int64_t start_ms, int64_t interval_ms, int64_t jitter_ms,
    uint32_t count, int64_t *times_ms)
{
    uint64_t state = state_of(seed, host, UINT32_MAX);
    int64_t phase = (int64_t)(uniform(&state) * (double)interval_ms);
    for (uint32_t i = 0; i < count; i++)
        times_ms[i] = start_ms + phase + i * interval_ms +
            (int64_t)floor(normal(&state) * (double)jitter_ms + 0.5);
}
