#include "bench/parts.h"

#include "app/cli/commands.h"
#include "app/cli/options.h"
#include "bench/overload.h"
#include "bench/values.h"
#include "bench/veth/veth.h"
#include "storage/log/format.h"

#include <string.h>

#define LOG_BYTES_MIN (8 * WEIR_BENCH_SEGMENT_BYTES)
#define RECYCLE_BYTES_MIN (4 * WEIR_SEGMENT_BYTES_DEFAULT)
#define VETH_VALUES 2 /* options with a value that are for --source veth alone */

void
weir_usage_bench(FILE *out)
{
    fputs("usage: weir bench [--source ring|udp|tcp|veth] [--proto influx|graphite|weir]\n"
          "                  [--series N] [--seconds S] [--cores N] [--json]\n"
          "                  [--recycle BYTES] --data DIR\n"
          "Runs the dataplane on generated packets and measures the samples that are durable and\n"
          "can be read back. DIR may hold earlier runs; it has to be on a disk, not on tmpfs.\n"
          "  --source ring   packets from shared memory, no kernel in between (default)\n"
          "  --source udp    datagrams to a loopback socket from 1,000 source ports, no more of\n"
          "                  them ahead of the dataplane than the socket's buffer holds: it\n"
          "                  shows the rate of receiving; --source veth --socket shows losses\n"
          "  --payload N     with --source udp: hosts' lines go together in datagrams of up to N\n"
          "                  bytes (2048-65507), as on a network of jumbo frames; without it each\n"
          "                  is one host's 12 lines\n"
          "  --source tcp    eight loopback connections\n"
          "  --proto influx  text lines of about 100 bytes, one field each (default)\n"
          "  --proto graphite  the same metrics as plaintext with tags, 100000 series at least:\n"
          "                  times are whole seconds\n"
          "  --proto weir    agents of 200 metrics, two packets each\n"
          "  --series N      active series (default 1000000)\n"
          "  --seconds S     length of the measurement (default 10)\n"
          "  --cores N       N RX workers, each with a ring of its own; each host goes to another\n"
          "                  worker from pass to pass (--source ring; --proto weir: 1)\n"
          "  --filled        with --cores: rings are filled while the workers wait, and emptied\n"
          "                  while the generator does, for machines without a core for it\n"
          "  --emit LINES    print at least that many of its lines and measure nothing: the same\n"
          "                  bytes for other programs\n"
          "  --json          one JSON object on standard output instead of a table\n"
          "  --log-bytes BYTES  the log may grow by so much (default: the need of the fastest\n"
          "                  machine measured). A run that comes near it ends early, and its\n"
          "                  JSON says so\n"
          "  --recycle BYTES the log stays at that size, its oldest segments are recycled: a\n"
          "                  long run needs no more disk. DIR must hold no log. At the end\n"
          "                  its samples are compared with those stored and not trimmed\n",
        out);
    weir_usage_bench_veth(out);
    weir_usage_bench_overload(out);
}

static bool
parse_source(const char *name, enum weir_bench_source *out)
{
    for (int source = 0; source < WEIR_BENCH_SOURCES; source++) {
        if (strcmp(name, weir_bench_source_names[source]) == 0) {
            *out = (enum weir_bench_source)source;
            return true;
        }
    }
    return false;
}

/* Checks options against each other. */
static enum weir_err
check_together(const struct weir_bench_options *options)
{
    const char *wrong = NULL;
    if (options->data == NULL && options->emit == 0)
        wrong = "--data is missing";
    else if (options->cores > 0 && options->source != WEIR_BENCH_RING)
        wrong = "--cores is for --source ring";
    else if (options->filled && options->cores == 0)
        wrong = "--filled is for --cores";
    else if (options->cores > 1 && options->proto == WEIR_BENCH_WEIR)
        wrong = "--cores above 1: weir packets are taken by the first worker alone";
    else if (options->recycle != 0 && options->log_bytes != 0)
        wrong = "--log-bytes and --recycle: the log grows, or it is recycled";
    else if (options->payload_max > 0 && options->source != WEIR_BENCH_UDP)
        wrong = "--payload is for --source udp and veth";
    else if (options->payload_max > 0 && options->proto == WEIR_BENCH_WEIR)
        wrong = "--payload: a packet of the weir protocol is a datagram";
    else if (options->proto == WEIR_BENCH_GRAPHITE && options->emit == 0 &&
             options->series < WEIR_BENCH_SERIES_OF_SECONDS)
        wrong = "--proto graphite: its times are whole seconds; 100000 series at least";
    return wrong == NULL ? WEIR_OK : weir_fail(WEIR_INVALID, 0, "%s", wrong);
}

/* Options that frames have and others have not. */
static enum weir_err
check_none_of_veth(const struct weir_option *table, const char *const *values, bool socket)
{
    for (; table->name != NULL; table++)
        for (size_t i = 0; i < VETH_VALUES; i++)
            if (table->text == &values[i] && values[i] != NULL)
                return weir_fail(WEIR_INVALID, 0, "--%s is for --source veth", table->name);
    return socket ? weir_fail(WEIR_INVALID, 0, "--socket is for --source veth") : WEIR_OK;
}

enum weir_err
weir_bench_options_parse(int argc, char **argv, struct weir_bench_options *out)
{
    const char *source = NULL, *proto = NULL, *series = NULL, *seconds = NULL, *cores = NULL;
    const char *emit = NULL, *recycle = NULL, *log_bytes = NULL;
    const char *payload = NULL, *of_veth[VETH_VALUES] = {NULL};
    bool socket = false;
    *out = (struct weir_bench_options){
        .source = WEIR_BENCH_RING, .proto = WEIR_BENCH_INFLUX, .series = 1000000, .seconds = 10};
    const struct weir_option table[] = {{.name = "source", .text = &source},
        {.name = "proto", .text = &proto}, {.name = "data", .text = &out->data},
        {.name = "series", .text = &series}, {.name = "seconds", .text = &seconds},
        {.name = "cores", .text = &cores}, {.name = "emit", .text = &emit},
        {.name = "recycle", .text = &recycle},
        {.name = "log-bytes", .text = &log_bytes},
        {.name = "filled", .flag = &out->filled}, {.name = "json", .flag = &out->json},
        {.name = "rate", .text = &of_veth[0]}, {.name = "pairs", .text = &of_veth[1]},
        {.name = "payload", .text = &payload}, {.name = "socket", .flag = &socket}, {0}};
    uint64_t core_count = 0, payload_max = 0;
    int words = 0;
    enum weir_err err = weir_options_parse(table, argc, argv, NULL, &words);
    if (err == WEIR_OK && source != NULL && !parse_source(source, &out->source))
        err = weir_fail(WEIR_INVALID, 0, "--source %s: there are: ring, udp, tcp, veth", source);
    if (err == WEIR_OK)
        err = weir_bench_value_proto(proto, &out->proto);
    if (err == WEIR_OK)
        err = weir_bench_value_series(series, &out->series);
    if (err == WEIR_OK)
        err = weir_bench_value_seconds(seconds, 600, &out->seconds);
    if (err == WEIR_OK)
        err = weir_bench_value_count("cores", cores, 1, WEIR_WORKERS_MAX, &core_count);
    if (err == WEIR_OK)
        err = weir_bench_value_count("emit", emit, 1, UINT64_MAX, &out->emit);
    if (err == WEIR_OK)
        err = weir_bench_value_count("recycle", recycle, RECYCLE_BYTES_MIN, UINT64_MAX / 2,
            &out->recycle);
    if (err == WEIR_OK)
        err = weir_bench_value_count("log-bytes", log_bytes, LOG_BYTES_MIN, UINT64_MAX / 2,
            &out->log_bytes);
    if (err == WEIR_OK)
        err = weir_bench_value_count("payload", payload, WEIR_BENCH_PACKET_MAX,
            WEIR_BENCH_UDP_PAYLOAD_MAX, &payload_max);
    if (err == WEIR_OK)
        err = check_none_of_veth(table, of_veth, socket);
    out->cores = (uint32_t)core_count;
    out->payload_max = (uint32_t)payload_max;
    return err == WEIR_OK ? check_together(out) : err;
}
