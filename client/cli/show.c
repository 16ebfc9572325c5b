#include "config.h"

#include "client/cli/show.h"

#include <langinfo.h>
#include <locale.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "client/cli/escape.h"
#include "client/cli/show_impl.h"
#include "client/engine/engine.h"
#include "client/engine/event.h"
#include "common/num.h"
#include "common/rc.h"
#include "common/secret.h"

#define LINE_MAX_BYTES	(1u << 20)

struct show *
show_new(bool json, enum verb verb)
{
	const char *term = getenv("TERM"), *none = getenv("NO_COLOR");
	struct show *s;

	if ((s = calloc(1, sizeof(*s))) == NULL)
		return NULL;
	(void)setlocale(LC_CTYPE, "");
	s->json = json;
	s->verb = verb;
	s->ascii = isatty(STDOUT_FILENO) &&
	    strcmp(nl_langinfo(CODESET), "UTF-8") != 0;
	s->progress_on = !json && isatty(STDERR_FILENO) &&
	    term != NULL && strcmp(term, "dumb") != 0;
	s->color = s->progress_on && (none == NULL || none[0] == '\0');
	wbuf_init(&s->line, LINE_MAX_BYTES);
	for (size_t i = 0; i < NITEMS(s->esc); i++)
		wbuf_init(&s->esc[i], LINE_MAX_BYTES);
	return s;
}

void
show_free(struct show *s)
{
	if (s == NULL)
		return;
	wbuf_free(&s->line);
	for (size_t i = 0; i < NITEMS(s->esc); i++)
		wbuf_free(&s->esc[i]);
	secret_wipe(s->values, sizeof(s->values));
	free(s);
}

/* A full disk behind our standard output must not look like a success; main()
 * tells it once, at the end.  run.c flushes when nothing more is waiting. */
static void
emit(struct show *s)
{
	if (wbuf_rc(&s->line) == RC_OK)
		(void)fwrite(s->line.data, 1, s->line.len, stdout);
	wbuf_reset(&s->line);
}

void
show_json_begin(struct show *s, struct json *j, const char *type)
{
	wbuf_reset(&s->line);
	json_init(j, &s->line);
	json_object(j, NULL);
	json_put_str(j, "type", type);
}

void
show_json_end(struct show *s, struct json *j)
{
	json_end(j);
	wbuf_u8(&s->line, '\n');
	emit(s);
}

void
show_clear(struct show *s)
{
	if (s->on_screen)
		(void)fputs("\r\033[K", stderr);
	s->on_screen = false;
}

const char *
show_esc(struct show *s, int which, const void *p, size_t n)
{
	return escaped(&s->esc[which], p, n, s->ascii);
}

/* "warning: ..." and its like, on stderr. */
void
show_complain(struct show *s, const char *label, const char *text)
{
	show_clear(s);
	(void)fflush(stdout);
	if (s->color)
		fprintf(stderr, "\033[1m%s:\033[0m %s\n", label, text);
	else
		fprintf(stderr, "%s: %s\n", label, text);
}

void
show_log(struct show *s, const char *who, const char *text)
{
	char label[64];

	snprintf(label, sizeof(label), "storegrid: %s", who);
	show_complain(s, label, show_esc(s, 0, text, strlen(text)));
}

/* --- single events --- */

static int
on_skipped(struct show *s, struct rbuf *in)
{
	char reason[SHOW_TEXT_MAX];
	const uint8_t *path;
	struct json j;
	size_t n;

	if (rbuf_blob16(in, &path, &n, SHOW_PATH_MAX) != RC_OK ||
	    rbuf_str(in, reason, sizeof(reason)) != RC_OK ||
	    rbuf_end(in) != RC_OK)
		return RC_PROTO;
	if (s->json) {
		show_json_begin(s, &j, "skipped");
		json_put_name(&j, "path", path, n);
		json_put_str(&j, "reason", reason);
		show_json_end(s, &j);
		return RC_OK;
	}
	wbuf_reset(&s->line);
	escape_put(&s->line, path, n, s->ascii);
	wbuf_bytes(&s->line, ": ", 2);
	escape_put(&s->line, reason, strlen(reason), s->ascii);
	wbuf_u8(&s->line, 0);
	if (wbuf_rc(&s->line) == RC_OK)
		show_complain(s, "not complete", (const char *)s->line.data);
	return RC_OK;
}

static int
on_warning(struct show *s, struct rbuf *in)
{
	char text[SHOW_TEXT_MAX];
	struct json j;

	if (rbuf_str(in, text, sizeof(text)) != RC_OK ||
	    rbuf_end(in) != RC_OK)
		return RC_PROTO;
	if (s->json) {
		show_json_begin(s, &j, "warning");
		json_put_str(&j, "text", text);
		show_json_end(s, &j);
	} else {
		show_complain(s, "warning", show_esc(s, 0, text, strlen(text)));
	}
	return RC_OK;
}

static int
on_summary(struct show *s, struct rbuf *in)
{
	if (rbuf_bytes(in, s->snapshot, sizeof(s->snapshot)) != RC_OK ||
	    rbuf_u64(in, &s->files) != RC_OK ||
	    rbuf_u64(in, &s->dirs) != RC_OK ||
	    rbuf_u64(in, &s->bytes) != RC_OK ||
	    rbuf_u64(in, &s->new_bytes) != RC_OK ||
	    rbuf_u64(in, &s->stored_bytes) != RC_OK ||
	    rbuf_u64(in, &s->skipped) != RC_OK ||
	    rbuf_u64(in, &s->ms) != RC_OK || rbuf_end(in) != RC_OK)
		return RC_PROTO;
	s->have_summary = true;
	return RC_OK;
}

static int
on_value(struct show *s, struct rbuf *in)
{
	struct value *v = &s->values[s->nvalues];

	if (s->nvalues == SHOW_VALUES_MAX ||
	    rbuf_str(in, v->name, sizeof(v->name)) != RC_OK ||
	    rbuf_str(in, v->text, sizeof(v->text)) != RC_OK ||
	    rbuf_end(in) != RC_OK)
		return RC_PROTO;
	s->nvalues++;
	return RC_OK;
}

static int (*const on_event[])(struct show *s, struct rbuf *in) = {
	[EVENT_PROGRESS] = on_progress,
	[EVENT_SKIPPED] = on_skipped,
	[EVENT_WARNING] = on_warning,
	[EVENT_SUMMARY] = on_summary,
	[EVENT_SNAPSHOT] = on_snapshot,
	[EVENT_ENTRY] = on_entry,
	[EVENT_FINDING] = on_finding,
	[EVENT_VALUE] = on_value,
	[EVENT_CODE] = on_code,
	[EVENT_WAITING] = on_waiting,
};

int
show_event(struct show *s, struct rbuf *body)
{
	uint8_t kind;

	if (rbuf_u8(body, &kind) != RC_OK || kind >= NITEMS(on_event) ||
	    on_event[kind] == NULL)
		return RC_PROTO;
	return on_event[kind](s, body);
}

/* --- the end --- */

static bool
no_snapshot(const struct show *s)
{
	static const uint8_t zeros[32];

	return memcmp(s->snapshot, zeros, sizeof(zeros)) == 0;
}

static void
summary_json(struct show *s, int code)
{
	struct json j;

	show_json_begin(s, &j, "summary");
	if (no_snapshot(s))
		json_put_null(&j, "snapshot");
	else
		json_put_hex(&j, "snapshot", s->snapshot,
		    sizeof(s->snapshot));
	json_put_u64(&j, "files", s->files);
	json_put_u64(&j, "dirs", s->dirs);
	json_put_u64(&j, "bytes", s->bytes);
	json_put_u64(&j, "new_bytes", s->new_bytes);
	json_put_u64(&j, "stored_bytes", s->stored_bytes);
	json_put_ms(&j, "seconds", s->ms);
	json_put_u64(&j, "skipped", s->skipped);
	json_put_i64(&j, "code", code);
	show_json_end(s, &j);
}

static void
summary_text(struct show *s)
{
	char files[32], bytes[32], fresh[32], stored[32], rate[32];

	human_count(s->files, files, sizeof(files));
	human_bytes(s->bytes, bytes, sizeof(bytes));
	human_bytes(s->new_bytes, fresh, sizeof(fresh));
	human_bytes(s->stored_bytes, stored, sizeof(stored));
	human_bytes(s->ms > 0 ? (uint64_t)((double)s->bytes * 1000 /
	    (double)s->ms) : 0, rate, sizeof(rate));
	if (!no_snapshot(s))
		printf("snapshot %02x%02x%02x%02x%02x: ", s->snapshot[0],
		    s->snapshot[1], s->snapshot[2], s->snapshot[3],
		    s->snapshot[4]);
	printf("%s files, %s", files, bytes);
	if (s->verb == VERB_BACKUP)
		printf("; %s new, %s stored", fresh, stored);
	if (s->skipped > 0)
		printf("; %llu not complete", (unsigned long long)s->skipped);
	printf("; %llu.%llu s, %s/s\n", (unsigned long long)(s->ms / 1000),
	    (unsigned long long)(s->ms / 100 % 10), rate);
}

static void
values_json(struct show *s, const char *text)
{
	struct json j;

	show_json_begin(s, &j, s->verb == VERB_PAIR ? "enrolled" :
	    verbs_name(s->verb));
	for (size_t i = 0; i < s->nvalues; i++)
		json_put_str(&j, s->values[i].name, s->values[i].text);
	if (text[0] != '\0')
		json_put_str(&j, "text", text);
	show_json_end(s, &j);
}

static void
values_text(struct show *s)
{
	for (size_t i = 0; i < s->nvalues; i++) {
		struct value *v = &s->values[i];

		for (char *p = v->name; *p != '\0'; p++)
			if (*p == '_')
				*p = ' ';
		printf("%-15s %s\n", v->name,
		    show_esc(s, 0, v->text, strlen(v->text)));
	}
}

static void
done_json(struct show *s, int code, const char *text)
{
	bool object = s->verb == VERB_ENROL || s->verb == VERB_RECOVER ||
	    s->verb == VERB_PAIR || s->verb == VERB_EXPORT ||
	    s->verb == VERB_PASSWD;
	struct json j;

	if (code != EXIT_DONE) {
		show_json_begin(s, &j, "error");
		json_put_i64(&j, "code", code);
		json_put_str(&j, "text", text);
		show_json_end(s, &j);
	} else if (object) {
		values_json(s, text);
	} else if (s->verb == VERB_CHECK) {
		/* Findings may be none at all: say that it was done. */
		show_json_begin(s, &j, "done");
		json_put_i64(&j, "code", code);
		json_put_str(&j, "text", text);
		show_json_end(s, &j);
	}
	if (s->have_summary)
		summary_json(s, code);
}

/* For an exit code that came without a sentence. */
static const char *
exit_text(int code)
{
	switch (code) {
	case EXIT_DONE:
		return "";
	case EXIT_INCOMPLETE:
		return "done, but not complete";
	case EXIT_UNREACHABLE:
		return "the server cannot be reached";
	case EXIT_SPACE:
		return "quota or space used up";
	case EXIT_INTEGRITY:
		return "damage was found";
	case EXIT_PARTIAL:
		return "restored in part";
	case EXIT_NOTHING:
		return "nothing matched";
	case EXIT_LATER:
		return "try again later";
	case EXIT_INTERRUPTED:
		return "interrupted";
	default:
		return "failed";
	}
}

bool
show_reader_gone(void)
{
	struct pollfd p = { .fd = STDOUT_FILENO, .events = POLLOUT };

	return poll(&p, 1, 0) == 1 && (p.revents & POLLERR) != 0;
}

void
show_done(struct show *s, int code, const char *text)
{
	show_clear(s);
	if (text[0] == '\0')
		text = exit_text(code);
	if (s->json) {
		done_json(s, code, text);
		return;
	}
	values_text(s);
	if (s->have_summary)
		summary_text(s);
	(void)fflush(stdout);
	if (text[0] == '\0')
		return;
	if (code != EXIT_DONE)
		show_complain(s, "storegrid",
		    show_esc(s, 0, text, strlen(text)));
	else
		fprintf(stderr, "%s\n", show_esc(s, 0, text, strlen(text)));
}
