"""The type checker of the tests: types by beartype, and shapes of arrays by jaxtyping.

A shape stands in an annotation, as in `Annotated[Float, "n 3"]`, and costs nothing outside the tests. Axes of one name
have one length throughout a call, results included.
"""

from collections.abc import Callable
from functools import reduce
from operator import or_
from types import UnionType
from typing import Annotated, Any, Self, TypeVar, Union, get_args, get_origin

import numpy as np
from beartype import BeartypeConf, beartype
from jaxtyping import Bool, Float, Float32, Float64, Int, Shaped
from numpy.typing import ArrayLike

__all__ = ["ROOMS", "check"]

ROOMS = ("anatomy", "geometry", "identify", "locate", "refine", "metrics", "simulate", "labelling", "reading", "study")
"""Where types are checked: in the arithmetic. Elsewhere it would cost more time than it finds mistakes."""

_KINDS: dict[Any, Any] = {np.floating: Float, np.float64: Float64, np.float32: Float32, np.bool_: Bool, np.intp: Int}
_AS_MYPY = BeartypeConf(is_pep484_tower=True)
"""An int will do as a float, as in PEP 484."""

Function = TypeVar("Function", bound=Callable[..., Any])


def check(function: Function) -> Function:
    """Refuse arguments and results that are not as annotated; jaxtyping's import hook decorates with this."""
    function.__annotations__ = {name: with_shapes(hint) for name, hint in function.__annotations__.items()}
    return beartype(function, conf=_AS_MYPY)


def with_shapes(hint: Any) -> Any:
    """An annotation in which every named shape is a type of jaxtyping's."""
    if hint is Self or hint == ArrayLike:
        return Any  # beartype knows no Self outside a class, and refuses nested sequences of mixed numbers as ArrayLike
    parts = get_args(hint)
    match get_origin(hint):
        case origin if origin is Annotated:
            _shape, dtype = get_args(parts[0])
            kind = _KINDS.get(get_args(dtype)[0], Shaped)
            return kind[np.ndarray, parts[1]]
        case origin if origin in (Union, UnionType):
            return reduce(or_, map(with_shapes, parts))
        case origin if origin is tuple:
            return tuple[tuple(map(with_shapes, parts))]
    return hint
