/* small_lisp.c: the inside of a language on the collector: a Lisp of a few words, whose every value is a collected object.
 *
 * What an embedder has to decide, and where it stands here:
 *
 *     values        structs that begin with their kind; fields are stored with plain `=` (bind, set_first ...)
 *     frames        a struct with a tail, one slot for each variable: NEAP_TYPE_TAIL
 *     numbers       objects without pointers: neap_gc_alloc_data
 *     roots         nothing is registered: the evaluator's recursion is on the C stack, the symbols in a static variable
 *     host          what the host keeps in malloc's memory (an event handler) it holds by a handle
 *     ports         objects with a finalizer that closes the file
 *     blocking      neap_park and neap_unpark around it
 *     memory        neap_gc_start with a limit
 */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <neap/gc.h>

enum kind { NUMBER, SYMBOL, PAIR, CLOSURE, BUILTIN, PORT };

/* Every value begins like this. */
struct value {
	enum kind kind;
};

struct number {
	struct value is;
	long long value;
};

struct symbol {
	struct value is;
	struct value *global; /* NULL: not bound */
	struct symbol *next;
	char *name;
};
NEAP_TYPE(symbol_type, struct symbol, global, next, name);

struct pair {
	struct value is;
	struct value *first, *rest; /* rest NULL: the end of a list */
};
NEAP_TYPE(pair_type, struct pair, first, rest);

struct frame {
	struct frame *outer;
	struct pair *names;
	struct value *slots[];
};
NEAP_TYPE_TAIL(frame_type, struct frame, slots, neap_gc_pointer, outer, names);

struct closure {
	struct value is;
	struct pair *names, *body;
	struct frame *frame; /* where it was made */
};
NEAP_TYPE(closure_type, struct closure, names, body, frame);

struct builtin {
	struct value is;
	struct value *(*call)(struct pair *arguments);
};

struct port {
	struct value is;
	FILE *file;
};

static struct symbol *symbols;
static unsigned ports_closed;

static _Noreturn void fail(const char *message)
{
	fprintf(stderr, "small_lisp: %s\n", message);
	exit(1);
}

static void *checked(void *object)
{
	return object != NULL ? object : (fail("no memory"), NULL);
}

/* Making values. */

static struct value *number(long long value)
{
	struct number *made = checked(neap_gc_alloc_data(sizeof *made));
	*made = (struct number){{NUMBER}, value};
	return &made->is;
}

static struct pair *pair(struct value *first, struct value *rest)
{
	struct pair *made = checked(neap_gc_alloc(&pair_type));
	*made = (struct pair){{PAIR}, first, rest};
	return made;
}

static struct symbol *symbol(const char *name, size_t length)
{
	for (struct symbol *known = symbols; known != NULL; known = known->next)
		if (strlen(known->name) == length && memcmp(known->name, name, length) == 0)
			return known;
	struct symbol *made = checked(neap_gc_alloc(&symbol_type));
	made->is.kind = SYMBOL;
	made->name = checked(neap_gc_alloc_data(length + 1)); /* zeroed: it ends */
	memcpy(made->name, name, length);
	made->next = symbols;
	return symbols = made;
}

static void close_port(void *object, void *ctx)
{
	(void)ctx;
	fclose(((struct port *)object)->file);
	ports_closed++;
}

/* Taking them apart. */

static long long as_number(const struct value *value)
{
	if (value == NULL || value->kind != NUMBER)
		fail("not a number");
	return ((const struct number *)value)->value;
}

static struct pair *as_pair(struct value *value)
{
	if (value == NULL || value->kind != PAIR)
		fail("not a pair");
	return (struct pair *)value;
}

static struct value *first(const struct pair *list)
{
	return list != NULL ? list->first : (fail("too few arguments"), NULL);
}

static struct pair *rest(const struct pair *list)
{
	return list->rest != NULL ? as_pair(list->rest) : NULL;
}

/* Reading: "(+ 1 2)" becomes pairs, symbols and numbers. */

static struct value *read_value(const char **at);

static struct value *read_list(const char **at)
{
	while (isspace((unsigned char)**at))
		++*at;
	if (**at == ')') {
		++*at;
		return NULL;
	}
	struct value *head = read_value(at);
	return &pair(head, read_list(at))->is;
}

static struct value *read_value(const char **at)
{
	while (isspace((unsigned char)**at))
		++*at;
	if (**at == '(') {
		++*at;
		return read_list(at);
	}
	size_t length = strcspn(*at, "() \n\t");
	if (length == 0)
		fail("end of text");
	const char *word = *at;
	*at += length;
	char *end;
	long long value = strtoll(word, &end, 10);
	return end == *at ? number(value) : &symbol(word, length)->is;
}

/* Evaluating. */

static struct value **place_of(struct symbol *name, struct frame *frame)
{
	for (; frame != NULL; frame = frame->outer) {
		size_t i = 0;
		for (const struct pair *at = frame->names; at != NULL; at = rest(at), i++)
			if (at->first == &name->is)
				return &frame->slots[i];
	}
	return &name->global;
}

static struct value *eval(struct value *code, struct frame *frame);

static struct pair *eval_all(struct pair *codes, struct frame *frame)
{
	if (codes == NULL)
		return NULL;
	struct value *value = eval(codes->first, frame);
	struct pair *others = eval_all(rest(codes), frame);
	return pair(value, others != NULL ? &others->is : NULL);
}

static struct frame *bind(const struct closure *closure, const struct pair *arguments)
{
	size_t count = 0;
	for (const struct pair *at = closure->names; at != NULL; at = rest(at))
		count++;
	struct frame *frame = checked(neap_gc_alloc_tail(&frame_type, count));
	frame->outer = closure->frame;
	frame->names = closure->names;
	for (size_t i = 0; i < count; i++, arguments = rest(arguments))
		frame->slots[i] = first(arguments);
	return frame;
}

/* For the host: calls a function of the language. */
static struct value *apply(struct value *function, struct pair *arguments)
{
	if (function != NULL && function->kind == BUILTIN)
		return ((struct builtin *)function)->call(arguments);
	if (function == NULL || function->kind != CLOSURE)
		fail("not a function");
	const struct closure *closure = (struct closure *)function;
	struct frame *frame = bind(closure, arguments);
	struct value *result = NULL;
	for (struct pair *code = closure->body; code != NULL; code = rest(code))
		result = eval(code->first, frame);
	return result;
}

static struct value *make_closure(struct pair *form, struct frame *frame)
{
	struct closure *closure = checked(neap_gc_alloc(&closure_type));
	struct value *names = first(form);
	*closure = (struct closure){{CLOSURE}, names != NULL ? as_pair(names) : NULL, rest(form), frame};
	return &closure->is;
}

/* The words that do not evaluate all that follows them. False: it is none. */
static bool eval_special(const struct symbol *word, struct pair *form, struct frame *frame,
			 struct value **ret)
{
	if (strcmp(word->name, "if") == 0) {
		bool yes = as_number(eval(first(form), frame)) != 0;
		*ret = eval(yes ? first(rest(form)) : first(rest(rest(form))), frame);
	} else if (strcmp(word->name, "lambda") == 0) {
		*ret = make_closure(form, frame);
	} else if (strcmp(word->name, "define") == 0 || strcmp(word->name, "set!") == 0) {
		struct value *value = eval(first(rest(form)), frame);
		*place_of((struct symbol *)first(form), frame) = value;
		*ret = value;
	} else {
		return false;
	}
	return true;
}

static struct value *eval(struct value *code, struct frame *frame)
{
	struct value *result;
	if (code == NULL || (code->kind != SYMBOL && code->kind != PAIR))
		return code;
	if (code->kind == SYMBOL) {
		result = *place_of((struct symbol *)code, frame);
		return result != NULL ? result : (fail(((struct symbol *)code)->name), NULL);
	}
	struct pair *form = (struct pair *)code;
	if (form->first != NULL && form->first->kind == SYMBOL &&
	    eval_special((struct symbol *)form->first, rest(form), frame, &result))
		return result;
	struct value *function = eval(form->first, frame);
	return apply(function, eval_all(rest(form), frame));
}

/* What the language can do. */

static struct value *add(struct pair *a)
{
	return number(as_number(first(a)) + as_number(first(rest(a))));
}

static struct value *subtract(struct pair *a)
{
	return number(as_number(first(a)) - as_number(first(rest(a))));
}

static struct value *less(struct pair *a)
{
	return number(as_number(first(a)) < as_number(first(rest(a))));
}

static struct value *cons(struct pair *a)
{
	return &pair(first(a), first(rest(a)))->is;
}

static struct value *car(struct pair *a)
{
	return as_pair(first(a))->first;
}

/* Makes a list circular: a plain store into an old object. */
static struct value *set_rest(struct pair *a)
{
	return as_pair(first(a))->rest = first(rest(a));
}

static struct value *open_port(struct pair *a)
{
	struct port *port = checked(neap_gc_alloc_data(sizeof *port));
	(void)a;
	*port = (struct port){{PORT}, checked(tmpfile())};
	if (neap_gc_finalizer(port, close_port, NULL) != NEAP_OK)
		fail("no memory");
	return &port->is;
}

/* The thread sleeps; collections need not wait for it, nor wake it. */
static struct value *sleep_ms(struct pair *a)
{
	struct timespec left = {0, (long)as_number(first(a)) * 1000000};
	neap_park();
	while (nanosleep(&left, &left) != 0)
		;
	neap_unpark();
	return first(a);
}

static void define_builtins(void)
{
	static const struct {
		const char *name;
		struct value *(*call)(struct pair *arguments);
	} builtins[] = {{"+", add},
			{"-", subtract},
			{"<", less},
			{"cons", cons},
			{"car", car},
			{"set-rest!", set_rest},
			{"open-port", open_port},
			{"sleep", sleep_ms}};
	for (size_t i = 0; i < sizeof builtins / sizeof *builtins; i++) {
		struct builtin *made = checked(neap_gc_alloc_data(sizeof *made));
		*made = (struct builtin){{BUILTIN}, builtins[i].call};
		symbol(builtins[i].name, strlen(builtins[i].name))->global = &made->is;
	}
}

static struct value *run(const char *text)
{
	struct value *result = NULL;
	while (text[strspn(text, " \n\t")] != '\0')
		result = eval(read_value(&text), NULL);
	return result;
}

/* The host: keeps a function of the script in its own memory and calls it later. */
struct event_source {
	struct neap_gc_handle *handler;
};

static const char script[] =
	"(define fib (lambda (n) (if (< n 2) n (+ (fib (- n 1)) (fib (- n 2))))))"
	"(define knots (lambda (n) (if (< n 1) 0 ((lambda (knot) (set-rest! knot knot) (knots (- n 1))) "
	"(cons n 0)))))"
	"(define ports (lambda (n) (if (< n 1) 0 ((lambda (port) (ports (- n 1))) (open-port)))))"
	"(define counter (lambda (n) (lambda () (set! n (+ n 1)))))"
	"(knots 2000)"
	"(ports 50)"
	"(sleep 5)"
	"(fib 23)";

static __attribute__((noinline)) long long run_script(struct event_source *events)
{
	long long result = as_number(run(script));
	events->handler = checked(neap_gc_handle_create(run("(counter 100)")));
	return result;
}

int main(void)
{
	if (neap_gc_start(&(struct neap_gc_options){.size = sizeof(struct neap_gc_options),
						    .memory_limit = 64 << 20}) != NEAP_OK)
		fail("no collector");
	struct event_source *events = checked(malloc(sizeof *events));
	define_builtins();
	long long fib = run_script(events), events_seen = 0;
	neap_gc_collect();
	neap_gc_finalizers_wait();
	for (int i = 0; i < 5; i++)
		events_seen = as_number(apply(neap_gc_handle_get(events->handler), NULL));
	struct neap_memstats stats = {.size = sizeof stats};
	if (neap_memstats(&stats) != NEAP_OK)
		return 1;
	printf("fib 23 = %lld; counter at %lld; %llu objects made, %llu left after %u collections; %u ports "
	       "closed\n",
	       fib, events_seen, (unsigned long long)stats.Mallocs, (unsigned long long)stats.HeapObjects,
	       stats.NumGC, ports_closed);
	neap_gc_handle_destroy(events->handler);
	free(events);
	return fib == 28657 && events_seen == 105 && stats.HeapObjects < 5000 && ports_closed >= 45 ? 0 : 1;
}
