#include "config.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/rc.h"
#include "server/ctl/ctl.h"
#include "server/ctl/pair.h"
#include "server/ctl/peers.h"

/*
 * Verbs against a control socket whose answers are written here, so that every
 * state of the server can be had; tests/e2e asks the real one.
 */
#define REQUESTS 4

static struct {
	char		 dir[64], path[128];
	int		 fd;
	pthread_t	 thread;
	struct {
		const char	*line, *body;	/* what must be asked */
		const char	*answer;
		int		 status;
	} v[REQUESTS];
	char		 seen[REQUESTS][2048];
	size_t		 n;
	struct ctl	 c;
	FILE		*out;
	char		*text;
	size_t		 len;
} s;

static void *
serve(void *arg)
{
	char head[256];
	size_t i, n;
	ssize_t got;
	int fd;

	(void)arg;
	for (i = 0; i < s.n; i++) {
		if ((fd = accept(s.fd, NULL, NULL)) == -1)
			return NULL;
		n = 0;
		do {
			got = read(fd, s.seen[i] + n, sizeof(s.seen[i]) - 1 - n);
			n += got > 0 ? (size_t)got : 0;
			s.seen[i][n] = '\0';
		} while (got > 0 && (strstr(s.seen[i], "\r\n\r\n") == NULL ||
		    strstr(s.seen[i], s.v[i].body) == NULL));
		snprintf(head, sizeof(head), "HTTP/1.1 %d X\r\n\r\n",
		    s.v[i].status);
		if (write(fd, head, strlen(head)) < 0 ||
		    write(fd, s.v[i].answer, strlen(s.v[i].answer)) < 0)
			perror("write");
		close(fd);
	}
	return NULL;
}

/* The next request must be `line` with `body` in it and gets this answer. */
static void
expect(const char *line, const char *body, int status, const char *answer)
{
	assert_true(s.n < REQUESTS);
	s.v[s.n].line = line;
	s.v[s.n].body = body;
	s.v[s.n].status = status;
	s.v[s.n++].answer = answer;
}

/* Run a verb; what it printed is in s.text until the next one. */
static int
run(ctl_verb *fn, int argc, const char *a, const char *b)
{
	char args[2][128] = { { 0 } }, *argv[2] = { args[0], args[1] };
	FILE *old = stdout;
	size_t i;
	int code;

	snprintf(args[0], sizeof(args[0]), "%s", a != NULL ? a : "");
	snprintf(args[1], sizeof(args[1]), "%s", b != NULL ? b : "");
	free(s.text);
	s.text = NULL;
	assert_int_equal(pthread_create(&s.thread, NULL, serve, NULL), 0);
	s.out = open_memstream(&s.text, &s.len);
	assert_non_null(s.out);
	stdout = s.out;
	code = fn(&s.c, argc, argv);
	stdout = old;
	fclose(s.out);
	/* a verb that asked less than expected leaves the thread in accept() */
	shutdown(s.fd, SHUT_RDWR);
	pthread_join(s.thread, NULL);
	for (i = 0; i < s.n; i++) {
		if (strncmp(s.seen[i], s.v[i].line, strlen(s.v[i].line)) != 0 ||
		    strncmp(s.seen[i] + strlen(s.v[i].line), " HTTP/1.1\r\n",
		    11) != 0 || strstr(s.seen[i], s.v[i].body) == NULL)
			fail_msg("asked: %s\nwanted: %s %s", s.seen[i],
			    s.v[i].line, s.v[i].body);
	}
	return code;
}

static void
has(const char *part)
{
	if (strstr(s.text, part) == NULL)
		fail_msg("no \"%s\" in:\n%s", part, s.text);
}

static void
lacks(const char *part)
{
	if (strstr(s.text, part) != NULL)
		fail_msg("\"%s\" in:\n%s", part, s.text);
}

static int
setup(void **state)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };

	(void)state;
	memset(&s, 0, sizeof(s));
	strcpy(s.dir, "/tmp/storegrid-ctl.XXXXXX");
	if (mkdtemp(s.dir) == NULL)
		return -1;
	conf_defaults(&s.c.conf);
	strcpy(s.c.conf.advertise, "backup1.example");
	strcpy(s.c.conf.run, s.dir);
	snprintf(s.path, sizeof(s.path), "%s/control.sock", s.dir);
	strcpy(sun.sun_path, s.path);
	s.fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	return s.fd == -1 || bind(s.fd, (struct sockaddr *)&sun,
	    sizeof(sun)) != 0 || listen(s.fd, 4) != 0 ? -1 : 0;
}

static int
teardown(void **state)
{
	(void)state;
	free(s.text);
	close(s.fd);
	unlink(s.path);
	return rmdir(s.dir);
}

/* --- users --- */

static void
the_first_user_is_an_administrator(void **state)
{
	(void)state;
	expect("GET /api/v1/users", "", 200, "{\"users\":[]}");
	expect("POST /api/v1/users", "{\"user\":\"ann\",\"right\":\"admin\"}",
	    200, "{\"users\":[{\"secret\":\"ONCE\",\"expires\":1}]}");
	assert_int_equal(run(ctl_user_add, 1, "ann", NULL), CTL_OK);
	assert_string_equal(s.text, "ONCE\n");	/* alone, to be piped */
}

static void
a_later_user_may_only_look(void **state)
{
	(void)state;
	expect("GET /api/v1/users", "", 200,
	    "{\"users\":[{\"user\":\"ann\"}]}");
	expect("POST /api/v1/users", "{\"user\":\"bob\",\"right\":\"viewer\"}",
	    200, "{\"users\":[{\"secret\":\"ONCE\",\"expires\":1}]}");
	assert_int_equal(run(ctl_user_add, 1, "bob", NULL), CTL_OK);
}

static void
a_right_that_is_given_is_not_asked_for(void **state)
{
	(void)state;
	s.c.right = "operator";
	expect("POST /api/v1/users",
	    "{\"user\":\"bob\",\"right\":\"operator\"}", 200,
	    "{\"users\":[{\"secret\":\"ONCE\",\"expires\":1}]}");
	assert_int_equal(run(ctl_user_add, 1, "bob", NULL), CTL_OK);
}

static void
an_api_token_looks_for_thirty_days(void **state)
{
	(void)state;
	expect("POST /api/v1/api-tokens", "{\"name\":\"grafana\","
	    "\"right\":\"viewer\",\"expires\":2592000}", 200,
	    "{\"api_tokens\":[{\"secret\":\"T\",\"expires\":1}]}");
	assert_int_equal(run(ctl_api_token_add, 1, "grafana", NULL), CTL_OK);
	assert_string_equal(s.text, "T\n");
}

static void
names_are_encoded_into_the_path(void **state)
{
	(void)state;
	expect("DELETE /api/v1/users/a%2F..%3F%20b", "", 200, "{}");
	assert_int_equal(run(ctl_user_rm, 1, "a/..? b", NULL), CTL_OK);
}

/* --- pairing --- */

static void
a_code_is_eight_digits(void **state)
{
	char out[PROTO_PAIR_CODE_LEN + 1];

	(void)state;
	assert_true(pair_code_parse("1234-5678", out));
	assert_string_equal(out, "1234-5678");
	assert_true(pair_code_parse("12345678", out));
	assert_string_equal(out, "1234-5678");
	assert_true(pair_code_parse("1234 5678", out));
	assert_string_equal(out, "1234-5678");
	assert_false(pair_code_parse("", out));
	assert_false(pair_code_parse("1234-567", out));
	assert_false(pair_code_parse("1234-56789", out));
	assert_false(pair_code_parse("123-45678", out));
	assert_false(pair_code_parse("1234--5678", out));
	assert_false(pair_code_parse("1234-567a", out));
	assert_false(pair_code_parse("deadbeef", out));
}

static const char pairings[] = "{\"pairings\":["
    "{\"pairing\":\"aa11\",\"says\":\"web1\",\"code\":\"1111-1111\","
    "\"state\":\"waiting\"},"
    "{\"pairing\":\"bb22\",\"says\":\"web\\u009b1\",\"code\":\"2222-2222\","
    "\"state\":\"waiting\"},"
    "{\"pairing\":\"cc33\",\"says\":\"x\",\"code\":\"3333-3333\","
    "\"state\":\"refused\"},"
    "{\"pairing\":\"dd44\",\"says\":\"x\",\"code\":\"4444-4444\","
    "\"state\":\"waiting\"},"
    "{\"pairing\":\"ee55\",\"says\":\"y\",\"code\":\"4444-4444\","
    "\"state\":\"waiting\"}]}";

static void
a_code_accepts_its_own_pairing(void **state)
{
	(void)state;
	expect("GET /api/v1/pairings", "", 200, pairings);
	expect("POST /api/v1/pairings/bb22/accept",
	    "{\"account\":\"acme\",\"name\":\"web1\"}", 200, "{}");
	assert_int_equal(run(ctl_pair_accept, 2, "22222222", "acme/web1"),
	    CTL_OK);
	has("client's screen");
}

static void
a_code_that_nobody_shows_accepts_nothing(void **state)
{
	(void)state;
	expect("GET /api/v1/pairings", "", 200, pairings);
	assert_int_equal(run(ctl_pair_accept, 2, "9999-9999", "acme/web1"),
	    CTL_FAILED);
}

static void
a_code_of_one_that_was_refused_accepts_nothing(void **state)
{
	(void)state;
	expect("GET /api/v1/pairings", "", 200, pairings);
	assert_int_equal(run(ctl_pair_accept, 2, "3333-3333", "acme/web1"),
	    CTL_FAILED);
}

static void
a_code_that_two_show_accepts_neither(void **state)
{
	(void)state;
	expect("GET /api/v1/pairings", "", 200, pairings);
	assert_int_equal(run(ctl_pair_accept, 2, "4444-4444", "acme/web1"),
	    CTL_FAILED);
}

static void
an_id_is_passed_on(void **state)
{
	(void)state;
	expect("POST /api/v1/pairings/bb22/refuse", "", 200, "{}");
	assert_int_equal(run(ctl_pair_refuse, 1, "bb22", NULL), CTL_OK);
}

static void
the_list_says_to_compare_and_escapes_names(void **state)
{
	(void)state;
	expect("GET /api/v1/pairings", "", 200, pairings);
	assert_int_equal(run(ctl_pair_list, 0, NULL, NULL), CTL_OK);
	has("1111-1111  aa11          waiting   web1 ");
	has("web\\u{009b}1");
	has("client's own screen");
}

/* --- peers --- */

static void
address(const char *text, const char *host, uint16_t port)
{
	char out[64];
	uint16_t p = 32005;

	if (!peer_parse_address(text, out, sizeof(out), &p)) {
		assert_null(host);
		return;
	}
	if (host == NULL)
		fail_msg("%s was taken", text);
	assert_string_equal(out, host);
	assert_int_equal(p, port);
}

static void
an_address_may_have_a_port(void **state)
{
	(void)state;
	address("192.0.2.1", "192.0.2.1", 32005);
	address("192.0.2.1:40005", "192.0.2.1", 40005);
	address("backup2.example:1", "backup2.example", 1);
	address("2001:db8::1", "2001:db8::1", 32005);
	address("[2001:db8::1]", "2001:db8::1", 32005);
	address("[2001:db8::1]:40005", "2001:db8::1", 40005);
	address("", NULL, 0);
	address(":1", NULL, 0);
	address("[]:1", NULL, 0);
	address("[::1", NULL, 0);
	address("[::1]x", NULL, 0);
	address("a:", NULL, 0);
	address("a:0", NULL, 0);
	address("a:65536", NULL, 0);
	address("a:-1", NULL, 0);
	address("a:1x", NULL, 0);
}

static void
a_peer_by_hand_is_sent_as_an_address(void **state)
{
	(void)state;
	s.c.fingerprint = "00ff";
	s.c.label = "cellar";
	expect("POST /api/v1/peers", "{\"address\":\"127.0.0.1\",\"port\":40005"
	    ",\"fingerprint\":\"00ff\",\"label\":\"cellar\"}", 200, "{}");
	assert_int_equal(run(ctl_peer_add, 1, "127.0.0.1:40005", NULL),
	    CTL_OK);
}

static void
a_changed_key_stands_out(void **state)
{
	(void)state;
	expect("GET /api/v1/peers", "", 200, "{\"peers\":["
	    "{\"fingerprint\":\"00112233445566778899aabbccddeeff\","
	    "\"how\":\"multicast\",\"state\":\"up\",\"conflict\":false,"
	    "\"compared\":true,\"address\":\"192.0.2.1\",\"port\":6363,"
	    "\"id\":\"b1\",\"mode\":\"server\",\"port_gui\":32005},"
	    "{\"fingerprint\":\"ff112233445566778899aabbccddeeff\","
	    "\"how\":\"hand\",\"state\":\"silent\",\"since\":1000,"
	    "\"conflict\":true,\"compared\":false,\"address\":\"2001:db8::1\","
	    "\"id\":\"b2\",\"mode\":\"client\",\"port_gui\":40005}]}");
	assert_int_equal(run(ctl_peer_list, 0, NULL, NULL), CTL_OK);
	has("192.0.2.1:32005 ");
	has("[2001:db8::1]:40005 ");
	has("\nKEY CHANGED: b2 ");
	has("peer forget ff112233445566778899aabbccddeeff\n");
}

#define ROW(fp, id, addr, conflict)				\
	"{\"fingerprint\":\"" fp "\",\"id\":\"" id "\","		\
	"\"address\":\"" addr "\",\"port\":32005,"		\
	"\"port_gui\":32005,\"conflict\":" conflict "}"

static void
of_two_keys_the_old_one_is_named_to_be_forgotten(void **state)
{
	(void)state;
	expect("GET /api/v1/peers", "", 200, "{\"peers\":["
	    ROW("01", "b2", "192.0.2.1", "false") ","
	    ROW("02", "b2", "192.0.2.9", "true") ","
	    ROW("03", "b2", "192.0.2.8", "true") "]}");
	assert_int_equal(run(ctl_peer_list, 0, NULL, NULL), CTL_OK);
	has("\nKEY CHANGED: b2 ");
	has("peer forget 01\n");
	lacks("peer forget 02");
	lacks("peer forget 03");
}

static void
the_old_one_is_found_by_its_address_too(void **state)
{
	(void)state;
	expect("GET /api/v1/peers", "", 200, "{\"peers\":["
	    ROW("01", "b1", "192.0.2.1", "false") ","
	    ROW("02", "b2", "192.0.2.1", "true") "]}");
	assert_int_equal(run(ctl_peer_list, 0, NULL, NULL), CTL_OK);
	has("\nKEY CHANGED: b2 ");
	has("peer forget 01\n");
}

static void
a_changed_key_is_told_once(void **state)
{
	(void)state;
	expect("GET /api/v1/peers", "", 200, "{\"peers\":["
	    ROW("01", "b2", "192.0.2.1", "true") ","
	    ROW("02", "b2", "192.0.2.1", "true") "]}");
	assert_int_equal(run(ctl_peer_list, 0, NULL, NULL), CTL_OK);
	has("peer forget 01\n");
	lacks("peer forget 02");
}

/* --- audit and history --- */

static void
a_broken_chain_is_exit_1(void **state)
{
	(void)state;
	expect("GET /api/v1/audit/verify", "", 200, "{\"ok\":false,"
	    "\"entries\":9,\"first_bad\":4,\"head\":\"00\"}");
	assert_int_equal(run(ctl_audit_verify, 0, NULL, NULL), CTL_FAILED);
	lacks("Head");
}

static void
a_broken_chain_is_exit_1_with_json_too(void **state)
{
	(void)state;
	s.c.json = true;
	expect("GET /api/v1/audit/verify", "", 200, "{\"ok\":false,"
	    "\"entries\":9,\"first_bad\":4,\"head\":\"00\"}");
	assert_int_equal(run(ctl_audit_verify, 0, NULL, NULL), CTL_FAILED);
	has("{\"ok\":false,");
}

static void
a_whole_chain_tells_its_head(void **state)
{
	(void)state;
	expect("GET /api/v1/audit/verify", "", 200, "{\"ok\":true,"
	    "\"entries\":9,\"first_bad\":0,\"head\":\"abcd\"}");
	assert_int_equal(run(ctl_audit_verify, 0, NULL, NULL), CTL_OK);
	has("9 entries");
	has("Head: abcd\n");
}

static void
the_newest_entries_are_shown(void **state)
{
	(void)state;
	s.c.lines = 2;
	expect("GET /api/v1/audit/verify", "", 200, "{\"ok\":true,"
	    "\"entries\":9,\"first_bad\":0,\"head\":\"\"}");
	expect("GET /api/v1/audit?after=7&n=2", "", 200, "{\"entries\":["
	    "{\"number\":8,\"at\":1,\"who\":\"root\",\"act\":\"x\\u001b[2J\","
	    "\"result\":\"ok\"}]}");
	assert_int_equal(run(ctl_audit_list, 0, NULL, NULL), CTL_OK);
	has("x\\x1b[2J ");
}

static void
entries_after_one_are_asked_for_as_they_are(void **state)
{
	(void)state;
	s.c.after_given = true;
	expect("GET /api/v1/audit?after=0&n=50", "", 200, "{\"entries\":[]}");
	assert_int_equal(run(ctl_audit_list, 0, NULL, NULL), CTL_OK);
	has("No entries.");
}

static void
the_overview_begins_with_who_is_protected(void **state)
{
	static const char begin[] = "2 of 3 clients protected, 1 running, ";

	(void)state;
	expect("GET /api/v1/overview", "", 200, "{\"clients\":["
	    "{\"account\":\"acme\",\"name\":\"web1\",\"status\":\"overdue\"}],"
	    "\"totals\":{\"clients\":3,\"protected\":2,\"running\":1,"
	    "\"alerts\":1,\"vault_bytes\":2048,\"free\":1,\"total\":2}}");
	assert_int_equal(run(ctl_overview, 0, NULL, NULL), CTL_OK);
	assert_memory_equal(s.text, begin, sizeof(begin) - 1);
	has("Vaults: 2.0 KiB");
	has("acme/web1                       overdue     never ");
}

static void
what_a_client_reports_is_kept_apart(void **state)
{
	(void)state;
	expect("GET /api/v1/runs?client=acme/web1&n=50", "", 200, "{\"runs\":["
	    "{\"number\":7,\"account\":\"acme\",\"name\":\"web1\","
	    "\"label\":\"home\",\"state\":\"ok\",\"started\":100,\"ended\":142,"
	    "\"received\":1024,\"new_bytes\":5,\"reported\":{\"outcome\":"
	    "\"incomplete\",\"files\":9,\"bytes\":1,\"skipped\":2}},"
	    "{\"number\":6,\"account\":\"acme\",\"name\":\"web1\","
	    "\"label\":\"home\",\"state\":\"running\",\"started\":100,"
	    "\"ended\":0}]}");
	assert_int_equal(run(ctl_runs, 1, "acme/web1", NULL), CTL_OK);
	has("0:42      1.0 KiB    5 B        (incomplete, 9 files, 1 B, "
	    "2 skipped)\n");
	has("-         0 B        0 B        -\n");
}

static void
of_each_vault_the_newest_measure_is_shown(void **state)
{
	(void)state;
	expect("GET /api/v1/storage", "", 200, "{\"storage\":["
	    "{\"account\":\"a\",\"name\":\"x\",\"at\":300,\"objects\":31},"
	    "{\"account\":\"a\",\"name\":\"y\",\"at\":100,\"objects\":41},"
	    "{\"account\":\"a\",\"name\":\"x\",\"at\":200,\"objects\":21}]}");
	assert_int_equal(run(ctl_storage, 0, NULL, NULL), CTL_OK);
	has(" 31 ");
	has(" 41 ");
	lacks(" 21 ");
}

/* --- the call itself --- */

static void
a_refusal_is_exit_1(void **state)
{
	(void)state;
	expect("GET /api/v1/alerts", "", 403, "{\"error\":\"no\"}");
	assert_int_equal(run(ctl_alerts, 0, NULL, NULL), CTL_FAILED);
	assert_string_equal(s.text, "");
}

static void
json_is_printed_as_it_came(void **state)
{
	(void)state;
	s.c.json = true;
	expect("GET /api/v1/alerts", "", 200, "{\"alerts\": []}");
	assert_int_equal(run(ctl_alerts, 0, NULL, NULL), CTL_OK);
	assert_string_equal(s.text, "{\"alerts\": []}\n");
}

static void
ports_from_a_peer_has_its_column_and_the_losses(void **state)
{
	(void)state;
	s.c.from = "backup2";
	expect("GET /api/v1/status", "", 200, "{\"ports\":["
	    "{\"key\":\"Ports.GUI\",\"protocol\":\"tcp\",\"port\":32005,"
	    "\"open\":true,\"address\":\"::\",\"inherited\":false}]}");
	expect("POST /api/v1/peers/backup2/reach", "", 200, "{\"ports\":["
	    "{\"port\":32005,\"result\":\"filtered\",\"milliseconds\":9}]}");
	assert_int_equal(run(ctl_ports, 0, NULL, NULL), CTL_OK);
	has("FROM backup2 ");
	has(" filtered ");
	has("\n32005 unreachable from backup2: \"switch to peer\" and "
	    "exchange from outside stop; backup and restore go on\n");
}

static void
without_a_peer_there_is_no_column(void **state)
{
	(void)state;
	expect("GET /api/v1/status", "", 200, "{\"ports\":[]}");
	assert_int_equal(run(ctl_ports, 0, NULL, NULL), CTL_OK);
	lacks("FROM");
	lacks("unreachable");
	has("tcp 32004  Ports.Server ");
}

#define T(f)	cmocka_unit_test_setup_teardown(f, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(the_first_user_is_an_administrator),
		T(a_later_user_may_only_look),
		T(a_right_that_is_given_is_not_asked_for),
		T(an_api_token_looks_for_thirty_days),
		T(names_are_encoded_into_the_path),
		cmocka_unit_test(a_code_is_eight_digits),
		T(a_code_accepts_its_own_pairing),
		T(a_code_that_nobody_shows_accepts_nothing),
		T(a_code_of_one_that_was_refused_accepts_nothing),
		T(a_code_that_two_show_accepts_neither),
		T(an_id_is_passed_on),
		T(the_list_says_to_compare_and_escapes_names),
		cmocka_unit_test(an_address_may_have_a_port),
		T(a_peer_by_hand_is_sent_as_an_address),
		T(a_changed_key_stands_out),
		T(of_two_keys_the_old_one_is_named_to_be_forgotten),
		T(the_old_one_is_found_by_its_address_too),
		T(a_changed_key_is_told_once),
		T(a_broken_chain_is_exit_1),
		T(a_broken_chain_is_exit_1_with_json_too),
		T(a_whole_chain_tells_its_head),
		T(the_newest_entries_are_shown),
		T(entries_after_one_are_asked_for_as_they_are),
		T(the_overview_begins_with_who_is_protected),
		T(what_a_client_reports_is_kept_apart),
		T(of_each_vault_the_newest_measure_is_shown),
		T(a_refusal_is_exit_1),
		T(json_is_printed_as_it_came),
		T(ports_from_a_peer_has_its_column_and_the_losses),
		T(without_a_peer_there_is_no_column),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
