#include "config.h"

#include "server/conftext.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/rc.h"

/*
 * A look at the text before libconfig gets it, as its own scanner would read
 * it.  What is refused here never reaches that.
 */
#define DIGITS_MAX	10		/* of a 31-bit number */

struct scan {
	const char	*s;
	size_t		 len, at;
	uint32_t	 line;
	uint32_t	*bad_line;
	char		*err;
	size_t		 errsize;
};

static int refuse(struct scan *sc, uint32_t line, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

static int
refuse(struct scan *sc, uint32_t line, const char *fmt, ...)
{
	va_list ap;

	*sc->bad_line = line;
	va_start(ap, fmt);
	vsnprintf(sc->err, sc->errsize, fmt, ap);
	va_end(ap);
	return RC_CONFIG;
}

static int
peek(const struct scan *sc, size_t ahead)
{
	return sc->at + ahead < sc->len ?
	    (unsigned char)sc->s[sc->at + ahead] : -1;
}

static void
skip_line(struct scan *sc)
{
	while (sc->at < sc->len && sc->s[sc->at] != '\n')
		sc->at++;
}

static int
skip_comment(struct scan *sc)
{
	uint32_t start = sc->line;

	for (sc->at += 2; sc->at < sc->len; sc->at++) {
		if (sc->s[sc->at] == '\n')
			sc->line++;
		if (peek(sc, 0) == '*' && peek(sc, 1) == '/') {
			sc->at += 2;
			return RC_OK;
		}
	}
	return refuse(sc, start, "this comment does not end");
}

/* As libconfig's scanner: a backslash takes the next byte with it only when
 * that is a quote or a backslash, which is all that matters here. */
static int
skip_string(struct scan *sc)
{
	uint32_t start = sc->line;

	for (sc->at++; sc->at < sc->len; sc->at++) {
		if (sc->s[sc->at] == '\n')
			return refuse(sc, start,
			    "this string does not end on its line");
		if (peek(sc, 0) == '\\' &&
		    (peek(sc, 1) == '"' || peek(sc, 1) == '\\')) {
			sc->at++;
			continue;
		}
		if (sc->s[sc->at] == '"') {
			sc->at++;
			return RC_OK;
		}
	}
	return refuse(sc, start, "this string does not end");
}

static bool
is_word(int c)
{
	return (c >= 0 && isalnum(c)) || c == '_' || c == '*' || c == '-' || c == '+' ||
	    c == '.';
}

/*
 * A word that begins like a number must be a plain decimal one of 32 bits.
 * Hexadecimal and floating-point numbers are of no use in this file, and "L"
 * makes a 64-bit one that no key has.
 */
static int
scan_number(struct scan *sc)
{
	size_t start = sc->at, i;
	char text[DIGITS_MAX + 2];
	long long v;
	size_t n;

	while (sc->at < sc->len && is_word((unsigned char)sc->s[sc->at]))
		sc->at++;
	n = sc->at - start;
	i = start + (sc->s[start] == '+' || sc->s[start] == '-');
	if (i == sc->at)
		return refuse(sc, sc->line, "a sign without a number");
	for (; i < sc->at; i++)
		if (!isdigit((unsigned char)sc->s[i]))
			return refuse(sc, sc->line, "\"%.*s\" is no plain "
			    "decimal number (sizes are strings such as "
			    "\"500G\")", n > 40 ? 40 : (int)n, sc->s + start);
	if (n < sizeof(text)) {
		memcpy(text, sc->s + start, n);
		text[n] = '\0';
		v = strtoll(text, NULL, 10);
		if (v >= INT32_MIN && v <= INT32_MAX)
			return RC_OK;
	}
	return refuse(sc, sc->line, "the number %.*s does not fit into 31 "
	    "bits (sizes are strings such as \"500G\")", n > 40 ? 40 : (int)n,
	    sc->s + start);
}

static int
scan_one(struct scan *sc)
{
	int c = peek(sc, 0), next = peek(sc, 1);

	if (c == '\n')
		sc->line++;
	if (c == '#' || (c == '/' && next == '/')) {
		skip_line(sc);
		return RC_OK;
	}
	if (c == '/' && next == '*')
		return skip_comment(sc);
	if (c == '"')
		return skip_string(sc);
	if (c == '@')
		return refuse(sc, sc->line,
		    "@include is not taken: the whole configuration is this "
		    "one file");
	if ((c >= 0 && isdigit(c)) || c == '+' || c == '-' || c == '.')
		return scan_number(sc);
	if ((c >= 0 && isalpha(c)) || c == '*' || c == '_') {
		while (is_word(peek(sc, 0)))
			sc->at++;
		return RC_OK;
	}
	sc->at++;
	return RC_OK;
}

static int
scan_bytes(struct scan *sc)
{
	uint32_t line = 1;
	unsigned char c;
	size_t i;

	for (i = 0; i < sc->len; i++) {
		c = (unsigned char)sc->s[i];
		if (c == '\n')
			line++;
		else if ((c < 0x20 && c != '\t' && c != '\r') || c == 0x7f)
			return refuse(sc, line, "a control byte (0x%02x)", c);
	}
	return RC_OK;
}

int
conftext_scan(const char *text, size_t len, uint32_t *line, char *err,
    size_t errsize)
{
	struct scan sc = { text, len, 0, 1, line, err, errsize };
	int rc;

	if (len > CONF_FILE_MAX)
		return refuse(&sc, 0, "larger than %u KiB",
		    CONF_FILE_MAX >> 10);
	if ((rc = scan_bytes(&sc)) != RC_OK)
		return rc;
	while (sc.at < sc.len)
		if ((rc = scan_one(&sc)) != RC_OK)
			return rc;
	return RC_OK;
}
