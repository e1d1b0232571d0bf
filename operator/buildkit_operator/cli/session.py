"""A connection for one command: which API server, about which namespaces, and what is said when it cannot be asked."""

from __future__ import annotations

import argparse
import os
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import TypeVar

import aiohttp

from buildkit_operator import __version__
from buildkit_operator.api import names
from buildkit_operator.kube.auth import Connection, ConnectionSettingsError, TokenFile, connect
from buildkit_operator.kube.client import Client
from buildkit_operator.settings import CommonSettings, SettingsError

_T = TypeVar("_T")


class CannotAsk(Exception):  # noqa: N818  a state of affairs, as the sentence says it
    """There is no answer: the message is a sentence for whoever asked."""


@dataclass(frozen=True)
class Scope:
    """The namespaces that are looked at."""

    namespaces: tuple[str, ...] = ()
    """Their names; none means all."""

    def __str__(self) -> str:
        """Name them in a sentence."""
        if not self.namespaces:
            return "all namespaces"
        return f"namespace{'s' if len(self.namespaces) > 1 else ''} {', '.join(self.namespaces)}"


async def ask(arguments: argparse.Namespace, work: Callable[[Client, Scope], Awaitable[_T]]) -> _T:
    """Connect as the options say, do the work, and close. Raises CannotAsk, also where the work does."""
    try:
        connection = await connect(arguments.kubeconfig, arguments.context)
        scope = scope_of(arguments, connection, os.environ)
    except (ConnectionSettingsError, SettingsError) as error:
        raise CannotAsk(str(error)) from error
    connection.user_agent = f"{names.FIELD_MANAGER}-cli/{__version__}"
    timeout = aiohttp.ClientTimeout(total=arguments.request_timeout)
    client = Client(connection, field_manager=names.FIELD_MANAGER, timeout=timeout)
    try:
        return await work(client, scope)
    finally:
        await client.close()
        await connection.close()


def scope_of(arguments: argparse.Namespace, connection: Connection, environment: Mapping[str, str]) -> Scope:
    """Tell which namespaces are meant. Raises SettingsError, and CannotAsk where an option means nothing."""
    if arguments.context and isinstance(connection.credential, TokenFile):
        raise CannotAsk("--context chooses from a kubeconfig, and there is none.")
    if arguments.all_namespaces:
        return Scope()
    if arguments.namespace:
        return Scope((arguments.namespace,))
    if isinstance(connection.credential, TokenFile):
        # In the operator's pod its own namespace is the one that surely has no builder.
        return Scope(CommonSettings.from_environment(environment).watch_namespaces)
    return Scope((connection.namespace or "default",))
