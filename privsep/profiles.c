#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <linux/futex.h>
#include <linux/netlink.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <netinet/in.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include "common/num.h"
#include "privsep/sandbox.h"

/*
 * What each process may ask of the kernel: one row is one call, with its
 * reason.  A call that is not here kills the process that makes it.  A new row
 * changes tests/sandbox/expected.txt first.
 *
 * Masks are 32 bits wide where the kernel takes an int, since what stands above
 * is nobody's.
 */
#define INT	0xffffffffull
#define RULE(x, w, e, n, why, ...) { .name = #x, .what = (w), .err = (e), \
	.ncmp = (n), .cmp = { __VA_ARGS__ }, .reason = (why) }

/* any arguments */
#define CALL(x, why)							\
	{ .name = #x, .what = SBX_ALLOW, .reason = (why) }
/* none of these bits in argument a */
#define CALL_NO(x, a, bits, why)					\
	RULE(x, SBX_ARGS, 0, 1, why, { a, bits, 0 })
/* argument a, under the mask, is v */
#define CALL_HAS(x, a, m, v, why)					\
	RULE(x, SBX_ARGS, 0, 1, why, { a, m, v })
/* argument a (an int) is v */
#define CALL_EQ(x, a, v, why)						\
	RULE(x, SBX_ARGS, 0, 1, why, { a, INT, (v) & INT })
#define CALL_2(x, a1, m1, v1, a2, m2, v2, why)				\
	RULE(x, SBX_ARGS, 0, 2, why, { a1, m1, v1 }, { a2, m2, v2 })
#define CALL_3(x, a1, m1, v1, a2, m2, v2, a3, m3, v3, why)		\
	RULE(x, SBX_ARGS, 0, 3, why, { a1, m1, v1 }, { a2, m2, v2 },	\
	    { a3, m3, v3 })
/* argument a, under the mask, is one of four */
#define CALL_IN(x, a, m, v1, v2, v3, v4, why)				\
	RULE(x, SBX_IN, 0, 4, why, { a, m, v1 }, { a, m, v2 },		\
	    { a, m, v3 }, { a, m, v4 })
/* refused with an error that libraries are known to live with */
#define SOFT(x, e, why)							\
	{ .name = #x, .what = SBX_ERRNO, .err = (e), .reason = (why) }
#define SOFT_HAS(x, a, m, v, e, why)					\
	RULE(x, SBX_ERRNO, e, 1, why, { a, m, v })

#define MAP_DROPPABLE_ 0x08	/* Linux 6.11; the headers lack it */

/*
 * The base: what the C library and OpenSSL do in any process.  malloc maps
 * memory of one kind only, never executable.
 */
#define MEMORY								\
	CALL(brk, "malloc"),						\
	CALL_3(mmap, 2, ~(uint64_t)(PROT_READ | PROT_WRITE), 0,		\
	    3, INT, MAP_PRIVATE | MAP_ANONYMOUS, 4, INT, INT,		\
	    "malloc; anonymous, never executable"),			\
	SOFT_HAS(mmap, 3, INT, MAP_DROPPABLE_ | MAP_ANONYMOUS, ENOMEM,	\
	    "newer C libraries' getrandom then asks the kernel"),	\
	CALL(munmap, "malloc"),						\
	SOFT(mremap, ENOMEM, "realloc then copies"),			\
	SOFT(madvise, 0, "advice that need not be taken")

#define LEAVE								\
	CALL(close, "descriptors that came"),				\
	CALL(getrandom, "libcrypto and malloc ask the kernel"),		\
	CALL(clock_gettime, "where the vDSO has no usable clock"),	\
	CALL(rt_sigreturn, "the end of every signal handler"),		\
	CALL(restart_syscall, "after a stop and continue"),		\
	CALL(exit_group, "leaving"),					\
	SOFT(ioctl, ENOTTY, "stdio asks whether it is a terminal"),	\
	SOFT(sysinfo, ENOSYS, "qsort asks for the size of memory")

#define FUTEX_OPS(mask, bit)						\
	CALL_IN(futex, 1, INT & ~(uint64_t)(mask), FUTEX_WAIT | (bit),	\
	    FUTEX_WAKE | (bit), FUTEX_WAIT_BITSET | (bit),		\
	    FUTEX_WAKE_BITSET | (bit), "locks within the process")

#define BASE								\
	MEMORY, LEAVE,							\
	CALL(getpid, "libcrypto looks whether it was forked"),		\
	FUTEX_OPS(FUTEX_CLOCK_REALTIME, FUTEX_PRIVATE_FLAG)

/* Locks of threads; a join waits on a word that the kernel wakes, which is
 * never private. */
#define THREAD_BASE							\
	MEMORY, LEAVE,							\
	CALL(getpid, "libcrypto looks whether it was forked"),		\
	FUTEX_OPS(FUTEX_CLOCK_REALTIME | FUTEX_PRIVATE_FLAG, 0)

#define CHANNELS							\
	CALL(poll, "the loop"),						\
	CALL(recvmsg, "channels; sockets come only this way"),		\
	CALL(sendmsg, "channels and the log")

/* --- network workers: their descriptors arrive open, and are sockets --- */

static const struct sbx_rule session_rules[] = {
	BASE, CHANNELS,
};

static const struct sbx_rule api_rules[] = {
	BASE, CHANNELS,
};

static const struct sbx_rule net_rules[] = {
	BASE, CHANNELS,
};

/* its sockets are open, its packets made and signed before */
static const struct sbx_rule seek_rules[] = {
	BASE, CHANNELS,
};

/* the client end of TLS, on a connection that the dialer made */
static const struct sbx_rule peer_rules[] = {
	BASE, CHANNELS,
};

/* scrypt and TOTP: its one channel is to auth */
static const struct sbx_rule login_rules[] = {
	BASE, CHANNELS,
};

/* UDP sockets arrive bound; interfaces come and go, and groups with them */
static const struct sbx_rule mcast_rules[] = {
	BASE, CHANNELS,
	CALL_2(setsockopt, 1, INT, IPPROTO_IP, 2, INT, IP_ADD_MEMBERSHIP,
	    "an interface came"),
	CALL_2(setsockopt, 1, INT, IPPROTO_IP, 2, INT, IP_DROP_MEMBERSHIP,
	    "an interface is not private any more"),
	CALL_2(setsockopt, 1, INT, IPPROTO_IPV6, 2, INT, IPV6_JOIN_GROUP,
	    "an interface came"),
	CALL_2(setsockopt, 1, INT, IPPROTO_IPV6, 2, INT, IPV6_LEAVE_GROUP,
	    "an interface is not private any more"),
};

static const struct sbx_rule scan_rules[] = {
	BASE, CHANNELS,
};

/* The only role of the server that may connect.  Addresses stand behind a
 * pointer, where no filter looks: server/discovery/dialer.c judges them. */
static const struct sbx_rule dialer_rules[] = {
	MEMORY, LEAVE, CHANNELS,
	CALL_3(socket, 0, INT, AF_INET, 1, INT,
	    SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 2, INT, 0,
	    "a connection to a peer"),
	CALL_3(socket, 0, INT, AF_INET6, 1, INT,
	    SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 2, INT, 0,
	    "a connection to a peer"),
	CALL(connect, "a connection to a peer"),
	CALL_2(getsockopt, 1, INT, SOL_SOCKET, 2, INT, SO_ERROR,
	    "did it come about"),
};

/* accepts and looks by poll, and never reads from a connection */
static const struct sbx_rule listener_rules[] = {
	MEMORY, LEAVE, CHANNELS,
	CALL_EQ(accept4, 3, SOCK_CLOEXEC | SOCK_NONBLOCK,
	    "the listening sockets"),
	CALL(write, "one refusal, to a connection it turns away"),
};

/* --- keepers of something --- */

static const struct sbx_rule keyd_rules[] = {
	BASE, CHANNELS,
};

static const struct sbx_rule logger_rules[] = {
	MEMORY, LEAVE, CHANNELS,
	FUTEX_OPS(FUTEX_CLOCK_REALTIME, FUTEX_PRIVATE_FLAG),
	CALL(write, "the log"),
	CALL(fdatasync, "the log, where it is a file"),
};

static const struct sbx_rule confparse_rules[] = {
	MEMORY, LEAVE, CHANNELS,
	FUTEX_OPS(FUTEX_CLOCK_REALTIME, FUTEX_PRIVATE_FLAG),
	CALL(write, "a last line to standard error: it has no log channel"),
};

#define O_ODD (O_PATH | O_DIRECT | (O_TMPFILE & ~O_DIRECTORY))

/* SQLite with an exclusive lock, no mmap, a journal beside the database */
#define SQLITE								\
	CALL(read, "SQLite"),						\
	CALL(pread64, "SQLite pages"),					\
	CALL(pwrite64, "SQLite pages"),					\
	CALL_HAS(openat, 2, O_NOFOLLOW | O_CLOEXEC | O_ODD,		\
	    O_NOFOLLOW | O_CLOEXEC, "the database and its journal"),	\
	CALL_HAS(openat, 2, INT & ~(uint64_t)O_DIRECTORY,		\
	    O_RDONLY | O_CLOEXEC, "SQLite syncs the journal's directory"),	\
	CALL(newfstatat, "SQLite"),					\
	CALL(fstat, "stands for newfstatat in newer C libraries"),	\
	CALL_IN(fcntl, 1, INT, F_GETLK, F_SETLK, F_GETFD, F_SETFD,	\
	    "SQLite's locks"),						\
	CALL_EQ(fcntl, 1, F_GETFL, "SQLite"),				\
	CALL(fdatasync, "a commit"),					\
	CALL(ftruncate, "the journal after a commit"),			\
	CALL(unlink, "the journal after a commit"),			\
	CALL(getcwd, "SQLite makes names absolute"),			\
	CALL(geteuid, "SQLite looks who owns the journal"),		\
	SOFT(fchown, EPERM, "the journal's owner is right already"),	\
	SOFT(fchmod, EPERM, "the journal's mode is right already"),	\
	SOFT(chmod, EPERM, "the journal's mode is right already")

static const struct sbx_rule auth_rules[] = {
	BASE, CHANNELS, SQLITE,
};

static const struct sbx_rule catalog_rules[] = {
	BASE, CHANNELS, SQLITE,
};

/*
 * Names are the store's own, opened from directories it holds, never through
 * the working directory (AT_FDCWD is negative), never through a link.
 */
#define NEGATIVE 0x80000000ull

static const struct sbx_rule store_rules[] = {
	THREAD_BASE, CHANNELS,
	CALL(read, "directories' helpers and wake-ups"),
	CALL(write, "wake-ups"),
	CALL(pread64, "packs, index, rings"),
	CALL(pwrite64, "packs, index, rings"),
	CALL_2(openat, 0, NEGATIVE, 0, 2, O_NOFOLLOW | O_CLOEXEC | O_ODD,
	    O_NOFOLLOW | O_CLOEXEC, "the vault's files"),
	CALL(fsync, "directories"),
	CALL(fdatasync, "packs and journal"),
	CALL(ftruncate, "a torn tail"),
	CALL(fallocate, "spare packs"),
	CALL(fstat, "sizes"),
	CALL(newfstatat, "sizes, in some C libraries"),
	CALL_IN(renameat2, 4, INT, 0, RENAME_NOREPLACE, 0, 0,
	    "a file takes its final name"),
	CALL_NO(unlinkat, 0, NEGATIVE, "retired packs, temporary files"),
	CALL_2(mkdirat, 0, NEGATIVE, 0, 2, INT, 0700, "packs/XXX"),
	CALL(getdents64, "recovery reads the directories"),
	CALL(lseek, "readdir"),
	CALL(fstatfs, "the reserve of free space"),
	CALL_IN(fcntl, 1, INT, F_OFD_SETLK, F_OFD_GETLK, F_GETFL, F_SETFL,
	    "the lock on the vault; opendir"),
	CALL_IN(fcntl, 1, INT, F_GETFD, F_SETFD, F_DUPFD_CLOEXEC, F_GET_SEALS,
	    "opendir; is a ring sealed"),
	CALL(fadvise64, "bulk reads do not fill the cache"),
	CALL(sync_file_range, "writing back ahead of a commit"),
};

/* --- the client --- */

/*
 * The engine's pool has threads of its own and an arena each, so memory may be
 * protected and given back, still never executable.  Threads are made before.
 * Refused softly what the C library tries when it looks up a name: the socket
 * of nscd, modules of its own; it then reads the files itself.
 */
#define ENGINE_BASE							\
	CALL(brk, "malloc"),						\
	CALL_2(mmap, 2, ~(uint64_t)(PROT_READ | PROT_WRITE), 0,		\
	    3, MAP_ANONYMOUS | MAP_SHARED, MAP_ANONYMOUS, "malloc"),	\
	SOFT_HAS(mmap, 2, PROT_EXEC, PROT_EXEC, EPERM,			\
	    "modules of the C library"),				\
	SOFT_HAS(mmap, 3, MAP_ANONYMOUS, 0, EPERM,			\
	    "modules of the C library: a file's mapping"),		\
	CALL_NO(mprotect, 2, PROT_EXEC, "arenas grow"),			\
	CALL(munmap, "malloc"),						\
	CALL(madvise, "arenas and stacks give memory back"),		\
	SOFT(mremap, ENOMEM, "realloc then copies"),			\
	LEAVE,								\
	CALL(getpid, "libcrypto looks whether it was forked"),		\
	FUTEX_OPS(FUTEX_CLOCK_REALTIME | FUTEX_PRIVATE_FLAG, 0),	\
	CALL(exit, "a thread ends"),					\
	CALL(rt_sigprocmask, "a thread ends"),				\
	CALL(sched_yield, "spinning for a moment"),			\
	CALL(clock_nanosleep, "waiting"),				\
	CHANNELS,							\
	CALL(read, "files"),						\
	CALL(write, "its state files, wake-ups"),			\
	CALL(pread64, "files, state, ring"),				\
	CALL(pwrite64, "state, ring"),					\
	CALL(openat, "what is backed up; its state"),			\
	CALL(openat2, "names that must stay below a directory"),	\
	CALL(fstat, "metadata"),					\
	CALL(newfstatat, "metadata"),					\
	CALL(fstatfs, "which file system"),				\
	CALL(getdents64, "directories"),				\
	CALL(lseek, "holes; readdir"),					\
	CALL(readlinkat, "symlinks"),					\
	CALL(flistxattr, "attributes"),					\
	CALL(llistxattr, "attributes"),					\
	CALL(fgetxattr, "attributes"),					\
	CALL(lgetxattr, "attributes"),					\
	CALL(fadvise64, "bulk reads do not fill the cache"),		\
	CALL_IN(fcntl, 1, INT, F_OFD_SETLK, F_OFD_GETLK, F_GETFL, F_SETFL, \
	    "locks on its state; opendir; O_NOATIME"),			\
	CALL_IN(fcntl, 1, INT, F_GETFD, F_SETFD, F_DUPFD_CLOEXEC,	\
	    F_GET_SEALS, "opendir; is a ring sealed"),			\
	CALL(flock, "locks on its state"),				\
	CALL(fsync, "its state"),					\
	CALL(fdatasync, "its state"),					\
	CALL(ftruncate, "its state"),					\
	CALL(fchmod, "its state"),					\
	CALL(renameat, "its state"),					\
	CALL(renameat2, "its state"),					\
	CALL(unlinkat, "its state"),					\
	CALL(mkdirat, "its state"),					\
	CALL(eventfd2, "workers wake the thread that has the link"),	\
	CALL(uname, "the host's name, for the snapshot"),		\
	CALL(geteuid, "whose files"),					\
	CALL(umask, "modes of what it makes"),				\
	SOFT(socket, EACCES, "the C library asks nscd first"),		\
	SOFT(prlimit64, EPERM, "limits are set"),			\
	SOFT(sched_getaffinity, EPERM, "processors were counted before")

static const struct sbx_rule engine_rules[] = {
	ENGINE_BASE,
};

static const struct sbx_rule restorer_rules[] = {
	ENGINE_BASE,
	CALL(fallocate, "space and holes of restored files"),
	CALL(symlinkat, "symlinks"),
	CALL(linkat, "hard links"),
	CALL(mknodat, "devices, fifos, sockets"),
	CALL(fchown, "owners"),
	CALL(fchownat, "owners"),
	CALL(fchmodat, "modes"),
	CALL(utimensat, "times"),
	CALL(fsetxattr, "attributes"),
	CALL(setxattr, "attributes, by /proc/self/fd"),
	CALL(fremovexattr, "attributes that are not in the snapshot"),
};

/* getaddrinfo, and one connect */
static const struct sbx_rule resolve_rules[] = {
	CALL(brk, "malloc"),
	CALL_NO(mmap, 2, PROT_EXEC, "malloc; the loader's cache"),
	SOFT_HAS(mmap, 2, PROT_EXEC, PROT_EXEC, EPERM,
	    "modules of the resolver: it goes on to hosts and DNS"),
	CALL_NO(mprotect, 2, PROT_EXEC, "the C library"),
	CALL(munmap, "malloc"),
	SOFT(mremap, ENOMEM, "realloc then copies"),
	SOFT(madvise, 0, "advice that need not be taken"),
	LEAVE,
	CALL(getpid, "the C library"),
	FUTEX_OPS(FUTEX_CLOCK_REALTIME | FUTEX_PRIVATE_FLAG, 0),
	CHANNELS,
	CALL(read, "resolv.conf, hosts"),
	CALL(openat, "resolv.conf, hosts"),
	CALL(fstat, "resolv.conf, hosts"),
	CALL(newfstatat, "resolv.conf, hosts"),
	CALL(lseek, "stdio"),
	CALL(access, "the C library"),
	CALL(uname, "the C library: the domain of the host"),
	CALL_IN(socket, 0, INT, AF_INET, AF_INET6, AF_UNIX, AF_NETLINK,
	    "DNS, nscd, addresses of this host, the connection"),
	CALL(connect, "DNS and the connection"),
	CALL(bind, "the C library: netlink"),
	CALL(getsockname, "the C library sorts addresses"),
	CALL(getpeername, "the C library"),
	CALL(getsockopt, "did the connection come about"),
	CALL(setsockopt, "the C library; TCP_NODELAY"),
	CALL(sendto, "the C library: DNS, netlink"),
	CALL(recvfrom, "the C library: DNS"),
	CALL(sendmmsg, "the C library: DNS"),
	CALL_IN(fcntl, 1, INT, F_GETFL, F_SETFL, F_GETFD, F_SETFD,
	    "a time limit on the connect"),
	CALL(geteuid, "the C library"),
	CALL(getuid, "the C library"),
	CALL(gettid, "the C library"),
};

/* --- the master --- */

#define FORK_FLAGS (CLONE_CHILD_SETTID | CLONE_CHILD_CLEARTID | SIGCHLD)
#define THREAD_FLAGS (CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | \
	CLONE_THREAD | CLONE_SYSVSEM | CLONE_SETTLS | CLONE_PARENT_SETTID | \
	CLONE_CHILD_CLEARTID)

/* It parses nothing from a network, makes no socket but pairs, and starts
 * nothing but programs that it has open. */
static const struct sbx_rule master_rules[] = {
	BASE, CHANNELS,
	CALL(read, "signals, the configuration"),
	CALL(write, "signals"),
	CALL(ppoll, "the loop, with signals open only there"),
	CALL_3(socketpair, 0, INT, AF_UNIX, 1, INT,
	    SOCK_SEQPACKET | SOCK_CLOEXEC, 2, INT, 0, "channels"),
	CALL_EQ(clone, 0, FORK_FLAGS, "fork"),
	SOFT(clone3, ENOSYS, "the C library then uses clone"),
	CALL_EQ(execveat, 4, AT_EMPTY_PATH, "a role's program, by descriptor"),
	CALL(dup3, "descriptors of a role"),
	CALL(close_range, "a role gets what it should, no more"),
	CALL(wait4, "the end of a role"),
	CALL_IN(kill, 1, INT, SIGTERM, SIGKILL, SIGTERM, SIGKILL,
	    "ending a role"),
	CALL(rt_sigaction, "signals"),
	CALL(rt_sigprocmask, "signals"),
	CALL_IN(fcntl, 1, INT, F_DUPFD_CLOEXEC, F_GETFD, F_SETFD, F_GETFL,
	    "descriptors of a role"),
	CALL_EQ(fcntl, 1, F_SETFL, "non-blocking channels"),
	CALL(openat, "the configuration at a reload"),
	CALL(newfstatat, "the configuration at a reload"),
	CALL(fstat, "the configuration at a reload"),
	CALL(lseek, "passwd"),
	CALL(unlink, "the control socket at the end"),
	CALL_EQ(accept4, 3, SOCK_CLOEXEC | SOCK_NONBLOCK,
	    "a dialer in a unit of its own"),
	CALL_2(getsockopt, 1, INT, SOL_SOCKET, 2, INT, SO_PEERCRED,
	    "is it the dialer's user"),
	SOFT_HAS(socket, 0, INT, AF_UNIX, EACCES, "getpwnam asks nscd first"),
};

/* A dynamically linked program, up to its main(). */
static const struct sbx_rule startup_rules[] = {
	CALL(brk, "the loader"),
	CALL(access, "the loader: ld.so.preload"),
	CALL(openat, "the loader: libraries"),
	CALL(read, "the loader: libraries"),
	CALL(pread64, "the loader: libraries"),
	CALL(newfstatat, "the loader: libraries"),
	CALL(fstat, "the loader: libraries"),
	CALL(mmap, "the loader: code of libraries is executable"),
	CALL(mprotect, "the loader: relocated data becomes read-only"),
	CALL(munmap, "the loader"),
	CALL(close, "the loader"),
	CALL(arch_prctl, "thread-local storage; shadow stacks"),
	CALL(set_tid_address, "the C library"),
	CALL(set_robust_list, "the C library"),
	CALL(rseq, "the C library"),
	CALL(prlimit64, "the C library; later our own limits"),
	CALL(getrandom, "malloc"),
	CALL(futex, "the C library"),
	CALL(readlink, "the loader: $ORIGIN"),
};

/* A role between main() and its own filter. */
static const struct sbx_rule setup_rules[] = {
	CALL_IN(prctl, 0, INT, PR_SET_NAME, PR_SET_PDEATHSIG, PR_SET_KEEPCAPS,
	    PR_CAP_AMBIENT, "name, parent, capabilities"),
	CALL_IN(prctl, 0, INT, PR_CAPBSET_READ, PR_CAPBSET_DROP,
	    PR_SET_NO_NEW_PRIVS, PR_SET_DUMPABLE, "capabilities, sandbox"),
	CALL_IN(prctl, 0, INT, PR_SET_SECCOMP, PR_GET_SECCOMP,
	    PR_GET_NO_NEW_PRIVS, PR_GET_DUMPABLE, "libseccomp"),
	CALL(setgroups, "drop: no groups"),
	CALL(setresgid, "drop: the role's own, and the proof"),
	CALL(setresuid, "drop: the role's own, and the proof"),
	CALL(getresuid, "drop: the proof"),
	CALL(getresgid, "drop: the proof"),
	CALL(getgroups, "drop: the proof"),
	CALL(capget, "drop: the proof"),
	CALL(capset, "drop: none left"),
	CALL(getppid, "drop: is the parent still there"),
	CALL(chdir, "drop: the new root"),
	CALL(chroot, "drop: the new root"),
	CALL(umask, "modes of what it makes"),
	CALL(seccomp, "the role's own filter"),
	CALL(landlock_create_ruleset, "the role's own rules"),
	CALL(landlock_add_rule, "the role's own rules"),
	CALL(landlock_restrict_self, "the role's own rules"),
	CALL(rt_sigaction, "signals that are not for it"),
	CALL(rt_sigprocmask, "starting threads"),
	CALL_EQ(clone, 0, THREAD_FLAGS, "store's I/O threads"),
	SOFT(clone3, ENOSYS, "the C library then uses clone"),
	CALL(memfd_create, "session's ring"),
	CALL_EQ(fcntl, 1, F_ADD_SEALS, "session's ring"),
	CALL(pipe2, "wake-ups"),
	CALL(eventfd2, "wake-ups"),
	CALL(mkdirat, "store makes a vault"),
	CALL(unlinkat, "files left half made"),
	CALL(fchmod, "keyd and store: modes of new files"),
	CALL(getuid, "libcrypto: is it set-id"),
	CALL(getgid, "libcrypto: is it set-id"),
	CALL(geteuid, "libcrypto: is it set-id"),
	CALL(getegid, "libcrypto: is it set-id"),
	CALL(uname, "libraries"),
	CALL(fchdir, "store: into its vault, by descriptor"),
	CALL_2(setpriority, 0, INT, PRIO_PROCESS, 1, INT, 0,
	    "login: behind the backups"),
	CALL_EQ(setsockopt, 1, SOL_SOCKET, "discovery: filter and buffer of its sockets"),
	CALL_EQ(setsockopt, 1, IPPROTO_IP, "discovery: hops, options of its sockets"),
	CALL_EQ(setsockopt, 1, IPPROTO_IPV6, "discovery: hops, options of its sockets"),
	CALL_3(socket, 0, INT, AF_NETLINK, 1, INT, SOCK_RAW | SOCK_CLOEXEC,
	    2, INT, NETLINK_ROUTE, "dialer: which networks are on the link"),
};

#ifdef WITH_TRAP
static const struct sbx_rule trap_rules[] = {
	CALL(write, "the name of the call that was denied"),
};
#endif

#ifdef WITH_SANITIZERS
/* The sanitizers' run-time: its own memory, its stacks, its report. */
static const struct sbx_rule sanitizer_rules[] = {
	CALL_NO(mmap, 2, PROT_EXEC, "shadow memory"),
	CALL_NO(mprotect, 2, PROT_EXEC, "shadow memory"),
	CALL(munmap, "shadow memory"),
	CALL(mremap, "shadow memory"),
	CALL(madvise, "shadow memory"),
	CALL(brk, "malloc"),
	CALL(futex, "locks"),
	CALL(getpid, "the report"),
	CALL(gettid, "the report"),
	CALL(write, "the report"),
	CALL(sigaltstack, "stack overflows"),
	CALL(rt_sigaction, "the report"),
	CALL(rt_sigprocmask, "the report"),
	CALL(sched_yield, "locks"),
	CALL(exit, "a thread ends"),
	CALL(exit_group, "the report"),
	CALL(tgkill, "abort"),
	CALL(clock_gettime, "the report"),
	CALL(getrusage, "the report"),
	CALL(prctl, "names of mappings"),
	SOFT(readlink, EACCES, "names of modules in the report"),
	SOFT(open, EACCES, "maps in the report"),
	SOFT(openat, EACCES, "maps in the report"),
	SOFT(stat, EACCES, "names of modules in the report"),
	SOFT(newfstatat, EACCES, "names of modules in the report"),
	SOFT(fstat, EACCES, "names of modules in the report"),
	SOFT(access, EACCES, "names of modules in the report"),
	SOFT(socket, EACCES, "names of modules in the report"),
	SOFT(clone, EACCES, "a symbolizer is not started"),
	SOFT(pipe2, EACCES, "a symbolizer is not started"),
	SOFT(sched_getaffinity, EPERM, "the report"),
	SOFT(getcwd, EACCES, "names of modules in the report"),
	SOFT(prlimit64, EPERM, "sizes of stacks"),
};

/* And at the start of a role, which has the master's filter. */
static const struct sbx_rule sanitizer_startup_rules[] = {
	CALL(open, "maps, command line"),
	CALL(stat, "names of modules"),
	CALL(readlink, "names of modules"),
	CALL(sched_getaffinity, "processors"),
	CALL(getcwd, "names of modules"),
	CALL(sysinfo, "memory"),
};
#endif

#define RULES(name) .rules = name##_rules, .n = NITEMS(name##_rules)

static const struct sbx_profile profiles[ROLE_MAX] = {
	[ROLE_MASTER]    = { RULES(master), .files = SBX_FILES_ANY, .writes = true },
	/* standard error may be a file, and an inherited limit would kill it there */
	[ROLE_LOGGER]    = { RULES(logger), .writes = true },
	[ROLE_LISTENER]  = { RULES(listener) },
	[ROLE_SESSION]   = { RULES(session) },
	[ROLE_API]       = { RULES(api) },
	[ROLE_KEYD]      = { RULES(keyd) },
	[ROLE_AUTH]      = { RULES(auth), .files = SBX_FILES_ROOT, .writes = true },
	[ROLE_STORE]     = { RULES(store), .files = SBX_FILES_ROOT, .writes = true },
	[ROLE_LOGIN]     = { RULES(login) },
	[ROLE_CATALOG]   = { RULES(catalog), .files = SBX_FILES_ROOT, .writes = true },
	[ROLE_MCAST]     = { RULES(mcast) },
	[ROLE_SCAN]      = { RULES(scan) },
	[ROLE_DIALER]    = { RULES(dialer), .connects = true },
	[ROLE_PEER]      = { RULES(peer) },
	[ROLE_CONFPARSE] = { RULES(confparse) },
	/*
	 * The engine reads the whole tree and writes below directories that it
	 * was given open; Landlock goes by path at the time of opening and
	 * would have to allow both everywhere.
	 */
	[ROLE_ENGINE]    = { RULES(engine), .files = SBX_FILES_ANY, .writes = true },
	[ROLE_RESTORER]  = { RULES(restorer), .files = SBX_FILES_ANY, .writes = true },
	[ROLE_RESOLVE]   = { RULES(resolve), .files = SBX_FILES_ANY, .connects = true },
	[ROLE_NET]       = { RULES(net) },
	[ROLE_SEEK]      = { RULES(seek) },
};

const struct sbx_profile *
sandbox_profile(enum role role)
{
	if ((unsigned int)role >= ROLE_MAX || profiles[role].rules == NULL)
		return NULL;
	return &profiles[role];
}

static const enum role server_roles[] = {
	ROLE_LOGGER, ROLE_LISTENER, ROLE_SESSION, ROLE_API, ROLE_KEYD,
	ROLE_AUTH, ROLE_LOGIN, ROLE_STORE, ROLE_CATALOG, ROLE_MCAST, ROLE_SCAN,
	ROLE_DIALER, ROLE_PEER, ROLE_CONFPARSE,
};

static void
add(struct sbx_table *out, size_t *n, const struct sbx_rule *rules,
    size_t nrules)
{
	out[*n].rules = rules;
	out[*n].n = nrules;
	(*n)++;
}

size_t
sandbox_tables(enum role role, struct sbx_table out[SBX_TABLES_MAX])
{
	const struct sbx_profile *p = sandbox_profile(role);
	size_t i, n = 0;

	if (p == NULL)
		return 0;
	add(out, &n, p->rules, p->n);
	if (role == ROLE_MASTER) {
		add(out, &n, startup_rules, NITEMS(startup_rules));
		add(out, &n, setup_rules, NITEMS(setup_rules));
		for (i = 0; i < NITEMS(server_roles); i++) {
			p = sandbox_profile(server_roles[i]);
			add(out, &n, p->rules, p->n);
		}
	}
#ifdef WITH_TRAP
	add(out, &n, trap_rules, NITEMS(trap_rules));
#endif
#ifdef WITH_SANITIZERS
	add(out, &n, sanitizer_rules, NITEMS(sanitizer_rules));
	if (role == ROLE_MASTER)
		add(out, &n, sanitizer_startup_rules,
		    NITEMS(sanitizer_startup_rules));
#endif
	return n;
}
