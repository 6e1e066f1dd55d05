#include "app/bench_veth_parts.h"

#include <getopt.h>
#include <stdlib.h>
#include <string.h>

#define RATE_DEFAULT 100000
#define RATE_MAX 5000000

void
weir_usage_bench_veth(FILE *out)
{
    fputs("  --source veth   real frames over a veth pair through AF_XDP; needs root. It takes\n"
          "                  --proto, --series, --seconds, --json, --data and\n"
          "  --pairs N       1 (default), 2 or 4 veth pairs, each with a port and its buffers;\n"
          "                  Influx lines, not with --socket\n"
          "  --socket        the frames go through the kernel's stack to its UDP socket\n"
          "  --payload N     each datagram is filled with Influx lines up to N bytes (256-1472;\n"
          "                  without it each is one host's 12 lines, 1,250 bytes)\n"
          "  --rate FRAMES   frames a second (default 100000); max: searches for the highest rate\n"
          "                  at which no more than one of 100,000 is lost\n",
        out);
}

/* Frames are made of influx lines and weir packets alone. */
static bool
parse_proto(const char *name, enum weir_bench_proto *out)
{
    for (int proto = 0; proto < WEIR_BENCH_PROTOS; proto++) {
        if (proto != WEIR_BENCH_GRAPHITE &&
            strcmp(name, weir_bench_proto_names[proto]) == 0) {
            *out = (enum weir_bench_proto)proto;
            return true;
        }
    }
    return false;
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
        else if (option == '?' || (option == 'p' && !parse_proto(optarg, &out->proto)))
            return false;
        if (*end != '\0')
            return false;
    }
    return out->data != NULL && out->series > 0 && out->series <= WEIR_BENCH_SERIES_MAX &&
           out->seconds > 0 && out->seconds <= 600 && out->rate <= RATE_MAX &&
           (out->pairs == 1 || (!out->socket && out->proto == WEIR_BENCH_INFLUX &&
                                   (out->pairs == 2 || out->pairs == 4))) &&
           (out->payload_max == 0 ||
               (out->proto == WEIR_BENCH_INFLUX &&
                   out->payload_max >= WEIR_BENCH_FRAMES_PAYLOAD_MIN &&
                   out->payload_max <= WEIR_BENCH_FRAMES_PAYLOAD_MAX));
}

uint64_t
weir_veth_rate_bound(const struct weir_veth_options *options)
{
    return options->proto == WEIR_BENCH_INFLUX ? 1000000 : 300000;
}
