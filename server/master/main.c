#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <limits.h>
#include <linux/capability.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/io.h"
#include "common/log.h"
#include "common/rc.h"
#include "privsep/drop.h"
#include "privsep/sandbox.h"
#include "server/master/master.h"

#define DEFAULT_CONF	SYSCONF_DIR "/SGConfiguration.conf"

/* What the master keeps: the roles' ids and roots, and ending them. */
#define MASTER_CAPS	(CAP_BIT(CAP_SETUID) | CAP_BIT(CAP_SETGID) |	\
	CAP_BIT(CAP_SYS_CHROOT) | CAP_BIT(CAP_KILL))

/* Channels of all workers, connections that wait, and a listener that inherits
 * the limit. */
#define MASTER_FILES	8192

static struct master master = {
	.lock_fd = -1,
	.svc = {
		[SVC_LOGGER] = { .role = ROLE_LOGGER, .needed = true },
		[SVC_KEYD] = { .role = ROLE_KEYD, .needed = true },
		[SVC_AUTH] = { .role = ROLE_AUTH, .needed = true },
		[SVC_LOGIN] = { .role = ROLE_LOGIN },
		[SVC_CATALOG] = { .role = ROLE_CATALOG },
		[SVC_MCAST] = { .role = ROLE_MCAST },
		[SVC_SCAN] = { .role = ROLE_SCAN },
		[SVC_DIALER] = { .role = ROLE_DIALER },
		[SVC_LISTENER] = { .role = ROLE_LISTENER, .needed = true },
	},
	.waiting_tail = &master.waiting,
	.notify = { .fd = -1 },
};

enum what { RUN, TEST, PRINT, INIT };

static void
usage(FILE *out)
{
	fprintf(out,
	    "usage: storegridd [-f FILE] [-t | -T | --init] [--foreground]\n"
	    "       storegridd --version | --help\n"
	    "\n"
	    "The StoreGrid backup server; it stays in the foreground.\n"
	    "\n"
	    "  -f FILE       configuration (default %s)\n"
	    "  -t            check the configuration, its files and directories\n"
	    "  -T            check, and print the values in effect\n"
	    "  --init        make missing directories with their owners (root)\n"
	    "  --foreground  accepted; there is no other way\n"
	    "\n"
	    "Signals: HUP reloads, TERM and INT stop after what is under way.\n"
	    "Exit: 0 stopped, 1 failed, 75 another one runs on this state, "
	    "78 configuration.\n", DEFAULT_CONF);
}

static void
config_exit(const char *err)
{
	fprintf(stderr, "storegridd: %s: %s\n", master.conf_path, err);
	exit(EXIT_CONFIG);
}

/* Descriptors below 3 may have come closed; what opens there later would be
 * given away as somebody's standard error. */
static void
standard_fds(void)
{
	int fd;

	do {
		fd = open("/dev/null", O_RDWR);
	} while (fd >= 0 && fd < 3);
	if (fd >= 3)
		close(fd);
}

/* systemd says which stream is the journal's, so that a redirected one is
 * told from it. */
static bool
is_journal(void)
{
	const char *s = getenv("JOURNAL_STREAM");
	unsigned long long dev, ino;
	struct stat st;

	return s != NULL && sscanf(s, "%llu:%llu", &dev, &ino) == 2 &&
	    fstat(STDERR_FILENO, &st) == 0 && st.st_dev == dev &&
	    st.st_ino == ino;
}

static void
raise_limits(void)
{
	struct rlimit rl;

	if (getrlimit(RLIMIT_NOFILE, &rl) != 0)
		return;
	if (rl.rlim_max < MASTER_FILES && geteuid() == 0)
		rl.rlim_max = MASTER_FILES;
	rl.rlim_cur = rl.rlim_max < MASTER_FILES ? rl.rlim_max : MASTER_FILES;
	if (setrlimit(RLIMIT_NOFILE, &rl) != 0)
		log_warn("limit-nofile: %s", strerror(errno));
}

static void
bind_ports(struct master *m, int inherited)
{
	char err[512] = "";
	int rc;

	rc = ports_plan(&m->ports, &m->conf, err, sizeof(err));
	if (rc == RC_OK && inherited > 0)
		rc = ports_inherit(&m->ports, 3, inherited, err, sizeof(err));
	if (rc == RC_OK)
		rc = ports_open(&m->ports, err, sizeof(err));
	if (rc == RC_OK)
		return;
	if (rc == RC_CONFIG || rc == RC_BUSY)
		config_exit(err);
	fprintf(stderr, "storegridd: %s\n", err);
	exit(1);
}

static void
open_programs(struct master *m)
{
	static const uint32_t mask = R(LOGGER) | R(LISTENER) | R(SESSION) |
	    R(API) | R(KEYD) | R(AUTH) | R(LOGIN) | R(STORE) | R(CATALOG) |
	    R(MCAST) | R(SCAN) | R(DIALER) | R(PEER) | R(CONFPARSE);
	char what[512] = "", err[1024];
	int rc;

	rc = spawn_open(&m->spawner, ROLE_MASTER, m->conf.programs, mask, what,
	    sizeof(what));
	if (rc == RC_OK)
		return;
	snprintf(err, sizeof(err), "Paths.Programs: %s: %s", what, rc_str(rc));
	config_exit(err);
}

static void
take_lock(struct master *m)
{
	pid_t holder;
	int rc = lock_state(m, &holder);

	if (rc == RC_OK)
		return;
	if (rc == RC_BUSY) {
		fprintf(stderr, "storegridd: %s: another storegridd (pid %d) "
		    "runs on this state\n", m->conf.state, (int)holder);
		exit(EXIT_TEMPFAIL);
	}
	fprintf(stderr, "storegridd: %s/lock: %s\n", m->conf.state,
	    strerror(errno));
	exit(EXIT_CONFIG);
}

/* The order matters: everything that needs more rights than four capabilities,
 * or a call that the filter lacks, comes before it. */
static void
run(struct master *m, int inherited)
{
	const char *step = "";

	if (init_dirs(m, true) != RC_OK)
		exit(EXIT_CONFIG);
	take_lock(m);
	bind_ports(m, inherited);
	open_programs(m);
	raise_limits();
	loop_signals();
	if (drop_master(MASTER_CAPS, &step) != RC_OK) {
		fprintf(stderr, "storegridd: privileges (%s): start it as "
		    "root, or as its own user with CAP_SETUID, CAP_SETGID, CAP_SYS_CHROOT and "
		    "CAP_KILL as ambient capabilities\n", step);
		exit(1);
	}
	if (sandbox_master(&step) != RC_OK) {
		fprintf(stderr, "storegridd: sandbox: %s\n", step);
		exit(1);
	}
	master_log_sink(m);
	log_notice("start version=%s id=%s", PACKAGE_VERSION, m->conf.id);
	if (m->conf_missing)
		log_notice("config file=%s: not there; defaults apply",
		    m->conf_path);
	loop_run(m);
}

static enum what
options(int argc, char **argv)
{
	static const struct option longs[] = {
		{ "init", no_argument, NULL, 'I' },
		{ "foreground", no_argument, NULL, 'F' },
		{ "version", no_argument, NULL, 'V' },
		{ "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 },
	};
	enum what what = RUN;
	int c;

	while ((c = getopt_long(argc, argv, "f:tTh", longs, NULL)) != -1) {
		switch (c) {
		case 'f':
			master.conf_path = optarg;
			master.conf_given = true;
			break;
		case 't':
			what = TEST;
			break;
		case 'T':
			what = PRINT;
			break;
		case 'I':
			what = INIT;
			break;
		case 'F':
			break;
		case 'V':
			printf("storegridd %s\n", PACKAGE_VERSION);
			exit(0);
		case 'h':
			usage(stdout);
			exit(0);
		default:
			usage(stderr);
			exit(2);
		}
	}
	if (optind != argc) {
		usage(stderr);
		exit(2);
	}
	return what;
}

int
main(int argc, char **argv)
{
	struct master *m = &master;
	char err[512] = "";
	int inherited = 0;
	enum what what;
	char *real;

	standard_fds();
	umask(077);
	log_set_prefix("storegridd");
	m->conf_path = DEFAULT_CONF;
	what = options(argc, argv);
	m->pid = getpid();
	m->euid = geteuid();
	m->started = io_wall_ns() / 1000000000;
	if ((real = realpath(m->conf_path, NULL)) != NULL)
		m->conf_path = real;	/* a reload reads the same */
	if (what == RUN) {
		m->to_journal = is_journal();
		notify_open(&m->notify);
		if ((inherited = listen_fds()) == -1) {
			fprintf(stderr, "storegridd: LISTEN_FDS makes no "
			    "sense\n");
			return EXIT_CONFIG;
		}
	}
	config_load(m);
	if (config_check(&m->conf, err, sizeof(err)) != RC_OK ||
	    config_ids(m, err, sizeof(err)) != RC_OK)
		config_exit(err);
	switch (what) {
	case PRINT:
		config_print(&m->conf);
		/* FALLTHROUGH */
	case TEST:
		if (init_dirs(m, false) != RC_OK)
			return EXIT_CONFIG;
		if (what == TEST)
			printf("%s: ok%s\n", m->conf_path, m->conf_missing ?
			    " (not there; defaults apply)" : "");
		return 0;
	case INIT:
		if (m->euid != 0) {
			fprintf(stderr, "storegridd: --init is for root\n");
			return 1;
		}
		return init_dirs(m, true) == RC_OK ? 0 : EXIT_CONFIG;
	case RUN:
		break;
	}
	run(m, inherited);
	return m->exit_code;
}
