#include "config.h"

#include <sys/stat.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "client/cli/cli.h"
#include "common/io.h"
#include "common/num.h"
#include "common/rc.h"
#include "privsep/confload.h"
#include "privsep/roles.h"

/*
 * Where a client keeps what it remembers: $STOREGRID_HOME, else
 * ~/.config/storegrid for a user, else two directories for root.  As root the
 * engine runs as a user of its own, so the directories are that user's and 0700.
 */
#define CONF_NAME	"SGConfiguration.conf"
#define ROOT_CONFIG	SYSCONF_DIR "/client"
#define ROOT_STATE	"/var/lib/storegrid/client"
#define HOME_ENV	"STOREGRID_HOME"

/* The one directory of a user or of $STOREGRID_HOME; false: root's two. */
static bool
one_home(char *out, size_t size)
{
	const char *home = getenv(HOME_ENV);
	const struct passwd *pw;

	if (home != NULL && home[0] != '\0') {
		snprintf(out, size, "%s", home);
		return true;
	}
	if (geteuid() == 0)
		return false;
	home = getenv("HOME");
	if (home == NULL || home[0] != '/') {
		pw = getpwuid(geteuid());
		home = pw != NULL ? pw->pw_dir : "/nonexistent";
	}
	snprintf(out, size, "%s/.config/storegrid", home);
	return true;
}

static int
load_conf(struct cli *c, const char *path, bool must_be, bool *found,
    char *err, size_t size)
{
	struct conf_load l = { .path = path, .self = ROLE_COMMAND,
	    .change_ids = geteuid() == 0 };
	char why[CONFLOAD_ERR_MAX];
	int rc;

	*found = false;
	if (!must_be && access(path, F_OK) != 0)
		return EXIT_DONE;
	if ((rc = conf_load(&l, &c->conf, why, sizeof(why))) != RC_OK) {
		snprintf(err, size, "%.500s", why);
		return rc == RC_NOENT || rc == RC_CONFIG || rc == RC_DENIED ?
		    EXIT_USAGE : EXIT_FAILED;
	}
	*found = true;
	return EXIT_DONE;
}

/* What of the configuration matters to a client goes to the engine. */
static int
use_conf(struct cli *c, char *err, size_t size)
{
	struct conf plain;

	conf_defaults(&plain);
	if (c->conf.ssl_enabled && c->conf.plaintext_client) {
		snprintf(err, size, "SSL.Enabled and Plaintext.Client cannot "
		    "both be 1");
		return EXIT_USAGE;
	}
	if (c->conf.ssl_enabled)
		c->args.flags |= VERBS_F_SSL;
	if (c->conf.plaintext_client)
		c->args.flags |= VERBS_F_PLAINTEXT;
	/* The default is no wish: then the token's ports hold. */
	if (c->conf.port_server != plain.port_server)
		c->args.port = c->conf.port_server;
	if (c->conf.port_ssl != plain.port_ssl)
		c->args.ssl_port = c->conf.port_ssl;
	return EXIT_DONE;
}

int
home_conf(struct cli *c, char *err, size_t size)
{
	char home[PATH_MAX], path[PATH_MAX + 32];
	bool found = false;
	int code;

	if (c->conf_path != NULL) {
		code = load_conf(c, c->conf_path, true, &found, err, size);
	} else {
		code = EXIT_DONE;
		if (one_home(home, sizeof(home))) {
			snprintf(path, sizeof(path), "%s/" CONF_NAME, home);
			code = load_conf(c, path, false, &found, err, size);
		}
		if (code == EXIT_DONE && !found)
			code = load_conf(c, SYSCONF_DIR "/" CONF_NAME, false,
			    &found, err, size);
	}
	if (code != EXIT_DONE)
		return code;
	if (!found) {
		conf_defaults(&c->conf);
		conf_finish(&c->conf);
		if (programs_dir(c->conf.programs,
		    sizeof(c->conf.programs)) != RC_OK) {
			snprintf(err, size, "the programs' path is too long");
			return EXIT_FAILED;
		}
	}
	return use_conf(c, err, size);
}

static int
make_parents(const char *path)
{
	char part[PATH_MAX];
	char *slash;

	if (strlen(path) >= sizeof(part)) {
		errno = ENAMETOOLONG;
		return -1;
	}
	snprintf(part, sizeof(part), "%s", path);
	for (slash = strchr(part + 1, '/'); slash != NULL;
	    slash = strchr(slash + 1, '/')) {
		*slash = '\0';
		/* As storegridd --init makes /var/lib/storegrid. */
		if (mkdir(part, strcmp(part, "/var/lib/storegrid") == 0 ?
		    0711 : 0755) != 0 && errno != EEXIST)
			return -1;
		*slash = '/';
	}
	return 0;
}

/* Only what we put there ourselves: such a directory may change its owner. */
static bool
is_ours(int fd)
{
	static const char *const known[] = {
		CONF_NAME, "client", "keys", "sequence", "lock", "jobs",
		"cache", "fids",
	};
	int own = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = own >= 0 ? fdopendir(own) : NULL;
	struct dirent *d;
	bool ours = true;

	if (dir == NULL) {
		fd_close(&own);
		return false;
	}
	while (ours && (d = readdir(dir)) != NULL) {
		ours = strcmp(d->d_name, ".") == 0 ||
		    strcmp(d->d_name, "..") == 0;
		for (size_t i = 0; i < NITEMS(known) && !ours; i++)
			ours = strncmp(d->d_name, known[i],
			    strlen(known[i])) == 0;
	}
	closedir(dir);
	return ours;
}

static int
own_dir(const char *path, int fd, uid_t uid, gid_t gid, char *err,
    size_t size)
{
	struct stat st;

	if (fstat(fd, &st) != 0)
		goto fail;
	if (st.st_uid != uid) {
		if (geteuid() != 0 || !is_ours(fd)) {
			snprintf(err, size, "%s belongs to uid %u, but must be "
			    "uid %u's: chown -R %u:%u %s", path,
			    (unsigned)st.st_uid, (unsigned)uid,
			    (unsigned)uid, (unsigned)gid, path);
			return EXIT_USAGE;
		}
		if (fchown(fd, uid, gid) != 0)
			goto fail;
	}
	if ((st.st_mode & 077) != 0 && fchmod(fd, 0700) != 0)
		goto fail;
	return EXIT_DONE;
fail:
	snprintf(err, size, "%s: %s", path, strerror(errno));
	return EXIT_FAILED;
}

static int
open_one(const struct cli *c, const char *path, int *fd, char *err,
    size_t size)
{
	uid_t uid = geteuid();
	gid_t gid = getegid();
	int rc;

	/* A restorer reads the same keys, so it runs as the engine's user. */
	if (uid == 0 && (rc = role_ids(ROLE_ENGINE, c->conf.users_base, &uid,
	    &gid)) != RC_OK) {
		snprintf(err, size, "user of the engine: %s", rc_str(rc));
		return EXIT_USAGE;
	}
	if (make_parents(path) != 0 ||
	    (mkdir(path, 0700) != 0 && errno != EEXIST) ||
	    (*fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)) < 0) {
		snprintf(err, size, "%s: %s", path, strerror(errno));
		return EXIT_FAILED;
	}
	return own_dir(path, *fd, uid, gid, err, size);
}

void
home_paths(char *config, char *state, size_t size)
{
	bool one = one_home(config, size);

	if (!one)
		snprintf(config, size, "%s", ROOT_CONFIG);
	snprintf(state, size, "%s", one ? config : ROOT_STATE);
}

int
home_open(const struct cli *c, int *config, int *state, char *err,
    size_t size)
{
	char home[PATH_MAX];
	bool one = one_home(home, sizeof(home));
	int code;

	*config = *state = -1;
	code = open_one(c, one ? home : ROOT_CONFIG, config, err, size);
	if (code == EXIT_DONE)
		code = open_one(c, one ? home : ROOT_STATE, state, err, size);
	if (code != EXIT_DONE) {
		fd_close(config);
		fd_close(state);
	}
	return code;
}

int
target_open(const struct cli *c, int *fd, char *err, size_t size)
{
	*fd = -1;
	if (!c->dry_run && (make_parents(c->to) != 0 ||
	    (mkdir(c->to, 0755) != 0 && errno != EEXIST)))
		goto fail;
	*fd = open(c->to, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (*fd >= 0 || (c->dry_run && errno == ENOENT))
		return EXIT_DONE;
fail:
	snprintf(err, size, "%s: %s", c->to, strerror(errno));
	return EXIT_FAILED;
}
