// SPDX-License-Identifier: MIT
/* How is a plan written? */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <liburing.h>

#include "limits_plan.h"
#include "text.h"
#include "uapi.h"

static int parse_count(const char *value, uint64_t max, uint32_t *out)
{
	uint64_t number;
	int err = text_parse_u64(value, 0, max, &number);

	if (!err)
		*out = (uint32_t)number;
	return err;
}

static int parse_kind(const char *value, uint16_t *flags)
{
	static const struct {
		const char *name;
		uint16_t flags;
	} kinds[] = {{"ring", 0}, {"mmap", IOU_PBUF_RING_MMAP}, {"inc", IOU_PBUF_RING_INC}};

	for (size_t i = 0; i < sizeof(kinds) / sizeof(*kinds); i++) {
		if (strcmp(kinds[i].name, value) == 0) {
			*flags = kinds[i].flags;
			return 0;
		}
	}
	return -EINVAL;
}

/* "16384x64K" */
static int parse_buffers(const char *value, struct limits_plan *plan)
{
	char count[32];
	size_t len = strcspn(value, "x");
	int err;

	if (value[len] != 'x' || len >= sizeof(count))
		return -EINVAL;
	snprintf(count, sizeof(count), "%.*s", (int)len, value);
	err = parse_count(count, UINT32_MAX, &plan->buffers);
	return err ? err : text_parse_size(value + len + 1, 1, 1ULL << 40, &plan->buf_bytes);
}

static int parse_part(const char *key, const char *value, struct limits_plan *plan)
{
	if (strcmp(key, "rings") == 0)
		return parse_count(value, 1U << 20, &plan->rings);
	if (strcmp(key, "sq") == 0)
		return parse_count(value, UINT32_MAX, &plan->sq_entries);
	if (strcmp(key, "groups") == 0)
		return parse_count(value, 65536, &plan->groups);
	if (strcmp(key, "entries") == 0)
		return parse_count(value, UINT32_MAX, &plan->entries);
	if (strcmp(key, "kind") == 0)
		return parse_kind(value, &plan->flags);
	if (strcmp(key, "bufs") == 0)
		return parse_buffers(value, plan);
	return -EINVAL;
}

int limits_plan_parse(const char *text, struct limits_plan *plan, const char **bad)
{
	*plan = (struct limits_plan){.rings = 1, .sq_entries = 64, .groups = 1};
	while (*text) {
		char part[64], *value;
		size_t len = strcspn(text, ",");
		int err = -EINVAL;

		*bad = text;
		if (len >= sizeof(part))
			return -EINVAL;
		snprintf(part, sizeof(part), "%.*s", (int)len, text);
		value = strchr(part, '=');
		if (value) {
			*value++ = '\0';
			err = parse_part(part, value, plan);
		}
		if (err)
			return err;
		text += len + (text[len] == ',');
	}
	return plan->rings > 0 ? 0 : -ERANGE;
}

char *limits_plan_format(const struct limits_plan *plan, char *out, size_t size)
{
	const char *kind = plan->flags & IOU_PBUF_RING_MMAP  ? "mmap"
			   : plan->flags & IOU_PBUF_RING_INC ? "inc"
							     : "ring";
	size_t len;

	snprintf(out, size, "rings=%u,sq=%u", plan->rings, plan->sq_entries);
	len = strlen(out);
	if (plan->entries)
		snprintf(out + len, size - len, ",groups=%u,entries=%u,kind=%s", plan->groups,
			 plan->entries, kind);
	len = strlen(out);
	if (!plan->buffers)
		return out;
	if (plan->buf_bytes % 1024)
		snprintf(out + len, size - len, ",bufs=%ux%llu", plan->buffers,
			 (unsigned long long)plan->buf_bytes);
	else
		snprintf(out + len, size - len, ",bufs=%ux%lluK", plan->buffers,
			 (unsigned long long)plan->buf_bytes / 1024);
	return out;
}
