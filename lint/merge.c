/* merge.c: two states that reach the same block become one when no rule could tell them apart. */
#include "engine.h"

#include <stdlib.h>
#include <string.h>

/* Nothing that a rule looks at has happened to the thing. */
static bool is_plain(struct state *state, uint32_t thing)
{
	const struct trait *trait = lint_trait_find(state, thing);
	return trait == NULL || (trait->life == LIFE_LIVE && !trait->owned && trait->iterates == 0);
}

static bool names_thing(const struct value *value)
{
	return value->kind == VALUE_ADDRESS;
}

static bool null_must_agree(const struct engine *engine, uint32_t thing)
{
	uint8_t kind = engine->things[thing].kind;
	return kind == THING_NEW || kind == THING_BORROWED;
}

static bool same_trait(const struct engine *engine, const struct trait *a, const struct trait *b, bool loose)
{
	if (a->life != b->life || a->owned != b->owned || a->iterates != b->iterates ||
	    a->change != b->change || a->scans != b->scans || a->strict != b->strict ||
	    a->no_reset != b->no_reset)
		return false;
	return a->null == b->null || (!null_must_agree(engine, a->thing) &&
				      (loose || a->null != NULLNESS_NULL || b->null != NULLNESS_NOT));
}

static bool traits_agree(const struct engine *engine, const struct state *a, const struct state *b,
			 bool loose)
{
	size_t i = 0, j = 0;
	while (i < a->n_traits || j < b->n_traits) {
		uint32_t x = i < a->n_traits ? a->traits[i].thing : UINT32_MAX;
		uint32_t y = j < b->n_traits ? b->traits[j].thing : UINT32_MAX;
		struct trait none = {.thing = x < y ? x : y};
		const struct trait *s = x <= y ? &a->traits[i] : &none, *t = y <= x ? &b->traits[j] : &none;
		if (!same_trait(engine, s, t, loose))
			return false;
		i += x <= y;
		j += y <= x;
	}
	return true;
}

/* Two different values of one place: can the place be left unknown? */
static bool may_forget(struct state *s, struct state *t, const struct value *a, const struct value *b,
		       bool loose)
{
	if (names_thing(a) && !is_plain(s, a->id))
		return false;
	if (names_thing(b) && !is_plain(t, b->id))
		return false;
	if (loose)
		return true;
	bool null_against_address =
		(names_thing(a) && b->kind == VALUE_NUMBER) || (names_thing(b) && a->kind == VALUE_NUMBER);
	return !null_against_address;
}

static bool same_thing(const struct value *a, const struct value *b)
{
	return names_thing(a) && names_thing(b) && a->id == b->id;
}

/* The address of a local, kept where it may outlive its function: a rule asks for it at the return. */
static bool holds_local(const struct engine *engine, uint32_t holder, const struct value *value)
{
	return names_thing(value) && engine->things[value->id].kind == THING_LOCAL &&
	       engine->things[holder].kind != THING_LOCAL;
}

/* Which cell comes first: below, at, or above 0. */
static int compare_places(const struct cell *a, const struct cell *b)
{
	if (a->thing != b->thing)
		return a->thing < b->thing ? -1 : 1;
	return (a->offset > b->offset) - (a->offset < b->offset);
}

static bool cells_agree(const struct engine *engine, struct state *s, struct state *t, bool loose)
{
	const struct value nothing = {0};
	size_t i = 0, j = 0;
	while (i < s->n_cells || j < t->n_cells) {
		const struct cell *a = i < s->n_cells ? &s->cells[i] : NULL,
				  *b = j < t->n_cells ? &t->cells[j] : NULL;
		int order = a == NULL ? 1 : b == NULL ? -1 : compare_places(a, b);
		bool first = order <= 0, second = order >= 0;
		const struct value *x = first ? &a->value : &nothing, *y = second ? &b->value : &nothing;
		if (!same_value(x, y) && !same_thing(x, y) &&
		    (!may_forget(s, t, x, y, loose) ||
		     holds_local(engine, first ? a->thing : b->thing, first ? x : y)))
			return false;
		i += first;
		j += second;
	}
	return true;
}

static void merge_cells(struct state *into, const struct state *from)
{
	size_t kept = 0, j = 0;
	for (size_t i = 0; i < into->n_cells; i++) {
		struct cell *cell = &into->cells[i];
		int order = 1;
		while (j < from->n_cells && (order = compare_places(&from->cells[j], cell)) < 0)
			j++;
		if (j == from->n_cells || order != 0)
			continue;
		const struct value *other = &from->cells[j].value;
		if (!same_value(&cell->value, other)) {
			if (!same_thing(&cell->value, other))
				continue;
			cell->value.number = OFFSET_ANY;
		}
		if (kept != i)
			into->cells[kept] = *cell;
		kept++;
	}
	into->n_cells = kept;
	into->stamp = into->stamp > from->stamp ? into->stamp : from->stamp;
}

static void merge_traits(struct state *into, struct state *from)
{
	for (size_t i = 0, j = 0; i < from->n_traits; i++) {
		while (j < into->n_traits && into->traits[j].thing < from->traits[i].thing)
			j++;
		if (j == into->n_traits || into->traits[j].thing != from->traits[i].thing)
			lint_trait(into, from->traits[i].thing);
	}
	for (size_t i = 0, j = 0; i < into->n_traits; i++) {
		struct trait *trait = &into->traits[i];
		while (j < from->n_traits && from->traits[j].thing < trait->thing)
			j++;
		bool found = j < from->n_traits && from->traits[j].thing == trait->thing;
		const struct trait *other = found ? &from->traits[j] : NULL;
		if (other == NULL || other->null != trait->null)
			trait->null = NULLNESS_UNKNOWN;
		trait->escaped |= other != NULL && other->escaped;
		trait->handed = other != NULL && other->handed != 0 ? other->handed : trait->handed;
		trait->read |= other != NULL && other->read;
		trait->always_read &= other != NULL && other->always_read;
		trait->checked |= other != NULL && other->checked;
		trait->tested |= other != NULL && other->tested;
		if (other != NULL && other->barriered != 0)
			trait->barriered = other->barriered;
	}
}

static void merge_facts(struct state *into, const struct state *from)
{
	size_t kept = 0, j = 0;
	for (size_t i = 0; i < into->n_facts; i++) {
		struct fact fact = into->facts[i];
		while (j < from->n_facts && from->facts[j].symbol < fact.symbol)
			j++;
		if (j == from->n_facts || from->facts[j].symbol != fact.symbol)
			continue;
		const struct fact *other = &from->facts[j];
		fact.low = fact.low < other->low ? fact.low : other->low;
		fact.high = fact.high > other->high ? fact.high : other->high;
		fact.has_except &= other->has_except && other->except == fact.except;
		into->facts[kept++] = fact;
	}
	into->n_facts = kept;
}

/* The entry of `state` like `like`, from index `*at` on, which moves up: both lists are sorted. */
static const struct kept *kept_find(const struct state *state, const struct kept *like, size_t *at)
{
	while (*at < state->n_kept &&
	       (state->kept[*at].depth < like->depth ||
		(state->kept[*at].depth == like->depth && state->kept[*at].insn < like->insn)))
		++*at;
	bool found = *at < state->n_kept && state->kept[*at].depth == like->depth &&
		     state->kept[*at].insn == like->insn;
	return found ? &state->kept[*at] : NULL;
}

static bool kept_agree(struct state *s, struct state *t, bool loose)
{
	size_t at = 0;
	for (size_t i = 0; i < s->n_kept; i++) {
		const struct kept *other = kept_find(t, &s->kept[i], &at);
		if (other != NULL && !same_value(&other->value, &s->kept[i].value) &&
		    !may_forget(s, t, &s->kept[i].value, &other->value, loose))
			return false;
	}
	return true;
}

static void merge_kept(struct state *into, const struct state *from)
{
	size_t at = 0;
	for (size_t i = 0; i < into->n_kept; i++) {
		const struct kept *other = kept_find(from, &into->kept[i], &at);
		if (other != NULL && same_value(&other->value, &into->kept[i].value))
			continue;
		if (other != NULL && same_thing(&other->value, &into->kept[i].value))
			into->kept[i].value.number = OFFSET_ANY;
		else
			into->kept[i].value = (struct value){0};
	}
}

static bool loops_agree(const struct state *s, const struct state *t)
{
	for (size_t i = 0; i < s->n_loops; i++)
		for (size_t j = 0; j < t->n_loops; j++)
			if (s->loops[i].block == t->loops[j].block &&
			    s->loops[i].depth == t->loops[j].depth && s->loops[i].count != t->loops[j].count)
				return false;
	return true;
}

static bool same_kept(const struct state *s, const struct state *t)
{
	size_t at = 0;
	for (size_t i = 0; i < s->n_kept; i++) {
		const struct kept *other = kept_find(t, &s->kept[i], &at);
		if (other == NULL || !same_value(&other->value, &s->kept[i].value))
			return false;
	}
	return s->n_kept == t->n_kept;
}

static bool same_cells(const struct state *s, const struct state *t)
{
	bool same = s->n_cells == t->n_cells;
	for (size_t i = 0; same && i < s->n_cells; i++)
		same = compare_places(&s->cells[i], &t->cells[i]) == 0 &&
		       same_value(&s->cells[i].value, &t->cells[i].value);
	return same;
}

/* A pointer that is NULL in `from` and is not in `into` is the outcome of a test after which both ways go on. When they differ
 * in nothing else, the test is forgotten; otherwise what it has to do with the rest would be lost.
 */
static bool may_forget_test(const struct state *into, const struct state *from)
{
	uint32_t opposite = 0, differ = 0;
	for (size_t i = 0, j = 0; i < into->n_traits || j < from->n_traits;) {
		uint32_t x = i < into->n_traits ? into->traits[i].thing : UINT32_MAX;
		uint32_t y = j < from->n_traits ? from->traits[j].thing : UINT32_MAX;
		uint8_t a = x <= y ? into->traits[i].null : NULLNESS_UNKNOWN,
			b = y <= x ? from->traits[j].null : NULLNESS_UNKNOWN;
		opposite += a == NULLNESS_NOT && b == NULLNESS_NULL;
		differ += a != b;
		i += x <= y;
		j += y <= x;
	}
	return opposite == 0 || (differ == 1 && same_cells(into, from) && same_kept(into, from));
}

bool lint_merge(struct engine *engine, struct state *into, const struct state *from_const, bool loose)
{
	struct state *from = (struct state *)from_const; /* looked up in, not changed */
	if (!traits_agree(engine, into, from, loose) || !cells_agree(engine, into, from, loose) ||
	    !kept_agree(into, from, loose) ||
	    (!loose && (!loops_agree(into, from) || !may_forget_test(into, from))))
		return false;
	merge_cells(into, from);
	merge_traits(into, from);
	merge_facts(into, from);
	merge_kept(into, from);
	into->forks = into->forks > from->forks ? into->forks : from->forks;
	into->locks = into->locks < from->locks ? into->locks : from->locks;
	into->merged = true;
	into->tried |= from->tried;
	into->iterated |= from->iterated;
	for (size_t i = 0; i < into->n_loops; i++)
		for (size_t j = 0; j < from->n_loops; j++)
			if (into->loops[i].block == from->loops[j].block &&
			    into->loops[i].depth == from->loops[j].depth &&
			    into->loops[i].count < from->loops[j].count)
				into->loops[i].count = from->loops[j].count;
	return true;
}
