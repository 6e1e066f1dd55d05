#include "base/clock.h"

#include <stdatomic.h>

#define CALIBRATE_NS 10000000

double
weir_tsc_hz(void)
{
    static _Atomic uint64_t cached;
    uint64_t hz = atomic_load_explicit(&cached, memory_order_relaxed);
    if (hz != 0)
        return (double)hz;
    int64_t start_ns = weir_mono_ns();
    uint64_t start = weir_tsc();
    int64_t now_ns;
    do
        now_ns = weir_mono_ns();
    while (now_ns - start_ns < CALIBRATE_NS);
    uint64_t ticks = weir_tsc() - start;
    hz = (uint64_t)((double)ticks * 1e9 / (double)(now_ns - start_ns));
    atomic_store_explicit(&cached, hz, memory_order_relaxed);
    return (double)hz;
}
