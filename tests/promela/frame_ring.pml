/* storage/frame/ring.c: the log writer lays frames into the byte ring and publishes them; a reader
 * copies a descriptor and then the frame, while both may be overwritten. What it is given is that
 * frame's, whole; the writer is never given bytes of a frame that is not published.
 *
 * A byte here stands for a page there. The writer may have two frames under way when it reserves
 * the next one. Frames have one or two bytes, so that the end of the ring is met in several ways.
 * Plain bytes are modelled as relaxed ones: the reader's copy may race, see copy_racing. */
#ifndef FRAMES
#define FRAMES 4
#endif
#define DESCRIPTORS 2
#define BYTES 5
#define BYTES_MAX 2 /* of a frame; two fit */

#define PUBLISHED 0
#define RECLAIMED 1
#define PLACE(n) (2 + (n) % DESCRIPTORS) /* two words of a descriptor; length travels with it */
#define NAME(n) (2 + DESCRIPTORS + (n) % DESCRIPTORS)
#define AT(place) (2 + 2 * DESCRIPTORS + (place) % BYTES)
#define LOCATIONS (2 + 2 * DESCRIPTORS + BYTES)
#define HISTORY (FRAMES + 2)
#define FENCES
#ifdef TSO
#define THREADS 1 /* that store */
#else
#define THREADS 2
#endif
#define WRITER 0
#define READER 1
#include "memory.pml"

#ifdef MUTANT_RESERVE_WITHOUT_FENCE
#define fence_reserve(me) skip
#else
#define fence_reserve(me) fence_release(me)
#endif
#ifdef MUTANT_PUBLISH_WITHOUT_FENCE
#define fence_publish(me) skip
#else
#define fence_publish(me) fence_release(me)
#endif
#ifdef MUTANT_DESCRIPTOR_WITHOUT_FENCE
#define fence_descriptor(me) skip
#else
#define fence_descriptor(me) fence_acquire(me)
#endif
#ifdef MUTANT_COPY_WITHOUT_FENCE
#define fence_copy(me) skip
#else
#define fence_copy(me) fence_acquire(me)
#endif
#ifdef MUTANT_PUBLISHED_RELAXED
#define store_published store_relaxed
#else
#define store_published store_release
#endif
#ifdef MUTANT_PUBLISHED_LOADED_RELAXED
#define load_published load_relaxed
#else
#define load_published load_acquire
#endif
#ifdef MUTANT_SLOT_OF_NEXT_TAKEN
#define AHEAD DESCRIPTORS
#else
#define AHEAD (DESCRIPTORS - 1)
#endif

/* What is true of frame n, for the assertions. */
byte place_of[FRAMES], bytes_of[FRAMES];
bool ended;

/* weir_frame_ring_reserve with the frame's bytes written, and weir_frame_ring_commit; ok is its
 * result. */
inline lay_down(n)
{
    start = tail;
    if
    :: BYTES - start % BYTES < BYTES_MAX -> start = start + BYTES - start % BYTES
    :: else
    fi;
#ifdef MUTANT_UNPUBLISHED_OVERWRITTEN
    ok = true;
#else
    ok = start + BYTES_MAX - settled <= BYTES;
#endif
    if
    :: ok ->
        /* no byte of a frame under way */
        assert(n == out || start + BYTES_MAX - place_of[out] <= BYTES);
        if
        :: bytes_of[n] = 1
        :: bytes_of[n] = 2
        fi;
        place_of[n] = start;
        STORES {
#ifdef MUTANT_BYTES_BEFORE_RECLAIMED
            store_relaxed(WRITER, AT(start), n + 1);
#endif
            load_own(WRITER, RECLAIMED, reclaimed);
            if
            :: start + BYTES_MAX > BYTES + reclaimed ->
                store_relaxed(WRITER, RECLAIMED, start + BYTES_MAX - BYTES);
                fence_reserve(WRITER)
            :: else
            fi;
#ifndef MUTANT_BYTES_BEFORE_RECLAIMED
            store_relaxed(WRITER, AT(start), n + 1);
#endif
            if
            :: bytes_of[n] == 2 -> store_relaxed(WRITER, AT(start + 1), n + 1)
            :: else
            fi
        }
        tail = start + bytes_of[n]
    :: else
    fi;
    d_step { start = 0; reclaimed = 0 }
}

/* weir_frame_ring_publish, the descriptor */
inline publish(n)
{
    assert(place_of[n] >= settled && place_of[n] + bytes_of[n] <= tail);
    STORES {
#ifdef MUTANT_PUBLISHED_BEFORE_WORDS
        store_published(WRITER, PUBLISHED, n + 1);
#endif
        fence_publish(WRITER);
        store_relaxed(WRITER, PLACE(n), place_of[n]);
        store_relaxed(WRITER, NAME(n), n + 1);
        settled = place_of[n] + bytes_of[n];
#ifndef MUTANT_PUBLISHED_BEFORE_WORDS
        store_published(WRITER, PUBLISHED, n + 1)
#endif
    }
}

proctype writer()
{
    byte tail, settled, start, reclaimed, in, out; /* frames laid down, and published */
    bool ok;
    do
    :: in < FRAMES && in - out < 3 ->
        lay_down(in);
        if
        :: ok -> in++
        :: else -> out < in; publish(out); out++ /* its write has ended meanwhile */
        fi
    :: out < in -> publish(out); out++
    :: out == FRAMES -> break
    od;
    ended = true
}

/* weir_frame_ring_descriptor; ok is its result. */
inline descriptor(n)
{
    load_published(READER, PUBLISHED, count);
    if
    :: n < count ->
        load_relaxed(READER, PLACE(n), place);
        load_relaxed(READER, NAME(n), name);
        fence_descriptor(READER);
        load_relaxed(READER, PUBLISHED, count);
        ok = n < count && count - n <= AHEAD
    :: else -> ok = false
    fi;
    count = 0
}

/* weir_frame_ring_copy; ok is its result. */
inline copy(bytes)
{
    load_relaxed(READER, RECLAIMED, count);
    if
    :: place >= count ->
        load_relaxed(READER, AT(place), first);
        if
        :: bytes == 2 -> load_relaxed(READER, AT(place + 1), second)
        :: else -> second = first
        fi;
        fence_copy(READER);
        load_relaxed(READER, RECLAIMED, count);
#ifdef MUTANT_RECLAIMED_ONCE
        ok = true
#else
        ok = place >= count
#endif
    :: else -> ok = false
    fi;
    count = 0
}

proctype reader()
{
    byte n, count, place, name, first, second;
    bool ok;
    AFTER(ended);
    do
    :: n < FRAMES - 1 -> n++
    :: break
    od;
    descriptor(n);
    if
    :: ok ->
        assert(name == n + 1 && place == place_of[n]);
        copy(bytes_of[n]);
        assert(!ok || (first == n + 1 && second == n + 1))
    :: else
    fi
}

init
{
    atomic {
        memory_start();
        run writer();
        run reader()
    }
}
