/* inspect.h: what the commands that look into other processes share. */
#ifndef NEAP_TOOL_INSPECT_H
#define NEAP_TOOL_INSPECT_H

#include <stdbool.h>
#include <stdint.h>

struct problem;

int run_inspect(int argc, char **argv);
int run_why(int argc, char **argv);
int run_snapshot(int argc, char **argv);
int run_diff(int argc, char **argv);
int run_export(int argc, char **argv);
int run_report(int argc, char **argv);

/* "4096", "100k", "20M", "1G" (decimal units). */
bool parse_bytes(const char *text, uint64_t *ret);

/* Prints the problem as the command's and returns the exit code that goes with it. */
int print_problem(const char *command, const struct problem *problem);

#endif
