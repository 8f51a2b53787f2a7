/* watch.c: `neap watch`: follows a process, and saves what it holds when its memory runs away.
 *
 * The rule is about writable anonymous memory: more than a limit, and growing faster than a rate. Both must hold: a
 * large program at rest is no news, and one that starts up grows. What is counted are resident anonymous bytes and
 * those in swap (RssAnon + VmSwap), not the sizes of mappings: runtimes reserve gigabytes of addresses that cost
 * nothing (node maps 800 MB before its first line, Neap's map 4 GB), and a rule about those fires on every start.
 *
 * Looks are 250 ms apart by the monotonic clock, so that a clock that is set does not matter; the rate is taken over
 * the looks of about the last second. Where eBPF is allowed the system calls behind the growth are counted too.
 */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "command.h"
#include "inspect.h"
#include "lab/atomic_file.h"
#include "lab/lab.h"
#include "tracer.h"
#include "watch.h"

static const char help[] =
	"usage: neap watch PID [options]\n"
	"\n"
	"Follows a process until it ends. When its writable anonymous memory is over a limit and grows "
	"faster than a\n"
	"rate, saves the kernel's figures, a profile when the program has a debug endpoint, and a snapshot "
	"of every map\n"
	"of a Go program, or of one linked with Neap (neap diff compares two).\n"
	"\n"
	"  --over BYTES         the limit; 512M unless given (k, M and G allowed)\n"
	"  --grow BYTES         the rate per second; 20M unless given\n"
	"  --cool-down SECONDS  between two triggers; 60 unless given\n"
	"  --keep N             of the triggers keep the N with the most memory; 5 unless given\n"
	"  --count N            end after N triggers\n"
	"  --for SECONDS        end after that time\n"
	"  -o FOLDER            where files go; the present one unless given\n"
	"  --metrics FILE       keep Prometheus text in FILE, for node_exporter's textfile collector\n"
	"\n"
	"Exit codes: 0 no trigger, 1 triggers, 3 no such process or no permission, 4 something could not be "
	"saved.\n";

enum { LOOK_MS = 250, LOOKS = 5 /* a second and the one before it */ };

struct watch {
	pid_t pid;
	uint64_t over, grow;
	unsigned long long cool_down, count, seconds; /* 0 for the last two: no end */
	const char *metrics;
	struct endpoint endpoint;
	struct tracer *tracer; /* NULL: /proc alone */
	struct keepsakes kept;

	/* Ring of the last looks. */
	uint64_t at[LOOKS], bytes[LOOKS]; /* ns; writable anonymous */
	struct traced traced[LOOKS];
	unsigned looks;
	double rate; /* bytes per second */
	uint64_t triggers, last_trigger;
	bool partial;
};

static volatile sig_atomic_t watch_over;

static void end_watch(int signal)
{
	(void)signal;
	watch_over = 1;
}

static uint64_t monotonic(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static void record_look(struct watch *watch, const struct process_memory *memory)
{
	unsigned now = watch->looks % LOOKS;
	watch->at[now] = monotonic();
	watch->bytes[now] = memory->anonymous + memory->swap;
	if (watch->tracer != NULL)
		tracer_read(watch->tracer, &watch->traced[now]);
	watch->looks++;
	unsigned oldest = watch->looks >= LOOKS ? watch->looks % LOOKS : 0;
	double seconds = (double)(watch->at[now] - watch->at[oldest]) / 1e9;
	watch->rate = seconds > 0 ? ((double)watch->bytes[now] - (double)watch->bytes[oldest]) / seconds : 0;
}

static void write_metrics(struct watch *watch, const struct process_memory *memory)
{
	struct text text = {0};
	unsigned now = (watch->looks - 1) % LOOKS;
	text_printf(&text,
		    "# HELP neap_watch_anonymous_bytes Writable anonymous memory, resident or in swap.\n"
		    "# TYPE neap_watch_anonymous_bytes gauge\nneap_watch_anonymous_bytes{pid=\"%d\"} %" PRIu64
		    "\n"
		    "# HELP neap_watch_resident_bytes Resident memory.\n"
		    "# TYPE neap_watch_resident_bytes gauge\nneap_watch_resident_bytes{pid=\"%d\"} %" PRIu64
		    "\n",
		    (int)watch->pid, watch->bytes[now], (int)watch->pid, memory->rss);
	text_printf(&text,
		    "# HELP neap_watch_growth_bytes Growth of the anonymous memory in a second.\n"
		    "# TYPE neap_watch_growth_bytes gauge\nneap_watch_growth_bytes{pid=\"%d\"} %.0f\n"
		    "# HELP neap_watch_triggers_total Times that the rule held.\n"
		    "# TYPE neap_watch_triggers_total counter\nneap_watch_triggers_total{pid=\"%d\"} %" PRIu64
		    "\n",
		    (int)watch->pid, watch->rate, (int)watch->pid, watch->triggers);
	int reason = atomic_file_write(watch->metrics, text.at, text.len);
	if (reason != 0)
		fprintf(stderr, "neap watch: %s: %s\n", watch->metrics, strerror(reason));
	watch->partial |= reason != 0;
	text_free(&text);
}

static void say_trigger(const struct watch *watch, const struct process_memory *memory)
{
	char when[16];
	time_t now = time(NULL);
	struct tm local;
	strftime(when, sizeof when, "%H:%M:%S", localtime_r(&now, &local));
	unsigned last = (watch->looks - 1) % LOOKS, oldest = watch->looks >= LOOKS ? watch->looks % LOOKS : 0;
	printf("%s %s MB writable anonymous, %+.1f MB/s, %s MB resident: TRIGGER\n", when,
	       megabytes((double)watch->bytes[last]), watch->rate / 1e6, megabytes((double)memory->rss));
	if (watch->tracer == NULL)
		return;
	const struct traced *a = &watch->traced[oldest], *b = &watch->traced[last];
	printf("    in the last second: mmap %" PRIu64 " calls %s MB, munmap %" PRIu64
	       " calls %s MB, given back %s MB\n",
	       b->maps - a->maps, megabytes((double)(b->mapped - a->mapped)), b->unmaps - a->unmaps,
	       megabytes((double)(b->unmapped - a->unmapped)), megabytes((double)(b->advised - a->advised)));
}

static bool rule_holds(const struct watch *watch)
{
	unsigned now = (watch->looks - 1) % LOOKS;
	bool cool = watch->triggers == 0 ||
		    watch->at[now] - watch->last_trigger >= watch->cool_down * UINT64_C(1000000000);
	return watch->looks >= LOOKS && cool && watch->bytes[now] > watch->over &&
	       watch->rate > (double)watch->grow;
}

static int watch_loop(struct watch *watch)
{
	uint64_t start = monotonic();
	struct process_memory memory;
	while (!watch_over && (watch->count == 0 || watch->triggers < watch->count) &&
	       (watch->seconds == 0 || monotonic() - start < watch->seconds * UINT64_C(1000000000))) {
		int reason = process_memory_read(watch->pid, &memory);
		if (reason != 0) {
			printf("process %d has ended\n", (int)watch->pid);
			break;
		}
		record_look(watch, &memory);
		if (rule_holds(watch)) {
			watch->triggers++;
			watch->last_trigger = monotonic();
			say_trigger(watch, &memory);
			watch->partial |= !keep_trigger(&watch->kept, watch->pid, &memory, &watch->endpoint);
			fflush(stdout);
		}
		if (watch->metrics != NULL && watch->looks % 4 == 1)
			write_metrics(watch, &memory);
		nanosleep(&(struct timespec){0, LOOK_MS * 1000000}, NULL);
	}
	if (watch->metrics != NULL && watch->looks > 0)
		write_metrics(watch, &memory);
	return watch->partial ? EXIT_PARTIAL : watch->triggers > 0 ? EXIT_FINDINGS : EXIT_CLEAN;
}

static bool parse_watch(struct watch *watch, int argc, char **argv, int *ret_code)
{
	enum { OVER = 1, GROW, COOL_DOWN, KEEP, COUNT, FOR, METRICS };
	static const struct option options[] = {{"over", required_argument, NULL, OVER},
						{"grow", required_argument, NULL, GROW},
						{"cool-down", required_argument, NULL, COOL_DOWN},
						{"keep", required_argument, NULL, KEEP},
						{"count", required_argument, NULL, COUNT},
						{"for", required_argument, NULL, FOR},
						{"metrics", required_argument, NULL, METRICS},
						{"output", required_argument, NULL, 'o'},
						{"help", no_argument, NULL, 'h'},
						{NULL, 0, NULL, 0}};
	unsigned long long keep = 5;
	optind = 1;
	for (int option; (option = getopt_long(argc, argv, "ho:", options, NULL)) != -1;) {
		bool right = true;
		switch (option) {
		case OVER: right = parse_bytes(optarg, &watch->over); break;
		case GROW: right = parse_bytes(optarg, &watch->grow); break;
		case COOL_DOWN: right = parse_count(optarg, 0, 86400, &watch->cool_down); break;
		case KEEP: right = parse_count(optarg, 1, KEEP_MOST, &keep); break;
		case COUNT: right = parse_count(optarg, 1, 1000000, &watch->count); break;
		case FOR: right = parse_count(optarg, 1, 31536000, &watch->seconds); break;
		case METRICS: watch->metrics = optarg; break;
		case 'o': watch->kept.folder = optarg; break;
		case 'h':
			fputs(help, stdout);
			*ret_code = EXIT_CLEAN;
			return false;
		default: *ret_code = EXIT_USAGE; return false;
		}
		if (!right) {
			*ret_code = usage_error("watch", "--%s %s: not a number in range",
						options[option - 1].name, optarg);
			return false;
		}
	}
	watch->kept.keep = (unsigned)keep;
	unsigned long long pid = 0;
	struct stat folder;
	if (argc - optind != 1 || !parse_count(argv[optind], 1, 4194304, &pid))
		*ret_code = usage_error("watch", "name one process id");
	else if (stat(watch->kept.folder, &folder) != 0 || !S_ISDIR(folder.st_mode))
		*ret_code = usage_error("watch", "%s: no such folder", watch->kept.folder);
	else
		return watch->pid = (pid_t)pid, true;
	return false;
}

int run_watch(int argc, char **argv)
{
	static struct watch watch = {
		.over = 512000000, .grow = 20000000, .cool_down = 60, .kept = {.folder = ".", .keep = 5}};
	struct process_memory memory;
	char reason[TRACER_REASON], error[ENDPOINT_ERROR], pid[16];
	int code;
	if (!parse_watch(&watch, argc, argv, &code))
		return code;
	int failure = process_memory_read(watch.pid, &memory);
	if (failure != 0) {
		fprintf(stderr, "neap watch: process %d: %s\n", (int)watch.pid,
			failure == ENOENT || failure == ESRCH ? "no such process" : strerror(failure));
		return EXIT_NO_TARGET;
	}
	snprintf(pid, sizeof pid, "%d", (int)watch.pid);
	if (endpoint_find(pid, &watch.endpoint, error) != EXIT_CLEAN)
		watch.endpoint.address[0] = '\0';
	watch.tracer = tracer_start(watch.pid, reason);
	signal(SIGINT, end_watch);
	signal(SIGTERM, end_watch);
	printf("watching %s (%d), source: %s%s; over %s MB and growing over %s MB/s\n", memory.name,
	       (int)watch.pid, watch.tracer != NULL ? "/proc and eBPF tracepoints" : "/proc; no eBPF: ",
	       watch.tracer != NULL ? "" : reason, megabytes((double)watch.over),
	       megabytes((double)watch.grow));
	printf("endpoint: %s\n", watch.endpoint.address[0] != '\0' ? watch.endpoint.address : "none");
	fflush(stdout);
	code = watch_loop(&watch);
	tracer_stop(watch.tracer);
	return lab_flush("watch", code);
}
