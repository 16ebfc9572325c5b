#include "config.h"

#include <sys/resource.h>

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "client/cli/cli.h"
#include "client/cli/show.h"
#include "common/log.h"
#include "common/rc.h"
#include "privsep/roles.h"

static void
print(struct wbuf *text)
{
	if (wbuf_rc(text) == RC_OK)
		(void)fwrite(text->data, 1, text->len, stdout);
	wbuf_free(text);
}

static int
help(const struct verb_spec *spec)
{
	struct wbuf text = WBUF_INIT(65536);

	options_help(&text, spec);
	print(&text);
	return EXIT_DONE;
}

/* help [VERB], where a verb may be two words. */
static int
help_verb(struct cli *c, char *err, size_t size)
{
	const struct verb_spec *spec;
	char name[64];

	if (c->nrest == 0)
		return help(NULL);
	snprintf(name, sizeof(name), "%.30s%s%.30s", c->rest[0],
	    c->nrest > 1 ? " " : "", c->nrest > 1 ? c->rest[1] : "");
	if ((spec = options_verb(name)) != NULL)
		return help(spec);
	snprintf(err, size, "there is no command %s", name);
	return EXIT_USAGE;
}

/* The caller's files must not be left in a core, nor tokens. */
static void
no_core(void)
{
	const struct rlimit none = { 0, 0 };

	(void)setrlimit(RLIMIT_CORE, &none);
}

static int
check_users(const struct cli *c, char *err, size_t size)
{
	char who[64];

	if (geteuid() != 0 || role_ids_check(c->conf.users_base, who,
	    sizeof(who)) == RC_OK)
		return EXIT_DONE;
	snprintf(err, size, "the user %s has a numeric id in the range of "
	    "StoreGrid's processes; set Users.Base to a free range", who);
	return EXIT_USAGE;
}

static int
command(struct cli *c, char *err, size_t size)
{
	int code;

	if (c->version) {
		printf("storegrid %s\n", PACKAGE_VERSION);
		return EXIT_DONE;
	}
	if (c->spec == NULL && !c->help) {
		(void)help(NULL);
		snprintf(err, size, "a command is missing");
		return EXIT_USAGE;
	}
	if (c->help || c->spec == NULL)
		return help(c->spec);
	if (c->spec->verb == VERB_NONE && c->spec->prepare == NULL)
		return help_verb(c, err, size);
	if (getuid() != geteuid()) {
		snprintf(err, size, "must not be installed set-id");
		return EXIT_USAGE;
	}
	no_core();
	/* A wrong set-up is told before anybody types a token. */
	if ((code = home_conf(c, err, size)) != EXIT_DONE ||
	    (code = check_users(c, err, size)) != EXIT_DONE ||
	    (c->spec->prepare != NULL &&
	    (code = c->spec->prepare(c, err, size)) != EXIT_DONE))
		return code;
	/* What needs no engine was done by prepare(). */
	return c->spec->verb == VERB_NONE ? EXIT_DONE : run_verb(c);
}

static int
finish(const struct cli *c, int code, const char *err)
{
	struct show *s;
	int bad;

	if (err[0] != '\0' && (s = show_new(c->json, c->args.verb)) != NULL) {
		show_done(s, code, err);
		show_free(s);
	}
	bad = fflush(stdout) != 0 || ferror(stdout);
	if (bad && !show_reader_gone()) {
		fprintf(stderr, "storegrid: not all could be written to "
		    "standard output\n");
		if (code == EXIT_DONE)
			code = EXIT_FAILED;
	}
	return code;
}

int
main(int argc, char **argv)
{
	static struct cli c;
	char err[1024] = "";
	int code;

	log_set_prefix("storegrid");
	log_set_level(LOG_LEVEL_WARN);
	code = options_parse(&c, argc, argv, err, sizeof(err));
	if (code == EXIT_DONE)
		code = command(&c, err, sizeof(err));
	code = finish(&c, code, err);
	verbs_clear(&c.args);
	return code;
}
