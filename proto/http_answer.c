/*
 * Copyright (c) 2026 The chatd authors
 * SPDX-License-Identifier: ISC
 */

#include "proto/http.h"

#include <stdio.h>

#include "proto/put.h"

const char *
http_reason(int status)
{
	static const struct {
		int status;
		const char *reason;
	} reasons[] = {
		{ 101, "Switching Protocols" },
		{ 200, "OK" },
		{ 204, "No Content" },
		{ 304, "Not Modified" },
		{ 400, "Bad Request" },
		{ 403, "Forbidden" },
		{ 404, "Not Found" },
		{ 405, "Method Not Allowed" },
		{ 408, "Request Timeout" },
		{ 413, "Payload Too Large" },
		{ 414, "URI Too Long" },
		{ 417, "Expectation Failed" },
		{ 426, "Upgrade Required" },
		{ 429, "Too Many Requests" },
		{ 431, "Request Header Fields Too Large" },
		{ 500, "Internal Server Error" },
		{ 501, "Not Implemented" },
		{ 503, "Service Unavailable" },
		{ 505, "HTTP Version Not Supported" },
	};
	size_t i;

	for (i = 0; i < sizeof(reasons) / sizeof(reasons[0]); i++)
		if (reasons[i].status == status)
			return reasons[i].reason;
	return "Unknown";
}

static void
put_field(struct put *w, const char *name, const char *value)
{
	put_text(w, name);
	put_text(w, ": ");
	put_text(w, value);
	put_text(w, "\r\n");
}

/* As Node writes them: the timeout belongs to a connection that is kept. */
static void
put_connection(struct put *w, const struct http_response *res)
{
	put_field(w, "Connection", res->close ? "close" : "keep-alive");
	if (res->close || res->keep_alive == 0)
		return;
	put_text(w, "Keep-Alive: timeout=");
	put_u64(w, res->keep_alive);
	put_text(w, "\r\n");
}

size_t
http_respond(char *buf, size_t size, const struct http_response *res)
{
	/* RFC 9110 8.6: no length where there can be no body */
	bool bodyless =
	    res->status < 200 || res->status == 204 || res->status == 304;
	struct put w = { buf, size, 0 };

	put_text(&w, "HTTP/1.1 ");
	put_u64(&w, (uint64_t)res->status);
	put_char(&w, ' ');
	put_text(&w, http_reason(res->status));
	put_text(&w, "\r\n");
	if (res->date != NULL)
		put_field(&w, "Date", res->date);
	if (res->type != NULL)
		put_field(&w, "Content-Type", res->type);
	if (!bodyless) {
		put_text(&w, "Content-Length: ");
		put_u64(&w, res->body_len);
		put_text(&w, "\r\n");
	}
	if (res->headers != NULL)
		put_text(&w, res->headers);
	if (res->status >= 200)
		put_connection(&w, res);
	put_text(&w, "\r\n");
	if (!bodyless && !res->head_only)
		put_bytes(&w, res->body, res->body_len);
	return w.len <= size ? w.len : 0;
}

size_t
http_refuse(char *buf, size_t size, int status)
{
	const struct http_response res = {
		.status = status,
		.close = true,
	};

	return http_respond(buf, size, &res);
}

size_t
http_busy(char *buf, size_t size, unsigned retry_after)
{
	char headers[40];
	const struct http_response res = {
		.status = 503,
		.close = true,
		.headers = headers,
	};

	(void)snprintf(headers, sizeof(headers), "Retry-After: %u\r\n",
	    retry_after);
	return http_respond(buf, size, &res);
}

void
http_date(char buf[HTTP_DATE_SIZE], int64_t unix_seconds)
{
	static const char days[] = "ThuFriSatSunMonTueWed";
	static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
	/* 9999-12-31T23:59:59 */
	const int64_t last = INT64_C(253402300799);
	uint32_t day, second, era_day, year_day, year, month;

	if (unix_seconds < 0)
		unix_seconds = 0;
	if (unix_seconds > last)
		unix_seconds = last;
	day = (uint32_t)(unix_seconds / 86400);
	second = (uint32_t)(unix_seconds % 86400);
	/*
	 * Years begin in March here, so that the leap day is their last, and
	 * are counted in eras of 400; day 0 is the first of March of year 0.
	 */
	era_day = (day + 719468) % 146097;
	year = (era_day - era_day / 1460 + era_day / 36524 - era_day / 146096) /
	    365;
	year_day = era_day - (365 * year + year / 4 - year / 100);
	month = (5 * year_day + 2) / 153;
	(void)snprintf(buf, HTTP_DATE_SIZE,
	    "%.3s, %02u %.3s %04u %02u:%02u:%02u GMT", days + day % 7 * 3,
	    year_day - (153 * month + 2) / 5 + 1, months + (month + 2) % 12 * 3,
	    (year + (day + 719468) / 146097 * 400 + (month >= 10)) % 10000,
	    second / 3600, second / 60 % 60, second % 60);
}
