/* Whose series the registrar defines, while the series table is more than half full: see
 * model/shares.h. Series live for ever: a share is never given back. The log does not say who
 * defined a series: those that recovery found are nobody's. */
#include "dataplane/registrar/parts.h"

#define NS_PER_MS 1000000

void
weir_registrar_shares_begin(struct weir_registrar *registrar)
{
    const struct weir_registrar_options *options = &registrar->options;
    registrar->over_share.event = "over_share";
    registrar->over_share.table = "series";
    if (options->series_shares == NULL)
        return;
    (void)weir_shares_add(options->series_shares, NULL, weir_series_count(options->series));
}

void
weir_registrar_owner_find(struct weir_registrar *registrar)
{
    struct weir_registrar_work *work = &registrar->work;
    work->peer = (struct weir_peer){.port = 0};
    if (work->line.peer < work->deferral->peer_count)
        work->peer = work->deferral->peers[work->line.peer];
    work->owned = weir_peer_exists(&work->peer) &&
        !weir_prefixes_hold(&registrar->options.trusted, &work->peer);
    if (work->owned)
        work->owner = weir_owner_source(&work->peer);
}

bool
weir_registrar_may_define(const struct weir_registrar *registrar)
{
    const struct weir_registrar_options *options = &registrar->options;
    const struct weir_registrar_work *work = &registrar->work;
    return options->series_shares == NULL || !work->owned ||
        weir_shares_allow(options->series_shares, &work->owner, 1);
}

void
weir_registrar_count_defined(struct weir_registrar *registrar)
{
    const struct weir_registrar_options *options = &registrar->options;
    const struct weir_owner *owner = registrar->work.owned ? &registrar->work.owner : NULL;
    if (options->series_shares == NULL)
        return;
    (void)weir_shares_add(options->series_shares, owner, 1);
}

void
weir_registrar_report_over_share(struct weir_registrar *registrar)
{
    weir_refusals_met(&registrar->over_share, &registrar->work.peer, 0, registrar->now_ns);
    weir_degraded_set(registrar->options.degraded, WEIR_DEGRADED_series_full,
        registrar->now_ns / NS_PER_MS);
}
