#include "config.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/rc.h"
#include "server/master/ports.h"

static char dir[64];

static struct conf
conf_with(const char *listen, uint16_t port)
{
	struct conf c;

	conf_defaults(&c);
	c.port_server = port;
	c.mcast_enabled = false;
	c.listen_server.n = 1;
	snprintf(c.listen_server.s[0], sizeof(c.listen_server.s[0]), "%s",
	    listen);
	snprintf(c.run, sizeof(c.run), "%s", dir);
	return c;
}

/* The plan without what these tests are not about: 32005 and the dialer. */
static int
plan(struct ports *ps, const struct conf *c, char *err, size_t size)
{
	size_t i, n = 0;
	int rc = ports_plan(ps, c, err, size);

	for (i = 0; i < ps->n; i++)
		if (ps->v[i].kind != PORT_GUI && ps->v[i].kind != PORT_DIALER)
			ps->v[n++] = ps->v[i];
	ps->n = n;
	return rc;
}

/* A listening socket on loopback; *port 0: any, and set. */
static int
listening(int family, int type, int v6only, uint16_t *port)
{
	struct sockaddr_storage ss;
	struct addr a = { .family = family == AF_INET ? 4 : 6 };
	socklen_t len;
	int fd, on = 1;

	if (family == AF_INET) {
		a.b[0] = 127;
		a.b[3] = 1;
	} else if (v6only) {
		a.b[15] = 1;
	}
	/* "::" otherwise: on a single address the kernel sets V6ONLY itself. */
	a.port = *port;
	fd = socket(family, type, 0);
	assert_int_not_equal(fd, -1);
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (family == AF_INET6)
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &v6only,
		    sizeof(v6only));
	len = addr_to_sockaddr(&a, &ss);
	assert_int_equal(bind(fd, (struct sockaddr *)&ss, len), 0);
	if (type == SOCK_STREAM)
		assert_int_equal(listen(fd, 1), 0);
	len = sizeof(ss);
	getsockname(fd, (struct sockaddr *)&ss, &len);
	addr_from_sockaddr(&a, (struct sockaddr *)&ss, len);
	*port = a.port;
	return fd;
}

static void
a_star_is_one_socket_of_each_family(void **state)
{
	struct conf c = conf_with("*", 1234);
	struct ports ps;
	char err[256];

	(void)state;
	assert_int_equal(plan(&ps, &c, err, sizeof(err)), RC_OK);
	assert_int_equal(ps.n, 3);
	assert_int_equal(ps.v[0].addr.family, 6);
	assert_int_equal(ps.v[1].addr.family, 4);
	assert_int_equal(ps.v[2].kind, PORT_CONTROL);
	c.ssl_enabled = true;
	assert_int_equal(plan(&ps, &c, err, sizeof(err)), RC_OK);
	assert_int_equal(ps.n, 5);
	assert_int_equal(ps.v[2].kind, PORT_SSL);
	assert_int_equal(ps.v[2].addr.port, 32007);
}

static unsigned int
planned(const struct ports *ps, uint8_t kind)
{
	unsigned int n = 0;
	size_t i;

	for (i = 0; i < ps->n; i++)
		n += ps->v[i].kind == kind;
	return n;
}

static void
each_mode_and_switch_has_its_ports(void **state)
{
	struct conf c = conf_with("*", 1234);
	struct ports ps;
	char err[256];

	(void)state;
	c.mode = CONF_MODE_CLIENT;
	assert_int_equal(ports_plan(&ps, &c, err, sizeof(err)), RC_OK);
	assert_int_equal(planned(&ps, PORT_SERVER), 0);
	assert_int_equal(planned(&ps, PORT_GUI), 2);
	assert_int_equal(planned(&ps, PORT_MCAST_REQ), 0);
	assert_int_equal(planned(&ps, PORT_NETLINK), 0);
	c.mode = CONF_MODE_BOTH;
	c.mcast_enabled = true;
	assert_int_equal(ports_plan(&ps, &c, err, sizeof(err)), RC_OK);
	assert_int_equal(planned(&ps, PORT_SERVER), 2);
	assert_int_equal(planned(&ps, PORT_MCAST_REQ), 2);
	assert_int_equal(planned(&ps, PORT_MCAST_ANS), 2);
	assert_int_equal(planned(&ps, PORT_NETLINK), 1);
	assert_int_equal(planned(&ps, PORT_SCAN), 0);
	c.scan_answer = true;
	assert_int_equal(ports_plan(&ps, &c, err, sizeof(err)), RC_OK);
	assert_int_equal(planned(&ps, PORT_SCAN), 1);
	assert_int_equal(planned(&ps, PORT_NETLINK), 2);
	/* a number twice: of one protocol only */
	c.port_gui = c.port_server;
	assert_int_equal(ports_plan(&ps, &c, err, sizeof(err)), RC_CONFIG);
	assert_non_null(strstr(err, "Ports.GUI"));
	c.port_gui = c.port_scan;
	assert_int_equal(ports_plan(&ps, &c, err, sizeof(err)), RC_OK);
	c.port_scan = c.port_mcast_ans;
	assert_int_equal(ports_plan(&ps, &c, err, sizeof(err)), RC_CONFIG);
}

/* Two installations on one machine hear the same multicast. */
static void
multicast_ports_are_shared_and_a_scan_port_is_not(void **state)
{
	struct conf c = conf_with("127.0.0.1", 0);
	struct ports a, b;
	uint16_t port = 0;
	char err[512];
	int fd;

	(void)state;
	fd = listening(AF_INET, SOCK_STREAM, 0, &port);
	close(fd);
	c.mode = CONF_MODE_CLIENT;
	c.mcast_enabled = true;
	c.port_mcast_req = port;
	c.port_mcast_ans = (uint16_t)(port == 65535 ? 1025 : port + 1);
	assert_int_equal(plan(&a, &c, err, sizeof(err)), RC_OK);
	assert_int_equal(ports_open(&a, err, sizeof(err)), RC_OK);
	assert_int_equal(plan(&b, &c, err, sizeof(err)), RC_OK);
	b.n--;			/* not the control socket */
	assert_int_equal(ports_open(&b, err, sizeof(err)), RC_OK);
	ports_close(&b);
	ports_close(&a);
	c.mcast_enabled = false;
	c.scan_answer = true;
	c.port_scan = port;
	assert_int_equal(plan(&a, &c, err, sizeof(err)), RC_OK);
	assert_int_equal(ports_open(&a, err, sizeof(err)), RC_OK);
	assert_int_equal(plan(&b, &c, err, sizeof(err)), RC_OK);
	b.n--;
	assert_int_equal(ports_open(&b, err, sizeof(err)), RC_BUSY);
	assert_non_null(strstr(err, "Ports.UDPScan"));
	ports_close(&b);
	ports_close(&a);
}

static void
a_plan_that_cannot_be_is_refused(void **state)
{
	struct conf c = conf_with("*", 1234);
	struct ports ps;
	char err[256];

	(void)state;
	c.ssl_enabled = true;
	c.port_ssl = 1234;
	assert_int_equal(plan(&ps, &c, err, sizeof(err)), RC_CONFIG);
	assert_non_null(strstr(err, "Ports.SSLServer"));
	c = conf_with("*", 1);
	c.listen_server.n = 2;
	strcpy(c.listen_server.s[1], "127.0.0.1");
	assert_int_equal(plan(&ps, &c, err, sizeof(err)), RC_CONFIG);
	c = conf_with("127.0.0.1", 1);
	c.listen_server.n = 2;
	strcpy(c.listen_server.s[1], "::ffff:127.0.0.1");
	assert_int_equal(plan(&ps, &c, err, sizeof(err)), RC_CONFIG);
	c = conf_with("localhost", 1);
	assert_int_equal(plan(&ps, &c, err, sizeof(err)), RC_CONFIG);
	c = conf_with("127.0.0.1", 1);
	c.listen_server.n = 0;
	assert_int_equal(plan(&ps, &c, err, sizeof(err)), RC_CONFIG);
	c = conf_with("127.0.0.1", 1);
	memset(c.run, 'x', 150);
	c.run[150] = '\0';
	assert_int_equal(plan(&ps, &c, err, sizeof(err)), RC_CONFIG);
}

/* What accepted connections inherit. */
static void
assert_no_delay(int fd)
{
	int on = 0;
	socklen_t len = sizeof(on);

	assert_int_equal(getsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, &len),
	    0);
	assert_int_not_equal(on, 0);
}

static void
sockets_that_match_are_taken(void **state)
{
	struct ports ps;
	struct conf c;
	char err[512];
	uint16_t port = 0;
	int fd = listening(AF_INET, SOCK_STREAM, 0, &port);

	(void)state;
	c = conf_with("127.0.0.1", port);
	assert_int_equal(plan(&ps, &c, err, sizeof(err)), RC_OK);
	assert_int_equal(ports_inherit(&ps, fd, 1, err, sizeof(err)), RC_OK);
	assert_int_equal(ps.v[0].fd, fd);
	assert_true(ps.v[0].inherited);
	assert_no_delay(fd);
	/* The control socket may still be our own. */
	assert_int_equal(ports_open(&ps, err, sizeof(err)), RC_OK);
	assert_int_not_equal(ps.v[1].fd, -1);
	assert_false(ps.v[1].inherited);
	ports_close(&ps);
}

static void
refused(const struct conf *c, int fd, const char *says)
{
	struct ports ps;
	char err[512] = "";

	assert_int_equal(plan(&ps, c, err, sizeof(err)), RC_OK);
	assert_int_equal(ports_inherit(&ps, fd, 1, err, sizeof(err)),
	    RC_CONFIG);
	if (strstr(err, says) == NULL)
		fail_msg("\"%s\" does not say \"%s\"", err, says);
	if (strstr(err, "systemctl") == NULL && fd > 0)
		fail_msg("\"%s\" does not say how to mend it", err);
	close(fd);
}

static void
every_difference_names_its_key(void **state)
{
	uint16_t port = 0, other;
	struct conf c;
	int fd;

	(void)state;
	fd = listening(AF_INET, SOCK_STREAM, 0, &port);
	other = (uint16_t)(port == 65535 ? 1025 : port + 1);
	c = conf_with("127.0.0.1", other);
	refused(&c, fd, "Ports.Server");
	/* another address, another family, no stream, both families */
	port = 0;
	fd = listening(AF_INET, SOCK_STREAM, 0, &port);
	c = conf_with("127.0.0.2", port);
	refused(&c, fd, "but Ports.Server wants 127.0.0.2");
	port = 0;
	fd = listening(AF_INET, SOCK_STREAM, 0, &port);
	c = conf_with("::1", port);
	refused(&c, fd, "but Ports.Server wants [::1]");
	port = 0;
	fd = listening(AF_INET, SOCK_DGRAM, 0, &port);
	c = conf_with("127.0.0.1", port);
	refused(&c, fd, "which Ports.Multicast does not");
	port = 0;
	fd = listening(AF_INET6, SOCK_STREAM, 0, &port);
	c = conf_with("::", port);
	refused(&c, fd, "BindIPv6Only=ipv6-only");
}

static void
one_that_is_missing_is_named(void **state)
{
	struct ports ps;
	struct conf c;
	char err[512] = "";
	uint16_t port = 0;
	int fd = listening(AF_INET, SOCK_STREAM, 0, &port);

	(void)state;
	c = conf_with("127.0.0.1", port);
	c.listen_server.n = 2;
	strcpy(c.listen_server.s[1], "::1");
	assert_int_equal(plan(&ps, &c, err, sizeof(err)), RC_OK);
	assert_int_equal(ports_inherit(&ps, fd, 1, err, sizeof(err)),
	    RC_CONFIG);
	assert_non_null(strstr(err, "[::1]"));
	assert_non_null(strstr(err, "did not pass"));
	close(fd);
}

static void
a_port_in_use_names_key_port_and_holder(void **state)
{
	struct ports ps;
	struct conf c;
	char err[512] = "", want[64];
	uint16_t port = 0;
	int fd = listening(AF_INET, SOCK_STREAM, 0, &port);

	(void)state;
	c = conf_with("127.0.0.1", port);
	assert_int_equal(plan(&ps, &c, err, sizeof(err)), RC_OK);
	assert_int_equal(ports_open(&ps, err, sizeof(err)), RC_BUSY);
	assert_non_null(strstr(err, "Ports.Server"));
	snprintf(want, sizeof(want), "127.0.0.1:%u is in use", port);
	assert_non_null(strstr(err, want));
	snprintf(want, sizeof(want), "pid %d", (int)getpid());
	assert_non_null(strstr(err, want));
	ports_close(&ps);
	close(fd);
}

static void
a_stale_control_socket_is_replaced_and_a_live_one_is_not(void **state)
{
	struct ports ps, second;
	struct conf c;
	struct stat st;
	char err[512] = "";
	uint16_t port = 0;
	int fd, pass = 0;
	socklen_t len = sizeof(pass);

	(void)state;
	fd = listening(AF_INET, SOCK_STREAM, 0, &port);
	close(fd);
	c = conf_with("127.0.0.1", port);
	assert_int_equal(plan(&ps, &c, err, sizeof(err)), RC_OK);
	assert_int_equal(ports_open(&ps, err, sizeof(err)), RC_OK);
	assert_no_delay(ps.v[0].fd);
	assert_int_equal(lstat(ps.control, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0660);
	assert_int_equal(getsockopt(ps.v[1].fd, SOL_SOCKET, SO_PASSCRED, &pass,
	    &len), 0);
	assert_int_equal(pass, 1);
	/* alive */
	c.port_server = (uint16_t)(port == 65535 ? 1025 : port + 1);
	c.listen_server.n = 1;
	assert_int_equal(plan(&second, &c, err, sizeof(err)), RC_OK);
	second.v[0].fd = dup(0);
	assert_int_equal(ports_open(&second, err, sizeof(err)), RC_BUSY);
	/* dead: closed behind the file's back */
	close(ps.v[1].fd);
	ps.v[1].fd = -1;
	assert_int_equal(ports_open(&second, err, sizeof(err)), RC_OK);
	ports_close(&second);
	assert_int_not_equal(lstat(ps.control, &st), 0);
	ports_close(&ps);
}

static void
the_holder_is_found_in_a_table(void **state)
{
	static const char table[] =
	    "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when "
	    "retrnsmt   uid  timeout inode\n"
	    "   0: 0100007F:1F90 0100007F:A000 01 00000000:00000000 00:00000000"
	    " 00000000     0        0 111 1 0000000000000000 20 4 30 10 -1\n"
	    "   1: 00000000:1F90 00000000:0000 0A 00000000:00000000 00:00000000"
	    " 00000000  1000        0 222 1 0000000000000000 100 0 0 10 0\n"
	    "   2: 00000000000000000000000000000000:1F91 "
	    "00000000000000000000000000000000:0000 0A 00000000:00000000 "
	    "00:00000000 00000000     0        0 333 1 0000000000000000\n"
	    "garbage\n";
	struct addr a = { .family = 4, .port = 8080 };

	(void)state;
	assert_int_equal(holder_inode(table, &a), 222);
	a.port = 8081;
	assert_int_equal(holder_inode(table, &a), 333);
	a.port = 8082;
	assert_int_equal(holder_inode(table, &a), 0);
	assert_int_equal(holder_inode("", &a), 0);
}

static int
setup(void **state)
{
	(void)state;
	strcpy(dir, "/tmp/sg-ports-XXXXXX");
	return mkdtemp(dir) == NULL;
}

static int
teardown(void **state)
{
	(void)state;
	return rmdir(dir);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_star_is_one_socket_of_each_family),
		cmocka_unit_test(each_mode_and_switch_has_its_ports),
		cmocka_unit_test(multicast_ports_are_shared_and_a_scan_port_is_not),
		cmocka_unit_test(a_plan_that_cannot_be_is_refused),
		cmocka_unit_test(sockets_that_match_are_taken),
		cmocka_unit_test(every_difference_names_its_key),
		cmocka_unit_test(one_that_is_missing_is_named),
		cmocka_unit_test(a_port_in_use_names_key_port_and_holder),
		cmocka_unit_test(
		    a_stale_control_socket_is_replaced_and_a_live_one_is_not),
		cmocka_unit_test(the_holder_is_found_in_a_table),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
