#include "app/cli/options.h"

#include "config/keys.h"

#include <string.h>

static enum weir_err
fail_unknown(const struct weir_option *options, const char *text)
{
    const char *names[32];
    size_t count = 0;
    for (; options[count].name != NULL && count < 32; count++)
        names[count] = options[count].name;
    const char *nearest = config_nearest(text + 2, names, count);
    return weir_fail(WEIR_INVALID, 0, "unknown option %s%s%s%s", text,
        nearest != NULL ? "; is --" : "", nearest != NULL ? nearest : "",
        nearest != NULL ? " meant?" : "");
}

static enum weir_err
set_value(const struct weir_option *option, const char *value)
{
    if (value == NULL)
        return weir_fail(WEIR_INVALID, 0, "--%s: a value is missing", option->name);
    if (option->text != NULL) {
        *option->text = value;
        return WEIR_OK;
    }
    if (config_parse_count(value, 0, UINT64_MAX, option->number) != WEIR_OK)
        return weir_fail(WEIR_INVALID, 0, "--%s: '%s' is no whole number", option->name, value);
    return WEIR_OK;
}

enum weir_err
weir_options_parse(const struct weir_option *options, int argc, char **argv, const char **words,
    int *word_count)
{
    int words_max = *word_count;
    *word_count = 0;
    for (int i = 0; i < argc; i++) {
        const char *text = argv[i];
        if (strncmp(text, "--", 2) != 0) {
            if (*word_count == words_max)
                return weir_fail(WEIR_INVALID, 0, "'%s' is too much", text);
            words[(*word_count)++] = text;
            continue;
        }
        size_t size = strcspn(text + 2, "=");
        const struct weir_option *option = options;
        while (option->name != NULL &&
               (strlen(option->name) != size || strncmp(option->name, text + 2, size) != 0))
            option++;
        if (option->name == NULL)
            return fail_unknown(options, text);
        const char *value = text[2 + size] == '=' ? text + 3 + size : NULL;
        bool takes_value = option->text != NULL || option->number != NULL;
        if (!takes_value && value != NULL)
            return weir_fail(WEIR_INVALID, 0, "--%s: takes no value", option->name);
        if (option->flag != NULL)
            *option->flag = true;
        if (!takes_value)
            continue;
        if (value == NULL && i + 1 < argc && strncmp(argv[i + 1], "--", 2) != 0)
            value = argv[++i];
        enum weir_err err = set_value(option, value);
        if (err != WEIR_OK)
            return err;
    }
    return WEIR_OK;
}
