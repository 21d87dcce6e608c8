/* SPDX-License-Identifier: MIT */
/*
 * Names of pools as numbers, so that a record of fixed size can carry one. What was named once
 * keeps its number until the process ends. Any thread may ask; one at a time may add.
 */
#ifndef BUFSCOPE_NAMES_H
#define BUFSCOPE_NAMES_H

#include <stddef.h>
#include <stdint.h>

/*
 * The number of a name of `length` bytes, without its NUL: 1 ... 65535; 0 for an empty one, or
 * where there is no more room (memory, or numbers).
 */
uint16_t names_add(const char *name, size_t length);

/* As it was added, for the reader to escape. NULL: 0, or never given away. */
const char *names_text(uint32_t number);

#endif
