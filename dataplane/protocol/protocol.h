/* protocol: the one table of protocols. All that depends on a protocol goes through its row.
 *
 *   bytes -> points            parse          (parse.h)
 *   point -> labels            labels_begin, labels: an array of (name, value) slices
 *   record -> answer           answer         optional: a sender that is answered line by line
 *   packets with numbers       session        optional: taken as a whole, and acknowledged
 *
 * README.md says how to add one.
 *
 * Threads: constant; the functions hold no state but what they are handed
 */
#ifndef WEIR_DATAPLANE_PROTOCOL_PROTOCOL_H
#define WEIR_DATAPLANE_PROTOCOL_PROTOCOL_H

#include "dataplane/protocol/parse.h"

struct weir_batch;

/* Begins a record: the labels of its points may be asked for where it returns WEIR_OK. Errors as
 * below. */
typedef enum weir_err weir_labels_begin_fn(struct weir_line_labels *line, const uint8_t *text,
    size_t size);
/* All labels of one point of the record, its name among them, in any order. The slices need not be
 * together. They and what they point at stay until the next call for `line`; the caller may sort
 * them. Errors: WEIR_INVALID labels that no series may have, WEIR_LIMIT too many or too large. */
typedef enum weir_err weir_labels_fn(struct weir_line_labels *line, unsigned field,
    struct weir_label **labels, size_t *count);

/* The longest answer to a record, with its newline. */
#define WEIR_ANSWER_MAX 255
/* Writes what the sender of a record is answered at once: of one that was refused (reason), or of
 * a command (WEIR_REASON_NONE). Returns its size, 0 for no answer. */
typedef size_t weir_answer_fn(const struct weir_record *record, uint8_t reason,
    uint8_t out[WEIR_ANSWER_MAX]);

/* Place at which the grammar refuses the record that begins at `at` of data: the byte that it did
 * not expect. */
typedef size_t weir_refused_at_fn(const uint8_t *data, size_t size, size_t at);

/* One line with a sample of series number `series` at time_ms, for weir send --generate. Returns
 * its size, as snprintf. */
typedef int weir_line_make_fn(char *out, size_t room, uint64_t series, uint64_t value,
    int64_t time_ms);

/* The head of a session's next packet. */
struct weir_session_head {
    uint32_t size;        /* of the packet; 0 where the head is not there yet or is none */
    uint32_t samples_max; /* that it can hold, as far as its bytes have come */
    /* Sender and channel of the packet; 0 until the packet's header has arrived. The dataplane
     * handles packets of one channel in the order of their arrival. */
    uint64_t sender;
    uint16_t channel;
};

enum weir_ack_status {
    WEIR_ACK_OK,
    WEIR_ACK_DISK_FULL,
    WEIR_ACK_IO_ERROR,
    WEIR_ACK_BAD_PACKET, /* the connection ends after it */
};

struct weir_session_ack {
    uint16_t status; /* enum weir_ack_status, or weir_packet.refused_status */
    uint16_t channel;
    uint32_t epoch;
    uint64_t sequence;
    uint64_t rejected; /* records of the connection */
};
#define WEIR_ACK_SIZE_MAX 32

/* A protocol whose packets carry numbers or are acknowledged. Each is parsed as a whole, and ends
 * in one batch together with the mark of its number.
 *
 *   begin -> (waits for the registrar) -> parse -> accept, once for each run -> acknowledge
 *                                              \-> a definition -> registrar -> complete
 */
struct weir_session {
    uint32_t head_size; /* bytes that begin needs */
    void (*begin)(const uint8_t *data, size_t size, struct weir_session_head *head);
    /* Appends the samples of a run; the caller has seen to room for them. */
    void (*accept)(struct weir_batch *batch, const struct weir_wire_item *run);
    /* The registrar has answered a definition; text is a struct weir_definition_text and more. */
    void (*complete)(const struct weir_parse_context *context, const uint8_t *text);
    /* Writes an acknowledgement; returns its size. */
    size_t (*acknowledge)(const struct weir_session_ack *ack, uint8_t out[WEIR_ACK_SIZE_MAX]);
};

struct weir_protocol {
    const char *name;        /* in the configuration, on the command line, in events and metrics */
    const char *description; /* of what it takes, for people: "Influx lines" */
    weir_parse_fn *parse;
    weir_labels_begin_fn *labels_begin;
    weir_labels_fn *labels;
    weir_answer_fn *answer;         /* NULL: a sender is answered when it has sent all */
    weir_refused_at_fn *refused_at; /* NULL where its records are no lines of text */
    weir_line_make_fn *line_make;   /* NULL as above */
    const struct weir_session *session; /* NULL: records end with a newline and have no number */
};

/* By enum weir_proto. */
extern const struct weir_protocol weir_protocols[WEIR_PROTO_COUNT];

/* "avx512", "avx2" or "scalar": the variant of the text parsers chosen for this CPU. */
const char *weir_parse_variant(void);

/* The protocol of this name, or NULL. */
const struct weir_protocol *weir_protocol_find(const char *name);
/* Writes the names of those that take lines of text: "influx, graphite". */
void weir_protocol_line_names(char *out, size_t size, const char *separator);

/* The canonical form (model/labels.h) of a point's labels; out has WEIR_LABELS_BYTES_MAX bytes. */
static inline enum weir_err
weir_protocol_labels(const struct weir_protocol *protocol, struct weir_line_labels *line,
    unsigned field, uint8_t *out, size_t *size)
{
    struct weir_label *labels;
    size_t count;
    enum weir_err err = protocol->labels(line, field, &labels, &count);
    return err == WEIR_OK ? weir_labels_encode(labels, count, out, size) : err;
}

#endif
