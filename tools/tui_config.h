/* SPDX-License-Identifier: MIT */
/*
 * What the user likes, kept as "key = value" lines in $XDG_CONFIG_HOME/bufscope/config. Lines with
 * other keys, comments and order survive.
 */
#ifndef BUFSCOPE_TUI_CONFIG_H
#define BUFSCOPE_TUI_CONFIG_H

#include <stdbool.h>
#include <stddef.h>

#include "tui_columns.h"

enum tui_theme { THEME_DARK, THEME_LIGHT, THEME_MONO, THEME_MAX };

struct tui_config {
	struct tui_choice columns;
	const struct tui_column *sort; /* NULL: as the model has them */
	bool is_inverted;
	bool is_tree;
	enum tui_theme theme;
};

#define CONFIG_WHY 300

void config_default(struct tui_config *config);

/*
 * 0; -EINVAL if a line is no "key = value" or a value of ours means nothing: *config is the default
 * then, and `why` (room for CONFIG_WHY bytes) tells.
 */
int config_parse(struct tui_config *config, const char *text, char *why);

/* The old text with our values in it. NULL: no memory; to be freed. */
char *config_print(const struct tui_config *config, const char *old);

/*
 * From the user's file; none is as good as an empty one. 0, or -errno after `why` was filled: then
 * the file is best left as it is.
 */
int config_load(struct tui_config *config, char *why);

/* Into the user's file, whole or not at all. 0 or -errno, `why` is filled. */
int config_save(const struct tui_config *config, char *why);

#endif
