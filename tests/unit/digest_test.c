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
#include "common/rc.h"

/* Compares with what a standard prints. */
static void
assert_hex(const uint8_t *p, size_t n, const char *hex)
{
	char text[3];

	assert_int_equal(strlen(hex), 2 * n);
	for (size_t i = 0; i < n; i++) {
		snprintf(text, sizeof(text), "%02x", p[i]);
		assert_memory_equal(text, hex + 2 * i, 2);
	}
}

static void
from_hex(uint8_t *p, size_t n, const char *hex)
{
	char text[3] = "";

	for (size_t i = 0; i < n; i++) {
		memcpy(text, hex + 2 * i, 2);
		p[i] = (uint8_t)strtoul(text, NULL, 16);
	}
}

static void
sha256_of_abc(void **state)
{
	static const char want[] = "ba7816bf8f01cfea414140de5dae2223"
	    "b00361a396177a9cb410ff61f20015ad";
	uint8_t out[SHA256_LEN];
	struct mac *m = mac_new_sha256();

	(void)state;
	assert_int_equal(sha256("abc", 3, out), RC_OK);
	assert_hex(out, sizeof(out), want);
	assert_non_null(m);
	for (int i = 0; i < 2; i++) {		/* the context is reusable */
		assert_int_equal(mac_begin(m), RC_OK);
		assert_int_equal(mac_add(m, "a", 1), RC_OK);
		assert_int_equal(mac_add(m, NULL, 0), RC_OK);
		assert_int_equal(mac_add(m, "bc", 2), RC_OK);
		assert_int_equal(mac_end(m, out), RC_OK);
		assert_hex(out, sizeof(out), want);
	}
	mac_free(m);
	mac_free(NULL);
	assert_int_equal(sha256("", 0, out), RC_OK);
	assert_hex(out, sizeof(out), "e3b0c44298fc1c149afbf4c8996fb924"
	    "27ae41e4649b934ca495991b7852b855");
}

/* RFC 4231, cases 1, 2 and 6 (a key longer than a block). */
static void
hmac_gives_the_standards_values(void **state)
{
	static const char big[] =
	    "Test Using Larger Than Block-Size Key - Hash Key First";
	uint8_t key[131], out[SHA256_LEN];

	(void)state;
	memset(key, 0x0b, 20);
	assert_int_equal(hmac_sha256(key, 20, "Hi There", 8, out), RC_OK);
	assert_hex(out, sizeof(out), "b0344c61d8db38535ca8afceaf0bf12b"
	    "881dc200c9833da726e9376c2e32cff7");
	assert_int_equal(hmac_sha256("Jefe", 4,
	    "what do ya want for nothing?", 28, out), RC_OK);
	assert_hex(out, sizeof(out), "5bdcc146bf60754e6a042426089575c7"
	    "5a003f089d2739839dec58b964ec3843");
	memset(key, 0xaa, sizeof(key));
	assert_int_equal(hmac_sha256(key, sizeof(key), big, sizeof(big) - 1,
	    out), RC_OK);
	assert_hex(out, sizeof(out), "60e431591ee0b67f0d8a26aacbf5b77f"
	    "8e0bc6213728c5140546040f0ee37f54");
}

static void
a_keyed_context_equals_one_shot_again_and_again(void **state)
{
	struct secret key;
	uint8_t a[SHA256_LEN], b[SHA256_LEN];
	struct mac *m;

	(void)state;
	memset(&key, 0x5a, sizeof(key));
	m = mac_new(&key);
	assert_non_null(m);
	for (size_t n = 0; n < 200; n += 13) {
		uint8_t text[200];

		memset(text, (int)n, sizeof(text));
		assert_int_equal(hmac_sha256(key.b, sizeof(key.b), text, n, a),
		    RC_OK);
		assert_int_equal(mac_begin(m), RC_OK);
		assert_int_equal(mac_add(m, text, n / 2), RC_OK);
		assert_int_equal(mac_add(m, text + n / 2, n - n / 2), RC_OK);
		assert_int_equal(mac_end(m, b), RC_OK);
		assert_memory_equal(a, b, sizeof(a));
	}
	/* What was begun and left does not get into the next. */
	assert_int_equal(mac_begin(m), RC_OK);
	assert_int_equal(mac_add(m, "left", 4), RC_OK);
	assert_int_equal(mac_begin(m), RC_OK);
	assert_int_equal(mac_end(m, b), RC_OK);
	assert_int_equal(hmac_sha256(key.b, sizeof(key.b), NULL, 0, a), RC_OK);
	assert_memory_equal(a, b, sizeof(a));
	mac_free(m);
}

/* Values by another implementation (Python's hmac). */
static void
hkdf_gives_the_standards_values(void **state)
{
	struct secret ikm, out;
	uint8_t salt[16];

	(void)state;
	for (size_t i = 0; i < sizeof(ikm.b); i++)
		ikm.b[i] = (uint8_t)i;
	for (size_t i = 0; i < sizeof(salt); i++)
		salt[i] = (uint8_t)(0x60 + i);
	assert_int_equal(hkdf_sha256(&ikm, salt, sizeof(salt), "sg1 node-id",
	    "\1\2\3", 3, &out), RC_OK);
	assert_hex(out.b, sizeof(out.b), "017aaee9506349bf56a8d62838a58e80"
	    "ec2b8b3ee4befe424c6d4b6394346473");
	assert_int_equal(hkdf_sha256(&ikm, NULL, 0, "", NULL, 0, &out), RC_OK);
	assert_hex(out.b, sizeof(out.b), "37ad29109f43265287804b674e2653d0"
	    "a513718907f97fca97c95bded8104bbf");
}

static void
scrypt_gives_the_standards_values_within_limits(void **state)
{
	struct secret out;

	(void)state;
	assert_int_equal(scrypt_derive("", 0, "", 0, 16, 1, 1, &out), RC_OK);
	assert_hex(out.b, sizeof(out.b), "77d6576238657b203b19ca42c18a0497"
	    "f16b4844e3074ae8dfdffa3fede21442");
	assert_int_equal(scrypt_derive("password", 8, "NaCl", 4, 1024, 8, 16,
	    &out), RC_OK);
	assert_hex(out.b, sizeof(out.b), "fdbabe1c9d3472007856e7190d01e9fe"
	    "7c6ad7cbc8237830e77376634b373162");
	assert_int_equal(scrypt_derive("p", 1, "s", 1, 15, 8, 1, &out),
	    RC_RANGE);
	assert_int_equal(scrypt_derive("p", 1, "s", 1, 0, 8, 1, &out),
	    RC_RANGE);
	assert_int_equal(scrypt_derive("p", 1, "s", 1, 16, 0, 1, &out),
	    RC_RANGE);
	assert_int_equal(scrypt_derive("p", 1, "s", 1, 1 << 24, 8, 1, &out),
	    RC_LIMIT);
	assert_int_equal(scrypt_derive("p", 1, "s", 1, 1ull << 63, 8, 1, &out),
	    RC_RANGE);
}

/* The GCM specification's cases 13 and 14: key and nonce all zeros. */
static void
gcm_gives_the_standards_values(void **state)
{
	static const uint8_t key[32], zeros[16];
	struct aead *a = aead_new();
	uint8_t out[16], tag[GCM_TAG_LEN];

	(void)state;
	assert_non_null(a);
	assert_int_equal(aead_seal(a, key, NULL, 0, NULL, 0, NULL, 0, out, tag),
	    RC_OK);
	assert_hex(tag, sizeof(tag), "530f8afbc74536b9a963b4f1c4cb738b");
	assert_int_equal(aead_open(a, key, NULL, 0, NULL, 0, NULL, 0, out, tag),
	    RC_OK);
	assert_int_equal(aead_seal(a, key, NULL, 0, NULL, 0, zeros, 16, out,
	    tag), RC_OK);
	assert_hex(out, sizeof(out), "cea7403d4d606b6e074ec5d3baf39d18");
	assert_hex(tag, sizeof(tag), "d0d1c8a799996bf0265b98b5d48ab919");
	aead_free(a);
	aead_free(NULL);
}

static void
a_change_anywhere_is_noticed_and_wipes(void **state)
{
	static const uint8_t zeros[100];
	uint8_t key[32], aad1[72], aad2[64], in[100], sealed[100], out[100];
	uint8_t tag[GCM_TAG_LEN];
	struct aead *a = aead_new();
	uint8_t *parts[] = { key, aad1, aad2, sealed, tag };
	size_t sizes[] = { 32, 72, 64, 100, GCM_TAG_LEN };

	(void)state;
	assert_non_null(a);
	memset(key, 1, sizeof(key));
	memset(aad1, 2, sizeof(aad1));
	memset(aad2, 3, sizeof(aad2));
	memset(in, 4, sizeof(in));
	assert_int_equal(aead_seal(a, key, aad1, 72, aad2, 64, in, 100, sealed,
	    tag), RC_OK);
	for (size_t i = 0; i < 5; i++)
		for (size_t at = 0; at < sizes[i]; at += 7) {
			parts[i][at] ^= 0x10;
			memset(out, 9, sizeof(out));
			assert_int_equal(aead_open(a, key, aad1, 72, aad2, 64,
			    sealed, 100, out, tag), RC_CRYPTO);
			assert_memory_equal(out, zeros, sizeof(out));
			parts[i][at] ^= 0x10;
		}
	assert_int_equal(aead_open(a, key, aad1, 72, aad2, 63, sealed, 100,
	    out, tag), RC_CRYPTO);
	assert_int_equal(aead_open(a, key, aad1, 72, aad2, 64, sealed, 100,
	    out, tag), RC_OK);
	assert_memory_equal(out, in, sizeof(in));
	/* In place, and with another key in between. */
	key[0] = 9;
	assert_int_equal(aead_seal(a, key, aad1, 72, NULL, 0, out, 100, out,
	    tag), RC_OK);
	assert_int_equal(aead_open(a, key, aad1, 72, NULL, 0, out, 100, out,
	    tag), RC_OK);
	assert_memory_equal(out, in, sizeof(in));
	aead_free(a);
}

/* RFC 8032 7.1, test 1 (an empty message). */
static void
ed25519_gives_the_standards_values(void **state)
{
	struct secret priv;
	uint8_t pub[ED25519_LEN], sig[ED25519_SIG_LEN];

	(void)state;
	from_hex(priv.b, sizeof(priv.b), "9d61b19deffd5a60ba844af492ec2cc4"
	    "4449c5697b326919703bac031cae7f60");
	assert_int_equal(ed25519_public(&priv, pub), RC_OK);
	assert_hex(pub, sizeof(pub), "d75a980182b10ab7d54bfed3c964073a"
	    "0ee172f3daa62325af021a68f707511a");
	assert_int_equal(ed25519_sign(&priv, "", 0, sig), RC_OK);
	assert_hex(sig, sizeof(sig), "e5564300c360ac729086e2cc806e828a"
	    "84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46b"
	    "d25bf5f0595bbe24655141438e7a100b");
	assert_int_equal(ed25519_verify(pub, "", 0, sig), RC_OK);
}

static void
a_signature_holds_for_its_text_and_key_only(void **state)
{
	struct secret priv;
	uint8_t pub[ED25519_LEN], sig[ED25519_SIG_LEN];

	(void)state;
	assert_int_equal(ed25519_new(&priv, pub), RC_OK);
	assert_int_equal(ed25519_sign(&priv, "text", 4, sig), RC_OK);
	assert_int_equal(ed25519_verify(pub, "text", 4, sig), RC_OK);
	assert_int_equal(ed25519_verify(pub, "Text", 4, sig), RC_CRYPTO);
	assert_int_equal(ed25519_verify(pub, "text", 3, sig), RC_CRYPTO);
	sig[40] ^= 1;
	assert_int_equal(ed25519_verify(pub, "text", 4, sig), RC_CRYPTO);
	sig[40] ^= 1;
	pub[3] ^= 1;
	assert_int_equal(ed25519_verify(pub, "text", 4, sig), RC_CRYPTO);
}

static void
setting_up_twice_does_no_harm(void **state)
{
	(void)state;
	assert_int_equal(digest_setup(), RC_OK);
	assert_int_equal(digest_setup(), RC_OK);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(setting_up_twice_does_no_harm),
		cmocka_unit_test(sha256_of_abc),
		cmocka_unit_test(hmac_gives_the_standards_values),
		cmocka_unit_test(
		    a_keyed_context_equals_one_shot_again_and_again),
		cmocka_unit_test(hkdf_gives_the_standards_values),
		cmocka_unit_test(
		    scrypt_gives_the_standards_values_within_limits),
		cmocka_unit_test(gcm_gives_the_standards_values),
		cmocka_unit_test(a_change_anywhere_is_noticed_and_wipes),
		cmocka_unit_test(ed25519_gives_the_standards_values),
		cmocka_unit_test(a_signature_holds_for_its_text_and_key_only),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
