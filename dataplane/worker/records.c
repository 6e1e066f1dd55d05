/* Records of text: parsed by bursts, looked up, appended to the batch. */
#include "dataplane/worker/parts.h"

#ifdef WEIR_FAULT_DROP_SAMPLE
#define FAULT_DROPS_SAMPLE true
static bool
fault_drops_sample(void)
{
    static bool dropped;
    bool drops = !dropped;
    dropped = true;
    return drops;
}
#else
#define FAULT_DROPS_SAMPLE false
static inline bool
fault_drops_sample(void)
{
    return false;
}
#endif

/* The caller has seen to room in the batch. */
static inline void
record_append(struct weir_worker *worker, const struct weir_record *record)
{
    struct weir_batch *batch = worker->batch;
    const struct weir_point *points = worker->options.parsed->points + record->point_first;
    const uint64_t *numbers = worker->numbers + record->point_first;
    uint32_t count = record->point_count, at = batch->count;
    uint64_t through = batch->series_through;
    bool ascending = true;
    for (uint32_t i = 0; i < count; i++) {
        if (fault_drops_sample())
            continue;
        batch->samples[at++] = (struct weir_sample){
            weir_sample_key(numbers[i], points[i].kind, points[i].exponent), points[i].time_ms,
            points[i].value};
        weir_batch_run(batch, numbers[i], at - 1);
        ascending &= numbers[i] + 1 >= through;
        through = numbers[i] + 1 > through ? numbers[i] + 1 : through;
    }
    batch->count = at;
    batch->series_through = through;
    batch->ascending &= ascending;
    /* the points of a record have one time */
    if (points[0].time_ms < batch->time_min_ms)
        batch->time_min_ms = points[0].time_ms;
    if (points[0].time_ms > batch->time_max_ms)
        batch->time_max_ms = points[0].time_ms;
    batch->records++;
}

/* Series numbers of all points parsed, WEIR_SERIES_UNKNOWN where there is none yet; the buckets of
 * those that begin a run have been fetched while they were parsed. */
static void
look_up(struct weir_worker *worker)
{
    const struct weir_parsed *parsed = worker->options.parsed;
    uint64_t start = weir_tsc();
    uint32_t count = parsed->point_count;
    size_t hits = weir_series_cache_find(worker->options.series_cache, parsed->points, count,
        &worker->raw_burst, worker->numbers);
    weir_worker_cycles(worker, WEIR_STAGE_lookup, start, count);
    worker->options.counts->counter[WEIR_COUNTER_raw_hits] += hits;
    worker->all_known = hits == count;
    if (worker->all_known)
        return;
    start = weir_tsc();
    worker->options.counts->counter[WEIR_COUNTER_raw_misses] += count - hits;
    weir_worker_resolve_all(worker);
    weir_worker_cycles(worker, WEIR_STAGE_resolve, start, count - hits);
}

static inline bool
all_known(const struct weir_worker *worker, const struct weir_record *record)
{
    bool known = true;
    for (uint32_t i = 0; i < record->point_count; i++)
        known &= worker->numbers[record->point_first + i] != WEIR_SERIES_UNKNOWN;
    return known;
}

/* Rejects or defers a record that does not simply go into the batch. False for one that does. */
static bool
record_divert(struct weir_worker *worker, const struct weir_record *record, uint32_t state)
{
    if (record->reason != WEIR_REASON_NONE)
        weir_worker_record_reject(worker, record, 0, record->reason);
    else if (WEIR_UNLIKELY(state == WEIR_INGEST_DISK_FULL))
        weir_worker_record_reject(worker, record, record->point_count, WEIR_REASON_disk_full);
    else if (WEIR_UNLIKELY(state == WEIR_INGEST_IO_ERROR))
        weir_worker_record_reject(worker, record, record->point_count, WEIR_REASON_io_error);
    else if (WEIR_UNLIKELY(!all_known(worker, record)))
        weir_worker_record_defer(worker, record);
    else
        return false;
    return true;
}

/* Room for a record in an open batch; a fuller one is pushed first. */
static inline bool
batch_room(struct weir_worker *worker, uint32_t points)
{
    if (WEIR_UNLIKELY(worker->batch != NULL &&
            worker->batch->count + points > WEIR_BATCH_SAMPLES_MAX))
        weir_worker_batch_push(worker);
    return WEIR_LIKELY(worker->batch != NULL) || weir_worker_batch_open(worker);
}

/* Kind and exponent as a sample's key has them: they are neighbours in the point too. */
static inline uint64_t
point_format(const struct weir_point *point)
{
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    uint16_t format;
    memcpy(&format, (const uint8_t *)point + offsetof(struct weir_point, exponent), sizeof format);
    return (uint64_t)format << 40;
#else
    return weir_sample_key(0, point->kind, point->exponent);
#endif
}
_Static_assert(offsetof(struct weir_point, kind) == offsetof(struct weir_point, exponent) + 1,
    "kind and exponent are read together");

/* Appends all points. The caller has seen to room and to their series. Not inlined, because the
 * loop's variables then stay in registers. Largest series and times change seldom, and are
 * branches. */
static __attribute__((noinline)) void
points_append(struct weir_batch *batch, const struct weir_point *points, const uint64_t *numbers,
    uint32_t count)
{
    struct weir_sample *out = batch->samples + batch->count;
    struct weir_batch_run_cursor cursor = weir_batch_run_cursor(batch);
    uint64_t place = batch->count, through = batch->series_through, falls = 0;
    int64_t least = batch->time_min_ms, most = batch->time_max_ms;
    for (const uint64_t *end = numbers + count; numbers != end; numbers++) {
        uint64_t number = *numbers;
        int64_t time_ms = points->time_ms;
        *out++ = (struct weir_sample){number | point_format(points), time_ms, points->value};
        points++;
        weir_batch_run_note(batch, &cursor, number, place++);
        if (WEIR_LIKELY(number < through))
            falls |= through - number - 1;
        else
            through = number + 1;
        if (WEIR_UNLIKELY(time_ms < least))
            least = time_ms;
        if (WEIR_UNLIKELY(time_ms > most))
            most = time_ms;
    }
    weir_batch_run_keep(batch, &cursor);
    batch->count += count;
    batch->series_through = through;
    batch->ascending &= falls == 0;
    batch->time_min_ms = least;
    batch->time_max_ms = most;
}

/* All that is parsed goes into the open batch, as nearly always: no record was refused, every
 * series is known, and there is room. False where that is not so: nothing is appended then. */
static bool
append_burst(struct weir_worker *worker, uint32_t state)
{
    const struct weir_parsed *parsed = worker->options.parsed;
    struct weir_batch *batch = worker->batch;
    if (FAULT_DROPS_SAMPLE || state != WEIR_INGEST_OPEN || batch == NULL ||
        worker->record_at != 0 || worker->portion_at != 0 || parsed->point_count == 0 ||
        parsed->odd_count != 0 || !worker->all_known ||
        parsed->point_count > WEIR_BATCH_SAMPLES_MAX - batch->count)
        return false;
    if (WEIR_UNLIKELY(batch->opened_tsc == 0))
        batch->opened_tsc = worker->packets[worker->packet_at].receive_tsc;
    points_append(batch, parsed->points, worker->numbers, parsed->point_count);
    worker->options.counts->samples[WEIR_STAGE_batch] += parsed->point_count;
    batch->records += parsed->record_count;
    worker->records_appended += parsed->record_count;
    worker->samples_appended += parsed->point_count;
    worker->known_ns = worker->now_ns;
    for (; worker->portion_at < worker->portion_count; worker->portion_at++) {
        const struct weir_worker_portion *portion = &worker->portions[worker->portion_at];
        struct weir_packet *packet = &worker->packets[worker->packet_at];
        uint32_t records = portion->record_end - worker->record_at;
        packet->accepted += records;
        if (records != 0)
            packet->batch = batch->number;
        worker->records_seen += records;
        worker->record_at = portion->record_end;
        if (portion->last)
            weir_worker_packet_end(worker, portion->consumed);
    }
    return true;
}

/* Appends the records of packet_at up to `end`. False where the batch is full and no other is
 * empty. */
static bool
append_records(struct weir_worker *worker, uint32_t end, uint32_t state)
{
    const struct weir_parsed *parsed = worker->options.parsed;
    struct weir_packet *packet = &worker->packets[worker->packet_at];
    uint32_t at = worker->record_at, first = at;
    uint32_t accepted = packet->accepted;
    uint64_t samples = 0;
    uint32_t commands = 0;
    bool room = true;
    for (; at < end; at++) {
        const struct weir_record *record = &parsed->records[at];
        if (record->command != 0) {
            weir_worker_answer(worker, packet->proto, packet->source, record, WEIR_REASON_NONE);
            commands++;
            continue;
        }
        if (record_divert(worker, record, state))
            continue;
        room = batch_room(worker, record->point_count);
        if (!room)
            break;
        if (WEIR_UNLIKELY(worker->batch->opened_tsc == 0))
            worker->batch->opened_tsc = packet->receive_tsc;
        record_append(worker, record);
        packet->accepted++;
        worker->records_appended++;
        samples += record->point_count;
        worker->samples_appended += record->point_count;
        packet->batch = worker->batch->number;
    }
    worker->options.counts->samples[WEIR_STAGE_batch] += samples;
    if (packet->accepted != accepted)
        worker->known_ns = worker->now_ns;
    worker->records_seen += at - first - commands;
    worker->record_at = at;
    return room;
}

/* Works through what is parsed. False where the batch is full and no other is empty. */
bool
weir_worker_append_parsed(struct weir_worker *worker)
{
    uint32_t state =
        atomic_load_explicit(&worker->options.progress->state, memory_order_relaxed);
    uint64_t start = weir_tsc();
    bool room = true;
    (void)append_burst(worker, state);
    for (; worker->portion_at < worker->portion_count; worker->portion_at++) {
        const struct weir_worker_portion *portion = &worker->portions[worker->portion_at];
        room = append_records(worker, portion->record_end, state);
        if (!room)
            break;
        if (portion->last)
            weir_worker_packet_end(worker, portion->consumed);
    }
    weir_worker_cycles(worker, WEIR_STAGE_batch, start, 0); /* samples were counted as they went */
    return room;
}

/* Bytes of a packet that are parsed before their points' buckets are fetched: some 20 lines, which
 * may be a run each, and a Zen 3 core can wait for 24 cache lines at a time. Over TCP a packet is
 * as much as there is, and 500 fetches at once, with nothing to do meanwhile, cost 45 each. */
#define STEP_BYTES 2048

/* Parses packet on from byte_at: whole lines of a step at the most, unless the record there is
 * longer. */
static void
parse_on(struct weir_worker *worker, struct weir_packet *packet)
{
    weir_parse_fn *parse = weir_protocols[packet->proto].parse;
    struct weir_parsed *parsed = worker->options.parsed;
    uint32_t before = worker->byte_at, size = packet->size, records = parsed->record_count;
    const uint8_t *newline = NULL;
    if (size - before > STEP_BYTES)
        newline = memrchr(packet->data + before, '\n', STEP_BYTES);
    if (newline != NULL) {
        bool final = packet->final;
        packet->size = (uint32_t)(newline + 1 - packet->data);
        packet->final = false;
        worker->byte_at = (uint32_t)parse(&worker->context, packet, before, parsed);
        packet->size = size;
        packet->final = final;
    }
    if (worker->byte_at == before && parsed->record_count == records && before < size)
        worker->byte_at = (uint32_t)parse(&worker->context, packet, before, parsed);
    WEIR_ASSERT(worker->byte_at >= before && worker->byte_at <= size);
}

/* Parses packets until there are enough points for a burst of lookups, whose buckets are fetched
 * meanwhile: the last ones come from memory while the next packet is being parsed. */
void
weir_worker_parse_more(struct weir_worker *worker)
{
    struct weir_parsed *parsed = worker->options.parsed;
    uint64_t start = weir_tsc();
    weir_worker_parsed_reset(worker);
    while (worker->parse_at < worker->packet_count && parsed->record_count < WEIR_RECORDS_MAX &&
        parsed->point_count < WEIR_POINTS_TARGET) {
        struct weir_packet *packet = &worker->packets[worker->parse_at];
        if (weir_worker_is_wire(worker, packet))
            break;
        uint32_t before = worker->byte_at, records = parsed->record_count;
        uint32_t points = parsed->point_count;
        parse_on(worker, packet);
        weir_series_cache_fetch(worker->options.series_cache, parsed->points, points,
            parsed->point_count, before == 0, &worker->raw_burst, worker->numbers);
        /* a rest without progress is an incomplete record */
        bool last = worker->byte_at == packet->size ||
            (worker->byte_at == before && parsed->record_count == records);
        if (last || parsed->record_count == WEIR_RECORDS_MAX ||
            parsed->point_count >= WEIR_POINTS_TARGET)
            worker->portions[worker->portion_count++] = (struct weir_worker_portion){
                worker->parse_at, parsed->record_count, worker->byte_at, last};
        if (last) {
            worker->parse_at++;
            worker->byte_at = 0;
        }
    }
    weir_worker_cycles(worker, WEIR_STAGE_parse, start, parsed->point_count);
    worker->options.counts->samples[WEIR_STAGE_receive] += parsed->point_count;
    weir_worker_count_parsed(worker);
    if (parsed->point_count > 0)
        look_up(worker);
}
