#include "app/cli/send/chaos.h"

#include "client/wire.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define WINDOW WEIR_WIRE_WINDOW
#define CHANCE_ONE (UINT64_C(1) << 32)
/* A channel of which next to nothing comes is met at a later number, and its gaps begin there. */
#define PERCENT_MAX 90.0

struct held {
    struct held *next;
    uint64_t number;
    uint64_t units;
    size_t size;
    uint8_t packet[];
};

struct weir_chaos {
    struct weir_chaos_options options;
    weir_chaos_emit_fn *emit;
    void *context;
    uint64_t random;
    uint64_t number;  /* of the last packet pushed */
    uint64_t highest; /* highest number that was sent or announced */
    struct weir_chaos_truth truth;
    struct held *held[WINDOW]; /* by the number after which it is sent, % WINDOW; in order */
    bool met[2 * WINDOW];      /* a copy of number % 2 WINDOW went on */
};

static enum weir_err
parse_percent(const char **text, uint64_t *chance)
{
    char *end;
    if (**text != ',')
        return WEIR_INVALID;
    double percent = strtod(*text + 1, &end);
    if (end == *text + 1 || !(percent >= 0 && percent <= PERCENT_MAX))
        return WEIR_INVALID;
    *chance = (uint64_t)(percent / 100 * (double)CHANCE_ONE);
    *text = end;
    return WEIR_OK;
}

enum weir_err
weir_chaos_parse(const char *text, struct weir_chaos_options *out)
{
    const char *at = text;
    char *end;
    out->seed = strtoull(at, &end, 10);
    bool good = end != at && *at >= '0' && *at <= '9';
    at = end;
    good = good && parse_percent(&at, &out->loss) == WEIR_OK &&
        parse_percent(&at, &out->dup) == WEIR_OK &&
        parse_percent(&at, &out->reorder) == WEIR_OK && *at == '\0';
    if (!good)
        return weir_fail(WEIR_INVALID, 0,
            "--chaos: '%s' is not SEED,LOSS,DUP,REORDER, the last three from 0 to %.0f percent",
            text, PERCENT_MAX);
    return WEIR_OK;
}

enum weir_err
weir_chaos_new(const struct weir_chaos_options *options, weir_chaos_emit_fn *emit, void *context,
    struct weir_chaos **out)
{
    struct weir_chaos *chaos = calloc(1, sizeof *chaos);
    if (chaos == NULL)
        return weir_fail(WEIR_NOMEM, 0, "chaos");
    chaos->options = *options;
    chaos->emit = emit;
    chaos->context = context;
    chaos->random = options->seed;
    *out = chaos;
    return WEIR_OK;
}

void
weir_chaos_free(struct weir_chaos *chaos)
{
    if (chaos == NULL)
        return;
    for (int i = 0; i < WINDOW; i++) {
        while (chaos->held[i] != NULL) {
            struct held *held = chaos->held[i];
            chaos->held[i] = held->next;
            free(held);
        }
    }
    free(chaos);
}

/* SplitMix64 (Steele, Lea, Flood, OOPSLA 2014). */
static uint64_t
next_random(struct weir_chaos *chaos)
{
    uint64_t x = chaos->random += UINT64_C(0x9e3779b97f4a7c15);
    x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
    return x ^ x >> 31;
}

static bool
happens(struct weir_chaos *chaos, uint64_t chance)
{
    return next_random(chaos) >> 32 < chance;
}

static enum weir_err
send_on(struct weir_chaos *chaos, uint64_t number, const uint8_t *packet, size_t size,
    uint64_t units)
{
    bool *met = &chaos->met[number % (2 * WINDOW)];
    if (*met) {
        chaos->truth.duplicated++;
        chaos->truth.units_duplicated += units;
    } else if (number <= chaos->highest) {
        chaos->truth.reordered++;
    }
    *met = true;
    weir_chaos_heartbeat(chaos, number);
    return chaos->emit(chaos->context, packet, size);
}

static enum weir_err
hold(struct weir_chaos *chaos, const uint8_t *packet, size_t size, uint64_t units)
{
    struct held *held = malloc(sizeof *held + size);
    if (held == NULL)
        return weir_fail(WEIR_NOMEM, 0, "held packet");
    uint64_t behind = chaos->number + 1 + next_random(chaos) % (WINDOW - 1);
    *held = (struct held){.number = chaos->number, .units = units, .size = size};
    memcpy(held->packet, packet, size);
    struct held **last = &chaos->held[behind % WINDOW];
    while (*last != NULL)
        last = &(*last)->next;
    *last = held;
    return WEIR_OK;
}

/* Sends the packets that waited for this number. */
static enum weir_err
release(struct weir_chaos *chaos, uint64_t behind)
{
    struct held **list = &chaos->held[behind % WINDOW];
    enum weir_err err = WEIR_OK;
    while (*list != NULL && err == WEIR_OK) {
        struct held *held = *list;
        *list = held->next;
        err = send_on(chaos, held->number, held->packet, held->size, held->units);
        free(held);
    }
    return err;
}

enum weir_err
weir_chaos_push(struct weir_chaos *chaos, const uint8_t *packet, size_t size, uint64_t units)
{
    enum weir_err err = WEIR_OK;
    chaos->number++;
    chaos->met[chaos->number % (2 * WINDOW)] = false;
    chaos->truth.packets++;
    chaos->truth.units += units;
    int copies = 0;
    if (happens(chaos, chaos->options.loss)) {
        chaos->truth.lost++;
        chaos->truth.units_lost += units;
    } else {
        copies = happens(chaos, chaos->options.dup) ? 2 : 1;
    }
    for (; copies > 0 && err == WEIR_OK; copies--) {
        if (happens(chaos, chaos->options.reorder))
            err = hold(chaos, packet, size, units);
        else
            err = send_on(chaos, chaos->number, packet, size, units);
    }
    return err == WEIR_OK ? release(chaos, chaos->number) : err;
}

void
weir_chaos_heartbeat(struct weir_chaos *chaos, uint64_t number)
{
    if (number > chaos->highest)
        chaos->highest = number;
}

enum weir_err
weir_chaos_flush(struct weir_chaos *chaos)
{
    enum weir_err err = WEIR_OK;
    for (uint64_t i = 1; i < WINDOW && err == WEIR_OK; i++)
        err = release(chaos, chaos->number + i);
    return err;
}

static uint64_t
samples_in(const uint8_t *packet, const struct weir_wire_header *header)
{
    uint64_t samples = 0;
    size_t at = sizeof *header;
    for (uint32_t i = 0; i < header->record_count; i++) {
        struct weir_wire_record record;
        at = (at + WEIR_WIRE_ALIGN - 1) & ~(size_t)(WEIR_WIRE_ALIGN - 1);
        memcpy(&record, packet + at, sizeof record);
        bool group = record.type == WEIR_WIRE_GROUP || record.type == WEIR_WIRE_GROUP_OFFSETS;
        samples += group ? record.count : 0;
        at += record.length;
    }
    return samples;
}

enum weir_err
weir_chaos_push_wire(struct weir_chaos *chaos, const uint8_t *packet, size_t size)
{
    struct weir_wire_header header;
    struct weir_wire_record record;
    enum weir_err err = WEIR_OK;
    memcpy(&header, packet, sizeof header);
    memcpy(&record, packet + sizeof header, sizeof record);
    if ((header.flags & WEIR_WIRE_UNNUMBERED) == 0)
        return weir_chaos_push(chaos, packet, size, samples_in(packet, &header));
    if (record.type == WEIR_WIRE_HEARTBEAT) {
        if ((record.flags & WEIR_WIRE_BYE) != 0)
            err = weir_chaos_flush(chaos);
        weir_chaos_heartbeat(chaos, header.sequence);
    }
    return err == WEIR_OK ? chaos->emit(chaos->context, packet, size) : err;
}

const struct weir_chaos_truth *
weir_chaos_truth(const struct weir_chaos *chaos)
{
    return &chaos->truth;
}
