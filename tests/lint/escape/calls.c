/* Calls: bodies that are visible, code that is not, callbacks, tables of functions, threads, varargs. */
/* Expectations stand at the ends of lines. */
// clang-format off
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct shape { double size; };
struct methods { double (*area)(struct shape *); void (*keep)(struct shape *); };
typedef void callback(void *);
struct timer { callback *fn; void *arg; };
struct timer global_timer;

void unseen(void *);
void *unseen_result(void);

void to_unseen(void)
{
	int x = 1; // want "x may be kept by unseen: INFO"
	unseen(&x);
}
void param_to_unseen(void *p) // want "leaking param: p may be kept by unseen"
{
	unseen(p);
}
void content_to_unseen(void **p) // want "leaking param content: p may be kept by unseen"
{
	unseen(*p);
}
void from_unseen(void)
{
	void *p = unseen_result();
	(void)p;
}
void store_in_unseen(void)
{
	int x = 1; // want "x escapes to heap: DANGLING"
	int **p = unseen_result();
	*p = &x;
}
static int visible(int *p) // want "p does not escape"
{
	return *p;
}
int to_visible(void)
{
	int x = 1; // want "x does not escape"
	return visible(&x);
}
static void run(callback *fn, void *arg) // want "fn does not escape" "leaking param: arg may be kept by a function pointer"
{
	fn(arg);
}
static void print_it(void *p) // want "p does not escape"
{
	printf("%d\n", *(int *)p);
}
void callback_with_local(void)
{
	int x = 1; // want "x may be kept by run: INFO"
	run(print_it, &x);
}
void timer_set(struct timer *t, callback *fn, void *arg) // want "leaking param: arg stored into *t" "leaking param: fn stored into *t" "t does not escape"
{
	t->fn = fn;
	t->arg = arg;
}
void timer_local(struct timer *t) // want "t does not escape"
{
	int x = 1; // want "x stored into *t: DANGLING"
	timer_set(t, print_it, &x);
}
void timer_global(void)
{
	int x = 1; // want "x escapes to heap: DANGLING"
	timer_set(&global_timer, print_it, &x);
}
void timer_local_both(void)
{
	int x = 1; // want "x may be kept by run: INFO"
	struct timer t; // want "t does not escape"
	timer_set(&t, print_it, &x);
	run(t.fn, t.arg);
}
double by_table(const struct methods *m, struct shape *s) // want "leaking param: s may be kept by a function pointer" "m does not escape"
{
	return m->area(s);
}
void thread(void)
{
	int x = 1; // want "x escapes to heap: DANGLING"
	pthread_t id; // want "id does not escape"
	pthread_create(&id, 0, 0, &x);
}
void thread_joined(void)
{
	int x = 1; // want "x escapes to heap: MAY-DANGLE"
	pthread_t id; // want "id does not escape"
	pthread_create(&id, 0, 0, &x);
	pthread_join(id, 0);
}
void thread_then_store(int *p) // want "p does not escape"
{
	int x = 1; // want "x escapes to heap: DANGLING"
	pthread_t id; // want "id does not escape"
	pthread_create(&id, 0, 0, &x);
	*p = x;
	p[1] = 0;
}
void thread_param(void *arg) // want "leaking param: arg"
{
	pthread_t id; // want "id does not escape"
	pthread_create(&id, 0, 0, arg);
}
void library(void)
{
	char a[8], b[8]; // want "a does not escape" "b does not escape"
	strcpy(a, "x");
	memcpy(b, a, sizeof b);
	printf("%s %s %zu\n", a, b, strlen(a));
}
char *library_result(char *s) // want "leaking param: s to result level=0"
{
	return strchr(s, 'x');
}
char *library_local(void)
{
	char s[8] = "abc"; // want "s escapes to result: DANGLING"
	return strchr(s, 'c');
}
char *duplicate(const char *s) // want "s does not escape"
{
	return strdup(s); // want "strdup(...) escapes to result"
}
void environment(void)
{
	char text[16] = "A=1"; // want "text escapes to heap: DANGLING"
	putenv(text);
}
int sum(int n, ...)
{
	va_list list; // want "list does not escape"
	va_start(list, n);
	int total = 0;
	while (n-- > 0)
		total += va_arg(list, int);
	va_end(list);
	return total;
}
void variadic(void)
{
	printf("%d\n", sum(2, 1, 2));
}
void assembly(void)
{
	int x = 1; // want "x may be kept by inline assembly: INFO"
	__asm__ volatile("" : : "r"(&x) : "memory");
}
void atomic(void)
{
	static int *kept;
	int x = 1; // want "x escapes to heap: DANGLING"
	__atomic_store_n(&kept, &x, __ATOMIC_SEQ_CST);
}
void exchange(int **p) // want "p does not escape"
{
	int x = 1; // want "x stored into *p: DANGLING"
	int *old = __atomic_exchange_n(p, &x, __ATOMIC_SEQ_CST);
	(void)old;
}
static void forget(void *p) // want "p does not escape"
{
	(void)p;
}
static void deep3(void *p) // want "p does not escape"
{
	forget(p);
}
static void deep2(void *p) // want "p does not escape"
{
	deep3(p);
}
void deep(void)
{
	int x = 1; // want "x does not escape"
	deep2(&x);
}
static void keep_deep3(void *p) // want "leaking param: p"
{
	global_timer.arg = p;
}
static void keep_deep2(void *p) // want "leaking param: p"
{
	keep_deep3(p);
}
void keep_deep(void)
{
	int x = 1; // want "x escapes to heap: DANGLING"
	keep_deep2(&x);
}
void count_down(int *p, int n) // want "p does not escape"
{
	if (n > 0)
		count_down(p, n - 1);
}
void count_down_local(void)
{
	int x = 1; // want "x does not escape"
	count_down(&x, 3);
}
void keep_when_zero(int *p, int n) // want "leaking param: p"
{
	if (n == 0)
		global_timer.arg = p;
	else
		keep_when_zero(p, n - 1);
}
int main(void)
{
	int x = 1; // want "x escapes to heap: INFO"
	global_timer.arg = &x;
	return 0;
}
