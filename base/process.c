#include "base/process.h"

#include "base/event.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

/* A program that was started without standard descriptors must not get a lock file or a socket in
 * the place of one: events would be written into it. */
static void
open_standard(void)
{
    int fd;
    do
        fd = open("/dev/null", O_RDWR); /* gets the lowest number that is free */
    while (fd >= 0 && fd <= STDERR_FILENO);
    if (fd > STDERR_FILENO)
        close(fd);
}

static bool
ignored(int number)
{
    struct sigaction action;
    return sigaction(number, NULL, &action) == 0 && action.sa_handler == SIG_IGN;
}

void
weir_process_begin(void)
{
    open_standard();
    for (int number = 1; number < NSIG; number++) {
        bool keeps = number == SIGHUP || number == SIGINT || number == SIGQUIT;
        if (!keeps && ignored(number))
            (void)signal(number, SIG_DFL);
    }
    (void)signal(SIGXFSZ, SIG_IGN);
    sigset_t none;
    sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
}

void
weir_process_serve(void)
{
    (void)signal(SIGPIPE, SIG_IGN);
    (void)umask(0027);
}

void
weir_process_obey(void)
{
    (void)signal(SIGHUP, SIG_IGN);
}

static void
raise_limit(int resource, const char *name, rlim_t wanted)
{
    struct rlimit limit;
    if (getrlimit(resource, &limit) != 0)
        return;
    if (wanted > limit.rlim_max)
        wanted = limit.rlim_max;
    if (limit.rlim_cur >= wanted)
        return;
    limit.rlim_cur = wanted;
    if (setrlimit(resource, &limit) != 0)
        weir_event(WEIR_LEVEL_WARN, "limit_not_raised", "limit=%s reason=\"%s\"", name,
            strerror(errno));
}

void
weir_process_raise_limits(unsigned long files_wanted)
{
    raise_limit(RLIMIT_NOFILE, "open_files", files_wanted);
    raise_limit(RLIMIT_FSIZE, "file_size", RLIM_INFINITY);
}

void
weir_process_name_thread(const char *name)
{
    (void)prctl(PR_SET_NAME, name); /* a name is never worth an error */
}
