#include "controlplane/http_head.h"

#include "controlplane/call.h"

#include <string.h>
#include <strings.h>

size_t
weir_http_head_size(const char *bytes, size_t size)
{
    size_t at = 0;
    bool begun = false; /* a line that is not empty was seen */
    while (at < size) {
        const char *newline = memchr(bytes + at, '\n', size - at);
        if (newline == NULL)
            return 0;
        size_t line = (size_t)(newline - bytes) - at;
        bool empty = line == 0 || (line == 1 && bytes[at] == '\r');
        at += line + 1;
        if (empty && begun)
            return at;
        begun |= !empty;
    }
    return 0;
}

/* Takes one line, without its end. */
static bool
next_line(struct weir_http_span *rest, struct weir_http_span *line)
{
    const char *newline = rest->size > 0 ? memchr(rest->at, '\n', rest->size) : NULL;
    if (newline == NULL)
        return false;
    line->at = rest->at;
    line->size = (size_t)(newline - rest->at);
    rest->size -= line->size + 1;
    rest->at = newline + 1;
    if (line->size > 0 && line->at[line->size - 1] == '\r')
        line->size--;
    return true;
}

/* tchar of RFC 9110, section 5.6.2. */
static bool
is_token(struct weir_http_span span)
{
    for (size_t i = 0; i < span.size; i++) {
        char c = span.at[i];
        bool alnum = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
        if (!alnum && (c == '\0' || strchr("!#$%&'*+-.^_`|~", c) == NULL))
            return false;
    }
    return span.size > 0;
}

static bool
has_control(struct weir_http_span span, bool tab_allowed)
{
    for (size_t i = 0; i < span.size; i++) {
        unsigned char c = (unsigned char)span.at[i];
        if ((c < ' ' && !(c == '\t' && tab_allowed)) || c == 0x7f)
            return true;
    }
    return false;
}

static bool
equals(struct weir_http_span span, const char *text)
{
    return span.size == strlen(text) && strncasecmp(span.at, text, span.size) == 0;
}

/* The part of span up to a byte, which is taken from it; all of it where there is none. */
static struct weir_http_span
take_until(struct weir_http_span *span, char end)
{
    const char *found = span->size > 0 ? memchr(span->at, end, span->size) : NULL;
    struct weir_http_span part = *span;
    if (found == NULL) {
        span->at += span->size;
        span->size = 0;
        return part;
    }
    part.size = (size_t)(found - span->at);
    span->size -= part.size + 1;
    span->at = found + 1;
    return part;
}

static struct weir_http_span
trim(struct weir_http_span span)
{
    while (span.size > 0 && (span.at[0] == ' ' || span.at[0] == '\t')) {
        span.at++;
        span.size--;
    }
    while (span.size > 0 && (span.at[span.size - 1] == ' ' || span.at[span.size - 1] == '\t'))
        span.size--;
    return span;
}

static enum weir_http_method
method_of(struct weir_http_span name)
{
    /* methods are case-sensitive */
    if (name.size == 3 && memcmp(name.at, "GET", 3) == 0)
        return WEIR_HTTP_GET;
    if (name.size == 4 && memcmp(name.at, "HEAD", 4) == 0)
        return WEIR_HTTP_HEAD;
    if (name.size == 4 && memcmp(name.at, "POST", 4) == 0)
        return WEIR_HTTP_POST;
    return WEIR_HTTP_OTHER;
}

/* Origin form (/path?query), or absolute form, whose scheme and host are passed over. */
static bool
parse_target(struct weir_http_span target, struct weir_http_head *head)
{
    static const char scheme[] = "http://";
    size_t scheme_size = sizeof scheme - 1;
    if (target.size >= scheme_size && strncasecmp(target.at, scheme, scheme_size) == 0) {
        target.at += scheme_size;
        target.size -= scheme_size;
        const char *slash = target.size > 0 ? memchr(target.at, '/', target.size) : NULL;
        if (slash == NULL)
            return false;
        target.size -= (size_t)(slash - target.at);
        target.at = slash;
    }
    if (target.size == 0 || target.at[0] != '/')
        return false;
    head->path = take_until(&target, '?');
    head->query = target;
    return true;
}

static int
parse_request_line(struct weir_http_span line, struct weir_http_head *head, const char **reason)
{
    struct weir_http_span method = take_until(&line, ' ');
    struct weir_http_span target = take_until(&line, ' ');
    *reason = "not an HTTP request: the first line must be METHOD /path HTTP/1.1";
    if (!is_token(method) || target.size == 0 || line.size == 0 || has_control(target, false))
        return WEIR_STATUS_BAD_REQUEST;
    if (line.size != 8 || memcmp(line.at, "HTTP/", 5) != 0)
        return WEIR_STATUS_BAD_REQUEST;
    if (memcmp(line.at, "HTTP/1.", 7) != 0 || (line.at[7] != '0' && line.at[7] != '1')) {
        *reason = "this server speaks HTTP/1.1 and HTTP/1.0";
        return WEIR_STATUS_VERSION;
    }
    if (target.size > WEIR_HTTP_URI_MAX) {
        *reason = "the URI is longer than 8192 bytes";
        return WEIR_STATUS_URI_SIZE;
    }
    head->method = method_of(method);
    head->keep_alive = line.at[7] == '1';
    return parse_target(target, head) ? 0 : WEIR_STATUS_BAD_REQUEST;
}

static bool
parse_length(struct weir_http_span value, uint64_t *length)
{
    *length = 0;
    for (size_t i = 0; i < value.size; i++) {
        if (value.at[i] < '0' || value.at[i] > '9')
            return false;
        *length = *length * 10 + (uint64_t)(value.at[i] - '0');
        if (*length > WEIR_HTTP_BODY_MAX)
            *length = WEIR_HTTP_BODY_MAX + 1;
    }
    return value.size > 0;
}

static void
parse_connection(struct weir_http_span value, struct weir_http_head *head)
{
    while (value.size > 0) {
        struct weir_http_span option = trim(take_until(&value, ','));
        if (equals(option, "close"))
            head->keep_alive = false;
        else if (equals(option, "keep-alive"))
            head->keep_alive = true;
    }
}

static int
parse_header(struct weir_http_span line, struct weir_http_head *head, bool *length_seen,
    const char **reason)
{
    struct weir_http_span name = take_until(&line, ':');
    struct weir_http_span value = trim(line);
    *reason = "a header line is malformed";
    /* also refuses folded lines and a space before the colon, by which requests are smuggled */
    if (!is_token(name) || name.at + name.size == line.at || has_control(value, true))
        return WEIR_STATUS_BAD_REQUEST;
    if (equals(name, "content-length")) {
        uint64_t length;
        *reason = "Content-Length is not one number";
        if (!parse_length(value, &length) || (*length_seen && length != head->content_length))
            return WEIR_STATUS_BAD_REQUEST;
        head->content_length = length;
        *length_seen = true;
    } else if (equals(name, "transfer-encoding")) {
        *reason = "Transfer-Encoding is not supported: send the body with Content-Length";
        return WEIR_STATUS_NOT_IMPLEMENTED;
    } else if (equals(name, "connection")) {
        parse_connection(value, head);
    } else if (equals(name, "content-type")) {
        head->content_type = trim(take_until(&value, ';'));
    } else if (equals(name, "expect")) {
        *reason = "the only expectation supported is 100-continue";
        if (!equals(value, "100-continue"))
            return WEIR_STATUS_EXPECTATION;
        head->expects_continue = true;
    }
    return 0;
}

int
weir_http_head_parse(const char *bytes, size_t size, struct weir_http_head *head,
    const char **reason)
{
    struct weir_http_span rest = {bytes, size};
    struct weir_http_span line = {0};
    bool length_seen = false;
    *head = (struct weir_http_head){0};
    *reason = "not an HTTP request";
    do {
        if (!next_line(&rest, &line))
            return WEIR_STATUS_BAD_REQUEST;
    } while (line.size == 0);
    int status = parse_request_line(line, head, reason);
    while (status == 0 && next_line(&rest, &line) && line.size > 0)
        status = parse_header(line, head, &length_seen, reason);
    if (status == 0 && head->content_length > WEIR_HTTP_BODY_MAX) {
        *reason = "the body is larger than 65536 bytes";
        status = WEIR_STATUS_BODY_SIZE;
    }
    return status;
}
