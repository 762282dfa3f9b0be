"""A tenant lint: no query touches a brand-owned table without naming the brand.

It reads the source, not the database: `select`, `update` and `delete` of a brand-owned model (or of one of its columns)
must mention `brand_id` in the same expression, and `session.get` cannot, so it is refused. Where a query must reach
across brands (a sweeper, a lookup of the credential that names the brand) the line says `# tenant:` and why.
"""

import ast
from collections.abc import Iterator
from pathlib import Path

import msgspec

STATEMENTS = {"select", "update", "delete"}
LOADERS = {"get", "get_one"}
ESCAPE = "# tenant: "


class Finding(msgspec.Struct, frozen=True):
    file: str
    line: int
    text: str


def lint(source: str, file: str, owned: set[str]) -> list[Finding]:
    """`owned` are the names of the brand-owned models."""
    lines = source.splitlines()
    tree = ast.parse(source)
    parents = {child: node for node in ast.walk(tree) for child in ast.iter_child_nodes(node)}
    found = []
    for call in (node for node in ast.walk(tree) if isinstance(node, ast.Call)):
        expression = _whole_expression(call, parents)
        is_risky = _is_statement(call, owned) and not _mentions_brand(expression)
        if (is_risky or _is_load(call, owned)) and not _is_excused(expression, parents, lines):
            found.append(Finding(file, call.lineno, lines[call.lineno - 1].strip()))
    return found


def lint_tree(root: Path, owned: set[str]) -> list[Finding]:
    return [
        finding
        for path in sorted(root.rglob("*.py"))
        for finding in lint(path.read_text(), str(path.relative_to(root.parent)), owned)
    ]


def _is_statement(call: ast.Call, owned: set[str]) -> bool:
    name = call.func.id if isinstance(call.func, ast.Name) else ""
    return name in STATEMENTS and any(_names_model(argument, owned) for argument in call.args)


def _is_load(call: ast.Call, owned: set[str]) -> bool:
    name = call.func.attr if isinstance(call.func, ast.Attribute) else ""
    return name in LOADERS and len(call.args) > 1 and _names_model(call.args[0], owned)


def _names_model(argument: ast.expr, owned: set[str]) -> bool:
    return any(isinstance(node, ast.Name) and node.id in owned for node in ast.walk(argument))


def _whole_expression(node: ast.AST, parents: dict[ast.AST, ast.AST]) -> ast.AST:
    """From `select(A)` up its chain of calls: `select(A).where(...).order_by(...)`."""
    while True:
        above = parents[node]
        is_chained = isinstance(above, ast.Attribute) or (isinstance(above, ast.Call) and above.func is node)
        if not is_chained:
            return node
        node = above


def _mentions_brand(expression: ast.AST) -> bool:
    for node in ast.walk(expression):
        if isinstance(node, ast.Compare):
            sides = (node.left, *node.comparators)
            if any(isinstance(side, ast.Attribute) and side.attr == "brand_id" for side in sides):
                return True
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "filter_by":
            return any(keyword.arg == "brand_id" for keyword in node.keywords)
    return False


def _is_excused(expression: ast.AST, parents: dict[ast.AST, ast.AST], lines: list[str]) -> bool:
    """A reason within the statement's lines, or on the line above it."""
    statement = expression
    while not isinstance(statement, ast.stmt):
        statement = parents[statement]
    first, last = statement.lineno - 1, statement.end_lineno or statement.lineno
    if isinstance(statement, ast.For | ast.AsyncFor | ast.With | ast.AsyncWith | ast.If | ast.While):
        last = getattr(expression, "end_lineno", None) or last
    return any(_reason(line) for line in lines[max(0, first - 1) : last])


def _reason(line: str) -> str:
    return line.partition(ESCAPE)[2].strip()


def owned_names(models: Iterator[type]) -> set[str]:
    return {model.__name__ for model in models}
