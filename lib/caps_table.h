/* SPDX-License-Identifier: MIT */
/* The sections of the table of abilities, and how their answers are put. */
#ifndef BUFSCOPE_CAPS_TABLE_H
#define BUFSCOPE_CAPS_TABLE_H

#include "caps.h"

extern const struct caps_section caps_right_section;
extern const struct caps_section caps_uring_section;
extern const struct caps_section caps_watch_section;
extern const struct caps_section caps_function_section;

#define CAPS_NR(array) (sizeof(array) / sizeof(*(array)))

/* Yes for 0 and more, no for -errno. */
void caps_settle(struct caps_answer *answer, int result);

void caps_remark(struct caps_answer *answer, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

#endif
