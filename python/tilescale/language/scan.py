# SPDX-License-Identifier: MIT
"""Which names a block of statements binds, and which it may read before that."""

import ast
from collections.abc import Iterable
from typing import Any


class NameScan(ast.NodeVisitor):
    """Names of one scope. `bound` keeps the order of first binding; `early` are those that may be read first."""

    def __init__(self, statements: Iterable[ast.AST]) -> None:
        self.bound: dict[str, None] = {}
        self.early: set[str] = set()
        self._definite: set[str] = set()
        for statement in statements:
            self.visit(statement)

    def _bind(self, name: str) -> None:
        self.bound[name] = None
        self._definite.add(name)

    def visit_Name(self, node: ast.Name) -> None:
        if isinstance(node.ctx, ast.Store):
            self._bind(node.id)
        elif node.id not in self._definite:
            self.early.add(node.id)

    def visit_Assign(self, node: ast.Assign) -> None:
        self.visit(node.value)
        for target in node.targets:
            self.visit(target)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> None:
        if node.value is not None:
            self.visit(node.value)
        self.visit(node.target)

    def visit_AugAssign(self, node: ast.AugAssign) -> None:
        self.visit(node.value)
        if isinstance(node.target, ast.Name) and node.target.id not in self._definite:
            self.early.add(node.target.id)
        self.visit(node.target)

    def visit_For(self, node: ast.For) -> None:
        self.visit(node.iter)
        self.visit(node.target)
        for statement in node.body + node.orelse:
            self.visit(statement)

    def visit_If(self, node: ast.If) -> None:
        """A name is certainly bound after an `if` only when both arms bind it."""
        self.visit(node.test)
        before = set(self._definite)
        for statement in node.body:
            self.visit(statement)
        first, self._definite = self._definite, before
        for statement in node.orelse:
            self.visit(statement)
        self._definite &= first

    def _definition(self, node: Any) -> None:
        self._bind(node.name)

    visit_FunctionDef = _definition
    visit_AsyncFunctionDef = _definition
    visit_ClassDef = _definition

    def _other_scope(self, node: ast.AST) -> None:
        """Its names are not of this scope."""

    visit_Lambda = _other_scope
    visit_ListComp = _other_scope
    visit_SetComp = _other_scope
    visit_DictComp = _other_scope
    visit_GeneratorExp = _other_scope

    def _imports(self, node: Any) -> None:
        for alias in node.names:
            self._bind((alias.asname or alias.name).split(".")[0])

    visit_Import = _imports
    visit_ImportFrom = _imports


def breaks(loop: ast.For | ast.While) -> bool:
    """Does a `break` belong to this loop?"""
    open_nodes: list[ast.AST] = list(loop.body)
    while open_nodes:
        node = open_nodes.pop()
        if isinstance(node, ast.Break):
            return True
        if isinstance(node, (ast.For, ast.While)):
            open_nodes += node.orelse
        elif not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda)):
            open_nodes += ast.iter_child_nodes(node)
    return False


def outer_names(function: ast.FunctionDef) -> tuple[set[str], set[str]]:
    """The names that a function declares global, and those it declares global or nonlocal."""
    global_names: set[str] = set()
    outer: set[str] = set()
    open_nodes: list[ast.AST] = list(function.body)
    while open_nodes:
        node = open_nodes.pop()
        if isinstance(node, (ast.Global, ast.Nonlocal)):
            outer.update(node.names)
            if isinstance(node, ast.Global):
                global_names.update(node.names)
        elif not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda)):
            open_nodes += ast.iter_child_nodes(node)
    return global_names, outer
