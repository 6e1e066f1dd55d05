/* weir send: lines of a file or generated ones, by UDP or TCP. */
#include "app/cli/commands.h"
#include "app/cli/options.h"
#include "app/cli/send/text.h"
#include "app/cli/send/weir.h"
#include "base/escape.h"
#include "client/wire.h"
#include "controlplane/http/time_text.h"
#include "dataplane/protocol/protocol.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define NAMES_MAX 256         /* of protocols */
#define DATAGRAM_DEFAULT 1400 /* fits an Ethernet frame with room for tunnels */

/* The words of the command line. */
struct words {
    const char *proto;
    const char *lines; /* NULL: not said, as the next three */
    const char *chaos;
    const char *timeout;
    const char *path;
    bool generate, series, datagram, sender; /* said */
};

/* Words that do not go together. */
static enum weir_err
check_words(const struct words *words, const struct weir_send_options *options, bool weir)
{
    if (options->udp == NULL && options->tcp == NULL)
        return weir_fail(WEIR_INVALID, 0, "one of --udp ADDR:PORT and --tcp ADDR:PORT is needed");
    if (options->udp != NULL && options->tcp != NULL)
        return weir_fail(WEIR_INVALID, 0, "--udp and --tcp: one of them, not both");
    if (words->generate && words->path != NULL)
        return weir_fail(
            WEIR_INVALID, 0, "--generate makes the lines up: '%s' would not be read", words->path);
    if (words->series && !words->generate)
        return weir_fail(WEIR_INVALID, 0, "--series: only with --generate");
    if (words->lines != NULL && !weir)
        return weir_fail(WEIR_INVALID, 0,
            "--lines: only with --proto weir; else --proto itself "
            "names the lines' protocol");
    if (words->sender && !weir)
        return weir_fail(WEIR_INVALID, 0, "--sender: only with --proto weir");
    if (words->datagram && options->udp == NULL)
        return weir_fail(WEIR_INVALID, 0, "--datagram: only with --udp");
    if (words->chaos != NULL && options->udp == NULL)
        return weir_fail(WEIR_INVALID, 0, "--chaos: only with --udp");
    return WEIR_OK;
}

static enum weir_err
check_numbers(const struct words *words, const struct weir_send_options *options,
    const struct weir_send_source *source, bool weir)
{
    uint64_t least = weir ? 256 : 64;
    uint64_t most = weir ? WEIR_WIRE_PACKET_MAX : WEIR_SEND_DATAGRAM_MAX;
    if (words->generate && source->count == 0)
        return weir_fail(WEIR_INVALID, 0, "--generate: at least 1");
    if (words->series && source->series == 0)
        return weir_fail(WEIR_INVALID, 0, "--series: at least 1");
    if (words->sender && options->sender == 0)
        return weir_fail(WEIR_INVALID, 0, "--sender: 0 is no sender; from 1 on");
    if (options->datagram < least || options->datagram > most)
        return weir_fail(
            WEIR_INVALID, 0, "--datagram: from %" PRIu64 " to %" PRIu64 " bytes", least, most);
    return WEIR_OK;
}

/* Checks the words of the command line together, and derives the options from them. */
static enum weir_err
check_options(
    const struct words *words, struct weir_send_options *options, struct weir_send_source *source)
{
    bool weir = strcmp(words->proto, "weir") == 0;
    const char *text = !weir ? words->proto : words->lines != NULL ? words->lines : "influx";
    char names[NAMES_MAX];
    source->protocol = weir_protocol_find(text);
    if (source->protocol == NULL || source->protocol->line_make == NULL) {
        weir_protocol_line_names(names, sizeof names, ", ");
        return weir_fail(WEIR_INVALID, 0, "--%s: '%s' is none of %s%s", weir ? "lines" : "proto",
            text, names, weir ? "" : ", weir");
    }
    enum weir_err err = check_words(words, options, weir);
    if (err == WEIR_OK)
        err = check_numbers(words, options, source, weir);
    int64_t timeout_ms;
    if (err == WEIR_OK && words->timeout != NULL) {
        err = weir_duration_parse(words->timeout, &timeout_ms);
        if (err != WEIR_OK)
            return weir_fail(err, 0, "--timeout %s: %s", words->timeout, weir_err_detail());
        options->timeout_ms = timeout_ms < INT32_MAX ? (int)timeout_ms : INT32_MAX;
    }
    options->has_chaos = words->chaos != NULL;
    return err == WEIR_OK && options->has_chaos ? weir_chaos_parse(words->chaos, &options->chaos)
                                                : err;
}

int
weir_command_send(int argc, char **argv)
{
    struct words words = {.proto = "influx"};
    int word_count = 1;
    struct weir_send_options send = {.datagram = DATAGRAM_DEFAULT, .timeout_ms = WEIR_SEND_WAIT_MS};
    struct weir_send_source source = {.series = 100};
    const struct weir_option options[] = {{"udp", &send.udp, NULL, NULL},
        {"tcp", &send.tcp, NULL, NULL}, {"proto", &words.proto, NULL, NULL},
        {"lines", &words.lines, NULL, NULL}, {"generate", NULL, &words.generate, &source.count},
        {"series", NULL, &words.series, &source.series}, {"rate", NULL, NULL, &send.rate},
        {"datagram", NULL, &words.datagram, &send.datagram},
        {"sender", NULL, &words.sender, &send.sender}, {"chaos", &words.chaos, NULL, NULL},
        {"timeout", &words.timeout, NULL, NULL}, {NULL, NULL, NULL, NULL}};
    enum weir_err err = weir_options_parse(options, argc, argv, &words.path, &word_count);
    if (err == WEIR_OK)
        err = check_options(&words, &send, &source);
    if (err == WEIR_OK)
        err = weir_send_source_open(&source, words.path);
    if (err == WEIR_OK)
        err = strcmp(words.proto, "weir") == 0 ? weir_send_weir(&send, &source)
                                               : weir_send_text(&send, &source);
    if (err != WEIR_OK)
        weir_line_print(stderr, "weir send: %s", weir_err_detail());
    weir_send_source_close(&source);
    if (err == WEIR_OK)
        return EXIT_SUCCESS;
    return err == WEIR_INVALID ? WEIR_EXIT_USAGE : EXIT_FAILURE;
}

void
weir_usage_send(FILE *out)
{
    char names[NAMES_MAX];
    weir_protocol_line_names(names, sizeof names, ", ");
    fprintf(out,
        "usage: weir send --udp ADDR:PORT [OPTIONS] [FILE]\n"
        "       weir send --tcp ADDR:PORT [OPTIONS] [FILE]\n\n"
        "Sends the lines of FILE, or of standard input. By TCP it closes its half, waits for the\n"
        "answer `ok ACCEPTED REJECTED OFFSET` (all of it is durable) and prints it. The exit code\n"
        "is 0 if the answer comes and REJECTED is 0, else 1. By UDP nobody answers; datagrams end\n"
        "between records. A record that Weir refuses is reported and sent alone; the exit code is\n"
        "1. If nobody listens to the port most machines report it; if the report comes within\n"
        "0.1 s of the last datagram, the exit code is 1 too.\n\n"
        "  --generate COUNT   send COUNT made-up lines and no FILE, times ending now\n"
        "  --series N         series among them (default 100)\n"
        "  --proto P          the lines' protocol: %s\n"
        "                     (default influx); or weir, the protocol of Weir itself\n"
        "  --rate N           lines a second (default 0: as fast as possible)\n"
        "  --timeout T        longest wait for a connection, for the other side to take more, and\n"
        "                     for its answer (default 30s)\n"
        "  --datagram BYTES   by UDP: lines are packed into datagrams of this size (default %d)\n"
        "  --chaos SEED,LOSS,DUP,REORDER\n"
        "                     by UDP: lose, double and delay (by up to 1,023 others) datagrams,\n"
        "                     in percent of at most 90 each, and print the truth as JSON\n\n"
        "With --proto weir the lines are read here and go as groups of numbers; a line that does\n"
        "not parse is reported, and the exit code is 1. By TCP it waits until all packets are\n"
        "acknowledged as durable and prints `ok LINES REJECTED PACKETS` (REJECTED: records).\n\n"
        "  --lines L          the lines' protocol, as above but weir\n"
        "  --sender ID        a number from 1 on (default: a random one); runs with the same one\n"
        "                     have to follow each other; each lasts into the next second\n",
        names, DATAGRAM_DEFAULT);
}
