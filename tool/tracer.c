/* tracer.c: loads memory.bpf.c through libbpf and reads its counters. */
#include "tracer.h"

#include <stdio.h>

#ifdef NEAP_HAVE_BPF
#	include <bpf/bpf.h>
#	include <bpf/libbpf.h>
#	include <errno.h>
#	include <stdlib.h>
#	include <string.h>

#	include "bpf_object.h"

enum { LINKS_MOST = 8 };

struct tracer {
	struct bpf_object *object;
	struct bpf_link *links[LINKS_MOST];
	unsigned links_n;
	int counts; /* the map */
};

static int stay_quiet(enum libbpf_print_level level, const char *format, va_list arguments)
{
	(void)level, (void)format, (void)arguments;
	return 0;
}

static struct tracer *tracer_refused(struct tracer *tracer, const char *what, char *reason)
{
	snprintf(reason, TRACER_REASON, "%s: %s", what,
		 errno == ENOENT ? "tracefs is not mounted: sudo mount -t tracefs tracefs /sys/kernel/tracing"
				 : strerror(errno));
	tracer_stop(tracer);
	return NULL;
}

static bool set_target(struct bpf_object *object, pid_t pid)
{
	struct bpf_map *constants = bpf_object__find_map_by_name(object, ".rodata");
	size_t size;
	const void *initial = constants == NULL ? NULL : bpf_map__initial_value(constants, &size);
	uint32_t target = (uint32_t)pid;
	return initial != NULL && size == sizeof target &&
	       bpf_map__set_initial_value(constants, &target, sizeof target) == 0;
}

struct tracer *tracer_start(pid_t pid, char *reason)
{
	libbpf_set_print(stay_quiet);
	struct tracer *tracer = calloc(1, sizeof *tracer);
	if (tracer == NULL)
		return tracer_refused(tracer, "memory", reason);
	tracer->object = bpf_object__open_mem(asset_memory_bpf.bytes, asset_memory_bpf.len, NULL);
	if (tracer->object == NULL)
		return tracer_refused(tracer, "eBPF program", reason);
	if (!set_target(tracer->object, pid) || bpf_object__load(tracer->object) != 0)
		return tracer_refused(tracer, "loading an eBPF program", reason);
	struct bpf_program *program;
	bpf_object__for_each_program(program, tracer->object)
	{
		struct bpf_link *link = bpf_program__attach(program);
		if (link == NULL)
			return tracer_refused(tracer, "system call tracepoints", reason);
		tracer->links[tracer->links_n++] = link;
	}
	tracer->counts = bpf_object__find_map_fd_by_name(tracer->object, "counts");
	return tracer;
}

static uint64_t count_at(const struct tracer *tracer, uint32_t index)
{
	uint64_t value = 0;
	(void)bpf_map_lookup_elem(tracer->counts, &index, &value);
	return value;
}

void tracer_read(const struct tracer *tracer, struct traced *ret)
{
	ret->maps = count_at(tracer, 0);
	ret->mapped = count_at(tracer, 1);
	ret->unmaps = count_at(tracer, 2);
	ret->unmapped = count_at(tracer, 3);
	ret->advices = count_at(tracer, 4);
	ret->advised = count_at(tracer, 5);
}

void tracer_stop(struct tracer *tracer)
{
	if (tracer == NULL)
		return;
	for (unsigned i = 0; i < tracer->links_n; i++)
		bpf_link__destroy(tracer->links[i]);
	bpf_object__close(tracer->object);
	free(tracer);
}

#else

struct tracer *tracer_start(pid_t pid, char *reason)
{
	(void)pid;
	snprintf(reason, TRACER_REASON, "this build has no eBPF (libbpf-dev, and clang for its program)");
	return NULL;
}

void tracer_read(const struct tracer *tracer, struct traced *ret)
{
	(void)tracer;
	*ret = (struct traced){0};
}

void tracer_stop(struct tracer *tracer)
{
	(void)tracer;
}

#endif
