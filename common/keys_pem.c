/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 *
 * PEM: blocks, and whatever text stands between them.
 */

#include "common/keys_impl.h"

#include <stdio.h>
#include <string.h>

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include "common/log.h"

#define BEGIN "-----BEGIN "

struct block {
	char *name, *header;
	unsigned char *der;
	long len;
};

static EVP_PKEY *
read_spki(const struct block *b)
{
	const unsigned char *p = b->der;
	EVP_PKEY *pkey = d2i_PUBKEY(NULL, &p, b->len);

	/* nothing behind it */
	if (pkey != NULL && p != b->der + b->len) {
		EVP_PKEY_free(pkey);
		pkey = NULL;
	}
	return pkey;
}

static EVP_PKEY *
read_pkcs1(const struct block *b)
{
	const unsigned char *p = b->der;

	return d2i_PublicKey(EVP_PKEY_RSA, NULL, &p, b->len);
}

static void
note_dates(struct keys_reader *rd, const X509 *cert)
{
	if (X509_cmp_current_time(X509_get0_notAfter(cert)) < 0)
		keys_note(rd,
		    "the certificate has expired; its key is used "
		    "all the same, as its dates do not matter here");
}

static EVP_PKEY *
read_certificate(struct keys_reader *rd, const struct block *b)
{
	const unsigned char *p = b->der;
	X509 *cert = d2i_X509(NULL, &p, b->len);
	EVP_PKEY *pkey = NULL;

	if (cert != NULL) {
		pkey = X509_get_pubkey(cert);
		note_dates(rd, cert);
	}
	X509_free(cert);
	return pkey;
}

static void
add_block(struct keys_reader *rd, const struct block *b)
{
	struct key k = { .kid = NULL };
	EVP_PKEY *pkey;

	if (strstr(b->name, "PRIVATE KEY") != NULL) {
		keys_wrong(rd,
		    "a private key does not belong here, only what verifies: "
		    "openssl pkey -in THIS -pubout; and keep the private one "
		    "where tokens are signed");
		return;
	}
	if (strcmp(b->name, "PUBLIC KEY") == 0) {
		pkey = read_spki(b);
	} else if (strcmp(b->name, "RSA PUBLIC KEY") == 0) {
		pkey = read_pkcs1(b);
	} else if (strcmp(b->name, "CERTIFICATE") == 0) {
		pkey = read_certificate(rd, b);
	} else {
		keys_wrong(rd,
		    "%s is no key; PUBLIC KEY, RSA PUBLIC KEY and "
		    "CERTIFICATE are taken",
		    log_text(b->name, strlen(b->name)));
		return;
	}
	if (pkey == NULL)
		keys_wrong(rd,
		    "%s cannot be read: it is damaged, or of an algorithm "
		    "that is not known",
		    b->name);
	else if (key_of_pkey(rd, &k, pkey))
		(void)keys_add(rd, &k);
}

/* Where the next block begins, as people count; false if there is none. */
static bool
find_block(struct keys_reader *rd, const char *text, size_t len, size_t at)
{
	const char *p,
	    *begin = memmem(text + at, len - at, BEGIN, sizeof(BEGIN) - 1);
	unsigned line = 1;

	if (begin == NULL)
		return false;
	for (p = text; p < begin; p++)
		line += *p == '\n';
	(void)snprintf(rd->which, sizeof(rd->which), "line %u", line);
	return true;
}

static size_t
read_blocks(struct keys_reader *rd, BIO *bio, const char *text, size_t len)
{
	struct block b = { .name = NULL };
	size_t n = 0;

	while (find_block(rd, text, len, len - (size_t)BIO_ctrl_pending(bio))) {
		n++;
		ERR_clear_error();
		if (PEM_read_bio(bio, &b.name, &b.header, &b.der, &b.len) !=
		    1) {
			keys_wrong(rd, "the PEM block is damaged");
			break;
		}
		add_block(rd, &b);
		OPENSSL_free(b.name);
		OPENSSL_free(b.header);
		OPENSSL_clear_free(b.der, (size_t)b.len);
	}
	ERR_clear_error();
	rd->which[0] = '\0';
	return n;
}

static const char *
what_else(const char *text, size_t len)
{
	while (len > 0 && strchr(" \t\r\n", *text) != NULL) {
		text++;
		len--;
	}
	if (len > 0 && *text == '{')
		return "it looks like a JWK set, which is for auth.jwks_file";
	if (len > 0 && *text == 0x30)
		return "it looks like DER: openssl pkey -pubin -inform DER "
		       "-in THIS";
	return "-----BEGIN PUBLIC KEY----- is expected";
}

bool
keys_add_pem(struct keys *keys, const void *text, size_t len, keys_wrong_fn fn,
    void *arg)
{
	struct keys_reader rd = { .keys = keys, .fn = fn, .arg = arg };
	BIO *bio;

	if (len > INT32_MAX || (bio = BIO_new_mem_buf(text, (int)len)) == NULL)
		fatalx("memory for keys");
	if (read_blocks(&rd, bio, text, len) == 0)
		keys_wrong(&rd, "there is no PEM block in it; %s",
		    what_else(text, len));
	BIO_free(bio);
	return !rd.failed;
}
