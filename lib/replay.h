/* SPDX-License-Identifier: MIT */
/*
 * A recording, read back: the lines that `bufscope top -b -j` wrote become the samples they came
 * from, with all totals. What is damaged is counted and left out, whatever it is.
 */
#ifndef BUFSCOPE_REPLAY_H
#define BUFSCOPE_REPLAY_H

#include <stdbool.h>
#include <stddef.h>

#include "sample.h"

struct replay;

#define REPLAY_KERNEL_LEN 65

/*
 * Opens a recording: a regular file with at least one whole frame. NULL with errno; EBADMSG: there
 * is none in it.
 */
struct replay *replay_open(const char *path);

/* NULL is accepted. */
void replay_close(struct replay *replay);

/* Frames, those included that will turn out to be damaged. */
size_t replay_nr(const struct replay *replay);

/* Whether the file ends within a frame. */
bool replay_is_cut(const struct replay *replay);

/* Damaged lines met so far. */
size_t replay_nr_damaged(const struct replay *replay);

/* Release of the kernel that was recorded. */
const char *replay_kernel(const struct replay *replay);

/*
 * Frame `index` as a sorted sample, valid until the next call. Those asked for lately are kept, so
 * that stepping back is cheap. NULL with errno: EBADMSG (damaged), ENOMEM, or what reading
 * answered.
 */
const struct sample *replay_frame(struct replay *replay, size_t index);

/*
 * One line as a sample. *sample is zeroed or was filled by this function; on failure it is empty.
 * `kernel` has room for REPLAY_KERNEL_LEN bytes. 0, -EBADMSG or -ENOMEM.
 */
int replay_parse(const char *line, size_t length, struct sample *sample, char *kernel);

#endif
