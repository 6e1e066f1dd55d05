/* weir send: lines of a file or generated ones, by UDP or TCP. */
#include "app/send.h"

#include "app/commands.h"
#include "app/net.h"
#include "app/options.h"
#include "app/words.h"
#include "base/clock.h"
#include "base/escape.h"
#include "client/wire.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define DATAGRAM_DEFAULT 1400 /* fits an Ethernet frame with room for tunnels */
#define DATAGRAM_MAX 65507    /* IPv4 */
/* For word of a port on which nobody listens; each run to a port that is open waits so long. */
#define REFUSAL_WAIT_MS 100

struct sender {
    int fd;
    const char *address;
    bool tcp;
    size_t limit; /* bytes of a datagram, or of one TCP write */
    uint64_t rate;
    struct weir_chaos *chaos; /* NULL: none */
    int64_t started_ns;
    uint64_t lines;
    uint64_t packets;
    size_t used;
    uint64_t held; /* lines in the buffer */
    uint8_t buffer[DATAGRAM_MAX];
};

void
weir_send_pace(int64_t started_ns, uint64_t lines, uint64_t rate)
{
    if (rate == 0)
        return;
    int64_t due = started_ns + (int64_t)((double)lines * 1e9 / (double)rate);
    int64_t early = due - weir_mono_ns();
    if (early <= 0)
        return;
    struct timespec wait = {.tv_sec = early / 1000000000, .tv_nsec = early % 1000000000};
    nanosleep(&wait, NULL);
}

static enum weir_err
fail_refused(void)
{
    return weir_fail(WEIR_IO, 0, "nobody listens on that UDP port");
}

enum weir_err
weir_send_datagram(int fd, const uint8_t *packet, size_t size)
{
    enum weir_err err = weir_net_send(fd, packet, size);
    if (err == WEIR_IO && weir_err_errno() == ECONNREFUSED)
        return fail_refused();
    return err;
}

/* Waits for word that the last datagrams were refused (ICMP, RFC 1122, section 4.1.3.3). Without it
 * nothing is known: it may be late, or a firewall's to keep. */
static enum weir_err
await_refusal(int fd)
{
    struct pollfd wait = {.fd = fd};
    int errnum = 0;
    socklen_t size = sizeof errnum;
    if (poll(&wait, 1, REFUSAL_WAIT_MS) <= 0 ||
        getsockopt(fd, SOL_SOCKET, SO_ERROR, &errnum, &size) != 0 || errnum == 0)
        return WEIR_OK;
    return errnum == ECONNREFUSED ? fail_refused() : weir_fail(WEIR_IO, errnum, "send");
}

void
weir_send_print_truth(const struct weir_chaos_truth *truth, const char *units)
{
    printf("\"packets\":%" PRIu64 ",\"lost\":%" PRIu64 ",\"duplicated\":%" PRIu64
           ",\"reordered\":%" PRIu64 ",\"%s\":%" PRIu64 ",\"%s_lost\":%" PRIu64
           ",\"%s_duplicated\":%" PRIu64,
        truth->packets, truth->lost, truth->duplicated, truth->reordered, units, truth->units,
        units, truth->units_lost, units, truth->units_duplicated);
}

void
weir_send_print_sent(uint64_t lines, uint64_t packets)
{
    printf("sent %" PRIu64 " line%s in %" PRIu64 " datagram%s\n", lines, weir_plural(lines),
        packets, weir_plural(packets));
}

static enum weir_err
emit(void *context, const uint8_t *packet, size_t size)
{
    const struct sender *sender = context;
    return weir_send_datagram(sender->fd, packet, size);
}

static enum weir_err
flush(struct sender *sender)
{
    if (sender->used == 0)
        return WEIR_OK;
    enum weir_err err;
    if (sender->chaos != NULL)
        err = weir_chaos_push(sender->chaos, sender->buffer, sender->used, sender->held);
    else if (sender->tcp)
        err = weir_net_send(sender->fd, sender->buffer, sender->used);
    else
        err = weir_send_datagram(sender->fd, sender->buffer, sender->used);
    sender->packets++;
    sender->lines += sender->held;
    sender->used = 0;
    sender->held = 0;
    weir_send_pace(sender->started_ns, sender->lines, sender->rate);
    return err;
}

/* One line with its newline. */
static enum weir_err
add_line(struct sender *sender, const char *line, size_t size)
{
    if (sender->tcp && size > sizeof sender->buffer) {
        enum weir_err err = flush(sender);
        sender->lines++;
        return err == WEIR_OK ? weir_net_send(sender->fd, line, size) : err;
    }
    if (size > sizeof sender->buffer)
        return weir_fail(WEIR_INVALID, 0, "line %" PRIu64 " of %zu bytes fits no datagram",
            sender->lines + sender->held + 1, size);
    if (sender->used > 0 && sender->used + size > sender->limit) {
        enum weir_err err = flush(sender);
        if (err != WEIR_OK)
            return err;
    }
    memcpy(sender->buffer + sender->used, line, size);
    sender->used += size;
    sender->held++;
    /* a slow rate sends line by line instead of waiting for a full datagram */
    bool slow = sender->rate != 0 && sender->rate < WEIR_SEND_SLOW;
    return slow || sender->used >= sender->limit ? flush(sender) : WEIR_OK;
}

/* Says so where nothing comes for a while; many new series take Weir some seconds too. */
static void
await_answer(const struct sender *sender)
{
    struct pollfd wait = {.fd = sender->fd, .events = POLLIN};
    if (poll(&wait, 1, WEIR_SEND_DOUBT_MS) == 0)
        weir_line_print(stderr, "weir send: no answer in %d s: is %s a port of Weir for lines? "
            "Waiting %d s more", WEIR_SEND_DOUBT_MS / 1000, sender->address,
            (WEIR_SEND_WAIT_MS - WEIR_SEND_DOUBT_MS) / 1000);
}

/* Waits for `ok ACCEPTED REJECTED OFFSET`. */
static enum weir_err
take_answer(const struct sender *sender)
{
    char answer[256];
    size_t used = 0;
    if (shutdown(sender->fd, SHUT_WR) != 0)
        return weir_fail(WEIR_IO, errno, "half-close");
    await_answer(sender);
    while (used + 1 < sizeof answer) {
        ssize_t got = recv(sender->fd, answer + used, sizeof answer - 1 - used, 0);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return weir_fail(WEIR_IO, errno, "no answer of %s: not known to be durable",
                sender->address);
        if (got == 0)
            break;
        used += (size_t)got;
        if (answer[used - 1] == '\n')
            break;
    }
    answer[used] = '\0';
    if (strncmp(answer, "WACK", 4) == 0)
        return weir_fail(WEIR_IO, 0, "%s speaks the weir protocol: --proto weir",
            sender->address);
    weir_line_print(stdout, "%.*s", (int)strcspn(answer, "\n"), answer);
    if (strcmp(answer, "error disk_full\n") == 0)
        return weir_fail(WEIR_FULL, 0, "the log of %s is full: nothing of this connection is known "
            "to be durable; raise log.size_max or make room, and send it again", sender->address);
    if (strncmp(answer, "ok ", 3) != 0)
        return weir_fail(WEIR_IO, 0, "the answer is not ok: not known to be durable");
    uint64_t accepted;
    uint64_t rejected;
    if (sscanf(answer, "ok %" SCNu64 " %" SCNu64 " ", &accepted, &rejected) != 2)
        return weir_fail(WEIR_IO, 0, "the answer has no counts: not known to be durable");
    if (rejected > 0)
        return weir_fail(WEIR_IO, 0, "%" PRIu64 " record%s rejected" WEIR_SEND_WHY, rejected,
            weir_plural(rejected));
    return WEIR_OK;
}

/* What was sent by UDP, where nobody answers. */
static void
report(const struct sender *sender, const struct weir_send_options *options)
{
    if (sender->chaos == NULL) {
        weir_send_print_sent(sender->lines, sender->packets);
        return;
    }
    printf("{\"seed\":%" PRIu64 ",", options->chaos.seed);
    weir_send_print_truth(weir_chaos_truth(sender->chaos), "lines");
    printf("}\n");
}

static enum weir_err
send_all(struct sender *sender, struct weir_send_source *source)
{
    size_t size;
    enum weir_err err = WEIR_OK;
    sender->started_ns = weir_mono_ns();
    while (err == WEIR_OK && weir_send_source_next(source, &size))
        err = add_line(sender, source->line, size);
    if (err == WEIR_OK)
        err = flush(sender);
    if (err == WEIR_OK && sender->chaos != NULL)
        err = weir_chaos_flush(sender->chaos);
    if (err == WEIR_OK)
        err = sender->tcp ? take_answer(sender) : await_refusal(sender->fd);
    /* what was read before is told of all the same */
    return err == WEIR_OK ? weir_send_source_ended(source) : err;
}

/* By a text protocol. */
static enum weir_err
send_text(const struct weir_send_options *options, struct weir_send_source *source)
{
    static struct sender sender = {.fd = -1};
    sender.tcp = options->tcp != NULL;
    sender.limit = sender.tcp ? sizeof sender.buffer : options->datagram;
    sender.rate = options->rate;
    sender.address = sender.tcp ? options->tcp : options->udp;
    enum weir_err err =
        weir_net_connect(sender.address, sender.tcp, WEIR_SEND_WAIT_MS, &sender.fd);
    if (err == WEIR_OK && options->has_chaos)
        err = weir_chaos_new(&options->chaos, emit, &sender, &sender.chaos);
    if (err == WEIR_OK)
        err = send_all(&sender, source);
    if (err == WEIR_OK && !sender.tcp)
        report(&sender, options);
    if (sender.fd >= 0)
        close(sender.fd);
    weir_chaos_free(sender.chaos);
    return err;
}

/* What the command line says. */
struct words {
    const char *proto;
    const char *lines; /* NULL: not said, as the next two */
    const char *chaos;
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
        return weir_fail(WEIR_INVALID, 0, "--generate makes the lines up: '%s' would not be read",
            words->path);
    if (words->series && !words->generate)
        return weir_fail(WEIR_INVALID, 0, "--series: only with --generate");
    if (words->lines != NULL && !weir)
        return weir_fail(WEIR_INVALID, 0, "--lines: only with --proto weir; --proto itself says "
            "what the lines are else");
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
    uint64_t most = weir ? WEIR_WIRE_PACKET_MAX : DATAGRAM_MAX;
    if (words->generate && source->count == 0)
        return weir_fail(WEIR_INVALID, 0, "--generate: at least 1");
    if (words->series && source->series == 0)
        return weir_fail(WEIR_INVALID, 0, "--series: at least 1");
    if (words->sender && options->sender == 0)
        return weir_fail(WEIR_INVALID, 0, "--sender: 0 is no sender; from 1 on");
    if (options->datagram < least || options->datagram > most)
        return weir_fail(WEIR_INVALID, 0, "--datagram: from %" PRIu64 " to %" PRIu64 " bytes",
            least, most);
    return WEIR_OK;
}

/* What the words of the command line mean together. */
static enum weir_err
check_options(const struct words *words, struct weir_send_options *options,
    struct weir_send_source *source)
{
    bool weir = strcmp(words->proto, "weir") == 0;
    const char *text = !weir ? words->proto : words->lines != NULL ? words->lines : "influx";
    source->graphite = strcmp(text, "graphite") == 0;
    if (!source->graphite && strcmp(text, "influx") != 0)
        return weir_fail(WEIR_INVALID, 0, "--%s: '%s' is none of influx, graphite%s",
            weir ? "lines" : "proto", text, weir ? "" : ", weir");
    enum weir_err err = check_words(words, options, weir);
    if (err == WEIR_OK)
        err = check_numbers(words, options, source, weir);
    options->has_chaos = words->chaos != NULL;
    return err == WEIR_OK && options->has_chaos ? weir_chaos_parse(words->chaos, &options->chaos)
                                                : err;
}

int
weir_command_send(int argc, char **argv)
{
    struct words words = {.proto = "influx"};
    int word_count = 1;
    struct weir_send_options send = {.datagram = DATAGRAM_DEFAULT};
    struct weir_send_source source = {.series = 100};
    const struct weir_option options[] = {{"udp", &send.udp, NULL, NULL},
        {"tcp", &send.tcp, NULL, NULL}, {"proto", &words.proto, NULL, NULL},
        {"lines", &words.lines, NULL, NULL}, {"generate", NULL, &words.generate, &source.count},
        {"series", NULL, &words.series, &source.series}, {"rate", NULL, NULL, &send.rate},
        {"datagram", NULL, &words.datagram, &send.datagram},
        {"sender", NULL, &words.sender, &send.sender}, {"chaos", &words.chaos, NULL, NULL},
        {NULL, NULL, NULL, NULL}};
    enum weir_err err = weir_options_parse(options, argc, argv, &words.path, &word_count);
    if (err == WEIR_OK)
        err = check_options(&words, &send, &source);
    if (err == WEIR_OK)
        err = weir_send_source_open(&source, words.path);
    if (err == WEIR_OK)
        err = strcmp(words.proto, "weir") == 0 ? weir_send_weir(&send, &source)
                                               : send_text(&send, &source);
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
    fprintf(out,
        "usage: weir send --udp ADDR:PORT [OPTIONS] [FILE]\n"
        "       weir send --tcp ADDR:PORT [OPTIONS] [FILE]\n\n"
        "Sends the lines of FILE, or of standard input. By TCP it closes its half, waits for the\n"
        "answer `ok ACCEPTED REJECTED OFFSET` (all of it is durable) and prints it. Exit code 0\n"
        "only then and where REJECTED is 0, else 1. By UDP nobody answers; a machine on which\n"
        "nobody listens to the port mostly says so, and where that comes within 0.1 s of the last\n"
        "datagram, the exit code is 1.\n\n"
        "  --generate COUNT   send COUNT made-up lines and no FILE, times ending now\n"
        "  --series N         series among them (default 100)\n"
        "  --proto P          influx (default), graphite or weir\n"
        "  --rate N           lines a second (default 0: as fast as it goes)\n"
        "  --datagram BYTES   by UDP: lines are packed into datagrams of this size (default %d)\n"
        "  --chaos SEED,LOSS,DUP,REORDER\n"
        "                     by UDP: lose, double and delay (by up to 1,023 others) datagrams,\n"
        "                     in percent of at most 90 each, and print what was done as JSON\n\n"
        "With --proto weir the lines are read here and go as groups of numbers; a line that does\n"
        "not parse is told and ends in exit code 1. By TCP it waits until all packets are\n"
        "acknowledged as durable and prints `ok LINES REJECTED PACKETS` (REJECTED: records).\n\n"
        "  --lines L          what the lines are: influx (default) or graphite\n"
        "  --sender ID        a number from 1 on (default: a random one); runs with the same one\n"
        "                     have to begin in different seconds\n",
        DATAGRAM_DEFAULT);
}
