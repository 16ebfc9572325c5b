#include "config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>
#include <cmocka.h>

#include "common/num.h"
#include "common/rc.h"
#include "privsep/roles.h"
#include "privsep/sandbox.h"

static void
every_role_has_a_title_and_a_name(void **state)
{
#define X(name, number, text)						\
	if ((number) != 0) {						\
		assert_non_null(role_info(ROLE_##name));		\
		assert_true(strlen(role_info(ROLE_##name)->title) < 16); \
		assert_string_equal(role_name(ROLE_##name), text);	\
	}
	ROLES(X)
#undef X
	(void)state;
}

static void
what_is_no_role_is_nothing(void **state)
{
	(void)state;
	assert_null(role_info(ROLE_NONE));
	assert_null(role_info((enum role)6));
	assert_null(role_info((enum role)ROLE_MAX));
	assert_null(role_info((enum role)-1));
	assert_string_equal(role_name((enum role)99), "?");
}

static void
every_started_role_has_a_profile_with_reasons(void **state)
{
	const struct sbx_profile *p;
	unsigned int r;
	size_t i;

	(void)state;
	for (r = 0; r < ROLE_MAX; r++) {
		if (role_info((enum role)r) == NULL ||
		    role_info((enum role)r)->program == NULL)
			continue;
		p = sandbox_profile((enum role)r);
		assert_non_null(p);
		for (i = 0; i < p->n; i++) {
			assert_non_null(p->rules[i].name);
			assert_non_null(p->rules[i].reason);
			assert_true(p->rules[i].reason[0] != '\0');
		}
	}
}

static void
server_roles_keep_no_capability(void **state)
{
	static const enum role server[] = { ROLE_LOGGER, ROLE_LISTENER,
	    ROLE_SESSION, ROLE_API, ROLE_KEYD, ROLE_AUTH, ROLE_STORE,
	    ROLE_CONFPARSE };
	size_t i;

	(void)state;
	for (i = 0; i < NITEMS(server); i++)
		assert_int_equal(role_info(server[i])->keep_caps, 0);
}

static void
a_base_gives_each_role_its_own_number(void **state)
{
	uid_t uid;
	gid_t gid;

	(void)state;
	assert_int_equal(role_ids(ROLE_STORE, 61000, &uid, &gid), RC_OK);
	assert_int_equal(uid, 61010);
	assert_int_equal(gid, 61010);
	assert_int_equal(role_ids(ROLE_COMMAND, 61000, &uid, &gid), RC_OK);
	assert_int_equal(uid, getuid());
	assert_int_equal(role_ids(ROLE_STORE, UINT32_MAX, &uid, &gid),
	    RC_RANGE);
	assert_int_equal(role_ids((enum role)6, 61000, &uid, &gid), RC_RANGE);
}

static void
a_range_with_a_passwd_entry_is_refused_by_name(void **state)
{
	char who[32] = "";

	(void)state;
	/* root is uid 0: a range that begins there */
	assert_int_equal(role_ids_check(UINT32_MAX, who, sizeof(who)),
	    RC_CONFIG);
	assert_string_equal(who, "root");
	assert_int_equal(role_ids_check(1999999000, who, sizeof(who)), RC_OK);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_role_has_a_title_and_a_name),
		cmocka_unit_test(what_is_no_role_is_nothing),
		cmocka_unit_test(
		    every_started_role_has_a_profile_with_reasons),
		cmocka_unit_test(server_roles_keep_no_capability),
		cmocka_unit_test(a_base_gives_each_role_its_own_number),
		cmocka_unit_test(
		    a_range_with_a_passwd_entry_is_refused_by_name),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
