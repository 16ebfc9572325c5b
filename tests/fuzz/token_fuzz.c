#include "config.h"

#include <string.h>

#include "common/digest.h"
#include "common/rc.h"
#include "common/token.h"
#include "tests/fuzz/fuzz.h"

/*
 * First byte even: the text of a token.  Odd: a record, which gets the right
 * checksum and spelling here, since no mutation would find those.
 */

static void
parse(const char *text)
{
	char again[TOKEN_TEXT_MAX];
	struct token t;

	if (token_parse(text, &t) != RC_OK)
		return;
	MUST(token_format(&t, again) == RC_OK);
	text += strspn(text, " \t\r\n");
	MUST(strncmp(text, again, strlen(again)) == 0);
	token_clear(&t);
}

static void
spell(const uint8_t *p, size_t n, char *out)
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
	    "abcdefghijklmnopqrstuvwxyz0123456789-_";
	uint32_t bits = 0;
	int have = 0;

	for (size_t i = 0; i < n; i++) {
		bits = bits << 8 | p[i];
		for (have += 8; have >= 6; have -= 6)
			*out++ = digits[bits >> (have - 6) & 63];
	}
	if (have > 0)
		*out++ = digits[bits << (6 - have) & 63];
	*out = '\0';
}

static void
parse_record(const uint8_t *data, size_t size)
{
	uint8_t record[512 + 4];
	char text[1024] = "sg1-";
	uint32_t crc;

	if (size > 512)
		return;
	if (size > 0)
		memcpy(record, data, size);
	crc = crc32c(0, record, size);
	for (int i = 0; i < 4; i++)
		record[size + (size_t)i] = (uint8_t)(crc >> (24 - 8 * i));
	spell(record, size + 4, text + 4);
	parse(text);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text;

	if (size < 1)
		return 0;
	if (data[0] & 1) {
		parse_record(data + 1, size - 1);
		return 0;
	}
	if ((text = malloc(size)) == NULL)
		return 0;
	memcpy(text, data + 1, size - 1);
	text[size - 1] = '\0';
	parse(text);
	free(text);
	return 0;
}
