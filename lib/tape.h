/* SPDX-License-Identifier: MIT */
/*
 * The last looks of a model, so that a moment of them can be shown again. Pure memory, bounded in
 * number and in bytes.
 */
#ifndef BUFSCOPE_TAPE_H
#define BUFSCOPE_TAPE_H

#include <stddef.h>

#include "model.h"

#define TAPE_FRAMES MODEL_HISTORY
#define TAPE_BYTES  (64U << 20)

struct tape {
	struct sample frames[TAPE_FRAMES]; /* oldest first */
	size_t nr;
	size_t bytes;
};

/*
 * What lives in the model, with all its totals, as a sample that stands for itself. *sample is
 * zeroed or was filled by this function. 0 or -ENOMEM.
 */
int tape_export(const struct model *model, struct sample *sample);

/* Adds what the model shows now; forgets the oldest where there is no room. 0 or -ENOMEM. */
int tape_add(struct tape *tape, const struct model *model);

/*
 * A new model of the moment `back` frames ago (0: the last one added), which has lived through all
 * frames before. NULL with errno: ENOMEM, or ENOENT if it is not on the tape.
 */
struct model *tape_model(const struct tape *tape, size_t back);

void tape_done(struct tape *tape);

#endif
