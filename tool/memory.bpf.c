/* memory.bpf.c: counts mmap, munmap and madvise of one process. Runs in the kernel; see tracer.c.
 *
 * Attached to the system calls' tracepoints, whose arguments are stable: this needs no headers of the running kernel.
 */
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

char LICENSE[] SEC("license") = "Dual MIT/GPL";

const volatile __u32 target; /* the process; set before loading */

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 6);
	__type(key, __u32);
	__type(value, __u64);
} counts SEC(".maps");

/* What a tracepoint of a system call's entry hands over. */
struct entry {
	__u64 common;
	__s64 number;
	__u64 arguments[6];
};

static __always_inline void add(__u32 index, __u64 bytes)
{
	__u32 pid = (__u32)(bpf_get_current_pid_tgid() >> 32), next = index + 1;
	if (pid != target)
		return;
	__u64 *calls = bpf_map_lookup_elem(&counts, &index), *sum = bpf_map_lookup_elem(&counts, &next);
	if (calls && sum) {
		__sync_fetch_and_add(calls, 1);
		__sync_fetch_and_add(sum, bytes);
	}
}

SEC("tracepoint/syscalls/sys_enter_mmap")
int on_mmap(const struct entry *entry)
{
	add(0, entry->arguments[1]);
	return 0;
}

SEC("tracepoint/syscalls/sys_enter_munmap")
int on_munmap(const struct entry *entry)
{
	add(2, entry->arguments[1]);
	return 0;
}

SEC("tracepoint/syscalls/sys_enter_madvise")
int on_madvise(const struct entry *entry)
{
	__u64 advice = entry->arguments[2];
	if (advice == 4 || advice == 8) /* MADV_DONTNEED, MADV_FREE */
		add(4, entry->arguments[1]);
	return 0;
}
