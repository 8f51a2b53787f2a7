/* board.c: see board.h. */
#include "board.h"

#include <stdlib.h>

/* A peer with a rank below this is ours, one from FLOOR_RANK on is no map. */
enum { PEER_RANK_FIRST = 0, FLOOR_RANK = 100 };

/* A loss of more than this is marked twice: the project's own limit (DESIGN's targets). */
#define LOSS_LIMIT 1.25

const char *const shape_names[SHAPES] = {"u64 to u64", "u64 to 56 bytes", "string to u64"};

struct figure {
	const struct peer *peer;
	const char *cell;
	double values[ROUNDS_MAX];
	int count;
};

static struct figure figures[1024];
static size_t figure_count;

static struct figure *find_figure(const struct peer *peer, const char *cell)
{
	for (size_t i = 0; i < figure_count; i++)
		if (figures[i].peer == peer && strcmp(figures[i].cell, cell) == 0)
			return &figures[i];
	return NULL;
}

void board_add(const struct peer *peer, const char *cell, double value)
{
	struct figure *figure = find_figure(peer, cell);
	if (!figure) {
		if (figure_count == sizeof figures / sizeof *figures)
			return;
		figure = &figures[figure_count++];
		*figure = (struct figure){.peer = peer, .cell = cell};
	}
	if (figure->count < ROUNDS_MAX)
		figure->values[figure->count++] = value;
}

static int compare_doubles(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;
	return (x > y) - (x < y);
}

double board_value(const struct peer *peer, const struct cell *cell)
{
	const struct figure *figure = find_figure(peer, cell->name);
	if (!figure)
		return -1;
	double sorted[ROUNDS_MAX];
	memcpy(sorted, figure->values, sizeof sorted);
	qsort(sorted, (size_t)figure->count, sizeof *sorted, compare_doubles);
	return sorted[cell->summary == BENCH_MOST ? figure->count - 1 : figure->count / 2];
}

void board_clear(void)
{
	figure_count = 0;
}

/* Three significant digits where that fits into eight columns. */
static void print_number(double value)
{
	if (value < 0)
		printf("%10s", "-");
	else
		printf("%10.*f", value < 10 ? 2 : value < 100 ? 1 : 0, value);
}

static const struct peer *best_peer(const struct peer *const *peers, size_t count, const struct cell *cell)
{
	const struct peer *best = NULL;
	for (size_t i = 0; i < count; i++) {
		if (peers[i]->rank < PEER_RANK_FIRST || peers[i]->rank >= FLOOR_RANK)
			continue;
		double value = board_value(peers[i], cell);
		if (value >= 0 && (!best || value < board_value(best, cell)))
			best = peers[i];
	}
	return best;
}

static void print_ratios(const struct question *question, const struct peer *const *peers, size_t count)
{
	printf("%-14s", "best peer");
	for (int i = 0; i < question->cell_count; i++) {
		const struct peer *best = best_peer(peers, count, &question->cells[i]);
		printf("%10.9s", best ? best->name : "-");
	}
	putchar('\n');
	for (size_t p = 0; p < count; p++) {
		if (peers[p]->rank >= PEER_RANK_FIRST)
			continue;
		char label[32];
		snprintf(label, sizeof label, "%s/best", peers[p]->name);
		printf("%-14s", label);
		for (int i = 0; i < question->cell_count; i++) {
			const struct peer *best = best_peer(peers, count, &question->cells[i]);
			double value = board_value(peers[p], &question->cells[i]);
			if (!best || value < 0) {
				printf("%10s", "-");
				continue;
			}
			double ratio = value / board_value(best, &question->cells[i]);
			printf("%8.2f%-2s", ratio, ratio > LOSS_LIMIT ? "!!" : ratio > 1 ? "!" : "");
		}
		putchar('\n');
	}
}

void board_print(const struct question *question, const struct bench_options *options,
		 const struct workload *work, const struct peer *const *peers, size_t count)
{
	printf("\n%s, %zu entries; %s; median of %d round%s\n%-14s", shape_names[work->shape], work->n,
	       question->unit, options->rounds, options->rounds == 1 ? "" : "s", "");
	for (int i = 0; i < question->cell_count; i++)
		printf("%10s", question->cells[i].name);
	putchar('\n');
	for (size_t p = 0; p < count; p++) {
		printf("%-14s", peers[p]->name);
		for (int i = 0; i < question->cell_count; i++)
			print_number(board_value(peers[p], &question->cells[i]));
		putchar('\n');
	}
	if (question->ratios)
		print_ratios(question, peers, count);
	fflush(stdout);
}

void board_print_json(const struct question *question, const struct workload *work,
		      const struct peer *const *peers, size_t count, bool first)
{
	for (size_t p = 0; p < count; p++) {
		for (int i = 0; i < question->cell_count; i++) {
			const struct figure *figure = find_figure(peers[p], question->cells[i].name);
			if (!figure)
				continue;
			printf("%s\n{\"shape\":\"%s\",\"entries\":%zu,\"peer\":\"%s\",\"cell\":\"%s\","
			       "\"value\":%.4f,"
			       "\"rounds\":[",
			       first ? "" : ",", shape_names[work->shape], work->n, peers[p]->name,
			       figure->cell, board_value(peers[p], &question->cells[i]));
			first = false;
			for (int r = 0; r < figure->count; r++)
				printf("%s%.4f", r ? "," : "", figure->values[r]);
			printf("]}");
		}
	}
}
