/* clock: wall time, monotonic time and the time stamp counter.
 *
 * Threads: any. Units are in the names. The TSC frequency is measured once against
 * CLOCK_MONOTONIC (weir_tsc_hz), because CPUID does not report it on every machine.
 */
#ifndef WEIR_BASE_CLOCK_H
#define WEIR_BASE_CLOCK_H

#include <stdint.h>
#include <time.h>

#if defined(__x86_64__)
#include <x86intrin.h>
#endif

static inline int64_t
weir_clock_ns(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

/* A monotonic clock that the caller of a part chooses: in the simulator time moves only between
 * steps. NULL is the machine's. */
struct weir_clock {
    int64_t (*mono_ns)(void *context);
    void *context;
};

/* Milliseconds since the Unix epoch. */
static inline int64_t
weir_wall_ms(void)
{
    return weir_clock_ns(CLOCK_REALTIME) / 1000000;
}

/* Monotonic nanoseconds; the zero point has no meaning. */
static inline int64_t
weir_mono_ns(void)
{
    return weir_clock_ns(CLOCK_MONOTONIC);
}

static inline int64_t
weir_clock_mono_ns(const struct weir_clock *clock)
{
    return clock == NULL ? weir_mono_ns() : clock->mono_ns(clock->context);
}

/* Cycle counter of the stage counters: TSC on x86-64, monotonic nanoseconds elsewhere. */
static inline uint64_t
weir_tsc(void)
{
#if defined(__x86_64__)
    return __rdtsc();
#else
    return (uint64_t)weir_mono_ns();
#endif
}

/* Ticks of weir_tsc() a second. The first call takes about 10 ms; later ones are free. */
double weir_tsc_hz(void);

#endif
