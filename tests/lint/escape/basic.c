/* Addresses of locals and parameters: to globals, through variables, through loops and branches. */
/* Expectations stand at the ends of lines. */
// clang-format off
int *keep, **keep2, ***keep3;
void *any;

void local_to_global(void)
{
	int i = 0; // want "i escapes to heap: DANGLING"
	keep = &i;
}
void through_one_variable(void)
{
	int i = 0; // want "i escapes to heap: DANGLING"
	int *p = &i;
	keep = p;
}
void through_three_variables(void)
{
	int i = 0; // want "i escapes to heap: DANGLING"
	int *p = &i, *q = p, *r = q;
	keep = r;
}
void stays(void)
{
	int i = 0; // want "i does not escape"
	int *p = &i;
	*p = 1;
}
void address_of_address(void)
{
	int i = 0; // want "i escapes to heap: DANGLING"
	int *p = &i; // want "p escapes to heap: DANGLING"
	keep2 = &p;
}
void content_of_address(void)
{
	int i = 0; // want "i escapes to heap: DANGLING"
	int *p = &i; // want "p does not escape"
	int **q = &p;
	keep = *q;
}
void twice_removed(void)
{
	int i = 0; // want "i escapes to heap: DANGLING"
	int *p = &i; // want "p does not escape"
	int **q = &p; // want "q does not escape"
	int ***r = &q;
	keep = **r;
}
void twice_removed_one_kept(void)
{
	int i = 0; // want "i escapes to heap: DANGLING"
	int *p = &i; // want "p escapes to heap: DANGLING"
	int **q = &p; // want "q does not escape"
	int ***r = &q;
	keep2 = *r;
}
void param_address(int x) // want "x escapes to heap: DANGLING"
{
	keep = &x;
}
void param_value(int *p) // want "leaking param: p"
{
	keep = p;
}
void param_content(int **p) // want "leaking param content: p"
{
	keep = *p;
}
void param_content_twice(int ***p) // want "leaking param content: p"
{
	keep = **p;
}
void param_address_of_pointer(int *p) // want "leaking param: p" "p escapes to heap: DANGLING"
{
	keep2 = &p;
}
void param_unused(int *p) // want "p does not escape"
{
	(void)p;
}
void param_read(int *p, int *q) // want "p does not escape" "q does not escape"
{
	*p = *q;
}
int number_out(int *p) // want "p does not escape"
{
	return *p;
}
void in_loop(int n)
{
	for (int i = 0; i < n; i++) {
		int x = i; // want "x escapes to heap: DANGLING"
		keep = &x;
	}
}
void in_branch(int c)
{
	int a = 0, b = 0; // want "a escapes to heap: DANGLING" "b escapes to heap: DANGLING"
	int *p;
	if (c)
		p = &a;
	else
		p = &b;
	keep = p;
}
void by_choice(int c)
{
	int a = 0, b = 0; // want "a escapes to heap: DANGLING" "b escapes to heap: DANGLING"
	keep = c ? &a : &b;
}
void only_one_arm(int c)
{
	int a = 0, b = 0; // want "a does not escape" "b escapes to heap: DANGLING"
	int *p = &a;
	if (c)
		keep = &b;
	*p = 1;
}
void by_switch(int c)
{
	int a = 0, b = 0, d = 0; // want "a escapes to heap: DANGLING" "b escapes to heap: DANGLING"
	int *p = 0;
	switch (c) {
	case 1: p = &a; break;
	case 2: p = &b; break;
	default: d = *&d; break;
	}
	keep = p;
}
void with_goto(int n)
{
	int x = 0; // want "x escapes to heap: DANGLING"
again:
	keep = &x;
	if (n-- > 0)
		goto again;
}
void overwritten_first(void)
{
	int a = 0, b = 0; // want "a escapes to heap: DANGLING" "b escapes to heap: DANGLING"
	int *p = &a;
	p = &b;
	keep = p;
}
void via_void(void)
{
	int i = 0; // want "i escapes to heap: DANGLING"
	void *p = &i;
	any = p;
}
void via_integer(void)
{
	int i = 0; // want "i escapes to heap: DANGLING"
	unsigned long bits = (unsigned long)&i;
	any = (void *)bits;
}
void via_integer_sum(void)
{
	int i[4]; // want "i escapes to heap: DANGLING"
	unsigned long bits = (unsigned long)i + 8;
	any = (void *)bits;
}
void swap_pointers(int **a, int **b) // want "leaking param content: a stored into *b" "leaking param content: b stored into *a"
{
	int *t = *a;
	*a = *b;
	*b = t;
}
void static_local(void)
{
	static int kept;
	keep = &kept;
}
int *static_result(void)
{
	static int kept;
	return &kept;
}
void self_pointer(void)
{
	void *self; // want "self does not escape"
	self = &self;
	(void)self;
}
void self_pointer_kept(void)
{
	void *self; // want "self escapes to heap: DANGLING"
	self = &self;
	any = self;
}
void two_stars(int **p) // want "p does not escape"
{
	int x = 0; // want "x stored into *p: DANGLING"
	*p = &x;
}
void three_stars(int ***p) // want "p does not escape"
{
	int x = 0; // want "x stored into *p: DANGLING"
	**p = &x;
}
void local_holds_local(void)
{
	int x = 0; // want "x does not escape"
	int *p = 0; // want "p does not escape"
	int **q = &p;
	*q = &x;
}
void local_holder_kept(void)
{
	int x = 0; // want "x escapes to heap: DANGLING"
	int *p = 0; // want "p does not escape"
	int **q = &p;
	*q = &x;
	keep = p;
}
