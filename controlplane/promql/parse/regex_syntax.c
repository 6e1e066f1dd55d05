#include "controlplane/promql/parse/regex_syntax.h"

#include <string.h>

#define REPEAT_MAX 1000

struct regex {
    struct weir_promql_text text;
    uint32_t at;
    uint32_t depth;
    const char *problem;            /* of the first error */
    struct weir_promql_text around; /* the piece of the expression it names */
};

static bool alternatives(struct regex *regex);

static bool
more(const struct regex *regex)
{
    return regex->problem == NULL && regex->at < regex->text.size;
}

static char
look(const struct regex *regex, uint32_t ahead)
{
    return regex->at + ahead < regex->text.size ? regex->text.data[regex->at + ahead] : '\0';
}

/* Notes the first error: about the bytes from begin to end. Returns false. */
static bool
fail(struct regex *regex, const char *problem, uint32_t begin, uint32_t end)
{
    if (regex->problem == NULL) {
        regex->problem = problem;
        regex->around = (struct weir_promql_text){regex->text.data + begin, end - begin};
    }
    return false;
}

static uint32_t
width_at(const struct regex *regex, uint32_t at)
{
    unsigned width;
    (void)weir_promql_rune(regex->text.data + at, regex->text.size - at, &width);
    return width;
}

static int
hex_digit(char c)
{
    static const char set[] = "0123456789abcdefABCDEF";
    const char *found = c == '\0' ? NULL : strchr(set, c);
    int value = found == NULL ? -1 : (int)(found - set);
    return value > 15 ? value - 6 : value;
}

/* \x7f or \x{10ffff}, the letter at regex->at. */
static bool
hex_escape(struct regex *regex, uint32_t begin, int32_t *rune)
{
    uint32_t value = 0, count = 0;
    bool braces = look(regex, 1) == '{';
    regex->at += braces ? 2 : 1;
    while (hex_digit(look(regex, 0)) >= 0 && (braces || count < 2) && value <= 0x10ffff) {
        value = value * 16 + (uint32_t)hex_digit(look(regex, 0));
        regex->at++;
        count++;
    }
    bool good = braces ? count > 0 && value <= 0x10ffff && look(regex, 0) == '}' : count == 2;
    *rune = (int32_t)value;
    if (good) {
        regex->at += braces;
        return true;
    }
    uint32_t end = regex->at < regex->text.size ? regex->at + width_at(regex, regex->at)
                                                : regex->at;
    return fail(regex, "invalid escape sequence", begin, end);
}

/* An escape that means one character; the backslash at regex->at. */
static bool
rune_escape(struct regex *regex, int32_t *rune)
{
    static const char names[] = "aftnrv", values[] = "\a\f\t\n\r\v";
    uint32_t begin = regex->at++;
    char c = look(regex, 0);
    if (regex->at == regex->text.size)
        return fail(regex, "trailing backslash at end of expression", 0, 0);
    if (c == 'x')
        return hex_escape(regex, begin, rune);
    if (c >= '0' && c <= '7') {
        /* \1 to \7 alone would be references */
        if (c != '0' && (look(regex, 1) < '0' || look(regex, 1) > '7'))
            return fail(regex, "invalid escape sequence", begin, regex->at + 1);
        *rune = 0;
        for (int i = 0; i < 3 && look(regex, 0) >= '0' && look(regex, 0) <= '7'; i++)
            *rune = *rune * 8 + (regex->text.data[regex->at++] - '0');
        return true;
    }
    const char *found = c == '\0' ? NULL : strchr(names, c);
    bool alnum = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
    if (found == NULL && (alnum || (uint8_t)c >= 0x80))
        return fail(regex, "invalid escape sequence", begin,
            regex->at + width_at(regex, regex->at));
    *rune = found != NULL ? values[found - names] : c;
    regex->at++;
    return true;
}

/* \pL or \p{Greek}; the backslash at regex->at. Names are not looked up. */
static bool
unicode_class(struct regex *regex)
{
    uint32_t begin = regex->at;
    regex->at += 2;
    if (regex->at == regex->text.size)
        return fail(regex, "invalid character class range", begin, regex->at);
    if (look(regex, 0) != '{') {
        regex->at += width_at(regex, regex->at);
        return true;
    }
    const char *close = memchr(regex->text.data + regex->at, '}', regex->text.size - regex->at);
    if (close == NULL)
        return fail(regex, "invalid character class range", begin, regex->text.size);
    regex->at = (uint32_t)(close - regex->text.data) + 1;
    return true;
}

static bool
is_class_escape(const struct regex *regex)
{
    char c = look(regex, 1);
    return look(regex, 0) == '\\' && c != '\0' && strchr("dDsSwW", c) != NULL;
}

static bool
is_unicode_escape(const struct regex *regex)
{
    return look(regex, 0) == '\\' && (look(regex, 1) == 'p' || look(regex, 1) == 'P');
}

/* [:alpha:]; true where there is none too. */
static bool
named_class(struct regex *regex, bool *found)
{
    static const char *const names[] = {"alnum", "alpha", "ascii", "blank", "cntrl", "digit",
        "graph", "lower", "print", "punct", "space", "upper", "word", "xdigit"};
    *found = false;
    if (look(regex, 0) != '[' || look(regex, 1) != ':')
        return true;
    const char *begin = regex->text.data + regex->at;
    const char *close = memmem(begin + 2, regex->text.size - regex->at - 2, ":]", 2);
    if (close == NULL)
        return true;
    struct weir_promql_text name = {begin + 2, (uint32_t)(close - begin) - 2};
    if (name.size > 0 && name.data[0] == '^')
        name = (struct weir_promql_text){name.data + 1, name.size - 1};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        *found |= weir_promql_text_is(name, names[i]);
    uint32_t end = (uint32_t)(close + 2 - regex->text.data);
    if (!*found)
        return fail(regex, "invalid character class range", regex->at, end);
    regex->at = end;
    return true;
}

static bool
class_rune(struct regex *regex, uint32_t begin, int32_t *rune)
{
    if (regex->at == regex->text.size)
        return fail(regex, "missing closing ]", begin, regex->text.size);
    if (look(regex, 0) == '\\')
        return rune_escape(regex, rune);
    unsigned width;
    *rune = weir_promql_rune(regex->text.data + regex->at, regex->text.size - regex->at, &width);
    regex->at += width;
    return true;
}

static bool
character_class(struct regex *regex)
{
    uint32_t begin = regex->at++;
    if (look(regex, 0) == '^')
        regex->at++;
    for (bool first = true; first || look(regex, 0) != ']'; first = false) {
        uint32_t item = regex->at;
        bool found;
        if (regex->at == regex->text.size)
            return fail(regex, "missing closing ]", begin, regex->text.size);
        if (!named_class(regex, &found))
            return false;
        if (found)
            continue;
        if (is_unicode_escape(regex)) {
            if (!unicode_class(regex))
                return false;
            continue;
        }
        if (is_class_escape(regex)) {
            regex->at += 2;
            continue;
        }
        int32_t low, high;
        if (!class_rune(regex, begin, &low))
            return false;
        high = low;
        if (look(regex, 0) == '-' && regex->at + 1 < regex->text.size && look(regex, 1) != ']') {
            regex->at++;
            if (!class_rune(regex, begin, &high))
                return false;
        }
        if (high < low)
            return fail(regex, "invalid character class range", item, regex->at);
    }
    regex->at++;
    return false; /* a class takes a character */
}

/* (?P<name>, (?<name>: the parenthesis at regex->at. */
static void
group_name(struct regex *regex, uint32_t head)
{
    uint32_t begin = regex->at;
    const char *text = regex->text.data;
    const char *close = memchr(text + begin, '>', regex->text.size - begin);
    if (close == NULL) {
        (void)fail(regex, "invalid named capture", begin, regex->text.size);
        return;
    }
    struct weir_promql_text name = {text + begin + head, (uint32_t)(close - text) - begin - head};
    bool good = name.size > 0;
    for (uint32_t i = 0; i < name.size; i++)
        good &= hex_digit(name.data[i]) >= 0 || name.data[i] == '_'
            || (name.data[i] >= 'a' && name.data[i] <= 'z')
            || (name.data[i] >= 'A' && name.data[i] <= 'Z');
    regex->at = (uint32_t)(close - text) + 1;
    if (!good)
        (void)fail(regex, "invalid named capture", begin, regex->at);
}

/* The flags after (?. Returns whether a group goes on after them. */
static bool
group_flags(struct regex *regex)
{
    uint32_t begin = regex->at;
    bool negative = false, flag = false;
    for (regex->at += 2; regex->at < regex->text.size; regex->at++) {
        char c = look(regex, 0);
        if (c == 'i' || c == 'm' || c == 's' || c == 'U') {
            flag = true;
        } else if (c == '-' && !negative) {
            negative = true;
            flag = false;
        } else if (c == ':' || c == ')') {
            if (negative && !flag)
                break;
            regex->at++;
            return c == ':';
        } else {
            break;
        }
    }
    if (regex->at == regex->text.size)
        return fail(regex, "missing closing )", 0, regex->text.size);
    return fail(regex, "invalid or unsupported Perl syntax", begin,
        regex->at + width_at(regex, regex->at));
}

static bool
group(struct regex *regex)
{
    if (look(regex, 1) == '?') {
        uint32_t head = look(regex, 2) == 'P' && look(regex, 3) == '<' ? 4
            : look(regex, 2) == '<' && look(regex, 3) != '=' && look(regex, 3) != '!' ? 3 : 0;
        if (head > 0)
            group_name(regex, head);
        else if (!group_flags(regex))
            return true; /* flags alone match "" */
    } else {
        regex->at++;
    }
    if (regex->problem != NULL)
        return false;
    if (++regex->depth > WEIR_PROMQL_REGEX_DEPTH_MAX)
        return fail(regex, "expression nests too deeply", 0, regex->text.size);
    bool empty = alternatives(regex);
    regex->depth--;
    if (regex->problem == NULL && look(regex, 0) != ')')
        return fail(regex, "missing closing )", 0, regex->text.size);
    regex->at++;
    return empty;
}

static bool
escape(struct regex *regex)
{
    char c = look(regex, 1);
    int32_t rune;
    if (c == 'A' || c == 'z' || c == 'b' || c == 'B') {
        regex->at += 2;
        return c != 'b'; /* in "" no word begins or ends */
    }
    if (c == 'Q') {
        const char *begin = regex->text.data + regex->at + 2;
        const char *end = memmem(begin, regex->text.size - regex->at - 2, "\\E", 2);
        uint32_t stop = end == NULL ? regex->text.size : (uint32_t)(end - regex->text.data);
        bool empty = stop == regex->at + 2;
        regex->at = end == NULL ? stop : stop + 2;
        return empty;
    }
    if (c == 'C')
        return fail(regex, "invalid escape sequence", regex->at, regex->at + 2);
    if (is_class_escape(regex))
        regex->at += 2;
    else if (is_unicode_escape(regex))
        (void)unicode_class(regex);
    else
        (void)rune_escape(regex, &rune);
    return false;
}

static bool
atom(struct regex *regex)
{
    char c = look(regex, 0);
    switch (c) {
    case '(':
        return group(regex);
    case '[':
        return character_class(regex);
    case '\\':
        return escape(regex);
    case '^':
    case '$':
        regex->at++;
        return true;
    default:
        regex->at += width_at(regex, regex->at);
        return false;
    }
}

/* {2}, {2,} or {2,5} at regex->at; false where the brace means itself. */
static bool
repeat_count(struct regex *regex, uint32_t *least, uint32_t *most, uint32_t *end)
{
    uint32_t at = regex->at + 1, value[2] = {0, 0}, given[2] = {0, 0};
    int part = 0;
    for (; at < regex->text.size; at++) {
        char c = regex->text.data[at];
        if (c >= '0' && c <= '9') {
            if (given[part] == 1 && value[part] == 0)
                return false;
            if (value[part] <= REPEAT_MAX)
                value[part] = value[part] * 10 + (uint32_t)(c - '0');
            given[part]++;
        } else if (c == ',' && part == 0) {
            part = 1;
        } else {
            break;
        }
    }
    if (at == regex->text.size || regex->text.data[at] != '}' || given[0] == 0)
        return false;
    *least = value[0];
    *most = part == 0 ? value[0] : given[1] == 0 ? UINT32_MAX : value[1];
    *end = at + 1;
    return true;
}

/* The repetition operators after an atom. Returns whether it may occur no time at all. */
static bool
repetitions(struct regex *regex, bool empty)
{
    uint32_t before = 0;
    for (bool second = false; more(regex); second = true) {
        uint32_t begin = regex->at, end = regex->at + 1, least = 0, most = UINT32_MAX;
        char c = look(regex, 0);
        if (c == '{' ? !repeat_count(regex, &least, &most, &end)
                     : c != '*' && c != '+' && c != '?')
            break;
        if (c == '+')
            least = 1;
        if (c == '{' && (least > REPEAT_MAX || (most != UINT32_MAX && most > REPEAT_MAX)
                || most < least))
            return fail(regex, "invalid repeat count", begin, end);
        regex->at = end;
        if (look(regex, 0) == '?')
            regex->at++;
        if (second)
            return fail(regex, "invalid nested repetition operator", before, regex->at);
        before = begin;
        empty |= least == 0;
    }
    return empty;
}

static bool
alternative(struct regex *regex)
{
    bool empty = true, first = true;
    while (more(regex) && look(regex, 0) != '|' && look(regex, 0) != ')') {
        char c = look(regex, 0);
        uint32_t least, most, end = regex->at + 1;
        bool counts = c == '{' && repeat_count(regex, &least, &most, &end);
        if (first && (c == '*' || c == '+' || c == '?' || counts))
            return fail(regex, "missing argument to repetition operator", regex->at, end);
        /* atom and repetitions move regex->at in turn */
        bool one = atom(regex);
        one = repetitions(regex, one);
        empty &= one;
        first = false;
    }
    return empty;
}

static bool
alternatives(struct regex *regex)
{
    bool empty = alternative(regex);
    while (more(regex) && look(regex, 0) == '|') {
        regex->at++;
        bool one = alternative(regex);
        empty |= one;
    }
    return empty;
}

enum weir_err
weir_promql_regex_check(struct weir_promql_arena *arena, struct weir_promql_text pattern,
    bool *matches_empty, const char **problem)
{
    struct regex regex = {.text = pattern};
    *problem = NULL;
    *matches_empty = alternatives(&regex);
    if (regex.problem == NULL && regex.at < pattern.size)
        (void)fail(&regex, "unexpected )", 0, pattern.size);
    for (uint32_t i = 0, width; regex.problem == NULL && i < pattern.size; i += width) {
        unsigned taken;
        if (weir_promql_rune(pattern.data + i, pattern.size - i, &taken) == WEIR_PROMQL_RUNE_ERROR
            && taken == 1) {
            regex.problem = "invalid UTF-8";
            regex.around = pattern;
        }
        width = taken;
    }
    if (regex.problem == NULL)
        return WEIR_OK;
    *problem = regex.around.size == 0 && regex.problem[0] == 't'
        ? weir_promql_format(arena, "error parsing regexp: %s: ``", regex.problem)
        : weir_promql_format(arena, "error parsing regexp: %s: `%.*s`", regex.problem,
              (int)regex.around.size, regex.around.data);
    return *problem == NULL ? WEIR_NOMEM : WEIR_OK;
}
