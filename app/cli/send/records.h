/* records: lines of a source as records, found by the parsers of Weir itself.
 *
 * A record ends where Weir says that it ends: a newline within a quoted string ends none. Lines are
 * read in blocks. A block holds the lines that are ready: a slow pipe is not held back.
 *
 * Threads: the main thread
 * Memory:  the struct
 * Errors:  records that do not parse are handed over with their reason, and counted
 */
#ifndef WEIR_APP_CLI_SEND_RECORDS_H
#define WEIR_APP_CLI_SEND_RECORDS_H

#include "app/cli/send/source.h"
#include "dataplane/protocol/protocol.h"

#define WEIR_SEND_BLOCK_BYTES (1u << 20)

struct weir_send_records {
    uint64_t refused; /* records that were reported as refused */
    uint64_t fields_refused[WEIR_REASON_COUNT];
    const struct weir_protocol *protocol;

    /* inside */
    struct weir_parse_context context;
    struct weir_hash_key key;
    bool skip_line;
    size_t used; /* bytes of the block */
    uint8_t block[WEIR_SEND_BLOCK_BYTES + WEIR_PACKET_SLACK];
    struct weir_line_labels labels;
    struct weir_parsed parsed; /* memory for the record's points */
};

/* One record; its text and points are borrowed for the call. */
typedef enum weir_err weir_send_record_fn(void *context, const struct weir_record *record);

/* The struct is zeroed. seed: WEIR_HASH_SEED_BYTES random ones. */
void weir_send_records_init(struct weir_send_records *records, const uint8_t *seed,
    const struct weir_protocol *protocol);
/* Reads the next block and hands its records over; an error of take ends it. *final: it is the last
 * block. */
enum weir_err weir_send_records_read(struct weir_send_records *records,
    struct weir_send_source *source, weir_send_record_fn *each, void *context,
    bool *final) WEIR_MUST_USE;
/* Why Weir would refuse a record of those read last, or WEIR_REASON_NONE. */
enum weir_reason weir_send_records_refusal(struct weir_send_records *records,
    const struct weir_record *record);
/* Counts a record as refused, and says so on standard error where it is one of the first. */
void weir_send_records_report(struct weir_send_records *records, const struct weir_record *record,
    const char *reason);
/* Says on standard error how many were not shown there, where there are any. */
void weir_send_records_report_rest(const struct weir_send_records *records);

#endif
