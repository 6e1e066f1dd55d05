#include "bench/veth/parts.h"

#include "app/cli/options.h"
#include "bench/values.h"

#include <inttypes.h>
#include <string.h>

#define RATE_DEFAULT 100000
#define RATE_MAX 5000000
#define FRAME_SAMPLES_MAX 164 /* of a weir packet */
#define FRAME_LINES_MAX 17    /* of 86 bytes each, the shortest ones */
/* From a run's first time to the hour ahead, without the time of warming up and trials. */
#define TIMES_MS (WEIR_BENCH_TIMES_BACK_MS + 3600000 - \
                  1000 * (WEIR_VETH_WARM_PASSES_MAX + WEIR_BENCH_TRIALS_MAX + 2) * \
                      (1 + WEIR_VETH_PASSES_APART))

void
weir_usage_bench_veth(FILE *out)
{
    fputs("  --source veth   real frames over a veth pair through AF_XDP; needs root. It takes\n"
          "                  --proto, --series, --seconds, --json, --data and\n"
          "  --pairs N       1 (default), 2 or 4 veth pairs, each with a port and its buffers;\n"
          "                  not with --socket\n"
          "  --socket        the frames go through the kernel's stack to its UDP socket\n"
          "  --payload N     each datagram is filled with whole lines up to N bytes (256-1472;\n"
          "                  without it each is one host's 12 lines, about 1,230 bytes of influx\n"
          "                  and 1,110 of graphite)\n"
          "  --rate FRAMES   frames a second (default 100000); max: searches for the highest rate\n"
          "                  at which no more than one of 100,000 is lost\n",
        out);
}

/* Lines do not depend on each other: frames may be filled with them in any way. */
static bool
has_lines(const struct weir_veth_options *options)
{
    return options->proto != WEIR_BENCH_WEIR;
}

uint64_t
weir_veth_rate_bound(const struct weir_veth_options *options)
{
    return has_lines(options) ? 1000000 : 300000;
}

/* Trials have half the bound on average, or less. */
uint64_t
weir_veth_samples_bound(const struct weir_veth_options *options)
{
    bool searches = options->rate == WEIR_VETH_RATE_SEARCH;
    double bound = (double)weir_veth_rate_bound(options);
    double trials = WEIR_BENCH_TRIALS_MAX * (double)WEIR_VETH_TRIAL_NS / 1e9;
    double frames = searches ? bound / 2 * trials + bound * 3 / 4 * (options->seconds * 2 + 2)
                             : (double)options->rate * (options->seconds + 2);
    return (uint64_t)frames * (has_lines(options) ? FRAME_LINES_MAX : FRAME_SAMPLES_MAX);
}

/* Times that move on by whole seconds may be at most an hour ahead: a run must not be able to send
 * more passes than that. */
static enum weir_err
check_times(const struct weir_veth_options *options)
{
    int64_t step_ms = weir_bench_step_ms(options->proto, options->series);
    if (weir_bench_time_unit_ms(options->proto) == 1)
        return WEIR_OK;
    uint64_t least = weir_veth_samples_bound(options) / (uint64_t)(TIMES_MS / step_ms) + 1;
    if (options->series >= least)
        return WEIR_OK;
    return weir_fail(WEIR_INVALID, 0, "--series %" PRIu64 ": the times of --proto %s are whole "
        "seconds, one for each pass over all series: with fewer than %" PRIu64 " they would be "
        "more than an hour ahead at this rate", options->series,
        weir_bench_proto_names[options->proto], least);
}

/* Checks options against each other. */
static enum weir_err
check_together(const struct weir_veth_options *options)
{
    if (options->data == NULL)
        return weir_fail(WEIR_INVALID, 0, "--data is missing");
    if (options->pairs != 1 && options->pairs != 2 && options->pairs != 4)
        return weir_fail(WEIR_INVALID, 0, "--pairs %u: 1, 2 or 4", options->pairs);
    if (options->pairs > 1 && options->socket)
        return weir_fail(WEIR_INVALID, 0,
            "--pairs %u: not with --socket, whose frames take one pair", options->pairs);
    if (options->payload_max > 0 && !has_lines(options))
        return weir_fail(WEIR_INVALID, 0, "--payload: for --proto influx and graphite: it is "
            "lines that datagrams are filled with");
    return check_times(options);
}

enum weir_err
weir_veth_options_parse(int argc, char **argv, struct weir_veth_options *out)
{
    const char *source, *proto = NULL, *series = NULL, *seconds = NULL, *rate = NULL;
    const char *pairs = NULL, *payload = NULL;
    *out = (struct weir_veth_options){
        .proto = WEIR_BENCH_INFLUX, .series = 1000000, .seconds = 10, .rate = RATE_DEFAULT};
    const struct weir_option table[] = {{.name = "source", .text = &source},
        {.name = "proto", .text = &proto}, {.name = "data", .text = &out->data},
        {.name = "series", .text = &series}, {.name = "seconds", .text = &seconds},
        {.name = "rate", .text = &rate}, {.name = "pairs", .text = &pairs},
        {.name = "payload", .text = &payload}, {.name = "socket", .flag = &out->socket},
        {.name = "json", .flag = &out->json}, {0}};
    uint64_t pair_count = 1, payload_max = 0;
    int words = 0;
    enum weir_err err = weir_options_parse(table, argc, argv, NULL, &words);
    if (err == WEIR_OK)
        err = weir_bench_value_proto(proto, &out->proto);
    if (err == WEIR_OK)
        err = weir_bench_value_series(series, &out->series);
    if (err == WEIR_OK)
        err = weir_bench_value_seconds(seconds, 600, &out->seconds);
    if (err == WEIR_OK && rate != NULL && strcmp(rate, "max") == 0)
        out->rate = WEIR_VETH_RATE_SEARCH;
    else if (err == WEIR_OK &&
             weir_bench_value_count("rate", rate, 1, RATE_MAX, &out->rate) != WEIR_OK)
        err = weir_fail(WEIR_INVALID, 0, "--rate %s: a whole number from 1 to %d, or max", rate,
            RATE_MAX);
    if (err == WEIR_OK)
        err = weir_bench_value_count("pairs", pairs, 1, WEIR_BENCH_FRAMES_PAIRS_MAX, &pair_count);
    if (err == WEIR_OK)
        err = weir_bench_value_count("payload", payload, WEIR_BENCH_FRAMES_PAYLOAD_MIN,
            WEIR_BENCH_FRAMES_PAYLOAD_MAX, &payload_max);
    out->pairs = (uint32_t)pair_count;
    out->payload_max = (uint32_t)payload_max;
    return err == WEIR_OK ? check_together(out) : err;
}
