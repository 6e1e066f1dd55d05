/* reader: the durable samples of an instance, for queries. All that controlplane sees of storage.
 *
 * Owns:    a catalog of frames and of series definitions, built from the log alone: from segment
 *          files at open, from the shared frame ring afterwards; and the parts of the store, which
 *          hold what the log held below the keeper's offset
 * Threads: one thread a reader
 * Memory:  grows with series and frames (docs/design/reader.md states bytes for each); a scan
 *          takes a bounded buffer
 * Errors:  WEIR_LIMIT where a scan passes its limits; corrupt blocks are skipped and counted
 *
 * A pure consumer: it never writes, holds no lock, and lives through restarts of the dataplane.
 */
#ifndef WEIR_STORAGE_READER_H
#define WEIR_STORAGE_READER_H

#include "base/err.h"
#include "model/labels.h"
#include "model/sample.h"

struct weir_io;
struct weir_reader;
struct weir_shared;

/* directory: DATA/log/0; shared may be NULL (tools on a stopped instance: then everything valid
 * in the files up to the first torn frame counts as durable). */
enum weir_err weir_reader_open(const char *directory, struct weir_shared *shared,
    struct weir_reader **out) WEIR_MUST_USE;
/* With define there is no label index, and memory does not grow with series: define gets each
 * definition once, in number order (labels NULL where damage has taken it), at open and at
 * refreshes; another return than WEIR_OK is theirs, and the next refresh begins with that
 * definition. Neither labels nor select are to be called. */
typedef enum weir_err weir_reader_define_fn(void *context, uint64_t number, const uint8_t *labels,
    size_t size);
struct weir_reader_options {
    const char *directory;
    const char *store; /* DATA/store; NULL: the log is all there is */
    struct weir_shared *shared;
    struct weir_io *io; /* the reader frees it, also where it does not open; NULL: real files */
    weir_reader_define_fn *define; /* NULL: a label index is made */
    void *define_context;
};
enum weir_err weir_reader_open_with(const struct weir_reader_options *options,
    struct weir_reader **out) WEIR_MUST_USE;
void weir_reader_close(struct weir_reader *reader);

/* Takes in what became durable since the last call. WEIR_AGAIN while the dataplane restarts: what
 * is known stays true, but something durable may be missing. */
enum weir_err weir_reader_refresh(struct weir_reader *reader) WEIR_MUST_USE;

uint64_t weir_reader_series_count(const struct weir_reader *reader);
uint64_t weir_reader_frames(const struct weir_reader *reader);
uint64_t weir_reader_durable_offset(const struct weir_reader *reader);
/* Damage met so far: blocks and frames that scans skipped (each time), and gaps. */
uint64_t weir_reader_blocks_corrupt(const struct weir_reader *reader);
/* Of those, places of the log without a readable frame: any time and series may have lain there. */
uint64_t weir_reader_gaps(const struct weir_reader *reader);
/* Canonical labels of a series number below series_count. */
void weir_reader_labels(const struct weir_reader *reader, uint64_t number,
    const uint8_t **labels, size_t *size);

enum weir_match_kind { WEIR_MATCH_EQUAL, WEIR_MATCH_NOT_EQUAL };
struct weir_match {
    const char *name; /* zero terminated */
    const char *value; /* value_size bytes; a series without the label has the empty value */
    size_t value_size;
    enum weir_match_kind kind;
};
/* Numbers of the series that meet every match, ascending; free *numbers. Of two numbers with equal
 * labels (storage/read/aliases.h) it is the first, and a scan of it calls back for both. */
enum weir_err weir_reader_select(struct weir_reader *reader, const struct weir_match *matches,
    size_t count, uint64_t **numbers, size_t *number_count) WEIR_MUST_USE;

typedef enum weir_err weir_reader_check_fn(void *context);
/* From now on scans call check before each frame they read, also where no sample meets them; a
 * non-OK return ends the scan with it. NULL, the state at open, for none. */
void weir_reader_set_check(struct weir_reader *reader, weir_reader_check_fn *check, void *context);

/* A scan calls back for every sample of the selected series with from <= time < to, in log order
 * (of two samples of one series and time the later call therefore wins). index is the place of the
 * series in numbers. A non-OK return ends the scan with it. If numbers is NULL, all series are
 * selected, and index is the number. WEIR_AGAIN where frames became parts under the scan: refresh,
 * and scan again. */
typedef enum weir_err weir_reader_sample_fn(void *context, size_t index, int64_t time_ms,
    double value);
enum weir_err weir_reader_scan(struct weir_reader *reader, const uint64_t *numbers,
    size_t number_count, int64_t from_ms, int64_t to_ms, weir_reader_sample_fn *call,
    void *context) WEIR_MUST_USE;

#endif
