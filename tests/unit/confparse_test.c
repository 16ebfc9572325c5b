#include "config.h"

#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/rc.h"
#include "server/conftext.h"

/* libconfig's scanner loses a string when a syntax error follows it; confparse
 * ends after one file, so that nothing comes of it. */
const char *__lsan_default_suppressions(void);

const char *
__lsan_default_suppressions(void)
{
	return "leak:libconfig";
}

/*
 * tests/data/conf: the first line of each file says what is to come of it,
 * "# refused LINE: part of the sentence" or "# taken".
 */
static char *
read_file(const char *name, size_t *len)
{
	char path[1024], *text;
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", CONF_CORPUS, name);
	if ((f = fopen(path, "rb")) == NULL)
		fail_msg("%s cannot be read", path);
	text = malloc(CONF_FILE_MAX + 2);
	assert_non_null(text);
	*len = fread(text, 1, CONF_FILE_MAX + 1, f);
	text[*len] = '\0';
	fclose(f);
	return text;
}

static void
try_file(const char *name)
{
	char err[1200] = "", want[256] = "", *text;
	unsigned int want_line = 0;
	struct conf c;
	uint32_t line = 0;
	size_t len;
	int rc;

	text = read_file(name, &len);
	rc = conftext_parse(text, len, &c, &line, err, sizeof(err));
	if (strncmp(text, "# taken", 7) == 0) {
		if (rc != RC_OK)
			fail_msg("%s: line %u: %s", name, line, err);
	} else if (sscanf(text, "# refused %u: %255[^\n]", &want_line,
	    want) >= 1) {
		if (rc != RC_CONFIG)
			fail_msg("%s: was taken", name);
		if (line != want_line)
			fail_msg("%s: line %u, not %u: %s", name, line,
			    want_line, err);
		if (strstr(err, want) == NULL)
			fail_msg("%s: \"%s\" does not say \"%s\"", name, err,
			    want);
	} else {
		fail_msg("%s: no first line", name);
	}
	free(text);
}

static void
every_file_of_the_corpus_is_refused_where_it_is_wrong(void **state)
{
	unsigned int n = 0;
	struct dirent *de;
	DIR *d;

	(void)state;
	assert_non_null(d = opendir(CONF_CORPUS));
	while ((de = readdir(d)) != NULL) {
		if (de->d_name[0] == '.')
			continue;
		try_file(de->d_name);
		n++;
	}
	closedir(d);
	assert_true(n >= 70);
}

static int
take(const char *text, struct conf *c)
{
	char err[1200];
	uint32_t line;

	return conftext_parse(text, strlen(text), c, &line, err, sizeof(err));
}

static void
values_arrive(void **state)
{
	struct conf c;

	(void)state;
	assert_int_equal(take("ID = \"b1\"; Ports: { Server = 1234; "
	    "Multicast = [5, 6]; }; SSL: { Enabled = 1; }; Access: { Server = [\"private\","
	    " \"192.0.2.0/24\"]; }; Quota: { Reserve = \"2G\"; }; Mode = "
	    "\"replication\"; Pool: { SessionMax = 7; };", &c), RC_OK);
	assert_string_equal(c.id, "b1");
	assert_int_equal(c.port_server, 1234);
	assert_int_equal(c.port_mcast_req, 5);
	assert_int_equal(c.port_mcast_ans, 6);
	assert_true(c.ssl_enabled);
	assert_int_equal(c.access_server.n, 2);
	assert_string_equal(c.access_server.s[1], "192.0.2.0/24");
	assert_int_equal(c.reserve_bytes, 2ull << 30);
	assert_int_equal(c.mode, CONF_MODE_REPLICATION);
	assert_int_equal(c.pool_max, 7);
	/* What is not said keeps its default. */
	assert_int_equal(c.port_ssl, 32007);
	assert_int_equal(c.plaintext_from.n, 0);
}

static void
sizes_have_units(void **state)
{
	uint64_t v = 0;

	(void)state;
	assert_int_equal(conftext_size("0", &v), RC_OK);
	assert_int_equal(v, 0);
	assert_int_equal(conftext_size("3k", &v), RC_OK);
	assert_int_equal(v, 3072);
	assert_int_equal(conftext_size("500G", &v), RC_OK);
	assert_int_equal(v, 500ull << 30);
	assert_int_equal(conftext_size("18446744073709551616", &v), RC_RANGE);
	assert_int_equal(conftext_size("1P", &v), RC_RANGE);
	assert_int_equal(conftext_size(" 1", &v), RC_RANGE);
	assert_int_equal(conftext_size("1KB", &v), RC_RANGE);
}

static void
more_than_256_kib_is_refused(void **state)
{
	char err[256], *text;
	struct conf c;
	uint32_t line;

	(void)state;
	text = malloc(CONF_FILE_MAX + 1);
	assert_non_null(text);
	memset(text, ' ', CONF_FILE_MAX + 1);
	assert_int_equal(conftext_parse(text, CONF_FILE_MAX, &c, &line, err,
	    sizeof(err)), RC_OK);
	assert_int_equal(conftext_parse(text, CONF_FILE_MAX + 1, &c, &line,
	    err, sizeof(err)), RC_CONFIG);
	free(text);
}

static void
a_nul_does_not_hide_what_follows(void **state)
{
	static const char text[] = "ID = \"a\";\n\0@include \"/etc/passwd\"\n";
	char err[256];
	struct conf c;
	uint32_t line;

	(void)state;
	assert_int_equal(conftext_parse(text, sizeof(text) - 1, &c, &line, err,
	    sizeof(err)), RC_CONFIG);
	assert_int_equal(line, 2);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
		    every_file_of_the_corpus_is_refused_where_it_is_wrong),
		cmocka_unit_test(values_arrive),
		cmocka_unit_test(sizes_have_units),
		cmocka_unit_test(more_than_256_kib_is_refused),
		cmocka_unit_test(a_nul_does_not_hide_what_follows),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
