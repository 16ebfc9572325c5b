#include "config.h"

#include <stdio.h>
#include <string.h>

#include "client/engine/engine.h"
#include "client/engine/event.h"
#include "client/engine/pool.h"
#include "client/engine/verbs.h"
#include "common/log.h"
#include "common/rc.h"
#include "privsep/role.h"

/*
 * sg-engine, as engine or as restorer: takes its directories and one order from
 * the command, runs it, answers with an exit code and a sentence.
 */
#define TEXT_MAX	1024
#define ORDER_MS	60000
#define DIR_CONFIG	0
#define DIR_STATE	1
#define DIR_TARGET	2
#define DIR_MAX		3

static int
do_enrol(struct engine *e, const struct verb_args *a, char *text, size_t size)
{
	return enrol_run(e, a->token, text, size);
}

static int
do_pair(struct engine *e, const struct verb_args *a, char *text, size_t size)
{
	return pair_run(e, a->host, a->host_port, text, size);
}

static int
do_recover(struct engine *e, const struct verb_args *a, char *text,
    size_t size)
{
	return recover_run(e, a->token, a->secret,
	    (a->flags & VERBS_F_PASSPHRASE) != 0, text, size);
}

static int
do_export(struct engine *e, const struct verb_args *a, char *text,
    size_t size)
{
	(void)a;
	return export_recovery_run(e, text, size);
}

static int
do_doctor(struct engine *e, const struct verb_args *a, char *text,
    size_t size)
{
	(void)a;
	return doctor_run(e, text, size);
}

static int
do_passwd(struct engine *e, const struct verb_args *a, char *text,
    size_t size)
{
	return passwd_run(e, a->secret, text, size);
}

static const char *
or_null(const char *s)
{
	return s != NULL && s[0] != '\0' ? s : NULL;
}

static int
do_backup(struct engine *e, const struct verb_args *a, char *text,
    size_t size)
{
	const struct backup_opt o = {
		.job = or_null(a->job),
		.paths = (const char **)a->paths,
		.npaths = a->npaths,
		.exclude = (const char **)a->exclude,
		.nexclude = a->nexclude,
		.exclude_caches = (a->flags & VERBS_F_CACHES) != 0,
		.one_file_system = (a->flags & VERBS_F_ONE_FS) != 0,
		.dry_run = (a->flags & VERBS_F_DRY_RUN) != 0,
	};

	return backup_run(e, &o, text, size);
}

static int
do_snapshots(struct engine *e, const struct verb_args *a, char *text,
    size_t size)
{
	return snapshots_run(e, or_null(a->job), text, size);
}

static int
do_ls(struct engine *e, const struct verb_args *a, char *text, size_t size)
{
	return ls_run(e, a->snap, or_null(a->job), a->path,
	    (a->flags & VERBS_F_RECURSIVE) != 0, text, size);
}

static int
do_restore(struct engine *e, const struct verb_args *a, char *text,
    size_t size)
{
	const struct restore_opt o = {
		.snap = a->snap,
		.job = or_null(a->job),
		.path = a->path,
		.dry_run = (a->flags & VERBS_F_DRY_RUN) != 0,
		.verify = (a->flags & VERBS_F_VERIFY) != 0,
		.overwrite = (enum overwrite)a->overwrite,
	};

	return restore_run(e, &o, text, size);
}

static int
do_check(struct engine *e, const struct verb_args *a, char *text, size_t size)
{
	const struct check_opt o = {
		.snap = or_null(a->snap),
		.percent = a->percent,
	};

	return check_run(e, &o, text, size);
}

struct order {
	enum verb	verb;
	bool		enrolled;	/* needs a whole state */
	int		(*run)(struct engine *e, const struct verb_args *a,
			    char *text, size_t size);
};

/* The verbs of each program: restore alone may write files. */
static const struct order engine_orders[] = {
	{ VERB_ENROL,		false,	do_enrol },
	{ VERB_PAIR,		false,	do_pair },
	{ VERB_RECOVER,		false,	do_recover },
	{ VERB_EXPORT,		true,	do_export },
	{ VERB_PASSWD,		true,	do_passwd },
	{ VERB_BACKUP,		true,	do_backup },
	{ VERB_SNAPSHOTS,	true,	do_snapshots },
	{ VERB_LS,		true,	do_ls },
	{ VERB_CHECK,		true,	do_check },
	{ VERB_DOCTOR,		true,	do_doctor },
};
static const struct order restorer_orders[] = {
	{ VERB_RESTORE,		true,	do_restore },
};

static const struct order *
find_order(enum role role, enum verb verb)
{
	const struct order *o = engine_orders;
	size_t n = sizeof(engine_orders) / sizeof(engine_orders[0]);

	if (role == ROLE_RESTORER) {
		o = restorer_orders;
		n = sizeof(restorer_orders) / sizeof(restorer_orders[0]);
	}
	for (size_t i = 0; i < n; i++)
		if (o[i].verb == verb)
			return &o[i];
	return NULL;
}

static int
load(struct engine *e, char *text, size_t size)
{
	int rc = state_load(e->state, &e->keys);

	switch (rc) {
	case RC_OK:
		break;
	case RC_NOENT:
		snprintf(text, size, "this machine is not enrolled; get a "
		    "token from the server's administrator and run "
		    "`storegrid enrol`");
		return EXIT_USAGE;
	case RC_DENIED:
		snprintf(text, size, "this client state was made on another "
		    "machine (the machine id differs). On a clone, get a token "
		    "of its own and run `storegrid enrol --force`; where the "
		    "old machine is gone, `storegrid recover --force`");
		return EXIT_AUTH;
	case RC_VERSION:
		snprintf(text, size, "the client's state is from a newer "
		    "version of this program");
		return EXIT_USAGE;
	case RC_CORRUPT:
		snprintf(text, size, "the client's state is damaged; put its "
		    "files back, or get a token and run `storegrid recover "
		    "--force` with the recovery key");
		return EXIT_FAILED;
	default:
		snprintf(text, size, "the client's state cannot be read: %s",
		    rc_str(rc));
		return EXIT_FAILED;
	}
	if (!e->state->pending)
		return EXIT_DONE;
	snprintf(text, size, "this machine is enrolled, but has no key of the "
	    "vault yet: run `storegrid recover --continue`, or `storegrid "
	    "enrol --continue` where there was no backup before");
	return EXIT_AUTH;
}

/* What a backup says until there is a way back from a bare machine. */
static void
remind(struct engine *e)
{
	struct wbuf body = WBUF_INIT(1024);

	wbuf_u8(&body, EVENT_WARNING);
	wbuf_str(&body, "no recovery key was exported yet: if this machine is "
	    "lost, nobody can read its backups; run `storegrid key "
	    "export-recovery`");
	(void)engine_event(e, &body);
	wbuf_free(&body);
}

static int
run_order(struct engine *e, enum role role, struct verb_args *a, char *text,
    size_t size)
{
	const struct order *o = find_order(role, a->verb);
	int code;

	if (o == NULL) {
		snprintf(text, size, "%s is not for this process",
		    verbs_name(a->verb));
		return EXIT_FAILED;
	}
	e->force = (a->flags & VERBS_F_FORCE) != 0;
	e->conf_ssl = (a->flags & VERBS_F_SSL) != 0;
	e->conf_plaintext = (a->flags & VERBS_F_PLAINTEXT) != 0;
	e->conf_port = a->port;
	e->conf_ssl_port = a->ssl_port;
	if (o->enrolled && (code = load(e, text, size)) != EXIT_DONE)
		return code;
	code = o->run(e, a, text, size);
	if (a->verb == VERB_BACKUP && !e->state->recovery_exported &&
	    (code == EXIT_DONE || code == EXIT_INCOMPLETE))
		remind(e);
	return code;
}

/* Directories, then the order.  An early STOP is an end, too. */
static int
receive(struct role_env *env, int dirs[DIR_MAX], struct verb_args *a)
{
	struct msg m;
	uint8_t which;
	int rc;

	for (;;) {
		if ((rc = chan_recv_wait(env->parent, &m, ORDER_MS)) != RC_OK)
			return rc;
		switch (m.type) {
		case MSG_ENGINE_DIR:
			if (rbuf_u8(&m.body, &which) != RC_OK ||
			    rbuf_end(&m.body) != RC_OK ||
			    which >= DIR_MAX || dirs[which] != -1)
				return RC_PROTO;
			dirs[which] = msg_take_fd(env->parent, &m);
			break;
		case MSG_ENGINE_DO:
			return verbs_get(&m.body, a);
		case MSG_STOP:
			return RC_CANCELLED;
		default:
			return RC_STATE;
		}
	}
}

static void
done(struct engine *e, int code, const char *text)
{
	struct wbuf body = WBUF_INIT(2048);

	wbuf_u8(&body, (uint8_t)code);
	wbuf_str(&body, text);
	(void)chan_send(e->cmd, MSG_ENGINE_DONE, &body, -1);
	wbuf_free(&body);
}

static int
start_pool(void *arg)
{
	struct engine *e = arg;

	return pool_start(&e->nthreads);
}

/* One program, two roles: which one stands in the name it was given. */
static enum role
own_role(int argc, char **argv)
{
	static const char end[] = "restorer";
	size_t n = argc > 0 ? strlen(argv[0]) : 0;

	if (n >= sizeof(end) - 1 &&
	    strcmp(argv[0] + n - (sizeof(end) - 1), end) == 0)
		return ROLE_RESTORER;
	return ROLE_ENGINE;
}

int
main(int argc, char **argv)
{
	static struct engine e = { .target_fd = -1 };
	static struct verb_args a;
	enum role role = own_role(argc, argv);
	int dirs[DIR_MAX] = { -1, -1, -1 };
	char text[TEXT_MAX] = "";
	struct role_env env;
	int code, rc;

	role_begin(&env, role, ROLE_COMMAND, false);
	e.cmd = env.parent;
	role_drop(&env);
	role_on_threads(&env, start_pool, &e);
	role_enter(&env);

	rc = receive(&env, dirs, &a);
	if (rc == RC_EOF || rc == RC_CANCELLED)
		return 0;
	if (rc != RC_OK || dirs[DIR_CONFIG] == -1 || dirs[DIR_STATE] == -1)
		fatal("bad order from the command: %s", rc_str(rc));
	if ((rc = state_open(&e.state, dirs[DIR_CONFIG],
	    dirs[DIR_STATE])) != RC_OK)
		fatal("%s", rc_str(rc));
	e.target_fd = dirs[DIR_TARGET];
	code = run_order(&e, role, &a, text, sizeof(text));
	/* What was committed is committed, whatever came afterwards. */
	if (e.cancelled && code != EXIT_DONE && code != EXIT_INCOMPLETE) {
		code = EXIT_INTERRUPTED;
		snprintf(text, sizeof(text), a.verb == VERB_PAIR ?
		    "interrupted; another `storegrid pair` shows another code" :
		    "interrupted; the same command goes on from here");
	}
	verbs_clear(&a);
	keys_clear(&e.keys);
	done(&e, code, text);
	state_free(e.state);
	chan_free(e.cmd);
	return 0;
}
