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
    WEIR_STATUS_TIMEOUT = 408,
    WEIR_STATUS_BODY_SIZE = 413,
    WEIR_STATUS_URI_SIZE = 414,
    WEIR_STATUS_MEDIA_TYPE = 415,
    WEIR_STATUS_EXPECTATION = 417,
    WEIR_STATUS_MISDIRECTED = 421,
    WEIR_STATUS_LIMIT = 422,
    WEIR_STATUS_HEADER_SIZE = 431,
    WEIR_STATUS_INTERNAL = 500,
    WEIR_STATUS_NOT_IMPLEMENTED = 501,
    WEIR_STATUS_UNAVAILABLE = 503,
    WEIR_STATUS_VERSION = 505,
};

/* {"error":...} for Weir's own API, {"status":"error",...} for Prometheus's. setting is
 * NULL if no setting is named. */
void weir_error_write(struct weir_text *text, bool prometheus, int status, const char *message,
    const char *setting, uint64_t value);

#endif
