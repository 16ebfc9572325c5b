#include "config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "client/cli/cli.h"
#include "common/rc.h"

static char err[512];

/* Words are parted by blanks. */
static int
parse(struct cli *c, const char *line)
{
	static char words[512];
	static char *argv[32];
	int argc = 0;

	memset(c, 0, sizeof(*c));
	err[0] = '\0';
	snprintf(words, sizeof(words), "storegrid %s", line);
	for (char *w = strtok(words, " "); w != NULL; w = strtok(NULL, " "))
		argv[argc++] = w;
	argv[argc] = NULL;
	return options_parse(c, argc, argv, err, sizeof(err));
}

static void
a_backup_takes_its_options(void **state)
{
	struct cli c;

	(void)state;
	assert_int_equal(parse(&c, "backup --job home -x /etc --exclude *.o "
	    "-n --exclude-caches -e tmp /home"), EXIT_DONE);
	assert_int_equal(c.args.verb, VERB_BACKUP);
	assert_string_equal(c.args.job, "home");
	assert_int_equal(c.args.flags, VERBS_F_ONE_FS | VERBS_F_DRY_RUN |
	    VERBS_F_CACHES);
	assert_int_equal(c.args.nexclude, 2);
	assert_string_equal(c.args.exclude[1], "tmp");
	assert_int_equal(c.nrest, 2);
	assert_string_equal(c.rest[0], "/etc");
	verbs_clear(&c.args);
}

static void
options_for_all_verbs_may_stand_before_and_behind(void **state)
{
	struct cli c;

	(void)state;
	assert_int_equal(parse(&c, "-f /a --json snapshots"), EXIT_DONE);
	assert_true(c.json);
	assert_string_equal(c.conf_path, "/a");
	assert_int_equal(parse(&c, "snapshots --json -f /b"), EXIT_DONE);
	assert_true(c.json);
	assert_string_equal(c.conf_path, "/b");
}

static void
verbs_of_two_words_are_found(void **state)
{
	struct cli c;

	(void)state;
	assert_int_equal(parse(&c, "key export-recovery --json"), EXIT_DONE);
	assert_int_equal(c.args.verb, VERB_EXPORT);
	assert_int_equal(parse(&c, "key"), EXIT_USAGE);
	assert_int_equal(parse(&c, "key exprot-recovery"), EXIT_USAGE);
	assert_non_null(strstr(err, "key export-recovery"));
}

static void
an_unknown_verb_names_the_nearest(void **state)
{
	struct cli c;

	(void)state;
	assert_int_equal(parse(&c, "bakcup /etc"), EXIT_USAGE);
	assert_non_null(strstr(err, "is backup meant"));
	assert_int_equal(parse(&c, "frobnicate"), EXIT_USAGE);
	assert_non_null(strstr(err, "storegrid help"));
}

static void
an_unknown_option_names_the_nearest(void **state)
{
	struct cli c;

	(void)state;
	assert_int_equal(parse(&c, "backup --exlude=x /"), EXIT_USAGE);
	assert_non_null(strstr(err, "--exclude"));
	assert_int_equal(parse(&c, "backup -q /"), EXIT_USAGE);
	assert_non_null(strstr(err, "-q"));
	/* known, but not to this verb */
	assert_int_equal(parse(&c, "snapshots --overwrite=never"), EXIT_USAGE);
	assert_int_equal(parse(&c, "snapshots --json=1"), EXIT_USAGE);
	assert_non_null(strstr(err, "takes no value"));
	assert_int_equal(parse(&c, "backup --job"), EXIT_USAGE);
	assert_non_null(strstr(err, "needs a value"));
}

static void
values_are_checked(void **state)
{
	struct cli c;

	(void)state;
	assert_int_equal(parse(&c, "check --read-data"), EXIT_DONE);
	assert_int_equal(c.args.percent, 100);
	assert_int_equal(parse(&c, "check --read-data=5% latest"), EXIT_DONE);
	assert_int_equal(c.args.percent, 5);
	assert_int_equal(parse(&c, "check --read-data=0"), EXIT_USAGE);
	assert_int_equal(parse(&c, "check --read-data=x"), EXIT_USAGE);
	assert_int_equal(parse(&c, "restore a --to b --overwrite=newer"),
	    EXIT_DONE);
	assert_int_equal(c.args.overwrite, OVERWRITE_NEWER);
	assert_int_equal(parse(&c, "restore a --to b --overwrite=ever"),
	    EXIT_USAGE);
}

static void
the_number_of_arguments_is_checked(void **state)
{
	struct cli c;

	(void)state;
	assert_int_equal(parse(&c, "ls"), EXIT_USAGE);
	assert_int_equal(parse(&c, "ls a b"), EXIT_USAGE);
	assert_int_equal(parse(&c, "snapshots a"), EXIT_USAGE);
	assert_int_equal(parse(&c, "ls --help"), EXIT_DONE);
}

static void
a_snapshot_and_a_path_are_parted(void **state)
{
	static const struct {
		const char *text, *snap, *path;
	} t[] = {
		{ "latest", "latest", "" },
		{ "latest:/etc/fstab", "latest", "/etc/fstab" },
		{ "latest~2:etc", "latest~2", "/etc" },
		{ "home@2026-11-24T13:31:10", "home@2026-11-24T13:31:10", "" },
		{ "home@13:31:/etc", "home@13:31", "/etc" },
		{ "ab12:", "ab12", "" },
		{ "ab12:/a:/b", "ab12", "/a:/b" },
	};
	char snap[64], *path;

	(void)state;
	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		assert_int_equal(split_snapshot(t[i].text, snap, sizeof(snap),
		    &path), RC_OK);
		assert_string_equal(snap, t[i].snap);
		assert_string_equal(path, t[i].path);
		free(path);
	}
	assert_int_not_equal(split_snapshot(":/etc", snap, sizeof(snap),
	    &path), RC_OK);
}

static void
paths_become_absolute(void **state)
{
	char dir[] = "/tmp/cli-test-XXXXXX", text[64];
	char *p;

	(void)state;
	assert_non_null(mkdtemp(dir));
	assert_int_equal(chdir(dir), 0);
	assert_int_equal(symlink("/etc", "link"), 0);
	/* the last name stays a link, one on the way does not */
	p = path_absolute("link");
	snprintf(text, sizeof(text), "%s/link", dir);
	assert_string_equal(p, text);
	free(p);
	p = path_absolute("link/passwd");
	assert_string_equal(p, "/etc/passwd");
	free(p);
	p = path_absolute("./none//such/../x");
	snprintf(text, sizeof(text), "%s/none/x", dir);
	assert_string_equal(p, text);
	free(p);
	p = path_absolute(".");
	assert_string_equal(p, dir);
	free(p);
	p = path_absolute("/../..//");
	assert_string_equal(p, "/");
	free(p);
	p = path_absolute("/etc");
	assert_string_equal(p, "/etc");
	free(p);
	assert_int_equal(unlink("link"), 0);
	assert_int_equal(chdir("/"), 0);
	assert_int_equal(rmdir(dir), 0);
}

static void
paths_are_sorted_and_named_once(void **state)
{
	struct cli c;

	(void)state;
	assert_int_equal(parse(&c, "backup /usr /etc /usr/ /etc/.. /etc"),
	    EXIT_DONE);
	assert_int_equal(prepare_backup(&c, err, sizeof(err)), EXIT_DONE);
	assert_int_equal(c.args.npaths, 3);
	assert_string_equal(c.args.paths[0], "/");
	assert_string_equal(c.args.paths[1], "/etc");
	assert_string_equal(c.args.paths[2], "/usr");
	verbs_clear(&c.args);
}

static void
distance_counts_steps(void **state)
{
	(void)state;
	assert_int_equal(word_distance("backup", "backup"), 0);
	assert_int_equal(word_distance("bakcup", "backup"), 1);
	assert_int_equal(word_distance("", "abc"), 3);
	assert_int_equal(word_distance("kitten", "sitting"), 3);
}

static void
every_verb_has_help(void **state)
{
	struct wbuf out = WBUF_INIT(65536);

	(void)state;
	options_help(&out, NULL);
	assert_int_equal(wbuf_rc(&out), RC_OK);
	wbuf_reset(&out);
	options_help(&out, options_verb("backup"));
	wbuf_u8(&out, 0);
	assert_non_null(strstr((char *)out.data, "--exclude-caches"));
	assert_non_null(strstr((char *)out.data, "-f, --config CONF"));
	wbuf_free(&out);
}

static void
a_server_to_pair_with_may_have_a_port(void **state)
{
	static const struct {
		const char	*text, *host;	/* NULL: refused */
		uint16_t	 port;
	} t[] = {
		{ "backup1", "backup1", 0 },
		{ "backup1:40004", "backup1", 40004 },
		{ "192.0.2.1:1", "192.0.2.1", 1 },
		{ "2001:db8::1", "2001:db8::1", 0 },
		{ "::1", "::1", 0 },
		{ "[2001:db8::1]", "2001:db8::1", 0 },
		{ "[2001:db8::1]:65535", "2001:db8::1", 65535 },
		{ "", NULL, 0 }, { ":1", NULL, 0 }, { "a:", NULL, 0 },
		{ "a:0", NULL, 0 }, { "a:65536", NULL, 0 },
		{ "a:-1", NULL, 0 }, { "a:1x", NULL, 0 }, { "[::1", NULL, 0 },
		{ "[::1]x", NULL, 0 }, { "[]:1", NULL, 0 },
		{ "a b", NULL, 0 }, { "https://a", NULL, 0 },
	};
	char host[VERBS_HOST_MAX], longer[VERBS_HOST_MAX + 1];
	uint16_t port;

	(void)state;
	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		assert_int_equal(split_host(t[i].text, host, sizeof(host),
		    &port), t[i].host != NULL ? RC_OK : RC_RANGE);
		if (t[i].host == NULL)
			continue;
		assert_string_equal(host, t[i].host);
		assert_int_equal(port, t[i].port);
	}
	memset(longer, 'a', sizeof(longer) - 1);
	longer[sizeof(longer) - 1] = '\0';
	assert_int_equal(split_host(longer, host, sizeof(host), &port),
	    RC_RANGE);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_server_to_pair_with_may_have_a_port),
		cmocka_unit_test(a_backup_takes_its_options),
		cmocka_unit_test(
		    options_for_all_verbs_may_stand_before_and_behind),
		cmocka_unit_test(verbs_of_two_words_are_found),
		cmocka_unit_test(an_unknown_verb_names_the_nearest),
		cmocka_unit_test(an_unknown_option_names_the_nearest),
		cmocka_unit_test(values_are_checked),
		cmocka_unit_test(the_number_of_arguments_is_checked),
		cmocka_unit_test(a_snapshot_and_a_path_are_parted),
		cmocka_unit_test(paths_become_absolute),
		cmocka_unit_test(paths_are_sorted_and_named_once),
		cmocka_unit_test(distance_counts_steps),
		cmocka_unit_test(every_verb_has_help),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
