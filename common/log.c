#include "config.h"

#include "common/log.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/io.h"

static struct {
	log_sink	*sink;
	void		*arg;
	enum log_level	 max;
	char		 prefix[32];
} state = { .max = LOG_LEVEL_INFO };

void
log_set_sink(log_sink *sink, void *arg)
{
	state.sink = sink;
	state.arg = arg;
}

void
log_set_level(enum log_level max)
{
	state.max = max;
}

void
log_set_prefix(const char *name)
{
	snprintf(state.prefix, sizeof(state.prefix), "%s",
	    name == NULL ? "" : name);
}

/* One write per line, so that lines of several processes do not mix. */
static void
to_stderr(const char *line)
{
	char buf[sizeof(state.prefix) + 2 + LOG_LINE_MAX + 1];
	int n;

	n = snprintf(buf, sizeof(buf) - 1, "%s%s%s", state.prefix,
	    state.prefix[0] != '\0' ? ": " : "", line);
	if (n < 0)
		return;
	if ((size_t)n > sizeof(buf) - 2)
		n = sizeof(buf) - 2;
	buf[n++] = '\n';
	io_write_full(STDERR_FILENO, buf, (size_t)n);
}

/* A line is one line, and what a peer sent must not steer a terminal. */
static void
neutralise(char *s)
{
	for (; *s != '\0'; s++)
		if ((unsigned char)*s < 0x20 || *s == 0x7f)
			*s = '?';
}

static void __attribute__((format(printf, 2, 0)))
emit(enum log_level level, const char *fmt, va_list ap)
{
	char line[LOG_LINE_MAX];
	int saved = errno;

	if (level > state.max)
		return;
	if (vsnprintf(line, sizeof(line), fmt, ap) < 0)
		snprintf(line, sizeof(line), "(line could not be formatted)");
	neutralise(line);
	if (state.sink != NULL)
		state.sink(level, line, state.arg);
	else
		to_stderr(line);
	errno = saved;
}

#define LOG_FUNCTION(name, level)					\
void									\
name(const char *fmt, ...)						\
{									\
	va_list ap;							\
									\
	va_start(ap, fmt);						\
	emit(level, fmt, ap);						\
	va_end(ap);							\
}

LOG_FUNCTION(log_err, LOG_LEVEL_ERR)
LOG_FUNCTION(log_warn, LOG_LEVEL_WARN)
LOG_FUNCTION(log_notice, LOG_LEVEL_NOTICE)
LOG_FUNCTION(log_info, LOG_LEVEL_INFO)
LOG_FUNCTION(log_debug, LOG_LEVEL_DEBUG)

void
fatal(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	emit(LOG_LEVEL_ERR, fmt, ap);
	va_end(ap);
	exit(1);
}
