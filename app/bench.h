/* bench: `weir bench`, the one front door to figures (docs/design/measuring.md). */
#ifndef WEIR_APP_BENCH_H
#define WEIR_APP_BENCH_H

/* argv[0] is "bench". Returns the process's exit code. */
int weir_command_bench(int argc, char **argv);

#endif
