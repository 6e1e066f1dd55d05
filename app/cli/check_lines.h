/* check_lines: `weir check lines FILE`, a part of `weir check`.
 *
 * Threads: the main thread
 * Errors:  the exit code, as in app/cli/commands.h
 */
#ifndef WEIR_APP_CLI_CHECK_LINES_H
#define WEIR_APP_CLI_CHECK_LINES_H

#include <stdio.h>

int weir_command_check_lines(int argc, char **argv);
void weir_usage_check_lines(FILE *out);

#endif
