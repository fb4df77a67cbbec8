"""GraphQL without a schema: documents are parsed, so that aliases, fragments and the order of fields don't matter."""

from collections.abc import Mapping
from typing import Any

from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    InlineFragmentNode,
    OperationDefinitionNode,
    SelectionSetNode,
    parse,
    value_from_ast_untyped,
)

from reports.files import Json


def execute(document: str, variables: Mapping[str, Any], root: Mapping[str, Any]) -> Json:
    """Return what a document asks for.

    Args:
        document: In GraphQL.
        variables: Of the document.
        root: Nested mappings and lists, where a function is called with the field's arguments by name.
    """
    parsed = parse(document)
    (operation,) = (node for node in parsed.definitions if isinstance(node, OperationDefinitionNode))
    defaults = {
        definition.variable.name.value: value_from_ast_untyped(definition.default_value)
        for definition in operation.variable_definitions or ()
        if definition.default_value
    }
    return _Execution(parsed, {**defaults, **variables}).select(root, operation.selection_set)


class _Execution:
    def __init__(self, document: DocumentNode, variables: Json) -> None:
        self._variables = variables
        self._fragments = {
            node.name.value: node for node in document.definitions if isinstance(node, FragmentDefinitionNode)
        }

    def select(self, source: Mapping[str, Any], selection: SelectionSetNode) -> Json:
        answer: Json = {}
        for node in selection.selections:
            if isinstance(node, FieldNode):
                answer[(node.alias or node.name).value] = self._field(source, node)
            elif isinstance(node, FragmentSpreadNode):
                answer |= self.select(source, self._fragments[node.name.value].selection_set)
            elif isinstance(node, InlineFragmentNode):
                answer |= self.select(source, node.selection_set)
        return answer

    def _field(self, source: Mapping[str, Any], node: FieldNode) -> Any:
        value = source.get(node.name.value)
        if callable(value):
            value = value(
                **{
                    given.name.value: value_from_ast_untyped(given.value, self._variables)
                    for given in node.arguments or ()
                }
            )
        return self._shape(value, node.selection_set)

    def _shape(self, value: Any, selection: SelectionSetNode | None) -> Any:
        if isinstance(value, list):
            return [self._shape(one, selection) for one in value]
        return self.select(value, selection) if selection and isinstance(value, Mapping) else value
