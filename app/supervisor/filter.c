#include "app/supervisor/filter.h"

#include "app/dataplane_xdp.h"
#include "base/event.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <net/if.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define LISTENER WEIR_FILTER_CLIENTS /* its place in epoll's data; clients have theirs */
/* Holds the longest answer: every rule there can be, 60 bytes each, and the ports. */
#define ANSWER_BYTES (256u << 10)
#define INTERFACES_MAX 64

static enum weir_err
listen_at(const char *path, int *out)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof address.sun_path)
        return weir_fail(WEIR_INVALID, 0, "data: the path %s is longer than a socket's may be (%zu "
            "bytes)", path, sizeof address.sun_path - 1);
    strcpy(address.sun_path, path);
    (void)unlink(path); /* of a killed supervisor: we hold the instance's lock */
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return weir_fail(WEIR_IO, errno, "socket");
    mode_t before = umask(0177);
    int failed = bind(fd, (struct sockaddr *)&address, sizeof address);
    int errnum = errno;
    umask(before);
    if (failed != 0 || listen(fd, 8) != 0) {
        errnum = failed != 0 ? errnum : errno;
        close(fd);
        return weir_fail(WEIR_IO, errnum, "listen at %s", path);
    }
    *out = fd;
    return WEIR_OK;
}

static bool
watch(const struct weir_supervisor_filter *filter, int fd, uint32_t place)
{
    struct epoll_event event = {.events = EPOLLIN, .data.u32 = place};
    return epoll_ctl(filter->epoll_fd, EPOLL_CTL_ADD, fd, &event) == 0;
}

static enum weir_err
open_socket(struct weir_supervisor_filter *filter)
{
    enum weir_err err = listen_at(filter->socket_path, &filter->listen_fd);
    if (err != WEIR_OK)
        return err;
    filter->spare_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    filter->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (filter->epoll_fd < 0 || !watch(filter, filter->listen_fd, LISTENER))
        err = weir_fail(WEIR_IO, errno, "epoll");
    if (err != WEIR_OK)
        weir_supervisor_filter_close(filter);
    return err;
}

enum weir_err
weir_supervisor_filter_open(struct weir_supervisor_filter *filter,
    const struct weir_config *config)
{
    filter->epoll_fd = filter->listen_fd = filter->spare_fd = -1;
    for (int i = 0; i < WEIR_FILTER_CLIENTS; i++)
        filter->clients[i].fd = -1;
    filter->af_xdp = weir_config_has_af_xdp(config);
    snprintf(filter->socket_path, sizeof filter->socket_path, "%s/" WEIR_FILTER_SOCKET,
        config->data);
    snprintf(filter->rules_path, sizeof filter->rules_path, "%s/" WEIR_FILTER_RULES_FILE,
        config->data);
    enum weir_err err = weir_xdp_pins(config->data, filter->pins);
    if (err == WEIR_OK)
        err = weir_rules_load(&filter->rules, filter->rules_path);
    if (err == WEIR_OK && open_socket(filter) != WEIR_OK)
        weir_event(WEIR_LEVEL_WARN, "no_filter_socket", "reason=\"%s\"", weir_err_detail());
    return err;
}

/* Closing takes it out of epoll too. */
static void
drop_client(struct weir_filter_client *client)
{
    if (client->fd >= 0)
        close(client->fd);
    client->fd = -1;
}

void
weir_supervisor_filter_close(struct weir_supervisor_filter *filter)
{
    if (filter->listen_fd < 0)
        return;
    for (int i = 0; i < WEIR_FILTER_CLIENTS; i++)
        drop_client(&filter->clients[i]);
    close(filter->listen_fd);
    if (filter->epoll_fd >= 0)
        close(filter->epoll_fd);
    if (filter->spare_fd >= 0)
        close(filter->spare_fd);
    (void)unlink(filter->socket_path);
    filter->epoll_fd = filter->listen_fd = filter->spare_fd = -1;
}

void
weir_supervisor_filter_detach(struct weir_supervisor_filter *filter)
{
    weir_xdp_detach_leftovers(filter->pins);
}

/* Gives the rules to every port that is open. */
static enum weir_err
apply(struct weir_supervisor_filter *filter)
{
    uint32_t indexes[INTERFACES_MAX];
    size_t count = weir_xdp_interfaces(filter->pins, indexes, INTERFACES_MAX);
    for (size_t i = 0; i < count; i++) {
        struct weir_xdp *xdp;
        enum weir_err err = weir_xdp_open(indexes[i], filter->pins, &xdp);
        if (err == WEIR_NOT_FOUND)
            continue; /* it starts or ends at this moment */
        if (err == WEIR_OK) {
            err = weir_xdp_rules_set(xdp, &filter->rules);
            weir_xdp_close(xdp);
        }
        if (err != WEIR_OK)
            return err;
    }
    return WEIR_OK;
}

void
weir_supervisor_filter_apply(struct weir_supervisor_filter *filter)
{
    if (filter->af_xdp && apply(filter) != WEIR_OK)
        weir_event(WEIR_LEVEL_WARN, "filter_rules", "reason=\"%s\"", weir_err_detail());
}

static void
show_port(const struct weir_supervisor_filter *filter, uint32_t index, FILE *out)
{
    struct weir_xdp *xdp;
    uint64_t verdicts[WEIR_XDP_VERDICTS];
    char name[IF_NAMESIZE] = "?";
    if (weir_xdp_open(index, filter->pins, &xdp) != WEIR_OK)
        return;
    (void)if_indextoname(index, name);
    fprintf(out, "port %s program %u %s\n", name, weir_xdp_program_id(xdp),
        weir_xdp_attached(xdp) ? "native" : "detached");
    if (weir_xdp_verdicts(xdp, verdicts) == WEIR_OK)
        for (int i = 0; i < WEIR_XDP_VERDICTS; i++)
            fprintf(out, "  %-10s %" PRIu64 "\n", weir_xdp_verdict_names[i], verdicts[i]);
    weir_xdp_close(xdp);
}

static void
show(const struct weir_supervisor_filter *filter, FILE *out)
{
    uint32_t indexes[INTERFACES_MAX];
    size_t count = weir_xdp_interfaces(filter->pins, indexes, INTERFACES_MAX);
    fprintf(out, "ok\n");
    if (!filter->af_xdp)
        fprintf(out, "no AF_XDP port is configured: the rules wait for one\n");
    for (size_t i = 0; i < count; i++)
        show_port(filter, indexes[i], out);
    weir_rules_print(&filter->rules, out);
}

/* Changes, keeps, applies. A rule that cannot be kept is not changed. */
static enum weir_err
change(struct weir_supervisor_filter *filter, const char *line)
{
    struct weir_rules *next = malloc(sizeof *next);
    if (next == NULL)
        return weir_fail(WEIR_NOMEM, 0, "rules");
    *next = filter->rules;
    enum weir_err err = weir_rules_change(next, line);
    if (err == WEIR_OK)
        err = weir_rules_save(next, filter->rules_path);
    if (err == WEIR_OK) {
        filter->rules = *next;
        weir_event(WEIR_LEVEL_INFO, "filter", "change=\"%s\"", line);
        err = apply(filter);
    }
    free(next);
    return err;
}

enum progress { MORE, WHOLE, BAD };

/* The line that the client has sent so far. It is printable ASCII alone, because it is echoed into
 * events; a longer one is cut. */
static enum progress
read_line(struct weir_filter_client *client)
{
    while (client->line_size < WEIR_RULE_LINE_MAX) {
        char *byte = &client->line[client->line_size];
        ssize_t got = read(client->fd, byte, 1);
        if (got < 0 && (errno == EAGAIN || errno == EINTR))
            return MORE;
        if (got != 1)
            return BAD;
        if (*byte == '\n') {
            *byte = '\0';
            return WHOLE;
        }
        if (*byte < ' ' || *byte > '~' || *byte == '"')
            return BAD;
        client->line_size++;
    }
    return BAD;
}

/* The effect of a change when there is no port to show it. */
static const char *
change_done(const char *line)
{
    if (strncmp(line, "remove ", strlen("remove ")) == 0)
        return "the rule is removed";
    return strcmp(line, "limit off") == 0 ? "the limit is off" : "the rule is kept";
}

/* An answer that does not fit into the socket's buffer is cut: the supervisor does not wait
 * here. */
static void
answer(struct weir_supervisor_filter *filter, int client, const char *line)
{
    static const char short_of[] = "error out of memory: weir filter show says what holds\n";
    static char text[ANSWER_BYTES]; /* a stream that grows may drop a part unsaid */
    FILE *out = fmemopen(text, sizeof text, "w");
    if (out == NULL) { /* nothing was done yet */
        (void)!send(client, short_of, sizeof short_of - 1, MSG_DONTWAIT | MSG_NOSIGNAL);
        return;
    }
    if (line == NULL)
        fprintf(out, "error one line of printable ASCII is expected\n");
    else if (strcmp(line, "show") == 0)
        show(filter, out);
    else if (strcmp(line, "reload") == 0 && filter->reload != NULL)
        filter->reload(filter->reload_context, out);
    else if (change(filter, line) != WEIR_OK)
        fprintf(out, "error %s\n", weir_err_detail());
    else if (filter->af_xdp)
        fprintf(out, "ok\n");
    else
        fprintf(out, "ok\n%s; no AF_XDP port is configured to apply it\n", change_done(line));
    bool whole = fflush(out) == 0 && ferror(out) == 0;
    long size = ftell(out);
    (void)!send(client, whole ? text : short_of, whole ? (size_t)size : sizeof short_of - 1,
        MSG_DONTWAIT | MSG_NOSIGNAL);
    fclose(out);
}

/* A place for one more client: a free one, or that of the client which has been silent for the
 * longest. */
static struct weir_filter_client *
free_place(struct weir_supervisor_filter *filter)
{
    struct weir_filter_client *oldest = &filter->clients[0];
    for (int i = 0; i < WEIR_FILTER_CLIENTS; i++) {
        struct weir_filter_client *client = &filter->clients[i];
        if (client->fd < 0)
            return client;
        if (client->order < oldest->order)
            oldest = client;
    }
    drop_client(oldest);
    return oldest;
}

/* A client whose line is there already is answered at once: of clients that come together none has
 * to leave for another one. */
static void
serve_client(struct weir_supervisor_filter *filter, struct weir_filter_client *client)
{
    enum progress progress = read_line(client);
    if (progress == MORE)
        return;
    answer(filter, client->fd, progress == WHOLE ? client->line : NULL);
    drop_client(client);
}

/* Without a descriptor for it a client would wait, and the listener would stay readable: the
 * spare one is given up for as long as the refusal takes. */
static void
refuse_client(struct weir_supervisor_filter *filter)
{
    static const char short_of[] = "error out of file descriptors: raise the limit (ulimit -n)\n";
    if (filter->spare_fd < 0)
        return;
    close(filter->spare_fd);
    int fd = accept4(filter->listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd >= 0) {
        (void)!send(fd, short_of, sizeof short_of - 1, MSG_DONTWAIT | MSG_NOSIGNAL);
        close(fd);
    }
    filter->spare_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
}

static void
accept_client(struct weir_supervisor_filter *filter)
{
    int room = ANSWER_BYTES;
    int fd = accept4(filter->listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd < 0 && (errno == EMFILE || errno == ENFILE))
        refuse_client(filter);
    if (fd < 0)
        return;
    (void)setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &room, sizeof room);
    struct weir_filter_client *client = free_place(filter);
    client->fd = fd;
    client->order = ++filter->clients_come;
    client->line_size = 0;
    serve_client(filter, client);
    if (client->fd >= 0 && !watch(filter, fd, (uint32_t)(client - filter->clients)))
        drop_client(client);
}

int
weir_supervisor_filter_fd(const struct weir_supervisor_filter *filter)
{
    return filter->epoll_fd;
}

void
weir_supervisor_filter_serve(struct weir_supervisor_filter *filter)
{
    struct epoll_event events[WEIR_FILTER_CLIENTS + 1];
    int count = epoll_wait(filter->epoll_fd, events, WEIR_FILTER_CLIENTS + 1, 0);
    /* clients before the listener: a new one may get a place that an event still names */
    for (int i = 0; i < count; i++) {
        if (events[i].data.u32 == LISTENER)
            continue;
        struct weir_filter_client *client = &filter->clients[events[i].data.u32];
        if (client->fd >= 0)
            serve_client(filter, client);
    }
    for (int i = 0; i < count; i++)
        if (events[i].data.u32 == LISTENER)
            accept_client(filter);
}
