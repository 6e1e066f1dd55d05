#include "app/bench_veth_parts.h"

#include <getopt.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define RATE_DEFAULT 100000
#define RATE_MAX 5000000
#define FRAME_SAMPLES_MAX 164 /* of a weir packet */
#define FRAME_LINES_MAX 17    /* of 86 bytes each, the shortest ones */
/* From a run's first time to the hour ahead, without what warming up and trials may take. */
#define TIMES_MS (WEIR_BENCH_TIMES_BACK_MS + 3600000 - \
                  1000 * (WEIR_VETH_WARM_PASSES_MAX + WEIR_BENCH_TRIALS_MAX + 2) * \
                      (1 + WEIR_VETH_PASSES_APART))

void
weir_usage_bench_veth(FILE *out)
{
    fputs("  --source veth   real frames over a veth pair through AF_XDP; needs root. It takes\n"
          "                  --proto, --series, --seconds, --json, --data and\n"
          "  --pairs N       1 (default), 2 or 4 veth pairs, each with a port and its buffers;\n"
          "                  lines alone, not with --socket\n"
          "  --socket        the frames go through the kernel's stack to its UDP socket\n"
          "  --payload N     each datagram is filled with whole lines up to N bytes (256-1472;\n"
          "                  without it each is one host's 12 lines, about 1,230 bytes of influx\n"
          "                  and 1,110 of graphite)\n"
          "  --rate FRAMES   frames a second (default 100000); max: searches for the highest rate\n"
          "                  at which no more than one of 100,000 is lost\n",
        out);
}

/* Lines do not depend on each other, so that frames may be filled with them in any way. */
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

/* Times that move on by whole seconds have to stay within the hour that may lie ahead: what a run
 * could send is not to be more passes than that. Says what it would take. */
static bool
times_fit(const struct weir_veth_options *options)
{
    int64_t step_ms = weir_bench_step_ms(options->proto, options->series);
    if (weir_bench_time_unit_ms(options->proto) == 1)
        return true;
    uint64_t least = weir_veth_samples_bound(options) / (uint64_t)(TIMES_MS / step_ms) + 1;
    if (options->series < least)
        fprintf(stderr, "weir bench: --proto %s: its times are whole seconds, one for each pass "
            "over all series: %" PRIu64 " series at least for so many frames, or times would lie "
            "more than an hour ahead\n", weir_bench_proto_names[options->proto], least);
    return options->series >= least;
}

bool
weir_veth_options_parse(int argc, char **argv, struct weir_veth_options *out)
{
    static const struct option table[] = {{"source", required_argument, NULL, 's'},
        {"proto", required_argument, NULL, 'p'}, {"data", required_argument, NULL, 'd'},
        {"series", required_argument, NULL, 'n'}, {"seconds", required_argument, NULL, 't'},
        {"rate", required_argument, NULL, 'r'}, {"json", no_argument, NULL, 'j'},
        {"socket", no_argument, NULL, 'k'}, {"payload", required_argument, NULL, 'l'},
        {"pairs", required_argument, NULL, 'm'}, {NULL, 0, NULL, 0}};
    *out = (struct weir_veth_options){
        .proto = WEIR_BENCH_INFLUX, .series = 1000000, .seconds = 10, .pairs = 1,
        .rate = RATE_DEFAULT};
    char none[] = "";
    char *end = none;
    int option;
    while ((option = getopt_long(argc + 1, argv - 1, "", table, NULL)) != -1) {
        if (option == 'd')
            out->data = optarg;
        else if (option == 'n')
            out->series = strtoull(optarg, &end, 10);
        else if (option == 't')
            out->seconds = strtod(optarg, &end);
        else if (option == 'r' && strcmp(optarg, "max") == 0)
            out->rate = WEIR_VETH_RATE_SEARCH;
        else if (option == 'r' && (out->rate = strtoull(optarg, &end, 10)) == 0)
            return false;
        else if (option == 'j')
            out->json = true;
        else if (option == 'k')
            out->socket = true;
        else if (option == 'm')
            out->pairs = (uint32_t)strtoul(optarg, &end, 10);
        else if (option == 'l')
            out->payload_max = (uint32_t)strtoul(optarg, &end, 10);
        else if (option == '?' || (option == 'p' && !weir_bench_proto_find(optarg, &out->proto)))
            return false;
        if (*end != '\0')
            return false;
    }
    return out->data != NULL && out->series > 0 && out->series <= WEIR_BENCH_SERIES_MAX &&
           out->seconds > 0 && out->seconds <= 600 && out->rate <= RATE_MAX &&
           (out->pairs == 1 || (!out->socket && has_lines(out) &&
                                   (out->pairs == 2 || out->pairs == 4))) &&
           (out->payload_max == 0 ||
               (has_lines(out) && out->payload_max >= WEIR_BENCH_FRAMES_PAYLOAD_MIN &&
                   out->payload_max <= WEIR_BENCH_FRAMES_PAYLOAD_MAX)) &&
           times_fit(out);
}
