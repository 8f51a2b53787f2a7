/* Objects that calls make: who owns them, and what they hold. */
/* Expectations stand at the ends of lines. */
// clang-format off
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct buffer { char *bytes; size_t len; struct buffer *parent; };
struct buffer *global_buffer;
char *global_text;

void made_and_freed(void)
{
	char *p = malloc(8); // want "malloc(...) does not escape"
	free(p);
}
void made_and_kept(void)
{
	global_text = malloc(8); // want "malloc(...) escapes to heap"
}
char *made_and_returned(void)
{
	return malloc(8); // want "malloc(...) escapes to result"
}
void made_and_given(char **ret) // want "ret does not escape"
{
	*ret = malloc(8); // want "malloc(...) stored into *ret"
}
struct buffer *make(size_t n)
{
	struct buffer *b = calloc(1, sizeof *b); // want "calloc(...) escapes to result"
	if (!b)
		return 0;
	b->bytes = malloc(n); // want "malloc(...) escapes to result"
	return b;
}
void unmake(struct buffer *b) // want "b does not escape"
{
	free(b->bytes);
	free(b);
}
void use(void)
{
	struct buffer *b = make(10); // want "make(...) does not escape"
	if (b)
		unmake(b);
}
struct buffer *wrap(char *bytes) // want "leaking param: bytes to result level=0"
{
	struct buffer *b = malloc(sizeof *b); // want "malloc(...) escapes to result"
	if (b)
		b->bytes = bytes;
	return b;
}
void wrap_local(void)
{
	char text[4] = "abc"; // want "text does not escape"
	struct buffer *b = wrap(text); // want "wrap(...) does not escape"
	free(b);
}
void wrap_local_kept(void)
{
	char text[4] = "abc"; // want "text escapes to heap: DANGLING"
	global_buffer = wrap(text); // want "wrap(...) escapes to heap"
}
struct buffer *wrap_local_returned(void)
{
	char text[4] = "abc"; // want "text escapes to result: DANGLING"
	return wrap(text); // want "wrap(...) escapes to result"
}
struct buffer *chain(struct buffer *parent) // want "leaking param: parent to result level=0"
{
	struct buffer *b = make(1); // want "make(...) escapes to result"
	if (b)
		b->parent = parent;
	return b;
}
void chain_kept(struct buffer *parent) // want "leaking param: parent"
{
	global_buffer = chain(parent); // want "chain(...) escapes to heap"
}
void fill_text(struct buffer *b, const char *text) // want "b does not escape" "text does not escape"
{
	strcpy(b->bytes, text);
}
void adopt(struct buffer *b, char *text) // want "b does not escape" "leaking param: text stored into *b"
{
	b->bytes = text;
}
void adopt_copy(struct buffer *b, const char *text) // want "b does not escape" "text does not escape"
{
	b->bytes = strdup(text); // want "strdup(...) stored into *b"
}
void adopt_literal(struct buffer *b) // want "b does not escape"
{
	b->bytes = "abc";
}
void adopt_local(struct buffer *b) // want "b does not escape"
{
	char text[4] = "abc"; // want "text stored into *b: DANGLING"
	adopt(b, text);
}
void grow(struct buffer *b, size_t n) // want "b does not escape"
{
	char *larger = realloc(b->bytes, n); // want "realloc(...) stored into *b"
	if (larger)
		b->bytes = larger;
}
char *steal(struct buffer *b) // want "leaking param: b to result level=1"
{
	char *bytes = b->bytes;
	b->bytes = 0;
	return bytes;
}
void move(struct buffer *to, struct buffer *from) // want "leaking param content: from stored into *to" "to does not escape"
{
	to->bytes = steal(from);
}
void open_and_close(const char *name) // want "name does not escape"
{
	FILE *f = fopen(name, "r"); // want "fopen(...) does not escape"
	if (f)
		fclose(f);
}
FILE *open_it(const char *name) // want "name does not escape"
{
	return fopen(name, "r"); // want "fopen(...) escapes to result"
}
int stack_buffer(void)
{
	struct buffer b = {0}; // want "b does not escape"
	char text[4] = "abc"; // want "text does not escape"
	b.bytes = text;
	fill_text(&b, "x");
	return b.bytes[0];
}
struct buffer stack_buffer_out(char *text) // want "leaking param: text to result level=0"
{
	struct buffer b = {0};
	b.bytes = text;
	return b;
}
struct buffer stack_buffer_dangles(void)
{
	struct buffer b = {0};
	char text[4] = "abc"; // want "text escapes to result: DANGLING"
	b.bytes = text;
	return b;
}
void two_owners(struct buffer *a, struct buffer *b) // want "a does not escape" "b does not escape"
{
	a->bytes = b->bytes = malloc(4); // want "malloc(...) stored into *a"
}
void array_of_objects(struct buffer **ret, int n) // want "ret does not escape"
{
	for (int i = 0; i < n; i++)
		ret[i] = make(1); // want "make(...) stored into *ret"
}
