/* machine.h: the machine that the figures are from, and what keeps it from disturbing them. */
#ifndef BENCH_MACHINE_H
#define BENCH_MACHINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

/* What the rest of the machine did while we measured. */
struct machine_noise {
	double load;	 /* load average of the last minute, at the beginning */
	double steal_s;	 /* seconds that the hypervisor took from this CPU */
	double others_s; /* seconds that other processes of this machine ran on this CPU */
	double elapsed_s;
	int cpu;
};

/* Runs this process and its children on `cpu` only; below 0: on the last one there is. Returns which, or -1
 * with a message printed.
 */
int machine_pin(int cpu);
/* Touches and frees `bytes` of memory, so that a hypervisor that hands out memory at first touch has done so
 * before the first measurement. Sets the cost of a page then and now, in ns.
 */
void machine_warm(size_t bytes, double *ret_first_ns, double *ret_again_ns);

void machine_noise_begin(struct machine_noise *noise, int cpu);
void machine_noise_end(struct machine_noise *noise);

/* Processor, kernel, compiler, commit: as lines, or as members of a JSON object. */
void machine_print(FILE *out, bool json);

#endif
