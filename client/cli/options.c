#include "config.h"

#include <getopt.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/cli/cli.h"
#include "client/cli/discover.h"
#include "client/cli/doctor.h"
#include "common/num.h"
#include "common/rc.h"

/*
 * One table of options, one of verbs.  Parsing, --help and the nearest-name
 * hint all come from them; doc/storegrid.1 says the same at length.
 */
enum option_id {
	OPT_JSON, OPT_CONF, OPT_HELP, OPT_VERSION,
	OPT_TOKEN_FILE, OPT_FORCE, OPT_CONTINUE,
	OPT_JOB, OPT_EXCLUDE, OPT_EXCLUDE_FROM, OPT_CACHES, OPT_ONE_FS,
	OPT_DRY_RUN, OPT_RECURSIVE, OPT_TO, OPT_VERIFY, OPT_OVERWRITE,
	OPT_READ_DATA, OPT_RECOVERY_FILE, OPT_PASSPHRASE_FILE,
	OPT_MAX
};
#define O(name)	(1u << OPT_##name)
#define O_ALWAYS (O(JSON) | O(CONF) | O(HELP) | O(VERSION))
#define LONG_BASE	256	/* getopt's value: this + enum option_id */

struct option_spec {
	const char	*name;
	char		 letter;	/* 0 none */
	const char	*arg;		/* NULL: takes none */
	bool		 arg_optional;
	const char	*help;
	int		(*set)(struct cli *c, const char *val, char *err,
			    size_t size);
};

#define FLAG(fn, bit)							\
static int								\
fn(struct cli *c, const char *val, char *err, size_t size)		\
{									\
	(void)val;							\
	(void)err;							\
	(void)size;							\
	c->args.flags |= (bit);						\
	return EXIT_DONE;						\
}

FLAG(set_force, VERBS_F_FORCE)
FLAG(set_continue, VERBS_F_CONTINUE)
FLAG(set_caches, VERBS_F_CACHES)
FLAG(set_one_fs, VERBS_F_ONE_FS)
FLAG(set_recursive, VERBS_F_RECURSIVE)
FLAG(set_verify, VERBS_F_VERIFY)

#define FIELD(fn, statement)						\
static int								\
fn(struct cli *c, const char *val, char *err, size_t size)		\
{									\
	(void)val;							\
	(void)err;							\
	(void)size;							\
	statement;							\
	return EXIT_DONE;						\
}

FIELD(set_json, c->json = true)
FIELD(set_conf, c->conf_path = val)
FIELD(set_help, c->help = true)
FIELD(set_version, c->version = true)
FIELD(set_token_file, c->token_file = val)
FIELD(set_to, c->to = val)
FIELD(set_recovery_file, c->recovery_file = val)
FIELD(set_passphrase_file, c->passphrase_file = val)
FIELD(set_dry_run, c->dry_run = true; c->args.flags |= VERBS_F_DRY_RUN)

static int
set_job(struct cli *c, const char *val, char *err, size_t size)
{
	if (val[0] == '\0' || strlen(val) >= sizeof(c->args.job)) {
		snprintf(err, size, "--job: a name has 1 to %zu bytes",
		    sizeof(c->args.job) - 1);
		return EXIT_USAGE;
	}
	snprintf(c->args.job, sizeof(c->args.job), "%s", val);
	return EXIT_DONE;
}

static int
set_exclude(struct cli *c, const char *val, char *err, size_t size)
{
	if (val[0] == '\0') {
		snprintf(err, size, "--exclude: an empty pattern");
		return EXIT_USAGE;
	}
	if (verbs_list_add(&c->args.exclude, &c->args.nexclude, val) !=
	    RC_OK) {
		snprintf(err, size, "--exclude: too many patterns");
		return EXIT_USAGE;
	}
	return EXIT_DONE;
}

static int
set_exclude_from(struct cli *c, const char *val, char *err, size_t size)
{
	return excludes_read(val, &c->args.exclude, &c->args.nexclude, err,
	    size);
}

static int
set_overwrite(struct cli *c, const char *val, char *err, size_t size)
{
	static const char *const names[] = {
		[OVERWRITE_NEVER] = "never", [OVERWRITE_NEWER] = "newer",
		[OVERWRITE_ALWAYS] = "always",
	};

	for (size_t i = 0; i < NITEMS(names); i++) {
		if (strcmp(val, names[i]) == 0) {
			c->args.overwrite = (uint8_t)i;
			return EXIT_DONE;
		}
	}
	snprintf(err, size, "--overwrite: never, newer or always");
	return EXIT_USAGE;
}

static int
set_read_data(struct cli *c, const char *val, char *err, size_t size)
{
	char *end;
	long n = 100;

	if (val != NULL) {
		n = strtol(val, &end, 10);
		if (end != val && *end == '%')
			end++;
		if (end == val || *end != '\0' || n < 1 || n > 100) {
			snprintf(err, size,
			    "--read-data: a percentage from 1 to 100");
			return EXIT_USAGE;
		}
	}
	c->args.percent = (uint8_t)n;
	return EXIT_DONE;
}

static const struct option_spec options[OPT_MAX] = {
	[OPT_JSON] = { "json", 0, NULL, false,
	    "one JSON object, or one a line", set_json },
	[OPT_CONF] = { "config", 'f', "CONF", false,
	    "read this SGConfiguration.conf", set_conf },
	[OPT_HELP] = { "help", 'h', NULL, false, "show this", set_help },
	[OPT_VERSION] = { "version", 'V', NULL, false, "show the version",
	    set_version },
	[OPT_TOKEN_FILE] = { "token-file", 0, "FILE", false,
	    "read the enrolment token from FILE", set_token_file },
	[OPT_FORCE] = { "force", 0, NULL, false,
	    "put an existing client state aside", set_force },
	[OPT_CONTINUE] = { "continue", 0, NULL, false,
	    "go on after an enrolment without a vault key; needs no token",
	    set_continue },
	[OPT_JOB] = { "job", 'j', "NAME", false, "the job's name", set_job },
	[OPT_EXCLUDE] = { "exclude", 'e', "PATTERN", false,
	    "leave out what matches; may be repeated", set_exclude },
	[OPT_EXCLUDE_FROM] = { "exclude-from", 0, "FILE", false,
	    "read patterns from FILE, one a line", set_exclude_from },
	[OPT_CACHES] = { "exclude-caches", 0, NULL, false,
	    "leave out directories with a CACHEDIR.TAG", set_caches },
	[OPT_ONE_FS] = { "one-file-system", 'x', NULL, false,
	    "stay on the file systems of the paths", set_one_fs },
	[OPT_DRY_RUN] = { "dry-run", 'n', NULL, false,
	    "say what would be done", set_dry_run },
	[OPT_RECURSIVE] = { "recursive", 'R', NULL, false,
	    "with everything below", set_recursive },
	[OPT_TO] = { "to", 't', "DIR", false, "restore below DIR", set_to },
	[OPT_VERIFY] = { "verify", 0, NULL, false,
	    "read back what was written and compare", set_verify },
	[OPT_OVERWRITE] = { "overwrite", 0, "WHEN", false,
	    "never (default), newer or always", set_overwrite },
	[OPT_READ_DATA] = { "read-data", 0, "PERCENT", true,
	    "fetch and verify the contents, too", set_read_data },
	[OPT_RECOVERY_FILE] = { "recovery-file", 0, "FILE", false,
	    "read the recovery key from FILE", set_recovery_file },
	[OPT_PASSPHRASE_FILE] = { "passphrase-file", 0, "FILE", false,
	    "read the passphrase from FILE", set_passphrase_file },
};

static const struct verb_spec verbs[] = {
	{ "enrol", VERB_ENROL, "", "register this machine with a server",
	    O(TOKEN_FILE) | O(FORCE) | O(CONTINUE), 0, 0, prepare_enrol },
	{ "pair", VERB_PAIR, "[HOST[:PORT]]",
	    "register this machine by comparing a code", O(FORCE), 0, 1,
	    prepare_pair },
	{ "backup", VERB_BACKUP, "[PATH...]", "back files up",
	    O(JOB) | O(EXCLUDE) | O(EXCLUDE_FROM) | O(CACHES) | O(ONE_FS) |
	    O(DRY_RUN), 0, -1, prepare_backup },
	{ "snapshots", VERB_SNAPSHOTS, "", "list what was backed up",
	    O(JOB), 0, 0, prepare_snapshots },
	{ "ls", VERB_LS, "SNAP[:PATH]", "list the files of a snapshot",
	    O(JOB) | O(RECURSIVE), 1, 1, prepare_ls },
	{ "restore", VERB_RESTORE, "SNAP[:PATH] --to DIR",
	    "bring files back",
	    O(JOB) | O(TO) | O(DRY_RUN) | O(VERIFY) | O(OVERWRITE), 1, 1,
	    prepare_restore },
	{ "check", VERB_CHECK, "[SNAP]", "verify backups with the keys",
	    O(READ_DATA), 0, 1, prepare_check },
	{ "key export-recovery", VERB_EXPORT, "",
	    "make a recovery key and show it once", 0, 0, 0, NULL },
	{ "key passwd", VERB_PASSWD, "",
	    "let a passphrase open the vault, too", O(PASSPHRASE_FILE), 0, 0,
	    prepare_passwd },
	{ "recover", VERB_RECOVER, "",
	    "get the keys back on a bare machine",
	    O(TOKEN_FILE) | O(RECOVERY_FILE) | O(PASSPHRASE_FILE) |
	    O(FORCE) | O(CONTINUE), 0, 0, prepare_recover },
	{ "discover", VERB_NONE, "",
	    "find installations on the networks of this machine", 0, 0, 0,
	    prepare_discover },
	{ "doctor", VERB_NONE, "[SERVER]",
	    "look for what keeps this machine from its server", 0, 0, 1,
	    prepare_doctor },
	{ "help", VERB_NONE, "[VERB]", "show how a verb is used", 0, 0, 2,
	    NULL },
};

static size_t
min3(size_t a, size_t b, size_t c)
{
	size_t m = a < b ? a : b;

	return m < c ? m : c;
}

#define WORD_MAX 32

/* Optimal string alignment: the last three rows are enough. */
size_t
word_distance(const char *a, const char *b)
{
	size_t n = strlen(a), m = strlen(b);
	size_t d[3][WORD_MAX + 1];
	size_t *two = d[0], *one = d[1], *row = d[2], *spare;

	if (n > WORD_MAX || m > WORD_MAX)
		return n > m ? n : m;
	for (size_t j = 0; j <= m; j++)
		two[j] = one[j] = j;
	for (size_t i = 1; i <= n; i++) {
		row[0] = i;
		for (size_t j = 1; j <= m; j++) {
			row[j] = min3(one[j] + 1, row[j - 1] + 1,
			    one[j - 1] + (a[i - 1] != b[j - 1]));
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] &&
			    a[i - 2] == b[j - 1] && two[j - 2] + 1 < row[j])
				row[j] = two[j - 2] + 1;
		}
		spare = two;
		two = one;
		one = row;
		row = spare;
	}
	return one[m];
}

/* Keeps the nearer of two names; near is at most a third of the word, or 2. */
static void
nearer(const char *word, const char *name, const char **best, size_t *dist)
{
	size_t d = word_distance(word, name), len = strlen(word);
	size_t limit = len / 3 > 2 ? len / 3 : 2;

	if (d <= limit && d < len && d < *dist) {
		*dist = d;
		*best = name;
	}
}

const char *
options_nearest_verb(const char *word)
{
	const char *best = NULL;
	size_t dist = SIZE_MAX;

	for (size_t i = 0; i < NITEMS(verbs); i++)
		nearer(word, verbs[i].name, &best, &dist);
	nearer(word, "key", &best, &dist);
	return best;
}

static const char *
nearest_option(const char *word, uint32_t mask)
{
	const char *best = NULL;
	size_t dist = SIZE_MAX;

	for (size_t i = 0; i < OPT_MAX; i++)
		if ((mask & (1u << i)) != 0)
			nearer(word, options[i].name, &best, &dist);
	return best;
}

const struct verb_spec *
options_verb(const char *name)
{
	if (strcmp(name, "enroll") == 0)
		name = "enrol";
	for (size_t i = 0; i < NITEMS(verbs); i++)
		if (strcmp(verbs[i].name, name) == 0)
			return &verbs[i];
	return NULL;
}

struct getopt_tables {
	char		shorts[2 + 3 * OPT_MAX];
	struct option	longs[OPT_MAX + 1];
};

static void
tables_make(struct getopt_tables *t, uint32_t mask, bool stop_at_word)
{
	size_t s = 0, l = 0;

	memset(t, 0, sizeof(*t));
	if (stop_at_word)
		t->shorts[s++] = '+';
	t->shorts[s++] = ':';
	for (int i = 0; i < OPT_MAX; i++) {
		const struct option_spec *o = &options[i];

		if ((mask & (1u << i)) == 0)
			continue;
		t->longs[l].name = o->name;
		t->longs[l].has_arg = o->arg == NULL ? no_argument :
		    o->arg_optional ? optional_argument : required_argument;
		t->longs[l++].val = LONG_BASE + i;
		if (o->letter == 0)
			continue;
		t->shorts[s++] = o->letter;
		if (o->arg != NULL)
			t->shorts[s++] = ':';
	}
}

static int
find_letter(int letter, uint32_t mask)
{
	for (int i = 0; i < OPT_MAX; i++)
		if ((mask & (1u << i)) != 0 && options[i].letter != 0 &&
		    options[i].letter == letter)
			return i;
	return -1;
}

static int
unknown(const char *word, uint32_t mask, char *err, size_t size)
{
	char name[64];
	const char *near = NULL;
	size_t n;

	if (optopt >= LONG_BASE && optopt < LONG_BASE + OPT_MAX) {
		snprintf(err, size, "--%s takes no value",
		    options[optopt - LONG_BASE].name);
		return EXIT_USAGE;
	}
	if (optopt != 0) {
		snprintf(err, size, "unknown option -%c", optopt);
		return EXIT_USAGE;
	}
	n = strcspn(word, "=");
	snprintf(name, sizeof(name), "%.*s", n < sizeof(name) ? (int)n : 63,
	    word);
	if (n > 2)
		near = nearest_option(name + 2, mask);
	if (near != NULL)
		snprintf(err, size, "unknown option %s; is --%s meant?", name,
		    near);
	else
		snprintf(err, size, "unknown option %s", name);
	return EXIT_USAGE;
}

/* Options of `mask` from argv[1] on; *next is the index of the first word. */
static int
parse_some(struct cli *c, int argc, char **argv, uint32_t mask,
    bool stop_at_word, int *next, char *err, size_t size)
{
	struct getopt_tables t;
	int got, id, code;

	tables_make(&t, mask, stop_at_word);
	opterr = 0;
	optind = 0;			/* glibc: from the beginning */
	for (;;) {
		optopt = 0;
		got = getopt_long(argc, argv, t.shorts, t.longs, NULL);
		if (got == -1)
			break;
		if (got == ':') {
			snprintf(err, size, "%s needs a value",
			    argv[optind - 1]);
			return EXIT_USAGE;
		}
		if (got == '?')
			return unknown(argv[optind - 1], mask, err, size);
		id = got >= LONG_BASE ? got - LONG_BASE :
		    find_letter(got, mask);
		if (id < 0)
			return unknown(argv[optind - 1], mask, err, size);
		if ((code = options[id].set(c, optarg, err, size)) !=
		    EXIT_DONE)
			return code;
	}
	*next = optind;
	return EXIT_DONE;
}

static int
no_such_verb(const char *word, char *err, size_t size)
{
	const char *near = options_nearest_verb(word);

	if (near != NULL)
		snprintf(err, size, "unknown command %.40s; is %s meant?",
		    word, near);
	else
		snprintf(err, size, "unknown command %.40s; `storegrid help` "
		    "lists them", word);
	return EXIT_USAGE;
}

/* One word, or two of which the first is "key". */
static int
find_verb(struct cli *c, int argc, char **argv, int *used, char *err,
    size_t size)
{
	char two[64];

	*used = 1;
	if (argc > 1 && strcmp(argv[0], "key") == 0) {
		snprintf(two, sizeof(two), "key %.50s", argv[1]);
		*used = 2;
		if ((c->spec = options_verb(two)) != NULL)
			return EXIT_DONE;
		return no_such_verb(two, err, size);
	}
	if (strcmp(argv[0], "key") == 0) {
		snprintf(err, size, "key: export-recovery or passwd");
		return EXIT_USAGE;
	}
	c->spec = options_verb(argv[0]);
	return c->spec != NULL ? EXIT_DONE : no_such_verb(argv[0], err, size);
}

static int
check_count(const struct cli *c, char *err, size_t size)
{
	const struct verb_spec *s = c->spec;

	if (c->nrest < s->min)
		snprintf(err, size, "%s: something is missing; usage: "
		    "storegrid %s %s", s->name, s->name, s->args);
	else if (s->max >= 0 && c->nrest > s->max)
		snprintf(err, size, "%s: %.60s is too much; usage: storegrid "
		    "%s %s", s->name, c->rest[s->max], s->name, s->args);
	else
		return EXIT_DONE;
	return EXIT_USAGE;
}

int
options_parse(struct cli *c, int argc, char **argv, char *err, size_t size)
{
	int next = 0, used = 0, code;

	if ((code = parse_some(c, argc, argv, O_ALWAYS, true, &next, err,
	    size)) != EXIT_DONE || next >= argc || c->version)
		return code;
	if ((code = find_verb(c, argc - next, argv + next, &used, err,
	    size)) != EXIT_DONE)
		return code;
	/* argv[0] of the rest is skipped by getopt, as a program's name. */
	argc -= next + used - 1;
	argv += next + used - 1;
	if ((code = parse_some(c, argc, argv, O_ALWAYS | c->spec->options,
	    false, &next, err, size)) != EXIT_DONE)
		return code;
	c->rest = argv + next;
	c->nrest = argc - next;
	c->args.verb = c->spec->verb;
	if (c->help || c->version)
		return EXIT_DONE;
	return check_count(c, err, size);
}

static void
put(struct wbuf *out, const char *s)
{
	wbuf_bytes(out, s, strlen(s));
}

static void
put_option(struct wbuf *out, const struct option_spec *o)
{
	char left[64], line[160], letter[8] = "    ";

	if (o->letter != 0)
		snprintf(letter, sizeof(letter), "-%c, ", o->letter);
	snprintf(left, sizeof(left), "%s--%s%s%s%s%s", letter, o->name,
	    o->arg == NULL ? "" : o->arg_optional ? "[=" : " ",
	    o->arg != NULL ? o->arg : "",
	    o->arg != NULL && o->arg_optional ? "]" : "", "");
	snprintf(line, sizeof(line), "  %-28s %s\n", left, o->help);
	put(out, line);
}

static void
put_options(struct wbuf *out, uint32_t mask)
{
	for (int i = 0; i < OPT_MAX; i++)
		if ((mask & (1u << i)) != 0)
			put_option(out, &options[i]);
}

void
options_help(struct wbuf *out, const struct verb_spec *spec)
{
	char line[160];

	if (spec != NULL) {
		snprintf(line, sizeof(line),
		    "usage: storegrid %s [OPTION...] %s\n\n  %s\n\n",
		    spec->name, spec->args, spec->summary);
		put(out, line);
		put_options(out, spec->options);
		put_options(out, O_ALWAYS);
		return;
	}
	put(out, "usage: storegrid VERB [OPTION...] [ARGUMENT...]\n\n");
	for (size_t i = 0; i < NITEMS(verbs); i++) {
		snprintf(line, sizeof(line), "  %-20s %s\n", verbs[i].name,
		    verbs[i].summary);
		put(out, line);
	}
	put(out, "\n");
	put_options(out, O_ALWAYS);
	put(out, "\nstoregrid VERB --help tells a verb's options. SNAP is an "
	    "id's first digits,\nlatest, latest~2 or JOB@TIME; see "
	    "storegrid(1).\n");
}
