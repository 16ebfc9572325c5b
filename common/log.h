#ifndef COMMON_LOG_H
#define COMMON_LOG_H

#include <stdarg.h>

/*
 * One logger for every program.  A line goes to the sink the program set:
 * a role sets its channel to the logger process (privsep/role.c does it), a
 * command writes to stderr.  Text is cut at LOG_LINE_MAX bytes.  Secrets are
 * never printed.  Levels are those of syslog.
 */
#define LOG_LINE_MAX 1024

enum log_level {
	LOG_LEVEL_ERR = 3,
	LOG_LEVEL_WARN = 4,
	LOG_LEVEL_NOTICE = 5,
	LOG_LEVEL_INFO = 6,
	LOG_LEVEL_DEBUG = 7,
};

typedef void log_sink(enum log_level level, const char *line, void *arg);

void	log_set_sink(log_sink *sink, void *arg);	/* NULL: stderr */
void	log_set_level(enum log_level max);		/* default INFO */
void	log_set_prefix(const char *name);		/* before stderr lines */

void	log_err(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void	log_warn(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void	log_notice(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void	log_info(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void	log_debug(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* Log and exit(1): for a process that serves one peer, or at start-up. */
void	fatal(const char *fmt, ...)
	    __attribute__((format(printf, 1, 2), noreturn));

#endif
