// SPDX-License-Identifier: MIT
/*
 * Where is the edge, and who drew it? The search assumes nothing but that all accepted values lie
 * below all refused ones.
 */
#include <errno.h>
#include <sys/resource.h>

#include "limits_kernel.h"
#include "limits_search.h"

static uint64_t next_value(const struct limits_search *s, uint64_t value)
{
	if (value == 0)
		return 1;
	if (value <= s->last / 2)
		return value * 2;
	return s->powers ? UINT64_MAX : s->last;
}

/*
 * Doubles from `value` on; *refused is the smallest value known to be refused, which need not be
 * tried again, and is lowered.
 */
static void grow(const struct limits_search *s, uint64_t value, struct limits_edge *edge,
		 uint64_t *refused)
{
	while (value < *refused && value <= s->last) {
		int err = s->try_value(s->ctx, value);

		if (err) {
			*refused = value;
			edge->err = err;
			return;
		}
		edge->any = true;
		edge->value = value;
		if (value == s->last)
			return;
		value = next_value(s, value);
	}
}

static void bisect(const struct limits_search *s, struct limits_edge *edge, uint64_t *refused)
{
	while (*refused - edge->value > 1) {
		uint64_t middle = edge->value + (*refused - edge->value) / 2;
		int err = s->try_value(s->ctx, middle);

		if (err) {
			*refused = middle;
			edge->err = err;
		} else {
			edge->value = middle;
		}
	}
}

/*
 * If the guess is right, or is one short, two or three trials are all it takes; if it is wrong, it
 * still narrows the search.
 */
static void try_guess(const struct limits_search *s, struct limits_edge *edge, uint64_t *refused)
{
	uint64_t value = s->guess;

	for (int i = 0; i < 3 && value <= s->last; i++) {
		edge->err = s->try_value(s->ctx, value);
		if (edge->err) {
			*refused = value;
			return;
		}
		edge->any = true;
		edge->value = value;
		value = s->powers ? value * 2 : value + 1;
	}
}

static struct limits_edge search_from(const struct limits_search *s, struct limits_edge edge,
				      uint64_t *refused)
{
	if (s->top_first && !edge.any) {
		edge.err = s->try_value(s->ctx, s->last);
		if (!edge.err)
			return (struct limits_edge){.any = true, .value = s->last};
		*refused = s->last;
	} else if (s->guess && !edge.any) {
		try_guess(s, &edge, refused);
	}
	grow(s, edge.any ? next_value(s, edge.value) : s->first, &edge, refused);
	if (edge.any && edge.err && !s->powers)
		bisect(s, &edge, refused);
	return edge;
}

/* The refusal may have been an after-effect of what is gone: true if it does not last. */
static bool was_transient(const struct limits_search *s, uint64_t refused)
{
	for (int i = 0; i < 2; i++) {
		limits_settle();
		if (s->try_value(s->ctx, refused) == 0)
			return true;
	}
	return false;
}

struct limits_edge limits_search(const struct limits_search *s)
{
	struct limits_edge edge = {0};

	for (int round = 0; round < 3; round++) {
		uint64_t refused = UINT64_MAX;

		edge = search_from(s, edge, &refused);
		if (edge.err != -ENOMEM || s->steady || !was_transient(s, refused))
			break;
		edge = (struct limits_edge){.any = true, .value = refused};
		if (refused == s->last)
			break;
	}
	return edge;
}

static enum limits_bound blame_nomem(const struct limits_search *s, const struct limits_edge *edge)
{
	struct rlimit was, none;
	int err;

	if (!edge->any || getrlimit(RLIMIT_MEMLOCK, &was) < 0)
		return LIMITS_BY_UNKNOWN;
	none = (struct rlimit){.rlim_cur = 0, .rlim_max = was.rlim_max};
	if (setrlimit(RLIMIT_MEMLOCK, &none) < 0)
		return LIMITS_BY_UNKNOWN;
	err = s->try_value(s->ctx, edge->value);
	setrlimit(RLIMIT_MEMLOCK, &was);
	return err == -ENOMEM ? LIMITS_BY_MEMLOCK : LIMITS_BY_MEMORY;
}

enum limits_bound limits_blame(const struct limits_search *s, const struct limits_edge *edge)
{
	switch (-edge->err) {
	case 0:
		return s->last_by;
	case ENOMEM:
		return blame_nomem(s, edge);
	case EMFILE:
		return LIMITS_BY_NOFILE;
	case EPERM:
	case EACCES:
		return LIMITS_BY_PRIVILEGE;
	default:
		return LIMITS_BY_KERNEL;
	}
}

void limits_answer_found(const struct limits_search *s, const struct limits_edge *edge,
			 struct limits_answer *answer)
{
	answer->errno_past = -edge->err;
	/* Nothing at all fits: that is zero, unless zero itself was tried. */
	answer->has_value = edge->any || (edge->err == -ENOMEM && s->first > 0);
	answer->value = edge->value;
	answer->bound_by = limits_blame(s, edge);
	answer->how = answer->has_value ? LIMITS_TRIED : LIMITS_ABSENT;
}

void limits_answer_edge(const struct limits_search *s, struct limits_answer *answer)
{
	struct limits_edge edge = limits_search(s);

	limits_answer_found(s, &edge, answer);
}
