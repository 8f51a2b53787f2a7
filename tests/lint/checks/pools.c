/* A pool that pools.api describes, rows that a body contradicts, banned functions. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct pool;
struct work {
	int state;
	struct work *next;
};
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
