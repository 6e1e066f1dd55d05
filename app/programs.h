/* programs: the folders of the programs and BPF objects that weir itself starts and loads.
 *
 * Users do not start them by hand, so they are installed in a folder of their own
 * (libexecdir/weir) and not beside weir. In a build directory they are all together.
 *
 * Threads: any; no state
 * Errors:  WEIR_IO
 */
#ifndef WEIR_APP_PROGRAMS_H
#define WEIR_APP_PROGRAMS_H

#include "base/err.h"

/* The folder of this program. */
enum weir_err weir_programs_own(char *out, size_t size) WEIR_MUST_USE;

/* The folder of the others: this program's own if weir-dataplane is there, else the private one,
 * found from this program's place. */
enum weir_err weir_programs_private(char *out, size_t size) WEIR_MUST_USE;

#endif
