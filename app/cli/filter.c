/* weir filter and weir reload: requests to the supervisor of a running instance. */
#include "app/cli/commands.h"
#include "app/cli/options.h"
#include "app/supervisor/filter.h"
#include "base/escape.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define WORDS_MAX 4
#define WAIT_MS 30000 /* for clients in front, and a machine that is slow */

static enum weir_err
connect_to(const char *data, int *out)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int size = snprintf(address.sun_path, sizeof address.sun_path, "%s/" WEIR_FILTER_SOCKET, data);
    if (size < 0 || (size_t)size >= sizeof address.sun_path)
        return weir_fail(WEIR_INVALID, 0, "%s is too long a path for a socket", data);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return weir_fail(WEIR_IO, errno, "socket");
    if (connect(fd, (struct sockaddr *)&address, sizeof address) != 0) {
        enum weir_err err = weir_fail(WEIR_IO, errno, "no instance answers at %s",
            address.sun_path);
        close(fd);
        return err;
    }
    *out = fd;
    return WEIR_OK;
}

/* A receive with a time limit ends where the process was stopped and continued; poll goes on. */
static bool
answer_comes(int fd)
{
    struct pollfd wait = {.fd = fd, .events = POLLIN};
    int ready = poll(&wait, 1, WAIT_MS);
    if (ready == 0)
        errno = ETIMEDOUT;
    return ready == 1;
}

/* Sends a line; prints the rest of the answer after its first line. */
static enum weir_err
ask(int fd, const char *line)
{
    char first[512];
    FILE *stream = fdopen(fd, "r+");
    if (stream == NULL) {
        close(fd);
        return weir_fail(WEIR_NOMEM, errno, "stream");
    }
    enum weir_err err = WEIR_OK;
    /* a supervisor without descriptors answers and closes before it has read the line */
    if (((fprintf(stream, "%s\n", line) < 0 || fflush(stream) != 0) && errno != EPIPE) ||
        !answer_comes(fd) || fgets(first, sizeof first, stream) == NULL) {
        err = weir_fail(WEIR_IO, errno, "the supervisor does not answer");
    } else if (strcmp(first, "ok\n") != 0) {
        const char *reason = strncmp(first, "error ", 6) == 0 ? first + 6 : first;
        err = weir_fail(WEIR_INVALID, 0, "%.*s", (int)strcspn(reason, "\n"), reason);
    }
    while (err == WEIR_OK && fgets(first, sizeof first, stream) != NULL) {
        size_t size = strcspn(first, "\n");
        weir_escape_print(WEIR_ESCAPE_TERMINAL, first, size, stdout);
        fputs(first[size] == '\n' ? "\n" : "", stdout);
    }
    fclose(stream);
    return err;
}

/* Exit code of the command. */
static int
ask_supervisor(const char *command, const char *data, const char *line)
{
    int fd;
    signal(SIGPIPE, SIG_IGN); /* a supervisor that does not wait any more is an error to report */
    enum weir_err err = connect_to(data, &fd);
    if (err == WEIR_OK)
        err = ask(fd, line);
    if (err == WEIR_OK)
        return EXIT_SUCCESS;
    weir_line_print(stderr, "weir %s: %s", command, weir_err_detail());
    return err == WEIR_INVALID ? WEIR_EXIT_USAGE : EXIT_FAILURE;
}

int
weir_command_filter(int argc, char **argv)
{
    static struct weir_config config; /* for the default directory */
    weir_config_init(&config);
    const char *data = config.data;
    const char *words[WORDS_MAX];
    int count = WORDS_MAX;
    char line[WEIR_RULE_LINE_MAX] = "";
    const struct weir_option options[] = {{.name = "data", .text = &data}, {0}};
    if (weir_options_parse(options, argc, argv, words, &count) != WEIR_OK) {
        weir_line_print(stderr, "weir filter: %s", weir_err_detail());
        return WEIR_EXIT_USAGE;
    }
    for (int i = 0; i < count; i++) {
        size_t at = strlen(line);
        int added = snprintf(line + at, sizeof line - at, "%s%s", i > 0 ? " " : "", words[i]);
        if (added < 0 || (size_t)added >= sizeof line - at) {
            fprintf(stderr, "weir filter: too long\n");
            return WEIR_EXIT_USAGE;
        }
    }
    if (count == 0) {
        weir_usage_filter(stderr);
        return WEIR_EXIT_USAGE;
    }
    return ask_supervisor("filter", data, line);
}

int
weir_command_reload(int argc, char **argv)
{
    static struct weir_config config; /* for the default directory */
    weir_config_init(&config);
    const char *data = config.data;
    int count = 0;
    const struct weir_option options[] = {{.name = "data", .text = &data}, {0}};
    if (weir_options_parse(options, argc, argv, NULL, &count) == WEIR_OK)
        return ask_supervisor("reload", data, "reload");
    weir_line_print(stderr, "weir reload: %s", weir_err_detail());
    return WEIR_EXIT_USAGE;
}

void
weir_usage_reload(FILE *out)
{
    fprintf(out,
        "usage: weir reload [--data DIR]\n\n"
        "Has the instance on DIR read its configuration anew, as SIGHUP does, and says which keys\n"
        "hold from now on and which need a restart. A file with a mistake changes nothing: exit\n"
        "code 2.\n");
}

void
weir_usage_filter(FILE *out)
{
    fprintf(out,
        "usage: weir filter [--data DIR] COMMAND\n\n"
        "Rules of the XDP program in front of AF_XDP ports, for packets to our UDP ports. They\n"
        "are kept in DIR/filter.rules and hold from the next packet on.\n\n"
        "  show                rules, and packets by verdict of each port\n"
        "  deny PREFIX         drop what comes from these addresses (192.0.2.0/24, 2001:db8::1)\n"
        "  allow PREFIX        an exception from a shorter prefix that is denied\n"
        "  remove PREFIX       take a rule away\n"
        "  limit RATE [BURST]  packets a second of one source, and how many at once (default: a\n"
        "                      tenth of a second's worth, at least 1)\n"
        "  limit off\n");
}
