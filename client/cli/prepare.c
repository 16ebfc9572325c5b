#include "config.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "client/cli/cli.h"
#include "common/rc.h"
#include "common/secret.h"

#define EXCLUDES_FILE_MAX (4u << 20)

int
split_snapshot(const char *text, char *snap, size_t size, char **path)
{
	const char *at = strstr(text, ":/");
	size_t n;

	/* Without a slash behind the colon it may be the time in JOB@TIME. */
	if (at == NULL && strchr(text, '@') == NULL)
		at = strchr(text, ':');
	n = at != NULL ? (size_t)(at - text) : strlen(text);
	if (n == 0 || n >= size)
		return RC_RANGE;
	memcpy(snap, text, n);
	snap[n] = '\0';
	if (at == NULL || at[1] == '\0') {
		*path = strdup("");
	} else {
		size_t len = strlen(at + 1) + 2;

		if ((*path = malloc(len)) != NULL)
			snprintf(*path, len, "%s%s",
			    at[1] == '/' ? "" : "/", at + 1);
	}
	return *path != NULL ? RC_OK : RC_NOMEM;
}

/* "/a//b/./c/../d/" to "/a/b/d", in place. */
static void
clean(char *path)
{
	char *to = path, *from = path;

	while (*from != '\0') {
		size_t n;

		while (*from == '/')
			from++;
		n = strcspn(from, "/");
		if (n == 0)
			break;
		if (n == 1 && from[0] == '.') {
			from += n;
			continue;
		}
		if (n == 2 && from[0] == '.' && from[1] == '.') {
			while (to > path && *--to != '/')
				;
			from += n;
			continue;
		}
		*to++ = '/';
		memmove(to, from, n);
		to += n;
		from += n;
	}
	if (to == path)
		*to++ = '/';
	*to = '\0';
}

static char *
join(const char *dir, const char *name)
{
	size_t n = strlen(dir) + strlen(name) + 2;
	char *out = malloc(n);

	if (out != NULL)
		snprintf(out, n, "%s/%s", dir, name);
	return out;
}

/* By its text alone. */
static char *
absolute_text(const char *path)
{
	char *cwd = NULL, *out;

	if (path[0] == '/') {
		out = strdup(path);
	} else {
		cwd = getcwd(NULL, 0);
		out = cwd != NULL ? join(cwd, path) : NULL;
	}
	free(cwd);
	if (out != NULL)
		clean(out);
	return out;
}

/*
 * Links on the way are followed, since the engine walks from "/" and follows
 * none; the last name is not, so that naming a link saves the link.  What does
 * not exist keeps its text: the engine reports it.
 */
char *
path_absolute(const char *path)
{
	size_t n = strlen(path);
	const char *last = strrchr(path, '/');
	char *dir, *real, *out;

	last = last != NULL ? last + 1 : path;
	if (*last == '\0' || strcmp(last, ".") == 0 ||
	    strcmp(last, "..") == 0) {
		out = realpath(n > 0 ? path : ".", NULL);
		return out != NULL ? out : absolute_text(path);
	}
	if ((dir = strndup(path, (size_t)(last - path))) == NULL)
		return NULL;
	real = realpath(dir[0] != '\0' ? dir : ".", NULL);
	free(dir);
	if (real == NULL)
		return absolute_text(path);
	out = join(strcmp(real, "/") == 0 ? "" : real, last);
	free(real);
	return out;
}

static int
by_bytes(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static void
sort_paths(struct verb_args *a)
{
	size_t n = 0;

	if (a->npaths == 0)
		return;
	qsort(a->paths, a->npaths, sizeof(*a->paths), by_bytes);
	for (size_t i = 1; i < a->npaths; i++) {
		if (strcmp(a->paths[n], a->paths[i]) == 0)
			free(a->paths[i]);
		else
			a->paths[++n] = a->paths[i];
	}
	a->npaths = n + 1;
}

int
prepare_backup(struct cli *c, char *err, size_t size)
{
	if (c->nrest == 0) {
		snprintf(err, size, "backup: name at least one path");
		return EXIT_USAGE;
	}
	for (int i = 0; i < c->nrest; i++) {
		char *path = path_absolute(c->rest[i]);
		int rc;

		if (path == NULL) {
			snprintf(err, size, "%s: %s", c->rest[i],
			    strerror(errno));
			return EXIT_FAILED;
		}
		rc = verbs_list_add(&c->args.paths, &c->args.npaths, path);
		free(path);
		if (rc != RC_OK) {
			snprintf(err, size, "backup: too many paths");
			return EXIT_USAGE;
		}
	}
	sort_paths(&c->args);
	return EXIT_DONE;
}

int
excludes_read(const char *file, char ***list, size_t *n, char *err,
    size_t size)
{
	char *line = NULL;
	size_t room = 0, total = 0;
	ssize_t len;
	int code = EXIT_DONE;
	FILE *f;

	if ((f = strcmp(file, "-") == 0 ? stdin : fopen(file, "re")) == NULL) {
		snprintf(err, size, "%s: %s", file, strerror(errno));
		return EXIT_USAGE;
	}
	while (code == EXIT_DONE && (len = getline(&line, &room, f)) >= 0) {
		total += (size_t)len;
		while (len > 0 && strchr("\r\n", line[len - 1]) != NULL)
			line[--len] = '\0';
		if (len == 0 || line[0] == '#')
			continue;
		if (total > EXCLUDES_FILE_MAX ||
		    strlen(line) != (size_t)len ||
		    verbs_list_add(list, n, line) != RC_OK) {
			snprintf(err, size, "%s: too many patterns, or not "
			    "text", file);
			code = EXIT_USAGE;
		}
	}
	free(line);
	if (f != stdin)
		fclose(f);
	return code;
}

static int
take_snapshot(struct cli *c, char *err, size_t size)
{
	int rc;

	rc = split_snapshot(c->rest[0], c->args.snap, sizeof(c->args.snap),
	    &c->args.path);
	if (rc == RC_OK)
		return EXIT_DONE;
	snprintf(err, size, "%s: SNAP[:PATH] is wanted, such as "
	    "latest:/etc/fstab", c->spec->name);
	return EXIT_USAGE;
}

int
prepare_snapshots(struct cli *c, char *err, size_t size)
{
	(void)c;
	(void)err;
	(void)size;
	return EXIT_DONE;
}

int
prepare_ls(struct cli *c, char *err, size_t size)
{
	return take_snapshot(c, err, size);
}

int
prepare_restore(struct cli *c, char *err, size_t size)
{
	if (c->to == NULL || c->to[0] == '\0') {
		snprintf(err, size, "restore: --to DIR says where to");
		return EXIT_USAGE;
	}
	return take_snapshot(c, err, size);
}

int
prepare_check(struct cli *c, char *err, size_t size)
{
	if (c->nrest == 0)
		return EXIT_DONE;
	if (strlen(c->rest[0]) >= sizeof(c->args.snap)) {
		snprintf(err, size, "check: that is no snapshot");
		return EXIT_USAGE;
	}
	snprintf(c->args.snap, sizeof(c->args.snap), "%s", c->rest[0]);
	return EXIT_DONE;
}

static int
ask_token(struct cli *c, char *err, size_t size)
{
	bool again = (c->args.flags & VERBS_F_CONTINUE) != 0;

	if (again && c->token_file == NULL)
		return EXIT_DONE;
	if (again) {
		snprintf(err, size, "--continue needs no token");
		return EXIT_USAGE;
	}
	return ask_secret(c->token_file, "Enrolment token: ", c->args.token,
	    sizeof(c->args.token), err, size);
}

int
prepare_enrol(struct cli *c, char *err, size_t size)
{
	return ask_token(c, err, size);
}

int
prepare_passwd(struct cli *c, char *err, size_t size)
{
	char again[VERBS_SECRET_MAX];
	int code;

	if ((code = ask_secret(c->passphrase_file, "New passphrase: ",
	    c->args.secret, sizeof(c->args.secret), err, size)) != EXIT_DONE)
		return code;
	if (strlen(c->args.secret) < 10) {
		snprintf(err, size, "a passphrase has at least 10 bytes: "
		    "whoever gets the server's disk can try them all");
		return EXIT_USAGE;
	}
	if (c->passphrase_file != NULL || !isatty(STDIN_FILENO))
		return EXIT_DONE;
	code = ask_secret(NULL, "The same again: ", again, sizeof(again), err,
	    size);
	if (code == EXIT_DONE && strcmp(again, c->args.secret) != 0) {
		snprintf(err, size, "the two passphrases differ");
		code = EXIT_USAGE;
	}
	secret_wipe(again, sizeof(again));
	return code;
}

/* At the prompt both are welcome.  A recovery key is 56 letters and digits; one
 * with a letter too few should be told as such, not tried as a passphrase. */
static bool
looks_like_recovery(const char *s)
{
	size_t n = 0;

	for (; *s != '\0'; s++) {
		if (*s == '-' || *s == ' ')
			continue;
		if ((*s < '0' || *s > '9') && (*s < 'A' || *s > 'Z') &&
		    (*s < 'a' || *s > 'z'))
			return false;
		n++;
	}
	return n >= 52 && n <= 60;
}

int
prepare_recover(struct cli *c, char *err, size_t size)
{
	int code;

	if (c->recovery_file != NULL && c->passphrase_file != NULL) {
		snprintf(err, size, "recover: a recovery key or a passphrase, "
		    "not both");
		return EXIT_USAGE;
	}
	if ((code = ask_token(c, err, size)) != EXIT_DONE)
		return code;
	if (c->passphrase_file != NULL) {
		c->args.flags |= VERBS_F_PASSPHRASE;
		return ask_secret(c->passphrase_file, "", c->args.secret,
		    sizeof(c->args.secret), err, size);
	}
	code = ask_secret(c->recovery_file,
	    c->recovery_file != NULL ? "" : "Recovery key or passphrase: ",
	    c->args.secret, sizeof(c->args.secret), err, size);
	if (code == EXIT_DONE && c->recovery_file == NULL &&
	    !looks_like_recovery(c->args.secret))
		c->args.flags |= VERBS_F_PASSPHRASE;
	return code;
}
