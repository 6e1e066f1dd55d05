/* error: statuses of answers, and the body of an answer that refuses a request. */
#ifndef WEIR_CONTROLPLANE_HTTP_ERROR_H
#define WEIR_CONTROLPLANE_HTTP_ERROR_H

#include "controlplane/http/text.h"

#include <stdbool.h>
#include <stdint.h>

/* Statuses of this API, by RFC 9110. */
enum weir_status {
    WEIR_STATUS_OK = 200,
    WEIR_STATUS_NO_CONTENT = 204,
    WEIR_STATUS_BAD_REQUEST = 400,
    WEIR_STATUS_FORBIDDEN = 403,
    WEIR_STATUS_NOT_FOUND = 404,
    WEIR_STATUS_METHOD = 405,
    WEIR_STATUS_NOT_ACCEPTABLE = 406,
    WEIR_STATUS_TIMEOUT = 408,
    WEIR_STATUS_BODY_SIZE = 413,
    WEIR_STATUS_URI_SIZE = 414,
    WEIR_STATUS_MEDIA_TYPE = 415,
    WEIR_STATUS_EXPECTATION = 417,
    WEIR_STATUS_MISDIRECTED = 421,
    WEIR_STATUS_LIMIT = 422,
    WEIR_STATUS_HEADER_SIZE = 431,
    WEIR_STATUS_CANCELED = 499, /* of nginx and Prometheus: the client is gone */
    WEIR_STATUS_INTERNAL = 500,
    WEIR_STATUS_NOT_IMPLEMENTED = 501,
    WEIR_STATUS_UNAVAILABLE = 503,
    WEIR_STATUS_VERSION = 505,
};

/* errorType of Prometheus's API, and the status that goes with it. */
#define WEIR_ERROR_KINDS(X) \
    X(BAD_DATA, "bad_data", WEIR_STATUS_BAD_REQUEST) \
    X(EXECUTION, "execution", WEIR_STATUS_LIMIT) \
    X(TIMEOUT, "timeout", WEIR_STATUS_UNAVAILABLE) \
    X(CANCELED, "canceled", WEIR_STATUS_CANCELED) \
    X(NOT_FOUND, "not_found", WEIR_STATUS_NOT_FOUND) \
    X(NOT_ACCEPTABLE, "not_acceptable", WEIR_STATUS_NOT_ACCEPTABLE) \
    X(INTERNAL, "internal", WEIR_STATUS_INTERNAL) \
    X(UNAVAILABLE, "unavailable", WEIR_STATUS_UNAVAILABLE)
enum weir_error_kind {
#define WEIR_ERROR_KIND(name, text, status) WEIR_ERROR_##name,
    WEIR_ERROR_KINDS(WEIR_ERROR_KIND)
#undef WEIR_ERROR_KIND
};
/* enum weir_status of a kind. */
int weir_error_status(enum weir_error_kind kind);

/* {"error":...} for Weir's own API, {"status":"error",...} for Prometheus's. setting is
 * NULL if no setting is named. */
void weir_error_write(struct weir_text *text, bool prometheus, int status, const char *message,
    const char *setting, uint64_t value);
/* That of Prometheus's API, by its kind; hint: a field more, with what to ask instead, or NULL. */
void weir_error_write_kind(
    struct weir_text *text, enum weir_error_kind kind, const char *message, const char *hint);

#endif
