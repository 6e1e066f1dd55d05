/* Answers to single records, by protocols that give them. */
#include "dataplane/worker/parts.h"

void
weir_worker_answer(struct weir_worker *worker, uint8_t proto, uint32_t source,
    const struct weir_record *record, uint8_t reason)
{
    weir_answer_fn *answer = weir_protocols[proto].answer;
    uint8_t line[WEIR_ANSWER_MAX];
    if (answer == NULL || source == 0)
        return;
    uint32_t index = source >> WEIR_SOURCE_BITS;
    WEIR_ASSERT(index != 0 && index <= worker->options.port_count);
    struct weir_port *port = worker->options.ports[index - 1];
    size_t size = answer(record, reason, line);
    if (size > 0 && port->ops->answer != NULL)
        port->ops->answer(port, source, line, size);
}
