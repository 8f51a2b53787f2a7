/* epoch.c: the records of readers, stamps, and the question whether an epoch has passed. See epoch.h. */
#include "cmap/epoch.h"

#include <pthread.h>

#include "base/alloc.h"
#include "base/os.h"

struct neap__epoch neap__epoch = {.now = 1};
struct neap__epochs neap__epochs = {.readers = &neap__epochs.shared,
				    .shared = {.next = &neap__epochs.marker, .taken = true},
				    .marker = {.taken = true}};
_Thread_local struct neap__reader *neap__reader_self, *neap__reader_plain;

static pthread_once_t epochs_once = PTHREAD_ONCE_INIT;
static pthread_key_t reader_key;
static bool reader_key_made;
static pthread_mutex_t shared_lock = PTHREAD_MUTEX_INITIALIZER;
static _Thread_local bool shared_held; /* this thread is in a section of the shared record */
static _Thread_local bool reader_over; /* the destructor has run: later sections share */

/* The thread ends, perhaps inside a section. */
static void reader_end(void *of_thread)
{
	struct neap__reader *reader = of_thread;
	neap__reader_self = neap__reader_plain = NULL;
	reader_over = true;
	atomic_store_explicit(&reader->epoch, 0, memory_order_release);
	atomic_store_explicit(&reader->taken, false, memory_order_release);
}

static void epochs_begin(void)
{
	reader_key_made = pthread_key_create(&reader_key, reader_end) == 0;
	atomic_store_explicit(&neap__epochs.fences, !neap__os_barrier_prepare(), memory_order_relaxed);
}

void neap__epochs_start(void)
{
	pthread_once(&epochs_once, epochs_begin);
}

void neap__epochs_forked(void)
{
	for (struct neap__reader *r = atomic_load(&neap__epochs.readers); r != NULL; r = r->next) {
		if (r == neap__reader_self || (r == &neap__epochs.shared && shared_held))
			continue;
		atomic_store(&r->epoch, 0);
		atomic_store(&r->taken, r == &neap__epochs.shared || r == &neap__epochs.marker);
	}
	if (!shared_held)
		pthread_mutex_init(&shared_lock, NULL);
	/* This is the only thread: it may change its mind. */
	atomic_store(&neap__epochs.fences, !neap__os_barrier_prepare());
	neap__reader_plain = atomic_load(&neap__epochs.fences) ? NULL : neap__reader_self;
}

/* A record that no thread has, or a new one. */
static struct neap__reader *reader_find(void)
{
	struct neap__reader *first = atomic_load_explicit(&neap__epochs.readers, memory_order_acquire);
	for (struct neap__reader *r = first; r != NULL; r = r->next) {
		bool taken = false;
		if (atomic_compare_exchange_strong_explicit(&r->taken, &taken, true, memory_order_acquire,
							    memory_order_relaxed))
			return r;
	}
	struct neap__reader *fresh =
		neap__alloc(&neap__malloc_allocator, sizeof *fresh, _Alignof(struct neap__reader));
	if (fresh == NULL)
		return NULL;
	atomic_init(&fresh->epoch, 0);
	atomic_init(&fresh->taken, true);
	fresh->next = first;
	while (!atomic_compare_exchange_weak_explicit(&neap__epochs.readers, &fresh->next, fresh,
						      memory_order_acq_rel, memory_order_acquire))
		continue;
	return fresh;
}

struct neap__reader *neap__reader_join(void)
{
	neap__epochs_start();
	struct neap__reader *reader = NULL;
	if (!shared_held && !reader_over && reader_key_made && !neap__os_refuses("reader"))
		reader = reader_find();
	if (reader != NULL && pthread_setspecific(reader_key, reader) == 0) {
		neap__reader_self = reader;
		if (!atomic_load_explicit(&neap__epochs.fences, memory_order_relaxed))
			neap__reader_plain = reader;
		return reader;
	}
	if (reader != NULL)
		atomic_store_explicit(&reader->taken, false, memory_order_release);
	if (!shared_held)
		pthread_mutex_lock(&shared_lock);
	shared_held = true;
	return &neap__epochs.shared;
}

/* Called when a section of the shared record ends, with the record already set to the outer one. */
void neap__reader_part(struct neap__reader *shared)
{
	if (atomic_load_explicit(&shared->epoch, memory_order_relaxed) != 0)
		return;
	shared_held = false;
	pthread_mutex_unlock(&shared_lock);
}

uint64_t neap__epoch_stamp(void)
{
	return atomic_fetch_add_explicit(&neap__epoch.now, 1, memory_order_acq_rel);
}

bool neap__epoch_passed(uint64_t stamp)
{
	if (atomic_load_explicit(&neap__epochs.fences, memory_order_relaxed))
		atomic_thread_fence(memory_order_seq_cst);
	else if (!neap__os_barrier())
		return false;
	for (struct neap__reader *r = atomic_load_explicit(&neap__epochs.readers, memory_order_acquire);
	     r != NULL; r = r->next) {
		uint64_t epoch = atomic_load_explicit(&r->epoch, memory_order_acquire);
		if (epoch != 0 && epoch <= stamp)
			return false;
	}
	return true;
}
