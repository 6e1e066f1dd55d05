#include "tests/fuzz/twin_double_text.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DIGITS_MAX 17

/* The last digit of d.ddde+xx moved by one; false where it would carry. */
static bool
move_last_digit(char *text, int by)
{
    char *last = strchr(text, 'e') - 1;
    if (*last + by < '0' || *last + by > '9')
        return false;
    *last = (char)(*last + by);
    return true;
}

/* The shortest decimal that reads back, as %.*e prints it: that nearest to the value if it does,
 * else a neighbour of its last digit (below a power of two the nearest one may not). */
static void
shortest(double value, char out[40])
{
    for (int digits = 0; digits < DIGITS_MAX; digits++) {
        snprintf(out, 40, "%.*e", digits, value);
        if (strtod(out, NULL) == value)
            return;
        for (int by = -1; by <= 1; by += 2) {
            char moved[40];
            strcpy(moved, out);
            if (move_last_digit(moved, by) && strtod(moved, NULL) == value) {
                strcpy(out, moved);
                return;
            }
        }
    }
}

/* Significant digits of a number, and the power of ten of the first of them. */
static int
digits_of(const char *text, char out[400])
{
    int count = 0, exponent = 0, point = -1, place = 0;
    for (; *text != '\0' && *text != 'e'; text++) {
        if (*text == '.')
            point = place;
        if (*text < '0' || *text > '9')
            continue;
        if (count > 0 || *text != '0')
            out[count++] = *text;
        else
            exponent--;
        place++;
    }
    exponent += (point < 0 ? place : point) - 1;
    if (*text == 'e')
        exponent += atoi(text + 1);
    while (count > 0 && out[count - 1] == '0')
        count--;
    out[count] = '\0';
    return count == 0 ? 0 : exponent;
}

bool
twin_double_text_agrees(double value, const char *text)
{
    char wanted[40], wanted_digits[400], digits[400];
    shortest(value, wanted);
    int wanted_exponent = digits_of(wanted, wanted_digits), exponent = digits_of(text, digits);
    if (strcmp(digits, wanted_digits) == 0 && exponent == wanted_exponent &&
        (text[0] == '-') == (signbit(value) != 0))
        return true;
    fprintf(stderr, "%a: %s, wanted %s\n", value, text, wanted);
    return false;
}
