// SPDX-License-Identifier: MIT
/* What can bufscope do here, what not, and what does that cost? */
#include "doctor_self.h"

#include <sys/utsname.h>

#include "../lib/caps.h"
#include "../lib/clock.h"
#include "../lib/sample.h"
#include "../lib/text.h"
#include "json_write.h"

/* NULL: nothing can be watched. */
static const char *backend_name(void)
{
	int backend = caps_backend();

	return backend < 0 ? NULL : sample_backend_name((enum sample_backend)backend);
}

/* "EINVAL, a remark"; "" when neither is known. Returns out. */
static char *reason(const struct caps_answer *answer, char *out, size_t size)
{
	snprintf(out, size, "%s%s%s", answer->error ? text_errno(answer->error) : "",
		 answer->error && answer->detail[0] ? ", " : "", answer->detail);
	return out;
}

static void print_ability(FILE *file, const struct ability *ability)
{
	const struct caps_answer *answer = caps_ask(ability->key);
	char why[128];

	reason(answer, why, sizeof(why));
	fprintf(file, "  %-24s %-8s %s", ability->key, caps_state_name(answer->state),
		ability->what);
	if (answer->state == CAPS_YES) {
		fprintf(file, *why ? " (%s)\n" : "\n", why);
		return;
	}
	fputc('\n', file);
	if (*why)
		fprintf(file, "%36s%s\n", "", why);
	fprintf(file, "%36scost: %s\n", "", ability->if_missing);
}

/* One way suffices; only where there is none it costs something. */
static void print_function(FILE *file, const struct ability *pair)
{
	enum caps_state fentry = caps_ask(pair[0].key)->state;
	enum caps_state kprobe = caps_ask(pair[1].key)->state;
	bool either = fentry == CAPS_YES || kprobe == CAPS_YES;

	fprintf(file, "  %-26s %-8s %-8s %s%s\n", pair->subject, caps_state_name(fentry),
		caps_state_name(kprobe),
		either ? "" : "cost: ", either ? pair->what : pair->if_missing);
}

static void print_section(FILE *file, const struct caps_section *section)
{
	if (section->is_paired)
		fprintf(file, "\n%-28s %-8s kprobe\n", section->title, "fentry");
	else
		fprintf(file, "\n%s\n", section->title);
	for (size_t i = 0; i < section->nr; i += section->is_paired ? 2 : 1) {
		if (section->is_paired)
			print_function(file, &section->abilities[i]);
		else
			print_ability(file, &section->abilities[i]);
	}
}

void doctor_self_table(FILE *file)
{
	const struct caps_section *const *sections = caps_sections();
	const char *hindrance = caps_hindrance();
	char why[128];

	if (hindrance)
		fprintf(file, "no ring can be watched: %s\n",
			reason(caps_ask(hindrance), why, sizeof(why)));
	else
		fprintf(file, "rings can be watched: %s\n", backend_name());
	for (; *sections; sections++)
		print_section(file, *sections);
}

static void text_or_null(struct json *json, const char *key, const char *text)
{
	if (text && *text)
		json_text(json, key, text);
	else
		json_null(json, key);
}

static void write_ability(struct json *json, const struct caps_section *section, size_t i)
{
	const struct ability *ability = &section->abilities[i];
	const struct caps_answer *answer = caps_ask(ability->key);

	json_open(json, NULL, '{');
	json_text(json, "key", ability->key);
	json_text(json, "section", section->title);
	json_text(json, "what", ability->what);
	json_text(json, "state", caps_state_name(answer->state));
	text_or_null(json, "errno", answer->error ? text_errno(answer->error) : NULL);
	text_or_null(json, "detail", answer->detail);
	json_text(json, "if_missing", ability->if_missing);
	json_close(json, '}');
}

void doctor_self_json(FILE *file)
{
	const struct caps_section *const *sections = caps_sections();
	struct json json = {.file = file};
	struct utsname uts = {0};

	uname(&uts);
	json_open(&json, NULL, '{');
	json_text(&json, "schema", "bufscope.doctor.self/1");
	json_text(&json, "kernel", uts.release);
	json_u64(&json, "at_ns", clock_ns(CLOCK_MONOTONIC));
	text_or_null(&json, "backend", backend_name());
	json_open(&json, "abilities", '[');
	for (; *sections; sections++)
		for (size_t i = 0; i < (*sections)->nr; i++)
			write_ability(&json, *sections, i);
	json_close(&json, ']');
	json_close(&json, '}');
	fputc('\n', file);
}
