#include "bench/values.h"

#include "config/keys.h"

#include <inttypes.h>
#include <stdlib.h>

enum weir_err
weir_bench_value_proto(const char *text, enum weir_bench_proto *out)
{
    if (text == NULL || weir_bench_proto_find(text, out))
        return WEIR_OK;
    return weir_fail(WEIR_INVALID, 0, "--proto %s: there are: influx, graphite, weir", text);
}

enum weir_err
weir_bench_value_seconds(const char *text, double most, double *out)
{
    char *end;
    if (text == NULL)
        return WEIR_OK;
    double value = strtod(text, &end);
    if (end == text || *end != '\0' || !(value > 0 && value <= most))
        return weir_fail(WEIR_INVALID, 0, "--seconds %s: a number above 0, up to %g", text, most);
    *out = value;
    return WEIR_OK;
}

enum weir_err
weir_bench_value_count(const char *name, const char *text, uint64_t least, uint64_t most,
    uint64_t *out)
{
    if (text == NULL || config_parse_count(text, least, most, out) == WEIR_OK)
        return WEIR_OK;
    return weir_fail(WEIR_INVALID, 0,
        "--%s %s: a whole number from %" PRIu64 " to %" PRIu64, name, text, least, most);
}

enum weir_err
weir_bench_value_series(const char *text, uint64_t *out)
{
    return weir_bench_value_count("series", text, 1, WEIR_BENCH_SERIES_MAX, out);
}
