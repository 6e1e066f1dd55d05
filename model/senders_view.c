#include "model/senders_view.h"

/* A worker that has its core is past a publication after a few copies. */
#define READ_TRIES 20

bool
weir_senders_view_published(struct weir_senders_view *view)
{
    /* relaxed: whoever reads the rows loads it once more */
    return atomic_load_explicit(&view->sequence, memory_order_relaxed) >= 2;
}

/* Without fences, as in model/ledger.c: words stored with release and loaded with acquire. */
void
weir_senders_view_publish(struct weir_senders_view *view, const struct weir_senders_rows *rows)
{
    const uint64_t *from = (const uint64_t *)rows;
    uint64_t sequence = atomic_load_explicit(&view->sequence, memory_order_relaxed);
    atomic_store_explicit(&view->sequence, sequence + 1, memory_order_relaxed);
    /* release pairs with the acquire loads of words in view_copy: new word, odd sequence */
    for (size_t i = 0; i < WEIR_SENDERS_WORDS; i++)
        atomic_store_explicit(&view->words[i], from[i], memory_order_release);
    /* release pairs with the first acquire load in view_copy */
    atomic_store_explicit(&view->sequence, sequence + 2, memory_order_release);
}

static enum weir_err
view_copy(struct weir_senders_view *view, struct weir_senders_rows *out)
{
    uint64_t *to = (uint64_t *)out;
    /* acquire pairs with the last release in weir_senders_view_publish */
    uint64_t before = atomic_load_explicit(&view->sequence, memory_order_acquire);
    for (size_t i = 0; i < WEIR_SENDERS_WORDS; i++)
        to[i] = atomic_load_explicit(&view->words[i], memory_order_acquire);
    uint64_t after = atomic_load_explicit(&view->sequence, memory_order_relaxed);
    return before == after && before % 2 == 0 ? WEIR_OK : WEIR_AGAIN;
}

enum weir_err
weir_senders_view_read(struct weir_senders_view *view, struct weir_senders_rows *out)
{
    for (int i = 0; i < READ_TRIES; i++)
        if (view_copy(view, out) == WEIR_OK)
            return WEIR_OK;
    return weir_fail(WEIR_AGAIN, 0, "the view of senders is being written");
}
