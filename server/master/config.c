#include "config.h"

#include "server/master/master.h"

#include <linux/capability.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/rc.h"

/* Room for "/auth", "/empty" and a role's own path in START. */
#define DIR_MAX		200
#define MASTER_USER	"storegrid"

/* An empty file is valid, and so is none where nobody named one. */
static void
use_defaults(struct master *m)
{
	m->conf_missing = true;
	conf_defaults(&m->conf);
	if (programs_dir(m->conf.programs, sizeof(m->conf.programs)) != RC_OK)
		m->conf.programs[0] = '\0';
	conf_finish(&m->conf);
}

void
config_load(struct master *m)
{
	struct conf_load l = {
		.path = m->conf_path,
		.self = ROLE_MASTER,
		/* A user who only wants to check has nothing to drop. */
		.change_ids = m->euid == 0 || prctl(PR_CAP_AMBIENT,
		    PR_CAP_AMBIENT_IS_SET, CAP_SETUID, 0, 0) == 1,
	};
	char err[CONFLOAD_ERR_MAX];
	struct stat st;
	int rc;

	rc = conf_load(&l, &m->conf, err, sizeof(err));
	if (rc == RC_NOENT && !m->conf_given) {
		use_defaults(m);
		return;
	}
	if (rc != RC_OK) {
		fprintf(stderr, "storegridd: %s\n", err);
		exit(rc == RC_CONFIG || rc == RC_NOENT || rc == RC_DENIED ?
		    EXIT_CONFIG : 1);
	}
	if (stat(m->conf_path, &st) == 0 && (st.st_mode & S_IWOTH) != 0) {
		fprintf(stderr, "storegridd: %s: everybody may write to it; "
		    "mend it with: chmod o-w %s\n", m->conf_path, m->conf_path);
		exit(EXIT_CONFIG);
	}
}

int
config_ids(struct master *m, char *err, size_t size)
{
	const struct passwd *pw;
	char who[64];
	unsigned int r;

	if (role_ids_check(m->conf.users_base, who, sizeof(who)) != RC_OK) {
		snprintf(err, size, "Users.Base: the passwd entry \"%s\" lies "
		    "in the range of the roles; set another base", who);
		return RC_CONFIG;
	}
	for (r = 0; r < ROLE_MAX; r++) {
		if (role_info((enum role)r) == NULL)
			continue;
		if (role_ids((enum role)r, m->conf.users_base, &m->uid[r],
		    &m->gid[r]) != RC_OK) {
			snprintf(err, size, "Users.Base: no user id for role "
			    "%s", role_name((enum role)r));
			return RC_CONFIG;
		}
	}
	/* The unit's user has the shorter name. */
	if (m->conf.users_base == 0 &&
	    getpwnam(role_info(ROLE_MASTER)->user) == NULL &&
	    (pw = getpwnam(MASTER_USER)) != NULL) {
		m->uid[ROLE_MASTER] = pw->pw_uid;
		m->gid[ROLE_MASTER] = pw->pw_gid;
	}
	return RC_OK;
}

static int
check_path(const char *key, const char *path, size_t max, char *err,
    size_t size)
{
	if (path[0] != '/')
		snprintf(err, size, "%s: \"%s\" is not an absolute path", key,
		    path);
	else if (strlen(path) > max)
		snprintf(err, size, "%s: longer than %zu bytes", key, max);
	else
		return RC_OK;
	return RC_CONFIG;
}

static int
check_list(const char *key, const struct conf_list *l, char *err, size_t size)
{
	struct addr_list parsed;
	size_t bad = 0;

	if (addr_list_parse(&parsed, l, &bad) == RC_OK)
		return RC_OK;
	snprintf(err, size, "%s: \"%s\" is neither \"any\", \"private\", an "
	    "address nor a network (as 192.0.2.0/24)", key, l->s[bad]);
	return RC_CONFIG;
}

static int
check_mode(const struct conf *c, char *err, size_t size)
{
	if (c->mode != CONF_MODE_REPLICATION)
		return RC_OK;
	snprintf(err, size, "Mode = \"replication\": replication is not in this "
	    "version; \"server\", \"client\" and \"both\" are");
	return RC_CONFIG;
}

static int
check_waived(const struct conf_list *l, char *err, size_t size)
{
	unsigned int r;
	size_t i;

	for (i = 0; i < l->n; i++) {
		for (r = 0; r < ROLE_MAX; r++)
			if (role_info((enum role)r) != NULL &&
			    strcmp(l->s[i], role_name((enum role)r)) == 0)
				break;
		if (r == ROLE_MAX) {
			snprintf(err, size, "Sandbox.Allow: \"%s\" is no role",
			    l->s[i]);
			return RC_CONFIG;
		}
	}
	return RC_OK;
}

/* Each of these may be a process, and logger, keyd and auth hold a channel to
 * each: a store for every session is the worst case. */
static int
check_sizes(const struct conf *c, char *err, size_t size)
{
	uint64_t n = (uint64_t)c->pool_min + 2 * (uint64_t)c->pool_max +
	    c->halfopen_max;

	if (c->pool_min > c->pool_max) {
		snprintf(err, size, "Pool.SessionMin is more than "
		    "Pool.SessionMax");
		return RC_CONFIG;
	}
	if (n <= MASTER_WORKERS_MAX)
		return RC_OK;
	snprintf(err, size, "Pool.SessionMin + 2 * Pool.SessionMax + "
	    "Limits.HalfOpen is %llu, more than the %d that this version "
	    "serves", (unsigned long long)n, MASTER_WORKERS_MAX);
	return RC_CONFIG;
}

int
config_check(const struct conf *c, char *err, size_t size)
{
	struct ports plan;
	int rc;

	if ((rc = check_mode(c, err, size)) != RC_OK ||
	    (rc = check_path("Paths.State", c->state, DIR_MAX, err, size)) !=
	    RC_OK ||
	    (rc = check_path("Paths.Vaults", c->vaults, DIR_MAX, err,
	    size)) != RC_OK ||
	    (rc = check_path("Paths.Run", c->run, DIR_MAX, err, size)) !=
	    RC_OK ||
	    (rc = check_path("Paths.Programs", c->programs, CONF_STR_MAX - 1,
	    err, size)) != RC_OK ||
	    (rc = check_list("Access.Server", &c->access_server, err,
	    size)) != RC_OK ||
	    (rc = check_list("Access.GUI", &c->access_gui, err, size)) !=
	    RC_OK ||
	    (rc = check_list("Access.Web", &c->access_web, err, size)) !=
	    RC_OK ||
	    (rc = check_list("Plaintext.AllowFrom", &c->plaintext_from, err,
	    size)) != RC_OK ||
	    (rc = check_list("Limits.Exempt", &c->exempt, err, size)) !=
	    RC_OK ||
	    (rc = check_waived(&c->sandbox_allow, err, size)) != RC_OK ||
	    (rc = check_sizes(c, err, size)) != RC_OK ||
	    (rc = ports_plan(&plan, c, err, size)) != RC_OK)
		return rc;
	if (c->ssl_cert[0] != '\0' || c->ssl_key[0] != '\0') {
		snprintf(err, size, "SSL.SSLCertFile, SSL.SSLKeyFile: a key "
		    "from files is not in this version; the server makes its "
		    "backup key at its first start and clients pin it");
		return RC_CONFIG;
	}
	return RC_OK;
}

void
config_print(const struct conf *c)
{
	char value[CONF_LIST_MAX * 72 + CONF_STR_MAX];
	size_t i;

	for (i = 0; i < conf_keys_n; i++) {
		conf_print(c, &conf_keys[i], value, sizeof(value));
		printf("%-28s = %s;\t# %s\n", conf_keys[i].path, value,
		    conf_keys[i].reload ? "a reload changes it" :
		    "needs a restart");
	}
}
