/* preload: a library that makes a call of a program fail (LD_PRELOAD), for tests of whole programs.
 *
 *   WEIR_FAULT=PROGRAM:KIND:N[+]  in processes of that name the N-th call of that kind fails, with
 *                                 + it and all that follow. Kinds: memory (all of the allocator,
 *                                 also what the C library takes), thread, epoll
 *   WEIR_FAULT_FILE=PATH          gets a byte when a call has failed; opened at the start, because
 *                                 programs give up their rights
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

extern void *__libc_malloc(size_t size);
extern void *__libc_calloc(size_t count, size_t size);
extern void *__libc_realloc(void *old, size_t size);
extern void *__libc_memalign(size_t alignment, size_t size);

enum kind { NONE, MEMORY, THREAD, EPOLL };

static enum kind armed; /* set before main, and not later */
static bool all_from;
static int reported = -1; /* a descriptor that no program counts on */
static atomic_long left;
static int (*real_thread)(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *);
static int (*real_epoll)(int);

__attribute__((constructor)) static void
read_order(void)
{
    static const struct {
        const char *name;
        enum kind kind;
    } kinds[] = {{":memory:", MEMORY}, {":thread:", THREAD}, {":epoll:", EPOLL}};
    const char *order = getenv("WEIR_FAULT");
    size_t size = strlen(program_invocation_short_name);
    const char *path = getenv("WEIR_FAULT_FILE");
    *(void **)&real_thread = dlsym(RTLD_NEXT, "pthread_create");
    *(void **)&real_epoll = dlsym(RTLD_NEXT, "epoll_create1");
    if (order == NULL || strncmp(order, program_invocation_short_name, size) != 0)
        return;
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        size_t length = strlen(kinds[i].name);
        if (strncmp(order + size, kinds[i].name, length) != 0)
            continue;
        char *end;
        atomic_store(&left, strtol(order + size + length, &end, 10));
        all_from = *end == '+';
        int fd = path != NULL ? open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600) : -1;
        reported = fd < 0 ? -1 : fcntl(fd, F_DUPFD_CLOEXEC, 500);
        if (fd >= 0)
            close(fd);
        armed = kinds[i].kind;
    }
}

static bool
fails(enum kind kind, int errnum)
{
    if (armed != kind)
        return false;
    long now = atomic_fetch_sub(&left, 1);
    if (now != 1 && (now > 1 || !all_from))
        return false;
    (void)!write(reported, "!", reported >= 0);
    errno = errnum;
    return true;
}

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wmissing-prototypes"
void *
malloc(size_t size)
{
    return fails(MEMORY, ENOMEM) ? NULL : __libc_malloc(size);
}

void *
calloc(size_t count, size_t size)
{
    return fails(MEMORY, ENOMEM) ? NULL : __libc_calloc(count, size);
}

void *
realloc(void *old, size_t size)
{
    return fails(MEMORY, ENOMEM) ? NULL : __libc_realloc(old, size);
}

void *
aligned_alloc(size_t alignment, size_t size)
{
    return fails(MEMORY, ENOMEM) ? NULL : __libc_memalign(alignment, size);
}

int
posix_memalign(void **out, size_t alignment, size_t size)
{
    void *made = fails(MEMORY, ENOMEM) ? NULL : __libc_memalign(alignment, size);
    *out = made != NULL ? made : *out;
    return made != NULL ? 0 : ENOMEM;
}
#pragma GCC diagnostic pop

int
pthread_create(pthread_t *out, const pthread_attr_t *attributes, void *(*run)(void *),
    void *argument)
{
    return fails(THREAD, EAGAIN) ? EAGAIN : real_thread(out, attributes, run, argument);
}

int
epoll_create1(int flags)
{
    return fails(EPOLL, EMFILE) ? -1 : real_epoll(flags);
}
