/* proto: the protocols of a load, and the bounds of its packets. */
#ifndef WEIR_BENCH_LOAD_PROTO_H
#define WEIR_BENCH_LOAD_PROTO_H

#include <stdbool.h>

#define WEIR_BENCH_PACKET_MAX 2048
#define WEIR_BENCH_SERIES_MAX 120000000 /* a host's number has seven digits */
/* With so many or more each pass has a second of its own. */
#define WEIR_BENCH_SERIES_OF_SECONDS 100000
#define WEIR_BENCH_TIMES_BACK_MS 600000 /* of a run's first samples */

enum weir_bench_proto {
    WEIR_BENCH_INFLUX,
    WEIR_BENCH_GRAPHITE,
    WEIR_BENCH_WEIR,
    WEIR_BENCH_PROTOS
};
extern const char *const weir_bench_proto_names[WEIR_BENCH_PROTOS];
/* False if no protocol has this name. */
bool weir_bench_proto_find(const char *name, enum weir_bench_proto *out);

#endif
