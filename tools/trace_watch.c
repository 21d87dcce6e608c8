// SPDX-License-Identifier: MIT
/* When are breakpoints set on the tail that the user named, and what if they cannot be? */
#include "trace_watch.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "../lib/text.h"
#include "cmd.h"

int trace_watch_parse(struct trace_watch *watch, const char *text)
{
	char copy[64];
	char *fd, *bgid;
	uint64_t number[3] = {0};

	if (strlen(text) >= sizeof(copy))
		return -EINVAL;
	strcpy(copy, text);
	fd = strchr(copy, '/');
	bgid = fd ? strchr(fd, ':') : NULL;
	if (!bgid)
		return -EINVAL;
	*fd++ = '\0';
	*bgid++ = '\0';
	if (text_parse_u64(copy, 1, INT32_MAX, &number[0]) ||
	    (strcmp(fd, "-") != 0 && text_parse_u64(fd, 0, INT32_MAX, &number[1])) ||
	    text_parse_u64(bgid, 0, 65535, &number[2]))
		return -EINVAL;
	*watch = (struct trace_watch){
		.is_wanted = true,
		.tgid = (uint32_t)number[0],
		.fd = *fd == '-' ? -1 : (int32_t)number[1],
		.bgid = (uint32_t)number[2],
	};
	return 0;
}

/* -errno in words. The hint, if there is one, in *hint. */
static const char *reason(int err, const char **hint)
{
	*hint = NULL;
	switch (err) {
	case -ENOSPC:
		*hint = "a debugger or another watch may have them";
		return "a thread has none of its four breakpoints left";
	case -ENOENT:
		*hint = "watch it before it is registered";
		return "the ring's memory was not found in the process";
	case -EPERM:
	case -EACCES:
		*hint = "CAP_SYS_ADMIN is needed to find a ring that is registered already";
		return "not permitted";
	case -ENODEV:
	case -EOPNOTSUPP:
		return "this machine has no breakpoints";
	case -ENODATA:
		*hint = "a hypervisor may keep them from its guests; without --watch ticks find "
			"returns";
		return "breakpoints do not fire on this machine";
	default:
		return strerror(-err);
	}
}

static void complain(const struct trace_watch *watch, int err)
{
	const char *hint;
	const char *why = reason(err, &hint);

	cmd_error("cannot watch group %u of process %u: %s", watch->bgid, watch->tgid, why);
	cmd_hint(hint);
}

/* The number of threads or -errno. */
static int set(struct trace_watch *watch, struct observe *observe, uint64_t address)
{
	const struct observe_watch where = {.ring_id = watch->ring_id,
					    .bgid = watch->bgid,
					    .tgid = watch->tgid,
					    .address = address};
	int nr = observe_watch(observe, &where);

	watch->is_set = nr > 0;
	if (nr > 0)
		fprintf(stderr, "watching the tail of group %u in %d thread%s\n", watch->bgid, nr,
			nr == 1 ? "" : "s");
	return nr;
}

int trace_watch_begin(struct trace_watch *watch, struct observe *observe,
		      const struct sample *sample)
{
	int nr;

	if (!watch->is_wanted)
		return EXIT_OK;
	for (size_t i = 0; i < sample->nr_rings && !watch->ring_id; i++) {
		if (sample->rings[i].tgid == watch->tgid && sample->rings[i].fd == watch->fd)
			watch->ring_id = sample->rings[i].ring_id;
	}
	if (!watch->ring_id) {
		cmd_error("process %u shows no such ring", watch->tgid);
		cmd_hint("'bufscope list' shows rings as PID/FD");
		return EXIT_FAILED;
	}
	for (size_t i = 0; i < sample->nr_groups; i++) {
		if (sample->groups[i].ring_id == watch->ring_id &&
		    sample->groups[i].bgid == watch->bgid)
			watch->is_group = sample->groups[i].kind != GROUP_LEGACY;
	}
	if (!watch->is_group) {
		fprintf(stderr,
			"the ring has no buffer ring %u yet: it is watched from its "
			"registration on\n",
			watch->bgid);
		return EXIT_OK;
	}
	nr = set(watch, observe, 0);
	if (nr >= 0)
		return EXIT_OK;
	complain(watch, nr);
	return nr == -EPERM || nr == -EACCES || nr == -ENODEV || nr == -EOPNOTSUPP || nr == -ENODATA
		       ? EXIT_UNSUPPORTED
		       : EXIT_FAILED;
}

void trace_watch_note(struct trace_watch *watch, struct observe *observe,
		      const struct trace_event *event)
{
	const struct trace_rec *rec = event->rec;
	int nr;

	if (!watch->is_wanted || rec->ring_id != watch->ring_id || rec->bgid != watch->bgid ||
	    rec->res)
		return;
	if (rec->kind == TRACE_UNREGISTER) {
		observe_watch(observe, NULL);
		watch->is_group = watch->is_set = false;
	} else if (rec->kind == TRACE_REGISTER) {
		watch->is_group = true;
		watch->is_set = false;
		nr = rec->user_data ? set(watch, observe, rec->user_data) : 0;
		if (nr < 0)
			complain(watch, nr);
	}
}

bool trace_watch_is_due(const struct trace_watch *watch)
{
	return watch->is_wanted && watch->is_group && !watch->is_set;
}

void trace_watch_retry(struct trace_watch *watch, struct observe *observe)
{
	int nr = set(watch, observe, 0);

	if (nr >= 0 || nr == -ENOENT)
		return;
	complain(watch, nr);
	watch->is_wanted = false;
}
