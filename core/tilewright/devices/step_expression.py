"""Step sizes typed as a formula in the weight: a small grammar, read and evaluated without running any Python."""

from __future__ import annotations

import ast
import math
import operator
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

LONGEST = 300
DEEPEST = 30

Value = NDArray[np.float64]

FUNCTIONS: dict[str, tuple[Callable[..., Any], int]] = {
    "exp": (np.exp, 1),
    "log": (np.log, 1),
    "sqrt": (np.sqrt, 1),
    "abs": (np.abs, 1),
    "tanh": (np.tanh, 1),
    "sin": (np.sin, 1),
    "cos": (np.cos, 1),
    "min": (np.minimum, 2),
    "max": (np.maximum, 2),
    "pow": (np.power, 2),
}
CONSTANTS = {"pi": np.float64(math.pi), "e": np.float64(math.e)}
OPERATORS: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.Pow: np.power,
}


class ExpressionError(ValueError):
    """A formula that cannot be read or evaluated; the message says what, where and what is allowed."""


def _allowed(names: Mapping[str, Any]) -> str:
    return (
        f"allowed are numbers, {', '.join([*names, *CONSTANTS])}, + - * / ^ and parentheses, and {', '.join(FUNCTIONS)}"
    )


def evaluate(text: str, variables: Mapping[str, Value | float]) -> Value:
    """Value of a formula.

    Args:
        text: such as ``1 - 0.8 * (w / w_max) ^ 2``; ``^`` and ``**`` are powers.
        variables: names that may occur, with their values.

    Raises:
        ExpressionError: too long or too deep, not a formula, or an unknown name.
    """
    if len(text) > LONGEST:
        raise ExpressionError(f"the formula has {len(text)} characters; at most {LONGEST} are allowed")
    if not text.strip():
        raise ExpressionError(f"the formula is empty; {_allowed(variables)}")
    try:
        tree = ast.parse(text.strip().replace("^", "**"), mode="eval")
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        place = f" at character {error.offset}" if isinstance(error, SyntaxError) and error.offset else ""
        raise ExpressionError(f"{text.strip()!r} is not a formula{place}; {_allowed(variables)}") from None
    values = {name: np.asarray(value, dtype=float) for name, value in variables.items()}
    with np.errstate(all="ignore"):
        return np.asarray(_value(tree.body, values, 0), dtype=float)


def _value(node: ast.expr, variables: Mapping[str, Value], depth: int) -> Any:
    if depth > DEEPEST:
        raise ExpressionError(f"the formula nests more than {DEEPEST} deep; simplify it")
    if isinstance(node, ast.Constant) and isinstance(node.value, (int, float)) and not isinstance(node.value, bool):
        return _number(node.value)
    if isinstance(node, ast.Name):
        if node.id in variables:
            return variables[node.id]
        if node.id in CONSTANTS:
            return CONSTANTS[node.id]
        raise ExpressionError(f"unknown name {node.id!r}; {_allowed(variables)}")
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, (ast.UAdd, ast.USub)):
        inner = _value(node.operand, variables, depth + 1)
        return -inner if isinstance(node.op, ast.USub) else inner
    if isinstance(node, ast.BinOp) and type(node.op) in OPERATORS:
        left, right = (_value(side, variables, depth + 1) for side in (node.left, node.right))
        return OPERATORS[type(node.op)](left, right)
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
        return _call(node, node.func.id, variables, depth)
    raise ExpressionError(
        f"character {node.col_offset + 1} starts something that is not allowed; {_allowed(variables)}"
    )


def _number(value: float) -> np.float64:
    try:
        number = np.float64(value)
    except OverflowError:
        number = np.float64(np.inf)
    if not np.isfinite(number):
        raise ExpressionError("a number of the formula is too large")
    return number


def _call(node: ast.Call, name: str, variables: Mapping[str, Value], depth: int) -> Any:
    if name not in FUNCTIONS:
        raise ExpressionError(f"unknown function {name!r}; {_allowed(variables)}")
    function, n = FUNCTIONS[name]
    if node.keywords or len(node.args) != n or any(isinstance(arg, ast.Starred) for arg in node.args):
        raise ExpressionError(f"{name} takes {n} value{'s' if n > 1 else ''}, found {len(node.args)}")
    return function(*(_value(arg, variables, depth + 1) for arg in node.args))
