/* SPDX-License-Identifier: MIT */
/*
 * Writes a model for people (tables) and for programs (JSON), all columns from lib/fields.c.
 * Errors stay in the FILE until out_close().
 */
#ifndef BUFSCOPE_OUT_H
#define BUFSCOPE_OUT_H

#include <stdio.h>

#include "../lib/fields.h"
#include "../lib/model.h"

struct json;

#define OUT_COLUMNS 80 /* what a table tries to stay under */

/* What a document says of itself besides the model. */
struct out_head {
	const char *schema; /* "bufscope.list/1" */
	const char *kernel; /* release of the kernel that was looked at */
};

/*
 * Standard output if path is NULL. NULL after saying why it cannot be opened.
 */
FILE *out_open(const char *path);

/* 0 or an exit code, after saying what could not be written; standard output is left to main(). */
int out_close(FILE *file, const char *path);

/* "2 rings, 7 groups (iter)", and what was lost if anything. Returns out. */
char *out_summary(const struct model *model, char *out, size_t size);

/* Each living ring on a line, its groups under it. */
void out_list(FILE *file, const struct model *model);

/* A line per living group. */
void out_groups(FILE *file, const struct model *model);

/* One object on one line: everything a recording needs. */
void out_json(FILE *file, const struct model *model, const struct out_head *head);

/* What was lost, by name; null: that backend does not tell. */
void out_losses(struct json *json, const uint64_t losses[LOSS_MAX], enum sample_backend backend);

#endif
