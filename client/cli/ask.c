#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include "client/cli/cli.h"
#include "common/io.h"
#include "common/secret.h"

/* One byte at a time, so that the next secret stays on standard input. */
static ssize_t
read_line(int fd, char *out, size_t size)
{
	size_t n = 0;
	ssize_t r;
	char b;

	for (;;) {
		r = read(fd, &b, 1);
		if (r < 0 && errno == EINTR)
			continue;
		if (r < 0)
			return -1;
		if (r == 0 || b == '\n')
			break;
		if (b == '\0' || n + 1 >= size) {
			errno = EMSGSIZE;
			return -1;
		}
		out[n++] = b;
	}
	out[n] = '\0';
	return (ssize_t)n;
}

static void
trim(char *s)
{
	size_t n = strlen(s), lead = strspn(s, " \t\r\n");

	while (n > lead && strchr(" \t\r\n", s[n - 1]) != NULL)
		s[--n] = '\0';
	memmove(s, s + lead, n - lead + 1);
}

static struct termios before;

static void
give_back(int sig)
{
	(void)tcsetattr(STDIN_FILENO, TCSAFLUSH, &before);
	(void)signal(sig, SIG_DFL);
	(void)raise(sig);
}

/* A prompt without echo; a Ctrl-C at it leaves the terminal as it was. */
static ssize_t
read_hidden(const char *prompt, char *out, size_t size)
{
	struct sigaction sa = { .sa_handler = give_back };
	struct sigaction old_int, old_term;
	struct termios quiet;
	ssize_t n;

	if (tcgetattr(STDIN_FILENO, &before) != 0)
		return -1;
	quiet = before;
	quiet.c_lflag &= ~(tcflag_t)ECHO;
	quiet.c_lflag |= ECHONL;
	(void)sigaction(SIGINT, &sa, &old_int);
	(void)sigaction(SIGTERM, &sa, &old_term);
	(void)fputs(prompt, stderr);
	(void)fflush(stderr);
	(void)tcsetattr(STDIN_FILENO, TCSAFLUSH, &quiet);
	n = read_line(STDIN_FILENO, out, size);
	(void)tcsetattr(STDIN_FILENO, TCSAFLUSH, &before);
	(void)sigaction(SIGINT, &old_int, NULL);
	(void)sigaction(SIGTERM, &old_term, NULL);
	return n;
}

int
ask_secret(const char *file, const char *prompt, char *out, size_t outsize,
    char *err, size_t size)
{
	const char *where = file != NULL ? file : "standard input";
	ssize_t n;
	int fd;

	if (file != NULL && strcmp(file, "-") != 0) {
		fd = open(file, O_RDONLY | O_CLOEXEC | O_NOCTTY);
		n = fd < 0 ? -1 : read_line(fd, out, outsize);
		if (n < 0)
			snprintf(err, size, "%s: %s", file, strerror(errno));
		fd_close(&fd);
	} else if (file == NULL && isatty(STDIN_FILENO)) {
		n = read_hidden(prompt, out, outsize);
	} else {
		n = read_line(STDIN_FILENO, out, outsize);
	}
	if (n < 0) {
		if (err[0] == '\0')
			snprintf(err, size, "%s: %s", where, strerror(errno));
		secret_wipe(out, outsize);
		return EXIT_USAGE;
	}
	trim(out);
	if (out[0] != '\0')
		return EXIT_DONE;
	snprintf(err, size, "%s: nothing there", where);
	return EXIT_USAGE;
}
