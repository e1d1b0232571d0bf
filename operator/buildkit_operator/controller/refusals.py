"""Refusals of the API server that no retry solves, as a condition says them: what was asked for, why not, the remedy.

Pure. What passes by itself (kube.errors.ApiError.transient) is none of them.
"""

from __future__ import annotations

from buildkit_operator.api.reasons import INSTALL_AGAIN, Reason, TerminalError
from buildkit_operator.kube import errors
from buildkit_operator.kube.resources import Manifest


def of_object(manifest: Manifest, error: errors.ApiError) -> TerminalError:
    """Return what it means that the API server does not take an object."""
    return _refusal(_name(manifest), error)


def of_deletion(manifest: Manifest, error: errors.ApiError) -> TerminalError:
    """Return what it means that the API server does not delete an object that the builder needs no more."""
    return _refusal(f"to delete {_name(manifest)}", error)


def of_status(error: errors.ApiError) -> TerminalError:
    """Return what it means that the API server does not take a builder's status, which has a part of its spec in it."""
    refused = _refusal("the builder's status", error)
    if isinstance(error, errors.Forbidden):
        return refused
    return TerminalError(refused.reason, f"{refused.message} Make spec.env smaller, if it is too large.")


def of_request(error: errors.ApiError) -> TerminalError:
    """Return what any other refused request means for the builder that it was made for."""
    return _refusal("what the operator asks of it", error)


def _refusal(what: str, error: errors.ApiError) -> TerminalError:
    right = error.missing_right if isinstance(error, errors.Forbidden) else None
    if right is None:
        return TerminalError(Reason.REJECTED, f"The API server refuses {what}: {error}")
    return TerminalError(
        Reason.REJECTED,
        f"The operator may not {right}, so the API server refuses {what}: {error}. Give its ServiceAccount that right: "
        f"install the roles of this version of the operator ({INSTALL_AGAIN}).",
    )


def _name(manifest: Manifest) -> str:
    return f"{manifest['kind']} {manifest['metadata']['name']}"
