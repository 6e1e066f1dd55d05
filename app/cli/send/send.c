/* weir send: lines of a file or generated ones, by UDP or TCP. */
#include "app/cli/send/send.h"

#include "app/cli/commands.h"
#include "app/cli/net.h"
#include "app/cli/options.h"
#include "app/cli/send/records.h"
#include "app/cli/words.h"
#include "base/clock.h"
#include "base/escape.h"
#include "client/wire.h"
#include "controlplane/http/time_text.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
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
    int timeout_ms;
    size_t used;
    uint64_t held; /* lines in the buffer */
    uint8_t buffer[DATAGRAM_MAX];
    struct weir_send_records records; /* by UDP */
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

/* One line of a stream, as it comes from the source. */
static enum weir_err
add_stretch(struct sender *sender, const char *line, size_t size)
{
    if (sender->used + size > sizeof sender->buffer) {
        enum weir_err err = flush(sender);
        if (err != WEIR_OK)
            return err;
    }
    if (size > sizeof sender->buffer) {
        sender->lines++;
        return weir_net_send(sender->fd, line, size);
    }
    memcpy(sender->buffer + sender->used, line, size);
    sender->used += size;
    sender->held++;
    /* a slow rate sends line by line instead of waiting for a full buffer */
    return sender->rate != 0 && sender->rate < WEIR_SEND_SLOW ? flush(sender) : WEIR_OK;
}

static enum weir_err
send_stream(struct sender *sender, struct weir_send_source *source)
{
    size_t size;
    bool ended = true; /* the last line */
    enum weir_err err = WEIR_OK;
    while (err == WEIR_OK && weir_send_source_next(source, &size)) {
        ended = source->line[size - 1] == '\n';
        err = add_stretch(sender, source->line, size);
    }
    /* the end of a connection may be a cut one; the end of a file is not, and the line is whole */
    if (err == WEIR_OK && !ended && source->error == 0) {
        err = add_stretch(sender, "\n", 1);
        sender->held -= sender->held > 0;
    }
    return err == WEIR_OK ? flush(sender) : err;
}

/* One record, with a newline behind it. Weir would refuse one that has a reason: it goes alone in
 * its datagram, because it could make its neighbours part of itself. */
static enum weir_err
add_record(void *context, const struct weir_record *record)
{
    struct sender *sender = context;
    size_t size = record->size + 1;
    enum weir_reason reason = weir_send_records_refusal(&sender->records, record);
    bool bad = reason != WEIR_REASON_NONE;
    enum weir_err err = WEIR_OK;
    if (bad)
        weir_send_records_report(&sender->records, record, weir_reason_names[reason]);
    if (size > sizeof sender->buffer || reason == WEIR_REASON_line_too_long) {
        if (!bad)
            weir_send_records_report(&sender->records, record, "fits no datagram");
        return WEIR_OK;
    }
    if (bad || sender->used + size > sender->limit)
        err = flush(sender);
    if (err != WEIR_OK)
        return err;
    memcpy(sender->buffer + sender->used, record->text, record->size);
    sender->buffer[sender->used + record->size] = '\n';
    sender->used += size;
    sender->held++;
    /* a slow rate sends line by line instead of waiting for a full datagram */
    bool slow = sender->rate != 0 && sender->rate < WEIR_SEND_SLOW;
    return bad || slow || sender->used >= sender->limit ? flush(sender) : WEIR_OK;
}

static enum weir_err
send_datagrams(struct sender *sender, struct weir_send_source *source)
{
    uint8_t seed[WEIR_HASH_SEED_BYTES];
    bool final = false;
    if (getrandom(seed, sizeof seed, 0) != sizeof seed)
        return weir_fail(WEIR_IO, errno, "getrandom");
    weir_send_records_init(&sender->records, seed, source->graphite);
    enum weir_err err = WEIR_OK;
    while (err == WEIR_OK && !final)
        err = weir_send_records_read(&sender->records, source, add_record, sender, &final);
    /* what was read before a failure goes out all the same */
    enum weir_err flushed = err == WEIR_OK || source->error != 0 ? flush(sender) : err;
    err = err == WEIR_OK ? flushed : err;
    if (err == WEIR_OK && sender->chaos != NULL)
        err = weir_chaos_flush(sender->chaos);
    weir_send_records_report_rest(&sender->records);
    return err;
}

/* Waits until something of the answer is there; says so where nothing comes for a while: many new
 * series take Weir some seconds too. */
static enum weir_err
await_answer(const struct sender *sender, int64_t until_ns, bool *doubted)
{
    for (;;) {
        int left_ms = weir_net_left_ms(until_ns);
        if (left_ms == 0)
            return weir_fail(WEIR_IO, 0, "no answer of %s in %g s (--timeout): not known to be "
                "durable", sender->address, sender->timeout_ms / 1e3);
        bool doubts = !*doubted && sender->timeout_ms > WEIR_SEND_DOUBT_MS;
        struct pollfd wait = {.fd = sender->fd, .events = POLLIN};
        int wait_ms = doubts && left_ms > WEIR_SEND_DOUBT_MS ? WEIR_SEND_DOUBT_MS : left_ms;
        int ready = poll(&wait, 1, wait_ms);
        if (ready > 0)
            return WEIR_OK;
        if (ready == 0 && doubts) {
            *doubted = true;
            weir_line_print(stderr, "weir send: no answer in %d s: is %s a port of Weir for lines? "
                "Waiting %d s more", WEIR_SEND_DOUBT_MS / 1000, sender->address,
                weir_net_left_ms(until_ns) / 1000);
        }
    }
}

/* Receives the answer's line, or as much of one as comes. */
static enum weir_err
receive_line(const struct sender *sender, char *answer, size_t room)
{
    size_t used = 0;
    bool doubted = false;
    int64_t until_ns = weir_mono_ns() + (int64_t)sender->timeout_ms * 1000000;
    while (used + 1 < room && (used == 0 || answer[used - 1] != '\n')) {
        enum weir_err err = await_answer(sender, until_ns, &doubted);
        if (err != WEIR_OK)
            return err;
        ssize_t got = recv(sender->fd, answer + used, room - 1 - used, MSG_DONTWAIT);
        if (got < 0 && (errno == EINTR || errno == EAGAIN))
            continue;
        if (got < 0)
            return weir_fail(WEIR_IO, errno, "no answer of %s: not known to be durable",
                sender->address);
        if (got == 0)
            break;
        doubted = true; /* something came */
        used += (size_t)got;
    }
    answer[used] = '\0';
    return WEIR_OK;
}

/* A whole number without sign, and what stands behind it. */
static bool
read_count(const char **at, char behind, uint64_t *out)
{
    const char *start = *at;
    *out = 0;
    for (; **at >= '0' && **at <= '9'; (*at)++)
        if (__builtin_mul_overflow(*out, 10u, out) ||
            __builtin_add_overflow(*out, (uint64_t)(**at - '0'), out))
            return false;
    if (*at == start || **at != behind)
        return false;
    (*at)++;
    return true;
}

bool
weir_send_read_ok(const char *answer, uint64_t *accepted, uint64_t *rejected, uint64_t *offset)
{
    if (strncmp(answer, "ok ", 3) != 0)
        return false;
    const char *at = answer + 3;
    return read_count(&at, ' ', accepted) && read_count(&at, ' ', rejected) &&
        read_count(&at, '\n', offset) && *at == '\0';
}

/* Waits for `ok ACCEPTED REJECTED OFFSET`. */
static enum weir_err
take_answer(const struct sender *sender)
{
    char answer[256];
    uint64_t accepted, rejected, offset;
    if (shutdown(sender->fd, SHUT_WR) != 0)
        return weir_fail(WEIR_IO, errno, "half-close");
    enum weir_err err = receive_line(sender, answer, sizeof answer);
    if (err != WEIR_OK)
        return err;
    if (strncmp(answer, "WACK", 4) == 0)
        return weir_fail(WEIR_IO, 0, "%s speaks the weir protocol: --proto weir",
            sender->address);
    if (strncmp(answer, "HTTP/", 5) == 0)
        return weir_fail(WEIR_IO, 0, "%s speaks HTTP, which takes no lines: give the address of a "
            "listener", sender->address);
    weir_line_print(stdout, "%.*s", (int)strcspn(answer, "\n"), answer);
    if (strcmp(answer, "error disk_full\n") == 0)
        return weir_fail(WEIR_FULL, 0, "the log of %s is full: nothing of this connection is known "
            "to be durable; raise log.size_max or make room, and send it again", sender->address);
    if (answer[0] == '\0')
        return weir_fail(WEIR_IO, 0, "%s closed the connection without an answer: not known to be "
            "durable", sender->address);
    if (!weir_send_read_ok(answer, &accepted, &rejected, &offset))
        return weir_fail(WEIR_IO, 0, "the answer is not `ok ACCEPTED REJECTED OFFSET`: not known "
            "to be durable");
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
    sender->started_ns = weir_mono_ns();
    enum weir_err err = sender->tcp ? send_stream(sender, source) : send_datagrams(sender, source);
    if (err == WEIR_OK)
        err = sender->tcp ? take_answer(sender) : await_refusal(sender->fd);
    /* what was read before is told of all the same */
    return err == WEIR_OK ? weir_send_source_ended(source) : err;
}

/* Nobody answers by UDP, but what does not parse is known here. */
static enum weir_err
judge(const struct sender *sender)
{
    uint64_t refused = sender->records.refused;
    return refused == 0 ? WEIR_OK : weir_fail(WEIR_IO, 0, "%" PRIu64 " record%s of these Weir "
        "refuses", refused, weir_plural(refused));
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
    sender.timeout_ms = options->timeout_ms;
    enum weir_err err =
        weir_net_connect(sender.address, sender.tcp, options->timeout_ms, &sender.fd);
    if (err == WEIR_OK && options->has_chaos)
        err = weir_chaos_new(&options->chaos, emit, &sender, &sender.chaos);
    if (err == WEIR_OK)
        err = send_all(&sender, source);
    if (err == WEIR_OK && !sender.tcp) {
        report(&sender, options);
        err = judge(&sender);
    }
    if (sender.fd >= 0)
        close(sender.fd);
    weir_chaos_free(sender.chaos);
    return err;
}

/* What the command line says. */
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
    struct weir_send_options send = {.datagram = DATAGRAM_DEFAULT,
        .timeout_ms = WEIR_SEND_WAIT_MS};
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
        "only then and where REJECTED is 0, else 1. By UDP nobody answers; datagrams end between\n"
        "records, and one that Weir refuses is told, sent alone, and ends in exit code 1. A\n"
        "machine on which nobody listens to the port mostly says so, and where that comes within\n"
        "0.1 s of the last datagram, the exit code is 1 too.\n\n"
        "  --generate COUNT   send COUNT made-up lines and no FILE, times ending now\n"
        "  --series N         series among them (default 100)\n"
        "  --proto P          influx (default), graphite or weir\n"
        "  --rate N           lines a second (default 0: as fast as it goes)\n"
        "  --timeout T        longest wait for a connection, for the other side to take more, and\n"
        "                     for its answer (default 30s)\n"
        "  --datagram BYTES   by UDP: lines are packed into datagrams of this size (default %d)\n"
        "  --chaos SEED,LOSS,DUP,REORDER\n"
        "                     by UDP: lose, double and delay (by up to 1,023 others) datagrams,\n"
        "                     in percent of at most 90 each, and print what was done as JSON\n\n"
        "With --proto weir the lines are read here and go as groups of numbers; a line that does\n"
        "not parse is told and ends in exit code 1. By TCP it waits until all packets are\n"
        "acknowledged as durable and prints `ok LINES REJECTED PACKETS` (REJECTED: records).\n\n"
        "  --lines L          what the lines are: influx (default) or graphite\n"
        "  --sender ID        a number from 1 on (default: a random one); runs with the same one\n"
        "                     have to follow each other; each lasts into the next second\n",
        DATAGRAM_DEFAULT);
}
