#include "client/weir_client.h"

#include "client/client_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define REPEAT_FIRST_MS 1000
#define REPEAT_MS (600 * 1000)

static int64_t
now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* SplitMix64 (Steele, Lea, Flood, OOPSLA 2014): spreads repeats over time, nothing more. */
static uint64_t
next_random(struct weir_client *client)
{
    uint64_t x = client->random += UINT64_C(0x9e3779b97f4a7c15);
    x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
    return x ^ x >> 31;
}

void
weir_client_repeat_soon(struct weir_client *client)
{
    client->repeat_ms = now_ms() + REPEAT_FIRST_MS + (int64_t)(next_random(client) % 1000);
}

int
weir_client_new(const struct weir_client_options *options, struct weir_client **out)
{
    uint32_t packet_max =
        options->packet_max != 0 ? options->packet_max : WEIR_CLIENT_PACKET_DEFAULT;
    if (packet_max < 256 || packet_max > WEIR_WIRE_PACKET_MAX)
        return -EINVAL;
    struct weir_client *client = calloc(1, sizeof *client);
    if (client == NULL)
        return -ENOMEM;
    client->options = *options;
    if (options->emit == NULL) {
        if (options->address == NULL || strlen(options->address) >= sizeof client->address) {
            free(client);
            return -EINVAL;
        }
        memcpy(client->address, options->address, strlen(options->address) + 1);
        client->options.address = client->address;
    }
    client->packet_max = packet_max;
    client->epoch = options->epoch != 0 ? options->epoch : (uint32_t)time(NULL);
    client->random = options->sender ^ (uint64_t)client->epoch << 32;
    client->fd = -1;
    client->values.data = calloc(1, packet_max);
    client->control.data = calloc(1, packet_max);
    if (options->tcp && options->emit == NULL)
        client->kept = calloc(WEIR_CLIENT_UNACKED_MAX, packet_max);
    bool ready = client->values.data != NULL && client->control.data != NULL &&
        (client->kept != NULL || !options->tcp || options->emit != NULL);
    int err = ready ? weir_client_connect(client) : -ENOMEM;
    if (err != 0) {
        weir_client_free(client);
        return err;
    }
    *out = client;
    return 0;
}

void
weir_client_free(struct weir_client *client)
{
    weir_client_disconnect(client);
    for (uint32_t i = 0; i < client->template_count; i++)
        free(client->templates[i].labels);
    free(client->kept);
    free(client->values.data);
    free(client->control.data);
    free(client);
}

static void
packet_begin(const struct weir_client *client, struct weir_client_packet *packet)
{
    memset(packet->data, 0, client->packet_max);
    packet->used = sizeof(struct weir_wire_header);
    packet->records = 0;
}

/* Completes the header and sends. */
static int
packet_end(struct weir_client *client, struct weir_client_packet *packet)
{
    if (packet->records == 0)
        return 0;
    bool numbered = packet == &client->values;
    struct weir_wire_header header = {.magic = WEIR_WIRE_MAGIC,
        .version = WEIR_WIRE_VERSION,
        .flags = numbered ? 0 : WEIR_WIRE_UNNUMBERED,
        .record_count = packet->records,
        .length = packet->used,
        .epoch = client->epoch,
        .sender = client->options.sender,
        .sequence = client->sequence + numbered,
        .base_time_ms = packet->base_time_ms,
        .channel = client->options.channel};
    memcpy(packet->data, &header, sizeof header);
    uint32_t crc = weir_client_crc(0, packet->data, offsetof(struct weir_wire_header, crc));
    header.crc =
        weir_client_crc(crc, packet->data + sizeof header, packet->used - sizeof header);
    memcpy(packet->data, &header, sizeof header);
    int err = weir_client_emit(client, packet, numbered);
    if (err == 0)
        packet->records = 0;
    return err;
}

/* The place of a record of at least `least` bytes, and *room bytes for it. 0 if the packet is too
 * full. */
static uint32_t
record_place(const struct weir_client *client, const struct weir_client_packet *packet,
    uint32_t least, uint32_t *room)
{
    uint32_t at = (packet->used + WEIR_WIRE_ALIGN - 1) & ~(WEIR_WIRE_ALIGN - 1);
    if (packet->records == WEIR_WIRE_RECORDS_MAX || at + least > client->packet_max)
        return 0;
    *room = client->packet_max - at;
    return at;
}

static void
record_put(struct weir_client_packet *packet, uint32_t at, const struct weir_wire_record *record)
{
    memcpy(packet->data + at, record, sizeof *record);
    packet->used = at + record->length;
    packet->records++;
}

static size_t
labels_bytes(const struct weir_client_label *labels, size_t count)
{
    size_t bytes = 0;
    for (size_t i = 0; i < count; i++)
        bytes += 4 + strlen(labels[i].name) + strlen(labels[i].value);
    return bytes;
}

/* u16 size, then the labels. */
static uint8_t *
put_labels(uint8_t *out, const struct weir_client_label *labels, size_t count)
{
    uint16_t size = (uint16_t)labels_bytes(labels, count);
    memcpy(out, &size, sizeof size);
    out += sizeof size;
    for (size_t i = 0; i < count; i++) {
        uint16_t sizes[2] = {
            (uint16_t)strlen(labels[i].name), (uint16_t)strlen(labels[i].value)};
        memcpy(out, sizes, sizeof sizes);
        memcpy(out + 4, labels[i].name, sizes[0]);
        memcpy(out + 4 + sizes[0], labels[i].value, sizes[1]);
        out += 4 + sizes[0] + sizes[1];
    }
    return out;
}

static uint32_t
list_bytes(const uint8_t *list)
{
    uint16_t size;
    memcpy(&size, list, sizeof size);
    return 2u + size;
}

/* One packet with as many series from *first on as it holds. */
static int
define_some(struct weir_client *client, uint16_t id, uint32_t *first, const uint8_t **at)
{
    const struct weir_client_template *template = &client->templates[id];
    struct weir_client_packet *packet = &client->control;
    packet_begin(client, packet);
    uint32_t place = packet->used;
    uint32_t length = sizeof(struct weir_wire_record);
    uint32_t common = list_bytes(template->labels);
    memcpy(packet->data + place + length, template->labels, common);
    length += common;
    uint32_t count = 0;
    while (*first + count < template->count &&
        place + length + list_bytes(*at) <= client->packet_max) {
        memcpy(packet->data + place + length, *at, list_bytes(*at));
        length += list_bytes(*at);
        *at += list_bytes(*at);
        count++;
    }
    const struct weir_wire_record record = {.type = WEIR_WIRE_DEFINITION,
        .length = (uint16_t)length,
        .template_id = id,
        .first = (uint16_t)*first,
        .template_hash = template->hash,
        .count = (uint16_t)count,
        .total = (uint16_t)template->count};
    record_put(packet, place, &record);
    *first += count;
    return packet_end(client, packet);
}

static int
define(struct weir_client *client, uint16_t id)
{
    const struct weir_client_template *template = &client->templates[id];
    const uint8_t *at = template->labels + list_bytes(template->labels);
    int err = 0;
    for (uint32_t first = 0; first < template->count && err == 0;)
        err = define_some(client, id, &first, &at);
    return err;
}

int
weir_client_define_all(struct weir_client *client)
{
    int err = 0;
    for (uint32_t id = 0; id < client->template_count && err == 0; id++)
        err = define(client, (uint16_t)id);
    return err;
}

/* A series' labels with the common ones have to fit a packet of their own. */
static int
check_template(const struct weir_client *client, size_t common,
    const struct weir_client_series *series, size_t count, size_t *bytes)
{
    if (count == 0 || count > WEIR_WIRE_TEMPLATE_SERIES_MAX)
        return -ERANGE;
    *bytes = 2 + common;
    for (size_t i = 0; i < count; i++) {
        size_t own = labels_bytes(series[i].labels, series[i].label_count);
        if (sizeof(struct weir_wire_header) + sizeof(struct weir_wire_record) + 4 + common + own >
            client->packet_max)
            return -EMSGSIZE;
        *bytes += 2 + own;
    }
    return 0;
}

int
weir_client_add_template(struct weir_client *client, const struct weir_client_label *common,
    size_t common_count, const struct weir_client_series *series, size_t series_count,
    uint16_t *id)
{
    size_t bytes;
    if (client->template_count == WEIR_CLIENT_TEMPLATES_MAX)
        return -ENOSPC;
    int err = check_template(client, labels_bytes(common, common_count), series, series_count,
        &bytes);
    if (err != 0)
        return err;
    uint8_t *labels = malloc(bytes);
    if (labels == NULL)
        return -ENOMEM;
    uint8_t *at = put_labels(labels, common, common_count);
    for (size_t i = 0; i < series_count; i++)
        at = put_labels(at, series[i].labels, series[i].label_count);
    *id = (uint16_t)client->template_count;
    client->templates[client->template_count++] = (struct weir_client_template){.labels = labels,
        .count = (uint32_t)series_count,
        .hash = weir_client_crc(0, labels, bytes)};
    return define(client, *id);
}

/* Packets that `count` values begin at most, with the one that is being filled. */
static size_t
packets_bound(const struct weir_client *client, size_t count)
{
    size_t head = sizeof(struct weir_wire_header) + WEIR_WIRE_GROUP_HEAD;
    return count / ((client->packet_max - head) / sizeof(double)) + 2;
}

static bool
lacks_room(const struct weir_client *client, size_t count)
{
    return client->kept != NULL &&
        client->sequence - client->acked + packets_bound(client, count) > WEIR_CLIENT_UNACKED_MAX;
}

int
weir_client_add_values(struct weir_client *client, uint16_t id, size_t first,
    const double *values, size_t count, int64_t time_ms)
{
    if (id >= client->template_count)
        return -ENOENT;
    const struct weir_client_template *template = &client->templates[id];
    if (first > template->count || count > template->count - first)
        return -ERANGE;
    struct weir_client_packet *packet = &client->values;
    /* a system call: only where room may be short; each packet that goes out listens too */
    if (lacks_room(client, count)) {
        weir_client_listen(client);
        if (lacks_room(client, count))
            return -EAGAIN;
    }
    while (count > 0) {
        uint32_t room;
        if (packet->records == 0) {
            packet_begin(client, packet);
            packet->base_time_ms = time_ms;
        }
        uint32_t at = record_place(client, packet, WEIR_WIRE_GROUP_HEAD + sizeof(double), &room);
        if (at == 0) {
            int err = packet_end(client, packet);
            if (err != 0)
                return err;
            continue;
        }
        size_t fits = (room - WEIR_WIRE_GROUP_HEAD) / sizeof(double);
        size_t part = count < fits ? count : fits;
        const struct weir_wire_record record = {.type = WEIR_WIRE_GROUP,
            .length = (uint16_t)(WEIR_WIRE_GROUP_HEAD + part * sizeof(double)),
            .template_id = id,
            .first = (uint16_t)first,
            .template_hash = template->hash,
            .count = (uint16_t)part};
        int64_t offset = time_ms - packet->base_time_ms;
        memcpy(packet->data + at + sizeof record, &offset, sizeof offset);
        memcpy(packet->data + at + WEIR_WIRE_GROUP_HEAD, values, part * sizeof(double));
        record_put(packet, at, &record);
        values += part;
        first += part;
        count -= part;
    }
    return 0;
}

static int
heartbeat(struct weir_client *client, bool bye)
{
    struct weir_client_packet *packet = &client->control;
    packet_begin(client, packet);
    const struct weir_wire_record record = {.type = WEIR_WIRE_HEARTBEAT,
        .flags = bye ? WEIR_WIRE_BYE : 0,
        .length = WEIR_WIRE_HEARTBEAT_BYTES};
    memcpy(packet->data + packet->used + sizeof record, &client->sequence,
        sizeof client->sequence);
    record_put(packet, packet->used, &record);
    return packet_end(client, packet);
}

int
weir_client_flush(struct weir_client *client)
{
    weir_client_listen(client);
    int err = packet_end(client, &client->values);
    if (err == 0 && now_ms() >= client->repeat_ms) {
        err = weir_client_define_all(client);
        client->repeat_ms =
            now_ms() + REPEAT_MS * 4 / 5 + (int64_t)(next_random(client) % (REPEAT_MS * 2 / 5));
    }
    if (err == 0 && client->sequence > 0)
        err = heartbeat(client, false);
    return client->stale ? -ESTALE : err;
}

uint64_t
weir_client_sent(const struct weir_client *client)
{
    return client->sequence;
}

uint64_t
weir_client_acked(const struct weir_client *client)
{
    return client->acked;
}

bool
weir_client_heard(const struct weir_client *client)
{
    return client->heard;
}

uint32_t
weir_client_epoch_met(const struct weir_client *client)
{
    return client->epoch_met;
}

int
weir_client_status(const struct weir_client *client)
{
    return client->status;
}

uint64_t
weir_client_rejected(const struct weir_client *client)
{
    return client->rejected_before + client->rejected;
}

int
weir_client_wait(struct weir_client *client, uint64_t unacked_max, int wait_ms)
{
    int64_t until = now_ms() + wait_ms;
    int err = 0;
    if (client->strange)
        weir_client_listen(client); /* Weir may have come since */
    while (unacked_max == 0 && (err = packet_end(client, &client->values)) == -EAGAIN &&
        now_ms() < until && !client->strange && !client->stale)
        weir_client_pause(client);
    while (err == 0 && client->kept != NULL && client->sequence - client->acked > unacked_max &&
        !client->strange && !client->stale) {
        if (now_ms() >= until)
            err = -ETIME;
        else
            weir_client_pause(client);
    }
    return client->strange ? -EPROTO : client->stale ? -ESTALE : err;
}

int
weir_client_close(struct weir_client *client, int wait_ms)
{
    int err = weir_client_wait(client, 0, wait_ms);
    if (err == 0 && client->sequence > 0)
        err = heartbeat(client, true);
    weir_client_free(client);
    return err;
}
