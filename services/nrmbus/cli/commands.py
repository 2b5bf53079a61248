"""Registration of commands: each with an example, a help that fills the terminal, and shared options declared once."""

import inspect
from collections.abc import Callable
from dataclasses import fields, is_dataclass
from functools import wraps
from typing import Any, TypeVar, get_type_hints

import typer

R = TypeVar("R")


class Commands(typer.Typer):
    """Group of commands, or with no name the commands of a module.

    A parameter whose type is a dataclass of options, as `nrmbus.cli.options.BusContext`, stands for all fields of that
    dataclass: the command has each of them as an option, in their order, and receives the dataclass.
    """

    def __init__(self, name: str | None = None, help: str | None = None) -> None:
        """Make a group called *name*, which shows *help* and its commands if none of them is given."""
        super().__init__(name=name, help=help, no_args_is_help=True)

    def register(self, *, example: str, name: str | None = None) -> Callable[[Callable[..., R]], Callable[..., R]]:
        """Return a decorator that makes a function a command; *example* is a whole command line that works.

        The decorated function takes the options as keywords, as they are typed: ``data``, ``bus`` and so on.
        """

        def registered(function: Callable[..., R]) -> Callable[..., R]:
            command = with_options(function)
            self.command(name, epilog=f"Example: {example}", help=filled(inspect.getdoc(function) or ""))(command)
            return command

        return registered


def filled(docstring: str) -> str:
    """Return *docstring* with each paragraph on one line, so that a help breaks lines where the terminal ends."""
    return "\n\n".join(" ".join(paragraph.split()) for paragraph in docstring.split("\n\n"))


def with_options(function: Callable[..., R]) -> Callable[..., R]:
    """Return *function* with the fields of its dataclasses of options as keyword parameters of its own."""
    parameters = inspect.signature(function).parameters.values()
    contexts: dict[str, Any] = {each.name: each.annotation for each in parameters if is_dataclass(each.annotation)}
    if not contexts:
        return function

    @wraps(function)
    def typed(*arguments: Any, **options: Any) -> R:
        for name, context in contexts.items():
            own = {each.name: options.pop(each.name) for each in fields(context) if each.name in options}
            options[name] = context(**own)
        return function(*arguments, **options)

    flat = [
        one for each in parameters for one in ([*_options(contexts[each.name])] if each.name in contexts else [each])
    ]
    del typed.__wrapped__  # Typer would read the parameters there
    typed.__signature__ = inspect.Signature(flat)  # type: ignore[attr-defined]
    typed.__annotations__ = {each.name: each.annotation for each in flat}
    return typed


def _options(context: Any) -> list[inspect.Parameter]:
    hints = get_type_hints(context, include_extras=True)
    return [
        inspect.Parameter(each.name, inspect.Parameter.KEYWORD_ONLY, default=each.default, annotation=hints[each.name])
        for each in fields(context)
    ]
