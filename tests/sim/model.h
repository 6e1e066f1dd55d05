/* sim_model: what was sent, what was acknowledged, where it lies, and where a fault was really put.
 *
 * Every sample has a time of its own: a sample that a read gives is known by it.
 *
 *   acknowledged and not in a damaged place = there, bit for bit       else lost
 *   there = once sent, once                                            else invented
 *   damage that was read was told                                      else undetected
 */
#ifndef WEIR_TESTS_SIM_MODEL_H
#define WEIR_TESTS_SIM_MODEL_H

#include "tests/sim/faults.h"

#include <stddef.h>

#define SIM_SAMPLES_MAX (1u << 18)
#define SIM_BATCHES_MAX 8192
#define SIM_SERIES_MAX 8192
#define SIM_DAMAGES_MAX 512
#define SIM_CHANNELS 4
#define SIM_NO_NUMBER UINT64_MAX

struct sim_sample_sent {
    uint64_t bits;
    uint32_t series;
    uint32_t batch;
    uint32_t seen; /* the last read that gave it */
    bool nameless; /* that read gave it under a lost name */
};

struct sim_batch_sent {
    uint32_t first, count;               /* samples, by time */
    uint32_t series_first, series_count; /* that it defines */
    uint64_t number;                     /* of its producer, in the life of a dataplane */
    uint64_t definition_first;
    uint64_t offset, end; /* in the log; end 0: not known */
    uint64_t watermark;   /* durable when its frame was made */
    uint64_t sequence;    /* of the channel */
    uint32_t channel;
    bool acked;
    bool gone; /* a torn tail took it, as it may */
    bool given_up; /* not acknowledged, and a recovery ended without it: it must not come back */
};

struct sim_series {
    uint64_t number; /* SIM_NO_NUMBER: not defined now */
    uint32_t batch;  /* that defined it */
};

enum sim_file { SIM_FILE_SEGMENT, SIM_FILE_EPOCH, SIM_FILE_CHECKPOINT, SIM_FILE_DEFINITIONS,
    SIM_FILE_OTHER };

struct sim_damage {
    enum sim_fault fault;
    enum sim_file file;
    uint64_t from, to; /* offsets of the log, in a segment */
};

struct sim_verdict {
    uint64_t lost, invented, undetected;
};

struct sim_model {
    struct sim_sample_sent *samples; /* by time, from 1 */
    struct sim_batch_sent *batches;
    struct sim_series *series;
    uint32_t sample_count, batch_count, series_count;
    struct sim_damage damages[SIM_DAMAGES_MAX];
    uint32_t damage_count;
    bool file_damaged[SIM_FILE_OTHER + 1];
    uint32_t reads;
    int64_t from_ms, to_ms; /* of the last read */
    struct sim_verdict verdict;
    bool prints; /* each finding */
};

void sim_model_reset(struct sim_model *model);
void sim_model_damage(struct sim_model *model, struct sim_damage damage);
/* May the samples of a batch be missing? */
bool sim_model_excused(const struct sim_model *model, const struct sim_batch_sent *batch);
/* May the name of a series be missing? */
bool sim_model_nameless(const struct sim_model *model, uint32_t series);

/* A read of times [from, to): begin, each sample that it gives, end. */
void sim_model_read(struct sim_model *model, int64_t from_ms, int64_t to_ms);
/* series: SIM_SERIES_MAX where its name is a lost one. */
void sim_model_given(struct sim_model *model, uint32_t series, int64_t time_ms, double value);
/* The read is complete: what was acknowledged in [first, durable) is there. told: damage was. */
void sim_model_read_end(struct sim_model *model, uint64_t first, uint64_t durable, bool told);

/* The log was recovered and ends at `end`. proof: durable by a header or the epoch file that was
 * not damaged. */
void sim_model_recovered(struct sim_model *model, uint64_t end, uint64_t proof);
/* After a recovery, and a read of all: what is not there now was given up. */
void sim_model_give_up(struct sim_model *model);
/* Highest watermark in frames that are whole. */
uint64_t sim_model_proof(const struct sim_model *model);

void sim_model_lost(struct sim_model *model, const char *what, uint64_t where);
void sim_model_invented(struct sim_model *model, const char *what, uint64_t where);
void sim_model_undetected(struct sim_model *model, const char *what, uint64_t where);

#endif
