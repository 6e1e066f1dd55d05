#include "model/channel_view.h"

#include "base/seqlock.h"

/* A worker that has its core is past a publication after a few copies. */
#define READ_TRIES 20

bool
weir_channel_view_published(struct weir_channel_view *view)
{
    /* relaxed: whoever reads the rows loads it once more */
    return atomic_load_explicit(&view->sequence, memory_order_relaxed) >= 2;
}

void
weir_channel_view_publish(struct weir_channel_view *view, const struct weir_channel_rows *rows)
{
    weir_seqlock_write(
        &view->sequence, view->words, (const uint64_t *)rows, WEIR_CHANNEL_VIEW_WORDS);
}

enum weir_err
weir_channel_view_read(struct weir_channel_view *view, struct weir_channel_rows *out)
{
    uint64_t seen;
    for (int i = 0; i < READ_TRIES; i++)
        if (weir_seqlock_read(
                &view->sequence, view->words, (uint64_t *)out, WEIR_CHANNEL_VIEW_WORDS, &seen))
            return WEIR_OK;
    return weir_fail(WEIR_AGAIN, 0, "the view of senders is being written");
}
