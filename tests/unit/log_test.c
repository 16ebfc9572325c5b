#include "config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/io.h"
#include "common/log.h"

static struct {
	int		lines;
	enum log_level	level;
	char		line[LOG_LINE_MAX + 16];
} seen;

static void
sink(enum log_level level, const char *line, void *arg)
{
	assert_ptr_equal(arg, &seen);
	assert_true(strlen(line) < LOG_LINE_MAX);
	seen.lines++;
	seen.level = level;
	strcpy(seen.line, line);
	errno = ENOSYS;			/* a sink may well spoil it */
}

static int
start(void **state)
{
	(void)state;
	memset(&seen, 0, sizeof(seen));
	log_set_sink(sink, &seen);
	log_set_level(LOG_LEVEL_INFO);
	return 0;
}

static void
a_line_reaches_the_sink_with_its_level(void **state)
{
	(void)state;
	log_err("e %d", 1);
	assert_int_equal(seen.level, LOG_LEVEL_ERR);
	assert_string_equal(seen.line, "e 1");
	log_warn("w");
	assert_int_equal(seen.level, LOG_LEVEL_WARN);
	log_notice("n");
	assert_int_equal(seen.level, LOG_LEVEL_NOTICE);
	log_info("i");
	assert_int_equal(seen.level, LOG_LEVEL_INFO);
	assert_int_equal(seen.lines, 4);
}

static void
what_is_above_the_level_is_not_said(void **state)
{
	(void)state;
	log_debug("quiet");
	assert_int_equal(seen.lines, 0);
	log_set_level(LOG_LEVEL_DEBUG);
	log_debug("loud");
	assert_int_equal(seen.lines, 1);
	log_set_level(LOG_LEVEL_ERR);
	log_warn("quiet");
	assert_int_equal(seen.lines, 1);
}

static void
long_lines_are_cut(void **state)
{
	char big[3 * LOG_LINE_MAX];

	(void)state;
	memset(big, 'x', sizeof(big));
	big[sizeof(big) - 1] = '\0';
	log_info("%s", big);
	assert_int_equal(strlen(seen.line), LOG_LINE_MAX - 1);
}

static void
control_characters_do_not_get_through(void **state)
{
	(void)state;
	log_info("%s", "a\nb\r\x1b[31mc\x7f\xc3\xa9");
	assert_string_equal(seen.line, "a?b??[31mc?\xc3\xa9");
}

static void
errno_survives_a_line(void **state)
{
	(void)state;
	errno = ENOENT;
	log_info("x");
	assert_int_equal(errno, ENOENT);
}

/* Runs in a child, whose stderr is the pipe. */
static int
child_output(void (*what)(void), char *buf, size_t size)
{
	int fd[2], status;
	ssize_t n;
	pid_t pid;

	assert_int_equal(pipe(fd), 0);
	pid = fork();
	assert_int_not_equal(pid, -1);
	if (pid == 0) {
		dup2(fd[1], STDERR_FILENO);
		log_set_sink(NULL, NULL);
		what();
		_exit(0);
	}
	fd_close(&fd[1]);
	n = read(fd[0], buf, size - 1);
	buf[n < 0 ? 0 : n] = '\0';
	fd_close(&fd[0]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static void
say_two_lines(void)
{
	log_info("plain");
	log_set_prefix("sg-test");
	log_info("named");
}

static void
die(void)
{
	log_set_prefix("sg-test");
	fatal("no %s", "way");
}

static void
stderr_lines_carry_the_prefix(void **state)
{
	char buf[256];

	(void)state;
	assert_int_equal(child_output(say_two_lines, buf, sizeof(buf)), 0);
	assert_non_null(strstr(buf, "plain\n"));
}

static void
fatal_logs_and_exits_1(void **state)
{
	char buf[256];

	(void)state;
	assert_int_equal(child_output(die, buf, sizeof(buf)), 1);
	assert_string_equal(buf, "sg-test: no way\n");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(a_line_reaches_the_sink_with_its_level,
		    start),
		cmocka_unit_test_setup(what_is_above_the_level_is_not_said,
		    start),
		cmocka_unit_test_setup(long_lines_are_cut, start),
		cmocka_unit_test_setup(control_characters_do_not_get_through,
		    start),
		cmocka_unit_test_setup(errno_survives_a_line, start),
		cmocka_unit_test(stderr_lines_carry_the_prefix),
		cmocka_unit_test(fatal_logs_and_exits_1),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
