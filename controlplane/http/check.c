#include "controlplane/http/parts.h"
#include "controlplane/http/error.h"

#include <ctype.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/keyvalq_struct.h>
#include <string.h>
#include <strings.h>

/* " HTTP/1.1": the end of a request line. */
#define VERSION_SIZE 9

/* evhttp reads versions by scanf: it takes HTTP/0.9, HTTP/1.99999 and "HTTP/ 1.1", and answers the
 * first as version 0.9. So the line is read here too, before evhttp takes it. */
void
weir_http_look_at_line(struct weir_http_connection *connection)
{
    char end[VERSION_SIZE];
    struct evbuffer *input = bufferevent_get_input(connection->socket);
    size_t eol_size;
    if (connection->line_seen)
        return;
    struct evbuffer_ptr eol = evbuffer_search_eol(input, NULL, &eol_size, EVBUFFER_EOL_CRLF);
    if (eol.pos < 0)
        return;
    connection->line_seen = true;
    connection->line_good = false;
    struct evbuffer_ptr from;
    if ((size_t)eol.pos < sizeof end ||
        evbuffer_ptr_set(input, &from, (size_t)eol.pos - sizeof end, EVBUFFER_PTR_SET) != 0 ||
        evbuffer_copyout_from(input, &from, end, sizeof end) != sizeof end)
        return;
    /* RFC 9112, section 2.3; a higher minor version is answered as 1.1 */
    connection->line_good = memcmp(end, " HTTP/1.", sizeof end - 1) == 0 &&
        isdigit((unsigned char)end[sizeof end - 1]);
}

static int
check_version(const struct weir_http_request *request, const char **reason)
{
    *reason = "the request line does not end in HTTP/1.1 or HTTP/1.0";
    return request->connection->line_seen && !request->connection->line_good
        ? WEIR_STATUS_BAD_REQUEST : 0;
}

/* evhttp takes requests whose end another reader might see elsewhere, by which requests are
 * smuggled past a proxy (RFC 9112, section 11.2). */
static int
check_framing(struct weir_http_request *request, const char **reason)
{
    const struct evkeyvalq *headers = evhttp_request_get_input_headers(request->from);
    const struct evkeyval *header;
    int lengths = 0;
    int codings = 0;
    for (header = headers->tqh_first; header != NULL; header = header->next.tqe_next) {
        *reason = "a header's name is empty or holds a blank";
        if (header->key[0] == '\0' || strpbrk(header->key, " \t") != NULL)
            return WEIR_STATUS_BAD_REQUEST;
        lengths += strcasecmp(header->key, "Content-Length") == 0;
        if (strcasecmp(header->key, "Transfer-Encoding") != 0)
            continue;
        codings++;
        *reason = "of transfer codings this server knows only chunked";
        if (strcasecmp(header->value, "chunked") != 0)
            return WEIR_STATUS_NOT_IMPLEMENTED;
    }
    *reason = "the length of the body is given more than once";
    if (lengths + codings > 1)
        return WEIR_STATUS_BAD_REQUEST;
    /* evhttp reads no body with some methods, and would take it for the next request */
    enum weir_http_method method = request->head.method;
    request->last = lengths + codings > 0 && method != WEIR_HTTP_GET && method != WEIR_HTTP_POST;
    return 0;
}

static int
check_name(const struct weir_http *http, const char *host, const char **reason)
{
    switch (weir_http_host_check(&http->options.hosts, host)) {
    case WEIR_HOST_OURS:
        return 0;
    case WEIR_HOST_OTHER:
        *reason = "the Host header names a host that this instance does not answer to: it answers "
            "to IP addresses, localhost, the machine's name and the names in http.hosts";
        return WEIR_STATUS_MISDIRECTED;
    default:
        *reason = "the Host header is no host with or without a port";
        return WEIR_STATUS_BAD_REQUEST;
    }
}

/* RFC 9112, section 3.2. A host in the request line counts too: a proxy's requests have one. */
static int
check_host(const struct weir_http_request *request, const char **reason)
{
    const struct weir_http *http = request->connection->http;
    const struct evkeyvalq *headers = evhttp_request_get_input_headers(request->from);
    const char *in_line =
        evhttp_uri_get_host(evhttp_request_get_evhttp_uri(request->from));
    const struct evkeyval *header;
    const char *host = NULL;
    for (header = headers->tqh_first; header != NULL; header = header->next.tqe_next) {
        if (strcasecmp(header->key, "Host") != 0)
            continue;
        *reason = "the Host header is given more than once";
        if (host != NULL)
            return WEIR_STATUS_BAD_REQUEST;
        host = header->value;
    }
    *reason = "the Host header is missing";
    if (host == NULL && request->head.minor_version > 0)
        return WEIR_STATUS_BAD_REQUEST;
    int status = host != NULL ? check_name(http, host, reason) : 0;
    if (status == 0 && in_line != NULL && in_line[0] != '\0')
        status = check_name(http, in_line, reason);
    return status;
}

int
weir_http_check_request(struct weir_http_request *request, const char **reason)
{
    int status = check_version(request, reason);
    if (status == 0)
        status = check_framing(request, reason);
    if (status == 0 && strlen(evhttp_request_get_uri(request->from)) > WEIR_HTTP_URI_MAX) {
        *reason = "the URI is longer than 8192 bytes";
        status = WEIR_STATUS_URI_SIZE;
    }
    return status != 0 ? status : check_host(request, reason);
}
