/* go.c: Go's map, measured by a program of its own (go/main.go) that prints what our children print. */
#include "../peer.h"

static const struct peer go_maps[SHAPES] = {
	{.name = "Go", .about = BENCH_GO_VERSION, .shape = SHAPE_U64, .rank = 30, .program = "peer_go"},
	{.name = "Go", .about = BENCH_GO_VERSION, .shape = SHAPE_BIG, .rank = 30, .program = "peer_go"},
	{.name = "Go", .about = BENCH_GO_VERSION, .shape = SHAPE_STR, .rank = 30, .program = "peer_go"},
};

__attribute__((constructor)) static void register_go(void)
{
	for (int shape = 0; shape < SHAPES; shape++)
		bench_register(&go_maps[shape]);
}
