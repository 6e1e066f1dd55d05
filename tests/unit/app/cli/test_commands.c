/* Commands of weir as a user sees them: what they print and the exit code. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

static char output[4096]; /* of the last command, both streams */

/* What the other side of `weir send --tcp` does. */
struct server {
    const char *answer; /* NULL: never says a word */
    bool early;         /* with the first bytes, not behind the half-close */
    unsigned wait_s;    /* before it answers */
};

/* Serves one connection and ends. */
static void
serve_one(int listener, const struct server *server)
{
    char sink[4096];
    int fd = accept(listener, NULL, NULL);
    if (fd < 0)
        _exit(1);
    while (read(fd, sink, sizeof sink) > 0 && !server->early)
        continue;
    sleep(server->wait_s);
    size_t size = server->answer != NULL ? strlen(server->answer) : 0;
    _exit(write(fd, server->answer, size) == (ssize_t)size ? 0 : 1);
}

/* From here on a program that is started has none of root's rights. */
static void
drop_rights(void)
{
    for (unsigned capability = 0; capability <= CAP_LAST_CAP; capability++)
        (void)prctl(PR_CAPBSET_DROP, capability, 0, 0, 0);
}

/* Runs `weir ...` to its end. Returns its exit code; output holds what it printed. */
static int
run_as(const char *const *words, bool with_rights)
{
    int pipes[2];
    assert_int_equal(pipe2(pipes, O_CLOEXEC), 0);
    pid_t pid = fork();
    if (pid == 0) {
        const char *argv[16] = {"weir"};
        for (int i = 0; words[i] != NULL; i++)
            argv[i + 1] = words[i];
        dup2(pipes[1], STDOUT_FILENO);
        dup2(pipes[1], STDERR_FILENO);
        if (!with_rights)
            drop_rights();
        execv(WEIR_PROGRAM, (char *const *)(uintptr_t)argv);
        _exit(127);
    }
    close(pipes[1]);
    size_t used = 0;
    ssize_t got;
    while (used < sizeof output - 1 &&
           (got = read(pipes[0], output + used, sizeof output - 1 - used)) > 0)
        used += (size_t)got;
    output[used] = '\0';
    close(pipes[0]);
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static int
run(const char *const *words)
{
    return run_as(words, true);
}

static char address[32]; /* of the last server */

/* Exit code of `weir send --tcp` to such a server. */
static int
send_to(const struct server *kind, const char *proto)
{
    struct sockaddr_in at = {.sin_family = AF_INET};
    socklen_t size = sizeof at;
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(listener, (struct sockaddr *)&at, sizeof at), 0);
    assert_int_equal(listen(listener, 1), 0);
    assert_int_equal(getsockname(listener, (struct sockaddr *)&at, &size), 0);
    pid_t server = fork();
    if (server == 0)
        serve_one(listener, kind);
    close(listener);
    snprintf(address, sizeof address, "127.0.0.1:%u", ntohs(at.sin_port));
    int code = run((const char *const[]){"send", "--tcp", address, "--generate", "3", "--proto",
        proto, NULL});
    int status;
    assert_int_equal(waitpid(server, &status, 0), server);
    assert_int_equal(status, 0);
    return code;
}

static int
send_answered(const char *answer)
{
    return send_to(&(struct server){.answer = answer}, "influx");
}

/* Serves connections until it is killed: the first gets `first`, the others, where they ask for
 * /healthz, `life`; without a text a connection is held open in silence. `first` comes with the
 * third question after whether it lives. */
static void
serve_http(int listener, const char *first, const char *life)
{
    int waits = -1;
    for (int questions = 0;; questions++) {
        char request[4096];
        int fd = accept(listener, NULL, NULL);
        ssize_t got = read(fd, request, sizeof request - 1);
        request[got > 0 ? got : 0] = '\0';
        if (questions == 0)
            waits = fd;
        else if (life != NULL && strncmp(request, "GET /healthz ", 13) == 0 &&
            write(fd, life, strlen(life)) >= 0)
            close(fd);
        if (questions == 2 && first != NULL && write(waits, first, strlen(first)) >= 0)
            close(waits);
    }
}

/* Exit code of a command that asks such a server. */
static int
ask_http(const char *first, const char *life, const char *command, const char *word)
{
    struct sockaddr_in at = {.sin_family = AF_INET};
    socklen_t size = sizeof at;
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(listener, (struct sockaddr *)&at, sizeof at), 0);
    assert_int_equal(listen(listener, 8), 0);
    assert_int_equal(getsockname(listener, (struct sockaddr *)&at, &size), 0);
    pid_t server = fork();
    if (server == 0)
        serve_http(listener, first, life);
    close(listener);
    snprintf(address, sizeof address, "127.0.0.1:%u", ntohs(at.sin_port));
    int code = run((const char *const[]){command, "--http", address, word, NULL});
    kill(server, SIGKILL);
    waitpid(server, NULL, 0);
    return code;
}

static void
test_commands_do_not_wait_for_what_never_answers(void **state)
{
    (void)state;
    char said[160];
    for (int i = 0; i < 2; i++) {
        const char *command = i == 0 ? "query" : "senders";
        assert_int_equal(ask_http(NULL, NULL, command, i == 0 ? "cpu" : NULL), 1);
        snprintf(said, sizeof said, "weir %s: %s accepts connections, but has not answered in "
            "5 s: is that Weir's HTTP address?\n", command, address);
        assert_string_equal(output, said);
    }
}

static void
test_command_query_waits_while_the_server_lives(void **state)
{
    (void)state;
    const char *first = "HTTP/1.1 200 OK\r\n\r\n{\"metric\":\"cpu\",\"series\":[{\"labels\":{},"
        "\"points\":[[0,18525.1],[60,0.1],[120,1e300],[180,7],[240,0.30000000000000004]]}]}";
    assert_int_equal(ask_http(first, "HTTP/1.1 503 no\r\n\r\n", "query", "cpu"), 0);
    const char *answer = strstr(output, "PromQL\n"); /* the end of the hint on standard error */
    assert_non_null(answer);
    assert_string_equal(answer, "PromQL\ncpu\n"
        "  1970-01-01T00:00:00.000Z  18525.1\n  1970-01-01T00:01:00.000Z  0.1\n"
        "  1970-01-01T00:02:00.000Z  1e+300\n  1970-01-01T00:03:00.000Z  7\n"
        "  1970-01-01T00:04:00.000Z  0.30000000000000004\n");
}

static void
test_command_send_succeeds_where_nothing_was_rejected(void **state)
{
    (void)state;
    assert_int_equal(send_answered("ok 3 0 4096\n"), 0);
    assert_string_equal(output, "ok 3 0 4096\n");
}

static void
test_command_send_fails_where_records_were_rejected(void **state)
{
    (void)state;
    assert_int_equal(send_answered("ok 1 2 4096\n"), 1);
    assert_non_null(strstr(output, "2 records rejected"));
    assert_int_equal(send_answered("ok 2 1 4096\n"), 1);
    assert_non_null(strstr(output, "1 record rejected"));
    assert_int_equal(send_answered("ok \n"), 1);
    assert_int_equal(send_answered("error disk_full\n"), 1);
    assert_non_null(strstr(output, "error disk_full"));
}

static void
test_command_send_says_that_the_port_may_be_no_weir_port(void **state)
{
    (void)state;
    char said[128];
    assert_int_equal(send_to(&(struct server){.answer = NULL}, "weir"), 1);
    snprintf(said, sizeof said,
        "weir send: no acknowledgement in 5 s: does %s speak the weir protocol?\n", address);
    assert_string_equal(output, said);
    const struct server http = {.answer = "HTTP/1.1 400 Bad Request\r\n\r\n", .early = true};
    const struct server shy = {.answer = "?", .early = true};
    for (int i = 0; i < 2; i++) {
        assert_int_equal(send_to(i == 0 ? &http : &shy, "weir"), 1);
        snprintf(said, sizeof said, "weir send: %s does not speak the weir protocol\n", address);
        assert_string_equal(output, said);
    }
    assert_int_equal(send_to(&(struct server){.answer = "WACK\3", .early = true}, "influx"), 1);
    snprintf(said, sizeof said, "weir send: %s speaks the weir protocol: --proto weir\n",
        address);
    assert_string_equal(output, said);
}

static void
test_command_send_says_that_it_waits_for_an_answer(void **state)
{
    (void)state;
    char said[128];
    assert_int_equal(send_to(&(struct server){.answer = "ok 3 0 9\n", .wait_s = 6}, "graphite"),
        0);
    snprintf(said, sizeof said, "weir send: no answer in 5 s: is %s a port", address);
    assert_memory_equal(output, said, strlen(said));
    assert_non_null(strstr(output, "\nok 3 0 9\n"));
}

static void
test_command_send_refuses_options_that_do_not_fit_together(void **state)
{
    (void)state;
    static const char udp[] = "127.0.0.1:9";
    static const struct {
        const char *words[10];
        const char *said;
    } refused[] = {
        {{"send", NULL}, "one of --udp ADDR:PORT and --tcp ADDR:PORT is needed"},
        {{"send", "--udp", udp, "--tcp", udp, NULL}, "--udp and --tcp: one of them"},
        {{"send", "--udp", udp, "--generate", "3", "/etc/hosts", NULL},
            "--generate makes the lines up: '/etc/hosts' would not be read"},
        {{"send", "--udp", udp, "--generate", "0", NULL}, "--generate: at least 1"},
        {{"send", "--udp", udp, "--series", "3", NULL}, "--series: only with --generate"},
        {{"send", "--udp", udp, "--generate", "3", "--series", "0", NULL},
            "--series: at least 1"},
        {{"send", "--udp", udp, "--generate", "3", "--lines", "influx", NULL},
            "--lines: only with --proto weir"},
        {{"send", "--udp", udp, "--generate", "3", "--sender", "7", NULL},
            "--sender: only with --proto weir"},
        {{"send", "--udp", udp, "--generate", "3", "--proto", "weir", "--sender", "0", NULL},
            "--sender: 0 is no sender"},
        {{"send", "--udp", udp, "--proto", "weir", "--lines", "weir", NULL},
            "--lines: 'weir' is none of influx, graphite, opentsdb"},
        {{"send", "--udp", udp, "--proto", "json", NULL},
            "--proto: 'json' is none of influx, graphite, opentsdb, weir"},
        {{"send", "--tcp", udp, "--generate", "3", "--datagram", "500", NULL},
            "--datagram: only with --udp"},
        {{"send", "--udp", udp, "--generate", "3", "--datagram", "65508", NULL},
            "--datagram: from 64 to 65507 bytes"},
        {{"send", "--udp", udp, "--generate", "3", "--proto", "weir", "--datagram", "65473", NULL},
            "--datagram: from 256 to 65472 bytes"},
        {{"send", "--tcp", udp, "--generate", "3", "--chaos", "1,1,1,1", NULL},
            "--chaos: only with --udp"},
    };
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
        assert_int_equal(run(refused[i].words), 2);
        if (strstr(output, refused[i].said) == NULL)
            fail_msg("said '%s', not '%s'", output, refused[i].said);
    }
}

static void
test_command_send_fails_where_its_lines_cannot_be_read(void **state)
{
    (void)state;
    assert_int_equal(run((const char *[]){"send", "--udp", "127.0.0.1:9", "/", NULL}), 1);
    assert_non_null(strstr(output, "read /: Is a directory"));
    assert_int_equal(
        run((const char *[]){"send", "--udp", "127.0.0.1:9", "--proto", "weir", "/", NULL}), 1);
    assert_non_null(strstr(output, "read /: Is a directory"));
}

/* Exit code of `weir send --udp` with the text as FILE, to a port of ours that is open or was. */
static int
send_datagrams(const char *text, bool open, const char *proto)
{
    char path[] = "/tmp/weir-test-commands-XXXXXX";
    struct sockaddr_in at = {.sin_family = AF_INET};
    socklen_t size = sizeof at;
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int receiver = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(receiver, (struct sockaddr *)&at, sizeof at), 0);
    assert_int_equal(getsockname(receiver, (struct sockaddr *)&at, &size), 0);
    int file = mkstemp(path);
    assert_int_equal(write(file, text, strlen(text)), strlen(text));
    close(file);
    if (!open)
        close(receiver);
    snprintf(address, sizeof address, "127.0.0.1:%u", ntohs(at.sin_port));
    int code = run((const char *const[]){"send", "--udp", address, "--proto", proto, path, NULL});
    unlink(path);
    if (open)
        close(receiver);
    return code;
}

static void
test_command_send_says_that_nobody_listens_after_one_datagram(void **state)
{
    (void)state;
    assert_int_equal(send_datagrams("m v=1\n", false, "influx"), 1);
    assert_string_equal(output, "weir send: nobody listens on that UDP port\n");
    assert_int_equal(send_datagrams("m v=1\n", true, "influx"), 0);
    assert_string_equal(output, "sent 1 line in 1 datagram\n");
}

static void
test_command_send_counts_the_refused_lines_it_does_not_show(void **state)
{
    (void)state;
    assert_int_equal(send_datagrams("a\na\na\na\na\nm v=1\n", true, "weir"), 1);
    assert_null(strstr(output, "more refused"));
    assert_non_null(strstr(output, "5 lines refused"));
    assert_int_equal(send_datagrams("a\na\na\na\na\na\na\nm v=1\n", true, "weir"), 1);
    assert_non_null(strstr(output, "weir send: and 2 more refused\n"));
    assert_non_null(strstr(output, "7 lines refused"));
}

static void
test_command_bench_says_that_data_is_missing(void **state)
{
    (void)state;
    assert_int_equal(run((const char *const[]){"bench", "--seconds", "1", NULL}), 2);
    assert_string_equal(output, "weir bench: --data is missing\n");
}

static void
test_command_bench_refuses_options_that_do_not_fit_together(void **state)
{
    (void)state;
    static const struct {
        const char *words[12];
        const char *said;
    } refused[] = {
        {{"bench", "--source", "disk", "--data", "/no/x", NULL},
            "--source disk: there are: ring, udp, tcp, veth"},
        {{"bench", "--seconds", "0", NULL}, "--seconds 0: a number above 0, up to 600"},
        {{"bench", "--seconds", "1s", NULL}, "--seconds 1s: a number above 0, up to 600"},
        {{"bench", "--series", "-1", NULL}, "--series -1: a whole number from 1 to 120000000"},
        {{"bench", "--cores", "17", NULL}, "--cores 17: a whole number from 1 to 16"},
        {{"bench", "--rate", "max", "--data", "/no/x", NULL}, "--rate is for --source veth"},
        {{"bench", "--socket", "--data", "/no/x", NULL}, "--socket is for --source veth"},
        {{"bench", "--source", "tcp", "--payload", "4096", "--data", "/no/x", NULL},
            "--payload is for --source udp and veth"},
        {{"bench", "--source", "udp", "--payload", "2047", "--data", "/no/x", NULL},
            "--payload 2047: a whole number from 2048 to 65507"},
        {{"bench", "--source", "udp", "--payload", "4096", "--proto", "weir", "--data", "/no/x",
             NULL}, "--payload: a packet of the weir protocol is a datagram"},
        {{"bench", "--serie", "5", NULL}, "unknown option --serie; is --series meant?"},
        {{"bench", "--source=udp", "--cores", "2", "--data", "/no/x", NULL},
            "--cores is for --source ring"},
        {{"bench", "--proto", "graphite", "--series", "99999", "--data", "/no/x", NULL},
            "--proto graphite: its times are whole seconds; 100000 series at least"},
        {{"bench", "--overload", "--source", "tcp", "--data", "/no/x", NULL},
            "--source tcp: with --overload there are: ring, udp"},
        {{"bench", "--overload", "--seconds", "61", "--data", "/no/x", NULL},
            "--seconds 61: a number above 0, up to 60"},
        {{"bench", "--overload", NULL}, "--data is missing"},
        {{"bench", "--overload", "--proto", "weir", NULL}, "unknown option --proto\n"
            "weir bench: --overload takes --source, --series, --seconds, --json and --data"},
        {{"bench", "--source", "veth", NULL}, "--data is missing"},
        {{"bench", "--source", "veth", "--cores", "2", NULL}, "unknown option --cores\n"
            "weir bench: --source veth takes --proto, --series, --seconds, --rate, --pairs, "
            "--payload, --socket, --json and --data"},
        {{"bench", "--source", "veth", "--proto", "json", NULL},
            "--proto json: there are: influx, graphite, weir"},
        {{"bench", "--source", "veth", "--rate", "0", NULL},
            "--rate 0: a whole number from 1 to 5000000, or max"},
        {{"bench", "--source", "veth", "--pairs", "3", "--data", "/no/x", NULL},
            "--pairs 3: 1, 2 or 4"},
        {{"bench", "--source", "veth", "--pairs", "2", "--socket", "--data", "/no/x", NULL},
            "--pairs 2: not with --socket"},
        {{"bench", "--source", "veth", "--payload", "255", "--data", "/no/x", NULL},
            "--payload 255: a whole number from 256 to 1472"},
        {{"bench", "--source", "veth", "--payload", "512", "--proto", "weir", "--data", "/no/x",
             NULL}, "--payload: for --proto influx and graphite"},
        {{"bench", "--source", "veth", "--proto", "graphite", "--series", "3000", "--seconds",
             "30", "--data", "/no/x", NULL}, "--series 3000: the times of --proto graphite"},
    };
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
        assert_int_equal(run(refused[i].words), 2);
        if (strstr(output, refused[i].said) == NULL)
            fail_msg("said '%s', not '%s'", output, refused[i].said);
    }
}

static void
test_command_bench_names_the_rights_it_misses_before_anything_starts(void **state)
{
    (void)state;
    static const char *const words[] = {"bench", "--source", "veth", "--data",
        "/nowhere/to/be/made", NULL};
    static const char *const socket[] = {"bench", "--source", "veth", "--socket", "--data",
        "/nowhere/to/be/made", NULL};
    assert_int_equal(run_as(words, false), 1);
    static const char said[] = "weir bench: --source veth needs root; missing: "
        "CAP_NET_ADMIN (veth pairs and XDP programs), CAP_BPF (";
    assert_memory_equal(output, said, sizeof said - 1);
    assert_non_null(strstr(output, ", CAP_SYS_ADMIN ("));
    assert_int_equal(run_as(socket, false), 1);
    assert_memory_equal(output, said, sizeof said - 1);
    assert_null(strstr(output, "CAP_SYS_ADMIN"));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_commands_do_not_wait_for_what_never_answers),
        cmocka_unit_test(test_command_query_waits_while_the_server_lives),
        cmocka_unit_test(test_command_send_succeeds_where_nothing_was_rejected),
        cmocka_unit_test(test_command_send_fails_where_records_were_rejected),
        cmocka_unit_test(test_command_send_says_that_the_port_may_be_no_weir_port),
        cmocka_unit_test(test_command_send_says_that_it_waits_for_an_answer),
        cmocka_unit_test(test_command_send_refuses_options_that_do_not_fit_together),
        cmocka_unit_test(test_command_send_fails_where_its_lines_cannot_be_read),
        cmocka_unit_test(test_command_send_says_that_nobody_listens_after_one_datagram),
        cmocka_unit_test(test_command_send_counts_the_refused_lines_it_does_not_show),
        cmocka_unit_test(test_command_bench_says_that_data_is_missing),
        cmocka_unit_test(test_command_bench_refuses_options_that_do_not_fit_together),
        cmocka_unit_test(test_command_bench_names_the_rights_it_misses_before_anything_starts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
