/* A pool that pools.api describes, rows that a body contradicts, banned functions. */
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct pool;
struct work {
	int state;
	struct work *next;
};
/* As in neap/pool.h. */
struct neap_pool;
struct neap_pool_type {
	uint32_t size;
	void *(*create)(void *ctx);
	void (*destroy)(void *object, void *ctx);
	void (*reset)(void *object, void *ctx);
	bool (*clean)(const void *object, void *ctx);
	size_t (*bytes)(const void *object, void *ctx);
	size_t object_size, object_align;
	void *ctx;
};
struct neap_pool *neap_pool_create(const struct neap_pool_type *type, const void *options);
size_t neap_pool_destroy(struct neap_pool *pool);
void *neap_pool_get(struct neap_pool *pool);
void neap_pool_put(struct neap_pool *pool, void *object);

struct work *pool_get(struct pool *);
void pool_put(struct pool *, struct work *);
void work_reset(struct work *);

// bad use-after-put: used after it went back
int bad_put(struct pool *p)
{
	struct work *w = pool_get(p);
	w->state = 1;
	work_reset(w);
	pool_put(p, w);
	return w->state;
}
// good use-after-put: put last
int good_put(struct pool *p)
{
	struct work *w = pool_get(p);
	int s = w->state;
	work_reset(w);
	pool_put(p, w);
	return s;
}

// bad double-put: twice
void bad_put_twice(struct pool *p)
{
	struct work *w = pool_get(p);
	work_reset(w);
	pool_put(p, w);
	pool_put(p, w);
}
// good double-put: two objects
void good_put_twice(struct pool *p)
{
	struct work *w = pool_get(p);
	work_reset(w);
	pool_put(p, w);
	w = pool_get(p);
	work_reset(w);
	pool_put(p, w);
}

// bad put-without-reset: as it was used
void bad_reset(struct pool *p)
{
	struct work *w = pool_get(p);
	w->state = 3;
	pool_put(p, w);
}
// good put-without-reset: reset
void good_reset(struct pool *p)
{
	struct work *w = pool_get(p);
	w->state = 3;
	work_reset(w);
	pool_put(p, w);
}

// bad leak: never put back
int bad_keep(struct pool *p)
{
	struct work *w = pool_get(p);
	return w->state;
}
// good leak: put back on both ways
int good_keep(struct pool *p, int c)
{
	struct work *w = pool_get(p);
	if (c) {
		work_reset(w);
		pool_put(p, w);
		return 0;
	}
	work_reset(w);
	pool_put(p, w);
	return 1;
}

// bad contract-broken: pools.api says that it releases its argument
void bad_promise(struct work *w)
{
	w->state = 0;
}
// good contract-broken: and so it does
void good_promise(struct work *w)
{
	free(w);
}

// bad banned-function: no bound
void bad_copy(char *to, const char *from)
{
	strcpy(to, from);
}
// good banned-function: a bound
void good_copy(char *to, size_t n, const char *from)
{
	snprintf(to, n, "%s", from);
}

// bad banned-function: hidden state
char *bad_token(char *s)
{
	return strtok(s, ",");
}
// good banned-function: none
char *good_token(char *s, char **at)
{
	return strtok_r(s, ",", at);
}

// bad use-after-put: Neap's pool, without a row of one's own
int bad_neap_put(struct neap_pool *p)
{
	struct work *w = neap_pool_get(p);
	if (!w)
		return 0;
	neap_pool_put(p, w);
	return w->state;
}
// good use-after-put: read before
int good_neap_put(struct neap_pool *p)
{
	struct work *w = neap_pool_get(p);
	int s = w ? w->state : 0;
	neap_pool_put(p, w);
	return s;
}

// bad double-put: on one way
void bad_neap_twice(struct neap_pool *p, int c)
{
	struct work *w = neap_pool_get(p);
	if (c)
		neap_pool_put(p, w);
	neap_pool_put(p, w);
}
// good double-put: NULL may be put
void good_neap_twice(struct neap_pool *p, int c)
{
	struct work *w = neap_pool_get(p);
	if (c) {
		neap_pool_put(p, w);
		w = NULL;
	}
	neap_pool_put(p, w);
}

// bad leak: lost on the way out
int bad_neap_leak(struct neap_pool *p, int c)
{
	struct work *w = neap_pool_get(p);
	if (!w || c)
		return -1;
	neap_pool_put(p, w);
	return 0;
}
// good leak: put on every way
int good_neap_leak(struct neap_pool *p, int c)
{
	struct work *w = neap_pool_get(p);
	int result = w && !c ? w->state : -1;
	neap_pool_put(p, w);
	return result;
}

// bad mismatched-release: free is not put
void bad_neap_free(struct neap_pool *p)
{
	free(neap_pool_get(p));
}
// good mismatched-release: destroy ends the pool
void good_neap_free(const struct neap_pool_type *type)
{
	neap_pool_destroy(neap_pool_create(type, NULL));
}

static void *work_create(void *ctx)
{
	(void)ctx;
	return calloc(1, sizeof(struct work));
}
static void work_destroy(void *object, void *ctx)
{
	(void)ctx;
	free(object);
}
static void work_clean(void *object, void *ctx)
{
	(void)ctx;
	memset(object, 0, sizeof(struct work));
}
// bad put-without-reset: its pool makes objects, and has nothing that would reset them
void bad_neap_reset(void)
{
	struct neap_pool_type type = {.size = sizeof type, .create = work_create, .destroy = work_destroy};
	struct neap_pool *p = neap_pool_create(&type, NULL);
	struct work *w = p ? neap_pool_get(p) : NULL;
	if (w) {
		w->state = 3;
		neap_pool_put(p, w);
	}
	neap_pool_destroy(p);
}
// good put-without-reset: its pool resets what is put
void good_neap_reset(void)
{
	struct neap_pool_type type = {
		.size = sizeof type, .create = work_create, .destroy = work_destroy, .reset = work_clean};
	struct neap_pool *p = neap_pool_create(&type, NULL);
	struct work *w = p ? neap_pool_get(p) : NULL;
	if (w) {
		w->state = 3;
		neap_pool_put(p, w);
	}
	neap_pool_destroy(p);
}

struct thing {
	char *name;
};
void thing_close(struct thing *thing)
{
	if (thing)
		free(thing->name);
	free(thing);
}
// good leak: what releases a thing releases its name with it
struct thing *good_thing(const char *name, int wanted)
{
	struct thing *thing = calloc(1, sizeof *thing);
	if (thing)
		thing->name = strdup(name);
	if (thing && wanted && thing->name)
		return thing;
	thing_close(thing);
	return NULL;
}
// bad leak: free knows nothing of names
struct thing *bad_thing(const char *name, int wanted)
{
	struct thing *thing = calloc(1, sizeof *thing);
	if (thing)
		thing->name = strdup(name);
	if (thing && wanted && thing->name)
		return thing;
	free(thing);
	return NULL;
}
