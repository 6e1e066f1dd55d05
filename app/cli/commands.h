/* commands: the command line `weir COMMAND [OPTIONS]`; app/main_weir.c holds the table.
 *
 * Threads: the main thread
 * Errors:  the exit code: 0 done, 1 failed, 2 not understood; the reason is on standard error
 *
 * argv[0] is the first argument after the command's name.
 */
#ifndef WEIR_APP_CLI_COMMANDS_H
#define WEIR_APP_CLI_COMMANDS_H

#include <stdio.h>

#define WEIR_EXIT_USAGE 2

int weir_command_run(int argc, char **argv);
int weir_command_check(int argc, char **argv);
int weir_command_doctor(int argc, char **argv);
int weir_command_send(int argc, char **argv);
int weir_command_query(int argc, char **argv);
int weir_command_senders(int argc, char **argv);
int weir_command_rejected(int argc, char **argv);
int weir_command_bench(int argc, char **argv);
int weir_command_filter(int argc, char **argv);
int weir_command_reload(int argc, char **argv);

void weir_usage_run(FILE *out);
void weir_usage_check(FILE *out);
void weir_usage_doctor(FILE *out);
void weir_usage_send(FILE *out);
void weir_usage_query(FILE *out);
void weir_usage_senders(FILE *out);
void weir_usage_rejected(FILE *out);
void weir_usage_bench(FILE *out);
void weir_usage_filter(FILE *out);
void weir_usage_reload(FILE *out);

#endif
