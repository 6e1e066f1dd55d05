/* dataplane/series/series.c: the registrar enters series, a worker looks them up without a lock. What it
 * finds is the right number, with labels that are whole; what was found once is found again; the
 * labels of every number below the count may be read.
 *
 * Series k has the labels k. Series 1 and 3 have one fingerprint, so that the later is entered under
 * that of its second attempt; 2 shares their bucket and differs in the check bits alone, which are
 * 0, as in an empty slot. Slots are met in the order of their index, from the one that the
 * fingerprint names on. Any order of definition. (That word 1 is stored ahead of word 0 saves a
 * needless miss; the comparison of labels would make up for the other order.) */
#define SERIES 3
#define SLOTS 4

#define ARENA(number) (number)                  /* plain: a label set */
#define OFFSET(number) (SERIES + (number))      /* plain: where it begins; SERIES + 1 of them */
#define COUNT (2 * SERIES + 1)
#define WORD0(slot) (2 * SERIES + 2 + (slot))         /* hash bits, never 0 */
#define WORD1(slot) (2 * SERIES + 2 + SLOTS + (slot)) /* number and check bits */
#define LOCATIONS (2 * SERIES + 2 + 2 * SLOTS)
#define PLAINS (2 * SERIES + 1)
#define HISTORY (SERIES + 1)
#ifdef TSO
#define THREADS 1 /* that store */
#else
#define THREADS 2
#endif
#define REGISTRAR 0
#define WORKER 1
#include "memory.pml"

/* word 1 packs number and check bits, as weir_slot_word1 does */
#define PACK(number, check) ((number) * 16 + (check))
#define NUMBER(word) ((word) / 16)
#define CHECK_OF(word) ((word) % 16)
/* fingerprints: bits, check, and the slot where the walk begins */
#define HASH(key, attempt) ((attempt) == 0 -> 1 : 2)
#define CHECK(key, attempt) ((attempt) == 1 -> 5 : ((key) == 2 -> 0 : 6))
#define HOME(key, attempt) ((attempt) == 0 -> 0 : 3)

#ifdef MUTANT_WORD0_RELAXED
#define store_word0 store_relaxed
#else
#define store_word0 store_release
#endif
#ifdef MUTANT_WORD0_LOADED_RELAXED
#define load_word0 load_relaxed
#else
#define load_word0 load_acquire
#endif
#ifdef MUTANT_COUNT_RELAXED
#define store_count store_relaxed
#else
#define store_count store_release
#endif
#ifdef MUTANT_COUNT_LOADED_RELAXED
#define load_count load_relaxed
#else
#define load_count load_acquire
#endif

bool ended;
byte number_of[SERIES + 1]; /* what the registrar gave, by key */

/* find of the registrar, then publish */
inline define(key)
{
    attempt = 0;
    slot = HOME(key, attempt);
    do
    :: true ->
        load_own(REGISTRAR, WORD0(slot), word);
        if
        :: word == 0 -> break
        :: else
        fi;
        load_own(REGISTRAR, WORD1(slot), check);
        if
        :: word == HASH(key, attempt) && CHECK_OF(check) == CHECK(key, attempt) ->
            /* other labels, for this key is new */
            attempt++;
            slot = HOME(key, attempt)
        :: else -> slot = (slot + 1) % SLOTS
        fi
    od;
    number_of[key] = count;
    STORES {
#ifdef MUTANT_COUNT_FIRST
        store_count(REGISTRAR, COUNT, count + 1);
#endif
#ifdef MUTANT_LABELS_LAST
        store_plain(REGISTRAR, OFFSET(count + 1), count + 1);
#else
        store_plain(REGISTRAR, ARENA(count), key);
        store_plain(REGISTRAR, OFFSET(count + 1), count + 1);
#endif
#ifndef MUTANT_COUNT_FIRST
        store_count(REGISTRAR, COUNT, count + 1);
#endif
        store_relaxed(REGISTRAR, WORD1(slot), PACK(count, CHECK(key, attempt)));
        store_word0(REGISTRAR, WORD0(slot), HASH(key, attempt));
#ifdef MUTANT_LABELS_LAST
        store_plain(REGISTRAR, ARENA(count), key);
#endif
        count++
    }
    atomic { word = 0; check = 0; slot = 0; attempt = 0 }
}

proctype registrar()
{
    byte count, word, check, slot, attempt, key;
    do
    :: count < SERIES ->
        if
        :: number_of[1] == 255 -> key = 1
        :: number_of[2] == 255 -> key = 2
        :: number_of[3] == 255 -> key = 3
        fi;
        define(key);
        key = 0
    :: else -> break
    od;
    ended = true
}

/* weir_series_resolve: find_slot and same_labels; number is 255 where it finds none. */
inline resolve(key)
{
    attempt = 0;
    slot = HOME(key, attempt);
    number = 255;
    do
    :: true ->
        load_word0(WORKER, WORD0(slot), word);
        if
        :: word == 0 -> break
        :: else
        fi;
        load_relaxed(WORKER, WORD1(slot), check);
        if
        :: word == HASH(key, attempt) && CHECK_OF(check) == CHECK(key, attempt) ->
            /* find loads it again */
            load_relaxed(WORKER, WORD1(slot), check);
            load_plain(WORKER, OFFSET(NUMBER(check)), from);
            load_plain(WORKER, OFFSET(NUMBER(check) + 1), to);
            load_plain(WORKER, ARENA(NUMBER(check)), labels);
            /* labels are whole: a set that was entered, at its place */
            assert(from == NUMBER(check) && to == from + 1 && labels != 0);
            if
#ifdef MUTANT_LABELS_NOT_COMPARED
            :: true ->
#else
            :: labels == key ->
#endif
                number = NUMBER(check);
                break
            :: else -> attempt++; slot = HOME(key, attempt)
            fi
        :: else -> slot = (slot + 1) % SLOTS
        fi
    od;
    atomic { word = 0; check = 0; slot = 0; attempt = 0; from = 0; to = 0; labels = 0 }
}

proctype worker()
{
    byte word, check, slot, attempt, number, first, key, from, to, labels;
    AFTER(ended);
    if
    :: key = 1
    :: key = 2
    :: key = 3
    fi;
    if
    :: resolve(key);
        if
        :: number != 255 ->
            assert(number == number_of[key]);
            first = number;
            resolve(key);
            assert(number == first)
        :: else
        fi
    :: /* weir_series_count, then weir_series_labels of the newest */
        load_count(WORKER, COUNT, number);
        if
        :: number > 0 ->
            load_plain(WORKER, OFFSET(number - 1), from);
            load_plain(WORKER, OFFSET(number), to);
            load_plain(WORKER, ARENA(number - 1), labels);
            assert(from == number - 1 && to == number && number_of[labels] == number - 1)
        :: else
        fi
    fi
}

init
{
    atomic {
        number_of[1] = 255;
        number_of[2] = 255;
        number_of[3] = 255;
        memory_start();
        run registrar();
        run worker()
    }
}
