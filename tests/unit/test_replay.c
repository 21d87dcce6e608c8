// SPDX-License-Identifier: MIT
/* Is a recording read back as it was written, and is damage of any kind noticed and survived? */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "out.h"
#include "replay.h"

static char path[] = "/tmp/bufscope-test-XXXXXX";
static const struct out_head head = {.schema = "bufscope.top/1", .kernel = "6.18"};

/* One look: a ring with a strange name and two groups, one of them legacy. */
static void look(struct model *model, uint64_t second)
{
	struct ring_rec ring = {.ring_id = 0xa,
				.tgid = 7,
				.tid = 8,
				.fd = -1,
				.uid = 1000,
				.sq_entries = 8,
				.cq_entries = 16,
				.cq_tail = 5,
				.sightings = 1,
				.setup_flags = 1U << 12 | 1U << 31,
				.seen = SEEN_FD | SEEN_TASK,
				.table_registered = REC_UNKNOWN_U32,
				.nr_groups = 2,
				.comm = "a\"\\\x1b\xe6\xbc\xa2"};
	struct group_rec groups[] = {
		{.ring_id = 0xa,
		 .kind = GROUP_INC,
		 .entries = 256,
		 .head = (__u16)(second * 30000),
		 .tail = (__u16)(second * 30000 + 99),
		 .available = 99,
		 .held = 4,
		 .buf_bytes = 4096,
		 .mem_bytes = 4096},
		{.ring_id = 0xa,
		 .bgid = 65535,
		 .kind = GROUP_LEGACY,
		 .available = 9,
		 .held = REC_UNKNOWN_U32,
		 .buf_bytes = REC_UNKNOWN_U32},
	};
	struct sample sample = {.at_ns = second * 1000000000,
				.wall_ns = second,
				.rings = &ring,
				.nr_rings = 1,
				.groups = groups,
				.nr_groups = 2,
				.losses = {[LOSS_WALK] = second}};

	assert_int_equal(model_update(model, &sample), 0);
}

/* Frames of a model's life as text, to be freed. */
static char *record(uint64_t seconds)
{
	struct model *model = model_new();
	size_t size;
	char *text = NULL;
	FILE *file = open_memstream(&text, &size);

	for (uint64_t second = 1; second <= seconds; second++) {
		look(model, second);
		out_json(file, model, &head);
	}
	fclose(file);
	model_free(model);
	return text;
}

static struct replay *open_text(const char *text)
{
	FILE *file = fopen(path, "w");

	assert_non_null(file);
	fputs(text, file);
	assert_int_equal(fclose(file), 0);
	return replay_open(path);
}

static void test_round_trip(void **state)
{
	char *written = record(5), *again = NULL;
	struct replay *replay = open_text(written);
	struct model *model = model_new();
	size_t size;
	FILE *file = open_memstream(&again, &size);

	(void)state;
	assert_non_null(replay);
	assert_int_equal(replay_nr(replay), 5);
	assert_false(replay_is_cut(replay));
	assert_string_equal(replay_kernel(replay), "6.18");
	for (size_t i = 0; i < 5; i++) {
		assert_int_equal(model_update(model, replay_frame(replay, i)), 0);
		out_json(file, model, &head);
	}
	fclose(file);
	assert_string_equal(written, again);
	assert_int_equal(replay_nr_damaged(replay), 0);
	assert_null(replay_frame(replay, 5));
	assert_int_equal(errno, EINVAL);
	model_free(model);
	replay_close(replay);
	free(written);
	free(again);
}

static void test_any_order(void **state)
{
	char *written = record(200);
	struct replay *replay = open_text(written);

	(void)state;
	assert_int_equal(replay_nr(replay), 200);
	for (size_t n = 0; n < 1000; n++) {
		size_t i = n * 37 % 200;

		assert_int_equal(replay_frame(replay, i)->at_ns, (i + 1) * 1000000000);
	}
	replay_close(replay);
	free(written);
}

static void test_damaged_line(void **state)
{
	char *written = record(3);
	struct replay *replay;

	(void)state;
	strchr(written, '\n')[1] = '['; /* the second frame is no object any more */
	replay = open_text(written);
	assert_int_equal(replay_nr(replay), 3);
	assert_non_null(replay_frame(replay, 0));
	assert_null(replay_frame(replay, 1));
	assert_int_equal(errno, EBADMSG);
	assert_null(replay_frame(replay, 1));
	assert_non_null(replay_frame(replay, 2));
	assert_int_equal(replay_nr_damaged(replay), 1);
	replay_close(replay);
	free(written);
}

static void test_cut(void **state)
{
	char *written = record(3);
	size_t length = strlen(written);
	struct replay *replay;

	(void)state;
	written[length - 1] = '\0'; /* only the line end is missing: it is whole */
	replay = open_text(written);
	assert_int_equal(replay_nr(replay), 3);
	assert_false(replay_is_cut(replay));
	replay_close(replay);
	written[length - 2] = '\0';
	replay = open_text(written);
	assert_int_equal(replay_nr(replay), 2);
	assert_true(replay_is_cut(replay));
	assert_int_equal(replay_nr_damaged(replay), 0);
	replay_close(replay);
	free(written);
}

static void test_no_recording(void **state)
{
	static const char *const texts[] = {"",
					    "\n",
					    "\n\n\n",
					    "{}",
					    "[]\n",
					    "null\n",
					    "{\"schema\":",
					    "{\"schema\":\"bufscope.limits/1\",\"rings\":[]}\n"};

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		assert_null(open_text(texts[i]));
		assert_int_equal(errno, EBADMSG);
	}
	assert_null(replay_open("/nonexistent/recording"));
	assert_int_equal(errno, ENOENT);
	assert_null(replay_open("/tmp"));
	assert_int_equal(errno, EISDIR);
	assert_null(replay_open("/dev/null"));
	assert_int_equal(errno, ESPIPE);
}

/* Every beginning of a frame, and many with a byte changed: an answer, and nothing breaks. */
static void test_hostile_bytes(void **state)
{
	char *written = record(1);
	size_t length = strlen(written);
	struct sample sample = {0};
	char kernel[REPLAY_KERNEL_LEN];
	uint32_t random = 1;

	(void)state;
	for (size_t end = 0; end < length - 1; end++)
		assert_int_equal(replay_parse(written, end, &sample, kernel), -EBADMSG);
	for (int n = 0; n < 3000; n++) {
		size_t at = (random = random * 1664525 + 1013904223) % length;
		char was = written[at];
		int err;

		written[at] = (char)(random >> 24);
		err = replay_parse(written, length, &sample, kernel);
		assert_true(err == 0 || err == -EBADMSG);
		written[at] = was;
	}
	sample_done(&sample);
	free(written);
}

static int make_path(void **state)
{
	int fd = mkstemp(path);

	(void)state;
	return fd < 0 ? -1 : close(fd);
}

static int remove_path(void **state)
{
	(void)state;
	return unlink(path);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round_trip),   cmocka_unit_test(test_any_order),
		cmocka_unit_test(test_damaged_line), cmocka_unit_test(test_cut),
		cmocka_unit_test(test_no_recording), cmocka_unit_test(test_hostile_bytes),
	};

	return cmocka_run_group_tests(tests, make_path, remove_path);
}
