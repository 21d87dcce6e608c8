// SPDX-License-Identifier: MIT
/* Which number does a name have? */
#include "names.h"

#include <stdlib.h>
#include <string.h>

#define MAX_NAMES 65535u
#define SLOTS     (1u << 17)

/* A text is complete before its number counts; it never changes then. */
static char *texts[MAX_NAMES + 1];
static uint32_t nr_names;
static uint16_t slots[SLOTS]; /* by hash, open addressing */

static uint32_t hash(const char *name, size_t length)
{
	uint64_t h = UINT64_C(0xcbf29ce484222325);

	for (size_t i = 0; i < length; i++)
		h = (h ^ (unsigned char)name[i]) * UINT64_C(0x100000001b3);
	return (uint32_t)(h >> 32 ^ h) & (SLOTS - 1);
}

uint16_t names_add(const char *name, size_t length)
{
	uint32_t slot = hash(name, length);

	if (!length)
		return 0;
	for (; slots[slot]; slot = (slot + 1) & (SLOTS - 1)) {
		const char *text = texts[slots[slot]];

		if (!strncmp(text, name, length) && !text[length])
			return slots[slot];
	}
	if (nr_names == MAX_NAMES)
		return 0;
	texts[nr_names + 1] = strndup(name, length);
	if (!texts[nr_names + 1])
		return 0;
	__atomic_store_n(&nr_names, nr_names + 1, __ATOMIC_RELEASE);
	slots[slot] = (uint16_t)nr_names;
	return slots[slot];
}

const char *names_text(uint32_t number)
{
	return number && number <= __atomic_load_n(&nr_names, __ATOMIC_ACQUIRE) ? texts[number]
										: NULL;
}
