// SPDX-License-Identifier: MIT
/* Is it understood what a client accepts, and where to listen? */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include <zlib.h>

#include "endpoint.h"
#include "gzip.h"
#include "http.h"

#define ROWS(table) (sizeof(table) / sizeof((table)[0]))

static void negotiation(void **state)
{
	static const struct {
		const char *accept;
		bool is_open;
	} all[] = {
		/* Prometheus 2 and 3 */
		{"application/openmetrics-text;version=1.0.0,application/openmetrics-text;"
		 "version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
		 true},
		{"application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;"
		 "encoding=delimited;q=0.6,application/openmetrics-text;version=1.0.0;escaping="
		 "allow-utf-8;q=0.5,application/openmetrics-text;version=0.0.1;q=0.4,text/plain;"
		 "version=1.0.0;q=0.3,text/plain;version=0.0.4;q=0.2,*/*;q=0.1",
		 true},
		{"application/openmetrics-text", true},
		{"Application/OpenMetrics-Text ; Version=1.0.0 ; Q=0.9", true},
		{"text/plain;q=0.5 , application/openmetrics-text;q=0.500", true},
		{"text/plain, application/openmetrics-text;q=0.9", false},
		{"application/openmetrics-text;q=0", false},
		{"application/openmetrics-text;q=0.000", false},
		{"application/openmetrics-text;version=0.0.1", false},
		{"application/openmetrics-text;version=2.0.0", false},
		{"application/openmetrics-textual", false},
		{"text/html,application/xhtml+xml,*/*;q=0.8", false},
		{"*/*", false},
		{"", false},
		{";;,,;q=,q", false},
	};

	(void)state;
	assert_false(http_wants(NULL, "gzip").openmetrics);
	for (size_t i = 0; i < ROWS(all); i++)
		if (http_wants(all[i].accept, NULL).openmetrics != all[i].is_open)
			fail_msg("'%s': %d", all[i].accept, !all[i].is_open);
}

static void encodings(void **state)
{
	static const struct {
		const char *text;
		bool takes_gzip;
	} all[] = {
		{"gzip", true},      {"deflate, GZIP;q=1.0, *;q=0.5", true},
		{"x-gzip", true},    {"br;q=1, gzip;q=0.001", true},
		{"gzip;q=0", false}, {"identity", false},
		{"gzipped", false},  {"", false},
	};

	(void)state;
	assert_false(http_wants("text/plain", NULL).gzip);
	for (size_t i = 0; i < ROWS(all); i++)
		if (http_wants(NULL, all[i].text).gzip != all[i].takes_gzip)
			fail_msg("'%s': %d", all[i].text, !all[i].takes_gzip);
}

/* Read back by the library that others read it with. */
static void packed(void **state)
{
	static char text[100000], back[sizeof(text)];
	z_stream stream = {.next_out = (unsigned char *)back, .avail_out = sizeof(back)};
	size_t length = 0;
	char *pack;

	(void)state;
	for (size_t i = 0; i < sizeof(text); i++)
		text[i] = "bufscope_group"[i * i % 14];
	pack = gzip_pack(text, sizeof(text), &length);
	assert_non_null(pack);
	assert_true(length < sizeof(text) / 10);
	assert_int_equal(inflateInit2(&stream, 15 + 16), Z_OK);
	stream.next_in = (unsigned char *)pack;
	stream.avail_in = (unsigned int)length;
	assert_int_equal(inflate(&stream, Z_FINISH), Z_STREAM_END);
	assert_int_equal(stream.total_out, sizeof(text));
	assert_memory_equal(back, text, sizeof(text));
	inflateEnd(&stream);
	free(pack);
}

/* Whatever comes, nothing behind it is read: run with a sanitizer, too. */
static void rubbish(void **state)
{
	static const char parts[] = "text/plain;,=q05.1 application/openmetrics-text version gzip";
	unsigned int seed = 1;

	(void)state;
	for (int round = 0; round < 20000; round++) {
		size_t length = (size_t)rand_r(&seed) % 60;
		char *text = malloc(length + 1); /* no byte more */

		for (size_t i = 0; i < length; i++)
			text[i] = parts[(size_t)rand_r(&seed) % (sizeof(parts) - 1)];
		text[length] = '\0';
		http_wants(text, text);
		free(text);
	}
}

static const struct {
	const char *text, *printed; /* NULL: refused */
} places[] = {
	{"127.0.0.1:10425", "http://127.0.0.1:10425"},
	{"0.0.0.0:0", "http://0.0.0.0:0"},
	{":80", "http://0.0.0.0:80"},
	{"[::1]:9", "http://[::1]:9"},
	{"[::]:65535", "http://[::]:65535"},
	{"unix:/run/b.sock", "unix:/run/b.sock"},
	{"", NULL},
	{":", NULL},
	{"10425", NULL},
	{"127.0.0.1", NULL},
	{"127.0.0.1:", NULL},
	{"127.0.0.1:65536", NULL},
	{"127.0.0.1:-1", NULL},
	{"127.0.0.1: 1", NULL},
	{"127.0.0.1:1x", NULL},
	{"127.0.0:1", NULL},
	{"256.0.0.1:1", NULL},
	{"localhost:1", NULL},
	{"::1:1", NULL},
	{"[]:1", NULL},
	{"[::1:1", NULL},
	{"[127.0.0.1]:1", NULL},
	{"[::1]1", NULL},
	{"http://127.0.0.1:1", NULL},
	{"unix:", NULL},
};

static void endpoints(void **state)
{
	struct endpoint endpoint;
	char text[ENDPOINT_TEXT], path[sizeof(endpoint.address.un.sun_path) + 8];

	(void)state;
	for (size_t i = 0; i < ROWS(places); i++) {
		int err = endpoint_parse(places[i].text, &endpoint);

		if (!err != (places[i].printed != NULL))
			fail_msg("'%s': %d", places[i].text, err);
		if (!err)
			assert_string_equal(endpoint_text(&endpoint, text), places[i].printed);
	}
	memset(path, 'a', sizeof(path));
	memcpy(path, "unix:", 5);
	path[sizeof(path) - 1] = '\0';
	assert_int_not_equal(endpoint_parse(path, &endpoint), 0);
	path[sizeof(endpoint.address.un.sun_path) + 4] = '\0';
	assert_int_equal(endpoint_parse(path, &endpoint), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(negotiation), cmocka_unit_test(rubbish),
		cmocka_unit_test(encodings),   cmocka_unit_test(packed),
		cmocka_unit_test(endpoints),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
