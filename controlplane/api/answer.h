/* answer: an engine's answer as JSON of Prometheus's API, a piece at a time.
 *
 *   {"status":"success","data":{"resultType":"matrix","result":[...]},
 *    "warnings":[...],"infos":[...]}
 *
 * Threads: one at a time
 * Memory:  none of its own; it borrows the answer
 */
#ifndef WEIR_CONTROLPLANE_API_ANSWER_H
#define WEIR_CONTROLPLANE_API_ANSWER_H

#include "controlplane/http/text.h"
#include "controlplane/promql/engine.h"

/* Warnings, and infos, that an answer shows. */
#define WEIR_ANSWER_NOTES_MAX 10

struct weir_answer_options {
    uint32_t series_max;      /* those after it are left out, with a warning; 0: no limit */
    const char *warnings[3];  /* of others than the engine; NULL or empty: none */
    bool stats;
    double seconds, seconds_waited; /* for the stats: at work, and before it */
    size_t memory;                  /* likewise: bytes of the query's arena */
};

/* Seconds without their last four digits, as text. */
struct weir_answer_digits {
    int64_t upper; /* 0: none yet */
    uint32_t size;
    char text[16];
};

struct weir_answer_cursor {
    const struct weir_promql_answer *answer;
    const struct weir_answer_options *options;
    uint32_t result; /* the next one */
    uint32_t point;  /* the next one of it */
    bool open;       /* the head is written */
    bool any_result; /* one is written, or begun */
    bool in_result;  /* its labels are written */
    bool any_point;  /* and a point of it */
    struct weir_answer_digits digits; /* of the last point's time */
};

/* Both are borrowed while the cursor is used. */
void weir_answer_begin(struct weir_answer_cursor *cursor, const struct weir_promql_answer *answer,
    const struct weir_answer_options *options);
/* Appends until text has at least size bytes, or the answer ends. True where it has ended. */
bool weir_answer_next(struct weir_answer_cursor *cursor, struct weir_text *text, size_t size);

#endif
