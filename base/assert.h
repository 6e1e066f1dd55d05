/* assert: invariants that hold or the process ends.
 *
 * WEIR_ASSERT is on in release builds and has no side effects; a failure prints the place and
 * aborts, the supervisor restarts the process and the log recovers. WEIR_DCHECK is for
 * per-sample loops and is compiled in only with -Ddchecks=true. Neither is ever applied to bytes
 * from the wire or the disk.
 */
#ifndef WEIR_BASE_ASSERT_H
#define WEIR_BASE_ASSERT_H

_Noreturn void weir_assert_failed(const char *condition, const char *file, int line);

#define WEIR_ASSERT(condition) \
    (__builtin_expect(!!(condition), 1) \
            ? (void)0 \
            : weir_assert_failed(#condition, __FILE__, __LINE__))

#ifdef WEIR_DCHECKS
#define WEIR_DCHECK(condition) WEIR_ASSERT(condition)
#else
#define WEIR_DCHECK(condition) ((void)0)
#endif

#define WEIR_LIKELY(x) __builtin_expect(!!(x), 1)
#define WEIR_UNLIKELY(x) __builtin_expect(!!(x), 0)

#define WEIR_CACHE_LINE 64

#endif
