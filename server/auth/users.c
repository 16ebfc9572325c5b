#include "config.h"

#include "server/auth/users.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "common/rc.h"
#include "server/auth/serve.h"
#include "server/auth/users_priv.h"

#define TRUSTED_S	(30 * 86400)

/* IPv4 as IPv6 writes it; the control socket and what is like it as zeros. */
void
users_source(const struct addr *a, uint8_t out[16])
{
	struct addr s;

	memset(out, 0, 16);
	if (a->family == 0)
		return;
	addr_source(a, &s);
	if (s.family == 6) {
		memcpy(out, s.b, 16);
		return;
	}
	out[10] = out[11] = 0xff;
	memcpy(out + 12, s.b, 4);
}

const char *
users_password_bad(const char *name, const char *password)
{
	size_t n = strlen(password);

	if (n < USER_PASSWORD_MIN || n > USER_PASSWORD_MAX)
		return "a password has 10 to 256 bytes";
	return strcmp(name, password) == 0 ? "the password is the name" : NULL;
}

struct attempt *
users_attempt(struct authd *a, struct worker *w, enum attempt_what what,
    const char *name)
{
	struct attempt *t = calloc(1, sizeof(*t));
	bool trusted;

	if (t == NULL)
		return NULL;
	t->w = w;
	t->what = what;
	t->since = a->o.ms();
	worker_from(w, t->addr);
	users_source(&w->addr, t->source);
	snprintf(t->name, sizeof(t->name), "%s", name);
	t->known = db_user_get(a->db, t->name, &t->user) == RC_OK;
	trusted = t->known && db_user_knows(a->db, t->user.id, t->source,
	    a->o.seconds() - TRUSTED_S);
	delay_who(&t->who, t->name, t->source, trusted);
	return t;
}

void
users_attempt_free(struct attempt *t)
{
	if (t == NULL)
		return;
	secret_wipe(t, sizeof(*t));
	free(t);
}

/* --- the queue --- */

static struct attempt *
unlink_attempt(struct users *u, struct attempt **at)
{
	struct attempt *t = *at;

	*at = t->next;
	t->next = NULL;
	u->n--;
	return t;
}

static void
refuse_busy(struct authd *a, struct attempt *t, const char *text)
{
	if (t->w != NULL)
		api_answer(a, t->w, RC_BUSY, text);
	users_attempt_free(t);
}

/* Of the source that has most in the queue, the oldest. */
static void
drop_busiest(struct authd *a)
{
	struct users *u = &a->users;
	struct attempt **at, **victim = NULL, *o;
	unsigned n, most = 0;

	for (at = &u->head; *at != NULL; at = &(*at)->next) {
		n = 0;
		for (o = u->head; o != NULL; o = o->next)
			n += memcmp(o->source, (*at)->source, 16) == 0;
		if (n > most) {
			most = n;
			victim = at;
		}
	}
	if (victim != NULL)
		refuse_busy(a, unlink_attempt(u, victim),
		    "too many sign-ins at once, try again later");
}

/* Seconds that it has to wait for its failures. */
static unsigned
delayed(struct authd *a, const struct attempt *t)
{
	return t->what == ATTEMPT_SETUP || t->what == ATTEMPT_NEW ? 0 :
	    delay_wait(a->delay, &t->who, a->o.ms());
}

static void
refuse_delayed(struct authd *a, struct attempt *t, unsigned s)
{
	char text[64];

	snprintf(text, sizeof(text), "too many attempts, wait %u s", s);
	refuse_busy(a, t, text);
}

void
users_ask(struct authd *a, struct attempt *t)
{
	struct users *u = &a->users;
	struct attempt **at;
	unsigned s;

	t->w->before = t->w->state;
	t->w->state = W_BUSY;
	if ((s = delayed(a, t)) > 0) {
		refuse_delayed(a, t, s);
		return;
	}
	if (u->n == USERS_QUEUE_MAX)
		drop_busiest(a);
	for (at = &u->head; *at != NULL; at = &(*at)->next)
		;
	*at = t;
	u->n++;
	users_run(a);
}

void
users_worker_gone(struct authd *a, const struct worker *w)
{
	struct users *u = &a->users;
	struct attempt **at = &u->head;

	while (*at != NULL)
		if ((*at)->w == w)
			users_attempt_free(unlink_attempt(u, at));
		else
			at = &(*at)->next;
	/* the result still counts: hanging up early is no way to guess */
	if (u->out != NULL && u->out->w == w)
		u->out->w = NULL;
}

void
users_login_gone(struct authd *a)
{
	struct attempt *t = a->users.out;

	a->users.out = NULL;
	if (t != NULL)
		refuse_busy(a, t, "the password could not be checked, "
		    "try again");
}

void
users_free(struct authd *a)
{
	while (a->users.head != NULL)
		users_attempt_free(unlink_attempt(&a->users, &a->users.head));
	users_attempt_free(a->users.out);
	a->users.out = NULL;
}

/* --- to sg-login --- */

static uint8_t
what_of(const struct attempt *t)
{
	switch (t->what) {
	case ATTEMPT_SETUP:
	case ATTEMPT_NEW:
		return LOGIN_MAKE;
	case ATTEMPT_TOTP_ON:
		return LOGIN_TOTP;
	default:
		return LOGIN_VERIFY;
	}
}

/* The second factor that this check has to pass. */
static void
put_totp(struct wbuf *b, const struct attempt *t)
{
	bool on = t->user.totp_on && (t->what == ATTEMPT_SIGNIN ||
	    t->what == ATTEMPT_TOTP_OFF);

	if (t->what == ATTEMPT_TOTP_ON)
		wbuf_blob16(b, t->user.totp_new, DB_TOTP_LEN);
	else
		wbuf_blob16(b, t->user.totp, on ? DB_TOTP_LEN : 0);
	wbuf_str(b, t->code);
	wbuf_u64(b, on ? t->user.totp_step : 0);
}

/*
 * A name that nobody has, or that has no password yet, is checked as well,
 * against a hash that nothing makes: it takes as long as a wrong password.
 */
static int
send_check(struct authd *a, struct attempt *t)
{
	struct wbuf b = WBUF_INIT(4096);
	uint8_t what = what_of(t);
	bool dummy = !t->known || !t->user.has_password;
	int rc;

	if ((dummy || what == LOGIN_MAKE) &&
	    (rc = secret_random(t->salt, sizeof(t->salt))) != RC_OK)
		return rc;
	t->number = ++a->users.number;
	wbuf_u32(&b, t->number);
	wbuf_u8(&b, what);
	wbuf_u8(&b, dummy || what == LOGIN_MAKE ? a->o.cost : t->user.cost);
	wbuf_u8(&b, 8);
	wbuf_u8(&b, 1);
	wbuf_bytes(&b, dummy || what == LOGIN_MAKE ? t->salt : t->user.salt,
	    16);
	wbuf_bytes(&b, t->user.hash, 32);
	wbuf_str(&b, what == LOGIN_MAKE ? t->fresh : t->password);
	put_totp(&b, t);
	wbuf_i64(&b, a->o.seconds());
	if ((rc = wbuf_rc(&b)) == RC_OK)
		rc = worker_send(a->login, MSG_LOGIN_CHECK, &b);
	wbuf_free(&b);
	return rc;
}

/* What is not a guess goes first, then who is trusted, then strangers; each in
 * the order they came. */
static int
rank(const struct attempt *t)
{
	if (what_of(t) != LOGIN_VERIFY)
		return 0;
	return t->who.trusted ? 1 : 2;
}

static struct attempt **
next_attempt(struct authd *a)
{
	struct attempt **at;
	uint64_t wait;

	for (int r = 0; r <= 2; r++)
		for (at = &a->users.head; *at != NULL; at = &(*at)->next) {
			if (rank(*at) != r)
				continue;
			if (r == 0 || delay_take(a->delay, &(*at)->who,
			    a->o.ms(), &wait))
				return at;
			if (r == 2)
				break;		/* they share one budget */
		}
	return NULL;
}

static void
expire(struct authd *a)
{
	struct users *u = &a->users;
	uint64_t now = a->o.ms();

	while (u->head != NULL && now - u->head->since >= USERS_WAIT_MS)
		refuse_busy(a, unlink_attempt(u, &u->head),
		    "too many sign-ins at once, try again later");
}

/* Others of their kind may have failed since they came. */
static void
refuse_all_delayed(struct authd *a)
{
	struct attempt **at = &a->users.head;
	unsigned s;

	while (*at != NULL)
		if ((s = delayed(a, *at)) > 0)
			refuse_delayed(a, unlink_attempt(&a->users, at), s);
		else
			at = &(*at)->next;
}

void
users_run(struct authd *a)
{
	struct users *u = &a->users;
	struct attempt **at, *t;

	expire(a);
	while (a->login != NULL && u->out == NULL && u->head != NULL) {
		refuse_all_delayed(a);
		if ((at = next_attempt(a)) == NULL)
			return;
		t = unlink_attempt(u, at);
		if (send_check(a, t) == RC_OK)
			u->out = t;
		else
			refuse_busy(a, t, "the password could not be checked, "
			    "try again");
	}
}

int
users_wait(struct authd *a)
{
	struct users *u = &a->users;
	uint64_t now = a->o.ms(), age;

	if (u->head == NULL)
		return -1;
	age = now - u->head->since;
	if (age >= USERS_WAIT_MS)
		return 0;
	/* the budgets have a grain of half a second */
	if (a->login != NULL && u->out == NULL)
		return 250;
	return (int)(USERS_WAIT_MS - age);
}

int
users_on_result(struct authd *a, struct msg *m)
{
	struct result r;
	struct attempt *t;
	int rc;

	if ((rc = rbuf_u32(&m->body, &r.number)) != RC_OK ||
	    (rc = rbuf_u8(&m->body, &r.ok)) != RC_OK ||
	    (rc = rbuf_bytes(&m->body, r.hash, sizeof(r.hash))) != RC_OK ||
	    (rc = rbuf_u64(&m->body, &r.step)) != RC_OK ||
	    (rc = rbuf_end(&m->body)) != RC_OK)
		return rc;
	t = a->users.out;
	if (t == NULL || t->number != r.number || r.ok > 1)
		return RC_STATE;
	a->users.out = NULL;
	attempt_done(a, t, &r);
	secret_wipe(&r, sizeof(r));
	users_run(a);
	return RC_OK;
}
