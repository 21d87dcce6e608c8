// SPDX-License-Identifier: MIT
/* What does a recording of `top -b -j` tell? */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "../lib/model.h"
#include "doctor.h"
#include "watch.h"

/* What another frame told last of the same group, with the latest numbers. 0 or -ENOMEM. */
static int keep(struct diagnosis *all, const struct finding *finding)
{
	struct finding *more;

	for (size_t i = 0; i < all->nr; i++) {
		struct finding *old = &all->findings[i];

		if (old->ring_id != finding->ring_id || old->bgid != finding->bgid)
			continue;
		/* a cause that shows with more numbers takes the place of the first guess */
		if (old->complaint == finding->complaint ||
		    (old->confidence == CONFIDENCE_POSSIBLE &&
		     finding->confidence == CONFIDENCE_POSSIBLE)) {
			*old = *finding;
			return 0;
		}
	}
	more = realloc(all->findings, (all->nr + 1) * sizeof(*more));
	if (!more)
		return -ENOMEM;
	all->findings = more;
	more[all->nr++] = *finding;
	return 0;
}

static int examine(struct consultation *c, const struct model *model)
{
	struct diagnosis now;
	int err = diagnose_model(model, &now);

	for (size_t i = 0; !err && i < now.nr; i++)
		err = keep(&c->diagnosis, &now.findings[i]);
	diagnosis_done(&now);
	return err;
}

static int play(struct watch *watch, struct consultation *c)
{
	bool is_first = true;
	int code = EXIT_OK;

	while (!code && !watch_is_over(watch)) {
		code = watch_look(watch);
		if (code || !watch->is_fresh)
			continue;
		if (is_first)
			casebook_init(&c->book, watch->sample.at_ns);
		is_first = false;
		casebook_sample(&c->book, &watch->sample);
		c->backend = watch->sample.backend;
		memcpy(c->blind.losses, watch->sample.losses, sizeof(c->blind.losses));
		if (examine(c, watch_model(watch))) {
			cmd_error("out of memory");
			code = EXIT_FAILED;
		}
	}
	return code;
}

int doctor_replay(const struct doctor_opts *opts, struct consultation *c)
{
	const struct watch_opts how = {.target = &opts->target, .replay = opts->replay};
	struct watch watch;
	int code;

	memset(c, 0, sizeof(*c));
	code = watch_open(&watch, &how);
	if (code)
		return code;
	code = play(&watch, c);
	watch_close(&watch);
	c->blind.no_events = true;
	c->blind.no_starves = c->backend < BACKEND_ITER_TP;
	return code;
}
