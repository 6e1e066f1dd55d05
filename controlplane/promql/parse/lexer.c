#include "controlplane/promql/parse/lexer.h"

#include <string.h>
#include <strings.h>

/* Three states, as in the reference: between tokens, inside braces, and inside brackets while a
 * duration expression goes on. A number or a string inside brackets leaves the third state. */

static const char decimal[] = "0123456789", hexadecimal[] = "0123456789abcdefABCDEF";

static bool
is_space(int32_t rune)
{
    return rune == ' ' || rune == '\t' || rune == '\n' || rune == '\r';
}

static bool
is_digit(int32_t rune)
{
    return rune >= '0' && rune <= '9';
}

static bool
is_alpha(int32_t rune)
{
    return rune == '_' || (rune >= 'a' && rune <= 'z') || (rune >= 'A' && rune <= 'Z');
}

static int32_t
next(struct weir_promql_lexer *lexer)
{
    int32_t rune = weir_promql_rune(lexer->text + lexer->position, lexer->size - lexer->position,
        &lexer->width);
    lexer->position += lexer->width;
    return rune;
}

static void
backup(struct weir_promql_lexer *lexer)
{
    lexer->position -= lexer->width;
}

static int32_t
peek(const struct weir_promql_lexer *lexer)
{
    unsigned width;
    return weir_promql_rune(lexer->text + lexer->position, lexer->size - lexer->position, &width);
}

static bool
is(const struct weir_promql_lexer *lexer, const char *set)
{
    int32_t rune = peek(lexer);
    return rune > 0 && rune < 0x80 && strchr(set, rune) != NULL;
}

static bool
accept(struct weir_promql_lexer *lexer, const char *set)
{
    bool found = is(lexer, set);
    lexer->position += found;
    return found;
}

static struct weir_promql_item
emit(struct weir_promql_lexer *lexer, enum weir_promql_token kind)
{
    struct weir_promql_item item = {kind,
        {(int32_t)lexer->start, (int32_t)lexer->position},
        {lexer->text + lexer->start, (uint32_t)(lexer->position - lexer->start)}};
    lexer->start = lexer->position;
    return item;
}

static struct weir_promql_item
fail(struct weir_promql_lexer *lexer, const char *message)
{
    lexer->ended = true;
    lexer->starved = message == NULL;
    if (message == NULL)
        message = "";
    return (struct weir_promql_item){WEIR_PROMQL_ERROR,
        {(int32_t)lexer->start, (int32_t)lexer->size}, {message, (uint32_t)strlen(message)}};
}

static struct weir_promql_item
fail_rune(struct weir_promql_lexer *lexer, const char *message, int32_t rune)
{
    const char *shown = weir_promql_quoted_rune(lexer->arena, rune);
    return fail(lexer, shown == NULL ? NULL : weir_promql_format(lexer->arena, "%s: %s", message,
        shown));
}

static struct weir_promql_item
fail_mark(struct weir_promql_lexer *lexer, const char *message, int32_t rune)
{
    const char *shown = weir_promql_quoted_rune(lexer->arena, rune);
    return fail(lexer, shown == NULL ? NULL : weir_promql_format(lexer->arena, "%s %s", message,
        shown));
}

/* Reads the character after a backslash. Returns NULL, or a text that says why it is wrong. */
static const char *
escape_problem(struct weir_promql_lexer *lexer, int32_t quote)
{
    int32_t rune = next(lexer);
    unsigned count, base;
    uint32_t most = 0x10ffff, value = 0;
    if (rune == quote || (rune > 0 && rune < 0x80 && strchr("abfnrtv\\", rune) != NULL))
        return NULL;
    if (rune >= '0' && rune <= '7') {
        count = 3, base = 8, most = 255;
    } else if (rune == 'x') {
        count = 2, base = 16, most = 255;
    } else if (rune == 'u' || rune == 'U') {
        count = rune == 'u' ? 4 : 8, base = 16;
    } else if (rune == WEIR_PROMQL_RUNE_EOF) {
        return "escape sequence not terminated";
    } else {
        const char *name = weir_promql_rune_name(lexer->arena, rune);
        return name == NULL ? "" : weir_promql_format(lexer->arena, "unknown escape sequence %s",
            name);
    }
    if (base == 16)
        rune = next(lexer);
    for (; count > 0; count--) {
        const char *found = rune > 0 && rune < 0x80 ? strchr(hexadecimal, rune) : NULL;
        unsigned digit = found == NULL ? 16 : (unsigned)(found - hexadecimal);
        digit = digit > 15 && found != NULL ? digit - 6 : digit;
        if (digit >= base && rune == WEIR_PROMQL_RUNE_EOF)
            return "escape sequence not terminated";
        if (digit >= base) {
            const char *name = weir_promql_rune_name(lexer->arena, rune);
            return name == NULL ? "" : weir_promql_format(lexer->arena,
                "illegal character %s in escape sequence", name);
        }
        value = value * base + digit;
        if (count > 1)
            rune = next(lexer);
    }
    if (value > most || (value >= 0xd800 && value < 0xe000))
        return "escape sequence is an invalid Unicode code point";
    return NULL;
}

static struct weir_promql_item
string(struct weir_promql_lexer *lexer, int32_t quote)
{
    for (;;) {
        int32_t rune = next(lexer);
        if (rune == quote)
            return emit(lexer, WEIR_PROMQL_STRING);
        if (rune == WEIR_PROMQL_RUNE_ERROR)
            return fail(lexer, "invalid UTF-8 rune");
        if (quote == '`' && rune == WEIR_PROMQL_RUNE_EOF)
            return fail(lexer, "unterminated raw string");
        if (quote != '`' && (rune == WEIR_PROMQL_RUNE_EOF || rune == '\n'))
            return fail(lexer, "unterminated quoted string");
        if (quote != '`' && rune == '\\') {
            const char *problem = escape_problem(lexer, quote);
            if (problem != NULL)
                return fail(lexer, *problem == '\0' ? NULL : problem);
        }
    }
}

/* Characters that may follow a dot, an exponent or an underscore in a number, one of them taken:
 * false where the number is bad. */
static bool
scan_number_part(struct weir_promql_lexer *lexer, const char *digit_set, bool *dot, bool *exponent)
{
    if (is(lexer, ".") && *dot)
        return accept(lexer, "."), false;
    if (is(lexer, "eE") && *exponent)
        return accept(lexer, "eE"), false;
    if (accept(lexer, ".")) {
        *dot = true;
        return !accept(lexer, "_.") && digit_set == decimal;
    }
    if (accept(lexer, "eE")) {
        *exponent = true;
        (void)accept(lexer, "+-");
        return !accept(lexer, "._eE") && peek(lexer) != WEIR_PROMQL_RUNE_EOF;
    }
    if (accept(lexer, "_"))
        return !accept(lexer, "._eE") && peek(lexer) != WEIR_PROMQL_RUNE_EOF;
    while (accept(lexer, digit_set))
        ;
    return true;
}

static bool
scan_number(struct weir_promql_lexer *lexer)
{
    size_t begin = lexer->position;
    const char *digit_set = decimal;
    if (accept(lexer, "0") && accept(lexer, "xX")) {
        (void)accept(lexer, "_");
        digit_set = hexadecimal;
    }
    (void)accept(lexer, ".");
    (void)accept(lexer, digit_set);
    bool dot = false, exponent = false;
    while (is(lexer, digit_set) || is(lexer, "._eE"))
        if (!scan_number_part(lexer, digit_set, &dot, &exponent))
            return false;
    int32_t after = peek(lexer);
    return lexer->position != begin && !is_alpha(after) && !is_digit(after);
}

/* The rest of a duration whose first digits are passed; takes the character after it as well. */
static bool
scan_duration(struct weir_promql_lexer *lexer)
{
    if (!accept(lexer, "smhdwy"))
        return false;
    (void)accept(lexer, "s");
    while (accept(lexer, decimal)) {
        while (accept(lexer, decimal))
            ;
        if (!accept(lexer, "smhdw"))
            return false;
        (void)accept(lexer, "s");
    }
    int32_t after = next(lexer);
    return !is_alpha(after) && !is_digit(after);
}

static struct weir_promql_item
number_or_duration(struct weir_promql_lexer *lexer)
{
    lexer->expression = false;
    if (scan_number(lexer))
        return emit(lexer, WEIR_PROMQL_NUMBER);
    if (scan_duration(lexer)) {
        backup(lexer);
        return emit(lexer, WEIR_PROMQL_DURATION);
    }
    const char *shown = weir_promql_quoted(lexer->arena,
        (struct weir_promql_text){lexer->text + lexer->start,
            (uint32_t)(lexer->position - lexer->start)});
    return fail(lexer, shown == NULL ? NULL : weir_promql_format(lexer->arena,
        "bad number or duration syntax: %s", shown));
}

static bool
followed_by_paren(const struct weir_promql_lexer *lexer)
{
    size_t i = lexer->position;
    while (i < lexer->size && is_space((uint8_t)lexer->text[i]))
        i++;
    return i < lexer->size && lexer->text[i] == '(';
}

static struct weir_promql_item
word(struct weir_promql_lexer *lexer)
{
    bool colon = false;
    for (;;) {
        int32_t rune = peek(lexer);
        if (!is_alpha(rune) && !is_digit(rune) && rune != ':')
            break;
        colon |= rune == ':';
        lexer->position++;
    }
    enum weir_promql_token kind = weir_promql_word(lexer->text + lexer->start,
        lexer->position - lexer->start);
    /* fill and its kin were names for long: they are keywords only where a value follows */
    if ((kind == WEIR_PROMQL_FILL || kind == WEIR_PROMQL_FILL_LEFT
            || kind == WEIR_PROMQL_FILL_RIGHT)
        && !followed_by_paren(lexer))
        kind = WEIR_PROMQL_IDENTIFIER;
    if (kind == WEIR_PROMQL_IDENTIFIER && colon)
        kind = WEIR_PROMQL_METRIC_IDENTIFIER;
    return emit(lexer, kind);
}

/* step, range, min_of and max_of, whose first letter is passed; else WEIR_PROMQL_IDENTIFIER. */
static enum weir_promql_token
time_word(struct weir_promql_lexer *lexer)
{
    while (is_alpha(peek(lexer)))
        lexer->position++;
    enum weir_promql_token kind = weir_promql_word(lexer->text + lexer->start,
        lexer->position - lexer->start);
    switch (kind) {
    case WEIR_PROMQL_STEP:
    case WEIR_PROMQL_RANGE:
    case WEIR_PROMQL_MIN_OF:
    case WEIR_PROMQL_MAX_OF:
        return kind;
    default:
        return WEIR_PROMQL_IDENTIFIER;
    }
}

static bool
begins_time_word(int32_t rune)
{
    return rune > 0 && rune < 0x80 && strchr("sSmMrR", rune) != NULL;
}

static struct weir_promql_item
close_paren(struct weir_promql_lexer *lexer, bool *unbalanced)
{
    struct weir_promql_item item = emit(lexer, WEIR_PROMQL_RIGHT_PAREN);
    *unbalanced = --lexer->depth < 0;
    return *unbalanced ? fail_mark(lexer, "unexpected right parenthesis", ')') : item;
}

/* A letter or a colon between the brackets, after a number. */
static struct weir_promql_item
letter_in_brackets(struct weir_promql_lexer *lexer, int32_t rune)
{
    if (rune == ':') {
        if (lexer->colon)
            return fail_mark(lexer, "unexpected colon", rune);
        lexer->colon = true;
        return emit(lexer, WEIR_PROMQL_COLON);
    }
    if (begins_time_word(rune)) {
        enum weir_promql_token kind = time_word(lexer);
        if (kind != WEIR_PROMQL_IDENTIFIER)
            return emit(lexer, kind);
    }
    const char *shown = weir_promql_quoted_rune(lexer->arena, rune);
    return fail(lexer, shown == NULL ? NULL : weir_promql_format(lexer->arena,
        "unexpected character: %s, expected ':'", shown));
}

static enum weir_promql_token
single(int32_t rune)
{
    switch (rune) {
    case ',':
        return WEIR_PROMQL_COMMA;
    case '*':
        return WEIR_PROMQL_MUL;
    case '/':
        return WEIR_PROMQL_DIV;
    case '%':
        return WEIR_PROMQL_MOD;
    case '+':
        return WEIR_PROMQL_ADD;
    case '-':
        return WEIR_PROMQL_SUB;
    case '^':
        return WEIR_PROMQL_POW;
    case '@':
        return WEIR_PROMQL_AT;
    default:
        return WEIR_PROMQL_EOF;
    }
}

static struct weir_promql_item
comparison(struct weir_promql_lexer *lexer, int32_t rune)
{
    int32_t after = peek(lexer);
    if (rune == '=' && after == '~')
        return fail_rune(lexer, "unexpected character after '='", after);
    if (rune == '!' && after != '=')
        return fail_rune(lexer, "unexpected character after '!'", after);
    if ((rune == '<' || rune == '>') && accept(lexer, "/"))
        return emit(lexer, rune == '<' ? WEIR_PROMQL_TRIM_UPPER : WEIR_PROMQL_TRIM_LOWER);
    bool equal = accept(lexer, "=");
    if (rune == '=')
        return emit(lexer, equal ? WEIR_PROMQL_EQUALS : WEIR_PROMQL_IS);
    if (rune == '!')
        return emit(lexer, WEIR_PROMQL_DIFFERS);
    if (rune == '<')
        return emit(lexer, equal ? WEIR_PROMQL_AT_MOST : WEIR_PROMQL_LESS);
    return emit(lexer, equal ? WEIR_PROMQL_AT_LEAST : WEIR_PROMQL_GREATER);
}

static struct weir_promql_item
end(struct weir_promql_lexer *lexer)
{
    if (lexer->depth != 0)
        return fail(lexer, "unclosed left parenthesis");
    if (lexer->bracket)
        return fail(lexer, "unclosed left bracket");
    lexer->ended = true;
    return emit(lexer, WEIR_PROMQL_EOF);
}

static struct weir_promql_item
bracket(struct weir_promql_lexer *lexer, int32_t rune)
{
    if (rune == '[') {
        if (lexer->bracket)
            return fail_mark(lexer, "unexpected left bracket", rune);
        lexer->colon = false;
        lexer->bracket = lexer->expression = true;
        return emit(lexer, WEIR_PROMQL_LEFT_BRACKET);
    }
    if (!lexer->bracket)
        return fail_mark(lexer, "unexpected right bracket", rune);
    lexer->bracket = lexer->expression = false;
    return emit(lexer, WEIR_PROMQL_RIGHT_BRACKET);
}

static struct weir_promql_item
between(struct weir_promql_lexer *lexer)
{
    int32_t rune = next(lexer);
    bool unbalanced;
    if (rune == WEIR_PROMQL_RUNE_EOF)
        return end(lexer);
    if (single(rune) != WEIR_PROMQL_EOF)
        return emit(lexer, single(rune));
    if (is_digit(rune) || (rune == '.' && is_digit(peek(lexer)))) {
        backup(lexer);
        return number_or_duration(lexer);
    }
    if (is_alpha(rune) || rune == ':') {
        if (lexer->bracket)
            return letter_in_brackets(lexer, rune);
        backup(lexer);
        return word(lexer);
    }
    switch (rune) {
    case '=':
    case '!':
    case '<':
    case '>':
        return comparison(lexer, rune);
    case '"':
    case '\'':
    case '`':
        return string(lexer, rune);
    case '(':
        lexer->depth++;
        return emit(lexer, WEIR_PROMQL_LEFT_PAREN);
    case ')':
        return close_paren(lexer, &unbalanced);
    case '{':
        lexer->brace = true;
        return emit(lexer, WEIR_PROMQL_LEFT_BRACE);
    case '[':
    case ']':
        return bracket(lexer, rune);
    default:
        return fail_rune(lexer, "unexpected character", rune);
    }
}

static struct weir_promql_item
inside_braces(struct weir_promql_lexer *lexer)
{
    int32_t rune = next(lexer);
    if (is_alpha(rune)) {
        while (is_alpha(peek(lexer)) || is_digit(peek(lexer)))
            lexer->position++;
        return emit(lexer, WEIR_PROMQL_IDENTIFIER);
    }
    switch (rune) {
    case WEIR_PROMQL_RUNE_EOF:
        return fail(lexer, "unexpected end of input inside braces");
    case ',':
        return emit(lexer, WEIR_PROMQL_COMMA);
    case '"':
    case '\'':
    case '`':
        return string(lexer, rune);
    case '=':
        return emit(lexer, accept(lexer, "~") ? WEIR_PROMQL_MATCHES : WEIR_PROMQL_IS);
    case '!':
        rune = next(lexer);
        if (rune == '~' || rune == '=')
            return emit(lexer, rune == '~' ? WEIR_PROMQL_MATCHES_NOT : WEIR_PROMQL_DIFFERS);
        return fail_rune(lexer, "unexpected character after '!' inside braces", rune);
    case '{':
        return fail_mark(lexer, "unexpected left brace", rune);
    case '}':
        lexer->brace = false;
        return emit(lexer, WEIR_PROMQL_RIGHT_BRACE);
    default:
        return fail_rune(lexer, "unexpected character inside braces", rune);
    }
}

/* Places at which a duration expression may begin or go on: after a bracket, an operator, a
 * parenthesis. */
static struct weir_promql_item
inside_expression(struct weir_promql_lexer *lexer)
{
    int32_t rune = next(lexer);
    bool unbalanced;
    if (is_digit(rune) || (rune == '.' && is_digit(peek(lexer)))) {
        backup(lexer);
        lexer->duration = true;
        return number_or_duration(lexer);
    }
    if (begins_time_word(rune)) {
        enum weir_promql_token kind = time_word(lexer);
        if (kind != WEIR_PROMQL_IDENTIFIER)
            return emit(lexer, kind);
        return fail_rune(lexer, "unexpected character in duration expression", rune);
    }
    if (rune != '@' && single(rune) != WEIR_PROMQL_EOF)
        return emit(lexer, single(rune));
    switch (rune) {
    case WEIR_PROMQL_RUNE_EOF:
        return fail(lexer, "unexpected end of input in duration expression");
    case ']':
        lexer->bracket = lexer->expression = lexer->colon = false;
        return emit(lexer, WEIR_PROMQL_RIGHT_BRACKET);
    case ':': {
        struct weir_promql_item item = emit(lexer, WEIR_PROMQL_COLON);
        if (!lexer->duration)
            return fail(lexer, "unexpected colon before duration in duration expression");
        if (lexer->colon)
            return fail(lexer, "unexpected repeated colon in duration expression");
        lexer->colon = true;
        return item;
    }
    case '(':
        lexer->depth++;
        return emit(lexer, WEIR_PROMQL_LEFT_PAREN);
    case ')':
        return close_paren(lexer, &unbalanced);
    default:
        return fail_rune(lexer, "unexpected character in duration expression", rune);
    }
}

/* Blanks and, but for duration expressions, comments. */
static void
pass_blanks(struct weir_promql_lexer *lexer)
{
    for (;;) {
        int32_t rune = peek(lexer);
        if (rune == '#' && !lexer->expression) {
            while (lexer->position < lexer->size && lexer->text[lexer->position] != '\n'
                && lexer->text[lexer->position] != '\r')
                lexer->position++;
        } else if (is_space(rune)) {
            lexer->position++;
        } else {
            break;
        }
    }
    lexer->start = lexer->position;
}

void
weir_promql_lexer_init(struct weir_promql_lexer *lexer, struct weir_promql_arena *arena,
    const char *text, size_t size)
{
    *lexer = (struct weir_promql_lexer){.arena = arena, .text = text, .size = size};
}

struct weir_promql_item
weir_promql_lexer_next(struct weir_promql_lexer *lexer)
{
    if (lexer->ended)
        return emit(lexer, WEIR_PROMQL_EOF);
    pass_blanks(lexer);
    if (lexer->brace)
        return inside_braces(lexer);
    return lexer->expression ? inside_expression(lexer) : between(lexer);
}
