#include "config.h"

#include "client/cli/doctor.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "client/cli/escape.h"
#include "common/num.h"
#include "common/rc.h"

#define CLOCK_MAX_S	60
#define SPACE_FAIL	(UINT64_C(16) << 20)
#define SPACE_WARN	(UINT64_C(256) << 20)

static void __attribute__((format(printf, 4, 5)))
say(struct verdict *f, const char *check, enum level level, const char *fmt,
    ...)
{
	va_list ap;

	memset(f, 0, sizeof(*f));
	snprintf(f->check, sizeof(f->check), "%s", check);
	f->level = level;
	f->code = level == LEVEL_FAIL ? EXIT_FAILED : EXIT_DONE;
	va_start(ap, fmt);
	vsnprintf(f->text, sizeof(f->text), fmt, ap);
	va_end(ap);
}

static void __attribute__((format(printf, 2, 3)))
advise(struct verdict *f, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(f->advice, sizeof(f->advice), fmt, ap);
	va_end(ap);
}

const char *
judge_level(enum level l)
{
	return l == LEVEL_OK ? "ok" : l == LEVEL_WARN ? "warn" : "fail";
}

int
judge_worse(int code, const struct verdict *f)
{
	static const int rank[] = { EXIT_DONE, EXIT_FAILED, EXIT_UNREACHABLE,
	    EXIT_AUTH, EXIT_PIN };
	size_t a = 0, b = 0;

	for (size_t i = 0; i < NITEMS(rank); i++) {
		a = rank[i] == code ? i : a;
		b = rank[i] == f->code ? i : b;
	}
	return b > a ? f->code : code;
}

enum reach
judge_reach(int rc, int err)
{
	if (rc == RC_OK)
		return REACH_OPEN;
	if (err == ECONNREFUSED)
		return REACH_REFUSED;
	return rc == RC_TIMEOUT || err == ETIMEDOUT ? REACH_FILTERED :
	    REACH_NONE;
}

void
judge_name(struct verdict *f, const char *host, int rc, const char *said)
{
	if (rc != RC_NOENT && rc != RC_AGAIN) {
		say(f, "name", LEVEL_OK, "%s can be looked up", host);
		return;
	}
	say(f, "name", LEVEL_FAIL, "%s cannot be looked up: %s", host, said);
	f->code = EXIT_UNREACHABLE;
	advise(f, rc == RC_AGAIN ? "the name service does not answer: look at "
	    "/etc/resolv.conf and the network of this machine" : "is the name "
	    "right? An address in its place works, too, and so does a line in "
	    "/etc/hosts");
}

static const struct {
	const char	*name, *check;
	const char	*lost;		/* what its loss costs */
} ports[DOCTOR_PORTS] = {
	[DOCTOR_SERVER] = { "Server", "port Server", "no enrolment, backup or "
	    "restore is possible from here" },
	[DOCTOR_SSL] = { "SSLServer", "port SSLServer", "it is used only by "
	    "clients with SSL.Enabled = 1" },
	[DOCTOR_GUI] = { "GUI", "port GUI", "\"switch to peer\" and the "
	    "exchange of peers from here do not work, and with the first "
	    "browsing that machine's backups from another console; backup and "
	    "restore go on" },
	[DOCTOR_WEBSSL] = { "WebSSL", "port WebSSL", "its console cannot be "
	    "opened from here; only remote administration needs that" },
};

static const char *
reach_text(enum reach r)
{
	switch (r) {
	case REACH_OPEN:
		return "open";
	case REACH_REFUSED:
		return "closed (the connection is refused)";
	case REACH_FILTERED:
		return "filtered (no answer)";
	default:
		return "not reachable";
	}
}

static void
advise_port(struct verdict *f, uint16_t port, const char *name,
    enum reach reach)
{
	switch (reach) {
	case REACH_REFUSED:
		advise(f, "the machine is there, and nothing listens: is the "
		    "server running, is Ports.%s %u in its configuration, and "
		    "does its Listen name the address that is asked?", name,
		    port);
		break;
	case REACH_FILTERED:
		advise(f, "a firewall on the way drops it, or a router does "
		    "not forward it: let TCP %u in (`storegridctl firewall` on "
		    "the server writes the rules)", port);
		break;
	default:
		advise(f, "there is no way there: look at the route, the "
		    "cable, the VPN of this machine");
		break;
	}
}

void
judge_port(struct verdict *f, enum doctor_port which, uint16_t port,
    enum reach reach, bool used)
{
	enum level level = LEVEL_OK;

	if (reach == REACH_OPEN) {
		say(f, ports[which].check, LEVEL_OK, "TCP %u is open", port);
		return;
	}
	/* What nobody here uses may be closed; that is told and no more. */
	if (used)
		level = LEVEL_FAIL;
	else if (which == DOCTOR_GUI)
		level = LEVEL_WARN;
	say(f, ports[which].check, level, "TCP %u is %s: %s", port,
	    reach_text(reach), used ? ports[DOCTOR_SERVER].lost :
	    which == DOCTOR_SERVER ? "this client does not use it" :
	    ports[which].lost);
	if (level == LEVEL_FAIL)
		f->code = EXIT_UNREACHABLE;
	if (level != LEVEL_OK)
		advise_port(f, port, ports[which].name, reach);
}

void
judge_tls(struct verdict *f, int rc, const char *said, const uint8_t pin[32])
{
	char hex[17];

	if (rc == RC_OK) {
		for (int i = 0; i < 8; i++)
			snprintf(hex + 2 * i, 3, "%02x", pin[i]);
		say(f, "tls", LEVEL_OK, "TLS 1.3 works; the server's key begins "
		    "with %s (not compared with anything: this machine is not "
		    "enrolled there)", hex);
		return;
	}
	say(f, "tls", LEVEL_FAIL, "%s", said);
	f->code = rc == RC_PIN || rc == RC_TLS ? EXIT_PIN : EXIT_UNREACHABLE;
	advise(f, rc == RC_BUSY ? "wait a few minutes: too many attempts from "
	    "this network, or a busy server" : "is this a StoreGrid server's "
	    "port, and does nothing on the way take TLS apart?");
}

bool
judge_login(struct verdict f[2], int code, const char *said)
{
	say(&f[0], "pin", LEVEL_OK, "TLS works, and the server's key is the one "
	    "of the enrolment");
	switch (code) {
	case EXIT_DONE:
		say(&f[1], "log-in", LEVEL_OK, "the server knows this client");
		return true;
	case EXIT_PIN:
		say(&f[0], "pin", LEVEL_FAIL, "%s", said);
		f[0].code = EXIT_PIN;
		advise(&f[0], "was the server set up anew? Then get a fresh "
		    "token from its administrator and run `storegrid enrol "
		    "--force`. If not, somebody may be in between: nothing was "
		    "sent to it");
		return false;
	case EXIT_AUTH:
		say(&f[1], "log-in", LEVEL_FAIL, "%s", said);
		f[1].code = EXIT_AUTH;
		advise(&f[1], "ask the server's administrator: `storegridctl "
		    "client list` shows whether this client is disabled or "
		    "removed");
		return true;
	case EXIT_UNREACHABLE:
	case EXIT_LATER:
		say(&f[0], "pin", LEVEL_FAIL, "%s", said);
		f[0].code = EXIT_UNREACHABLE;
		advise(&f[0], code == EXIT_LATER ? "wait a few minutes and try "
		    "again" : "see the ports above");
		return false;
	default:
		say(&f[1], "log-in", LEVEL_FAIL, "%s", said);
		return true;
	}
}

void
judge_clock(struct verdict *f, int64_t diff)
{
	int64_t s = diff / INT64_C(1000000000);

	if (s <= CLOCK_MAX_S && s >= -CLOCK_MAX_S) {
		say(f, "clock", LEVEL_OK, "within %d seconds of the server's",
		    CLOCK_MAX_S);
		return;
	}
	say(f, "clock", LEVEL_WARN, "this machine's clock is %" PRId64
	    " seconds %s the server's", s < 0 ? -s : s, s < 0 ? "ahead of" :
	    "behind");
	advise(f, "set up time synchronization (chrony, systemd-timesyncd) on "
	    "the one that is wrong: times of snapshots and the expiry of "
	    "tokens go by it");
}

void
judge_ports_differ(struct verdict *f, const char *key, uint16_t token,
    uint16_t conf)
{
	if (conf == 0 || conf == token) {
		say(f, "configuration", LEVEL_OK, "Ports.%s is as enrolled "
		    "(%u)", key, token);
		return;
	}
	say(f, "configuration", LEVEL_WARN, "Ports.%s here is %u, the "
	    "enrolment token said %u; %u is used", key, conf, token, conf);
	advise(f, "remove Ports.%s from this machine's configuration, unless a "
	    "router forwards %u to the server", key, conf);
}

void
judge_dir(struct verdict *f, const struct doctor_dir *d)
{
	if (d->err == ENOENT) {
		say(f, "directory", LEVEL_OK, "%s is not there yet; enrolling "
		    "makes it", d->path);
	} else if (d->err != 0) {
		say(f, "directory", LEVEL_FAIL, "%s: %s", d->path,
		    strerror(d->err));
		advise(f, "the user who runs storegrid must be able to enter "
		    "it");
	} else if (d->empty && (d->want == d->uid || d->uid == 0)) {
		say(f, "directory", LEVEL_OK, "%s has no enrolment in it yet; "
		    "enrolling sets its owner and mode", d->path);
	} else if (d->uid != d->want) {
		say(f, "directory", LEVEL_FAIL, "%s belongs to uid %u, not to "
		    "%u", d->path, (unsigned)d->uid, (unsigned)d->want);
		advise(f, "chown -R %u %s", (unsigned)d->want, d->path);
	} else if ((d->mode & 077) != 0) {
		say(f, "directory", LEVEL_FAIL, "%s may be entered by others "
		    "(mode %04o); this machine's keys are in it", d->path,
		    (unsigned)(d->mode & 07777));
		advise(f, "chmod 700 %s", d->path);
	} else {
		say(f, "directory", LEVEL_OK, "%s is its user's alone",
		    d->path);
	}
}

void
judge_space(struct verdict *f, const char *path, uint64_t free_bytes,
    uint64_t total)
{
	char a[32], b[32];

	human_bytes(free_bytes, a, sizeof(a));
	human_bytes(total, b, sizeof(b));
	say(f, "space", free_bytes < SPACE_FAIL ? LEVEL_FAIL :
	    free_bytes < SPACE_WARN ? LEVEL_WARN : LEVEL_OK,
	    "%s of %s are free where %s lies", a, b, path);
	if (f->level != LEVEL_OK)
		advise(f, "make room: without it the cache of known files "
		    "cannot be kept, and each backup reads all of them again");
}

void
judge_sandbox(struct verdict *f, bool seccomp, int abi)
{
	if (!seccomp) {
		say(f, "sandbox", LEVEL_FAIL, "this kernel has no system-call "
		    "filter (seccomp)");
		advise(f, "StoreGrid's processes do not run without it: use a "
		    "kernel with CONFIG_SECCOMP_FILTER, or a container that "
		    "allows it");
	} else if (abi < 1) {
		say(f, "sandbox", LEVEL_WARN, "seccomp works; this kernel has "
		    "no Landlock, so file and network rules stand on seccomp "
		    "alone");
		advise(f, "a kernel from 5.13 on with \"landlock\" in its "
		    "lsm= list has both");
	} else {
		say(f, "sandbox", LEVEL_OK, "seccomp works, Landlock ABI %d; "
		    "user namespaces are not needed", abi);
	}
}

void
judge_users(struct verdict *f, uid_t euid)
{
	if (euid == 0)
		say(f, "users", LEVEL_OK, "run as root: each process has a "
		    "user of its own");
	else
		say(f, "users", LEVEL_OK, "run as an ordinary user: one uid "
		    "serves all client processes, and seccomp, Landlock and "
		    "being undumpable keep them apart");
}
