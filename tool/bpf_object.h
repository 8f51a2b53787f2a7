/* bpf_object.h: the compiled memory.bpf.c, which lab/embed.py puts into the command. */
#ifndef NEAP_TOOL_BPF_OBJECT_H
#define NEAP_TOOL_BPF_OBJECT_H

#include <stddef.h>

struct asset {
	const char *bytes; /* a NUL follows them */
	size_t len;
};

extern const struct asset asset_memory_bpf;

#endif
