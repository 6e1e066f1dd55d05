/* process: the begin of each of our programs, which any parent may start in any state.
 *
 * Inherited from a parent are the mask of signals, ignored signals, the file mode mask and which
 * standard descriptors are open. Each of them can break a program that does not set it.
 *
 * Threads: the main thread, before any other; weir_process_name_thread by any
 */
#ifndef WEIR_BASE_PROCESS_H
#define WEIR_BASE_PROCESS_H

#include <stdbool.h>

/* Standard descriptors that are closed become /dev/null. Every signal has its default again and is
 * unblocked, but for these:
 *
 *   SIGXFSZ                    ignored: a file past RLIMIT_FSIZE is an error, EFBIG, and no death
 *   SIGHUP, SIGINT, SIGQUIT    stay ignored where they were: nohup, and a shell's background jobs
 */
void weir_process_begin(void);

/* For a program that lives long. SIGPIPE is ignored, because a closed peer is an error of one
 * connection. Other users may not write its files (umask 0027). */
void weir_process_serve(void);

/* For a child of a supervisor. SIGHUP is ignored, because it is meant for the supervisor: sent by
 * name it reaches all of an instance's processes. */
void weir_process_obey(void);

/* Raises the soft limit of open files towards wanted, as far as the hard one allows, and that of a
 * file's size to its hard one. */
void weir_process_raise_limits(unsigned long files_wanted);

/* Names the calling thread, for ps and top; 15 bytes of it are seen. A thread can only name itself:
 * the name of another is written through /proc, which Landlock forbids our processes. */
void weir_process_name_thread(const char *name);

#endif
