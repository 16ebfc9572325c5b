#include "config.h"

#include "server/logline.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/num.h"
#include "common/rc.h"

/* --- escaping --- */

/* Length of the valid UTF-8 sequence at s and its code point; 0: none. */
static size_t
utf8(const unsigned char *s, uint32_t *cp)
{
	static const uint32_t least[5] = { 0, 0, 0x80, 0x800, 0x10000 };
	size_t i, n;

	if (s[0] < 0x80) {
		*cp = s[0];
		return 1;
	}
	n = s[0] >= 0xf0 && s[0] < 0xf5 ? 4 : s[0] >= 0xe0 && s[0] < 0xf0 ? 3 :
	    s[0] >= 0xc2 && s[0] < 0xe0 ? 2 : 0;
	if (n == 0)
		return 0;
	*cp = s[0] & (0xffu >> (n + 1));
	for (i = 1; i < n; i++) {
		/* The NUL at the end is no continuation. */
		if ((s[i] & 0xc0) != 0x80)
			return 0;
		*cp = *cp << 6 | (s[i] & 0x3f);
	}
	if (*cp < least[n] || *cp > 0x10ffff ||
	    (*cp >= 0xd800 && *cp <= 0xdfff))
		return 0;
	return n;
}

static bool
printable(uint32_t cp)
{
	if (cp < 0x20 || (cp >= 0x7f && cp < 0xa0))
		return false;
	/* U+2028 and 2029 end lines, the others turn the direction. */
	return !(cp >= 0x2028 && cp <= 0x202e) &&
	    !(cp >= 0x2066 && cp <= 0x2069) && cp != 0x200e && cp != 0x200f &&
	    cp != 0xfeff;
}

static size_t
put_hex(char *out, size_t at, size_t size, const unsigned char *s, size_t n)
{
	size_t i;

	for (i = 0; i < n && at + 4 < size; i++) {
		snprintf(out + at, 5, "\\x%02x", s[i]);
		at += 4;
	}
	return at;
}

size_t
logline_escape(const char *in, char *out, size_t size)
{
	const unsigned char *s = (const unsigned char *)in;
	size_t at = 0, n;
	uint32_t cp;

	while (*s != '\0' && at + 17 < size) {
		n = utf8(s, &cp);
		if (n == 0 || !printable(cp)) {
			n = n == 0 ? 1 : n;
			at = put_hex(out, at, size, s, n);
		} else if (cp == '\\') {
			out[at++] = '\\';
			out[at++] = '\\';
		} else {
			memcpy(out + at, s, n);
			at += n;
		}
		s += n;
	}
	out[at] = '\0';
	return at;
}

/* --- time --- */

/* Days since 1970 to a civil date, in eras of 400 years that begin in March. */
static void
civil(int64_t days, int *year, int *month, int *day)
{
	int64_t z = days + 719468, era = (z >= 0 ? z : z - 146096) / 146097;
	int64_t doe = z - era * 146097;
	int64_t yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
	int64_t doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
	int64_t mp = (5 * doy + 2) / 153;

	*day = (int)(doy - (153 * mp + 2) / 5 + 1);
	*month = (int)(mp < 10 ? mp + 3 : mp - 9);
	*year = (int)(yoe + era * 400 + (*month <= 2));
}

void
logline_time(int64_t wall_ns, char out[LOGLINE_TIME_LEN])
{
	int64_t ms = wall_ns / 1000000, sec = ms / 1000, day = sec / 86400;
	int y, m, d, in_day;
	char text[64];

	if (wall_ns < 0)
		ms = sec = day = 0;
	in_day = (int)(sec - day * 86400);
	civil(day, &y, &m, &d);
	snprintf(text, sizeof(text), "%04d-%02d-%02dT%02d:%02d:%02d.%03dZ", y,
	    m, d, in_day / 3600, in_day / 60 % 60, in_day % 60,
	    (int)(ms % 1000));
	snprintf(out, LOGLINE_TIME_LEN, "%.24s", text);
}

/* --- rate --- */

void
logline_bucket_init(struct logline_bucket *b, uint32_t burst,
    uint32_t per_second, uint64_t now_ms)
{
	*b = (struct logline_bucket){ now_ms, burst, burst, per_second, 0 };
}

bool
logline_bucket_take(struct logline_bucket *b, uint64_t now_ms)
{
	uint64_t gained = (now_ms - b->at_ms) * b->per_second / 1000;

	if (gained > 0) {
		b->left = gained >= b->burst - b->left ? b->burst :
		    b->left + (uint32_t)gained;
		b->at_ms = now_ms;
	}
	if (b->left == 0) {
		b->lost++;
		return false;
	}
	b->left--;
	return true;
}

/* --- aggregation --- */

static const char *const words[] = {
	"auth-failure", "conn-refused", "conn-failed",
};

struct agg_entry {
	uint8_t		word;
	char		reason[40];
	struct addr	source;
	uint64_t	since_ms;
	uint64_t	count;		/* after the first, which was written */
};

struct logline_agg {
	struct agg_entry v[LOGLINE_AGG_MAX];
	size_t		 n;
	uint64_t	 others, others_since;
};

struct logline_agg *
logline_agg_new(void)
{
	return calloc(1, sizeof(struct logline_agg));
}

void
logline_agg_free(struct logline_agg *g)
{
	free(g);
}

/* The value of " key=", up to the next space. */
static bool
value(const char *text, const char *key, char *out, size_t size)
{
	const char *p = strstr(text, key);
	size_t n;

	if (p == NULL)
		return false;
	p += strlen(key);
	n = strcspn(p, " ");
	if (n == 0 || n >= size)
		return false;
	memcpy(out, p, n);
	out[n] = '\0';
	return true;
}

static bool
classify(const char *text, struct agg_entry *e)
{
	char addr[ADDR_TEXT_MAX];
	struct addr a;
	uint8_t i;
	size_t n;

	for (i = 0; i < NITEMS(words); i++) {
		n = strlen(words[i]);
		if (strncmp(text, words[i], n) == 0 && text[n] == ' ')
			break;
	}
	if (i == NITEMS(words) ||
	    !value(text, " addr=", addr, sizeof(addr)) ||
	    !value(text, " reason=", e->reason, sizeof(e->reason)) ||
	    addr_parse(&a, addr) != RC_OK)
		return false;
	e->word = i;
	addr_source(&a, &e->source);
	return true;
}

bool
logline_agg_line(struct logline_agg *g, const char *text, uint64_t now_ms)
{
	struct agg_entry e = { 0 };
	size_t i;

	if (!classify(text, &e))
		return true;
	for (i = 0; i < g->n; i++)
		if (g->v[i].word == e.word &&
		    addr_equal(&g->v[i].source, &e.source) &&
		    strcmp(g->v[i].reason, e.reason) == 0) {
			g->v[i].count++;
			return false;
		}
	if (g->n == LOGLINE_AGG_MAX) {
		if (g->others++ == 0)
			g->others_since = now_ms;
		return false;
	}
	e.since_ms = now_ms;
	g->v[g->n++] = e;
	return true;
}

static bool
entry_line(const struct agg_entry *e, char *out, size_t size)
{
	char a[ADDR_TEXT_MAX];

	if (e->count == 0)
		return false;
	snprintf(out, size, "%s addr=%s port=0 reason=%s count=%llu",
	    words[e->word], addr_text(&e->source, a, sizeof(a)), e->reason,
	    (unsigned long long)e->count);
	return true;
}

bool
logline_agg_due(struct logline_agg *g, uint64_t now_ms, char *out,
    size_t size, uint64_t *next_ms)
{
	struct agg_entry e;
	uint64_t at;
	size_t i = 0;

	*next_ms = UINT64_MAX;
	while (i < g->n) {
		at = g->v[i].since_ms + LOGLINE_AGG_MS;
		if (at > now_ms) {
			if (at < *next_ms)
				*next_ms = at;
			i++;
			continue;
		}
		e = g->v[i];
		g->v[i] = g->v[--g->n];
		if (entry_line(&e, out, size))
			return true;
	}
	if (g->others == 0)
		return false;
	at = g->others_since + LOGLINE_AGG_MS;
	if (at <= now_ms) {
		snprintf(out, size, "failures-elsewhere count=%llu",
		    (unsigned long long)g->others);
		g->others = 0;
		return true;
	}
	if (at < *next_ms)
		*next_ms = at;
	return false;
}
