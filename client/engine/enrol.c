#include "config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "client/engine/engine.h"
#include "client/engine/enrol_impl.h"
#include "client/engine/event.h"
#include "common/io.h"
#include "common/rc.h"
#include "common/token.h"

/*
 * How a machine comes to its keys: enrol makes them, recover fetches them from
 * the vault, export-recovery and passwd leave a way back.
 *
 * The server forgets a token the moment it answers, so what must not be lost is
 * written right after ENROL_OK, as a state that is "pending": the identity is
 * there, the vault key is not.  `--continue` goes on from it without a token.
 * A vault that has a key never gets a second one: two keys in one vault would
 * be two halves of a backup, each readable by one machine.
 */
#define SLOTS_TRIED_MAX	64	/* each costs an scrypt */

static int
value(struct engine *e, const char *name, const char *text)
{
	struct wbuf body = WBUF_INIT(2048);
	int rc;

	wbuf_u8(&body, EVENT_VALUE);
	wbuf_str(&body, name);
	wbuf_str(&body, text);
	rc = engine_event(e, &body);
	wbuf_free(&body);
	return rc;
}

static int
value_hex(struct engine *e, const char *name, const uint8_t *p, size_t n)
{
	char hex[2 * SHA256_LEN + 1] = "";

	for (size_t i = 0; i < n && i < SHA256_LEN; i++)
		snprintf(hex + 2 * i, 3, "%02x", p[i]);
	return value(e, name, hex);
}

static int
warning(struct engine *e, const char *text)
{
	struct wbuf body = WBUF_INIT(2048);
	int rc;

	wbuf_u8(&body, EVENT_WARNING);
	wbuf_str(&body, text);
	rc = engine_event(e, &body);
	wbuf_free(&body);
	return rc;
}

/* The reason of a failed call on a connection, for people, and its exit code.
 * Ends the connection. */
static int
lost(struct remote *r, int rc, const char *what, char *text, size_t size)
{
	const char *why = remote_error(r);
	int code = engine_exit_code(rc, r);

	snprintf(text, size, "%s: %s", what,
	    why[0] != '\0' ? why : rc_str(rc));
	remote_close(r);
	return code;
}

static int
not_saved(int rc, char *text, size_t size)
{
	snprintf(text, size, "the client's state could not be written: %s",
	    rc_str(rc));
	return rc == RC_FULL ? EXIT_SPACE : EXIT_FAILED;
}

/* --- becoming a client of the server --- */

void
enrol_from_token(struct state *st, const struct token *t)
{
	snprintf(st->host, sizeof(st->host), "%s", t->host);
	st->port = t->port;
	st->ssl_port = t->ssl_port;
	st->ssl = t->ssl != 0;
	memcpy(st->pin, t->pin, sizeof(st->pin));
	memcpy(st->identity_fp, t->identity_fp, sizeof(st->identity_fp));
}

int
enrol_check_old(struct engine *e, bool with_token, bool *existed, char *text,
    size_t size)
{
	int rc = state_load(e->state, &e->keys);

	*existed = rc != RC_NOENT;
	if (!with_token) {
		if (rc == RC_OK && e->state->pending)
			return EXIT_DONE;
		snprintf(text, size, "there is nothing to go on with; "
		    "a token from the server's administrator is needed");
		return EXIT_USAGE;
	}
	if (*existed && !e->force && !(rc == RC_OK && e->state->pending)) {
		if (rc == RC_OK)
			snprintf(text, size, "this machine is enrolled already"
			    " (%s on %s); --force enrols it anew and puts the "
			    "old keys aside", e->state->name, e->state->host);
		else
			snprintf(text, size, "there is a client state here "
			    "that cannot be used (%s); --force puts it aside",
			    rc == RC_DENIED ? "it was made on another machine"
			    : rc_str(rc));
		return EXIT_USAGE;
	}
	return EXIT_DONE;
}

static int
bad_token(int rc, char *text, size_t size)
{
	snprintf(text, size, rc == RC_CRC ?
	    "the token has a typing error in it; copy it whole" :
	    "that is not an enrolment token (they begin with sg1-)");
	return EXIT_AUTH;
}

/* Says so when the token's own date explains a refusal. */
static int
enrol_refused(struct engine *e, struct remote *r, int rc,
    const struct token *t, char *text, size_t size)
{
	int64_t now = io_wall_ns() / 1000000000;
	int code = lost(r, rc, "enrolment", text, size);
	char when[32];
	struct tm tm;
	time_t at = (time_t)t->expires;
	size_t n = strlen(text);

	(void)e;
	if (code == EXIT_AUTH && t->expires < now &&
	    gmtime_r(&at, &tm) != NULL &&
	    strftime(when, sizeof(when), "%Y-%m-%d %H:%M UTC", &tm) > 0)
		snprintf(text + n, size - n, " (the token expired on %s)",
		    when);
	return code;
}

int
enrol_new_identity(struct engine *e, char *text, size_t size)
{
	int rc;

	keys_clear(&e->keys);
	if ((rc = ed25519_new(&e->keys.identity, e->keys.identity_pub)) ==
	    RC_OK)
		return EXIT_DONE;
	snprintf(text, size, "cannot make a key: %s", rc_str(rc));
	return EXIT_FAILED;
}

/* Registered and saved.  *out is connected, not logged in. */
static int
register_here(struct engine *e, const struct token *t, bool existed,
    struct remote **out, char *text, size_t size)
{
	struct state *st = e->state;
	struct enrol_ok ok;
	struct remote *r;
	int rc;

	if ((rc = engine_dial(e, &r, NULL, true)) != RC_OK) {
		snprintf(text, size, "%s", e->error);
		return engine_exit_code(rc, NULL);
	}
	if ((rc = remote_enrol(r, t, e->keys.identity_pub, &ok)) != RC_OK)
		return enrol_refused(e, r, rc, t, text, size);
	memcpy(st->vault, ok.vault, sizeof(st->vault));
	memcpy(st->instance, ok.instance, sizeof(st->instance));
	memcpy(st->client, ok.client, sizeof(st->client));
	snprintf(st->name, sizeof(st->name), "%s", ok.name);
	memcpy(e->keys.vault, ok.vault, sizeof(e->keys.vault));
	memcpy(e->keys.client, ok.client, sizeof(e->keys.client));
	st->pending = true;
	st->records_done = false;
	st->recovery_exported = false;
	if ((existed && (rc = state_set_aside(st)) != RC_OK) ||
	    (rc = state_save(st, &e->keys)) != RC_OK) {
		remote_close(r);
		return not_saved(rc, text, size);
	}
	*out = r;
	return EXIT_DONE;
}

int
enrol_register(struct engine *e, const struct token *t, bool existed,
    struct remote **r, char *text, size_t size)
{
	struct auth_ok ok;
	int code, rc;

	if ((code = register_here(e, t, existed, r, text, size)) ==
	    EXIT_DONE && (rc = remote_login(*r, &e->keys, &ok)) != RC_OK)
		code = lost(*r, rc, "first log-in", text, size);
	return code;
}

/* With a token or from a pending state to a logged-in connection. */
static int
join(struct engine *e, const char *token, struct remote **r, char *text,
    size_t size)
{
	bool with = token != NULL && token[0] != '\0';
	bool existed = false;
	struct token t;
	struct auth_ok ok;
	int code, rc;

	if (with && (rc = token_parse(token, &t)) != RC_OK)
		return bad_token(rc, text, size);
	if ((code = enrol_check_old(e, with, &existed, text, size)) !=
	    EXIT_DONE)
		goto out;
	if (!with) {
		if ((rc = engine_connect(e, r, NULL, &ok)) != RC_OK) {
			snprintf(text, size, "%s", e->error);
			code = engine_exit_code(rc, NULL);
		}
		return code;
	}
	if ((code = enrol_new_identity(e, text, size)) != EXIT_DONE)
		goto out;
	enrol_from_token(e->state, &t);
	code = enrol_register(e, &t, existed, r, text, size);
out:
	if (with)
		token_clear(&t);
	return code;
}

static int
tell_who(struct engine *e, bool recovered)
{
	const struct state *st = e->state;
	int rc;

	if ((rc = value(e, "client", st->name)) == RC_OK &&
	    (rc = value(e, "server", st->host)) == RC_OK &&
	    (rc = value_hex(e, "client_id", st->client,
	    sizeof(st->client))) == RC_OK &&
	    (rc = value_hex(e, "vault", st->vault,
	    sizeof(st->vault))) == RC_OK &&
	    (rc = value_hex(e, "server_identity", st->identity_fp,
	    sizeof(st->identity_fp))) == RC_OK)
		rc = value(e, "vault_key", recovered ? "recovered" : "new");
	return rc;
}

/* --- enrol --- */

static int
on_slot_count(void *arg, const struct record *rec)
{
	struct scan *s = arg;

	(void)rec;
	s->slots++;
	return RC_OK;
}

static int
make_keys(struct engine *e)
{
	struct keys *k = &e->keys;
	struct wbuf params = WBUF_INIT(PROTO_RECORD_MAX);
	int rc;

	if ((rc = secret_random(k->m.b, SECRET_LEN)) == RC_OK &&
	    (rc = keys_derive(k)) == RC_OK &&
	    (rc = keys_epoch_new(k)) == RC_OK)
		rc = keys_wrap_params(k, &params);
	wbuf_free(&params);
	return rc;
}

int
enrol_joined(struct engine *e, struct remote *r, char *text, size_t size)
{
	struct scan s = { .e = e };
	int rc;

	if ((rc = remote_records(r, RECORD_SLOT, 0, on_slot_count,
	    &s)) != RC_OK ||
	    (rc = remote_records(r, RECORD_KEY, 0, enrol_on_key, &s)) != RC_OK)
		return lost(r, rc, "enrolment", text, size);
	if (s.slots > 0) {
		remote_close(r);
		snprintf(text, size, "%s has backups under a key of its own "
		    "already: run `storegrid recover --continue` with its "
		    "recovery key or passphrase", e->state->name);
		return EXIT_AUTH;
	}
	if (s.keys > 0)
		(void)warning(e, "this client has older backups whose key was "
		    "never exported; they stay on the server, but only the "
		    "machine that made them can read them");
	e->state->pending = false;
	if ((rc = make_keys(e)) != RC_OK) {
		remote_close(r);
		snprintf(text, size, "cannot make keys: %s", rc_str(rc));
		return EXIT_FAILED;
	}
	if ((rc = state_save(e->state, &e->keys)) != RC_OK) {
		remote_close(r);
		return not_saved(rc, text, size);
	}
	if ((rc = records_ensure(e, r)) != RC_OK)
		return lost(r, rc, "enrolled, but the key records are not in "
		    "the vault yet (the next backup adds them)", text, size);
	remote_close(r);
	(void)tell_who(e, false);
	snprintf(text, size, "This machine is enrolled. Now run `storegrid key "
	    "export-recovery` and keep what it prints away from this machine: "
	    "without it nobody can read the backups once this machine is "
	    "lost.");
	return EXIT_DONE;
}

int
enrol_run(struct engine *e, const char *token, char *text, size_t size)
{
	struct remote *r = NULL;
	int code;

	if ((code = join(e, token, &r, text, size)) != EXIT_DONE)
		return code;
	return enrol_joined(e, r, text, size);
}

/* --- recover --- */

static int
on_slot_open(void *arg, const struct record *rec)
{
	struct scan *s = arg;
	struct keys *k = &s->e->keys;

	s->slots++;
	if (s->opened || s->tried >= SLOTS_TRIED_MAX)
		return RC_OK;
	s->tried++;
	if (keys_open_slot(k, rec->body, rec->len, s->pass,
	    s->recovery) == RC_OK)
		s->opened = true;
	return RC_OK;
}

static int
on_key_fetch(void *arg, const struct record *rec)
{
	struct scan *s = arg;
	struct secret key = { { 0 } };
	int rc = RC_OK;

	s->keys++;
	if (keys_unwrap_epoch(&s->e->keys, rec->body, rec->len,
	    &key) != RC_OK)
		s->foreign++;
	else
		rc = keys_epoch_add(&s->e->keys, &key);
	secret_clear(&key);
	return rc;
}

/* M is there: everything else comes from the vault.  The new machine seals
 * under an epoch of its own, since the old one may be in other hands. */
static int
fetch_keys(struct engine *e, struct remote *r, struct scan *s)
{
	struct keys *k = &e->keys;
	int rc;

	/* The slot names the client that made it; in a shared vault that may
	 * be another member. */
	memcpy(k->client, e->state->client, sizeof(k->client));
	if ((rc = keys_derive(k)) != RC_OK ||
	    (rc = remote_records(r, RECORD_KEY, 0, on_key_fetch, s)) !=
	    RC_OK ||
	    (rc = keys_epoch_new(k)) != RC_OK)
		return rc;
	return remote_records(r, RECORD_PARAMS, 0, enrol_on_params, s);
}

static int
no_way_in(struct engine *e, struct remote *r, const struct scan *s,
    char *text, size_t size)
{
	remote_close(r);
	if (s->slots == 0)
		snprintf(text, size, "no recovery key or passphrase was ever "
		    "made for %s, so there is nothing to recover; "
		    "`storegrid enrol --continue` starts it with new keys",
		    e->state->name);
	else
		snprintf(text, size, "the %s does not open the vault of %s; "
		    "try again with `storegrid recover --continue` (no new "
		    "token is needed)",
		    s->pass != NULL ? "passphrase" : "recovery key",
		    e->state->name);
	return EXIT_AUTH;
}

static int
recover_joined(struct engine *e, struct remote *r, struct scan *s,
    char *text, size_t size)
{
	int rc;

	if ((rc = remote_records(r, RECORD_SLOT, 0, on_slot_open, s)) != RC_OK)
		return lost(r, rc, "recover", text, size);
	if (!s->opened)
		return no_way_in(e, r, s, text, size);
	if ((rc = fetch_keys(e, r, s)) != RC_OK)
		return lost(r, rc, "recover", text, size);
	e->state->pending = false;
	e->state->recovery_exported = true;
	if ((rc = state_save(e->state, &e->keys)) != RC_OK) {
		remote_close(r);
		return not_saved(rc, text, size);
	}
	if ((rc = records_ensure(e, r)) != RC_OK)
		return lost(r, rc, "recovered, but the new key record is not "
		    "in the vault yet (the next backup adds it)", text, size);
	remote_close(r);
	if (s->foreign > 0)
		(void)warning(e, "some key records of this vault belong to "
		    "keys that this recovery key does not open; snapshots "
		    "made with them cannot be read");
	(void)tell_who(e, true);
	snprintf(text, size, "The keys of %s are here again: `storegrid "
	    "snapshots` shows what there is, `storegrid restore latest --to "
	    "DIR` brings it back.", e->state->name);
	return EXIT_DONE;
}

int
recover_run(struct engine *e, const char *token, const char *secret,
    bool is_passphrase, char *text, size_t size)
{
	struct scan s = { .e = e };
	struct secret recovery = { { 0 } };
	struct remote *r = NULL;
	int code, rc;

	/* First, so that a typing error does not cost the token. */
	if (is_passphrase) {
		s.pass = secret;
	} else if ((rc = keys_recovery_parse(secret, &recovery)) != RC_OK) {
		snprintf(text, size, rc == RC_CRC ? "the recovery key has a "
		    "typing error in it" : "that is not a recovery key");
		return EXIT_AUTH;
	} else {
		s.recovery = &recovery;
	}
	if ((code = join(e, token, &r, text, size)) == EXIT_DONE)
		code = recover_joined(e, r, &s, text, size);
	secret_clear(&recovery);
	return code;
}

/* --- ways back --- */

/* Connected, with all records in place, or an exit code. */
static int
connect_for_slot(struct engine *e, struct remote **r, char *text, size_t size)
{
	int rc;

	if ((rc = engine_connect(e, r, NULL, NULL)) != RC_OK) {
		snprintf(text, size, "%s", e->error);
		return engine_exit_code(rc, NULL);
	}
	if ((rc = records_ensure(e, *r)) != RC_OK)
		return lost(*r, rc, "key records", text, size);
	return EXIT_DONE;
}

/* Takes the connection. */
static int
add_slot(struct engine *e, struct remote *r, const struct wbuf *slot,
    char *text, size_t size)
{
	uint64_t seq;
	int rc;

	if ((rc = remote_record_add(r, RECORD_SLOT, slot->data, slot->len,
	    &seq)) != RC_OK)
		return lost(r, rc, "the vault did not take it", text, size);
	remote_close(r);
	e->state->recovery_exported = true;
	if ((rc = state_save(e->state, &e->keys)) != RC_OK)
		(void)warning(e, "could not remember that this was done; "
		    "`backup` will go on reminding");
	return EXIT_DONE;
}

int
export_recovery_run(struct engine *e, char *text, size_t size)
{
	struct wbuf slot = WBUF_INIT(PROTO_RECORD_MAX);
	struct secret recovery = { { 0 } };
	char shown[KEYS_RECOVERY_TEXT] = "";
	struct remote *r;
	int code, rc;

	if ((code = connect_for_slot(e, &r, text, size)) != EXIT_DONE)
		return code;
	if ((rc = secret_random(recovery.b, SECRET_LEN)) != RC_OK ||
	    (rc = keys_wrap_recovery(&e->keys, &recovery, &slot)) != RC_OK ||
	    (rc = wbuf_rc(&slot)) != RC_OK) {
		remote_close(r);
		snprintf(text, size, "cannot make a recovery key: %s",
		    rc_str(rc));
		code = EXIT_FAILED;
		goto out;
	}
	/* The slot first: a key on paper that opens nothing is worse than a
	 * slot whose key nobody has. */
	if ((code = add_slot(e, r, &slot, text, size)) != EXIT_DONE)
		goto out;
	keys_recovery_format(&recovery, shown);
	if ((rc = value(e, "recovery_key", shown)) != RC_OK) {
		code = engine_exit_code(rc, NULL);
		goto out;
	}
	(void)value(e, "client", e->state->name);
	snprintf(text, size, "Print it or write it down, and keep it away from "
	    "this machine. It is shown this once. Whoever has it and a token "
	    "of the server can read every backup of this client.");
out:
	secret_clear(&recovery);
	secret_wipe(shown, sizeof(shown));
	wbuf_free(&slot);
	return code;
}

int
passwd_run(struct engine *e, const char *passphrase, char *text, size_t size)
{
	struct wbuf slot = WBUF_INIT(PROTO_RECORD_MAX);
	struct remote *r;
	int code, rc;

	if ((code = connect_for_slot(e, &r, text, size)) != EXIT_DONE)
		return code;
	if ((rc = keys_wrap_passphrase(&e->keys, passphrase, &slot)) !=
	    RC_OK || (rc = wbuf_rc(&slot)) != RC_OK) {
		remote_close(r);
		snprintf(text, size, "cannot use this passphrase: %s",
		    rc_str(rc));
		code = EXIT_FAILED;
	} else if ((code = add_slot(e, r, &slot, text, size)) == EXIT_DONE) {
		snprintf(text, size, "The passphrase opens the vault now, "
		    "together with a token of the server (`storegrid "
		    "recover`). Passphrases and recovery keys from before "
		    "still do too.");
	}
	wbuf_free(&slot);
	return code;
}
