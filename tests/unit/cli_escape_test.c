#include "config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "client/cli/escape.h"

static void
expect(const char *in, size_t n, bool ascii, const char *want)
{
	struct wbuf buf = WBUF_INIT(4096);

	assert_string_equal(escaped(&buf, in, n, ascii), want);
	wbuf_free(&buf);
}
#define EXPECT(in, want) expect(in, sizeof(in) - 1, false, want)

static void
plain_names_pass(void **state)
{
	(void)state;
	EXPECT("", "");
	EXPECT("/etc/fstab", "/etc/fstab");
	EXPECT("Gr\xc3\xbc\xc3\x9f" "e \xe6\x97\xa5 \xf0\x9f\x98\x80",
	    "Gr\xc3\xbc\xc3\x9f" "e \xe6\x97\xa5 \xf0\x9f\x98\x80");
}

static void
control_characters_are_shown_as_hex(void **state)
{
	(void)state;
	EXPECT("a\x1b[2Jb", "a\\x1b[2Jb");
	EXPECT("a\nb\tc\0d", "a\\x0ab\\x09c\\x00d");
	EXPECT("\x7f", "\\x7f");
	EXPECT("\xc2\x9b", "\\u{009b}");	/* C1 CSI */
}

static void
a_backslash_is_doubled(void **state)
{
	(void)state;
	EXPECT("a\\x41", "a\\\\x41");
}

static void
direction_and_invisible_characters_are_named(void **state)
{
	(void)state;
	EXPECT("a\xe2\x80\xae" "b", "a\\u{202e}b");
	EXPECT("\xe2\x81\xa6", "\\u{2066}");
	EXPECT("\xe2\x80\x8b", "\\u{200b}");
	EXPECT("\xef\xbb\xbf", "\\u{feff}");
	EXPECT("\xf3\xa0\x81\x81", "\\u{e0041}");
}

static void
bytes_that_are_not_utf8_are_shown_as_hex(void **state)
{
	(void)state;
	EXPECT("a\xff" "b", "a\\xffb");
	EXPECT("\xc0\x80", "\\xc0\\x80");		/* overlong */
	EXPECT("\xed\xa0\x80", "\\xed\\xa0\\x80");	/* surrogate */
	EXPECT("\xe6\x97", "\\xe6\\x97");		/* cut */
}

static void
an_ascii_terminal_gets_ascii(void **state)
{
	(void)state;
	expect("\xc3\xbc", 2, true, "\\u{00fc}");
}

static void
a_line_is_cut_by_columns(void **state)
{
	(void)state;
	assert_int_equal(escape_cut("abc", 2), 2);
	assert_int_equal(escape_cut("abc", 9), 3);
	assert_int_equal(escape_cut("\xc3\xbc\xc3\xbc", 1), 2);
	assert_int_equal(escape_cut("\xe6\x97\xa5\xe6\x97\xa5", 3), 3);
}

static void
sizes_and_times_read_well(void **state)
{
	char s[48];

	(void)state;
	human_bytes(0, s, sizeof(s));
	assert_string_equal(s, "0 B");
	human_bytes(1536, s, sizeof(s));
	assert_string_equal(s, "1.5 KiB");
	human_bytes(1048575, s, sizeof(s));
	assert_string_equal(s, "1.0 MiB");
	human_bytes(UINT64_MAX, s, sizeof(s));
	assert_string_equal(s, "16.0 EiB");
	human_count(1234567, s, sizeof(s));
	assert_string_equal(s, "1,234,567");
	human_count(999, s, sizeof(s));
	assert_string_equal(s, "999");
	human_seconds(3723, s, sizeof(s));
	assert_string_equal(s, "1:02:03");
	rfc3339(-1, s, sizeof(s));
	assert_string_equal(s, "1969-12-31T23:59:59.999999999Z");
	rfc3339(1500000000000000001, s, sizeof(s));
	assert_string_equal(s, "2017-07-14T02:40:00.000000001Z");
}

static void
modes_look_like_those_of_ls(void **state)
{
	char m[11];

	(void)state;
	mode_text(S_IFDIR | 01755, m);
	assert_string_equal(m, "drwxr-xr-t");
	mode_text(S_IFREG | 04644, m);
	assert_string_equal(m, "-rwSr--r--");
	mode_text(S_IFLNK | 0777, m);
	assert_string_equal(m, "lrwxrwxrwx");
	mode_text(0, m);
	assert_string_equal(m, "?---------");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(plain_names_pass),
		cmocka_unit_test(control_characters_are_shown_as_hex),
		cmocka_unit_test(a_backslash_is_doubled),
		cmocka_unit_test(direction_and_invisible_characters_are_named),
		cmocka_unit_test(bytes_that_are_not_utf8_are_shown_as_hex),
		cmocka_unit_test(an_ascii_terminal_gets_ascii),
		cmocka_unit_test(a_line_is_cut_by_columns),
		cmocka_unit_test(sizes_and_times_read_well),
		cmocka_unit_test(modes_look_like_those_of_ls),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
