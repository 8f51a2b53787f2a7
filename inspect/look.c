/* look.c: see look.h. */
#include "look.h"

#include "linked_process.h"

int look_make(const char *name, const struct inspection_wish *wish, struct look *ret, struct problem *problem)
{
	*ret = (struct look){0};
	if (snapshot_is(name)) {
		ret->snapshot = snapshot_open(name, problem);
		return ret->snapshot == NULL ? -1 : 0;
	}
	ret->inspection = inspection_make(name, wish, problem);
	if (ret->inspection != NULL)
		return 0;
	if (problem->kind != PROBLEM_INPUT)
		return -1;
	/* no Go program, or no core: the second look tells which */
	struct problem second = {0};
	ret->snapshot = linked_snapshot(name, wish, &second);
	if (ret->snapshot == NULL)
		*problem = second;
	return ret->snapshot == NULL ? -1 : 0;
}

const struct snapshot *look_snapshot(struct look *look)
{
	if (look->snapshot == NULL)
		look->snapshot = snapshot_of(look->inspection);
	return look->snapshot;
}

void look_free(struct look *look)
{
	inspection_free(look->inspection);
	snapshot_close(look->snapshot);
}
