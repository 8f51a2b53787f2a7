/* top.c: `neap top`: the memory of a running program, once a second.
 *
 * With a debug endpoint: the parts and the largest maps. Without one: what the kernel tells of any process. On a
 * terminal one screen that is drawn over, otherwise a line for each second.
 */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <jansson.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include "command.h"
#include "lab/lab.h"
#include "observe_tool.h"

static const char help[] = "usage: neap top PID|ADDRESS [-n COUNT] [--every SECONDS]\n"
			   "\n"
			   "Shows where the memory of a running program is, once a second, until q is typed "
			   "or the program ends. A program\n"
			   "that serves Neap's debug endpoint shows its parts and its largest maps; any "
			   "other what the kernel tells.\n"
			   "\n"
			   "  -n COUNT          end after so many looks\n"
			   "  --every SECONDS   between two looks, 1 to 3600\n";

enum { TOP_MAPS = 15, BAR_CELLS = 60 };

struct top {
	struct endpoint endpoint; /* its address is empty: none */
	pid_t pid;
	bool screen; /* standard output is a terminal */
};

static volatile sig_atomic_t top_over;

static void end_top(int signal)
{
	(void)signal;
	top_over = 1;
}

static void draw_bar(const double *parts, double whole)
{
	static const char fill[] = "#x.~-";
	int cells = 0;
	putchar(' ');
	for (int part = 0; part < PARTS; part++)
		for (int n = (int)(parts[part] / whole * BAR_CELLS + 0.5); n > 0 && cells < BAR_CELLS;
		     n--, cells++)
			putchar(fill[part]);
	printf("\n  # live %s MB  x tombstone %s  . empty %s  ~ free, held %s  - other %s\n",
	       megabytes(parts[PART_LIVE]), megabytes(parts[PART_TOMBSTONE]), megabytes(parts[PART_EMPTY]),
	       megabytes(parts[PART_FREE_HELD]), megabytes(parts[PART_OTHER]));
}

static void draw_maps(const json_t *maps)
{
	const json_t *shown = json_object_get(maps, "shown");
	printf("\n  %-28s%-6s%12s%12s%10s%10s%10s\n", "MAP", "KIND", "ENTRIES", "SLOTS", "TOMB", "EMPTY",
	       "MB");
	for (size_t i = 0; i < json_array_size(shown) && i < TOP_MAPS; i++) {
		const json_t *map = json_array_get(shown, i);
		const char *name = json_string_value(json_object_get(map, "name"));
		double slots = json_number_value(json_object_get(map, "slots"));
		double tombs = json_number_value(json_object_get(map, "tombstone_slots"));
		double len = json_number_value(json_object_get(map, "len"));
		printf("  ");
		for (int at = 0, done = 0; at < 27; at++) { /* a name may hold anything */
			done |= name == NULL || name[at] == '\0';
			putchar(done ? ' ' : (unsigned char)name[at] < 0x20 ? '?' : name[at]);
		}
		printf(" %-6s%12.0f%12.0f%10.0f%10.0f%10s\n", json_string_value(json_object_get(map, "kind")),
		       len, slots, tombs, slots - len - tombs,
		       megabytes(json_number_value(json_object_get(map, "total"))));
	}
	json_int_t more = json_integer_value(json_object_get(maps, "maps")) - TOP_MAPS;
	if (more > 0)
		printf("  and %" JSON_INTEGER_FORMAT " more\n", more);
}

static json_t *ask_json(const struct endpoint *endpoint, const char *path)
{
	char error[ENDPOINT_ERROR];
	struct text body = {0};
	json_t *root = NULL;
	if (endpoint_ask(endpoint, "GET", path, NULL, 10, &body, error) == 200)
		root = json_loadb(body.at, body.len, 0, NULL);
	text_free(&body);
	return root;
}

/* False: no answer any more. */
static bool look_at_endpoint(const struct top *top)
{
	static const char *const names[PARTS] = {"live", "tombstone", "empty", "free_held", "other"};
	json_t *account = ask_json(&top->endpoint, "/debug/account");
	json_t *maps = top->screen ? ask_json(&top->endpoint, "/debug/maps") : NULL;
	if (account == NULL || (top->screen && maps == NULL)) {
		json_decref(account);
		json_decref(maps);
		return false;
	}
	double parts[PARTS], rss = json_number_value(json_object_get(account, "rss"));
	for (int part = 0; part < PARTS; part++)
		parts[part] = json_number_value(json_object_get(account, names[part]));
	double unexplained = json_number_value(json_object_get(account, "unexplained"));
	if (top->screen) {
		printf("\033[H\033[2J%s   resident %s MB   unexplained %s MB   q ends\n\n",
		       top->endpoint.address, megabytes(rss), megabytes(unexplained));
		draw_bar(parts, rss);
		draw_maps(maps);
	} else {
		printf("rss %s live %s tombstone %s empty %s free_held %s other %s", megabytes(rss),
		       megabytes(parts[0]), megabytes(parts[1]), megabytes(parts[2]), megabytes(parts[3]),
		       megabytes(parts[4]));
		printf(" unexplained %s MB\n", megabytes(unexplained));
	}
	json_decref(account);
	json_decref(maps);
	return true;
}

static bool look_at_process(const struct top *top)
{
	struct process_memory memory;
	if (process_memory_read(top->pid, &memory) != 0)
		return false;
	if (top->screen)
		printf("\033[H\033[2J");
	printf("%s rss %s anonymous %s file %s swap %s MB\n", memory.name, megabytes((double)memory.rss),
	       megabytes((double)memory.anonymous), megabytes((double)memory.file),
	       megabytes((double)memory.swap));
	if (top->screen)
		printf("\nThe parts need a debug endpoint in the program (neap/http.h). q ends.\n");
	return true;
}

/* Sleeps; true when q was typed. */
static bool wait_for_q(unsigned seconds, bool screen)
{
	struct pollfd input = {.fd = screen ? 0 : -1, .events = POLLIN};
	char typed = 0;
	return poll(&input, 1, (int)seconds * 1000) > 0 && read(0, &typed, 1) == 1 && typed == 'q';
}

static int top_loop(const struct top *top, unsigned long long count, unsigned seconds)
{
	struct termios before;
	bool raw = top->screen && tcgetattr(0, &before) == 0;
	if (raw) {
		struct termios quiet = before;
		quiet.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
		tcsetattr(0, TCSANOW, &quiet);
	}
	int code = EXIT_CLEAN;
	for (unsigned long long i = 0; (count == 0 || i < count) && !top_over; i++) {
		if (i > 0 && wait_for_q(seconds, top->screen))
			break;
		if (!(top->endpoint.address[0] != '\0' ? look_at_endpoint(top) : look_at_process(top))) {
			fprintf(stderr, "neap top: the program has ended or does not answer\n");
			code = i == 0 ? EXIT_NO_TARGET : EXIT_CLEAN;
			break;
		}
		fflush(stdout);
	}
	if (raw)
		tcsetattr(0, TCSANOW, &before);
	return lab_flush("top", code);
}

int run_top(int argc, char **argv)
{
	static const struct option options[] = {{"every", required_argument, NULL, 'e'},
						{"help", no_argument, NULL, 'h'},
						{NULL, 0, NULL, 0}};
	unsigned long long count = 0, seconds = 1;
	optind = 1;
	for (int option; (option = getopt_long(argc, argv, "hn:", options, NULL)) != -1;) {
		switch (option) {
		case 'h': fputs(help, stdout); return EXIT_CLEAN;
		case 'n':
			if (!parse_count(optarg, 1, 1000000, &count))
				return usage_error("top", "-n %s: a number from 1 to 1000000 is needed",
						   optarg);
			break;
		case 'e':
			if (!parse_count(optarg, 1, 3600, &seconds))
				return usage_error("top", "--every %s: a number from 1 to 3600 is needed",
						   optarg);
			break;
		default: return EXIT_USAGE;
		}
	}
	if (argc - optind != 1)
		return usage_error("top", "name one process id or address");
	struct top top = {.screen = isatty(1)};
	struct process_memory memory;
	char error[ENDPOINT_ERROR];
	int code = endpoint_find(argv[optind], &top.endpoint, error);
	top.pid = top.endpoint.pid;
	if (code == EXIT_USAGE)
		return usage_error("top", "%s", error);
	if (code != EXIT_CLEAN && process_memory_read(top.pid, &memory) != 0) {
		fprintf(stderr, "neap top: %s\n", error);
		return EXIT_NO_TARGET;
	}
	signal(SIGINT, end_top);
	signal(SIGTERM, end_top);
	return top_loop(&top, count, (unsigned)seconds);
}
