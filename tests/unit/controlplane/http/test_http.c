/* The server over raw sockets: a client that may send anything, at any pace, and go at any time. */
#include "tests/unit/controlplane/http/http_fixture.h"

#include <zlib.h>

static void
test_http_answers_queries(void **state)
{
    (void)state;
    get("/api/v1/metrics/query?metric=cpu&host=a+b&from=0&to=120&agg=sum");
    assert_int_equal(answer.status, 200);
    assert_string_equal(answer.body, "{\"metric\":\"cpu\",\"resolution\":\"60s\",\"series\":"
        "[{\"labels\":{\"host\":\"a b\"},\"points\":[[0,42],[60,43]]}]}\n");
    get("/api/v1/label/ho%73t/values");
    assert_string_equal(answer.body, "{\"status\":\"success\",\"data\":[\"a b\"]}\n");
    get("http://example/api/v1/labels?match%5B%5D=cpu");
    assert_string_equal(answer.body, "{\"status\":\"success\",\"data\":[\"__name__\",\"host\"]}\n");
    get("/");
    assert_int_equal(answer.status, 200);
    assert_non_null(strstr(answer.body, "/api/v1/metrics/query"));
}

static void
test_http_takes_posted_forms_where_prometheus_does(void **state)
{
    (void)state;
    ask_error("POST /api/v1/metrics/query?metric=cpu HTTP/1.1\r\nHost: x\r\n\r\n", 405, "GET");
    const char *form = "POST /api/v1/series HTTP/1.1\r\nHost: x\r\nContent-Type: "
        "application/x-www-form-urlencoded; charset=utf-8\r\nContent-Length: 15\r\n\r\n"
        "match%5B%5D=cpu";
    talk(form, strlen(form));
    assert_string_equal(answer.body,
        "{\"status\":\"success\",\"data\":[{\"__name__\":\"cpu\",\"host\":\"a b\"}]}\n");
    ask_error("POST /api/v1/series HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
        "Content-Length: 2\r\n\r\n{}", 415, "x-www-form-urlencoded");
    form = "POST /api/v1/series HTTP/1.1\r\nHost: x\r\n"
        "Content-Type: application/x-www-form-urlencoded\r\n"
        "Transfer-Encoding: chunked\r\n\r\n8\r\nmatch%5B\r\n7\r\n%5D=cpu\r\n0\r\n\r\n";
    talk(form, strlen(form));
    assert_int_equal(answer.status, 200);
}

/* What libevent itself answers: a page of its own, and the end of the connection. */
static void
ask_page(const char *bytes, size_t size, int status)
{
    int fd = dial();
    send_all(fd, bytes, size);
    assert_true(read_answer(fd, true));
    if (answer.status != status)
        print_error("status %d, wanted %d: %.100s\n", answer.status, status, bytes);
    assert_int_equal(answer.status, status);
    assert_non_null(strstr(answer.bytes, "Content-Type: text/html\r\n"));
    assert_non_null(strstr(answer.bytes, "Connection: close\r\n"));
    assert_true(at_end(fd));
    close(fd);
}

static void
test_http_refuses_what_is_no_request(void **state)
{
    (void)state;
    static const struct {
        const char *bytes;
        int status;
    } requests[] = {{"hello\r\n\r\n", 400}, {"GET\r\n\r\n", 400}, {"GET /x\r\n\r\n", 400},
        {"GET / HTTP/2.0\r\n\r\n", 400}, {"GET / HTTP/1.1\r\nHost: x\r\nbad header\r\n\r\n", 400},
        {"GET / HTTP/1.1\r\n folded\r\n\r\n", 400},
        {"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: x\r\n\r\n", 400},
        {"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n", 400},
        {"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nExpect: tea\r\n\r\n", 417},
        {"POST /api/v1/series HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n\r\n"
            "", 413},
        {"POST /api/v1/series HTTP/1.1\r\nHost: x\r\nContent-Length: 9999999999999999999999\r\n"
            "\r\n", 413}};
    for (size_t i = 0; i < sizeof requests / sizeof requests[0]; i++)
        ask_page(requests[i].bytes, strlen(requests[i].bytes), requests[i].status);
    check_alive();
}

static void
test_http_refuses_bad_requests_in_json(void **state)
{
    (void)state;
    ask_error("GET x HTTP/1.1\r\nHost: x\r\n\r\n", 404, "no such path");
    ask_error("GET /api/v1/metrics/query?metric=%zz HTTP/1.1\r\nHost: x\r\n\r\n"
        "", 400, "hex digits");
    ask_error("GET /api/v1/metrics/query HTTP/1.1\r\nHost: x\r\n\r\n", 400, "metric is missing");
    ask_error("GET /nothing HTTP/1.1\r\nHost: x\r\n\r\n", 404, "no such path");
    ask_error("GET /api/v1/label//values HTTP/1.1\r\nHost: x\r\n\r\n", 400, "label name");
    ask_error("POST /write?db=x HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n", 404,
        "takes no samples over HTTP");
    ask_error("CONNECT example:80 HTTP/1.1\r\nHost: x\r\n\r\n", 404, "no such path");
    ask_error("DELETE /metrics HTTP/1.1\r\nHost: x\r\n\r\n", 405, "GET");
    assert_non_null(strstr(answer.bytes, "Allow: GET, HEAD\r\n"));
    ask_error("BREW /api/v1/series HTTP/1.1\r\nHost: x\r\n\r\n", 405, "POST");
    assert_non_null(strstr(answer.bytes, "Allow: GET, HEAD, POST\r\n"));
    check_alive();
}

static void
test_http_refuses_versions_that_are_none(void **state)
{
    (void)state;
    static const char *const versions[] = {"HTTP/0.9", "HTTP/1.99999", "HTTP/1.257", "HTTP/1.10",
        "HTTP/01.1", "HTTP/ 1.1", "HTTP/1. 1", "HTTP/+1.1", "HTTP/1.+1"};
    char request[200];
    for (size_t i = 0; i < sizeof versions / sizeof versions[0]; i++) {
        snprintf(request, sizeof request, "GET /healthz %s\r\nHost: x\r\n\r\n"
            "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n", versions[i]);
        int fd = dial();
        send_text(fd, request);
        assert_true(read_answer(fd, true));
        if (answer.status != 400 || strncmp(answer.bytes, "HTTP/1.1 ", 9) != 0)
            fail_msg("%s: %.40s", versions[i], answer.bytes);
        assert_true(at_end(fd));
        close(fd);
    }
    /* also where it comes behind another request, and in pieces */
    int fd = dial();
    send_text(fd, "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\nGET /healthz HTTP/0.9\r\n\r\n");
    assert_true(read_answer(fd, true));
    assert_int_not_equal(answer.status, 400);
    assert_true(read_answer(fd, true));
    assert_int_equal(answer.status, 400);
    close(fd);
    fd = dial();
    for (const char *at = "GET /healthz HTTP/0.9\r\n\r\n"; *at != '\0'; at++)
        send_all(fd, at, 1);
    assert_true(read_answer(fd, true));
    assert_int_equal(answer.status, 400);
    close(fd);
    /* later minor versions of one digit are answered as the latest that is known */
    static const char later[] =
        "GET /-/healthy HTTP/1.9\r\nHost: x\r\nConnection: close\r\n\r\n";
    talk(later, sizeof later - 1);
    assert_int_equal(answer.status, 200);
    assert_memory_equal(answer.bytes, "HTTP/1.1 ", 9);
}

static void
test_http_answers_requests_for_its_own_hosts_alone(void **state)
{
    (void)state;
    static const struct {
        const char *request;
        int status;
    } requests[] = {
        {"GET /-/healthy HTTP/1.1\r\nHost: 192.0.2.1:80\r\n\r\n", 200},
        {"GET /-/healthy HTTP/1.1\r\nHost: [::1]:80\r\n\r\n", 200},
        {"GET /-/healthy HTTP/1.1\r\nhOST: localhost\r\n\r\n", 200},
        {"GET /-/healthy HTTP/1.1\r\nHost: EXAMPLE.:80\r\n\r\n", 200},
        {"GET /-/healthy HTTP/1.0\r\n\r\n", 200},
        {"GET http://x/-/healthy HTTP/1.1\r\nHost: localhost\r\n\r\n", 200},
        {"GET /-/healthy HTTP/1.1\r\nHost: evil.test\r\n\r\n", 421},
        {"GET /-/healthy HTTP/1.0\r\nHost: evil.test\r\n\r\n", 421},
        {"GET /metrics HTTP/1.1\r\nHost: evil.test:9880\r\n\r\n", 421},
        {"GET / HTTP/1.1\r\nHost: evil.test\r\n\r\n", 421},
        {"GET /none HTTP/1.1\r\nHost: evil.test\r\n\r\n", 421},
        {"POST /api/v1/labels HTTP/1.1\r\nHost: evil.test\r\nContent-Length: 0\r\n\r\n", 421},
        {"GET http://evil.test/-/healthy HTTP/1.1\r\nHost: localhost\r\n\r\n", 421},
        {"GET http://localhost/-/healthy HTTP/1.1\r\nHost: evil.test\r\n\r\n", 421},
        {"GET /-/healthy HTTP/1.1\r\n\r\n", 400},
        {"GET /-/healthy HTTP/1.1\r\nHost:\r\n\r\n", 400},
        {"GET /-/healthy HTTP/1.1\r\nHost: a b\r\n\r\n", 400},
        {"GET /-/healthy HTTP/1.1\r\nHost: x\r\nHost: x\r\n\r\n", 400},
        {"GET /-/healthy HTTP/1.1\r\nHost: x\r\nHost: evil.test\r\n\r\n", 400}};
    for (size_t i = 0; i < sizeof requests / sizeof requests[0]; i++) {
        talk(requests[i].request, strlen(requests[i].request));
        if (answer.status != requests[i].status)
            fail_msg("%d: %s", answer.status, requests[i].request);
        if (answer.status != 200)
            check_error(answer.status, "the Host header ");
    }
    ask_error("GET / HTTP/1.1\r\nHost: evil.test\r\n\r\n", 421, "http.hosts");
    assert_memory_equal(answer.bytes, "HTTP/1.1 421 Misdirected Request\r\n", 34);
    check_alive();
}

/* Sends a request for a target with one more header. */
static void
ask_with(const char *method, const char *target, const char *header)
{
    char request[300];
    snprintf(request, sizeof request,
        "%s %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n%s\r\n\r\n", method, target, header);
    int fd = dial();
    send_text(fd, request);
    assert_true(read_answer(fd, strcmp(method, "HEAD") != 0));
    assert_true(at_end(fd));
    close(fd);
}

static void
check_unzips_to(const char *plain, size_t size)
{
    z_stream stream = {0};
    char *out = malloc(size + 1);
    assert_int_equal(inflateInit2(&stream, 15 + 16), Z_OK);
    stream.next_in = (unsigned char *)answer.body;
    stream.avail_in = (unsigned)answer.body_size;
    stream.next_out = (unsigned char *)out;
    stream.avail_out = (unsigned)size + 1;
    assert_int_equal(inflate(&stream, Z_FINISH), Z_STREAM_END);
    assert_int_equal(stream.total_out, size);
    assert_memory_equal(out, plain, size);
    inflateEnd(&stream);
    free(out);
}

static void
test_http_answers_in_gzip_who_asks_for_it(void **state)
{
    (void)state;
    static const char *const targets[] = {"/api/v1/label/x/values", "/"};
    check_alive();
    for (size_t i = 0; i < sizeof targets / sizeof targets[0]; i++) {
        ask_with("GET", targets[i], "Accept-Encoding: gzip;q=0");
        assert_int_equal(answer.status, 200);
        assert_null(strstr(answer.bytes, "Content-Encoding"));
        assert_non_null(strstr(answer.bytes, "\r\nVary: Accept-Encoding\r\n"));
        size_t size = answer.body_size;
        char *plain = malloc(size);
        memcpy(plain, answer.body, size);
        ask_with("GET", targets[i], "accept-encoding: br, gzip");
        assert_int_equal(answer.status, 200);
        assert_non_null(strstr(answer.bytes, "\r\nContent-Encoding: gzip\r\n"));
        assert_non_null(strstr(answer.bytes, "\r\nVary: Accept-Encoding\r\n"));
        assert_true(answer.body_size < size);
        check_unzips_to(plain, size);
        size_t packed = answer.body_size;
        /* HEAD says what GET would */
        ask_with("HEAD", targets[i], "Accept-Encoding: gzip");
        assert_non_null(strstr(answer.bytes, "\r\nContent-Encoding: gzip\r\n"));
        assert_int_equal(answer.body_size, packed);
        free(plain);
    }
    ask_with("GET", "/metrics", "Accept-Encoding: gzip");
    assert_non_null(strstr(answer.bytes, "\r\nContent-Encoding: gzip\r\n"));
    /* what is small comes as it is */
    ask_with("GET", "/healthz", "Accept-Encoding: gzip");
    assert_null(strstr(answer.bytes, "Content-Encoding"));
    assert_non_null(strstr(answer.bytes, "\r\nVary: Accept-Encoding\r\n"));
}

static void
test_http_tells_browsers_what_pages_may_do(void **state)
{
    (void)state;
    get("/");
    assert_non_null(strstr(answer.bytes, "\r\nX-Content-Type-Options: nosniff\r\n"));
    assert_non_null(strstr(answer.bytes, "\r\nContent-Security-Policy: default-src 'none'; "));
    assert_non_null(strstr(answer.bytes, "style-src 'sha256-"));
    get("/api/v1/labels");
    assert_non_null(strstr(answer.bytes,
        "\r\nContent-Security-Policy: default-src 'none'; frame-ancestors 'none'\r\n"));
    get("/favicon.ico");
    assert_int_equal(answer.status, 204);
    assert_null(strstr(answer.bytes, "Content-Length"));
    assert_null(strstr(answer.bytes, "Content-Type:"));
    ask_error("POST /favicon.ico HTTP/1.1\r\nHost: x\r\n\r\n", 405, "GET");
}

/* Where two readers could see the end of a request at different places, a second request could be
 * hidden in the first: each of these gets one answer, and the connection ends. */
static void
test_http_refuses_requests_of_doubtful_length(void **state)
{
    (void)state;
    static const struct {
        const char *bytes;
        int status;
    } requests[] = {
        {"POST /api/v1/labels HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n"
            "\r\nab", 400},
        {"POST /api/v1/labels HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n"
            "Transfer-Encoding: chunked\r\n\r\n"
         "0\r\n\r\n", 400},
        {"GET /healthz HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip\r\n\r\n", 501},
        {"GET /healthz HTTP/1.1\r\nHost: x\r\nContent-Length : 30\r\n\r\n", 400},
        {"BREW /healthz HTTP/1.1\r\nHost: x\r\nContent-Length: 30\r\n\r\n", 405}};
    for (size_t i = 0; i < sizeof requests / sizeof requests[0]; i++) {
        int fd = dial();
        send_text(fd, requests[i].bytes);
        send_text(fd, "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n");
        assert_true(read_answer(fd, true));
        assert_int_equal(answer.status, requests[i].status);
        assert_non_null(strstr(answer.bytes, "Connection: close\r\n"));
        assert_true(at_end(fd));
        close(fd);
    }
    check_alive();
}

static void
test_http_bounds_uri_headers_and_body(void **state)
{
    (void)state;
    static char request[2100000];
    static char filler[2000001];
    memset(filler, 'a', sizeof filler - 1);
    check_alive();
    int size = snprintf(request, sizeof request, "GET /%.9000s HTTP/1.1\r\nHost: x\r\n\r\n"
        "", filler);
    talk(request, (size_t)size);
    check_error(414, "URI");
    size = snprintf(request, sizeof request, "GET /healthz?%.8000s HTTP/1.1\r\nHost: x\r\n\r\n"
        "", filler);
    talk(request, (size_t)size);
    assert_int_equal(answer.status, 200);
    size = snprintf(request, sizeof request, "GET /%s HTTP/1.1\r\nHost: x\r\n\r\n", filler);
    ask_page(request, (size_t)size, 400);
    size = snprintf(request, sizeof request, "GET / HTTP/1.1\r\nHost: x\r\nX: %s\r\n\r\n", filler);
    ask_page(request, (size_t)size, 400);
    size = snprintf(request, sizeof request, "GET / HTTP/1.1\r\nHost: x\r\n");
    for (int i = 0; i < 2000; i++)
        size += snprintf(request + size, sizeof request - (size_t)size, "X%d: yyyyyyyyyy\r\n", i);
    ask_page(request, (size_t)size, 400);
    size = snprintf(request, sizeof request, "POST /api/v1/series HTTP/1.1\r\nHost: x\r\n"
        "Content-Length: "
        "2000000\r\n\r\n%s", filler);
    ask_page(request, (size_t)size, 413);
    size = snprintf(request, sizeof request, "POST /api/v1/series HTTP/1.1\r\nHost: x\r\n"
        "Transfer-Encoding: chunked\r\n\r\n1e8480\r\n%s\r\n0\r\n\r\n", filler);
    ask_page(request, (size_t)size, 413);
    /* and takes a body of just the size */
    size = snprintf(request, sizeof request, "POST /api/v1/labels HTTP/1.1\r\nHost: x\r\n"
        "Content-Type: "
        "application/x-www-form-urlencoded\r\nContent-Length: %d\r\n\r\nx=%.*s",
        WEIR_HTTP_BODY_MAX, WEIR_HTTP_BODY_MAX - 2, filler);
    talk(request, (size_t)size);
    assert_int_equal(answer.status, 200);
    check_alive();
}

static void
test_http_survives_bytes_of_any_kind(void **state)
{
    (void)state;
    uint64_t random = 88172645463325252u;
    for (int round = 0; round < 100; round++) {
        static char bytes[3000];
        size_t size = (size_t)round * 30 + 1;
        for (size_t i = 0; i < size; i++) {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            bytes[i] = (char)random;
        }
        int fd = dial();
        send_all(fd, bytes, size);
        send_text(fd, "\r\n\r\n");
        assert_true(read_answer(fd, true));
        assert_in_range(answer.status, 400, 599);
        close(fd);
    }
    check_alive();
}

/* An expectation that is not known matters to who waits with a body alone. */
static void
test_http_answers_an_expectation_without_a_body(void **state)
{
    (void)state;
    static const char *const requests[] = {"GET / HTTP/1.1\r\nHost: x\r\nExpect: tea\r\n\r\n",
        "HEAD / HTTP/1.1\r\nHost: x\r\nExpect: tea\r\nConnection: close\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\n\r\n"};
    for (size_t i = 0; i < sizeof requests / sizeof requests[0]; i++) {
        int fd = dial();
        send_text(fd, requests[i]);
        assert_true(read_answer(fd, i != 1));
        assert_int_equal(answer.status, 200);
        close(fd);
    }
}

static void
test_http_takes_requests_byte_by_byte(void **state)
{
    (void)state;
    check_alive(); /* else it is 503 while the query threads open their readers */
    static const char request[] = "GET /healthz HTTP/1.1\nHost: x\n\n";
    int fd = dial();
    for (size_t i = 0; i < sizeof request - 1; i++)
        send_all(fd, request + i, 1);
    assert_true(read_answer(fd, true));
    assert_int_equal(answer.status, 200);
    close(fd);
}

static void
test_http_forgets_half_requests(void **state)
{
    (void)state;
    for (int i = 0; i < 20; i++) {
        int fd = dial();
        send_text(fd, "GET /healthz HT");
        if (i % 2 == 0)
            shutdown(fd, SHUT_WR);
        if (i % 2 == 0)
            assert_true(at_end(fd));
        close(fd);
    }
    check_alive();
}

static void
test_http_answers_pipelined_requests_in_order(void **state)
{
    (void)state;
    check_alive();
    int fd = dial();
    send_text(fd, "GET /nothing HTTP/1.1\r\nHost: x\r\n\r\n"
        "GET /api/v1/metrics/query?metric=cpu&from=0&to=60 HTTP/1.1\r\nHost: x\r\n\r\n"
        "HEAD /healthz HTTP/1.1\r\nHost: x\r\n\r\n"
        "GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\nGET /ignored HTTP/1.1\r\n"
        "Host: x\r\n\r\n");
    assert_true(read_answer(fd, true));
    assert_int_equal(answer.status, 404);
    assert_true(read_answer(fd, true));
    assert_int_equal(answer.status, 200);
    assert_non_null(strstr(answer.body, "[0,42]"));
    assert_true(read_answer(fd, false));
    assert_int_equal(answer.status, 200);
    size_t head_size = answer.body_size;
    assert_true(head_size > 0);
    assert_true(read_answer(fd, true));
    assert_int_equal(answer.status, 200);
    assert_int_equal(answer.body_size, head_size);
    assert_true(at_end(fd));
    close(fd);
}

static void
test_http_keeps_connections_as_asked(void **state)
{
    (void)state;
    int fd = dial();
    for (int i = 0; i < 3; i++) {
        send_text(fd, "GET /healthz HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n");
        assert_true(read_answer(fd, true));
        assert_non_null(strstr(answer.bytes, "Connection: keep-alive\r\n"));
    }
    send_text(fd, "GET /healthz HTTP/1.0\r\n\r\n");
    assert_true(read_answer(fd, true));
    assert_true(at_end(fd));
    close(fd);
}

static void
test_http_answers_a_client_that_shut_its_sending_side(void **state)
{
    (void)state;
    int fd = dial();
    send_text(fd, "GET /api/v1/metrics/query?metric=cpu&from=0&to=60 HTTP/1.1\r\nHost: x\r\n\r\n");
    shutdown(fd, SHUT_WR);
    assert_true(read_answer(fd, true));
    assert_int_equal(answer.status, 200);
    assert_true(at_end(fd));
    close(fd);
}

/* libevent alone drops such an answer: it reads the end of the connection while it writes. */
static void
test_http_answers_a_client_that_shut_its_sending_side_in_full(void **state)
{
    (void)state;
    for (int i = 0; i < 10; i++) {
        int fd = dial();
        send_text(fd, "GET /api/v1/series?match[]=big&limit=90 HTTP/1.1\r\nHost: x\r\n\r\n"
            "GET /api/v1/label/x/values HTTP/1.1\r\nHost: x\r\n\r\n");
        shutdown(fd, SHUT_WR);
        usleep(20000); /* the server fills the socket meanwhile */
        assert_true(read_answer(fd, true));
        assert_int_equal(answer.status, 200);
        close(fd);
    }
    int fd = dial();
    send_text(fd, "GET /api/v1/label/x/values HTTP/1.1\r\nHost: x\r\n\r\n");
    shutdown(fd, SHUT_WR);
    assert_true(read_answer(fd, true));
    assert_int_equal(answer.status, 200);
    assert_true(answer.body_size > LARGE_COUNT * LARGE_BYTES);
    assert_true(at_end(fd));
    close(fd);
}

/* One that stops in the middle of a request, one that sends it a byte a second, one that does not
 * send all of its body, and one that says nothing after its first request, which may stay. */
static void
test_http_closes_connections_whose_request_takes_too_long(void **state)
{
    (void)state;
    static const char request[] = "GET /healthz HTTP/1.1\r\nHost: example\r\n\r\n";
    int stopped = dial();
    int slow = dial();
    int body = dial();
    int idle = dial();
    send_text(stopped, "GET /healthz HTTP/1.1\r\nHost: ");
    send_text(body, "POST /api/v1/series HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nmatch");
    send_text(idle, request);
    assert_true(read_answer(idle, true));
    struct pollfd wait = {slow, POLLIN, 0};
    for (size_t i = 0; i < sizeof request - 1 && poll(&wait, 1, 0) == 0; i++) {
        send_all(slow, request + i, 1);
        poll(&wait, 1, 1000);
    }
    assert_true(at_end(slow));
    assert_true(at_end(stopped));
    assert_true(at_end(body));
    send_text(idle, request);
    assert_true(read_answer(idle, true));
    assert_int_equal(answer.status, 200);
    close(stopped);
    close(slow);
    close(body);
    close(idle);
}

static void
test_http_grants_100_continue(void **state)
{
    (void)state;
    int fd = dial();
    send_text(fd, "POST /api/v1/series HTTP/1.1\r\nHost: x\r\n"
        "Content-Type: application/x-www-form-urlencoded"
        "\r\nContent-Length: 11\r\nExpect: 100-continue\r\n\r\n");
    assert_true(read_answer(fd, true));
    assert_int_equal(answer.status, 100);
    send_text(fd, "match[]=cpu");
    assert_true(read_answer(fd, true));
    assert_int_equal(answer.status, 200);
    close(fd);
}

static const char endless_query[] =
    "GET /api/v1/metrics/query?metric=cpu&from=0&to=60&agg=last HTTP/1.1\r\nHost: x\r\n\r\n";

static void
test_http_stops_the_query_of_a_client_that_hangs_up(void **state)
{
    (void)state;
    fake_endless = true;
    int fd = dial();
    send_text(fd, endless_query);
    await_scans(1);
    check_alive(); /* the event loop is not held up */
    close(fd);
    await_scans(0);
    /* and that of one whose connection is reset */
    fd = dial();
    send_text(fd, endless_query);
    await_scans(1);
    struct linger reset = {1, 0};
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
    close(fd);
    await_scans(0);
    get("/metrics");
    assert_non_null(strstr(answer.body,
        "weir_queries_total{endpoint=\"query\",outcome=\"cancelled\"} 2\n"));
}

static void
test_http_refuses_queries_past_its_queue_and_recovers(void **state)
{
    (void)state;
    int fds[THREADS + WEIR_API_QUEUE_MAX];
    int count = (int)(sizeof fds / sizeof fds[0]);
    fake_endless = true;
    for (int i = 0; i < count; i++) {
        fds[i] = dial();
        send_text(fds[i], endless_query);
        if (i < THREADS)
            await_scans(i + 1);
    }
    /* connections are read in any order: ask until the queue has taken all of the others */
    for (int i = 0; i < 1000; i++) {
        get("/metrics");
        if (strstr(answer.body, "weir_queries_waiting 64\n") != NULL)
            break;
    }
    get("/api/v1/metrics/query?metric=cpu");
    check_error(503, "too many queries");
    assert_non_null(strstr(answer.bytes, "Retry-After: 1\r\n"));
    fake_endless = false;
    for (int i = 0; i < count; i++) {
        assert_true(read_answer(fds[i], true));
        assert_int_equal(answer.status, 200);
        close(fds[i]);
    }
    check_alive();
}

static void
test_http_stops_with_queries_running_and_waiting(void **state)
{
    (void)state;
    fake_endless = true;
    for (int i = 0; i < 6; i++) {
        int fd = dial();
        send_text(fd, endless_query);
    }
    await_scans(THREADS);
    /* stop() checks that all ends */
}

/* Past the refusals accepting pauses, and goes on. */
static void
test_http_outlives_a_crowd(void **state)
{
    (void)state;
    enum { CROWD = WEIR_HTTP_CONNECTIONS_MAX + 2 * WEIR_HTTP_REFUSALS_MAX };
    static int fds[CROWD];
    for (int i = 0; i < CROWD; i++)
        fds[i] = dial();
    for (int i = 0; i < CROWD; i++)
        send_text(fds[i], "GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    int served = 0;
    for (int i = 0; i < CROWD; i++) {
        if (read_answer(fds[i], true))
            served += answer.status == 200;
        close(fds[i]);
    }
    assert_true(served >= WEIR_HTTP_CONNECTIONS_MAX);
    usleep(300000);
    for (int i = 0; i < 100; i++)
        check_alive();
    for (int i = 0; i < WAIT_MS / 10; i++) {
        get("/metrics");
        if (strstr(answer.body, "\nweir_http_connections 1\n") != NULL)
            return;
        usleep(10000);
    }
    fail_msg("connections are not given back");
}

static void
test_health_names_the_reason(void **state)
{
    (void)state;
    await_health(200, "\"ingest\":\"open\"");
    atomic_store(&server.shared->state, WEIR_INGEST_DISK_FULL);
    await_health(503, "\"reason\":\"disk_full\"");
    atomic_store(&server.shared->state, WEIR_INGEST_IO_ERROR);
    await_health(503, "\"reason\":\"io_error\"");
    atomic_store(&server.shared->epoch, 0);
    await_health(503, "\"reason\":\"starting\"");
    atomic_store(&server.shared->epoch, 8);
    atomic_store(&server.shared->state, WEIR_INGEST_OPEN);
    await_health(200, "\"epoch\":8");
    fake_fail(WEIR_IO);
    await_health(503, "\"reason\":\"reader_failed\"");
    get("/api/v1/metrics/query?metric=cpu&from=0&to=60");
    check_error(503, "cannot be read");
    fake_fail(WEIR_AGAIN); /* the dataplane starts anew: what is known is answered */
    await_health(200, "\"queries\":\"not_current\"");
    get("/api/v1/metrics/query?metric=cpu&from=0&to=60");
    assert_int_equal(answer.status, 200);
    assert_non_null(strstr(answer.body, "\"warnings\":[\"the dataplane is starting, for "));
    get("/api/v1/labels");
    assert_int_equal(answer.status, 200);
    assert_non_null(strstr(answer.body, "\"warnings\":[\"the dataplane is starting, for "));
    fake_fail(WEIR_OK);
    get("/api/v1/metrics/query?metric=cpu&from=0&to=60");
    assert_int_equal(answer.status, 200);
    assert_null(strstr(answer.body, "warnings"));
    await_health(200, "\"queries\":\"current\"");
}

static void
test_health_names_what_the_instance_is_degraded_by(void **state)
{
    (void)state;
    await_health(200, "{\"status\":\"ok\",\"ingest\":\"open\",\"queries\":\"current\","
        "\"epoch\":7}");
    get("/metrics");
    assert_non_null(strstr(answer.body, "\nweir_degraded{reason=\"series_full\"} 0\n"));
    get("/-/healthy");
    assert_int_equal(answer.status, 200);
    int64_t now_ms = weir_mono_ns() / 1000000;
    weir_degraded_set(&server.shared->degraded, WEIR_DEGRADED_series_full, now_ms);
    weir_degraded_set(&server.shared->degraded, WEIR_DEGRADED_listener_drops, now_ms);
    weir_degraded_set(&server.shared->degraded, WEIR_DEGRADED_senders_full,
        now_ms - WEIR_DEGRADED_LASTS_MS);
    await_health(200, "{\"status\":\"degraded\",\"ingest\":\"open\",\"queries\":\"current\","
        "\"degraded\":[\"series_full\",\"listener_drops\"],\"epoch\":7}");
    get("/metrics");
    assert_non_null(strstr(answer.body, "\nweir_degraded{reason=\"series_full\"} 1\n"));
    assert_non_null(strstr(answer.body, "\nweir_degraded{reason=\"senders_full\"} 0\n"));
    get("/-/ready");
    assert_int_equal(answer.status, 200);
    /* it does not hide what is worse */
    atomic_store(&server.shared->state, WEIR_INGEST_DISK_FULL);
    await_health(503, "\"status\":\"unavailable\",\"reason\":\"disk_full\"");
    assert_non_null(strstr(answer.body, "\"degraded\":[\"series_full\",\"listener_drops\"]"));
    get("/-/ready");
    assert_int_equal(answer.status, 503);
    assert_non_null(strstr(answer.bytes, "\r\nRetry-After: 1\r\n"));
    assert_non_null(strstr(answer.body, "Weir is not ready: disk_full: "));
    get("/-/healthy");
    assert_int_equal(answer.status, 200);
}

/* Health tells what can be read of it; metrics come when all can be. Those who ask do not wait for
 * each other. */
static void
test_health_does_not_wait_while_a_stage_stands_in_a_publication(void **state)
{
    struct weir_counts counts = {0};
    bool seen = false;
    (void)state;
    check_alive();
    counts.counter[WEIR_COUNTER_log_frames_corrupt] = 2;
    weir_ledger_publish(&server.shared->ledger.blocks[WEIR_BLOCK_WRITER], &counts);
    _Atomic uint64_t *sequence = &server.shared->ledger.blocks[WEIR_BLOCK_WORKER].sequence;
    for (int tries = 0; !seen; tries++) { /* again where this machine held us up for long */
        assert_true(tries < 100);
        atomic_store(sequence, 1);
        int scrapes = dial();
        send_text(scrapes, "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n");
        for (int i = 0; i < 20; i++) {
            get("/healthz");
            assert_int_equal(answer.status, 200);
            assert_non_null(strstr(answer.body, ",\"ledger\":\"unreadable\""));
            assert_non_null(strstr(answer.body, "\"damage\":{\"frames_corrupt\":2,"));
        }
        struct pollfd look = {scrapes, POLLIN, 0};
        bool waits = poll(&look, 1, 0) == 0;
        atomic_store(sequence, 2);
        assert_true(read_answer(scrapes, true));
        assert_int_equal(answer.status, 200);
        seen = waits && strstr(answer.body, "weir_ledger_total{") != NULL;
        close(scrapes);
    }
    get("/healthz");
    assert_null(strstr(answer.body, "\"ledger\""));
}

static void
test_health_does_not_wait_while_the_list_of_senders_is_being_published(void **state)
{
    bool waits = false;
    (void)state;
    check_alive();
    for (int tries = 0; !waits; tries++) { /* again where this machine held us up for long */
        assert_true(tries < 100);
        atomic_store(&server.shared->channel_view.sequence, 3);
        int asker = dial();
        send_text(asker, "GET /api/v1/senders HTTP/1.1\r\nHost: x\r\n\r\n");
        for (int i = 0; i < 20; i++)
            check_alive();
        struct pollfd look = {asker, POLLIN, 0};
        waits = poll(&look, 1, 0) == 0;
        atomic_store(&server.shared->channel_view.sequence, 4);
        close(asker);
    }
}

static void
test_metrics_leave_the_ledger_out_where_a_stage_stands_in_a_publication(void **state)
{
    (void)state;
    check_alive();
    atomic_store(&server.shared->ledger.blocks[WEIR_BLOCK_WORKER].sequence, 1);
    int gone = dial(); /* who does not wait is forgotten */
    send_text(gone, "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n");
    struct linger reset = {1, 0};
    setsockopt(gone, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
    close(gone);
    get("/metrics");
    assert_int_equal(answer.status, 200);
    assert_null(strstr(answer.body, "weir_ledger_total{"));
    assert_non_null(strstr(answer.body, "\nweir_epoch 7\n"));
    send_text(dial(), "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n");
    check_alive(); /* the server ends while it waits */
}

static void
test_metrics_expose_the_ledger(void **state)
{
    (void)state;
    struct weir_counts counts = {0};
    counts.unit[WEIR_UNIT_SAMPLES].received = 10;
    counts.unit[WEIR_UNIT_SAMPLES].stored = 6;
    counts.unit[WEIR_UNIT_SAMPLES].held = 1;
    counts.unit[WEIR_UNIT_SAMPLES].rejected[WEIR_REASON_unsupported_type] = 1;
    counts.unit[WEIR_UNIT_SAMPLES].dropped[WEIR_REASON_shutdown] = 1;
    counts.counter[WEIR_COUNTER_syncs] = 5;
    counts.counter[WEIR_COUNTER_sync_ns] = 1500000001;
    counts.cycles[WEIR_STAGE_parse] = 99;
    weir_ledger_publish(&server.shared->ledger.blocks[WEIR_BLOCK_WORKER], &counts);
    struct weir_process_view *process = &server.shared->processes.at[WEIR_PROCESS_DATAPLANE];
    atomic_store(&process->pid, 99);
    atomic_store(&process->cpu_ms, 12005);
    atomic_store(&process->fds, 17);
    atomic_store(&server.shared->latency_buckets[0], 2);
    atomic_store(&server.shared->latency_buckets[WEIR_LATENCY_BUCKETS - 1], 1);
    atomic_store(&server.shared->latency_sum_us, 1500000);
    get("/metrics");
    assert_int_equal(answer.status, 200);
    assert_non_null(strstr(answer.bytes, "Content-Type: text/plain; version=0.0.4"));
    static const char *const lines[] = {
        "\nweir_ledger_total{unit=\"samples\",class=\"received\"} 10\n",
        "\nweir_ledger_total{unit=\"samples\",class=\"stored\"} 6\n",
        "\nweir_ledger_in_flight{unit=\"samples\"} 1\n",
        "\nweir_ledger_total{unit=\"samples\",class=\"rejected\",reason=\"unsupported_type\"} 1\n",
        "\nweir_ledger_total{unit=\"samples\",class=\"dropped\",stage=\"worker\","
        "reason=\"shutdown\"} 1\n",
        "\nweir_ledger_residual{unit=\"samples\"} 1\n",
        "\nweir_ledger_residual{unit=\"packets\"} 0\n",
        "\nweir_syncs_total 5\n", "\nweir_sync_seconds_total 1.500000001\n",
        "\nweir_stage_cycles_total{stage=\"parse\"} 99\n",
        "\nweir_packet_to_queryable_seconds_bucket{le=\"0.000064\"} 2\n",
        "\nweir_packet_to_queryable_seconds_bucket{le=\"+Inf\"} 3\n",
        "\nweir_packet_to_queryable_seconds_sum 1.500000\n", "\nweir_epoch 7\n",
        "\nweir_build_info{version=", "\nweir_tsc_hertz ",
        "\nprocess_cpu_seconds_total{process=\"dataplane\"} 12.005\n",
        "\nprocess_open_fds{process=\"dataplane\"} 17\n"};
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++)
        if (strstr(answer.body, lines[i]) == NULL)
            fail_msg("missing: %s", lines[i]);
    assert_null(strstr(answer.body, "process=\"supervisor\"")); /* none runs */
}

static void
expect_outcomes(const char *endpoint, const char *outcomes)
{
    static const char *const names[] = {"answered", "client_error", "limit", "refused",
        "cancelled", "failed"};
    char line[128];
    get("/metrics");
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        snprintf(line, sizeof line, "\nweir_queries_total{endpoint=\"%s\",outcome=\"%s\"} %c\n",
            endpoint, names[i], outcomes[i]);
        if (strstr(answer.body, line) == NULL)
            fail_msg("missing: %s", line);
    }
}

static void
test_metrics_class_queries_by_whose_fault_it_was(void **state)
{
    (void)state;
    await_health(200, "\"queries\":\"current\"");
    get("/api/v1/metrics/query?metric=cpu&from=0&to=60");
    get("/api/v1/metrics/query?metric=cpu&from=x");
    get("/api/v1/metrics/query?metric=%zz");
    ask_error("POST /api/v1/metrics/query?metric=cpu HTTP/1.1\r\nHost: x\r\n\r\n", 405, "GET");
    get("/api/v1/metrics/query?metric=cpu&from=0&to=100000&step=1s");
    assert_int_equal(answer.status, 422);
    fake_fail(WEIR_IO);
    await_health(503, "reader_failed");
    get("/api/v1/metrics/query?metric=cpu&from=0&to=60");
    assert_int_equal(answer.status, 503);
    fake_fail(WEIR_OK);
    await_health(200, "\"queries\":\"current\"");
    expect_outcomes("query", "131001");
    expect_outcomes("labels", "000000");
    /* the histogram has those that reached a query thread */
    assert_non_null(strstr(answer.body,
        "\nweir_query_duration_seconds_bucket{endpoint=\"query\",le=\"+Inf\"} 4\n"));
    assert_non_null(strstr(answer.body,
        "\nweir_query_duration_seconds_count{endpoint=\"query\"} 4\n"));
}

static void
test_metrics_without_a_dataplane_say_what_is_left(void **state)
{
    (void)state;
    atomic_store(&server.shared->epoch, 0);
    get("/metrics");
    assert_int_equal(answer.status, 200);
    assert_non_null(strstr(answer.body, "\nweir_epoch 0\n"));
    assert_non_null(strstr(answer.body, "\nweir_queries_waiting 0\n"));
    assert_null(strstr(answer.body, "weir_ledger"));
    assert_null(strstr(answer.body, "weir_series "));
}

int
main(void)
{
    signal(SIGPIPE, SIG_IGN);
    const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, start, stop)
        T(test_http_answers_queries),
        T(test_http_takes_posted_forms_where_prometheus_does),
        T(test_http_refuses_what_is_no_request),
        T(test_http_refuses_bad_requests_in_json),
        T(test_http_refuses_versions_that_are_none),
        T(test_http_answers_requests_for_its_own_hosts_alone),
        cmocka_unit_test_setup_teardown(
            test_http_answers_in_gzip_who_asks_for_it, start_large, stop),
        T(test_http_tells_browsers_what_pages_may_do),
        T(test_http_refuses_requests_of_doubtful_length),
        T(test_http_bounds_uri_headers_and_body),
        T(test_http_survives_bytes_of_any_kind),
        T(test_http_answers_an_expectation_without_a_body),
        T(test_http_takes_requests_byte_by_byte),
        T(test_http_forgets_half_requests),
        T(test_http_answers_pipelined_requests_in_order),
        T(test_http_keeps_connections_as_asked),
        T(test_http_answers_a_client_that_shut_its_sending_side),
        cmocka_unit_test_setup_teardown(
            test_http_answers_a_client_that_shut_its_sending_side_in_full, start_large, stop),
        T(test_http_closes_connections_whose_request_takes_too_long),
        T(test_http_grants_100_continue),
        T(test_http_stops_the_query_of_a_client_that_hangs_up),
        T(test_http_refuses_queries_past_its_queue_and_recovers),
        T(test_http_stops_with_queries_running_and_waiting),
        T(test_http_outlives_a_crowd),
        T(test_health_names_the_reason),
        T(test_health_names_what_the_instance_is_degraded_by),
        T(test_health_does_not_wait_while_a_stage_stands_in_a_publication),
        T(test_health_does_not_wait_while_the_list_of_senders_is_being_published),
        T(test_metrics_leave_the_ledger_out_where_a_stage_stands_in_a_publication),
        T(test_metrics_expose_the_ledger),
        T(test_metrics_class_queries_by_whose_fault_it_was),
        T(test_metrics_without_a_dataplane_say_what_is_left),
#undef T
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
