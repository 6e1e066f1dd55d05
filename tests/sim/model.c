#include "tests/sim/model.h"

#include "base/assert.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void
sim_model_reset(struct sim_model *model)
{
    struct sim_model fresh = {.samples = model->samples,
        .batches = model->batches,
        .series = model->series,
        .prints = model->prints};
    if (fresh.samples == NULL) {
        fresh.samples = calloc(SIM_SAMPLES_MAX, sizeof *fresh.samples);
        fresh.batches = calloc(SIM_BATCHES_MAX, sizeof *fresh.batches);
        fresh.series = calloc(SIM_SERIES_MAX, sizeof *fresh.series);
        WEIR_ASSERT(fresh.samples != NULL && fresh.batches != NULL && fresh.series != NULL);
    }
    *model = fresh;
    model->sample_count = 1; /* times begin at 1 */
}

/* Where a batch lies, for a person. */
static void
print_batch(const struct sim_model *model, const char *what, uint32_t at)
{
    const struct sim_batch_sent *batch = &model->batches[at];
    if (model->prints)
        printf("#   %s: batch %u, frame [%" PRIu64 ", %" PRIu64 ")%s%s%s\n", what, at,
            batch->offset, batch->end, batch->acked ? ", acknowledged" : "",
            batch->gone ? ", gone" : "", batch->number != 0 ? ", of this life" : "");
}

static void
print(const struct sim_model *model, const char *kind, const char *what, uint64_t where)
{
    if (!model->prints)
        return;
    printf("# %s: %s (%" PRIu64 ")\n", kind, what, where);
    for (uint32_t i = 0; i < model->damage_count; i++)
        printf("#   damage: %s, file %d, [%" PRIu64 ", %" PRIu64 ")\n",
            sim_fault_name(model->damages[i].fault), (int)model->damages[i].file,
            model->damages[i].from, model->damages[i].to);
}

void
sim_model_lost(struct sim_model *model, const char *what, uint64_t where)
{
    if (model->verdict.lost++ == 0)
        print(model, "lost", what, where);
}

void
sim_model_invented(struct sim_model *model, const char *what, uint64_t where)
{
    if (model->verdict.invented++ == 0)
        print(model, "invented", what, where);
}

void
sim_model_undetected(struct sim_model *model, const char *what, uint64_t where)
{
    if (model->verdict.undetected++ == 0)
        print(model, "undetected", what, where);
}

void
sim_model_damage(struct sim_model *model, struct sim_damage damage)
{
    WEIR_ASSERT(model->damage_count < SIM_DAMAGES_MAX);
    model->damages[model->damage_count++] = damage;
    model->file_damaged[damage.file] = true;
}

static bool
is_hit(const struct sim_model *model, const struct sim_batch_sent *batch)
{
    if (batch->end == 0) /* nobody knows where its frame is */
        return model->file_damaged[SIM_FILE_SEGMENT];
    for (uint32_t i = 0; i < model->damage_count; i++)
        if (model->damages[i].file == SIM_FILE_SEGMENT && model->damages[i].from < batch->end &&
            model->damages[i].to > batch->offset)
            return true;
    return false;
}

bool
sim_model_excused(const struct sim_model *model, const struct sim_batch_sent *batch)
{
    return batch->gone || is_hit(model, batch);
}

bool
sim_model_nameless(const struct sim_model *model, uint32_t series)
{
    return model->file_damaged[SIM_FILE_DEFINITIONS] ||
        sim_model_excused(model, &model->batches[model->series[series].batch]);
}

void
sim_model_read(struct sim_model *model, int64_t from_ms, int64_t to_ms)
{
    model->reads++;
    model->from_ms = from_ms;
    model->to_ms = to_ms;
}

void
sim_model_given(struct sim_model *model, uint32_t series, int64_t time_ms, double value)
{
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    if (time_ms <= 0 || time_ms >= (int64_t)model->sample_count || time_ms < model->from_ms ||
        time_ms >= model->to_ms) {
        sim_model_invented(model, "a time that nobody sent, or asked for", (uint64_t)time_ms);
        return;
    }
    struct sim_sample_sent *sample = &model->samples[time_ms];
    if (series != SIM_SERIES_MAX && series != sample->series) {
        sim_model_invented(model, "a sample under another series", (uint64_t)time_ms);
        if (model->verdict.invented == 1) {
            print_batch(model, "sample", sample->batch);
            print_batch(model, "its series", model->series[sample->series].batch);
            print_batch(model, "the other series", model->series[series].batch);
        }
    }
    if (bits != sample->bits)
        sim_model_invented(model, "a value that was not sent", (uint64_t)time_ms);
    if (model->batches[sample->batch].given_up)
        sim_model_invented(model, "a sample that a recovery had given up", (uint64_t)time_ms);
    if (sample->seen == model->reads)
        sim_model_invented(model, "a sample twice", (uint64_t)time_ms);
    sample->seen = model->reads;
    sample->nameless = series == SIM_SERIES_MAX;
}

/* One sample that has to be there. */
static void
check_sample(struct sim_model *model, uint32_t time_ms, bool excused, bool told)
{
    const struct sim_sample_sent *sample = &model->samples[time_ms];
    bool seen = sample->seen == model->reads;
    if (seen && !sample->nameless)
        return;
    excused |= seen && sim_model_nameless(model, sample->series);
    if (!excused)
        sim_model_lost(model, seen ? "the name of an acknowledged sample's series"
                                   : "an acknowledged sample", time_ms);
    else if (!told && !seen) /* the lost name of one that was seen says it */
        sim_model_undetected(model, "damage that took a sample was not told", time_ms);
}

void
sim_model_read_end(struct sim_model *model, uint64_t first, uint64_t durable, bool told)
{
    for (uint32_t i = 0; i < model->batch_count; i++) {
        const struct sim_batch_sent *batch = &model->batches[i];
        if (!batch->acked || batch->gone || batch->offset < first || batch->end > durable)
            continue;
        bool excused = is_hit(model, batch);
        uint64_t before = model->verdict.lost + model->verdict.undetected;
        for (uint32_t k = batch->first; k < batch->first + batch->count; k++)
            if (k >= model->from_ms && k < model->to_ms)
                check_sample(model, k, excused, told);
        if (before == 0 && model->verdict.lost + model->verdict.undetected != 0)
            print_batch(model, "it is of", i);
    }
}

void
sim_model_give_up(struct sim_model *model)
{
    for (uint32_t i = 0; i < model->batch_count && model->damage_count == 0; i++) {
        struct sim_batch_sent *batch = &model->batches[i];
        if (batch->number == 0 && batch->count != 0 && !batch->acked &&
            model->samples[batch->first].seen != model->reads)
            batch->given_up = true;
    }
}

uint64_t
sim_model_proof(const struct sim_model *model)
{
    uint64_t proof = 0;
    for (uint32_t i = 0; i < model->batch_count; i++) {
        const struct sim_batch_sent *batch = &model->batches[i];
        if (batch->acked && !sim_model_excused(model, batch) && batch->watermark > proof)
            proof = batch->watermark;
    }
    return proof;
}

/* Damage above the last proof of durability passes for a torn tail: it takes what follows it. */
void
sim_model_recovered(struct sim_model *model, uint64_t end, uint64_t proof)
{
    uint64_t torn = UINT64_MAX;
    for (uint32_t i = 0; i < model->damage_count; i++)
        if (model->damages[i].file == SIM_FILE_SEGMENT && model->damages[i].to > proof &&
            model->damages[i].from < torn)
            torn = model->damages[i].from;
    for (uint32_t i = 0; i < model->batch_count; i++) {
        struct sim_batch_sent *batch = &model->batches[i];
        if (!batch->acked || batch->gone || batch->end <= end)
            continue;
        if (batch->end > torn)
            batch->gone = true;
        else {
            sim_model_lost(model, "an acknowledged frame after the end of the recovered log",
                batch->offset);
            if (model->verdict.lost == 1 && model->prints)
                printf("#   the end is %" PRIu64 ", of the frame %" PRIu64 ", proven %" PRIu64 "\n",
                    end, batch->end, proof);
        }
    }
}
