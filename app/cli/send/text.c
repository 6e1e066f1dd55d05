#include "app/cli/send/text.h"

#include "app/cli/net.h"
#include "app/cli/send/records.h"
#include "app/cli/words.h"
#include "base/clock.h"
#include "base/escape.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

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
    uint8_t buffer[WEIR_SEND_DATAGRAM_MAX];
    struct weir_send_records records; /* by UDP */
};

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

/* One record, followed by a newline. A record with a reason is one that Weir would refuse: it goes
 * alone in its datagram, because its neighbours could be read as parts of it. */
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
    weir_send_records_init(&sender->records, seed, source->protocol);
    enum weir_err err = WEIR_OK;
    while (err == WEIR_OK && !final)
        err = weir_send_records_read(&sender->records, source, add_record, sender, &final);
    /* lines read before a failure are sent too */
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
            return weir_fail(WEIR_IO, 0,
                "no answer of %s in %g s (--timeout): not known to be "
                "durable",
                sender->address, sender->timeout_ms / 1e3);
        bool doubts = !*doubted && sender->timeout_ms > WEIR_SEND_DOUBT_MS;
        struct pollfd wait = {.fd = sender->fd, .events = POLLIN};
        int wait_ms = doubts && left_ms > WEIR_SEND_DOUBT_MS ? WEIR_SEND_DOUBT_MS : left_ms;
        int ready = poll(&wait, 1, wait_ms);
        if (ready > 0)
            return WEIR_OK;
        if (ready == 0 && doubts) {
            *doubted = true;
            weir_line_print(stderr,
                "weir send: no answer in %d s: is %s a port of Weir for lines? "
                "Waiting %d s more",
                WEIR_SEND_DOUBT_MS / 1000, sender->address, weir_net_left_ms(until_ns) / 1000);
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
            return weir_fail(
                WEIR_IO, errno, "no answer of %s: not known to be durable", sender->address);
        if (got == 0)
            break;
        doubted = true; /* something came */
        used += (size_t)got;
    }
    answer[used] = '\0';
    return WEIR_OK;
}

/* A whole number without sign, and the character after it. */
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
read_answer(const struct sender *sender)
{
    char answer[256];
    uint64_t accepted, rejected, offset;
    if (shutdown(sender->fd, SHUT_WR) != 0)
        return weir_fail(WEIR_IO, errno, "half-close");
    enum weir_err err = receive_line(sender, answer, sizeof answer);
    if (err != WEIR_OK)
        return err;
    if (strncmp(answer, "WACK", 4) == 0)
        return weir_fail(WEIR_IO, 0, "%s speaks the weir protocol: --proto weir", sender->address);
    if (strncmp(answer, "HTTP/", 5) == 0)
        return weir_fail(WEIR_IO, 0,
            "%s speaks HTTP, which takes no lines: give the address of a "
            "listener",
            sender->address);
    weir_line_print(stdout, "%.*s", (int)strcspn(answer, "\n"), answer);
    if (strcmp(answer, "error disk_full\n") == 0)
        return weir_fail(WEIR_FULL, 0,
            "the log of %s is full: nothing of this connection is known "
            "to be durable; raise log.size_max or make room, and send it again",
            sender->address);
    if (answer[0] == '\0')
        return weir_fail(WEIR_IO, 0,
            "%s closed the connection without an answer: not known to be "
            "durable",
            sender->address);
    if (!weir_send_read_ok(answer, &accepted, &rejected, &offset))
        return weir_fail(WEIR_IO, 0,
            "the answer is not `ok ACCEPTED REJECTED OFFSET`: not known "
            "to be durable");
    if (rejected > 0)
        return weir_fail(WEIR_IO, 0, "%" PRIu64 " record%s rejected" WEIR_SEND_WHY, rejected,
            weir_plural(rejected));
    return WEIR_OK;
}

/* Reports datagrams, which nobody answers. */
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
        err = sender->tcp ? read_answer(sender) : weir_send_await_refusal(sender->fd);
    /* reported even if a later read failed */
    return err == WEIR_OK ? weir_send_source_ended(source) : err;
}

/* Nobody answers by UDP, but lines that do not parse are known here. */
static enum weir_err
judge(const struct sender *sender)
{
    uint64_t refused = sender->records.refused;
    return refused == 0 ? WEIR_OK
                        : weir_fail(WEIR_IO, 0,
                              "%" PRIu64 " record%s of these Weir "
                              "refuses",
                              refused, weir_plural(refused));
}

enum weir_err
weir_send_text(const struct weir_send_options *options, struct weir_send_source *source)
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
