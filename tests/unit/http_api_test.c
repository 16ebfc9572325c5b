#include "config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "common/digest.h"
#include "common/num.h"
#include "common/rc.h"
#include "server/http/api.h"
#include "server/http/bearer.h"
#include "server/http/om.h"
#include "server/http/sse.h"

static void
read_document(struct json_doc **doc)
{
	static char text[1u << 18];
	size_t n;
	FILE *f;

	f = fopen(SOURCE_DIR "/server/http/openapi.json", "r");
	assert_non_null(f);
	n = fread(text, 1, sizeof(text), f);
	fclose(f);
	assert_int_equal(json_parse_deep(text, n, 65536, 24, doc), RC_OK);
}

static const char *const methods[] = { "get", NULL, "post", "put", "delete" };

static void
every_route_is_in_the_document_with_its_right(void **state)
{
	const struct json_value *paths, *op, *v;
	struct json_doc *doc;
	size_t i;

	(void)state;
	read_document(&doc);
	paths = json_get(doc, json_root(doc), "paths");
	for (i = 0; i < api_routes_n; i++) {
		const struct api_route *r = &api_routes[i];

		op = json_get(doc, json_get(doc, paths, r->path),
		    methods[r->method]);
		if (op == NULL)
			fail_msg("%s is not there", r->path);
		assert_string_equal(json_string(doc, op, "x-storegrid-right",
		    ""), api_right_word((uint8_t)r->right));
		v = json_get(doc, op, "security");
		assert_non_null(v);
		assert_int_equal(r->right == RIGHT_NONE,
		    json_first(doc, v) == NULL);
	}
	json_free(doc);
}

static void
the_document_has_no_other_path(void **state)
{
	const struct json_value *path, *op;
	struct json_doc *doc;
	size_t i, n = 0;

	(void)state;
	read_document(&doc);
	path = json_first(doc, json_get(doc, json_root(doc), "paths"));
	for (; path != NULL; path = json_next(doc, path))
		for (op = json_first(doc, path); op != NULL;
		    op = json_next(doc, op)) {
			for (i = 0; i < api_routes_n; i++)
				if (strcmp(api_routes[i].path, path->name) ==
				    0 && strcmp(methods[api_routes[i].method],
				    op->name) == 0)
					break;
			if (i == api_routes_n)
				fail_msg("%s %s is no route", op->name,
				    path->name);
			n++;
		}
	assert_int_equal(n, api_routes_n);
	json_free(doc);
}

static void
set_path(struct http_request *r, enum http_method m, const char *path)
{
	char copy[256], *p;

	memset(r, 0, sizeof(*r));
	r->method = m;
	snprintf(copy, sizeof(copy), "%s", path);
	for (p = strtok(copy, "/"); p != NULL; p = strtok(NULL, "/"))
		snprintf(r->segment[r->segments++], HTTP_SEGMENT_MAX, "%s", p);
}

static void
a_path_finds_its_handler(void **state)
{
	static struct http_request r;
	int status;

	(void)state;
	set_path(&r, HTTP_DELETE, "/api/v1/clients/a/b");
	assert_ptr_equal(api_route(&r, &status)->handler, api_client_rm);
	set_path(&r, HTTP_HEAD, "/healthz");
	assert_ptr_equal(api_route(&r, &status)->handler, api_healthz);
	set_path(&r, HTTP_PUT, "/api/v1/clients");
	assert_null(api_route(&r, &status));
	assert_int_equal(status, 405);
	set_path(&r, HTTP_GET, "/api/v1/clients/a/b/c/d");
	assert_null(api_route(&r, &status));
	assert_int_equal(status, 404);
	set_path(&r, HTTP_GET, "/");
	assert_null(api_route(&r, &status));
	set_path(&r, HTTP_GET, "/api/v1/statusx");
	assert_null(api_route(&r, &status));
}

static void
a_secret_has_one_spelling(void **state)
{
	char text[BEARER_TEXT_MAX];
	uint8_t secret[32], back[32];
	size_t i;

	(void)state;
	for (i = 0; i < 32; i++)
		secret[i] = (uint8_t)(i * 37 + 250);
	bearer_format(BEARER_SESSION_PREFIX, secret, text);
	assert_int_equal(strlen(text), 47);
	assert_int_equal(bearer_parse(BEARER_SESSION_PREFIX, text, back),
	    RC_OK);
	assert_memory_equal(secret, back, 32);
	assert_int_equal(bearer_parse(BEARER_API_PREFIX, text, back),
	    RC_PROTO);
	/* the bits behind the last byte are zero */
	text[46]++;
	assert_int_equal(bearer_parse(BEARER_SESSION_PREFIX, text, back),
	    RC_PROTO);
	text[46] = '\0';
	assert_int_equal(bearer_parse(BEARER_SESSION_PREFIX, text, back),
	    RC_PROTO);
}

static void
the_header_token_is_of_the_session(void **state)
{
	static const uint8_t a[32] = { 1 }, b[32] = { 2 };
	char x[33], y[33];

	(void)state;
	assert_int_equal(bearer_csrf(a, x), RC_OK);
	assert_int_equal(bearer_csrf(b, y), RC_OK);
	assert_int_equal(strlen(x), 32);
	assert_string_not_equal(x, y);
}

static void
an_event_stays_on_its_lines(void **state)
{
	struct wbuf in = WBUF_INIT(1024), out = WBUF_INIT(4096);
	struct rbuf r;

	(void)state;
	wbuf_u64(&in, 7);
	wbuf_i64(&in, 1700000000);
	wbuf_str(&in, "run\nevil: x");
	wbuf_str(&in, "a/b\r\ndata: x");
	wbuf_str(&in, "\"\n\nid: 9");
	rbuf_init(&r, in.data, in.len);
	assert_int_equal(sse_event(&out, &r), RC_OK);
	wbuf_u8(&out, 0);
	assert_string_equal((char *)out.data, "id: 7\nevent: run_evil__x\n"
	    "data: {\"seq\":7,\"at\":1700000000,\"subject\":"
	    "\"a/b\\u000d\\u000adata: x\","
	    "\"detail\":\"\\\"\\u000a\\u000aid: 9\"}\n\n");
	wbuf_free(&in);
	wbuf_free(&out);
}

static void
labels_of_a_metric_are_escaped(void **state)
{
	const struct om_label l = { "client", "a\"b\\c\nd\xff" };
	struct wbuf out = WBUF_INIT(4096);

	(void)state;
	om_family(&out, "x_seconds", "seconds", "Help.");
	om_sample(&out, "x_seconds", &l, 1, 5);
	om_never(&out, "x_seconds", NULL, 0);
	om_end(&out);
	wbuf_u8(&out, 0);
	assert_string_equal((char *)out.data, "# HELP x_seconds Help.\n"
	    "# TYPE x_seconds gauge\n# UNIT x_seconds seconds\n"
	    "x_seconds{client=\"a\\\"b\\\\c\\nd\xef\xbf\xbd\"} 5\n"
	    "x_seconds +Inf\n# EOF\n");
	wbuf_free(&out);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_route_is_in_the_document_with_its_right),
		cmocka_unit_test(the_document_has_no_other_path),
		cmocka_unit_test(a_path_finds_its_handler),
		cmocka_unit_test(a_secret_has_one_spelling),
		cmocka_unit_test(the_header_token_is_of_the_session),
		cmocka_unit_test(an_event_stays_on_its_lines),
		cmocka_unit_test(labels_of_a_metric_are_escaped),
	};

	return digest_setup() == RC_OK ?
	    cmocka_run_group_tests(tests, NULL, NULL) : 1;
}
