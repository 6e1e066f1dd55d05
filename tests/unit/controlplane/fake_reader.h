/* fake_reader: storage/reader.h over arrays that a test fills.
 *
 * One set of data for all readers, which a test changes only while no reader is at work.
 */
#ifndef WEIR_TESTS_UNIT_CONTROLPLANE_FAKE_READER_H
#define WEIR_TESTS_UNIT_CONTROLPLANE_FAKE_READER_H

#include "storage/reader.h"

#include <stdatomic.h>

void fake_reset(void);
/* Labels as "__name__=cpu,host=a". Returns the series' number. */
uint64_t fake_series(const char *labels);
/* The same from parts, for values with any byte. */
uint64_t fake_series_value(const char *metric, const char *name, const char *value, size_t size);
/* Appends a sample in log order. */
void fake_sample(uint64_t series, int64_t time_ms, double value);
/* Every scan from now on skips that many blocks; gaps lie in the log. */
void fake_damage(uint64_t blocks, uint64_t gaps);
/* What weir_reader_refresh and weir_reader_open answer. */
void fake_fail(enum weir_err err);

/* Scans go round and round, until their callback ends them; counted while they run. */
extern _Atomic bool fake_endless;
extern _Atomic int fake_scans_running;

enum weir_err fake_open(void *context, struct weir_reader **out);

#endif
