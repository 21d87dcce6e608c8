/* SPDX-License-Identifier: MIT */
/* The table of abilities, for people and for programs. */
#ifndef BUFSCOPE_DOCTOR_SELF_H
#define BUFSCOPE_DOCTOR_SELF_H

#include <stdio.h>

/* Both try every ability that was not tried yet. */
void doctor_self_table(FILE *file);
void doctor_self_json(FILE *file);

#endif
