// SPDX-License-Identifier: MIT
/* What may this user do on this kernel? Asks each question once and remembers the answer. */
#include "caps.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "caps_table.h"
#include "sample.h"

#define MOST_ABILITIES 128

static const struct caps_section *const sections[] = {
	&caps_right_section, &caps_uring_section, &caps_watch_section, &caps_function_section, NULL,
};

static struct memory {
	struct caps_answer answer;
	bool asked;
} memories[MOST_ABILITIES];

const struct caps_section *const *caps_sections(void)
{
	return sections;
}

void caps_settle(struct caps_answer *answer, int result)
{
	answer->state = result < 0 ? CAPS_NO : CAPS_YES;
	answer->error = result < 0 ? -result : 0;
}

void caps_remark(struct caps_answer *answer, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(answer->detail, sizeof(answer->detail), format, args);
	va_end(args);
}

const struct caps_answer *caps_ask(const char *key)
{
	struct memory *memory = memories;

	for (size_t s = 0; sections[s]; s++) {
		for (size_t i = 0; i < sections[s]->nr; i++, memory++) {
			const struct ability *ability = &sections[s]->abilities[i];

			if (strcmp(ability->key, key) != 0)
				continue;
			if (!memory->asked)
				ability->ask(ability, &memory->answer);
			memory->asked = true;
			return &memory->answer;
		}
	}
	return NULL;
}

bool caps_can(const char *key)
{
	const struct caps_answer *answer = caps_ask(key);

	return answer && answer->state == CAPS_YES;
}

/* The first that is not had, NULL: all are. */
static const char *lacking(const char *const *keys)
{
	while (*keys && caps_can(*keys))
		keys++;
	return *keys;
}

const char *caps_hindrance(void)
{
	static const char *const keys[] = {"btf", "bpf.read_kernel", "iter.task_file", "iter.task",
					   NULL};

	return lacking(keys);
}

enum caps_way caps_way_into(const char *function)
{
	char key[64];

	snprintf(key, sizeof(key), "fentry.%s", function);
	if (caps_can(key))
		return CAPS_BY_FENTRY;
	snprintf(key, sizeof(key), "kprobe.%s", function);
	return caps_can(key) ? CAPS_BY_KPROBE : CAPS_NO_WAY;
}

/* What is put and committed up to 6.1 by one function, later by two. */
bool caps_can_see_functions(void)
{
	static const char *const all[] = {"io_buffer_select", "io_kbuf_recycle_legacy",
					  "io_register_pbuf_ring", "io_unregister_pbuf_ring"};

	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
		if (caps_way_into(all[i]) == CAPS_NO_WAY)
			return false;
	if (caps_way_into("io_kbuf_commit") == CAPS_NO_WAY)
		return caps_way_into("__io_put_kbuf") != CAPS_NO_WAY;
	return caps_way_into("__io_put_kbufs") != CAPS_NO_WAY;
}

int caps_backend(void)
{
	static const char *const tick[] = {"perf.cpu_clock", NULL};
	static const char *const tp[] = {"tp.create",       "tp.register",
					 "tp.submit",       "tp.complete",
					 "tp.cqe_overflow", "tp.req_failed",
					 "tp.poll_arm",     NULL};

	if (caps_hindrance())
		return -EOPNOTSUPP;
	if (lacking(tick))
		return BACKEND_ITER;
	if (lacking(tp))
		return BACKEND_ITER_TICK;
	return caps_can_see_functions() ? BACKEND_ITER_TP_KBUF : BACKEND_ITER_TP;
}

const char *caps_state_name(enum caps_state state)
{
	static const char *const names[] = {
		[CAPS_UNKNOWN] = "unknown", [CAPS_NO] = "no", [CAPS_YES] = "yes"};

	return names[state];
}
