/* Neap's map: what points into it does not survive a change. */
#include "neap/map.h"
#include <pthread.h>
#include <stdlib.h>

struct session {
	int id;
	char *name;
};
extern const struct neap_map_type type;
struct neap_map *shared, *guarded, *rounds;
pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

// bad use-after-delete: the value of the deleted entry
int bad_delete(struct neap_map *m, int k)
{
	struct session *s = neap_map_get(m, &k);
	if (!s)
		return 0;
	neap_map_delete(m, &k);
	return s->id;
}
// good use-after-delete: read before
int good_delete(struct neap_map *m, int k)
{
	struct session *s = neap_map_get(m, &k);
	if (!s)
		return 0;
	int id = s->id;
	neap_map_delete(m, &k);
	return id;
}

// bad use-after-delete: a neighbour, which may have moved
int bad_neighbour(struct neap_map *m, int k, int o)
{
	struct session *s = neap_map_get(m, &k);
	if (!s)
		return 0;
	neap_map_delete(m, &o);
	return s->id;
}
// good use-after-delete: another map
int good_neighbour(struct neap_map *m, struct neap_map *o, int k)
{
	struct session *s = neap_map_get(m, &k);
	if (!s)
		return 0;
	neap_map_delete(o, &k);
	return s->id;
}

// bad use-after-delete: on one branch
int bad_branch(struct neap_map *m, int k, int c)
{
	struct session *s = neap_map_get(m, &k);
	if (!s)
		return 0;
	if (c)
		neap_map_delete(m, &k);
	return s->id;
}
// good use-after-delete: looked up again
int good_branch(struct neap_map *m, int k, int c)
{
	struct session *s = neap_map_get(m, &k);
	if (!s)
		return 0;
	if (c) {
		neap_map_delete(m, &k);
		s = neap_map_get(m, &k);
		if (!s)
			return 0;
	}
	return s->id;
}

static void drop(struct neap_map *m, int k)
{
	neap_map_delete(m, &k);
}
// bad use-after-delete: a wrapper deletes
int bad_wrapper(struct neap_map *m, int k)
{
	struct session *s = neap_map_get(m, &k);
	if (!s)
		return 0;
	drop(m, k);
	return s->id;
}
// good use-after-delete: the wrapper comes last
int good_wrapper(struct neap_map *m, int k)
{
	struct session *s = neap_map_get(m, &k);
	int id = s ? s->id : 0;
	drop(m, k);
	return id;
}

static struct session *find(struct neap_map *m, int k)
{
	return neap_map_get(m, &k);
}
// bad use-after-delete: a wrapper looks up
int bad_found(struct neap_map *m, int k)
{
	struct session *s = find(m, k);
	if (!s)
		return 0;
	neap_map_delete(m, &k);
	return s->id;
}
// good use-after-delete: a copy is kept
int good_found(struct neap_map *m, int k)
{
	struct session *s = find(m, k);
	if (!s)
		return 0;
	struct session c = *s;
	neap_map_delete(m, &k);
	return c.id;
}

// bad use-after-delete: take moves the value out, the pointer into the map is dead
int bad_take(struct neap_map *m, int k)
{
	struct session *s = neap_map_get(m, &k), out;
	if (!s)
		return 0;
	neap_map_take(m, &k, 0, &out);
	return s->id;
}
// good use-after-delete: the value that was taken
int good_take(struct neap_map *m, int k)
{
	struct session out = {0};
	neap_map_take(m, &k, 0, &out);
	return out.id;
}

// bad use-after-delete: the iterator's value after a delete
int bad_iter_value(struct neap_map *m)
{
	struct neap_map_iter it;
	int n = 0;
	for (neap_map_iter_init(&it, m); neap_map_iter_next(&it);) {
		neap_map_delete(m, it.key);
		n += ((struct session *)it.value)->id;
	}
	return n;
}
// good use-after-delete: read before the delete
int good_iter_value(struct neap_map *m)
{
	struct neap_map_iter it;
	int n = 0;
	for (neap_map_iter_init(&it, m); neap_map_iter_next(&it);) {
		n += ((struct session *)it.value)->id;
		neap_map_delete(m, it.key);
	}
	return n;
}

static bool odd(const void *key, void *value, void *ctx)
{
	(void)value;
	(void)ctx;
	return *(const int *)key & 1;
}
// bad use-after-delete: delete_if
int bad_delete_if(struct neap_map *m, int k)
{
	struct session *s = neap_map_get(m, &k);
	if (!s)
		return 0;
	neap_map_delete_if(m, odd, 0);
	return s->id;
}
// good use-after-delete: looked up afterwards
int good_delete_if(struct neap_map *m, int k)
{
	neap_map_delete_if(m, odd, 0);
	struct session *s = neap_map_get(m, &k);
	return s ? s->id : 0;
}

// bad use-after-clear: cleared
int bad_clear(struct neap_map *m, int k)
{
	struct session *s = neap_map_get(m, &k);
	if (!s)
		return 0;
	neap_map_clear(m);
	return s->id;
}
// good use-after-clear: cleared afterwards
int good_clear(struct neap_map *m, int k)
{
	struct session *s = neap_map_get(m, &k);
	if (!s)
		return 0;
	int id = s->id;
	neap_map_clear(m);
	return id;
}

// bad use-after-clear: memory kept, entry gone
int bad_clear_keep(struct neap_map *m, int k)
{
	struct session *s = neap_map_get(m, &k);
	if (!s)
		return 0;
	neap_map_clear_keep(m);
	return s->id;
}
// good use-after-clear: put again and looked up again
int good_clear_keep(struct neap_map *m, int k)
{
	neap_map_clear_keep(m);
	struct session *s = neap_map_slot(m, &k, 0);
	return s ? s->id : 0;
}

// bad use-after-free: the map was destroyed
int bad_destroy(struct neap_map *m, int k)
{
	struct session *s = neap_map_get(m, &k);
	if (!s)
		return 0;
	neap_map_destroy(m);
	return s->id;
}
// good use-after-free: destroyed last
int good_destroy(struct neap_map *m, int k)
{
	struct session *s = neap_map_get(m, &k);
	int id = s ? s->id : 0;
	neap_map_destroy(m);
	return id;
}

// bad use-after-free: the handle after destroy
size_t bad_handle(struct neap_map *m)
{
	neap_map_destroy(m);
	return neap_map_len(m);
}
// good use-after-free: a new map under the same name
size_t good_handle(struct neap_map *m)
{
	neap_map_destroy(m);
	m = neap_map_create(&type, 0);
	size_t n = neap_map_len(m);
	neap_map_destroy(m);
	return n;
}

// bad double-free: destroyed twice
void bad_destroy_twice(struct neap_map *m)
{
	neap_map_destroy(m);
	neap_map_destroy(m);
}
// good double-free: NULL in between
void good_destroy_twice(struct neap_map *m)
{
	neap_map_destroy(m);
	m = 0;
	neap_map_destroy(m);
}

// bad value-kept-across-change: an insert may move it
int bad_insert(struct neap_map *m, int k, int o)
{
	struct session *s = neap_map_get(m, &k);
	if (!s)
		return 0;
	neap_map_put(m, &o, 0);
	return s->id;
}
// good value-kept-across-change: looked up after the insert
int good_insert(struct neap_map *m, int k, int o)
{
	neap_map_put(m, &o, 0);
	struct session *s = neap_map_get(m, &k);
	return s ? s->id : 0;
}

// bad value-kept-across-change: two slots, the second may move the first
int bad_slots(struct neap_map *m, int a, int b)
{
	struct session *x = neap_map_slot(m, &a, 0), *y = neap_map_slot(m, &b, 0);
	if (!x || !y)
		return 0;
	return x->id + y->id;
}
// good value-kept-across-change: one after the other
int good_slots(struct neap_map *m, int a, int b)
{
	struct session *x = neap_map_slot(m, &a, 0);
	int n = x ? x->id : 0;
	struct session *y = neap_map_slot(m, &b, 0);
	return y ? n + y->id : n;
}

// bad value-kept-across-change: reserve rebuilds
int bad_reserve(struct neap_map *m, int k)
{
	struct session *s = neap_map_get(m, &k);
	if (!s)
		return 0;
	neap_map_reserve(m, 100);
	return s->id;
}
// good value-kept-across-change: reserved first
int good_reserve(struct neap_map *m, int k)
{
	neap_map_reserve(m, 100);
	struct session *s = neap_map_get(m, &k);
	return s ? s->id : 0;
}

// bad value-kept-across-change: compact moves everything
int bad_compact(struct neap_map *m, int k)
{
	struct session *s = neap_map_get(m, &k);
	if (!s)
		return 0;
	neap_map_compact(m);
	return s->id;
}
// good value-kept-across-change: reading does not move
int good_compact(struct neap_map *m, int k)
{
	struct session *s = neap_map_get(m, &k);
	if (!s)
		return 0;
	neap_map_len(m);
	neap_map_get(m, &k);
	return s->id;
}

// bad unchecked-result: the entry may not be there
int bad_lookup(struct neap_map *m, int k)
{
	struct session *s = neap_map_get(m, &k);
	return s->id;
}
// good unchecked-result: checked
int good_lookup(struct neap_map *m, int k)
{
	struct session *s = neap_map_get(m, &k);
	return s ? s->id : -1;
}

// bad bad-free: the value lies inside the map
void bad_free_value(struct neap_map *m, int k)
{
	struct session *s = neap_map_get(m, &k);
	free(s);
}
// good bad-free: what the value points to is one's own
void good_free_value(struct neap_map *m, int k)
{
	struct session *s = neap_map_get(m, &k);
	if (s) {
		free(s->name);
		s->name = 0;
	}
}

// bad leak: a map that nobody destroys
size_t bad_map_leak(void)
{
	struct neap_map *m = neap_map_create(&type, 0);
	return neap_map_len(m);
}
// good leak: destroyed
size_t good_map_leak(void)
{
	struct neap_map *m = neap_map_create(&type, 0);
	size_t n = neap_map_len(m);
	neap_map_destroy(m);
	return n;
}

// bad mismatched-release: free is not destroy
void bad_map_free(void)
{
	struct neap_map *m = neap_map_create(&type, 0);
	free(m);
}
// good mismatched-release: destroy
void good_map_free(void)
{
	struct neap_map *m = neap_map_create(&type, 0);
	neap_map_destroy(m);
}

// bad iterator-after-change: a strict map
int bad_strict(void)
{
	struct neap_map_options o = {.strict_iteration = true};
	struct neap_map *m = neap_map_create(&type, &o);
	struct neap_map_iter it;
	neap_map_iter_init(&it, m);
	int n = 0;
	while (neap_map_iter_next(&it)) {
		int k = 1;
		neap_map_delete(m, &k);
		n++;
	}
	neap_map_destroy(m);
	return n;
}
// good iterator-after-change: as in Go, any other map allows it
int good_strict(void)
{
	struct neap_map *m = neap_map_create(&type, 0);
	struct neap_map_iter it;
	neap_map_iter_init(&it, m);
	int n = 0;
	while (neap_map_iter_next(&it)) {
		int k = 1;
		neap_map_delete(m, &k);
		n++;
	}
	neap_map_destroy(m);
	return n;
}

// bad iterator-after-change: a scan allows no change at all
int bad_scan(struct neap_map *m)
{
	int n = 0;
	for (struct neap_map_scan at = neap_map_scan(m); neap_map_scan_next(&at);)
		if (((struct session *)at.value)->id == 0)
			neap_map_delete(m, at.key);
		else
			n++;
	return n;
}
// good iterator-after-change: values may be written
int good_scan(struct neap_map *m)
{
	int n = 0;
	for (struct neap_map_scan at = neap_map_scan(m); neap_map_scan_next(&at); n++)
		((struct session *)at.value)->id = n;
	return n;
}

// bad dangling-stack: the address of a local left in a pointer that a map's value holds
void bad_slot_local(struct neap_map *m, int k)
{
	int x = 1;
	int **slot = neap_map_slot(m, &k, 0);
	if (slot)
		*slot = &x;
}
// good dangling-stack: the map copies the bytes of a value
void good_slot_local(struct neap_map *m, int k)
{
	int x = 1;
	neap_map_put(m, &k, &x);
}

// bad unlocked-sharing: a thread changes it without the lock
void *bad_thread(void *arg)
{
	int k = 1;
	(void)arg;
	neap_map_delete(shared, &k);
	return 0;
}
// good unlocked-sharing: under the lock
void *good_thread(void *arg)
{
	int k = 1;
	(void)arg;
	pthread_mutex_lock(&lock);
	neap_map_delete(guarded, &k);
	pthread_mutex_unlock(&lock);
	return 0;
}
// bad unlocked-sharing: the reader beside it
size_t bad_reader(void)
{
	return neap_map_len(shared);
}
// good unlocked-sharing: the reader takes the lock
size_t good_reader(void)
{
	pthread_mutex_lock(&lock);
	size_t n = neap_map_len(guarded);
	pthread_mutex_unlock(&lock);
	return n;
}
// bad unlocked-sharing: the second round is without the lock
void *bad_rounds(void *arg)
{
	(void)arg;
	pthread_mutex_lock(&lock);
	for (int k = 0; k < 2; k++) {
		neap_map_delete(rounds, &k);
		pthread_mutex_unlock(&lock);
	}
	return 0;
}
void start(pthread_t *t)
{
	pthread_create(&t[0], 0, bad_thread, 0);
	pthread_create(&t[1], 0, good_thread, 0);
	pthread_create(&t[2], 0, bad_rounds, 0);
	pthread_create(&t[3], 0, bad_rounds, 0);
}

/* Maps that a thread gets by its argument. */
struct job {
	int number;
	struct neap_map *map;
	pthread_mutex_t *lock;
};
// bad unlocked-sharing: two threads of this function get the same map
void *bad_worker(void *map)
{
	int k = 2;
	neap_map_delete(map, &k);
	return 0;
}
void start_two(struct neap_map *map)
{
	pthread_t threads[2];
	for (int i = 0; i < 2; i++)
		if (pthread_create(&threads[i], 0, bad_worker, map) != 0)
			abort();
	for (int i = 0; i < 2; i++)
		pthread_join(threads[i], 0);
}
// good unlocked-sharing: each of its threads gets a map of its own
void *good_worker(void *map)
{
	int k = 2;
	neap_map_delete(map, &k);
	return 0;
}
void start_each(struct neap_map *one, struct neap_map *two)
{
	pthread_t threads[2];
	if (pthread_create(&threads[0], 0, good_worker, one) != 0 ||
	    pthread_create(&threads[1], 0, good_worker, two) != 0)
		abort();
	pthread_join(threads[0], 0);
	pthread_join(threads[1], 0);
}

static void *fill(void *arg)
{
	const struct job *job = arg;
	int k = job->number;
	pthread_mutex_lock(job->lock);
	neap_map_put(job->map, &k, &k);
	pthread_mutex_unlock(job->lock);
	return 0;
}
// bad unlocked-sharing: the thread takes the lock, and who started it does not
size_t bad_starter(struct neap_map *map)
{
	pthread_t thread;
	struct job job = {1, map, &lock};
	if (pthread_create(&thread, 0, fill, &job) != 0)
		return 0;
	size_t n = neap_map_len(map);
	pthread_join(thread, 0);
	return n;
}
// good unlocked-sharing: asked after the thread has ended, or when it could not be started
size_t good_starter(struct neap_map *map)
{
	pthread_t thread;
	struct job job = {1, map, &lock};
	if (pthread_create(&thread, 0, fill, &job) != 0)
		return neap_map_len(map);
	pthread_join(thread, 0);
	return neap_map_len(map);
}
