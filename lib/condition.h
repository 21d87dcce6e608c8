/* SPDX-License-Identifier: MIT */
/* What a group's last minute says about how it is doing. Pure; used by the model for each group. */
#ifndef BUFSCOPE_CONDITION_H
#define BUFSCOPE_CONDITION_H

#include "model.h"

/* Of a living group, after the model has taken in a sample. */
enum condition condition_of(const struct model *model, const struct model_group *group);

/* COUNT_UNKNOWN unless the level has been falling for a while, without a rise. */
uint64_t condition_empty_in_ns(const struct model *model, const struct model_group *group);

/* "calm", and its letter for narrow places; calm and idle have small ones. */
const char *condition_name(enum condition condition);
char condition_letter(enum condition condition);

#endif
