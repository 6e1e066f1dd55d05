/* Lines by the weir protocol: read as points, sent as groups of numbers by the client library.
 *
 *   block of lines -> points -> sorted by time and series -> runs of neighbours -> add_values
 *                        | series that are new
 *                        +-> a template of them, in the first channel that has room
 */
#include "app/cli/send/weir.h"

#include "app/cli/net.h"
#include "app/cli/send/points.h"
#include "app/cli/send/template.h"
#include "app/cli/words.h"
#include "base/clock.h"
#include "base/escape.h"
#include "client/weir_client.h"
#include "client/wire.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#define CHANNELS_MAX 256
#define PACKET_TCP 16384
#define UNACKED_LOW (WEIR_CLIENT_UNACKED_MAX / 2)
#define WAIT_STEP_MS 500
#define REPORT_FULL_MS 2000
#define FLUSH_NS INT64_C(1000000000) /* heartbeats, and definitions that are due */

struct channel {
    struct weir_client *client;
    struct weir_chaos *chaos;
    uint32_t templates;
    int fd; /* UDP */
    enum weir_err err; /* of the first packet that did not go out */
};

struct work {
    const struct weir_send_options *options;
    uint64_t sender;
    uint32_t epoch;
    struct channel channels[CHANNELS_MAX];
    uint32_t channel_count;
    struct weir_send_points read;
    uint32_t first_new; /* series from here on have no template yet */
    uint64_t lines;
    uint64_t packets;  /* of closed channels */
    uint64_t rejected; /* records, as Weir says, of closed channels */
    bool heard;        /* an acknowledgement */
    bool reported_full;    /* that the log is full */
    int64_t started_ns;
    int64_t flushed_ns;
};

static enum weir_err
emit_datagram(void *context, const uint8_t *packet, size_t size)
{
    const struct channel *channel = context;
    return weir_send_datagram(channel->fd, packet, size);
}

static void
emit(void *context, const uint8_t *packet, size_t size)
{
    struct channel *channel = context;
    if (channel->err == WEIR_OK)
        channel->err = channel->chaos != NULL ? weir_chaos_push_wire(channel->chaos, packet, size)
                                              : emit_datagram(channel, packet, size);
}

/* The result of the client library; emit has noted the failure of a UDP packet. */
static enum weir_err
client_result(const struct channel *channel, int err, const char *what)
{
    if (channel->err != WEIR_OK)
        return channel->err;
    return err == 0 ? WEIR_OK : weir_fail(WEIR_IO, -err, "%s", what);
}

/* Whether any channel, an open or a closed one, has had an acknowledgement. */
static bool
has_heard(struct work *work)
{
    for (uint32_t i = 0; i < work->channel_count && !work->heard; i++)
        work->heard = work->channels[i].client != NULL &&
            weir_client_heard(work->channels[i].client);
    return work->heard;
}

/* Says once that packets wait for room in the log, and are sent again until there is some. */
static void
report_full(struct work *work, const struct channel *channel)
{
    if (work->reported_full || weir_client_status(channel->client) != WEIR_WIRE_DISK_FULL)
        return;
    work->reported_full = true;
    weir_line_print(stderr, "weir send: the log of %s is full; waiting up to %g s for room",
        work->options->tcp, work->options->timeout_ms / 1e3);
}

/* A server that has not answered yet on any channel is not waited for as long as Weir is. */
static int
patience_ms(struct work *work)
{
    int whole_ms = work->options->timeout_ms;
    return has_heard(work) || whole_ms < WEIR_SEND_DOUBT_MS ? whole_ms : WEIR_SEND_DOUBT_MS;
}

static int
wait_acks(struct work *work, const struct channel *channel, uint64_t unacked_max)
{
    int err = -ETIME;
    for (int waited_ms = 0; err == -ETIME &&
         waited_ms < patience_ms(work);
         waited_ms += WAIT_STEP_MS) {
        if (waited_ms >= REPORT_FULL_MS)
            report_full(work, channel);
        err = weir_client_wait(channel->client, unacked_max, WAIT_STEP_MS);
    }
    return err;
}

/* Waits until at most unacked_max packets lack their acknowledgement. */
static enum weir_err
await_acks(struct work *work, const struct channel *channel, uint64_t unacked_max)
{
    int err = wait_acks(work, channel, unacked_max);
    bool heard = has_heard(work);
    if (err == -EPROTO)
        return weir_fail(WEIR_IO, 0, "%s does not speak the weir protocol", work->options->tcp);
    if (err == -ETIME && !heard)
        return weir_fail(WEIR_IO, 0, "no acknowledgement in %g s: does %s speak the weir protocol?",
            patience_ms(work) / 1e3, work->options->tcp);
    int status = weir_client_status(channel->client);
    if (err == -ESTALE && status == WEIR_WIRE_OLD_EPOCH)
        return weir_fail(WEIR_IO, 0, "%s has met epoch %u of sender %llu, and refuses %u, which is "
            "older: look at this machine's clock, or `weir senders forget %llu`",
            work->options->tcp, weir_client_epoch_met(channel->client),
            (unsigned long long)work->sender, work->epoch, (unsigned long long)work->sender);
    if (err == -ESTALE)
        return weir_fail(WEIR_IO, 0, "%s refuses epoch %u of sender %llu: it is more than an hour "
            "ahead of its clock; look at this machine's", work->options->tcp, work->epoch,
            (unsigned long long)work->sender);
    if (err == -ETIME && status == WEIR_WIRE_DISK_FULL)
        return weir_fail(WEIR_FULL, 0, "the log of %s is full: what it has not "
            "acknowledged may not be durable; raise log.size_max or make room, and send it again",
            work->options->tcp);
    if (err == -ETIME && status == WEIR_WIRE_IO_ERROR)
        return weir_fail(WEIR_IO, 0, "%s refuses packets: its log has failed", work->options->tcp);
    return client_result(channel, err, "no acknowledgement: not known to be durable");
}

static enum weir_err
open_channel(struct work *work)
{
    const struct weir_send_options *options = work->options;
    bool tcp = options->tcp != NULL;
    const char *address = tcp ? options->tcp : options->udp;
    if (work->channel_count == CHANNELS_MAX)
        return weir_fail(WEIR_LIMIT, 0, "more than %d channels of %d templates: new series come "
            "in too small portions", CHANNELS_MAX, WEIR_CLIENT_TEMPLATES_MAX);
    struct channel *channel = &work->channels[work->channel_count];
    *channel = (struct channel){.fd = -1};
    char host[WEIR_NET_HOST_MAX];
    uint16_t port;
    enum weir_err err = weir_net_resolve(address, host, &port);
    if (err == WEIR_OK && !tcp)
        err = weir_net_connect(address, false, options->timeout_ms, &channel->fd);
    if (err == WEIR_OK && options->has_chaos) {
        struct weir_chaos_options chaos = options->chaos;
        chaos.seed += work->channel_count;
        err = weir_chaos_new(&chaos, emit_datagram, channel, &channel->chaos);
    }
    if (err != WEIR_OK)
        return err;
    work->channel_count++;
    const struct weir_client_options client = {.address = host,
        .port = port,
        .tcp = tcp,
        .sender = work->sender,
        .epoch = work->epoch,
        .channel = (uint16_t)(work->channel_count - 1),
        .packet_max = tcp ? PACKET_TCP : (uint32_t)options->datagram,
        .emit = tcp ? NULL : emit,
        .emit_context = channel};
    int result = weir_client_new(&client, &channel->client);
    return result == 0 ? WEIR_OK : weir_fail(WEIR_IO, -result, "connect to %s", address);
}

/* The channel of the next template. */
static enum weir_err
channel_with_room(struct work *work, struct channel **out)
{
    if (work->channel_count == 0 ||
        work->channels[work->channel_count - 1].templates == WEIR_CLIENT_TEMPLATES_MAX) {
        enum weir_err err = open_channel(work);
        if (err != WEIR_OK)
            return err;
    }
    *out = &work->channels[work->channel_count - 1];
    return WEIR_OK;
}

/* Gives the block's new series their templates. */
static enum weir_err
define_new(struct work *work)
{
    struct weir_send_definitions definitions = {
        .labels = work->read.labels, .size = work->read.labels_used};
    enum weir_err err = WEIR_OK;
    while (work->first_new < work->read.series_count && err == WEIR_OK) {
        uint32_t count = work->read.series_count - work->first_new;
        if (count > WEIR_WIRE_TEMPLATE_SERIES_MAX)
            count = WEIR_WIRE_TEMPLATE_SERIES_MAX;
        struct channel *channel;
        uint16_t id = 0;
        err = channel_with_room(work, &channel);
        if (err == WEIR_OK) {
            int result;
            err = weir_send_template_add(channel->client, &definitions, count, &id, &result);
            err = err == WEIR_OK ? client_result(channel, result, "definition") : err;
        }
        for (uint32_t i = 0; i < count && err == WEIR_OK; i++) {
            struct weir_send_series *series = &work->read.series[work->first_new + i];
            series->channel = (uint16_t)(work->channel_count - 1);
            series->template = id;
            series->index = (uint16_t)i;
        }
        if (err == WEIR_OK) {
            channel->templates++;
            work->first_new += count;
        }
    }
    work->read.labels_used = 0;
    return err;
}

static int
by_time_and_series(const void *a, const void *b)
{
    const struct weir_send_point *x = a;
    const struct weir_send_point *y = b;
    if (x->time_ms != y->time_ms)
        return x->time_ms < y->time_ms ? -1 : 1;
    if (x->series != y->series)
        return x->series < y->series ? -1 : 1;
    return x->order < y->order ? -1 : x->order > y->order;
}

static bool
is_next(const struct work *work, const struct weir_send_point *a, const struct weir_send_point *b)
{
    const struct weir_send_series *x = &work->read.series[a->series];
    const struct weir_send_series *y = &work->read.series[b->series];
    return b->time_ms == a->time_ms && b->series == a->series + 1 &&
        x->channel == y->channel && x->template == y->template;
}

static enum weir_err
flush_all(struct work *work)
{
    enum weir_err err = WEIR_OK;
    for (uint32_t i = 0; i < work->channel_count && err == WEIR_OK; i++) {
        int result = weir_client_flush(work->channels[i].client);
        err = client_result(&work->channels[i], result == -EAGAIN ? 0 : result, "send");
    }
    work->flushed_ns = weir_mono_ns();
    return err;
}

static enum weir_err
send_run(struct work *work, const struct weir_send_point *points, uint32_t count)
{
    double values[WEIR_WIRE_TEMPLATE_SERIES_MAX];
    const struct weir_send_series *series = &work->read.series[points->series];
    struct channel *channel = &work->channels[series->channel];
    for (uint32_t i = 0; i < count; i++)
        values[i] = points[i].value;
    int result;
    enum weir_err err = WEIR_OK;
    while (err == WEIR_OK &&
        (result = weir_client_add_values(channel->client, series->template, series->index, values,
             count, points->time_ms)) == -EAGAIN)
        err = await_acks(work, channel, UNACKED_LOW);
    return err == WEIR_OK ? client_result(channel, result, "send") : err;
}

static enum weir_err
send_block(struct work *work)
{
    bool slow = work->options->rate != 0 && work->options->rate < WEIR_SEND_SLOW;
    enum weir_err err = define_new(work);
    qsort(work->read.points, work->read.count, sizeof *work->read.points, by_time_and_series);
    for (uint32_t first = 0; first < work->read.count && err == WEIR_OK;) {
        uint32_t end = first + 1;
        while (end < work->read.count &&
            is_next(work, &work->read.points[end - 1], &work->read.points[end]))
            end++;
        err = send_run(work, &work->read.points[first], end - first);
        first = end;
        if (err == WEIR_OK && (slow || weir_mono_ns() - work->flushed_ns > FLUSH_NS))
            err = flush_all(work);
        uint64_t lines = work->lines + work->read.lines * end / work->read.count;
        weir_send_pace(work->started_ns, lines, work->options->rate);
    }
    work->lines += work->read.lines;
    work->read.lines = 0;
    work->read.count = 0;
    return err;
}

static enum weir_err
send_lines(struct work *work, struct weir_send_source *source)
{
    bool final = false;
    enum weir_err err = WEIR_OK;
    work->started_ns = work->flushed_ns = weir_mono_ns();
    while (!final && err == WEIR_OK) {
        err = weir_send_points_read(&work->read, source, &final);
        if (err == WEIR_OK && work->read.count > 0)
            err = send_block(work);
    }
    return err;
}

/* Waits until all is acknowledged (TCP), where that is asked for; says goodbye. */
static enum weir_err
close_channel(struct work *work, struct channel *channel, bool wait)
{
    enum weir_err err = wait ? await_acks(work, channel, 0) : WEIR_OK;
    work->packets += weir_client_sent(channel->client);
    work->rejected += weir_client_rejected(channel->client);
    int closed = weir_client_close(channel->client, 0);
    channel->client = NULL;
    if (channel->fd >= 0)
        close(channel->fd);
    return err == WEIR_OK && wait
        ? client_result(channel, closed, "no acknowledgement: not known to be durable")
        : err;
}

/* After a failure nothing is waited for: the first failure is the one to report. */
static enum weir_err
close_channels(struct work *work, enum weir_err err)
{
    char detail[256];
    snprintf(detail, sizeof detail, "%s", weir_err_detail());
    for (uint32_t i = 0; i < work->channel_count; i++) {
        struct channel *channel = &work->channels[i];
        if (channel->client == NULL)
            continue;
        enum weir_err closed = close_channel(work, channel, err == WEIR_OK);
        if (err == WEIR_OK && closed != WEIR_OK)
            snprintf(detail, sizeof detail, "%s", weir_err_detail());
        err = err == WEIR_OK ? closed : err;
    }
    return err == WEIR_OK ? WEIR_OK : weir_fail(err, 0, "%s", detail);
}

static void
print_truth(const struct work *work)
{
    printf("{\"seed\":%" PRIu64 ",\"sender\":\"%" PRIu64 "\",\"epoch\":%" PRIu32
           ",\"channels\":[", work->options->chaos.seed, work->sender, work->epoch);
    for (uint32_t i = 0; i < work->channel_count; i++) {
        printf("%s{\"channel\":%" PRIu32 ",", i > 0 ? "," : "", i);
        weir_send_print_truth(weir_chaos_truth(work->channels[i].chaos), "samples");
        printf("}");
    }
    printf("]}\n");
}

/* Prints the result; the reasons for samples that were not sent are on standard error. */
static enum weir_err
report(const struct work *work)
{
    const uint64_t *refused = work->read.records.fields_refused;
    for (int i = 0; i < WEIR_REASON_COUNT; i++)
        if (refused[i] > 0)
            fprintf(stderr, "weir send: %" PRIu64 " sample%s not sent: %s\n", refused[i],
                weir_plural(refused[i]), weir_reason_names[i]);
    if (work->options->has_chaos)
        print_truth(work);
    else if (work->options->tcp != NULL)
        printf("ok %" PRIu64 " %" PRIu64 " %" PRIu64 "\n", work->lines, work->rejected,
            work->packets);
    else
        weir_send_print_sent(work->lines, work->packets);
    if (work->rejected > 0)
        return weir_fail(WEIR_IO, 0, "%" PRIu64 " record%s rejected" WEIR_SEND_WHY,
            work->rejected, weir_plural(work->rejected));
    if (work->read.records.refused > 0)
        return weir_fail(WEIR_IO, 0, "%" PRIu64 " line%s refused", work->read.records.refused,
            weir_plural(work->read.records.refused));
    return WEIR_OK;
}

static enum weir_err
init(struct work *work, const struct weir_send_options *options,
    const struct weir_protocol *protocol)
{
    uint8_t random[WEIR_HASH_SEED_BYTES + sizeof work->sender];
    if (getrandom(random, sizeof random, 0) != sizeof random)
        return weir_fail(WEIR_IO, errno, "getrandom");
    weir_send_points_init(&work->read, random, protocol);
    memcpy(&work->sender, random + WEIR_HASH_SEED_BYTES, sizeof work->sender);
    if (options->sender != 0)
        work->sender = options->sender;
    work->epoch = (uint32_t)time(NULL);
    work->options = options;
    return WEIR_OK;
}

/* The next run with this sender id begins its numbers anew. It needs a second of its own, because
 * its packets would count as second copies. */
static void
await_next_epoch(const struct work *work)
{
    const struct timespec pause = {.tv_nsec = 10000000};
    if (work->options->sender == 0 || work->packets == 0)
        return;
    for (int i = 0; i < 100 && (uint32_t)time(NULL) == work->epoch; i++)
        nanosleep(&pause, NULL);
}

enum weir_err
weir_send_weir(const struct weir_send_options *options, struct weir_send_source *source)
{
    static struct work work;
    enum weir_err err = init(&work, options, source->protocol);
    if (err == WEIR_OK)
        err = open_channel(&work);
    if (err == WEIR_OK)
        err = send_lines(&work, source);
    err = close_channels(&work, err);
    weir_send_records_report_rest(&work.read.records);
    await_next_epoch(&work);
    if (err == WEIR_OK)
        err = report(&work);
    for (uint32_t i = 0; i < work.channel_count; i++)
        weir_chaos_free(work.channels[i].chaos);
    weir_send_points_fini(&work.read);
    return err;
}
