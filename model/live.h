/* live: the place in the shared region for values of the configuration that change while an
 * instance runs. It holds bytes; config/live.h writes and reads what they mean.
 *
 * Threads: the supervisor writes, threads of the other processes read
 * Memory:  zero bytes say that nothing has changed since the start
 */
#ifndef WEIR_MODEL_LIVE_H
#define WEIR_MODEL_LIVE_H

#include <stdatomic.h>
#include <stdint.h>

#define WEIR_LIVE_BYTES 32768
#define WEIR_LIVE_WORDS (WEIR_LIVE_BYTES / 8)

/* Under a sequence lock (base/seqlock.h). */
struct weir_live {
    _Atomic uint64_t sequence;
    _Atomic uint64_t words[WEIR_LIVE_WORDS];
};

#endif
