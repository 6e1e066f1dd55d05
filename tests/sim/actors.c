#include "tests/sim/actors.h"

#include "base/assert.h"
#include "model/labels.h"
#include "model/sender_state/state.h"
#include "storage/frame/frame.h"
#include "storage/log/checkpoint.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LARGE_BATCH 2100 /* more than a block */
#define PADDING_MAX 300

/* ---- series ---- */

static size_t
labels_of(uint32_t series, uint8_t out[WEIR_LABELS_BYTES_MAX])
{
    char name[24], padding[PADDING_MAX];
    int size = snprintf(name, sizeof name, "s%u", series);
    uint16_t padded = (uint16_t)(1 + series * 7919 % PADDING_MAX);
    memset(padding, 'x', sizeof padding);
    struct weir_label labels[2] = {
        {(const uint8_t *)WEIR_NAME_LABEL, (const uint8_t *)name, sizeof WEIR_NAME_LABEL - 1,
            (uint16_t)size},
        {(const uint8_t *)"padding", (const uint8_t *)padding, 7, padded}};
    size_t used;
    enum weir_err err = weir_labels_encode(labels, 2, out, &used);
    WEIR_ASSERT(err == WEIR_OK);
    return used;
}

uint32_t
sim_series_of(struct sim_machine *machine, const uint8_t *labels, size_t size, bool whole)
{
    struct weir_label name;
    char text[32];
    if (labels == NULL || !weir_labels_find(labels, size, WEIR_NAME_LABEL, &name) ||
        name.value_size >= sizeof text) {
        if (labels != NULL)
            sim_model_invented(&machine->model, "labels that nobody sent", size);
        return SIM_SERIES_MAX;
    }
    memcpy(text, name.value, name.value_size);
    text[name.value_size] = '\0';
    if (strcmp(text, WEIR_LOST_NAME) == 0)
        return SIM_SERIES_MAX;
    uint8_t sent[WEIR_LABELS_BYTES_MAX];
    unsigned long series = strtoul(text + 1, NULL, 10);
    bool unknown = text[0] != 's' || series >= machine->model.series_count;
    if (unknown || (whole && (labels_of((uint32_t)series, sent) != size ||
                                 memcmp(labels, sent, size) != 0))) {
        sim_model_invented(&machine->model, "a series that nobody sent", series);
        return SIM_SERIES_MAX;
    }
    return (uint32_t)series;
}

/* ---- senders ---- */

/* An empty batch of a producer, or NULL; entered into the model. */
static struct weir_batch *
take_batch(struct sim_machine *machine, uint32_t producer, struct sim_batch_sent **sent)
{
    struct sim_model *model = &machine->model;
    if (weir_progress_refusal(&machine->progress) != WEIR_REASON_NONE ||
        model->batch_count == SIM_BATCHES_MAX)
        return NULL;
    struct weir_batch *batch = weir_ring_pop(machine->empty[producer]);
    if (batch == NULL)
        return NULL;
    weir_batch_reset(batch);
    batch->number = ++machine->batch_number[producer];
    batch->producer = producer;
    batch->packets = 1;
    *sent = &model->batches[model->batch_count++];
    memset(*sent, 0, sizeof **sent);
    (*sent)->number = batch->number;
    (*sent)->first = model->sample_count;
    (*sent)->channel = SIM_CHANNELS;
    (*sent)->series_first = model->series_count;
    return batch;
}

static void
send_batch(struct sim_machine *machine, uint32_t producer, struct weir_batch *batch)
{
    batch->records = batch->count;
    batch->opened_tsc = 0;
    bool pushed = weir_ring_push(machine->full[producer], batch);
    WEIR_ASSERT(pushed);
}

static void
add_sample(struct sim_machine *machine, struct weir_batch *batch, struct sim_batch_sent *sent)
{
    struct sim_model *model = &machine->model;
    uint64_t number = sim_random_below(&machine->random, machine->number_count);
    uint32_t series = machine->numbers[number];
    if (series == SIM_SERIES_MAX || model->series[series].number != number ||
        model->sample_count == SIM_SAMPLES_MAX)
        return;
    struct weir_sample sample = {.time_ms = model->sample_count};
    if (sim_random_below(&machine->random, 3) == 0) {
        sample.key = weir_sample_key(number, WEIR_VALUE_DOUBLE, 0);
        sample.value = sim_random_next(&machine->random);
    } else {
        int exponent = (int)sim_random_below(&machine->random, 4) - 3;
        sample.key = weir_sample_key(number, WEIR_VALUE_DECIMAL, exponent);
        sample.value = sim_random_below(&machine->random, 1000000);
    }
    weir_batch_append(batch, sample.key, sample.time_ms, sample.value);
    double value = weir_sample_double(&sample);
    struct sim_sample_sent *entry = &model->samples[model->sample_count++];
    *entry = (struct sim_sample_sent){
        .series = series, .batch = (uint32_t)(sent - model->batches)};
    memcpy(&entry->bits, &value, sizeof value);
    sent->count++;
}

/* New series, each defined ahead of its use. */
void
sim_registrar_step(struct sim_machine *machine)
{
    struct sim_model *model = &machine->model;
    struct sim_batch_sent *sent;
    uint64_t count = 1 + sim_random_below(&machine->random, 6);
    if (model->series_count + count > SIM_SERIES_MAX ||
        machine->number_count + count > SIM_SERIES_MAX)
        return;
    struct weir_batch *batch = take_batch(machine, WEIR_PRODUCER_REGISTRAR, &sent);
    if (batch == NULL)
        return;
    batch->definition_first = sent->definition_first = machine->number_count;
    size_t used = 0;
    for (uint64_t i = 0; i < count; i++) {
        uint8_t labels[WEIR_LABELS_BYTES_MAX];
        size_t size = labels_of(model->series_count, labels);
        enum weir_err err = weir_definition_append(batch->definitions, WEIR_BATCH_DEFINITIONS_MAX,
            &used, labels, size);
        WEIR_ASSERT(err == WEIR_OK);
        machine->numbers[machine->number_count] = model->series_count;
        model->series[model->series_count++] = (struct sim_series){
            .number = machine->number_count++, .batch = (uint32_t)(sent - model->batches)};
    }
    sent->series_count = (uint32_t)count;
    batch->definition_count = (uint32_t)count;
    batch->definition_bytes = (uint32_t)used;
    for (uint64_t i = sim_random_below(&machine->random, 3); i != 0; i--)
        add_sample(machine, batch, sent);
    send_batch(machine, WEIR_PRODUCER_REGISTRAR, batch);
}

static void
add_sequence(struct sim_machine *machine, struct weir_batch *batch, struct sim_batch_sent *sent)
{
    uint16_t channel = (uint16_t)sim_random_below(&machine->random, SIM_CHANNELS);
    struct weir_state_entry *entry = (struct weir_state_entry *)batch->sender_state;
    *entry = (struct weir_state_entry){.type = WEIR_STATE_SEQUENCE,
        .channel = channel,
        .bytes = sizeof *entry,
        .sender = channel,
        .epoch = 1,
        .sequence = ++machine->sequence};
    batch->state_bytes = sizeof *entry;
    sent->channel = channel;
    sent->sequence = machine->sequence;
}

void
sim_worker_step(struct sim_machine *machine)
{
    struct sim_batch_sent *sent;
    if (machine->number_count == 0)
        return;
    struct weir_batch *batch = take_batch(machine, WEIR_PRODUCER_WORKER(0), &sent);
    if (batch == NULL)
        return;
    uint64_t count = 1 + sim_random_below(&machine->random, 40);
    if (sim_random_once_in(&machine->random, 60))
        count = LARGE_BATCH;
    for (uint64_t i = 0; i < count; i++)
        add_sample(machine, batch, sent);
    if (sim_random_below(&machine->random, 3) == 0)
        add_sequence(machine, batch, sent);
    send_batch(machine, WEIR_PRODUCER_WORKER(0), batch);
}

/* ---- the writer ---- */

/* Batches of a producer that the dataplane says are durable. */
static void
note_acks(struct sim_machine *machine)
{
    for (uint32_t i = machine->model.batch_count; i-- > 0;) {
        struct sim_batch_sent *batch = &machine->model.batches[i];
        uint32_t producer = batch->series_count != 0 ? 0 : 1;
        if (batch->number == 0)
            return; /* of an earlier life */
        if (!batch->acked &&
            weir_progress_durable(&machine->progress, producer, batch->number))
            batch->acked = true;
    }
}

/* Batch of a descriptor: by the time of a sample, or by the number of a series. */
static struct sim_batch_sent *
batch_of(struct sim_machine *machine, const struct weir_frame_descriptor *descriptor)
{
    struct sim_model *model = &machine->model;
    if (descriptor->samples != 0)
        return &model->batches[model->samples[descriptor->time_min_ms].batch];
    if (descriptor->definitions != 0)
        return &model->batches[model->series[machine->numbers[descriptor->definitions_through - 1]]
                                   .batch];
    return NULL; /* a state entry alone */
}

/* Where the frames are that have become durable. */
static void
note_offsets(struct sim_machine *machine)
{
    const struct weir_frame_ring *ring = weir_shared_frame_ring(machine->shared);
    uint64_t published = weir_frame_ring_published(ring);
    for (; machine->ring_next < published; machine->ring_next++) {
        struct weir_frame_descriptor descriptor;
        struct weir_frame_header header;
        if (weir_frame_ring_descriptor(ring, machine->ring_next, &descriptor) != WEIR_OK)
            continue;
        struct sim_batch_sent *batch = batch_of(machine, &descriptor);
        if (batch == NULL)
            continue;
        batch->offset = descriptor.offset;
        batch->end = descriptor.offset + descriptor.bytes;
        if (weir_frame_ring_copy(ring, machine->shared->frame_ring_bytes, descriptor.place,
                (uint8_t *)&header, sizeof header) == WEIR_OK)
            batch->watermark = header.durable_watermark;
    }
}

void
sim_writer_step(struct sim_machine *machine)
{
    (void)weir_writer_run_once(machine->writer);
    note_offsets(machine);
    note_acks(machine);
}

/* ---- the reader ---- */

struct reading {
    struct sim_machine *machine;
    struct weir_reader *reader;
};

static enum weir_err
on_sample(void *context, size_t index, int64_t time_ms, double value)
{
    struct reading *reading = context;
    const uint8_t *labels;
    size_t size;
    weir_reader_labels(reading->reader, index, &labels, &size);
    uint32_t series = sim_series_of(reading->machine, labels, size, time_ms % 16 == 0);
    sim_model_given(&reading->machine->model, series, time_ms, value);
    return WEIR_OK;
}

/* Where the log begins for a reader that looks now: a checkpoint counts before it is announced. */
static uint64_t
first_offset(struct sim_machine *machine)
{
    struct weir_checkpoint checkpoint;
    struct weir_io *io = sim_host_io(&machine->host, &machine->reader_process);
    uint64_t first = atomic_load(&machine->shared->log_first_offset);
    machine->host.silent = true;
    enum weir_err err =
        weir_checkpoint_read(io, SIM_DIRECTORY, WEIR_LOG_STREAM, &checkpoint, NULL);
    if (err == WEIR_OK && checkpoint.first_index * checkpoint.segment_bytes > first)
        first = checkpoint.first_index * checkpoint.segment_bytes;
    else if (err == WEIR_CORRUPT)
        first = UINT64_MAX; /* nobody knows by now what the reader saw */
    machine->host.silent = false;
    weir_io_free(io);
    return first;
}

bool
sim_reader_check(struct sim_machine *machine, struct weir_reader *reader, bool all)
{
    struct sim_model *model = &machine->model;
    struct reading reading = {machine, reader};
    uint64_t durable = weir_reader_durable_offset(reader);
    int64_t from_ms = INT64_MIN, to_ms = INT64_MAX;
    if (!all && sim_random_below(&machine->random, 2) == 0) {
        from_ms = (int64_t)sim_random_below(&machine->random, model->sample_count);
        to_ms = from_ms + (int64_t)sim_random_below(&machine->random, model->sample_count);
    }
    uint64_t corrupt_before = weir_reader_blocks_corrupt(reader);
    sim_model_read(model, from_ms, to_ms);
    enum weir_err err = weir_reader_scan(reader, NULL, 0, from_ms, to_ms, on_sample, &reading);
    bool told = weir_reader_blocks_corrupt(reader) != corrupt_before ||
        weir_reader_gaps(reader) != 0;
    if (told && model->damage_count == 0)
        sim_model_invented(model, "a reader told damage that is not there",
            weir_reader_blocks_corrupt(reader));
    if (err == WEIR_OK)
        sim_model_read_end(model, first_offset(machine), durable, told);
    return err == WEIR_OK;
}

void
sim_reader_step(struct sim_machine *machine)
{
    struct weir_reader_options options = {
        .directory = SIM_DIRECTORY, .shared = machine->shared};
    if (machine->reader == NULL) {
        options.io = sim_host_io(&machine->host, &machine->reader_process);
        if (weir_reader_open_with(&options, &machine->reader) != WEIR_OK)
            machine->reader = NULL;
        return;
    }
    if (weir_reader_refresh(machine->reader) == WEIR_OK)
        (void)sim_reader_check(machine, machine->reader, false);
}
