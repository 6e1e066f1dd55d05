/* sim_actors: what the senders, the writer and the reader of a machine do in one step. */
#ifndef WEIR_TESTS_SIM_ACTORS_H
#define WEIR_TESTS_SIM_ACTORS_H

#include "tests/sim/machine.h"

/* Series of labels; SIM_SERIES_MAX where damage has taken them. Unknown ones are a finding. whole:
 * every byte is compared with what was sent. */
uint32_t sim_series_of(struct sim_machine *machine, const uint8_t *labels, size_t size,
    bool whole);

void sim_registrar_step(struct sim_machine *machine);
void sim_worker_step(struct sim_machine *machine);
void sim_writer_step(struct sim_machine *machine);
void sim_reader_step(struct sim_machine *machine);
/* Reads what the reader has, all of it or perhaps a range of time, and checks it. False where the
 * read failed. */
bool sim_reader_check(struct sim_machine *machine, struct weir_reader *reader, bool all);

#endif
