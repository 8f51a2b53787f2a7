/* gate.c: what the start-up check refuses, and by which name.
 *
 * The headers are changed by passing other numbers than this program was compiled with; the missing system call is made
 * by a seccomp filter in a child process, as a container's would be.
 */
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include "lab/child.h"
#include "lab/lab.h"
#include "neap/gate.h"

enum { NO_SECCOMP = 9 };

static void say_refusal(const struct neap_gate_refusal *refusal, void *ctx)
{
	result_say(ctx, "    refused: %s is %s, needs %s", refusal->name, refusal->found, refusal->needed);
}

static void print_refusal(const struct neap_gate_refusal *refusal, void *ctx)
{
	(void)ctx;
	fprintf(stderr, "%s is %s, needs %s\n", refusal->name, refusal->found, refusal->needed);
}

/* From here on this process has no membarrier. */
static bool forbid_membarrier(void)
{
	struct sock_filter filter[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_membarrier, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = {sizeof filter / sizeof filter[0], filter};
	return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
	       prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

/* Status 0: refused, and with the override let in, and a pool works without the call. */
static int gate_child(void *ctx)
{
	(void)ctx;
	if (!forbid_membarrier())
		return NO_SECCOMP;
	struct neap_gate_options options = {.refused = print_refusal};
	if (neap_init(&options) != NEAP_EMISMATCH)
		return 1;
	options.override = NEAP_GATE_MEMBARRIER;
	if (neap_init(&options) != NEAP_OK)
		return 2;
	struct neap_pool *pool = neap_pool_create(
		&(struct neap_pool_type){.size = sizeof(struct neap_pool_type), .object_size = 64}, NULL);
	void *block = pool != NULL ? neap_pool_get(pool) : NULL;
	if (block == NULL) {
		(void)neap_pool_destroy(pool);
		return 3;
	}
	neap_pool_put(pool, block);
	(void)neap_pool_collect(pool);
	bool collected = neap_pool_collect(pool) == 64;
	return neap_pool_destroy(pool) == 0 && collected ? 0 : 4;
}

static void refuse_other_headers(struct result *result)
{
	uint64_t facts[NEAP__GATE_FACTS_COUNT] = NEAP__GATE_FACTS;
	struct neap_gate_options options = {.refused = say_refusal, .ctx = result};
	facts[3] += 16; /* as if struct neap_map had two more fields where this program was compiled */
	result_say(result, "  a program compiled with another struct neap_map");
	int error = neap__gate_check(facts, NEAP__GATE_FACTS_COUNT, &options);
	result_check(result, error == NEAP_EMISMATCH,
		     "another size of struct neap_map is refused by its name");
	options.override = NEAP_GATE_HEADERS;
	error = neap__gate_check(facts, NEAP__GATE_FACTS_COUNT, &options);
	result_check(result, error == NEAP_OK, "the explicit override lets it pass");
}

static void run_gate(struct lab *lab)
{
	struct result *result = &lab->result;
	struct neap_gate_options options = {.refused = say_refusal, .ctx = result};
	result_say(result, "  this program, this library, this machine");
	int error = neap_init(&options);
	result_say(result, "    %s", error == NEAP_OK ? "let in" : "refused");
	if (error != NEAP_OK) {
		result_skip(result, "this machine is not on the list: the lines above name what is missing");
		return;
	}
	result_check(result, true, "this program, library and machine belong together");
	refuse_other_headers(result);
	struct child_end end = child_run(gate_child, NULL, 20, true);
	result_say(result, "  a process that may not call membarrier");
	if (end.status == NO_SECCOMP) {
		result_say(result, "    not shown: this machine allows no seccomp filter");
		return;
	}
	result_say(result, "    refused: %.*s", (int)strcspn(end.lines, "\n"), end.lines);
	result_check(
		result, end.status == 0 && strncmp(end.lines, "membarrier is refused", 21) == 0,
		"without membarrier the gate refuses and says so; overridden, a pool works all the same (%s)",
		child_end_text(&end));
}

const struct experiment experiment_gate = {
	.name = "gate",
	.claim = "The start-up check lets this machine in, and refuses other headers and a missing system "
		 "call by "
		 "name; an explicit override lets them pass.",
	.method = "neap_init here; with the sizes of another build; in a child whose seccomp filter forbids "
		  "membarrier.",
	.run = run_gate,
};
