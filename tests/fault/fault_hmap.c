/* fault_hmap.c: the classic map when memory is refused, at every place where it asks for some.
 *
 * The first allocation fails, then the second, and so on until a whole run needs no more of them; once with that
 * single failure, once with every later one failing too for a while. Each time the entries must be as they were,
 * the structure sound, and the run must end well when memory is there again.
 */
#include "hmap_model.h"

/* Commands of a run: enough for several growths. Kinds with blocks allocate at every insert; a third of the
 * commands meets each place of theirs just as well, and the loop is quadratic.
 */
enum { COMMANDS = 700, COMMANDS_BLOCKS = 240, DROUGHT = 60 };

static struct hmap_model model;

/* One run; false when it did not get as far as the allocation that should fail. */
static bool run(const struct hmap_kind *kind, size_t fail_at, bool fail_on, bool weak)
{
	hmap_model_init(&model, kind, 4711, fail_on ? NEAP_HMAP_GO_1_19 : NEAP_HMAP_GO_1_22, 400, weak);
	model.check_every = 50;
	model.memory.fail_at = fail_at;
	model.memory.fail_on = fail_on;
	size_t drought = DROUGHT;
	bool blocks =
		kind->type.key_size > NEAP_HMAP_INLINE_MAX || kind->type.value_size > NEAP_HMAP_INLINE_MAX;
	for (size_t i = 0; i < (blocks ? COMMANDS_BLOCKS : COMMANDS); i++) {
		hmap_model_step(&model);
		if (model.memory.refused > 0 && drought > 0 && --drought == 0)
			model.memory.fail_at = 0;
	}
	bool reached = model.memory.refused > 0;
	model.memory.fail_at = 0;
	hmap_model_deinit(&model);
	return reached;
}

int main(void)
{
	for (size_t k = 0; k < HMAP_KINDS; k++) {
		size_t runs = 0;
		for (unsigned mode = 0; mode < 4; mode++) {
			for (size_t fail_at = 1; run(&hmap_kinds[k], fail_at, mode % 2 != 0, mode / 2 != 0);
			     fail_at++)
				runs++;
		}
		printf("%-10s %zu refusals\n", hmap_kinds[k].name, runs);
	}
	hmap_kinds_free_texts();
	return 0;
}
