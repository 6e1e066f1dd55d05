/* weir send: lines of a file or generated ones, by UDP or TCP. */
#include "app/commands.h"
#include "app/net.h"
#include "app/options.h"
#include "base/clock.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define DATAGRAM_DEFAULT 1400 /* fits an Ethernet frame with room for tunnels */
#define DATAGRAM_MAX 65507    /* IPv4 */
#define ANSWER_WAIT_MS 30000

struct sender {
    int fd;
    bool tcp;
    size_t limit; /* bytes of a datagram, or of one TCP write */
    uint64_t rate;
    int64_t started_ns;
    uint64_t lines;
    uint64_t packets;
    size_t used;
    uint64_t held; /* lines in the buffer */
    char buffer[DATAGRAM_MAX];
};

struct source {
    FILE *file; /* NULL: generate */
    uint64_t count;
    uint64_t made;
    uint64_t series;
    bool graphite;
    int64_t first_ms;
    char *line;
    size_t capacity;
};

/* Sleeps until the lines sent so far are due. */
static void
pace(const struct sender *sender)
{
    if (sender->rate == 0)
        return;
    int64_t due = sender->started_ns +
                  (int64_t)((double)sender->lines * 1e9 / (double)sender->rate);
    int64_t early = due - weir_mono_ns();
    if (early <= 0)
        return;
    struct timespec wait = {.tv_sec = early / 1000000000, .tv_nsec = early % 1000000000};
    nanosleep(&wait, NULL);
}

static enum weir_err
flush(struct sender *sender)
{
    if (sender->used == 0)
        return WEIR_OK;
    enum weir_err err = weir_net_send(sender->fd, sender->buffer, sender->used);
    if (err == WEIR_IO && !sender->tcp && weir_err_errno() == ECONNREFUSED)
        return weir_fail(WEIR_IO, 0, "nobody listens on that UDP port");
    sender->packets++;
    sender->lines += sender->held;
    sender->used = 0;
    sender->held = 0;
    pace(sender);
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
    bool slow = sender->rate != 0 && sender->rate < 1000;
    return slow || sender->used >= sender->limit ? flush(sender) : WEIR_OK;
}

/* The next line with its newline; false at the end. */
static bool
next_line(struct source *source, size_t *size)
{
    if (source->file != NULL) {
        ssize_t got = getline(&source->line, &source->capacity, source->file);
        *size = got > 0 ? (size_t)got : 0;
        return got > 0;
    }
    if (source->made == source->count)
        return false;
    uint64_t series = source->made % source->series;
    int64_t time_ms = source->first_ms + (int64_t)(source->made / source->series);
    int used;
    if (source->graphite)
        used = snprintf(source->line, source->capacity,
            "weir.send.s%07" PRIu64 " %" PRIu64 " %" PRId64 "\n", series, source->made, time_ms);
    else
        used = snprintf(source->line, source->capacity,
            "weir_send,series=s%07" PRIu64 " value=%" PRIu64 " %" PRId64 "000000\n", series,
            source->made, time_ms);
    source->made++;
    *size = (size_t)used;
    return true;
}

/* Waits for `ok ACCEPTED REJECTED OFFSET`. */
static enum weir_err
take_answer(const struct sender *sender)
{
    char answer[256];
    size_t used = 0;
    if (shutdown(sender->fd, SHUT_WR) != 0)
        return weir_fail(WEIR_IO, errno, "half-close");
    while (used + 1 < sizeof answer) {
        ssize_t got = recv(sender->fd, answer + used, sizeof answer - 1 - used, 0);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return weir_fail(WEIR_IO, errno, "no answer: not known to be durable");
        if (got == 0)
            break;
        used += (size_t)got;
        if (answer[used - 1] == '\n')
            break;
    }
    answer[used] = '\0';
    printf("%s%s", answer, used > 0 && answer[used - 1] == '\n' ? "" : "\n");
    if (strncmp(answer, "ok ", 3) != 0)
        return weir_fail(WEIR_IO, 0, "the answer is not ok: not known to be durable");
    uint64_t accepted;
    uint64_t rejected;
    if (sscanf(answer, "ok %" SCNu64 " %" SCNu64 " ", &accepted, &rejected) != 2)
        return weir_fail(WEIR_IO, 0, "the answer has no counts: not known to be durable");
    if (rejected > 0)
        return weir_fail(WEIR_IO, 0, "%" PRIu64 " records were rejected; /metrics says why",
            rejected);
    return WEIR_OK;
}

static enum weir_err
send_all(struct sender *sender, struct source *source)
{
    size_t size;
    enum weir_err err = WEIR_OK;
    sender->started_ns = weir_mono_ns();
    while (err == WEIR_OK && next_line(source, &size))
        err = add_line(sender, source->line, size);
    if (err == WEIR_OK)
        err = flush(sender);
    if (err == WEIR_OK && sender->tcp)
        return take_answer(sender);
    if (err == WEIR_OK)
        printf("sent %" PRIu64 " lines in %" PRIu64 " datagrams\n", sender->lines,
            sender->packets);
    return err;
}

static enum weir_err
open_source(struct source *source, const char *path, const char *proto)
{
    source->graphite = strcmp(proto, "graphite") == 0;
    if (!source->graphite && strcmp(proto, "influx") != 0)
        return weir_fail(WEIR_INVALID, 0, "--proto: '%s' is none of influx, graphite", proto);
    if (source->count > 0) {
        if (source->series == 0)
            return weir_fail(WEIR_INVALID, 0, "--series: at least 1");
        source->capacity = 256;
        source->line = malloc(source->capacity);
        /* one sample a millisecond and series, the last one now */
        source->first_ms = weir_wall_ms() - (int64_t)((source->count - 1) / source->series);
        return source->line != NULL ? WEIR_OK : weir_fail(WEIR_NOMEM, 0, "line");
    }
    source->file = path == NULL ? stdin : fopen(path, "re");
    return source->file != NULL ? WEIR_OK : weir_fail(WEIR_IO, errno, "%s", path);
}

static enum weir_err
open_sender(struct sender *sender, const char *udp, const char *tcp, uint64_t datagram)
{
    if ((udp == NULL) == (tcp == NULL))
        return weir_fail(WEIR_INVALID, 0, "one of --udp ADDR:PORT and --tcp ADDR:PORT is needed");
    if (datagram < 64 || datagram > DATAGRAM_MAX)
        return weir_fail(WEIR_INVALID, 0, "--datagram: from 64 to %d bytes", DATAGRAM_MAX);
    sender->tcp = tcp != NULL;
    sender->limit = sender->tcp ? sizeof sender->buffer : datagram;
    return weir_net_connect(sender->tcp ? tcp : udp, sender->tcp, ANSWER_WAIT_MS, &sender->fd);
}

int
weir_command_send(int argc, char **argv)
{
    const char *udp = NULL;
    const char *tcp = NULL;
    const char *proto = "influx";
    const char *path = NULL;
    uint64_t datagram = DATAGRAM_DEFAULT;
    int word_count = 1;
    static struct sender sender = {.fd = -1};
    struct source source = {.series = 100};
    const struct weir_option options[] = {{"udp", &udp, NULL, NULL}, {"tcp", &tcp, NULL, NULL},
        {"proto", &proto, NULL, NULL}, {"generate", NULL, NULL, &source.count},
        {"series", NULL, NULL, &source.series}, {"rate", NULL, NULL, &sender.rate},
        {"datagram", NULL, NULL, &datagram}, {NULL, NULL, NULL, NULL}};
    enum weir_err err = weir_options_parse(options, argc, argv, &path, &word_count);
    if (err == WEIR_OK)
        err = open_source(&source, path, proto);
    if (err == WEIR_OK)
        err = open_sender(&sender, udp, tcp, datagram);
    if (err == WEIR_OK)
        err = send_all(&sender, &source);
    if (err != WEIR_OK)
        fprintf(stderr, "weir send: %s\n", weir_err_detail());
    if (sender.fd >= 0)
        close(sender.fd);
    if (source.file != NULL && source.file != stdin)
        fclose(source.file);
    free(source.line);
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
        "only then and where REJECTED is 0, else 1. By UDP nobody answers.\n\n"
        "  --generate COUNT   send COUNT made-up lines instead, times ending now\n"
        "  --series N         series among them (default 100)\n"
        "  --proto P          influx (default) or graphite\n"
        "  --rate N           lines a second (default: as fast as it goes)\n"
        "  --datagram BYTES   lines are packed into datagrams of this size (default %d)\n",
        DATAGRAM_DEFAULT);
}
