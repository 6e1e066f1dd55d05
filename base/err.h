/* err: the one list of results, and the detail of the last failure.
 *
 * Owns:    a thread-local detail record (errno, text)
 * Threads: any; the detail belongs to the calling thread
 * Memory:  none
 * Errors:  every fallible function returns enum weir_err; the detail is put down where the
 *          failure happens, and only the layer that decides what to do logs it
 */
#ifndef WEIR_BASE_ERR_H
#define WEIR_BASE_ERR_H

#include <stddef.h>

/* name, text */
#define WEIR_ERR_LIST(X) \
    X(OK, "ok") \
    X(AGAIN, "try again after progress") \
    X(FULL, "no room within a configured limit") \
    X(IO, "input or output failed") \
    X(NOMEM, "out of memory") \
    X(INVALID, "invalid argument or input") \
    X(CORRUPT, "stored bytes do not check out") \
    X(NOT_FOUND, "not found") \
    X(UNSUPPORTED, "not supported here") \
    X(BUSY, "in use by another process") \
    X(LIMIT, "a limit of the request was reached") \
    X(END, "no more")

enum weir_err {
#define X(name, text) WEIR_##name,
    WEIR_ERR_LIST(X)
#undef X
};

#define WEIR_MUST_USE __attribute__((warn_unused_result))

/* Records an error and returns err. errnum is an errno value or 0; its text is appended, or that
 * memory is out. The arguments may hold weir_err_detail(), to put something before it. Example:
 * return weir_fail(WEIR_IO, errno, "pwrite %s at %llu", path, offset); */
enum weir_err weir_fail(enum weir_err err, int errnum, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Text of the calling thread's last weir_fail(); "" before the first. Valid until the next. */
const char *weir_err_detail(void);
/* errno value of the calling thread's last weir_fail(), or 0. */
int weir_err_errno(void);
/* Puts "PREFIX: " before the last detail, whose errno stays; returns err. */
enum weir_err weir_err_prefix(enum weir_err err, const char *prefix) WEIR_MUST_USE;
/* The error of a call on files that failed with errnum: WEIR_FULL, WEIR_NOT_FOUND, WEIR_NOMEM, else
 * WEIR_IO. */
enum weir_err weir_err_of_errno(int errnum) WEIR_MUST_USE;
/* Short fixed text of err; "unknown" for a value outside the list. */
const char *weir_err_text(enum weir_err err);

#endif
