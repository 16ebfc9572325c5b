#include "config.h"

#include "client/cli/doctor.h"

#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/landlock.h>
#include <linux/seccomp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "client/cli/run.h"
#include "client/cli/show_impl.h"
#include "common/io.h"
#include "common/num.h"
#include "common/rc.h"
#include "privsep/roles.h"

#define ASK_MS		50000		/* resolve and net have their own ends */

/* One port, and what resolve found. */
struct port {
	uint16_t	port;
	struct child	child;
	int		rc, err, fd;
	char		said[256];	/* the address, or why not */
};

struct doctor {
	struct cli	*c;
	struct show	*show;
	int		 code;
	char		 host[VERBS_HOST_MAX];
	char		 config[PATH_MAX], state[PATH_MAX];
	bool		 enrolled;	/* there is a state */
	bool		 known;		/* and it is of this server */
	bool		 ssl;
	struct run	 r;
	struct port	 port[DOCTOR_PORTS];
};

static void
report(struct doctor *d, const struct verdict *f)
{
	struct json j;

	d->code = judge_worse(d->code, f);
	if (d->show->json) {
		show_json_begin(d->show, &j, "finding");
		json_put_str(&j, "check", f->check);
		json_put_str(&j, "level", judge_level(f->level));
		json_put_str(&j, "text", f->text);
		json_put_str(&j, "advice", f->advice);
		show_json_end(d->show, &j);
	} else {
		printf("%-4s  %-15s  %s\n", judge_level(f->level), f->check,
		    show_esc(d->show, 0, f->text, strlen(f->text)));
		if (f->advice[0] != '\0')
			printf("%24s%s\n", "", show_esc(d->show, 0, f->advice,
			    strlen(f->advice)));
	}
	(void)fflush(stdout);
}

/* --- this machine --- */

static void
look_at_dir(struct doctor *d, const char *path)
{
	struct doctor_dir dir = { .path = path, .want = geteuid(),
	    .empty = !d->enrolled };
	struct verdict f;
	struct stat st;
	gid_t gid;

	if (dir.want == 0)
		(void)role_ids(ROLE_ENGINE, d->c->conf.users_base, &dir.want,
		    &gid);
	if (stat(path, &st) != 0) {
		dir.err = errno;
	} else {
		dir.mode = st.st_mode;
		dir.uid = st.st_uid;
	}
	judge_dir(&f, &dir);
	report(d, &f);
}

static void
look_at_space(struct doctor *d)
{
	struct statvfs fs;
	struct verdict f;

	if (statvfs(d->state, &fs) != 0)
		return;			/* not there yet: told before */
	judge_space(&f, d->state, (uint64_t)fs.f_bavail * fs.f_frsize,
	    (uint64_t)fs.f_blocks * fs.f_frsize);
	report(d, &f);
}

static void
look_at_kernel(struct doctor *d)
{
	uint32_t kill = SECCOMP_RET_KILL_PROCESS;
	struct verdict f;
	long abi;

	abi = syscall(SYS_landlock_create_ruleset, NULL, 0,
	    LANDLOCK_CREATE_RULESET_VERSION);
	judge_sandbox(&f, syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0,
	    &kill) == 0, abi > 0 ? (int)abi : 0);
	report(d, &f);
	judge_users(&f, geteuid());
	report(d, &f);
}

static void
look_at_home(struct doctor *d)
{
	char file[PATH_MAX + 16];

	home_paths(d->config, d->state, sizeof(d->config));
	snprintf(file, sizeof(file), "%s/client", d->config);
	d->enrolled = access(file, F_OK) == 0;
	look_at_dir(d, d->config);
	if (strcmp(d->config, d->state) != 0)
		look_at_dir(d, d->state);
	look_at_space(d);
}

/* --- the ports --- */

/* All at once: a filtered one takes ten seconds. */
static void
ask_port(struct doctor *d, struct port *p)
{
	struct wbuf b = WBUF_INIT(512);

	p->rc = child_start(&d->r, &p->child, ROLE_RESOLVE);
	wbuf_str(&b, d->host);
	wbuf_u16(&b, p->port);
	if (p->rc == RC_OK)
		p->rc = chan_send(p->child.chan, MSG_RESOLVE, &b, -1);
	wbuf_free(&b);
}

static int
answer_of(struct port *p, struct msg *m)
{
	uint32_t err;
	uint8_t code;

	if (rbuf_u8(&m->body, &code) != RC_OK ||
	    rbuf_u32(&m->body, &err) != RC_OK ||
	    rbuf_str(&m->body, p->said, sizeof(p->said)) != RC_OK ||
	    rbuf_end(&m->body) != RC_OK)
		return RC_PROTO;
	p->err = (int)err;
	p->fd = msg_take_fd(p->child.chan, m);
	return -(int)code;
}

static void
wait_port(struct doctor *d, struct port *p)
{
	uint64_t until = io_now_ms() + ASK_MS, now;
	struct msg m;
	int rc = p->rc;

	while (rc == RC_OK && (now = io_now_ms()) < until) {
		rc = chan_recv_wait(p->child.chan, &m, (int)(until - now));
		if (rc == RC_OK && m.type == MSG_RESOLVED) {
			p->rc = answer_of(p, &m);
			break;
		}
		if (rc == RC_OK && m.type == MSG_LOG)
			rc = child_log(&d->r, &p->child, &m);
		p->rc = RC_TIMEOUT;
	}
	if (rc != RC_OK)
		p->rc = rc;
	child_end(&d->r, &p->child);
}

static void
look_at_route(struct doctor *d, const struct port *p)
{
	char text[INET6_ADDRSTRLEN] = "?";
	struct verdict f = { .check = "route", .level = LEVEL_OK };
	struct sockaddr_storage own;
	socklen_t len = sizeof(own);

	if (p->fd < 0 || getsockname(p->fd, (struct sockaddr *)&own, &len) != 0)
		return;
	if (own.ss_family == AF_INET6)
		inet_ntop(AF_INET6, &((struct sockaddr_in6 *)&own)->sin6_addr,
		    text, sizeof(text));
	else
		inet_ntop(AF_INET, &((struct sockaddr_in *)&own)->sin_addr,
		    text, sizeof(text));
	snprintf(f.text, sizeof(f.text), "from %s to %s", text, p->said);
	report(d, &f);
}

static bool
look_at_ports(struct doctor *d)
{
	enum doctor_port used = d->ssl ? DOCTOR_SSL : DOCTOR_SERVER;
	struct verdict f;
	int i;

	for (i = 0; i < DOCTOR_PORTS; i++)
		ask_port(d, &d->port[i]);
	for (i = 0; i < DOCTOR_PORTS; i++)
		wait_port(d, &d->port[i]);
	judge_name(&f, d->host, d->port[used].rc, d->port[used].said);
	report(d, &f);
	if (f.level == LEVEL_FAIL)
		return false;
	look_at_route(d, &d->port[used]);
	for (i = 0; i < DOCTOR_PORTS; i++) {
		struct port *p = &d->port[i];

		judge_port(&f, (enum doctor_port)i, p->port,
		    judge_reach(p->rc, p->err), i == (int)used);
		report(d, &f);
	}
	return d->port[used].rc == RC_OK;
}

/* --- TLS, without an enrolment --- */

static int
tls_answer(struct chan *link, char *said, size_t size, uint8_t pin[32])
{
	uint8_t exporter[32], code;
	struct msg m;
	int rc;

	if ((rc = chan_recv_wait(link, &m, ASK_MS)) != RC_OK)
		return rc;
	if (m.type == MSG_NET_UP)
		return rbuf_bytes(&m.body, exporter, 32) == RC_OK &&
		    rbuf_bytes(&m.body, pin, 32) == RC_OK ? RC_OK : RC_PROTO;
	if (m.type != MSG_NET_FAILED || rbuf_u8(&m.body, &code) != RC_OK ||
	    rbuf_str(&m.body, said, size) != RC_OK || code == 0)
		return RC_PROTO;
	return -(int)code;
}

static int
try_tls(struct doctor *d, int sock, char *said, size_t size, uint8_t pin[32])
{
	struct child net = { .role = ROLE_NONE };
	struct wbuf b = WBUF_INIT(64);
	struct chan *link = NULL;
	int pair[2] = { -1, -1 }, rc;

	wbuf_u8(&b, NET_TLS_ANY);
	wbuf_zeros(&b, 32);
	if ((rc = dial_empty_make(&d->r)) == RC_OK &&
	    (rc = child_start(&d->r, &net, ROLE_NET)) == RC_OK &&
	    (rc = chan_pair(pair)) == RC_OK &&
	    (rc = chan_send(net.chan, MSG_NET_OPEN, &b, sock)) == RC_OK &&
	    (rc = chan_send(net.chan, MSG_NET_LINK, NULL, pair[0])) == RC_OK) {
		fd_close(&pair[0]);
		link = chan_new(pair[1], ROLE_ENGINE, ROLE_NET);
		pair[1] = -1;
		rc = link != NULL ? tls_answer(link, said, size, pin) :
		    RC_NOMEM;
	}
	chan_free(link);
	fd_close(&pair[0]);
	fd_close(&pair[1]);
	child_end(&d->r, &net);
	dial_empty_drop(&d->r);
	wbuf_free(&b);
	return rc;
}

static void
look_at_tls(struct doctor *d)
{
	struct port *p = &d->port[d->ssl ? DOCTOR_SSL : DOCTOR_SERVER];
	uint8_t pin[32] = { 0 };
	struct verdict f;
	char said[512] = "";
	int rc;

	rc = try_tls(d, p->fd, said, sizeof(said), pin);
	if (rc != RC_OK && said[0] == '\0')
		snprintf(said, sizeof(said), "TLS: %s", rc_str(rc));
	judge_tls(&f, rc, said, pin);
	report(d, &f);
}

/* --- the enrolment: what the engine knows and what it comes to --- */

static const char *
value_of(const struct show *s, const char *name)
{
	for (size_t i = 0; i < s->nvalues; i++)
		if (strcmp(s->values[i].name, name) == 0)
			return s->values[i].text;
	return "";
}

static uint16_t
number_of(const struct show *s, const char *name)
{
	return (uint16_t)strtoul(value_of(s, name), NULL, 10);
}

/* The engine's values; its log-in is in *code and text. */
static struct show *
ask_engine(struct doctor *d, int *code, char *text, size_t size)
{
	struct show *s = show_new(d->c->json, VERB_DOCTOR);

	if (s == NULL)
		return NULL;
	d->c->args.verb = VERB_DOCTOR;
	*code = run_engine(d->c, s, text, size);
	return s;
}

static void
look_at_enrolment(struct doctor *d, const struct show *s, int code,
    const char *text)
{
	struct verdict f[2];

	judge_ports_differ(&f[0], "Server", number_of(s, "port"),
	    d->c->args.port);
	report(d, &f[0]);
	if (judge_login(f, code, text)) {
		report(d, &f[0]);
		report(d, &f[1]);
	} else {
		report(d, &f[0]);
	}
	if (value_of(s, "clock_ns")[0] != '\0') {
		judge_clock(&f[0], strtoll(value_of(s, "clock_ns"), NULL, 10));
		report(d, &f[0]);
	}
}

static void
no_state(struct doctor *d, const char *text, int code)
{
	struct verdict f = { .check = "enrolment", .level = LEVEL_FAIL,
	    .code = code == EXIT_AUTH ? EXIT_AUTH : EXIT_FAILED };

	snprintf(f.text, sizeof(f.text), "%.500s", text);
	report(d, &f);
}

static void
default_ports(struct doctor *d)
{
	const struct conf *c = &d->c->conf;

	d->port[DOCTOR_SERVER].port = c->port_server;
	d->port[DOCTOR_SSL].port = c->port_ssl;
	d->port[DOCTOR_GUI].port = c->port_gui;
	d->port[DOCTOR_WEBSSL].port = c->port_webssl;
	d->ssl = c->ssl_enabled;
	for (int i = 0; i < DOCTOR_PORTS; i++)
		d->port[i].fd = -1;
}

/* Which server: the one named, or the one of the enrolment. */
static int
choose(struct doctor *d, const struct show *s, char *err, size_t size)
{
	uint16_t port = 0;

	if (d->c->nrest > 0 && split_host(d->c->rest[0], d->host,
	    sizeof(d->host), &port) != RC_OK) {
		snprintf(err, size, "doctor: HOST or HOST:PORT of the server "
		    "is wanted");
		return EXIT_USAGE;
	}
	if (s != NULL && value_of(s, "host")[0] != '\0' &&
	    (d->c->nrest == 0 || strcmp(d->host, value_of(s, "host")) == 0)) {
		snprintf(d->host, sizeof(d->host), "%s", value_of(s, "host"));
		d->known = true;
		if (d->c->args.port == 0)
			d->port[DOCTOR_SERVER].port = number_of(s, "port");
		if (d->c->args.ssl_port == 0)
			d->port[DOCTOR_SSL].port = number_of(s, "ssl_port");
		d->ssl = d->ssl || strcmp(value_of(s, "ssl"), "1") == 0;
	}
	if (port != 0) {
		d->known = d->known && port == d->port[DOCTOR_SERVER].port;
		d->port[DOCTOR_SERVER].port = port;
	}
	return EXIT_DONE;
}

static void
look_at_server(struct doctor *d, const struct show *s, int code,
    const char *text)
{
	char missing[256];

	if (spawn_open(&d->r.spawner, ROLE_COMMAND, d->c->conf.programs,
	    R(RESOLVE) | R(NET), missing, sizeof(missing)) != RC_OK) {
		no_state(d, "StoreGrid's programs are not where "
		    "Paths.Programs says", EXIT_FAILED);
		return;
	}
	if (look_at_ports(d) && !d->known)
		look_at_tls(d);
	if (d->known)
		look_at_enrolment(d, s, code, text);
	for (int i = 0; i < DOCTOR_PORTS; i++)
		fd_close(&d->port[i].fd);
	spawn_free(d->r.spawner);
}

int
prepare_doctor(struct cli *c, char *err, size_t size)
{
	static struct doctor d = { .r = { .sig_fd = -1 } };
	struct show *s = NULL;
	char text[1024] = "";
	int code = EXIT_DONE;

	d.c = d.r.cli = c;
	if ((d.show = show_new(c->json, VERB_DOCTOR)) == NULL)
		return EXIT_FAILED;
	d.r.show = d.show;
	look_at_kernel(&d);
	look_at_home(&d);
	default_ports(&d);
	if (d.enrolled)
		s = ask_engine(&d, &code, text, sizeof(text));
	if (d.enrolled && (s == NULL || value_of(s, "host")[0] == '\0'))
		no_state(&d, text, code);
	if (choose(&d, s, err, size) != EXIT_DONE)
		d.code = EXIT_USAGE;
	else if (d.host[0] != '\0')
		look_at_server(&d, s, code, text);
	else if (!d.enrolled)
		no_state(&d, "this machine is not enrolled, and no server is "
		    "named: `storegrid doctor SERVER` looks at the way there, "
		    "`storegrid discover` finds servers on this network",
		    EXIT_FAILED);
	show_free(s);
	show_free(d.show);
	return d.code;
}
