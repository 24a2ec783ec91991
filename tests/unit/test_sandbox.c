/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * test_sandbox - what sandbox.h promises: children that do their work in
 * the sandbox live, and those that try more die of SIGSYS.
 *
 * Under a sanitizer there is no sandbox; then only that is tested.
 */

#include <sys/wait.h>

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/log.h"
#include "common/sandbox.h"

/* Runs in a child; its exit status is the answer. */
typedef int (*child_fn)(enum role role);

static int
in_child(child_fn fn, enum role role)
{
	int status;
	pid_t pid = fork();

	assert_int_not_equal(pid, -1);
	if (pid == 0)
		_exit(fn(role));
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return status;
}

static void
a_role_that_does_not_exist_is_refused(void **state)
{
	assert_int_equal(sandbox_enter(ROLE__MAX), -1);
	assert_int_equal(errno, EINVAL);
}

#ifdef CHATD_SANITIZED

static int
open_inside(enum role role)
{
	if (sandbox_enter(role) == -1)
		return 1;
	return open("/dev/null", O_RDONLY) == -1 ? 2 : 0;
}

static void
a_sanitizer_build_has_no_sandbox(void **state)
{
	for (int r = 0; r < ROLE__MAX; r++)
		assert_int_equal(in_child(open_inside, (enum role)r), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_role_that_does_not_exist_is_refused),
		cmocka_unit_test(a_sanitizer_build_has_no_sandbox),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

#else

#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/uio.h>
#include <sys/vfs.h>

#include <arpa/inet.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <termios.h>
#include <time.h>

#include <event2/event.h>
#include <lmdb.h>

#include "common/config.h"
#include "common/ipc.h"

/* A test in a child: the line is its exit status. */
#define MUST(x) \
	do { \
		if (!(x)) { \
			log_error("failed line=%d what=\"%s\"", __LINE__, #x); \
			return 1; \
		} \
	} while (0)

static bool
lived(int status)
{
	return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

static bool
was_killed(int status)
{
	return WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS;
}

static int
use_sockets(enum role role)
{
	struct sockaddr_storage ss;
	socklen_t len = sizeof(ss);
	struct iovec iov[2] = { { (char[]){ "a" }, 1 },
		{ (char[]){ "b" }, 1 } };
	struct msghdr msg = { .msg_iov = iov, .msg_iovlen = 2 };
	char buf[8];
	int sv[2], one = 1, n;

	MUST(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, sv) == 0);
	MUST(sandbox_enter(role) == 0);
	MUST(write(sv[0], "x", 1) == 1);
	MUST(writev(sv[0], iov, 2) == 2);
	MUST(send(sv[0], "y", 1, MSG_NOSIGNAL) == 1);
	MUST(sendmsg(sv[0], &msg, MSG_DONTWAIT) == 2);
	MUST(ioctl(sv[1], FIONREAD, &n) == 0 && n == 6);
	MUST(read(sv[1], buf, 1) == 1);
	MUST(recv(sv[1], buf, 1, 0) == 1);
	MUST(readv(sv[1], iov, 2) == 2);
	MUST(recvmsg(sv[1], &msg, 0) == 2);
	MUST(ioctl(sv[0], TIOCOUTQ, &n) == 0);
	len = sizeof(one);
	MUST(setsockopt(sv[0], SOL_SOCKET, SO_SNDBUF, &one, len) == 0);
	MUST(getsockopt(sv[0], SOL_SOCKET, SO_ERROR, &one, &len) == 0);
	len = sizeof(ss);
	MUST(getpeername(sv[0], (struct sockaddr *)&ss, &len) == 0);
	len = sizeof(ss);
	MUST(getsockname(sv[0], (struct sockaddr *)&ss, &len) == 0);
	MUST(isatty(sv[0]) == 0);
	MUST(fcntl(sv[0], F_SETFL, O_NONBLOCK) == 0);
	MUST(fcntl(sv[0], F_SETFD, FD_CLOEXEC) == 0);
	MUST(shutdown(sv[0], SHUT_RDWR) == 0);
	MUST(close(sv[0]) == 0);
	return 0;
}

static void
on_timeout(evutil_socket_t fd, short what, void *arg)
{
	*(int *)arg += 1;
}

static int
use_event_loop(enum role role)
{
	struct event_base *base = event_base_new();
	struct timeval tv = { 0, 1000 };
	struct itimerspec its = { .it_value = { .tv_nsec = 1000 } };
	struct epoll_event ev = { .events = EPOLLIN };
	int fired = 0, ep, efd, tfd;
	struct event *timer;
	uint64_t v;

	MUST(base != NULL);
	MUST(sandbox_enter(role) == 0);
	timer = evtimer_new(base, on_timeout, &fired);
	MUST(timer != NULL);
	MUST(evtimer_add(timer, &tv) == 0);
	MUST(event_base_dispatch(base) == 1 && fired == 1);
	event_free(timer);
	event_base_free(base);
	MUST((ep = epoll_create1(EPOLL_CLOEXEC)) != -1);
	MUST((efd = eventfd(1, EFD_NONBLOCK)) != -1);
	MUST((tfd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK)) != -1);
	MUST(timerfd_settime(tfd, 0, &its, NULL) == 0);
	MUST(epoll_ctl(ep, EPOLL_CTL_ADD, efd, &ev) == 0);
	MUST(epoll_wait(ep, &ev, 1, 0) == 1);
	MUST(poll(&(struct pollfd){ .fd = efd, .events = POLLIN }, 1, 0) == 1);
	MUST(read(efd, &v, sizeof(v)) == sizeof(v) && v == 1);
	return 0;
}

static int
compare(const void *a, const void *b)
{
	return *(const char *)a - *(const char *)b;
}

static int
use_memory_and_time(enum role role)
{
	struct timespec ts = { .tv_nsec = 1000 };
	size_t size = 8 * 1024 * 1024;
	struct rlimit rl;
	struct rusage ru;
	struct stat st;
	sigset_t set;
	char *p, *q;
	int fd;

	MUST((fd = memfd_create("test", MFD_CLOEXEC)) != -1);
	MUST(sandbox_enter(role) == 0);
	for (size_t n = 1; n < size; n *= 3) {
		MUST((p = malloc(n)) != NULL);
		memset(p, 1, n);
		MUST((p = realloc(p, n * 2)) != NULL);
		free(p);
	}
	p = mmap(NULL, size, PROT_READ | PROT_WRITE,
	    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	MUST(p != MAP_FAILED);
	MUST(mprotect(p, 4096, PROT_READ) == 0);
	MUST(mprotect(p, 4096, PROT_READ | PROT_WRITE) == 0);
	MUST(madvise(p, size, MADV_DONTNEED) == 0);
	MUST((q = mremap(p, size, size * 2, MREMAP_MAYMOVE)) != MAP_FAILED);
	qsort(q + 4096, 100000, 1, compare);
	MUST(munmap(q, size * 2) == 0);
	/* a shared segment gets its memory when it is first needed */
	MUST(fallocate(fd, 0, 0, 65536) == 0);
	MUST(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0,
		 65536) == 0);
	MUST(clock_gettime(CLOCK_MONOTONIC, &ts) == 0);
	ts = (struct timespec){ .tv_nsec = 1000 };
	MUST(nanosleep(&ts, NULL) == 0);
	MUST(getrandom(&size, sizeof(size), 0) == sizeof(size));
	(void)arc4random();
	MUST(getpid() > 0 && getppid() > 0);
	MUST(getrlimit(RLIMIT_NOFILE, &rl) == 0);
	MUST(getrusage(RUSAGE_SELF, &ru) == 0);
	MUST(fstat(STDIN_FILENO, &st) == 0);
	MUST(sigemptyset(&set) == 0);
	MUST(sigprocmask(SIG_BLOCK, &set, NULL) == 0);
	MUST(signal(SIGUSR1, SIG_IGN) != SIG_ERR);
	MUST(strlen(strerror(ENOSPC)) > 0);
	return 0;
}

/* What every child gets by mail: descriptors, configuration, a log. */
static int
use_ipc_config_and_log(enum role role)
{
	struct config_source src = { .without_files = true };
	static struct ipc_msg m;
	struct config_errors errors;
	struct config *cfg;
	struct ipc *master, *child;
	int sv[2], fd, null;

	MUST((null = open("/dev/null", O_WRONLY)) != -1);
	MUST(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, sv) == 0);
	MUST((master = ipc_new(sv[0], IPC_FROM_MASTER)) != NULL);
	MUST((child = ipc_new(sv[1], IPC_FROM_CHILD)) != NULL);
	MUST((cfg = config_load(&src, &errors)) != NULL);
	MUST((fd = config_memfd(cfg)) != -1);
	config_free(&cfg);
	log_init("chatd", role, 0);
	MUST(sandbox_enter(role) == 0);
	ipc_begin(&m, IPC_CONFIG_PREPARE);
	ipc_put_u64(&m, 1);
	ipc_put_fd(&m, fd);
	MUST(ipc_send(master, &m) == 0);
	MUST(ipc_recv(child, &m) == 1);
	MUST(ipc_get_u64(&m) == 1);
	MUST((fd = ipc_get_fd(&m)) != -1);
	MUST(ipc_end(&m) == 0);
	MUST((cfg = config_from_fd(fd)) != NULL);
	config_free(&cfg);
	MUST((fd = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3)) != -1);
	log_set(fd, log_kind_of(fd), LOG_FORMAT_LOGFMT, LOG_LEVEL_ERROR);
	/* local time, as syslog wants it, without opening the zone's file */
	log_set(null, LOG_KIND_SYSLOG, LOG_FORMAT_LOGFMT, LOG_LEVEL_DEBUG);
	log_debug("into nothing");
	ipc_free(&child);
	ipc_free(&master);
	return 0;
}

static char dir[64];

static int
use_store(enum role role)
{
	char path[128], value[300];
	bool writes = role == ROLE_SCRIBE;
	MDB_env *env, *writer;
	MDB_txn *txn;
	MDB_dbi dbi;
	MDB_val k = { 1, (char[]){ "k" } }, v = { 300, value };
	struct statfs fs;
	int rc, dirfd, fd;

	memset(value, 'x', sizeof(value));
	MUST((dirfd = open(dir, O_RDONLY | O_DIRECTORY)) != -1);
	/* the file has to be there for a reader */
	MUST(mdb_env_create(&writer) == 0);
	MUST(mdb_env_set_mapsize(writer, 1ULL << 30) == 0);
	MUST(mdb_env_open(writer, dir, 0, 0600) == 0);
	MUST(mdb_txn_begin(writer, NULL, 0, &txn) == 0);
	MUST(mdb_dbi_open(txn, NULL, 0, &dbi) == 0);
	MUST(mdb_put(txn, dbi, &k, &v, 0) == 0);
	MUST(mdb_txn_commit(txn) == 0);
	env = writer;
	if (!writes) {
		mdb_env_close(writer);
		MUST(mdb_env_create(&env) == 0);
		MUST(mdb_env_set_mapsize(env, 1ULL << 30) == 0);
		MUST(mdb_env_open(env, dir, MDB_RDONLY | MDB_NOTLS, 0) == 0);
		MUST(mdb_txn_begin(env, NULL, MDB_RDONLY, &txn) == 0);
		MUST(mdb_dbi_open(txn, NULL, 0, &dbi) == 0);
		MUST(mdb_txn_commit(txn) == 0);
	}
	(void)snprintf(path, sizeof(path), "%s/ballast", dir);
	MUST((fd = open(path, O_RDWR | O_CREAT, 0600)) != -1);
	MUST(sandbox_enter(role) == 0);
	for (int i = 0; i < 100; i++) {
		rc = mdb_txn_begin(env, NULL, writes ? 0 : MDB_RDONLY, &txn);
		MUST(rc == 0);
		MUST(mdb_get(txn, dbi, &k, &v) == 0 && v.mv_size == 300);
		v = (MDB_val){ 300, value };
		if (!writes) {
			mdb_txn_abort(txn);
			continue;
		}
		/* many pages, so that it writes them in vectors too */
		for (int n = 0; n < 200; n++) {
			k = (MDB_val){ sizeof(n), &n };
			MUST(mdb_put(txn, dbi, &k, &v, 0) == 0);
		}
		k = (MDB_val){ 1, (char[]){ "k" } };
		MUST(mdb_txn_commit(txn) == 0);
	}
	if (!writes)
		return 0;
	MUST(posix_fallocate(fd, 0, 65536) == 0);
	MUST(pwrite(fd, "x", 1, 0) == 1);
	MUST(ftruncate(fd, 10) == 0);
	MUST(fsync(fd) == 0 && fdatasync(fd) == 0);
	MUST(fstatfs(fd, &fs) == 0 && statfs(dir, &fs) == 0);
	MUST(unlinkat(dirfd, "ballast", 0) == 0);
	return 0;
}

/* The child cannot remove what it wrote. */
static int
with_store(enum role role)
{
	char cmd[128];
	int status;

	(void)snprintf(dir, sizeof(dir), "/tmp/test_sandbox.XXXXXX");
	assert_non_null(mkdtemp(dir));
	status = in_child(use_store, role);
	(void)snprintf(cmd, sizeof(cmd), "rm -rf %s", dir);
	assert_int_equal(system(cmd), 0);
	return status;
}

static void
a_worker_can_do_its_work(void **state)
{
	assert_true(lived(in_child(use_sockets, ROLE_WORKER)));
	assert_true(lived(in_child(use_event_loop, ROLE_WORKER)));
	assert_true(lived(in_child(use_memory_and_time, ROLE_WORKER)));
	assert_true(lived(in_child(use_ipc_config_and_log, ROLE_WORKER)));
	assert_true(lived(with_store(ROLE_WORKER)));
}

static void
the_scribe_can_do_its_work(void **state)
{
	assert_true(lived(in_child(use_sockets, ROLE_SCRIBE)));
	assert_true(lived(in_child(use_event_loop, ROLE_SCRIBE)));
	assert_true(lived(in_child(use_memory_and_time, ROLE_SCRIBE)));
	assert_true(lived(in_child(use_ipc_config_and_log, ROLE_SCRIBE)));
	assert_true(lived(with_store(ROLE_SCRIBE)));
}

static void *
write_something(void *arg)
{
	const int *fd = arg;

	if (pwrite(*fd, "thread", 6, 0) != 6)
		return NULL;
	return arg;
}

/* A second thread, a pipe between them, a file. */
static int
use_threads(enum role role)
{
	pthread_t thread;
	int ends[2], fd;
	void *answer;

	MUST((fd = memfd_create("clerk", MFD_CLOEXEC)) != -1);
	MUST(sandbox_enter(role) == 0);
	MUST(pipe2(ends, O_CLOEXEC) == 0);
	for (int i = 0; i < 3; i++) {
		MUST(pthread_create(&thread, NULL, write_something, &fd) == 0);
		MUST(pthread_join(thread, &answer) == 0 && answer == &fd);
	}
	MUST(fsync(fd) == 0 && fdatasync(fd) == 0 && ftruncate(fd, 3) == 0);
	return 0;
}

static int
fork_inside(enum role role)
{
	if (sandbox_enter(role) == -1)
		return 1;
	(void)fork();
	return 0;
}

static void
a_clerk_can_do_its_work(void **state)
{
	assert_true(lived(in_child(use_memory_and_time, ROLE_CLERK)));
	assert_true(lived(in_child(use_ipc_config_and_log, ROLE_CLERK)));
	assert_true(lived(in_child(use_threads, ROLE_CLERK)));
	assert_true(lived(with_store(ROLE_CLERK)));
	/* threads, but no processes */
	assert_true(was_killed(in_child(fork_inside, ROLE_CLERK)));
}

static int
abort_inside(enum role role)
{
	if (sandbox_enter(role) == -1)
		return 1;
	(void)signal(SIGABRT, SIG_DFL);
	abort();
}

static void
a_check_that_fails_is_still_an_abort(void **state)
{
	int status = in_child(abort_inside, ROLE_WORKER);

	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
}

/* ------------------------------------------------------------------ */
/* What must kill. */

static int
try_open(void)
{
	return open("/dev/null", O_RDONLY);
}

static int
try_old_open(void)
{
	return (int)syscall(SYS_open, "/dev/null", O_RDONLY);
}

static int
try_socket(void)
{
	return socket(AF_INET, SOCK_STREAM, 0);
}

static int
try_connect(void)
{
	struct sockaddr_in sin = { .sin_family = AF_INET };

	return connect(STDIN_FILENO, (struct sockaddr *)&sin, sizeof(sin));
}

static int
try_bind(void)
{
	struct sockaddr_in sin = { .sin_family = AF_INET };

	return bind(STDIN_FILENO, (struct sockaddr *)&sin, sizeof(sin));
}

static int
try_accept(void)
{
	return accept(STDIN_FILENO, NULL, NULL);
}

/* With MSG_FASTOPEN that is a connect(). */
static int
try_sendto(void)
{
	struct sockaddr_in sin = { .sin_family = AF_INET };

	return (int)sendto(STDIN_FILENO, "x", 1, 0, (struct sockaddr *)&sin,
	    sizeof(sin));
}

static int
try_execve(void)
{
	return execl("/bin/true", "true", (char *)NULL);
}

static int
try_fork(void)
{
	return fork() == -1 ? -1 : 0;
}

static int
try_kill(void)
{
	return kill(getppid(), 0);
}

static int
try_tgkill(void)
{
	return (int)syscall(SYS_tgkill, getppid(), getppid(), 0);
}

static int
try_ptrace(void)
{
	return (int)syscall(SYS_ptrace, 0, 0, 0, 0);
}

static int
try_readv_of_others(void)
{
	return (
	    int)syscall(SYS_process_vm_readv, getppid(), NULL, 0, NULL, 0, 0);
}

static int
try_executable_mmap(void)
{
	return mmap(NULL, 4096, PROT_READ | PROT_EXEC,
		   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED;
}

static int
try_executable_mprotect(void)
{
	static char page[8192] __attribute__((aligned(4096)));

	return mprotect(page, 4096, PROT_READ | PROT_EXEC);
}

static int
try_setrlimit(void)
{
	struct rlimit rl = { 64, 64 };

	return setrlimit(RLIMIT_NOFILE, &rl);
}

static int
try_tiocsti(void)
{
	return ioctl(STDIN_FILENO, TIOCSTI, "x");
}

static int
try_fsetown(void)
{
	return fcntl(STDIN_FILENO, F_SETOWN, getppid());
}

static int
try_prctl(void)
{
	return prctl(PR_SET_DUMPABLE, 1, 0, 0, 0);
}

static int
try_chdir(void)
{
	return chdir("/");
}

static int
try_setuid(void)
{
	return setuid(0);
}

static int
try_no_such_call(void)
{
	return (int)syscall(100000);
}

/* Only the scribe may. */
static int
try_pwrite(void)
{
	return (int)pwrite(STDIN_FILENO, "x", 1, 0);
}

static int
try_ftruncate(void)
{
	return ftruncate(STDIN_FILENO, 0);
}

static int
try_unlinkat(void)
{
	return unlinkat(AT_FDCWD, "/nonexistent", 0);
}

static const struct {
	const char *name;
	int (*fn)(void);
	/* not the scribe, who may do it */
	bool worker_only;
} bad_calls[] = {
	{ "openat", try_open, false },
	{ "open", try_old_open, false },
	{ "socket", try_socket, false },
	{ "connect", try_connect, false },
	{ "bind", try_bind, false },
	{ "accept", try_accept, false },
	{ "sendto with an address", try_sendto, false },
	{ "execve", try_execve, false },
	{ "fork", try_fork, false },
	{ "kill", try_kill, false },
	{ "tgkill of others", try_tgkill, false },
	{ "ptrace", try_ptrace, false },
	{ "process_vm_readv", try_readv_of_others, false },
	{ "mmap executable", try_executable_mmap, false },
	{ "mprotect executable", try_executable_mprotect, false },
	{ "setrlimit", try_setrlimit, false },
	{ "ioctl TIOCSTI", try_tiocsti, false },
	{ "fcntl F_SETOWN", try_fsetown, false },
	{ "prctl", try_prctl, false },
	{ "chdir", try_chdir, false },
	{ "setuid", try_setuid, false },
	{ "a call that does not exist", try_no_such_call, false },
	{ "pwrite", try_pwrite, true },
	{ "ftruncate", try_ftruncate, true },
	{ "unlinkat", try_unlinkat, true },
};

#define NBAD (sizeof(bad_calls) / sizeof(bad_calls[0]))

/* Which of them the child tries. */
static size_t current;

static int
try_inside(enum role role)
{
	if (sandbox_enter(role) == -1)
		return 1;
	(void)bad_calls[current].fn();
	return 0;
}

static int
try_outside(enum role role)
{
	(void)bad_calls[current].fn();
	return 0;
}

static void
each_forbidden_call_kills_and_only_in_the_sandbox(void **state)
{
	int status;

	for (current = 0; current < NBAD; current++) {
		status = in_child(try_inside, ROLE_WORKER);
		if (!was_killed(status))
			fail_msg("%s: 0x%x", bad_calls[current].name, status);
		status = in_child(try_inside, ROLE_SCRIBE);
		if (was_killed(status) == bad_calls[current].worker_only)
			fail_msg("scribe: %s: 0x%x", bad_calls[current].name,
			    status);
		status = in_child(try_inside, ROLE_CLERK);
		if (was_killed(status) == bad_calls[current].worker_only)
			fail_msg("clerk: %s: 0x%x", bad_calls[current].name,
			    status);
		status = in_child(try_outside, ROLE_WORKER);
		if (was_killed(status))
			fail_msg("outside: %s: 0x%x", bad_calls[current].name,
			    status);
	}
}

static int
master_inside(enum role role)
{
	MUST(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 0);
	MUST(sandbox_enter(role) == 0);
	MUST(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1);
	MUST(open("/dev/null", O_RDONLY) != -1);
	return 0;
}

static void
the_master_only_gives_up_new_rights(void **state)
{
	assert_true(lived(in_child(master_inside, ROLE_MASTER)));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_role_that_does_not_exist_is_refused),
		cmocka_unit_test(a_worker_can_do_its_work),
		cmocka_unit_test(the_scribe_can_do_its_work),
		cmocka_unit_test(a_clerk_can_do_its_work),
		cmocka_unit_test(a_check_that_fails_is_still_an_abort),
		cmocka_unit_test(
		    each_forbidden_call_kills_and_only_in_the_sandbox),
		cmocka_unit_test(the_master_only_gives_up_new_rights),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

#endif /* CHATD_SANITIZED */
