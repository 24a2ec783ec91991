/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * sandbox - what a role may still ask the kernel for once it has started.
 *
 * A child holds everything that it will ever need when it enters: nothing in
 * these lists opens, connects, makes a socket, a process or executable
 * memory.  Arguments are looked at where a harmless call has a harmful form.
 * The bridge is the exception: it connects to others and looks up names, for
 * which the C library reads files at any time.  It gets no more than that,
 * and holds less than the others.
 */

#include "common/sandbox.h"

#include <sys/prctl.h>

#include <errno.h>

#include "common/log.h"

#ifdef CHATD_SANITIZED

/* Sanitizers open files, map executable memory and start threads. */
int
sandbox_enter(enum role role)
{
	if ((unsigned)role >= ROLE__MAX) {
		errno = EINVAL;
		return -1;
	}
	log_notice("sandbox absent reason=sanitizer");
	return 0;
}

#else

#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include <fcntl.h>
#include <sched.h>
#include <seccomp.h>
#include <stddef.h>
#include <stdint.h>
#include <unistd.h>

/* One argument that must have this value (under this mask). */
struct rule {
	int call;
	unsigned arg;
	uint64_t mask, value;
};

/* For every child. */
static const int basic_calls[] = {
	/* descriptors that are open */
	SCMP_SYS(read),
	SCMP_SYS(readv),
	SCMP_SYS(write),
	SCMP_SYS(writev),
	SCMP_SYS(pread64),
	SCMP_SYS(lseek),
	SCMP_SYS(close),
	SCMP_SYS(fstat),
	SCMP_SYS(newfstatat),
	/* sockets */
	SCMP_SYS(recvfrom),
	SCMP_SYS(recvmsg),
	SCMP_SYS(sendmsg),
	SCMP_SYS(shutdown),
	SCMP_SYS(getsockopt),
	SCMP_SYS(setsockopt),
	SCMP_SYS(getsockname),
	SCMP_SYS(getpeername),
	/* the event loop */
	SCMP_SYS(poll),
	SCMP_SYS(ppoll),
	SCMP_SYS(epoll_create1),
	SCMP_SYS(epoll_ctl),
	SCMP_SYS(epoll_wait),
	SCMP_SYS(epoll_pwait),
	SCMP_SYS(epoll_pwait2),
	SCMP_SYS(eventfd2),
	SCMP_SYS(timerfd_create),
	SCMP_SYS(timerfd_settime),
	SCMP_SYS(timerfd_gettime),
	/* memory; what can make it executable is in basic_rules */
	SCMP_SYS(brk),
	SCMP_SYS(munmap),
	SCMP_SYS(mremap),
	SCMP_SYS(madvise),
	/* memory behind a shared segment, when it is first needed */
	SCMP_SYS(fallocate),
	/* LMDB's locks are robust mutexes in shared memory */
	SCMP_SYS(futex),
	SCMP_SYS(set_robust_list),
	SCMP_SYS(get_robust_list),
	/* time */
	SCMP_SYS(clock_gettime),
	SCMP_SYS(clock_getres),
	SCMP_SYS(clock_nanosleep),
	SCMP_SYS(nanosleep),
	SCMP_SYS(gettimeofday),
	SCMP_SYS(time),
	/* signals */
	SCMP_SYS(rt_sigaction),
	SCMP_SYS(rt_sigprocmask),
	SCMP_SYS(rt_sigreturn),
	SCMP_SYS(sigaltstack),
	SCMP_SYS(restart_syscall),
	/* about ourselves */
	SCMP_SYS(getpid),
	SCMP_SYS(getppid),
	SCMP_SYS(gettid),
	SCMP_SYS(getuid),
	SCMP_SYS(geteuid),
	SCMP_SYS(getgid),
	SCMP_SYS(getegid),
	SCMP_SYS(getrusage),
	SCMP_SYS(getcpu),
	SCMP_SYS(uname),
	/* qsort() wants to know how much memory there is */
	SCMP_SYS(sysinfo),
	SCMP_SYS(sched_yield),
	SCMP_SYS(sched_getaffinity),
	SCMP_SYS(rseq),
	SCMP_SYS(getrandom),
	SCMP_SYS(exit),
	SCMP_SYS(exit_group),
};

static const struct rule basic_rules[] = {
	/* never executable */
	{ SCMP_SYS(mmap), 2, PROT_EXEC, 0 },
	{ SCMP_SYS(mprotect), 2, PROT_EXEC, 0 },
	/* no address: send() */
	{ SCMP_SYS(sendto), 4, UINT64_MAX, 0 },
	/* read our limits, not set them */
	{ SCMP_SYS(prlimit64), 2, UINT64_MAX, 0 },
	{ SCMP_SYS(prctl), 0, UINT64_MAX, PR_SET_NAME },
	{ SCMP_SYS(fcntl), 1, UINT64_MAX, F_GETFD },
	{ SCMP_SYS(fcntl), 1, UINT64_MAX, F_SETFD },
	{ SCMP_SYS(fcntl), 1, UINT64_MAX, F_GETFL },
	{ SCMP_SYS(fcntl), 1, UINT64_MAX, F_SETFL },
	{ SCMP_SYS(fcntl), 1, UINT64_MAX, F_DUPFD_CLOEXEC },
	/* LMDB marks in its lock file which readers live */
	{ SCMP_SYS(fcntl), 1, UINT64_MAX, F_GETLK },
	{ SCMP_SYS(fcntl), 1, UINT64_MAX, F_SETLK },
	{ SCMP_SYS(fcntl), 1, UINT64_MAX, F_SETLKW },
	{ SCMP_SYS(fcntl), 1, UINT64_MAX, F_GET_SEALS },
	{ SCMP_SYS(ioctl), 1, UINT32_MAX, FIONREAD },
	{ SCMP_SYS(ioctl), 1, UINT32_MAX, FIONBIO },
	/* what the kernel has not sent yet */
	{ SCMP_SYS(ioctl), 1, UINT32_MAX, TIOCOUTQ },
	/* isatty() */
	{ SCMP_SYS(ioctl), 1, UINT32_MAX, TCGETS },
};

/* The scribe writes to the store. */
static const int scribe_calls[] = {
	SCMP_SYS(pwrite64),
	SCMP_SYS(pwritev),
	SCMP_SYS(preadv),
	SCMP_SYS(fdatasync),
	SCMP_SYS(fsync),
	SCMP_SYS(msync),
	SCMP_SYS(ftruncate),
	SCMP_SYS(fadvise64),
	/* how much room the disk has, and giving up what was kept for bad
	 * times */
	SCMP_SYS(statfs),
	SCMP_SYS(fstatfs),
	SCMP_SYS(unlinkat),
};

/* A clerk writes to what it was given, with the help of threads. */
static const int clerk_calls[] = {
	SCMP_SYS(pwrite64),
	SCMP_SYS(pwritev),
	SCMP_SYS(fdatasync),
	SCMP_SYS(fsync),
	SCMP_SYS(ftruncate),
	SCMP_SYS(fadvise64),
	SCMP_SYS(fstatfs),
	SCMP_SYS(pipe2),
	/* what it did not complete */
	SCMP_SYS(unlinkat),
};

/* The bridge goes out. */
static const int bridge_calls[] = {
	SCMP_SYS(connect),
	/* of the socket that asks which addresses there are */
	SCMP_SYS(bind),
	SCMP_SYS(sendto),
	SCMP_SYS(sendmmsg),
	SCMP_SYS(recvmmsg),
	/* how libcurl's threads tell that a name is found */
	SCMP_SYS(socketpair),
	SCMP_SYS(pipe2),
	SCMP_SYS(access),
	SCMP_SYS(faccessat2),
	SCMP_SYS(readlink),
};

#define OPEN_CHANGES \
	(O_ACCMODE | O_CREAT | O_TRUNC | O_APPEND | (O_TMPFILE & ~O_DIRECTORY))

static const struct rule bridge_rules[] = {
	{ SCMP_SYS(socket), 0, UINT32_MAX, AF_INET },
	{ SCMP_SYS(socket), 0, UINT32_MAX, AF_INET6 },
	/* name services of this machine; which addresses it has */
	{ SCMP_SYS(socket), 0, UINT32_MAX, AF_UNIX },
	{ SCMP_SYS(socket), 0, UINT32_MAX, AF_NETLINK },
	/* to read */
	{ SCMP_SYS(openat), 2, OPEN_CHANGES, O_RDONLY },
};

/* 0 or a negative errno, as libseccomp has it. */
static int
add_calls(scmp_filter_ctx ctx, const int *calls, size_t n)
{
	int rc = 0;

	for (size_t i = 0; i < n && rc == 0; i++) {
		rc = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, calls[i], 0);
		/* a call that this processor does not have */
		if (rc == -EDOM)
			rc = 0;
	}
	return rc;
}

static int
add_rule(scmp_filter_ctx ctx, const struct rule *r)
{
	int rc;

	rc = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, r->call, 1,
	    SCMP_CMP(r->arg, SCMP_CMP_MASKED_EQ, r->mask, r->value));
	return rc == -EDOM ? 0 : rc;
}

static int
add_rules(scmp_filter_ctx ctx)
{
	/* abort() signals its own thread; nobody else may be signalled */
	const struct rule self = { SCMP_SYS(tgkill), 0, UINT32_MAX,
		(uint64_t)getpid() };
	int rc = add_rule(ctx, &self);

	for (size_t i = 0;
	     rc == 0 && i < sizeof(basic_rules) / sizeof(basic_rules[0]); i++)
		rc = add_rule(ctx, &basic_rules[i]);
	return rc;
}

/* A thread, never a process. */
static int
add_threads(scmp_filter_ctx ctx)
{
	const struct rule thread = { SCMP_SYS(clone), 0, CLONE_THREAD,
		CLONE_THREAD };
	int rc = add_rule(ctx, &thread);

	/* its arguments cannot be looked at; libc then takes clone() */
	if (rc == 0)
		rc = seccomp_rule_add(ctx, SCMP_ACT_ERRNO(ENOSYS),
		    SCMP_SYS(clone3), 0);
	return rc;
}

static int
add_clerk(scmp_filter_ctx ctx)
{
	int rc = add_calls(ctx, clerk_calls,
	    sizeof(clerk_calls) / sizeof(clerk_calls[0]));

	return rc == 0 ? add_threads(ctx) : rc;
}

static int
add_bridge(scmp_filter_ctx ctx)
{
	int rc = add_calls(ctx, bridge_calls,
	    sizeof(bridge_calls) / sizeof(bridge_calls[0]));

	for (size_t i = 0;
	     rc == 0 && i < sizeof(bridge_rules) / sizeof(bridge_rules[0]); i++)
		rc = add_rule(ctx, &bridge_rules[i]);
	/* a name service that was not loaded before is left out, which is no
	 * reason to die */
	if (rc == 0)
		rc = seccomp_rule_add(ctx, SCMP_ACT_ERRNO(EACCES),
		    SCMP_SYS(mmap), 1,
		    SCMP_CMP(2, SCMP_CMP_MASKED_EQ, PROT_EXEC, PROT_EXEC));
	return rc == 0 ? add_threads(ctx) : rc;
}

static int
fill(scmp_filter_ctx ctx, enum role role)
{
	int rc;

	rc = seccomp_attr_set(ctx, SCMP_FLTATR_ACT_BADARCH,
	    SCMP_ACT_KILL_PROCESS);
	/* around all threads: a worker has a second one by now */
	if (rc == 0)
		rc = seccomp_attr_set(ctx, SCMP_FLTATR_CTL_TSYNC, 1);
	/* a tree instead of a list: each call is looked up */
	if (rc == 0)
		rc = seccomp_attr_set(ctx, SCMP_FLTATR_CTL_OPTIMIZE, 2);
	if (rc == 0)
		rc = add_calls(ctx, basic_calls,
		    sizeof(basic_calls) / sizeof(basic_calls[0]));
	if (rc == 0)
		rc = add_rules(ctx);
	if (rc == 0 && role == ROLE_SCRIBE)
		rc = add_calls(ctx, scribe_calls,
		    sizeof(scribe_calls) / sizeof(scribe_calls[0]));
	if (rc == 0 && role == ROLE_CLERK)
		rc = add_clerk(ctx);
	if (rc == 0 && role == ROLE_BRIDGE)
		rc = add_bridge(ctx);
	return rc;
}

int
sandbox_enter(enum role role)
{
	scmp_filter_ctx ctx;
	int rc;

	if ((unsigned)role >= ROLE__MAX) {
		errno = EINVAL;
		return -1;
	}
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == -1)
		return -1;
	/* the master starts processes and opens files: that is its work */
	if (role == ROLE_MASTER)
		return 0;
	if ((ctx = seccomp_init(SCMP_ACT_KILL_PROCESS)) == NULL) {
		errno = ENOMEM;
		return -1;
	}
	if ((rc = fill(ctx, role)) == 0)
		rc = seccomp_load(ctx);
	seccomp_release(ctx);
	if (rc == 0)
		return 0;
	errno = -rc;
	return -1;
}

#endif /* CHATD_SANITIZED */
