/* call: one API request under way on a query thread: its question, its limits, its answer.
 *
 * Owns:    the answer; everything else is borrowed for the call
 * Threads: one query thread; `cancelled` is set by the event loop
 * Memory:  the answer is bounded by its size_max, everything else by the limits
 * Errors:  an endpoint writes a whole answer and returns, or puts an error in its place by
 *          weir_call_fail or weir_call_limit
 */
#ifndef WEIR_CONTROLPLANE_QUERY_CALL_H
#define WEIR_CONTROLPLANE_QUERY_CALL_H

#include "controlplane/http/error.h"
#include "controlplane/http/params.h"
#include "controlplane/http/text.h"
#include "controlplane/query/stream.h"
#include "storage/reader.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/* Settings of weir.yaml. */
struct weir_limits {
    uint32_t series_max;
    uint64_t points_max;
    uint64_t samples_max;
    uint32_t timeout_ms;
    uint64_t answer_max; /* http.answers_max: an answer has to fit in there; 0: no bound */
    uint64_t memory_max; /* of one PromQL query; half of it for the samples at hand */
};

#define WEIR_CALL_WARNING_MAX 256

struct weir_call {
    struct weir_reader *reader;
    const struct weir_params *params;
    const struct weir_limits *limits;
    const char *label; /* of /api/v1/label/<name>/values; else NULL */
    int64_t now_ms;
    int64_t waited_ns;   /* in the queue */
    int64_t deadline_ns; /* of weir_mono_ns() */
    /* relaxed: only a hint to stop, nothing is read because of it */
    const _Atomic bool *cancelled;
    uint64_t samples_read;
    bool prometheus; /* errors in the envelope of Prometheus's API */
    bool timed_out;  /* the answer is that error: no reason to ask again at once */
    /* A warning for the client: the answer may lack samples. Empty: none. */
    char warning[WEIR_CALL_WARNING_MAX];
    /* Names the part of the question that is not known here. Empty: none. */
    char hint[WEIR_CALL_WARNING_MAX];
    int status;      /* enum weir_status */
    const char *content_type; /* of the answer: application/json, unless the endpoint says more */
    struct weir_text answer;
    bool may_stream; /* the asker takes an answer in pieces */
    struct weir_stream *stream; /* the rest, where `answer` is a first piece; NULL: none */
};

/* Bytes an answer may take under these limits: 64 a point, and room for labels, or answer_max. */
size_t weir_call_answer_max(const struct weir_limits *limits);

/* Puts an error in the place of the answer. */
void weir_call_fail(struct weir_call *call, int status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* The same for Prometheus's API, by the kind of error; hint as in weir_error_write_kind. */
void weir_call_fail_kind(
    struct weir_call *call, enum weir_error_kind kind, const char *message, const char *hint);
/* A limit was reached: status 422, the setting that raises it, and its value. */
void weir_call_limit(struct weir_call *call, const char *setting, uint64_t value,
    const char *format, ...) __attribute__((format(printf, 4, 5)));
/* The answer is full: status 422 with a remedy, or 503 if memory was short. */
void weir_call_full(struct weir_call *call, const char *remedy);
/* Puts a text in the place of call->hint. */
void weir_call_hint(struct weir_call *call, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* Writes `,"warnings":[...]` into the answer: the call's warning, its hint, and `own`, which may be
 * NULL. Nothing where there is none of them. */
void weir_call_write_warnings(struct weir_call *call, const char *own);
/* Puts err and weir_err_detail() into the answer, as the asker understands them. */
void weir_call_fail_err(struct weir_call *call, enum weir_err err);

/* WEIR_OK, or why the call must stop: WEIR_END its asker is gone, WEIR_LIMIT its time is up (the
 * error is in place then). Reads the clock: call it once every some dozen steps. A
 * weir_reader_check_fn. */
enum weir_err weir_call_check(void *call) WEIR_MUST_USE;

/* The same without an error in the place of the answer: the caller knows a better one. A
 * weir_reader_check_fn. */
enum weir_err weir_call_check_silently(void *call) WEIR_MUST_USE;

/* WEIR_END where the asker is gone; an answer that is there is not spoilt for want of time. */
enum weir_err weir_call_check_cancelled(void *call) WEIR_MUST_USE;

/* Samples or series between checks: a look at the clock costs 25 ns and a series more. */
#define WEIR_CALL_CHECK_INTERVAL 64

/* One more sample was read: as weir_call_check, and WEIR_LIMIT past limits->samples_max. */
enum weir_err weir_call_count_sample(struct weir_call *call) WEIR_MUST_USE;

#endif
