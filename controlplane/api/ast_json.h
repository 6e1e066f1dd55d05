/* ast_json: the tree of a query as JSON, with the fields of Prometheus's /api/v1/parse_query.
 *
 * Threads: any; no state
 * Limits:  recursion to the height of the tree, WEIR_PROMQL_HEIGHT_MAX
 */
#ifndef WEIR_CONTROLPLANE_API_AST_JSON_H
#define WEIR_CONTROLPLANE_API_AST_JSON_H

#include "controlplane/http/text.h"
#include "controlplane/promql/parse/ast.h"

void weir_ast_json(struct weir_text *text, const struct weir_promql_node *node);

#endif
