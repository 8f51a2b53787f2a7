/* profile.c: `neap profile`: the heap profile of a running program, compressed, for go tool pprof. */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "command.h"
#include "endpoint.h"
#include "lab/atomic_file.h"
#include "lab/lab.h"
#include "observe_tool.h"

static const char help[] =
	"usage: neap profile PID|ADDRESS [-o FILE] [--seconds N] [--gc]\n"
	"\n"
	"Takes the heap profile of a program that serves Neap's debug endpoint and writes it for go tool "
	"pprof.\n"
	"Its types live, tombstone, empty, free_held and other add up to the resident memory of the "
	"program.\n"
	"\n"
	"  -o FILE       where it goes; the default is neap.PID.pb.gz, of an address neap.pb.gz\n"
	"  --seconds N   what is allocated and freed in N seconds, 1 to 300\n"
	"  --gc          give back what can be given back first\n"
	"\n"
	"examples:\n"
	"  neap profile 4711 && go tool pprof -top -sample_index=free_held_space neap.4711.pb.gz\n"
	"  neap profile 127.0.0.1:6464 --seconds 30 -o delta.pb.gz\n";

/* The endpoint stores without compressing; what is kept is worth the time. */
static bool recompress(const struct text *stored, struct text *ret)
{
	static unsigned char chunk[65536];
	z_stream in = {0}, out = {0};
	if (inflateInit2(&in, 15 + 16) != Z_OK)
		return false;
	if (deflateInit2(&out, 6, Z_DEFLATED, 15 + 16, 9, Z_DEFAULT_STRATEGY) != Z_OK) {
		inflateEnd(&in);
		return false;
	}
	int status = Z_OK;
	in.next_in = (unsigned char *)stored->at;
	in.avail_in = (unsigned)stored->len;
	while (status == Z_OK) {
		unsigned char packed[65536];
		in.next_out = chunk;
		in.avail_out = sizeof chunk;
		status = inflate(&in, Z_NO_FLUSH);
		out.next_in = chunk;
		out.avail_in = (unsigned)(sizeof chunk - in.avail_out);
		do {
			out.next_out = packed;
			out.avail_out = sizeof packed;
			deflate(&out, status == Z_STREAM_END ? Z_FINISH : Z_NO_FLUSH);
			text_add(ret, (const char *)packed, sizeof packed - out.avail_out);
		} while (out.avail_out == 0);
	}
	inflateEnd(&in);
	deflateEnd(&out);
	return status == Z_STREAM_END;
}

int profile_take(const struct endpoint *endpoint, const char *path, unsigned seconds, struct text *ret,
		 char *error)
{
	struct text body = {0};
	int status = endpoint_ask(endpoint, "GET", path, NULL, seconds + 30, &body, error);
	bool whole = status == 200 && recompress(&body, ret);
	if (status > 0 && !whole)
		snprintf(error, ENDPOINT_ERROR, "%.60s: %.150s", endpoint->address,
			 status == 200	   ? "the profile is damaged"
			 : body.at != NULL ? body.at
					   : "refused");
	text_free(&body);
	return whole ? EXIT_CLEAN : EXIT_NO_TARGET;
}

static int complain(const char *error)
{
	fprintf(stderr, "neap profile: %s\n", error);
	return EXIT_NO_TARGET;
}

int run_profile(int argc, char **argv)
{
	static const struct option options[] = {{"output", required_argument, NULL, 'o'},
						{"seconds", required_argument, NULL, 's'},
						{"gc", no_argument, NULL, 'g'},
						{"help", no_argument, NULL, 'h'},
						{NULL, 0, NULL, 0}};
	const char *output = NULL;
	unsigned long long seconds = 0;
	bool gc = false;
	optind = 1;
	for (int option; (option = getopt_long(argc, argv, "ho:", options, NULL)) != -1;) {
		switch (option) {
		case 'h': fputs(help, stdout); return EXIT_CLEAN;
		case 'o': output = optarg; break;
		case 'g': gc = true; break;
		case 's':
			if (!parse_count(optarg, 1, 300, &seconds))
				return usage_error("profile",
						   "--seconds %s: a number from 1 to 300 is needed", optarg);
			break;
		default: return EXIT_USAGE;
		}
	}
	if (argc - optind != 1)
		return usage_error("profile", "name one process id or address");
	struct endpoint endpoint;
	char error[ENDPOINT_ERROR], path[96], file[64];
	int code = endpoint_find(argv[optind], &endpoint, error);
	if (code != EXIT_CLEAN)
		return code == EXIT_USAGE ? usage_error("profile", "%s", error) : complain(error);
	snprintf(path, sizeof path,
		 seconds > 0 ? "/debug/pprof/heap?seconds=%llu&gc=%d" : "/debug/pprof/heap?%.0llugc=%d",
		 seconds, gc);
	snprintf(file, sizeof file, endpoint.pid != 0 ? "neap.%d.pb.gz" : "neap.pb.gz", (int)endpoint.pid);
	output = output != NULL ? output : file;
	struct text profile = {0};
	code = profile_take(&endpoint, path, (unsigned)seconds, &profile, error);
	if (code != EXIT_CLEAN)
		return complain(error);
	int reason = atomic_file_write(output, profile.at, profile.len);
	if (reason != 0) {
		fprintf(stderr, "neap profile: %s: %s\n", output, strerror(reason));
		code = EXIT_PARTIAL;
	} else {
		fprintf(stderr, "%s: %zu bytes; go tool pprof -top -sample_index=live_space %s\n", output,
			profile.len, output);
	}
	text_free(&profile);
	return code;
}
