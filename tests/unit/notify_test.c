#include "config.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/io.h"
#include "server/master/notify.h"

/* A socket as systemd has it, by an abstract name of our own. */
static int
make_socket(char *name, size_t size)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	int fd;

	snprintf(name, size, "@storegrid-notify-test-%d", (int)getpid());
	memcpy(sun.sun_path, name, strlen(name));
	sun.sun_path[0] = '\0';
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0);
	assert_int_not_equal(fd, -1);
	assert_int_equal(bind(fd, (struct sockaddr *)&sun, (socklen_t)(
	    offsetof(struct sockaddr_un, sun_path) + strlen(name))), 0);
	return fd;
}

static const char *
got(int fd)
{
	static char text[256];
	ssize_t n = recv(fd, text, sizeof(text) - 1, 0);

	text[n > 0 ? n : 0] = '\0';
	return text;
}

static void
messages_arrive_and_the_environment_is_emptied(void **state)
{
	struct notify n;
	char name[64];
	int fd = make_socket(name, sizeof(name));

	(void)state;
	setenv("NOTIFY_SOCKET", name, 1);
	unsetenv("WATCHDOG_USEC");
	notify_open(&n);
	assert_null(getenv("NOTIFY_SOCKET"));
	notify_send(&n, "READY=1\nSTATUS=%d\n", 7);
	assert_string_equal(got(fd), "READY=1\nSTATUS=7\n");
	notify_reloading(&n);
	assert_non_null(strstr(got(fd), "RELOADING=1\nMONOTONIC_USEC="));
	notify_tick(&n, 1000000);
	assert_string_equal(got(fd), "");
	close(n.fd);
	close(fd);
}

static void
the_watchdog_is_fed_at_half_its_time(void **state)
{
	struct notify n;
	char name[64], pid[16];
	int fd = make_socket(name, sizeof(name));

	(void)state;
	snprintf(pid, sizeof(pid), "%d", (int)getpid());
	setenv("NOTIFY_SOCKET", name, 1);
	setenv("WATCHDOG_USEC", "60000000", 1);
	setenv("WATCHDOG_PID", pid, 1);
	notify_open(&n);
	assert_int_equal(n.watchdog_ms, 30000);
	notify_tick(&n, 1000);
	assert_string_equal(got(fd), "WATCHDOG=1\n");
	assert_int_equal(n.next_ms, 31000);
	notify_tick(&n, 30999);
	assert_string_equal(got(fd), "");
	notify_tick(&n, 31000);
	assert_string_equal(got(fd), "WATCHDOG=1\n");
	close(n.fd);
	/* Another process's watchdog is not ours. */
	setenv("NOTIFY_SOCKET", name, 1);
	setenv("WATCHDOG_USEC", "60000000", 1);
	setenv("WATCHDOG_PID", "1", 1);
	notify_open(&n);
	assert_int_equal(n.watchdog_ms, 0);
	close(n.fd);
	close(fd);
}

static void
without_a_socket_nothing_happens(void **state)
{
	struct notify n;

	(void)state;
	unsetenv("NOTIFY_SOCKET");
	notify_open(&n);
	assert_int_equal(n.fd, -1);
	notify_send(&n, "READY=1\n");
	setenv("NOTIFY_SOCKET", "@nobody-is-there-at-all", 1);
	notify_open(&n);
	assert_int_equal(n.fd, -1);
	setenv("NOTIFY_SOCKET", "relative", 1);
	notify_open(&n);
	assert_int_equal(n.fd, -1);
}

static int
with(const char *pid, const char *fds)
{
	if (pid != NULL)
		setenv("LISTEN_PID", pid, 1);
	else
		unsetenv("LISTEN_PID");
	if (fds != NULL)
		setenv("LISTEN_FDS", fds, 1);
	return listen_fds();
}

static void
inherited_descriptors_are_counted_and_closed_on_exec(void **state)
{
	char me[16], other[16];
	int fd;

	(void)state;
	snprintf(me, sizeof(me), "%d", (int)getpid());
	snprintf(other, sizeof(other), "%d", (int)getpid() + 1);
	assert_int_equal(with(NULL, NULL), 0);
	assert_int_equal(with(me, "0"), 0);
	/* Somebody else's, left over in the environment. */
	assert_int_equal(with(other, "3"), 0);
	assert_int_equal(with(me, "x"), -1);
	assert_int_equal(with(me, "-1"), -1);
	assert_int_equal(with(me, "65"), -1);
	assert_int_equal(with("", "1"), -1);
	assert_null(getenv("LISTEN_FDS"));
	fd = open("/dev/null", O_RDONLY);
	if (fd != 3) {
		assert_int_equal(dup2(fd, 3), 3);
		close(fd);
	}
	assert_int_equal(fcntl(3, F_SETFD, 0), 0);
	assert_int_equal(with(me, "1"), 1);
	assert_int_equal(fcntl(3, F_GETFD), FD_CLOEXEC);
	close(3);
	assert_int_equal(with(me, "1"), -1);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
		    messages_arrive_and_the_environment_is_emptied),
		cmocka_unit_test(the_watchdog_is_fed_at_half_its_time),
		cmocka_unit_test(without_a_socket_nothing_happens),
		cmocka_unit_test(
		    inherited_descriptors_are_counted_and_closed_on_exec),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
