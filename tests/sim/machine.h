/* sim_machine: the instance in the simulated machine: a dataplane (log writer, checkpointer, epoch
 * keeper), readers, senders; each a step at a time.
 *
 * Threads: one
 */
#ifndef WEIR_TESTS_SIM_MACHINE_H
#define WEIR_TESTS_SIM_MACHINE_H

#include "base/clock.h"
#include "model/progress.h"
#include "storage/log/upkeep/checkpointer.h"
#include "storage/log/upkeep/epoch_keeper.h"
#include "storage/log/writer/writer.h"
#include "storage/reader.h"
#include "tests/sim/host.h"
#include "tests/sim/model.h"

#define SIM_DIRECTORY "/data/log/0"
#define SIM_SEGMENT_BYTES (16 * WEIR_FRAME_ALIGN)
#define SIM_PRODUCERS 2 /* the registrar and a worker */
#define SIM_PRODUCER_BATCHES 4

enum sim_actor {
    SIM_ACTOR_REGISTRAR,
    SIM_ACTOR_WORKER,
    SIM_ACTOR_WRITER,
    SIM_ACTOR_CHECKPOINTER,
    SIM_ACTOR_EPOCH_KEEPER,
    SIM_ACTOR_READER,
    SIM_ACTORS,
};

struct sim_machine {
    struct sim_random random;
    struct sim_host host;
    struct sim_model model;
    struct weir_clock clock;
    int64_t now_ns;
    bool recycles;
    uint64_t segments_max;
    bool active[SIM_ACTORS]; /* on the stack: its step is not over */
    /* lives of the dataplane */
    struct sim_process dataplane;
    struct weir_io *log_io, *checkpointer_io, *epoch_io;
    struct weir_log *log;
    struct weir_writer *writer;
    struct weir_checkpointer *checkpointer;
    struct weir_epoch_keeper epoch_keeper;
    struct weir_counts counts;
    struct weir_progress progress;
    struct weir_log_recovery recovery;
    uint64_t epoch_durable; /* of the epoch file, as it was written last */
    uint64_t epoch_announced; /* of the last log that opened and had its epoch file written */
    bool told;              /* a recovery told damage */
    /* the registrar's table: series by number; SIM_SERIES_MAX is a lost name */
    uint32_t *numbers;
    uint64_t number_count;
    uint64_t sequences[SIM_CHANNELS]; /* as the last recovery gave them */
    uint64_t sequence;                /* the last one sent */
    /* queues between producers and writer, and the batches on their way */
    struct weir_ring *full[SIM_PRODUCERS], *empty[SIM_PRODUCERS];
    struct weir_batch *batches[SIM_PRODUCERS][SIM_PRODUCER_BATCHES];
    uint64_t batch_number[SIM_PRODUCERS];
    uint64_t ring_next; /* descriptor */
    /* what processes share */
    int shared_fd;
    struct weir_shared *shared;
    struct sim_process reader_process;
    struct weir_reader *reader;
};

/* Memory and the shared region, once for all seeds. */
void sim_machine_new(struct sim_machine *machine);
void sim_machine_delete(struct sim_machine *machine);

/* A seed begins, with an empty disk and nothing running; and ends. */
void sim_machine_begin(struct sim_machine *machine, uint64_t seed, struct sim_table *table);
void sim_machine_end(struct sim_machine *machine);

/* Starts the dataplane: recovers its log. */
enum weir_err sim_machine_start(struct sim_machine *machine);
/* Closes it in good order where it lives; else frees what is left of it. */
void sim_machine_stop(struct sim_machine *machine);
void sim_machine_close_reader(struct sim_machine *machine);

/* One step of an actor; nothing where it is on the stack already or not there. */
void sim_machine_step(struct sim_machine *machine, enum sim_actor actor);

/* A reader of its own, opened now, reads everything. */
void sim_machine_check(struct sim_machine *machine);

#endif
