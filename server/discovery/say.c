#include "config.h"

#include <string.h>
#include <sys/random.h>

#include "common/io.h"
#include "common/log.h"
#include "common/rc.h"
#include "server/discovery/discover.h"

#define TRIES_A_TURN	2000		/* well below a millisecond */

/* getrandom never fails once the kernel's pool is ready, which keyd waited for;
 * what it gives here is unpredictable, not secret. */
static void
random_bytes(void *p, size_t n)
{
	if (getrandom(p, n, 0) != (ssize_t)n)
		fatal("getrandom failed");
}

uint64_t
say_random(uint64_t below)
{
	uint64_t r;

	random_bytes(&r, sizeof(r));
	return below == 0 ? 0 : r % below;
}

uint64_t
say_jitter(uint64_t base)
{
	return base - base / 10 + say_random(base / 5 + 1);
}

void
say_round(struct disc *d)
{
	memcpy(d->nonce[1], d->nonce[0], PACKET_NONCE_LEN);
	random_bytes(d->nonce[0], PACKET_NONCE_LEN);
}

void
say_begin(struct disc *d, uint8_t type, uint8_t nonce[][PACKET_NONCE_LEN],
    uint8_t n)
{
	struct packet p = { .type = type, .info = d->me, .n = n };
	uint64_t first;
	int rc;

	p.info.sent_ns = io_wall_ns();
	memcpy(p.nonce, nonce, (size_t)n * PACKET_NONCE_LEN);
	rc = packet_put(&d->packet, &p, &d->puzzle_at);
	if (rc == RC_OK && type == PACKET_PROBE_ANSWER) {
		d->say = SAY_SOLVED;
		return;
	}
	random_bytes(&first, sizeof(first));
	if (rc == RC_OK)
		rc = puzzle_begin(d->puzzle, d->packet.data, d->puzzle_at,
		    first);
	if (rc != RC_OK) {
		log_err("a packet could not be made: %s", rc_str(rc));
		return;
	}
	d->say = SAY_SOLVING;
}

/* keyd signs at its own rate and is never waited for: the answer comes to the
 * loop, and there is one question at a time. */
static void
ask_keyd(struct disc *d)
{
	int rc;

	if (d->keyd == NULL)
		return;
	rc = chan_send_now(d->keyd, MSG_KEYD_PACKET, &d->packet, -1);
	if (rc == RC_OK)
		d->say = SAY_SIGNING;
	else if (rc != RC_AGAIN && rc != RC_EOF)
		fatal("keyd: %s", rc_str(rc));
}

bool
say_turn(struct disc *d)
{
	int rc;

	if (d->say == SAY_SOLVING) {
		rc = puzzle_try(d->puzzle, TRIES_A_TURN,
		    d->packet.data + d->puzzle_at);
		if (rc == RC_AGAIN)
			return true;
		if (rc != RC_OK)
			fatal("puzzle: %s", rc_str(rc));
		d->say = SAY_SOLVED;
	}
	if (d->say == SAY_SOLVED)
		ask_keyd(d);
	return false;
}

int
say_signature(struct disc *d, struct msg *m)
{
	uint8_t sig[ED25519_SIG_LEN];
	int rc;

	if (d->say != SAY_SIGNING)
		return RC_STATE;
	if ((rc = rbuf_bytes(&m->body, sig, sizeof(sig))) != RC_OK ||
	    (rc = rbuf_end(&m->body)) != RC_OK)
		return rc;
	wbuf_bytes(&d->packet, sig, sizeof(sig));
	d->say = SAY_IDLE;
	if ((rc = wbuf_rc(&d->packet)) == RC_OK)
		d->ops->signed_(d);
	return rc;
}

void
say_pend(struct disc *d, const struct heard *h,
    const uint8_t nonce[PACKET_NONCE_LEN])
{
	struct pending *p;
	size_t i;

	/* the same request by IPv4 and IPv6, or asked again */
	for (i = 0; i < d->npending; i++) {
		p = &d->pending[i];
		if (p->index == h->index && p->from.family == h->from.family &&
		    memcmp(p->nonce, nonce, PACKET_NONCE_LEN) == 0)
			return;
	}
	if (d->npending == DISC_PENDING)
		return;
	p = &d->pending[d->npending++];
	p->from = h->from;
	p->index = h->index;
	memcpy(p->nonce, nonce, PACKET_NONCE_LEN);
}

void
say_answer(struct disc *d, uint8_t type)
{
	uint8_t nonce[PACKET_NONCES_MAX][PACKET_NONCE_LEN];
	size_t n = d->npending < PACKET_NONCES_MAX ? d->npending :
	    PACKET_NONCES_MAX, i;

	if (n == 0)
		return;
	for (i = 0; i < n; i++)
		memcpy(nonce[i], d->pending[i].nonce, PACKET_NONCE_LEN);
	memcpy(d->answering, d->pending, n * sizeof(d->pending[0]));
	d->nanswering = n;
	d->npending -= n;
	memmove(d->pending, d->pending + n,
	    d->npending * sizeof(d->pending[0]));
	say_begin(d, type, nonce, (uint8_t)n);
}
