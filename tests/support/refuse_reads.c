/* refuse_reads.c: a system that lets nobody read another process, for LD_PRELOAD over neap: Yama's ptrace_scope, a container
 * without the capability. Tests only.
 */
#include <errno.h>
#include <sys/uio.h>

__attribute__((visibility("default"))) ssize_t
process_vm_readv(pid_t pid, const struct iovec *local, unsigned long local_count, const struct iovec *remote,
		 unsigned long remote_count, unsigned long flags)
{
	(void)pid, (void)local, (void)local_count, (void)remote, (void)remote_count, (void)flags;
	errno = EPERM;
	return -1;
}
