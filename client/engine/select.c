#include "config.h"

#include "client/engine/select.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "common/rc.h"

#define PREFIX_MIN	4		/* hex digits */
#define SNAPS_MAX	(1u << 20)

/* --- loading --- */

struct loading {
	struct engine		*e;
	const uint8_t		*identity;
	struct snaplist		*l;
	struct wbuf		 text;
};

static struct snap *
next_slot(struct snaplist *l)
{
	struct snap *s;
	size_t size;

	if (l->n == l->size) {
		size = l->size == 0 ? 64 : l->size * 2;
		if (size > SNAPS_MAX ||
		    (s = realloc(l->s, size * sizeof(*s))) == NULL)
			return NULL;
		l->s = s;
		l->size = size;
	}
	memset(&l->s[l->n], 0, sizeof(l->s[l->n]));
	return &l->s[l->n++];
}

static int
load_one(void *arg, const struct listed *in)
{
	struct loading *g = arg;
	struct snap *s;
	int rc;

	if ((s = next_slot(g->l)) == NULL)
		return RC_NOMEM;
	s->server = in->server;
	if ((rc = snapshot_id(in->client, in->client_len, &s->id)) != RC_OK)
		return rc;
	s->rc = snapbody_open(&g->e->keys, in->client, in->client_len, &s->c,
	    &s->body, &s->signed_ok);
	if (s->rc == RC_NOMEM)
		return s->rc;
	/* The frame that these point into is gone with the callback. */
	s->c.sealed = NULL;
	s->c.sealed_len = 0;
	snapshot_receipt_text(&g->text, g->e->keys.vault, &s->id, &s->server);
	if ((rc = wbuf_rc(&g->text)) != RC_OK)
		return rc;
	s->receipt_ok = ed25519_verify(g->identity, g->text.data, g->text.len,
	    s->server.sig) == RC_OK;
	return RC_OK;
}

int
snaplist_load(struct engine *e, struct remote *r, struct snaplist *l)
{
	struct loading g = { .e = e, .l = l,
	    .identity = remote_hello(r)->identity, .text = WBUF_INIT(1024) };
	int rc;

	memset(l, 0, sizeof(*l));
	rc = remote_list(r, NULL, 0, load_one, &g);
	wbuf_free(&g.text);
	if (rc != RC_OK)
		snaplist_free(l);
	return rc;
}

void
snaplist_free(struct snaplist *l)
{
	size_t i;

	for (i = 0; i < l->n; i++)
		snapbody_clear(&l->s[i].body);
	free(l->s);
	memset(l, 0, sizeof(*l));
}

void
select_hex(const struct object_id *id, char out[65])
{
	size_t i;

	for (i = 0; i < OBJECT_ID_LEN; i++)
		snprintf(out + 2 * i, 3, "%02x", id->b[i]);
}

/* --- time --- */

static bool
digits(const char **s, int n, int lo, int hi, int *v)
{
	const char *p = *s;
	int i, sum = 0;

	for (i = 0; i < n; i++, p++) {
		if (!isdigit((unsigned char)*p))
			return false;
		sum = sum * 10 + (*p - '0');
	}
	if (sum < lo || sum > hi)
		return false;
	*v = sum;
	*s = p;
	return true;
}

static bool
skip_char(const char **s, char c)
{
	if (**s != c)
		return false;
	++*s;
	return true;
}

static int
unix_seconds(const char *s, int64_t *seconds)
{
	char *end;
	long long v;

	errno = 0;
	v = strtoll(s, &end, 10);
	if (end == s || *end != '\0' || errno != 0 || v < 0)
		return RC_RANGE;
	*seconds = v;
	return RC_OK;
}

int
select_time(const char *s, int64_t *seconds)
{
	struct tm tm = { .tm_isdst = -1 };
	time_t t;

	if (*s == '@')
		return unix_seconds(s + 1, seconds);
	if (!digits(&s, 4, 1970, 9999, &tm.tm_year) || !skip_char(&s, '-') ||
	    !digits(&s, 2, 1, 12, &tm.tm_mon) || !skip_char(&s, '-') ||
	    !digits(&s, 2, 1, 31, &tm.tm_mday))
		return RC_RANGE;
	tm.tm_year -= 1900;
	tm.tm_mon -= 1;
	tm.tm_hour = 23;
	tm.tm_min = tm.tm_sec = 59;
	if (*s == 'T' || *s == ' ') {
		s++;
		if (!digits(&s, 2, 0, 23, &tm.tm_hour) ||
		    !skip_char(&s, ':') || !digits(&s, 2, 0, 59, &tm.tm_min))
			return RC_RANGE;
		if (*s == ':' && (!skip_char(&s, ':') ||
		    !digits(&s, 2, 0, 60, &tm.tm_sec)))
			return RC_RANGE;
	}
	if (strcmp(s, "Z") == 0)
		t = timegm(&tm);
	else if (*s == '\0')
		t = mktime(&tm);
	else
		return RC_RANGE;
	if (t == (time_t)-1)
		return RC_RANGE;
	*seconds = t;
	return RC_OK;
}

/* --- choosing --- */

/* A job as people name it: its own name, or the label that lists show. */
struct job_name {
	uint8_t		 id[16];
	const char	*label;
};

static bool
of_job(const struct snap *s, const struct job_name *job)
{
	return job == NULL || memcmp(s->c.job, job->id, sizeof(s->c.job)) ==
	    0 || (s->rc == RC_OK && strcmp(s->c.label, job->label) == 0);
}

static int
unreadable(const struct snap *s, char *text, size_t size)
{
	char hex[65];

	select_hex(&s->id, hex);
	if (s->rc == RC_NOENT)
		snprintf(text, size, "snapshot %.16s was made with a key that "
		    "this machine does not have; run `storegrid recover` to "
		    "fetch the vault's keys again", hex);
	else
		snprintf(text, size, "snapshot %.16s is damaged or was not "
		    "made by this vault's clients; choose another one "
		    "(`storegrid snapshots`) and ask the server's "
		    "administrator to check the vault", hex);
	return RC_CRYPTO;
}

static int
newest(const struct snaplist *l, const struct job_name *job, size_t back,
    int64_t until_ns, const struct snap **found, char *text, size_t size)
{
	const struct snap *s;
	size_t i;

	for (i = l->n; i > 0; i--) {
		s = &l->s[i - 1];
		if (!of_job(s, job) || s->server.wall_ns > until_ns)
			continue;
		/* Falling back to an older one in silence is what somebody who
		 * damages the newest would want. */
		if (s->rc != RC_OK)
			return unreadable(s, text, size);
		if (back-- == 0) {
			*found = s;
			return RC_OK;
		}
	}
	snprintf(text, size, "there is no such snapshot; "
	    "`storegrid snapshots` lists them");
	return RC_NOENT;
}

static int
by_latest(const struct snaplist *l, const char *rest,
    const struct job_name *job, const struct snap **found, char *text,
    size_t size)
{
	unsigned long back = 0;
	char *end;

	if (*rest == '~') {
		errno = 0;
		back = strtoul(rest + 1, &end, 10);
		if (!isdigit((unsigned char)rest[1]) || *end != '\0' ||
		    errno != 0 || back > SNAPS_MAX)
			goto nonsense;
	} else if (*rest != '\0') {
		goto nonsense;
	}
	return newest(l, job, back, INT64_MAX, found, text, size);
nonsense:
	snprintf(text, size, "after `latest` comes nothing or ~N, "
	    "as in latest~2");
	return RC_RANGE;
}

static int
by_time(const struct snaplist *l, const struct keys *k, const char *spec,
    const char *at, const struct snap **found, char *text, size_t size)
{
	char name[SNAPSHOT_LABEL_MAX + 1];
	size_t len = (size_t)(at - spec);
	struct job_name job = { .label = name };
	int64_t seconds;
	int rc;

	if (len > SNAPSHOT_LABEL_MAX) {
		snprintf(text, size, "a job's name is at most %d bytes long",
		    SNAPSHOT_LABEL_MAX);
		return RC_RANGE;
	}
	memcpy(name, spec, len);
	name[len] = '\0';
	if (select_time(at + 1, &seconds) != RC_OK ||
	    seconds > INT64_MAX / 1000000000 - 1) {
		snprintf(text, size, "write the time after @ as 2026-01-31, "
		    "2026-01-31T17:05 or 2026-01-31T17:05:09Z");
		return RC_RANGE;
	}
	if ((rc = keys_job_id(k, name, job.id)) != RC_OK)
		return rc;
	return newest(l, &job, 0, seconds * 1000000000 + 999999999, found,
	    text, size);
}

static int
by_prefix(const struct snaplist *l, const char *spec,
    const struct snap **found, char *text, size_t size)
{
	size_t i, len = strlen(spec), n = 0;
	char hex[65];

	for (i = 0; i < len; i++)
		if (!isxdigit((unsigned char)spec[i]))
			break;
	if (len < PREFIX_MIN || len > 64 || i < len) {
		snprintf(text, size, "`%.64s` names no snapshot: use latest, "
		    "latest~N, JOB@TIME, or at least %d digits of an id",
		    spec, PREFIX_MIN);
		return RC_RANGE;
	}
	for (i = 0; i < l->n; i++) {
		select_hex(&l->s[i].id, hex);
		if (strncasecmp(hex, spec, len) != 0)
			continue;
		*found = &l->s[i];
		n++;
	}
	if (n == 1)
		return (*found)->rc == RC_OK ? RC_OK :
		    unreadable(*found, text, size);
	if (n == 0) {
		snprintf(text, size, "no snapshot's id begins with %s; "
		    "`storegrid snapshots` lists them", spec);
		return RC_NOENT;
	}
	snprintf(text, size, "%zu snapshots begin with %s; give more digits",
	    n, spec);
	return RC_RANGE;
}

int
snaplist_select(const struct snaplist *l, const struct keys *k,
    const char *spec, const char *job, const struct snap **found,
    char *text, size_t size)
{
	struct job_name name = { .label = job };
	const char *at;
	int rc;

	*found = NULL;
	/* The last @: a job's name may hold one, a time does only in front. */
	if ((at = strrchr(spec, '@')) != NULL) {
		if (at > spec && at[-1] == '@')
			at--;
		if (at > spec)
			return by_time(l, k, spec, at, found, text, size);
	}
	if (strncmp(spec, "latest", 6) != 0)
		return by_prefix(l, spec, found, text, size);
	if (job != NULL && (rc = keys_job_id(k, job, name.id)) != RC_OK)
		return rc;
	return by_latest(l, spec + 6, job != NULL ? &name : NULL, found, text,
	    size);
}

/* --- memory --- */

struct remembering {
	const struct snaplist	*l;
	const uint8_t		*client, *job;
	char			*text;
	size_t			 size;
};

static int
went_back(struct remembering *m, const struct job_state *j, const char *how)
{
	snprintf(m->text, m->size, "the vault %s for job %s: this machine "
	    "remembers snapshot %llu of it. The server may have been put back "
	    "to an older copy; ask its administrator, and name a snapshot by "
	    "its id to use what is there", how,
	    j->label[0] != '\0' ? j->label : "(unnamed)",
	    (unsigned long long)j->sequence);
	return RC_OLDER;
}

/*
 * The remembered snapshot is there, or retention took it and what is there is
 * newer in both sequences.  Anything else is another history.  Also when it is
 * there, the server's order has to be the client's own: otherwise an old
 * snapshot under a new number would be the latest.
 */
static int
remember(void *arg, const struct job_state *j)
{
	struct remembering *m = arg;
	const struct snap *s;
	bool newer = false, there = false;
	size_t i;

	if (m->job != NULL && memcmp(m->job, j->job, sizeof(j->job)) != 0)
		return RC_OK;
	for (i = 0; i < m->l->n; i++) {
		s = &m->l->s[i];
		if (memcmp(s->id.b, j->snapshot, OBJECT_ID_LEN) == 0) {
			if (s->server.vault_seq != j->vault_seq)
				return went_back(m, j, "gives another number");
			there = true;
			continue;
		}
		/* Sequences are a client's own. */
		if (s->rc != RC_OK ||
		    memcmp(s->c.job, j->job, sizeof(s->c.job)) != 0 ||
		    memcmp(s->c.client, m->client, sizeof(s->c.client)) != 0)
			continue;
		if (s->server.vault_seq == j->vault_seq ||
		    s->c.sequence == j->sequence ||
		    (s->server.vault_seq > j->vault_seq) !=
		    (s->c.sequence > j->sequence))
			return went_back(m, j, "has another history");
		if (s->server.vault_seq > j->vault_seq)
			newer = true;
	}
	return there || newer ? RC_OK : went_back(m, j, "is older than it was");
}

int
snaplist_check_memory(const struct snaplist *l, struct state *st,
    const uint8_t job[16], char *text, size_t size)
{
	struct remembering m = { l, st->client, job, text, size };

	return jobs_each(st, remember, &m);
}
