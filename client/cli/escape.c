#include "config.h"

#include "client/cli/escape.h"

#include <sys/stat.h>

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "common/json.h"
#include "common/num.h"
#include "common/rc.h"

static uint32_t
decode(const unsigned char *p, size_t len)
{
	uint32_t c = len == 1 ? p[0] : p[0] & (0x7fu >> len);

	for (size_t i = 1; i < len; i++)
		c = c << 6 | (p[i] & 0x3f);
	return c;
}

/* First and last code point of what must not reach a terminal. */
static const struct {
	uint32_t first, last;
} unfit[] = {
	{ 0x0000, 0x001f }, { 0x007f, 0x009f },	/* C0, DEL, C1 */
	{ 0x00ad, 0x00ad },			/* soft hyphen */
	{ 0x061c, 0x061c }, { 0x180e, 0x180e },
	{ 0x200b, 0x200b }, { 0x200e, 0x200f },	/* zero width, LRM, RLM */
	{ 0x2028, 0x202e },			/* separators, bidi */
	{ 0x2060, 0x206f },			/* invisible, bidi isolates */
	{ 0xfeff, 0xfeff }, { 0xfff9, 0xfffb },
	{ 0xe0000, 0xe0fff },			/* tags */
};

static bool
is_unfit(uint32_t c)
{
	for (size_t i = 0; i < NITEMS(unfit); i++)
		if (c >= unfit[i].first && c <= unfit[i].last)
			return true;
	return false;
}

void
escape_put(struct wbuf *out, const void *text, size_t n, bool ascii)
{
	const unsigned char *p = text, *end = p + n;
	char esc[16];
	uint32_t c;
	size_t len;

	while (p < end) {
		len = utf8_sequence(p, end);
		c = len > 0 ? decode(p, len) : 0;
		if (len == 0 || (len == 1 && is_unfit(c)))
			snprintf(esc, sizeof(esc), "\\x%02x", *p);
		else if (c == '\\')
			snprintf(esc, sizeof(esc), "\\\\");
		else if (is_unfit(c) || (ascii && len > 1))
			snprintf(esc, sizeof(esc), "\\u{%04x}", c);
		else
			esc[0] = '\0';
		if (len == 0)
			len = 1;
		if (esc[0] != '\0')
			wbuf_bytes(out, esc, strlen(esc));
		else
			wbuf_bytes(out, p, len);
		p += len;
	}
}

const char *
escaped(struct wbuf *buf, const void *p, size_t n, bool ascii)
{
	wbuf_reset(buf);
	escape_put(buf, p, n, ascii);
	wbuf_u8(buf, 0);
	return wbuf_rc(buf) == RC_OK ? (const char *)buf->data : "?";
}

/* Wide characters (East Asian, emoji) are taken for two columns from U+1100
 * on: an overestimate cuts a little early, an underestimate wraps the line. */
size_t
escape_cut(const char *text, size_t columns)
{
	const unsigned char *p = (const unsigned char *)text;
	const unsigned char *end = p + strlen(text);
	size_t len, width, used = 0;

	while (p < end) {
		if ((len = utf8_sequence(p, end)) == 0)
			len = 1;
		width = decode(p, len) >= 0x1100 ? 2 : 1;
		if (used + width > columns)
			break;
		used += width;
		p += len;
	}
	return (size_t)((const char *)p - text);
}

void
human_bytes(uint64_t n, char *out, size_t size)
{
	static const char units[] = "KMGTPE";
	double v = (double)n;
	int u = -1;

	if (n < 1024) {
		snprintf(out, size, "%" PRIu64 " B", n);
		return;
	}
	while (v >= 1023.95 && u < 5) {
		v /= 1024;
		u++;
	}
	snprintf(out, size, v < 99.95 ? "%.1f %ciB" : "%.0f %ciB", v,
	    units[u]);
}

void
human_count(uint64_t n, char *out, size_t size)
{
	char digits[24];
	size_t len, o = 0;

	if (size == 0)
		return;
	snprintf(digits, sizeof(digits), "%" PRIu64, n);
	len = strlen(digits);
	for (size_t i = 0; i < len && o + 2 < size; i++) {
		if (i > 0 && (len - i) % 3 == 0)
			out[o++] = ',';
		out[o++] = digits[i];
	}
	out[o] = '\0';
}

void
human_seconds(uint64_t s, char *out, size_t size)
{
	if (s >= 3600)
		snprintf(out, size, "%" PRIu64 ":%02u:%02u", s / 3600,
		    (unsigned)(s / 60 % 60), (unsigned)(s % 60));
	else
		snprintf(out, size, "%u:%02u", (unsigned)(s / 60),
		    (unsigned)(s % 60));
}

void
rfc3339(int64_t ns, char *out, size_t size)
{
	int64_t s = ns / 1000000000, rest = ns % 1000000000;
	char day[40];
	struct tm tm;
	time_t t;

	if (rest < 0) {
		rest += 1000000000;
		s--;
	}
	t = (time_t)s;
	if (gmtime_r(&t, &tm) == NULL ||
	    strftime(day, sizeof(day), "%Y-%m-%dT%H:%M:%S", &tm) == 0)
		snprintf(out, size, "?");
	else
		snprintf(out, size, "%s.%09uZ", day, (unsigned)rest);
}

void
local_time(int64_t s, char *out, size_t size)
{
	time_t t = (time_t)s;
	struct tm tm;

	if (localtime_r(&t, &tm) == NULL ||
	    strftime(out, size, "%Y-%m-%d %H:%M:%S", &tm) == 0)
		snprintf(out, size, "?");
}

static const struct {
	uint32_t	 type;
	char		 letter;
	const char	*kind;
} kinds[] = {
	{ S_IFREG, '-', "file" }, { S_IFDIR, 'd', "dir" },
	{ S_IFLNK, 'l', "symlink" }, { S_IFIFO, 'p', "fifo" },
	{ S_IFSOCK, 's', "socket" }, { S_IFCHR, 'c', "char" },
	{ S_IFBLK, 'b', "block" },
};

const char *
mode_kind(uint32_t mode)
{
	for (size_t i = 0; i < NITEMS(kinds); i++)
		if ((mode & S_IFMT) == kinds[i].type)
			return kinds[i].kind;
	return "unknown";
}

void
mode_text(uint32_t mode, char out[11])
{
	static const char rwx[] = "rwxrwxrwx";

	out[0] = '?';
	for (size_t i = 0; i < NITEMS(kinds); i++)
		if ((mode & S_IFMT) == kinds[i].type)
			out[0] = kinds[i].letter;
	for (int i = 0; i < 9; i++)
		out[1 + i] = (mode & (0400u >> i)) != 0 ? rwx[i] : '-';
	if ((mode & S_ISUID) != 0)
		out[3] = out[3] == 'x' ? 's' : 'S';
	if ((mode & S_ISGID) != 0)
		out[6] = out[6] == 'x' ? 's' : 'S';
	if ((mode & S_ISVTX) != 0)
		out[9] = out[9] == 'x' ? 't' : 'T';
	out[10] = '\0';
}
