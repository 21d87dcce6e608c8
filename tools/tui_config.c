// SPDX-License-Identifier: MIT
/* What does the user like, and where is it kept? */
#include "tui_config.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define MOST_BYTES 65536
#define MOST_PATH  4096
#define VALUE      (TUI_MAX_COLUMNS * 24)

static const char *const themes[THEME_MAX] = {"dark", "light", "mono"};

void config_default(struct tui_config *config)
{
	memset(config, 0, sizeof(*config));
	tui_choice_default(&config->columns);
	config->sort = tui_column_find("state");
}

/* ---- values; each answers 0 or -EINVAL */

static int parse_columns(struct tui_config *config, const char *value)
{
	return *value && tui_choice_parse(&config->columns, value) == 0 ? 0 : -EINVAL;
}

static int parse_sort(struct tui_config *config, const char *value)
{
	config->sort = tui_column_find(value);
	return config->sort || strcmp(value, "none") == 0 ? 0 : -EINVAL;
}

static int parse_bool(bool *out, const char *value)
{
	*out = strcmp(value, "yes") == 0;
	return *out || strcmp(value, "no") == 0 ? 0 : -EINVAL;
}

static int parse_inverted(struct tui_config *config, const char *value)
{
	return parse_bool(&config->is_inverted, value);
}

static int parse_tree(struct tui_config *config, const char *value)
{
	return parse_bool(&config->is_tree, value);
}

static int parse_theme(struct tui_config *config, const char *value)
{
	for (int i = 0; i < THEME_MAX; i++) {
		if (strcmp(themes[i], value) == 0) {
			config->theme = (enum tui_theme)i;
			return 0;
		}
	}
	return -EINVAL;
}

static const struct {
	const char *key;
	int (*parse)(struct tui_config *config, const char *value);
} keys[] = {
	{"columns", parse_columns}, {"sort", parse_sort},   {"inverted", parse_inverted},
	{"tree", parse_tree},       {"theme", parse_theme},
};

#define NR_KEYS (sizeof(keys) / sizeof(keys[0]))

static void print_value(const struct tui_config *config, size_t key, char *out)
{
	switch (key) {
	case 0:
		tui_choice_print(&config->columns, out, VALUE);
		break;
	case 1:
		snprintf(out, VALUE, "%s", config->sort ? config->sort->key : "none");
		break;
	case 2:
		snprintf(out, VALUE, "%s", config->is_inverted ? "yes" : "no");
		break;
	case 3:
		snprintf(out, VALUE, "%s", config->is_tree ? "yes" : "no");
		break;
	default:
		snprintf(out, VALUE, "%s", themes[config->theme]);
		break;
	}
}

/* ---- lines */

/* A line without its newline and the blanks around; moves *text behind it. */
static void take_line(const char **text, char *line, size_t size)
{
	size_t length = strcspn(*text, "\n"), first = strspn(*text, " \t\r");
	const char *start = *text + (first < length ? first : length);
	size_t kept = (size_t)(*text + length - start);

	while (kept > 0 && strchr(" \t\r", start[kept - 1]))
		kept--;
	snprintf(line, size, "%.*s", (int)kept, start);
	*text += length + ((*text)[length] == '\n');
}

/* The key that a line sets; NR_KEYS: another one, or none. Cuts the line into key and value. */
static size_t split(char *line, char **value)
{
	char *sign = strchr(line, '=');
	size_t key = 0;

	*value = NULL;
	if (!sign || line[0] == '#')
		return NR_KEYS;
	*value = sign + 1 + strspn(sign + 1, " \t");
	while (sign > line && strchr(" \t", sign[-1]))
		sign--;
	*sign = '\0';
	while (key < NR_KEYS && strcmp(keys[key].key, line) != 0)
		key++;
	return key;
}

int config_parse(struct tui_config *config, const char *text, char *why)
{
	char line[VALUE + 64], *value;

	config_default(config);
	for (unsigned int n = 1; *text; n++) {
		size_t key;

		take_line(&text, line, sizeof(line));
		key = split(line, &value);
		if (line[0] == '\0' || line[0] == '#')
			continue;
		if (value && (key == NR_KEYS || keys[key].parse(config, value) == 0))
			continue;
		if (value)
			snprintf(why, CONFIG_WHY, "line %u: '%.40s' cannot be '%.40s'", n, line,
				 value);
		else
			snprintf(why, CONFIG_WHY, "line %u is no 'key = value'", n);
		config_default(config);
		return -EINVAL;
	}
	return 0;
}

char *config_print(const struct tui_config *config, const char *old)
{
	bool done[NR_KEYS] = {false};
	char line[VALUE + 64], value[VALUE], *text = NULL, *rest;
	size_t size, key;
	FILE *file = open_memstream(&text, &size);

	if (!file)
		return NULL;
	while (*old) {
		const char *start = old;

		take_line(&old, line, sizeof(line));
		key = split(line, &rest);
		if (key == NR_KEYS)
			fprintf(file, "%.*s\n", (int)strcspn(start, "\n"), start);
		if (key == NR_KEYS || done[key])
			continue;
		print_value(config, key, value);
		fprintf(file, "%s = %s\n", keys[key].key, value);
		done[key] = true;
	}
	for (key = 0; key < NR_KEYS; key++) {
		if (done[key])
			continue;
		print_value(config, key, value);
		fprintf(file, "%s = %s\n", keys[key].key, value);
	}
	if (fclose(file) == 0)
		return text;
	free(text);
	return NULL;
}

/* ---- the file */

/* Its directory with `name` "": 0, or -ENOENT where nobody has a home. */
static int path_of(char *out, size_t size, const char *name)
{
	const char *base = getenv("XDG_CONFIG_HOME"), *home = getenv("HOME");
	int length;

	/* What is not absolute is to be ignored. */
	if (base && base[0] == '/')
		length = snprintf(out, size, "%s/bufscope%s", base, name);
	else if (home && home[0] == '/')
		length = snprintf(out, size, "%s/.config/bufscope%s", home, name);
	else
		return -ENOENT;
	return (size_t)length < size ? 0 : -ENAMETOOLONG;
}

/* NULL with errno. */
static char *read_whole(const char *path)
{
	FILE *file = fopen(path, "re");
	char *text = file ? calloc(1, MOST_BYTES + 1) : NULL;
	int err = errno;
	size_t got;

	if (text) {
		got = fread(text, 1, MOST_BYTES, file);
		err = ferror(file) ? EIO : got == MOST_BYTES ? EFBIG : 0;
	}
	if (file)
		fclose(file);
	if (text && !err)
		return text;
	free(text);
	errno = err;
	return NULL;
}

int config_load(struct tui_config *config, char *why)
{
	char path[MOST_PATH], reason[CONFIG_WHY];
	char *text;
	int err;

	config_default(config);
	if (path_of(path, sizeof(path), "/config"))
		return 0;
	text = read_whole(path);
	if (!text) {
		err = -errno;
		snprintf(why, CONFIG_WHY, "cannot read '%.200s': %s", path, strerror(-err));
		return err == -ENOENT ? 0 : err;
	}
	err = config_parse(config, text, reason);
	if (err)
		snprintf(why, CONFIG_WHY, "%.140s: %.140s", path, reason);
	free(text);
	return err;
}

static int make_directory(void)
{
	char path[MOST_PATH];
	int err = path_of(path, sizeof(path), "");

	for (char *slash = path + 1; !err && (slash = strchr(slash, '/')); slash++) {
		*slash = '\0';
		if (mkdir(path, 0700) && errno != EEXIST)
			err = -errno;
		*slash = '/';
	}
	if (!err && mkdir(path, 0700) && errno != EEXIST)
		err = -errno;
	return err;
}

static int replace(const char *path, const char *text)
{
	char beside[MOST_PATH];
	FILE *file;
	int err = path_of(beside, sizeof(beside), "/config.new");

	file = err ? NULL : fopen(beside, "we");
	if (!file)
		return err ? err : -errno;
	if (fputs(text, file) < 0)
		err = -errno;
	if (fclose(file) && !err)
		err = -errno;
	if (!err && rename(beside, path))
		err = -errno;
	if (err)
		unlink(beside);
	return err;
}

int config_save(const struct tui_config *config, char *why)
{
	char path[MOST_PATH], *old, *text;
	int err = path_of(path, sizeof(path), "/config");

	if (err == -ENOENT)
		return 0;
	err = err ? err : make_directory();
	old = err ? NULL : read_whole(path);
	text = err ? NULL : config_print(config, old ? old : "");
	if (!err)
		err = text ? replace(path, text) : -ENOMEM;
	free(old);
	free(text);
	if (err)
		snprintf(why, CONFIG_WHY, "cannot write '%.200s': %s", path, strerror(-err));
	return err;
}
