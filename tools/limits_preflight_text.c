// SPDX-License-Identifier: MIT
/* How is a preflight told: will it fit, did it, what would? */
#include <inttypes.h>
#include <json-c/json.h>
#include <sys/utsname.h>

#include "../lib/clock.h"
#include "../lib/text.h"
#include "limits_report.h"

static const char *part_name(enum limits_part part)
{
	static const char *const names[] = {
		[PART_NONE] = "nothing",
		[PART_RING] = "the ring",
		[PART_GROUP] = "a group",
		[PART_BUFFERS] = "the buffers",
	};

	return names[part];
}

static const char *yes_no(bool fits)
{
	return fits ? "fits" : "does not fit";
}

static void print_forecast(const struct limits_forecast *f, FILE *out)
{
	char need[16], used[16], limit[16];

	if (f->memlock_applies) {
		uint64_t room =
			f->memlock_limit > f->memlock_used ? f->memlock_limit - f->memlock_used : 0;

		text_bytes(need, sizeof(need), f->memlock_need);
		text_bytes(used, sizeof(used), f->memlock_used);
		text_bytes(limit, sizeof(limit), f->memlock_limit);
		fprintf(out, "memlock   %s needed, %s of %s used: %s\n", need, used, limit,
			yes_no(f->memlock_need <= room));
	} else {
		fprintf(out, "memlock   does not apply to this user\n");
	}
	text_bytes(need, sizeof(need), f->memory_need);
	text_bytes(limit, sizeof(limit), f->memory_free);
	fprintf(out, "memory    %s needed, %s available: %s\n", need, limit,
		yes_no(f->memory_need <= f->memory_free));
	if (f->err)
		fprintf(out, "kernel    refuses %s with %s even alone\n", part_name(f->err_part),
			text_errno(f->err));
	else if (f->register_ns)
		fprintf(out, "cost      about %s to register\n",
			text_span(need, sizeof(need), f->register_ns));
}

static void print_outcome(const struct limits_outcome *o, FILE *out)
{
	const char *how = o->shared_pages ? ", buffers laid over each other" : "";
	char span[16];

	if (!o->tried)
		fprintf(out, "tried     no: more than --max-memory allows\n");
	else if (o->err)
		fprintf(out, "tried     %s of ring %u: %s%s\n", part_name(o->part), o->ring + 1,
			text_errno(o->err), how);
	else
		fprintf(out, "tried     all of it registered in %s%s\n",
			text_span(span, sizeof(span), o->register_ns), how);
}

void limits_preflight_text(const struct limits_preflight *p, FILE *out)
{
	char plan[160];

	fprintf(out, "plan      %s\n", limits_plan_format(&p->plan, plan, sizeof(plan)));
	print_forecast(&p->forecast, out);
	print_outcome(&p->outcome, out);
	if (p->has_largest && p->largest.rings == 0)
		fprintf(out, "largest   not even one ring of this shape\n");
	else if (p->has_largest)
		fprintf(out, "largest   %s\n", limits_plan_format(&p->largest, plan, sizeof(plan)));
	fprintf(out, "so        the plan %s\n", yes_no(p->forecast.fits && p->outcome.err == 0));
}

static void put_text(struct json_object *j, const char *key, const char *text)
{
	json_object_object_add(j, key, text ? json_object_new_string(text) : NULL);
}

static void put_number(struct json_object *j, const char *key, bool known, uint64_t value)
{
	json_object_object_add(j, key, known ? json_object_new_uint64(value) : NULL);
}

static void put_plan(struct json_object *j, const char *key, const struct limits_plan *plan)
{
	char text[160];

	put_text(j, key, plan ? limits_plan_format(plan, text, sizeof(text)) : NULL);
}

static struct json_object *forecast_to_json(const struct limits_forecast *f)
{
	struct json_object *j = json_object_new_object();

	json_object_object_add(j, "fits", json_object_new_boolean(f->fits));
	put_number(j, "memlock_need_bytes", f->memlock_applies, f->memlock_need);
	put_number(j, "memlock_used_bytes", f->memlock_applies, f->memlock_used);
	put_number(j, "memlock_limit_bytes", f->memlock_applies, f->memlock_limit);
	put_number(j, "memory_need_bytes", true, f->memory_need);
	put_number(j, "memory_available_bytes", true, f->memory_free);
	put_number(j, "register_ns", f->register_ns > 0, f->register_ns);
	put_text(j, "errno", f->err ? text_errno(f->err) : NULL);
	return j;
}

static struct json_object *outcome_to_json(const struct limits_outcome *o)
{
	struct json_object *j = json_object_new_object();

	json_object_object_add(j, "tried", json_object_new_boolean(o->tried));
	json_object_object_add(j, "fits", o->tried ? json_object_new_boolean(o->err == 0) : NULL);
	put_text(j, "errno", o->err ? text_errno(o->err) : NULL);
	put_text(j, "refused", o->err ? part_name(o->part) : NULL);
	put_number(j, "ring", o->err, o->ring);
	put_number(j, "register_ns", o->tried && !o->err, o->register_ns);
	json_object_object_add(j, "shared_pages", json_object_new_boolean(o->shared_pages));
	return j;
}

void limits_preflight_json(const struct limits_preflight *p, FILE *out)
{
	struct json_object *doc = json_object_new_object(), *j = json_object_new_object();
	struct utsname uts;

	uname(&uts);
	put_text(doc, "schema", "bufscope.limits/1");
	put_text(doc, "kernel", uts.release);
	put_number(doc, "at_ns", true, clock_ns(CLOCK_MONOTONIC));
	put_plan(j, "plan", &p->plan);
	json_object_object_add(j, "fits",
			       json_object_new_boolean(p->forecast.fits && p->outcome.err == 0));
	json_object_object_add(j, "forecast", forecast_to_json(&p->forecast));
	json_object_object_add(j, "outcome", outcome_to_json(&p->outcome));
	put_plan(j, "largest", p->has_largest && p->largest.rings ? &p->largest : NULL);
	json_object_object_add(doc, "preflight", j);
	fprintf(out, "%s\n",
		json_object_to_json_string_ext(doc, JSON_C_TO_STRING_PRETTY |
							    JSON_C_TO_STRING_NOSLASHESCAPE));
	json_object_put(doc);
}
