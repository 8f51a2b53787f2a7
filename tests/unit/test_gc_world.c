/* test_gc_world.c: the collector among what else a process does and suffers: libraries that come and go, storms of
 * signals, threads that it was never told of, filters and limits of the system, finalizers that misbehave.
 *
 * Each test is a process of its own, from the first call on.
 */
#include <dlfcn.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "gc/internal.h"
#include "neap/gc.h"
#include "support/child.h"

enum { SKIPPED = 77 };

struct node {
	struct node *next;
	uint64_t number;
};
NEAP_TYPE(node_type, struct node, next);

static void demand(bool holds, const char *what)
{
	if (holds)
		return;
	fprintf(stderr, "failed: %s\n", what);
	_exit(1);
}

static void expect_success(void (*body)(void))
{
	struct ending ending = child_run(body, 60);
	if (ending.status == SKIPPED && ending.signal == 0) {
		print_message("skipped: %s\n", ending.text);
		skip();
	}
	if (ending.signal != 0 || ending.status != 0)
		fail_msg("signal %d, status %d: %s", ending.signal, ending.status, ending.text);
}

__attribute__((noinline)) static void scrub_stack(void)
{
	volatile char junk[16384];
	memset((void *)junk, 0, sizeof junk);
}

static struct node *make_list(unsigned count)
{
	struct node *head = NULL;
	for (unsigned i = 0; i < count; i++) {
		struct node *node = neap_gc_alloc(&node_type);
		if (node == NULL)
			return head;
		node->next = head;
		node->number = i;
		head = node;
	}
	return head;
}

static void verify_list(const struct node *head, unsigned count)
{
	for (; head != NULL; head = head->next)
		demand(head->number == --count, "a list is what it was");
	demand(count == 0, "a list is whole");
}

static void drop_list(unsigned count)
{
	(void)make_list(count);
}

/* Libraries. */

__attribute__((noinline)) static struct neap_weak *store_in(void **slot)
{
	*slot = make_list(1000);
	return neap_weak_create(*slot);
}

static void load_store_unload(void)
{
	void *library = dlopen(getenv("GC_LIBRARY"), RTLD_NOW);
	demand(library != NULL, "the library is loaded");
	void **slot = dlsym(library, "gc_library_slot");
	struct neap_weak *weak = store_in(slot);
	scrub_stack();
	neap_gc_collect();
	verify_list(*slot, 1000);
	demand(neap_weak_get(weak) == *slot, "what a loaded library holds lives");
	dlclose(library);
	demand(dlopen(getenv("GC_LIBRARY"), RTLD_NOW | RTLD_NOLOAD) == NULL, "the library is gone");
	scrub_stack();
	neap_gc_collect();
	demand(neap_weak_get(weak) == NULL, "what an unloaded library held dies");
}

static void data_of_loaded_libraries_are_roots(void **state)
{
	(void)state;
	if (getenv("GC_LIBRARY") == NULL)
		skip();
	expect_success(load_store_unload);
}

/* Signals. */

static _Atomic bool storm_over;
static _Atomic unsigned signals_seen;

static void on_storm(int signal)
{
	(void)signal;
	atomic_fetch_add(&signals_seen, 1);
}

static void *list_in_storm(void *other_stack)
{
	stack_t before;
	if (other_stack != NULL)
		sigaltstack(&(stack_t){.ss_sp = other_stack, .ss_size = 64 << 10}, &before);
	while (!storm_over) {
		struct node *list = make_list(300);
		drop_list(300);
		verify_list(list, 300);
	}
	if (other_stack != NULL) /* AddressSanitizer unmaps what is set when a thread ends */
		sigaltstack(&before, NULL);
	return NULL;
}

static void collect_in_storm(void)
{
	static char other_stack[64 << 10];
	struct sigaction action = {.sa_handler = on_storm, .sa_flags = SA_ONSTACK | SA_RESTART};
	demand(sigaction(SIGUSR1, &action, NULL) == 0, "sigaction");
	struct node *lives = make_list(50000);
	pthread_t threads[2];
	for (unsigned i = 0; i < 2; i++)
		demand(pthread_create(&threads[i], NULL, list_in_storm, i == 0 ? other_stack : NULL) == 0,
		       "a thread");
	time_t end = time(NULL) + 2;
	for (unsigned i = 0; time(NULL) < end; i++) {
		(void)pthread_kill(threads[i % 2], SIGUSR1);
		sched_yield();
		if (i % 100 == 0)
			neap_gc_collect();
	}
	storm_over = true;
	for (unsigned i = 0; i < 2; i++)
		pthread_join(threads[i], NULL);
	verify_list(lives, 50000);
	demand(signals_seen > 20, "there was a storm");
	(void)neap_gc_set_percent(-1);
	neap_gc_collect();
	demand(neap__gc_check() == NULL, "all laws hold");
}

static void signals_may_come_at_any_time(void **state)
{
	(void)state;
	expect_success(collect_in_storm);
}

/* A thread that was never attached: its stack is no root. */

enum { HIDDEN = 100 };
static struct neap_weak *hidden[HIDDEN];
static struct neap_gc_handle *handles[HIDDEN];
static uintptr_t disguised[HIDDEN];
static sem_t taken, collected;

static void *hold_unattached(void *unused)
{
	void *volatile held[HIDDEN];
	(void)unused;
	for (unsigned i = 0; i < HIDDEN; i++)
		held[i] = (void *)~disguised[i];
	demand(neap__gc_self == NULL && held[0] != NULL, "it is not attached");
	sem_post(&taken);
	sem_wait(&collected);
	return held[1];
}

static unsigned hidden_alive(void)
{
	unsigned alive = 0;
	for (unsigned i = 0; i < HIDDEN; i++)
		alive += neap_weak_get(hidden[i]) != NULL;
	return alive;
}

__attribute__((noinline)) static void hide(void)
{
	for (unsigned i = 0; i < HIDDEN; i++) {
		struct node *node = make_list(1);
		hidden[i] = neap_weak_create(node);
		handles[i] = neap_gc_handle_create(node);
		disguised[i] = ~(uintptr_t)node;
	}
}

static void collect_beside_unattached(void)
{
	pthread_t thread;
	hide();
	scrub_stack();
	neap_gc_collect();
	demand(hidden_alive() == HIDDEN, "a handle keeps its object");
	demand(sem_init(&taken, 0, 0) == 0 && sem_init(&collected, 0, 0) == 0, "semaphores");
	demand(pthread_create(&thread, NULL, hold_unattached, NULL) == 0, "a thread");
	sem_wait(&taken);
	for (unsigned i = 0; i < HIDDEN; i++)
		neap_gc_handle_destroy(handles[i]);
	scrub_stack();
	neap_gc_collect();
	/* One or two may be on the stack of this thread by chance. */
	demand(hidden_alive() <= HIDDEN / 10, "that thread's stack keeps nothing");
	sem_post(&collected);
	pthread_join(thread, NULL);
}

static void unattached_threads_keep_nothing(void **state)
{
	(void)state;
	expect_success(collect_beside_unattached);
}

/* Filters and limits. */

static void refuse_userfaultfd(void)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_userfaultfd, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | 1 /* EPERM */),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = {sizeof code / sizeof *code, code};
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
	    prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0) {
		fprintf(stderr, "no seccomp here");
		_exit(SKIPPED);
	}
}

static void collect_filtered(void)
{
	refuse_userfaultfd();
	setenv("NEAP_DEBUG", "gctrace=1,gccheckmark=1", 1);
	demand(!neap_gc_concurrent(), "it says that it stops the world");
	struct node *list = make_list(100000);
	drop_list(100000);
	neap_gc_collect();
	verify_list(list, 100000);
	_exit(5);
}

static void a_filter_makes_it_stop_the_world(void **state)
{
	(void)state;
	struct ending ending = child_run(collect_filtered, 60);
	if (ending.status == SKIPPED)
		skip();
	assert_int_equal(ending.signal, 0);
	assert_int_equal(ending.status, 5);
	assert_non_null(strstr(ending.text, "(forced) (stopped)"));
}

static void live_above_the_limit(void)
{
	enum { LIVE = 50000 };
	struct node *list = make_list(LIVE);
	(void)neap_gc_set_memory_limit(1 << 18); /* 800 KB live */
	struct neap_memstats before = {.size = sizeof before}, after = before;
	neap_gc_collect();
	(void)neap_memstats(&before);
	drop_list(10 * LIVE);
	(void)neap_memstats(&after);
	verify_list(list, LIVE);
	demand(after.NumGC > before.NumGC, "it collects more often");
	demand(after.NumGC - before.NumGC < 40, "and not all the time"); /* 8 MB, about 1 MB for each */
}

static void a_limit_below_what_lives_slows_down_only(void **state)
{
	(void)state;
	expect_success(live_above_the_limit);
}

__attribute__((noinline)) static void fill_until_refused(void)
{
	unsigned blocks = 0;
	struct block {
		struct block *next;
		char bytes[60000];
	} *all = NULL;
	for (struct block *block; (block = neap_gc_alloc_words(sizeof *block)) != NULL; blocks++) {
		block->next = all;
		all = block;
		demand(blocks < 1 << 16, "memory ends");
	}
	for (struct block *next; all != NULL; all = next) { /* no stale pointer keeps more than one */
		next = all->next;
		all->next = NULL;
	}
}

static void fill_address_space(void)
{
	struct rlimit limit = {UINT64_C(1) << 30, UINT64_C(1) << 30};
	demand(setrlimit(RLIMIT_AS, &limit) == 0, "a limit");
	struct node *list = make_list(1000);
	if (list == NULL)
		return; /* refused as a whole, which is allowed */
	fill_until_refused();
	verify_list(list, 1000);
	scrub_stack();
	neap_gc_collect();
	demand(neap_gc_alloc_words(60000) != NULL, "there is memory again");
}

static void address_space_may_be_limited(void **state)
{
	(void)state;
#if defined(__SANITIZE_ADDRESS__)
	skip(); /* whose shadow is terabytes */
#endif
	expect_success(fill_address_space);
}

/* Writes into a file of a control group; false: there is none, or it must not. */
static bool tell_group(const char *group, const char *file, const char *text)
{
	char path[256];
	snprintf(path, sizeof path, "%s/%s", group, file);
	int to = open(path, O_WRONLY | O_CLOEXEC);
	bool told = to >= 0 && write(to, text, strlen(text)) == (ssize_t)strlen(text);
	if (to >= 0)
		close(to);
	return told;
}

static char group_path[128];

static void live_in_group(void)
{
	/* 64 MB; the limit of the collector is what a program would set there. */
	bool limited = tell_group(group_path, "memory.max", "67108864") ||
		       tell_group(group_path, "memory.limit_in_bytes", "67108864");
	if (!limited || !tell_group(group_path, "cgroup.procs", "0")) {
		fprintf(stderr, "the control group takes no limit or no process");
		_exit(SKIPPED);
	}
	(void)neap_gc_set_memory_limit(40 << 20);
	struct node *list = make_list(200000);
	for (unsigned i = 0; i < 3000; i++)
		demand(neap_gc_alloc_data(100000) != NULL, "memory for data");
	verify_list(list, 200000);
}

static void a_control_group_is_kept_to(void **state)
{
	(void)state;
	static const char *const mounts[] = {"/sys/fs/cgroup/memory", "/sys/fs/cgroup"};
	bool made = false;
	for (unsigned i = 0; i < 2 && !made; i++) {
		snprintf(group_path, sizeof group_path, "%s/neap-test-%d", mounts[i], (int)getpid());
		made = mkdir(group_path, 0755) == 0;
	}
	if (!made) {
		print_message("skipped: no control group can be made\n");
		skip();
	}
	struct ending ending = child_run(live_in_group, 60);
	rmdir(group_path);
	if (ending.status == SKIPPED && ending.signal == 0) {
		print_message("skipped: %s\n", ending.text);
		skip();
	}
	if (ending.signal != 0 || ending.status != 0)
		fail_msg("signal %d, status %d: %s", ending.signal, ending.status, ending.text);
}

/* Finalizers. */

static _Atomic unsigned finalized;

static void loop_forever(void *object, void *ctx)
{
	(void)object;
	(void)ctx;
	atomic_fetch_add(&finalized, 1);
	for (;;)
		atomic_signal_fence(memory_order_seq_cst);
}

static void leave_process(void *object, void *ctx)
{
	(void)object;
	(void)ctx;
	_exit(7);
}

static void drop_with(void (*finalize)(void *, void *), unsigned count)
{
	for (unsigned i = 0; i < count; i++)
		demand(neap_gc_finalizer(make_list(1), finalize, NULL) == NEAP_OK, "a finalizer");
}

static void collect_beside_loop(void)
{
	drop_with(loop_forever, 10);
	scrub_stack();
	struct node *list = make_list(1000);
	for (unsigned i = 0; i < 20; i++) {
		drop_list(10000);
		neap_gc_collect();
	}
	for (unsigned i = 0; i < 1000 && finalized == 0; i++)
		nanosleep(&(struct timespec){0, 10000000}, NULL);
	neap_gc_collect(); /* while it loops */
	verify_list(list, 1000);
	demand(finalized == 1, "the others wait for the one that loops");
}

static void exit_by_finalizer(void)
{
	drop_with(leave_process, 10);
	scrub_stack();
	neap_gc_collect();
	neap_gc_finalizers_wait();
}

static void finalizers_may_loop_or_leave(void **state)
{
	(void)state;
	expect_success(collect_beside_loop);
	struct ending ending = child_run(exit_by_finalizer, 60);
	assert_int_equal(ending.signal, 0);
	assert_int_equal(ending.status, 7);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(data_of_loaded_libraries_are_roots),
		cmocka_unit_test(signals_may_come_at_any_time),
		cmocka_unit_test(unattached_threads_keep_nothing),
		cmocka_unit_test(a_filter_makes_it_stop_the_world),
		cmocka_unit_test(a_limit_below_what_lives_slows_down_only),
		cmocka_unit_test(address_space_may_be_limited),
		cmocka_unit_test(a_control_group_is_kept_to),
		cmocka_unit_test(finalizers_may_loop_or_leave),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
