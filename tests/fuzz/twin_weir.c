#include "tests/fuzz/twin_weir.h"

#include "dataplane/protocol/parse.h" /* WEIR_REASON_NONE */
#include "model/metrics.h"

#include <stdlib.h>
#include <string.h>

#define HEADER 64
#define WINDOW 1024
#define FAR (UINT64_C(1) << 20)
#define TEMPLATES 64
#define CHANNELS 8
#define PACKET_MAX 65472
#define TEMPLATE_SERIES 16384
#define LABELS 64
#define LABEL_BYTES 8192
#define NO_SERIES UINT32_MAX

enum { GROUP = 1, GROUP_OFFSETS = 2, DEFINITION = 3, HEARTBEAT = 4 };

struct header {
    uint8_t version, flags;
    uint16_t records, channel, key;
    uint32_t length, epoch, checksum;
    uint64_t sender, sequence;
    int64_t base;
};

struct record {
    const uint8_t *data;
    size_t at; /* in the packet */
    uint8_t type, flags;
    uint16_t length, template, first, count, total;
    uint32_t hash;
};

struct template {
    bool used;
    uint16_t id, total;
    uint32_t hash;
    uint64_t sequence;
    uint32_t *series; /* by index; NO_SERIES where there is none */
};

struct channel {
    bool used;
    uint64_t sender;
    uint16_t channel;
    uint32_t epoch;
    uint64_t highest;
    uint64_t judged; /* numbers up to here have come or are given up */
    uint64_t *met;   /* numbers that came, in order of coming */
    size_t met_count;
    struct template templates[TEMPLATES];
};

/* A definition that waits for its series to be defined. */
struct deferred {
    struct deferred *next;
    uint64_t sender;
    uint32_t epoch;
    uint16_t channel;
    uint8_t data[];
};

struct label {
    const uint8_t *name, *value;
    size_t name_size, value_size;
};

/* A defined series: sorted labels, each as two lengths and two texts. */
struct series {
    uint8_t *text;
    size_t size;
};

struct twin_weir {
    uint32_t channels_max;
    int64_t time_min, time_max;
    struct channel channels[CHANNELS];
    struct deferred *deferred; /* oldest first */
    struct series *series;
    uint32_t series_count;
};

static void *
memory(void *old, size_t size)
{
    void *new = realloc(old, size);
    if (new == NULL)
        abort();
    return new;
}

static uint64_t
number_at(const uint8_t *at, int bytes)
{
    uint64_t value = 0;
    for (int i = 0; i < bytes; i++)
        value |= (uint64_t)at[i] << 8 * i;
    return value;
}

static uint32_t
crc_bits(uint32_t crc, const uint8_t *data, size_t size)
{
    for (size_t i = 0; i < size; i++)
        for (int bit = 0; bit < 8; bit++) {
            uint32_t out = (crc ^ (uint32_t)(data[i] >> bit)) & 1;
            crc = out ? crc >> 1 ^ 0x82f63b78 : crc >> 1;
        }
    return crc;
}

uint32_t
twin_weir_checksum(const uint8_t *data, size_t size)
{
    return ~crc_bits(crc_bits(0xffffffff, data, 44), data + HEADER, size - HEADER);
}

/* ---- layout ---- */

static struct header
read_header(const uint8_t *data)
{
    return (struct header){.version = data[4],
        .flags = data[5],
        .records = (uint16_t)number_at(data + 6, 2),
        .length = (uint32_t)number_at(data + 8, 4),
        .epoch = (uint32_t)number_at(data + 12, 4),
        .sender = number_at(data + 16, 8),
        .sequence = number_at(data + 24, 8),
        .base = (int64_t)number_at(data + 32, 8),
        .channel = (uint16_t)number_at(data + 40, 2),
        .key = (uint16_t)number_at(data + 42, 2),
        .checksum = (uint32_t)number_at(data + 44, 4)};
}

static bool
header_good(const uint8_t *data, const struct header *header)
{
    if (memcmp(data, "WEIR", 4) != 0 || header->version != 1)
        return false;
    if (header->flags > 1 || header->key != 0 || header->epoch == 0)
        return false;
    if (header->records < 1 || header->records > 255)
        return false;
    if (header->length < HEADER || header->length > PACKET_MAX)
        return false;
    return header->flags == 1 || header->sequence >= 1;
}

static struct record
read_record(const uint8_t *packet, size_t at)
{
    const uint8_t *data = packet + at;
    return (struct record){.data = data,
        .at = at,
        .type = data[0],
        .flags = data[1],
        .length = (uint16_t)number_at(data + 2, 2),
        .template = (uint16_t)number_at(data + 4, 2),
        .first = (uint16_t)number_at(data + 6, 2),
        .hash = (uint32_t)number_at(data + 8, 4),
        .count = (uint16_t)number_at(data + 12, 2),
        .total = (uint16_t)number_at(data + 14, 2)};
}

/* The labels of a list; SIZE_MAX where they do not end with it. At most `max` are written. */
static size_t
read_labels(const uint8_t *list, size_t size, struct label *labels, size_t max)
{
    size_t count = 0;
    for (size_t at = 0; at < size;) {
        if (size - at < 4)
            return SIZE_MAX;
        size_t name = number_at(list + at, 2);
        size_t value = number_at(list + at + 2, 2);
        if (size - at - 4 < name + value)
            return SIZE_MAX;
        if (count < max)
            labels[count] =
                (struct label){list + at + 4, list + at + 4 + name, name, value};
        count++;
        at += 4 + name + value;
    }
    return count;
}

/* List `index` of a definition, the common one being 0. NULL where it runs past the end. *after
 * is the place behind it. */
static const uint8_t *
find_list(const struct record *record, uint32_t index, size_t *size, size_t *after)
{
    size_t at = 16;
    for (uint32_t i = 0;; i++) {
        if ((size_t)record->length - at < 2)
            return NULL;
        *size = number_at(record->data + at, 2);
        if ((size_t)record->length - at - 2 < *size)
            return NULL;
        *after = at + 2 + *size;
        if (i == index)
            return record->data + at + 2;
        at = *after;
    }
}

static bool
definition_good(const struct record *record)
{
    size_t size, after = 0;
    if (record->count == 0 || record->total > TEMPLATE_SERIES ||
        record->first + record->count > record->total)
        return false;
    for (uint32_t i = 0; i <= record->count; i++) {
        const uint8_t *list = find_list(record, i, &size, &after);
        if (list == NULL || read_labels(list, size, NULL, 0) == SIZE_MAX)
            return false;
    }
    return after == record->length;
}

static bool
record_good(const struct record *record, bool numbered)
{
    switch (record->type) {
    case GROUP:
        return numbered && record->flags == 0 && record->count >= 1 &&
            record->length == 24 + 8 * record->count;
    case GROUP_OFFSETS:
        return numbered && record->flags == 0 && record->count >= 1 &&
            record->length == 24 + 12 * record->count;
    case DEFINITION:
        return !numbered && record->flags == 0 && definition_good(record);
    case HEARTBEAT:
        return !numbered && record->flags <= 1 && record->length == 24;
    default:
        return false;
    }
}

static int
kind_of(const struct record *record)
{
    return record->type == GROUP_OFFSETS ? GROUP : record->type;
}

/* The packet's records; false where one is not as it has to be. */
static bool
read_records(const uint8_t *data, const struct header *header, struct record *records)
{
    size_t end = HEADER;
    for (int i = 0; i < header->records; i++) {
        size_t at = (end + 63) / 64 * 64;
        if (at + 16 > header->length)
            return false;
        records[i] = read_record(data, at);
        end = at + records[i].length;
        if (records[i].length < 16 || end > header->length)
            return false;
        if (!record_good(&records[i], header->flags == 0))
            return false;
        if (kind_of(&records[i]) != kind_of(&records[0]))
            return false;
    }
    return end == header->length;
}

/* ---- channels and numbers ---- */

static struct channel *
find_channel(const struct twin_weir *twin, uint64_t sender, uint16_t number)
{
    for (int i = 0; i < CHANNELS; i++) {
        const struct channel *channel = &twin->channels[i];
        if (channel->used && channel->sender == sender && channel->channel == number)
            return (struct channel *)(uintptr_t)channel;
    }
    return NULL;
}

static void
begin_epoch(struct channel *channel, uint32_t epoch)
{
    for (int i = 0; i < TEMPLATES; i++) {
        free(channel->templates[i].series);
        channel->templates[i] = (struct template){0};
    }
    channel->epoch = epoch;
    channel->highest = 0;
    channel->judged = 0;
    channel->met_count = 0;
}

static struct channel *
make_channel(struct twin_weir *twin, uint64_t sender, uint16_t number, uint32_t epoch)
{
    uint32_t used = 0;
    for (int i = 0; i < CHANNELS; i++)
        used += twin->channels[i].used;
    if (used == twin->channels_max)
        return NULL;
    struct channel *channel = twin->channels;
    while (channel->used)
        channel++;
    *channel = (struct channel){.used = true, .sender = sender, .channel = number};
    begin_epoch(channel, epoch);
    return channel;
}

static bool
has_met(const struct channel *channel, uint64_t number)
{
    for (size_t i = 0; i < channel->met_count; i++)
        if (channel->met[i] == number)
            return true;
    return false;
}

/* From now on numbers up to `through` that have not come are gaps. */
static void
judge(struct channel *channel, uint64_t through, uint64_t *gaps)
{
    if (through <= channel->judged)
        return;
    uint64_t came = 0;
    for (size_t i = 0; i < channel->met_count; i++)
        came += channel->met[i] > channel->judged && channel->met[i] <= through;
    *gaps += through - channel->judged - came;
    channel->judged = through;
}

static void
raise(struct channel *channel, uint64_t highest, uint64_t *gaps)
{
    if (highest <= channel->highest)
        return;
    channel->highest = highest;
    if (highest > WINDOW)
        judge(channel, highest - WINDOW, gaps);
}

/* Numbers begin behind `before` where `number` does not go on from those before: where it is the
 * first one and past the window, or further than FAR from the highest. */
static void
begin_where(struct channel *channel, uint64_t number, uint64_t before,
    struct twin_weir_answer *answer)
{
    bool ahead = number > channel->highest;
    uint64_t away = ahead ? number - channel->highest : channel->highest - number;
    if (channel->highest == 0 ? number <= WINDOW : away <= FAR)
        return;
    if (channel->highest != 0) {
        judge(channel, channel->highest, &answer->gaps);
        answer->jumps++;
    }
    channel->met_count = 0;
    channel->highest = channel->judged = before;
}

/* The reason by which a numbered packet is refused, or none. */
static uint8_t
meet(struct channel *channel, uint64_t number, struct twin_weir_answer *answer)
{
    begin_where(channel, number, number - 1, answer);
    if (number <= channel->highest) {
        if (channel->highest - number >= WINDOW)
            return WEIR_REASON_number_passed;
        if (has_met(channel, number)) {
            answer->duplicates++;
            return WEIR_REASON_duplicate;
        }
        if (number <= channel->judged)
            return WEIR_REASON_number_passed;
        answer->reorderings++;
    }
    channel->met = memory(channel->met, (channel->met_count + 1) * sizeof *channel->met);
    channel->met[channel->met_count++] = number;
    raise(channel, number, &answer->gaps);
    return WEIR_REASON_NONE;
}

static void
heartbeat(struct channel *channel, uint64_t last, bool bye, struct twin_weir_answer *answer)
{
    begin_where(channel, last, last, answer);
    raise(channel, last, &answer->gaps);
    if (bye)
        judge(channel, channel->highest, &answer->gaps);
}

bool
twin_weir_channel(const struct twin_weir *twin, uint64_t sender, uint16_t number,
    struct twin_weir_state *out)
{
    const struct channel *channel = find_channel(twin, sender, number);
    if (channel == NULL)
        return false;
    *out = (struct twin_weir_state){channel->epoch, channel->highest, channel->judged};
    while (has_met(channel, out->complete + 1))
        out->complete++;
    return true;
}

/* ---- labels and series ---- */

static bool
is_utf8(const uint8_t *text, size_t size)
{
    for (size_t i = 0; i < size;) {
        uint32_t lead = text[i], code;
        int more;
        if (lead < 0x80)
            more = 0, code = lead;
        else if (lead >> 5 == 6)
            more = 1, code = lead & 31;
        else if (lead >> 4 == 14)
            more = 2, code = lead & 15;
        else if (lead >> 3 == 30)
            more = 3, code = lead & 7;
        else
            return false;
        if (size - i < (size_t)more + 1)
            return false;
        for (int k = 1; k <= more; k++) {
            if (text[i + (size_t)k] >> 6 != 2)
                return false;
            code = code << 6 | (text[i + (size_t)k] & 63);
        }
        static const uint32_t least[] = {0, 0x80, 0x800, 0x10000};
        if (code < least[more] || code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff))
            return false;
        i += (size_t)more + 1;
    }
    return true;
}

static int
by_name(const void *a, const void *b)
{
    const struct label *x = a, *y = b;
    size_t least = x->name_size < y->name_size ? x->name_size : y->name_size;
    int order = memcmp(x->name, y->name, least);
    if (order != 0)
        return order;
    return x->name_size < y->name_size ? -1 : x->name_size > y->name_size;
}

/* The labels of series `index` of a definition, sorted, as one text. False where there can be no
 * such series. */
static bool
series_text(const struct record *record, uint32_t index, uint8_t *text, size_t *size)
{
    struct label labels[2 * LABELS];
    size_t list_size, after;
    const uint8_t *list = find_list(record, 0, &list_size, &after);
    if (list == NULL) /* the layout was good */
        abort();
    size_t count = read_labels(list, list_size, labels, LABELS);
    if (count > LABELS)
        return false;
    list = find_list(record, 1 + index, &list_size, &after);
    if (list == NULL)
        abort();
    count += read_labels(list, list_size, labels + count, LABELS);
    if (count > LABELS)
        return false;
    qsort(labels, count, sizeof *labels, by_name);
    bool named = false;
    *size = 0;
    for (size_t i = 0; i < count; i++) {
        const struct label *label = &labels[i];
        if (label->name_size == 0 || label->value_size == 0)
            return false;
        if (i > 0 && by_name(label - 1, label) == 0)
            return false;
        if (memchr(label->name, 0, label->name_size) != NULL)
            return false;
        if (!is_utf8(label->name, label->name_size) || !is_utf8(label->value, label->value_size))
            return false;
        named |= label->name_size == 8 && memcmp(label->name, "__name__", 8) == 0;
        if (*size + 4 + label->name_size + label->value_size > LABEL_BYTES)
            return false;
        const size_t sizes[2] = {label->name_size, label->value_size};
        for (int k = 0; k < 2; k++) {
            text[(*size)++] = (uint8_t)sizes[k];
            text[(*size)++] = (uint8_t)(sizes[k] >> 8);
        }
        memcpy(text + *size, label->name, label->name_size);
        memcpy(text + *size + label->name_size, label->value, label->value_size);
        *size += label->name_size + label->value_size;
    }
    return named;
}

static uint32_t
find_series(const struct twin_weir *twin, const uint8_t *text, size_t size)
{
    for (uint32_t i = 0; i < twin->series_count; i++)
        if (twin->series[i].size == size && memcmp(twin->series[i].text, text, size) == 0)
            return i;
    return NO_SERIES;
}

/* ---- templates ---- */

static struct template *
find_template(struct channel *channel, uint16_t id)
{
    for (int i = 0; i < TEMPLATES; i++)
        if (channel->templates[i].used && channel->templates[i].id == id)
            return &channel->templates[i];
    return NULL;
}

/* The template that a definition is about; NULL where it is an old one (*full untouched), or
 * where there are too many. */
static struct template *
template_for(struct channel *channel, const struct record *record, uint64_t sequence, bool *full)
{
    struct template *template = find_template(channel, record->template);
    if (template != NULL && template->hash == record->hash && template->total == record->total)
        return template;
    if (template != NULL && sequence < template->sequence)
        return NULL;
    for (int i = 0; i < TEMPLATES && template == NULL; i++)
        if (!channel->templates[i].used)
            template = &channel->templates[i];
    if (template == NULL) {
        *full = true;
        return NULL;
    }
    free(template->series);
    *template = (struct template){true, record->template, record->total, record->hash, sequence,
        memory(NULL, record->total * sizeof(uint32_t))};
    for (uint32_t i = 0; i < record->total; i++)
        template->series[i] = NO_SERIES;
    return template;
}

/* Enters what is defined already. Returns how many series of the definition have no number. */
static uint32_t
apply(struct twin_weir *twin, struct template *template, const struct record *record)
{
    static uint8_t text[LABEL_BYTES];
    uint32_t missing = 0;
    for (uint32_t i = 0; i < record->count && template != NULL; i++) {
        uint32_t *series = &template->series[record->first + i];
        size_t size;
        if (*series == NO_SERIES && series_text(record, i, text, &size))
            *series = find_series(twin, text, size);
        missing += *series == NO_SERIES;
    }
    return missing;
}

void
twin_weir_complete(struct twin_weir *twin)
{
    static uint8_t text[LABEL_BYTES];
    struct deferred *oldest = twin->deferred;
    struct record record = read_record(oldest->data, 0);
    for (uint32_t i = 0; i < record.count; i++) {
        size_t size;
        if (!series_text(&record, i, text, &size) || find_series(twin, text, size) != NO_SERIES)
            continue;
        twin->series = memory(twin->series, (twin->series_count + 1) * sizeof *twin->series);
        struct series *series = &twin->series[twin->series_count++];
        *series = (struct series){memory(NULL, size), size};
        memcpy(series->text, text, size);
    }
    struct channel *channel = find_channel(twin, oldest->sender, oldest->channel);
    struct template *template = NULL;
    if (channel != NULL && channel->epoch == oldest->epoch)
        template = find_template(channel, record.template);
    if (template != NULL && template->hash == record.hash && template->total == record.total)
        apply(twin, template, &record);
    twin->deferred = oldest->next;
    free(oldest);
}

static bool
definitions_pending(const struct twin_weir *twin, const struct header *header)
{
    for (const struct deferred *at = twin->deferred; at != NULL; at = at->next)
        if (at->sender == header->sender && at->channel == header->channel &&
            at->epoch == header->epoch)
            return true;
    return false;
}

/* ---- records ---- */

/* The reason by which a group is refused, or none and its samples. */
static uint8_t
apply_group(struct twin_weir *twin, struct channel *channel, const struct header *header,
    const struct record *record, struct twin_weir_answer *answer)
{
    const struct template *template = find_template(channel, record->template);
    if (template == NULL || template->hash != record->hash ||
        record->first + record->count > template->total)
        return WEIR_REASON_no_template;
    for (uint32_t i = 0; i < record->count; i++)
        if (template->series[record->first + i] == NO_SERIES)
            return WEIR_REASON_no_template;
    __extension__ typedef __int128 wide;
    wide time = (wide)header->base + (int64_t)number_at(record->data + 16, 8);
    if (time < INT64_MIN)
        return WEIR_REASON_time_past;
    if (time > INT64_MAX)
        return WEIR_REASON_time_future;
    bool past = false, future = false;
    for (uint32_t i = 0; i < record->count; i++) {
        wide own = time;
        if (record->type == GROUP_OFFSETS)
            own += (int32_t)number_at(record->data + 24 + 8 * record->count + 4 * i, 4);
        past |= own < twin->time_min;
        future |= own > twin->time_max;
        answer->samples[answer->sample_count + i] =
            (struct twin_weir_sample){template->series[record->first + i], (int64_t)own,
                number_at(record->data + 24 + 8 * i, 8)};
    }
    if (past)
        return WEIR_REASON_time_past;
    if (future)
        return WEIR_REASON_time_future;
    answer->sample_count += record->count;
    return WEIR_REASON_NONE;
}

static void
defer(struct twin_weir *twin, const struct header *header, const struct record *record)
{
    struct deferred *deferred = memory(NULL, sizeof *deferred + record->length);
    *deferred = (struct deferred){.sender = header->sender,
        .epoch = header->epoch,
        .channel = header->channel};
    memcpy(deferred->data, record->data, record->length);
    struct deferred **last = &twin->deferred;
    while (*last != NULL)
        last = &(*last)->next;
    *last = deferred;
}

/* One record of a packet that counts. */
static void
apply_record(struct twin_weir *twin, struct channel *channel, const struct header *header,
    const struct record *record, struct twin_weir_answer *answer)
{
    struct twin_weir_record *out = &answer->records[answer->record_count - 1];
    bool full = false;
    switch (kind_of(record)) {
    case GROUP:
        out->reason = apply_group(twin, channel, header, record, answer);
        out->kind = out->reason == WEIR_REASON_NONE ? TWIN_WEIR_SAMPLED : TWIN_WEIR_OTHER;
        break;
    case DEFINITION:
        if (apply(twin, template_for(channel, record, header->sequence, &full), record) > 0) {
            out->kind = TWIN_WEIR_DEFERRED;
            defer(twin, header, record);
        }
        if (full)
            out->reason = WEIR_REASON_templates_full;
        break;
    default:
        heartbeat(channel, number_at(record->data + 16, 8), record->flags == 1, answer);
    }
}

/* The reason by which a packet is refused, or none. Makes its channel, enters its number. */
static uint8_t
enter(struct twin_weir *twin, const struct header *header, uint8_t refusal,
    struct channel **channel, struct twin_weir_answer *answer)
{
    if (refusal != WEIR_REASON_NONE)
        return refusal;
    if ((int64_t)header->epoch * 1000 > twin->time_max)
        return WEIR_REASON_epoch_ahead;
    *channel = find_channel(twin, header->sender, header->channel);
    if (*channel == NULL)
        *channel = make_channel(twin, header->sender, header->channel, header->epoch);
    if (*channel == NULL)
        return WEIR_REASON_senders_full;
    if (header->epoch < (*channel)->epoch)
        return WEIR_REASON_old_epoch;
    if (header->epoch > (*channel)->epoch)
        begin_epoch(*channel, header->epoch);
    answer->numbered_channel = true;
    return header->flags == 1 ? WEIR_REASON_NONE : meet(*channel, header->sequence, answer);
}

void
twin_weir_apply(struct twin_weir *twin, const uint8_t *data, size_t size, bool final,
    uint8_t refusal, struct twin_weir_answer *answer)
{
    struct record records[255];
    struct header header = {0};
    *answer = (struct twin_weir_answer){.consumed = 0};
    if (size == 0)
        return;
    bool cut = size < HEADER;
    bool good = true;
    if (!cut) {
        header = read_header(data);
        good = header_good(data, &header);
        cut = good && header.length > size;
    }
    if (cut && !final)
        return;
    if (cut || !good || header.checksum != twin_weir_checksum(data, header.length) ||
        !read_records(data, &header, records)) {
        answer->bad = true;
        answer->consumed = size;
        answer->record_count = 1;
        answer->records[0] = (struct twin_weir_record){0, size, 0, WEIR_REASON_bad_packet,
            TWIN_WEIR_OTHER};
        return;
    }
    struct channel *channel = find_channel(twin, header.sender, header.channel);
    if (refusal == WEIR_REASON_NONE && kind_of(&records[0]) == GROUP && channel != NULL &&
        channel->epoch == header.epoch && definitions_pending(twin, &header)) {
        answer->waits = true;
        return;
    }
    uint8_t reason = enter(twin, &header, refusal, &channel, answer);
    for (int i = 0; i < header.records; i++) {
        const struct record *record = &records[i];
        answer->records[answer->record_count++] = (struct twin_weir_record){record->at,
            record->length, kind_of(record) == GROUP ? record->count : 0, reason,
            TWIN_WEIR_OTHER};
        if (reason == WEIR_REASON_NONE)
            apply_record(twin, channel, &header, record, answer);
    }
    answer->consumed = header.length;
}

struct twin_weir *
twin_weir_new(uint32_t channels_max, int64_t time_min_ms, int64_t time_max_ms)
{
    struct twin_weir *twin = memory(NULL, sizeof *twin);
    if (channels_max > CHANNELS)
        abort();
    *twin = (struct twin_weir){
        .channels_max = channels_max, .time_min = time_min_ms, .time_max = time_max_ms};
    return twin;
}

void
twin_weir_free(struct twin_weir *twin)
{
    for (int i = 0; i < CHANNELS; i++) {
        begin_epoch(&twin->channels[i], 0);
        free(twin->channels[i].met);
    }
    while (twin->deferred != NULL) {
        struct deferred *next = twin->deferred->next;
        free(twin->deferred);
        twin->deferred = next;
    }
    for (uint32_t i = 0; i < twin->series_count; i++)
        free(twin->series[i].text);
    free(twin->series);
    free(twin);
}
